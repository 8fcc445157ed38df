package jmap

import (
	"encoding/json"
	"slices"
)

// queryArguments are those of Foo/query (§5.5).
type queryArguments struct {
	AccountID      string          `json:"accountId"`
	Filter         json.RawMessage `json:"filter"`
	Sort           []comparator    `json:"sort"`
	Position       int64           `json:"position"`
	Anchor         *string         `json:"anchor"`
	AnchorOffset   int64           `json:"anchorOffset"`
	Limit          *int64          `json:"limit"`
	CalculateTotal bool            `json:"calculateTotal"`
}

// A comparator says by what a list is sorted.
type comparator struct {
	Property    string `json:"property"`
	IsAscending *bool  `json:"isAscending"`
	Collation   string `json:"collation"`
	Keyword     string `json:"keyword"` // RFC 8621 §4.4.2
}

// ascending is the default.
func (c comparator) ascending() bool { return c.IsAscending == nil || *c.IsAscending }

// queryAnswer is what Foo/query answers.
type queryAnswer struct {
	AccountID           string   `json:"accountId"`
	QueryState          string   `json:"queryState"`
	CanCalculateChanges bool     `json:"canCalculateChanges"`
	Position            int64    `json:"position"`
	IDs                 []string `json:"ids"`
	Total               *int64   `json:"total,omitempty"`
	Limit               *int64   `json:"limit,omitempty"` // when it is the server's, and less than was asked for
}

const (
	maxQueryLimit      = 5000 // ids in one answer of Foo/query
	maxFilterDepth     = 16
	maxFilterCondition = 200 // in one filter, operators included
)

// check is invalidArguments for what no query can mean.
func (a *queryArguments) check() error {
	if a.Limit != nil && *a.Limit < 0 {
		return invalidArguments("limit is not negative", "limit")
	}
	for _, c := range a.Sort {
		if c.Collation != "" && !slices.Contains(collations, c.Collation) {
			return refused("unsupportedSort", "there is no collation "+c.Collation)
		}
	}
	return nil
}

// anchored finds what the anchor is an id of, if it was created just now.
func (c *call) anchored(a *queryArguments) {
	if a.Anchor == nil {
		return
	}
	if id, ok := c.idOf(*a.Anchor); ok {
		a.Anchor = &id
	}
}

// most is how many ids are answered at most; capped is true when that is our bound.
func (a *queryArguments) most() (n int64, capped bool) {
	if a.Limit != nil && *a.Limit <= maxQueryLimit {
		return *a.Limit, false
	}
	return maxQueryLimit, true
}

// window cuts what was asked for out of all ids in their order (§5.5).
func (a *queryArguments) window(ids []string, out *queryAnswer) error {
	from, to, err := a.span(len(ids), out, func(id string) int { return slices.Index(ids, id) })
	out.IDs = append([]string{}, ids[from:to]...)
	return err
}

// span is what part of a list was asked for. find says where in it an id is.
func (a *queryArguments) span(length int, out *queryAnswer, find func(id string) int) (from, to int64, err error) {
	total := int64(length)
	from = a.Position
	if a.Anchor != nil {
		at := find(*a.Anchor)
		if at < 0 {
			return 0, 0, refused("anchorNotFound", "the anchor is not among the results")
		}
		from = max(int64(at)+min(a.AnchorOffset, total), 0)
	} else if from < 0 {
		from = max(total+from, 0)
	}
	n, capped := a.most()
	from = min(from, total)
	to = min(from+n, total)
	out.Position = from
	if capped {
		out.Limit = &n
	}
	if a.CalculateTotal {
		out.Total = &total
	}
	return from, to, nil
}

// A filter is a tree of conditions (§5.5).
type filter[C any] struct {
	operator  string // "AND", "OR", "NOT"; "" is a condition
	below     []*filter[C]
	condition C
}

// parseFilter reads a filter; nil is none. Conditions that are not known are
// unsupportedFilter.
func parseFilter[C any](raw json.RawMessage) (*filter[C], error) {
	if len(raw) == 0 || string(raw) == "null" {
		return nil, nil
	}
	budget := maxFilterCondition
	return parseFilterNode[C](raw, 0, &budget)
}

func parseFilterNode[C any](raw json.RawMessage, depth int, budget *int) (*filter[C], error) {
	if *budget--; depth > maxFilterDepth || *budget < 0 {
		return nil, refused("unsupportedFilter", "the filter is too large")
	}
	var names map[string]json.RawMessage
	if err := json.Unmarshal(raw, &names); err != nil {
		return nil, invalidArguments("a filter is an object", "filter")
	}
	f := new(filter[C])
	if _, ok := names["operator"]; !ok {
		if err := decodeStrict(raw, &f.condition); err != nil {
			return nil, filterError(err)
		}
		return f, nil
	}
	var op struct {
		Operator   string            `json:"operator"`
		Conditions []json.RawMessage `json:"conditions"`
	}
	if err := decodeStrict(raw, &op); err != nil || op.Conditions == nil {
		return nil, invalidArguments("a filter operator has operator and conditions", "filter")
	}
	if !slices.Contains([]string{"AND", "OR", "NOT"}, op.Operator) {
		return nil, invalidArguments("an operator is AND, OR or NOT", "filter")
	}
	f.operator = op.Operator
	for _, c := range op.Conditions {
		below, err := parseFilterNode[C](c, depth+1, budget)
		if err != nil {
			return nil, err
		}
		f.below = append(f.below, below)
	}
	return f, nil
}

// filterError tells a condition that does not exist from one of the wrong type.
func filterError(err error) error {
	if _, ok := err.(*json.UnmarshalTypeError); ok {
		return invalidArguments("a condition has a value of the wrong type: "+err.Error(), "filter")
	}
	return refused("unsupportedFilter", err.Error())
}

// matches reports whether a filter lets something through; a nil one lets all.
func (f *filter[C]) matches(is func(*C) bool) bool {
	if f == nil {
		return true
	}
	switch f.operator {
	case "AND":
		return !slices.ContainsFunc(f.below, func(b *filter[C]) bool { return !b.matches(is) })
	case "OR":
		return slices.ContainsFunc(f.below, func(b *filter[C]) bool { return b.matches(is) })
	case "NOT": // none of them
		return !slices.ContainsFunc(f.below, func(b *filter[C]) bool { return b.matches(is) })
	}
	return is(&f.condition)
}
