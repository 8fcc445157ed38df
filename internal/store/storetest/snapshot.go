package storetest

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"lockstep/internal/mail"
	"lockstep/internal/store"
)

// snapshot is an account at one moment, as one View shows it.
type snapshot struct {
	account   mail.Account
	mailboxes []mail.Mailbox
	messages  map[mail.MailboxID][]row
	emails    map[mail.MessageKey]*email
	threads   map[mail.ThreadID][]mail.MessageKey
	subs      []string
	grants    map[mail.MailboxID][]mail.Grant
	views     map[viewOf]*memberView
	chosen    map[mail.Preference]string
	metadata  []annotation
	floods    []mail.Flood
	devices   []string // in words
	uploads   []string // so

	objs        map[mail.ObjectID]mail.Object
	objectOrder []mail.ObjectID // by type and id
}

// deviceLines are the devices, and what their consumers remember by name.
func deviceLines(r store.Reader) ([]string, error) {
	all, err := r.Devices()
	var lines []string
	for i, d := range all {
		names, err := r.Cursors(d.ID, "eas/one")
		if err != nil {
			return nil, err
		}
		lines = append(lines, fmt.Sprintf("device %d: %s, %s, wipe %v, told %v, remembers %v", i, d.Name, d.Access, d.Wipe, d.Told, names))
	}
	return lines, err
}

// annotation is one of a mailbox, or of the account.
type annotation struct {
	mail.Metadata
	who mail.PrincipalID
}

// readers are those whose annotations are looked at: the owner, and a member.
var readers = []mail.PrincipalID{0, 7}

// readMetadata reads each annotation once.
func (sn *snapshot) readMetadata(r store.Reader) error {
	for _, mb := range append([]mail.Mailbox{{}}, sn.mailboxes...) {
		for _, who := range readers {
			all, err := r.Metadata(mb.ID, who)
			if err != nil {
				return err
			}
			for _, m := range all {
				if who == 0 || m.IsPrivate() {
					sn.metadata = append(sn.metadata, annotation{m, who})
				}
			}
		}
	}
	return nil
}

// metadataLines are the annotations without numbers.
func (sn *snapshot) metadataLines() []string {
	var lines []string
	for _, a := range sn.metadata {
		mb, _ := sn.box(a.Mailbox)
		lines = append(lines, fmt.Sprintf("%s of %d on %q: %q", a.Name, a.who, mb.Path, a.Value))
	}
	return lines
}

// row is a message in a mailbox.
type row struct {
	mail.Placement
	message mail.Message
	notes   string // annotations in words
}

// annotations returns those of the messages of a mailbox, in words.
func annotations(r store.Reader, mb mail.MailboxID, uids mail.UIDSet) (map[mail.UID]string, error) {
	all := map[mail.UID]string{}
	for _, who := range readers {
		err := r.Annotations(store.AnnotationQuery{Mailbox: mb, UIDs: uids, Who: who}, func(a *mail.Annotation) error {
			if who == 0 || !a.Shared {
				all[a.UID] += fmt.Sprintf("%s of %d = %q;", a.Spelled(), a.Who, a.Value)
			}
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	everybody := map[mail.UID]int{}
	err := r.Annotations(store.AnnotationQuery{Mailbox: mb, UIDs: uids, Everybody: true}, func(a *mail.Annotation) error { everybody[a.UID]++; return nil })
	if err != nil {
		return nil, err
	}
	for uid, text := range all {
		if n := strings.Count(text, ";"); n != everybody[uid] {
			fail("UID %d has %d annotations of everybody, and %q", uid, everybody[uid], text)
		}
		all[uid] = sortedNotes(strings.Split(strings.TrimSuffix(text, ";"), ";"))
	}
	return all, nil
}

func sortedNotes(notes []string) string {
	slices.Sort(notes)
	return strings.Join(notes, ";")
}

// email is a message as JMAP shows it, put together from its rows.
type email struct {
	mail.Message
	mailboxes []mail.MailboxID
	keywords  mail.Flags
}

func (s *subject) snapshot() *snapshot {
	return must(view(s, func(r store.Reader) (*snapshot, error) {
		sn, err := read(r)
		if err == nil {
			err = sn.readMembers(r, s.members)
		}
		return sn, err
	}))
}

func read(r store.Reader) (*snapshot, error) {
	sn := &snapshot{messages: map[mail.MailboxID][]row{}, emails: map[mail.MessageKey]*email{}, threads: map[mail.ThreadID][]mail.MessageKey{}}
	var err error
	if sn.account, err = r.Account(); err != nil {
		return nil, err
	}
	if sn.mailboxes, err = r.Mailboxes(); err != nil {
		return nil, err
	}
	if sn.subs, err = r.Subscriptions(); err != nil {
		return nil, err
	}
	sn.chosen = map[mail.Preference]string{}
	for _, p := range mail.Preferences() {
		if sn.chosen[p], err = r.Preference(p); err != nil {
			return nil, err
		}
	}
	if sn.floods, err = r.Floods(); err != nil {
		return nil, err
	}
	if sn.devices, err = deviceLines(r); err != nil {
		return nil, err
	}
	if sn.uploads, err = uploadLines(r); err != nil {
		return nil, err
	}
	if err := errors.Join(sn.readMetadata(r), sn.readObjects(r)); err != nil {
		return nil, err
	}
	for _, mb := range sn.mailboxes {
		notes, err := annotations(r, mb.ID, nil)
		if err != nil {
			return nil, err
		}
		err = r.Messages(store.PlacementQuery{Mailbox: mb.ID}, func(p *mail.Placement, m *mail.Message) error {
			sn.messages[mb.ID] = append(sn.messages[mb.ID], row{*p, *m, notes[p.UID]})
			return nil
		})
		if err == nil {
			err = shown(r, mb.ID, sn.messages[mb.ID])
		}
		if err == nil {
			err = sn.inOrder(r, mb.ID)
		}
		if err != nil {
			return nil, err
		}
	}
	sn.derive()
	return sn, sn.listed(r)
}

// shown compares what is shown of the first messages of a mailbox with their rows.
func shown(r store.Reader, mb mail.MailboxID, want []row) error {
	return r.Messages(store.PlacementQuery{Mailbox: mb, Shown: true, Limit: 20}, func(p *mail.Placement, m *mail.Message) error {
		w, m0 := want[0].Placement, want[0].message
		want = want[1:]
		if p.UID != w.UID || p.Message != w.Message || !p.SaveDate.Equal(w.SaveDate) || p.Size != w.Size ||
			m.Key != m0.Key || m.Size != m0.Size || m.Blob.Name != m0.Blob.Name || !bytes.Equal(m.Parsed, m0.Parsed) {
			return fmt.Errorf("of %+v is shown %+v, of %+v %+v", w, *p, m0, *m)
		}
		return nil
	})
}

// derive puts emails and threads together from the rows.
func (sn *snapshot) derive() {
	for _, mb := range sn.mailboxes {
		for _, r := range sn.messages[mb.ID] {
			if !r.Flags.Has(mail.Deleted) {
				sn.show(r)
			}
		}
	}
	for key, e := range sn.emails {
		slices.Sort(e.mailboxes)
		sn.threads[e.Thread] = append(sn.threads[e.Thread], key)
	}
	for _, keys := range sn.threads {
		slices.SortFunc(keys, func(a, b mail.MessageKey) int {
			return cmp.Or(sn.emails[a].InternalDate.Compare(sn.emails[b].InternalDate), cmp.Compare(a, b))
		})
	}
}

func (sn *snapshot) show(r row) {
	e := sn.emails[r.Message]
	if e == nil {
		sn.emails[r.Message] = &email{Message: r.message, mailboxes: []mail.MailboxID{r.Mailbox}, keywords: r.Flags}
		return
	}
	seen := e.keywords.System & r.Flags.System & mail.Seen
	e.keywords = e.keywords.Union(r.Flags)
	e.keywords.System = e.keywords.System&^mail.Seen | seen
	if !slices.Contains(e.mailboxes, r.Mailbox) {
		e.mailboxes = append(e.mailboxes, r.Mailbox)
	}
}

func (e *email) unread() bool { return e.keywords.System&(mail.Seen|mail.Draft) == 0 }

// counts counts a mailbox from the rows.
func (sn *snapshot) counts(id mail.MailboxID) mail.Counts {
	var c mail.Counts
	emails, threads := map[mail.MessageKey]bool{}, map[mail.ThreadID]bool{}
	for _, r := range sn.messages[id] {
		c.Placements++
		c.Size += r.Size
		if !r.Flags.Has(mail.Seen) {
			c.Unseen++
		}
		if r.Flags.Has(mail.Deleted) {
			c.Deleted++
			continue
		}
		emails[r.Message], threads[r.message.Thread] = true, true
	}
	c.Emails, c.Threads = int64(len(emails)), int64(len(threads))
	for key := range emails {
		if sn.emails[key].unread() {
			c.UnreadEmails++
		}
	}
	for id := range threads {
		if slices.ContainsFunc(sn.threads[id], func(k mail.MessageKey) bool { return sn.emails[k].unread() }) {
			c.UnreadThreads++
		}
	}
	return c
}

// box finds a mailbox by its id.
func (sn *snapshot) box(id mail.MailboxID) (mail.Mailbox, bool) {
	i := slices.IndexFunc(sn.mailboxes, func(mb mail.Mailbox) bool { return mb.ID == id })
	if i < 0 {
		return mail.Mailbox{}, false
	}
	return sn.mailboxes[i], true
}

// text is the snapshot in lines that do not depend on the engine's ids, to be
// compared between engines.
func (sn *snapshot) text(s *subject) []string {
	since := func(n mail.ModSeq) int64 { return max(0, int64(n)-int64(s.base)) }
	lines := []string{fmt.Sprintf("head %d used %d emails %d threads %d", since(sn.account.Head), sn.account.Used, sn.account.Emails, sn.account.Threads)}
	for _, typ := range slices.Sorted(maps.Keys(sn.account.Last)) {
		if n := since(sn.account.Last[typ]); n > 0 {
			lines = append(lines, fmt.Sprintf("type %d last changed %d", typ, n))
		}
	}
	known := map[mail.Lineage]int{} // lines, by the order in which they are met
	for _, mb := range sn.mailboxes {
		lines = append(lines, fmt.Sprintf("%s: role %q sort %d uidnext %d created %d highest %d props %d counts %d %+v", mb.Path, mb.Role, mb.SortOrder, mb.UIDNext,
			since(mb.Created), since(mb.HighestModSeq), since(mb.PropsModSeq), since(mb.CountsModSeq), mb.Counts))
		for _, r := range sn.messages[mb.ID] {
			lines = append(lines, fmt.Sprintf("%s/%d: %s (%s) modseq %d created %d by %d line %d held %v %s", mb.Path, r.UID, r.message.EmailID, r.Flags, since(r.ModSeq), since(r.Created),
				slices.Index(s.devices, r.ChangedBy), numbered(known, r.Lineage.Line()), r.Lineage.Held(), r.notes))
		}
	}
	lines = append(append(append(lines, sn.memberLines(s, since)...), sn.devices...), sn.uploads...)
	lines = append(lines, sn.objectLines(func(o mail.Object) string {
		return fmt.Sprintf("%s %q created %d modseq %d", o.Type, o.Data, since(o.Created), since(o.ModSeq))
	})...)
	for _, f := range sn.floods {
		lines = append(lines, fmt.Sprintf("flood %d by %d: %d to %d, %d messages, told %v", since(f.ID), slices.Index(s.devices, f.Device), since(f.First), since(f.Last), f.Removed, f.Told))
	}
	for i, line := range sn.metadataLines() {
		lines = append(lines, fmt.Sprintf("%s, modseq %d", line, since(sn.metadata[i].ModSeq)))
	}
	return append(append(lines, sn.emailLines(since)...), "subscribed "+strings.Join(sn.subs, " "), fmt.Sprint("chosen ", sn.chosen))
}

// numbered returns the number of a line that was met before, or the next.
func numbered(known map[mail.Lineage]int, l mail.Lineage) int {
	if _, ok := known[l]; !ok {
		known[l] = len(known) + 1
	}
	return known[l]
}

func (sn *snapshot) emailLines(since func(mail.ModSeq) int64) []string {
	var lines []string
	for _, e := range sn.emails {
		first := sn.emails[sn.threads[e.Thread][0]]
		lines = append(lines, fmt.Sprintf("%s: thread of %s, %d bytes, came %s, created %d modseq %d", e.EmailID, first.EmailID, e.Size,
			dateAndZone(e.InternalDate), since(e.Created), since(e.ModSeq)))
	}
	slices.Sort(lines)
	return lines
}

// difference returns the first lines that differ, or "".
func difference(got, want []string) string {
	for i := range max(len(got), len(want)) {
		g, w := "(nothing)", "(nothing)"
		if i < len(got) {
			g = got[i]
		}
		if i < len(want) {
			w = want[i]
		}
		if g != w {
			return fmt.Sprintf("\n got %s\nwant %s", g, w)
		}
	}
	return ""
}

// sound gives up if the snapshot contradicts itself or what else the engine says.
func (sn *snapshot) sound() {
	holders := map[mail.Lineage]string{}
	for _, mb := range sn.mailboxes {
		if c := sn.counts(mb.ID); c != mb.Counts {
			fail("%s counts %+v, holds %+v", mb.Path, mb.Counts, c)
		}
		last, lastID := mail.UID(0), mail.PlacementID(0)
		for _, r := range sn.messages[mb.ID] {
			switch {
			case r.UID <= last || r.UID >= mb.UIDNext:
				fail("%s: UID %d after %d, UIDNEXT %d", mb.Path, r.UID, last, mb.UIDNext)
			case r.ModSeq > mb.HighestModSeq || r.Created > r.ModSeq || r.Mailbox != mb.ID || r.Message != r.message.Key || r.Size != r.message.Size:
				fail("%s/%d: numbers that can't be: %+v in %+v", mb.Path, r.UID, r.Placement, mb)
			}
			if r.ID <= lastID {
				fail("%s/%d: placement %d after %d", mb.Path, r.UID, r.ID, lastID)
			}
			last, lastID = r.UID, r.ID
			if other, held := holders[r.Lineage]; held && r.Lineage.Held() {
				fail("%s/%d and %s hold line %d", mb.Path, r.UID, other, r.Lineage)
			}
			holders[r.Lineage] = fmt.Sprintf("%s/%d", mb.Path, r.UID)
		}
		sn.soundViews(mb)
		if max(mb.HighestModSeq, mb.CountsModSeq, mb.PropsModSeq) > sn.account.Head {
			fail("%s is ahead of the account: %+v", mb.Path, mb)
		}
	}
	for _, a := range sn.metadata {
		if mb, there := sn.box(a.Mailbox); a.ModSeq == 0 || a.ModSeq > sn.account.Head || there && a.ModSeq > mb.HighestModSeq {
			fail("an annotation ahead: %+v in %+v", a, mb)
		}
	}
	if n, threads := sn.account.Emails, sn.account.Threads; n != int64(len(sn.emails)) || threads != int64(len(sn.threads)) {
		fail("the account counts %d emails in %d threads, shows %d in %d", n, threads, len(sn.emails), len(sn.threads))
	}
	for _, e := range sn.emails {
		if e.Created == 0 || e.Created > e.ModSeq || e.ModSeq > sn.account.Head {
			fail("email %s: created %d, modseq %d, head %d", e.EmailID, e.Created, e.ModSeq, sn.account.Head)
		}
	}
}
