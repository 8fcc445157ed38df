package model

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"lockstep/internal/mail"
	"lockstep/internal/store"
)

var by = mail.NewOrigin("ann@example.test", 0, mail.Local, mail.ByUser)

// TestThousandsOfMessagesAreQuickEnough guards the use of the model as a store
// in other packages' tests.
func TestThousandsOfMessagesAreQuickEnough(t *testing.T) {
	st, ctx := New(), context.Background()
	p, err := st.CreateAccount(ctx, by, store.NewAccount{Login: "ann@example.test"})
	if err != nil {
		t.Fatal(err)
	}
	var inbox mail.Mailbox
	st.View(ctx, p.Account, func(r store.Reader) error { inbox, err = r.MailboxByPath("inbox"); return err })
	for i := range 2000 {
		_, err := st.Update(ctx, p.Account, by, func(tx store.Tx) error {
			_, err := tx.Append(inbox.ID, mail.Arrival{Blob: mail.Blob{Size: 10}, MessageID: fmt.Sprint(i)})
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	n, err := st.Update(ctx, p.Account, by, func(tx store.Tx) error {
		_, err := tx.StoreFlags(inbox.ID, mail.AllUIDs, mail.FlagChange{Add: mail.Flags{System: mail.Seen}}, nil)
		return err
	})
	if n != 2002 || err != nil {
		t.Fatalf("modseq %d, error %v", n, err)
	}
	st.View(ctx, p.Account, func(r store.Reader) error { inbox, err = r.Mailbox(inbox.ID); return err })
	if c := inbox.Counts; c.Placements != 2000 || c.Unseen != 0 || c.Emails != 2000 || c.UnreadThreads != 0 || c.Size != 20000 {
		t.Fatalf("counts %+v", c)
	}
}

// TestVersionsOfATableStayApart: what is set in one is not seen in another.
func TestVersionsOfATableStayApart(t *testing.T) {
	var a table[int]
	a.set(3, 1)
	b := a
	b.set(3, 2)
	b.set(1000, 7)
	if a.get(3) != 1 || a.get(1000) != 0 || b.get(3) != 2 || b.get(1000) != 7 || b.get(-1) != 0 {
		t.Fatalf("a[3]=%d a[1000]=%d b[3]=%d b[1000]=%d", a.get(3), a.get(1000), b.get(3), b.get(1000))
	}
}

func TestTwinsGoTheirOwnWays(t *testing.T) {
	st, ctx := New(), context.Background()
	p, err := st.CreateAccount(ctx, by, store.NewAccount{Login: "ann@example.test"})
	if err != nil {
		t.Fatal(err)
	}
	twins, paths := []*Store{st.Twin(), st.Twin(), st}, []string{"Junk", "Sent", "Trash"}
	for i, s := range twins {
		_, err := s.Update(ctx, p.Account, by, func(tx store.Tx) error { return tx.Unsubscribe(paths[i]) })
		if err != nil {
			t.Fatal(err)
		}
		if err := s.AddAddress(ctx, store.Address{Local: fmt.Sprint(i), Domain: "example.test", Account: p.Account}); err != nil {
			t.Fatal(err)
		}
	}
	for i, s := range twins {
		err := s.View(ctx, p.Account, func(r store.Reader) error {
			subs, err := r.Subscriptions()
			if got := fmt.Sprint(subs); strings.Contains(got, paths[i]) || !strings.Contains(got, paths[(i+1)%3]) {
				t.Errorf("twin %d is subscribed to %s", i, got)
			}
			return err
		})
		if err != nil {
			t.Error(err)
		}
		if all, err := s.Addresses(ctx, p.Account); err != nil || len(all) != 2 {
			t.Errorf("twin %d has addresses %v, %v", i, all, err)
		}
	}
}
