package storetest

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"lockstep/internal/mail"
	"lockstep/internal/store"
)

// world is the account as the journal tells it: mailboxes, what is in them and
// the subscriptions.
type world struct {
	s        *subject
	images   map[mail.MailboxID]mail.MailboxImage
	messages map[mail.MailboxID]map[mail.UID]content
	subs     map[string]bool
	grants   map[mail.MailboxID]map[mail.PrincipalID]mail.Rights
	own      map[ownOf]bool // what members have read
	erased   *erased
	chosen   map[mail.Preference]string
	objects  map[mail.ObjectID]object
	metadata map[note]string
	fallen   map[mail.ModSeq]map[note]string // annotations of mailboxes, when they were deleted
	at       mail.ModSeq                     // of the record that is taken back
}

// note names an annotation.
type note struct {
	mailbox mail.MailboxID
	who     mail.PrincipalID
	name    string
}

type content struct {
	flags mail.Flags
	key   mail.MessageKey
	notes string
}

// world is the snapshot in the journal's words.
func (sn *snapshot) world(s *subject) *world {
	w := &world{s: s, images: map[mail.MailboxID]mail.MailboxImage{}, messages: map[mail.MailboxID]map[mail.UID]content{}, subs: map[string]bool{}, chosen: maps.Clone(sn.chosen), metadata: map[note]string{}}
	for _, a := range sn.metadata {
		w.metadata[note{a.Mailbox, a.who, a.Name}] = string(a.Value)
	}
	for _, mb := range sn.mailboxes {
		w.images[mb.ID], w.messages[mb.ID] = mb.Image(), map[mail.UID]content{}
		for _, r := range sn.messages[mb.ID] {
			w.messages[mb.ID][r.UID] = content{r.Flags, r.Message, r.notes}
		}
	}
	for _, path := range sn.subs {
		w.subs[path] = true
	}
	w.share(sn)
	w.keepObjects(sn)
	return w
}

// rewinds walks the journal backwards from now and must meet each earlier
// snapshot.
func (h *history) rewinds() {
	s := h.subject()
	past := h.record(s)
	s.rewind(past, past[len(past)-1].world(s))
}

// rewind takes back every record of the test. The last of past is now.
func (s *subject) rewind(past []*snapshot, w *world) {
	records := s.records(store.JournalQuery{After: s.base, Limit: 1 << 20})
	contents := contentsWhenDeleted(past[0], records)
	w.fallen = annotationsWhenDeleted(s, past[0], records)
	s.keptMailboxes(past[len(past)-1], records, w.fallen)
	past = past[:len(past)-1]
	w.erased = erasedBy(records)
	for i, r := range records {
		w.at = r.ModSeq
		for _, e := range slices.Backward(r.Entries) {
			if err := w.takeBack(e, contents[r.ModSeq]); err != nil {
				fail("record %d, %+v: %v", r.ModSeq, e, err)
			}
		}
		head := s.base
		if i+1 < len(records) {
			head = records[i+1].ModSeq
		}
		if was := past[len(past)-1]; was.account.Head == head {
			w.mustBe(was)
			past = past[:len(past)-1]
		}
	}
	if len(past) > 0 {
		fail("the journal does not lead back to position %d", past[0].account.Head)
	}
}

// contentsWhenDeleted reads the journal forwards and returns the UIDs that each
// deleted mailbox held, by record: a deletion names none of them.
func contentsWhenDeleted(start *snapshot, records []mail.Record) map[mail.ModSeq]map[mail.MailboxID][]mail.UID {
	deleted := map[mail.ModSeq]map[mail.MailboxID][]mail.UID{}
	held := map[mail.MailboxID]map[mail.UID]bool{}
	set := func(mb mail.MailboxID, uids mail.UIDSet, v bool) {
		if held[mb] == nil {
			held[mb] = map[mail.UID]bool{}
		}
		for uid := range uids.All() {
			if held[mb][uid] = v; !v {
				delete(held[mb], uid)
			}
		}
	}
	for _, mb := range start.mailboxes {
		for _, r := range start.messages[mb.ID] {
			set(mb.ID, mail.MakeUIDSet(r.UID), true)
		}
	}
	for _, r := range slices.Backward(records) {
		for _, e := range r.Entries {
			switch e.Op {
			case mail.OpAppend, mail.OpRestore:
				set(e.Mailbox, e.UIDs, true)
			case mail.OpCopy, mail.OpMove:
				set(e.Dest, e.DestUIDs, true)
				if e.Op == mail.OpMove {
					set(e.Mailbox, e.UIDs, false)
				}
			case mail.OpExpunge, mail.OpErase:
				set(e.Mailbox, e.UIDs, false)
			case mail.OpDeleteMailbox:
				if deleted[r.ModSeq] == nil {
					deleted[r.ModSeq] = map[mail.MailboxID][]mail.UID{}
				}
				deleted[r.ModSeq][e.Mailbox] = slices.Sorted(maps.Keys(held[e.Mailbox]))
				delete(held, e.Mailbox)
			}
		}
	}
	return deleted
}

// annotationsWhenDeleted reads the journal forwards and returns the annotations
// of each deleted mailbox, by record: they stay with it, unseen.
func annotationsWhenDeleted(s *subject, start *snapshot, records []mail.Record) map[mail.ModSeq]map[note]string {
	fallen := map[mail.ModSeq]map[note]string{}
	held := start.world(s).metadata
	for _, r := range slices.Backward(records) {
		for _, e := range r.Entries {
			switch at := (note{e.Mailbox, e.Who, e.Name}); {
			case e.Op == mail.OpDeleteMailbox:
				if fallen[r.ModSeq] == nil {
					fallen[r.ModSeq] = map[note]string{}
				}
				for n, value := range held {
					if n.mailbox == e.Mailbox {
						fallen[r.ModSeq][n] = value
					}
				}
			case e.Op == mail.OpMetadata && e.New == nil:
				delete(held, at)
			case e.Op == mail.OpMetadata:
				held[at] = string(e.New)
			}
		}
	}
	return fallen
}

// takeBack makes the world what it was before the entry.
func (w *world) takeBack(e mail.Entry, deleted map[mail.MailboxID][]mail.UID) error {
	switch e.Op {
	case mail.OpAppend, mail.OpRestore:
		return w.remove(e.Mailbox, e.UIDs)
	case mail.OpCopy:
		return w.remove(e.Dest, e.DestUIDs)
	case mail.OpMove:
		if err := w.remove(e.Dest, e.DestUIDs); err != nil {
			return err
		}
		return w.putBack(e.Mailbox, slices.Collect(e.UIDs.All()))
	case mail.OpExpunge, mail.OpErase:
		return w.putBack(e.Mailbox, slices.Collect(e.UIDs.All()))
	case mail.OpFlags:
		if e.Who != 0 {
			return w.unread(e)
		}
		return w.reflag(e)
	case mail.OpRights:
		return w.regrant(e)
	case mail.OpAnnotate:
		return w.unremark(e)
	case mail.OpCreateMailbox:
		if len(w.messages[e.Mailbox]) > 0 || len(w.grants[e.Mailbox]) > 0 || w.images[e.Mailbox] != *e.After {
			return fmt.Errorf("made as %+v with %v", w.images[e.Mailbox], w.messages[e.Mailbox])
		}
		delete(w.images, e.Mailbox)
		delete(w.messages, e.Mailbox)
		maps.DeleteFunc(w.metadata, func(n note, _ string) bool { return n.mailbox == e.Mailbox })
	case mail.OpDeleteMailbox:
		w.images[e.Mailbox], w.messages[e.Mailbox] = *e.Before, map[mail.UID]content{}
		for n, value := range w.fallen[w.at] {
			if n.mailbox == e.Mailbox {
				w.metadata[n] = value
			}
		}
		return w.putBack(e.Mailbox, deleted[e.Mailbox])
	case mail.OpUpdateMailbox:
		return w.rename(e)
	case mail.OpSubscribe:
		delete(w.subs, e.Name)
	case mail.OpUnsubscribe:
		w.subs[e.Name] = true
	case mail.OpMetadata:
		return w.unannotate(e)
	case mail.OpObject:
		return w.unput(e)
	case mail.OpPreference:
		p := mail.Preference(e.Name)
		if w.chosen[p] != cmp.Or(string(e.New), p.Default()) {
			return fmt.Errorf("it is %s", w.chosen[p])
		}
		w.chosen[p] = cmp.Or(string(e.Old), p.Default())
	}
	return nil
}

// unannotate gives an annotation its value back. Those of a mailbox that is gone
// are kept beside it, and are looked at when the journal has brought it back.
func (w *world) unannotate(e mail.Entry) error {
	at := note{e.Mailbox, e.Who, e.Name}
	if now, there := w.metadata[at]; (e.New != nil) != there || now != string(e.New) {
		return fmt.Errorf("it is %q, there %v", now, there)
	}
	if delete(w.metadata, at); e.Old != nil {
		w.metadata[at] = string(e.Old)
	}
	return nil
}

func (w *world) remove(mb mail.MailboxID, uids mail.UIDSet) error {
	for uid := range uids.All() {
		if _, there := w.messages[mb][uid]; !there {
			return fmt.Errorf("UID %d is not there", uid)
		}
		delete(w.messages[mb], uid)
		maps.DeleteFunc(w.own, func(o ownOf, _ bool) bool { return o.mailbox == mb && o.uid == uid })
	}
	return nil
}

// putBack puts messages where they had left, as the engine kept them.
func (w *world) putBack(mb mail.MailboxID, uids []mail.UID) error {
	for _, uid := range uids {
		p, err := view(w.s, func(r store.Reader) (mail.Placement, error) { return r.Departed(mb, uid) })
		if err != nil {
			return fmt.Errorf("UID %d: %w", uid, err)
		}
		if p.UID != uid || p.Mailbox != mb || w.messages[mb] == nil {
			return fmt.Errorf("UID %d departed as %+v", uid, p)
		}
		notes, err := view(w.s, func(r store.Reader) (map[mail.UID]string, error) { return annotations(r, mb, mail.MakeUIDSet(uid)) })
		if err != nil {
			return err
		}
		w.messages[mb][uid] = content{p.Flags, p.Message, notes[uid]}
		w.readAgain(mb, uid)
	}
	return nil
}

func (w *world) reflag(e mail.Entry) error {
	added, err := mail.NewFlags(e.Added...)
	if err != nil {
		return err
	}
	removed, err := mail.NewFlags(e.Removed...)
	if err != nil {
		return err
	}
	for uid := range e.UIDs.All() {
		c, there := w.messages[e.Mailbox][uid]
		if !there || !added.Minus(c.flags).IsEmpty() || c.flags.Minus(removed) != c.flags {
			return fmt.Errorf("UID %d, there %v, has (%s)", uid, there, c.flags)
		}
		c.flags = c.flags.Minus(added).Union(removed)
		w.messages[e.Mailbox][uid] = c
	}
	return nil
}

// unremark gives messages an annotation back.
func (w *world) unremark(e mail.Entry) error {
	word := func(value []byte) string { return fmt.Sprintf("%s of %d = %q", e.Name, e.Who, value) }
	for uid := range e.UIDs.All() {
		c, there := w.messages[e.Mailbox][uid]
		var notes []string
		if c.notes != "" {
			notes = strings.Split(c.notes, ";")
		}
		i := slices.Index(notes, word(e.New))
		if !there || (e.New != nil) != (i >= 0) {
			return fmt.Errorf("UID %d, there %v, has %s", uid, there, c.notes)
		}
		if i >= 0 {
			notes = slices.Delete(notes, i, i+1)
		}
		if e.Old != nil {
			notes = append(notes, word(e.Old))
		}
		c.notes = sortedNotes(notes)
		w.messages[e.Mailbox][uid] = c
	}
	return nil
}

// rename gives a mailbox its image back; subscriptions of it and below follow.
func (w *world) rename(e mail.Entry) error {
	if w.images[e.Mailbox] != *e.After {
		return fmt.Errorf("it is %+v", w.images[e.Mailbox])
	}
	from := w.path(e.Mailbox)
	w.images[e.Mailbox] = *e.Before
	to := w.path(e.Mailbox)
	if from == to {
		return nil
	}
	for path := range maps.Clone(w.subs) {
		if under(path, from) {
			delete(w.subs, path)
			w.subs[to+strings.TrimPrefix(path, from)] = true
		}
	}
	return nil
}

func under(path, top string) bool { return path == top || strings.HasPrefix(path, top+mail.Delimiter) }

func (w *world) path(id mail.MailboxID) string {
	im := w.images[id]
	if im.Parent == 0 {
		return im.Name
	}
	return w.path(im.Parent) + mail.Delimiter + im.Name
}

// mustBe gives up unless the world is what the snapshot shows.
func (w *world) mustBe(sn *snapshot) {
	want := sn.world(w.s)
	w.erased.from(w)
	w.erased.from(want)
	if !maps.Equal(w.images, want.images) {
		fail("rewound to %d: mailboxes are %v, want %v", sn.account.Head, w.images, want.images)
	}
	for mb := range want.images {
		if !maps.Equal(w.messages[mb], want.messages[mb]) {
			fail("rewound to %d: %s holds %v, want %v", sn.account.Head, want.path(mb), w.messages[mb], want.messages[mb])
		}
		w.s.held(mb, sn)
	}
	if !maps.Equal(w.metadata, want.metadata) {
		fail("rewound to %d: annotations are %v, want %v", sn.account.Head, w.metadata, want.metadata)
	}
	if !maps.Equal(w.objects, want.objects) {
		fail("rewound to %d: objects are %v, want %v", sn.account.Head, w.objects, want.objects)
	}
	if !maps.Equal(w.chosen, want.chosen) {
		fail("rewound to %d: chosen %v, want %v", sn.account.Head, w.chosen, want.chosen)
	}
	w.sharedAs(want, sn)
	if !maps.Equal(w.subs, want.subs) {
		fail("rewound to %d: subscribed %v, want %v", sn.account.Head, w.subs, want.subs)
	}
}
