package jmap

import (
	"encoding/json"
	"slices"
	"time"

	"lockstep/internal/mail"
	"lockstep/internal/search"
)

// An emailCondition is what a FilterCondition of Email/query asks (RFC 8621 §4.4.1): all
// of what is given.
type emailCondition struct {
	InMailbox               *string   `json:"inMailbox"`
	InMailboxOtherThan      *[]string `json:"inMailboxOtherThan"`
	Before                  *string   `json:"before"`
	After                   *string   `json:"after"`
	MinSize                 *int64    `json:"minSize"`
	MaxSize                 *int64    `json:"maxSize"`
	AllInThreadHaveKeyword  *string   `json:"allInThreadHaveKeyword"`
	SomeInThreadHaveKeyword *string   `json:"someInThreadHaveKeyword"`
	NoneInThreadHaveKeyword *string   `json:"noneInThreadHaveKeyword"`
	HasKeyword              *string   `json:"hasKeyword"`
	NotKeyword              *string   `json:"notKeyword"`
	HasAttachment           *bool     `json:"hasAttachment"`
	Text                    *string   `json:"text"`
	From                    *string   `json:"from"`
	To                      *string   `json:"to"`
	Cc                      *string   `json:"cc"`
	Bcc                     *string   `json:"bcc"`
	Subject                 *string   `json:"subject"`
	Body                    *string   `json:"body"`
	Header                  *[]string `json:"header"`

	tests []emailTest    // what all of that comes to
	only  mail.MailboxID // the mailbox, where it asks for nothing but to be in one
}

// A verdict is whether an Email fits, as far as is known.
type verdict int8

const (
	no verdict = iota
	perhaps
	yes
)

func verdictOf(is bool) verdict {
	if is {
		return yes
	}
	return no
}

// An emailTest is one thing that is asked of an Email.
type emailTest interface {
	judge(*emailRow) verdict
}

// rowTest asks what the row says.
type rowTest func(*emailRow) bool

func (t rowTest) judge(r *emailRow) verdict { return verdictOf(t(r)) }

// An emailFilter is a filter of Email/query, ready to be asked.
type emailFilter struct {
	root    *filter[emailCondition]
	words   []*wordTest
	threads []*threadTest
	says    bool // it asks for what an Email says of itself
	mutable bool // what it asks for may change

	table *emailTable // that is asked
}

// newEmailFilter reads one.
func (c *call) newEmailFilter(raw json.RawMessage) (*emailFilter, error) {
	root, err := parseFilter[emailCondition](raw)
	if err != nil {
		return nil, err
	}
	f := &emailFilter{root: root}
	return f, f.prepare(root, c.idOf)
}

// prepare makes the tests of each condition.
func (f *emailFilter) prepare(node *filter[emailCondition], idOf func(string) (string, bool)) error {
	if node == nil {
		return nil
	}
	for _, b := range node.below {
		if err := f.prepare(b, idOf); err != nil {
			return err
		}
	}
	if node.operator != "" {
		return nil
	}
	p := &preparation{emailFilter: f, c: &node.condition, idOf: idOf}
	p.places()
	p.rows()
	p.keywords()
	p.texts()
	if p.c.InMailbox != nil && len(p.c.tests) == 1 {
		p.c.only = p.mailbox(*p.c.InMailbox)
	}
	return p.err
}

// preparation makes the tests of one condition.
type preparation struct {
	*emailFilter
	c    *emailCondition
	idOf func(string) (string, bool)
	err  error
}

func (p *preparation) add(t emailTest) { p.c.tests = append(p.c.tests, t) }

func (p *preparation) wrong(detail string) {
	if p.err == nil {
		p.err = invalidArguments(detail, "filter")
	}
}

// mailbox is the one that a client means; 0 is none that there can be.
func (p *preparation) mailbox(said string) mail.MailboxID {
	id, _ := p.idOf(said)
	mb, _ := parseMailboxID(id)
	return mb
}

func (p *preparation) places() {
	if in := p.c.InMailbox; in != nil {
		mb := p.mailbox(*in)
		p.mutable = true
		p.add(rowTest(func(r *emailRow) bool { return r.isIn(mb) }))
	}
	if others := p.c.InMailboxOtherThan; others != nil {
		these := map[mail.MailboxID]bool{}
		for _, id := range *others {
			these[p.mailbox(id)] = true
		}
		p.mutable = true
		p.add(rowTest(func(r *emailRow) bool { return r.isOutside(these) }))
	}
}

func (p *preparation) rows() {
	if at, ok := p.date(p.c.Before); ok {
		p.add(rowTest(func(r *emailRow) bool { return r.second() < at }))
	}
	if at, ok := p.date(p.c.After); ok {
		p.add(rowTest(func(r *emailRow) bool { return r.second() >= at }))
	}
	for _, n := range []*int64{p.c.MinSize, p.c.MaxSize} {
		if n != nil && *n < 0 {
			p.wrong("no size is negative")
		}
	}
	if n := p.c.MinSize; n != nil {
		p.add(rowTest(func(r *emailRow) bool { return r.size >= *n }))
	}
	if n := p.c.MaxSize; n != nil {
		p.add(rowTest(func(r *emailRow) bool { return r.size < *n }))
	}
	if is := p.c.HasAttachment; is != nil {
		p.add(&attachedTest{want: *is, filter: p.emailFilter})
		p.says = true
	}
}

// date reads a UTCDate (RFC 8620 §1.4), to the second above.
func (p *preparation) date(s *string) (int64, bool) {
	if s == nil {
		return 0, false
	}
	at, err := time.Parse(time.RFC3339, *s)
	if _, offset := at.Zone(); err != nil || offset != 0 {
		p.wrong("before and after are dates such as 2026-01-31T12:00:00Z")
		return 0, false
	}
	if at.Nanosecond() > 0 {
		at = at.Add(time.Second)
	}
	return at.Unix(), true
}

func (p *preparation) keywords() {
	if k, ok := p.keyword(p.c.HasKeyword); ok {
		p.add(rowTest(func(r *emailRow) bool { return r.has(k) }))
	}
	if k, ok := p.keyword(p.c.NotKeyword); ok {
		p.add(rowTest(func(r *emailRow) bool { return !r.has(k) }))
	}
	for _, in := range []struct {
		said *string
		want threadHas
	}{{p.c.AllInThreadHaveKeyword, allHave}, {p.c.SomeInThreadHaveKeyword, someHave}, {p.c.NoneInThreadHaveKeyword, noneHave}} {
		if k, ok := p.keyword(in.said); ok {
			t := &threadTest{keyword: k, want: in.want}
			p.threads = append(p.threads, t)
			p.add(t)
		}
	}
}

func (p *preparation) keyword(s *string) (keyword, bool) {
	if s == nil {
		return keyword{}, false
	}
	k, ok := parseKeyword(*s)
	if !ok {
		p.wrong("there can be no such keyword")
	}
	p.mutable = true
	return k, ok
}

func (p *preparation) texts() {
	for _, in := range []struct {
		said *string
		part search.Part
	}{{p.c.Text, search.Text}, {p.c.From, search.From}, {p.c.To, search.To}, {p.c.Cc, search.Cc}, {p.c.Bcc, search.Bcc}, {p.c.Subject, search.Subject}, {p.c.Body, search.Body}} {
		if in.said != nil {
			p.word(newWordTest(in.part, *in.said))
		}
	}
	if h := p.c.Header; h != nil {
		switch {
		case len(*h) == 0 || len(*h) > 2 || (*h)[0] == "":
			p.wrong("header is the name of a field, or that and a text")
		case len(*h) == 1:
			p.word(newHeaderTest((*h)[0], ""))
		default:
			p.word(newHeaderTest((*h)[0], (*h)[1]))
		}
	}
}

// word adds a test on text. Two that ask the same are one.
func (p *preparation) word(t *wordTest) {
	if at := slices.IndexFunc(p.words, func(w *wordTest) bool { return w.asks == t.asks }); at >= 0 {
		t = p.words[at]
	} else {
		p.words = append(p.words, t)
	}
	p.add(t)
}

// judge says whether an Email fits.
func (f *emailFilter) judge(r *emailRow) verdict { return judge(f.root, r) }

func judge(node *filter[emailCondition], r *emailRow) verdict {
	switch {
	case node == nil:
		return yes
	case node.operator == "AND":
		return allOf(node.below, r)
	case node.operator == "OR":
		return oneOf(node.below, r)
	case node.operator == "NOT": // none of them
		return yes - oneOf(node.below, r)
	}
	v := yes
	for _, t := range node.condition.tests {
		if v = min(v, t.judge(r)); v == no {
			break
		}
	}
	return v
}

func allOf(nodes []*filter[emailCondition], r *emailRow) verdict {
	v := yes
	for _, n := range nodes {
		if v = min(v, judge(n, r)); v == no {
			break
		}
	}
	return v
}

func oneOf(nodes []*filter[emailCondition], r *emailRow) verdict {
	v := no
	for _, n := range nodes {
		if v = max(v, judge(n, r)); v == yes {
			break
		}
	}
	return v
}

// attachedTest asks whether a person would say that something is attached.
type attachedTest struct {
	want   bool
	filter *emailFilter
}

func (t *attachedTest) judge(r *emailRow) verdict {
	s, known := t.filter.table.says[r.key]
	if !known {
		return perhaps
	}
	return verdictOf(s.attached == t.want)
}

// threadHas is what is asked of the Emails of a thread.
type threadHas byte

const (
	allHave threadHas = iota
	someHave
	noneHave
)

// A threadTest asks whether the Emails of a thread have a keyword, in whatever
// mailboxes they are.
type threadTest struct {
	keyword keyword
	want    threadHas
	fits    []bool // by the thread's number
}

// look finds the threads that fit.
func (t *threadTest) look(table *emailTable) {
	some, lacks := make([]bool, len(table.names)), make([]bool, len(table.names))
	for i := range table.rows {
		r := &table.rows[i]
		if r.has(t.keyword) {
			some[r.thread] = true
		} else {
			lacks[r.thread] = true
		}
	}
	t.fits = make([]bool, len(table.names))
	for n := range t.fits {
		switch t.want {
		case allHave:
			t.fits[n] = !lacks[n]
		case someHave:
			t.fits[n] = some[n]
		case noneHave:
			t.fits[n] = !some[n]
		}
	}
}

func (t *threadTest) judge(r *emailRow) verdict { return verdictOf(t.fits[r.thread]) }
