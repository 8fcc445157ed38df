package storetest

import (
	"maps"
	"slices"

	"lockstep/internal/mail"
	"lockstep/internal/store"
)

// follower is a client that follows one feed while others write.
type follower struct {
	feed
	at      mail.Position
	holds   objects
	touched map[int64]bool // in the delta under way
	limit   int
}

// interleaved proves that clients who read a page now and then, with writes
// between the pages, converge once the writing stops.
func (h *history) interleaved() {
	s := h.subject()
	start := s.snapshot()
	before := start
	var followers []*follower
	for _, f := range start.feeds() {
		for _, limit := range pageSizes {
			followers = append(followers, &follower{f, start.account.Epoch.At(start.account.Head), start.objects(f), map[int64]bool{}, limit})
		}
	}
	inbox := start.holding(start.mailboxes[0].ID)
	at := start.account.Epoch.At(start.account.Head)
	for i, o := range h.ops {
		o.do(s)
		now := s.snapshot()
		if i%(len(h.ops)/3+1) == 10 { // members join when something is shared
			for _, f := range s.memberFeeds(now, now) {
				for _, limit := range pageSizes {
					followers = append(followers, &follower{f, now.account.Epoch.At(now.account.Head), now.objects(f), map[int64]bool{}, limit})
				}
			}
		}
		regranted := s.regranted(before)
		before = now
		followers = slices.DeleteFunc(followers, func(f *follower) bool {
			return f.lost(now) || f.as != 0 && (regranted[viewOf{f.mailbox, f.as}] || regranted[viewOf{f.mailbox, mail.Anyone}])
		})
		if i >= len(h.ops)/3 && i%3 == 0 {
			for _, f := range followers {
				f.readPage(s, now)
			}
		}
		if i%20 == 19 {
			at = inbox.follow(s, at, 1, func() { (op{steps: []step{{verb: "flags", box: "INBOX", n: 2, flags: `+\Flagged`}}}).do(s) })
		}
	}
	settled := s.snapshot()
	for _, f := range followers {
		for range 2 { // the delta under way, and what changed past its target
			for f.readPage(s, settled) {
			}
		}
		if want := settled.objects(f.feed); !maps.Equal(f.holds, want) {
			fail("%v in pages of %d, settled: got %v, want %v", f.feed, f.limit, f.holds, want)
		}
	}
	inbox.follow(s, at, 7, func() {})
	if got, want := inbox.items(), settled.holding(inbox.mailbox).items(); !maps.Equal(got, want) {
		fail("windowed, settled: got %v, want %v", got, want)
	}
}

// lost says whether the mailbox the feed is about is gone.
func (f *follower) lost(now *snapshot) bool {
	_, there := now.box(f.mailbox)
	return f.typ == mail.TypePlacement && !there
}

// readPage reads one page, fetching each object as it is now, and says whether
// there is more.
func (f *follower) readPage(s *subject, now *snapshot) bool {
	page := s.page(store.ChangeQuery{Type: f.typ, Mailbox: f.mailbox, From: f.at, Limit: f.limit, As: f.as})
	current := now.objects(f.feed)
	for _, c := range page.Changes {
		if f.touched[c.ID] {
			fail("%v in pages of %d: %+v comes twice in one delta", f.feed, f.limit, c)
		}
		f.touched[c.ID] = true
		state, there := current[c.ID]
		if c.Op == mail.Destroyed || !there {
			delete(f.holds, c.ID)
		} else {
			f.holds[c.ID] = state
		}
	}
	if f.at = page.Next; !page.More {
		clear(f.touched)
	}
	return page.More
}
