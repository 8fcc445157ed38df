package storetest

import (
	"fmt"
	"slices"

	"lockstep/internal/mail"
	"lockstep/internal/store"
)

var sharingChecks = []check{
	{"RightsAreGivenAndTakenBack", rightsChange},
	{"ANewMailboxHasTheGrantsOfItsParent", rightsAreInherited},
	{"AMailboxIsSharedWithABoundedNumber", grantsAreBounded},
	{"MembersHaveTheirOwnSeen", membersSeen},
	{"ACommonSeenIsEveryones", commonSeen},
	{"MembersStartOverWhenTheirRightsChange", membersStartOver},
	{"SharedWithFindsTheOwners", sharedWith},
	{"ARemovedAccountHasNoRightsAnywhere", removedMember},
	{"AnotherUsersPathIsSubscribedUnseen", subscribeOther},
	{"SharedIsWhatOneMayAndWhatAnyoneMay", sharedRights},
	{"IntentsStayUntilTheyAreSettled", intentsStay},
}

func (s *subject) grant(mb mail.MailboxID, p mail.PrincipalID, letters string) {
	ok(s.do(func(tx store.Tx) error { return tx.SetRights(mb, p, must(mail.ParseRights(letters))) }))
}

// may returns the grants of a mailbox in words.
func (s *subject) may(mb mail.MailboxID) string {
	text := ""
	for _, g := range must(view(s, func(r store.Reader) ([]mail.Grant, error) { return r.Rights(mb) })) {
		text += fmt.Sprintf("%d:%s ", slices.Index(s.members, g.Principal), g.Rights)
	}
	return text
}

func rightsChange(t *trial) {
	s := t.subject()
	inbox := s.box("INBOX").ID
	w := newWatch(s)
	s.grant(inbox, s.members[0], "lrs")
	s.grant(inbox, mail.Anyone, "l")
	s.grant(inbox, s.members[0], "lrs") // again: nothing
	equal("grants", s.may(inbox), "-1:l 0:lrs ")
	n := s.head()
	w.stop()
	if heard := w.news(); len(heard) != 2 || !heard[0].Touches(inbox) || !heard[0].Types.Has(mail.TypeMailbox) {
		fail("heard %+v", heard)
	}
	r := s.records(store.JournalQuery{Limit: 1})[0].Entries[0]
	if r.Op != mail.OpRights || r.Mailbox != inbox || r.Who != mail.Anyone || r.Had != 0 || r.Has != mail.MayLookup {
		fail("the record says %+v", r)
	}
	s.grant(inbox, s.members[0], "")
	equal("grants", s.may(inbox), "-1:l ")
	equal("the mailbox changed", s.box("INBOX").PropsModSeq, n+1)
	want(mail.Invalid, s.do(func(tx store.Tx) error { return tx.SetRights(inbox, 0, mail.MayRead) }))
	want(mail.Invalid, s.do(func(tx store.Tx) error { return tx.SetRights(inbox, -2, mail.MayRead) }))
	want(mail.NotFound, s.do(func(tx store.Tx) error { return tx.SetRights(9999, s.members[0], mail.MayRead) }))
	_, err := view(s, func(r store.Reader) ([]mail.Grant, error) { return r.Rights(9999) })
	want(mail.NotFound, err)
}

func rightsAreInherited(t *trial) {
	s := t.subject()
	work := s.create("Work").ID
	s.grant(work, s.members[1], "lr")
	below := must(update(s, func(tx store.Tx) (mail.Mailbox, error) {
		return tx.CreateMailbox(mail.MailboxImage{Name: "Below", Parent: work})
	}))
	equal("grants below", s.may(below.ID), "1:lr ")
	ok(s.do(func(tx store.Tx) error { return tx.DeleteMailbox(below.ID) }))
	must(update(s, func(tx store.Tx) (mail.UndoReport, error) { return tx.Undo(mail.ActID(s.headIn(tx))) }))
	equal("grants of what was brought back", s.may(below.ID), "1:lr ")
}

func grantsAreBounded(t *trial) {
	s := t.subject()
	inbox := s.box("INBOX").ID
	ok(s.do(func(tx store.Tx) error {
		for i := range mail.MaxGrants {
			if err := tx.SetRights(inbox, mail.PrincipalID(1000+i), mail.MayRead); err != nil {
				return err
			}
		}
		return nil
	}))
	want(mail.Limit, s.do(func(tx store.Tx) error { return tx.SetRights(inbox, 999, mail.MayRead) }))
	ok(s.do(func(tx store.Tx) error { return tx.SetRights(inbox, 1000, mail.MayLookup) }))
}

// as is what a member sees of a mailbox: unseen, and the flags by UID.
func (s *subject) as(mb mail.MailboxID, p mail.PrincipalID) string {
	text := fmt.Sprint(must(view(s, func(r store.Reader) (mail.Mailbox, error) { return r.MailboxAs(mb, p) })).Counts.Unseen, " unseen")
	for _, m := range s.placements(store.PlacementQuery{Mailbox: mb, As: p}) {
		text += fmt.Sprintf(" %d(%s)", m.UID, m.Flags)
	}
	return text
}

func membersSeen(t *trial) {
	s := t.subject()
	inbox := s.fill("INBOX", 3).ID
	trash := s.box("Trash").ID
	mia, max := s.members[0], s.members[1]
	s.grant(inbox, mia, "lrs")
	read := add(`\Seen`, `\Flagged`)
	read.As = mia
	r := must(update(s, func(tx store.Tx) (store.StoreResult, error) { return tx.StoreFlags(inbox, uids("1:2"), read, nil) }))
	equal("changed", r.Changed.String(), "1:2")
	equal("the owner", s.as(inbox, 0), `3 unseen 1(\Flagged) 2(\Flagged) 3()`)
	equal("mia", s.as(inbox, mia), `1 unseen 1(\Flagged \Seen) 2(\Flagged \Seen) 3()`)
	equal("max", s.as(inbox, max), `3 unseen 1(\Flagged) 2(\Flagged) 3()`)

	before := s.head()
	seen := add(`\Seen`)
	seen.As = mia
	must(update(s, func(tx store.Tx) (store.StoreResult, error) { return tx.StoreFlags(inbox, uids("3"), seen, nil) }))
	equal("the owner's modseq stays", s.placement(inbox, 3).ModSeq <= before, true)
	equal("the owner's HIGHESTMODSEQ stays", s.box("INBOX").HighestModSeq <= before, true)
	mine := must(view(s, func(r store.Reader) (mail.Mailbox, error) { return r.MailboxAs(inbox, mia) }))
	equal("the member's goes on", mine.HighestModSeq, s.head())
	since := mail.Epoch(1).At(before)
	delta := store.ChangeQuery{Type: mail.TypePlacement, Mailbox: inbox, From: since, Limit: 10}
	equal("the owner's delta", len(s.page(delta).Changes), 0)
	delta.As = mia
	if all := s.page(delta).Changes; len(all) != 1 || all[0].Op != mail.Updated || all[0].UID != 3 {
		fail("the member's delta is %+v", all)
	}
	guarded := add(`\Seen`)
	guarded.As, guarded.Add, guarded.Remove = mia, mail.Flags{}, flags(`\Seen`)
	r = must(update(s, func(tx store.Tx) (store.StoreResult, error) { return tx.StoreFlags(inbox, uids("3"), guarded, &before) }))
	equal("changed since, to the member", r.Modified.String(), "3")
	guarded.As = max
	r = must(update(s, func(tx store.Tx) (store.StoreResult, error) { return tx.StoreFlags(inbox, uids("3"), guarded, &before) }))
	equal("the same, to another", r.Same.String(), "3")

	must(update(s, func(tx store.Tx) (store.Mapping, error) { return tx.Move(inbox, uids("2:3"), trash) }))
	equal("mia, what is left", s.as(inbox, mia), `0 unseen 1(\Flagged \Seen)`)
	equal("mia, what was moved", s.as(trash, mia), `0 unseen 1(\Flagged \Seen) 2(\Seen)`)
	equal("departed", must(view(s, func(r store.Reader) (mail.UIDSet, error) { return r.OwnSeen(inbox, mia, uids("1:3")) })).String(), "1:3")
	a := arrival(9, `\Seen`, `\Draft`)
	a.As = max
	s.append("Trash", a)
	equal("the owner, what a member brought", s.as(trash, 0), `3 unseen 1(\Flagged) 2() 3(\Draft)`)
	equal("max, what he brought", s.as(trash, max), `2 unseen 1(\Flagged) 2() 3(\Seen \Draft)`)
	must(update(s, func(tx store.Tx) (mail.UndoReport, error) { return tx.Undo(mail.ActID(s.headIn(tx))) }))
	equal("max, after the undo", s.as(trash, max), `2 unseen 1(\Flagged) 2()`)
	s.checked()
}

func commonSeen(t *trial) {
	s := t.subject()
	inbox := s.fill("INBOX", 2).ID
	mia := s.members[0]
	own := add(`\Seen`)
	own.As = mia
	must(update(s, func(tx store.Tx) (store.StoreResult, error) { return tx.StoreFlags(inbox, uids("1"), own, nil) }))
	before := s.head()
	s.common("INBOX", true)
	equal("mia sees the owner's", s.as(inbox, mia), "2 unseen 1() 2()")
	changed := s.placements(store.PlacementQuery{Mailbox: inbox, As: mia, ChangedSince: before})
	equal("all changed, to a member", len(changed), 2)
	equal("nothing changed, to the owner", len(s.placements(store.PlacementQuery{Mailbox: inbox, ChangedSince: before})), 0)
	must(update(s, func(tx store.Tx) (store.StoreResult, error) { return tx.StoreFlags(inbox, uids("2"), own, nil) }))
	equal("the owner", s.as(inbox, 0), `1 unseen 1() 2(\Seen)`)
	s.common("INBOX", false)
	equal("mia has her own again", s.as(inbox, mia), `1 unseen 1(\Seen) 2()`)
	s.checked()
}

func (s *subject) common(path string, is bool) {
	mb := s.box(path)
	im := mb.Image()
	im.CommonSeen = is
	ok(s.do(func(tx store.Tx) error { return tx.SetMailbox(mb.ID, im) }))
}

func membersStartOver(t *trial) {
	s := t.subject()
	inbox := s.fill("INBOX", 2).ID
	mia := s.members[0]
	ask := func(since mail.ModSeq) error {
		_, err := view(s, func(r store.Reader) (mail.ChangePage, error) {
			return r.Changes(store.ChangeQuery{Type: mail.TypePlacement, Mailbox: inbox, From: mail.Epoch(1).At(since), Limit: 10, As: mia})
		})
		return err
	}
	want(mail.NotFound, ask(s.head()))
	before := s.head()
	s.grant(inbox, mia, "r")
	want(mail.TooOld, ask(before))
	ok(ask(s.head()))
	n := s.head()
	s.grant(inbox, mail.Anyone, "l")
	want(mail.TooOld, ask(n))
	n = s.head()
	s.grant(inbox, mail.Anyone, "")
	want(mail.TooOld, ask(n))
	s.grant(inbox, mia, "l")
	want(mail.NotFound, ask(s.head()))
}

func sharedWith(t *trial) {
	s := t.subject()
	inbox, trash := s.box("INBOX").ID, s.box("Trash").ID
	owners := func(p mail.PrincipalID) string {
		text := ""
		for _, o := range must(s.SharedWith(ctx, p)) {
			text += o.Login + " "
		}
		return text
	}
	mia, max := s.members[0], s.members[1]
	equal("nobody yet", owners(mia), "")
	s.grant(inbox, mia, "lr")
	s.grant(trash, mia, "l")
	equal("mia", owners(mia), login+" ")
	equal("max", owners(max), "")
	s.grant(inbox, mia, "")
	equal("mia, still one", owners(mia), login+" ")
	s.grant(trash, mia, "")
	equal("mia, no more", owners(mia), "")
	s.grant(trash, mail.Anyone, "l")
	equal("max, as anyone", owners(max), login+" ")
	own := must(s.PrincipalByLogin(ctx, login))
	equal("the owner herself", owners(own.ID), "")
	equal("by number", must(s.PrincipalByID(ctx, own.ID)).Login, login)
	_, err := s.PrincipalByID(ctx, 9999)
	want(mail.NotFound, err)
	want(mail.Invalid, s.do(func(tx store.Tx) error {
		_, err := tx.CreateMailbox(mail.MailboxImage{Name: mail.OtherUsers})
		return err
	}))
}

func removedMember(t *trial) {
	s := t.subject()
	inbox := s.fill("INBOX", 2).ID
	mia := must(s.PrincipalByID(ctx, s.members[0]))
	s.grant(inbox, mia.ID, "lrs")
	read := add(`\Seen`)
	read.As = mia.ID
	must(update(s, func(tx store.Tx) (store.StoreResult, error) { return tx.StoreFlags(inbox, uids("1"), read, nil) }))
	ok(s.do(func(tx store.Tx) error { return tx.SetMetadata(inbox, mia.ID, "/private/comment", []byte("mine")) }))
	ok(s.RemoveAccount(ctx, mia.Account))
	equal("annotations", len(must(view(s, func(r store.Reader) ([]mail.Metadata, error) { return r.Metadata(inbox, mia.ID) }))), 0)
	equal("grants", s.may(inbox), "")
	equal("read", must(view(s, func(r store.Reader) (mail.UIDSet, error) { return r.OwnSeen(inbox, mia.ID, mail.AllUIDs) })).String(), "")
	r := s.records(store.JournalQuery{Limit: 1})[0]
	if r.Entries[0].Op != mail.OpRights || r.Entries[0].Has != 0 || r.Protocol != mail.Local {
		fail("the record says %+v", r)
	}
	_, err := s.PrincipalByID(ctx, mia.ID)
	want(mail.NotFound, err)
	s.checked()
	s.grant(inbox, s.members[1], "l")
	ok(s.RemoveAccount(ctx, s.account))
	equal("what the owner shared", len(must(s.SharedWith(ctx, s.members[1]))), 0)
	s.members = nil
}

func sharedRights(t *trial) {
	s := t.subject()
	inbox, trash := s.box("INBOX").ID, s.box("Trash").ID
	s.grant(inbox, s.members[0], "lr")
	s.grant(inbox, mail.Anyone, "i")
	s.grant(trash, s.members[1], "l")
	got := must(view(s, func(r store.Reader) (map[mail.MailboxID]mail.Rights, error) { return r.Shared(s.members[0]) }))
	equal("mailboxes", len(got), 1)
	equal("rights", got[inbox].String(), "lri")
}

func intentsStay(t *trial) {
	s := t.subject()
	a := must(s.Intend(ctx, s.account, []byte("one")))
	b := must(s.Intend(ctx, s.account, []byte("two")))
	all := must(s.Intents(ctx))
	if len(all) != 2 || all[0].ID != a || string(all[1].State) != "two" || all[1].Owner != s.account {
		fail("intents %+v", all)
	}
	ok(s.Settled(ctx, a))
	want(mail.NotFound, s.Settled(ctx, a))
	if c := must(s.Intend(ctx, s.account, nil)); c == a || c == b {
		fail("id %d was given twice", c)
	}
	ok(s.RemoveAccount(ctx, s.account))
	equal("intents of a removed account", len(must(s.Intents(ctx))), 0)
}

func subscribeOther(t *trial) {
	s := t.subject()
	path := mail.OtherUsers + "/bob@example.test/Work"
	ok(s.do(func(tx store.Tx) error { return tx.Subscribe(path) }))
	subs := must(view(s, store.Reader.Subscriptions))
	equal("subscribed", slices.Contains(subs, path), true)
	ok(s.do(func(tx store.Tx) error { return tx.Unsubscribe(path) }))
}
