package admin

import (
	"context"
	"fmt"

	"lockstep/internal/mail"
	"lockstep/internal/search"
	"lockstep/internal/store"
)

// Indexed is how the search index of an account stands, or how far it has got.
type Indexed struct {
	Login    string
	Messages int64
	Unread   int64 // could not be read
	Partly   int64 // have an attachment that could not be read
	Bytes    int64 // on disk
	State    string
	Done     bool // of a rebuild: this account's is made
}

// What the state of an index is called.
const (
	indexCurrent = "up to date"
	indexFilling = "being made"
	indexNone    = "none yet"
)

// SearchStatus asks how the search indexes stand; a Login of "" is every account's.
var SearchStatus = Verb[OfAccount, Indexed]{"search/status", (*Ops).searchStatus}

// SearchRebuild makes the search index of an account anew, or of every account. It
// tells how far it is.
var SearchRebuild = Verb[OfAccount, Indexed]{"search/rebuild", (*Ops).searchRebuild}

func (o *Ops) searchStatus(ctx context.Context, q OfAccount, emit func(Indexed) error) error {
	return o.eachAccount(ctx, q.Login, func(p store.Principal) error {
		row, err := o.indexed(ctx, p)
		if err != nil {
			return err
		}
		return emit(row)
	})
}

func (o *Ops) indexed(ctx context.Context, p store.Principal) (Indexed, error) {
	row := Indexed{Login: p.Login, State: indexNone}
	s, err := o.Search.Status(ctx, p.Account)
	switch {
	case err == nil:
		row.Messages, row.Unread, row.Partly, row.Bytes, row.State = s.Messages, s.Unread, s.Partly, s.Bytes, indexCurrent
		if s.Filling {
			row.State = indexFilling
		}
	case mail.KindOf(err) == mail.NotFound || mail.KindOf(err) == mail.Corrupt: // it will be made
		err = nil
	}
	return row, err
}

// isIndexed reports whether an account has an index, or is to have one. Where nodes
// share them, it is made when somebody has use for it.
func (o *Ops) isIndexed(ctx context.Context, p store.Principal) (bool, error) {
	if o.Search.IsAlone() {
		return true, nil
	}
	row, err := o.indexed(ctx, p)
	return row.State != indexNone, err
}

func (o *Ops) searchRebuild(ctx context.Context, q OfAccount, emit func(Indexed) error) error {
	return o.eachAccount(ctx, q.Login, func(p store.Principal) error {
		if there, err := o.isIndexed(ctx, p); err != nil || !there && q.Login == "" {
			return err
		}
		err := o.Search.Rebuild(ctx, p.Account, func(n int64) error {
			return emit(Indexed{Login: p.Login, Messages: n, State: indexFilling})
		})
		if err != nil {
			return fmt.Errorf("%s: %w", p.Login, err)
		}
		row, err := o.indexed(ctx, p)
		if err != nil {
			return err
		}
		row.Done = true
		return emit(row)
	})
}

// eachAccount calls fn with an account, or with all of them.
func (o *Ops) eachAccount(ctx context.Context, login string, fn func(store.Principal) error) error {
	if login != "" {
		p, err := o.principal(ctx, login)
		if err != nil {
			return err
		}
		return fn(p)
	}
	all, err := o.Directory.Accounts(ctx)
	for _, p := range all {
		if err == nil {
			err = fn(p)
		}
	}
	return err
}

// index looks at the search index of an account. What is wrong with it, or made of
// what the doctor put right, is made anew.
func (x *examination) index(ctx context.Context, p store.Principal) error {
	if x.o.Search == nil {
		return nil
	}
	problems, err := x.o.Search.Check(ctx, p.Account, !x.q.LookOnly)
	if err != nil {
		return err
	}
	for _, what := range problems {
		if err := x.found(p.Login, !x.q.LookOnly, "%s", what); err != nil {
			return err
		}
	}
	switch {
	case x.reparsed && !x.o.Search.IsAlone():
		err = x.o.Search.Renew(ctx, p.Account)
	case x.reparsed && len(problems) == 0:
		err = x.o.Search.Rebuild(ctx, p.Account, func(int64) error { return nil })
	}
	x.reparsed = false
	if err != nil {
		return err
	}
	row, err := x.o.indexed(ctx, p)
	if row.State != indexNone || x.o.Search.IsAlone() {
		x.indexed.add(row)
	}
	return err
}

// indexes is what the doctor saw of them.
type indexes struct {
	messages, unread, partly int64
	incomplete               int // accounts
}

func (s *indexes) add(row Indexed) {
	s.messages += row.Messages
	s.unread += row.Unread
	s.partly += row.Partly
	if row.State != indexCurrent {
		s.incomplete++
	}
}

// note says how the search indexes stand in one line.
func (s *indexes) note(lag search.Lag) string {
	text := "The search index holds " + counted(s.messages, "message")
	if s.incomplete > 0 {
		text += fmt.Sprintf("; it is not made yet for %s, whose searches read meanwhile", counted(s.incomplete, "account"))
	}
	if lag.Accounts > 0 {
		text += fmt.Sprintf("; it has not looked at %s for up to %.1f s", counted(lag.Accounts, "account"), lag.Time.Seconds())
	}
	if s.unread > 0 {
		text += fmt.Sprintf("; %s could not be read for it", counted(s.unread, "message"))
	}
	if s.partly > 0 {
		text += fmt.Sprintf("; attachments of %s could not be read for it", counted(s.partly, "message"))
	}
	return text + "."
}

// counted is a number of things in words.
func counted[T int | int64](n T, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}
