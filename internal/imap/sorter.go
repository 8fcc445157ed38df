package imap

import (
	"bytes"
	"cmp"
	bigendian "encoding/binary"
	"math"
	"slices"
	"time"

	"lockstep/internal/imap/index"
	"lockstep/internal/imap/wire"
	"lockstep/internal/mail"
	"lockstep/internal/message"
)

// sorter puts messages in order. Of each it keeps one key, whose bytes compare as
// the criteria do: some 32 bytes and the texts that are sorted by. What a message
// is to a criterion never changes, and is remembered beside the index of the
// mailbox; the rows of those of which it is not are read once. So a million
// messages cost a million rows the first time, and about 100 MB each time.
type sorter struct {
	criteria []wire.SortCriterion
	by       *collation // of texts
	memory   *allowance
	keys     []sortKey
	bytes    int64  // of the keys
	slab     []byte // keys are cut from
	summary  bool   // what Parsed says is needed

	view   *index.Version
	texts  []*index.Texts // by criterion
	fresh  []freshKey     // read since flush
	scores *scores
	notes  []map[mail.UID]string // by criterion, where it is an annotation
}

type sortKey struct {
	uid  mail.UID
	text []byte
}

// freshKey is what a message is to each criterion, REVERSE left aside.
type freshKey struct {
	entry index.Entry
	parts [][]byte
}

// keyBytes is what a key takes besides its text.
const keyBytes = 32

func (k sortKey) size() int64 { return keyBytes + int64(len(k.text)) }

// slabBytes is how much memory is taken at once. A key that is larger has a slab
// of its own.
const slabBytes = 64 << 10

// newSorter sorts messages of a mailbox as sel shows it now.
func (s *session) newSorter(sel *selection, criteria []wire.SortCriterion, by *collation, m *allowance) (*sorter, error) {
	o := &sorter{by: by, memory: m, view: sel.view}
	for _, c := range criteria {
		if slices.ContainsFunc(o.criteria, func(d wire.SortCriterion) bool { return d.IsSame(c) }) {
			continue // where it is asked for, all are the same to it
		}
		kind := "SORT " + string(c.Key)
		switch c.Key {
		case wire.SortArrival, wire.SortDate, wire.SortSize, wire.SortRelevancy, wire.SortAnnotation:
		default:
			o.summary = true
			kind += " " + by.name
		}
		var t *index.Texts // scores are of one search, and annotations change
		var notes map[mail.UID]string
		switch c.Key {
		case wire.SortRelevancy:
		case wire.SortAnnotation:
			var err error
			if notes, err = s.sortNotes(sel, c, m); err != nil {
				return nil, err
			}
		default:
			t = sel.box.Texts(sel.view, kind)
		}
		o.criteria, o.texts, o.notes = append(o.criteria, c), append(o.texts, t), append(o.notes, notes)
	}
	return o, nil
}

// known takes those messages in of which everything is remembered.
func (o *sorter) known(entries []index.Entry) (missing mail.UIDSet, err error) {
	all := make([][][]byte, len(o.texts))
	for i, t := range o.texts {
		all[i] = make([][]byte, len(entries))
		if t != nil {
			t.Look(entries, all[i])
			continue
		}
		for n, e := range entries {
			all[i][n] = o.part(i, e.UID)
		}
	}
	parts := make([][]byte, len(o.texts))
	for n, e := range entries {
		whole := true
		for i := range all {
			parts[i] = all[i][n]
			whole = whole && parts[i] != nil
		}
		if !whole {
			missing.Add(e.UID)
		} else if err := o.put(e.UID, parts); err != nil {
			return nil, err
		}
	}
	return missing, nil
}

func (o *sorter) passOver() {} // the order comes later

// add takes a message in.
func (o *sorter) add(p *mail.Placement, m *mail.Message) error {
	var s message.Summary
	if o.summary {
		var err error
		if s, err = message.DecodeSummary(m.Parsed); err != nil {
			s = message.Summary{} // a damaged row sorts as one that says nothing
		}
	}
	parts := make([][]byte, len(o.criteria))
	for i, c := range o.criteria {
		if o.texts[i] == nil {
			parts[i] = o.part(i, p.UID)
		} else {
			parts[i] = sortPart(c.Key, o.by, m, &s)
		}
	}
	if e, ok := o.view.Find(p.UID); ok {
		o.fresh = append(o.fresh, freshKey{e, parts})
	}
	return o.put(p.UID, parts)
}

// put makes the key of a message. None is the beginning of another: a text ends
// with a NUL, which is in none, and REVERSE inverts all of it.
func (o *sorter) put(uid mail.UID, parts [][]byte) error {
	var few [256]byte
	key := few[:0]
	for i, c := range o.criteria {
		start := len(key)
		key = append(key, parts[i]...)
		for j := start; j < len(key) && c.Reverse; j++ {
			key[j] ^= 0xff
		}
	}
	size := keyBytes + int64(len(key))
	if err := o.memory.take(size); err != nil {
		return err
	}
	o.keys = append(o.keys, sortKey{uid, o.cut(key)})
	o.bytes += size
	return nil
}

// flush has what was read remembered.
func (o *sorter) flush() error {
	slices.SortFunc(o.fresh, func(a, b freshKey) int { return cmp.Compare(a.entry.UID, b.entry.UID) })
	entries, parts := make([]index.Entry, len(o.fresh)), make([][]byte, len(o.fresh))
	for i, t := range o.texts {
		if t == nil {
			continue
		}
		for n, f := range o.fresh {
			entries[n], parts[n] = f.entry, f.parts[i]
		}
		t.Keep(entries, parts)
	}
	o.fresh = o.fresh[:0]
	return nil
}

// cut copies a key into a slab.
func (o *sorter) cut(key []byte) []byte {
	if cap(o.slab)-len(o.slab) < len(key) {
		o.slab = make([]byte, 0, max(min(2*cap(o.slab), slabBytes), 8*len(key)))
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

// sortPart is what a message is to a sort key (RFC 5256 §3, RFC 5957 §3).
func sortPart(k wire.SortKey, by *collation, m *mail.Message, s *message.Summary) []byte {
	switch k {
	case wire.SortArrival:
		return appendTime(nil, m.InternalDate)
	case wire.SortDate:
		return appendTime(nil, sentAt(m))
	case wire.SortSize:
		return bigendian.BigEndian.AppendUint64(nil, uint64(m.Size))
	}
	return append(by.fold(nil, []byte(sortText(k, s))), 0)
}

// part is what a message is to a criterion that is not remembered.
func (o *sorter) part(i int, uid mail.UID) []byte {
	if o.notes[i] != nil {
		return append(o.by.fold(nil, []byte(o.notes[i][uid])), 0)
	}
	return scorePart(o.scores.of(uid))
}

// scorePart is the best first (RFC 6203 §5). Scores are never negative, so their bits
// compare as they do.
func scorePart(score float64) []byte {
	return bigendian.BigEndian.AppendUint64(nil, ^math.Float64bits(score))
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
