package past

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"lockstep/internal/mail"
	"lockstep/internal/store"
	"lockstep/internal/store/sqlstore"
	"lockstep/internal/store/sqlstore/sqltest"
	"lockstep/internal/store/storetest"
)

// copyOf is an account of another store as of now, whose bytes are nothing.
func copyOf(t *testing.T, s store.Store, id mail.AccountID, at mail.ModSeq) Copy {
	v, err := Open(t.Context(), s, id, at)
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	return Copy{View: v,
		Open: func(context.Context, mail.Blob) (io.ReadCloser, error) {
			return io.NopCloser(strings.NewReader("")), nil
		},
		Ingest: func(context.Context, io.Reader) (mail.Arrival, error) {
			n++
			blob := mail.Blob{Name: mail.BlobName{8, byte(n >> 8), byte(n)}, Size: 100, Place: "p", Key: []byte{1}, Fresh: true, Until: time.Now().Add(time.Hour)}
			return mail.Arrival{Blob: blob, Parsed: []byte("parsed"), Preview: "preview"}, nil
		}}
}

// heldBy says what mailboxes hold, by path and email id.
func heldBy(t *testing.T, s store.Store, id mail.AccountID) []string {
	v, err := Open(t.Context(), s, id, headOf(t, s, id))
	if err != nil {
		t.Fatal(err)
	}
	var lines []string
	for _, mb := range v.Mailboxes() {
		lines = append(lines, mb.Path)
		err := v.Messages(t.Context(), Query{Mailbox: mb.ID, Whole: true}, func(m *Message) error {
			names := m.Flags.Names()
			slices.Sort(names)
			line := fmt.Sprintf("%s: %s %s %v", mb.Path, m.Message.EmailID, m.Message.InternalDate.Format(time.RFC3339), names)
			for _, a := range m.Annotations {
				line += fmt.Sprintf(" %s of %d is %q", a.Spelled(), a.Who, a.Value)
			}
			lines = append(lines, strings.ToLower(line))
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	slices.Sort(lines)
	return lines
}

func headOf(t *testing.T, s store.Store, id mail.AccountID) mail.ModSeq {
	var a mail.Account
	if err := s.View(t.Context(), id, func(r store.Reader) (err error) { a, err = r.Account(); return err }); err != nil {
		t.Fatal(err)
	}
	return a.Head
}

// TestACopyComesIntoAnEmptyAccount brings random accounts into new ones.
func TestACopyComesIntoAnEmptyAccount(t *testing.T) {
	for seed := uint64(1); seed <= 4; seed++ {
		db := sqltest.Temp(t, sqlstore.Options{RunTwice: true})
		p, err := db.CreateAccount(t.Context(), operator, store.NewAccount{Login: "new@example.test"})
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range []string{"Archive", "Trash", "Junk", "Sent", "Drafts"} { // what was renamed there is not made twice
			_, err := db.Update(t.Context(), p.Account, operator, func(tx store.Tx) error {
				mb, err := tx.MailboxByPath(name)
				if err != nil {
					return err
				}
				return tx.DeleteMailbox(mb.ID)
			})
			if err != nil {
				t.Fatal(err)
			}
		}
		if err := db.Prune(t.Context(), p.Account, time.Now().Add(time.Hour)); err != nil {
			t.Fatal(err)
		}
		var other storetest.Engine
		var account mail.AccountID
		storetest.Replay(t, engines["model"], seed, 150, func(e storetest.Engine, id mail.AccountID) { other, account = e, id })
		from := copyOf(t, other, account, headOf(t, other, account))
		before := headOf(t, db, p.Account)
		preview, err := Bring(t.Context(), db, p.Account, operator, from, Wish{}, false, nil)
		if err != nil || headOf(t, db, p.Account) != before {
			t.Fatalf("seed %d: the preview: %v", seed, err)
		}
		did, err := Bring(t.Context(), db, p.Account, operator, from, Wish{}, true, nil)
		if err != nil || did.Back != preview.Back || did.Back == 0 || len(did.Left) > 0 {
			t.Fatalf("seed %d: %+v, the preview says %+v: %v", seed, did, preview, err)
		}
		got, want := heldBy(t, db, p.Account), heldBy(t, other, account)
		for i := range max(len(got), len(want)) {
			if i >= len(got) || i >= len(want) || got[i] != want[i] {
				t.Fatalf("seed %d: line %d\n got %q\nwant %q", seed, i, got[i:], want[i:])
			}
		}
		again, err := Bring(t.Context(), db, p.Account, operator, from, Wish{}, true, nil)
		if err != nil || again.Act != 0 {
			t.Fatalf("seed %d: again: %+v %v", seed, again, err)
		}
		_, err = db.Update(t.Context(), p.Account, operator, func(tx store.Tx) error { _, err := tx.Undo(did.Act); return err })
		if left := heldBy(t, db, p.Account); err != nil || len(left) != 1 {
			t.Fatalf("seed %d: after the undo there is %q: %v", seed, left, err)
		}
	}
}

// What is there is left alone; what history keeps comes back out of it, and keeps its
// place; the rest arrives.
func TestACopyBringsOnlyWhatIsMissing(t *testing.T) {
	h := newHouse(t, 4)
	at := h.head()
	h.expunge("Work", "1")       // kept
	h.move("Work", "2", "Trash") // elsewhere
	h.update(func(tx store.Tx) error { return tx.DeleteMailbox(h.boxes["Play"]) })
	was := copyOf(t, h.db, h.account, at)
	r, err := Bring(t.Context(), h.db, h.account, operator, was, Wish{}, true, nil)
	if err != nil {
		t.Fatal(err)
	}
	h.want("after", h.holds(), "INBOX:4 Play:4 Trash:1 Work:3")
	h.want("report", fmt.Sprint(counts(r), r.Made, r.Left), "[5 0 0 0 0] [Play] []")
	if id := h.box("Play").ID; id != h.boxes["Play"] {
		t.Errorf("Play is another mailbox")
	}
	_, err = Bring(t.Context(), h.db, h.account, operator, was, Wish{Mailbox: "Nothing"}, true, nil)
	if mail.KindOf(err) != mail.NotFound {
		t.Errorf("no such mailbox: %v", err)
	}
}
