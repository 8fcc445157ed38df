package jmap

import (
	"context"
	"encoding/json"
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

// maxTries bounds how often it is counted anew, as others do.
const maxTries = 8

// may counts n more, or says that these are too many for an hour. It costs a read by key
// and a small bookkeeping transaction.
func (s *Server) may(ctx context.Context, account mail.AccountID, b bound, n int) (may bool, err error) {
	for range maxTries {
		may, err = s.count(ctx, account, b, n, s.now())
		if err == nil || mail.KindOf(err) != mail.Conflict {
			break
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
