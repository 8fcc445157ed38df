package main

import (
	"context"
	"fmt"
	"os"
	"time"

	"lockstep/internal/admin"
)

// follow begins to ship what changes, if that is configured. end ships what is left; it
// is called once nobody changes anything any more.
func (h *house) follow() (end func() error) {
	if h.follower == nil {
		return func() error { return nil }
	}
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- h.backups.Follow(ctx, "", h.follower) }()
	return func() error {
		stop()
		if err := <-ended; err != nil {
			h.log.Warn("backup: the last changes did not reach the target; they do at the next start", "err", err)
		}
		return nil
	}
}

// follow ships what changes until it is interrupted.
func (b *backupMake) follow(ctx context.Context, g *globals, line *statusLine) error {
	var last admin.FollowStep
	err := g.with(ctx, func(c *admin.Client) error {
		return admin.BackupFollow.Each(ctx, c, admin.BackupOf{To: absolute(b.To)}, func(s admin.FollowStep) error {
			if s.Recovery != "" {
				line.clear()
				sayRecovery(s.Recovery)
				return nil
			}
			if s.Why != "" && s.Why != last.Why {
				line.clear()
				fmt.Fprintf(os.Stderr, "%s It is tried again; %s to be shipped, for %s so far.\n", sentence(s.Why), inWords(s.Commits, "change"), s.Lag.Round(time.Second))
			}
			last = s
			line.show(followText(s))
			return nil
		})
	})
	line.clear()
	if ctx.Err() != nil && last.Points > 0 {
		fmt.Printf("Ended. The backup is of %s; the next one goes on with it.\n", localTime(last.As))
	}
	return err
}

// sentence ends a text as one.
func sentence(text string) string {
	if text != "" && text[len(text)-1] != '.' {
		return text + "."
	}
	return text
}

func followText(s admin.FollowStep) string {
	if s.Points == 0 {
		return "Copying what was not copied yet …"
	}
	if s.Commits == 0 {
		return fmt.Sprintf("All is in the backup, as of %s; %s sent in %s", localTime(s.As), bytesText(s.Bytes), inWords(s.Points, "point"))
	}
	return fmt.Sprintf("%s to be shipped, for %s so far; %s sent in %s", inWords(s.Commits, "change"), s.Lag.Round(100*time.Millisecond), bytesText(s.Bytes), inWords(s.Points, "point"))
}
