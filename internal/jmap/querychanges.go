package jmap

import (
	"encoding/json"
)

// queryChangesArguments are those of Foo/queryChanges (§5.6).
type queryChangesArguments struct {
	AccountID       string          `json:"accountId"`
	Filter          json.RawMessage `json:"filter"`
	Sort            []comparator    `json:"sort"`
	SinceQueryState string          `json:"sinceQueryState"`
	MaxChanges      *int64          `json:"maxChanges"`
	UpToID          *string         `json:"upToId"`
	CalculateTotal  bool            `json:"calculateTotal"`
}

// queryChangesAnswer is what Foo/queryChanges answers: what is to be taken out of the
// list that was answered in the old state, and then what is to be put in, at which
// place, the first place first.
type queryChangesAnswer struct {
	AccountID     string      `json:"accountId"`
	OldQueryState string      `json:"oldQueryState"`
	NewQueryState string      `json:"newQueryState"`
	Total         *int64      `json:"total,omitempty"`
	Removed       []string    `json:"removed"`
	Added         []addedItem `json:"added"`
}

// addedItem is one that is in the list, and where.
type addedItem struct {
	ID    string `json:"id"`
	Index int64  `json:"index"`
}

// maxQueryChanges bounds the ids that are removed and added in one answer of
// Foo/queryChanges. Past it a client fares better with the list itself.
const maxQueryChanges = 10_000

// check is invalidArguments for what can't be asked.
func (a *queryChangesArguments) check() error {
	if a.MaxChanges != nil && *a.MaxChanges <= 0 {
		return invalidArguments("maxChanges is greater than 0", "maxChanges")
	}
	return (&queryArguments{Sort: a.Sort}).check()
}

// answer begins one.
func (a *queryChangesArguments) answer() *queryChangesAnswer {
	return &queryChangesAnswer{AccountID: a.AccountID, OldQueryState: a.SinceQueryState, Removed: []string{}, Added: []addedItem{}}
}

// bounded is tooManyChanges for an answer that is larger than the client takes.
func (a *queryChangesArguments) bounded(out *queryChangesAnswer) error {
	most := int64(maxQueryChanges)
	if a.MaxChanges != nil {
		most = min(*a.MaxChanges, most)
	}
	if int64(len(out.Removed)+len(out.Added)) > most {
		return refused("tooManyChanges", "more has changed than is answered at once; ask for the list anew")
	}
	return nil
}

func noQueryState() error {
	return refused("cannotCalculateChanges", "sinceQueryState is no state of this server; ask for the list anew")
}
