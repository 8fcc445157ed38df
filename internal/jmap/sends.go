package jmap

import (
	"context"
	"encoding/json"
	"math/rand/v2"
	"time"

	"lockstep/internal/mail"
	"lockstep/internal/store"
)

// hourly is how much of something an account did in an hour. It lies with the account,
// so that it is one count on all nodes and over restarts.
type hourly struct {
	Hour int64 `json:"hour"` // since 1970
	N    int   `json:"n"`
}

// A bound on what an account does in an hour to others.
type bound struct {
	cursor string // where it is counted
	most   int
}

var (
	sendsBound     = bound{"jmap/sends", maxSentInHour}     // recipients of its mail
	subscribeBound = bound{"jmap/subscribed", maxNewInHour} // push subscriptions
)

// It is counted anew when others did at the same time, after a while that grows and is
// never the same for two: so often that only who counts all the time finds no turn.
const (
	maxTries = 20
	countGap = 2 * time.Millisecond
)

// may counts n more, or says that these are too many for an hour. It costs a read by key
// and a small bookkeeping transaction.
func (s *Server) may(ctx context.Context, account mail.AccountID, b bound, n int) (may bool, err error) {
	for try := range maxTries {
		may, err = s.count(ctx, account, b, n, s.now())
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
func (s *Server) count(ctx context.Context, account mail.AccountID, b bound, n int, now time.Time) (may bool, err error) {
	var was []byte
	err = s.Store.View(ctx, account, func(r store.Reader) (err error) {
		was, err = r.Cursor(0, b.cursor)
		if mail.KindOf(err) == mail.NotFound {
			was, err = nil, nil
		}
		return err
	})
	if err != nil {
		return false, err
	}
	var is hourly
	if was == nil || json.Unmarshal(was, &is) != nil || is.Hour != hourOf(now) {
		is = hourly{Hour: hourOf(now)}
	}
	if is.N += n; is.N > b.most {
		return false, nil
	}
	raw, err := json.Marshal(is)
	if err != nil {
		return false, err
	}
	return true, s.Store.Note(ctx, account, func(n store.Notes) error { return n.SwapCursor(0, b.cursor, was, raw) })
}
