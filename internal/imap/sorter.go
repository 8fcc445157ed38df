package imap

import (
	"bytes"
	"cmp"
	bigendian "encoding/binary"
	"math"
	"slices"
	"time"

	"lockstep/internal/imap/wire"
	"lockstep/internal/mail"
	"lockstep/internal/message"
)

// sorter puts messages in order. Of each it keeps one key, whose bytes compare as
// the criteria do: some 32 bytes and the texts that are sorted by. A million
// messages are read in one scan, in a million rows, and take about 100 MB.
type sorter struct {
	criteria []wire.SortCriterion
	memory   *allowance
	keys     []sortKey
	bytes    int64  // of the keys
	slab     []byte // keys are cut from
	summary  bool   // what Parsed says is needed
	scores   *scores
}

type sortKey struct {
	uid  mail.UID
	text []byte
}

// keyBytes is what a key takes besides its text.
const keyBytes = 32

func (k sortKey) size() int64 { return keyBytes + int64(len(k.text)) }

// slabBytes is how much memory is taken at once. A key that is larger has a slab
// of its own.
const slabBytes = 64 << 10

func newSorter(criteria []wire.SortCriterion, m *allowance) *sorter {
	o := &sorter{criteria: criteria, memory: m}
	for _, c := range criteria {
		switch c.Key {
		case wire.SortArrival, wire.SortDate, wire.SortSize, wire.SortRelevancy:
		default:
			o.summary = true
		}
	}
	return o
}

// add takes a message in.
func (o *sorter) add(p *mail.Placement, m *mail.Message) error {
	var s message.Summary
	if o.summary {
		var err error
		if s, err = message.DecodeSummary(m.Parsed); err != nil {
			s = message.Summary{} // a damaged row sorts as one that says nothing
		}
	}
	var few [256]byte
	key := few[:0]
	for _, c := range o.criteria {
		key = appendSortKey(key, c, m, &s, o.scores.of(p.UID))
	}
	k := sortKey{p.UID, key}
	if err := o.memory.take(k.size()); err != nil {
		return err
	}
	k.text = o.cut(key)
	o.keys = append(o.keys, k)
	o.bytes += k.size()
	return nil
}

// cut copies a key into a slab.
func (o *sorter) cut(key []byte) []byte {
	if cap(o.slab)-len(o.slab) < len(key) {
		o.slab = make([]byte, 0, max(slabBytes, len(key)))
	}
	n := len(o.slab)
	o.slab = append(o.slab, key...)
	return o.slab[n:len(o.slab):len(o.slab)]
}

// sorted puts the messages in order and returns their UIDs.
func (o *sorter) sorted() []mail.UID {
	slices.SortFunc(o.keys, sortKey.compare)
	uids := make([]mail.UID, len(o.keys))
	for i, k := range o.keys {
		uids[i] = k.uid
	}
	return uids
}

// compare orders by the criteria, then by the place in the mailbox.
func (k sortKey) compare(l sortKey) int {
	return cmp.Or(bytes.Compare(k.text, l.text), cmp.Compare(k.uid, l.uid))
}

// appendSortKey appends what a message is to one criterion (RFC 5256 §3, RFC 5957
// §3). No key is the beginning of another: a text ends with a NUL, which is in
// none, and REVERSE inverts all of it.
func appendSortKey(b []byte, c wire.SortCriterion, m *mail.Message, s *message.Summary, score float64) []byte {
	start := len(b)
	switch c.Key {
	case wire.SortArrival:
		b = appendTime(b, m.InternalDate)
	case wire.SortDate:
		b = appendTime(b, sentAt(m))
	case wire.SortRelevancy: // the best first, and scores are never negative, so their bits compare as they do
		b = bigendian.BigEndian.AppendUint64(b, ^math.Float64bits(score))
	case wire.SortSize:
		b = bigendian.BigEndian.AppendUint64(b, uint64(m.Size))
	default:
		b = append(casemap(b, []byte(sortText(c.Key, s))), 0)
	}
	if c.Reverse {
		for i := range b[start:] {
			b[start+i] ^= 0xff
		}
	}
	return b
}

// appendTime appends whole seconds, as far as clients see them.
func appendTime(b []byte, t time.Time) []byte {
	return bigendian.BigEndian.AppendUint64(b, uint64(t.Unix())^1<<63)
}

// sentAt is the sent date of RFC 5256 §2.2.
func sentAt(m *mail.Message) time.Time {
	if m.SentAt.IsZero() {
		return m.InternalDate
	}
	return m.SentAt
}

func sortText(k wire.SortKey, s *message.Summary) string {
	switch k {
	case wire.SortSubject:
		return s.BaseSubject
	case wire.SortFrom:
		return s.From.Mailbox
	case wire.SortTo:
		return s.To.Mailbox
	case wire.SortCc:
		return s.Cc.Mailbox
	case wire.SortDisplayFrom:
		return s.From.DisplayName()
	}
	return s.To.DisplayName()
}
