package e2e

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// damagePacks flips a bit of every pack that has records: that at one nth of it.
func (s *server) damagePacks(nth int64) {
	s.t.Helper()
	packs, err := filepath.Glob(filepath.Join(s.dir, "packs", "*.pack"))
	if err != nil {
		s.t.Fatal(err)
	}
	flipped := 0
	for _, p := range packs {
		if info, err := os.Stat(p); err == nil && info.Size() > 10_000 {
			flip(s.t, p, info.Size()/nth)
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
	s.damagePacks(2)
	s.sql("UPDATE mailbox SET unseen = 77, placements = 3")
	out, err := lockstep("", "scrub", "now", "--config", s.config)
	if err == nil || !strings.Contains(out, "things put right") || !strings.Contains(out, "damaged and not served: ") {
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

// backedUpSick is a running server with mail and a configured backup of it.
func backedUpSick(t *testing.T) (s *sick, to string) {
	t.Helper()
	s = newSick(t)
	to = filepath.Join(t.TempDir(), "backup")
	f, err := os.OpenFile(s.config, os.O_APPEND|os.O_WRONLY, 0)
	if err == nil {
		_, err = f.WriteString("\n[backup]\nto = " + strconv.Quote(to) + "\n")
		err = errors.Join(err, f.Close())
	}
	if err != nil {
		t.Fatal(err)
	}
	s.start()
	return s, to
}

func TestAScrubMendsFromTheBackupByteForByte(t *testing.T) {
	t.Parallel()
	s, _ := backedUpSick(t)
	s.lockstep("", "backup")
	s.damagePacks(2)
	s.sql("UPDATE content SET parsed = x'ff00' WHERE message_id = '3@doctor.example'")
	out := s.lockstep("", "scrub", "now")
	if !strings.Contains(out, "from the backup") {
		t.Errorf("%s", out)
	}
	if saw := s.fetchAll(); !slices.Equal(saw, s.saw) {
		t.Errorf("the client sees other mail than before: %d lines, %d before", len(saw), len(s.saw))
	}
	if n := s.metric("blob_damaged", ""); n != 0 {
		t.Errorf("%d are said to be damaged", n)
	}
	if n := s.metric("scrub_findings_total", `result="restored"`); n == 0 {
		t.Error("no metric says that something was restored")
	}
	s.damagePacks(3)
	if out := s.lockstep("", "doctor"); !strings.Contains(out, "and was fetched from the backup") || strings.Contains(out, "what is shown of") {
		t.Errorf("the doctor\n%s", out)
	}
	if saw := s.fetchAll(); !slices.Equal(saw, s.saw) {
		t.Error("after the doctor, the client sees other mail than before")
	}
	s.stop()
}

func TestADrillTellsWhetherTheBackupWouldComeBack(t *testing.T) {
	t.Parallel()
	s, to := backedUpSick(t)
	if out, err := lockstep("", "doctor", "--fast", "--config", s.config); err == nil || !strings.Contains(out, "no backup was made yet: run lockstep backup") {
		t.Errorf("before the first backup: %v\n%s", err, out)
	}
	if out, err := lockstep("", "backup", "drill", "--config", s.config); err == nil || !strings.Contains(out, "there is no backup in") {
		t.Errorf("%v\n%s", err, out)
	}
	s.lockstep("", "backup")
	if out := s.lockstep("", "backup", "drill"); !strings.Contains(out, fmt.Sprintf("1 account and %d messages", sickMessages)) || !strings.Contains(out, "stored messages and parts were opened") {
		t.Errorf("%s", out)
	}
	if out := s.lockstep("", "backup", "status"); !strings.Contains(out, "Backup: the last was made just now") || !strings.Contains(out, "Drill: the last was made just now") || !strings.Contains(out, "every 24 h; a drill every 7 d") {
		t.Errorf("%s", out)
	}
	if out := s.lockstep("", "doctor", "--fast"); !strings.Contains(out, "messages of the point of") || !strings.Contains(out, "All is well.") {
		t.Errorf("%s", out)
	}
	s.kill()
	left := filepath.Join(s.dir, "drill", "drill.db.part")
	if err := os.WriteFile(left, []byte("what a drill that was killed left"), 0o600); err != nil {
		t.Fatal(err)
	}
	s.start()
	if _, err := os.Stat(left); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("what a killed drill left is still there: %v", err)
	}
	var extent string
	err := filepath.WalkDir(filepath.Join(to, "packs"), func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			extent = path
		}
		return err
	})
	if err != nil || extent == "" {
		t.Fatalf("no extent: %v", err)
	}
	if err := os.Chmod(extent, 0o600); err != nil {
		t.Fatal(err)
	}
	flip(t, extent, 5000)
	if out, err := lockstep("", "backup", "drill", "--config", s.config); err == nil || !strings.Contains(out, "its bytes changed") || !strings.Contains(out, "would not come back whole") {
		t.Errorf("%v\n%s", err, out)
	}
	if out, err := lockstep("", "doctor", "--fast", "--config", s.config); err == nil || !strings.Contains(out, "Drill: the last one failed") || !strings.Contains(out, "What to do: ") {
		t.Errorf("%v\n%s", err, out)
	}
	if out, err := lockstep("", "backup", "status", "--config", s.config); err == nil {
		t.Errorf("the status ends well\n%s", out)
	}
	if n := s.metric("drill_failures", ""); n != 1 {
		t.Errorf("the metric says %d", n)
	}
	s.stop()
}
