package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"lockstep/internal/admin"
	"lockstep/internal/backup"
	"lockstep/internal/config"
	"lockstep/internal/mail"
	"lockstep/internal/store"
	"lockstep/internal/store/sqlstore"
)

// fillHouse adds an account with so many messages of some 4 KiB.
func fillHouse(tb testing.TB, h *house, messages int) mail.AccountID {
	tb.Helper()
	ctx := context.Background()
	p, err := h.db.CreateAccount(ctx, mail.NewOrigin("operator", 0, mail.Local, mail.ByAdmin), store.NewAccount{Login: "alice@example.test"})
	if err != nil {
		tb.Fatal(err)
	}
	rng := rand.New(rand.NewPCG(1, 1))
	source := func(put func(admin.Item) error) error {
		for i := range messages {
			if err := put(admin.Item{Mailbox: "INBOX", Body: strings.NewReader(letter(rng, i))}); err != nil {
				return err
			}
		}
		return nil
	}
	done, err := h.ops.Import(ctx, "alice@example.test", mail.NewOrigin("operator", 0, mail.Local, mail.ByAdmin), source, func(admin.Imported) error { return nil })
	if err != nil || done.New != messages {
		tb.Fatalf("%+v, %v", done, err)
	}
	return p.Account
}

// letter is a message whose text compresses to about a third.
func letter(rng *rand.Rand, i int) string {
	var b strings.Builder
	fmt.Fprintf(&b, "From: Sender %d <sender%d@example.test>\r\nTo: alice@example.test\r\nSubject: message %d\r\nMessage-ID: <%d@example.test>\r\n\r\n", i%97, i%97, i, i)
	for b.Len() < 4000 {
		fmt.Fprintf(&b, "%x some words that come again %x\r\n", rng.Uint32(), rng.Uint64())
	}
	return b.String()
}

// flagSome changes so many messages, one at a time.
func flagSome(tb testing.TB, h *house, account mail.AccountID, n int) {
	tb.Helper()
	ctx := context.Background()
	var inbox mail.Mailbox
	err := h.db.View(ctx, account, func(r store.Reader) (err error) {
		inbox, err = r.MailboxByPath("INBOX")
		return err
	})
	if err != nil {
		tb.Fatal(err)
	}
	flagged, err := mail.NewFlags(`\Flagged`)
	if err != nil {
		tb.Fatal(err)
	}
	rng := rand.New(rand.NewPCG(2, 2))
	for range n {
		uid := mail.UID(1 + rng.IntN(int(inbox.UIDNext)-1))
		_, err := h.db.Update(ctx, account, mail.NewOrigin("alice@example.test", 0, mail.IMAP, mail.ByUser), func(tx store.Tx) error {
			_, err := tx.StoreFlags(inbox.ID, mail.MakeUIDSet(uid), mail.FlagChange{Add: flagged}, nil)
			return err
		})
		if err != nil {
			tb.Fatal(err)
		}
	}
}

// backUp makes a point with whatever the house has.
func backUp(tb testing.TB, h *house, to string) backup.Result {
	tb.Helper()
	ctx := context.Background()
	run, err := h.ops.Backups.Begin(ctx, to, backup.Options{Digests: true, Recovery: func(string) error { return nil }})
	if err != nil {
		tb.Fatal(err)
	}
	r, err := run.Point(ctx)
	if err := errors.Join(err, run.Close(ctx)); err != nil {
		tb.Fatal(err)
	}
	return r
}

// measured is what a first and a second backup, and the restore, came to.
type measured struct {
	first, second, third backup.Result
	restored             backup.Restored
}

// measure backs up a house of so many messages, changes 100 of them and delivers one,
// backs up again, and once more with nothing changed; then it brings the last back.
func measure(tb testing.TB, messages int) (m measured) {
	tb.Helper()
	ctx := context.Background()
	dir := tb.TempDir()
	c := config.Default()
	c.Data = filepath.Join(dir, "data")
	h, err := openHouse(ctx, c, slog.New(slog.DiscardHandler))
	if err != nil {
		tb.Fatal(err)
	}
	defer func() {
		if err := h.close(); err != nil {
			tb.Error(err)
		}
	}()
	account := fillHouse(tb, h, messages)
	to := filepath.Join(dir, "backup")
	m.first = backUp(tb, h, to)
	flagSome(tb, h, account, 100)
	m.second = backUp(tb, h, to)
	m.third = backUp(tb, h, to)
	key, err := os.ReadFile(h.path(keyFile))
	if err != nil {
		tb.Fatal(err)
	}
	target, err := h.ops.Backups.Target(ctx, to)
	if err != nil {
		tb.Fatal(err)
	}
	repo, err := backup.Unlock(ctx, target, backup.Secret{KeyFile: key})
	if err != nil {
		tb.Fatal(err)
	}
	data := filepath.Join(dir, "new")
	m.restored, err = repo.Restore(ctx, m.third.Point, data, backup.RestoreOptions{Layout: dataLayout, Rows: sqlstore.EachBlob})
	if err != nil || m.restored.LostCount > 0 || m.restored.Blobs != messages {
		tb.Fatalf("%d of %d blobs came back, %d were lost: %v", m.restored.Blobs, messages, m.restored.LostCount, err)
	}
	got, err := sqlstore.Inspect(ctx, filepath.Join(data, databaseFile))
	if err != nil {
		tb.Fatal(err)
	}
	want, err := repo.Digests(ctx, m.third.Point)
	if err != nil || !reflect.DeepEqual(got, want) {
		tb.Fatalf("accounts came back as %+v, and were %+v: %v", got, want, err)
	}
	return m
}

// A change of a flag touches a leaf of some trees. Whatever the size of the server, a
// backup after 100 of them moves a few pages for each, and no mail.
const (
	pagesPerChange = 12
	mostOfSmall    = 100*pagesPerChange*4096 + 64<<10
)

func TestASecondBackupMovesWhatChanged(t *testing.T) {
	m := measure(t, 3000)
	if s := m.second.Sent; s.Bytes > mostOfSmall || s.PackBytes > 0 || s.Pages > 100*pagesPerChange {
		t.Errorf("100 changes moved %+v", s)
	}
	if s := m.third.Sent; s.Pages > 2 || s.Bytes > 32<<10 {
		t.Errorf("no change moved %+v", s)
	}
	if m.first.Sent.Bytes < 20*m.third.Sent.Bytes {
		t.Errorf("the first moved only %+v", m.first.Sent)
	}
}

// BenchmarkBackup reports what backups of 100 000 messages move, and how long they take.
func BenchmarkBackup(b *testing.B) {
	b.Run("100k", func(b *testing.B) {
		for b.Loop() {
			m := measure(b, 100_000)
			for name, r := range map[string]backup.Result{"first": m.first, "second": m.second, "third": m.third} {
				b.ReportMetric(float64(r.Sent.Bytes), name+"-B")
				b.ReportMetric(r.Took.Seconds(), name+"-s")
				b.Logf("%s: %+v in %v", name, r.Sent, r.Took)
			}
			b.ReportMetric(m.restored.Took.Seconds(), "restore-s")
			b.Logf("database of %d pages of %d bytes, in %d layers", m.restored.Manifest.Pages, m.restored.Manifest.PageSize, len(m.restored.Manifest.Layers))
		}
	})
}
