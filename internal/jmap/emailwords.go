package jmap

import (
	"context"
	"errors"
	"maps"
	"strings"
	"time"

	"lockstep/internal/mail"
	"lockstep/internal/message"
	"lockstep/internal/search"
	"lockstep/internal/store"
)

// asked is what is looked for in the text of Emails.
type asked struct {
	part  search.Part
	field string // of Header: its name
	text  string
}

// A wordTest asks for words in a part of an Email's text, or for a field of its header
// with a text in it. What an Email says never changes, so an answer holds for good.
type wordTest struct {
	asks    asked
	query   search.Query
	answers map[mail.MessageKey]bool // the table's
	unknown []mail.MessageKey        // that it has no answer for, of those that matter
	found   search.Answers           // since
}

// newWordTest asks for words.
func newWordTest(p search.Part, text string) *wordTest {
	return &wordTest{asks: asked{part: p, text: strings.TrimSpace(text)}, query: search.Words(p, text)}
}

// newHeaderTest asks for a field, with the text in it if that is not empty.
func newHeaderTest(field, text string) *wordTest {
	return &wordTest{asks: asked{part: search.Header, field: casemapped(field), text: casemapped(text)}}
}

func casemapped(s string) string { return string(message.AppendCasemap(nil, []byte(s))) }

// isWords reports whether words are looked for.
func (t *wordTest) isWords() bool { return t.asks.part != search.Header }

func (t *wordTest) judge(r *emailRow) verdict {
	if t.isWords() && len(t.query) == 0 {
		return verdictOf(t.asks.text == "") // nothing is in everything, and what is no word nowhere
	}
	is, known := t.answers[r.key]
	if !known {
		return perhaps
	}
	return verdictOf(is)
}

// Bounds on what a table remembers of its Emails' texts.
const (
	maxAnswerSets = 8       // questions whose answers are remembered
	maxAnswers    = 400_000 // to all of them
)

// remember gives the tests the answers that are known, and keeps what was found. Old
// questions are forgotten when there are too many answers.
func (t *emailTable) remember(tests []*wordTest) {
	total := 0
	for _, w := range tests {
		if t.answers == nil {
			t.answers = map[asked]map[mail.MessageKey]bool{}
		}
		known := t.answers[w.asks]
		if known == nil {
			known = map[mail.MessageKey]bool{}
			t.answers[w.asks] = known
		}
		maps.Copy(known, w.found)
		w.answers, w.found = known, nil
		total += len(known)
	}
	mine := func(a asked) bool {
		for _, w := range tests {
			if w.asks == a {
				return true
			}
		}
		return false
	}
	for _, known := range t.answers {
		total += len(known)
	}
	for a, known := range t.answers {
		if !mine(a) && (len(t.answers) > max(maxAnswerSets, len(tests)) || total > maxAnswers) {
			total -= len(known)
			delete(t.answers, a)
		}
	}
}

// Bounds on one query that looks for text.
const (
	indexTime    = 2 * time.Second // for the index to come up to date, before it is asked
	maxTextsRead = 20_000          // Emails that are read, since the index does not know of them
)

// errTextLater says that there is too much that the index does not know yet.
func errTextLater() error {
	return refused("serverUnavailable", "the search index is being made, and there is too much mail to read it through; try again later")
}

// askIndexAll answers the tests by the index, as far as that goes.
func (c *call) askIndexAll(ctx context.Context, account mail.AccountID, tests []*wordTest) error {
	if c.srv.Search == nil {
		return nil
	}
	if _, err := c.srv.Search.CatchUpWithin(ctx, account, indexTime); err != nil {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if !errors.Is(err, context.DeadlineExceeded) {
			c.srv.Log.WarnContext(ctx, "search index lags", "proto", "jmap", "err", err)
		}
	}
	for _, t := range tests {
		if err := c.askIndex(ctx, account, t); err != nil {
			return err
		}
	}
	return nil
}

// open are those of keys that a test has no answer for.
func (t *wordTest) open(keys []mail.MessageKey) (open []mail.MessageKey) {
	if t.isWords() && len(t.query) == 0 {
		return nil
	}
	for _, k := range keys {
		if _, known := t.answers[k]; !known {
			open = append(open, k)
		}
	}
	return open
}

// askIndex answers a test by the index. That has all senders in one, and all
// recipients: of them it knows for certain only what is not there.
func (c *call) askIndex(ctx context.Context, account mail.AccountID, t *wordTest) (err error) {
	if len(t.unknown) == 0 {
		return nil
	}
	if !t.isWords() {
		q := search.Question{Part: search.Header, Field: []byte(t.asks.field), Needle: []byte(t.asks.text)}
		t.found, err = c.srv.Search.Exact(ctx, account, q, t.unknown)
		return err
	}
	t.found, err = c.srv.Search.Match(ctx, account, t.query, t.unknown)
	switch t.asks.part {
	case search.From, search.To, search.Cc, search.Bcc:
		maps.DeleteFunc(t.found, func(_ mail.MessageKey, is bool) bool { return is })
	}
	return err
}

// readTexts answers the tests by what the Emails say.
func (c *call) readTexts(ctx context.Context, account mail.AccountID, tests []*wordTest) error {
	open := map[mail.MessageKey][]*wordTest{}
	for _, t := range tests {
		t.found = search.Answers{}
		for _, k := range t.unknown {
			open[k] = append(open[k], t)
		}
	}
	if len(open) > maxTextsRead {
		return errTextLater()
	}
	for k, of := range open {
		if err := c.readText(ctx, account, of, k); err != nil {
			return err
		}
	}
	return nil
}

// readText answers the tests for one Email. One that has gone fits nothing, nor does
// one whose bytes are damaged where they are asked for.
func (c *call) readText(ctx context.Context, account mail.AccountID, tests []*wordTest, key mail.MessageKey) error {
	var m mail.Message
	err := c.srv.Store.View(ctx, account, func(r store.Reader) (err error) {
		m, err = r.Message(key)
		return err
	})
	text := &emailText{call: c, ctx: ctx, m: &m}
	defer text.close()
	if err == nil {
		text.parsed, err = message.Decode(m.Parsed)
	}
	for _, t := range tests {
		is := false
		if err == nil {
			is, err = text.answer(t)
		}
		t.found[key] = is
	}
	if k := mail.KindOf(err); k == mail.NotFound || k == mail.Corrupt {
		return nil
	}
	return err
}

// emailText is what an Email says. Its bytes are opened when they are needed.
type emailText struct {
	*call
	ctx    context.Context
	m      *mail.Message
	parsed *message.Message
	body   Body
}

func (x *emailText) close() {
	if x.body != nil {
		x.body.Close()
	}
}

func (x *emailText) bytes() (Body, error) {
	if x.body == nil {
		b, err := x.srv.Blobs(x.ctx, x.m.Blob)
		if err != nil {
			return nil, err
		}
		x.body = b
	}
	return x.body, nil
}

// answer answers a test.
func (x *emailText) answer(t *wordTest) (bool, error) {
	e := &x.parsed.Envelope
	switch t.asks.part {
	case search.Subject:
		return t.query.FitsText(message.DecodeWords(e.Subject)), nil
	case search.From:
		return fitsAddresses(t.query, e.From), nil
	case search.To:
		return fitsAddresses(t.query, e.To), nil
	case search.Cc:
		return fitsAddresses(t.query, e.Cc), nil
	case search.Bcc:
		return fitsAddresses(t.query, e.Bcc), nil
	}
	ra, err := x.bytes()
	if err != nil {
		return false, err
	}
	if t.asks.part == search.Header {
		return hasField(ra, x.parsed, t.asks)
	}
	return t.query.Fits(x.ctx, ra, x.parsed, nil)
}

// fitsAddresses reports whether the words stand in a list of addresses.
func fitsAddresses(q search.Query, list []message.Address) bool {
	var all []string
	for _, a := range list {
		all = append(all, search.AddressText(a))
	}
	return q.FitsText(strings.Join(all, ", "))
}

// hasField reports whether the header has a field with the text in it.
func hasField(ra Body, m *message.Message, a asked) (bool, error) {
	h, err := message.ReadHeader(ra, m.Root)
	if err != nil {
		return false, err
	}
	for f := range h.Fields() {
		if casemapped(f.Name) == a.field && strings.Contains(casemapped(message.DecodeWords(f.Value())), a.text) {
			return true, nil
		}
	}
	return false, nil
}
