// Package compose writes mail: a draft's fields become RFC 5322 and MIME, a reply
// or forward gets what it answers to, and the header of a message that somebody
// submits is put right.
//
// # What is promised
//
// Everything streams: text, attachments and originals are read as they are
// written, and what is held does not grow with them. What is written has CRLF line
// ends, header lines of 998 bytes at most and mostly of 76, and header fields in
// ASCII, but for local parts beyond ASCII, which there is no other way to write
// (RFC 6532). A value never gets out of its field: line ends and NUL are taken
// away.
//
// Text is UTF-8 in quoted-printable, attachments are base64. What is taken over
// from another message is not decoded and encoded again: a part keeps its header
// and its bytes, so that a signature inside holds. A multipart that gets a new
// part gets a new boundary, which no part can know.
//
// # Replies and forwards
//
// The text of the new message is followed by the original's: quoted in a reply,
// under its most important fields in a forward; HTML behind HTML, text behind text,
// whatever charset each was in. A reply takes the pictures along that the original
// shows in its text, a forward all its attachments. A new message that is signed or
// encrypted is not opened: a reply then goes as it is, and to a forward the
// original is attached whole. So it is when the original is encrypted.
//
// The standard library writes encoded-words, parameters, quoted-printable and
// base64. github.com/emersion/go-message was weighed: its writer encodes each body
// itself, so nothing could be passed through, and it folds no better.
package compose
