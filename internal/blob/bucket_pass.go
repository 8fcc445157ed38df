package blob

import (
	"context"
	"errors"
	"io"

	"lockstep/internal/mail"
	"lockstep/internal/vfs"
)

// Who looks at all records goes from one to the next as they lie. So a pack is fetched
// once for all its records, and a large record part by part, into a file without a name;
// the one last fetched is there for whoever comes next, and the cache stays what people
// made it.

// passed is what was fetched so: an object from a byte on.
type passed struct {
	object string
	from   int64
	file   vfs.File
	refs   int // guarded by lately
}

// pass implements home.
func (b *inBucket) pass(ctx context.Context, row mail.Blob, at place) (container, error) {
	if at.object == "" || InRow(at.object) {
		return b.open(ctx, row, at)
	}
	return &passing{b: b, ctx: ctx, at: at}, nil
}

// passing reads a record of an object.
type passing struct {
	b   *inBucket
	ctx context.Context
	at  place
}

// ReadAt implements io.ReaderAt.
func (o *passing) ReadAt(p []byte, off int64) (done int, err error) {
	for done < len(p) {
		at := off - o.at.offset + int64(done)
		if at < 0 || at >= o.at.length {
			return done, io.EOF
		}
		_, from, to := partAt(at, o.at.length)
		first, length := o.at.offset+from, to-from
		if !Alone(o.at.object) {
			first, length, to = 0, -1, o.at.length // all of the pack
		}
		n, err := o.read(p[done:][:min(int64(len(p)-done), to-at)], o.at.offset+at, first, length)
		done += n
		if err != nil {
			return done, err
		}
	}
	return done, nil
}

func (o *passing) read(p []byte, off, first, length int64) (int, error) {
	f, err := o.b.fetchPassed(o.ctx, o.at.object, first, length)
	if err != nil {
		return 0, err
	}
	defer o.b.letGo(f)
	return readFullAt(f.file, p, off-f.from)
}

// fetchPassed brings a part of an object, if it was not the last that was brought.
func (b *inBucket) fetchPassed(ctx context.Context, object string, from, length int64) (*passed, error) {
	b.lately.Lock()
	if f := b.passed; f != nil && f.object == object && f.from == from {
		f.refs++
		b.lately.Unlock()
		return f, nil
	}
	b.lately.Unlock()
	file, err := b.download(ctx, object, from, length)
	if err != nil {
		return nil, err
	}
	f := &passed{object: object, from: from, file: file, refs: 2} // ours, and that of who keeps it
	b.keepPassed(f)
	return f, nil
}

func (b *inBucket) keepPassed(f *passed) {
	b.lately.Lock()
	was := b.passed
	b.passed = f
	b.lately.Unlock()
	if was != nil {
		b.letGo(was)
	}
}

func (b *inBucket) letGo(f *passed) {
	b.lately.Lock()
	f.refs--
	last := f.refs == 0
	b.lately.Unlock()
	if last {
		f.file.Close()
	}
}

// download brings a part of an object into a file without a name.
func (b *inBucket) download(ctx context.Context, object string, from, length int64) (vfs.File, error) {
	ctx, cancel := context.WithTimeout(ctx, requestTime)
	defer cancel()
	r, err := b.get(ctx, object, from, length)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	f, err := b.fs.Temp(b.dir)
	if err != nil {
		return nil, unavailable(err)
	}
	in := &readErr{r: r}
	if _, err := io.Copy(&tailWriter{file: f}, in); err != nil {
		f.Close()
		if in.err != nil {
			return nil, cantRead(ctx, in.err)
		}
		return nil, unavailable(err)
	}
	return f, nil
}

// readErr remembers what its reader failed with.
type readErr struct {
	r   io.Reader
	err error
}

func (r *readErr) Read(p []byte) (int, error) {
	n, err := r.r.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		r.err = err
	}
	return n, err
}

func (o *passing) readHead(p []byte, off int64) (int, error) { return readFullAt(o, p, off) }
func (o *passing) again() bool                               { return false }
func (o *passing) release()                                  {}
func (o *passing) String() string                            { return o.at.object }
