package sqlstore

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"math/bits"

	"lockstep/internal/mail"
)

// A Sum is what a set of rows is: how many, and the sum of their SHA-256 digests, so
// that the order in which an engine gives them does not matter.
type Sum struct {
	Rows int64
	Hash [4]uint64
}

// add adds a row's record.
func (s *Sum) add(body []byte) {
	h := sha256.Sum256(body)
	carry := uint64(0)
	for i := range s.Hash {
		s.Hash[i], carry = bits.Add64(s.Hash[i], binary.LittleEndian.Uint64(h[8*i:]), carry)
	}
	s.Rows++
}

// A Proof is what a database, or an account in it, holds, table by table.
type Proof map[string]Sum

// ProveAccount reads all rows of an account, as both engines see them, on one snapshot.
func (s *Side) ProveAccount(ctx context.Context, id mail.AccountID) (p Proof, err error) {
	err = s.snapshot(ctx, func(c conn) error {
		p = Proof{}
		for _, t := range s.accounts {
			r := newRowReader(t, id, func(fn func(conn) error) error { return errors.Join(ctx.Err(), fn(c)) })
			if t.name == "thread_name" {
				if r.over, err = waitingNames(ctx, s, t, id); err != nil {
					return err
				}
			}
			sum, err := sumOf(r.next)
			if err != nil {
				return err
			}
			p[t.name] = sum
		}
		return nil
	})
	return p, err
}

// ProveGlobals does the same for what belongs to no account.
func (s *Side) ProveGlobals(ctx context.Context) (p Proof, err error) {
	p = Proof{}
	for _, t := range s.globals {
		r := newRowReader(t, 0, func(fn func(conn) error) error { return errors.Join(ctx.Err(), s.ask(ctx, fn)) })
		if p[t.name], err = sumOf(r.next); err != nil {
			return nil, err
		}
	}
	return p, nil
}

func sumOf(next rowSource) (sum Sum, err error) {
	for {
		rec, found, err := next()
		if err != nil || !found {
			return sum, err
		}
		sum.add(rec.body)
	}
}

// Add adds what another proof says of other rows.
func (p Proof) Add(o Proof) {
	for name, b := range o {
		a := p[name]
		a.Rows += b.Rows
		carry := uint64(0)
		for i := range a.Hash {
			a.Hash[i], carry = bits.Add64(a.Hash[i], b.Hash[i], carry)
		}
		p[name] = a
	}
}
