package sqlstore

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// writeCalls is how many writes this process has made.
func writeCalls(t *testing.T) (n int) {
	text, err := os.ReadFile("/proc/self/io")
	if err != nil && os.Getenv("CI") == "true" {
		t.Fatal(err)
	} else if err != nil {
		t.Skip("nobody but Linux counts a process's system calls: ", err)
	}
	_, rest, _ := strings.Cut(string(text), "syscw: ")
	if _, err := fmt.Sscan(rest, &n); err != nil {
		t.Fatal(err)
	}
	return n
}

func TestTheLogIsWrittenInLargePieces(t *testing.T) {
	h := newHome(t, Options{})
	pages, calls := h.logPages(), writeCalls(t)
	h.fill(2000)
	pages, calls = h.logPages()-pages, writeCalls(t)-calls
	if pages < 200 || calls > pages/5 {
		t.Errorf("%d pages in %d writes", pages, calls)
	}
}

// A transaction larger than the cache writes pages to the log before it commits,
// reads them from there, writes some again, and may be rolled back after all.
func TestALogThatOverflowsTheCache(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lockstep.db")
	c, err := openSQLite(path, 64<<10)
	if err != nil {
		t.Fatal(err)
	}
	run := func(sql string, args ...any) {
		t.Helper()
		if _, err := c.exec(sql, args...); err != nil {
			t.Fatal(err)
		}
	}
	run("CREATE TABLE big (n INTEGER PRIMARY KEY, text TEXT)")
	fill := func(mark string) {
		run("BEGIN IMMEDIATE")
		for i := range 1000 {
			run("INSERT INTO big VALUES (?1, ?2) ON CONFLICT (n) DO UPDATE SET text = excluded.text", i*7919%1000, strings.Repeat(mark, 900))
		}
		run("UPDATE big SET text = text || ?1", mark)
	}
	check := func(c conn, want string) {
		t.Helper()
		n := 0
		err := c.query("SELECT text FROM big", func(r row) error {
			if n++; r.text(0) != strings.Repeat(want, 901) {
				t.Fatalf("row %d begins with %.5s", n, r.text(0))
			}
			return nil
		})
		if err != nil || n != 1000 {
			t.Fatalf("%d rows, %v", n, err)
		}
	}
	fill("a")
	check(c, "a")
	run("COMMIT")
	fill("b")
	check(c, "b")
	run("ROLLBACK")
	check(c, "a")
	other, err := openSQLite(path, 64<<10)
	if err != nil {
		t.Fatal(err)
	}
	check(other, "a")
	fill("c")
	run("COMMIT")
	check(other, "c")
	for _, c := range []conn{other, c} {
		if err := c.close(); err != nil {
			t.Fatal(err)
		}
	}
	db, err := Open(context.Background(), path, Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if err := db.read(t.Context(), func(c conn) error { check(c, "c"); return nil }); err != nil {
		t.Fatal(err)
	}
}
