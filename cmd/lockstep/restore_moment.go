package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"lockstep/internal/admin"
	"lockstep/internal/backup"
	"lockstep/internal/mail"
	"lockstep/internal/past"
)

// pick returns the point to restore: the newest that is not after the time, or for the
// exact moment the first that is not before it, since history leads back and not ahead.
func (r *restoreCommand) pick(ctx context.Context, repo *backup.Repo, at time.Time) (backup.Point, error) {
	if !r.Exact {
		return repo.Newest(ctx, at)
	}
	points, err := repo.Points(ctx)
	if err != nil {
		return backup.Point{}, err
	}
	i := slices.IndexFunc(points, func(p backup.Point) bool { return !p.Time.Before(at) })
	if i < 0 { // nothing is known of what came after the last
		return repo.Newest(ctx, at)
	}
	return points[i], nil
}

// momentFile is the file in a directory that is restored to a moment, while what came after
// the moment is not taken back yet in every account: nobody serves it.
const momentFile = "restoring-to"

// maxMomentFile bounds what is read of it.
const maxMomentFile = 1 << 10

// toEnd is what is to be remembered until a restore to a moment has ended.
func (r *restoreCommand) toEnd(at time.Time) map[string][]byte {
	if !r.Exact {
		return nil
	}
	return map[string][]byte{momentFile: []byte(at.UTC().Format(time.RFC3339Nano) + "\n")}
}

// unendedMoment is the moment that a directory is on its way to; zero is none.
func unendedMoment(data string) (at time.Time, err error) {
	f, err := os.Open(filepath.Join(data, momentFile))
	if errors.Is(err, fs.ErrNotExist) {
		return at, nil
	}
	if err != nil {
		return at, err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxMomentFile))
	if err == nil {
		at, err = time.Parse(time.RFC3339Nano, strings.TrimSpace(string(text)))
	}
	if err != nil {
		return at, fmt.Errorf("%s says no moment: %w", f.Name(), err)
	}
	return at, nil
}

// goOn ends a restore to a moment that was cut after the point was back: the same command
// does, and it needs neither the backup nor the time.
func (r *restoreCommand) goOn(ctx context.Context, g *globals) (ended bool, err error) {
	cfg, err := g.load()
	if err != nil || !r.Exact {
		return false, err
	}
	at, err := unendedMoment(cfg.Data)
	if err != nil || at.IsZero() {
		return false, err
	}
	if _, err := os.Stat(filepath.Join(cfg.Data, backup.RestoreMark)); err == nil {
		return false, nil // the point is not back yet
	}
	fmt.Fprintf(os.Stderr, "Everything is back as of the point: going on to %s, as was begun.\n", localTime(at))
	return true, r.takeBack(ctx, g, cfg.Data, at)
}

// mustBeEnded refuses to serve a directory that is on its way to a moment.
func mustBeEnded(data string) error {
	at, err := unendedMoment(data)
	if err != nil || at.IsZero() {
		return err
	}
	return fmt.Errorf("%s was to be as of %s, and what came after is there yet: lockstep restore --exact --data %[1]s ends that. To serve it as it is, remove %s", data, localTime(at), filepath.Join(data, momentFile))
}

// takeBack makes every account of a directory that was just restored what it was at the
// moment asked for. What can't be, because its history does not reach back so far, is
// named; all else is done. Cut short, or where something failed that may not again, the same
// command goes on.
func (r *restoreCommand) takeBack(ctx context.Context, g *globals, data string, at time.Time) error {
	again := fmt.Sprintf("the same command goes on, or: lockstep restore --exact --data %s", data)
	var left []string
	failed := error(nil)
	err := g.with(ctx, func(c *admin.Client) error {
		accounts, err := admin.AccountList.All(ctx, c, admin.Nothing{})
		if err != nil {
			return err
		}
		for _, a := range accounts {
			switch err := takeBackOne(ctx, c, a.Login, at); {
			case ctx.Err() != nil:
				return ctx.Err()
			case isBeforeAll(err):
				fmt.Fprintf(os.Stderr, "%s is left as of the point: %v\n", a.Login, err)
				left = append(left, a.Login)
			case err != nil:
				failed = errors.Join(failed, fmt.Errorf("%s: %w", a.Login, err))
			}
		}
		return failed
	})
	if err != nil {
		return fmt.Errorf("%w. Not every account is as of %s yet: %s", err, localTime(at), again)
	}
	if err := os.Remove(filepath.Join(data, momentFile)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if len(left) > 0 {
		return errors.New("left as of the point: " + strings.Join(left, ", ") + "; everything else is as of the moment")
	}
	return nil
}

// isBeforeAll says that an account's history does not reach back to the moment.
func isBeforeAll(err error) bool {
	k := mail.KindOf(err)
	return err != nil && (k == mail.TooOld || k == mail.NotFound)
}

func takeBackOne(ctx context.Context, c *admin.Client, login string, at time.Time) error {
	q := admin.Wanted{AsOf: admin.AsOf{Login: login, When: past.When{Time: at}}, Mode: past.Exact, Apply: true}
	var last admin.Restoring
	if err := admin.PastRestore.Each(ctx, c, q, func(now admin.Restoring) error { last = now; return nil }); err != nil {
		return err
	}
	if last.Report.IsEmpty() {
		fmt.Printf("%s: nothing came after %s.\n", login, localTime(at))
		return nil
	}
	fmt.Printf("%s, as of %s: %s\n", login, localTime(at), inOneLine(&last.Report))
	sayLeft(&last.Report)
	return nil
}
