package model

import (
	"cmp"
	"slices"

	"lockstep/internal/mail"
	"lockstep/internal/store"
)

// Emails calls fn with each visible message, by key.
func (r reader) Emails(fn func(*mail.Email) error) error {
	s := r.state()
	for key, m := range s.messages.all {
		if m == nil || s.email(mail.MessageKey(key)) == nil {
			continue
		}
		e := s.listed(m)
		for _, p := range s.where.get(key) {
			if !p.Flags.Has(mail.Deleted) {
				e.Places = append(e.Places, mail.Place{Mailbox: p.Mailbox, UID: p.UID, Flags: p.Flags})
			}
		}
		slices.SortFunc(e.Places, func(a, b mail.Place) int { return cmp.Or(cmp.Compare(a.Mailbox, b.Mailbox), cmp.Compare(a.UID, b.UID)) })
		if err := fn(&e); err != nil {
			return err
		}
	}
	return nil
}

func (s *state) listed(m *mail.Message) mail.Email {
	return mail.Email{Key: m.Key, EmailID: m.EmailID, Thread: m.Thread, Size: m.Size, InternalDate: m.InternalDate, SentAt: m.SentAt, Created: m.Created, ModSeq: m.ModSeq}
}

// newestFirst returns the visible messages in the order of their dates.
func (r reader) newestFirst() []mail.Email {
	var all []mail.Email
	_ = r.Emails(func(e *mail.Email) error { e.Places = nil; all = append(all, *e); return nil })
	slices.SortFunc(all, func(a, b mail.Email) int { return b.Arrived().Compare(a.Arrived()) })
	return all
}

// EmailsByDate sorts them all.
func (r reader) EmailsByDate(q store.EmailDateQuery) ([]mail.Email, error) {
	if q.Limit < 1 || q.Skip < 0 {
		return nil, mail.Errorf(mail.Invalid, "a page holds at least one message")
	}
	all := slices.DeleteFunc(r.newestFirst(), func(e mail.Email) bool {
		return e.InternalDate.Before(q.Since) || !q.Before.IsZero() && e.Arrived().Compare(q.Before) >= 0
	})
	all = all[min(q.Skip, len(all)):]
	return all[:min(q.Limit, len(all))], nil
}

// EmailsOf returns those of the messages that are visible.
func (r reader) EmailsOf(keys []mail.MessageKey) ([]mail.Email, error) {
	var found []mail.Email
	err := r.Emails(func(e *mail.Email) error {
		if slices.Contains(keys, e.Key) {
			e.Places = nil
			found = append(found, *e)
		}
		return nil
	})
	return found, err
}

// EmailsBefore counts them.
func (r reader) EmailsBefore(place mail.Arrived) (n int64, err error) {
	for _, e := range r.newestFirst() {
		if e.Arrived().Compare(place) > 0 {
			n++
		}
	}
	return n, nil
}

// visible counts the messages and threads that are shown.
func (s *state) visible() (emails, threads int64) {
	shown, talks := map[mail.MessageKey]bool{}, map[mail.ThreadID]bool{}
	for _, b := range s.boxes {
		for _, p := range b.list {
			if !p.Flags.Has(mail.Deleted) {
				shown[p.Message] = true
				talks[s.messages.get(int64(p.Message)).Thread] = true
			}
		}
	}
	return int64(len(shown)), int64(len(talks))
}
