package sqlstore

import (
	"context"
	"fmt"
	"testing"
	"time"

	"lockstep/internal/mail"
	"lockstep/internal/store"
)

var by = mail.NewOrigin("alice@example.test", 0, mail.IMAP, mail.ByUser)

func open(t testing.TB, o Options) *DB {
	t.Helper()
	return OpenTempWith(t, o)
}

// home is an account in an open database, and its inbox.
type home struct {
	*DB
	t     testing.TB
	id    mail.AccountID
	inbox mail.MailboxID
}

func newHome(t testing.TB, o Options) home {
	t.Helper()
	db := open(t, o)
	p, err := db.CreateAccount(context.Background(), by.WithCause(mail.BySetup), store.NewAccount{Login: "alice@example.test"})
	if err != nil {
		t.Fatal(err)
	}
	h := home{DB: db, t: t, id: p.Account}
	h.view(func(r store.Reader) error {
		mb, err := r.MailboxByPath("inbox")
		h.inbox = mb.ID
		return err
	})
	return h
}

func (h home) view(fn func(store.Reader) error) {
	h.t.Helper()
	if err := h.View(context.Background(), h.id, fn); err != nil {
		h.t.Fatal(err)
	}
}

func (h home) update(fn func(store.Tx) error) mail.ModSeq {
	h.t.Helper()
	n, err := h.Update(context.Background(), h.id, by, fn)
	if err != nil {
		h.t.Fatal(err)
	}
	return n
}

// arrival is the n-th message, alone in its thread.
func arrival(n int) mail.Arrival {
	var name mail.BlobName
	copy(name[:], fmt.Sprintf("blob %d", n))
	return mail.Arrival{
		Blob: mail.Blob{Name: name, Size: 100, Place: "p/" + fmt.Sprint(n), Fresh: true}, MessageID: fmt.Sprintf("%d@example.test", n),
		InternalDate: time.Unix(int64(n), 0), BaseSubject: fmt.Sprint("subject ", n), Preview: "preview", Parsed: []byte("parsed"),
	}
}

// fill appends n messages, many in a transaction.
func (h home) fill(n int) {
	h.t.Helper()
	for i := 0; i < n; i += 10_000 {
		h.update(func(tx store.Tx) error {
			for j := i; j < min(n, i+10_000); j++ {
				if _, err := tx.Append(h.inbox, arrival(j)); err != nil {
					return err
				}
			}
			return nil
		})
	}
}

func TestAppendStoreExpungeAndTheirDeltas(t *testing.T) {
	h := newHome(t, Options{RunTwice: true})
	h.fill(3)
	seen, _ := mail.NewFlags(`\Seen`)
	h.update(func(tx store.Tx) error {
		r, err := tx.StoreFlags(h.inbox, mail.MakeUIDSet(1, 2, 9), mail.FlagChange{Add: seen}, nil)
		if r.Changed.String() != "1:2" {
			t.Errorf("changed %s", r.Changed)
		}
		return err
	})
	n := h.update(func(tx store.Tx) error {
		gone, err := tx.Expunge(h.inbox, mail.MakeUIDSet(2), false)
		if gone.String() != "2" {
			t.Errorf("expunged %s", gone)
		}
		return err
	})
	h.view(func(r store.Reader) error {
		a, err := r.Account()
		if err != nil {
			return err
		}
		if a.Head != n || a.Used != 200 {
			t.Errorf("head %d used %d", a.Head, a.Used)
		}
		mb, err := r.Mailbox(h.inbox)
		want := mail.Counts{Placements: 2, Unseen: 1, Size: 200, Emails: 2, UnreadEmails: 1, Threads: 2, UnreadThreads: 1}
		if mb.Counts != want {
			t.Errorf("counts %+v, want %+v", mb.Counts, want)
		}
		if err != nil {
			return err
		}
		for _, typ := range []mail.Type{mail.TypePlacement, mail.TypeEmail, mail.TypeThread, mail.TypeMailbox} {
			page, err := r.Changes(store.ChangeQuery{Type: typ, Mailbox: h.inbox, From: a.Epoch.At(2), Limit: 10})
			if err != nil {
				return err
			}
			t.Log(typ, page)
		}
		return nil
	})
	h.update(func(tx store.Tx) error {
		rep, err := tx.Undo(mail.ActID(n))
		t.Log(rep)
		return err
	})
	h.view(func(r store.Reader) error {
		recs, err := r.Journal(store.JournalQuery{})
		for _, rec := range recs {
			t.Logf("%+v", rec)
		}
		return err
	})
}

// What was found of an address is forgotten as soon as it may be another's.
func TestAddressesAreNotRememberedTooLong(t *testing.T) {
	h := newHome(t, Options{})
	ctx := t.Context()
	who := func(local string) (mail.AccountID, bool) {
		t.Helper()
		a, err := h.Lookup(ctx, local, "example.test")
		if err != nil && mail.KindOf(err) != mail.NotFound {
			t.Fatal(err)
		}
		ours, err := h.IsLocal(ctx, "other.test")
		if err != nil {
			t.Fatal(err)
		}
		return a.Account, ours
	}
	want := func(local string, id mail.AccountID, ours bool) {
		t.Helper()
		for range 2 {
			if got, local2 := who(local); got != id || local2 != ours {
				t.Errorf("%s: account %d, other.test ours: %v; want %d, %v", local, got, local2, id, ours)
			}
		}
	}
	do := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	want("bob", 0, false)
	do(h.AddAddress(ctx, store.Address{Domain: "example.test", Account: h.id, Alias: true}))
	do(h.AddAddress(ctx, store.Address{Local: "alice", Domain: "other.test", Account: h.id, Alias: true}))
	want("bob", h.id, true)
	bob, err := h.CreateAccount(ctx, by, store.NewAccount{Login: "bob@example.test"})
	do(err)
	want("bob", bob.Account, true)
	do(h.RemoveAccount(ctx, bob.Account))
	want("bob", h.id, true)
	do(h.RemoveAddress(ctx, "", "example.test"))
	do(h.RemoveAddress(ctx, "alice", "other.test"))
	want("bob", 0, false)
}
