package sqlstore_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"lockstep/internal/mail"
	"lockstep/internal/steady"
	"lockstep/internal/store"
	"lockstep/internal/store/sqlstore"
	"lockstep/internal/store/sqlstore/sqltest"
)

// pair are two nodes that have one database, and a connection that looks on.
type pair struct {
	t    *testing.T
	url  string
	a, b *sqlstore.DB
	eye  *pgconn.PgConn
	ann  store.Principal
	bob  store.Principal
}

func twoNodes(t *testing.T) *pair {
	t.Helper()
	n := &pair{t: t, url: sqltest.PostgresURL(t)}
	n.eye = n.connect()
	n.a, n.b = sqltest.Open(t, n.url, sqlstore.Options{}), sqltest.Open(t, n.url, sqlstore.Options{})
	n.ann, n.bob = n.account("ann@example.test"), n.account("bob@example.test")
	return n
}

func (n *pair) connect() *pgconn.PgConn {
	n.t.Helper()
	c, err := pgconn.Connect(context.Background(), n.url)
	if err != nil {
		n.t.Fatal(err)
	}
	n.t.Cleanup(func() { c.Close(context.Background()) })
	return c
}

var byAdmin = mail.NewOrigin("test", 0, mail.Local, mail.ByAdmin)

func (n *pair) account(login string) store.Principal {
	n.t.Helper()
	p, err := n.a.CreateAccount(context.Background(), byAdmin, store.NewAccount{Login: login})
	if err != nil {
		n.t.Fatal(err)
	}
	return p
}

// sql runs statements beside the nodes.
func (n *pair) sql(c *pgconn.PgConn, sql string) {
	n.t.Helper()
	if err := c.Exec(context.Background(), sql).Close(); err != nil {
		n.t.Fatalf("%v in %s", err, sql)
	}
}

func (n *pair) number(sql string) string {
	n.t.Helper()
	r := n.eye.ExecParams(context.Background(), sql, nil, nil, nil, nil).Read()
	if r.Err != nil || len(r.Rows) != 1 {
		n.t.Errorf("%v, %d rows in %s", r.Err, len(r.Rows), sql)
		return ""
	}
	return string(r.Rows[0][0])
}

// awaitBlocked returns when so many transactions wait for others'.
func (n *pair) awaitBlocked(many int) {
	n.t.Helper()
	for end := time.Now().Add(steady.Patience); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		if n.number("SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'") == fmt.Sprint(many) {
			return
		}
	}
	n.t.Errorf("not %d transactions wait for others'", many)
}

// letter is a message whose bytes were just stored, or are said to have been before.
func letter(i int, fresh bool) mail.Arrival {
	b := mail.Blob{Name: mail.BlobName{7, byte(i)}, Size: 100, Place: fmt.Sprintf("pack/%d", i)}
	if fresh {
		b.Fresh, b.Key, b.Until = true, []byte{1}, time.Now().Add(time.Hour)
	}
	return mail.Arrival{Blob: b, EmailID: mail.NewEmailID(), InternalDate: time.Now(), MessageID: fmt.Sprintf("%d@example.test", i)}
}

// deliver appends letters in one transaction. between is called after the first of
// them, only once.
func deliver(db *sqlstore.DB, id mail.AccountID, between func(), letters ...mail.Arrival) error {
	var once sync.Once
	_, err := db.Update(context.Background(), id, byAdmin, func(tx store.Tx) error {
		inbox, err := tx.MailboxByPath("INBOX")
		for i, l := range letters {
			if err == nil {
				_, err = tx.Append(inbox.ID, l)
			}
			if i == 0 && between != nil {
				once.Do(between)
			}
		}
		return err
	})
	return err
}

func (n *pair) must(err error) {
	n.t.Helper()
	if err != nil {
		n.t.Fatal(err)
	}
}

// store makes the row of a blob, touched long ago and named by nobody.
func (n *pair) store(i int, condemned string) {
	n.sql(n.eye, fmt.Sprintf(`INSERT INTO blob (name, size, place, key, touched, condemned) VALUES ('\x07%02x%060x', 100, 'pack/%d', '\x01', 1, %s)`, i, 0, i, condemned))
}

// While one node is about to name a blob, another collects, erases or forgets it.
func TestABlobThatIsBeingNamedStays(t *testing.T) {
	hours := time.Now().Add(-time.Hour)
	for _, c := range []struct {
		name, condemned string
		fresh           bool
		removes         func(*pair, mail.BlobName) (int, error)
	}{
		{"condemned", "0", false, func(n *pair, name mail.BlobName) (int, error) {
			return n.b.Blobs().Condemn(context.Background(), []mail.BlobName{name}, hours)
		}},
		{"erased", "0", false, func(n *pair, name mail.BlobName) (int, error) {
			gone, err := n.b.Blobs().Erase(context.Background(), []mail.BlobName{name}, nil)
			return len(gone), err
		}},
		{"erased where it was touched just now", "0", false, func(n *pair, name mail.BlobName) (int, error) {
			gone, err := n.b.Blobs().Erase(context.Background(), []mail.BlobName{name}, nil)
			return len(gone), err
		}},
		{"forgotten", "1", true, func(n *pair, name mail.BlobName) (int, error) {
			return n.b.Blobs().Forget(context.Background(), hours, 10)
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			n := twoNodes(t)
			l := letter(1, c.fresh)
			n.store(1, c.condemned)
			if c.name == "erased where it was touched just now" {
				n.sql(n.eye, fmt.Sprintf("UPDATE blob SET touched = %d", time.Now().UnixMicro()))
			}
			var removed int
			done := make(chan error, 1)
			n.must(deliver(n.a, n.ann.Account, func() {
				go func() {
					var err error
					removed, err = c.removes(n, l.Blob.Name)
					done <- err
				}()
				n.awaitBlocked(1)
			}, l))
			n.must(<-done)
			if _, found, err := n.b.Blobs().Blob(context.Background(), l.Blob.Name); err != nil || !found || removed != 0 {
				t.Errorf("%d removed, found %v, %v", removed, found, err)
			}
		})
	}
}

// What another node is about to take away can't be named any more, but by who wrote
// it again.
func TestABlobThatIsBeingTakenAwayIsNotNamed(t *testing.T) {
	name := `'\x0701` + fmt.Sprintf("%060x", 0) + `'`
	for what, sql := range map[string]string{
		"condemned": "UPDATE blob SET condemned = 5 WHERE name = " + name,
		"erased":    "DELETE FROM blob WHERE name = " + name,
	} {
		for _, fresh := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, fresh %v", what, fresh), func(t *testing.T) {
				n := twoNodes(t)
				n.store(1, "0")
				other := n.connect()
				n.sql(other, "BEGIN; "+sql)
				done := make(chan error, 1)
				go func() { done <- deliver(n.a, n.ann.Account, nil, letter(1, fresh)) }()
				n.awaitBlocked(1)
				n.sql(other, "COMMIT")
				err := <-done
				if fresh && err != nil || !fresh && (err == nil || mail.KindOf(err) != mail.Expired) {
					t.Error(err)
				}
				if _, found, err := n.b.Blobs().Blob(context.Background(), letter(1, false).Blob.Name); err != nil || found != fresh {
					t.Errorf("found %v, %v", found, err)
				}
			})
		}
	}
}

// One message for many comes to all of them at once.
func TestWhoNamesTheSameBlobDoesNotWait(t *testing.T) {
	n := twoNodes(t)
	n.must(deliver(n.a, n.ann.Account, nil, letter(1, true)))
	n.must(deliver(n.a, n.ann.Account, func() {
		for _, fresh := range []bool{true, false} {
			if err := deliver(n.b, n.bob.Account, nil, letter(1, fresh)); err != nil {
				t.Error(err)
			}
		}
	}, letter(1, true)))
}

// Two transactions that wait for each other are told so by the server; both happen.
func TestWhatLocksInOppositeOrderHappens(t *testing.T) {
	n := twoNodes(t)
	n.store(1, "0")
	n.store(2, "0")
	var met sync.WaitGroup
	met.Add(2)
	meet := func() { met.Done(); met.Wait() }
	var both sync.WaitGroup
	var errs [2]error
	both.Go(func() { errs[0] = deliver(n.a, n.ann.Account, meet, letter(1, false), letter(2, false)) })
	both.Go(func() { errs[1] = deliver(n.b, n.bob.Account, meet, letter(2, false), letter(1, false)) })
	both.Wait()
	n.must(errors.Join(errs[:]...))
	if got := n.number("SELECT count(*) FROM placement"); got != "4" {
		t.Errorf("%s messages", got)
	}
	if n.number("SELECT deadlocks > 0 FROM pg_stat_database WHERE datname = current_database()") != "t" {
		t.Log("the server does not count the deadlock yet")
	}
}

// Nobody is signed in to an account that was removed meanwhile.
func TestASignInGoesWithItsAccount(t *testing.T) {
	n := twoNodes(t)
	holds := n.connect()
	n.sql(holds, "BEGIN; SELECT 1 FROM counter WHERE name = 'sign_in' FOR UPDATE")
	signed, removed := make(chan error, 1), make(chan error, 1)
	go func() {
		_, _, err := n.a.AddSignIn(context.Background(), store.SignIn{Key: []byte("key"), Principal: n.ann.ID, Kind: "web", Created: time.Now(), Ends: time.Now().Add(time.Hour)}, 5)
		signed <- err
	}()
	n.awaitBlocked(1)
	go func() { removed <- n.b.RemoveAccount(context.Background(), n.ann.Account) }()
	n.awaitBlocked(2)
	n.sql(holds, "COMMIT")
	n.must(<-signed)
	n.must(<-removed)
	if got := n.number("SELECT count(*) FROM sign_in"); got != "0" {
		t.Errorf("%s sign-ins of nobody", got)
	}
}

// An account that another node writes to is begun anew after what that wrote.
func TestARestoreWaitsForWhatIsUnderWay(t *testing.T) {
	n := twoNodes(t)
	done := make(chan error, 1)
	n.must(deliver(n.a, n.ann.Account, func() {
		go func() { done <- n.b.Restored(context.Background()) }()
		n.awaitBlocked(1)
	}, letter(1, true)))
	n.must(<-done)
	for _, db := range []*sqlstore.DB{n.a, n.b} {
		n.must(deliver(db, n.ann.Account, nil, letter(1, true)))
		soundness(t, db)
	}
	id := fmt.Sprint(n.ann.Account)
	if n.number("SELECT count(*) FROM journal WHERE account_id = "+id+" AND modseq > (SELECT head FROM account WHERE account_id = "+id+")") != "0" {
		t.Error("there are records past the head")
	}
	if n.number("SELECT a.next_id > max(p.placement_id) FROM account a JOIN placement p USING (account_id) WHERE account_id = "+id+" GROUP BY a.next_id") != "t" {
		t.Error("an id was drawn that is there")
	}
}

// Of an account that goes while another node writes to it, nothing stays.
func TestARemovedAccountLeavesNothing(t *testing.T) {
	n := twoNodes(t)
	done := make(chan error, 1)
	n.must(deliver(n.a, n.ann.Account, func() {
		go func() { done <- n.b.RemoveAccount(context.Background(), n.ann.Account) }()
		n.awaitBlocked(1)
	}, letter(1, true)))
	n.must(<-done)
	if err := deliver(n.a, n.ann.Account, nil, letter(2, true)); mail.KindOf(err) != mail.NotFound {
		t.Error(err)
	}
	for _, table := range []string{"placement", "message", "content", "mailbox", "journal", "thread"} {
		if got := n.number(fmt.Sprintf("SELECT count(*) FROM %s WHERE account_id = %d", table, n.ann.Account)); got != "0" {
			t.Errorf("%s rows of %s", got, table)
		}
	}
}

// A login, an address or a delivery that two nodes make at once is made once.
func TestWhatIsMadeTwiceAtOnceIsMadeOnce(t *testing.T) {
	n := twoNodes(t)
	each := func(do func(db *sqlstore.DB) error) (made int) {
		var errs [8]error
		var all sync.WaitGroup
		for i := range errs {
			all.Go(func() { errs[i] = do([]*sqlstore.DB{n.a, n.b}[i%2]) })
		}
		all.Wait()
		for _, err := range errs {
			switch {
			case err == nil:
				made++
			case mail.KindOf(err) != mail.Exists:
				t.Error(err)
			}
		}
		return made
	}
	ctx := context.Background()
	if made := each(func(db *sqlstore.DB) error {
		_, err := db.CreateAccount(ctx, byAdmin, store.NewAccount{Login: "eve@other.test"})
		return err
	}); made != 1 {
		t.Errorf("%d accounts of one login", made)
	}
	if made := each(func(db *sqlstore.DB) error {
		return db.AddAddress(ctx, store.Address{Local: "sales", Domain: "new.test", Account: n.ann.Account})
	}); made != 1 {
		t.Errorf("%d times one address", made)
	}
	each(func(db *sqlstore.DB) error {
		return db.Enqueue(ctx, []store.Outgoing{{Delivery: "d1", Account: n.ann.Account, Blob: letter(9, true).Blob, Recipient: "x@y.test", Arrived: time.Now(), Next: time.Now()}})
	})
	if got := n.number("SELECT count(*) FROM queue"); got != "1" {
		t.Errorf("%s times one delivery", got)
	}
}
