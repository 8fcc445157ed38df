package imap

import (
	"errors"
	"io"
	"math"
	"strings"
	"time"

	"lockstep/internal/imap/index"
	"lockstep/internal/imap/wire"
	"lockstep/internal/mail"
	"lockstep/internal/message"
	"lockstep/internal/search"
)

// A verdict on a message may have to wait until more of it is known.
type verdict uint8

const (
	no verdict = iota
	unknown
	yes
)

func verdictOf(b bool) verdict {
	if b {
		return yes
	}
	return no
}

// candidate is a message that a SEARCH looks at: first as the index knows it,
// then with its row, then with its bytes.
type candidate struct {
	entry index.Entry
	flags mail.Flags

	message mail.MessageKey // 0 at first
	texts   *texts          // what is known of it without reading; nil at first
	score   float64         // how well it fits, where that is asked

	p    *mail.Placement // nil at first
	m    *mail.Message
	body Body // nil until it is needed

	env    *message.Envelope
	parsed *message.Message
	err    error // of reading; the message then does not match
}

// test is a search key made ready.
type test func(c *candidate) verdict

func (c *candidate) envelope() *message.Envelope {
	if c.env == nil {
		v, err := message.DecodeEnvelope(c.m.Parsed)
		c.fail(err)
		c.env = &v
	}
	return c.env
}

func (c *candidate) structure() *message.Message {
	if c.parsed == nil {
		m, err := message.Decode(c.m.Parsed)
		c.fail(err)
		c.parsed = m
	}
	return c.parsed
}

func (c *candidate) fail(err error) {
	if c.err == nil {
		c.err = err
	}
}

// onIndex is a test that the index can answer.
func onIndex(f func(c *candidate) bool) test {
	return func(c *candidate) verdict { return verdictOf(f(c)) }
}

// onRow is a test that needs the row.
func onRow(f func(c *candidate) bool) test {
	return func(c *candidate) verdict {
		if c.m == nil {
			return unknown
		}
		return verdictOf(f(c))
	}
}

// onBody is a test that needs the bytes.
func onBody(f func(c *candidate) bool) test {
	return func(c *candidate) verdict {
		if c.body == nil {
			return unknown
		}
		return verdictOf(f(c))
	}
}

// compile makes a key ready for a mailbox (RFC 9051 §6.4.4). Numbers and ages are
// those of this moment, also for a search that is updated later (RFC 5267 §4.3,
// RFC 5032 §2).
func (s *session) compile(sel *selection, key wire.SearchKey) test {
	switch k := key.(type) {
	case wire.And:
		return s.compileAnd(sel, k)
	case wire.Or:
		a, b := s.compile(sel, k.A), s.compile(sel, k.B)
		return func(c *candidate) verdict {
			if v := a(c); v == yes {
				return yes
			} else {
				return max(v, b(c))
			}
		}
	case wire.Not:
		t := s.compile(sel, k.Key)
		return func(c *candidate) verdict { return yes - t(c) }
	case wire.FuzzyKey:
		return s.compile(sel, soften(k.Key))
	case softKey:
		return s.compileSoft(sel, k)
	case wire.AllKey, wire.SaveDateSupportedKey:
		return func(*candidate) verdict { return yes }
	case wire.FlagKey:
		return compileFlag(k)
	case wire.RecentKey:
		return onIndex(func(c *candidate) bool { return sel.recent.Contains(c.entry.UID) })
	case wire.SeqKey:
		return s.compileSet(sel, k)
	case wire.UIDBoundKey:
		return onIndex(func(c *candidate) bool {
			return k.After && c.entry.UID > k.UID || !k.After && c.entry.UID < k.UID
		})
	case wire.ModSeqKey:
		s.beginCondstore()
		return onIndex(func(c *candidate) bool { return c.entry.ModSeq >= k.ModSeq })
	case wire.SizeKey:
		return onRow(func(c *candidate) bool {
			return k.Larger && c.m.Size > k.Bytes || !k.Larger && c.m.Size < k.Bytes
		})
	case wire.DateKey:
		return compileDate(k)
	case wire.AgeKey:
		return compileAge(k)
	case wire.IDKey:
		return onRow(func(c *candidate) bool {
			return k.Thread && sel.at.objectID(c.m.Thread) == k.ID || !k.Thread && c.m.EmailID.String() == k.ID
		})
	case wire.EnvelopeKey:
		return compileEnvelope(k, s.collation())
	case wire.HeaderKey:
		return compileHeader(k, s.collation())
	case wire.TextKey:
		return compileText(k, s.collation())
	case wire.AnnotationKey:
		return s.compileAnnotation(sel, k)
	}
	panic("imap: a search key without a test")
}

func (s *session) compileAnd(sel *selection, keys wire.And) test {
	tests := make([]test, len(keys))
	for i, k := range keys {
		tests[i] = s.compile(sel, k)
	}
	return func(c *candidate) verdict {
		all := yes
		for _, t := range tests {
			all = min(all, t(c))
			if all == no {
				break
			}
		}
		return all
	}
}

func compileFlag(k wire.FlagKey) test {
	want, err := mail.NewFlags(k.Flag)
	word := k.Flag
	return onIndex(func(c *candidate) bool {
		has := err == nil && c.flags.Has(want.System)
		if want.System == 0 {
			has = c.flags.HasKeyword(word)
		}
		return has != k.Unset
	})
}

func (s *session) compileSet(sel *selection, k wire.SeqKey) test {
	uids := numbered(sel.view, k.Set)
	if k.UID {
		uids = openUIDs(k.Set, sel.view.Largest())
	}
	if k.Set.Saved && sel == s.sel {
		uids = union(uids, s.saved)
	}
	return onIndex(func(c *candidate) bool { return uids.Contains(c.entry.UID) })
}

// openUIDs is a set of UIDs of which "7:*" also has what is still to come, since
// that is what a search that is updated has to find.
func openUIDs(set wire.SeqSet, largest mail.UID) mail.UIDSet {
	uids := set.UIDs(largest)
	for _, r := range set.Ranges {
		if first := max(r.First, r.Last); r.First != r.Last && min(r.First, r.Last) == wire.Star {
			uids.AddRange(mail.UID(first), 1<<32-1)
		}
	}
	return uids
}

// numbered is the messages that have sequence numbers in a set, as ranges of UIDs.
// Numbers nobody has are passed over (RFC 7377 §2).
func numbered(v *index.Version, set wire.SeqSet) (uids mail.UIDSet) {
	for _, r := range set.Resolve(v.Len()) {
		if r.First <= v.Len() {
			uids.AddRange(v.At(r.First).UID, v.At(min(r.Last, v.Len())).UID)
		}
	}
	return uids
}

func compileDate(k wire.DateKey) test {
	return onRow(func(c *candidate) bool {
		var t time.Time
		switch k.Of {
		case wire.DateInternal:
			t = c.m.InternalDate
		case wire.DateSent:
			t = c.envelope().SentAt // in the sender's zone, which the row does not keep
		case wire.DateSaved:
			t = c.p.SaveDate
		}
		if t.IsZero() {
			return false
		}
		d := wire.DateOf(t).Compare(k.Date)
		switch k.When {
		case wire.Before:
			return d < 0
		case wire.On:
			return d == 0
		}
		return d >= 0
	})
}

func compileAge(k wire.AgeKey) test {
	at := time.Now().Add(-time.Duration(k.Seconds) * time.Second)
	return onRow(func(c *candidate) bool {
		if k.Older {
			return !c.m.InternalDate.After(at)
		}
		return !c.m.InternalDate.Before(at)
	})
}

func compileEnvelope(k wire.EnvelopeKey, by *collation) test {
	n := by.needle(k.Text)
	return onText(envelopeParts[k.Field], n, onRow(func(c *candidate) bool {
		v := c.envelope()
		switch k.Field {
		case "SUBJECT":
			return n.in(message.DecodeWords(v.Subject))
		case "FROM":
			return n.inAddresses(v.From)
		case "TO":
			return n.inAddresses(v.To)
		case "CC":
			return n.inAddresses(v.Cc)
		}
		return n.inAddresses(v.Bcc)
	}))
}

func (n needle) inAddresses(list []message.Address) bool {
	for _, a := range list {
		if n.in(message.DecodeWords(a.Name) + " <" + a.String() + ">") {
			return true
		}
	}
	return len(n.text) == 0
}

// compileHeader reads the header, but for the two fields by which programs look
// messages up: a message has them once, and the envelope has them.
func compileHeader(k wire.HeaderKey, by *collation) test {
	n := by.needle(k.Text)
	switch name := strings.ToUpper(k.Name); {
	case name == "MESSAGE-ID" && k.Text != "":
		return onRow(func(c *candidate) bool { return n.in(c.envelope().MessageID) })
	case name == "IN-REPLY-TO" && k.Text != "":
		return onRow(func(c *candidate) bool { return n.in(c.envelope().InReplyTo) })
	}
	return onHeader(k.Name, n, onBody(func(c *candidate) bool {
		m := c.structure()
		if m == nil {
			return false
		}
		h, err := message.ReadHeader(c.body, m.Root)
		c.fail(err)
		for f := range h.Fields() {
			if strings.EqualFold(f.Name, k.Name) && n.in(message.DecodeWords(f.Value())) {
				return true
			}
		}
		return false
	}))
}

func compileText(k wire.TextKey, by *collation) test {
	n := by.needle(k.Text)
	write, part := message.Text, search.Text
	if k.BodyOnly {
		write, part = message.BodyText, search.Body
	}
	return onText(part, n, onBody(func(c *candidate) bool {
		m := c.structure()
		if m == nil {
			return false
		}
		f := &finder{needle: n}
		if err := write(io.Writer(f), c.body, m, math.MaxInt64); err != nil && !errors.Is(err, errFound) {
			c.fail(err)
		}
		return f.end()
	}))
}
