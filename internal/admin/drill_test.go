package admin

import (
	"strings"
	"testing"
	"time"

	"lockstep/internal/upkeep"
)

func TestStandingIsToldInALineEach(t *testing.T) {
	now := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	ago := func(d time.Duration) time.Time { return now.Add(-d) }
	good := upkeep.JobStatus{Record: upkeep.Record{Began: ago(3 * time.Hour), Ended: ago(3 * time.Hour), Said: "12 accounts agree"}, Every: 24 * time.Hour, Next: now.Add(21 * time.Hour)}
	failed := good
	failed.Failed, failed.Times, failed.Err = ago(10*time.Minute), 4, "the disk is full"
	late := good
	late.Began, late.Ended = ago(72*time.Hour), ago(72*time.Hour)
	under := late
	under.Since = ago(10 * time.Minute)
	never := upkeep.JobStatus{Every: 24 * time.Hour}
	first := never
	first.Since = ago(time.Minute)
	neverGood := upkeep.JobStatus{Record: upkeep.Record{Failed: ago(time.Hour), Times: 1, Err: "there is no backup in /mnt"}, Every: 24 * time.Hour}
	for _, c := range []struct {
		name  string
		s     BackupStanding
		wrong []bool
		words []string
	}{
		{"nothing is configured", BackupStanding{}, []bool{false}, []string{"[backup] to = "}},
		{"all is well", BackupStanding{To: "/mnt", Backup: good, Drill: good}, []bool{false, false}, []string{"Backup: the last was made 3 h ago: 12 accounts agree; the next in 21 h.", "Drill: the last was made 3 h ago"}},
		{"none yet", BackupStanding{To: "/mnt", Backup: never, Drill: never, Missing: true}, []bool{true}, []string{"no backup was made yet: run lockstep backup"}},
		{"none yet, but followed", BackupStanding{To: "/mnt", Backup: never, Drill: never, Follow: &Shipped{}}, []bool{false, false}, []string{"no backup was made yet"}},
		{"none yet, but of who was restored here", BackupStanding{To: "/mnt", Backup: never, Drill: never}, []bool{false}, []string{"no backup was made yet"}},
		{"the first is under way", BackupStanding{To: "/mnt", Backup: first, Drill: never, Missing: true}, []bool{false}, []string{"one is under way"}},
		{"the first failed", BackupStanding{To: "/mnt", Backup: neverGood, Drill: never}, []bool{true}, []string{"There was never a good one. What to do: "}},
		{"failing", BackupStanding{To: "/mnt", Backup: failed, Drill: good}, []bool{true, false}, []string{"the last 4 failed, 10 min ago: the disk is full. The last good one was 3 h ago."}},
		{"overdue", BackupStanding{To: "/mnt", Backup: late, Drill: good}, []bool{true, false}, []string{"it is overdue, as one is wanted every 24 h"}},
		{"overdue and under way", BackupStanding{To: "/mnt", Backup: under, Drill: good}, []bool{false, false}, []string{"one is under way since 10 min"}},
		{"followed", BackupStanding{To: "/mnt", Backup: good, Drill: good, Follow: &Shipped{Lag: 1200 * time.Millisecond}}, []bool{false, false, false}, []string{"Following: all but the last 1.2s is in the backup."}},
		{"not followed", BackupStanding{To: "/mnt", Backup: good, Drill: good, Follow: &Shipped{Failing: ago(5 * time.Minute), Err: "no network"}}, []bool{false, true, false}, []string{"Following: the backup is not reached since 5 min: no network. What changed since is here only"}},
		{"the drill failed", BackupStanding{To: "/mnt", Backup: good, Drill: failed}, []bool{false, true}, []string{"lockstep backup --fresh"}},
		{"by hand, elsewhere is none configured", BackupStanding{To: "", Backup: good, Drill: upkeep.JobStatus{}}, []bool{false, false}, []string{"none was made yet: lockstep backup drill"}},
	} {
		lines := c.s.Lines(now)
		text := ""
		for i, l := range lines {
			text += l.Text + "\n"
			if i < len(c.wrong) && l.Wrong != c.wrong[i] {
				t.Errorf("%s: %q is wrong: %v", c.name, l.Text, l.Wrong)
			}
		}
		if len(lines) != len(c.wrong) {
			t.Errorf("%s: %d lines, want %d:\n%s", c.name, len(lines), len(c.wrong), text)
		}
		for _, words := range c.words {
			if !strings.Contains(text, words) {
				t.Errorf("%s:\n%swant %q", c.name, text, words)
			}
		}
	}
}

func TestScrubIsToldInALine(t *testing.T) {
	now := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	last := &upkeep.Pass{Began: now.Add(-30 * time.Hour), Ended: now.Add(-25 * time.Hour)}
	bad := &upkeep.Pass{Began: last.Began, Ended: last.Ended, Findings: upkeep.Findings{Mended: 1, Restored: 2, Left: []string{"x"}, Skipped: []string{"y"}}}
	pass := &upkeep.Pass{Began: now.Add(-time.Hour), Stage: upkeep.StageBytes, Bytes: 25}
	for _, c := range []struct {
		st   upkeep.Status
		want string
	}{
		{upkeep.Status{Every: time.Hour}, "Scrub: the first pass begins some minutes after the server's start."},
		{upkeep.Status{}, "Scrub: nothing was looked at yet; scrub.every is 0s, so it runs only when asked to: lockstep scrub now."},
		{upkeep.Status{Every: 48 * time.Hour, Last: last}, "Scrub: everything was last looked at 25 h ago, and nothing was wrong."},
		{upkeep.Status{Every: 48 * time.Hour, Last: bad}, "Scrub: everything was last looked at 25 h ago, and 3 things put right, 2 of them from the backup, 1 thing left wrong, 1 thing passed over."},
		{upkeep.Status{Every: 48 * time.Hour, Last: last, Damaged: 2}, "Scrub: everything was last looked at 25 h ago, and nothing was wrong; known to be damaged and not served: 2 blobs."},
		{upkeep.Status{Every: 48 * time.Hour, Pass: pass, Packs: 100, Rate: 8}, "Scrub: the first pass is under way; 25% of the pass that began 60 min ago is done."},
		{upkeep.Status{Every: time.Hour, Last: last, Packs: 1 << 40, Rate: 1 << 20}, "Scrub: everything was last looked at 25 h ago, and nothing was wrong; a pass takes 12 d at scrub.rate, longer than scrub.every: raise one of them."},
		{upkeep.Status{Every: time.Hour, Pass: pass, Packs: 100, Rate: 8, Err: "no disk"}, "Scrub: the first pass is under way; 25% of the pass that began 60 min ago is done; it broke off and will go on: no disk."},
	} {
		if got := ScrubText(c.st, now); got != c.want {
			t.Errorf("got  %s\nwant %s", got, c.want)
		}
	}
}
