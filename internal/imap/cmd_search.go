package imap

import (
	"context"

	"lockstep/internal/imap/wire"
	"lockstep/internal/mail"
)

// search serves SEARCH and UID SEARCH (RFC 9051 §6.4.4, RFC 4731, RFC 5182). What
// the index can't decide is looked up in the database, and what that can't is
// read.
func (s *session) search(ctx context.Context, cmd *wire.Search, r *reply) error {
	if cmd.Charset && s.utf8 { // RFC 6855 §3
		return errBad("UTF8=ACCEPT has settled the charset")
	}
	if err := s.tell(0, cmd.UID); err != nil {
		return err
	}
	x := &searcher{fetcher: &fetcher{session: s, view: s.sel.view}, test: s.compile(cmd.Key), traits: traitsOf(cmd.Key)}
	save := cmd.Return != nil && cmd.Return.Save
	if err := x.run(ctx); err != nil {
		if save {
			s.saved = nil // RFC 5182 §2.1
		}
		return err
	}
	if save {
		s.saved = x.toSave(cmd.Return)
	}
	x.say(cmd, r.tag)
	return s.enc.Err()
}

// searcher runs one SEARCH.
type searcher struct {
	*fetcher
	test test
	traits
	found  mail.UIDSet
	texts  *texts      // of the messages being looked up; nil without an index
	modseq mail.ModSeq // the highest of those found
	read   int64       // bytes of mail
}

// traits are what a search key has in it.
type traits struct {
	keys      int
	readers   int  // keys for which mail is read
	hasText   bool // keys that the index of texts may answer
	hasModSeq bool
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
	case wire.ModSeqKey:
		t.hasModSeq = true
	case wire.EnvelopeKey:
		t.hasText = true
	case wire.TextKey, wire.HeaderKey:
		t.hasText = true
		t.readers++
	}
}

// chunk is how many messages one View looks at: fewer when there are many keys.
func (t *traits) chunk() int { return max(searchChunk/(1+t.keys/16), 10) }

func (x *searcher) run(ctx context.Context) error {
	var sure, open mail.UIDSet
	for seq, e := range x.view.All() {
		switch x.test(&candidate{seq: seq, entry: e, flags: x.view.Flags(e)}) {
		case yes:
			sure.Add(e.UID)
		case unknown:
			open.Add(e.UID)
		}
	}
	if err := x.lookUp(ctx, open); err != nil {
		return err
	}
	x.found = union(sure, x.found)
	for _, r := range x.found {
		lo, hi := x.view.Seqs(r.First, r.Last)
		for _, e := range x.view.Range(lo, hi) {
			x.modseq = max(x.modseq, e.ModSeq)
		}
	}
	return nil
}

// lookUp decides what the index of flags can't: by the index of texts, then by the
// database, then by reading.
func (x *searcher) lookUp(ctx context.Context, open mail.UIDSet) error {
	for _, part := range chunks(open, textChunk) {
		part, err := x.askTexts(ctx, part)
		if err != nil {
			return err
		}
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
	rest, err = x.viewRows(ctx, uids, true, func(p *mail.Placement, m *mail.Message) error {
		switch v := x.decide(p, m, nil); v {
		case yes:
			x.found.Add(p.UID)
		case unknown:
			open = append(open, copyRow(p, m))
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
		err = x.readOne(ctx, &open[i])
	}
	return rest, err
}

// decide tests one message. One that can't be read does not match.
func (x *searcher) decide(p *mail.Placement, m *mail.Message, body Body) verdict {
	e, ok := x.view.Find(p.UID)
	if !ok {
		return no
	}
	seq, _ := x.view.Seq(p.UID)
	c := &candidate{seq: seq, entry: e, flags: x.view.Flags(e), message: p.Message, texts: x.texts, p: p, m: m, body: body}
	v := x.test(c)
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
		x.found.Add(r.p.UID)
	}
	return nil
}

// toSave is what $ means afterwards (RFC 5182 §2.4): all, or with MIN or MAX and
// nothing that names all, those.
func (x *searcher) toSave(r *wire.SearchReturn) mail.UIDSet {
	if r.All || r.Count || !r.Min && !r.Max || len(x.found) == 0 {
		return x.found
	}
	var out mail.UIDSet
	if r.Min {
		out.Add(x.found[0].First)
	}
	if r.Max {
		out.Add(x.found[len(x.found)-1].Last)
	}
	return out
}

// say writes the result.
func (x *searcher) say(cmd *wire.Search, tag string) {
	ret := cmd.Return
	if ret == nil && !x.rev2 {
		x.sayPlain(cmd.UID)
		return
	}
	if ret == nil || *ret == (wire.SearchReturn{}) {
		ret = &wire.SearchReturn{All: true}
	}
	if *ret == (wire.SearchReturn{Save: true}) {
		return
	}
	x.sayExtended(cmd.UID, ret, tag)
}

// sayPlain writes SEARCH (RFC 3501 §7.2.5).
func (x *searcher) sayPlain(byUID bool) {
	out := x.enc.Star().Atom("SEARCH")
	for _, r := range x.found {
		lo, hi := x.view.Seqs(r.First, r.Last)
		for seq, e := range x.view.Range(lo, hi) {
			if byUID {
				out.Number(uint64(e.UID))
			} else {
				out.Number(uint64(seq))
			}
		}
	}
	if x.hasModSeq && len(x.found) > 0 {
		out.Open().Atom("MODSEQ").Number(uint64(x.modseq)).Close()
	}
	out.End()
}

// sayExtended writes ESEARCH (RFC 4731).
func (x *searcher) sayExtended(byUID bool, ret *wire.SearchReturn, tag string) {
	out := x.enc.Star().Atom("ESEARCH").Open().Atom("TAG").String(tag).Close()
	numbers := x.found
	if byUID {
		out.Atom("UID")
	} else {
		numbers = x.seqs(numbers)
	}
	if n := len(numbers); n > 0 {
		if ret.Min {
			out.Atom("MIN").Number(uint64(numbers[0].First))
		}
		if ret.Max {
			out.Atom("MAX").Number(uint64(numbers[n-1].Last))
		}
		if ret.All {
			out.Atom("ALL").UIDs(numbers)
		}
	}
	if ret.Count {
		out.Atom("COUNT").Number(numbers.Count())
	}
	if x.hasModSeq && len(x.found) > 0 {
		out.Atom("MODSEQ").Number(uint64(x.resultModSeq(ret)))
	}
	out.End()
}

// resultModSeq is the highest of what is returned: of MIN and MAX alone, theirs
// (RFC 4731 §3.2).
func (x *searcher) resultModSeq(ret *wire.SearchReturn) mail.ModSeq {
	if ret.All || ret.Count {
		return x.modseq
	}
	var n mail.ModSeq
	for uid := range x.toSave(ret).All() {
		if e, ok := x.view.Find(uid); ok {
			n = max(n, e.ModSeq)
		}
	}
	return n
}
