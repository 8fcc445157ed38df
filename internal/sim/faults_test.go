package sim

import (
	"context"
	"fmt"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"

	"lockstep/internal/mail"
	"lockstep/internal/store"
)

// faulty stands between the servers and the engine. Each field, if set, does one
// thing wrong.
type faultyStore struct {
	store.Store
	news  func(n mail.News, pass func(mail.News))
	read  func(store.Reader) store.Reader
	write func(store.Tx) store.Tx
	// cursor is what is kept in place of what a cursor is set to; nil keeps what was.
	cursor func(name string, state []byte) []byte
}

func (f *faultyStore) View(ctx context.Context, id mail.AccountID, fn func(store.Reader) error) error {
	return f.Store.View(ctx, id, func(r store.Reader) error {
		if f.read != nil {
			r = f.read(r)
		}
		return fn(r)
	})
}

func (f *faultyStore) Update(ctx context.Context, id mail.AccountID, by mail.Origin, fn func(store.Tx) error) (mail.ModSeq, error) {
	return f.Store.Update(ctx, id, by, func(tx store.Tx) error {
		if f.write != nil {
			tx = f.write(tx)
		}
		if f.cursor != nil {
			tx = badCursorTx{tx, f.cursor}
		}
		return fn(tx)
	})
}

func (f *faultyStore) Note(ctx context.Context, id mail.AccountID, fn func(store.Notes) error) error {
	return f.Store.Note(ctx, id, func(n store.Notes) error {
		if f.cursor != nil {
			n = badCursorNotes{n, f.cursor}
		}
		return fn(n)
	})
}

type badCursorTx struct {
	store.Tx
	change func(string, []byte) []byte
}

func (t badCursorTx) SetCursor(d mail.DeviceID, name string, state []byte) error {
	if state = t.change(name, state); state == nil {
		return nil
	}
	return t.Tx.SetCursor(d, name, state)
}

func (t badCursorTx) SwapCursor(d mail.DeviceID, name string, _, state []byte) error {
	return t.SetCursor(d, name, state)
}

type badCursorNotes struct {
	store.Notes
	change func(string, []byte) []byte
}

func (t badCursorNotes) SetCursor(d mail.DeviceID, name string, state []byte) error {
	if state = t.change(name, state); state == nil {
		return nil
	}
	return t.Notes.SetCursor(d, name, state)
}

func (t badCursorNotes) SwapCursor(d mail.DeviceID, name string, _, state []byte) error {
	return t.SetCursor(d, name, state)
}

func (f *faultyStore) Watch(id mail.AccountID, fn func(mail.News)) (stop func()) {
	if f.news == nil {
		return f.Store.Watch(id, fn)
	}
	return f.Store.Watch(id, func(n mail.News) { f.news(n, fn) })
}

// badReader and badTx stand before the engine's; a nil field passes through.
type badReader struct {
	store.Reader
	vanished   func(mail.UIDSet) mail.UIDSet
	mailboxes  func([]mail.Mailbox) []mail.Mailbox
	placements func(*store.PlacementQuery)
	message    func(*mail.Message)
	as         func(mail.PrincipalID) mail.PrincipalID
	rights     func(mail.MailboxID, []mail.Grant) []mail.Grant
	shared     func(map[mail.MailboxID]mail.Rights)
}

func (r badReader) MailboxAs(id mail.MailboxID, as mail.PrincipalID) (mail.Mailbox, error) {
	if r.as != nil {
		as = r.as(as)
	}
	return r.Reader.MailboxAs(id, as)
}

func (r badReader) Rights(mb mail.MailboxID) ([]mail.Grant, error) {
	grants, err := r.Reader.Rights(mb)
	if r.rights != nil {
		grants = r.rights(mb, grants)
	}
	return grants, err
}

func (r badReader) Shared(p mail.PrincipalID) (map[mail.MailboxID]mail.Rights, error) {
	all, err := r.Reader.Shared(p)
	if r.shared != nil {
		r.shared(all)
	}
	return all, err
}

func (r badReader) Vanished(mb mail.MailboxID, since mail.ModSeq) (mail.UIDSet, error) {
	gone, err := r.Reader.Vanished(mb, since)
	if r.vanished != nil {
		gone = r.vanished(gone)
	}
	return gone, err
}

func (r badReader) Mailboxes() ([]mail.Mailbox, error) {
	all, err := r.Reader.Mailboxes()
	if r.mailboxes != nil {
		all = r.mailboxes(all)
	}
	return all, err
}

func (r badReader) Placements(q store.PlacementQuery, fn func(*mail.Placement) error) error {
	if r.placements != nil {
		r.placements(&q)
	}
	return r.Reader.Placements(q, fn)
}

func (r badReader) Messages(q store.PlacementQuery, fn func(*mail.Placement, *mail.Message) error) error {
	return r.Reader.Messages(q, func(p *mail.Placement, m *mail.Message) error {
		if r.message != nil {
			bad := *m
			r.message(&bad)
			m = &bad
		}
		return fn(p, m)
	})
}

type badTx struct {
	store.Tx
	append  func(store.Tx, mail.MailboxID, mail.Arrival) (mail.Placement, error)
	flags   func(store.Tx, mail.MailboxID, mail.UIDSet, mail.FlagChange) (store.StoreResult, error)
	move    func(store.Tx, mail.MailboxID, mail.UIDSet, mail.MailboxID) (store.Mapping, error)
	copied  func(store.Tx, mail.MailboxID, store.Mapping)
	expunge func(store.Tx, mail.MailboxID, mail.UIDSet, bool) (mail.UIDSet, error)
}

func (t badTx) Append(mb mail.MailboxID, a mail.Arrival) (mail.Placement, error) {
	if t.append != nil {
		return t.append(t.Tx, mb, a)
	}
	return t.Tx.Append(mb, a)
}

func (t badTx) StoreFlags(mb mail.MailboxID, uids mail.UIDSet, c mail.FlagChange, since *mail.ModSeq) (store.StoreResult, error) {
	if t.flags != nil {
		return t.flags(t.Tx, mb, uids, c)
	}
	return t.Tx.StoreFlags(mb, uids, c, since)
}

func (t badTx) Copy(from mail.MailboxID, uids mail.UIDSet, to mail.MailboxID) (store.Mapping, error) {
	m, err := t.Tx.Copy(from, uids, to)
	if err == nil && t.copied != nil {
		t.copied(t.Tx, to, m)
	}
	return m, err
}

func (t badTx) Move(from mail.MailboxID, uids mail.UIDSet, to mail.MailboxID) (store.Mapping, error) {
	if t.move != nil {
		return t.move(t.Tx, from, uids, to)
	}
	return t.Tx.Move(from, uids, to)
}

func (t badTx) Expunge(mb mail.MailboxID, uids mail.UIDSet, onlyDeleted bool) (mail.UIDSet, error) {
	if t.expunge != nil {
		return t.expunge(t.Tx, mb, uids, onlyDeleted)
	}
	return t.Tx.Expunge(mb, uids, onlyDeleted)
}

// said is a fault in what IMAP servers say.
func said(change func(line string) []string) Fault {
	return Fault{Garble: func(service, line string) []string {
		if service != imapService {
			return []string{line}
		}
		return change(line)
	}}
}

func dropped(pattern string) Fault {
	re := regexp.MustCompile(pattern)
	return said(func(line string) []string {
		if re.MatchString(line) {
			return nil
		}
		return []string{line}
	})
}

func replaced(pattern string, with func(string) string) Fault {
	re := regexp.MustCompile(pattern)
	return said(func(line string) []string { return []string{re.ReplaceAllStringFunc(line, with)} })
}

func wrapped(f faultyStore) Fault {
	return Fault{Store: func(s store.Store) store.Store {
		f.Store = s
		return &f
	}}
}

func reading(r badReader) Fault {
	return wrapped(faultyStore{read: func(in store.Reader) store.Reader {
		r.Reader = in
		return r
	}})
}

func writing(t badTx) Fault {
	return wrapped(faultyStore{write: func(in store.Tx) store.Tx {
		t.Tx = in
		return t
	}})
}

// planted are the faults that the fleet has to find.
func planted() map[string]Fault {
	var count atomic.Int64
	seldom := func() bool { return count.Add(1)%3 == 0 }
	withoutFirst := func(s mail.UIDSet) (out mail.UIDSet) {
		for uid := range s.All() {
			if uid != s[0].First {
				out.Add(uid)
			}
		}
		return out
	}
	return map[string]Fault{
		"a VANISHED is not said":                      dropped(`^\* VANISHED \d`),
		"a VANISHED (EARLIER) is not said":            dropped(`^\* VANISHED \(EARLIER\)`),
		"an EXPUNGE is not said":                      dropped(`^\* \d+ EXPUNGE`),
		"an EXISTS is not said":                       dropped(`^\* [3-9] EXISTS`),
		"a mailbox is not listed":                     dropped(`(LIST|STATUS) .*Box`),
		"a flag that changed is not said":             dropped(`FETCH \(UID \d+ FLAGS .*Flagged`),
		"a flag is left out":                          replaced(` ?\\Answered`, func(string) string { return "" }),
		"an EXPUNGE is said twice":                    said(twice(`EXPUNGE$`)),
		"an EXISTS is one too many":                   replaced(`^\* 4 EXISTS`, func(string) string { return "* 5 EXISTS" }),
		"a HIGHESTMODSEQ is ahead":                    replaced(`HIGHESTMODSEQ \d+`, func(s string) string { return s + "0" }),
		"a UIDVALIDITY changes":                       said(later(`UIDVALIDITY 1\b`, "UIDVALIDITY 11", 40)),
		"a message has another's UID":                 replaced(`UID 3 `, func(string) string { return "UID 2 " }),
		"a letter arrives changed":                    replaced(`harbour`, func(string) string { return "harbor" }),
		"a mailbox counts one too many":               reading(badReader{mailboxes: oneTooMany}),
		"NOTIFY does not tell of another mailbox":     dropped(`^\* STATUS \S+ \((MESSAGES|HIGHESTMODSEQ)`),
		"NOTIFY does not tell that mail was read":     replaced(`(\* STATUS \S+ \(HIGHESTMODSEQ \d+) UNSEEN \d+`, func(s string) string { return s[:strings.LastIndex(s, " UNSEEN")] }),
		"NOTIFY does not tell of a new mailbox":       dropped(`^\* LIST \([^)]*\) "/" Box\d+$`),
		"NOTIFY does not tell that a mailbox is gone": dropped(`^\* LIST \(.*\\NonExistent`),
		"NOTIFY does not tell the new name":           replaced(` \("OLDNAME".*`, func(string) string { return "" }),
		"NOTIFY counts and does not tell the message": dropped(`^\* \d+ FETCH \(UID \d+ FLAGS \(\\Recent`),
		"a shared mailbox is not listed":              reading(badReader{shared: func(all map[mail.MailboxID]mail.Rights) { clear(all) }}),
		"a member counts as the owner does":           reading(badReader{as: func(mail.PrincipalID) mail.PrincipalID { return 0 }}),
		"a member sees what the owner has read":       reading(badReader{placements: func(q *store.PlacementQuery) { q.As = 0 }}),
		"a member reads for everybody": writing(badTx{flags: func(tx store.Tx, mb mail.MailboxID, uids mail.UIDSet, c mail.FlagChange) (store.StoreResult, error) {
			c.As = 0
			return tx.StoreFlags(mb, uids, c, nil)
		}}),
		"rights that were taken are not": reading(badReader{shared: everGiven()}),
		"a member's delta is the owner's": reading(badReader{placements: func(q *store.PlacementQuery) {
			if q.ChangedSince > 0 {
				q.As = 0
			}
		}}),
		"a message copied between accounts stays once and is told twice": writing(badTx{append: func(tx store.Tx, mb mail.MailboxID, a mail.Arrival) (mail.Placement, error) {
			if strings.HasPrefix(a.Once, "move") {
				a.Once = ""
				if _, err := tx.Append(mb, a); err != nil {
					return mail.Placement{}, err
				}
			}
			return tx.Append(mb, a)
		}}),
		"a notification is lost":              wrapped(faultyStore{news: func(n mail.News, pass func(mail.News)) { unless(seldom, func() { pass(n) }) }}),
		"the delta of what left is short":     reading(badReader{vanished: withoutFirst}),
		"the delta of flags skips one ModSeq": reading(badReader{placements: func(q *store.PlacementQuery) { q.ChangedSince += min(q.ChangedSince, 1) }}),
		"a letter's bytes are another's":      reading(badReader{message: swapped()}),
		"a change is acknowledged, not made": writing(badTx{flags: func(tx store.Tx, mb mail.MailboxID, uids mail.UIDSet, c mail.FlagChange) (store.StoreResult, error) {
			return store.StoreResult{Same: uids}, nil
		}}),
		"removing a flag removes all": writing(badTx{flags: func(tx store.Tx, mb mail.MailboxID, uids mail.UIDSet, c mail.FlagChange) (store.StoreResult, error) {
			if !c.Remove.IsEmpty() {
				c.Remove, _ = mail.NewFlags(`\Seen`, `\Flagged`, `\Answered`, "work", "later", "$Forwarded")
			}
			return tx.StoreFlags(mb, uids, c, nil)
		}}),
		"a flag is set on the neighbour too": writing(badTx{flags: func(tx store.Tx, mb mail.MailboxID, uids mail.UIDSet, c mail.FlagChange) (store.StoreResult, error) {
			uids.Add(uids[len(uids)-1].Last + 1)
			return tx.StoreFlags(mb, uids, c, nil)
		}}),
		"a move is cut half way": writing(badTx{move: func(tx store.Tx, from mail.MailboxID, uids mail.UIDSet, to mail.MailboxID) (store.Mapping, error) {
			return tx.Copy(from, uids, to)
		}}),
		"a copy loses its flags": writing(badTx{copied: func(tx store.Tx, to mail.MailboxID, m store.Mapping) {
			tx.StoreFlags(to, m.To, mail.FlagChange{Replace: true}, nil)
		}}),
		"an arrival comes twice": writing(badTx{append: func(tx store.Tx, mb mail.MailboxID, a mail.Arrival) (mail.Placement, error) {
			p, err := tx.Append(mb, a)
			a.Once = ""
			if err == nil {
				_, err = tx.Append(mb, a)
			}
			return p, err
		}}),
		"a repeated arrival is not recognised": writing(badTx{append: func(tx store.Tx, mb mail.MailboxID, a mail.Arrival) (mail.Placement, error) {
			a.Once = ""
			return tx.Append(mb, a)
		}}),
		"a delete returns": writing(badTx{expunge: func(tx store.Tx, mb mail.MailboxID, uids mail.UIDSet, onlyDeleted bool) (mail.UIDSet, error) {
			if seldom() {
				return uids, nil
			}
			return tx.Expunge(mb, uids, onlyDeleted)
		}}),
	}
}

// everGiven forgets nobody who was let in.
func everGiven() func(map[mail.MailboxID]mail.Rights) {
	ever := map[mail.MailboxID]mail.Rights{}
	return func(all map[mail.MailboxID]mail.Rights) {
		for mb, r := range all {
			ever[mb] |= r
		}
		for mb, r := range ever {
			all[mb] = r
		}
	}
}

func unless(odd func() bool, do func()) {
	if !odd() {
		do()
	}
}

func twice(pattern string) func(string) []string {
	re := regexp.MustCompile(pattern)
	return func(line string) []string {
		if re.MatchString(line) {
			return []string{line, line}
		}
		return []string{line}
	}
}

// later replaces after the pattern was seen n times.
func later(pattern, with string, n int) func(string) []string {
	re := regexp.MustCompile(pattern)
	return func(line string) []string {
		if re.MatchString(line) {
			if n--; n < 0 {
				line = re.ReplaceAllString(line, with)
			}
		}
		return []string{line}
	}
}

func oneTooMany(all []mail.Mailbox) []mail.Mailbox {
	for i := range all {
		if all[i].Counts.Placements == 3 {
			all[i].Counts.Placements++
		}
	}
	return all
}

// swapped gives every message the bytes of the first that was asked for.
func swapped() func(*mail.Message) {
	var first mail.Blob
	return func(m *mail.Message) {
		if m.Blob.Place == "" {
			return
		}
		if first.Place == "" {
			first = m.Blob
		}
		m.Blob = first
	}
}

// The proof is proved: each of these is found, and soon.
func TestPlantedFaultsAreFound(t *testing.T) {
	find(t, planted, plan, map[string]Plan{
		"a copy loses its flags":                  plan(1011),
		"a repeated arrival is not recognised":    plan(1036),
		"NOTIFY does not tell that mail was read": plan(1019),
		"NOTIFY does not tell the new name":       from(8, NewPlan(1000, 1, 2, 150)), // two who are told by NOTIFY alone
	})
}

// find looks for a plan that finds each fault. Of those that few do, one that did is
// tried first.
func find(t *testing.T, faults func() map[string]Fault, plan func(uint64) Plan, did map[string]Plan) {
	const first, seeds = 1000, 40
	for name := range faults() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var try []Plan
			if p, known := did[name]; known {
				try = append(try, p)
			}
			for seed := range uint64(seeds) {
				try = append(try, plan(first+seed))
			}
			for _, p := range try {
				if wrong := play(t, p, faults()[name]).Wrong; len(wrong) > 0 {
					what, _, _ := strings.Cut(wrong[0], "\n")
					t.Logf("found by seed %d: %s", p.Seed, what)
					return
				}
			}
			t.Errorf("%d seeds did not find it", seeds)
		})
	}
}

// A failing run is told in few steps.
func TestAFailingHistoryIsShortened(t *testing.T) {
	f := planted()["a move is cut half way"]
	fails := func(p Plan) bool { return len(play(t, p, f).Wrong) > 0 }
	for seed := uint64(1); ; seed++ {
		p := plan(seed)
		if !fails(p) {
			continue
		}
		short := p.Shorter(60, fails)
		if n := len(short.Steps); n > 30 || !fails(short) {
			t.Errorf("120 steps became %d: %s", n, fmt.Sprint(short))
		}
		return
	}
}
