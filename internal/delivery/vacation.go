package delivery

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"lockstep/internal/mail"
	"lockstep/internal/store"
)

// Vacation reads what an account answers while its owner is away. What the
// annotation holds that is none is no vacation.
func Vacation(r store.Reader) (mail.Vacation, error) {
	all, err := r.Metadata(0, 0)
	for _, m := range all {
		if m.Name == mail.VacationEntry {
			v, bad := mail.DecodeVacation(m.Value)
			if bad != nil {
				v = mail.Vacation{}
			}
			return v, err
		}
	}
	return mail.Vacation{}, err
}

// SetVacation changes it, in the journal; Invalid or Limit if it can't be kept.
func SetVacation(tx store.Tx, v mail.Vacation) error {
	value, err := mail.EncodeVacation(v)
	if err != nil {
		return err
	}
	return tx.SetMetadata(0, 0, mail.VacationEntry, value)
}

// maxVacations is how many accounts are remembered; with more, all are forgotten.
const maxVacations = 100_000

// vacationFor is how long it is remembered where other nodes change it too: as long as
// that somebody had room.
const vacationFor = roomFor

// nobodyAway stands for all accounts that answer nothing.
var nobodyAway = &remembered{read: true}

// vacations remembers who is away: every delivery asks, and hardly anybody is.
type vacations struct {
	mu    sync.Mutex
	known map[mail.AccountID]*vacation
}

// vacation is what is remembered of one account, until its annotations change.
type vacation struct {
	is   atomic.Pointer[remembered]
	stop func() // nil: it is not watched
}

// remembered is a vacation, or, while it is not read, that somebody is reading it.
type remembered struct {
	mail.Vacation
	read  bool
	until time.Time // zero: until it is heard that it changed
}

// holds reports whether it is known, now.
func (r *remembered) holds() bool {
	return r != nil && r.read && (r.until.IsZero() || time.Now().Before(r.until))
}

// of returns the account's vacation. What changes while it is read is not
// remembered as it was. Of several nodes that change it each looks every vacationFor: to
// watch all who get mail would have every node hear of every account.
func (vs *vacations) of(ctx context.Context, st store.Store, id mail.AccountID, several bool) (mail.Vacation, error) {
	v := vs.watch(st, id, several)
	was := v.is.Load()
	if was.holds() {
		return was.Vacation, nil
	}
	if was != nil && was.read {
		v.is.CompareAndSwap(was, nil)
	}
	begun, is := &remembered{}, &remembered{read: true}
	if several {
		is.until = time.Now().Add(vacationFor)
	}
	first := v.is.CompareAndSwap(nil, begun)
	err := st.View(ctx, id, func(r store.Reader) (err error) {
		is.Vacation, err = Vacation(r)
		return err
	})
	if err != nil {
		v.is.CompareAndSwap(begun, nil)
		return mail.Vacation{}, err
	}
	if is.Vacation == (mail.Vacation{}) && is.until.IsZero() {
		is = nobodyAway
	}
	if first {
		v.is.CompareAndSwap(begun, is)
	}
	return is.Vacation, nil
}

func (vs *vacations) watch(st store.Store, id mail.AccountID, several bool) *vacation {
	vs.mu.Lock()
	defer vs.mu.Unlock()
	if v := vs.known[id]; v != nil {
		return v
	}
	if len(vs.known) >= maxVacations {
		for _, v := range vs.known {
			if v.stop != nil {
				v.stop()
			}
		}
		vs.known = nil
	}
	if vs.known == nil {
		vs.known = map[mail.AccountID]*vacation{}
	}
	v := &vacation{}
	if !several {
		v.stop = st.Watch(id, func(n mail.News) {
			if n.Types.Has(mail.TypeMetadata) {
				v.is.Store(nil)
			}
		})
	}
	vs.known[id] = v
	return v
}
