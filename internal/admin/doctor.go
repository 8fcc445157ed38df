package admin

import (
	"context"
	"errors"
	"fmt"

	"lockstep/internal/mail"
	"lockstep/internal/store"
	"lockstep/internal/upkeep"
)

// Examine asks the doctor.
type Examine struct {
	Login    string // "" is every account
	LookOnly bool   // change nothing
	Rebuild  bool   // make everything that is derived from the bytes of messages anew
	Fast     bool   // leave the bytes of the messages alone
}

// Finding is something that is not as it should be, or how far the doctor got.
type Finding struct {
	Login    string // "" is nobody's
	Problem  string // "" is progress
	Note     string // how something stands that is no problem
	Repaired bool
	Accounts int
	Messages int
}

// Doctor checks accounts: all counters and references, and every byte of every
// message; of all accounts, also what is stored and in no mailbox. What is derived
// is put right, and so is damage of which there is a good copy. One bad item does
// not stop it.
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
	x := &examination{o: o, q: q, emit: emit, seen: map[mail.BlobName]struct{}{}, broken: map[mail.BlobName]*broken{}}
	if q.Login == "" {
		if err := x.keys(ctx); err != nil {
			return err
		}
		if err := x.erasures(ctx); err != nil {
			return err
		}
	}
	if err := errors.Join(x.held(ctx), x.tables(ctx), x.stored(ctx)); err != nil {
		return err
	}
	for i, p := range all {
		if err := x.account(ctx, p); err != nil {
			return fmt.Errorf("%s: %w", p.Login, err)
		}
		if err := emit(Finding{Login: p.Login, Accounts: i + 1, Messages: x.messages}); err != nil {
			return err
		}
	}
	if err := x.settle(ctx); err != nil {
		return err
	}
	if o.Search != nil {
		if err := emit(Finding{Note: x.indexed.note(o.Search.Lag()), Accounts: len(all), Messages: x.messages}); err != nil {
			return err
		}
	}
	if err := x.scrubbed(len(all)); err != nil {
		return err
	}
	if err := x.certificates(ctx, len(all)); err != nil {
		return err
	}
	return x.backedUp(ctx, len(all))
}

// held tells of outgoing mail that somebody has to decide about.
func (x *examination) held(ctx context.Context) error {
	n, err := x.o.Queue.Held(ctx)
	if err != nil || n == 0 || x.q.Login != "" {
		return err
	}
	return x.found("", false, "%d outgoing messages are held, since the database came back from an older copy and they may have been sent already: look at them with lockstep queue list, then lockstep queue release or lockstep queue drop", n)
}

// examination is one run of the doctor.
type examination struct {
	o        *Ops
	q        Examine
	emit     func(Finding) error
	seen     map[mail.BlobName]struct{} // of one account: a blob in many mailboxes is read once
	broken   map[mail.BlobName]*broken
	refilled bool // lost rows of blobs were looked for
	messages int
	reparsed bool // what is shown of messages of the account was put right
	indexed  indexes
}

// found tells of something.
func (x *examination) found(login string, repaired bool, format string, args ...any) error {
	return x.emit(Finding{Login: login, Problem: fmt.Sprintf(format, args...), Repaired: repaired})
}

// whole reports whether the run looks at all bytes there are.
func (x *examination) whole() bool { return x.q.Login == "" && !x.q.Fast }

func (x *examination) account(ctx context.Context, p store.Principal) error {
	problems, err := upkeep.Recount(ctx, x.o.Keeper, p.Account, !x.q.LookOnly)
	if err != nil {
		return err
	}
	for _, found := range problems {
		if err := x.found(p.Login, found.Right, "%s", found.What); err != nil {
			return err
		}
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
	return x.index(ctx, p)
}

// pageMessages is how many messages one View reads.
const pageMessages = 500

// filed is a message and where it lies.
type filed struct {
	uid mail.UID
	m   mail.Message
}

func (x *examination) mailbox(ctx context.Context, p store.Principal, mb mail.Mailbox) error {
	d := &deriver{x: x, p: p, mb: mb}
	for next := mail.UID(1); ; {
		page, err := readPage(ctx, x.o.Store, p.Account, mb.ID, next)
		if err != nil {
			return err
		}
		for _, f := range page {
			x.messages++
			if err := x.message(ctx, d, f); err != nil {
				return err
			}
		}
		if err := d.flush(ctx); err != nil {
			return err
		}
		if len(page) < pageMessages {
			return d.report()
		}
		next = page[len(page)-1].uid + 1
	}
}

// readPage reads the next messages of a mailbox; one deleted meanwhile is empty.
func readPage(ctx context.Context, st store.Store, account mail.AccountID, mb mail.MailboxID, from mail.UID) ([]filed, error) {
	var page []filed
	err := st.View(ctx, account, func(r store.Reader) error {
		page = page[:0]
		q := store.PlacementQuery{Mailbox: mb, UIDs: mail.UIDSet{{First: from, Last: 1<<32 - 1}}, Limit: pageMessages, Located: true}
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

// message looks at one message: its bytes, and what is derived from them.
func (x *examination) message(ctx context.Context, d *deriver, f filed) error {
	if err := x.refill(ctx, d.p, &f); err != nil {
		return err
	}
	err := x.bytes(ctx, f.m.Blob)
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case err != nil:
		return x.isBroken(d, f, err)
	}
	return d.message(ctx, f)
}
