// Package mailfile reads and writes mail as other programs keep it in files:
// mbox and Maildir. Messages stream; memory stays small however large they are.
//
// What is read comes with lines that end in CRLF, as mail travels (RFC 5322
// §2.3), and what is written has lines that end in LF, as such files have them.
// A message in which every line ends with one CRLF, the last one too, comes back
// byte for byte.
package mailfile

import (
	"time"

	"lockstep/internal/mail"
)

// Meta is what a file says of a message beside its bytes.
type Meta struct {
	Mailbox  string // path, its names joined by mail.Delimiter; "" is the inbox. Maildir only
	Flags    mail.Flags
	Received time.Time // when it came in; zero if the file does not say
	Sender   string    // the reverse path; mbox only
	// Name is by what the file knows the message: in a Maildir the file's name
	// without flags. What is written under a name that is there already is skipped,
	// so that an export can be taken up again.
	Name string
	// Offset is where in an mbox the message begins, counted from where reading
	// began: reading from there gives it first.
	Offset int64
}
