package mail

import (
	"crypto/rand"
	"encoding/base64"
	"time"
)

// An UploadID names bytes that a client put beside its mail (RFC 8620 §6.1): 128
// random bits.
type UploadID [16]byte

// NewUploadID draws an UploadID.
func NewUploadID() UploadID {
	var id UploadID
	rand.Read(id[:])
	return id
}

// String spells the id as JMAP shows it.
func (id UploadID) String() string { return "U" + base64.RawURLEncoding.EncodeToString(id[:]) }

// ParseUploadID reads what String wrote.
func ParseUploadID(s string) (UploadID, bool) {
	var id UploadID
	if len(s) != 23 || s[0] != 'U' {
		return id, false
	}
	b, err := base64.RawURLEncoding.Strict().DecodeString(s[1:])
	if err != nil || len(b) != len(id) {
		return id, false
	}
	return UploadID(b), true
}

// Upload is bytes that a client put beside its mail, to make messages of. It names
// its blob until it expires.
type Upload struct {
	ID      UploadID // zero draws a new one
	Blob    Blob     // as put; its handle must not have expired
	Parts   []Blob   // the blobs it is put together from, as put; nil on what the store returns
	Type    string   // the media type that the client gave
	Created time.Time
	Until   time.Time // when it expires, unless it is used
	Emails  []EmailID // what was made of it last, newest last
}

// UploadLife is how long an upload stays after it was made, or last used.
const UploadLife = 24 * time.Hour

// Bounds on uploads. What has expired goes first, then, to make room, the oldest (RFC
// 8620 §6.1).
const (
	MaxUploads         = 1000    // in one account
	MaxUploadsTotal    = 1 << 30 // bytes of all of an account
	MaxUploadTypeBytes = 255
	MaxUploadEmails    = 32 // older ones are forgotten
)

// Check is Limit for what can't be kept, whatever makes room.
func (u Upload) Check() error {
	switch {
	case len(u.Type) > MaxUploadTypeBytes:
		return Errorf(Limit, "a media type has at most %d bytes", MaxUploadTypeBytes)
	case u.Blob.Size > MaxUploadsTotal:
		return Errorf(Limit, "the uploads of an account have at most %d bytes at a time", MaxUploadsTotal)
	}
	return nil
}

// Fits reports whether there is room for it beside n uploads of so many bytes.
func (u Upload) Fits(n, total int64) bool {
	return n < MaxUploads && total+u.Blob.Size <= MaxUploadsTotal
}

// Made notes that emails were made of it.
func (u *Upload) Made(made ...EmailID) {
	u.Emails = append(u.Emails[:len(u.Emails):len(u.Emails)], made...)
	u.Emails = u.Emails[max(0, len(u.Emails)-MaxUploadEmails):]
}
