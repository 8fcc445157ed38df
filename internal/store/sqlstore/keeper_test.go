package sqlstore

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"lockstep/internal/blob"
	"lockstep/internal/mail"
	"lockstep/internal/store"
)

// run changes the database behind the store's back.
func (h home) run(sql string, args ...any) {
	h.t.Helper()
	err := h.write(context.Background(), directoryLane, func(c conn) error {
		_, err := c.exec(sql, args...)
		return err
	}, nil)
	if err != nil {
		h.t.Fatal(err)
	}
}

func TestCheckFindsAndRepairs(t *testing.T) {
	h := newHome(t, Options{})
	h.fill(3)
	h.share()
	var before mail.Mailbox
	h.view(func(r store.Reader) (err error) { before, err = r.Mailbox(h.inbox); return err })
	for _, damage := range []string{
		"UPDATE mailbox SET unseen = 77, threads = 5 WHERE account_id = ?1",
		"UPDATE message SET visible = 0 WHERE account_id = ?1",
		"UPDATE message SET placements = 4 WHERE account_id = ?1",
		"UPDATE placement SET content_id = content_id + 1 WHERE account_id = ?1",
		"UPDATE thread SET unread = 9 WHERE account_id = ?1",
		"UPDATE thread SET places = '{}' WHERE account_id = ?1",
		"UPDATE account SET used = 1 WHERE account_id = ?1",
		"UPDATE member SET seen = 9 WHERE account_id = ?1",
		"DELETE FROM share WHERE owner_id = ?1",
		"UPDATE share SET live = 1 - live WHERE owner_id = ?1",
		"INSERT INTO share (principal_id, owner_id, live) VALUES (99, ?1, 1)",
	} {
		h.run(damage, h.id)
		for i, want := range []bool{true, true, false} {
			wrong, err := h.Check(t.Context(), h.id, i == 1)
			if err != nil {
				t.Fatal(err)
			}
			if (len(wrong) > 0) != want {
				t.Errorf("%s: check %d found %v", damage, i, wrong)
			}
		}
	}
	h.view(func(r store.Reader) error {
		after, err := r.Mailbox(h.inbox)
		if after != before {
			t.Errorf("repaired to %+v, was %+v", after, before)
		}
		return err
	})
}

// share gives two members rights, of which one has lost them but has read something.
func (h home) share() {
	h.update(func(tx store.Tx) error {
		for _, p := range []mail.PrincipalID{7, 8} {
			if err := tx.SetRights(h.inbox, p, mail.MayRead|mail.MaySee); err != nil {
				return err
			}
			seen := mail.FlagChange{Add: mail.StoredFlags(mail.Seen, ""), As: p}
			if _, err := tx.StoreFlags(h.inbox, mail.MakeUIDSet(1), seen, nil); err != nil {
				return err
			}
		}
		return tx.SetRights(h.inbox, 8, 0)
	})
}

func TestCheckSaysWhatItCannotRepair(t *testing.T) {
	h := newHome(t, Options{})
	h.fill(1)
	h.run("DELETE FROM content WHERE content_id IN (SELECT content_id FROM message WHERE account_id = ?1)", h.id)
	for range 2 {
		wrong, err := h.Check(t.Context(), h.id, true)
		if err != nil || len(wrong) != 1 || !strings.Contains(wrong[0], "INBOX, UID 1") {
			t.Errorf("%v, %v", wrong, err)
		}
	}
}

func TestARemovalThatACrashCutIsFinished(t *testing.T) {
	h := newHome(t, Options{})
	h.fill(5)
	h.run(markRemoved, h.id)
	h.run(deleteAccount, h.id)
	if err := h.Close(); err != nil {
		t.Fatal(err)
	}
	db, err := Open(t.Context(), h.path, Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	for _, table := range accountTables {
		err := db.read(t.Context(), func(c conn) error {
			return c.query("SELECT count(*) FROM "+table.name, func(r row) error {
				if r.num(0) != 0 {
					t.Errorf("%d rows in %s", r.num(0), table.name)
				}
				return nil
			})
		})
		if err != nil {
			t.Error(err)
		}
	}
	if all, err := db.Accounts(t.Context()); err != nil || len(all) != 0 {
		t.Errorf("%v, %v", all, err)
	}
}

func TestADatabaseOfANewerProgramIsRefused(t *testing.T) {
	h := newHome(t, Options{})
	h.run("UPDATE schema_version SET version = 1000, reads_from = NULL")
	if err := h.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(t.Context(), h.path, Options{}); mail.KindOf(err) != mail.Unavailable {
		t.Error(err)
	}
}

// A database of before steps were written down one by one has a row for the last.
// What comes to be between two steps is taken where it is missing.
func TestEachStepIsTakenOnce(t *testing.T) {
	h := newHome(t, Options{})
	h.run("DELETE FROM schema_version WHERE version IN (1, 5)")
	h.run("DROP TABLE preference")
	if err := h.Close(); err != nil {
		t.Fatal(err)
	}
	db, err := Open(t.Context(), h.path, Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	err = db.read(t.Context(), func(c conn) error { _, err := one(c, "SELECT count(*) FROM preference", func(row) {}); return err })
	if err != nil {
		t.Error(err)
	}
}

// Deltas are read from indexes: no table is walked, nothing is sorted.
func TestDeltasAreIndexScans(t *testing.T) {
	h := newHome(t, Options{})
	for typ, f := range feeds {
		for _, sql := range []string{f.created, f.updated, f.destroyed, f.born, f.next} {
			if sql == "" {
				continue
			}
			err := h.read(t.Context(), func(c conn) error {
				return c.query("EXPLAIN QUERY PLAN "+sql, func(r row) error {
					step := r.text(3)
					small := typ == mail.TypeMailbox || typ.IsObject() // an account has few: of objects those that changed since are sorted
					if strings.HasPrefix(step, "SCAN") && !strings.HasPrefix(step, "SCAN CONSTANT ROW") || strings.Contains(step, "TEMP B-TREE") && !small {
						t.Errorf("type %d: %s in %s", typ, step, sql)
					}
					return nil
				}, []any{1, 2, 3, 0, 0, 5, 6, 7, 8}[:parameters(sql)]...)
			})
			if err != nil {
				t.Error(err)
			}
		}
	}
}

// parameters is how many a statement has.
func parameters(sql string) int {
	n := 0
	for strings.Contains(sql, "?"+strconv.Itoa(n+1)) {
		n++
	}
	return n
}

func TestTheLogBeginsAnewWhileWritersWrite(t *testing.T) {
	h := newHome(t, Options{LogPages: 50})
	anew, last := 0, 0
	for i := range 300 {
		if err := h.appendOne(i); err != nil {
			t.Fatal(err)
		}
		pages := h.logPages()
		if pages < last {
			anew++
		}
		last = pages
	}
	if h.Stats().Checkpoints == 0 || anew == 0 {
		t.Errorf("%d checkpoints, the log began anew %d times", h.Stats().Checkpoints, anew)
	}
}

// Readers that overlap, so that there is always one, can keep a log from ever
// beginning anew. What is measured is pages, against the pages of one batch.
func TestTheLogIsBoundedUnderSlowReaders(t *testing.T) {
	const checkpointAt = 50
	h := newHome(t, Options{LogPages: checkpointAt})
	stop := make(chan struct{})
	var readers sync.WaitGroup
	for range 4 {
		readers.Go(func() {
			for {
				err := h.View(context.Background(), h.id, func(store.Reader) error {
					select {
					case <-stop:
					case <-time.After(10 * time.Millisecond): // as who sends a long answer
					}
					return nil
				})
				if err != nil {
					t.Error(err)
				}
				select {
				case <-stop:
					return
				default:
				}
			}
		})
	}
	batch, longest, last := 0, 0, h.logPages()
	for i := range 300 {
		if err := h.appendOne(i); err != nil {
			t.Fatal(err)
		}
		pages := h.logPages()
		batch, longest, last = max(batch, pages-last), max(longest, pages), pages
	}
	close(stop)
	readers.Wait()
	s := h.Stats()
	if bound := longLog*checkpointAt + int(1+s.Stuck)*batch; longest > bound {
		t.Errorf("the log got %d pages, more than %d; %d pages for a batch, %d of %d checkpoints were stuck", longest, bound, batch, s.Stuck, s.Checkpoints)
	}
	t.Logf("longest %d pages, %d a batch, %d checkpoints", longest, batch, s.Checkpoints)
}

func TestUnnamedBlobsAreCollected(t *testing.T) {
	h := newHome(t, Options{})
	x := h.Blobs()
	a, part := arrival(1), arrival(2).Blob
	a.Blob.Parts, a.Parts = []mail.BlobName{part.Name}, []mail.Blob{part}
	h.update(func(tx store.Tx) error { _, err := tx.Append(h.inbox, a); return err })
	if err := h.Enqueue(t.Context(), []store.Outgoing{{Delivery: "d", Recipient: "bob@example.test", Account: h.id, Blob: arrival(3).Blob}}); err != nil {
		t.Fatal(err)
	}
	unnamed := func() string {
		names, err := x.Unnamed(t.Context(), time.Now().Add(time.Hour), mail.BlobName{}, 10)
		if err != nil {
			t.Fatal(err)
		}
		s := ""
		for _, n := range names {
			s += strings.TrimRight(string(n[:]), "\x00") + ","
		}
		return s
	}
	if got := unnamed(); got != "" {
		t.Errorf("unnamed: %s", got)
	}
	due, err := h.Due(t.Context(), "node", time.Now(), time.Now().Add(time.Hour), 1)
	if err != nil || len(due) != 1 || due[0].Blob.Place != "p/3" {
		t.Fatalf("due %+v, %v", due, err)
	}
	if err := h.Done(t.Context(), due[0].ID); err != nil {
		t.Fatal(err)
	}
	if got := unnamed(); got != "blob 3," {
		t.Errorf("unnamed after delivery: %s", got)
	}
	h.update(func(tx store.Tx) error { _, err := tx.Expunge(h.inbox, mail.AllUIDs, false); return err })
	if got := unnamed(); got != "blob 3," {
		t.Errorf("unnamed before the horizon: %s", got)
	}
	if err := h.Prune(t.Context(), h.id, time.Now().Add(time.Hour)); err != nil {
		t.Fatal(err)
	}
	if got := unnamed(); got != "blob 1,blob 3," {
		t.Errorf("unnamed behind the horizon: %s", got)
	}
	condemned, err := x.Condemn(t.Context(), []mail.BlobName{a.Blob.Name}, time.Now().Add(time.Hour))
	if err != nil || condemned != 1 {
		t.Fatalf("condemned %d, %v", condemned, err)
	}
	if _, found, err := x.Blob(t.Context(), a.Blob.Name); found || err != nil {
		t.Errorf("a condemned blob is found, %v", err)
	}
	stale := arrival(1)
	stale.Blob.Fresh = false
	_, err = h.Update(t.Context(), h.id, by, func(tx store.Tx) error { _, err := tx.Append(h.inbox, stale); return err })
	if mail.KindOf(err) != mail.Expired {
		t.Errorf("a handle of a condemned blob: %v", err)
	}
	if n, err := x.Forget(t.Context(), time.Now().Add(time.Hour), 10); n != 1 || err != nil {
		t.Errorf("forgot %d, %v", n, err)
	}
	if got := unnamed(); got != "blob 2,blob 3," {
		t.Errorf("unnamed once the whole is forgotten: %s", got)
	}
	if n, err := x.Move(t.Context(), []blob.Move{{Name: part.Name, From: "p/2", To: "q/1"}, {Name: part.Name, From: "p/2", To: "q/2"}}); n != 1 || err != nil {
		t.Errorf("moved %d, %v", n, err)
	}
	rows, err := x.Rows(t.Context(), "q/", "", 10)
	if err != nil || len(rows) != 1 || rows[0].Place != "q/1" {
		t.Errorf("rows %v, %v", rows, err)
	}
}

// An upload names its blob, and the parts of it, until it expires.
func TestBlobsOfUploadsAreKeptAsLongAsThey(t *testing.T) {
	now := time.Now()
	h := newHome(t, Options{Now: func() time.Time { return now }})
	part := arrival(2).Blob
	u := mail.Upload{Blob: arrival(1).Blob, Parts: []mail.Blob{part}}
	u.Blob.Parts = []mail.BlobName{part.Name}
	note := func(fn func(store.Notes) error) {
		if err := h.Note(t.Context(), h.id, fn); err != nil {
			t.Fatal(err)
		}
	}
	unnamed := func() int {
		if err := h.Prune(t.Context(), h.id, now.Add(-24*time.Hour)); err != nil {
			t.Fatal(err)
		}
		names, err := h.Blobs().Unnamed(t.Context(), now.Add(time.Hour), mail.BlobName{}, 10)
		if err != nil {
			t.Fatal(err)
		}
		return len(names)
	}
	note(func(n store.Notes) (err error) { u, err = n.AddUpload(u); return err })
	if n := unnamed(); n != 0 {
		t.Errorf("%d unnamed while the upload is there", n)
	}
	now = now.Add(mail.UploadLife - time.Minute)
	note(func(n store.Notes) error { return n.UsedUpload(u.ID) })
	now = now.Add(mail.UploadLife - time.Minute)
	if n := unnamed(); n != 0 {
		t.Errorf("%d unnamed while the upload that was used is there", n)
	}
	now = now.Add(2 * time.Minute)
	if n := unnamed(); n != 1 { // the part when the whole is forgotten
		t.Errorf("%d unnamed once the upload has expired", n)
	}
}

func TestAFullDiskIsSaidInWords(t *testing.T) {
	h := newHome(t, Options{})
	var pages int64
	err := h.write(t.Context(), directoryLane, func(c conn) error {
		return c.query("PRAGMA page_count", func(r row) error { pages = r.num(0); return nil })
	}, nil)
	if err != nil {
		t.Fatal(err)
	}
	h.limit(pages + 20)
	for i := 0; err == nil && i < 10_000; i++ {
		err = h.appendOne(i)
	}
	if mail.KindOf(err) != mail.Unavailable || !strings.Contains(mail.DetailOf(err), "full") {
		t.Errorf("got %v", err)
	}
	got := h.placements()
	h.limit(1 << 30)
	if err := h.appendOne(20_000); err != nil || h.placements() != got+1 {
		t.Errorf("%d messages, then %d, %v", got, h.placements(), err)
	}
}

// limit bounds the size of the database, as a full disk would.
func (h home) limit(pages int64) {
	h.t.Helper()
	err := h.write(context.Background(), directoryLane, func(c conn) error {
		return c.query(fmt.Sprintf("PRAGMA max_page_count = %d", pages), nil)
	}, nil)
	if err != nil {
		h.t.Fatal(err)
	}
}

// Compaction asks for the rows of one pack, of which there may be none left: that
// must not read those of all packs after it.
func TestRowsOfAPackAreARange(t *testing.T) {
	h := newHome(t, Options{})
	plan := ""
	err := h.read(t.Context(), func(c conn) error {
		return c.query("EXPLAIN QUERY PLAN "+selectBlobs, func(r row) error { plan += r.text(3); return nil }, "", "", 0)
	})
	if err != nil || !strings.Contains(plan, "(place>? AND place<?)") {
		t.Errorf("%s, %v", plan, err)
	}
}

// onceContext lets one closure of the writer run and is over then.
type onceContext struct {
	context.Context
	asked *int
}

func (c onceContext) Done() <-chan struct{} { return nil }

func (c onceContext) Err() error {
	if *c.asked++; *c.asked > 1 {
		return context.Canceled
	}
	return nil
}

func TestAccountIsRemovedWholeAlthoughItsRemoverLeft(t *testing.T) {
	h := newHome(t, Options{})
	h.fill(3)
	if err := h.RemoveAccount(onceContext{t.Context(), new(int)}, h.id); err != nil {
		t.Error(err)
	}
	for _, sql := range []string{"SELECT 1 FROM principal", "SELECT 1 FROM placement", "SELECT 1 FROM journal"} {
		err := h.read(t.Context(), func(c conn) error {
			return c.query(sql, func(row) error { t.Errorf("left behind: %s", sql); return nil })
		})
		if err != nil {
			t.Error(err)
		}
	}
}
