package admin

import (
	"context"
	"time"

	"lockstep/internal/mail"
	"lockstep/internal/store"
)

// Mailbox is one line of an account's mailboxes.
type Mailbox struct {
	Path        string
	Role        mail.Role
	Messages    int64
	Unseen      int64
	Size        int64
	UIDValidity mail.UIDValidity
	UIDNext     mail.UID
}

// MailboxList asks for an account's mailboxes.
var MailboxList = Verb[OfAccount, Mailbox]{"mailbox/list", (*Ops).mailboxList}

func (o *Ops) mailboxList(ctx context.Context, q OfAccount, emit func(Mailbox) error) error {
	p, err := o.principal(ctx, q.Login)
	if err != nil {
		return err
	}
	var all []mail.Mailbox
	err = o.Store.View(ctx, p.Account, func(r store.Reader) (err error) {
		all, err = r.Mailboxes()
		return err
	})
	if err != nil {
		return err
	}
	for _, mb := range all {
		if err := emit(Mailbox{mb.Path, mb.Role, mb.Counts.Placements, mb.Counts.Unseen, mb.Counts.Size, mb.UIDValidity, mb.UIDNext}); err != nil {
			return err
		}
	}
	return nil
}

// Outgoing is one line of the queue.
type Outgoing struct {
	ID        int64
	Restored  bool // came back with an older copy, and is held
	From, To  string
	Size      int64
	Arrived   time.Time
	Attempts  int
	Next      time.Time
	LastError string
}

// QueueList asks for what is on its way out, up to maxQueueRows.
var QueueList = Verb[Nothing, Outgoing]{"queue/list", (*Ops).queueList}

const maxQueueRows = 10_000

func (o *Ops) queueList(ctx context.Context, _ Nothing, emit func(Outgoing) error) error {
	all, err := o.Queue.Pending(ctx, maxQueueRows)
	if err != nil {
		return err
	}
	for _, m := range all {
		if err := emit(Outgoing{m.ID, m.Restored, m.ReversePath, m.Recipient, m.Blob.Size, m.Arrived, m.Attempts, m.Next, m.LastError}); err != nil {
			return err
		}
	}
	return nil
}

// Decide names what is held in the queue: a row of QueueList, or with 0 all.
type Decide struct{ ID int64 }

// Decided is how many messages that were.
type Decided struct{ Messages int }

// QueueRelease lets go out, and QueueDrop removes, what came back with an older copy of
// the store and is held, as it may have been sent already.
var (
	QueueRelease = Verb[Decide, Decided]{"queue/release", (*Ops).queueRelease}
	QueueDrop    = Verb[Decide, Decided]{"queue/drop", (*Ops).queueDrop}
)

func (o *Ops) queueRelease(ctx context.Context, q Decide, emit func(Decided) error) error {
	n, err := o.Queue.Release(ctx, q.ID)
	if err == nil && n > 0 && o.QueueMoved != nil {
		o.QueueMoved()
	}
	return decided(q, n, err, emit)
}

func (o *Ops) queueDrop(ctx context.Context, q Decide, emit func(Decided) error) error {
	n, err := o.Queue.Drop(ctx, q.ID)
	return decided(q, n, err, emit)
}

func decided(q Decide, n int, err error, emit func(Decided) error) error {
	switch {
	case err != nil:
		return err
	case n == 0 && q.ID != 0:
		return mail.Errorf(mail.NotFound, "nothing of the number %d is held; see: lockstep queue list", q.ID)
	}
	return emit(Decided{n})
}
