package imap

import (
	"context"
	"slices"

	"lockstep/internal/imap/index"
	"lockstep/internal/imap/wire"
	"lockstep/internal/mail"
)

// liveSearch is a search of the selected mailbox that the client has updated (RFC
// 5267 §4.3). It holds what the client was told is in the result. A change to the
// mailbox costs it a look at the messages that changed, and at no others; one that
// nobody but the passing of time makes is not told (RFC 5032 §2).
type liveSearch struct {
	tag   string
	byUID bool
	from  *mail.Mailbox // named in what is told of an ESEARCH; else nil
	test  test
	traits
	items []wire.FetchItem // told of new messages (RFC 5465 §7)

	found  mail.UIDSet // of a SEARCH
	sorter *sorter     // of a SORT: the keys, in order; else nil
}

// rangeBytes is what a range of a set takes.
const rangeBytes = 8

// size is about how much memory it holds.
func (l *liveSearch) size() int64 {
	n := int64(len(l.found)) * rangeBytes
	if l.sorter != nil {
		n += l.sorter.bytes
	}
	return n
}

// contextOf finds the live search with a tag; nil if there is none.
func (sel *selection) contextOf(tag string) *liveSearch {
	i := slices.IndexFunc(sel.live, func(l *liveSearch) bool { return l.tag == tag })
	if i < 0 {
		return nil
	}
	return sel.live[i]
}

// keepUpdating makes a search live, or says that it will not be. The mailbox is
// given if the answers name it.
func (s *session) keepUpdating(x *searcher, o *sorter, q *query, from *mail.Mailbox) {
	l := &liveSearch{tag: q.tag, byUID: q.byUID, from: from, test: x.test, traits: x.traits, items: peeking(q.ret.Items), found: x.found, sorter: o}
	if o != nil { // what it was made from is not needed any more
		o.memory, o.view, o.texts, o.fresh, o.scores = nil, nil, nil, nil, nil
	}
	s.sel.live = append(s.sel.live, l)
	switch {
	case len(s.sel.live) > s.srv.limits.Contexts:
		s.stopUpdating(l, "Too many searches are being updated")
	case s.sel.liveBytes() > s.srv.limits.ContextBytes:
		s.stopUpdating(l, "The results are too large to be updated")
	case len(l.items) > maxSections:
		s.stopUpdating(l, "Too many data items")
	}
}

// peeking is items that don't set \Seen: nobody has read what is told unasked.
func peeking(items []wire.FetchItem) []wire.FetchItem {
	items = slices.Clone(items)
	for i := range items {
		items[i].Peek = true
	}
	return items
}

func (sel *selection) liveBytes() (n int64) {
	for _, l := range sel.live {
		n += l.size()
	}
	return n
}

// stopUpdating says that a search is not updated, or no longer (RFC 5267 §4.3.1).
func (s *session) stopUpdating(l *liveSearch, why string) {
	s.sel.live = slices.DeleteFunc(s.sel.live, func(o *liveSearch) bool { return o == l })
	s.sayNoUpdate(l.tag, why)
}

func (s *session) sayNoUpdate(tag, why string) {
	s.enc.Star().Atom("NO").OpenCode("NOUPDATE").String(tag).CloseCode().Text(why).End()
}

// cancelUpdate serves CANCELUPDATE (RFC 5267 §4.3.5).
func (s *session) cancelUpdate(_ context.Context, cmd *wire.CancelUpdate, _ *reply) error {
	for _, tag := range cmd.Tags {
		if s.sel.contextOf(tag) == nil {
			return errBad("No search with that tag is being updated")
		}
	}
	s.sel.live = slices.DeleteFunc(s.sel.live, func(l *liveSearch) bool { return slices.Contains(cmd.Tags, l.tag) })
	return nil
}

// tellGone tells live searches of messages that are about to be told gone, by the
// sequence numbers they still have (RFC 5267 §4.3.4).
func (s *session) tellGone(old *index.Version, gone []index.Entry) {
	if len(gone) == 0 {
		return
	}
	var uids mail.UIDSet
	for _, e := range gone {
		uids.Add(e.UID)
	}
	for _, l := range s.sel.live {
		if out := common(l.found, uids); len(out) > 0 {
			s.sayUpdate(l, old, l.remove(out), nil)
		}
	}
}

// tellLive tells live searches of messages that came or changed: first the data
// items of new ones, then what differs in each result.
func (s *session) tellLive(changed, added mail.UIDSet) {
	for _, l := range slices.Clone(s.sel.live) {
		among := added
		if l.mutable {
			among = union(changed, added)
		}
		if len(among) > 0 {
			s.tellOne(l, among, added)
		}
	}
}

// tellOne looks at messages anew. A result that can't be kept up to date any more
// is given up, and the client told so.
func (s *session) tellOne(l *liveSearch, among, added mail.UIDSet) {
	x := &searcher{fetcher: &fetcher{session: s, sel: s.sel, view: s.sel.view}, test: l.test, traits: l.traits}
	var fresh *sorter
	if l.sorter != nil {
		m := s.srv.mayHold()
		defer m.release()
		var err error
		if fresh, err = s.newSorter(s.sel, l.sorter.criteria, l.sorter.by, m); err != nil {
			_, _, text := s.words(err)
			s.stopUpdating(l, text)
			return
		}
		x.sortInto(fresh)
	}
	if err := x.run(s.ctx, among); err != nil {
		_, _, text := s.words(err)
		s.stopUpdating(l, text)
		return
	}
	in, out := without(x.found, l.found), without(common(among, l.found), x.found)
	s.tellItems(l, common(in, added))
	removed := l.remove(out)
	s.sayUpdate(l, s.sel.view, removed, l.insert(in, fresh))
	if s.sel.liveBytes() > s.srv.limits.ContextBytes {
		s.stopUpdating(l, "The results are too large to be updated")
	}
}

// tellItems tells data items of new messages that came into a result.
func (s *session) tellItems(l *liveSearch, uids mail.UIDSet) {
	if len(l.items) == 0 || len(uids) == 0 {
		return
	}
	f := &fetcher{session: s, sel: s.sel, view: s.sel.view, act: s.newAct(), plan: s.planFetch(&wire.Fetch{Items: l.items})}
	f.plan.seen = false
	if err := f.answer(s.ctx, uids); err != nil {
		s.words(err) // the message itself is told all the same
	}
}

// placed is messages that come into a result, or leave it, one behind the other
// from a place on, counted from 1; 0 is wherever they belong.
type placed struct {
	at    int
	which finding
}

// remove takes messages out of the result.
func (l *liveSearch) remove(out mail.UIDSet) []placed {
	if len(out) == 0 {
		return nil
	}
	l.found = without(l.found, out)
	if l.sorter == nil {
		return []placed{{0, finding{set: out}}}
	}
	return l.sorter.remove(out)
}

// insert puts messages into the result; the keys of a SORT are in fresh, among
// others'.
func (l *liveSearch) insert(in mail.UIDSet, fresh *sorter) []placed {
	if len(in) == 0 {
		return nil
	}
	l.found = union(l.found, in)
	if l.sorter == nil {
		return []placed{{0, finding{set: in}}}
	}
	return l.sorter.insert(slices.DeleteFunc(fresh.keys, func(k sortKey) bool { return !in.Contains(k.uid) }))
}

// remove takes messages out of the order, of which there is one at least.
func (o *sorter) remove(out mail.UIDSet) (places []placed) {
	least, most := out[0].First, out[len(out)-1].Last
	kept, run := 0, false
	for i, k := range o.keys {
		if k.uid < least || k.uid > most || !out.Contains(k.uid) {
			if kept < i {
				o.keys[kept] = k
			}
			kept, run = kept+1, false
			continue
		}
		if !run { // those before have left already
			places, run = append(places, placed{at: kept + 1}), true
		}
		last := &places[len(places)-1].which
		last.order = append(last.order, k.uid)
		o.bytes -= k.size()
	}
	clear(o.keys[kept:])
	o.keys = o.keys[:kept]
	return places
}

// insert puts messages into the order. What comes before all of them is not moved.
func (o *sorter) insert(fresh []sortKey) (places []placed) {
	slices.SortFunc(fresh, sortKey.compare)
	i, end := len(o.keys), len(o.keys)+len(fresh)
	o.keys = append(o.keys, fresh...)
	at := make([]int, len(fresh))
	for j := len(fresh); j > 0; end-- {
		if i > 0 && o.keys[i-1].compare(fresh[j-1]) > 0 {
			i--
			o.keys[end-1] = o.keys[i]
			continue
		}
		j--
		o.keys[end-1] = sortKey{fresh[j].uid, o.cut(fresh[j].text)}
		o.bytes += fresh[j].size()
		at[j] = end
	}
	for j, k := range fresh {
		if j == 0 || at[j] != at[j-1]+1 {
			places = append(places, placed{at: at[j]})
		}
		last := &places[len(places)-1].which
		last.order = append(last.order, k.uid)
	}
	return places
}

// sayUpdate writes what left a result and what came, in the order in which the
// client has to follow (RFC 5267 §4.3.2).
func (s *session) sayUpdate(l *liveSearch, v *index.Version, removed, added []placed) {
	if len(removed) == 0 && len(added) == 0 {
		return
	}
	out := s.openESearch(l.tag, l.byUID, l.from)
	sayPlaces(out, "REMOVEFROM", removed, v, l.byUID)
	sayPlaces(out, "ADDTO", added, v, l.byUID)
	out.End()
}

func sayPlaces(out *wire.Encoder, name string, places []placed, v *index.Version, byUID bool) {
	if len(places) == 0 {
		return
	}
	out.Atom(name).Open()
	for _, p := range places {
		p.which.numbers(v, byUID).say(out.Number(uint64(p.at)))
	}
	out.Close()
}
