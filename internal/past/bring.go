package past

import (
	"context"
	"errors"
	"io"
	"slices"

	"lockstep/internal/mail"
	"lockstep/internal/store"
)

// Copy is an account as another store has it, such as one that came out of a backup.
type Copy struct {
	*View
	Open   func(context.Context, mail.Blob) (io.ReadCloser, error) // the bytes of a message
	Ingest func(context.Context, io.Reader) (mail.Arrival, error)  // makes them durable in this one
	// Verify reads a message of this store, and is mail.Corrupt when its bytes are damaged: then
	// Ingest makes them whole again. nil: nobody looks.
	Verify func(context.Context, mail.Blob) error
}

// bringBatch is how many messages come in one transaction.
const bringBatch = 32

// Bring puts what a copy of an account holds, and the account nowhere, into the account:
// mailboxes, and messages with their email ids, internal dates, flags and annotations. Nothing
// that is there is touched, but for messages whose bytes are damaged, which the copy's
// replace: each message that is there is read for that. What history still keeps of the account is brought back as
// Restore does; the rest arrives anew. Of the wish At and Mode are not looked at; without
// apply it is only told. Cut short, it can be asked for again.
func Bring(ctx context.Context, s store.Store, id mail.AccountID, by mail.Origin, from Copy, w Wish, apply bool, progress func(Report)) (Report, error) {
	w.Mode = OnlyMissing
	b := &bringing{from: from, placed: map[mail.EmailID]spot{}, boxes: map[mail.MailboxID]mail.MailboxID{}, checked: map[mail.BlobName]bool{},
		restorer: restorer{View: &View{store: s, account: id}, ctx: ctx, by: by.WithCause(mail.ByRestore), wish: w, apply: apply, progress: progress}}
	err := b.run()
	return b.report, err
}

// bringing is a Bring under way.
type bringing struct {
	restorer
	from   Copy
	boxes  map[mail.MailboxID]mail.MailboxID // of the copy, to those of the account
	placed map[mail.EmailID]spot             // what came already, and where
	hidden map[mail.EmailID]bool             // what is there, and marked \Deleted

	checked map[mail.BlobName]bool // that were found damaged
}

func (b *bringing) run() error {
	scope, err := b.mailboxes()
	if err != nil {
		return err
	}
	boxes := map[mail.MailboxID]mail.MailboxID{}
	err = b.update(func(tx store.Tx, rep *Report) error {
		clear(boxes)
		for _, mb := range scope {
			to, err := b.mailbox(tx, rep, mb, boxes)
			if err != nil {
				return err
			}
			boxes[mb.ID] = to
		}
		return nil
	})
	if err != nil {
		return err
	}
	b.boxes = boxes
	if err := b.findHidden(); err != nil {
		return err
	}
	for _, mb := range scope {
		if b.boxes[mb.ID] == 0 || !b.whole() && mb.Path != scope[len(scope)-1].Path {
			continue
		}
		if err := b.messages(mb); err != nil {
			return err
		}
	}
	return nil
}

// findHidden finds the messages that their email ids do not find.
func (b *bringing) findHidden() error {
	b.hidden = map[mail.EmailID]bool{}
	var boxes []mail.Mailbox
	err := b.store.View(b.ctx, b.account, func(r store.Reader) (err error) { boxes, err = r.Mailboxes(); return err })
	for _, mb := range boxes {
		for after, n := mail.UID(0), usual.messages; err == nil && mb.Counts.Deleted > 0 && n == usual.messages; {
			n = 0
			err = b.store.View(b.ctx, b.account, func(r store.Reader) error {
				q := store.PlacementQuery{Mailbox: mb.ID, UIDs: mail.UIDSet{{First: after + 1, Last: 1<<32 - 1}}, Limit: usual.messages}
				return r.Messages(q, func(p *mail.Placement, m *mail.Message) error {
					n++
					if after = p.UID; p.Flags.Has(mail.Deleted) {
						b.hidden[m.EmailID] = true
					}
					return nil
				})
			})
		}
	}
	return err
}

// mailboxes are those it is about, those above first; of one mailbox also those above.
func (b *bringing) mailboxes() ([]Mailbox, error) {
	all := slices.Clone(b.from.Mailboxes())
	slices.SortStableFunc(all, func(x, y Mailbox) int { return len(splitPath(x.Path)) - len(splitPath(y.Path)) })
	if b.whole() {
		return all, nil
	}
	mb, err := b.from.MailboxByPath(b.wish.Mailbox)
	if err != nil {
		return nil, err
	}
	above := map[mail.MailboxID]bool{mb.ID: true}
	for at := mb.Image.Parent; at != 0; at = b.from.frame.images[at].Parent {
		above[at] = true
	}
	return slices.DeleteFunc(all, func(m Mailbox) bool { return !above[m.ID] }), nil
}

// mailbox returns the mailbox that stands for one of the copy, and makes it if there is
// none; 0 if it can't be made.
func (b *bringing) mailbox(tx store.Tx, rep *Report, mb Mailbox, boxes map[mail.MailboxID]mail.MailboxID) (mail.MailboxID, error) {
	now, err := tx.Mailbox(mb.ID)
	if err == nil && now.UIDValidity == mb.UIDValidity {
		return now.ID, nil
	}
	if err != nil && mail.KindOf(err) != mail.NotFound {
		return 0, err
	}
	im := mb.Image
	if im.Parent != 0 {
		if im.Parent = boxes[im.Parent]; im.Parent == 0 {
			return 0, nil // said of that one
		}
	}
	holder, err := b.inTheWay(tx, im, 0)
	if err != nil || holder != nil {
		if err != nil {
			return 0, err
		}
		return holder.ID, nil
	}
	if im, err = b.role(tx, rep, mb, im); err != nil {
		return 0, err
	}
	is, err := b.makeMailbox(tx, mb, im)
	if err != nil {
		return 0, b.refused(rep, "mailbox "+mb.Path, err)
	}
	rep.Made = append(rep.Made, is.Path)
	if slices.Contains(b.from.Subscriptions(), mb.Path) {
		err = tx.Subscribe(is.Path)
	}
	return is.ID, err
}

// makeMailbox brings a mailbox back that history keeps, or makes a new one.
func (b *bringing) makeMailbox(tx store.Tx, mb Mailbox, im mail.MailboxImage) (mail.Mailbox, error) {
	kept, err := tx.DeletedMailboxes()
	if err != nil {
		return mail.Mailbox{}, err
	}
	if slices.ContainsFunc(kept, func(d mail.DeletedMailbox) bool { return d.ID == mb.ID && d.UIDValidity == mb.UIDValidity }) {
		return tx.BringBackMailbox(mb.ID, im)
	}
	return tx.CreateMailbox(im)
}

// missing is a message that is to come.
type missing struct {
	*Message
	kept  bool // history keeps it
	again spot // it is there now, as it was in several mailboxes
}

func (b *bringing) messages(mb Mailbox) error {
	var batch []missing
	flush := func() error {
		all := batch
		if batch = nil; len(all) == 0 {
			return nil
		}
		return b.put(mb, all)
	}
	err := b.from.Messages(b.ctx, Query{Mailbox: mb.ID, Whole: true}, func(m *Message) error {
		id := m.Message.EmailID
		if slices.ContainsFunc(batch, func(o missing) bool { return o.Message.Message.EmailID == id }) {
			if err := flush(); err != nil { // it is twice in the mailbox: the second is a copy
				return err
			}
		}
		if at, came := b.placed[id]; came {
			batch = append(batch, missing{Message: m, again: at})
		} else {
			gone, kept, here, err := b.isMissing(mb, m)
			if err == nil && (!gone || kept) {
				err = b.mend(mb, m, here)
			}
			if err != nil {
				return err
			}
			if gone {
				batch = append(batch, missing{Message: m, kept: kept})
			}
		}
		if len(batch) == bringBatch {
			return flush()
		}
		return b.ctx.Err()
	})
	if err != nil {
		return err
	}
	return flush()
}

// isMissing reports whether a message is nowhere in the account, and whether history
// keeps it where it was; and where its bytes are, if it is known of either.
func (b *bringing) isMissing(mb Mailbox, m *Message) (gone, kept bool, here mail.Blob, err error) {
	err = b.store.View(b.ctx, b.account, func(r store.Reader) error {
		gone, kept, here = false, false, mail.Blob{}
		is, err := r.Message(m.Key)
		same := err == nil && is.EmailID == m.Message.EmailID
		if err != nil && mail.KindOf(err) != mail.NotFound {
			return err
		}
		d, err := r.Departed(mb.ID, m.UID)
		left := err == nil && d.Message == m.Key && b.boxes[mb.ID] == mb.ID
		if err != nil && mail.KindOf(err) != mail.NotFound {
			return err
		}
		if same {
			all, err := r.PlacementsOf(m.Key)
			gone, kept, here = len(all) == 0, left, is.Blob
			return err
		}
		if b.hidden[m.Message.EmailID] {
			return nil
		}
		if left {
			b.report.left("a message of %s was erased since, and stays so", mb.Path)
			return nil
		}
		other, err := r.MessageByEmailID(m.Message.EmailID)
		if gone = mail.KindOf(err) == mail.NotFound; gone {
			return nil
		}
		here = other.Blob
		return err
	})
	return gone, kept, here, err
}

// mend puts the copy's bytes in the place of those of a message that is there, or kept, if
// they are damaged.
func (b *bringing) mend(mb Mailbox, m *Message, here mail.Blob) error {
	if b.from.Verify == nil || here.Place == "" || b.checked[here.Name] {
		return nil
	}
	err := b.from.Verify(b.ctx, here)
	if mail.KindOf(err) != mail.Corrupt || err == nil {
		return orGone(err)
	}
	b.checked[here.Name] = true // it may be in several mailboxes, and is told of once
	if b.apply {
		_, err = b.fetch(m)
		if err == nil {
			err = b.from.Verify(b.ctx, here)
		}
		if k := mail.KindOf(err); err != nil && (k == mail.NotFound || k == mail.Corrupt) {
			b.report.left("a message of %s is damaged, and the copy does not mend it: %s", mb.Path, mail.DetailOf(err))
			return nil
		}
		if err != nil {
			return err
		}
	}
	b.report.Mended++
	if b.progress != nil {
		b.progress(b.report)
	}
	return nil
}

// orGone is no error for what went while it was looked at.
func orGone(err error) error {
	if mail.KindOf(err) == mail.NotFound {
		return nil
	}
	return err
}

// put brings a batch into its mailbox.
func (b *bringing) put(mb Mailbox, batch []missing) error {
	arrivals := make([]mail.Arrival, len(batch))
	if b.apply {
		for i := 0; i < len(batch); i++ {
			if batch[i].kept || batch[i].again != (spot{}) {
				continue
			}
			a, err := b.fetch(batch[i].Message)
			if k := mail.KindOf(err); err != nil && (k == mail.NotFound || k == mail.Corrupt) {
				b.report.left("a message of %s: %s", mb.Path, mail.DetailOf(err))
				batch, arrivals = slices.Delete(batch, i, i+1), slices.Delete(arrivals, i, i+1)
				i--
				continue
			}
			if err != nil {
				return err
			}
			arrivals[i] = a
		}
	}
	came := map[mail.EmailID]spot{}
	err := b.update(func(tx store.Tx, rep *Report) error {
		clear(came)
		box := rep.box(mb.Path)
		for i := range batch {
			id := batch[i].Message.Message.EmailID
			at := spot{mailbox: b.boxes[mb.ID]}
			if b.apply {
				uid, err := b.place(tx, at.mailbox, &batch[i], &arrivals[i])
				if err != nil {
					return err
				}
				if at.uid = uid; uid == 0 {
					rep.left("a message of %s changed meanwhile", mb.Path)
					continue
				}
			}
			came[id] = at
			rep.Back++
			box.Back++
		}
		return nil
	})
	for id, at := range came {
		b.placed[id] = at
	}
	return err
}

// fetch reads the bytes of a message out of the copy, and makes them durable here.
func (b *bringing) fetch(m *Message) (mail.Arrival, error) {
	body, err := b.from.Open(b.ctx, m.Message.Blob)
	if err != nil {
		return mail.Arrival{}, err
	}
	a, err := b.from.Ingest(b.ctx, body)
	a.EmailID, a.InternalDate, a.Flags, a.Annotations = m.Message.EmailID, m.Message.InternalDate, m.Flags, m.Annotations
	return a, errors.Join(err, body.Close())
}

// place puts one message into a mailbox and returns its UID; 0 if it is kept no longer.
func (b *bringing) place(tx store.Tx, mb mail.MailboxID, m *missing, a *mail.Arrival) (mail.UID, error) {
	var to store.Mapping
	var err error
	switch {
	case m.kept:
		to, err = tx.BringBack(mb, mail.MakeUIDSet(m.UID))
	case m.again != spot{}:
		to, err = tx.Copy(m.again.mailbox, mail.MakeUIDSet(m.again.uid), mb)
	default:
		p, err := tx.Append(mb, *a)
		return p.UID, err
	}
	if err != nil || len(to.To) == 0 {
		return 0, err
	}
	if _, err := tx.StoreFlags(mb, to.To, mail.FlagChange{Replace: true, Add: m.Flags}, nil); err != nil {
		return 0, err
	}
	now, err := notesNow(tx, mb, to.To[0].First)
	if err != nil {
		return 0, err
	}
	_, err = tx.Annotate(mb, to.To, differing(now, m.Annotations), nil)
	return to.To[0].First, err
}
