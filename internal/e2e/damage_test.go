package e2e

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// A damaged message is named by doctor and never served; the others are not held
// up by it.
func TestDamageIsNamedAndNeverServed(t *testing.T) {
	s := newServer(t, "")
	s.start()
	s.addAccount(alice)
	const messages = 20
	for i := range messages {
		s.lmtp(alice, fmt.Sprintf("Subject: %d\r\nMessage-ID: <%d@damage.example>\r\n\r\n%s\r\n", i, i, body(i)))
	}
	s.kill()
	packs, err := filepath.Glob(filepath.Join(s.dir, "packs", "*"))
	if err != nil {
		t.Fatal(err)
	}
	flipped := false
	for _, p := range packs {
		if info, err := os.Stat(p); err == nil && info.Size() > 10_000 {
			flip(t, p, info.Size()/2)
			flipped = true
		}
	}
	if !flipped {
		t.Fatalf("no pack to damage in %v", packs)
	}
	out, err := lockstep("", "doctor", "--config", s.config)
	if err == nil || strings.Count(out, "is damaged and is not served") != 1 || !strings.Contains(out, fmt.Sprintf("Looked at 1 account and %d messages", messages)) {
		t.Errorf("%v\n%s", err, out)
	}
	if of, err := lockstep("", "doctor", "--account", alice, "--config", s.config); err == nil || of != out {
		t.Errorf("of her account alone: %v\n%s\nof all\n%s", err, of, out)
	}
	s.start()
	c, err := s.dial(alice, password)
	if err != nil {
		t.Fatal(err)
	}
	defer c.close()
	if _, err := c.do("SELECT INBOX"); err != nil {
		t.Fatal(err)
	}
	if n := s.metric("blob_damaged", ""); n != 1 {
		t.Errorf("the metric says that %d are damaged, after a restart", n)
	}
	good, refused := 0, 0
	for uid := 1; uid <= messages; uid++ {
		said, err := c.do("UID FETCH %d (BODY.PEEK[])", uid)
		whole := strings.Contains(strings.Join(said, ""), body(uid-1)+"\r\n")
		switch {
		case err == nil && whole:
			good++
		case !whole:
			refused++
		}
		if err != nil {
			if _, err := c.do("NOOP"); err != nil {
				t.Fatalf("after the damaged message: %v", err)
			}
		}
	}
	if good != messages-1 || refused != 1 {
		t.Errorf("%d messages were served whole, %d were not", good, refused)
	}
	s.stop()
}

// body is a text that does not compress to nothing.
func body(i int) string {
	rng := rand.New(rand.NewPCG(uint64(i), 0))
	var b strings.Builder
	for range 40 {
		fmt.Fprintf(&b, "%016x%016x%016x\r\n", rng.Uint64(), rng.Uint64(), rng.Uint64())
	}
	return b.String()
}

// flip changes one bit of a file.
func flip(t *testing.T, path string, at int64) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var b [1]byte
	if _, err := f.ReadAt(b[:], at); err != nil {
		t.Fatal(err)
	}
	b[0] ^= 1
	if _, err := f.WriteAt(b[:], at); err != nil {
		t.Fatal(err)
	}
}
