package storetest

import (
	"slices"
	"strings"
	"testing"
	"time"

	"lockstep/internal/mail"
	"lockstep/internal/store"
)

// keepsAfterError keeps what a closure did that failed.
func keepsAfterError(update updateFunc, by mail.Origin, fn func(store.Tx) error) (mail.ModSeq, error) {
	var own error
	n, err := update(by, func(tx store.Tx) error { own = fn(tx); return nil })
	if own != nil {
		return 0, own
	}
	return n, err
}

// lastOf changes the last change of a page that is not the delta's last.
func lastOf(change func(*mail.ChangePage)) func(store.ChangeQuery, mail.ChangePage, error) (mail.ChangePage, error) {
	return func(_ store.ChangeQuery, page mail.ChangePage, err error) (mail.ChangePage, error) {
		if page.More && len(page.Changes) > 0 {
			change(&page)
		}
		return page, err
	}
}

var faults = []struct {
	name  string
	plant func(*fault)
}{
	{"VanishedForgetsOne", reading(badReader{vanished: func(set mail.UIDSet, err error) (mail.UIDSet, error) {
		if set = slices.Clone(set); len(set) > 0 {
			set = set[:len(set)-1]
		}
		return set, err
	}})},
	{"VanishedBelowTheHorizonIsEmpty", reading(badReader{vanished: func(set mail.UIDSet, _ error) (mail.UIDSet, error) { return set, nil }})},
	{"VanishedNamesOneThatNeverWas", reading(badReader{vanished: func(set mail.UIDSet, err error) (mail.UIDSet, error) {
		set = slices.Clone(set)
		set.Add(4000)
		return set, err
	}})},
	{"AModSeqIsSkipped", func(f *fault) {
		f.update = func(update updateFunc, by mail.Origin, fn func(store.Tx) error) (mail.ModSeq, error) {
			n, err := update(by, fn)
			if n%7 == 0 && n > 0 {
				for _, flip := range []func(store.Tx) error{func(tx store.Tx) error { return tx.Unsubscribe("Junk") }, func(tx store.Tx) error { return tx.Subscribe("Junk") }} {
					if _, err := update(by, flip); err != nil {
						return n, err
					}
				}
			}
			return n, err
		}
	}},
	{"TheModSeqReturnedIsTheNext", func(f *fault) {
		f.update = func(update updateFunc, by mail.Origin, fn func(store.Tx) error) (mail.ModSeq, error) {
			n, err := update(by, fn)
			if n > 0 {
				n++
			}
			return n, err
		}
	}},
	{"ACounterIsOffByOne", reading(badReader{mailbox: func(mb mail.Mailbox) mail.Mailbox {
		if mb.Counts.Unseen > 3 {
			mb.Counts.Unseen--
		}
		return mb
	}})},
	{"UnreadThreadsAreUnreadEmails", reading(badReader{mailbox: func(mb mail.Mailbox) mail.Mailbox {
		mb.Counts.UnreadThreads = mb.Counts.UnreadEmails
		return mb
	}})},
	{"HighestModSeqLagsBehind", reading(badReader{mailbox: func(mb mail.Mailbox) mail.Mailbox {
		mb.HighestModSeq = max(mb.HighestModSeq, 2) - 1
		return mb
	}})},
	{"UIDNextGoesBack", reading(badReader{mailbox: func(mb mail.Mailbox) mail.Mailbox {
		if mb.Counts.Placements == 0 {
			mb.UIDNext = 1
		}
		return mb
	}})},
	{"CountsModSeqStandsStill", reading(badReader{mailbox: func(mb mail.Mailbox) mail.Mailbox {
		mb.CountsModSeq = mb.Created
		return mb
	}})},
	{"LastOfATypeStandsStill", reading(badReader{account: func(a mail.Account) mail.Account {
		delete(a.Last, mail.TypeThread)
		return a
	}})},
	{"NewsComesTwice", func(f *fault) {
		f.watch = func(fn func(mail.News)) func(mail.News) { return func(n mail.News) { fn(n); fn(n) } }
	}},
	{"NewsIsLost", func(f *fault) {
		f.watch = func(fn func(mail.News)) func(mail.News) {
			return func(n mail.News) {
				if n.ModSeq%5 != 0 {
					fn(n)
				}
			}
		}
	}},
	{"NewsForgetsAMailbox", func(f *fault) {
		f.watch = func(fn func(mail.News)) func(mail.News) {
			return func(n mail.News) {
				if len(n.Mailboxes) > 1 {
					n.Mailboxes = n.Mailboxes[:1]
				}
				fn(n)
			}
		}
	}},
	{"NewsForgetsAPut", func(f *fault) {
		f.watch = func(fn func(mail.News)) func(mail.News) {
			return func(n mail.News) {
				if len(n.Puts) > 1 {
					n.Puts = n.Puts[1:]
				}
				fn(n)
			}
		}
	}},
	{"NewsSaysOtherFlags", func(f *fault) {
		f.watch = func(fn func(mail.News)) func(mail.News) {
			return func(n mail.News) {
				n.Puts = slices.Clone(n.Puts)
				for i := range n.Puts {
					n.Puts[i].Flags.System ^= mail.Flagged
				}
				fn(n)
			}
		}
	}},
	{"NewsNeverSaysAll", func(f *fault) {
		f.watch = func(fn func(mail.News)) func(mail.News) { return func(n mail.News) { n.Puts = nil; fn(n) } }
	}},
	{"NewsForgetsNames", func(f *fault) {
		f.watch = func(fn func(mail.News)) func(mail.News) {
			return func(n mail.News) { n.Types &^= 1 << mail.TypeNames; fn(n) }
		}
	}},
	{"NewsForgetsAType", func(f *fault) {
		f.watch = func(fn func(mail.News)) func(mail.News) {
			return func(n mail.News) { n.Types &^= 1 << mail.TypeThread; fn(n) }
		}
	}},
	{"AnErrorKeepsTheChanges", func(f *fault) { f.update = keepsAfterError }},
	{"AnOriginIsMadeUp", func(f *fault) {
		f.update = func(update updateFunc, by mail.Origin, fn func(store.Tx) error) (mail.ModSeq, error) {
			if by.IsZero() {
				by = setup
			}
			return update(by, fn)
		}
	}},
	{"TheDeviceIsForgotten", func(f *fault) {
		f.update = func(update updateFunc, by mail.Origin, fn func(store.Tx) error) (mail.ModSeq, error) {
			if !by.IsZero() {
				by = mail.NewOrigin(by.Actor(), 0, by.Protocol(), by.Cause()).WithSession(by.Session()).InAct(by.Act())
			}
			return update(by, fn)
		}
	}},
	{"AnAppendIsDoneTwice", writing(badTx{append: func(tx store.Tx, mb mail.MailboxID, a mail.Arrival) (mail.Placement, error) {
		if _, err := tx.Append(mb, a); err != nil {
			return mail.Placement{}, err
		}
		a.Replaces = 0
		return tx.Append(mb, a)
	}})},
	{"OnceIsNotRemembered", writing(badTx{append: func(tx store.Tx, mb mail.MailboxID, a mail.Arrival) (mail.Placement, error) {
		a.Once = ""
		return tx.Append(mb, a)
	}})},
	{"ReplaceOnlyAdds", writing(badTx{append: func(tx store.Tx, mb mail.MailboxID, a mail.Arrival) (mail.Placement, error) {
		a.Replaces = 0
		return tx.Append(mb, a)
	}})},
	{"ReplaceStartsANewLineage", writing(badTx{append: func(tx store.Tx, mb mail.MailboxID, a mail.Arrival) (mail.Placement, error) {
		old := a.Replaces
		a.Replaces = 0
		p, err := tx.Append(mb, a)
		if err == nil && old != 0 {
			_, err = tx.Expunge(mb, mail.MakeUIDSet(old), false)
		}
		return p, err
	}})},
	{"ContinuingStartsANewLineage", writing(badTx{append: func(tx store.Tx, mb mail.MailboxID, a mail.Arrival) (mail.Placement, error) {
		a.Continues = 0
		return tx.Append(mb, a)
	}})},
	{"ReplacingElsewhereKeepsTheOld", writing(badTx{append: func(tx store.Tx, mb mail.MailboxID, a mail.Arrival) (mail.Placement, error) {
		if a.ReplacesIn != 0 && a.ReplacesIn != mb {
			a.Replaces = 0
		}
		return tx.Append(mb, a)
	}})},
	{"EarlierVersionsHoldTheirLineToo", reading(badReader{shown: func(p *mail.Placement) { p.Lineage = p.Lineage.Line() }})},
	{"ReferencesAreIgnored", writing(badTx{append: func(tx store.Tx, mb mail.MailboxID, a mail.Arrival) (mail.Placement, error) {
		a.References = nil
		return tx.Append(mb, a)
	}})},
	{"FlagsAreOverwritten", writing(badTx{store: func(tx store.Tx, mb mail.MailboxID, uids mail.UIDSet, c mail.FlagChange, since *mail.ModSeq) (store.StoreResult, error) {
		c.Replace = c.Replace || c.Remove.IsEmpty()
		return tx.StoreFlags(mb, uids, c, since)
	}})},
	{"UnchangedSinceIsIgnored", writing(badTx{store: func(tx store.Tx, mb mail.MailboxID, uids mail.UIDSet, c mail.FlagChange, _ *mail.ModSeq) (store.StoreResult, error) {
		return tx.StoreFlags(mb, uids, c, nil)
	}})},
	{"MoveCopies", writing(badTx{move: func(tx store.Tx, from mail.MailboxID, uids mail.UIDSet, to mail.MailboxID) (store.Mapping, error) {
		return tx.Copy(from, uids, to)
	}})},
	{"MoveIsACopyAndAnExpunge", writing(badTx{move: func(tx store.Tx, from mail.MailboxID, uids mail.UIDSet, to mail.MailboxID) (store.Mapping, error) {
		m, err := tx.Copy(from, uids, to)
		if err == nil {
			_, err = tx.Expunge(from, m.From, false)
		}
		return m, err
	}})},
	{"ErasingForgetsObjects", writing(badTx{erase: func(tx store.Tx, what mail.Erasing) (mail.Erased, error) {
		what.Objects = nil
		return tx.Erase(what)
	}})},
	{"ErasingIsExpunging", writing(badTx{erase: func(tx store.Tx, what mail.Erasing) (done mail.Erased, err error) {
		for _, key := range what.Messages {
			ps, err := tx.PlacementsOf(key)
			if err != nil {
				return done, err
			}
			for _, p := range ps {
				if _, err := tx.Expunge(p.Mailbox, mail.MakeUIDSet(p.UID), false); err != nil {
					return done, err
				}
			}
		}
		return done, nil
	}})},
	{"ErasingLeavesWhatLeft", writing(badTx{erase: func(tx store.Tx, what mail.Erasing) (mail.Erased, error) {
		there := mail.Erasing{Objects: what.Objects}
		for _, key := range what.Messages {
			if ps, err := tx.PlacementsOf(key); err == nil && len(ps) > 0 {
				there.Messages = append(there.Messages, key)
			}
		}
		return tx.Erase(there)
	}})},
	{"ExpungeTakesTheUnmarked", writing(badTx{expunge: func(tx store.Tx, mb mail.MailboxID, uids mail.UIDSet, _ bool) (mail.UIDSet, error) {
		return tx.Expunge(mb, uids, false)
	}})},
	{"RenameLosesTheSortOrder", writing(badTx{set: func(tx store.Tx, mb mail.MailboxID, im mail.MailboxImage) error {
		im.SortOrder = 0
		return tx.SetMailbox(mb, im)
	}})},
	{"UndoOnlySaysSo", writing(badTx{undo: func(tx store.Tx, act mail.ActID) (mail.UndoReport, error) {
		rs, err := tx.Journal(store.JournalQuery{Act: act})
		if err == nil && len(rs) == 0 {
			err = mail.Errorf(mail.NotFound, "no such act")
		}
		return mail.UndoReport{Undone: 1}, err
	}})},
	{"ChangedSinceIsOffByOne", reading(badReader{query: func(q store.PlacementQuery) store.PlacementQuery {
		if q.ChangedSince > 0 {
			q.ChangedSince++
		}
		return q
	}})},
	{"APlacementForgetsItsModSeq", reading(badReader{shown: func(p *mail.Placement) { p.ModSeq = p.Created }})},
	{"AnEmailForgetsItsModSeq", reading(badReader{message: func(m *mail.Message) { m.ModSeq = m.Created }})},
	{"ThreadsAreMixedUp", reading(badReader{message: func(m *mail.Message) { m.Thread &^= 1 }})},
	{"DepartedLosesItsFlags", reading(badReader{departed: func(p mail.Placement) mail.Placement { p.Flags = mail.Flags{}; return p }})},
	{"RecordsForgetWhatWasRemoved", reading(badReader{records: func(rs []mail.Record) []mail.Record {
		return editEntries(rs, func(e *mail.Entry) { e.Removed = nil })
	}})},
	{"RecordsForgetSubscriptions", reading(badReader{records: func(rs []mail.Record) []mail.Record {
		return editEntries(rs, func(e *mail.Entry) {
			if e.Op == mail.OpUnsubscribe {
				e.Name = ""
			}
		})
	}})},
	{"AQuarantineIsABlock", writing(badTx{device: func(tx store.Tx, d mail.Device) error {
		if d.Access == mail.Quarantined {
			d.Access = mail.Blocked
		}
		return tx.SetDevice(d)
	}})},
	{"AWipeForgetsWhatTheDeviceSaid", reading(badReader{device: func(d *mail.Device) { d.Wipe.Status = "" }})},
	{"WhatADeviceTellsIsADecision", writing(badTx{told: func(tx store.Tx, id mail.DeviceID, told mail.Told) error {
		d, err := tx.Device(id)
		if err == nil && told.Model == "two" {
			d.Name += "!"
			err = tx.SetDevice(d)
		}
		return err
	}})},
	{"ACursorIsSwappedWhateverItWas", writing(badTx{swap: func(tx store.Tx, id mail.DeviceID, name string, _, state []byte) error {
		return tx.SetCursor(id, name, state)
	}})},
	{"CursorsAreFoundByWholeNames", reading(badReader{cursors: func(prefix string, names []string) []string {
		return slices.DeleteFunc(names, func(n string) bool { return n != prefix })
	}})},
	{"AGuardedAnnotationIsNot", writing(badTx{remark: func(tx store.Tx, mb mail.MailboxID, uids mail.UIDSet, changes []mail.Annotation, _ *mail.ModSeq) (store.StoreResult, error) {
		return tx.Annotate(mb, uids, changes, nil)
	}})},
	{"OnlyTheFirstAnnotationIsMade", writing(badTx{remark: func(tx store.Tx, mb mail.MailboxID, uids mail.UIDSet, changes []mail.Annotation, since *mail.ModSeq) (store.StoreResult, error) {
		return tx.Annotate(mb, uids, changes[:min(1, len(changes))], since)
	}})},
	{"AnArrivalLosesItsAnnotations", writing(badTx{append: func(tx store.Tx, mb mail.MailboxID, a mail.Arrival) (mail.Placement, error) {
		a.Annotations = nil
		return tx.Append(mb, a)
	}})},
	{"AMoveLosesPrivateAnnotations", writing(badTx{move: func(tx store.Tx, from mail.MailboxID, uids mail.UIDSet, to mail.MailboxID) (store.Mapping, error) {
		if from != to {
			if _, err := tx.Annotate(from, uids, []mail.Annotation{{Name: "/comment", Who: 7}}, nil); err != nil {
				return store.Mapping{}, err
			}
		}
		return tx.Move(from, uids, to)
	}})},
	{"PrivateAnnotationsOfMessagesAreTheOwners", reading(badReader{remarks: func(q *store.AnnotationQuery, _ *mail.Annotation) {
		if q != nil {
			q.Who = 0
		}
	}})},
	{"WhatAnnotationsWereRemovedIsNotSaid", reading(badReader{remarks: func(q *store.AnnotationQuery, a *mail.Annotation) {
		if a != nil && a.Value == nil {
			a.Value = []byte("still there")
		}
	}})},
	{"AnAnnotationIsMadeBehindTheModSeq", func(f *fault) {
		f.read = func(r store.Reader) store.Reader {
			return badReader{Reader: r, shown: func(p *mail.Placement) {
				if p.ModSeq > p.Created && p.ModSeq%3 == 0 {
					p.ModSeq = p.Created
				}
			}}
		}
	}},
	{"RecordsForgetWhatWasRemarked", reading(badReader{records: func(rs []mail.Record) []mail.Record {
		return editEntries(rs, func(e *mail.Entry) {
			if e.Op == mail.OpAnnotate {
				e.Old = nil
			}
		})
	}})},
	{"AnAnnotationForgetsItsModSeq", reading(badReader{metadata: func(all []mail.Metadata) []mail.Metadata {
		for i := range all {
			all[i].ModSeq = 1
		}
		return all
	}})},
	{"PrivateAnnotationsAreEverybodys", writing(badTx{note: func(tx store.Tx, mb mail.MailboxID, _ mail.PrincipalID, name string, value []byte) error {
		return tx.SetMetadata(mb, 0, name, value)
	}})},
	{"AnEmptyAnnotationIsNone", writing(badTx{note: func(tx store.Tx, mb mail.MailboxID, who mail.PrincipalID, name string, value []byte) error {
		if len(value) == 0 {
			value = nil
		}
		return tx.SetMetadata(mb, who, name, value)
	}})},
	{"RecordsForgetWhatWasNoted", reading(badReader{records: func(rs []mail.Record) []mail.Record {
		return editEntries(rs, func(e *mail.Entry) {
			if e.Op == mail.OpMetadata {
				e.Old = nil
			}
		})
	}})},
	{"RecordsForgetWhatWasChosenBefore", reading(badReader{records: func(rs []mail.Record) []mail.Record {
		return editEntries(rs, func(e *mail.Entry) {
			if e.Op == mail.OpPreference {
				e.Old = nil
			}
		})
	}})},
	{"RecordsForgetTheImageBefore", reading(badReader{records: func(rs []mail.Record) []mail.Record {
		return editEntries(rs, func(e *mail.Entry) {
			if e.Op == mail.OpUpdateMailbox {
				e.Before = e.After
			}
		})
	}})},
	{"RecordsForgetAUID", reading(badReader{records: func(rs []mail.Record) []mail.Record {
		return editEntries(rs, func(e *mail.Entry) {
			if e.Op == mail.OpExpunge && e.UIDs.Count() > 1 {
				e.UIDs = mail.MakeUIDSet(e.UIDs[0].First)
			}
		})
	}})},
	{"APageEndTurnsCreatedIntoUpdated", reading(badReader{changes: lastOf(func(p *mail.ChangePage) {
		p.Changes[len(p.Changes)-1].Op = mail.Updated
	})})},
	{"APageEndIsLost", reading(badReader{changes: lastOf(func(p *mail.ChangePage) { p.Changes = p.Changes[:max(1, len(p.Changes)-1)] })})},
	{"APageBeginsWithTheLastOne", reading(badReader{changes: func(q store.ChangeQuery, p mail.ChangePage, err error) (mail.ChangePage, error) {
		if q.From.Target != 0 && len(p.Changes) < q.Limit {
			p.Changes = append([]mail.Change{{Op: q.From.Phase, ID: q.From.ID, ModSeq: q.From.At}}, p.Changes...)
		}
		return p, err
	}})},
	{"DestroyedIsNeverTold", reading(badReader{changes: func(_ store.ChangeQuery, p mail.ChangePage, err error) (mail.ChangePage, error) {
		p.Changes = slices.DeleteFunc(p.Changes, func(c mail.Change) bool { return c.Op == mail.Destroyed })
		return p, err
	}})},
	{"CameBackIsCreated", reading(badReader{changes: func(_ store.ChangeQuery, p mail.ChangePage, err error) (mail.ChangePage, error) {
		for i, c := range p.Changes {
			if c.Op == mail.Updated && c.EmailID != (mail.EmailID{}) {
				p.Changes[i].Op = mail.Created
			}
		}
		return p, err
	}})},
	{"ThePageAfterForgetsItsTarget", reading(badReader{changes: lastOf(func(p *mail.ChangePage) {
		last := p.Changes[len(p.Changes)-1]
		p.Next = p.Next.Epoch.At(max(last.ModSeq, p.Next.Since))
		p.More = true
	})})},
	{"BelowTheHorizonNothingChanged", reading(badReader{changes: func(q store.ChangeQuery, p mail.ChangePage, err error) (mail.ChangePage, error) {
		if mail.KindOf(err) == mail.TooOld {
			return mail.ChangePage{Next: q.From}, nil
		}
		return p, err
	}})},
	{"AMembersSeenIsTheOwners", writing(badTx{store: func(tx store.Tx, mb mail.MailboxID, uids mail.UIDSet, c mail.FlagChange, since *mail.ModSeq) (store.StoreResult, error) {
		c.As = 0
		return tx.StoreFlags(mb, uids, c, since)
	}})},
	{"MembersSeeTheOwnersSeen", reading(badReader{query: func(q store.PlacementQuery) store.PlacementQuery { q.As = 0; return q }})},
	{"MembersAreToldTheOwnersChanges", reading(badReader{asked: func(q *store.ChangeQuery) { q.As = 0 }})},
	{"AMembersDeltaForgetsTheirOwnSeen", reading(badReader{changes: func(q store.ChangeQuery, p mail.ChangePage, err error) (mail.ChangePage, error) {
		p.Changes = slices.DeleteFunc(p.Changes, func(c mail.Change) bool { return q.As != 0 && c.Op == mail.Updated })
		return p, err
	}})},
	{"AMembersUnseenIsOffByOne", reading(badReader{member: func(mb mail.Mailbox) mail.Mailbox { mb.Counts.Unseen++; return mb }})},
	{"AMembersHighestModSeqIsTheOwners", func(f *fault) {
		reading(badReader{})(f)
		read := f.read
		f.read = func(r store.Reader) store.Reader {
			b := read(r).(badReader)
			b.member = func(mb mail.Mailbox) mail.Mailbox {
				own, _ := r.Mailbox(mb.ID)
				mb.HighestModSeq = own.HighestModSeq
				return mb
			}
			return b
		}
	}},
	{"RecordsForgetWhatRightsWere", reading(badReader{records: func(rs []mail.Record) []mail.Record {
		return editEntries(rs, func(e *mail.Entry) { e.Had = 0 })
	}})},
	{"RecordsForgetWhoseSeenItWas", reading(badReader{records: func(rs []mail.Record) []mail.Record {
		return editEntries(rs, func(e *mail.Entry) {
			if e.Op == mail.OpFlags {
				e.Who = 0
			}
		})
	}})},
	{"PruneForgetsFloods", func(f *fault) {
		f.prune = func(f *fault, olderThan time.Time) error {
			for _, p := range must(f.Accounts(ctx)) {
				must(f.Store.Update(ctx, p.Account, setup, func(tx store.Tx) error {
					all, err := tx.Floods()
					for _, flood := range all {
						if err == nil {
							err = tx.AcceptFlood(flood.ID)
						}
					}
					return err
				}))
			}
			for _, p := range must(f.Accounts(ctx)) {
				ok(f.Store.Prune(ctx, p.Account, olderThan))
			}
			return nil
		}
	}},
	{"AFloodLosesItsBeginning", reading(badReader{floods: func(f *mail.Flood) { f.First = f.ID }})},
	{"AFloodForgetsItWasTold", reading(badReader{floods: func(f *mail.Flood) { f.Told = false }})},
	{"ObjectsForgetTheNewest", reading(badReader{objects: func(all []mail.Object) []mail.Object { return all[:max(0, len(all)-1)] }})},
	{"ADeltaForgetsObjectsThatWereDropped", reading(badReader{changes: func(q store.ChangeQuery, p mail.ChangePage, err error) (mail.ChangePage, error) {
		p.Changes = slices.DeleteFunc(p.Changes, func(c mail.Change) bool { return q.Type.IsObject() && c.Op == mail.Destroyed })
		return p, err
	}})},
	{"AnObjectThatComesBackIsNew", reading(badReader{changes: func(q store.ChangeQuery, p mail.ChangePage, err error) (mail.ChangePage, error) {
		for i := range p.Changes {
			if q.Type.IsObject() && p.Changes[i].Op == mail.Updated {
				p.Changes[i].Op = mail.Created
			}
		}
		return p, err
	}})},
	{"RecordsForgetWhatAnObjectWas", reading(badReader{records: func(rs []mail.Record) []mail.Record {
		return editEntries(rs, func(e *mail.Entry) {
			if e.Op == mail.OpObject {
				e.Old = nil
			}
		})
	}})},
	{"AnUploadForgetsWhatWasMadeOfIt", reading(badReader{uploads: func(u *mail.Upload) { u.Emails = nil }})},
	{"AnUploadIsOfAnotherSize", reading(badReader{uploads: func(u *mail.Upload) { u.Blob.Size++ }})},
	{"LeftForgetsWhatFellWithItsMailbox", reading(badReader{left: func(q *store.LeftQuery, _ *mail.Departure) {
		if q != nil && q.Limit == 0 {
			q.Limit = 5
		}
	}})},
	{"LeftIsALittleLate", reading(badReader{left: func(q *store.LeftQuery, _ *mail.Departure) {
		if q != nil {
			q.Since++
		}
	}})},
	{"WhatLeftIsOfAnotherMessage", reading(badReader{left: func(_ *store.LeftQuery, d *mail.Departure) {
		if d != nil {
			d.Message++
		}
	}})},
	{"ADeletedMailboxIsNotKept", reading(badReader{deleted: func(all []mail.DeletedMailbox) []mail.DeletedMailbox { return all[:len(all)/2] }})},
	{"ADeletedMailboxIsKeptUnderAnotherName", reading(badReader{deleted: func(all []mail.DeletedMailbox) []mail.DeletedMailbox {
		for i := range all {
			all[i].Image.SortOrder++
		}
		return all
	}})},
	{"ADeletedMailboxLosesItsAnnotations", reading(badReader{all: func(all []mail.KeptMetadata) []mail.KeptMetadata {
		return slices.DeleteFunc(all, func(m mail.KeptMetadata) bool { return m.Mailbox > 6 })
	}})},
	{"WhatComesBackIsUnread", writing(badTx{back: func(tx store.Tx, mb mail.MailboxID, uids mail.UIDSet) (store.Mapping, error) {
		m, err := tx.BringBack(mb, uids)
		if err == nil && len(m.To) > 0 {
			_, err = tx.StoreFlags(mb, m.To, mail.FlagChange{Replace: true}, nil)
		}
		return m, err
	}})},
	{"AMailboxComesBackAsItWas", writing(badTx{again: func(tx store.Tx, id mail.MailboxID, im mail.MailboxImage) (mail.Mailbox, error) {
		im.SortOrder = 0
		return tx.BringBackMailbox(id, im)
	}})},
	{"TheHorizonIsOfAnotherTime", reading(badReader{account: func(a mail.Account) mail.Account {
		a.HorizonAt = a.HorizonAt.Add(time.Second)
		return a
	}})},
	{"ARemovedAccountIsStillThere", func(f *fault) { f.keeps = func(*fault, mail.AccountID) error { return nil } }},
	{"AKeptAccountIsLockedOut", func(f *fault) {
		f.back = func(f *fault, id mail.AccountID) error { return f.SetDisabled(ctx, id, true) }
	}},
	{"AKeptAccountIsFoundByEverybody", func(f *fault) { f.shows = true }},
	{"AKeptAccountIsNotReached", func(f *fault) { f.hides = true }},
	{"AKeptAccountLosesAnAddress", func(f *fault) {
		f.back = func(f *fault, id mail.AccountID) error {
			err := f.RemoveAddress(ctx, "info", "else.example")
			if mail.KindOf(err) == mail.NotFound {
				return nil
			}
			return err
		}
	}},
	{"PruneDoesNothing", func(f *fault) { f.prune = func(*fault, time.Time) error { return nil } }},
	{"ReparsedForgetsThePreview", func(f *fault) {
		f.reparsed = func(_ *fault, all []store.Derived) {
			for i := range all {
				all[i].Preview = ""
			}
		}
	}},
	{"ReparsedIsAChange", func(f *fault) {
		f.reparsed = func(f *fault, all []store.Derived) {
			for _, p := range must(f.Accounts(ctx)) {
				must(f.Store.Update(ctx, p.Account, setup, func(tx store.Tx) error { return tx.Unsubscribe("INBOX") }))
			}
		}
	}},
	{"ARestoreKeepsTheEpoch", reading(badReader{account: func(a mail.Account) mail.Account { a.Epoch = 1; return a }})},
	{"ARestoreKeepsUIDNext", reading(badReader{mailbox: func(mb mail.Mailbox) mail.Mailbox {
		if mb.UIDNext > 1<<20 {
			mb.UIDNext -= 1 << 20
		}
		return mb
	}})},
	{"ARestoreStampsNothing", reading(badReader{shown: func(p *mail.Placement) {
		if p.Created < leapt && p.ModSeq > leapt {
			p.ModSeq = p.Created
		}
	}})},
	{"ARestoreLeavesTheMailboxesAsTheyWere", reading(badReader{mailbox: func(mb mail.Mailbox) mail.Mailbox {
		if mb.Created < leapt && mb.HighestModSeq > leapt {
			mb.HighestModSeq = mb.PropsModSeq
		}
		return mb
	}})},
	{"ARestoreForgetsNoPosition", reading(badReader{changes: func(q store.ChangeQuery, p mail.ChangePage, err error) (mail.ChangePage, error) {
		if q.From.Since < leapt && mail.KindOf(err) == mail.TooOld {
			return mail.ChangePage{Next: q.From}, nil
		}
		return p, err
	}})},
	{"ARestoreLetsTheQueueGo", func(f *fault) {
		f.due = func(f *fault, node string, now, lease time.Time, limit int) ([]store.Outgoing, error) {
			must(f.Store.Release(ctx, 0))
			return f.Store.Due(ctx, node, now, lease, limit)
		}
	}},
	{"AnEndingIsLeftOut", func(f *fault) {
		f.endings = func(all []store.Ending) []store.Ending {
			return slices.DeleteFunc(all, func(e store.Ending) bool { return e.ID == 2 })
		}
	}},
	{"FailuresBeginAnew", func(f *fault) {
		f.counts = func(was []store.Failure) {
			for i := range was {
				was[i].N = 0
			}
		}
	}},
	{"TheQueueForgetsTheLease", func(f *fault) {
		f.due = func(f *fault, node string, now, _ time.Time, limit int) ([]store.Outgoing, error) {
			return f.Store.Due(ctx, node, now, now, limit)
		}
	}},
	{"TheQueueForgetsWhoHasIt", func(f *fault) {
		f.due = func(f *fault, _ string, now, lease time.Time, limit int) ([]store.Outgoing, error) {
			return f.Store.Due(ctx, "", now, lease, limit)
		}
	}},
	{"ALeaseIsTakenFromWhoHasIt", func(f *fault) {
		f.take = func(f *fault, name, holder string, life time.Duration) (store.Lease, error) {
			l, err := f.Store.Take(ctx, name, holder, life)
			if mail.KindOf(err) == mail.Exists && err != nil {
				ok(f.Yield(ctx, l))
				l, err = f.Store.Take(ctx, name, holder, life)
			}
			return l, err
		}
	}},
	{"AFenceStandsStill", func(f *fault) {
		f.take = func(f *fault, name, holder string, life time.Duration) (store.Lease, error) {
			l, err := f.Store.Take(ctx, name, holder, life)
			l.Fence = 1
			return l, err
		}
	}},
	{"ASleeperWrites", func(f *fault) { f.sleeper = true }},
	{"AFileIsDroppedTwice", func(f *fault) {
		f.drop = func(f *fault, name string) error {
			if err := f.Store.DropFile(ctx, name); !strings.HasPrefix(name, "code/") {
				return err
			}
			return nil
		}
	}},
	{"ADirectoryIsListedWithItsNeighbour", func(f *fault) {
		f.below = func(f *fault, prefix string, limit int) ([]store.File, error) {
			return f.Store.FilesBelow(ctx, strings.TrimSuffix(prefix, "/"), limit)
		}
	}},
}

func editEntries(rs []mail.Record, edit func(*mail.Entry)) []mail.Record {
	for i := range rs {
		rs[i].Entries = slices.Clone(rs[i].Entries)
		for j := range rs[i].Entries {
			edit(&rs[i].Entries[j])
		}
	}
	return rs
}

// TestEachPlantedFaultIsFound proves the proof.
func TestEachPlantedFaultIsFound(t *testing.T) {
	for _, f := range faults {
		t.Run(f.name, func(t *testing.T) {
			t.Parallel()
			open := func(testing.TB) Engine {
				e := &fault{Store: newModel()}
				f.plant(e)
				return e
			}
			by := foundBy(&trial{t, open})
			if by == "" {
				t.Fatal("nobody noticed")
			}
			t.Logf("found by %s", by)
		})
	}
}

// tries is how many seeds a proof has to find a fault with: what one random
// history brings about is luck.
const tries = 5

// foundBy returns the first check that fails, else the first proof, else "".
func foundBy(t *trial) string {
	for _, c := range checks {
		if try(func() { c.do(t) }) != nil {
			return c.name
		}
	}
	for seed := range uint64(tries) {
		for _, p := range proofs {
			if p.fails(t, seed+1, p.ops(seed+1)) != nil {
				return p.name
			}
		}
	}
	return ""
}
