package admin

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"lockstep/internal/backup"
	"lockstep/internal/mail"
	"lockstep/internal/message"
	"lockstep/internal/past"
	"lockstep/internal/store"
)

// AsOf names an account as it was.
type AsOf struct {
	Login string
	past.When
}

// PastMailbox is a mailbox as it was.
type PastMailbox struct {
	Path     string
	Role     mail.Role
	Messages int64
	Now      string // where it is now; "" if it was deleted
	At       mail.Moment
}

// OfPastMailbox asks for the messages of a mailbox as it was.
type OfPastMailbox struct {
	AsOf
	Path string   // "" is all
	UID  mail.UID // 0 is all
}

// PastMessage is a message as it was.
type PastMessage struct {
	Mailbox string
	UID     mail.UID
	Flags   []string
	Date    time.Time
	Size    int64
	From    string
	Subject string
	Name    string // the same for the same message, whatever its mailbox
	Key     mail.MessageKey
	Gone    bool // it is there no longer under that UID
}

// Wanted is what of an account is to be as it was.
type Wanted struct {
	AsOf
	Mailbox string // "" is all
	Mode    past.Mode
	Apply   bool // else it is only told
	// From is a backup to bring back from what is nowhere in the account; "" is from
	// the account's own history. Without a Secret the key file of the server opens it.
	From   string
	Secret backup.Secret
}

// Looking is a server as a backup has it.
type Looking struct {
	Store     store.Store
	Directory store.Directory
	Open      func(context.Context, mail.Blob) (io.ReadCloser, error)
	Close     func() error
}

// Restoring is how far a restore is. The last is its result.
type Restoring struct {
	Stage  string // what is done before anything comes back; else ""
	At     mail.Moment
	Report past.Report
	Done   bool
}

// The verbs that look back.
var (
	PastRestore   = Verb[Wanted, Restoring]{"past/restore", (*Ops).pastRestore}
	PastMailboxes = Verb[AsOf, PastMailbox]{"past/mailboxes", (*Ops).pastMailboxes}
	PastMessages  = Verb[OfPastMailbox, PastMessage]{"past/messages", (*Ops).pastMessages}
)

// moment finds what an operator means.
func (o *Ops) moment(ctx context.Context, p store.Principal, w past.When) (mail.Moment, error) {
	if w.Before == 0 {
		return past.Find(ctx, o.Store, p.Account, w.Time)
	}
	var act, before []mail.Record
	var a mail.Account
	err := o.Store.View(ctx, p.Account, func(r store.Reader) (err error) {
		if a, err = r.Account(); err != nil {
			return err
		}
		if act, err = r.Journal(store.JournalQuery{Act: w.Before}); err != nil || len(act) == 0 {
			return err
		}
		before, err = r.Journal(store.JournalQuery{Before: act[len(act)-1].ModSeq, Limit: 1})
		return err
	})
	switch {
	case err != nil:
		return mail.Moment{}, err
	case len(act) == 0:
		return mail.Moment{}, mail.Errorf(mail.NotFound, "%s has no act %d, or it is too long ago; see: lockstep history %s", p.Login, w.Before, p.Login)
	case len(before) == 0:
		return mail.Moment{ModSeq: a.Horizon, Time: a.HorizonAt}, nil
	}
	return mail.Moment{ModSeq: before[0].ModSeq, Time: before[0].Time}, nil
}

func (o *Ops) pastView(ctx context.Context, q AsOf) (store.Principal, *past.View, mail.Moment, error) {
	p, err := o.principal(ctx, q.Login)
	if err != nil {
		return p, nil, mail.Moment{}, err
	}
	at, err := o.moment(ctx, p, q.When)
	if err != nil {
		return p, nil, at, err
	}
	v, err := past.Open(ctx, o.Store, p.Account, at.ModSeq)
	return p, v, at, err
}

func (o *Ops) pastMailboxes(ctx context.Context, q AsOf, emit func(PastMailbox) error) error {
	p, v, at, err := o.pastView(ctx, q)
	if err != nil {
		return err
	}
	now := map[mail.MailboxID]string{}
	err = o.Store.View(ctx, p.Account, func(r store.Reader) error {
		all, err := r.Mailboxes()
		for _, mb := range all {
			now[mb.ID] = mb.Path
		}
		return err
	})
	if err != nil {
		return err
	}
	for _, mb := range v.Mailboxes() {
		n, err := v.Count(ctx, mb.ID)
		if err != nil {
			return err
		}
		if err := emit(PastMailbox{mb.Path, mb.Image.Role, n, now[mb.ID], at}); err != nil {
			return err
		}
	}
	return nil
}

func (o *Ops) pastMessages(ctx context.Context, q OfPastMailbox, emit func(PastMessage) error) error {
	p, v, _, err := o.pastView(ctx, q.AsOf)
	if err != nil {
		return err
	}
	mailboxes := v.Mailboxes()
	if q.Path != "" {
		mb, err := v.MailboxByPath(q.Path)
		if err != nil {
			return mail.Errorf(mail.NotFound, "%s had no mailbox %q then; see: lockstep view %s --as-of …", p.Login, q.Path, p.Login)
		}
		mailboxes = []past.Mailbox{mb}
	}
	for _, mb := range mailboxes {
		err := v.Messages(ctx, past.Query{Mailbox: mb.ID, UID: q.UID, Whole: true}, func(m *past.Message) error {
			return emit(pastMessage(mb.Path, m))
		})
		if err != nil {
			return err
		}
	}
	return nil
}

func pastMessage(path string, m *past.Message) PastMessage {
	row := PastMessage{Mailbox: path, UID: m.UID, Flags: m.Flags.Names(), Date: m.Message.InternalDate, Size: m.Message.Size,
		Name: m.Message.EmailID.String(), Key: m.Key, Gone: m.Left != 0}
	env, err := message.DecodeEnvelope(m.Message.Parsed)
	if err != nil {
		return row // what a list shows of it is damaged: doctor makes it anew
	}
	row.Subject = message.DecodeWords(env.Subject)
	if len(env.From) > 0 {
		from := env.From[0]
		if row.From = message.DecodeWords(from.Name); row.From == "" {
			row.From = from.Mailbox + "@" + from.Host
		}
	}
	return row
}

func (o *Ops) pastRestore(ctx context.Context, q Wanted, emit func(Restoring) error) error {
	p, err := o.principal(ctx, q.Login)
	if err != nil {
		return err
	}
	if q.From != "" {
		return o.bringFrom(ctx, p, q, emit)
	}
	at, err := o.moment(ctx, p, q.When)
	if err != nil {
		return err
	}
	known, err := o.knownPrincipals(ctx)
	if err != nil {
		return err
	}
	wish := past.Wish{At: at.ModSeq, Mailbox: q.Mailbox, Mode: q.Mode, Known: known}
	if !q.Apply {
		report, err := past.Preview(ctx, o.Store, p.Account, wish)
		if err != nil {
			return err
		}
		return emit(Restoring{At: at, Report: report, Done: true})
	}
	report, err := past.Restore(ctx, o.Store, p.Account, operator(), wish, saying(at, emit))
	return o.restored(p, at, report, err, emit)
}

// saying says now and then how far a restore is.
func saying(at mail.Moment, emit func(Restoring) error) func(past.Report) {
	last := time.Now()
	return func(r past.Report) {
		if now := time.Now(); now.Sub(last) >= restoringEvery {
			last = now
			_ = emit(Restoring{At: at, Report: r}) // if who asked is gone, ctx ends it
		}
	}
}

// restored says what became of a restore.
func (o *Ops) restored(p store.Principal, at mail.Moment, report past.Report, err error, emit func(Restoring) error) error {
	if err != nil && report.Act != 0 {
		err = &mail.Error{Kind: mail.KindOf(err), Detail: fmt.Sprintf("%v; what was done until then is act %d: take it back with lockstep undo %d --account %s, or say the same again to go on", err, report.Act, report.Act, p.Login)}
	}
	if err != nil {
		return err
	}
	return emit(Restoring{At: at, Report: report, Done: true})
}

// bringFrom brings back from a backup.
func (o *Ops) bringFrom(ctx context.Context, p store.Principal, q Wanted, emit func(Restoring) error) error {
	if o.LookInto == nil {
		return mail.Errorf(mail.Unimplemented, "this server looks into no backups")
	}
	var last time.Time
	there, err := o.LookInto(ctx, q.From, q.Secret, q.Time, func(stage string) {
		if now := time.Now(); now.Sub(last) >= restoringEvery {
			last = now
			_ = emit(Restoring{Stage: stage})
		}
	})
	if err != nil {
		return err
	}
	err = o.bringOutOf(ctx, there, p, q, emit)
	return errors.Join(err, there.Close())
}

func (o *Ops) bringOutOf(ctx context.Context, there *Looking, p store.Principal, q Wanted, emit func(Restoring) error) error {
	copied := &Ops{Store: there.Store, Directory: there.Directory}
	was, err := copied.principal(ctx, q.Login)
	if err != nil {
		return mail.Errorf(mail.NotFound, "the backup has no account %s as of then", q.Login)
	}
	if q.Time.IsZero() && q.Before == 0 {
		q.Time = time.Now()
	}
	at, err := copied.moment(ctx, was, q.When)
	if err != nil {
		return err
	}
	v, err := past.Open(ctx, there.Store, was.Account, at.ModSeq)
	if err != nil {
		return err
	}
	from := past.Copy{View: v, Open: there.Open, Ingest: o.Ingest, Verify: o.verifyStored}
	report, err := past.Bring(ctx, o.Store, p.Account, operator(), from, past.Wish{Mailbox: q.Mailbox}, q.Apply, saying(at, emit))
	return o.restored(p, at, report, err, emit)
}

// verifyStored reads a stored message whole, where it lies now. Of one that is damaged each
// part is read by itself: so all are known that are to come again.
func (o *Ops) verifyStored(ctx context.Context, b mail.Blob) error {
	row, found, err := o.Blobs.Find(ctx, b.Name)
	if err == nil && !found {
		err = mail.Errorf(mail.Corrupt, "where it lies is not known: lockstep doctor looks for it")
	}
	if err != nil {
		return err
	}
	if err = o.Blobs.Verify(ctx, row); mail.KindOf(err) != mail.Corrupt || err == nil {
		return err
	}
	for _, name := range row.Parts {
		part, found, lookup := o.Blobs.Find(ctx, name)
		if lookup == nil && found {
			lookup = o.Blobs.Verify(ctx, part)
		}
		if lookup != nil && mail.KindOf(lookup) != mail.Corrupt {
			return lookup
		}
	}
	return err
}

// restoringEvery is how often a restore says how far it is.
const restoringEvery = 200 * time.Millisecond

// knownPrincipals returns who is there to be given rights.
func (o *Ops) knownPrincipals(ctx context.Context) (func(mail.PrincipalID) bool, error) {
	all, err := o.Directory.Accounts(ctx)
	known := map[mail.PrincipalID]bool{}
	for _, p := range all {
		known[mail.PrincipalID(p.ID)] = true
	}
	return func(id mail.PrincipalID) bool { return known[id] }, err
}

// pastHandler serves the bytes of a message of an account, also of one that left.
func (o *Ops) pastHandler(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	key, err := strconv.ParseInt(q.Get("key"), 10, 64)
	if err != nil {
		http.Error(w, "key is no number", http.StatusBadRequest)
		return
	}
	if err := o.sendPast(r.Context(), w, q.Get("login"), mail.MessageKey(key)); err != nil {
		status := http.StatusInternalServerError
		if mail.KindOf(err) == mail.NotFound {
			status = http.StatusNotFound
		}
		http.Error(w, err.Error(), status)
	}
}

func (o *Ops) sendPast(ctx context.Context, w http.ResponseWriter, login string, key mail.MessageKey) error {
	p, err := o.principal(ctx, login)
	if err != nil {
		return err
	}
	var m mail.Message
	err = o.Store.View(ctx, p.Account, func(r store.Reader) (err error) {
		m, err = r.Message(key)
		return err
	})
	if err != nil {
		return err
	}
	return o.sendBlob(ctx, w, m.Blob)
}

// PastMessage opens the bytes of one message that PastMessages told of.
func (c *Client) PastMessage(ctx context.Context, login string, m PastMessage) (io.ReadCloser, error) {
	q := url.Values{"login": {login}, "key": {strconv.FormatInt(int64(m.Key), 10)}}
	return c.message(ctx, "http://lockstep/v1/past/message?"+q.Encode(), m.UID, m.Mailbox)
}
