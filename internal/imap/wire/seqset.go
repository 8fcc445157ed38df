package wire

import (
	"cmp"
	"slices"
	"strconv"

	"lockstep/internal/mail"
)

// Star is "*" in a Range: the largest number in use. It is 0, which no message
// has, so that 4294967295 remains a number.
const Star uint32 = 0

// A Range is seq-range of RFC 9051 §9 as the client wrote it: either end may be
// the larger one, and either may be Star. A single number has both ends equal.
type Range struct{ First, Last uint32 }

// A SeqSet is sequence-set of RFC 9051 §9: sequence numbers or UIDs, as the
// command says, and the messages that "$" stands for.
type SeqSet struct {
	Ranges []Range // in the client's order
	Saved  bool    // "$", the result of the last SEARCH (RFC 5182), alone or behind the Ranges
}

// Resolve returns the set in growing order, each number once, with largest for
// Star. When largest is 0 there is no message, and nothing that Star names.
// Numbers above largest stay in the set.
func (s SeqSet) Resolve(largest uint32) []Range {
	var out []Range
	for _, r := range s.Ranges {
		if largest == 0 && (r.First == Star || r.Last == Star) {
			continue
		}
		out = append(out, r.resolve(largest))
	}
	return merge(out)
}

func (r Range) resolve(largest uint32) Range {
	if r.First == Star {
		r.First = largest
	}
	if r.Last == Star {
		r.Last = largest
	}
	return Range{min(r.First, r.Last), max(r.First, r.Last)}
}

// merge sorts ranges and joins those that touch.
func merge(ranges []Range) []Range {
	slices.SortFunc(ranges, func(a, b Range) int { return cmp.Compare(a.First, b.First) })
	out := ranges[:0]
	for _, r := range ranges {
		if n := len(out); n > 0 && uint64(r.First) <= uint64(out[n-1].Last)+1 {
			out[n-1].Last = max(out[n-1].Last, r.Last)
			continue
		}
		out = append(out, r)
	}
	return out
}

// UIDs returns the set as UIDs, with largest for Star: see Resolve.
func (s SeqSet) UIDs(largest mail.UID) mail.UIDSet {
	var set mail.UIDSet
	for _, r := range s.Resolve(uint32(largest)) {
		set = append(set, mail.UIDRange{First: mail.UID(r.First), Last: mail.UID(r.Last)})
	}
	return set
}

// HasStar reports whether "*" is in the set.
func (s SeqSet) HasStar() bool {
	return slices.ContainsFunc(s.Ranges, func(r Range) bool { return r.First == Star || r.Last == Star })
}

// String is the set as it is written in a command.
func (s SeqSet) String() string { return string(s.appendTo(nil)) }

func (s SeqSet) appendTo(b []byte) []byte {
	for i, r := range s.Ranges {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendSeqNumber(b, r.First)
		if r.First != r.Last {
			b = appendSeqNumber(append(b, ':'), r.Last)
		}
	}
	if s.Saved && len(s.Ranges) > 0 {
		b = append(b, ',')
	}
	if s.Saved {
		b = append(b, '$')
	}
	return b
}

func appendSeqNumber(b []byte, n uint32) []byte {
	if n == Star {
		return append(b, '*')
	}
	return strconv.AppendUint(b, uint64(n), 10)
}

// seqSet reads sequence-set. Its length is bounded by that of the line.
func (p *parser) seqSet() SeqSet {
	var s SeqSet
	for !p.failed() {
		if s.Saved = p.accept('$'); s.Saved {
			break
		}
		r := Range{First: p.seqNumber()}
		r.Last = r.First
		if p.accept(':') {
			r.Last = p.seqNumber()
		}
		s.Ranges = append(s.Ranges, r)
		if !p.accept(',') {
			break
		}
	}
	return s
}

func (p *parser) seqNumber() uint32 {
	if p.accept('*') {
		return Star
	}
	if !isDigit(p.peek()) {
		p.expected("a message set")
		return Star
	}
	return p.nzNumber()
}

// uidSet reads a set without "*" and "$", such as known-uids of RFC 7162.
func (p *parser) uidSet() mail.UIDSet {
	s := p.seqSet()
	if s.Saved || s.HasStar() {
		p.expected("a set of numbers")
		return nil
	}
	return s.UIDs(1<<32 - 1)
}
