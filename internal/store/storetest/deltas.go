package storetest

import (
	"fmt"
	"maps"
	"slices"

	"lockstep/internal/mail"
	"lockstep/internal/store"
)

// pageSizes are those every delta is read in.
var pageSizes = []int{1, 7, 100}

// objects is what a view shows, by the id that Changes names; the text is all
// that the view shows of an object.
type objects map[int64]string

// view is one feed: a type, and a mailbox of TypePlacement.
type feed struct {
	typ     mail.Type
	mailbox mail.MailboxID
	as      mail.PrincipalID
}

func (f feed) String() string {
	return f.typ.String()
}

// feeds are those one can ask for now.
func (sn *snapshot) feeds() []feed {
	all := []feed{{typ: mail.TypeMailbox}, {typ: mail.TypeEmail}, {typ: mail.TypeThread}}
	for _, typ := range mail.ObjectTypes() {
		all = append(all, feed{typ: typ})
	}
	for _, mb := range sn.mailboxes {
		all = append(all, feed{mail.TypePlacement, mb.ID, 0})
	}
	return all
}

// objects returns what the feed is about.
func (sn *snapshot) objects(f feed) objects {
	o := objects{}
	switch f.typ {
	case mail.TypeIdentity, mail.TypeSubmission:
		return sn.objectsOf(f.typ)
	case mail.TypeMailbox:
		for _, mb := range sn.mailboxes {
			c := mb.Counts
			o[int64(mb.ID)] = fmt.Sprint(mb.Image(), slices.Contains(sn.subs, mb.Path), c.Emails, c.UnreadEmails, c.Threads, c.UnreadThreads)
		}
	case mail.TypeEmail:
		for key, e := range sn.emails {
			o[int64(key)] = fmt.Sprint(e.EmailID, e.mailboxes, e.keywords)
		}
	case mail.TypeThread:
		for id, keys := range sn.threads {
			o[int64(id)] = fmt.Sprint(keys)
		}
	case mail.TypePlacement:
		for _, r := range sn.messages[f.mailbox] {
			flags := r.Flags
			if f.as != 0 {
				flags = sn.views[viewOf{f.mailbox, f.as}].rows[r.UID].Flags
			}
			o[int64(r.ID)] = fmt.Sprint(r.UID, r.Message, flags, r.notes)
		}
	}
	return o
}

// record does the operations and returns a snapshot for every position.
func (h *history) record(s *subject) []*snapshot {
	all := []*snapshot{s.snapshot()}
	for _, o := range h.ops {
		o.do(s)
		if now := s.snapshot(); now.account.Head != all[len(all)-1].account.Head {
			all = append(all, now)
		}
	}
	return all
}

// deltas proves that from every position each view's delta is the difference of
// the snapshots.
func (h *history) deltas() {
	s := h.subject()
	past := h.record(s)
	now := s.snapshot()
	for _, old := range past {
		s.exactDeltas(old, now)
	}
	s.checked()
}

// exactDeltas gives up unless every delta from old leads to now.
func (s *subject) exactDeltas(old, now *snapshot) {
	for _, f := range append(now.feeds(), s.memberFeeds(old, now)...) {
		was, is := old.objects(f), now.objects(f)
		if !maps.Equal(was, is) && now.account.Last[f.typ] <= old.account.Head {
			fail("%v changed after %d, the account says last at %d", f, old.account.Head, now.account.Last[f.typ])
		}
		for _, limit := range pageSizes {
			s.exactDelta(f, old, was, is, limit)
		}
	}
	for _, mb := range now.mailboxes {
		s.imapDelta(mb, old, now)
		s.memberDeltas(mb, old, now)
		s.windowedDelta(mb.ID, old, now)
		s.linesKnown(mb.ID, old, now)
	}
	s.changedCounts(old, now)
}

// exactDelta applies the pages to what was.
func (s *subject) exactDelta(f feed, old *snapshot, was, is objects, limit int) {
	got, touched := maps.Clone(was), map[int64]bool{}
	var last mail.Change
	at := old.account.Epoch.At(old.account.Head)
	for {
		q := store.ChangeQuery{Type: f.typ, Mailbox: f.mailbox, From: at, Limit: limit, As: f.as}
		page := s.page(q)
		if again := s.page(q); limit == 7 && !slices.Equal(again.Changes, page.Changes) {
			fail("%v from %v: asked twice, answered %v and %v", f, at, page.Changes, again.Changes)
		}
		if limit == 7 {
			s.stops(q, page)
		}
		for _, c := range page.Changes {
			if touched[c.ID] {
				fail("%v from %d in pages of %d: %+v comes twice", f, old.account.Head, limit, c)
			}
			touched[c.ID] = true
			if f.typ == mail.TypePlacement && last.Op == c.Op && (c.Op == mail.Created && c.UID <= last.UID || c.Op != mail.Created && c.ModSeq < last.ModSeq) {
				fail("%v from %d: %+v comes after %+v", f, old.account.Head, c, last)
			}
			last = c
			applyExactly(f, got, is, c, old.account.Head)
		}
		if !page.More {
			break
		}
		at = page.Next
	}
	if !maps.Equal(got, is) {
		fail("%v from %d in pages of %d: got %v, want %v", f, old.account.Head, limit, got, is)
	}
}

// stops gives up unless who goes on from a stop inside a page hears the rest of it.
func (s *subject) stops(q store.ChangeQuery, page mail.ChangePage) {
	q.Stops = true
	whole := s.page(q)
	if len(whole.Stops) != len(page.Changes) {
		fail("%d stops for %d changes", len(whole.Stops), len(page.Changes))
	}
	for i, at := range whole.Stops {
		q.From, q.Limit = at, len(page.Changes)
		rest := s.page(q).Changes
		if want := page.Changes[i+1:]; len(rest) < len(want) || !slices.Equal(rest[:len(want)], want) {
			fail("from stop %d, %v: got %v, want %v", i, at, rest, want)
		}
	}
}

func applyExactly(f feed, got, is objects, c mail.Change, since mail.ModSeq) {
	_, known := got[c.ID]
	state, there := is[c.ID]
	switch {
	case c.ModSeq <= since:
		fail("%v from %d: %+v is older", f, since, c)
	case c.Op == mail.Created && !known && there, c.Op == mail.Updated && known && there:
		got[c.ID] = state
	case c.Op == mail.Destroyed && known && !there:
		delete(got, c.ID)
	default:
		fail("%v from %d: %+v, but known %v, there %v", f, since, c, known, there)
	}
}

// page asks for one page and looks whether it is well-formed.
func (s *subject) page(q store.ChangeQuery) mail.ChangePage {
	page := must(view(s, func(r store.Reader) (mail.ChangePage, error) { return r.Changes(q) }))
	switch {
	case len(page.Changes) > q.Limit:
		fail("%d changes in a page of %d", len(page.Changes), q.Limit)
	case page.More && len(page.Changes) == 0:
		fail("an empty page, and more to come, from %v", q.From)
	case page.More != (page.Next.Target != 0):
		fail("more is %v, next is %v", page.More, page.Next)
	case page.Next.Since < q.From.Since:
		fail("from %v the next position is %v", q.From, page.Next)
	}
	if p, readable := mail.ParsePosition(page.Next.String()); !readable || p != page.Next {
		fail("position %+v does not survive its own spelling", page.Next)
	}
	return page
}

// changedCounts gives up if a mailbox changed and its own numbers do not say so.
func (s *subject) changedCounts(old, now *snapshot) {
	since := old.account.Head
	for _, mb := range now.mailboxes {
		was, known := old.box(mb.ID)
		if !known {
			continue
		}
		a, b := was.Counts, mb.Counts
		shown := a.Emails != b.Emails || a.UnreadEmails != b.UnreadEmails || a.Threads != b.Threads || a.UnreadThreads != b.UnreadThreads
		if shown && mb.CountsModSeq <= since {
			fail("%s: counts changed after %d, it says last at %d", mb.Path, since, mb.CountsModSeq)
		}
		if was.Image() != mb.Image() && mb.PropsModSeq <= since {
			fail("%s: image changed after %d, it says last at %d", mb.Path, since, mb.PropsModSeq)
		}
	}
}

// imapDelta applies what RFC 7162 sends: FETCH of what changed and VANISHED.
func (s *subject) imapDelta(mb mail.Mailbox, old, now *snapshot) {
	since := old.account.Head
	was, is := old.uids(mb.ID), now.uids(mb.ID)
	got := maps.Clone(was)
	vanished := must(view(s, func(r store.Reader) (mail.UIDSet, error) { return r.Vanished(mb.ID, since) }))
	for uid := range vanished.All() {
		if _, there := is[uid]; there {
			fail("%s since %d: VANISHED names %d, which is there", mb.Path, since, uid)
		}
		delete(got, uid)
	}
	for _, p := range s.placements(store.PlacementQuery{Mailbox: mb.ID, ChangedSince: since}) {
		if p.ModSeq <= since {
			fail("%s/%d: modseq %d is not after %d", mb.Path, p.UID, p.ModSeq, since)
		}
		got[p.UID] = p.Flags
	}
	if !maps.Equal(got, is) {
		fail("%s since %d by CHANGEDSINCE and VANISHED %v: got %v, want %v", mb.Path, since, vanished, got, is)
	}
	if !maps.Equal(was, is) && mb.HighestModSeq <= since {
		fail("%s changed after %d, HIGHESTMODSEQ is %d", mb.Path, since, mb.HighestModSeq)
	}
}

// uids is a mailbox as IMAP shows it.
func (sn *snapshot) uids(mb mail.MailboxID) map[mail.UID]mail.Flags {
	m := map[mail.UID]mail.Flags{}
	for _, r := range sn.messages[mb] {
		m[r.UID] = r.Flags
	}
	return m
}
