package backup

import (
	"context"
	"io"
	"time"
)

// A Target keeps named objects, each whole or not at all: a directory, or a bucket
// of S3. Names are lower-case words, digits, dots and hyphens, joined by slashes.
// Methods are safe for concurrent use. What is not there is fs.ErrNotExist, to
// errors.Is; what can't be reached now, and may be later, is mail.Unavailable.
type Target interface {
	// Put stores size bytes of r under name, in place of what was there. They are
	// durable when it returns nil; when it fails, what was there before still is, and
	// the call can be made again with the bytes from their beginning.
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

// Object describes a stored object.
type Object struct {
	Name     string
	Size     int64
	Modified time.Time
}
