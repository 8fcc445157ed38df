// Package message reads mail: RFC 5322 and MIME bytes become an envelope, a tree
// of parts with their byte ranges, a preview and text for search. Its functions
// are pure; they hold nothing between calls and do no I/O but on the readers
// they are given.
//
// # What is promised
//
// Parse never fails because of what a message says: whatever arrives has an
// envelope and a structure. Every range it reports lies inside the message,
// children lie inside their parents, in order and without overlap, and the bytes
// are those that arrived: nothing is normalised. A line ends with LF, with or
// without CR before it; a CR alone is an ordinary byte.
//
// Bodies stream through. What Parse keeps is bounded, however large or hostile
// the message is, and these are the rules beyond the bounds:
//
//   - Of a header block the first MaxHeaderBytes are looked at. The rest still
//     belongs to the header: HeaderSize counts it.
//   - A multipart or an embedded message nested deeper than MaxDepth is a leaf,
//     application/octet-stream.
//   - When MaxParts parts, or header blocks of MaxStructureBytes together, have
//     been seen, the next delimiter begins the last part: it has no header, is
//     application/octet-stream and holds all that remains of the message.
//   - Addresses beyond MaxAddresses in one field, parameters beyond MaxParams and
//     message ids beyond MaxReferences are left out.
//
// # What broken mail becomes
//
//   - A header ends at the first line that is neither blank, nor a field, nor a
//     continuation; that line is the first of the body. An mbox "From " line at
//     the very beginning belongs to the header.
//   - A part without a usable Content-Type is text/plain; charset=us-ascii. The
//     first of several equal Content- fields counts.
//   - A multipart without a boundary parameter, or in which no delimiter is found,
//     is text/plain, so that people can read it.
//   - An embedded message under base64 or quoted-printable, which RFC 2046 §5.2.1
//     forbids, is application/octet-stream: its bytes have no offsets in the whole.
//   - Bytes beyond ASCII in a header are UTF-8 if they are valid as such, else
//     windows-1252. NUL, CR and LF never appear in a parsed value.
package message
