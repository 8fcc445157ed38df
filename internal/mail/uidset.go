package mail

import (
	"encoding/json"
	"iter"
	"slices"
	"strconv"
	"strings"
)

// A UIDRange is an inclusive range, First ≤ Last.
type UIDRange struct{ First, Last UID }

// A UIDSet is a set of UIDs: sorted ranges that neither touch nor overlap. The
// nil set is empty. Build it with Add, MakeUIDSet or ParseUIDSet.
type UIDSet []UIDRange

// AllUIDs is every UID there can be.
var AllUIDs = UIDSet{{1, 1<<32 - 1}}

// MakeUIDSet returns the set of the given UIDs, in any order.
func MakeUIDSet(uids ...UID) UIDSet {
	if !slices.IsSorted(uids) {
		uids = slices.Sorted(slices.Values(uids))
	}
	var s UIDSet
	for _, u := range uids {
		s.Add(u)
	}
	return s
}

// Add adds one UID; it costs nothing when UIDs come in growing order.
func (s *UIDSet) Add(u UID) { s.AddRange(u, u) }

// AddRange adds first through last.
func (s *UIDSet) AddRange(first, last UID) {
	if n := len(*s); n == 0 || first > (*s)[n-1].Last {
		if n > 0 && first == (*s)[n-1].Last+1 {
			(*s)[n-1].Last = last
			return
		}
		*s = append(*s, UIDRange{first, last})
		return
	}
	i, _ := slices.BinarySearchFunc(*s, first, func(r UIDRange, u UID) int {
		if uint64(r.Last)+1 < uint64(u) {
			return -1
		}
		return 1
	})
	j := i
	for j < len(*s) && uint64((*s)[j].First) <= uint64(last)+1 {
		first, last = min(first, (*s)[j].First), max(last, (*s)[j].Last)
		j++
	}
	*s = slices.Replace(*s, i, j, UIDRange{first, last})
}

// Contains reports whether u is in the set.
func (s UIDSet) Contains(u UID) bool {
	_, ok := slices.BinarySearchFunc(s, u, func(r UIDRange, u UID) int {
		switch {
		case r.Last < u:
			return -1
		case r.First > u:
			return 1
		}
		return 0
	})
	return ok
}

// Common is what is in both sets.
func (s UIDSet) Common(o UIDSet) (both UIDSet) {
	for i, j := 0, 0; i < len(s) && j < len(o); {
		if first, last := max(s[i].First, o[j].First), min(s[i].Last, o[j].Last); first <= last {
			both.AddRange(first, last)
		}
		if s[i].Last < o[j].Last {
			i++
		} else {
			j++
		}
	}
	return both
}

// Without is what is in s and not in o.
func (s UIDSet) Without(o UIDSet) (rest UIDSet) {
	j := 0
	for _, r := range s {
		first, whole := r.First, false
		for ; j < len(o) && o[j].First <= r.Last; j++ {
			if o[j].Last < first {
				continue
			}
			if o[j].First > first {
				rest.AddRange(first, o[j].First-1)
			}
			if o[j].Last >= r.Last { // it may reach into the next
				whole = true
				break
			}
			first = o[j].Last + 1
		}
		if !whole {
			rest.AddRange(first, r.Last)
		}
	}
	return rest
}

// Count is the number of UIDs in the set.
func (s UIDSet) Count() uint64 {
	var n uint64
	for _, r := range s {
		n += uint64(r.Last) - uint64(r.First) + 1
	}
	return n
}

// All yields the UIDs in growing order. A set from a client may hold four
// thousand million of them: intersect first.
func (s UIDSet) All() iter.Seq[UID] {
	return func(yield func(UID) bool) {
		for _, r := range s {
			for u := uint64(r.First); u <= uint64(r.Last); u++ {
				if !yield(UID(u)) {
					return
				}
			}
		}
	}
}

// String writes the set as RFC 9051 sequence-set, "" when empty.
func (s UIDSet) String() string {
	var b []byte
	for i, r := range s {
		if i > 0 {
			b = append(b, ',')
		}
		b = strconv.AppendUint(b, uint64(r.First), 10)
		if r.Last != r.First {
			b = append(b, ':')
			b = strconv.AppendUint(b, uint64(r.Last), 10)
		}
	}
	return string(b)
}

// ParseUIDSet reads what String wrote, ranges in any order.
func ParseUIDSet(text string) (UIDSet, error) {
	var s UIDSet
	if text == "" {
		return s, nil
	}
	for part := range strings.SplitSeq(text, ",") {
		a, b, isRange := strings.Cut(part, ":")
		first, err1 := strconv.ParseUint(a, 10, 32)
		last, err2 := first, error(nil)
		if isRange {
			last, err2 = strconv.ParseUint(b, 10, 32)
		}
		if err1 != nil || err2 != nil || first == 0 || last == 0 {
			return nil, Errorf(Invalid, "not a UID set: %q", part)
		}
		s.AddRange(UID(min(first, last)), UID(max(first, last)))
	}
	return s, nil
}

// MarshalJSON writes the set as its text.
func (s UIDSet) MarshalJSON() ([]byte, error) { return json.Marshal(s.String()) }

// UnmarshalJSON reads what MarshalJSON wrote.
func (s *UIDSet) UnmarshalJSON(b []byte) error {
	var text string
	if err := json.Unmarshal(b, &text); err != nil {
		return err
	}
	var err error
	*s, err = ParseUIDSet(text)
	return err
}
