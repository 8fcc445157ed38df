package releases

import (
	"crypto/sha256"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"lockstep/internal/mail"
	"lockstep/internal/store"
	"lockstep/internal/store/sqlstore"
)

// kept are the releases, and the older schemas, of which a directory is kept.
func kept(t *testing.T) []string {
	t.Helper()
	files, err := filepath.Glob("testdata/*" + archive)
	if err != nil || len(files) == 0 {
		t.Fatal("nothing is kept of any release: ", err)
	}
	for i := range files {
		files[i] = strings.TrimSuffix(filepath.Base(files[i]), archive)
	}
	return files
}

// brought unpacks what is kept of a release.
func brought(t *testing.T, name string) (dir, said string) {
	t.Helper()
	dir = filepath.Join(t.TempDir(), "data")
	if err := unpack(filepath.Join("testdata", name+archive), dir); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join("testdata", name+".txt"))
	if err != nil {
		t.Fatal(err)
	}
	return dir, string(text)
}

// sameText fails with the first line that differs.
func sameText(t *testing.T, what, got, want string) {
	t.Helper()
	g, w := strings.Split(got, "\n"), strings.Split(want, "\n")
	for i := range max(len(g), len(w)) {
		if i >= len(g) || i >= len(w) || g[i] != w[i] {
			t.Fatalf("%s, line %d:\n got %s\nwant %s", what, i+1, g[min(i, len(g)-1)], w[min(i, len(w)-1)])
		}
	}
}

func (h *house) record(t *testing.T) string {
	t.Helper()
	said, err := record(t.Context(), h.db, h.blobs)
	if err != nil {
		t.Fatal(err)
	}
	return said
}

func (h *house) sound(t *testing.T) {
	t.Helper()
	all, err := h.db.Accounts(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range all {
		if wrong, err := h.db.Check(t.Context(), p.Account, false); err != nil || len(wrong) > 0 {
			t.Errorf("%s: %v, %v", p.Login, wrong, err)
		}
	}
}

// Each database of before opens, agrees with what was said of it, and goes on.
func TestEachReleaseIsUpgraded(t *testing.T) {
	for _, name := range kept(t) {
		t.Run(name, func(t *testing.T) {
			dir, said := brought(t, name)
			h := openHouse(t, dir, nil)
			sameText(t, "after the upgrade", h.record(t), said)
			h.sound(t)
			h.goOn(t)
			h.sound(t)
			h.close(t)
			h = openHouse(t, dir, nil)
			h.sound(t)
			h.close(t)
		})
	}
}

// goOn delivers, flags, moves, and undoes what the release before did.
func (h *house) goOn(t *testing.T) {
	t.Helper()
	p, err := h.db.PrincipalByLogin(t.Context(), "alice@example.test")
	if err != nil {
		t.Fatal(err)
	}
	update := func(fn func(store.Tx) error) mail.ModSeq {
		t.Helper()
		n, err := h.db.Update(t.Context(), p.Account, mail.NewOrigin("alice@example.test", 0, mail.IMAP, mail.ByUser), fn)
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	var before, after mail.Mailbox
	var head mail.ModSeq
	look := func(mb *mail.Mailbox) {
		t.Helper()
		err := h.db.View(t.Context(), p.Account, func(r store.Reader) (err error) {
			a, err := r.Account()
			if err == nil {
				head = a.Head
				*mb, err = r.MailboxByPath("INBOX")
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	look(&before)
	was := head
	if h.delivery != nil {
		if err := h.deliver(t.Context(), "info@example.test", letter(500)); err != nil {
			t.Fatal(err)
		}
		look(&after)
		if head <= was || after.UIDNext != before.UIDNext+1 || after.UIDValidity != before.UIDValidity {
			t.Errorf("a delivery took %d to %d, and UIDNEXT %d to %d", was, head, before.UIDNext, after.UIDNext)
		}
	}
	flagged, err := mail.NewFlags(`\Flagged`, "$New")
	if err != nil {
		t.Fatal(err)
	}
	update(func(tx store.Tx) error {
		_, err := tx.StoreFlags(before.ID, mail.AllUIDs, mail.FlagChange{Add: flagged}, nil)
		return err
	})
	h.undoExpunge(t, p, update)
}

// undoExpunge takes back what was expunged last before the upgrade.
func (h *house) undoExpunge(t *testing.T, p store.Principal, update func(func(store.Tx) error) mail.ModSeq) {
	t.Helper()
	var records []mail.Record
	err := h.db.View(t.Context(), p.Account, func(r store.Reader) (err error) { records, err = r.Journal(store.JournalQuery{}); return err })
	if err != nil {
		t.Fatal(err)
	}
	for _, rec := range records {
		if rec.Undoes == 0 && len(rec.Entries) == 1 && rec.Entries[0].Op == mail.OpExpunge {
			var done mail.UndoReport
			update(func(tx store.Tx) (err error) { done, err = tx.Undo(rec.Act); return err })
			if done.Undone == 0 {
				t.Errorf("act %d was not undone: %v", rec.Act, done.Left)
			}
			return
		}
	}
	t.Error("nothing was expunged")
}

// After an upgrade, and work with the new version, the way back leads to exactly
// what was there; and the way forward is open again.
func TestEachReleaseCanGoBack(t *testing.T) {
	for _, name := range kept(t) {
		t.Run(name, func(t *testing.T) {
			dir, said := brought(t, name)
			path := filepath.Join(dir, databaseFile)
			before := sumOf(t, path)
			h := openHouse(t, dir, nil)
			h.goOn(t)
			later := h.record(t)
			h.close(t)
			to, err := sqlstore.BackTo(path)
			if err != nil {
				t.Fatal(err)
			}
			if to.Path == "" {
				if s, err := sqlstore.ReadSchema(path); err != nil || s.Version() != schemaOf(t, name) {
					t.Errorf("nothing is kept: %v", err)
				}
				return // it has this program's schema: there was no upgrade
			}
			if n, err := sqlstore.ChangesSince(path, to.Path); n < 2 || err != nil {
				t.Errorf("%d changes since, %v", n, err)
			}
			left, err := sqlstore.PutBack(path, to, func(sqlstore.Upgrade) {})
			if err != nil {
				t.Fatal(err)
			}
			if sumOf(t, path) != before {
				t.Error("it is another database than before the upgrade")
			}
			h = openHouse(t, dir, nil)
			sameText(t, "upgraded again", h.record(t), said)
			h.close(t)
			if _, err := sqlstore.PutBack(path, left, func(sqlstore.Upgrade) {}); err != nil {
				t.Fatal(err)
			}
			h = openHouse(t, dir, nil)
			sameText(t, "forward again", h.record(t), later)
			h.close(t)
		})
	}
}

func sumOf(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("%x", sha256.Sum256(b))
}

// schemaOf is the schema that what is kept has.
func schemaOf(t *testing.T, name string) int {
	t.Helper()
	dir, _ := brought(t, name)
	s, err := sqlstore.ReadSchema(filepath.Join(dir, databaseFile))
	if err != nil {
		t.Fatal(err)
	}
	return s.Version()
}

// The record tells two directories apart, or it would prove nothing.
func TestRecordsSeeWhatChanged(t *testing.T) {
	dir := t.TempDir()
	ticks := 0
	h := openHouse(t, dir, func() time.Time { ticks++; return time.Unix(1767600000+int64(ticks), 0) })
	m := maker{t: t, h: h, ctx: t.Context()}
	m.make()
	before := h.record(t)
	inbox := m.mailbox("INBOX")
	m.update(func(tx store.Tx) error { return tx.SetMetadata(inbox.ID, 0, "/shared/comment", []byte("red")) })
	if after := h.record(t); after == before || !strings.Contains(after, `"red"`) {
		t.Error("a change is not seen")
	}
	for _, word := range []string{"account", "address", "credential", "mailbox", "gone", "record", "device", "cursor", "subscribed", "object", "metadata", "annotation", "shared", "queued"} {
		if !strings.Contains(before, word) {
			t.Errorf("the directory has no %s", word)
		}
	}
	h.close(t)
}
