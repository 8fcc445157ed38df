package delivery

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"lockstep/internal/mail"
	"lockstep/internal/store"
)

// standing is what an account asks of every message that comes in, by its annotations.
type standing struct {
	vacation mail.Vacation
	follows  mail.Follows
}

// maxStanding is how many accounts are remembered; with more, all are forgotten.
const maxStanding = 100_000

// standingFor is how long it is remembered where other nodes change it too: as long as
// that somebody had room.
const standingFor = roomFor

// nothingAsked stands for all accounts that ask nothing.
var nothingAsked = &remembered{read: true}

// standings remembers what accounts ask: every delivery wants to know, and hardly
// anybody asks anything.
type standings struct {
	mu    sync.Mutex
	known map[mail.AccountID]*memory
}

// memory is what is remembered of one account, until its annotations change.
type memory struct {
	is   atomic.Pointer[remembered]
	stop func() // nil: it is not watched
}

// remembered is what an account asks, or, while it is not read, that somebody is
// reading it.
type remembered struct {
	standing
	read  bool
	until time.Time // zero: until it is heard that it changed
}

// holds reports whether it is known, now.
func (r *remembered) holds() bool {
	return r != nil && r.read && (r.until.IsZero() || time.Now().Before(r.until))
}

// of returns what the account asks. What changes while it is read is not remembered as
// it was. Of several nodes that change it each looks every standingFor: to watch all who
// get mail would have every node hear of every account.
func (ss *standings) of(ctx context.Context, st store.Store, id mail.AccountID, several bool) (standing, error) {
	v := ss.watch(st, id, several)
	was := v.is.Load()
	if was.holds() {
		return was.standing, nil
	}
	if was != nil && was.read {
		v.is.CompareAndSwap(was, nil)
	}
	begun, is := &remembered{}, &remembered{read: true}
	if several {
		is.until = time.Now().Add(standingFor)
	}
	first := v.is.CompareAndSwap(nil, begun)
	err := st.View(ctx, id, func(r store.Reader) (err error) {
		is.standing, err = readStanding(r)
		return err
	})
	if err != nil {
		v.is.CompareAndSwap(begun, nil)
		return standing{}, err
	}
	if is.asksNothing() && is.until.IsZero() {
		is = nothingAsked
	}
	if first {
		v.is.CompareAndSwap(begun, is)
	}
	return is.standing, nil
}

func (s standing) asksNothing() bool { return s.vacation == (mail.Vacation{}) && len(s.follows) == 0 }

// readStanding reads it. An annotation that holds something else asks nothing.
func readStanding(r store.Reader) (s standing, err error) {
	if s.vacation, err = Vacation(r); err == nil {
		s.follows, err = follows(r)
	}
	return s, err
}

func (ss *standings) watch(st store.Store, id mail.AccountID, several bool) *memory {
	ss.mu.Lock()
	defer ss.mu.Unlock()
	if v := ss.known[id]; v != nil {
		return v
	}
	if len(ss.known) >= maxStanding {
		for _, v := range ss.known {
			if v.stop != nil {
				v.stop()
			}
		}
		ss.known = nil
	}
	if ss.known == nil {
		ss.known = map[mail.AccountID]*memory{}
	}
	v := &memory{}
	if !several {
		v.stop = st.Watch(id, func(n mail.News) {
			if n.Types.Has(mail.TypeMetadata) {
				v.is.Store(nil)
			}
		})
	}
	ss.known[id] = v
	return v
}
