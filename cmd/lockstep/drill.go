package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"lockstep/internal/admin"
	"lockstep/internal/backup"
)

type backupDrill struct {
	From string `help:"The backup. Default: backup.to." placeholder:"DIR|s3://BUCKET/PREFIX"`
	All  bool   `help:"Read and open every stored message, not 1 GiB of them chosen by chance."`
}

// Help is what --help says below the flags.
func (*backupDrill) Help() string {
	return `Brings the whole database of the newest point back into a scratch directory (backup.scratch), checks it,
compares every account with what was recorded when the point was made, sees that every stored message
is there, and opens some of them. Then it removes all that. The exit status is 0 when the backup would
come back, and 1 when it would not or when that could not be found out. The server may run or not.`
}

func (b *backupDrill) Run(ctx context.Context, g *globals) error {
	line := &statusLine{}
	err := g.with(ctx, func(c *admin.Client) error {
		return admin.BackupDrill.Each(ctx, c, admin.DrillOf{From: absolute(b.From), All: b.All}, func(s admin.DrillStep) error {
			switch {
			case s.Progress != nil:
				line.show(drillProgress(*s.Progress))
			case s.Result != nil:
				line.clear()
				return sayDrilled(*s.Result)
			}
			return nil
		})
	})
	line.clear()
	return err
}

func drillProgress(p backup.DrillProgress) string {
	text := "Trying the " + p.Stage
	if p.Total > 0 {
		text += fmt.Sprintf(": %s of %s", bytesText(p.Done), bytesText(p.Total))
	}
	return text
}

func sayDrilled(d backup.Drilled) error {
	if d.WrongAll == 0 {
		fmt.Printf("The backup would come back: %s. %s of %s of mail were read, in %s.\n", admin.DrillText(d), bytesText(d.Bytes), bytesText(d.Of), d.Took.Round(time.Millisecond))
		return nil
	}
	for _, what := range d.Wrong {
		fmt.Println(what)
	}
	if n := d.WrongAll - len(d.Wrong); n > 0 {
		fmt.Printf("… and %d more.\n", n)
	}
	return fmt.Errorf("the backup would not come back whole: %s wrong with it, see above. Make a whole new one now with lockstep backup --fresh; an older point may be better (lockstep backup list)", things(d.WrongAll))
}

type backupStatus struct{}

// Help is what --help says below the flags.
func (*backupStatus) Help() string {
	return "The exit status is 1 when a backup or a drill failed, or is overdue."
}

func (*backupStatus) Run(ctx context.Context, g *globals) error {
	return g.with(ctx, func(c *admin.Client) error {
		s, err := admin.BackupStatus.One(ctx, c, admin.Nothing{})
		if err != nil {
			return err
		}
		if s.To != "" {
			fmt.Printf("To %s, %s; a drill %s.\n", s.To, every(s.Backup.Every), every(s.Drill.Every))
		}
		wrong := false
		for _, l := range s.Lines(time.Now()) {
			fmt.Println(l.Text)
			wrong = wrong || l.Wrong
		}
		if wrong {
			return errors.New("somebody has to see to this; see above")
		}
		return nil
	})
}

func every(d time.Duration) string {
	if d == 0 {
		return "only when asked for"
	}
	return "every " + admin.Span(d)
}
