package imap

import (
	"context"
	"fmt"
	"strings"

	"lockstep/internal/imap/wire"
	"lockstep/internal/mail"
	"lockstep/internal/store"
)

// supportedEvents are those that happen on this server.
const supportedEvents = wire.MessageNew | wire.MessageExpunge | wire.FlagChange | wire.AnnotationChange | wire.MailboxName | wire.SubscriptionChange |
	wire.MailboxMetadataChange | wire.ServerMetadataChange

// notifyCommand serves NOTIFY (RFC 5465 §3.1). It replaces what was asked for
// before, and like NOOP tells what has happened to the selected mailbox so far.
func (s *session) notifyCommand(ctx context.Context, cmd *wire.Notify, r *reply) error {
	if err := s.mayNotify(cmd); err != nil {
		return err
	}
	n, err := s.newNotifier(ctx, cmd.Groups)
	if err != nil {
		return err
	}
	if n.wants(wire.MailboxMetadataChange | wire.ServerMetadataChange) {
		if err := s.watchMetadata(); err != nil {
			n.close()
			return err
		}
	}
	s.setNotifier(n)
	if g := n.selected; g != nil && hasModSeq(g.Fetch) {
		s.condstore = true // RFC 7162 §3.1
	}
	if cmd.Status {
		s.sayAllStatus()
	}
	return s.lookForChanges(ctx)
}

// mayNotify refuses what can't be told.
func (s *session) mayNotify(cmd *wire.Notify) error {
	names := 0
	for _, g := range cmd.Groups {
		if g.Unknown != nil || g.Events&^supportedEvents != 0 {
			return errNo("BADEVENT ("+strings.Join(supportedEvents.Names(), " ")+")", "There are no such events here")
		}
		if len(g.Fetch) > maxSections {
			return errNo("LIMIT", fmt.Sprintf("A FETCH may name at most %d pieces of a message", maxSections))
		}
		names += len(g.Filter.Mailboxes)
	}
	if len(cmd.Groups)+names > maxNotifyNames {
		return errOverflow
	}
	return nil
}

var errOverflow = errNo("NOTIFICATIONOVERFLOW", "That is too much to follow")

func hasModSeq(items []wire.FetchItem) bool {
	p := fetchPlan{items: items}
	return p.has(wire.FetchModSeq)
}

// newNotifier begins to listen, and then reads what the client is taken to know.
func (s *session) newNotifier(ctx context.Context, groups []wire.EventGroup) (*notifier, error) {
	n := &notifier{s: s}
	for i, g := range groups {
		if g.Filter.Kind.IsSelected() {
			n.selected = &groups[i]
			continue
		}
		for j, name := range g.Filter.Mailboxes {
			g.Filter.Mailboxes[j] = canonicalInbox(name)
		}
		n.others = append(n.others, g)
	}
	if len(n.others) == 0 {
		return n, nil
	}
	n.skip = s.selectedID()
	n.stop = s.srv.Store.Watch(s.user.Account(), n.heard)
	err := s.view(ctx, func(r store.Reader) error {
		t, a, err := readNames(r, reach{account: s.user.Account()})
		if err != nil {
			return err
		}
		if len(t.nodes) > s.srv.limits.Notified {
			return errOverflow
		}
		n.names, n.at = n.namesOf(t), a.Epoch.At(a.Head)
		n.follow(a.Head)
		return nil
	})
	if err != nil {
		n.close()
		return nil, err
	}
	return n, nil
}

// canonicalInbox spells the first name of a path as the inbox is spelled.
func canonicalInbox(path string) string {
	first, rest, below := strings.Cut(path, mail.Delimiter)
	switch {
	case !strings.EqualFold(first, "INBOX"):
		return path
	case below:
		return "INBOX" + mail.Delimiter + rest
	}
	return "INBOX"
}

// selectedID is the selected mailbox, 0 if it is none of the session's own account.
func (s *session) selectedID() mail.MailboxID {
	if s.sel == nil || s.sel.at.as != 0 {
		return 0
	}
	return s.sel.id
}

// setNotifier makes n what decides which changes the client hears of.
func (s *session) setNotifier(n *notifier) {
	if s.notify != nil {
		s.notify.close()
	}
	s.notify = n
	s.alert.Store(alertNever)
	if wantsMessages(n.selected) || len(n.others) > 0 {
		s.alert.Store(alertAlways)
	}
	s.listen()
}

// leaveNotify ends it with the session.
func (s *session) leaveNotify() {
	if s.notify != nil {
		s.notify.close()
	}
}

// When a session is to be woken by changes.
const (
	alertIdle   int32 = iota // in IDLE, as long as there was no NOTIFY
	alertAlways              // also between commands
	alertNever
)

// listen lets the selected mailbox wake the session, or not.
func (s *session) listen() {
	if s.sel == nil {
		return
	}
	wanted := s.idling.Load()
	if s.notify != nil {
		wanted = wantsMessages(s.notify.selected)
	}
	if wanted {
		s.sel.box.Wake(s)
	} else {
		s.sel.box.Sleep(s)
	}
}

// sayAllStatus tells where the mailboxes stand that the client wants to follow
// (RFC 5465 §3.1).
func (s *session) sayAllStatus() {
	n := s.notify
	for _, id := range n.order {
		k := n.known[id]
		if k.events&wire.MessageEvents == 0 || id == s.selectedID() {
			continue
		}
		e := s.enc.Star().Atom("STATUS").Mailbox(k.path).Open()
		e.Atom("MESSAGES").Number(uint64(k.messages)).Atom("UIDNEXT").Number(uint64(k.uidNext)).Atom("UIDVALIDITY").Number(uint64(k.uidValidity))
		if k.events&(wire.FlagChange|wire.AnnotationChange) != 0 {
			e.Atom("HIGHESTMODSEQ").Number(uint64(k.highest))
		}
		e.Close().End()
	}
}
