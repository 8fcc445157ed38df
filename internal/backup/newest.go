package backup

import (
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"time"
)

// The object newest names the newest point, sealed under the backup's key. It is written
// by who follows a server, so that a standby, which asks every few seconds, need not list
// the whole target. It may be missing, or be late: then points are looked for.
const newestName = "newest"

// Newest says what is newest in a backup.
type Newest struct {
	Point Point
	// At is until when nothing has happened to the server that is not in Point, by the
	// server's clock.
	At time.Time
}

// staleNewest is when nobody seems to follow the server, or the clocks differ.
const staleNewest = 3 * followBeat

type newestText struct {
	Point string    `json:"point"`
	At    time.Time `json:"at"`
}

func (r *Repo) putNewest(ctx context.Context, n Newest) error {
	b, err := json.Marshal(newestText{n.Point.Name(), n.At.UTC()})
	if err != nil {
		return err
	}
	_, err = r.key.put(ctx, r.Target, newestName, b)
	return err
}

// Latest says what is newest, in one request where somebody follows the server. Without
// the object that says so, or when it was not written for a while, it lists the points.
func (r *Repo) Latest(ctx context.Context) (Newest, error) {
	n, found, err := r.readNewest(ctx)
	if err != nil || found && time.Since(n.At) < staleNewest {
		return n, err
	}
	p, err := r.Newest(ctx, time.Time{})
	if err == nil && (!found || p != n.Point) {
		n = Newest{Point: p, At: p.Time}
	}
	return n, err
}

// readNewest returns what the object says; nothing if it is not there or says nothing.
func (r *Repo) readNewest(ctx context.Context) (n Newest, found bool, err error) {
	b, err := getBytes(ctx, r.Target, newestName, maxSealed)
	if errors.Is(err, fs.ErrNotExist) {
		return n, false, nil
	}
	if err != nil {
		return n, false, err
	}
	if b, err = r.key.open(newestName, b); err != nil {
		return n, false, nil // a hint that is damaged is none
	}
	var text newestText
	if json.Unmarshal(b, &text) != nil {
		return n, false, nil
	}
	n.Point, found = parsePoint(text.Point)
	n.At = text.At
	return n, found, nil
}
