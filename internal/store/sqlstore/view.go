package sqlstore

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"lockstep/internal/mail"
)

// place is one placement of a message.
type place struct {
	id      mail.PlacementID
	mailbox mail.MailboxID
	flags   mail.Flags
}

// view is a message as JMAP shows it. Placements with \Deleted are hidden; \Seen
// is all of the visible ones, any other flag one of them.
type view struct {
	visible   bool
	mailboxes []mail.MailboxID // sorted
	flags     mail.Flags
}

func viewOf(places []place) view {
	var v view
	seen := mail.Seen
	for _, p := range places {
		if p.flags.Has(mail.Deleted) {
			continue
		}
		v.visible = true
		if !slices.Contains(v.mailboxes, p.mailbox) {
			v.mailboxes = append(v.mailboxes, p.mailbox)
		}
		v.flags = v.flags.Union(p.flags)
		seen &= p.flags.System
	}
	if v.visible {
		slices.Sort(v.mailboxes)
		v.flags.System = v.flags.System&^mail.Seen | seen
	}
	return v
}

func (v view) equal(w view) bool {
	return v.visible == w.visible && v.flags == w.flags && slices.Equal(v.mailboxes, w.mailboxes)
}

// unread is neither read nor a draft (RFC 8621 §2).
func (v view) unread() bool {
	return v.visible && v.flags.System&(mail.Seen|mail.Draft) == 0
}

// message is a message some placement of which changes in this transaction.
type message struct {
	key      mail.MessageKey
	thread   mail.ThreadID
	size     int64
	received int64      // its internal date, as it is stored
	begin    messageRow // as this transaction found it
	stored   messageRow // as its row is
	places   []place    // as they are now
	was      view       // at the beginning
	counts   view       // as mailboxes and threads count it

	homeMailbox mail.MailboxID // where it came in, if it came now
	homeUID     mail.UID

	insert   func(messageRow) error // its row; nil when it is there
	changed  bool                   // its view differs from the beginning
	flipped  bool                   // so does whether it is visible
	vanished bool                   // its leaving is written
}

// messageRow is what changes in a message's row.
type messageRow struct {
	created, modseq mail.ModSeq
	visible         bool
	placements      int
	left            mail.ModSeq
}

// thread is a thread whose members' visibility or unread state changes.
type thread struct {
	id              mail.ThreadID
	begin, stored   threadRow
	emails, unread  int64
	in, storedIn    map[mail.MailboxID]int64
	flips           int // members that became visible or hidden since the beginning
	unborn, written bool
}

type threadRow struct {
	emails, unread  int64
	created, modseq mail.ModSeq
	places          string // what in is, as it is stored
}

// place adds a placement to m.
func (t *tx) place(m *message, p place) {
	if len(m.places) == 0 {
		t.account.Used += m.size
		t.unwell = true
	}
	m.places = append(slices.Clip(m.places), p)
	t.dirty[m.key] = m
}

// reflag changes the flags of a placement.
func (t *tx) reflag(h *held, flags mail.Flags) {
	h.place().flags = flags
	t.dirty[h.m.key] = h.m
}

// displace takes a placement from m.
func (t *tx) displace(m *message, id mail.PlacementID) {
	m.places = slices.DeleteFunc(slices.Clone(m.places), func(p place) bool { return p.id == id })
	if len(m.places) == 0 {
		t.account.Used -= m.size
		t.unwell = true
	}
	t.dirty[m.key] = m
}

// settleMessages brings counters, threads and message rows to what the
// placements of the changed messages say.
func (t *tx) settleMessages() error {
	all := slices.SortedFunc(maps.Values(t.dirty), byKey)
	clear(t.dirty)
	now := make([]view, len(all))
	var threads []int64
	for i, m := range all {
		now[i] = viewOf(m.places)
		if recounts(m.counts, now[i]) && t.threads[m.thread] == nil {
			threads = append(threads, int64(m.thread))
		}
	}
	if err := t.loadThreads(threads); err != nil {
		return err
	}
	changed := map[mail.ThreadID]*thread{}
	for i, m := range all {
		if recounts(m.counts, now[i]) {
			if err := t.recount(m, now[i]); err != nil {
				return err
			}
			changed[m.thread] = t.threads[m.thread]
		}
		if th := t.threads[m.thread]; th != nil && th.unborn {
			changed[m.thread] = th // it may be hidden from the first
		}
		m.counts = now[i]
	}
	if err := t.settleThreads(changed); err != nil {
		return err
	}
	return t.writeMessages(all, now)
}

// recounts reports whether a change of view changes any counter.
func recounts(a, b view) bool {
	return a.visible != b.visible || a.unread() != b.unread() || !slices.Equal(a.mailboxes, b.mailboxes)
}

// recount moves m's part in the counters from how it is counted to now.
func (t *tx) recount(m *message, now view) error {
	t.account.Emails += difference(m.counts.visible, now.visible)
	th := t.threads[m.thread]
	if err := t.count(th, m.counts, -1); err != nil {
		return err
	}
	if err := t.count(th, now, 1); err != nil {
		return err
	}
	if flipped := m.was.visible != now.visible; flipped != m.flipped {
		m.flipped = flipped
		if flipped {
			th.flips++
		} else {
			th.flips--
		}
	}
	return nil
}

// count adds sign times a message seen as v.
func (t *tx) count(th *thread, v view, sign int64) error {
	if !v.visible {
		return nil
	}
	th.emails += sign
	unread := int64(0)
	if v.unread() {
		unread = sign
	}
	th.unread += unread
	for _, id := range v.mailboxes {
		th.in[id] += sign
		b, err := t.counted(id)
		if err != nil {
			return err
		}
		b.Counts.Emails += sign
		b.Counts.UnreadEmails += unread
	}
	return nil
}

// counted returns a mailbox whose counters change, also one being deleted.
func (t *tx) counted(id mail.MailboxID) (*box, error) {
	if b := t.boxes[id]; b != nil {
		return b, nil
	}
	return t.box(id)
}

const selectThreads = "SELECT thread_id, emails, unread, created, modseq, places FROM thread WHERE account_id = ?1 AND thread_id IN list(?2)"

func (t *tx) loadThreads(ids []int64) error {
	if len(ids) == 0 {
		return nil
	}
	return t.c.query(selectThreads, func(r row) error {
		id := mail.ThreadID(r.num(0))
		rw := threadRow{r.num(1), r.num(2), mail.ModSeq(r.num(3)), mail.ModSeq(r.num(4)), r.text(5)}
		in, err := parsePlaces(rw.places)
		t.threads[id] = &thread{id: id, begin: rw, stored: rw, emails: rw.emails, unread: rw.unread, in: in, storedIn: maps.Clone(in)}
		return err
	}, t.id, ints(ids))
}

// parsePlaces and placesText read and write how many emails of a thread each
// mailbox shows: a JSON object, with the mailboxes in order.
func parsePlaces(text string) (map[mail.MailboxID]int64, error) {
	in := map[mail.MailboxID]int64{}
	for pair := range strings.SplitSeq(strings.Trim(text, "{}"), ",") {
		id, count, _ := strings.Cut(pair, ":")
		if id == "" {
			continue
		}
		mb, err1 := strconv.ParseInt(strings.Trim(id, `"`), 10, 64)
		n, err2 := strconv.ParseInt(count, 10, 64)
		if err := cmp.Or(err1, err2); err != nil {
			return nil, fmt.Errorf("where a thread is shown: %w", err)
		}
		in[mail.MailboxID(mb)] = n
	}
	return in, nil
}

func placesText(in map[mail.MailboxID]int64) string {
	b := []byte{'{'}
	for _, mb := range slices.Sorted(maps.Keys(in)) {
		if in[mb] == 0 {
			continue
		}
		if len(b) > 1 {
			b = append(b, ',')
		}
		b = strconv.AppendInt(append(b, '"'), int64(mb), 10)
		b = strconv.AppendInt(append(b, '"', ':'), in[mb], 10)
	}
	return string(append(b, '}'))
}

// threadWrites collects rows of threads, those alike together.
type threadWrites struct {
	update   map[threadRow][]int64
	vanish   map[mail.ModSeq][]int64 // by created
	reappear []int64
}

func (t *tx) settleThreads(changed map[mail.ThreadID]*thread) error {
	w := threadWrites{map[threadRow][]int64{}, map[mail.ModSeq][]int64{}, nil}
	for _, id := range slices.Sorted(maps.Keys(changed)) {
		th := changed[id]
		if err := t.countThread(th); err != nil {
			return err
		}
		now := t.threadRow(th)
		switch {
		case th.unborn:
			if err := t.insertThread(th, now); err != nil {
				return err
			}
		case now != th.stored:
			w.update[now] = append(w.update[now], int64(id))
		}
		leaves := th.begin.emails > 0 && now.emails == 0
		if leaves && !th.written {
			w.vanish[th.begin.created] = append(w.vanish[th.begin.created], int64(id))
		} else if !leaves && th.written {
			w.reappear = append(w.reappear, int64(id))
		}
		th.written = leaves
		th.stored, th.storedIn = now, maps.Clone(th.in)
	}
	return t.writeThreads(w)
}

// countThread moves a thread's part in the counters of mailboxes from how it is
// stored to now.
func (t *tx) countThread(th *thread) error {
	t.account.Threads += difference(th.stored.emails > 0, th.emails > 0)
	for mb, n := range th.in {
		was, is := th.storedIn[mb] > 0, n > 0
		wasUnread, isUnread := was && th.stored.unread > 0, is && th.unread > 0
		if was == is && wasUnread == isUnread {
			continue
		}
		b, err := t.counted(mb)
		if err != nil {
			return err
		}
		b.Counts.Threads += difference(was, is)
		b.Counts.UnreadThreads += difference(wasUnread, isUnread)
	}
	return nil
}

func difference(was, is bool) int64 {
	switch {
	case was == is:
		return 0
	case is:
		return 1
	}
	return -1
}

// threadRow is what the row of a thread has to be.
func (t *tx) threadRow(th *thread) threadRow {
	rw := threadRow{th.emails, th.unread, th.begin.created, th.begin.modseq, placesText(th.in)}
	if th.flips > 0 {
		rw.modseq = t.n
		if th.begin.emails == 0 {
			rw.created = t.n
		}
	}
	return rw
}

const (
	insertThread = "INSERT INTO thread (account_id, thread_id, emails, unread, created, modseq, born, places) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)"
	updateThread = "UPDATE thread SET emails = ?2, unread = ?3, created = ?4, modseq = ?5, places = ?6 WHERE account_id = ?1 AND thread_id IN list(?7)"
	vanish       = "INSERT INTO vanished (account_id, type, modseq, id, created, why) SELECT ?1, ?2, ?3, value, ?4, ?5 FROM list(?6) AS l WHERE 1 = 1"
	reappear     = "DELETE FROM vanished WHERE account_id = ?1 AND type = ?2 AND modseq = ?3 AND id IN list(?4)"
)

func (t *tx) insertThread(th *thread, now threadRow) error {
	th.unborn = false
	err := t.c.later(insertThread, t.id, th.id, now.emails, now.unread, now.created, now.modseq, t.n, now.places)
	return err
}

func (t *tx) writeThreads(w threadWrites) error {
	for now, ids := range w.update {
		if err := t.c.later(updateThread, t.id, now.emails, now.unread, now.created, now.modseq, now.places, ints(ids)); err != nil {
			return err
		}
	}
	for created, ids := range w.vanish {
		if err := t.c.later(vanish, t.id, mail.TypeThread, t.n, created, hidden, ints(ids)); err != nil {
			return err
		}
	}
	if w.reappear == nil {
		return nil
	}
	err := t.c.later(reappear, t.id, mail.TypeThread, t.n, ints(w.reappear))
	return err
}

// messageRow is what the row of a message has to be.
func (t *tx) messageRow(m *message, now view) messageRow {
	rw := messageRow{m.begin.created, m.begin.modseq, now.visible, len(m.places), 0}
	m.changed = !now.equal(m.was)
	if m.changed {
		rw.modseq = t.n
		if !m.was.visible {
			rw.created = t.n
		}
	}
	if rw.placements == 0 {
		rw.left = m.begin.left
		if rw.left == 0 {
			rw.left = t.n
		}
	}
	return rw
}

// Two ways to change a message's row: only its modseq, as flags do, or all.
const (
	updateMessageModSeq = "UPDATE message SET modseq = ?2 WHERE account_id = ?1 AND message_key IN list(?3)"
	updateMessage       = `UPDATE message SET created = coalesce(?2, created), modseq = coalesce(?3, modseq), visible = ?4, placements = ?5, left_modseq = ?6
	WHERE account_id = ?1 AND message_key IN list(?7)`
)

// messageWrite is an update that many messages share; the modseqs are nil where
// they stay.
type messageWrite struct {
	created, modseq any
	visible         bool
	placements      int
	left            mail.ModSeq
}

func (t *tx) writeMessages(all []*message, now []view) error {
	var bumped, reappeared []int64
	updates := map[messageWrite][]int64{}
	vanished := map[mail.ModSeq][]int64{}
	for i, m := range all {
		rw := t.messageRow(m, now[i])
		if m.insert != nil {
			if err := m.insert(rw); err != nil {
				return err
			}
			m.insert, m.stored = nil, rw
			t.unborn--
		}
		old := m.stored
		m.stored = rw
		w := messageWrite{nil, nil, rw.visible, rw.placements, rw.left}
		if rw.created != old.created {
			w.created = int64(rw.created)
		}
		if rw.modseq != old.modseq {
			w.modseq = int64(rw.modseq)
		}
		switch {
		case rw == old:
		case w.created == nil && rw.visible == old.visible && rw.placements == old.placements && rw.left == old.left && rw.modseq == t.n:
			bumped = append(bumped, int64(m.key))
		default:
			updates[w] = append(updates[w], int64(m.key))
		}
		leaves := m.was.visible && !rw.visible
		if leaves && !m.vanished {
			vanished[m.begin.created] = append(vanished[m.begin.created], int64(m.key))
		} else if !leaves && m.vanished {
			reappeared = append(reappeared, int64(m.key))
		}
		m.vanished = leaves
	}
	return t.runMessageWrites(bumped, reappeared, updates, vanished)
}

func (t *tx) runMessageWrites(bumped, reappeared []int64, updates map[messageWrite][]int64, vanished map[mail.ModSeq][]int64) error {
	if bumped != nil {
		if err := t.c.later(updateMessageModSeq, t.id, t.n, ints(bumped)); err != nil {
			return err
		}
	}
	for w, keys := range updates {
		if err := t.c.later(updateMessage, t.id, w.created, w.modseq, w.visible, w.placements, w.left, ints(keys)); err != nil {
			return err
		}
	}
	for created, keys := range vanished {
		if err := t.c.later(vanish, t.id, mail.TypeEmail, t.n, created, hidden, ints(keys)); err != nil {
			return err
		}
	}
	if reappeared == nil {
		return nil
	}
	err := t.c.later(reappear, t.id, mail.TypeEmail, t.n, ints(reappeared))
	return err
}

// sortPlaces sorts by id: of keywords that differ in spelling, the oldest
// placement's is shown.
func sortPlaces(ps []place) {
	slices.SortFunc(ps, func(a, b place) int { return cmp.Compare(a.id, b.id) })
}
