package model

import (
	"cmp"
	"slices"

	"lockstep/internal/mail"
)

// email is a message as JMAP shows it; nil is hidden or not there.
type email struct {
	mailboxes []mail.MailboxID
	keywords  mail.Flags
}

// email puts the view of a message together from its placements: those with
// \Deleted are hidden, \Seen is all of the visible ones, any other flag one.
func (s *state) email(key mail.MessageKey) *email {
	var v *email
	seen := mail.Seen
	for _, p := range s.where.get(int64(key)) {
		if p.Flags.Has(mail.Deleted) {
			continue
		}
		if v == nil {
			v = &email{}
		}
		if !slices.Contains(v.mailboxes, p.Mailbox) {
			v.mailboxes = append(v.mailboxes, p.Mailbox)
		}
		v.keywords = v.keywords.Union(p.Flags)
		seen &= p.Flags.System
	}
	if v != nil {
		slices.Sort(v.mailboxes)
		v.keywords.System = v.keywords.System&^mail.Seen | seen
	}
	return v
}

func (v *email) equal(w *email) bool {
	if v == nil || w == nil {
		return v == w
	}
	return v.keywords == w.keywords && slices.Equal(v.mailboxes, w.mailboxes)
}

// unread is RFC 8621 §2: neither read nor a draft.
func (v *email) unread() bool { return v.keywords.System&(mail.Seen|mail.Draft) == 0 }

// thread returns the visible messages of a thread, oldest first.
func (s *state) thread(id mail.ThreadID) []mail.MessageKey {
	var keys []mail.MessageKey
	for _, k := range s.members.get(int64(id)) {
		if s.email(k) != nil {
			keys = append(keys, k)
		}
	}
	slices.SortFunc(keys, func(a, b mail.MessageKey) int {
		return cmp.Or(s.messages.get(int64(a)).InternalDate.Compare(s.messages.get(int64(b)).InternalDate), cmp.Compare(a, b))
	})
	return keys
}

func (s *state) threadUnread(id mail.ThreadID) bool {
	return slices.ContainsFunc(s.members.get(int64(id)), func(k mail.MessageKey) bool {
		v := s.email(k)
		return v != nil && v.unread()
	})
}

// counts counts a mailbox from its placements.
func (s *state) counts(b *box) mail.Counts {
	var c mail.Counts
	emails := map[mail.MessageKey]bool{}
	threads := map[mail.ThreadID]bool{}
	for _, p := range b.list {
		c.Placements++
		c.Size += p.Size
		if !p.Flags.Has(mail.Seen) {
			c.Unseen++
		}
		if p.Flags.Has(mail.Deleted) {
			c.Deleted++
			continue
		}
		if emails[p.Message] {
			continue
		}
		emails[p.Message] = true
		c.Emails++
		if s.email(p.Message).unread() {
			c.UnreadEmails++
		}
		if t := s.messages.get(int64(p.Message)).Thread; !threads[t] {
			threads[t] = true
			c.Threads++
			if s.threadUnread(t) {
				c.UnreadThreads++
			}
		}
	}
	return c
}

// jmapCounts are the counts that JMAP shows.
func jmapCounts(c mail.Counts) [4]int64 {
	return [4]int64{c.Emails, c.UnreadEmails, c.Threads, c.UnreadThreads}
}

// used is the size of all messages that are somewhere.
func (s *state) used() int64 {
	var n int64
	seen := map[mail.MessageKey]bool{}
	for _, b := range s.boxes {
		for _, p := range b.list {
			if !seen[p.Message] {
				seen[p.Message] = true
				n += p.Size
			}
		}
	}
	return n
}
