package imap

import (
	"context"

	"lockstep/internal/imap/index"
	"lockstep/internal/imap/wire"
	"lockstep/internal/mail"
)

// search serves SEARCH and UID SEARCH (RFC 9051 §6.4.4, RFC 4731, RFC 5182, RFC
// 5267, RFC 9394). What the index can't decide is looked up in the database, and
// what that can't is read.
func (s *session) search(ctx context.Context, cmd *wire.Search, r *reply) error {
	if cmd.Charset && s.utf8 { // RFC 6855 §3
		return errSettled
	}
	q := newQuery(cmd.Program, cmd.Return, cmd.UID, r.tag)
	if q.ret == nil && s.rev2 {
		q.ret = &wire.SearchReturn{All: true}
	}
	if err := s.begin(q); err != nil {
		return err
	}
	q.reply = r
	return s.answer(ctx, "SEARCH", q, nil)
}

var errSettled = errBad("UTF8=ACCEPT has settled the charset")

// query is what SEARCH, SORT, THREAD and ESEARCH have in common.
type query struct {
	wire.Program
	ret   *wire.SearchReturn // nil without RETURN
	byUID bool
	tag   string
	reply *reply // of a SEARCH, whose result has a limit
}

func newQuery(p wire.Program, ret *wire.SearchReturn, byUID bool, tag string) *query {
	if ret != nil && ret.IsEmpty() {
		ret = &wire.SearchReturn{All: true}
	}
	return &query{p, ret, byUID, tag, nil}
}

func (q *query) saves() bool   { return q.ret != nil && q.ret.Save }
func (q *query) updates() bool { return q.ret != nil && q.ret.Update }

// begin refuses what can't be searched for, and tells what changed, so that the
// answer is what holds now. Expunges are not told to a client whose sequence
// numbers are still to be understood.
func (s *session) begin(q *query) error {
	if q.updates() && s.sel != nil && s.sel.contextOf(q.tag) != nil {
		return errBad("The tag is in use by a search that is being updated")
	}
	if q.NotUTF8 && s.utf8 { // RFC 6855, erratum 4029
		return errSettled
	}
	if q.BadCharset != "" {
		if q.saves() {
			s.saved = nil // RFC 5182 §2.1
		}
		return errNo("BADCHARSET (US-ASCII UTF-8)", "Unknown charset")
	}
	if q.ret != nil && q.ret.Relevancy && !traitsOf(q.Key).fuzzy {
		return errRelevancy
	}
	if s.sel == nil {
		return nil
	}
	return s.tell(0, q.byUID && !keyNumbers(q.Key))
}

// answer runs a search of the selected mailbox, in the order of o if that is not
// nil, says what the client asked for, and sees to SAVE and UPDATE.
func (s *session) answer(ctx context.Context, name string, q *query, o *sorter) error {
	x := s.newSearcher(s.sel, q.Key)
	x.tag = q.tag
	found, err := x.find(ctx, o)
	if err != nil {
		if q.saves() {
			s.saved = nil // RFC 5182 §2.1
		}
		return err
	}
	if q.reply != nil {
		found.set = s.upTo(found.set, q.reply)
	}
	if q.ret == nil {
		x.sayPlain(name, found, q.byUID)
		return s.enc.Err()
	}
	if q.saves() {
		s.saved = x.toSave(found, q.ret)
	}
	if !q.saves() || q.ret.HasResult() {
		x.sayExtended(found, q, nil)
	}
	if q.updates() {
		s.keepUpdating(x, o, q, nil)
	}
	return s.enc.Err()
}

// searcher runs one search of one mailbox.
type searcher struct {
	*fetcher
	test test
	traits
	keeper keeper // hears of each message found; nil if its row is of no interest
	found  mail.UIDSet
	texts  *texts      // of the messages being looked up; nil without an index
	scores scores      // of those found by a fuzzy key
	modseq mail.ModSeq // the highest of those found
	read   int64       // bytes of mail
	tag    string      // of the command; "" where nobody waits
	done   uint64      // messages looked at that the index can't decide
	*progress
}

// A keeper takes in what is found. The order is that of the mailbox only from one
// flush to the next.
type keeper interface {
	// known takes in those messages of which it knows all it has to, and returns the
	// others.
	known(entries []index.Entry) (missing mail.UIDSet, err error)
	// passOver says that messages may be found between those it is asked about.
	passOver()
	add(p *mail.Placement, m *mail.Message) error
	flush() error
}

func (s *session) newSearcher(sel *selection, key wire.SearchKey) *searcher {
	f := &fetcher{session: s, sel: sel, view: sel.view}
	return &searcher{fetcher: f, test: s.compile(sel, key), traits: traitsOf(key)}
}

// traits are what a search key has in it.
type traits struct {
	keys      int
	readers   int  // keys for which mail is read
	hasText   bool // keys that the index of texts may answer
	fuzzy     bool // keys of which messages can be more or less
	hasModSeq bool
	mutable   bool // it may find a message and later not, or the other way round
}

func traitsOf(key wire.SearchKey) (t traits) {
	t.add(key)
	return t
}

func (t *traits) add(key wire.SearchKey) {
	t.keys++
	switch k := key.(type) {
	case wire.And:
		for _, sub := range k {
			t.add(sub)
		}
	case wire.Or:
		t.add(k.A)
		t.add(k.B)
	case wire.Not:
		t.add(k.Key)
	case wire.FuzzyKey:
		t.fuzzy = true
		t.add(k.Key)
	case wire.ModSeqKey:
		t.hasModSeq, t.mutable = true, true
	case wire.AnnotationKey:
		t.mutable = true
	case wire.EnvelopeKey:
		t.hasText = true
	case wire.TextKey, wire.HeaderKey:
		t.hasText = true
		t.readers++
	case wire.AllKey, wire.SeqKey, wire.UIDBoundKey, wire.RecentKey, wire.DateKey, wire.AgeKey, wire.SizeKey, wire.IDKey, wire.SaveDateSupportedKey:
	default: // flags, and what is not known not to change
		t.mutable = true
	}
}

// chunk is how many messages one View looks at: fewer when there are many keys.
func (t *traits) chunk() int { return max(searchChunk/(1+t.keys/16), 10) }

// find runs the search, in the order of o if that is not nil.
func (x *searcher) find(ctx context.Context, o *sorter) (finding, error) {
	if o == nil {
		err := x.run(ctx, nil)
		return finding{set: x.found}, err
	}
	x.sortInto(o)
	if err := x.run(ctx, nil); err != nil {
		return finding{}, err
	}
	return finding{x.found, o.sorted()}, nil
}

// run looks for messages, among those given if there are any.
func (x *searcher) run(ctx context.Context, among mail.UIDSet) error {
	if among == nil {
		among = mail.AllUIDs
	}
	sure, open, err := x.sift(among)
	if err != nil {
		return err
	}
	if x.progress = nil; x.tag != "" {
		x.progress, x.done = x.newProgress(x.tag, open.Count()), 0
	}
	if err := x.lookUp(ctx, open); err != nil {
		return err
	}
	x.found = union(sure, x.found)
	if x.hasModSeq {
		x.modseq = x.highest(x.found)
	}
	return nil
}

// sift finds what the index of flags is sure of, and what has to be looked up: also
// because the keeper lacks something of it.
func (x *searcher) sift(among mail.UIDSet) (sure, open mail.UIDSet, err error) {
	var lacking mail.UIDSet
	var page []index.Entry
	c := new(candidate)
	for _, r := range among {
		lo, hi := x.view.Seqs(r.First, r.Last)
		for _, e := range x.view.Range(lo, hi) {
			*c = candidate{entry: e, flags: x.view.Flags(e)}
			switch x.test(c) {
			case unknown:
				if x.keeper != nil && len(open) == 0 {
					if err := x.settle(page, &sure, &lacking); err != nil {
						return nil, nil, err
					}
					page = page[:0]
					x.keeper.passOver()
				}
				open.Add(e.UID)
			case yes:
				page = append(page, e)
			}
			if len(page) == siftPage {
				if err := x.settle(page, &sure, &lacking); err != nil {
					return nil, nil, err
				}
				page = page[:0]
			}
		}
	}
	err = x.settle(page, &sure, &lacking)
	return sure, union(open, lacking), err
}

// siftPage is how many messages a keeper is asked about at a time.
const siftPage = 1024

// settle divides messages that match into those of which the keeper knows all, and
// those it lacks.
func (x *searcher) settle(page []index.Entry, sure, lacking *mail.UIDSet) error {
	var missing mail.UIDSet
	if x.keeper != nil {
		var err error
		if missing, err = x.keeper.known(page); err != nil {
			return err
		}
	}
	for _, e := range page {
		if missing.Contains(e.UID) {
			lacking.Add(e.UID)
		} else {
			sure.Add(e.UID)
		}
	}
	return nil
}

// lookUp decides what the index of flags can't: by the index of texts, then by the
// database, then by reading.
func (x *searcher) lookUp(ctx context.Context, open mail.UIDSet) error {
	for _, part := range chunks(open, textChunk) {
		asked := part.Count()
		part, err := x.askTexts(ctx, part)
		if err != nil {
			return err
		}
		x.done += asked - part.Count()
		for _, chunk := range chunks(part, x.chunk()) {
			for len(chunk) > 0 {
				if chunk, err = x.rows(ctx, chunk); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// highest is the highest MODSEQ of some messages.
func (x *searcher) highest(uids mail.UIDSet) (n mail.ModSeq) {
	for _, r := range uids {
		lo, hi := x.view.Seqs(r.First, r.Last)
		for _, e := range x.view.Range(lo, hi) {
			n = max(n, e.ModSeq)
		}
	}
	return n
}

// union merges two sets.
func union(a, b mail.UIDSet) mail.UIDSet {
	if len(b) == 0 {
		return a
	}
	var out mail.UIDSet
	for len(a) > 0 || len(b) > 0 {
		if len(b) == 0 || len(a) > 0 && a[0].First < b[0].First {
			out.AddRange(a[0].First, a[0].Last)
			a = a[1:]
		} else {
			out.AddRange(b[0].First, b[0].Last)
			b = b[1:]
		}
	}
	return out
}

// rows decides what the database can decide, and reads the mail of the rest.
func (x *searcher) rows(ctx context.Context, uids mail.UIDSet) (rest mail.UIDSet, err error) {
	var open []row
	size := 0
	rest, err = x.viewRows(ctx, uids, x.readers > 0, func(p *mail.Placement, m *mail.Message) error {
		x.done++
		switch v := x.decide(p, m, nil); v {
		case yes:
			return x.take(p, m)
		case unknown:
			open = append(open, copyRow(p, m))
			x.done--
			if size += len(m.Parsed); size > fetchBytes {
				return errFull
			}
		}
		return nil
	})
	for i := range open {
		if err != nil {
			return nil, err
		}
		if err = x.readOne(ctx, &open[i]); err == nil {
			x.done++
			err = x.at(x.done)
		}
	}
	if err == nil {
		err = x.at(x.done)
	}
	if err == nil && x.keeper != nil {
		err = x.keeper.flush()
	}
	return rest, err
}

// take notes a message that was found.
func (x *searcher) take(p *mail.Placement, m *mail.Message) error {
	x.found.Add(p.UID)
	if x.keeper == nil {
		return nil
	}
	return x.keeper.add(p, m)
}

// decide tests one message. One that can't be read does not match.
func (x *searcher) decide(p *mail.Placement, m *mail.Message, body Body) verdict {
	e, ok := x.view.Find(p.UID)
	if !ok {
		return no
	}
	c := &candidate{entry: e, flags: x.view.Flags(e), message: p.Message, texts: x.texts, p: p, m: m, body: body}
	v := x.test(c)
	x.rate(v, c)
	if c.err != nil {
		x.srv.Log.WarnContext(x.ctx, "message unreadable in search", "proto", "imap", "err", c.err)
		return no
	}
	return v
}

func (x *searcher) readOne(ctx context.Context, r *row) error {
	if x.read += r.m.Size * int64(x.readers); x.read > x.srv.limits.SearchBytes {
		return errNo("LIMIT", "The search would have to read too much mail; narrow it")
	}
	body, err := x.srv.Blobs.Open(ctx, r.m.Blob)
	if err != nil {
		x.srv.Log.WarnContext(x.ctx, "message unreadable in search", "proto", "imap", "err", err)
		return ctx.Err()
	}
	defer body.Close()
	if x.decide(&r.p, &r.m, body) == yes {
		return x.take(&r.p, &r.m)
	}
	return nil
}
