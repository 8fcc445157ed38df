package e2e

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// damagePacks flips a bit in the middle of every pack that has records.
func (s *server) damagePacks() {
	s.t.Helper()
	packs, err := filepath.Glob(filepath.Join(s.dir, "packs", "*.pack"))
	if err != nil {
		s.t.Fatal(err)
	}
	flipped := 0
	for _, p := range packs {
		if info, err := os.Stat(p); err == nil && info.Size() > 10_000 {
			flip(s.t, p, info.Size()/2)
			flipped++
		}
	}
	if flipped == 0 {
		s.t.Fatalf("no pack to damage in %v", packs)
	}
}

// Bits flipped and rows changed under a running server are found in one pass: what
// can be is put right, the rest is never served, and is named.
func TestAScrubFindsWhatIsDamagedUnderARunningServer(t *testing.T) {
	t.Parallel()
	s := newSick(t)
	s.start()
	if out := s.lockstep("", "scrub", "now"); !strings.Contains(out, "nothing was wrong") {
		t.Fatalf("before the damage:\n%s", out)
	}
	if age := s.metric("scrub_progress_ratio", ""); age != 1 {
		t.Errorf("after a whole pass the metric says %d", age)
	}
	s.damagePacks()
	s.sql("UPDATE mailbox SET unseen = 77, placements = 3")
	out, err := lockstep("", "scrub", "now", "--config", s.config)
	if err == nil || !strings.Contains(out, "things put right") || !strings.Contains(out, "Damaged and not served: ") {
		t.Errorf("%v\n%s", err, out)
	}
	if n := s.metric("scrub_findings_total", `result="put_right"`); n < 1 {
		t.Errorf("the metric says that %d things were put right", n)
	}
	known := s.metric("blob_damaged", "")
	if known < 1 {
		t.Errorf("%d are known to be damaged", known)
	}
	out, err = lockstep("", "doctor", "--fast", "--config", s.config)
	if err == nil || !strings.Contains(out, "is damaged and is not served") || !strings.Contains(out, `"letter `) || !strings.Contains(out, "Scrub: everything was last looked at just now") {
		t.Errorf("%v\n%s", err, out)
	}
	s.kill()
	s.start()
	if n := s.metric("blob_damaged", ""); n != known {
		t.Errorf("%d are known to be damaged after a kill, %d before", n, known)
	}
	if out, err := lockstep("", "scrub", "status", "--config", s.config); err == nil || !strings.Contains(out, "The next pass begins on") {
		t.Errorf("%v\n%s", err, out)
	}
	s.stop()
}
