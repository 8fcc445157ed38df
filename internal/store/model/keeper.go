package model

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"lockstep/internal/mail"
	"lockstep/internal/store"
)

// Prune forgets history older than the moment.
func (st *Store) Prune(ctx context.Context, id mail.AccountID, olderThan time.Time) error {
	done, err := st.fenced(ctx)
	defer done()
	if err != nil {
		return err
	}
	a, err := st.account(ctx, id)
	if err != nil {
		return err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	s := a.current.Load().clone()
	for len(s.journal) > 0 && s.journal[0].Time.Before(olderThan) && !s.isPinned(s.journal[0].ModSeq) {
		s.account.Horizon = s.journal[0].ModSeq
		if at := s.journal[0].Time; at.After(s.account.HorizonAt) {
			s.account.HorizonAt = at
		}
		s.journal = s.journal[1:]
	}
	s.forget(s.account.Horizon, st.Now())
	a.current.Store(s)
	return nil
}

// isPinned says whether a flood that nobody decided about needs the record.
func (s *state) isPinned(n mail.ModSeq) bool {
	for _, f := range s.floods {
		if n >= f.First {
			return true
		}
	}
	return false
}

// forget drops what nobody can ask for any more.
func (s *state) forget(horizon mail.ModSeq, now time.Time) {
	kept := map[mail.MessageKey]bool{}
	s.forgetOwn(horizon)
	s.notes = maps.Clone(s.notes)
	maps.DeleteFunc(s.notes, func(k noteKey, a mail.Annotation) bool {
		d, left := s.departed(k.mailbox, k.uid)
		return left && d.at <= horizon || a.Value == nil && a.ModSeq <= horizon
	})
	for mb, ds := range s.left {
		ds = slices.DeleteFunc(slices.Clone(ds), func(d departed) bool { return d.at <= horizon })
		s.left[mb] = ds
		for _, d := range ds {
			kept[d.Message] = true
		}
	}
	maps.DeleteFunc(s.fallen, func(_ mail.MailboxID, f fallen) bool { return f.at <= horizon })
	maps.DeleteFunc(s.metadata, func(a annotation, m mail.Metadata) bool {
		_, kept := s.fallen[a.mailbox]
		return m.ModSeq <= horizon && (m.Value == nil || a.mailbox != 0 && s.boxes[a.mailbox] == nil && !kept)
	})
	for key, m := range s.messages.all {
		if m != nil && len(s.where.get(key)) == 0 && !kept[mail.MessageKey(key)] {
			s.messages.set(key, nil)
			if s.erased[mail.MessageKey(key)] {
				s.erased = maps.Clone(s.erased)
				delete(s.erased, mail.MessageKey(key))
			}
			s.members.set(int64(m.Thread), without(s.members.get(int64(m.Thread)), m.Key))
		}
	}
	for id, l := range s.lives.all {
		if l != nil && !l.alive(horizon) && l.last(0, horizon).at != 0 && l.last(horizon, s.account.Head).at == 0 {
			s.lives.set(id, nil)
		}
	}
	s.once = maps.Clone(s.once)
	maps.DeleteFunc(s.once, func(_ string, m memory) bool { return !now.Before(m.until) })
	s.forgetUploads(now)
}

func without(keys []mail.MessageKey, key mail.MessageKey) []mail.MessageKey {
	return slices.DeleteFunc(slices.Clone(keys), func(k mail.MessageKey) bool { return k == key })
}

// Reparsed replaces what was derived from the bytes of messages.
func (st *Store) Reparsed(ctx context.Context, id mail.AccountID, all []store.Derived) error {
	done, err := st.fenced(ctx)
	defer done()
	if err != nil {
		return err
	}
	a, err := st.account(ctx, id)
	if err != nil {
		return err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	s := a.current.Load().clone()
	for _, d := range all {
		old := s.messages.get(int64(d.Message))
		if old == nil {
			continue
		}
		m := *old
		m.SentAt, m.MessageID, m.Parsed, m.Preview = d.SentAt, d.MessageID, slices.Clone(d.Parsed), d.Preview
		s.messages.set(int64(d.Message), &m)
	}
	s.account.Reparsed++
	a.current.Store(s)
	return nil
}

// Check recounts everything derived. There is nothing to repair: what differs is
// a fault of this package.
func (st *Store) Check(ctx context.Context, id mail.AccountID, _ bool) ([]string, error) {
	a, err := st.account(ctx, id)
	if err != nil {
		return nil, err
	}
	s := a.current.Load()
	var wrong []string
	for _, b := range s.boxes {
		if c := s.counts(b); c != b.Counts {
			wrong = append(wrong, fmt.Sprintf("mailbox %s counts %+v, holds %+v", s.path(b.ID), b.Counts, c))
		}
		for i, p := range b.list {
			if i > 0 && b.list[i-1].UID >= p.UID || p.UID >= b.UIDNext || p.ModSeq > b.HighestModSeq || b.HighestModSeq > s.account.Head {
				wrong = append(wrong, fmt.Sprintf("mailbox %s, UID %d: numbers out of order", s.path(b.ID), p.UID))
			}
			if !slices.Contains(s.where.get(int64(p.Message)), p) {
				wrong = append(wrong, fmt.Sprintf("mailbox %s, UID %d: its message does not know", s.path(b.ID), p.UID))
			}
		}
	}
	if used := s.used(); used != s.account.Used {
		wrong = append(wrong, fmt.Sprintf("account uses %d bytes, says %d", used, s.account.Used))
	}
	return wrong, nil
}
