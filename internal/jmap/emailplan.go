package jmap

import (
	"cmp"
	"maps"
	"slices"

	"lockstep/internal/mail"
	"lockstep/internal/store"
)

// settingEmail is an email that is to be changed or destroyed.
type settingEmail struct {
	message mail.Message
	visible []mail.Placement
	verb    settingVerb
	said    string // how the client calls it
	more    object // what is otherwise than the client said
}

type settingVerb int

const (
	updates settingVerb = iota
	destroys
)

// flags are those of the visible placements.
func (e *settingEmail) flags() (all []mail.Flags) {
	for _, p := range e.visible {
		all = append(all, p.Flags)
	}
	return all
}

// in are the mailboxes that the email is in.
func (e *settingEmail) in() map[mail.MailboxID]bool {
	all := map[mail.MailboxID]bool{}
	for _, p := range e.visible {
		all[p.Mailbox] = true
	}
	return all
}

// plan notes what becomes of the placements of an email. A mailbox that it leaves and
// one that it comes to are a move, so that IMAP and phones see one; what is left over
// is expunged, or copied.
func (t *emailChanging) plan(e *settingEmail, change emailChange) error {
	was := e.in()
	is := change.mailboxes.on(was)
	switch {
	case len(is) == 0:
		return inNoMailbox()
	case len(is) > maxMailboxesPerEmail && len(is) > len(was):
		return tooManyMailboxes()
	}
	leaves, comes := without(was, is), without(is, was)
	becomes, wrong := reflagged(e, change.keywords, leaves[min(len(leaves), len(comes)):])
	if wrong != nil {
		return wrong
	}
	t.emails = append(t.emails, e)
	source := stays(e.visible, leaves)
	for i, to := range comes {
		if i >= len(leaves) {
			t.copy(e, source, to)
		}
	}
	for i, p := range e.visible {
		at := slices.Index(leaves, p.Mailbox)
		if at >= len(comes) {
			t.expunge(e, p)
			continue
		}
		t.reflag(e, p, becomes[i])
		if at >= 0 {
			t.move(e, p, comes[at])
		}
	}
	return nil
}

// without is what is in a and not in b, in order.
func without(a, b map[mail.MailboxID]bool) (out []mail.MailboxID) {
	for _, id := range slices.Sorted(maps.Keys(a)) {
		if !b[id] {
			out = append(out, id)
		}
	}
	return out
}

// stays is a placement to copy from: one that stays if there is one.
func stays(all []mail.Placement, leaves []mail.MailboxID) mail.Placement {
	i := slices.IndexFunc(all, func(p mail.Placement) bool { return !slices.Contains(leaves, p.Mailbox) })
	return all[max(i, 0)]
}

// reflagged is what the flags of each visible placement become. The keywords of an
// email don't change because a mailbox is left whose placement alone had one, or alone
// was not \Seen: the others get it.
func reflagged(e *settingEmail, patch flagPatch, expunged []mail.MailboxID) ([]mail.Flags, *setError) {
	flags := e.flags()
	change := patch.on(shownFlags(flags))
	for i, f := range flags {
		flags[i] = change.Apply(f)
	}
	whole := shownFlags(flags)
	var left []mail.Flags
	for i, p := range e.visible {
		if !slices.Contains(expunged, p.Mailbox) {
			left = append(left, flags[i])
		}
	}
	rest := shownFlags(left)
	keep := mail.FlagChange{Add: whole.Minus(rest), Remove: rest.Minus(whole)}
	for i, f := range flags {
		flags[i] = keep.Apply(f)
		was := e.visible[i].Flags
		if flags[i].KeywordText() != was.KeywordText() && len(flags[i].Keywords()) > mail.MaxKeywords {
			return nil, tooManyKeywords()
		}
	}
	return flags, nil
}

// batch collects what is to be done, so that each verb is called once for all emails
// that it is the same for.
type batch struct {
	tx       store.Tx
	emails   []*settingEmail
	flags    map[flagging]*emailGroup
	copies   map[transfer]*emailGroup
	moves    map[transfer]*emailGroup
	expunges map[mail.MailboxID]*emailGroup
	refused  map[string]*setError // emails for which a verb was refused
	changed  bool
}

func newBatch(tx store.Tx) *batch {
	return &batch{tx: tx, flags: map[flagging]*emailGroup{}, copies: map[transfer]*emailGroup{}, moves: map[transfer]*emailGroup{}, expunges: map[mail.MailboxID]*emailGroup{},
		refused: map[string]*setError{}}
}

// flagging is a change of flags in a mailbox.
type flagging struct {
	mailbox mail.MailboxID
	change  mail.FlagChange
}

// transfer is from where to where.
type transfer struct{ from, to mail.MailboxID }

// emailGroup are placements of one mailbox, and the emails they are of.
type emailGroup struct {
	uids   []mail.UID
	emails []string
}

func into[K comparable](m map[K]*emailGroup, k K, e *settingEmail, p mail.Placement) {
	g := m[k]
	if g == nil {
		g = new(emailGroup)
		m[k] = g
	}
	g.uids, g.emails = append(g.uids, p.UID), append(g.emails, e.said)
}

func (b *batch) reflag(e *settingEmail, p mail.Placement, to mail.Flags) {
	if to != p.Flags {
		into(b.flags, flagging{p.Mailbox, mail.FlagChange{Add: to.Minus(p.Flags), Remove: p.Flags.Minus(to)}}, e, p)
	}
}

func (b *batch) copy(e *settingEmail, p mail.Placement, to mail.MailboxID) {
	into(b.copies, transfer{p.Mailbox, to}, e, p)
}

func (b *batch) move(e *settingEmail, p mail.Placement, to mail.MailboxID) {
	into(b.moves, transfer{p.Mailbox, to}, e, p)
}

func (b *batch) expunge(e *settingEmail, p mail.Placement) { into(b.expunges, p.Mailbox, e, p) }

// run does all that was noted, what removes last. What was refused before anything was
// done leaves the rest as it is; else it is errPartly.
func (b *batch) run() error {
	for _, f := range inOrder(b.flags, compareFlaggings) {
		if err := b.did(b.flags[f], func(set mail.UIDSet) error {
			_, err := b.tx.StoreFlags(f.mailbox, set, f.change, nil)
			return err
		}); err != nil {
			return err
		}
	}
	for _, r := range inOrder(b.copies, compareTransfers) {
		if err := b.did(b.copies[r], func(set mail.UIDSet) error { _, err := b.tx.Copy(r.from, set, r.to); return err }); err != nil {
			return err
		}
	}
	for _, r := range inOrder(b.moves, compareTransfers) {
		if err := b.did(b.moves[r], func(set mail.UIDSet) error { _, err := b.tx.Move(r.from, set, r.to); return err }); err != nil {
			return err
		}
	}
	for _, mb := range slices.Sorted(maps.Keys(b.expunges)) {
		if err := b.did(b.expunges[mb], func(set mail.UIDSet) error { _, err := b.tx.Expunge(mb, set, false); return err }); err != nil {
			return err
		}
	}
	if len(b.refused) > 0 && b.changed {
		return errPartly
	}
	return nil
}

// did calls a verb for a group. What the account's guard holds back is forbidden to
// all of it.
func (b *batch) did(g *emailGroup, verb func(mail.UIDSet) error) error {
	err := verb(mail.MakeUIDSet(g.uids...))
	switch mail.KindOf(err) {
	case mail.Internal, mail.Corrupt:
		if err != nil {
			return err
		}
		b.changed = true
	case mail.Limit:
		b.refuse(g, &setError{Type: "forbidden", Description: mail.DetailOf(err)})
	default:
		b.refuse(g, &setError{Type: setKinds[mail.KindOf(err)], Description: mail.DetailOf(err)})
	}
	return nil
}

func (b *batch) refuse(g *emailGroup, why *setError) {
	for _, said := range g.emails {
		b.refused[said] = why
	}
}

// inOrder are the keys in an order that is the same each time.
func inOrder[K comparable](m map[K]*emailGroup, compare func(a, b K) int) []K {
	return slices.SortedFunc(maps.Keys(m), compare)
}

func compareTransfers(a, b transfer) int {
	return cmp.Or(cmp.Compare(a.from, b.from), cmp.Compare(a.to, b.to))
}

func compareFlaggings(a, b flagging) int {
	return cmp.Or(cmp.Compare(a.mailbox, b.mailbox), cmp.Compare(a.change.Add.String(), b.change.Add.String()), cmp.Compare(a.change.Remove.String(), b.change.Remove.String()))
}
