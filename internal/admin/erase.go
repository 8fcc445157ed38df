package admin

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"lockstep/internal/mail"
	"lockstep/internal/message"
	"lockstep/internal/store"
)

// Depths are places that no verb of the store reaches.
type Depths interface {
	// Scour takes out of the database's files what was deleted; see sqlstore.
	Scour(ctx context.Context) (pages, written int64, err error)
	// ForgetActor takes a login out of the journals of all accounts, those that are kept
	// among them, up to that time; zero is always.
	ForgetActor(ctx context.Context, login string, until time.Time) (int64, error)
	// Snapshots counts the copies of the database from before upgrades.
	Snapshots() (int, error)
	// DropSnapshots removes copies of the database from before upgrades.
	DropSnapshots() (int, error)
	// Traces counts how often one of the names lies in the files of the database, and how
	// many bytes were looked at.
	Traces(ctx context.Context, names []mail.BlobName) (found int, bytes int64, err error)
}

// ToErase says what is to be erased.
type ToErase struct {
	Kind    string   // "message", "person" or "account"
	Logins  []string // a message's or account's one; of a person, none is all
	Mailbox string   // of a message
	UID     mail.UID
	Email   string // a message's email id, in place of both
	Address string // the person's
	By      string // who asks, for the proof
	Expect  int    // how many messages the preview named; else Conflict. Of an account -1
}

// Doomed is something that is to be erased, or at the end how much that is.
type Doomed struct {
	Login   string
	Kept    bool // the account was removed, and is kept
	Date    time.Time
	From    string
	Subject string
	Where   []string // mailboxes; none: it left, and is kept in the history
	Total   int      // of the last row: messages
	Notes   []string // of the last row: what there is to know
}

// Erasing is one thing to know of an erasing on its way.
type Erasing struct {
	Stage string
	Done  int
	Total int
	Proof *Proof // comes last
	Text  []byte // the document
}

// The verbs of erasing. EraseLook shows what would be erased and changes nothing.
var (
	EraseLook   = Verb[ToErase, Doomed]{"erase/look", (*Ops).eraseLook}
	EraseDo     = Verb[ToErase, Erasing]{"erase/do", (*Ops).eraseDo}
	EraseResume = Verb[Nothing, Erasing]{"erase/resume", (*Ops).eraseResume}
)

// The kinds of what is erased.
const (
	eraseMessage = "message"
	erasePerson  = "person"
	eraseAccount = "account"
)

// task is what an erasing still has to do, as it is remembered.
type task struct {
	Stage    stage
	Accounts []taskOf
	Blobs    []byte    // names, 32 bytes each
	Login    string    `json:",omitempty"` // of the account
	Until    time.Time `json:",omitzero"`  // when the account was removed, from when on its login is another's
	Address  string    `json:",omitempty"` // of the person
	Begun    string    `json:",omitempty"` // the set that was begun for it in the backup
	Anew     string    `json:",omitempty"` // the set by which the backup was begun anew: it has a point
	Proof    Proof
}

type taskOf struct {
	Account  mail.AccountID
	Kept     bool              `json:",omitempty"` // it was removed, and is kept
	Messages []mail.MessageKey `json:",omitempty"`
	Objects  []mail.ObjectID   `json:",omitempty"`
}

// A stage is done whole before the next begins, and can be done again.
type stage int

const (
	stageRows stage = iota
	stageBlobs
	stageSearch
	stageFiles
	stageBackups
	stageDone
)

var stageWords = []string{"taking rows out", "writing over stored bytes", "throwing search indexes away", "cleaning the database's files", "beginning the backup anew", "done"}

// eraseChunk is how many messages are erased in one transaction.
const eraseChunk = 100

func (o *Ops) eraseLook(ctx context.Context, q ToErase, emit func(Doomed) error) error {
	f := &finding{o: o, q: q, emit: emit}
	if err := f.find(ctx); err != nil {
		return err
	}
	notes, err := f.notes(ctx)
	if err != nil {
		return err
	}
	return emit(Doomed{Total: f.total, Notes: notes})
}

// finding finds what is to be erased.
type finding struct {
	o     *Ops
	q     ToErase
	emit  func(Doomed) error // of each message that is shown; nil: nobody looks
	shown int
	total int
	task  task
	names map[mail.BlobName]bool
	kept  map[mail.AccountID]store.RemovedAccount // that were removed and are kept
}

// maxShown bounds how many messages are shown before they are erased.
const maxShown = 200

func (f *finding) find(ctx context.Context) error {
	f.names, f.kept = map[mail.BlobName]bool{}, map[mail.AccountID]store.RemovedAccount{}
	kept, err := f.o.Directory.KeptRemoved(ctx)
	if err != nil {
		return err
	}
	for _, k := range kept {
		f.kept[k.Account] = k
	}
	ctx = store.AmongRemoved(ctx)
	switch {
	case f.q.Kind == eraseMessage && len(f.q.Logins) == 1:
		return f.findMessage(ctx)
	case f.q.Kind == erasePerson && strings.Contains(f.q.Address, "@"):
		return f.findPerson(ctx)
	case f.q.Kind == eraseAccount && len(f.q.Logins) == 1:
		return f.findAccount(ctx)
	case f.q.Kind == erasePerson:
		return mail.Errorf(mail.Invalid, "%q is no address", f.q.Address)
	}
	return mail.Errorf(mail.Invalid, "what is to be erased: a message, a person or an account?")
}

// owner is whose account a login names: somebody's who is there, else of those who were
// removed and are kept the last of that login, or the one of that number.
func (f *finding) owner(ctx context.Context, login string) (store.Principal, error) {
	p, err := f.o.principal(ctx, login)
	if mail.KindOf(err) == mail.NotFound && err != nil {
		if k, keptErr := f.o.kept(ctx, login); keptErr == nil {
			return k.Principal, nil
		}
	}
	return p, err
}

func (f *finding) findMessage(ctx context.Context) error {
	p, err := f.owner(ctx, f.q.Logins[0])
	if err != nil {
		return err
	}
	var key mail.MessageKey
	err = f.o.Store.View(ctx, p.Account, func(r store.Reader) error {
		if f.q.Email != "" {
			id, ok := mail.ParseEmailID(f.q.Email)
			if !ok {
				return mail.Errorf(mail.Invalid, "%q is no email id: it looks like E…, or give a mailbox and a UID", f.q.Email)
			}
			m, err := r.MessageByEmailID(id)
			key = m.Key
			return err
		}
		mb, err := r.MailboxByPath(f.q.Mailbox)
		if err != nil {
			return noMailbox(err, p.Login, f.q.Mailbox)
		}
		key, err = messageOf(r, mb.ID, f.q.UID)
		return err
	})
	if err != nil {
		if mail.KindOf(err) == mail.NotFound {
			return mail.Errorf(mail.NotFound, "%s has no such message, or it was erased: %s", p.Login, mail.DetailOf(err))
		}
		return err
	}
	return f.take(ctx, p, []mail.MessageKey{key}, nil)
}

// messageOf is the message of a UID, also of one that left.
func messageOf(r store.Reader, mb mail.MailboxID, uid mail.UID) (key mail.MessageKey, err error) {
	err = r.Placements(store.PlacementQuery{Mailbox: mb, UIDs: mail.MakeUIDSet(uid)}, func(p *mail.Placement) error {
		key = p.Message
		return nil
	})
	if err != nil || key != 0 {
		return key, err
	}
	p, err := r.Departed(mb, uid)
	return p.Message, err
}

// findPerson finds all mail from and to an address, also what left and is kept.
func (f *finding) findPerson(ctx context.Context) error {
	accounts, err := f.accounts(ctx)
	if err != nil {
		return err
	}
	address := strings.ToLower(strings.TrimSpace(f.q.Address))
	for _, p := range accounts {
		keys, err := f.everyMessage(ctx, p)
		if err != nil {
			return err
		}
		if err := f.take(ctx, p, keys, func(v *message.Envelope) bool { return isWith(v, address) }); err != nil {
			return err
		}
	}
	f.task.Address = address
	return nil
}

func (f *finding) accounts(ctx context.Context) (all []store.Principal, err error) {
	if len(f.q.Logins) == 0 {
		all, err = f.o.Directory.Accounts(ctx)
		for _, id := range slices.Sorted(maps.Keys(f.kept)) {
			all = append(all, f.kept[id].Principal)
		}
		return all, err
	}
	for _, login := range f.q.Logins {
		p, err := f.owner(ctx, login)
		if err != nil {
			return nil, err
		}
		all = append(all, p)
	}
	return all, nil
}

// isWith reports whether somebody with the address wrote or got a message.
func isWith(v *message.Envelope, address string) bool {
	for _, list := range [][]message.Address{v.From, v.Sender, v.ReplyTo, v.To, v.Cc, v.Bcc} {
		for _, a := range list {
			if strings.EqualFold(a.Spec(), address) {
				return true
			}
		}
	}
	return false
}

// everyMessage returns the messages of an account, and those that left it and are kept.
func (f *finding) everyMessage(ctx context.Context, p store.Principal) (keys []mail.MessageKey, err error) {
	err = f.o.Store.View(ctx, p.Account, func(r store.Reader) error {
		keys = keys[:0]
		all, err := r.Mailboxes()
		for _, mb := range all {
			if err == nil {
				err = r.Placements(store.PlacementQuery{Mailbox: mb.ID}, func(p *mail.Placement) error { keys = append(keys, p.Message); return nil })
			}
		}
		if err != nil {
			return err
		}
		return r.KeptMessages(func(key mail.MessageKey) error { keys = append(keys, key); return nil })
	})
	slices.Sort(keys)
	return slices.Compact(keys), err
}

// take takes those of messages that are wanted, page by page.
func (f *finding) take(ctx context.Context, p store.Principal, keys []mail.MessageKey, want func(*message.Envelope) bool) error {
	_, kept := f.kept[p.Account]
	of := taskOf{Account: p.Account, Kept: kept}
	var emails []string
	for page := range slices.Chunk(keys, pageMessages) {
		var taken []Doomed
		var found []mail.Message
		err := f.o.Store.View(ctx, p.Account, func(r store.Reader) error {
			taken, found = nil, nil
			n, err := readNames(r)
			if err != nil {
				return err
			}
			for _, key := range page {
				m, err := r.Message(key)
				if err != nil && mail.KindOf(err) == mail.NotFound {
					continue // gone meanwhile
				}
				if err != nil {
					return err
				}
				v, err := message.DecodeEnvelope(m.Parsed)
				if want != nil && (err != nil || !want(&v)) {
					continue
				}
				found = append(found, m)
				d, err := doomedOf(r, p, n, &m, &v)
				if d.Kept = kept; err != nil {
					return err
				}
				if f.emit != nil && f.shown+len(taken) < maxShown {
					taken = append(taken, d)
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
		for _, m := range found {
			of.Messages = append(of.Messages, m.Key)
			emails = append(emails, m.EmailID.String())
			f.names[m.Blob.Name] = true
		}
		f.shown += len(taken)
		for _, d := range taken {
			if err := f.emit(d); err != nil {
				return err
			}
		}
	}
	objects, err := f.objects(ctx, p, emails)
	if err != nil || len(of.Messages)+len(objects) == 0 {
		return err
	}
	of.Objects = objects
	f.total += len(of.Messages)
	f.task.Accounts = append(f.task.Accounts, of)
	return nil
}

func doomedOf(r store.Reader, p store.Principal, n names, m *mail.Message, v *message.Envelope) (Doomed, error) {
	d := Doomed{Login: p.Login, Date: m.InternalDate, Subject: message.DecodeWords(v.Subject)}
	if len(v.From) > 0 {
		d.From = v.From[0].Spec()
	}
	there, err := r.PlacementsOf(m.Key)
	for _, pl := range there {
		if where := n.mailbox(pl.Mailbox, nil); !slices.Contains(d.Where, where) {
			d.Where = append(d.Where, where)
		}
	}
	return d, err
}

// sentMail is what is asked of what is kept of a message that was sent by JMAP.
type sentMail struct {
	Email    string `json:"email"`
	Envelope struct {
		MailFrom struct {
			Email string `json:"email"`
		} `json:"mailFrom"`
		RcptTo []struct {
			Email string `json:"email"`
		} `json:"rcptTo"`
	} `json:"envelope"`
}

// objects finds what is kept of sending the messages, or of sending to the person.
func (f *finding) objects(ctx context.Context, p store.Principal, emails []string) (ids []mail.ObjectID, err error) {
	slices.Sort(emails)
	err = f.o.Store.View(ctx, p.Account, func(r store.Reader) error {
		ids = nil
		all, err := r.Objects(mail.TypeSubmission)
		for _, obj := range all {
			var s sentMail
			if json.Unmarshal(obj.Data, &s) != nil {
				continue
			}
			_, ours := slices.BinarySearch(emails, s.Email)
			if ours || f.q.Kind == erasePerson && s.isWith(f.q.Address) {
				ids = append(ids, obj.ID)
			}
		}
		return err
	})
	return ids, err
}

func (s *sentMail) isWith(address string) bool {
	address = strings.TrimSpace(address)
	for _, to := range s.Envelope.RcptTo {
		if strings.EqualFold(to.Email, address) {
			return true
		}
	}
	return strings.EqualFold(s.Envelope.MailFrom.Email, address)
}

func (f *finding) findAccount(ctx context.Context) error {
	p, err := f.owner(ctx, f.q.Logins[0])
	if err != nil {
		return err
	}
	keys, err := f.everyMessage(ctx, p)
	if err != nil {
		return err
	}
	k, kept := f.kept[p.Account]
	f.total = len(keys)
	f.task.Login, f.task.Until = p.Login, k.At
	f.task.Accounts = []taskOf{{Account: p.Account, Kept: kept}}
	return nil
}

// notes is what there is to know before something is erased.
func (f *finding) notes(ctx context.Context) (notes []string, err error) {
	all, err := f.o.Directory.Accounts(ctx)
	if err != nil {
		return nil, err
	}
	for _, of := range f.task.Accounts {
		i := slices.IndexFunc(all, func(p store.Principal) bool { return p.Account == of.Account })
		if i < 0 {
			continue
		}
		floods, err := f.o.floods(ctx, all[i])
		if err != nil {
			return nil, err
		}
		if len(floods) > 0 {
			notes = append(notes, fmt.Sprintf("%s: a device deleted much at once and nobody decided about it (lockstep guard list): all history is kept until then. What is erased does not come back with it.", all[i].Login))
		}
	}
	for _, of := range f.task.Accounts {
		if k, kept := f.kept[of.Account]; kept {
			notes = append(notes, f.noteKept(k))
		}
	}
	if f.q.Kind == erasePerson {
		notes = append(notes, "Only mail whose header names the address as sender or recipient is found. What others wrote about the person is not.")
	}
	if o := f.o; o.Backups == nil || o.Backups.To == "" {
		notes = append(notes, "No backup is configured (backup.to): copies that were made by hand still have it.")
	} else {
		notes = append(notes, fmt.Sprintf("The backup in %s is begun anew, and the keys of all earlier points are destroyed: the server can't be brought back to a time before this.", o.Backups.To))
	}
	return notes, nil
}

// noteKept says what erasing in an account means that was removed.
func (f *finding) noteKept(k store.RemovedAccount) string {
	who := fmt.Sprintf("%s (number %d, removed %s)", k.Login, int64(k.Account), k.At.UTC().Format("2006-01-02"))
	if f.q.Kind == eraseAccount {
		return who + " was removed and is kept: it can't be brought back after this."
	}
	return who + " was removed and is kept: it stays so, and what is erased does not come back with it."
}

// eraseDo erases.
func (o *Ops) eraseDo(ctx context.Context, q ToErase, emit func(Erasing) error) error {
	if o.Erasures == nil || o.Depths == nil {
		return mail.Errorf(mail.Unimplemented, "nothing can be erased here")
	}
	return o.aloneErasing(ctx, func(ctx context.Context) error { return o.erase(ctx, q, emit) })
}

// eraseLease is what a node has while it erases.
const eraseLease = "erase"

// aloneErasing does what has to do with erasing, which nobody else does meanwhile, here or on
// another node. It waits for who does it here, and is Conflict when a node does.
func (o *Ops) aloneErasing(ctx context.Context, do func(context.Context) error) error {
	o.erasing.Lock()
	defer o.erasing.Unlock()
	if o.Alone == nil {
		return do(ctx)
	}
	return o.Alone(ctx, eraseLease, do)
}

// erase finds what is asked for, writes down what is to be done, and does it.
func (o *Ops) erase(ctx context.Context, q ToErase, emit func(Erasing) error) error {
	f := &finding{o: o, q: q}
	if err := f.find(ctx); err != nil {
		return err
	}
	switch {
	case q.Expect >= 0 && f.total != q.Expect:
		return mail.Errorf(mail.Conflict, "there are %d messages now, and %d were shown. Nothing was erased: look again", f.total, q.Expect)
	case len(f.task.Accounts) == 0:
		return mail.Errorf(mail.NotFound, "there is nothing to erase")
	}
	t := &f.task
	for name := range f.names {
		t.Blobs = append(t.Blobs, name[:]...)
	}
	t.Proof = Proof{Kind: q.Kind, By: strings.TrimSpace("operator " + q.By), Program: o.Version, Fingerprint: o.Blobs.Keys().Fingerprint(), Begun: time.Now().UTC().Truncate(time.Second)}
	if who := t.Address + t.Login; who != "" {
		t.Proof.Who = whoDigest(o.ProofKey, who)
	}
	for _, of := range t.Accounts {
		t.Proof.Accounts = append(t.Proof.Accounts, of.Account)
		if of.Kept {
			t.Proof.Kept = append(t.Proof.Kept, of.Account)
		}
	}
	state, err := json.Marshal(t)
	if err != nil {
		return err
	}
	id, err := o.Erasures.BeginErasure(ctx, state)
	if err != nil {
		return err
	}
	t.Proof.Number = id
	if q.Kind == eraseAccount {
		t.Proof.Erased.Messages = f.total
	}
	o.Log.InfoContext(ctx, "erasing", "erasure", id, "kind", q.Kind)
	return o.carryOut(ctx, id, t, emit)
}

// ResumeErasures goes on with erasures that were cut short or could not be finished, unless
// another node is erasing.
func (o *Ops) ResumeErasures(ctx context.Context) error {
	began := false
	err := o.resumeErasing(ctx, func(Erasing) error { return ctx.Err() }, func() { began = true })
	if !began && mail.KindOf(err) == mail.Conflict && err != nil {
		return nil
	}
	return err
}

func (o *Ops) eraseResume(ctx context.Context, _ Nothing, emit func(Erasing) error) error {
	return o.resumeErasing(ctx, emit, func() {})
}

// resumeErasing goes on with what was cut short, or could not be finished. began is called
// once nobody else does.
func (o *Ops) resumeErasing(ctx context.Context, emit func(Erasing) error, began func()) error {
	if o.Erasures == nil || o.Depths == nil {
		return nil
	}
	return o.aloneErasing(ctx, func(ctx context.Context) error {
		began()
		return o.carryOutAll(ctx, emit)
	})
}

// carryOutAll goes on with all that is open.
func (o *Ops) carryOutAll(ctx context.Context, emit func(Erasing) error) error {
	all, err := o.Erasures.Erasures(ctx, false)
	if err != nil {
		return err
	}
	var errs []error // one that can't be ended holds up no other
	for _, e := range all {
		if !e.Open || ctx.Err() != nil {
			continue
		}
		var t task
		if err := json.Unmarshal(e.State, &t); err != nil {
			errs = append(errs, fmt.Errorf("erasure %d: %w", e.ID, err))
			continue
		}
		t.Proof.Number = e.ID
		errs = append(errs, o.carryOut(ctx, e.ID, &t, emit))
	}
	return errors.Join(append(errs, ctx.Err())...)
}

// carryOut does the stages that are left, and writes down each.
func (o *Ops) carryOut(ctx context.Context, id int64, t *task, emit func(Erasing) error) error {
	x := &erasing{o: o, id: id, task: t, emit: emit}
	stages := []func(context.Context) error{x.rows, x.blobs, x.search, x.files, x.backups}
	for ; t.Stage < stageDone; t.Stage++ {
		if err := x.tell(0, 0); err != nil {
			return err
		}
		if err := stages[t.Stage](ctx); err != nil {
			return fmt.Errorf("erasure %d is not finished (%s), and goes on with lockstep erase resume, or by itself: %w", id, stageWords[t.Stage], err)
		}
		if len(t.Proof.Pending) > 0 {
			break
		}
		if err := x.save(ctx); err != nil {
			return err
		}
	}
	return x.finish(ctx)
}

// erasing is an erasing that is carried out.
type erasing struct {
	o    *Ops
	id   int64
	task *task
	emit func(Erasing) error
}

func (x *erasing) tell(done, total int) error {
	return x.emit(Erasing{Stage: stageWords[x.task.Stage], Done: done, Total: total})
}

// reached writes down that a place was reached.
func (x *erasing) reached(place, done, checked string) {
	p := &x.task.Proof
	p.Reached = slices.DeleteFunc(p.Reached, func(r Reached) bool { return r.Place == place })
	p.Reached = append(p.Reached, Reached{place, done, checked})
}

// save remembers that a stage is done.
func (x *erasing) save(ctx context.Context) error {
	next := *x.task
	next.Stage++
	return x.remember(ctx, next)
}

func (x *erasing) remember(ctx context.Context, t task) error {
	state, err := json.Marshal(t)
	if err != nil {
		return err
	}
	return x.o.Erasures.SetErasure(ctx, store.Erasure{ID: x.id, Open: true, State: state})
}

// names are the blobs of the messages.
func (x *erasing) names() []mail.BlobName {
	var all []mail.BlobName
	for name := range slices.Chunk(x.task.Blobs, len(mail.BlobName{})) {
		all = append(all, mail.BlobName(name))
	}
	slices.SortFunc(all, func(a, b mail.BlobName) int { return bytes.Compare(a[:], b[:]) })
	return all
}

// rows takes out what is in the database.
func (x *erasing) rows(ctx context.Context) error {
	ctx = store.AmongRemoved(ctx)
	p := &x.task.Proof
	if p.Kind == eraseAccount {
		if err := x.account(ctx); err != nil {
			return err
		}
	}
	done, total := 0, 0
	for _, of := range x.task.Accounts {
		total += len(of.Messages)
	}
	for _, of := range x.task.Accounts {
		for len(of.Messages)+len(of.Objects) > 0 {
			some := mail.Erasing{Messages: of.Messages[:min(eraseChunk, len(of.Messages))], Objects: of.Objects[:min(eraseChunk, len(of.Objects))]}
			of.Messages, of.Objects = of.Messages[len(some.Messages):], of.Objects[len(some.Objects):]
			var now mail.Erased
			_, err := x.o.Store.Update(ctx, of.Account, operator(), func(tx store.Tx) (err error) {
				now, err = tx.Erase(some)
				return err
			})
			if err != nil && mail.KindOf(err) == mail.NotFound { // the account is gone meanwhile
				break
			}
			if err != nil {
				return err
			}
			p.Erased.Add(now)
			done += len(some.Messages)
			if err := x.tell(done, total); err != nil {
				return err
			}
		}
	}
	if err := x.outgoing(ctx); err != nil {
		return err
	}
	looked, err := x.lookAgain(ctx)
	if err != nil {
		return err
	}
	if len(p.Kept) > 0 {
		x.reached("removed accounts", counted(len(p.Kept), "account")+" that had been removed and could be brought back", "looked at as the others; none was brought back for it")
	}
	if p.Kind == eraseAccount {
		return nil
	}
	x.reached("database", fmt.Sprintf("%s out of mailboxes, history, journal, conversations, annotations, uploads and what is kept of sending", counted(p.Erased.Messages, "message")),
		fmt.Sprintf("%s asked for again: there is none. Numbers, dates and sizes are kept of them until the horizon of the history", counted(looked, "message")))
	return nil
}

// lookAgain asks for each message once more.
func (x *erasing) lookAgain(ctx context.Context) (n int, err error) {
	for _, of := range x.task.Accounts {
		for page := range slices.Chunk(of.Messages, pageMessages) {
			err := x.o.Store.View(ctx, of.Account, func(r store.Reader) error {
				for _, key := range page {
					if _, err := r.Message(key); err == nil {
						return mail.Errorf(mail.Unavailable, "a message is there yet")
					} else if mail.KindOf(err) != mail.NotFound {
						return err
					}
				}
				return nil
			})
			if err != nil && mail.KindOf(err) != mail.NotFound {
				return n, err
			}
			n += len(page)
		}
	}
	return n, nil
}

// account removes an account with all that is its own.
func (x *erasing) account(ctx context.Context) error {
	p := &x.task.Proof
	id := x.task.Accounts[0].Account
	if err := x.o.Auth.SetDisabled(ctx, id, true); err != nil && mail.KindOf(err) != mail.NotFound { // its sessions end first
		return err
	}
	if err := x.o.Directory.RemoveAccount(ctx, id); err != nil && mail.KindOf(err) != mail.NotFound {
		return err
	}
	if err := x.o.Store.View(ctx, id, func(store.Reader) error { return nil }); mail.KindOf(err) != mail.NotFound || err == nil {
		return mail.Errorf(mail.Unavailable, "the account is there yet")
	}
	n, err := x.o.Depths.ForgetActor(ctx, x.task.Login, x.task.Until)
	if err != nil {
		return err
	}
	p.Erased.Records += int(n)
	x.reached("account", "its mail, settings, devices, passwords, addresses and what it was given by others", fmt.Sprintf("it was asked for again: there is none; its login was taken out of %s of others' journals", counted(n, "record")))
	return nil
}

// queuePage is how many messages on their way out are looked at once.
const queuePage = 1 << 20

// outgoing takes out of the queue what is on its way, from the accounts, with the
// messages' bytes or to the person.
func (x *erasing) outgoing(ctx context.Context) error {
	all, err := x.o.Queue.Pending(ctx, queuePage)
	if err != nil {
		return err
	}
	names := map[mail.BlobName]bool{}
	for _, name := range x.names() {
		names[name] = true
	}
	for _, out := range all {
		ours := slices.ContainsFunc(x.task.Accounts, func(of taskOf) bool { return of.Account == out.Account })
		if !ours || !names[out.Blob.Name] && !x.isPerson(out.Recipient) && !x.isPerson(out.ReversePath) {
			continue
		}
		if !names[out.Blob.Name] {
			x.task.Blobs = append(x.task.Blobs, out.Blob.Name[:]...)
		}
		if err := x.o.Queue.Done(ctx, out.ID); err != nil && mail.KindOf(err) != mail.NotFound {
			return err
		}
		x.task.Proof.Outgoing++
	}
	return nil
}

func (x *erasing) isPerson(address string) bool {
	return x.task.Address != "" && strings.EqualFold(address, x.task.Address)
}

// blobs takes out the stored bytes that nothing names any more.
func (x *erasing) blobs(ctx context.Context) error {
	names := x.names()
	if x.task.Proof.Kind == eraseAccount {
		more, err := x.o.Blobs.Unnamed(ctx)
		if err != nil {
			return err
		}
		names = more
	}
	dead, err := x.o.Blobs.Dead(ctx)
	if err != nil {
		return err
	}
	x.task.Proof.Blobs.Dead += len(dead)
	names = append(names, dead...)
	done, err := x.o.Blobs.Erase(ctx, names)
	if err != nil {
		return err
	}
	slices.SortFunc(done.Gone, func(a, b mail.BlobName) int { return bytes.Compare(a[:], b[:]) })
	sum := sha256.New()
	var gone []byte
	for _, name := range done.Gone {
		sum.Write(name[:])
		gone = append(gone, name[:]...)
	}
	p := &x.task.Proof
	p.Blobs.Gone, p.Blobs.Kept, p.Blobs.Digest = len(done.Gone), len(done.Kept), hex.EncodeToString(sum.Sum(nil))
	p.Blobs.Records += done.Records
	p.Blobs.Bytes += done.Bytes
	found, records, err := x.o.Blobs.Holds(ctx, done.Gone)
	if err != nil {
		return err
	}
	if found {
		return mail.Errorf(mail.Unavailable, "a record of what is erased is in the packs yet")
	}
	x.task.Blobs = gone
	if where := x.o.Blobs.InBucket(); where != "" {
		x.reached("bucket", fmt.Sprintf("the keys of %s, without which nobody can open what is left of them, and %s in %s", counted(len(done.Gone), "blob"), counted(done.Records, "record"), where), fmt.Sprintf("%d rows were looked for, which have the only copies of the keys but for backups of the database: none is there", records))
	} else {
		x.reached("packs", fmt.Sprintf("%s of %s written over with zeros, and their keys", counted(done.Records, "record"), counted(len(done.Gone), "blob")), fmt.Sprintf("the headers of all %d records were read: none is of one of them", records))
	}
	if len(done.Kept) > 0 {
		p.Remains = append(p.Remains, fmt.Sprintf("%s that other messages, here or in other accounts, consist of too", counted(len(done.Kept), "stored blob")))
	}
	return nil
}

// search throws the indexes of the accounts away; they are made again of what is left.
func (x *erasing) search(ctx context.Context) error {
	x.task.Login, x.task.Address = "", "" // from here on nobody needs to know
	if x.o.Search == nil {
		return nil
	}
	for _, of := range x.task.Accounts {
		var err error
		if x.task.Proof.Kind == eraseAccount || of.Kept {
			err = x.o.Search.Forget(ctx, of.Account)
		} else {
			err = x.o.Search.Renew(ctx, of.Account)
		}
		if err != nil {
			return err
		}
	}
	gone := "their files are gone"
	if !x.o.Search.IsAlone() {
		gone = "no row of them is left"
	}
	x.reached("search indexes", counted(len(x.task.Accounts), "index")+" thrown away, to be made anew of what is left", gone)
	return nil
}

// files cleans the database's files, and looks into them.
func (x *erasing) files(ctx context.Context) error {
	for i := range x.task.Accounts {
		x.task.Accounts[i] = taskOf{Account: x.task.Accounts[i].Account}
	}
	snapshots, err := x.o.Depths.DropSnapshots()
	if err != nil {
		return err
	}
	pages, written, err := x.o.Depths.Scour(ctx)
	if mail.KindOf(err) == mail.Unimplemented {
		x.task.Proof.Remains = append(x.task.Proof.Remains, "rows that PostgreSQL has deleted and not yet written over, in its files (VACUUM FULL), its log, its standbys and its backups")
		return nil
	}
	if err != nil {
		return err
	}
	found, size, err := x.o.Depths.Traces(ctx, x.names())
	if err != nil {
		return err
	}
	if found > 0 {
		return mail.Errorf(mail.Unavailable, "%d traces are left in the database's files", found)
	}
	x.reached("files of the database", fmt.Sprintf("its log was emptied, and what is free in %s was written over with zeros (%d had something)", counted(pages, "page"), written),
		fmt.Sprintf("%d bytes of them were read: the names of the erased blobs, which lie beside what was said of them, are in none", size))
	if snapshots > 0 {
		x.reached("snapshots before upgrades", counted(snapshots, "snapshot")+" removed", "")
	}
	return nil
}

// finish seals the proof and keeps it.
func (x *erasing) finish(ctx context.Context) error {
	p := &x.task.Proof
	open := x.task.Stage < stageDone
	p.Finished = time.Now().UTC().Truncate(time.Second)
	p.Remains = append(p.Remains, "what devices, programs and other servers got while it was there: devices that synchronize remove it when they next do",
		"copies of the data directory, exports and backups that somebody made by hand", "records of the log of this process, which never hold content")
	slices.Sort(p.Remains)
	p.Remains = slices.Compact(p.Remains)
	text, err := p.sealed(x.o.ProofKey)
	if err != nil {
		return err
	}
	var state []byte
	if open {
		if state, err = json.Marshal(x.task); err != nil {
			return err
		}
	}
	if err := x.o.Erasures.SetErasure(ctx, store.Erasure{ID: x.id, Open: open, State: state, Proof: text}); err != nil {
		return err
	}
	// The state named what is gone: its bytes go too.
	if _, _, err := x.o.Depths.Scour(ctx); err != nil && mail.KindOf(err) != mail.Unimplemented {
		if mail.KindOf(err) != mail.Unavailable {
			return err
		}
		x.o.Log.WarnContext(ctx, "erasure: what it remembered is in the files of the database yet", "erasure", x.id, "err", err)
	}
	x.o.Log.InfoContext(ctx, "erased", "erasure", x.id, "messages", p.Erased.Messages, "pending", len(p.Pending))
	return x.emit(Erasing{Stage: stageWords[min(x.task.Stage, stageDone)], Proof: p, Text: text})
}
