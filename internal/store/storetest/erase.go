package storetest

import (
	"fmt"
	"maps"
	"time"

	"lockstep/internal/mail"
	"lockstep/internal/store"
)

var eraseChecks = []check{
	{"ErasedMessagesLeaveNothingButNumbers", erasedLeaveNumbers},
	{"ErasedMessagesCantBeBroughtBack", erasedStayErased},
	{"ErasingTakesWordsOutOfTheJournal", erasedFromTheJournal},
	{"ErasingWhatLeftErasesItToo", erasedAfterLeaving},
	{"ErasingIsBounded", erasingIsBounded},
	{"AnErasedMessageDoesNotArriveAgain", erasedIsRemembered},
	{"ErasedConversationsAreNotFound", erasedNames},
	{"ErasuresAreKept", erasuresAreKept},
	{"KeptMessagesAreThoseThatLeft", keptMessages},
}

// erase erases the messages of placements.
func erase(tx store.Tx, mb mail.MailboxID, uids mail.UIDSet) (string, error) {
	var what mail.Erasing
	err := tx.Placements(store.PlacementQuery{Mailbox: mb, UIDs: uids}, func(p *mail.Placement) error {
		what.Messages = append(what.Messages, p.Message)
		return nil
	})
	if err != nil {
		return "", err
	}
	done, err := tx.Erase(what)
	return fmt.Sprintf("%+v", done), err
}

// erased is what a journal says was erased.
type erased struct {
	messages map[mail.MailboxID]mail.UIDSet
	objects  map[mail.ObjectID]bool
}

func erasedBy(records []mail.Record) *erased {
	all := &erased{map[mail.MailboxID]mail.UIDSet{}, map[mail.ObjectID]bool{}}
	for _, r := range records {
		for _, e := range r.Entries {
			if e.Op != mail.OpErase && e.Op != mail.OpErased {
				continue
			}
			set := all.messages[e.Mailbox]
			for _, uids := range []mail.UIDSet{e.UIDs, e.Was} {
				for _, r := range uids {
					set.AddRange(r.First, r.Last)
				}
			}
			all.messages[e.Mailbox] = set
			all.objects[e.Object] = true
		}
	}
	return all
}

// from takes out of a world what nobody can tell any more.
func (x *erased) from(w *world) {
	for mb, uids := range x.messages {
		for uid := range uids.All() {
			if c, there := w.messages[mb][uid]; there {
				w.messages[mb][uid] = content{key: c.key}
			}
		}
	}
	maps.DeleteFunc(w.own, func(o ownOf, _ bool) bool { return x.messages[o.mailbox].Contains(o.uid) })
	maps.DeleteFunc(w.objects, func(id mail.ObjectID, _ object) bool { return x.objects[id] })
}

// eraseOne erases a message and returns its key.
func (s *subject) eraseOne(p mail.Placement) (mail.Erased, mail.ModSeq) {
	done, n, err := change(s, s.origin(0), func(tx store.Tx) (mail.Erased, error) {
		return tx.Erase(mail.Erasing{Messages: []mail.MessageKey{p.Message}})
	})
	ok(err)
	return done, n
}

func erasedLeaveNumbers(t *trial) {
	s := t.subject()
	inbox := s.fill("INBOX", 4)
	p := s.placement(inbox.ID, 2)
	m := must(view(s, func(r store.Reader) (mail.Message, error) { return r.Message(p.Message) }))
	work := s.create("Work")
	must(update(s, func(tx store.Tx) (store.Mapping, error) { return tx.Copy(inbox.ID, uids("2"), work.ID) }))
	must(update(s, func(tx store.Tx) (store.StoreResult, error) {
		return tx.StoreFlags(inbox.ID, uids("2"), add("secret", `\Flagged`), nil)
	}))
	before := s.snapshot()
	done, n := s.eraseOne(p)
	equal("erased", fmt.Sprintf("%+v", done), "{Messages:1 Placements:2 Departed:0 Objects:0 Annotations:0 Uploads:0 Names:1 Records:1}")
	now := s.snapshot()
	now.sound()
	s.checked()
	s.exactDeltas(before, now)
	equal("placements", len(now.messages[inbox.ID]), 3)
	equal("in Work", len(now.messages[work.ID]), 0)
	equal("vanished", must(view(s, func(r store.Reader) (mail.UIDSet, error) { return r.Vanished(inbox.ID, n-1) })).String(), "2")
	gone := must(view(s, func(r store.Reader) (mail.Placement, error) { return r.Departed(inbox.ID, 2) }))
	equal("flags", gone.Flags.String(), "")
	_, err := view(s, func(r store.Reader) (mail.Message, error) { return r.Message(p.Message) })
	want(mail.NotFound, err)
	_, err = view(s, func(r store.Reader) (mail.Message, error) { return r.MessageByEmailID(m.EmailID) })
	want(mail.NotFound, err)
	again, n := s.eraseOne(p)
	equal("a second time", again, mail.Erased{})
	equal("a second time it is", n, 0)
	ok(s.Prune(ctx, s.account, time.Now().Add(time.Hour)))
	s.checked()
}

func erasedStayErased(t *trial) {
	s := t.subject()
	inbox := s.fill("INBOX", 2)
	work := s.create("Work")
	p := s.placement(inbox.ID, 1)
	var acts []mail.ModSeq
	act := func(fn func(store.Tx) error) {
		_, n, err := change(s, s.origin(0), func(tx store.Tx) (int, error) { return 0, fn(tx) })
		ok(err)
		acts = append(acts, n)
	}
	act(func(tx store.Tx) error { _, err := tx.StoreFlags(inbox.ID, uids("1"), add("secret"), nil); return err })
	act(func(tx store.Tx) error { _, err := tx.Copy(inbox.ID, uids("1:2"), work.ID); return err })
	act(func(tx store.Tx) error { _, err := tx.Expunge(work.ID, uids("1:2"), false); return err })
	act(func(tx store.Tx) error { return tx.DeleteMailbox(work.ID) })
	_, n := s.eraseOne(p)
	acts = append(acts, n)
	for i, left := range []int{1, 2, 1, 0, 2} { // of the copies, both left
		r := must(update(s, func(tx store.Tx) (mail.UndoReport, error) { return tx.Undo(mail.ActID(acts[len(acts)-1-i])) }))
		_ = left
		if i == 0 && (r.Undone != 0 || len(r.Left) == 0) {
			fail("undoing the erasing: %+v", r)
		}
	}
	_, err := view(s, func(r store.Reader) (mail.Message, error) { return r.Message(p.Message) })
	want(mail.NotFound, err)
	if ps := must(view(s, func(r store.Reader) ([]mail.Placement, error) { return r.PlacementsOf(p.Message) })); len(ps) > 0 {
		fail("an undo brought back what was erased: %+v", ps)
	}
	s.snapshot().sound()
	s.checked()
}

func erasedFromTheJournal(t *trial) {
	s := t.subject()
	inbox := s.fill("INBOX", 3)
	p := s.placement(inbox.ID, 2)
	must(update(s, func(tx store.Tx) (store.StoreResult, error) {
		return tx.StoreFlags(inbox.ID, uids("1:3"), add("secret"), nil)
	}))
	must(update(s, func(tx store.Tx) (store.StoreResult, error) {
		return tx.Annotate(inbox.ID, uids("2"), []mail.Annotation{{Name: "/comment", Value: []byte("secret")}}, nil)
	}))
	sent := must(update(s, func(tx store.Tx) (mail.Object, error) {
		return tx.PutObject(mail.Object{Type: mail.TypeSubmission, Data: []byte("secret")})
	}))
	done, n, err := change(s, s.origin(0), func(tx store.Tx) (mail.Erased, error) {
		return tx.Erase(mail.Erasing{Messages: []mail.MessageKey{p.Message}, Objects: []mail.ObjectID{sent.ID}})
	})
	ok(err)
	equal("records", done.Records, 3)
	equal("annotations", done.Annotations, 1)
	equal("objects", done.Objects, 1)
	if all := must(view(s, func(r store.Reader) ([]mail.Object, error) { return r.Objects(mail.TypeSubmission) })); len(all) > 0 {
		fail("an object is there yet: %+v", all)
	}
	for _, r := range s.records(store.JournalQuery{After: s.base}) {
		for _, e := range r.Entries {
			if len(e.Old) > 0 || len(e.New) > 0 || len(e.Added) > 0 && e.UIDs.Contains(2) {
				fail("record %d says %+v", r.ModSeq, e)
			}
			if r.ModSeq == n && e.Op != mail.OpErase && e.Op != mail.OpErased {
				fail("the erasing is recorded as %+v", e)
			}
		}
	}
	s.checked()
}

func erasedAfterLeaving(t *trial) {
	s := t.subject()
	inbox := s.fill("INBOX", 3)
	p := s.placement(inbox.ID, 2)
	_, expunged, err := change(s, s.origin(0), func(tx store.Tx) (mail.UIDSet, error) { return tx.Expunge(inbox.ID, uids("2:3"), false) })
	ok(err)
	before := s.snapshot()
	done, _ := s.eraseOne(p)
	equal("departed", done.Departed, 1)
	equal("there", done.Placements, 0)
	s.exactDeltas(before, s.snapshot())
	r := must(update(s, func(tx store.Tx) (mail.UndoReport, error) { return tx.Undo(mail.ActID(expunged)) }))
	if r.Undone != 1 || len(r.Left) != 1 {
		fail("undoing the expunge: %+v", r)
	}
	s.checked()
}

func erasingIsBounded(t *trial) {
	s := t.subject()
	_, err := update(s, func(tx store.Tx) (mail.Erased, error) {
		return tx.Erase(mail.Erasing{Messages: make([]mail.MessageKey, mail.MaxErasing+1)})
	})
	want(mail.Limit, err)
	done := must(update(s, func(tx store.Tx) (mail.Erased, error) {
		return tx.Erase(mail.Erasing{Messages: make([]mail.MessageKey, mail.MaxErasing), Objects: []mail.ObjectID{1 << 40}})
	}))
	equal("of nothing", done, mail.Erased{})
}

func erasedIsRemembered(t *trial) {
	s := t.subject()
	a := arrival(1, "secret")
	a.Once, a.OnceFor = "delivery 1", time.Hour
	p := s.append("INBOX", a)
	s.eraseOne(p)
	again := s.append("INBOX", a)
	equal("arrived as", again.UID, p.UID)
	equal("flags", again.Flags.String(), "")
	equal("messages", s.box("INBOX").Counts.Placements, 0)
}

func erasedNames(t *trial) {
	s := t.subject()
	first := arrival(1)
	first.BaseSubject = "lunch"
	p := s.append("INBOX", first)
	s.eraseOne(p)
	reply := arrival(2)
	reply.References, reply.BaseSubject, reply.IsReply = []string{first.MessageID}, "lunch", true
	q := s.append("INBOX", reply)
	thread := func(p mail.Placement) mail.ThreadID {
		return must(view(s, func(r store.Reader) (mail.Message, error) { return r.Message(p.Message) })).Thread
	}
	later := arrival(3)
	later.References = []string{reply.MessageID}
	if thread(s.append("INBOX", later)) != thread(q) {
		fail("a conversation that goes on is not found")
	}
}

func erasuresAreKept(t *trial) {
	s := t.subject()
	a := must(s.BeginErasure(ctx, []byte("to do")))
	b := must(s.BeginErasure(ctx, nil))
	if a == b || a <= 0 {
		fail("ids %d and %d", a, b)
	}
	text := func(onlyProofs bool) string {
		said := ""
		for _, e := range must(s.Erasures(ctx, onlyProofs)) {
			if time.Since(e.Begun) > time.Hour {
				fail("begun %v", e.Begun)
			}
			said += fmt.Sprintf("%d %v %q %q;", e.ID-a, e.Open, e.State, e.Proof)
		}
		return said
	}
	equal("begun", text(false), fmt.Sprintf(`0 true "to do" "";%d true "" "";`, b-a))
	ok(s.SetErasure(ctx, store.Erasure{ID: a, Open: true, State: []byte("less"), Proof: []byte("so far")}))
	ok(s.SetErasure(ctx, store.Erasure{ID: b, Proof: []byte("done")}))
	equal("set", text(false), fmt.Sprintf(`0 true "less" "so far";%d false "" "done";`, b-a))
	equal("only proofs", text(true), fmt.Sprintf(`0 true "" "so far";%d false "" "done";`, b-a))
	want(mail.NotFound, s.SetErasure(ctx, store.Erasure{ID: b + 100}))
	_, err := s.BeginErasure(ctx, make([]byte, store.MaxErasureState+1))
	want(mail.Limit, err)
	want(mail.Limit, s.SetErasure(ctx, store.Erasure{ID: a, Proof: make([]byte, store.MaxErasureState+1)}))
}

func keptMessages(t *trial) {
	s := t.subject()
	inbox := s.fill("INBOX", 4)
	work := s.create("Work")
	p := s.placements(store.PlacementQuery{Mailbox: inbox.ID})
	kept := func() (keys []mail.MessageKey) {
		ok(s.View(ctx, s.account, func(r store.Reader) error {
			return r.KeptMessages(func(key mail.MessageKey) error { keys = append(keys, key); return nil })
		}))
		return keys
	}
	must(update(s, func(tx store.Tx) (store.Mapping, error) { return tx.Copy(inbox.ID, uids("1"), work.ID) }))
	for _, uid := range []string{"3", "1", "2"} { // of the first a copy is left
		must(update(s, func(tx store.Tx) (mail.UIDSet, error) { return tx.Expunge(inbox.ID, uids(uid), false) }))
	}
	equal("kept", fmt.Sprint(kept()), fmt.Sprint([]mail.MessageKey{p[2].Message, p[1].Message}))
	s.eraseOne(p[2])
	equal("kept after an erasing", fmt.Sprint(kept()), fmt.Sprint([]mail.MessageKey{p[1].Message}))
	ok(s.Prune(ctx, s.account, time.Now().Add(time.Hour)))
	equal("kept after a prune", len(kept()), 0)
}
