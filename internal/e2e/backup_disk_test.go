package e2e

import (
	"errors"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"lockstep/internal/backup/s3/s3test"
)

// smallDisk is a file system of its own, which needs leave to mount one. resize makes
// it another size, and writable or not.
func smallDisk(t *testing.T, size string) (dir string, resize func(options string)) {
	t.Helper()
	dir = t.TempDir()
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
	return dir, func(options string) {
		t.Helper()
		flags := uintptr(unix.MS_REMOUNT)
		if options == "ro" {
			flags, options = flags|unix.MS_RDONLY, ""
		}
		if err := unix.Mount("none", dir, "tmpfs", flags, options); err != nil {
			t.Fatal(err)
		}
	}
}

// wantRefused runs a command that has to fail with words that say why.
func wantRefused(t *testing.T, words []string, args ...string) {
	t.Helper()
	out, err := runFor(long, "", args...)
	if err == nil {
		t.Errorf("%v: it says that it is done:\n%s", args, out)
	}
	for _, w := range words {
		if !strings.Contains(out, w) {
			t.Errorf("%v does not say %q:\n%s", args, w, out)
		}
	}
}

// A target that is full, cannot be written or is gone is told; the points that were
// there stay whole, the live mail is not touched, and with room the same command goes on.
func TestBackupToADiskThatIsFullReadOnlyOrGone(t *testing.T) {
	t.Parallel()
	disk, resize := smallDisk(t, "3m")
	to := filepath.Join(disk, "backup")
	s := newServer(t, "")
	s.addAccount(alice)
	s.start()
	s.letters(0, 10, 50_000)
	s.backup("--to", to)
	first := s.photo()
	s.letters(10, 60, 100_000)
	make := []string{"backup", "--to", to, "--config", s.config}
	for range 2 {
		wantRefused(t, []string{to, "no space left"}, make...)
	}
	restored(t, "", "--from", to, "--key", s.keyOf()).wantWell(first)
	resize("size=64m")
	s.backup("--to", to)

	resize("ro")
	s.letters(70, 1, 1000)
	before := sums(t, to)
	wantRefused(t, []string{to, "read-only"}, make...)
	if !maps.Equal(before, sums(t, to)) {
		t.Error("what was there has changed")
	}
	resize("size=64m")

	gone := filepath.Join(disk, "elsewhere")
	if err := os.Rename(to, gone); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(to, []byte("a file in its place"), 0o600); err != nil {
		t.Fatal(err)
	}
	wantRefused(t, []string{to}, make...)
	if err := os.Remove(to); err != nil {
		t.Fatal(err)
	}
	wantRefused(t, []string{to, "there is no backup"}, "backup", "list", "--from", to, "--config", s.config)
	if err := os.Rename(gone, to); err != nil {
		t.Fatal(err)
	}
	s.backup("--to", to)
	want := s.photo()
	s.stop()
	s.wantWell(want)
	restored(t, "", "--from", to, "--key", s.keyOf()).wantWell(want)
}

// A restore for which there is no room says so before it begins. One whose disk fills
// up in its midst says so, too; both change nothing of the backup, and with room the
// same command goes on.
func TestRestoreToADiskThatIsFullGoesOn(t *testing.T) {
	t.Parallel()
	disk, resize := smallDisk(t, "2m")
	srv := s3test.Start(t)
	proxy := s3test.NewProxy(t, srv.Address, 1)
	s := newServer(t, toBucket(srv, srv.Endpoint()))
	s.addAccount(alice)
	s.start()
	s.letters(0, 60, 100_000)
	s.backup()
	want := s.photo()
	s.stop()
	before := sums(t, srv.Dir)
	r := newServer(t, toBucket(srv, proxy.Endpoint()))
	r.move(filepath.Join(disk, "data"))
	restore := []string{"restore", "--key", s.keyOf(), "--config", r.config}
	wantRefused(t, []string{"has room for", "make room"}, restore...)

	resize("size=100m")
	hold := proxy.HoldAfter(1 << 20)
	p := begin(t, nil, restore...)
	hold.Wait(t)
	filler := filepath.Join(disk, "somebody else's")
	if err := fillUp(filler); err != nil {
		t.Fatal(err)
	}
	hold.Release()
	if status := p.wait(); status != 1 || !strings.Contains(p.out.String(), "no space left") {
		t.Errorf("exit status %d\n%s", status, p.out)
	}
	for _, half := range []string{"account list", "serve", "doctor", "backup"} {
		wantRefused(t, []string{"half restored"}, append(strings.Fields(half), "--config", r.config)...)
	}
	if err := os.Remove(filler); err != nil {
		t.Fatal(err)
	}
	if out, err := runFor(long, "", restore...); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if !maps.Equal(before, sums(t, srv.Dir)) {
		t.Error("the backup is not as it was")
	}
	r.wantWell(want)
}

// fillUp writes to a file until its disk is full.
func fillUp(file string) error {
	f, err := os.Create(file)
	if err != nil {
		return err
	}
	defer f.Close()
	for block := make([]byte, 64<<10); len(block) > 0; {
		_, err := f.Write(block)
		if errors.Is(err, unix.ENOSPC) {
			block = block[:len(block)/2]
		} else if err != nil {
			return err
		}
	}
	return nil
}

// move has a server that has no data yet keep it elsewhere.
func (s *server) move(to string) {
	s.t.Helper()
	text, err := os.ReadFile(s.config)
	if err != nil {
		s.t.Fatal(err)
	}
	if err := os.WriteFile(s.config, []byte(strings.Replace(string(text), s.dir, to, 1)), 0o600); err != nil {
		s.t.Fatal(err)
	}
	s.dir = to
}

// A data directory without room for one more message is backed up all the same, and
// nothing of it is harmed: with room, mail is taken again.
func TestBackupOfADiskThatIsFull(t *testing.T) {
	t.Parallel()
	disk, resize := smallDisk(t, "24m")
	s := newServer(t, "")
	s.move(filepath.Join(disk, "data"))
	s.addAccount(alice)
	s.start()
	c, err := s.dial(alice, password) // nobody signs in where there is no room to note it
	if err != nil {
		t.Fatal(err)
	}
	defer c.close()
	full := false
	for n := 0; n < 500 && !full; n++ {
		full = s.tryLMTP(alice, "Subject: "+noise(n, 10)[:8]+"\r\nMessage-ID: <"+noise(n, 10)[:20]+"@full.example>\r\n\r\n"+noise(n, 200_000)+"\r\n") != nil
	}
	if !full {
		t.Fatal("the disk never was full")
	}
	want := s.photoBy(c)
	to := filepath.Join(t.TempDir(), "backup")
	out, err := runFor(long, "", "backup", "--to", to, "--config", s.config)
	if err != nil {
		t.Errorf("a full disk was not backed up: %v\n%s", err, out)
	}
	wantPhoto(t, s.photoBy(c), want)
	resize("size=100m")
	s.letters(1000, 1, 1000)
	s.backup("--to", to)
	want = s.photo()
	s.stop()
	s.wantWell(want)
	restored(t, "", "--from", to, "--key", s.keyOf()).wantWell(want)
}
