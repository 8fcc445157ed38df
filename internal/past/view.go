package past

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"strings"
	"time"

	"lockstep/internal/mail"
	"lockstep/internal/store"
)

// bounds are how much a View keeps in memory, and what it reads in one View of the
// store.
type bounds struct{ changes, records, messages int }

// usual takes some four milliseconds for each page.
var usual = bounds{changes: maxChanges, records: 1000, messages: 500}

// View is an account as it was after one change. It is used by one goroutine.
type View struct {
	store   store.Store
	account mail.AccountID
	at      mail.ModSeq
	epoch   mail.Epoch
	frame   *frame
	order   []Mailbox
	since   *changes
	bounds
}

// Mailbox is a mailbox as it was.
type Mailbox struct {
	ID          mail.MailboxID
	Image       mail.MailboxImage
	Path        string
	UIDValidity mail.UIDValidity
	Grants      []mail.Grant // by principal, without Since
	Metadata    []mail.KeptMetadata
}

// Find returns the newest moment that is not later than t. TooOld says since when the
// account is known.
func Find(ctx context.Context, s store.Store, id mail.AccountID, t time.Time) (mail.Moment, error) {
	var a mail.Account
	err := s.View(ctx, id, func(r store.Reader) (err error) {
		a, err = r.Account()
		return err
	})
	if err != nil {
		return mail.Moment{}, err
	}
	if t.Before(a.HorizonAt) {
		return mail.Moment{}, tooOld(a, t)
	}
	for before := a.Head + 1; before > 0; {
		var newest, found []mail.Record
		var after mail.ModSeq
		err := s.View(ctx, id, func(r store.Reader) (err error) {
			// Where it came back from a copy, numbers leapt: so from record to record.
			newest, err = r.Journal(store.JournalQuery{Before: before, Limit: 1})
			if err != nil || len(newest) == 0 {
				return err
			}
			n := newest[0].ModSeq
			after = n - min(n, findPage)
			found, err = r.Journal(store.JournalQuery{Before: n + 1, After: after, Until: t.Add(time.Microsecond), Limit: 1})
			return err
		})
		if err != nil {
			return mail.Moment{}, err
		}
		if len(found) > 0 {
			return mail.Moment{ModSeq: found[0].ModSeq, Time: found[0].Time}, nil
		}
		if before = after + 1; len(newest) == 0 || after == 0 {
			break
		}
	}
	return mail.Moment{ModSeq: a.Horizon, Time: a.HorizonAt}, nil
}

// findPage is how many records one View looks at for a time.
const findPage = 20_000

func tooOld(a mail.Account, t time.Time) error {
	since := a.HorizonAt.Truncate(time.Second).Add(time.Second).Format(time.RFC3339) // so that it can be said back
	if a.Horizon == 0 {
		return mail.Errorf(mail.TooOld, "%s was made at %s: there was nothing before", a.Name, since)
	}
	return mail.Errorf(mail.TooOld, "the history of %s reaches back to %s, not to %s", a.Name, since, t.Format(time.RFC3339))
}

// Open returns the account as it was after the change at. TooOld below the horizon,
// Invalid above the head.
func Open(ctx context.Context, s store.Store, id mail.AccountID, at mail.ModSeq) (*View, error) {
	return open(ctx, s, id, at, usual)
}

func open(ctx context.Context, s store.Store, id mail.AccountID, at mail.ModSeq, b bounds) (*View, error) {
	v := &View{store: s, account: id, at: at, bounds: b}
	var head mail.ModSeq
	err := v.look(ctx, func(r store.Reader, a mail.Account) (err error) {
		if at > a.Head {
			return mail.Errorf(mail.Invalid, "there is no change %d yet", at)
		}
		head, v.epoch = a.Head, a.Epoch
		v.frame, err = readFrame(r)
		return err
	})
	if err != nil {
		return nil, err
	}
	v.since = newChanges(spot{}, v.bounds.changes, head)
	err = v.records(ctx, at, head, func(rec mail.Record) {
		for _, e := range slices.Backward(rec.Entries) {
			v.frame.takeBack(e)
			v.since.takeBack(e)
		}
	})
	v.order = v.frame.mailboxes()
	return v, err
}

// look runs fn on a snapshot that still reaches back to the moment.
func (v *View) look(ctx context.Context, fn func(store.Reader, mail.Account) error) error {
	return v.store.View(ctx, v.account, func(r store.Reader) error {
		a, err := r.Account()
		switch {
		case err != nil:
			return err
		case v.at < a.Horizon || v.epoch != 0 && v.epoch != a.Epoch:
			return mail.Errorf(mail.TooOld, "history no longer reaches back that far")
		}
		return fn(r, a)
	})
}

// records calls fn with the records after one ModSeq and up to another, newest first.
func (v *View) records(ctx context.Context, after, upTo mail.ModSeq, fn func(mail.Record)) error {
	for before := upTo + 1; before > after+1; {
		var page []mail.Record
		err := v.look(ctx, func(r store.Reader, _ mail.Account) (err error) {
			page, err = r.Journal(store.JournalQuery{Before: before, After: after, Limit: v.bounds.records})
			return err
		})
		if err != nil {
			return err
		}
		for _, rec := range page {
			fn(rec)
		}
		if len(page) < v.bounds.records {
			return nil
		}
		before = page[len(page)-1].ModSeq
	}
	return nil
}

// ModSeq is the change after which the account is shown.
func (v *View) ModSeq() mail.ModSeq { return v.at }

// Mailboxes returns the mailboxes, INBOX first, then by path, folded.
func (v *View) Mailboxes() []Mailbox { return v.order }

// Mailbox returns one of them.
func (v *View) Mailbox(id mail.MailboxID) (Mailbox, bool) {
	i := slices.IndexFunc(v.order, func(mb Mailbox) bool { return mb.ID == id })
	if i < 0 {
		return Mailbox{}, false
	}
	return v.order[i], true
}

// MailboxByPath finds a mailbox by the path it had; "inbox" in any case is INBOX.
func (v *View) MailboxByPath(path string) (Mailbox, error) {
	name, below, deep := strings.Cut(path, mail.Delimiter)
	if strings.EqualFold(name, "INBOX") {
		if path = "INBOX"; deep {
			path += mail.Delimiter + below
		}
	}
	i := slices.IndexFunc(v.order, func(mb Mailbox) bool { return mb.Path == path })
	if i < 0 {
		return Mailbox{}, mail.Errorf(mail.NotFound, "there was no mailbox %q then; lockstep view shows which there were", path)
	}
	return v.order[i], nil
}

// Subscriptions returns the subscribed paths, sorted.
func (v *View) Subscriptions() []string { return slices.Sorted(maps.Keys(v.frame.subs)) }

// Preference returns what the account had chosen, else the default.
func (v *View) Preference(p mail.Preference) string {
	return cmp.Or(v.frame.chosen[p], p.Default())
}

// Metadata returns the annotations of the account itself, by whose and name.
func (v *View) Metadata() []mail.KeptMetadata { return v.frame.notesOf(0) }

// Objects returns those of a type, by id; their Created and ModSeq are not told.
func (v *View) Objects(ctx context.Context, typ mail.Type) ([]mail.Object, error) {
	var head mail.ModSeq
	is := map[mail.ObjectID][]byte{}
	err := v.look(ctx, func(r store.Reader, a mail.Account) error {
		all, err := r.Objects(typ)
		for _, o := range all {
			is[o.ID] = o.Data
		}
		head = a.Head
		return err
	})
	if err != nil {
		return nil, err
	}
	err = v.records(ctx, v.at, head, func(rec mail.Record) {
		for _, e := range slices.Backward(rec.Entries) {
			switch {
			case e.Op == mail.OpObject && e.Type == typ:
				is[e.Object] = e.Old
			case e.Op == mail.OpErased && e.Type == typ:
				delete(is, e.Object) // nobody can tell what it was
			}
		}
	})
	var all []mail.Object
	for _, id := range slices.Sorted(maps.Keys(is)) {
		if is[id] != nil {
			all = append(all, mail.Object{Type: typ, ID: id, Data: is[id]})
		}
	}
	return all, err
}
