package sqlstore

import (
	"context"
	"os"
	"strings"
	"testing"

	"lockstep/internal/mail"
)

// damaged fills a database, closes it, changes one byte of the root page of a table
// or an index, counted from its end if it is negative, and opens it again.
func damaged(t *testing.T, name string, at int64) *DB {
	t.Helper()
	h := newHome(t, Options{})
	h.fill(40)
	path := h.path
	root, pageSize := int64(0), int64(0)
	err := h.ask(t.Context(), func(c conn) error {
		_, err1 := one(c, "SELECT rootpage FROM sqlite_schema WHERE name = ?1", func(r row) { root = r.num(0) }, name)
		_, err2 := one(c, "PRAGMA page_size", func(r row) { pageSize = r.num(0) })
		if err1 == nil {
			err1 = err2
		}
		return err1
	})
	if err != nil || root == 0 {
		t.Fatalf("root page of %s: %d, %v", name, root, err)
	}
	if err := h.Close(); err != nil {
		t.Fatal(err)
	}
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	off := (root - 1) * pageSize
	if off += at; at < 0 {
		off += pageSize
	}
	var b [1]byte
	if _, err := f.ReadAt(b[:], off); err != nil {
		t.Fatal(err)
	}
	b[0] ^= 0x41
	if _, err := f.WriteAt(b[:], off); err != nil {
		t.Fatal(err)
	}
	db, err := Open(t.Context(), path, Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	return db
}

func TestIntegrityFindsNothingInGoodTables(t *testing.T) {
	h := newHome(t, Options{})
	h.fill(40)
	tables, err := h.Tables(t.Context())
	if err != nil || len(tables) < 20 {
		t.Fatalf("%d tables: %v", len(tables), err)
	}
	for _, table := range tables {
		if wrong, left, err := h.Integrity(t.Context(), table, true); err != nil || len(wrong)+len(left) > 0 {
			t.Errorf("%s: %v %v %v", table, wrong, left, err)
		}
	}
	_, _, err = h.Integrity(t.Context(), "nothing; DROP TABLE message", true)
	if mail.KindOf(err) != mail.NotFound {
		t.Errorf("of no table: %v", err)
	}
}

func TestAWrongIndexIsMadeAnew(t *testing.T) {
	db := damaged(t, "blob_place", -1)
	wrong, left, err := db.Integrity(t.Context(), "blob", false)
	if err != nil || len(wrong) == 0 || len(left) == 0 || !strings.Contains(wrong[0], "index blob_place") {
		t.Fatalf("%v %v %v", wrong, left, err)
	}
	wrong, left, err = db.Integrity(t.Context(), "blob", true)
	if err != nil || len(wrong) == 0 || len(left) > 0 {
		t.Errorf("put right: %v, left %v, %v", wrong, left, err)
	}
	if wrong, _, err = db.Integrity(t.Context(), "blob", false); err != nil || len(wrong) > 0 {
		t.Errorf("afterwards: %v %v", wrong, err)
	}
}

func TestADamagedPageIsFoundAndLeftAlone(t *testing.T) {
	db := damaged(t, "placement", 4) // how many cells the page has
	wrong, left, err := db.Integrity(t.Context(), "placement", true)
	if err != nil || len(wrong) == 0 || len(left) == 0 {
		t.Errorf("found %v, left %v, %v", wrong, left, err)
	}
}

// A long look gives way when the log becomes long, which it does while its snapshot
// is held, and holds nobody up.
func TestALongLookGivesWay(t *testing.T) {
	h := newHome(t, Options{LogPages: 40})
	h.fill(10)
	endless := "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n, (SELECT count(*) FROM message)"
	done := make(chan error)
	go func() {
		done <- h.aside(context.Background(), func(c conn) error { return c.query(endless, nil) })
	}()
	for {
		select {
		case err := <-done:
			if err != errAside {
				t.Errorf("%v", err)
			}
			if err := h.aside(t.Context(), func(c conn) error { return c.query("SELECT 1", nil) }); err != nil && err != errAside {
				t.Errorf("afterwards: %v", err)
			}
			if _, err := h.LookOver(t.Context(), h.id); err != nil && err != errAside {
				t.Errorf("afterwards: %v", err)
			}
			return
		default:
			h.fill(1)
		}
	}
}

func TestALongLookEndsWithItsContext(t *testing.T) {
	h := newHome(t, Options{})
	ctx, cancel := context.WithCancel(t.Context())
	endless := "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n"
	done := make(chan error)
	go func() { done <- h.aside(ctx, func(c conn) error { return c.query(endless, nil) }) }()
	cancel()
	if err := <-done; err != context.Canceled {
		t.Errorf("%v", err)
	}
	if err := h.ask(t.Context(), func(c conn) error { return c.query("SELECT 1", nil) }); err != nil {
		t.Errorf("the connection afterwards: %v", err)
	}
}
