package storetest

import (
	"context"
	"slices"
	"time"

	"lockstep/internal/mail"
	"lockstep/internal/store"
	"lockstep/internal/store/model"
)

// fault is a model with one thing wrong. Each field, if set, stands between the
// test and the model.
type fault struct {
	*model.Store
	read     func(store.Reader) store.Reader
	write    func(store.Tx) store.Tx
	update   func(next updateFunc, by mail.Origin, fn func(store.Tx) error) (mail.ModSeq, error)
	watch    func(fn func(mail.News)) func(mail.News)
	prune    func(f *fault, olderThan time.Time) error
	reparsed func(f *fault, all []store.Derived)
	keeps    func(f *fault, id mail.AccountID) error
	back     func(f *fault, id mail.AccountID) error // after Reinstate
	due      func(f *fault, node string, now, lease time.Time, limit int) ([]store.Outgoing, error)
	take     func(f *fault, name, holder string, life time.Duration) (store.Lease, error)
	drop     func(f *fault, name string) error
	below    func(f *fault, prefix string, limit int) ([]store.File, error)
	sleeper  bool // who lost its lease may write all the same
	shows    bool // everybody finds accounts that are kept
	hides    bool // nobody reaches them
	endings  func([]store.Ending) []store.Ending
	counts   func(was []store.Failure)
}

// updateFunc is an Update of the account the test is about.
type updateFunc func(by mail.Origin, fn func(store.Tx) error) (mail.ModSeq, error)

func (f *fault) View(ctx context.Context, id mail.AccountID, fn func(store.Reader) error) error {
	if f.shows {
		ctx = store.AmongRemoved(ctx)
	}
	if f.hides {
		ctx = context.Background()
	}
	return f.Store.View(ctx, id, func(r store.Reader) error {
		if f.read != nil {
			r = f.read(r)
		}
		return fn(r)
	})
}

func (f *fault) Note(ctx context.Context, id mail.AccountID, fn func(store.Notes) error) error {
	if f.sleeper {
		ctx = context.Background()
	}
	return f.Store.Note(ctx, id, fn)
}

func (f *fault) Take(ctx context.Context, name, holder string, life time.Duration) (store.Lease, error) {
	if f.take != nil {
		return f.take(f, name, holder, life)
	}
	return f.Store.Take(ctx, name, holder, life)
}

func (f *fault) DropFile(ctx context.Context, name string) error {
	if f.drop != nil {
		return f.drop(f, name)
	}
	return f.Store.DropFile(ctx, name)
}

func (f *fault) FilesBelow(ctx context.Context, prefix string, limit int) ([]store.File, error) {
	if f.below != nil {
		return f.below(f, prefix, limit)
	}
	return f.Store.FilesBelow(ctx, prefix, limit)
}

func (f *fault) Update(ctx context.Context, id mail.AccountID, by mail.Origin, fn func(store.Tx) error) (mail.ModSeq, error) {
	faulty := func(tx store.Tx) error {
		if f.write != nil {
			tx = f.write(tx)
		}
		return fn(tx)
	}
	update := func(by mail.Origin, fn func(store.Tx) error) (mail.ModSeq, error) {
		return f.Store.Update(ctx, id, by, fn)
	}
	if f.update != nil {
		return f.update(update, by, faulty)
	}
	return update(by, faulty)
}

func (f *fault) Watch(id mail.AccountID, fn func(mail.News)) func() {
	if f.watch != nil {
		fn = f.watch(fn)
	}
	return f.Store.Watch(id, fn)
}

func (f *fault) KeepRemoved(ctx context.Context, id mail.AccountID) error {
	if f.keeps != nil {
		return f.keeps(f, id)
	}
	return f.Store.KeepRemoved(ctx, id)
}

func (f *fault) Reinstate(ctx context.Context, id mail.AccountID, login string) (store.Principal, []store.Address, error) {
	p, taken, err := f.Store.Reinstate(ctx, id, login)
	if err == nil && f.back != nil {
		err = f.back(f, id)
	}
	return p, taken, err
}

func (f *fault) Prune(ctx context.Context, id mail.AccountID, olderThan time.Time) error {
	if f.prune != nil {
		return f.prune(f, olderThan)
	}
	return f.Store.Prune(ctx, id, olderThan)
}

func (f *fault) Reparsed(ctx context.Context, id mail.AccountID, all []store.Derived) error {
	if f.reparsed != nil {
		all = slices.Clone(all)
		f.reparsed(f, all)
	}
	return f.Store.Reparsed(ctx, id, all)
}

func (f *fault) Due(ctx context.Context, node string, now, lease time.Time, limit int) ([]store.Outgoing, error) {
	if f.due != nil {
		return f.due(f, node, now, lease, limit)
	}
	return f.Store.Due(ctx, node, now, lease, limit)
}

func (f *fault) EndingsAfter(ctx context.Context, id int64, limit int) ([]store.Ending, error) {
	all, err := f.Store.EndingsAfter(ctx, id, limit)
	if f.endings != nil {
		all = f.endings(all)
	}
	return all, err
}

func (f *fault) CountFailure(ctx context.Context, keys []string, count func([]store.Failure) []store.Failure) error {
	return f.Store.CountFailure(ctx, keys, func(was []store.Failure) []store.Failure {
		if f.counts != nil {
			f.counts(was)
		}
		return count(was)
	})
}

// badReader and badTx stand before the model's; a nil field passes through.
type badReader struct {
	store.Reader
	mailbox  func(mail.Mailbox) mail.Mailbox
	query    func(store.PlacementQuery) store.PlacementQuery
	shown    func(*mail.Placement)
	vanished func(mail.UIDSet, error) (mail.UIDSet, error)
	departed func(mail.Placement) mail.Placement
	changes  func(store.ChangeQuery, mail.ChangePage, error) (mail.ChangePage, error)
	records  func([]mail.Record) []mail.Record
	account  func(mail.Account) mail.Account
	message  func(*mail.Message)
	metadata func([]mail.Metadata) []mail.Metadata
	member   func(mail.Mailbox) mail.Mailbox
	asked    func(*store.ChangeQuery)
	remarks  func(*store.AnnotationQuery, *mail.Annotation)
	floods   func(*mail.Flood)
	device   func(*mail.Device)
	cursors  func(prefix string, names []string) []string
	uploads  func(*mail.Upload)
	objects  func([]mail.Object) []mail.Object
	left     func(*store.LeftQuery, *mail.Departure)
	deleted  func([]mail.DeletedMailbox) []mail.DeletedMailbox
	all      func([]mail.KeptMetadata) []mail.KeptMetadata
}

func (b badReader) Left(q store.LeftQuery, fn func(*mail.Departure) error) error {
	if b.left != nil {
		b.left(&q, nil)
	}
	return b.Reader.Left(q, func(d *mail.Departure) error {
		if b.left != nil {
			b.left(nil, d)
		}
		return fn(d)
	})
}

func (b badReader) DeletedMailboxes() ([]mail.DeletedMailbox, error) {
	all, err := b.Reader.DeletedMailboxes()
	if b.deleted != nil {
		all = b.deleted(all)
	}
	return all, err
}

func (b badReader) AllMetadata() ([]mail.KeptMetadata, error) {
	all, err := b.Reader.AllMetadata()
	if b.all != nil {
		all = b.all(all)
	}
	return all, err
}

func (b badReader) Objects(typ mail.Type) ([]mail.Object, error) {
	all, err := b.Reader.Objects(typ)
	if b.objects != nil {
		all = b.objects(all)
	}
	return all, err
}

func (b badReader) Upload(id mail.UploadID) (mail.Upload, error) {
	u, err := b.Reader.Upload(id)
	if b.uploads != nil {
		b.uploads(&u)
	}
	return u, err
}

func (b badReader) Devices() ([]mail.Device, error) {
	all, err := b.Reader.Devices()
	for i := range all {
		if b.device != nil {
			b.device(&all[i])
		}
	}
	return all, err
}

func (b badReader) Cursors(device mail.DeviceID, prefix string) ([]string, error) {
	names, err := b.Reader.Cursors(device, prefix)
	if b.cursors != nil {
		names = b.cursors(prefix, names)
	}
	return names, err
}

func (b badReader) Floods() ([]mail.Flood, error) {
	all, err := b.Reader.Floods()
	for i := range all {
		if b.floods != nil {
			b.floods(&all[i])
		}
	}
	return all, err
}

func (b badReader) Annotations(q store.AnnotationQuery, fn func(*mail.Annotation) error) error {
	if b.remarks != nil {
		b.remarks(&q, nil)
	}
	return b.Reader.Annotations(q, func(a *mail.Annotation) error {
		if b.remarks != nil {
			b.remarks(nil, a)
		}
		return fn(a)
	})
}

func (b badReader) Metadata(mb mail.MailboxID, who mail.PrincipalID) ([]mail.Metadata, error) {
	all, err := b.Reader.Metadata(mb, who)
	if b.metadata != nil {
		all = b.metadata(all)
	}
	return all, err
}

func (b badReader) MailboxAs(id mail.MailboxID, as mail.PrincipalID) (mail.Mailbox, error) {
	mb, err := b.Reader.MailboxAs(id, as)
	if b.member != nil && as != 0 {
		mb = b.member(mb)
	}
	return mb, err
}

func (b badReader) Account() (mail.Account, error) {
	a, err := b.Reader.Account()
	if b.account != nil {
		a = b.account(a)
	}
	return a, err
}

func (b badReader) Mailboxes() ([]mail.Mailbox, error) {
	all, err := b.Reader.Mailboxes()
	for i := range all {
		if b.mailbox != nil {
			all[i] = b.mailbox(all[i])
		}
	}
	return all, err
}

func (b badReader) Placements(q store.PlacementQuery, fn func(*mail.Placement) error) error {
	return b.Messages(q, func(p *mail.Placement, _ *mail.Message) error { return fn(p) })
}

func (b badReader) Messages(q store.PlacementQuery, fn func(*mail.Placement, *mail.Message) error) error {
	if b.query != nil {
		q = b.query(q)
	}
	return b.Reader.Messages(q, func(p *mail.Placement, m *mail.Message) error {
		if b.shown != nil {
			b.shown(p)
		}
		if b.message != nil {
			b.message(m)
		}
		return fn(p, m)
	})
}

func (b badReader) Vanished(mb mail.MailboxID, since mail.ModSeq) (mail.UIDSet, error) {
	set, err := b.Reader.Vanished(mb, since)
	if b.vanished != nil {
		return b.vanished(set, err)
	}
	return set, err
}

func (b badReader) Departed(mb mail.MailboxID, uid mail.UID) (mail.Placement, error) {
	p, err := b.Reader.Departed(mb, uid)
	if b.departed != nil {
		p = b.departed(p)
	}
	return p, err
}

func (b badReader) Changes(q store.ChangeQuery) (mail.ChangePage, error) {
	if b.asked != nil {
		b.asked(&q)
	}
	page, err := b.Reader.Changes(q)
	if b.changes != nil {
		return b.changes(q, page, err)
	}
	return page, err
}

func (b badReader) Journal(q store.JournalQuery) ([]mail.Record, error) {
	rs, err := b.Reader.Journal(q)
	if b.records != nil {
		rs = b.records(rs)
	}
	return rs, err
}

type badTx struct {
	store.Tx
	append  func(tx store.Tx, mb mail.MailboxID, a mail.Arrival) (mail.Placement, error)
	store   func(tx store.Tx, mb mail.MailboxID, uids mail.UIDSet, c mail.FlagChange, since *mail.ModSeq) (store.StoreResult, error)
	move    func(tx store.Tx, from mail.MailboxID, uids mail.UIDSet, to mail.MailboxID) (store.Mapping, error)
	expunge func(tx store.Tx, mb mail.MailboxID, uids mail.UIDSet, onlyDeleted bool) (mail.UIDSet, error)
	erase   func(tx store.Tx, what mail.Erasing) (mail.Erased, error)
	set     func(tx store.Tx, mb mail.MailboxID, im mail.MailboxImage) error
	undo    func(tx store.Tx, act mail.ActID) (mail.UndoReport, error)
	remark  func(tx store.Tx, mb mail.MailboxID, uids mail.UIDSet, changes []mail.Annotation, since *mail.ModSeq) (store.StoreResult, error)
	note    func(tx store.Tx, mb mail.MailboxID, who mail.PrincipalID, name string, value []byte) error
	device  func(tx store.Tx, d mail.Device) error
	told    func(tx store.Tx, id mail.DeviceID, told mail.Told) error
	swap    func(tx store.Tx, id mail.DeviceID, name string, was, state []byte) error
	back    func(tx store.Tx, mb mail.MailboxID, uids mail.UIDSet) (store.Mapping, error)
	again   func(tx store.Tx, id mail.MailboxID, im mail.MailboxImage) (mail.Mailbox, error)
}

func (b badTx) BringBack(mb mail.MailboxID, uids mail.UIDSet) (store.Mapping, error) {
	if b.back != nil {
		return b.back(b.Tx, mb, uids)
	}
	return b.Tx.BringBack(mb, uids)
}

func (b badTx) BringBackMailbox(id mail.MailboxID, im mail.MailboxImage) (mail.Mailbox, error) {
	if b.again != nil {
		return b.again(b.Tx, id, im)
	}
	return b.Tx.BringBackMailbox(id, im)
}

func (b badTx) Erase(what mail.Erasing) (mail.Erased, error) {
	if b.erase != nil {
		return b.erase(b.Tx, what)
	}
	return b.Tx.Erase(what)
}

func (b badTx) SetDevice(d mail.Device) error {
	if b.device != nil {
		return b.device(b.Tx, d)
	}
	return b.Tx.SetDevice(d)
}

func (b badTx) DeviceTold(id mail.DeviceID, told mail.Told) error {
	if b.told != nil {
		return b.told(b.Tx, id, told)
	}
	return b.Tx.DeviceTold(id, told)
}

func (b badTx) SwapCursor(id mail.DeviceID, name string, was, state []byte) error {
	if b.swap != nil {
		return b.swap(b.Tx, id, name, was, state)
	}
	return b.Tx.SwapCursor(id, name, was, state)
}

func (b badTx) Annotate(mb mail.MailboxID, uids mail.UIDSet, changes []mail.Annotation, since *mail.ModSeq) (store.StoreResult, error) {
	if b.remark != nil {
		return b.remark(b.Tx, mb, uids, changes, since)
	}
	return b.Tx.Annotate(mb, uids, changes, since)
}

func (b badTx) SetMetadata(mb mail.MailboxID, who mail.PrincipalID, name string, value []byte) error {
	if b.note != nil {
		return b.note(b.Tx, mb, who, name, value)
	}
	return b.Tx.SetMetadata(mb, who, name, value)
}

func (b badTx) Append(mb mail.MailboxID, a mail.Arrival) (mail.Placement, error) {
	if b.append != nil {
		return b.append(b.Tx, mb, a)
	}
	return b.Tx.Append(mb, a)
}

func (b badTx) StoreFlags(mb mail.MailboxID, uids mail.UIDSet, c mail.FlagChange, since *mail.ModSeq) (store.StoreResult, error) {
	if b.store != nil {
		return b.store(b.Tx, mb, uids, c, since)
	}
	return b.Tx.StoreFlags(mb, uids, c, since)
}

func (b badTx) Move(from mail.MailboxID, uids mail.UIDSet, to mail.MailboxID) (store.Mapping, error) {
	if b.move != nil {
		return b.move(b.Tx, from, uids, to)
	}
	return b.Tx.Move(from, uids, to)
}

func (b badTx) Expunge(mb mail.MailboxID, uids mail.UIDSet, onlyDeleted bool) (mail.UIDSet, error) {
	if b.expunge != nil {
		return b.expunge(b.Tx, mb, uids, onlyDeleted)
	}
	return b.Tx.Expunge(mb, uids, onlyDeleted)
}

func (b badTx) SetMailbox(mb mail.MailboxID, im mail.MailboxImage) error {
	if b.set != nil {
		return b.set(b.Tx, mb, im)
	}
	return b.Tx.SetMailbox(mb, im)
}

func (b badTx) Undo(act mail.ActID) (mail.UndoReport, error) {
	if b.undo != nil {
		return b.undo(b.Tx, act)
	}
	return b.Tx.Undo(act)
}

func reading(b badReader) func(*fault) {
	return func(f *fault) {
		f.read = func(r store.Reader) store.Reader { own := b; own.Reader = r; return own }
	}
}

func writing(b badTx) func(*fault) {
	return func(f *fault) {
		f.write = func(tx store.Tx) store.Tx { own := b; own.Tx = tx; return own }
	}
}
