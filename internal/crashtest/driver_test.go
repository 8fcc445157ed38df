package crashtest

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"lockstep/internal/mail"
	"lockstep/internal/store"
	"lockstep/internal/store/sqlstore"
	"lockstep/internal/vfs"
	"lockstep/internal/vfs/faulty"
)

// planVariable holds the plan of a process that is a driver.
const planVariable = "LOCKSTEP_CRASH_DRIVER"

// A plan is what a driver does.
type plan struct {
	Dir    string
	Seed   uint64
	Rounds int
	Steps  int   // of each worker in a round
	Clock  int64 // when it begins, in seconds
	// Forgetful makes the packs' syncs do nothing: a fault that the tests must find.
	Forgetful bool
	// Restart is after how many rounds at the most the process starts anew without
	// closing anything, as one that was killed; 0 is never.
	Restart int
	// Hurt lets calls fail with Unavailable.
	Hurt bool
	// FileLimit bounds the size of any file, so that writes fail.
	FileLimit uint64
}

// Accounts, and who changes them at once.
const (
	numAccounts = 3
	numWorkers  = 4
)

var firstClock = time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC).Unix()

// TestDriver is not a test: it is the process that the tests trace and kill. It
// runs by a clock of its own, on which hours pass in no time, so that blobs are
// condemned and forgotten and history is pruned while others write.
func TestDriver(t *testing.T) {
	text := os.Getenv(planVariable)
	if text == "" {
		t.Skip("run by the other tests, in a process of its own")
	}
	var p plan
	if err := json.Unmarshal([]byte(text), &p); err != nil {
		t.Fatal(err)
	}
	if err := limitFiles(p.FileLimit); err != nil {
		t.Fatal(err)
	}
	synctest.Test(t, func(t *testing.T) {
		time.Sleep(time.Until(time.Unix(p.Clock, 0)))
		d := &driver{plan: p, t: t, ctx: context.Background(), say: sayer(os.Stdout)}
		d.run()
	})
}

type driver struct {
	plan
	t   *testing.T
	ctx context.Context
	say func(string, ...any)

	// faulty, if not nil, is where the packs are; it fails while the house is open.
	faulty *faulty.FS

	*house
	store    *recorder
	accounts []store.Principal
	round    int
}

// forgetful is a file system whose files sync nothing.
type forgetful struct{ vfs.OS }

type forgetfulFile struct{ vfs.File }

func (forgetfulFile) Sync() error { return nil }

// Create implements vfs.FS.
func (f forgetful) Create(name string) (vfs.File, error) {
	file, err := f.OS.Create(name)
	return forgetfulFile{file}, err
}

func (d *driver) run() {
	rng := rand.New(rand.NewPCG(d.Seed, uint64(d.Clock)))
	for d.round = range d.Rounds {
		d.say("at %d", time.Now().Unix())
		if d.house != nil || d.open() {
			d.fail(faulty.Odds{Create: 0.1, Write: 0.05, ShortWrite: 0.05, Sync: 0.2, SyncDir: 0.1})
			d.work(rng)
			d.fail(faulty.Odds{})
		}
		switch {
		case d.Restart > 0 && d.round+1 < d.Rounds && rng.IntN(d.Restart) == 0:
			d.restart()
		case rng.IntN(3) == 0:
			d.shut()
		}
		time.Sleep([]time.Duration{time.Second, 12 * time.Minute, 30 * time.Minute, 65 * time.Minute}[rng.IntN(4)])
	}
	d.shut()
	d.say("end")
}

func (d *driver) shut() {
	if d.house != nil {
		d.start(d.house.close())
		d.house = nil
	}
}

// restart puts a new process in the place of this one, for the rounds that are
// left.
func (d *driver) restart() {
	next := d.plan
	next.Rounds -= d.round + 1
	next.Clock = time.Now().Unix() + 2
	text, err := json.Marshal(next)
	if err == nil {
		err = os.Setenv(planVariable, string(text))
	}
	if err == nil {
		err = syscall.Exec(os.Args[0], os.Args, os.Environ())
	}
	d.may(err)
}

// work lets workers and the upkeep loose on the store at once.
func (d *driver) work(rng *rand.Rand) {
	var wg sync.WaitGroup
	for w := range numWorkers {
		wg.Go(func() {
			d := &worker{driver: d, n: w, rng: rand.New(rand.NewPCG(d.Seed, uint64(d.Clock)<<16+uint64(d.round*numWorkers+w)))}
			for i := range d.Steps {
				d.step(i)
			}
		})
	}
	seed := rng.Uint64()
	wg.Go(func() { d.upkeep(rand.New(rand.NewPCG(seed, 3))) })
	wg.Wait()
}

// open opens the house, and says what it finds there.
func (d *driver) open() bool {
	var err error
	d.house, err = openHouse(d.ctx, d.Dir, d.packFS(), nil, func(db *sqlstore.DB) store.Store {
		d.store = &recorder{db, d.say}
		return d.store
	})
	if d.start(err); err != nil {
		return false
	}
	for i := range numAccounts {
		login := fmt.Sprintf("u%d@example.test", i)
		_, err := d.db.CreateAccount(d.ctx, by.WithCause(mail.BySetup), store.NewAccount{Login: login})
		d.may(err, mail.Exists)
	}
	if d.accounts, err = d.db.Accounts(d.ctx); err != nil || len(d.accounts) == 0 {
		d.may(err)
		d.shut()
		return false
	}
	for _, p := range d.accounts {
		d.may(d.db.View(d.ctx, p.Account, func(r store.Reader) error {
			a, err := r.Account()
			if err != nil {
				return err
			}
			sum, err := digest(r)
			d.say("start %d %s %d %s", p.Account, p.Login, a.Head, sum)
			return err
		}))
	}
	return true
}

// may accepts errors of some kinds, and of a disk that is hurt; any other is a
// failure.
func (d *driver) may(err error, kinds ...mail.Kind) {
	if err == nil || slices.Contains(kinds, mail.KindOf(err)) {
		return
	}
	if d.Hurt && mail.KindOf(err) == mail.Unavailable {
		d.say("hurt %v", err)
		return
	}
	d.say("fail %v: %v", mail.KindOf(err), err)
	d.t.Error(err)
}

// packFS is what the packs are written through.
func (d *driver) packFS() vfs.FS {
	switch {
	case d.faulty != nil:
		return d.faulty
	case d.Forgetful:
		return forgetful{}
	}
	return vfs.OS{}
}

// fail lets the packs' file system fail, or work again.
func (d *driver) fail(odds faulty.Odds) {
	if d.faulty != nil {
		d.faulty.SetOdds(odds)
	}
}

// start accepts any error of opening and closing when the disk is hurt: an
// operator reads it, and no protocol.
func (d *driver) start(err error) {
	if err != nil && d.Hurt {
		d.say("hurt %v", err)
		return
	}
	d.may(err)
}

// by is who changes things.
var by = mail.NewOrigin("a@example.test", 0, mail.IMAP, mail.ByUser)

// A worker does one thing after another, as one session does.
type worker struct {
	*driver
	n   int
	rng *rand.Rand
}

// name is a name for a letter that no other has.
func (w *worker) name(i int) string { return fmt.Sprintf("%d-%d-%d-%d", w.Clock, w.round, w.n, i) }

func (w *worker) account() store.Principal { return w.accounts[w.rng.IntN(len(w.accounts))] }

func (w *worker) step(i int) {
	switch name := w.name(i); w.rng.IntN(20) {
	case 0, 1, 2:
		w.deliver(name)
	case 3, 4:
		w.append(name)
	case 5:
		w.appendMany(name)
	case 6, 7:
		w.change(w.storeFlags)
	case 8:
		w.change(w.copyOrMove)
	case 9:
		w.change(w.expunge)
	case 10:
		w.change(w.mailboxes)
	case 11:
		w.change(w.undo)
	case 12:
		w.change(w.severalThings)
	case 13:
		w.note()
	case 14:
		w.queue(name)
	case 15:
		w.read()
	case 16:
		w.change(w.shareMailbox)
	case 17:
		w.change(w.annotate)
	case 18:
		w.change(w.metadata)
	case 19:
		w.change(w.readAsMember)
	}
}

// refused are the kinds with which a store may rightly refuse what the workers
// ask for at random.
var refused = []mail.Kind{mail.NotFound, mail.Exists, mail.Invalid, mail.HasChildren, mail.Denied, mail.Conflict}

// change runs fn in a transaction on some account. fn may run again, each time
// with the same luck.
func (w *worker) change(fn func(store.Tx, *rand.Rand) error) {
	seed := w.rng.Uint64()
	_, err := w.store.Update(w.ctx, w.account().Account, by, func(tx store.Tx) error {
		return fn(tx, rand.New(rand.NewPCG(seed, 1)))
	})
	w.may(err, refused...)
}

// some picks a mailbox and some of its messages.
func some(tx store.Tx, rng *rand.Rand) (mail.Mailbox, mail.UIDSet, error) {
	all, err := tx.Mailboxes()
	if err != nil {
		return mail.Mailbox{}, nil, err
	}
	mb := all[0]
	if rng.IntN(2) == 0 {
		mb = all[rng.IntN(len(all))]
	}
	var uids mail.UIDSet
	odds := 1 + rng.IntN(5)
	err = tx.Placements(store.PlacementQuery{Mailbox: mb.ID}, func(p *mail.Placement) error {
		if rng.IntN(odds) == 0 {
			uids.Add(p.UID)
		}
		return nil
	})
	return mb, uids, err
}

func (w *worker) storeFlags(tx store.Tx, rng *rand.Rand) error {
	mb, uids, err := some(tx, rng)
	if err != nil {
		return err
	}
	names := []string{`\Seen`, `\Flagged`, `\Deleted`, `\Answered`, "$Forwarded", "work"}
	one, err := mail.NewFlags(names[rng.IntN(len(names))])
	if err != nil {
		return err
	}
	change := mail.FlagChange{Add: one}
	if rng.IntN(3) == 0 {
		change = mail.FlagChange{Remove: one}
	}
	_, err = tx.StoreFlags(mb.ID, uids, change, nil)
	return err
}

func (w *worker) copyOrMove(tx store.Tx, rng *rand.Rand) error {
	from, uids, err := some(tx, rng)
	if err != nil {
		return err
	}
	all, err := tx.Mailboxes()
	if err != nil {
		return err
	}
	to := all[rng.IntN(len(all))]
	if rng.IntN(3) == 0 {
		_, err = tx.Copy(from.ID, uids, to.ID)
	} else {
		_, err = tx.Move(from.ID, uids, to.ID)
	}
	return err
}

func (w *worker) expunge(tx store.Tx, rng *rand.Rand) error {
	mb, uids, err := some(tx, rng)
	if err != nil {
		return err
	}
	_, err = tx.Expunge(mb.ID, uids, rng.IntN(2) == 0)
	return err
}

func (w *worker) mailboxes(tx store.Tx, rng *rand.Rand) error {
	all, err := tx.Mailboxes()
	if err != nil {
		return err
	}
	mb := all[rng.IntN(len(all))]
	name := fmt.Sprintf("box %d", rng.IntN(8))
	switch rng.IntN(4) {
	case 0:
		return tx.DeleteMailbox(mb.ID)
	case 1:
		image := mb.Image()
		image.Name = name
		return tx.SetMailbox(mb.ID, image)
	}
	made, err := tx.CreateMailbox(mail.MailboxImage{Name: name})
	if err == nil {
		err = tx.Subscribe(made.Path)
	}
	return err
}

func (w *worker) undo(tx store.Tx, rng *rand.Rand) error {
	a, err := tx.Account()
	if err != nil {
		return err
	}
	act := mail.ActID(a.Head)
	_, err = tx.Undo(act - min(act-1, mail.ActID(rng.IntN(5))))
	return err
}

// member is one of those whom mailboxes are shared with.
func (w *worker) member(rng *rand.Rand) mail.PrincipalID {
	return w.accounts[rng.IntN(len(w.accounts))].ID
}

// shareMailbox lets somebody into a mailbox, or out of it.
func (w *worker) shareMailbox(tx store.Tx, rng *rand.Rand) error {
	mb, _, err := some(tx, rng)
	if err != nil {
		return err
	}
	rights := []mail.Rights{mail.NoRights, mail.MayLookup | mail.MayRead, mail.AllRights}
	return tx.SetRights(mb.ID, w.member(rng), rights[rng.IntN(len(rights))])
}

// readAsMember changes a \Seen that is a member's own.
func (w *worker) readAsMember(tx store.Tx, rng *rand.Rand) error {
	mb, uids, err := some(tx, rng)
	if err != nil {
		return err
	}
	seen, err := mail.NewFlags(`\Seen`)
	if err != nil {
		return err
	}
	_, err = tx.StoreFlags(mb.ID, uids, mail.FlagChange{Add: seen, As: w.member(rng)}, nil)
	return err
}

// annotate notes something on messages, or takes it back.
func (w *worker) annotate(tx store.Tx, rng *rand.Rand) error {
	mb, uids, err := some(tx, rng)
	if err != nil {
		return err
	}
	note := mail.Annotation{Name: "/comment", Shared: rng.IntN(2) == 0}
	if !note.Shared && rng.IntN(2) == 0 {
		note.Who = w.member(rng)
	}
	if rng.IntN(4) > 0 {
		note.Value = fmt.Appendf(nil, "note %d", rng.IntN(1000))
	}
	_, err = tx.Annotate(mb.ID, uids, []mail.Annotation{note}, nil)
	return err
}

// metadata notes something on a mailbox, or on the account.
func (w *worker) metadata(tx store.Tx, rng *rand.Rand) error {
	mb, _, err := some(tx, rng)
	if err != nil {
		return err
	}
	id, who, scope := mb.ID, mail.PrincipalID(0), mail.SharedScope
	if rng.IntN(3) == 0 {
		id = 0
	}
	if rng.IntN(2) == 0 {
		who, scope = w.member(rng), mail.PrivateScope
	}
	var value []byte
	if rng.IntN(4) > 0 {
		value = fmt.Appendf(nil, "note %d", rng.IntN(1000))
	}
	return tx.SetMetadata(id, who, scope+"/comment", value)
}

// severalThings makes changes that have to stand or fall together.
func (w *worker) severalThings(tx store.Tx, rng *rand.Rand) error {
	err := w.storeFlags(tx, rng)
	if err == nil {
		err = w.copyOrMove(tx, rng)
	}
	if err == nil {
		err = w.expunge(tx, rng)
	}
	return err
}

// deliver hands a letter in for some of the accounts; now and then twice, as a
// peer does that missed the answer.
func (w *worker) deliver(name string) {
	to := w.accounts[:1+w.rng.IntN(len(w.accounts))]
	for range 1 + w.rng.IntN(4)/3 {
		errs, err := deliver(w.ctx, w.house, name, to)
		for _, err := range append(errs, err) {
			w.may(err)
		}
		if errors.Join(append(errs, err)...) == nil {
			w.say("delivered %d %s", len(to), name)
		}
	}
}

// append adds a letter to some mailbox, with a key to know it again by.
func (w *worker) append(name string) {
	a, err := w.delivery.Ingest(w.ctx, bytes.NewReader(letter(name)))
	if w.may(err); err != nil {
		return
	}
	a.Once, a.OnceFor = onceKey(name), time.Hour
	seed, account, until := w.rng.Uint64(), w.account().Account, time.Now().Add(time.Hour)
	var at mail.Placement
	_, err = w.store.Update(w.ctx, account, by, func(tx store.Tx) error {
		mb, _, err := some(tx, rand.New(rand.NewPCG(seed, 1)))
		if err == nil {
			at, err = tx.Append(mb.ID, a)
		}
		return err
	})
	if w.may(err, refused...); err == nil {
		w.say("appended %d %s %d %d %d", account, name, at.Mailbox, at.UID, until.Unix())
	}
}

func onceKey(name string) string { return "append:" + name }

// appendMany adds letters in one transaction: all or none.
func (w *worker) appendMany(name string) {
	var arrivals []mail.Arrival
	for i := range 3 {
		a, err := w.delivery.Ingest(w.ctx, bytes.NewReader(letter(name+"-"+strconv.Itoa(i))))
		if w.may(err); err != nil {
			return
		}
		arrivals = append(arrivals, a)
	}
	w.change(func(tx store.Tx, rng *rand.Rand) error {
		mb, _, err := some(tx, rng)
		for _, a := range arrivals {
			if err == nil {
				_, err = tx.Append(mb.ID, a)
			}
		}
		return err
	})
}

// note keeps a number that only grows.
func (w *worker) note() {
	account, n := w.account().Account, time.Now().UnixMicro()
	err := w.db.Note(w.ctx, account, func(x store.Notes) error {
		return x.SetCursor(0, w.cursor(), []byte(strconv.FormatInt(n, 10)))
	})
	if w.may(err); err == nil {
		w.say("noted %d %s %d", account, w.cursor(), n)
	}
}

func (w *worker) cursor() string { return "w" + strconv.Itoa(w.n) }

// queue hands something to the outgoing queue, or takes something off it.
func (w *worker) queue(name string) {
	if w.rng.IntN(3) == 0 {
		w.settle()
		return
	}
	b, _, err := w.blobs.Put(w.ctx, bytes.NewReader(letter(name)), blobOptions)
	if w.may(err); err != nil {
		return
	}
	now := time.Now()
	err = w.db.Enqueue(w.ctx, []store.Outgoing{{Delivery: name, Account: w.account().Account, Blob: b, Recipient: "far@example.net", Arrived: now, Next: now}})
	if w.may(err); err == nil {
		w.say("queued %s", name)
	}
}

func (w *worker) settle() {
	now := time.Now()
	due, err := w.db.Due(w.ctx, "crashed", now, now.Add(time.Hour), 1)
	w.may(err)
	for _, o := range due {
		w.say("settling %s", o.Delivery)
		err := w.db.Done(w.ctx, o.ID)
		if w.may(err, mail.NotFound); err == nil {
			w.say("settled %s", o.Delivery)
		}
	}
}

// read reads messages while others change and collect.
func (w *worker) read() {
	var blobs []mail.Blob
	err := w.db.View(w.ctx, w.account().Account, func(r store.Reader) error {
		mb, err := r.MailboxByPath("INBOX")
		if err != nil {
			return err
		}
		return r.Messages(store.PlacementQuery{Mailbox: mb.ID, Limit: 5, Backwards: true, Located: true}, func(_ *mail.Placement, m *mail.Message) error {
			blobs = append(blobs, m.Blob)
			return nil
		})
	})
	w.may(err)
	for _, b := range blobs {
		w.may(readLetter(w.ctx, w.blobs, b))
	}
}

// upkeep is what a running server does beside serving.
func (d *driver) upkeep(rng *rand.Rand) {
	for i := range 2 + rng.IntN(3) {
		switch rng.IntN(7) {
		case 0, 1:
			_, err := d.blobs.Collect(d.ctx)
			d.may(err)
		case 2:
			_, err := d.blobs.Compact(d.ctx)
			d.may(err)
		case 3:
			p := d.accounts[rng.IntN(len(d.accounts))]
			d.may(d.db.Prune(d.ctx, p.Account, time.Now().Add(-time.Duration(rng.IntN(60))*time.Minute)))
		case 4:
			_, err := d.db.Scour(d.ctx)
			d.may(err)
			d.may(d.db.Marked(d.ctx))
		case 5, 6:
			d.holdLog(fmt.Sprintf("%d-%d-held-%d", d.Clock, d.round, i))
		}
	}
}

// holdLog reads while mail arrives and the log is written back, so that only a part
// of it is.
func (d *driver) holdLog(name string) {
	w := &worker{driver: d, rng: rand.New(rand.NewPCG(d.Seed, uint64(d.Clock)))}
	d.may(d.db.View(d.ctx, d.accounts[0].Account, func(r store.Reader) error {
		if _, err := r.Account(); err != nil {
			return err
		}
		for i := range 3 {
			w.deliver(fmt.Sprintf("%s-%d", name, i))
		}
		return nil
	}))
}
