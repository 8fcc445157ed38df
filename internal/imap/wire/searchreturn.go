package wire

import (
	"strconv"
	"strings"
)

// SearchReturn says what the client wants to know of the result of a search, and
// what becomes of it: search-return-opts of RFC 9051 §9, of RFC 5267 §5 and of
// RFC 9394 §4.
type SearchReturn struct {
	Min, Max, All, Count, Save bool

	Relevancy bool // how well each message of ALL or PARTIAL fits (RFC 6203 §4)

	Partial *PartialRange // nil without PARTIAL
	Context bool          // the result is likely to be asked for again
	Update  bool          // tell of what comes into the result and leaves it
	// Items are told of new messages that come into the result (RFC 5465 §7).
	Items []FetchItem
}

// A PartialRange is partial-range of RFC 9394 §4: places in a result, counted from
// 1, the one nearer to where they are counted from first. 500:400 is 400:500.
type PartialRange struct {
	First, Last uint32
	FromEnd     bool // -1 is the last place
}

// Of returns the places of a result of n, from lo up to but without hi, counted
// from 0.
func (r PartialRange) Of(n int) (lo, hi int) {
	lo, hi = min(int(r.First)-1, n), min(int(r.Last), n)
	if r.FromEnd {
		return n - hi, n - lo
	}
	return lo, hi
}

// String is the range as a response says it.
func (r PartialRange) String() string { return string(r.appendTo(nil)) }

func (r PartialRange) appendTo(b []byte) []byte {
	sign := ""
	if r.FromEnd {
		sign = "-"
	}
	b = strconv.AppendUint(append(b, sign...), uint64(r.First), 10)
	return strconv.AppendUint(append(append(b, ':'), sign...), uint64(r.Last), 10)
}

// HasResult reports whether the client wants to be told anything of the result
// now.
func (r *SearchReturn) HasResult() bool {
	return r.Min || r.Max || r.All || r.Count || r.Relevancy || r.Partial != nil
}

// IsEmpty reports whether there are no options, which asks for ALL.
func (r *SearchReturn) IsEmpty() bool {
	return !r.HasResult() && !r.Save && !r.Context && !r.Update
}

// searchReturns reads the options behind RETURN.
func (p *parser) searchReturns() *SearchReturn {
	r := &SearchReturn{}
	p.sp()
	p.list(func() { p.searchReturn(r) })
	if r.All && r.Partial != nil {
		p.fail(bad("ALL and PARTIAL exclude each other"))
	}
	return r
}

func (p *parser) searchReturn(r *SearchReturn) {
	switch p.word() {
	case "MIN":
		r.Min = true
	case "MAX":
		r.Max = true
	case "ALL":
		r.All = true
	case "COUNT":
		r.Count = true
	case "SAVE":
		r.Save = true
	case "RELEVANCY":
		r.Relevancy = true
	case "CONTEXT":
		r.Context = true
	case "UPDATE":
		r.Update = true
		p.updateItems(r)
	case "PARTIAL":
		if r.Partial != nil {
			p.fail(bad("PARTIAL can be asked for once"))
		}
		r.Partial = p.partialRange()
	default:
		p.expected("a return option")
	}
}

// updateItems reads the data items of UPDATE, behind a space as in the examples of
// RFC 5465 or without, as in its syntax (§8 modifier-update).
func (p *parser) updateItems(r *SearchReturn) {
	if strings.HasPrefix(string(p.buf[p.pos:min(p.pos+2, len(p.buf))]), " (") {
		p.sp()
	}
	if p.peek() != '(' {
		return
	}
	p.list(func() { r.Items = append(r.Items, p.fetchItem(p.word())) })
	if len(r.Items) == 0 {
		p.expected("a data item")
	}
}

// partialRange reads a space and partial-range.
func (p *parser) partialRange() *PartialRange {
	p.sp()
	r := &PartialRange{FromEnd: p.accept('-')}
	r.First = p.nzNumber()
	p.expect(':', `":"`)
	if p.accept('-') != r.FromEnd {
		p.expected("both places counted from the same end")
	}
	r.Last = p.nzNumber()
	r.First, r.Last = min(r.First, r.Last), max(r.First, r.Last)
	return r
}

func (r *SearchReturn) appendTo(b []byte) []byte {
	if r == nil {
		return b
	}
	return appendWords(append(b, " RETURN "...), r.names())
}

func (r *SearchReturn) names() []string {
	var names []string
	for _, o := range []struct {
		on   bool
		name string
	}{{r.Min, "MIN"}, {r.Max, "MAX"}, {r.All, "ALL"}, {r.Count, "COUNT"}, {r.Save, "SAVE"}, {r.Relevancy, "RELEVANCY"}, {r.Context, "CONTEXT"}, {r.Update, "UPDATE"}} {
		if o.on {
			names = append(names, o.name)
		}
	}
	if len(r.Items) > 0 { // behind UPDATE, which is the last
		names[len(names)-1] += " " + string(appendItems(nil, r.Items))
	}
	if r.Partial != nil {
		names = append(names, "PARTIAL "+r.Partial.String())
	}
	return names
}
