// Package mail is the ground everything stands on: identifiers, flags,
// mailboxes, messages, changes and errors. It imports the standard library only
// and does no I/O.
package mail

import (
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"strconv"
	"time"
)

// An AccountID names an account on this installation. It is never reused.
type AccountID int64

// A MailboxID names a mailbox inside its account (RFC 8474 MAILBOXID). It
// survives renames and is never reused.
type MailboxID int64

// A MessageKey is the row number of a message inside its account. It is what
// the store joins by; the outside knows the EmailID. Not the Message-ID of
// RFC 5322, which is a header.
type MessageKey int64

// A PlacementID names one message in one mailbox, inside the account. It is
// never reused.
type PlacementID int64

// A Lineage is what survives when a draft is edited or a message is replaced: the
// successor has a new UID and the same lineage. It is the PlacementID of the first
// of the line. One placement of an account at most holds a line; one that has
// handed it on is an earlier version, and its lineage is negative.
type Lineage int64

// Line names the line, also of an earlier version.
func (l Lineage) Line() Lineage { return max(l, -l) }

// Held reports whether the placement holds its line: it has not handed it on.
func (l Lineage) Held() bool { return l > 0 }

// HandedOn is the lineage of a placement that has handed its line on.
func (l Lineage) HandedOn() Lineage { return -l.Line() }

// A ThreadID names a conversation inside its account. Threads never merge and
// a message never changes its thread.
type ThreadID int64

// A DeviceID names a device inside its account; 0 is the server itself.
type DeviceID int64

// A UID numbers a message in one mailbox (RFC 9051 §2.3.1.1); 0 is none.
type UID uint32

// UIDValidity is the epoch of a mailbox's UIDs. It is greater than any given
// before in the account and never changes.
type UIDValidity uint32

// A ModSeq numbers one committed change of one account. It only grows and is
// never reused; 0 is before the first. It fits 63 bits (RFC 7162 §7).
type ModSeq uint64

// An Epoch counts the restores of an account. Tokens of an older epoch start
// over.
type Epoch uint32

// An ActID names what one person or program did in one go: the ModSeq of its
// first record. A command over many messages may be several transactions with
// one act.
type ActID ModSeq

// An EmailID is the lasting name of a message (RFC 8474 EMAILID, JMAP Email
// id): 128 random bits, kept by copies, also between accounts.
type EmailID [16]byte

// NewEmailID draws an EmailID.
func NewEmailID() EmailID {
	var id EmailID
	rand.Read(id[:])
	return id
}

// String spells the id in the alphabet of RFC 8474 §7, first a letter.
func (id EmailID) String() string { return "E" + base64.RawURLEncoding.EncodeToString(id[:]) }

// ParseEmailID reads what String wrote.
func ParseEmailID(s string) (EmailID, bool) {
	var id EmailID
	if len(s) != 23 || s[0] != 'E' {
		return id, false
	}
	b, err := base64.RawURLEncoding.Strict().DecodeString(s[1:])
	if err != nil || len(b) != len(id) {
		return id, false
	}
	return EmailID(b), true
}

// String spells the id as IMAP and JMAP show it (RFC 8474 §4.1).
func (id MailboxID) String() string { return "M" + strconv.FormatInt(int64(id), 36) }

// String spells the id as IMAP and JMAP show it (RFC 8474 §5.2).
func (id ThreadID) String() string { return "T" + strconv.FormatInt(int64(id), 36) }

// A BlobName is the name a blob is stored under: a keyed hash of the SHA-256
// of its plain bytes.
type BlobName [32]byte

func (n BlobName) String() string { return hex.EncodeToString(n[:]) }

// A Blob says where stored bytes lie. A put returns one; committing a message
// that names it makes it lasting. What Place and Key mean is known to the blob
// package alone.
type Blob struct {
	Name  BlobName
	Size  int64      // plain bytes
	Place string     // pack and offset, or object; opaque
	Key   []byte     // the blob's own key, wrapped; opaque
	Parts []BlobName // blobs this one is put together from
	// Fresh says that this put wrote the bytes anew, so that its handle can
	// stand in for a row that is condemned or gone. A put that found the blob
	// there gives a handle that only touches its row. False on what the store
	// returns.
	Fresh bool
	// Until is the moment the handle expires: a commit after it fails with
	// Expired and the bytes have to be put again. Zero on what the store returns.
	Until time.Time
	// Pending is what a commit has to wait for; nil when the bytes are durable
	// already. A commit of bytes that never will be fails with why, and they have to
	// be put again. Nil on what the store returns.
	Pending *Pending
	// Record is the sealed record itself, where its place is a row beside the blob's:
	// the commit that makes the one makes the other. Nil where the bytes lie elsewhere,
	// and on what the store returns.
	Record []byte
}

// A Token is a position as clients hold it: the account's epoch and a ModSeq.
type Token struct {
	Epoch  Epoch
	ModSeq ModSeq
}

// String writes "<epoch>.<modseq>".
func (t Token) String() string { return fmt.Sprintf("%d.%d", t.Epoch, t.ModSeq) }

// ParseToken reads what Token.String wrote.
func ParseToken(s string) (Token, bool) {
	for i := range s {
		if s[i] != '.' {
			continue
		}
		e, err1 := strconv.ParseUint(s[:i], 10, 32)
		n, err2 := strconv.ParseUint(s[i+1:], 10, 63)
		t := Token{Epoch(e), ModSeq(n)}
		return t, err1 == nil && err2 == nil && t.String() == s
	}
	return Token{}, false
}
