package backup

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"io/fs"
	"path/filepath"
	"syscall"
	"time"

	"lockstep/internal/mail"
)

var _ Swapper = (*Dir)(nil)

// swapLock is the file whose lock is held while an object is put on a condition. Its
// name is no object's.
const swapLock = ".lock"

// How long somebody else's condition is waited for, and how often it is looked at.
const (
	swapPatience = 2 * time.Second
	swapEvery    = 10 * time.Millisecond
)

// Tag implements Swapper: it is made of the content.
func (d *Dir) Tag(ctx context.Context, name string) (string, error) {
	b, err := getBytes(ctx, d, name, maxLease)
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	return tagOf(b), nil
}

func tagOf(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}

// PutIf implements Swapper, under a lock of the file system. Where that has none, as
// over some networks, it is mail.Unimplemented.
func (d *Dir) PutIf(ctx context.Context, name string, r io.ReadSeeker, size int64, tag string) (string, error) {
	if size > maxLease {
		return "", mail.Errorf(mail.Limit, "%s: %d bytes can't be put at once on a condition", name, size)
	}
	b := make([]byte, size)
	if _, err := r.Seek(0, io.SeekStart); err != nil {
		return "", err
	}
	if _, err := io.ReadFull(r, b); err != nil {
		return "", err
	}
	unlock, err := d.lockSwaps(ctx)
	if err != nil {
		return "", err
	}
	defer unlock.Close()
	has, err := d.Tag(ctx, name)
	if err != nil {
		return "", err
	}
	if has != tag {
		return "", mail.Errorf(mail.Conflict, "%s: somebody else changed %s meanwhile", d, name)
	}
	return tagOf(b), d.Put(ctx, name, bytes.NewReader(b), size)
}

func (d *Dir) lockSwaps(ctx context.Context) (io.Closer, error) {
	file := d.path(swapLock)
	if err := d.makeDirs(filepath.Dir(file)); err != nil {
		return nil, d.explain(err)
	}
	for began := time.Now(); ; {
		lock, err := d.fs.Lock(file)
		switch {
		case err == nil:
			return lock, nil
		case !errors.Is(err, syscall.EWOULDBLOCK):
			return nil, &mail.Error{Kind: mail.Unimplemented, Detail: d.String() + " has no locks", Err: err}
		case time.Since(began) > swapPatience:
			return nil, mail.Errorf(mail.Unavailable, "the backup in %s is locked by somebody else for a long time: try again later", d)
		}
		select {
		case <-time.After(swapEvery):
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}
