package sqlstore

import (
	"context"
	"net/url"
	"path/filepath"

	"zombiezen.com/go/sqlite"

	"lockstep/internal/mail"
)

// Want has the next Settle give these pages too, whether they changed or not.
func (c *Copier) Want(pages []uint32) {
	c.db.writer.turn.Lock()
	defer c.db.writer.turn.Unlock()
	for _, n := range pages {
		c.dirty.add(n)
	}
}

const selectCopied = "SELECT " + blobColumns + " FROM blob WHERE place >= ?1 AND place < ?2 ORDER BY place"

// EachBlob calls fn with the row of each blob whose place begins with prefix, in the
// order of their places, in a database that nobody has open. It changes nothing, not
// even to a newer schema. The rows have no parts.
func EachBlob(ctx context.Context, path, prefix string, fn func(mail.Blob) error) error {
	c, err := openCopied(ctx, path)
	if err != nil {
		return err
	}
	defer c.close()
	return c.query(selectCopied, func(r row) error { return fn(scanBlob(r)) }, prefix, prefix+pastPlaces)
}

// openCopied opens a database that nobody has open, to read.
func openCopied(ctx context.Context, path string) (*sqliteConn, error) {
	holdMemory()
	path, err := filepath.Abs(path)
	if err != nil {
		return nil, err
	}
	uri := url.URL{Scheme: "file", OmitHost: true, Path: filepath.ToSlash(path), RawQuery: "immutable=1"}
	opened, err := sqlite.OpenConn(uri.String(), sqlite.OpenReadOnly|sqlite.OpenURI)
	if err != nil {
		return nil, readable(err)
	}
	opened.SetInterrupt(ctx.Done())
	return &sqliteConn{c: opened, cache: map[string]*statement{}, alone: map[string]string{}}, nil
}
