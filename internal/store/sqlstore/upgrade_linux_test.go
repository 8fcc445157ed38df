package sqlstore

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"lockstep/internal/mail"
)

// smallDisk is an empty file system of a bounded size.
func smallDisk(t *testing.T, size string) string {
	t.Helper()
	dir := t.TempDir()
	if err := unix.Mount("none", dir, "tmpfs", 0, "mode=700,size="+size); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal("a tmpfs has to be mounted: ", err)
		}
		t.Skip("a tmpfs can't be mounted here: ", err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(dir, unix.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	return dir
}

func TestAFullDiskRefusesTheUpgrade(t *testing.T) {
	h := closedHome(t)
	whole, err := os.ReadFile(h.path)
	if err != nil {
		t.Fatal(err)
	}
	fills := "CREATE TABLE fill (n INTEGER, x BLOB) STRICT;\nINSERT INTO fill (n, x) WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c WHERE n < 40000) SELECT n, randomblob(1000) FROM c;\n"
	for _, c := range []struct{ name, size, sql, says string }{
		{"seen before", "12m", "CREATE TABLE x (n INTEGER) STRICT;\n", "MiB of free disk"},
		{"met on the way", "30m", fills, "disk is full"},
	} {
		t.Run(c.name, func(t *testing.T) {
			path := filepath.Join(smallDisk(t, c.size), "lockstep.db")
			if err := os.WriteFile(path, whole, 0o600); err != nil {
				t.Fatal(err)
			}
			before := dump(t, path)
			err := opens(path, Options{steps: present(everyStep, map[string]string{"9000_more": c.sql})})
			if mail.KindOf(err) != mail.Unavailable || !strings.Contains(fmt.Sprint(err), c.says) {
				t.Errorf("%v", err)
			}
			same(t, "after it", dump(t, path), before)
			if left, err := os.ReadDir(filepath.Join(filepath.Dir(path), SnapshotDir)); err != nil || len(left) > 0 {
				t.Errorf("%v are left, %v", left, err)
			}
			db, err := Open(t.Context(), path, Options{})
			if err != nil {
				t.Fatal("the version before does not start: ", err)
			}
			again := home{DB: db, t: t, id: h.id, inbox: h.inbox}
			if err := again.appendOne(5000); err != nil {
				t.Error("nothing can be delivered: ", err)
			}
			if err := db.Close(); err != nil {
				t.Error(err)
			}
		})
	}
}
