package imap

import (
	"errors"
	"slices"
	"strings"

	"lockstep/internal/imap/index"
	"lockstep/internal/imap/wire"
	"lockstep/internal/mail"
	"lockstep/internal/store"
)

// tellNotified writes what NOTIFY asked for, in IDLE or between commands.
func (s *session) tellNotified() error {
	n := s.notify
	if s.sel != nil && wantsMessages(n.selected) {
		expunges := n.selected.Filter.Kind == wire.FilterSelected || s.idling.Load()
		flags := n.selected.Events&(wire.FlagChange|wire.AnnotationChange) != 0
		if err := s.tellSome(0, expunges, flags); err != nil {
			return err
		}
	}
	if n.wants(wire.MailboxMetadataChange | wire.ServerMetadataChange) {
		if err := s.tellMetadata(); err != nil {
			return err
		}
	}
	return s.tellOthers()
}

// tellNew fetches what NOTIFY wants to know of new messages (RFC 5465 §5.2), but for
// those that this session made itself.
func (s *session) tellNew(added []index.Entry) error {
	n := s.notify
	if n == nil || !wantsMessages(n.selected) || n.selected.Fetch == nil {
		return nil
	}
	var uids mail.UIDSet
	for _, e := range added {
		if !slices.Contains(n.own, ownWork{s.sel.at.account, e.ModSeq}) {
			uids.Add(e.UID)
		}
	}
	if uids.Count() > maxNotifyFetch {
		s.overflow()
		return nil
	}
	if len(uids) == 0 {
		return nil
	}
	plan := s.planFetch(&wire.Fetch{UID: s.qresync, Items: slices.Clone(n.selected.Fetch)})
	plan.seen = false // nobody has read it yet
	f := &fetcher{session: s, sel: s.sel, plan: plan, view: s.sel.view, act: s.newAct()}
	err := f.answer(s.ctx, uids)
	if err != nil && err == f.trouble { // a single message that can't be read holds up nothing
		s.words(err)
		return nil
	}
	return err
}

// overflow gives up telling, as if the client had said NOTIFY NONE (RFC 5465 §5.8).
func (s *session) overflow() {
	s.enc.Status("", "OK", "NOTIFICATIONOVERFLOW", "Too much has happened: ask for what you need")
	s.setNotifier(&notifier{s: s})
}

// told is what is to be said of mailboxes, and what the client then knows. It is
// gathered in a View.
type told struct {
	names
	tree     *tree // nil if no name changed
	at       mail.Position
	lists    []listed
	statuses []newStatus
	full     bool // there are more mailboxes than can be followed
}

// newStatus is a mailbox that changed.
type newStatus struct {
	known *knownMailbox
	is    mail.Mailbox
	items []statusValue // to be said; nil if the session itself changed it
}

// listed is a name that is said by LIST.
type listed struct{ path, old string }

type statusValue struct {
	item  wire.StatusItem
	value uint64
}

// tellOthers tells of mailboxes that are not selected, and of names.
func (s *session) tellOthers() error {
	n := s.notify
	if n == nil {
		return nil
	}
	for round := 0; ; round++ {
		p := n.take()
		if p.isNone() {
			break
		}
		if round == maxNotifyRounds { // the command is not to wait for a quiet moment
			n.putBack(p)
			s.Wake()
			break
		}
		var out *told
		err := s.view(s.ctx, func(r store.Reader) (err error) {
			out, err = n.gather(r, p)
			return err
		})
		if err != nil {
			n.putBack(p)
			return errors.Join(errBlind, err)
		}
		if out.full {
			s.overflow()
			return s.enc.Err()
		}
		s.sayTold(out)
	}
	n.own, n.dropped, n.quiet = nil, nil, nil
	return s.enc.Err()
}

// putBack makes pending again what could not be told.
func (n *notifier) putBack(p pending) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.pending.names, n.pending.many = true, n.pending.many || p.many || len(p.touched) > 0
}

// sayTold writes what was gathered, and takes it as known.
func (s *session) sayTold(out *told) {
	n := s.notify
	for _, l := range out.lists {
		s.sayName(out.tree.node(l.path), l.old)
	}
	for _, c := range out.statuses {
		if c.items != nil {
			s.sayNotifyStatus(c.known.path, c.items)
		}
		c.known.become(c.is)
	}
	if n.names, n.at = out.names, out.at; out.tree != nil {
		n.follow(out.at.Since)
	}
}

// gather finds out what is to be said.
func (n *notifier) gather(r store.Reader, p pending) (*told, error) {
	a, err := r.Account()
	if err != nil {
		return nil, err
	}
	out := &told{names: n.names, at: a.Epoch.At(a.Head)}
	if p.names {
		if err := n.gatherNames(r, out); err != nil || out.full {
			return out, err
		}
	}
	boxes, err := changedBoxes(r, p)
	if err != nil {
		return nil, err
	}
	for _, id := range out.order {
		mb, changed := boxes[id]
		k := out.known[id]
		if !changed || k.events&wire.MessageEvents == 0 || id == n.s.selectedID() {
			continue
		}
		c := newStatus{k, mb, n.news(k, mb)}
		if len(c.items) > 0 && !k.another && n.isOwnWork(r, id) {
			c.items = nil
		}
		out.statuses = append(out.statuses, c)
	}
	return out, nil
}

// changedBoxes reads the mailboxes that may have changed.
func changedBoxes(r store.Reader, p pending) (map[mail.MailboxID]mail.Mailbox, error) {
	boxes := map[mail.MailboxID]mail.Mailbox{}
	if p.names || p.many {
		all, err := r.Mailboxes()
		for _, mb := range all {
			boxes[mb.ID] = mb
		}
		return boxes, err
	}
	for id := range p.touched {
		mb, err := r.Mailbox(id)
		if err == nil {
			boxes[id] = mb
		} else if mail.KindOf(err) != mail.NotFound { // its deletion is pending
			return nil, err
		}
	}
	return boxes, nil
}

// news is what STATUS has to say of a mailbox that changed (RFC 5465 §5.1 to §5.3).
func (n *notifier) news(k *knownMailbox, mb mail.Mailbox) []statusValue {
	var items []statusValue
	counts := mb.Counts.Placements != k.messages || mb.UIDNext != k.uidNext || k.another
	flags := k.events&(wire.FlagChange|wire.AnnotationChange) != 0 && mb.HighestModSeq != k.highest || k.another
	if counts {
		items = append(items, statusValue{wire.StatusMessages, uint64(mb.Counts.Placements)}, statusValue{wire.StatusUIDNext, uint64(mb.UIDNext)})
	}
	if n.s.condstore && (counts || flags) {
		items = append(items, statusValue{wire.StatusHighestModSeq, uint64(mb.HighestModSeq)})
	}
	if k.events&wire.FlagChange != 0 && flags && mb.Counts.Unseen != k.unseen {
		items = append(items, statusValue{wire.StatusUnseen, uint64(mb.Counts.Unseen)})
	}
	if flags && len(items) > 0 {
		items = append(items, statusValue{wire.StatusUIDValidity, uint64(mb.UIDValidity)})
	}
	return items
}

// isOwnWork reports whether this session alone changed a mailbox, which it need not
// be told. Where that takes long to find out, it is told.
func (n *notifier) isOwnWork(r store.Reader, id mail.MailboxID) bool {
	if len(n.own) == 0 {
		return false
	}
	page, err := r.Changes(store.ChangeQuery{Type: mail.TypePlacement, Mailbox: id, From: n.at, Limit: maxNotifyOwn})
	if err != nil || page.More {
		return false
	}
	return !slices.ContainsFunc(page.Changes, func(c mail.Change) bool { return !n.isOwn(c.ModSeq) })
}

// gatherNames compares the tree with what the client knows of it.
func (n *notifier) gatherNames(r store.Reader, out *told) error {
	t, err := readTree(r, reach{account: n.s.user.Account()})
	if err != nil {
		return err
	}
	if len(t.nodes) > n.s.srv.limits.Notified {
		out.full = true
		return nil
	}
	out.tree = t
	g := &nameChanges{n: n, t: t, out: out, said: map[string]bool{}}
	g.renamed()
	g.created()
	g.deleted()
	g.subscribed()
	out.names = n.namesOf(t)
	return nil
}

// nameChanges finds what became of the names.
type nameChanges struct {
	n    *notifier
	t    *tree
	out  *told
	said map[string]bool
}

// say lists a name if the event is wanted of it, once.
func (g *nameChanges) say(path string, event wire.EventSet) {
	subscribed := g.n.subs[path] || g.t.by[path] != nil && g.t.by[path].subscribed
	if path == "" || strings.HasPrefix(path, othersPrefix) || g.said[path] || g.n.eventsOf(path, subscribed)&event == 0 {
		return
	}
	g.said[path] = true
	g.out.lists = append(g.out.lists, listed{path: path})
}

// renamed finds mailboxes that have another name or lie elsewhere; what lies below
// one follows without a word.
func (g *nameChanges) renamed() {
	for _, node := range g.t.nodes {
		mb := node.mailbox
		if mb == nil {
			continue
		}
		k := g.n.known[mb.ID]
		if k == nil || k.path == mb.Path || k.parent == mb.Parent && lastName(k.path) == mb.Name || g.n.isOwn(mb.PropsModSeq) {
			continue
		}
		if (k.events|g.n.eventsOf(mb.Path, node.subscribed))&wire.MailboxName != 0 {
			g.said[mb.Path] = !g.t.has(k.path) // else said again, as a client may have moved it away
			g.out.lists = append(g.out.lists, listed{mb.Path, k.path})
		}
	}
	for _, id := range g.n.order { // names that went to another mailbox
		if k := g.n.known[id]; g.t.has(k.path) && g.t.by[k.path].mailbox.ID != id {
			g.say(k.path, wire.MailboxName)
		}
	}
}

func lastName(path string) string {
	return strings.TrimPrefix(path[len(parent(path)):], mail.Delimiter)
}

func (g *nameChanges) created() {
	for _, node := range g.t.nodes {
		if mb := node.mailbox; mb != nil && g.n.known[mb.ID] == nil && !g.n.isOwn(mb.Created) {
			g.say(mb.Path, wire.MailboxName)
			g.say(parent(mb.Path), wire.MailboxName)
		}
	}
}

func (g *nameChanges) deleted() {
	there := map[mail.MailboxID]bool{}
	for _, node := range g.t.nodes {
		if node.mailbox != nil {
			there[node.mailbox.ID] = true
		}
	}
	for _, id := range g.n.order {
		if !there[id] && !slices.Contains(g.n.dropped, id) {
			g.say(g.n.known[id].path, wire.MailboxName)
			g.say(parent(g.n.known[id].path), wire.MailboxName)
		}
	}
}

func (g *nameChanges) subscribed() {
	for _, node := range slices.Clone(g.t.nodes) {
		if node.subscribed != g.n.subs[node.path] && !g.n.isQuiet(node.path) {
			g.say(node.path, wire.SubscriptionChange)
		}
	}
	for path := range g.n.subs {
		if g.t.by[path] == nil && !g.n.isQuiet(path) {
			g.say(path, wire.SubscriptionChange)
		}
	}
}

// sayName writes LIST of a name as it is now (RFC 5465 §5.4, §5.5).
func (s *session) sayName(n *node, old string) {
	e := s.enc.Star().Atom("LIST").Words(n.attributes(&wire.List{Return: wire.ReturnSubscribed})...).String(mail.Delimiter).Mailbox(n.path)
	if old != "" {
		e.Open().String("OLDNAME").Open().Mailbox(old).Close().Close()
	}
	e.End()
}

func (s *session) sayNotifyStatus(path string, items []statusValue) {
	e := s.enc.Star().Atom("STATUS").Mailbox(path).Open()
	for _, i := range items {
		e.Atom(string(i.item)).Number(i.value)
	}
	e.Close().End()
}

// wantsMetadata reports whether the client is to be told of an annotation: if it
// enabled METADATA of all, else as NOTIFY says.
func (s *session) wantsMetadata(c mail.Metadata, path string) bool {
	n := s.notify
	switch {
	case s.metadata.enabled:
		return true
	case n == nil:
		return false
	case c.Mailbox == 0:
		return n.wants(wire.ServerMetadataChange)
	}
	return n.eventsOf(path, n.subs[path])&wire.MailboxMetadataChange != 0
}
