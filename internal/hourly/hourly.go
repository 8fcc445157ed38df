// Package hourly counts what an account does to others, and holds it to so much in an
// hour.
package hourly

import (
	"context"
	"encoding/json"
	"math/rand/v2"
	"time"

	"lockstep/internal/mail"
	"lockstep/internal/store"
)

// Bound is on one kind of thing.
type Bound struct {
	Cursor string // of the account, where it is counted
	Most   int
}

// counted lies with the account, so that it is one count on all nodes and over restarts.
type counted struct {
	Hour int64 `json:"hour"` // since 1970
	N    int   `json:"n"`
}

func hourOf(t time.Time) int64 { return t.Unix() / 3600 }

// It is counted anew when others did at the same time, after a while that grows and is
// never the same for two: so often that only who counts all the time finds no turn.
const (
	maxTries = 20
	countGap = 2 * time.Millisecond
)

// May counts n more at a time, or says that these are too many for its hour and counts
// nothing. It costs a read by key and a small bookkeeping transaction.
func May(ctx context.Context, s store.Store, account mail.AccountID, b Bound, n int, now time.Time) (may bool, err error) {
	for try := range maxTries {
		may, err = count(ctx, s, account, b, n, now)
		if err == nil || mail.KindOf(err) != mail.Conflict {
			break
		}
		select {
		case <-time.After(rand.N(countGap * time.Duration(min(try+1, 10)))):
		case <-ctx.Done():
			return false, ctx.Err()
		}
	}
	return may, err
}

// count is Conflict if somebody else counted at the same time.
func count(ctx context.Context, s store.Store, account mail.AccountID, b Bound, n int, now time.Time) (may bool, err error) {
	var was []byte
	err = s.View(ctx, account, func(r store.Reader) (err error) {
		was, err = r.Cursor(0, b.Cursor)
		if mail.KindOf(err) == mail.NotFound {
			was, err = nil, nil
		}
		return err
	})
	if err != nil {
		return false, err
	}
	var is counted
	if was == nil || json.Unmarshal(was, &is) != nil || is.Hour != hourOf(now) {
		is = counted{Hour: hourOf(now)}
	}
	if is.N += n; is.N > b.Most {
		return false, nil
	}
	raw, err := json.Marshal(is)
	if err != nil {
		return false, err
	}
	return true, s.Note(ctx, account, func(n store.Notes) error { return n.SwapCursor(0, b.Cursor, was, raw) })
}
