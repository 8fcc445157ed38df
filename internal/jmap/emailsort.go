package jmap

import (
	"cmp"
	"context"
	"slices"
	"strings"

	"lockstep/internal/mail"
	"lockstep/internal/message"
	"lockstep/internal/store"
)

// maxComparators bounds what a list is sorted by.
const maxComparators = 16

// An emailOrder is what a list of Emails is sorted by (RFC 8621 §4.4.2). Those that all
// of it leaves equal go by when they came.
type emailOrder struct {
	by      []comparator
	threads []*threadTest // of the comparators that ask for a thread; else nil
	words   []keyword     // of those that ask for a keyword
	mutable bool
}

// newEmailOrder reads one. Without any, the newest is first.
func newEmailOrder(by []comparator) (*emailOrder, error) {
	o := &emailOrder{by: by}
	if len(by) > maxComparators {
		return nil, refused("unsupportedSort", "too much is sorted by")
	}
	for _, c := range by {
		if !slices.Contains(emailSortOptions, c.Property) {
			return nil, refused("unsupportedSort", "Emails are not sorted by "+c.Property)
		}
		var k keyword
		var t *threadTest
		switch c.Property {
		case "hasKeyword", "allInThreadHaveKeyword", "someInThreadHaveKeyword":
			var ok bool
			if k, ok = parseKeyword(c.Keyword); !ok {
				return nil, invalidArguments("what is sorted by a keyword names one", "sort")
			}
			o.mutable = true
		}
		switch c.Property {
		case "allInThreadHaveKeyword":
			t = &threadTest{keyword: k, want: allHave}
		case "someInThreadHaveKeyword":
			t = &threadTest{keyword: k, want: someHave}
		}
		o.words, o.threads = append(o.words, k), append(o.threads, t)
	}
	return o, nil
}

// byDate reports whether the order is the table's, and which way.
func (o *emailOrder) byDate() (is, ascending bool) {
	if len(o.by) == 0 {
		return true, false
	}
	return o.by[0].Property == "receivedAt" && len(o.by) == 1, o.by[0].ascending()
}

// needsTexts reports whether it is sorted by what Emails say.
func (o *emailOrder) needsTexts() bool {
	return slices.ContainsFunc(o.by, func(c comparator) bool { return isText(c.Property) })
}

func isText(property string) bool {
	return property == "from" || property == "to" || property == "subject"
}

// sort puts places of a table, which are in the table's order, in order. It costs n log n
// comparisons of numbers, or of folded texts.
func (o *emailOrder) sort(t *emailTable, list []int32) {
	keys := make([]func(a, b int32) int, len(o.by))
	for i, c := range o.by {
		keys[i] = o.comparison(t, list, i)
		if !c.ascending() {
			up := keys[i]
			keys[i] = func(a, b int32) int { return up(b, a) }
		}
	}
	_, oldestFirst := o.byDate()
	oldestFirst = oldestFirst && o.by[0].Property == "receivedAt"
	slices.SortFunc(list, func(a, b int32) int {
		for _, compare := range keys {
			if n := compare(a, b); n != 0 {
				return n
			}
		}
		if oldestFirst {
			return cmp.Compare(a, b)
		}
		return cmp.Compare(b, a)
	})
}

// comparison compares places of the table by one property.
func (o *emailOrder) comparison(t *emailTable, list []int32, i int) func(a, b int32) int {
	switch c := o.by[i]; c.Property {
	case "receivedAt":
		return func(a, b int32) int { return cmp.Compare(t.rows[a].second(), t.rows[b].second()) }
	case "sentAt":
		return func(a, b int32) int { return cmp.Compare(t.rows[a].sent, t.rows[b].sent) }
	case "size":
		return func(a, b int32) int { return cmp.Compare(t.rows[a].size, t.rows[b].size) }
	case "hasKeyword":
		k := o.words[i]
		return func(a, b int32) int { return compareBools(t.rows[a].has(k), t.rows[b].has(k)) }
	case "allInThreadHaveKeyword", "someInThreadHaveKeyword":
		fits := o.threads[i].fits
		return func(a, b int32) int { return compareBools(fits[t.rows[a].thread], fits[t.rows[b].thread]) }
	default:
		folded := make([]string, len(t.rows))
		fold := foldFor(c.Collation)
		for _, at := range list {
			folded[at] = fold(t.says[t.rows[at].key].of(c.Property))
		}
		return func(a, b int32) int { return strings.Compare(folded[a], folded[b]) }
	}
}

func compareBools(a, b bool) int {
	switch {
	case a == b:
		return 0
	case b:
		return -1
	}
	return 1
}

// foldFor maps texts so that their octets compare as a collation does (RFC 4790, RFC
// 5051). The default is i;unicode-casemap.
func foldFor(collation string) func(string) string {
	switch collation {
	case "i;octet":
		return func(s string) string { return s }
	case "i;ascii-casemap":
		return func(s string) string { return strings.Map(upperASCII, s) }
	}
	return casemapped
}

func upperASCII(r rune) rune {
	if r >= 'a' && r <= 'z' {
		return r - ('a' - 'A')
	}
	return r
}

// headline is what an Email says of itself that some lists ask for.
type headline struct {
	from, to, subject string // as lists are sorted by them
	attached          bool
}

func (s headline) of(property string) string {
	switch property {
	case "from":
		return s.from
	case "to":
		return s.to
	}
	return s.subject
}

// saidIn reads it. A damaged row says nothing.
func saidIn(parsed []byte) headline {
	s, err := message.DecodeSummary(parsed)
	if err != nil {
		return headline{}
	}
	return headline{s.From.DisplayName(), s.To.DisplayName(), s.BaseSubject, message.DecodeHasAttachment(parsed)}
}

// fewSaid is how many Emails are read one by one; more cost a pass over all mailboxes.
const fewSaid = 2000

// readSaid reads what Emails say. It costs a row for each, or of many a pass over the
// rows of all messages.
func (c *call) readSaid(ctx context.Context, account mail.AccountID, keys []mail.MessageKey) (map[mail.MessageKey]headline, error) {
	found := make(map[mail.MessageKey]headline, len(keys))
	for _, k := range keys {
		found[k] = headline{}
	}
	err := c.srv.Store.View(ctx, account, func(r store.Reader) error {
		if len(keys) > fewSaid {
			return readAllSaid(r, found)
		}
		for _, k := range keys {
			m, err := r.Message(k)
			if mail.KindOf(err) == mail.NotFound {
				continue
			}
			if err != nil {
				return err
			}
			found[k] = saidIn(m.Parsed)
		}
		return nil
	})
	return found, err
}

func readAllSaid(r store.Reader, found map[mail.MessageKey]headline) error {
	all, err := r.Mailboxes()
	if err != nil {
		return err
	}
	for _, mb := range all {
		err := r.Messages(store.PlacementQuery{Mailbox: mb.ID, Shown: true}, func(_ *mail.Placement, m *mail.Message) error {
			if _, wanted := found[m.Key]; wanted {
				found[m.Key] = saidIn(m.Parsed)
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}
