package model

import (
	"cmp"
	"maps"
	"slices"
	"strings"
	"time"

	"lockstep/internal/mail"
	"lockstep/internal/store"
)

// reader is one snapshot. In a transaction state settles what is derived first,
// so that it sees its own changes; raw has the placements only.
type reader struct {
	state, raw func() *state
	clock      func() time.Time
	guard      mail.GuardRule
}

func (r reader) Account() (mail.Account, error) {
	a := r.state().account
	a.Last = maps.Clone(a.Last)
	return a, nil
}

func (r reader) Mailboxes() ([]mail.Mailbox, error) {
	s := r.state()
	var all []mail.Mailbox
	for _, b := range s.boxes {
		all = append(all, s.shown(b))
	}
	slices.SortFunc(all, func(a, b mail.Mailbox) int {
		if d := cmp.Compare(first(b), first(a)); d != 0 {
			return d
		}
		return cmp.Or(strings.Compare(strings.ToLower(a.Path), strings.ToLower(b.Path)), strings.Compare(a.Path, b.Path))
	})
	return all, nil
}

// first is 1 for the inbox, which comes before all others.
func first(mb mail.Mailbox) int {
	if mb.Role == mail.RoleInbox {
		return 1
	}
	return 0
}

func (s *state) shown(b *box) mail.Mailbox {
	mb := b.Mailbox
	mb.Path = s.path(b.ID)
	return mb
}

func (r reader) Mailbox(id mail.MailboxID) (mail.Mailbox, error) {
	s := r.state()
	b, err := s.box(id)
	if err != nil {
		return mail.Mailbox{}, err
	}
	return s.shown(b), nil
}

func (r reader) MailboxByPath(path string) (mail.Mailbox, error) {
	s := r.state()
	b, err := s.byPath(path)
	if err != nil {
		return mail.Mailbox{}, err
	}
	return s.shown(b), nil
}

func (r reader) Subscriptions() ([]string, error) {
	return slices.Sorted(maps.Keys(r.state().subs)), nil
}

func (r reader) Placements(q store.PlacementQuery, fn func(*mail.Placement) error) error {
	b, err := r.raw().box(q.Mailbox)
	if err != nil {
		return err
	}
	uids := q.UIDs
	if uids == nil {
		uids = mail.AllUIDs
	}
	ps := b.selected(uids)
	if q.Backwards {
		slices.Reverse(ps)
	}
	n := 0
	for _, p := range ps {
		value := r.raw().seenBy(p, q.As)
		if value.ModSeq <= q.ChangedSince {
			continue
		}
		if n++; q.Limit > 0 && n > q.Limit {
			break
		}
		if err := fn(&value); err != nil {
			return err
		}
	}
	return nil
}

func (r reader) Messages(q store.PlacementQuery, fn func(*mail.Placement, *mail.Message) error) error {
	s := r.state()
	return r.Placements(q, func(p *mail.Placement) error {
		m := *s.messages.get(int64(p.Message))
		if !q.Located {
			m.Blob = mail.Blob{Name: m.Blob.Name}
		}
		if q.Shown {
			*p = mail.Placement{UID: p.UID, Message: p.Message, SaveDate: p.SaveDate, Size: p.Size}
			m = mail.Message{Key: m.Key, Size: m.Size, Blob: m.Blob, Parsed: m.Parsed}
		}
		return fn(p, &m)
	})
}

func (r reader) Message(key mail.MessageKey) (mail.Message, error) {
	if m := r.state().messages.get(int64(key)); m != nil && !r.state().erased[key] {
		return *m, nil
	}
	return mail.Message{}, mail.Errorf(mail.NotFound, "no such message")
}

// KeptMessages calls fn with what left.
func (r reader) KeptMessages(fn func(mail.MessageKey) error) error {
	s := r.state()
	last := map[mail.MessageKey]mail.ModSeq{}
	for _, ds := range s.left {
		for _, d := range ds {
			if len(s.where.get(int64(d.Message))) == 0 && !s.erased[d.Message] {
				last[d.Message] = max(last[d.Message], d.at)
			}
		}
	}
	keys := slices.SortedFunc(maps.Keys(last), func(a, b mail.MessageKey) int {
		return cmp.Or(cmp.Compare(last[a], last[b]), cmp.Compare(a, b))
	})
	for _, key := range keys {
		if err := fn(key); err != nil {
			return err
		}
	}
	return nil
}

func (r reader) MessageByEmailID(id mail.EmailID) (mail.Message, error) {
	s := r.state()
	for key, m := range s.messages.all {
		if m != nil && m.EmailID == id && s.email(mail.MessageKey(key)) != nil {
			return *m, nil
		}
	}
	return mail.Message{}, mail.Errorf(mail.NotFound, "no such message")
}

func (r reader) EmailAt(id mail.EmailID, n mail.ModSeq) (bool, error) {
	for _, l := range r.state().lives.all {
		if l != nil && l.typ == mail.TypeEmail && l.emailID == id && l.alive(n) {
			return true, nil
		}
	}
	return false, nil
}

func (r reader) PlacementsOf(key mail.MessageKey) ([]mail.Placement, error) {
	var ps []mail.Placement
	s := r.state()
	for _, p := range s.where.get(int64(key)) {
		ps = append(ps, s.placed(p))
	}
	slices.SortFunc(ps, func(a, b mail.Placement) int {
		return cmp.Or(cmp.Compare(a.Mailbox, b.Mailbox), cmp.Compare(a.UID, b.UID))
	})
	return ps, nil
}

func (r reader) Thread(id mail.ThreadID) ([]mail.MessageKey, error) {
	if keys := r.state().thread(id); keys != nil {
		return keys, nil
	}
	return nil, mail.Errorf(mail.NotFound, "no such thread")
}

func (r reader) Vanished(mb mail.MailboxID, since mail.ModSeq) (mail.UIDSet, error) {
	s := r.state()
	if _, err := s.box(mb); err != nil {
		return nil, err
	}
	if since < s.account.Exact() {
		return nil, tooOld()
	}
	var uids []mail.UID
	for _, d := range s.left[mb] {
		if d.at > since {
			uids = append(uids, d.UID)
		}
	}
	return mail.MakeUIDSet(uids...), nil
}

func tooOld() error { return mail.Errorf(mail.TooOld, "history does not reach back that far") }

func (r reader) Departed(mb mail.MailboxID, uid mail.UID) (mail.Placement, error) {
	s := r.state()
	if d, ok := s.departed(mb, uid); ok {
		return s.placed(&d.Placement), nil
	}
	return mail.Placement{}, mail.Errorf(mail.NotFound, "no such message")
}

func (s *state) departed(mb mail.MailboxID, uid mail.UID) (departed, bool) {
	for _, d := range s.left[mb] {
		if d.UID == uid {
			return d, true
		}
	}
	return departed{}, false
}

func (r reader) Changes(q store.ChangeQuery) (mail.ChangePage, error) {
	s := r.state()
	from, head := q.From, s.account.Head
	switch {
	case q.Limit < 1:
		return mail.ChangePage{}, mail.Errorf(mail.Invalid, "a page holds at least one change")
	case from.Epoch != s.account.Epoch:
		return mail.ChangePage{}, tooOld()
	case from.Since > head || from.Target > head || from.Target != 0 && from.Target < from.Since:
		return mail.ChangePage{}, mail.Errorf(mail.Invalid, "no such position")
	case from.Since < s.account.Exact():
		return mail.ChangePage{}, tooOld()
	}
	var mb mail.MailboxID
	if q.Type == mail.TypePlacement {
		mb = q.Mailbox
		if _, err := s.box(mb); err != nil {
			return mail.ChangePage{}, err
		}
		if err := s.mayFollow(mb, q.As, from.Since); err != nil {
			return mail.ChangePage{}, err
		}
	}
	if from.Target == 0 {
		from.Target = head
	}
	page := mail.ChangePage{Next: from.Epoch.At(from.Target)}
	for _, c := range s.delta(q.Type, mb, q.As, from.Since, from.Target) {
		if !after(q.Type, c, from) {
			continue
		}
		if len(page.Changes) == q.Limit {
			page.More, page.Next = true, stoppedAt(q.Type, from, page.Changes[q.Limit-1])
			break
		}
		page.Changes = append(page.Changes, c)
		if q.Stops {
			page.Stops = append(page.Stops, stoppedAt(q.Type, from, c))
		}
	}
	return page, nil
}

func stoppedAt(t mail.Type, p mail.Position, c mail.Change) mail.Position {
	p.Phase, p.At, p.ID = c.Op, inOrder(t, c), c.ID
	return p
}

// journalLimit bounds a journal query that names no bound.
const journalLimit = 1000

func (r reader) Journal(q store.JournalQuery) ([]mail.Record, error) {
	if q.Limit <= 0 {
		q.Limit = journalLimit
	}
	var found []mail.Record
	for _, rec := range slices.Backward(r.state().journal) {
		if len(found) < q.Limit && asked(q, rec) && (q.Message == 0 || r.state().touchesMessage(q, rec)) {
			found = append(found, rec)
		}
	}
	return found, nil
}

func asked(q store.JournalQuery, rec mail.Record) bool {
	switch {
	case q.Before != 0 && rec.ModSeq >= q.Before, rec.ModSeq <= q.After,
		q.Act != 0 && rec.Act != q.Act, q.Device != 0 && rec.Device != q.Device,
		q.Protocol != "" && rec.Protocol != q.Protocol, q.Cause != "" && rec.Cause != q.Cause,
		rec.Time.Before(q.Since), !q.Until.IsZero() && !rec.Time.Before(q.Until):
		return false
	case q.Mailbox == 0 || q.Message != 0:
		return true
	}
	return slices.ContainsFunc(rec.Entries, func(e mail.Entry) bool { return touches(e, q.Mailbox, q.UID) })
}

// touchesMessage says whether a record did something to a placement of the message.
func (s *state) touchesMessage(q store.JournalQuery, rec mail.Record) bool {
	return slices.ContainsFunc(rec.Entries, func(e mail.Entry) bool {
		for _, p := range s.where.get(int64(q.Message)) {
			if (q.Mailbox == 0 || q.Mailbox == p.Mailbox) && (q.UID == 0 || q.UID == p.UID) && touches(e, p.Mailbox, p.UID) {
				return true
			}
		}
		for mb, left := range s.left {
			for _, d := range left {
				if d.Message == q.Message && (q.Mailbox == 0 || q.Mailbox == mb) && (q.UID == 0 || q.UID == d.UID) && touches(e, mb, d.UID) {
					return true
				}
			}
		}
		return false
	})
}

func touches(e mail.Entry, mb mail.MailboxID, uid mail.UID) bool {
	return e.Mailbox == mb && (uid == 0 || e.UIDs.Contains(uid) || e.Was.Contains(uid)) ||
		e.Dest == mb && (uid == 0 || e.DestUIDs.Contains(uid))
}

func (r reader) Devices() ([]mail.Device, error) {
	byID := func(a, b mail.Device) int { return cmp.Compare(a.ID, b.ID) }
	return slices.SortedFunc(maps.Values(r.state().devices), byID), nil
}

func (r reader) Device(id mail.DeviceID) (mail.Device, error) {
	if d, ok := r.state().devices[id]; ok {
		return d, nil
	}
	return mail.Device{}, mail.Errorf(mail.NotFound, "no such device")
}

func (r reader) DeviceByKey(key string) (mail.Device, error) {
	for _, d := range r.state().devices {
		if d.Key == key {
			return d, nil
		}
	}
	return mail.Device{}, mail.Errorf(mail.NotFound, "no such device")
}

func (r reader) Cursors(d mail.DeviceID, prefix string) ([]string, error) {
	var names []string
	for k := range r.state().cursors {
		if k.device == d && strings.HasPrefix(k.name, prefix) {
			names = append(names, k.name)
		}
	}
	slices.Sort(names)
	return names, nil
}

func (r reader) Cursor(d mail.DeviceID, name string) ([]byte, error) {
	if state, ok := r.state().cursors[cursorKey{d, name}]; ok {
		return slices.Clone(state), nil
	}
	return nil, mail.Errorf(mail.NotFound, "no such cursor")
}

func (r reader) Remembered(key string) (mail.Placement, error) {
	s := r.state()
	m, ok := s.once[key]
	if !ok || !r.clock().Before(m.until) {
		return mail.Placement{}, mail.Errorf(mail.NotFound, "nothing is remembered under that key")
	}
	if b := s.boxes[m.placement.Mailbox]; b != nil {
		if p := b.get(m.placement.UID); p != nil {
			return *p, nil
		}
	}
	return m.placement, nil
}
