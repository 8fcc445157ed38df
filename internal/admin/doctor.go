package admin

import (
	"context"
	"fmt"

	"lockstep/internal/mail"
	"lockstep/internal/store"
)

// Examine asks the doctor.
type Examine struct {
	Login  string // "" is every account
	Repair bool   // make everything that is derived anew
	Fast   bool   // leave the bytes of the messages alone
}

// Finding is something that is not as it should be, or how far the doctor got.
type Finding struct {
	Login    string
	Problem  string // "" is progress
	Repaired bool
	Accounts int
	Messages int
}

// Doctor checks accounts: all counters and references, and every byte of every
// message. One bad item does not stop it.
var Doctor = Verb[Examine, Finding]{"doctor", (*Ops).doctor}

func (o *Ops) doctor(ctx context.Context, q Examine, emit func(Finding) error) error {
	all, err := o.Directory.Accounts(ctx)
	if err != nil {
		return err
	}
	if q.Login != "" {
		p, err := o.principal(ctx, q.Login)
		if err != nil {
			return err
		}
		all = []store.Principal{p}
	}
	x := &examination{o: o, q: q, emit: emit, seen: map[mail.BlobName]struct{}{}}
	for i, p := range all {
		if err := x.account(ctx, p); err != nil {
			return fmt.Errorf("%s: %w", p.Login, err)
		}
		if err := emit(Finding{Login: p.Login, Accounts: i + 1, Messages: x.messages}); err != nil {
			return err
		}
	}
	return nil
}

// examination is one run of the doctor.
type examination struct {
	o        *Ops
	q        Examine
	emit     func(Finding) error
	seen     map[mail.BlobName]struct{} // a blob in many mailboxes is read once
	messages int
}

func (x *examination) account(ctx context.Context, p store.Principal) error {
	problems, err := x.o.Keeper.Check(ctx, p.Account, x.q.Repair)
	if err != nil {
		return err
	}
	for _, what := range problems {
		if err := x.emit(Finding{Login: p.Login, Problem: what, Repaired: x.q.Repair}); err != nil {
			return err
		}
	}
	if x.q.Fast {
		return nil
	}
	var mailboxes []mail.Mailbox
	err = x.o.Store.View(ctx, p.Account, func(r store.Reader) (err error) {
		mailboxes, err = r.Mailboxes()
		return err
	})
	if err != nil {
		return err
	}
	for _, mb := range mailboxes {
		if err := x.mailbox(ctx, p, mb); err != nil {
			return err
		}
	}
	return nil
}

// pageMessages is how many messages one View reads.
const pageMessages = 500

// filed is a message and where it lies.
type filed struct {
	uid mail.UID
	m   mail.Message
}

func (x *examination) mailbox(ctx context.Context, p store.Principal, mb mail.Mailbox) error {
	for next := mail.UID(1); ; {
		page, err := readPage(ctx, x.o.Store, p.Account, mb.ID, next)
		if err != nil {
			return err
		}
		for _, f := range page {
			if err := x.message(ctx, p, mb, f); err != nil {
				return err
			}
		}
		if len(page) < pageMessages {
			return nil
		}
		next = page[len(page)-1].uid + 1
	}
}

// readPage reads the next messages of a mailbox; one deleted meanwhile is empty.
func readPage(ctx context.Context, st store.Store, account mail.AccountID, mb mail.MailboxID, from mail.UID) ([]filed, error) {
	var page []filed
	err := st.View(ctx, account, func(r store.Reader) error {
		page = page[:0]
		q := store.PlacementQuery{Mailbox: mb, UIDs: mail.UIDSet{{First: from, Last: 1<<32 - 1}}, Limit: pageMessages}
		return r.Messages(q, func(pl *mail.Placement, m *mail.Message) error {
			page = append(page, filed{pl.UID, *m})
			return nil
		})
	})
	if mail.KindOf(err) == mail.NotFound && err != nil {
		return nil, nil
	}
	return page, err
}

func (x *examination) message(ctx context.Context, p store.Principal, mb mail.Mailbox, f filed) error {
	x.messages++
	if _, ok := x.seen[f.m.Blob.Name]; ok {
		return nil
	}
	x.seen[f.m.Blob.Name] = struct{}{}
	err := x.o.Blobs.Verify(ctx, f.m.Blob)
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return ctx.Err()
	}
	return x.emit(Finding{Login: p.Login, Problem: fmt.Sprintf("message %d in %s is damaged and is not served: %v. Put it back from a backup, or expunge it", f.uid, mb.Path, err)})
}
