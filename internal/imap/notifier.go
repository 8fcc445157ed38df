package imap

import (
	"slices"
	"strings"
	"sync"

	"lockstep/internal/imap/wire"
	"lockstep/internal/mail"
	"lockstep/internal/store"
)

// notifier is what a client asked for by NOTIFY, and what it knows of the mailboxes
// it follows. What is pending is noted in the path of the commit; everything else
// is used by who holds the session's mu.
type notifier struct {
	s        *session
	stop     func()           // ends hearing; nil if only the selected mailbox is followed
	selected *wire.EventGroup // nil is none
	others   []wire.EventGroup
	names                     // as the client knows them
	at       mail.Position    // up to which it does
	own      []ownWork        // what this session itself committed since
	dropped  []mail.MailboxID // mailboxes that it deleted
	quiet    []string         // paths at and below which it changed subscriptions

	mu      sync.Mutex
	watched map[mail.MailboxID]bool // of which message events are wanted
	skip    mail.MailboxID          // the selected one, which wakes by itself
	pending pending
	newest  mail.ModSeq // of any News
}

// names are the mailboxes of the account and the subscribed paths.
type names struct {
	known map[mail.MailboxID]*knownMailbox
	order []mail.MailboxID // as LIST has them
	subs  map[string]bool
}

// knownMailbox is a mailbox as the client was told of it.
type knownMailbox struct {
	path        string
	parent      mail.MailboxID
	events      wire.EventSet // that are wanted of it
	uidValidity mail.UIDValidity
	uidNext     mail.UID
	messages    int64
	unseen      int64
	highest     mail.ModSeq
	another     bool // than the one that the client knew under that name
}

// pending is what has happened since the client was told last.
type pending struct {
	names   bool
	many    bool // any mailbox may have changed
	touched map[mail.MailboxID]bool
}

func (p *pending) isNone() bool { return !p.names && !p.many && len(p.touched) == 0 }

// heard is called in the path of a commit.
func (n *notifier) heard(news mail.News) {
	n.mu.Lock()
	n.newest = max(n.newest, news.ModSeq)
	wake := n.note(news)
	n.mu.Unlock()
	if wake {
		n.s.Wake()
	}
}

// note keeps what is wanted of the news, and says whether something is.
func (n *notifier) note(news mail.News) bool {
	p := &n.pending
	wake := news.Types.Has(mail.TypeNames)
	p.names = p.names || wake
	if news.Many && len(n.watched) > 0 {
		p.many, wake = true, true
	}
	for _, id := range news.Mailboxes {
		if !n.watched[id] || id == n.skip {
			continue
		}
		if p.touched == nil {
			p.touched = map[mail.MailboxID]bool{}
		}
		p.touched[id], wake = true, true
	}
	return wake
}

// take returns what is pending and begins anew.
func (n *notifier) take() pending {
	n.mu.Lock()
	defer n.mu.Unlock()
	p := n.pending
	n.pending = pending{}
	return p
}

// follow is called when the names are known as of a snapshot: what was committed
// since may concern a mailbox nobody watched for then.
func (n *notifier) follow(head mail.ModSeq) {
	watched := map[mail.MailboxID]bool{}
	for id, k := range n.known {
		if k.events&wire.MessageEvents != 0 {
			watched[id] = true
		}
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.watched = watched
	if n.newest > head {
		n.pending.many, n.pending.names = true, true
	}
}

// setSelected notes which mailbox wakes the session by itself. The one that was
// left is looked at again, from where the client knows it.
func (n *notifier) setSelected(id mail.MailboxID) {
	if n == nil {
		return
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if left := n.skip; left != id && n.watched[left] {
		if n.pending.touched == nil {
			n.pending.touched = map[mail.MailboxID]bool{}
		}
		n.pending.touched[left] = true
	}
	n.skip = id
}

// left is setSelected with none, and takes what the client was told of the mailbox.
func (n *notifier) left(sel *selection) {
	if n == nil {
		return
	}
	if k := n.known[sel.id]; k != nil && sel.at.as == 0 {
		k.uidNext, k.messages, k.highest = sel.view.UIDNext, int64(sel.view.Len()), sel.told
	}
	n.setSelected(0)
}

func (n *notifier) close() {
	if n.stop != nil {
		n.stop()
	}
}

// wants reports whether one of the events is wanted of any mailbox but the selected
// one.
func (n *notifier) wants(events wire.EventSet) bool {
	return slices.ContainsFunc(n.others, func(g wire.EventGroup) bool { return g.Events&events != 0 })
}

// wantsMessages reports whether a group, which may be missing, wants to hear of
// messages.
func wantsMessages(g *wire.EventGroup) bool { return g != nil && g.Events&wire.MessageEvents != 0 }

// ownWork is a transaction of this session.
type ownWork struct {
	account mail.AccountID
	modseq  mail.ModSeq
}

// did notes what the session itself committed.
func (n *notifier) did(account mail.AccountID, modseq mail.ModSeq) {
	if n != nil && modseq != 0 && len(n.own) < maxNotifyOwn {
		n.own = append(n.own, ownWork{account, modseq})
	}
}

// isOwn reports whether this session made a change in its own account.
func (n *notifier) isOwn(modseq mail.ModSeq) bool {
	return slices.Contains(n.own, ownWork{n.s.user.Account(), modseq})
}

// drop notes a mailbox that the session itself deleted.
func (n *notifier) drop(id mail.MailboxID) {
	if n != nil {
		n.dropped = append(n.dropped, id)
	}
}

// hush keeps quiet about what this session did to subscriptions at and below paths.
func (n *notifier) hush(paths ...string) {
	if n != nil {
		for _, path := range paths {
			n.quiet = append(n.quiet, canonicalInbox(path))
		}
	}
}

func (n *notifier) isQuiet(path string) bool {
	return slices.ContainsFunc(n.quiet, func(top string) bool { return isAtOrBelow(path, top) })
}

func isAtOrBelow(path, top string) bool {
	rest, ok := strings.CutPrefix(path, top)
	return ok && (rest == "" || strings.HasPrefix(rest, mail.Delimiter))
}

// eventsOf is what is wanted of a mailbox by its name (RFC 5465 §6).
func (n *notifier) eventsOf(path string, subscribed bool) wire.EventSet {
	var events wire.EventSet
	for _, g := range n.others {
		if matches(g, path, subscribed) {
			events |= g.Events
		}
	}
	return events
}

func matches(g wire.EventGroup, path string, subscribed bool) bool {
	switch g.Filter.Kind {
	case wire.FilterInboxes:
		return path == "INBOX" // where mail is delivered to
	case wire.FilterPersonal:
		return true
	case wire.FilterSubscribed:
		return subscribed
	}
	return named(path, g.Filter)
}

// readNames is the tree of mailboxes, and the account's head with it.
func readNames(r store.Reader, own reach) (*tree, mail.Account, error) {
	a, err := r.Account()
	if err != nil {
		return nil, a, err
	}
	t, err := readTree(r, own)
	return t, a, err
}

// namesOf takes the tree as what the client will know. What it knows already of the
// mailboxes stays.
func (n *notifier) namesOf(t *tree) names {
	to := names{known: map[mail.MailboxID]*knownMailbox{}, subs: map[string]bool{}}
	was := map[string]mail.MailboxID{}
	for id, k := range n.known {
		was[k.path] = id
	}
	for _, node := range t.nodes {
		if node.subscribed {
			to.subs[node.path] = true
		}
		if node.mailbox == nil {
			continue
		}
		mb := node.mailbox
		k := knownMailbox{uidValidity: mb.UIDValidity, uidNext: 1, highest: mb.Created} // one that is new was empty
		if old := n.known[mb.ID]; old != nil {
			k = *old
		} else if n.known == nil {
			k.become(*mb)
		}
		k.another = k.another || was[mb.Path] != 0 && was[mb.Path] != mb.ID || k.path != "" && k.path != mb.Path && t.has(k.path)
		k.path, k.parent, k.events = mb.Path, mb.Parent, n.eventsOf(mb.Path, node.subscribed)
		to.known[mb.ID] = &k
		to.order = append(to.order, mb.ID)
	}
	return to
}

// has reports whether there is a mailbox of that name.
func (t *tree) has(path string) bool { return t.by[path] != nil && t.by[path].mailbox != nil }

// become takes what the store says as what the client knows.
func (k *knownMailbox) become(mb mail.Mailbox) {
	k.uidValidity, k.uidNext, k.messages, k.unseen, k.highest = mb.UIDValidity, mb.UIDNext, mb.Counts.Placements, mb.Counts.Unseen, mb.HighestModSeq
	k.another = false
}
