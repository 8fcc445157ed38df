package e2e

import (
	"archive/tar"
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"

	"lockstep/internal/steady"
)

// unpack makes a data directory of one that is kept of an older version.
func unpack(t *testing.T, archive, dir string) {
	t.Helper()
	f, err := os.Open(archive)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := zstd.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	defer z.Close()
	for r := tar.NewReader(z); ; {
		head, err := r.Next()
		if errors.Is(err, io.EOF) {
			return
		}
		if err != nil {
			t.Fatal(err)
		}
		name := filepath.Join(dir, head.Name)
		if head.Typeflag == tar.TypeDir {
			name = filepath.Join(name, "x")
		}
		if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
			t.Fatal(err)
		}
		if head.Typeflag == tar.TypeDir {
			continue
		}
		b, err := io.ReadAll(r)
		if err == nil {
			err = os.WriteFile(name, b, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

var schemaWords = regexp.MustCompile(`The database has schema (\d+)`)

// schema is what the database of a directory has, also in the midst of an upgrade.
func schema(t *testing.T, dir string) string {
	t.Helper()
	out, err := lockstep("", "upgrade", "status", "--data", dir)
	m := schemaWords.FindStringSubmatch(out)
	if err != nil || m == nil {
		t.Fatalf("upgrade status: %v\n%s", err, out)
	}
	return m[1]
}

// cut runs a command and kills it after a time, if it has not ended before.
func cut(after time.Duration, args ...string) {
	ctx, cancel := context.WithTimeout(context.Background(), after)
	defer cancel()
	_ = exec.CommandContext(ctx, binary, args...).Run() // whatever became of it
}

// wantUpgraded finishes an upgrade, and compares the mail.
func wantUpgraded(t *testing.T, dir string, want map[string][32]byte) {
	t.Helper()
	if out, err := runFor(long, "", "account", "list", "--data", dir); err != nil {
		t.Fatalf("the upgrade does not end: %v\n%s", err, out)
	}
	if out, err := runFor(long, "", "doctor", "--data", dir); err != nil || !strings.Contains(out, "All is well.") {
		t.Errorf("doctor: %v\n%s", err, out)
	}
	if got := exported(t, "--data", dir); !reflect.DeepEqual(got, want) {
		t.Errorf("%d files of mail are there, and were %d, or they differ", len(got), len(want))
	}
}

// An upgrade that is killed at random moments is done or was not begun; it is run
// again and ends with all mail. So is one that is taken back.
func TestKilledUpgradeIsDoneOrNotBegun(t *testing.T) {
	t.Parallel()
	archives, err := filepath.Glob("../releases/testdata/*.tar.zst")
	if err != nil || len(archives) == 0 {
		t.Fatal("nothing is kept of older versions: ", err)
	}
	rng := rand.New(rand.NewPCG(steady.Seed(t), 0))
	for _, archive := range archives {
		t.Run(filepath.Base(archive), func(t *testing.T) {
			whole := filepath.Join(t.TempDir(), "data")
			unpack(t, archive, whole)
			old := schema(t, whole)
			began := time.Now()
			if out, err := runFor(long, "", "account", "list", "--data", whole); err != nil {
				t.Fatalf("%v\n%s", err, out)
			}
			took := time.Since(began)
			now, want := schema(t, whole), exported(t, "--data", whole)
			states := map[string]int{}
			for r := newRounds(t, 1, 2); r.more(); {
				dir := filepath.Join(t.TempDir(), "data")
				unpack(t, archive, dir)
				for _, command := range [][]string{{"account", "list"}, {"upgrade", "back", "--yes"}} {
					for range 3 {
						cut(time.Duration(rng.Int64N(int64(took)*5/4)), append(command, "--data", dir)...)
						is := schema(t, dir)
						if is != old && is != now {
							t.Fatalf("schema %s is neither that of before, %s, nor that of now, %s", is, old, now)
						}
						states[is]++
					}
					if command[0] == "upgrade" { // an older copy came back: what may have been sent is held
						if out, err := lockstep("", "queue", "release", "--all", "--data", dir); err != nil {
							t.Fatalf("%v\n%s", err, out)
						}
					}
					wantUpgraded(t, dir, want)
				}
			}
			t.Logf("an upgrade takes %v; after kills the schema was %v", took, states)
		})
	}
}
