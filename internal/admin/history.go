package admin

import (
	"context"
	"slices"
	"strings"
	"time"

	"lockstep/internal/mail"
	"lockstep/internal/store"
	"lockstep/internal/undo"
)

// OfHistory asks for an account's journal, or a part of it.
type OfHistory struct {
	Login   string
	Mailbox string   // "" is all
	UID     mail.UID // of Mailbox; 0 is all
	Device  string   // name or number; "" is all
	Act     mail.ActID
	Limit   int // newest so many; 0 is historyRows
}

// Event is one record of the journal in words.
type Event struct {
	Time   time.Time
	Who    string // "phone (imap)"
	What   string // "marked 3 messages read in INBOX"
	Act    mail.ActID
	ModSeq mail.ModSeq
	Cause  mail.Cause
	// Session names the connection it came by.
	Session string
}

// String is the event as one line.
func (e Event) String() string { return e.Who + " " + e.What }

// historyRows is how many records are told unless more are asked for.
const historyRows = 50

// History asks for the journal in words, oldest of the asked ones first.
var History = Verb[OfHistory, Event]{"history", (*Ops).history}

func (o *Ops) history(ctx context.Context, q OfHistory, emit func(Event) error) error {
	p, err := o.principal(ctx, q.Login)
	if err != nil {
		return err
	}
	jq := store.JournalQuery{UID: q.UID, Act: q.Act}
	if q.Device != "" {
		_, d, err := o.device(ctx, OfDevice{Login: q.Login, Device: q.Device})
		if err != nil {
			return err
		}
		jq.Device = d.ID
	}
	limit := q.Limit
	if limit <= 0 {
		limit = historyRows
	}
	events, err := o.events(ctx, p, q.Mailbox, jq, limit)
	if err != nil {
		return err
	}
	for _, e := range slices.Backward(events) {
		if err := emit(e); err != nil {
			return err
		}
	}
	return nil
}

// journalPage is how many records one View reads.
const journalPage = 1000

// events reads the newest records, page by page, newest first.
func (o *Ops) events(ctx context.Context, p store.Principal, path string, q store.JournalQuery, limit int) ([]Event, error) {
	var events []Event
	for len(events) < limit {
		q.Limit = min(limit-len(events), journalPage)
		var records []mail.Record
		var n names
		err := o.Store.View(ctx, p.Account, func(r store.Reader) (err error) {
			if path != "" {
				mb, err := r.MailboxByPath(path)
				if err != nil {
					return noMailbox(err, p.Login, path)
				}
				q.Mailbox = mb.ID
			}
			if records, err = r.Journal(q); err == nil {
				n, err = readNames(r)
			}
			return err
		})
		if err == nil {
			err = o.readMembers(ctx, &n, records)
		}
		if err != nil {
			return nil, err
		}
		for _, rec := range records {
			events = append(events, Event{rec.Time, n.who(rec), n.what(rec), rec.Act, rec.ModSeq, rec.Cause, rec.Session})
		}
		if len(records) < q.Limit {
			break
		}
		q.Before = records[len(records)-1].ModSeq
	}
	return events, nil
}

func noMailbox(err error, login, path string) error {
	if mail.KindOf(err) != mail.NotFound {
		return err
	}
	return mail.Errorf(mail.NotFound, "%s has no mailbox %q; see: lockstep mailbox list %s", login, path, login)
}

// OfAct names what is to be taken back: an act of an account, or all that a device did
// since a moment.
type OfAct struct {
	Login   string
	Act     mail.ActID
	Device  string // name or number
	Since   time.Time
	Preview bool // only say what would come of it
}

// Undone says what an undo did, or would do.
type Undone struct {
	Acts  int // taken back
	Count int
	Left  []string
	Act   mail.ActID // by which the undo can be undone; 0 of a preview, or when nothing changed
}

// Undo takes back an act, or what a device did.
var Undo = Verb[OfAct, Undone]{"undo", (*Ops).undo}

func (o *Ops) undo(ctx context.Context, q OfAct, emit func(Undone) error) error {
	login, err := o.actsOwner(ctx, q)
	if err != nil {
		return err
	}
	p, err := o.principal(ctx, login)
	if err != nil {
		return err
	}
	asked := undo.Asked{Acts: []mail.ActID{q.Act}}
	if q.Device != "" {
		_, d, err := o.device(ctx, OfDevice{Login: login, Device: q.Device})
		if err != nil {
			return err
		}
		asked = undo.Asked{Device: d.ID, Since: q.Since}
	}
	done, err := undo.Do(ctx, o.Store, p.Account, operator(), asked, q.Preview)
	if mail.KindOf(err) == mail.NotFound && err != nil {
		if q.Device != "" {
			return mail.Errorf(mail.NotFound, "some of what the device did since then is too long ago to be taken back; choose a later moment")
		}
		return mail.Errorf(mail.NotFound, "%s has no act %d, or it is too long ago; see: lockstep history %s", login, q.Act, login)
	}
	if err != nil {
		return err
	}
	return emit(undone(done))
}

func undone(d undo.Done) Undone { return Undone{len(d.Acts), d.Undone, d.Left, d.Act} }

// actsOwner is the account an act is of: the one named, else the only one there is.
func (o *Ops) actsOwner(ctx context.Context, q OfAct) (string, error) {
	if strings.TrimSpace(q.Login) != "" {
		return q.Login, nil
	}
	all, err := o.Directory.Accounts(ctx)
	if err != nil {
		return "", err
	}
	if len(all) != 1 {
		return "", mail.Errorf(mail.Invalid, "acts are counted for each account: say which with --account")
	}
	return all[0].Login, nil
}
