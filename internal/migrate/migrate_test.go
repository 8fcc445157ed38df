package migrate_test

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"lockstep/internal/mail"
	"lockstep/internal/migrate"
	"lockstep/internal/store"
	"lockstep/internal/store/sqlstore"
	"lockstep/internal/store/sqlstore/pgtest"
)

var by = mail.NewOrigin("test", 0, mail.Local, mail.ByUser)

func arrival(n int64) mail.Arrival {
	var name mail.BlobName
	copy(name[:], fmt.Sprintf("blob %d", n))
	return mail.Arrival{
		Blob: mail.Blob{Name: name, Size: 100, Place: "p/" + fmt.Sprint(n), Fresh: true}, MessageID: fmt.Sprintf("%d@example.test", n),
		InternalDate: time.Unix(n, 0), BaseSubject: fmt.Sprint("subject ", n), Preview: "preview", Parsed: []byte("parsed"),
	}
}

// busy is a database in use: each writer adds to an account of its own, and notes what
// was acknowledged.
type busy struct {
	t        testing.TB
	db       *sqlstore.DB
	accounts []mail.AccountID
	next     atomic.Int64
	acked    []atomic.Int64
	refused  atomic.Int64
}

func newBusy(t testing.TB, db *sqlstore.DB, accounts, messages int) *busy {
	t.Helper()
	b := &busy{t: t, db: db, acked: make([]atomic.Int64, accounts)}
	for i := range accounts {
		p, err := db.CreateAccount(context.Background(), by, store.NewAccount{Login: fmt.Sprintf("a%d@example.test", i)})
		if err != nil {
			t.Fatal(err)
		}
		b.accounts = append(b.accounts, p.Account)
		if err := b.add(i, messages); err != nil {
			t.Fatal(err)
		}
	}
	return b
}

func inbox(r store.Reader) (mail.MailboxID, error) {
	all, err := r.Mailboxes()
	for _, mb := range all {
		if mb.Name == "INBOX" {
			return mb.ID, err
		}
	}
	return 0, errors.Join(err, errors.New("no INBOX"))
}

// add appends messages to account i in one transaction, and takes an older one away.
func (b *busy) add(i, messages int) error {
	_, err := b.db.Update(context.Background(), b.accounts[i], by, func(tx store.Tx) error {
		box, err := inbox(tx)
		if err != nil {
			return err
		}
		for range messages {
			if _, err := tx.Append(box, arrival(b.next.Add(1))); err != nil {
				return err
			}
		}
		_, err = tx.Expunge(box, mail.MakeUIDSet(mail.UID(b.acked[i].Load()/2+1)), false)
		return err
	})
	if err == nil {
		b.acked[i].Add(int64(messages))
	}
	return err
}

// work writes until it is stopped, or refused.
func (b *busy) work() (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	var all sync.WaitGroup
	for i := range b.accounts {
		all.Go(func() {
			for ctx.Err() == nil {
				if err := b.add(i, 1); err != nil {
					if mail.KindOf(err) != mail.Unavailable {
						b.t.Error(err)
					}
					b.refused.Add(1)
					return
				}
			}
		})
	}
	return func() { cancel(); all.Wait() }
}

// holds compares what a database has with what was acknowledged.
func (b *busy) holds(db *sqlstore.DB) {
	b.t.Helper()
	for i, id := range b.accounts {
		err := db.View(context.Background(), id, func(r store.Reader) error {
			box, err := inbox(r)
			if err != nil {
				return err
			}
			mb, err := r.Mailbox(box)
			if want := b.acked[i].Load(); int64(mb.UIDNext) != want+1 {
				b.t.Errorf("account %d: %d messages were acknowledged, and the next UID is %d", id, want, mb.UIDNext)
			}
			return err
		})
		if err != nil {
			b.t.Error(err)
		}
		if wrong, err := db.Check(context.Background(), id, false); err != nil || len(wrong) > 0 {
			b.t.Errorf("account %d: %v, %v", id, wrong, err)
		}
	}
}

func side(t testing.TB, open func(context.Context, string, sqlstore.Options) (*sqlstore.Side, error), where string) *sqlstore.Side {
	t.Helper()
	s, err := open(context.Background(), where, sqlstore.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

func openPostgres(t testing.TB, url string) *sqlstore.DB {
	t.Helper()
	db, err := sqlstore.OpenPostgres(context.Background(), url, sqlstore.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	return db
}

func jobOf(from, to *sqlstore.Side) *migrate.Job {
	return &migrate.Job{From: from, To: to, FromName: "here", ToName: "there", Freeze: func(ctx context.Context) (migrate.Frozen, error) {
		return from.Freeze(ctx, func() int64 { return time.Now().UnixMicro() })
	}}
}

// Nodes that are in use all the time lose nothing that they acknowledged, whatever the
// migration is cut by, and write nothing after it.
func TestNothingAcknowledgedIsLeftBehind(t *testing.T) {
	url := pgtest.Database(t)
	b := newBusy(t, openPostgres(t, url), 3, 100)
	path := filepath.Join(t.TempDir(), "lockstep.db")
	stop := b.work()
	defer stop()

	// Cut short, wherever it is: the source goes on, and the target is refused.
	for n := range 4 {
		ctx, cancel := context.WithCancel(context.Background())
		from, to := side(t, sqlstore.OpenSource, url), side(t, sqlstore.OpenTarget, path)
		j := jobOf(from, to)
		seen := 0
		j.Tell = func(migrate.Progress) {
			if seen++; seen > n {
				cancel()
			}
		}
		if _, err := j.Run(ctx); err == nil {
			t.Fatal("a migration that was cut says that it is done")
		}
		cancel()
		if db, err := sqlstore.Open(context.Background(), path, sqlstore.Options{}); err == nil {
			db.Close()
			t.Fatal("a database that is half filled can be served")
		} else if !strings.Contains(err.Error(), "migrate again") {
			t.Error(err)
		}
	}
	if n := b.refused.Load(); n > 0 {
		t.Errorf("%d writers were refused before anything had moved", n)
	}
	r, err := jobOf(side(t, sqlstore.OpenSource, url), side(t, sqlstore.OpenTarget, path)).Run(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	if r.Accounts != 3 || r.Proven != 3 {
		t.Errorf("moved %d accounts, proved %d", r.Accounts, r.Proven)
	}
	t.Logf("nobody could write for %v; %d passes", r.Frozen, r.Passes)
	stop()
	if err := b.add(0, 1); mail.KindOf(err) != mail.Unavailable || !strings.Contains(err.Error(), "moved") {
		t.Errorf("a change where the accounts were: %v", err)
	}
	if _, err := sqlstore.OpenPostgres(context.Background(), url, sqlstore.Options{}); err == nil || !strings.Contains(err.Error(), "have moved to there") {
		t.Errorf("served where the accounts were: %v", err)
	}
	db, err := sqlstore.Open(context.Background(), path, sqlstore.Options{})
	if err != nil {
		t.Fatal(err)
	}
	b.holds(db)
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}

	// And back on top of what lies there.
	back := &migrate.Job{From: side(t, sqlstore.OpenSource, path), To: side(t, sqlstore.OpenTarget, url), FromName: "there", ToName: "here"}
	if _, err := back.Run(context.Background()); err != nil {
		t.Fatal(err)
	}
	b.db = openPostgres(t, url)
	if err := b.add(0, 1); err != nil {
		t.Errorf("a change after they came back: %v", err)
	}
	b.holds(b.db)
}

// What can't be done is said before anything is changed.
func TestWhatCannotBeMovedIsRefused(t *testing.T) {
	ctx := context.Background()
	one, other := pgtest.Database(t), pgtest.Database(t)
	newBusy(t, openPostgres(t, one), 1, 1)
	newBusy(t, openPostgres(t, other), 1, 1)
	for _, c := range []struct{ from, to, words string }{
		{one, other, "has accounts already"},
		{one, one, "the same database"},
	} {
		_, err := jobOf(side(t, sqlstore.OpenSource, c.from), side(t, sqlstore.OpenTarget, c.to)).Run(ctx)
		if err == nil || !strings.Contains(err.Error(), c.words) {
			t.Errorf("%v, want %q", err, c.words)
		}
	}
	path := filepath.Join(t.TempDir(), "lockstep.db")
	cut, cancel := context.WithCancel(ctx)
	j := jobOf(side(t, sqlstore.OpenSource, one), side(t, sqlstore.OpenTarget, path))
	j.Tell = func(migrate.Progress) { cancel() }
	if _, err := j.Run(cut); err == nil {
		t.Fatal("it was not cut")
	}
	if _, err := jobOf(side(t, sqlstore.OpenSource, other), side(t, sqlstore.OpenTarget, path)).Run(ctx); err == nil || !strings.Contains(err.Error(), "half filled from here") {
		t.Errorf("another source on top of a half filled target: %v", err)
	}
	if _, err := sqlstore.OpenSource(ctx, filepath.Join(t.TempDir(), "none.db"), sqlstore.Options{}); mail.KindOf(err) != mail.NotFound {
		t.Errorf("a source that is not there: %v", err)
	}
}

// While nobody can write, only what changed since the pass before is read: also when the
// command goes on with what another has brought over.
func TestTheLastPassIsAboutWhatChanged(t *testing.T) {
	const accounts = 12
	url := pgtest.Database(t)
	b := newBusy(t, openPostgres(t, url), accounts, 5)
	path := filepath.Join(t.TempDir(), "lockstep.db")
	refused := errors.New("not now")
	from, to := side(t, sqlstore.OpenSource, url), side(t, sqlstore.OpenTarget, path)
	first := jobOf(from, to)
	first.Freeze = func(context.Context) (migrate.Frozen, error) { return nil, refused }
	if _, err := first.Run(t.Context()); !errors.Is(err, refused) {
		t.Fatal(err)
	}
	second := jobOf(from, to)
	freeze := second.Freeze
	second.Freeze = func(ctx context.Context) (migrate.Frozen, error) {
		if err := b.add(3, 1); err != nil {
			t.Error(err)
		}
		return freeze(ctx)
	}
	online, last := 0, 0
	second.Tell = func(p migrate.Progress) {
		if p.Frozen {
			last = max(last, p.Of)
		} else {
			online = max(online, p.Of)
		}
	}
	r, err := second.Run(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if online != accounts || last != 1 || r.Proven != accounts {
		t.Errorf("%d accounts were compared while the source was in use, and %d while nobody could write; %d proven", online, last, r.Proven)
	}
}
