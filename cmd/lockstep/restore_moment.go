package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"lockstep/internal/admin"
	"lockstep/internal/backup"
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

// takeBack makes every account of a directory that was just restored what it was at the
// moment asked for. What can't be, because its history does not reach back so far, is
// named; all else is done.
func (r *restoreCommand) takeBack(ctx context.Context, g *globals, at time.Time) error {
	when := past.When{Time: at}
	return g.with(ctx, func(c *admin.Client) error {
		accounts, err := admin.AccountList.All(ctx, c, admin.Nothing{})
		if err != nil {
			return err
		}
		var left []string
		for _, a := range accounts {
			q := admin.Wanted{AsOf: admin.AsOf{Login: a.Login, When: when}, Mode: past.Exact, Apply: true}
			var last admin.Restoring
			err := admin.PastRestore.Each(ctx, c, q, func(now admin.Restoring) error { last = now; return nil })
			switch {
			case ctx.Err() != nil:
				return ctx.Err()
			case err != nil:
				fmt.Fprintf(os.Stderr, "%s is left as of the point: %v\n", a.Login, err)
				left = append(left, a.Login)
			case last.Report.IsEmpty():
				fmt.Printf("%s: nothing came after %s.\n", a.Login, localTime(at))
			default:
				fmt.Printf("%s, as of %s: %s\n", a.Login, localTime(at), inOneLine(&last.Report))
				sayLeft(&last.Report)
			}
		}
		if len(left) > 0 {
			return errors.New("left as of the point: " + strings.Join(left, ", ") + "; everything else is as of the moment")
		}
		return nil
	})
}
