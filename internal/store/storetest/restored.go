package storetest

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"lockstep/internal/mail"
	"lockstep/internal/store"
)

var restoredChecks = []check{
	{"ARestoreLeapsOverWhatMayHaveBeenGiven", restoreLeaps},
	{"ARestoreHoldsWhatWasOnItsWay", restoreHolds},
	{"WhatWasDoneBeforeARestoreCanBeUndone", restoreKeepsHistory},
	{"AMailboxThatComesBackAfterARestoreLeapsToo", restoreKept},
	{"ConditionsFromBeforeARestoreFail", restoreRefuses},
	{"ARestoreKeepsMemories", restoreRemembers},
}

// leapt is by how much ids and ModSeqs grow at least.
const leapt = 1 << 32

// withRestores is a history in which the store comes back from an older copy of
// itself now and then.
func withRestores(ops []op, seed uint64) []op {
	g := rand.New(rand.NewPCG(seed, 5))
	for range 2 {
		at := len(ops)/4 + g.IntN(len(ops)/2+1)
		ops = slices.Insert(slices.Clone(ops), at, op{restores: true})
	}
	return ops
}

// comeBack is what an operation that restores does.
func (s *subject) comeBack() string {
	was := s.snapshot()
	ok(s.Restored(ctx))
	s.leapt = map[mail.MailboxID]mail.UID{}
	for _, mb := range was.mailboxes {
		s.leapt[mb.ID] = mb.UIDNext
	}
	n := s.head()
	s.acts = append(s.acts, mail.ActID(n))
	return fmt.Sprintf("restored @%d", n-s.base)
}

// cameBackAt is the clock by which the account came back since a moment. What is given
// after a restore follows from the second in which it was, and the next may begin
// before the model has restored too.
func (s *subject) cameBackAt(began time.Time) func() time.Time {
	epoch := must(view(s, func(r store.Reader) (mail.Epoch, error) {
		a, err := r.Account()
		return a.Epoch, err
	}))
	at := began
	if second := time.Unix(int64(epoch)-1, 0); second.After(began) { // else it was the same, or an epoch of before leads
		at = second
	}
	return func() time.Time { return at }
}

// restored proves that after a restore everybody's knowledge from before is refused,
// or is put right without starting over where that can't be said; that people see
// what was there; and that history and deltas go on.
func (h *history) restored() {
	s := h.subject()
	first, second := history{h.trial, h.ops[:len(h.ops)/2], h.seed}, history{h.trial, h.ops[len(h.ops)/2:], h.seed}
	past := first.record(s)
	was := s.snapshot()
	s.comeBack()
	now := s.snapshot()
	s.begunAnew(was, now)
	later := second.record(s)
	now = s.snapshot()
	for _, old := range past {
		s.startsOver(old, now)
	}
	for _, old := range later {
		s.exactDeltas(old, now)
	}
	now.sound()
	s.checked()
	all := append(past, later...)
	s.rewind(all, all[len(all)-1].world(s))
}

// begunAnew gives up unless the numbers leapt and nothing else changed.
func (s *subject) begunAnew(was, now *snapshot) {
	a, b := was.account, now.account
	if b.Epoch <= a.Epoch || b.Head < a.Head+leapt || b.Restored != b.Head || b.Exact() != b.Head || b.Horizon != a.Horizon {
		fail("restored from %+v to %+v", a, b)
	}
	for _, typ := range []mail.Type{mail.TypeMailbox, mail.TypeEmail, mail.TypeThread, mail.TypePlacement, mail.TypeIdentity, mail.TypeSubmission} {
		equal("the last change of type "+typ.String(), b.Last[typ], b.Head)
	}
	for i, mb := range now.mailboxes {
		old := was.mailboxes[i]
		if mb.UIDNext < old.UIDNext+1<<20 || mb.HighestModSeq != b.Head || mb.UIDValidity != old.UIDValidity || mb.ID != old.ID {
			fail("restored from %+v to %+v", old, mb)
		}
		for _, p := range now.messages[mb.ID] {
			equal("the ModSeq of a message", p.ModSeq, b.Head)
		}
	}
	for _, f := range append(now.feeds(), feed{typ: mail.TypeEmail}) {
		if !maps.Equal(was.objects(f), now.objects(f)) {
			fail("%v: was %v, is %v", f, was.objects(f), now.objects(f))
		}
	}
	for of, v := range was.views {
		if !maps.Equal(v.flags(), now.views[of].flags()) {
			fail("member %v saw %v, sees %v", of, v.flags(), now.views[of].flags())
		}
	}
	s.exactDeltas(now, now)
}

// startsOver gives up unless all deltas from old are refused, and IMAP, which has no
// epoch, ends with what is there.
func (s *subject) startsOver(old, now *snapshot) {
	s.tooOld(old, now)
	since := old.account.Head
	_, err := view(s, func(r store.Reader) ([]mail.Metadata, error) { return r.MetadataSince(since, 0) })
	want(mail.TooOld, err)
	for _, mb := range now.mailboxes {
		is := now.uids(mb.ID)
		got := old.uids(mb.ID)
		maps.DeleteFunc(got, func(uid mail.UID, _ mail.Flags) bool { _, there := is[uid]; return !there }) // VANISHED names each
		for uid := range got {
			got[uid] = flags("$Stale") // whatever the device held
		}
		for _, p := range s.placements(store.PlacementQuery{Mailbox: mb.ID, ChangedSince: max(since, 1)}) {
			got[p.UID] = p.Flags
		}
		if !maps.Equal(got, is) {
			fail("%s since %d: CHANGEDSINCE gives %v, want %v", mb.Path, since, got, is)
		}
		if mb.HighestModSeq <= since {
			fail("%s: HIGHESTMODSEQ %d, known was %d", mb.Path, mb.HighestModSeq, since)
		}
	}
}

func restoreLeaps(t *trial) {
	s := t.subject()
	s.fill("INBOX", 3)
	was := s.snapshot()
	other := must(s.CreateAccount(ctx, setup, store.NewAccount{Login: "before@example.test"}))
	validity := s.box("INBOX").UIDValidity
	last := s.create("Newest").UIDValidity
	ok(s.Restored(ctx))
	p := s.append("INBOX", arrival(9))
	for _, mb := range was.mailboxes {
		for _, r := range was.messages[mb.ID] {
			if p.ID < r.ID+leapt || p.Message < r.Message+leapt || p.UID < r.UID+1<<20 {
				fail("%+v after %+v", p, r.Placement)
			}
		}
	}
	equal("the old mailbox keeps its UIDVALIDITY", s.box("INBOX").UIDValidity, validity)
	if mb := s.create("After"); mb.UIDValidity < last+1<<16 {
		fail("UIDVALIDITY %d after %d", mb.UIDValidity, last)
	}
	// What was made since the copy, and is made again, repeats nothing either.
	again := must(s.CreateAccount(ctx, setup, store.NewAccount{Login: "again@example.test"}))
	if again.Account < other.Account+1<<20 || again.ID < other.ID+1<<20 {
		fail("account %d, principal %d after %d, %d", again.Account, again.ID, other.Account, other.ID)
	}
	ok(s.View(ctx, again.Account, func(r store.Reader) error {
		mb, err := r.MailboxByPath("INBOX")
		if mb.UIDValidity <= 1<<16 || mb.ID <= leapt {
			fail("a new account begins with %+v", mb)
		}
		return err
	}))
	ok(s.View(ctx, other.Account, func(r store.Reader) error {
		a, err := r.Account()
		equal("another account's epoch grew", a.Epoch > 1, true)
		return err
	}))
	equal("the newest record", s.records(store.JournalQuery{Cause: mail.ByRestore})[0].Entries[0].Op, mail.OpRestored)
}

func restoreHolds(t *trial) {
	s := t.subject()
	now := time.Now()
	ok(s.Enqueue(ctx, []store.Outgoing{s.outgoing("e1", "b@else.example", noon), s.outgoing("e2", "b@else.example", noon)}))
	for _, o := range must(s.Due(ctx, "node", noon, noon.Add(time.Hour), 9)) {
		until := map[string]time.Time{"e1": now.Add(store.ClocksApart + time.Hour), "e2": now.Add(store.ClocksApart - time.Minute)}
		ok(s.Retry(ctx, "node", o.ID, until[o.Delivery], "not now"))
	}
	ok(s.Restored(ctx))
	equal("held", must(s.Held(ctx)), 1)
	for _, o := range must(s.Pending(ctx, 9)) {
		equal("what nobody can have taken goes on: "+o.Delivery, o.Restored, o.Delivery == "e2")
	}
	equal("when it was to go on", must(s.Due(ctx, "node", now.Add(store.ClocksApart+2*time.Hour), now.Add(24*time.Hour), 9))[0].Delivery, "e1")
	ok(s.Restored(ctx))
	equal("what is in somebody's hand is held", must(s.Drop(ctx, 0)), 2)
	scheduled := s.outgoing("d3", "b@else.example", noon.Add(24*time.Hour))
	scheduled.Arrived = scheduled.Next
	ok(s.Enqueue(ctx, []store.Outgoing{s.outgoing("d1", "b@else.example", noon), s.outgoing("d2", "b@else.example", noon), scheduled}))
	must(s.Due(ctx, "node", noon, noon.Add(time.Hour), 1))
	ok(s.Restored(ctx))
	ok(s.Enqueue(ctx, []store.Outgoing{s.outgoing("d4", "b@else.example", noon.Add(time.Minute))}))
	soon := noon.Add(time.Hour)
	equal("held", must(s.Held(ctx)), 3)
	equal("nobody has it in hand", must(s.GiveBack(ctx, "other", noon, 0)), 0)
	equal("next due", must(s.NextDue(ctx)).After(noon.Add(time.Minute)), false)
	due := must(s.Due(ctx, "node", noon.Add(time.Minute), soon, 9))
	equal("due is what came since", len(due), 1)
	equal("which is", due[0].Delivery, "d4")
	ok(s.Done(ctx, due[0].ID))
	equal("nothing else will be", must(s.NextDue(ctx)).IsZero(), true)
	held := must(s.Pending(ctx, 9))
	for _, o := range held {
		equal("it says so", o.Restored, true)
	}
	slices.SortFunc(held, func(a, b store.Outgoing) int { return strings.Compare(a.Delivery, b.Delivery) })
	equal("none of that id", must(s.Release(ctx, 1<<40)), 0)
	equal("release one", must(s.Release(ctx, held[0].ID)), 1)
	equal("again", must(s.Release(ctx, held[0].ID)), 0)
	late := time.Now().Add(time.Hour)
	equal("is due", must(s.Due(ctx, "node", late, late.Add(time.Hour), 9))[0].Delivery, "d1")
	equal("drop nothing but what is held", must(s.Drop(ctx, held[0].ID)), 0)
	equal("drop one", must(s.Drop(ctx, held[1].ID)), 1)
	equal("its author may still take back what was to go later", must(s.Withdraw(ctx, s.account, "d3", noon)), 1)
	equal("held", must(s.Held(ctx)), 0)
	equal("release all", must(s.Release(ctx, 0)), 0)
	equal("the rest stays", len(must(s.Pending(ctx, 9))), 1)
	ok(s.Restored(ctx))
	equal("drop all", must(s.Drop(ctx, 0)), 1)
}

func restoreKeepsHistory(t *trial) {
	s := t.subject()
	inbox := s.fill("INBOX", 4)
	_, came, err := change(s, s.origin(0), func(tx store.Tx) (mail.Placement, error) { return tx.Append(inbox.ID, arrival(8)) })
	ok(err)
	_, gone, err := change(s, s.origin(0), func(tx store.Tx) (mail.UIDSet, error) { return tx.Expunge(inbox.ID, uids("2"), false) })
	ok(err)
	ok(s.Restored(ctx))
	for _, act := range []mail.ModSeq{came, gone} {
		r := must(update(s, func(tx store.Tx) (mail.UndoReport, error) { return tx.Undo(mail.ActID(act)) }))
		if r.Undone != 1 || len(r.Left) > 0 {
			fail("undo of %d: %+v", act, r)
		}
	}
	restored := s.records(store.JournalQuery{Cause: mail.ByRestore})[0]
	r := must(update(s, func(tx store.Tx) (mail.UndoReport, error) { return tx.Undo(restored.Act) }))
	if r.Undone != 0 || len(r.Left) != 1 {
		fail("undo of a restore: %+v", r)
	}
}

func restoreKept(t *trial) {
	s := t.subject()
	mb := s.create("Old")
	s.fill("Old", 2)
	_, n, err := change(s, s.origin(0), func(tx store.Tx) (any, error) { return nil, tx.DeleteMailbox(mb.ID) })
	ok(err)
	ok(s.Restored(ctx))
	must(update(s, func(tx store.Tx) (mail.UndoReport, error) { return tx.Undo(mail.ActID(n)) }))
	back := s.box("Old")
	equal("it is the same", back.UIDValidity, s.box("Old").UIDValidity)
	for _, p := range s.placements(store.PlacementQuery{Mailbox: mb.ID}) {
		if p.UID < 1<<20 {
			fail("came back as UID %d", p.UID)
		}
	}
}

func restoreRefuses(t *trial) {
	s := t.subject()
	inbox := s.fill("INBOX", 2)
	mia := s.members[0]
	ok(s.do(func(tx store.Tx) error { return tx.SetRights(inbox.ID, mia, mail.AllRights) }))
	known := s.head() + 5 // of a time that never was
	ok(s.Restored(ctx))
	for _, as := range []mail.PrincipalID{0, mia} {
		c := add(`\Seen`)
		c.As = as
		r := must(update(s, func(tx store.Tx) (store.StoreResult, error) { return tx.StoreFlags(inbox.ID, uids("1:2"), c, &known) }))
		equal("modified", r.Modified.String(), "1:2")
	}
	r := must(update(s, func(tx store.Tx) (store.StoreResult, error) {
		return tx.Annotate(inbox.ID, uids("1:2"), []mail.Annotation{{Name: "/comment", Value: []byte("x")}}, &known)
	}))
	equal("modified", r.Modified.String(), "1:2")
	now := s.head()
	r = must(update(s, func(tx store.Tx) (store.StoreResult, error) {
		return tx.StoreFlags(inbox.ID, uids("1:2"), add(`\Seen`), &now)
	}))
	equal("known anew", r.Changed.String(), "1:2")
	_, err := view(s, func(r store.Reader) ([]mail.Version, error) {
		return r.Versions(store.VersionQuery{Mailbox: inbox.ID, Lines: []mail.Lineage{1}, LeftAfter: known})
	})
	want(mail.TooOld, err)
}

func restoreRemembers(t *trial) {
	s := t.subject()
	a := arrival(1)
	a.Once, a.OnceFor = "delivery 7", time.Hour
	first := s.append("INBOX", a)
	ok(s.note(func(n store.Notes) error { return n.SetCursor(s.devices[0], "eas/inbox", []byte("here")) }))
	ok(s.Restored(ctx))
	equal("it arrives once", s.append("INBOX", a).UID, first.UID)
	equal("positions stay, whose epoch is over", string(must(view(s, func(r store.Reader) ([]byte, error) { return r.Cursor(s.devices[0], "eas/inbox") }))), "here")
}
