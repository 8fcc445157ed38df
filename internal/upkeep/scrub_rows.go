package upkeep

import (
	"cmp"
	"context"
	"slices"
	"strconv"
	"time"

	"lockstep/internal/mail"
	"lockstep/internal/store"
)

// rows looks over every account, oldest first.
func (s *Scrub) rows(ctx context.Context) error {
	all, err := s.Accounts(ctx)
	if err != nil {
		return err
	}
	slices.SortFunc(all, func(a, b store.Principal) int { return cmp.Compare(a.Account, b.Account) })
	after, _ := strconv.ParseInt(s.at().After, 10, 64) // what was written by hand begins anew
	for _, p := range all {
		if int64(p.Account) <= after {
			continue
		}
		if err := s.account(ctx, p); err != nil {
			return err
		}
		s.moved(func(pass *Pass) {
			pass.After, pass.Accounts = strconv.FormatInt(int64(p.Account), 10), pass.Accounts+1
		})
		if err := s.rest(ctx, 0); err != nil {
			return err
		}
	}
	return nil
}

// account looks over one account, and puts right what is derived.
func (s *Scrub) account(ctx context.Context, p store.Principal) error {
	var wrong []string
	err := s.gently(ctx, func() (err error) {
		s.pace.begin()
		wrong, err = s.Rows.LookOver(ctx, p.Account)
		return err
	})
	if err == nil && len(wrong) > 0 {
		err = s.putRight(ctx, p)
	}
	if err == nil {
		err = s.contents(ctx, p)
	}
	return s.passOver(ctx, p.Login, err)
}

func (s *Scrub) putRight(ctx context.Context, p store.Principal) error {
	problems, err := Recount(ctx, s.Rows, p.Account, true)
	for _, found := range problems {
		s.wrong(ctx, p.Login+": "+found.What, found.Right)
	}
	return err
}

// wrong notes what was wrong, and whether it was put right.
func (s *Scrub) wrong(ctx context.Context, what string, right bool) {
	if right {
		s.Log.WarnContext(ctx, "scrub: put right", "what", what)
		s.note(func(f *Findings, st *Stats) { f.PutRight++; st.PutRight++ })
		return
	}
	s.Log.ErrorContext(ctx, "scrub: this can't be made anew from what is stored", "what", what)
	s.note(func(f *Findings, st *Stats) { f.Left = appendUpTo(f.Left, what); st.LeftWrong++ })
}

// passOver goes on after an error with one thing; what has gone is none.
func (s *Scrub) passOver(ctx context.Context, what string, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if err != nil && mail.KindOf(err) != mail.NotFound {
		s.skip(ctx, what, err)
	}
	return nil
}

// tables has the database check itself, table by table.
func (s *Scrub) tables(ctx context.Context) error {
	tables, err := s.Rows.Tables(ctx)
	if err != nil {
		return err
	}
	slices.Sort(tables)
	for _, table := range tables {
		if table <= s.at().After {
			continue
		}
		if err := s.table(ctx, table); err != nil {
			return err
		}
		s.moved(func(p *Pass) { p.After, p.Tables = table, p.Tables+1 })
		if err := s.rest(ctx, 0); err != nil {
			return err
		}
	}
	return nil
}

func (s *Scrub) table(ctx context.Context, table string) error {
	wrong, left, err := s.Table(ctx, table, true)
	for _, what := range wrong {
		s.wrong(ctx, what, !slices.Contains(left, what))
	}
	return s.passOver(ctx, "the table "+table, err)
}

// Table has the database check a table, and waits where people are at work.
func (s *Scrub) Table(ctx context.Context, table string, repair bool) (wrong, left []string, err error) {
	err = s.gently(ctx, func() (err error) {
		wrong, left, err = s.Rows.Integrity(ctx, table, repair)
		return err
	})
	return wrong, left, err
}

// Work that gave way to people is tried again after a pause.
const (
	gentleTries = 6
	gentlePause = 10 * time.Second // doubled each time
)

func (s *Scrub) gently(ctx context.Context, fn func() error) error {
	pause := gentlePause
	for range gentleTries - 1 {
		if err := fn(); mail.KindOf(err) != mail.Unavailable || err == nil {
			return err
		}
		if err := sleep(ctx, pause); err != nil {
			return err
		}
		pause *= 2
	}
	return fn()
}

// A Problem is something that was found wrong with an account.
type Problem struct {
	What  string
	Right bool // it was put right
}

// Recount counts everything derived in an account, says what differs and with repair
// puts it right.
func Recount(ctx context.Context, k store.Checker, id mail.AccountID, repair bool) ([]Problem, error) {
	found, err := k.Check(ctx, id, repair)
	if err != nil || len(found) == 0 {
		return nil, err
	}
	left := found
	if repair {
		if left, err = k.Check(ctx, id, false); err != nil {
			return nil, err
		}
	}
	var all []Problem
	for _, what := range found {
		all = append(all, Problem{what, !slices.Contains(left, what)})
	}
	return all, nil
}
