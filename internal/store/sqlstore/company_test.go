package sqlstore

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"

	"lockstep/internal/mail"
	"lockstep/internal/store"
)

// company are accounts that change whenever another one does, in the same transaction
// as far as they may: they take in the same mail, and some fail when they have, or ask
// for so much that nobody would wait.
type company struct {
	homes []home
	turn  int
	kept  []int // messages, of each
	done  sync.WaitGroup
	mu    sync.Mutex
	bad   error
}

// Accompany gives the accounts of a database company, which is looked at when the test
// ends.
func Accompany(t testing.TB, db *DB) {
	const others = 3
	co := &company{kept: make([]int, others)}
	for i := range others {
		p, err := db.CreateAccount(context.Background(), by, store.NewAccount{Login: fmt.Sprintf("company%d@elsewhere.example", i)})
		if err != nil {
			t.Fatal(err)
		}
		h := home{DB: db, t: t, id: p.Account}
		h.view(func(r store.Reader) error {
			mb, err := r.MailboxByPath("INBOX")
			h.inbox = mb.ID
			return err
		})
		co.homes = append(co.homes, h)
	}
	l := db.pg.lanes
	l.mu.Lock()
	defer l.mu.Unlock()
	l.company = func(in lane) []*queue { return co.join(l, in) }
	t.Cleanup(func() { co.look(t) })
}

// join makes jobs for those of the company that nobody writes to now.
func (co *company) join(l *lanes, in lane) (all []*queue) {
	if in <= 0 || in == laneOf(co.homes[0].id) || in == laneOf(co.homes[1].id) || in == laneOf(co.homes[2].id) {
		return nil
	}
	co.turn++
	for i, h := range co.homes {
		q := l.use(laneOf(h.id))
		j := co.job(i, h, co.turn)
		q.jobs <- j
		if !q.taken {
			q.taken = true
			all = append(all, q)
		}
		co.done.Go(func() {
			<-j.done
			co.hear(i, j)
			l.leave(q)
		})
	}
	return all
}

var errOnPurpose = errors.New("on purpose")

// job takes in the message of a turn. Who does not go on with it depends on the turn.
func (co *company) job(i int, h home, turn int) *job {
	return &job{ctx: context.Background(), done: make(chan struct{}), run: func(c conn) error {
		t, err := h.newTx(c, h.id, by)
		if err != nil {
			return err
		}
		if _, err := t.Append(h.inbox, arrival(1_000_000+turn)); err != nil {
			return err
		}
		switch {
		case turn%11 == 3 && i == 0:
			return errOnPurpose
		case turn%11 == 5 && i == 1:
			panic(errOnPurpose)
		case turn%11 == 7 && i == 2:
			for range maxTripsTogether + 1 {
				if _, err := one(c, selectMailbox, func(row) {}, h.id, h.inbox); err != nil {
					return err
				}
			}
		case turn%11 == 9 && i == 0:
			if err := c.later("INSERT INTO lane (lane) VALUES (?1)", int64(directoryLane)); err != nil { // it is there
				return err
			}
		}
		_, err = t.finish()
		return err
	}}
}

func (co *company) hear(i int, j *job) {
	co.mu.Lock()
	defer co.mu.Unlock()
	switch {
	case j.panick != nil && j.panick.value == errOnPurpose, j.err == errOnPurpose:
	case j.panick != nil:
		co.bad = fmt.Errorf("%v\n%s", j.panick.value, j.panick.stack)
	case j.err == nil:
		co.kept[i]++
	case mail.KindOf(j.err) == mail.Internal: // the row that is there
	default:
		co.bad = j.err
	}
}

// look finds what was taken in, all of it and no more.
func (co *company) look(t testing.TB) {
	co.done.Wait()
	if co.bad != nil {
		t.Errorf("in company: %v", co.bad)
	}
	for i, h := range co.homes {
		err := h.View(context.Background(), h.id, func(r store.Reader) error {
			mb, err := r.Mailbox(h.inbox)
			if err == nil && int(mb.Counts.Placements) != co.kept[i] {
				t.Errorf("company %d has %d messages, want %d", i, mb.Counts.Placements, co.kept[i])
			}
			return err
		})
		wrong, checked := h.Check(context.Background(), h.id, false)
		if err != nil || checked != nil || len(wrong) > 0 {
			t.Errorf("company %d: %v, %v, %v", i, err, checked, wrong)
		}
	}
}
