package storetest

import (
	"fmt"
	"maps"
	"slices"

	"lockstep/internal/mail"
	"lockstep/internal/store"
)

// viewOf is a mailbox and who looks at it.
type viewOf struct {
	mailbox mail.MailboxID
	as      mail.PrincipalID
}

// memberView is a mailbox as a member sees it.
type memberView struct {
	mail.Mailbox
	rows map[mail.UID]mail.Placement
	own  mail.UIDSet // what OwnSeen says of what is there
}

// readMembers adds what each member sees.
func (sn *snapshot) readMembers(r store.Reader, members []mail.PrincipalID) error {
	sn.grants, sn.views = map[mail.MailboxID][]mail.Grant{}, map[viewOf]*memberView{}
	for _, mb := range sn.mailboxes {
		var err error
		if sn.grants[mb.ID], err = r.Rights(mb.ID); err != nil {
			return err
		}
		for _, m := range members {
			if err := sn.readMember(r, viewOf{mb.ID, m}); err != nil {
				return err
			}
		}
	}
	return nil
}

func (sn *snapshot) readMember(r store.Reader, of viewOf) error {
	v := &memberView{rows: map[mail.UID]mail.Placement{}}
	var err error
	if v.Mailbox, err = r.MailboxAs(of.mailbox, of.as); err != nil {
		return err
	}
	seen, err := r.OwnSeen(of.mailbox, of.as, mail.AllUIDs)
	if err != nil {
		return err
	}
	sn.views[of] = v
	return r.Placements(store.PlacementQuery{Mailbox: of.mailbox, As: of.as}, func(p *mail.Placement) error {
		v.rows[p.UID] = *p
		if seen.Contains(p.UID) {
			v.own.Add(p.UID)
		}
		return nil
	})
}

// memberLines are the lines of a snapshot's text that members see.
func (sn *snapshot) memberLines(s *subject, since func(mail.ModSeq) int64) []string {
	var lines []string
	for _, mb := range sn.mailboxes {
		lines = append(lines, fmt.Sprintf("%s: common %v", mb.Path, mb.CommonSeen))
		for _, g := range sn.grants[mb.ID] {
			lines = append(lines, fmt.Sprintf("%s: %d may %s since %d", mb.Path, slices.Index(s.members, g.Principal), g.Rights, since(g.Since)))
		}
		for i, m := range s.members {
			v := sn.views[viewOf{mb.ID, m}]
			lines = append(lines, fmt.Sprintf("%s: to member %d unseen %d highest %d own %s", mb.Path, i, v.Counts.Unseen, since(v.HighestModSeq), v.own))
			for _, uid := range slices.Sorted(maps.Keys(v.rows)) {
				lines = append(lines, fmt.Sprintf("%s/%d: to member %d (%s) modseq %d", mb.Path, uid, i, v.rows[uid].Flags, since(v.rows[uid].ModSeq)))
			}
		}
	}
	return lines
}

// readLines say what members have read, whatever its UID.
func (sn *snapshot) readLines(mb mail.Mailbox) []string {
	var lines []string
	for of, v := range sn.views {
		for uid, p := range v.rows {
			if of.mailbox == mb.ID && v.own.Contains(uid) {
				lines = append(lines, fmt.Sprintf("%s: %d has read key %d", mb.Path, of.as, p.Message))
			}
		}
	}
	return lines
}

// soundViews gives up if what members see of a mailbox contradicts what the owner
// sees.
func (sn *snapshot) soundViews(mb mail.Mailbox) {
	for of, v := range sn.views {
		if of.mailbox != mb.ID {
			continue
		}
		unseen := int64(0)
		for _, r := range sn.messages[mb.ID] {
			p, there := v.rows[r.UID]
			want := r.Flags
			if !mb.CommonSeen {
				want.System &^= mail.Seen
				if v.own.Contains(r.UID) {
					want.System |= mail.Seen
				}
			}
			if !there || p.Flags != want || p.ModSeq < r.ModSeq || p.ModSeq > v.HighestModSeq {
				fail("%s/%d: the owner sees %+v, member %d %+v in %+v, read %s", mb.Path, r.UID, r.Placement, of.as, p, v.Mailbox, v.own)
			}
			if !p.Flags.Has(mail.Seen) {
				unseen++
			}
		}
		if unseen != v.Counts.Unseen || len(v.rows) != len(sn.messages[mb.ID]) || v.HighestModSeq > sn.account.Head {
			fail("%s: member %d is told %+v, sees %d unseen of %d", mb.Path, of.as, v.Mailbox, unseen, len(v.rows))
		}
	}
}

// regranted are those whose rights changed after a snapshot, by mailbox; anyone's
// are everybody's.
func (s *subject) regranted(old *snapshot) map[viewOf]bool {
	changed := map[viewOf]bool{}
	for _, r := range s.records(store.JournalQuery{After: old.account.Head, Limit: 1 << 20}) {
		for _, e := range r.Entries {
			if e.Op == mail.OpRights {
				changed[viewOf{e.Mailbox, e.Who}] = true
			}
		}
	}
	return changed
}

// memberFeeds are the feeds that members may follow from old. The others are
// refused: who may not read is told nothing, and whose rights have changed starts
// over.
func (s *subject) memberFeeds(old, now *snapshot) []feed {
	var all []feed
	changed := s.regranted(old)
	for of := range now.views {
		_, err := view(s, func(r store.Reader) (mail.ChangePage, error) {
			return r.Changes(store.ChangeQuery{Type: mail.TypePlacement, Mailbox: of.mailbox, From: old.account.Epoch.At(old.account.Head), Limit: 7, As: of.as})
		})
		_, known := old.box(of.mailbox)
		switch {
		case !mail.RightsOf(now.grants[of.mailbox], of.as).Has(mail.MayRead):
			want(mail.NotFound, err)
		case changed[of] || changed[viewOf{of.mailbox, mail.Anyone}]:
			want(mail.TooOld, err)
		case known:
			all = append(all, feed{mail.TypePlacement, of.mailbox, of.as})
		}
	}
	return all
}

// memberDeltas applies what IMAP sends members. It does not start over, whatever
// became of their rights meanwhile.
func (s *subject) memberDeltas(mb mail.Mailbox, old, now *snapshot) {
	since := old.account.Head
	for _, m := range s.members {
		was, known := old.views[viewOf{mb.ID, m}]
		is := now.views[viewOf{mb.ID, m}]
		got := map[mail.UID]mail.Flags{}
		if known {
			got = was.flags()
		}
		for uid := range must(view(s, func(r store.Reader) (mail.UIDSet, error) { return r.Vanished(mb.ID, since) })).All() {
			delete(got, uid)
		}
		for _, p := range s.placements(store.PlacementQuery{Mailbox: mb.ID, ChangedSince: since, As: m}) {
			got[p.UID] = p.Flags
		}
		if !maps.Equal(got, is.flags()) {
			fail("%s since %d to member %d: got %v, want %v", mb.Path, since, m, got, is.flags())
		}
		if known && !maps.Equal(was.flags(), got) && is.HighestModSeq <= since {
			fail("%s changed after %d to member %d, HIGHESTMODSEQ is %d", mb.Path, since, m, is.HighestModSeq)
		}
	}
}

func (v *memberView) flags() map[mail.UID]mail.Flags {
	all := map[mail.UID]mail.Flags{}
	for uid, p := range v.rows {
		all[uid] = p.Flags
	}
	return all
}

// ownOf is a message that a member has read.
type ownOf struct {
	viewOf
	uid mail.UID
}

// share notes what is shared, in the journal's words.
func (w *world) share(sn *snapshot) {
	w.grants, w.own = map[mail.MailboxID]map[mail.PrincipalID]mail.Rights{}, map[ownOf]bool{}
	for mb, grants := range sn.grants {
		for _, g := range grants {
			w.grant(mb, g.Principal, g.Rights)
		}
	}
	for of, v := range sn.views {
		for uid := range v.own.All() {
			w.own[ownOf{of, uid}] = true
		}
	}
}

func (w *world) grant(mb mail.MailboxID, p mail.PrincipalID, r mail.Rights) {
	if w.grants[mb] == nil {
		w.grants[mb] = map[mail.PrincipalID]mail.Rights{}
	}
	if w.grants[mb][p] = r; r == 0 {
		delete(w.grants[mb], p)
	}
}

// regrant takes a change of rights back.
func (w *world) regrant(e mail.Entry) error {
	if is := w.grants[e.Mailbox][e.Who]; is != e.Has {
		return fmt.Errorf("%d may %s", e.Who, is)
	}
	w.grant(e.Mailbox, e.Who, e.Had)
	return nil
}

// unread takes back what a member did with their own \Seen.
func (w *world) unread(e mail.Entry) error {
	for uid := range e.UIDs.All() {
		of := ownOf{viewOf{e.Mailbox, e.Who}, uid}
		if w.own[of] != (len(e.Added) > 0) {
			return fmt.Errorf("UID %d is read by %d: %v", uid, e.Who, w.own[of])
		}
		if w.own[of] = len(e.Removed) > 0; !w.own[of] {
			delete(w.own, of)
		}
	}
	return nil
}

// readAgain notes who had read what is put back.
func (w *world) readAgain(mb mail.MailboxID, uid mail.UID) {
	for _, m := range w.s.members {
		set := must(view(w.s, func(r store.Reader) (mail.UIDSet, error) { return r.OwnSeen(mb, m, mail.MakeUIDSet(uid)) }))
		if len(set) > 0 {
			w.own[ownOf{viewOf{mb, m}, uid}] = true
		}
	}
}

// sharedAs gives up unless what is shared is what the snapshot shows.
func (w *world) sharedAs(want *world, sn *snapshot) {
	for mb := range want.images {
		if !maps.Equal(w.grants[mb], want.grants[mb]) {
			fail("rewound to %d: %s is shared %v, want %v", sn.account.Head, want.path(mb), w.grants[mb], want.grants[mb])
		}
	}
	if !maps.Equal(w.own, want.own) {
		fail("rewound to %d: read %v, want %v", sn.account.Head, w.own, want.own)
	}
}
