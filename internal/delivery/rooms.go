package delivery

import (
	"context"
	"math"
	"sync"
	"time"

	"lockstep/internal/mail"
	"lockstep/internal/store"
)

// An account that had room a moment ago is not asked again for a small message:
// whether it really fits is decided when it is appended.
const (
	roomFor   = time.Second
	smallSize = 64 << 10
	maxRooms  = 10_000 // accounts remembered; with more, all are forgotten
)

// rooms remembers the inboxes that had room.
type rooms struct {
	mu  sync.Mutex
	had map[mail.AccountID]room
}

type room struct {
	inbox mail.MailboxID
	free  int64 // bytes, then
	until time.Time
}

// inbox returns the inbox of an account that has room for about size bytes, 0 if
// that is not known; else OverQuota.
func (rs *rooms) inbox(ctx context.Context, st store.Store, id mail.AccountID, size int64) (mail.MailboxID, error) {
	now := time.Now()
	rs.mu.Lock()
	had := rs.had[id]
	rs.mu.Unlock()
	size = max(size, 1)
	if size <= min(smallSize, had.free) && now.Before(had.until) {
		return had.inbox, nil
	}
	r, err := roomIn(ctx, st, id)
	r.until = now.Add(roomFor)
	switch {
	case err != nil:
		return 0, err
	case size > r.free:
		return 0, mail.Errorf(mail.OverQuota, "the mailbox is full")
	}
	rs.remember(id, r)
	return r.inbox, nil
}

func (rs *rooms) remember(id mail.AccountID, r room) {
	rs.mu.Lock()
	defer rs.mu.Unlock()
	if rs.had == nil || len(rs.had) >= maxRooms {
		rs.had = map[mail.AccountID]room{}
	}
	rs.had[id] = r
}

func roomIn(ctx context.Context, st store.Store, id mail.AccountID) (r room, err error) {
	err = st.View(ctx, id, func(v store.Reader) error {
		acc, err := v.Account()
		if err != nil {
			return err
		}
		if r.free = acc.Quota - acc.Used; acc.Quota == 0 {
			r.free = math.MaxInt64
		}
		mb, err := v.MailboxByPath("INBOX")
		r.inbox = mb.ID
		return err
	})
	return r, err
}
