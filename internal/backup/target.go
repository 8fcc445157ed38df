package backup

import (
	"context"
	"io"
	"time"

	"lockstep/internal/mail"
)

// A Target keeps named objects, each whole or not at all: a directory, or a bucket
// of S3. Names are lower-case words, digits, dots and hyphens, joined by slashes.
// Methods are safe for concurrent use. What is not there is fs.ErrNotExist, to
// errors.Is; what can't be reached now, and may be later, is mail.Unavailable.
type Target interface {
	// Put stores size bytes of r, from its beginning, under name, in place of what was
	// there. They are durable when it returns nil; when it fails, what was there before
	// still is, or, where only the answer was lost, the new bytes are, whole, and the call
	// can be made again.
	Put(ctx context.Context, name string, r io.ReadSeeker, size int64) error
	// Get opens length bytes of an object from offset on; length -1 is to its end.
	Get(ctx context.Context, name string, offset, length int64) (io.ReadCloser, error)
	// List calls fn with each object whose name begins with prefix, by name.
	List(ctx context.Context, prefix string, fn func(Object) error) error
	// Delete removes an object; one that is not there is no error.
	Delete(ctx context.Context, name string) error
	// String names the target for people, without secrets.
	String() string
}

// A Destroyer is a Target that may keep what is removed, as a bucket does that keeps
// versions.
type Destroyer interface {
	// Destroy removes an object, and all that is kept of it. It can be called again; that
	// something may not be removed is mail.Denied.
	Destroy(ctx context.Context, name string) error
}

// A Swapper is a Target that can put an object on the condition that nobody else did.
type Swapper interface {
	// Tag names the content that an object has; "" when it is not there.
	Tag(ctx context.Context, name string) (string, error)
	// PutIf is Put of a small object whose tag still is the one that is given, and
	// mail.Conflict when it is another. A target whose server has no such thing fails with
	// mail.Unimplemented.
	PutIf(ctx context.Context, name string, r io.ReadSeeker, size int64, tag string) (string, error)
}

// Object describes a stored object.
type Object struct {
	Name     string
	Size     int64
	Modified time.Time
}

// MaxObjects bounds how many objects of a target are listed, which are remembered: some
// 200 bytes each. A backup of 8 TB has as many.
const MaxObjects = 2 << 20

// each calls fn with each object whose name begins with prefix. More than MaxObjects are
// mail.Limit: who can write to a target could fill our memory else.
func each(ctx context.Context, t Target, prefix string, fn func(Object) error) error {
	return eachUpTo(ctx, t, prefix, MaxObjects, fn)
}

func eachUpTo(ctx context.Context, t Target, prefix string, most int, fn func(Object) error) error {
	n := 0
	return t.List(ctx, prefix, func(o Object) error {
		if n++; n > most {
			return mail.Errorf(mail.Limit, "%s has more than %d objects whose names begin with %q: that is no backup of ours. Look who writes there; lockstep backup --to ANOTHER PLACE begins one elsewhere", t, most, prefix)
		}
		if checkName(o.Name) != nil {
			return nil // nobody's of ours
		}
		return fn(o)
	})
}
