package sqlstore

import (
	"context"
	"encoding/binary"
	"errors"
	"slices"

	"lockstep/internal/mail"
)

// bookkept are the tables in which rows change without the account's own row: what is
// no change of mail takes no ModSeq.
var bookkept = []string{"account", "mailbox", "device", "cursor", "memory", "upload", "deleting", "flood", "member", "seen", "object"}

// Changed returns, in order, the accounts of which the target is not what the source
// is, as far as their own rows and the bookkeeping say, and those that only the target
// has. It reads these tables of all accounts on both sides, in the order of their keys,
// and holds nothing but its answer: 1 000 000 rows take a second or two.
func Changed(ctx context.Context, from, to *Side) (changed, gone []mail.AccountID, err error) {
	differ := map[mail.AccountID]bool{}
	for _, t := range from.accounts {
		if !slices.Contains(bookkept, t.name) {
			continue
		}
		err := comparePerAccount(ctx, from, to, t, func(id mail.AccountID, only bool) {
			if only && t.isAccount() {
				gone = append(gone, id)
			}
			differ[id] = true
		})
		if err != nil {
			return nil, nil, err
		}
	}
	for _, id := range gone {
		delete(differ, id)
	}
	for id := range differ {
		changed = append(changed, id)
	}
	slices.Sort(changed)
	return changed, gone, nil
}

// comparePerAccount calls fn with each account whose rows of a table differ; only says
// that just the target has any.
func comparePerAccount(ctx context.Context, from, to *Side, t *carried, fn func(id mail.AccountID, only bool)) error {
	a, b := newSummer(ctx, from, t), newSummer(ctx, to, t)
	if err := errors.Join(a.next(), b.next()); err != nil {
		return err
	}
	for a.more || b.more {
		var err error
		switch {
		case a.more && (!b.more || a.id < b.id):
			fn(a.id, false)
			err = a.next()
		case b.more && (!a.more || b.id < a.id):
			fn(b.id, true)
			err = b.next()
		default:
			if a.sum != b.sum {
				fn(a.id, false)
			}
			err = errors.Join(a.next(), b.next())
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// A summer adds up the rows of each account in a table, in the order of accounts.
type summer struct {
	t     *carried
	rows  *rowReader
	ahead record // of the next account
	has   bool
	begun bool

	id   mail.AccountID
	sum  Sum
	more bool
}

func newSummer(ctx context.Context, s *Side, t *carried) *summer {
	all := *t
	all.ofOne = false // its rows of all accounts are wanted
	return &summer{t: &all, rows: newRowReader(&all, 0, func(fn func(conn) error) error {
		if err := ctx.Err(); err != nil {
			return err
		}
		return s.ask(ctx, fn)
	})}
}

func (s *summer) next() (err error) {
	if !s.begun {
		s.begun = true
		if s.ahead, s.has, err = s.rows.next(); err != nil {
			return err
		}
	}
	s.more, s.sum = s.has, Sum{}
	if !s.has {
		return nil
	}
	s.id = s.accountOf(s.ahead)
	for s.has && s.accountOf(s.ahead) == s.id {
		s.sum.add(s.ahead.body)
		if s.ahead, s.has, err = s.rows.next(); err != nil {
			return err
		}
	}
	return nil
}

func (s *summer) accountOf(r record) (id mail.AccountID) {
	fields(r.body, func(i int, value []byte, _ bool) {
		if i == s.t.key[0] {
			id = mail.AccountID(binary.BigEndian.Uint64(value))
		}
	})
	return id
}

// Weights returns how many messages each account has.
func (s *Side) Weights(ctx context.Context) (map[mail.AccountID]int64, error) {
	all := map[mail.AccountID]int64{}
	err := s.ask(ctx, func(c conn) error {
		return c.query(selectWeights, func(r row) error { all[mail.AccountID(r.num(0))] = r.num(1); return nil })
	})
	return all, err
}

const selectWeights = "SELECT account_id, emails FROM account"
