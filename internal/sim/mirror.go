package sim

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"lockstep/internal/mail"
	"lockstep/internal/store"
	"lockstep/internal/store/model"
)

// mirror is the store that the servers use: the engine, with a naive model beside
// it that is done the same to. Nothing that is served comes from the model; at the
// end, what the devices hold has to be what the model says.
type mirror struct {
	store.Store // the engine, or a faulty one
	model       *model.Store
	blame       func(format string, args ...any)
	die         func() // keeps what a kill would leave
	// sever breaks the way to the database at the end of the next transaction; see
	// severer. nil: there is no way that can break.
	sever func(committed bool) (stop func())

	mu     sync.Mutex // transactions come one after another, in the same order on both sides
	dead   bool
	fuse   int  // transactions until the kill; 0 is none
	commit bool // that the last one still commits
	midway bool // the kill comes while the last one commits
	breaks int  // transactions until the way to the database breaks; 0 is none
	keeps  bool // that one commits, and nobody hears of it
	lost   bool // the transaction under way did so
}

// fate is what becomes of a transaction.
type fate struct {
	dies    bool // it is the server's last
	severed bool // whoever asked for it does not hear the answer
	commits bool
}

var errDead = mail.Errorf(mail.Unavailable, "the server was killed")

// Kill lets the server die at the n-th transaction from now: before its commit, or
// right after it, when nobody has been told yet.
func (m *mirror) Kill(n int, afterCommit bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.fuse, m.commit, m.midway = n, afterCommit, false
}

// KillMidway lets it die while the n-th transaction commits, or is about to.
func (m *mirror) KillMidway(n int, committed bool) {
	m.Kill(n, committed)
	m.mu.Lock()
	defer m.mu.Unlock()
	m.midway = true
}

// Sever breaks the way to the database at the end of the n-th transaction from now;
// the server lives on.
func (m *mirror) Sever(n int, committed bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.breaks, m.keeps = n, committed
}

// KillNow is a kill while nothing commits.
func (m *mirror) KillNow() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.end()
}

// Dead reports whether the server was killed.
func (m *mirror) Dead() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.dead
}

func (m *mirror) end() {
	if !m.dead {
		m.dead = true
		m.die()
	}
}

// View asks the engine.
func (m *mirror) View(ctx context.Context, id mail.AccountID, fn func(store.Reader) error) error {
	if m.Dead() {
		return errDead
	}
	return m.Store.View(ctx, id, fn)
}

// Update changes both; what the closure learns last is what the engine says.
func (m *mirror) Update(ctx context.Context, id mail.AccountID, by mail.Origin, fn func(store.Tx) error) (n mail.ModSeq, err error) {
	var want mail.ModSeq
	var model, engine []mail.MessageKey
	whole := context.WithoutCancel(ctx) // what one side did the other does too
	err = m.both(ctx, func() (err error) {
		want, err = m.model.Update(whole, id, by, noting(&model, fn))
		return err
	}, func() (err error) {
		n, err = m.Store.Update(whole, id, by, noting(&engine, fn))
		if err == nil || m.lost && want != 0 {
			err = errors.Join(err, m.name(whole, id, model, engine))
		}
		return err
	})
	if err == nil && n != want {
		m.blame("a change of account %d by %s got ModSeq %d, the model gave it %d", id, by.Protocol(), n, want)
	}
	return n, err
}

// noting takes down which messages fn makes.
func noting(made *[]mail.MessageKey, fn func(store.Tx) error) func(store.Tx) error {
	return func(tx store.Tx) error {
		*made = nil
		return fn(notingTx{tx, made})
	}
}

type notingTx struct {
	store.Tx
	made *[]mail.MessageKey
}

func (t notingTx) Append(mb mail.MailboxID, a mail.Arrival) (mail.Placement, error) {
	p, err := t.Tx.Append(mb, a)
	if err == nil {
		*t.made = append(*t.made, p.Message)
	}
	return p, err
}

// name gives new messages of the model the names that the engine drew: a move between
// accounts looks for them.
func (m *mirror) name(ctx context.Context, id mail.AccountID, model, engine []mail.MessageKey) error {
	return m.Store.View(ctx, id, func(r store.Reader) error {
		for i, key := range engine {
			is, err := r.Message(key)
			if err != nil {
				return err
			}
			if i < len(model) {
				err = m.model.SetEmailID(ctx, id, model[i], is.EmailID)
			}
			if err != nil {
				return err
			}
		}
		return nil
	})
}

// Note likewise.
func (m *mirror) Note(ctx context.Context, id mail.AccountID, fn func(store.Notes) error) error {
	whole := context.WithoutCancel(ctx)
	return m.both(ctx, func() error { return m.model.Note(whole, id, fn) }, func() error { return m.Store.Note(whole, id, fn) })
}

func (m *mirror) both(ctx context.Context, model, engine func() error) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return err
	}
	f := m.fate()
	if m.dead || f.dies && !f.commits && !f.severed {
		m.end()
		return errDead
	}
	got := m.same(f, model, engine)
	if f.dies {
		m.end()
		return errDead
	}
	return got
}

// same does to both sides what is not taken back, and returns what the engine says.
func (m *mirror) same(f fate, model, engine func() error) (got error) {
	if !f.severed {
		want, got := model(), engine()
		if mail.KindOf(want) != mail.KindOf(got) || (want == nil) != (got == nil) {
			m.blame("the engine says %v, the model %v", got, want)
		}
		return got
	}
	var want error
	if f.commits {
		want = model()
	}
	defer m.sever(f.commits)()
	m.lost = f.commits
	got = engine()
	m.lost = false
	if got == nil {
		m.blame("the way to the database broke before anybody heard of a commit, and it was acknowledged")
	} else if kind := mail.KindOf(got); want != nil && kind != mail.KindOf(want) && kind != mail.Unavailable {
		m.blame("the engine says %v, the model %v", got, want)
	}
	return got
}

// fate tells what becomes of the next transaction.
func (m *mirror) fate() (f fate) {
	f.commits = true
	if burns(&m.breaks) {
		f.severed, f.commits = true, m.keeps
	}
	if burns(&m.fuse) {
		f.dies, f.severed, f.commits = true, m.midway, m.commit
	}
	return f
}

// burns reports whether it is now that something happens.
func burns(fuse *int) bool {
	if *fuse == 0 {
		return false
	}
	*fuse--
	return *fuse == 0
}

// Prune forgets history on both sides.
func (m *mirror) Prune(ctx context.Context, keeper store.Keeper, id mail.AccountID, olderThan time.Time) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.dead {
		return errDead
	}
	if err := m.model.Prune(ctx, id, olderThan); err != nil {
		return fmt.Errorf("model: %w", err)
	}
	return keeper.Prune(ctx, id, olderThan)
}
