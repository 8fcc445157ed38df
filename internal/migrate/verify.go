package migrate

import (
	"context"
	"maps"
	"slices"

	"lockstep/internal/mail"
	"lockstep/internal/store/sqlstore"
)

// A Line is what both sides have of one table.
type Line struct {
	Table    string
	From, To int64 // rows
	Same     bool  // each byte of each
}

// A Verdict is what comes of comparing two databases.
type Verdict struct {
	Accounts int
	Moved    []mail.AccountID // that one side changed since
	Wrong    []mail.AccountID // as far along on both sides, and not the same
	Lines    []Line
}

// Same reports whether all is the same on both sides.
func (v Verdict) Same() bool {
	return len(v.Moved) == 0 && len(v.Wrong) == 0 && !slices.ContainsFunc(v.Lines, func(l Line) bool { return !l.Same })
}

// Verify reads everything on both sides, and changes nothing. tell may be nil.
func Verify(ctx context.Context, from, to *sqlstore.Side, tell func(Progress)) (v Verdict, err error) {
	if err := sqlstore.Pair(from, to); err != nil {
		return v, err
	}
	if tell == nil {
		tell = func(Progress) {}
	}
	weights, err := from.Weights(ctx)
	if err != nil {
		return v, err
	}
	there, err := to.Weights(ctx)
	if err != nil {
		return v, err
	}
	for id := range there {
		if _, found := weights[id]; !found {
			weights[id] = 0
		}
	}
	sums := [2]sqlstore.Proof{{}, {}}
	for _, id := range slices.Sorted(maps.Keys(weights)) {
		a, b, err := both(ctx, from, to, id)
		if err != nil {
			return v, err
		}
		switch {
		case maps.Equal(a, b):
		case a["account"] != b["account"]:
			v.Moved = append(v.Moved, id)
		default:
			v.Wrong = append(v.Wrong, id)
		}
		sums[0].Add(a)
		sums[1].Add(b)
		v.Accounts++
		tell(Progress{Accounts: v.Accounts, Of: len(weights)})
	}
	for i, s := range []*sqlstore.Side{from, to} {
		g, err := s.ProveGlobals(ctx)
		if err != nil {
			return v, err
		}
		sums[i].Add(g)
	}
	for _, name := range slices.Sorted(maps.Keys(sums[0])) {
		a, b := sums[0][name], sums[1][name]
		v.Lines = append(v.Lines, Line{name, a.Rows, b.Rows, a == b})
	}
	return v, nil
}
