package sim

import (
	"context"
	"errors"
	"fmt"
	"hash"
	"hash/fnv"
	"math/rand/v2"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"lockstep/internal/mail"
	"lockstep/internal/message"
	"lockstep/internal/store"
	"lockstep/internal/vfs/faulty"
)

// world is a house, its accounts, and the devices on them.
type world struct {
	plan    Plan
	net     *Network
	house   *house
	wait    func() // until nothing moves any more
	people  []store.Principal
	sink    store.Principal
	sunk    *ledger // of the sink
	pruned  bool    // history was forgotten, or is another
	given   *given
	devices []device
	owner   []int // of each device, in people
	sender  sender
	sent    int
	cut     cut // of the next delivery
	wrong   []string
	told    bool
	course  hash.Hash64 // of how far each account was after each step
}

// Fault is something planted for the devices to find.
type Fault struct {
	Garble func(service, line string) []string
	Store  func(store.Store) store.Store
	Phones func(http.Handler) http.Handler // before what phones speak to
	// Programs stands before what speaks JMAP.
	Programs func(http.Handler) http.Handler
	// Kept stands between what phones speak to and both engine and model, for what
	// only that server keeps.
	Kept func(store.Store) store.Store
	// Rule spoils a database that came back from an older copy, after it leapt.
	Rule func(path string) error
}

const latency = 5 * time.Millisecond

// soon is when everybody has been told: what comes within 300 ms may wake a phone once.
const soon = 400 * time.Millisecond

// sinkLogin is an account that only gets mail.
const sinkLogin = "sink@example.test"

// Result is what came of a run.
type Result struct {
	Wrong  []string
	Course uint64 // the same for the same plan
}

// Run plays a plan in one process, at a home that nobody used before. It has to be
// called in a bubble of testing/synctest; wait is its Wait.
func Run(ctx context.Context, p Plan, home Home, f Fault, wait func()) Result {
	w, err := newWorld(ctx, p, home, f, wait)
	if err != nil {
		return Result{Wrong: []string{err.Error()}}
	}
	for i, s := range p.Steps {
		w.step(ctx, i, s)
		w.note()
		if len(w.wrong) > 0 {
			break
		}
	}
	if len(w.wrong) == 0 {
		w.settle(ctx)
		w.note()
	}
	w.end()
	return Result{w.wrong, w.course.Sum64()}
}

func newWorld(ctx context.Context, p Plan, home Home, f Fault, wait func()) (*world, error) {
	w := &world{plan: p, sunk: newLedger(newTried()), net: &Network{Latency: latency, Garble: f.Garble, Lineless: map[string]bool{easService: true, jmapService: true}}, wait: wait, course: fnv.New64a(), given: newGiven()}
	w.house = newHouse(home, p.Seed, w.net, w.blame)
	w.house.wrap, w.house.wrapPhones, w.house.wrapPrograms, w.house.wrapKept = f.Store, f.Phones, f.Programs, f.Kept
	w.house.wrapRule = f.Rule
	w.sender = sender{dial: w.dial, blame: w.blame}
	err := w.begin(ctx)
	if err != nil && w.house.stop != nil {
		err = errors.Join(err, w.house.close())
	}
	return w, err
}

// note adds how far everybody is.
func (w *world) note() {
	for i := range w.people {
		t := w.truth(i)
		fmt.Fprint(w.course, t.String())
		w.given.note(w.people[i].Account, t, w.blame)
	}
}

func (w *world) blame(format string, args ...any) {
	w.wrong = append(w.wrong, fmt.Sprintf(format, args...))
}

func (w *world) dial(service string) (wire, error) {
	c, err := w.net.Dial(service)
	if err != nil {
		return nil, err
	}
	return c.(wire), nil
}

// begin opens the house and gives everybody devices.
func (w *world) begin(ctx context.Context) error {
	if err := w.house.open(ctx); err != nil {
		return err
	}
	for i := range w.plan.Accounts {
		p, err := w.house.newAccount(ctx, fmt.Sprintf("person%d@example.test", i))
		if err != nil {
			return err
		}
		w.people = append(w.people, p)
	}
	var err error
	if w.sink, err = w.house.newAccount(ctx, sinkLogin); err != nil {
		return err
	}
	for i := range w.people {
		if err := w.share(ctx, i); err != nil {
			return err
		}
	}
	for i := range w.plan.Devices {
		if err := w.addDevice(ctx, i); err != nil {
			return err
		}
	}
	return nil
}

// addDevice gives somebody a device.
func (w *world) addDevice(ctx context.Context, i int) error {
	owner := i % w.plan.Accounts
	name := deviceName(w.plan.First+i) + "." + strconv.Itoa(i)
	_, secret, err := w.house.auth.AddDevice(ctx, w.people[owner], name, nil)
	if err != nil {
		return err
	}
	d := newDevice(w.plan.First+i, setup{name: name, login: w.people[owner].Login, secret: secret, dial: w.dial, friends: w.friends(owner), writes: sinkLogin, outgoing: w.sunk,
		touched: func(mb mail.MailboxID, since mail.ModSeq) (bool, mail.ModSeq) {
			return w.touched(owner, name, mb, since)
		},
		blame: func(format string, args ...any) {
			w.blame(format, args...)
			w.tell(i)
		}})
	w.devices = append(w.devices, d)
	w.owner = append(w.owner, owner)
	return nil
}

// step lets one thing happen.
func (w *world) step(ctx context.Context, n int, s Step) {
	r := rand.New(rand.NewPCG(s.R, 3))
	d := w.devices[s.Device]
	var err error
	switch s.Do {
	case DeedAct:
		err = d.Act(r)
	case DeedSync:
		err = d.Sync()
	case DeedLeave:
		d.Leave()
	case DeedLose:
		d.Lose()
	case DeedSend:
		w.send(r)
	case DeedCut:
		c := cut{r.IntN(400), r.IntN(4000)}
		d.Cut(c.up, c.down)
		if r.IntN(2) == 0 {
			w.cut = c
		}
		w.severSome(r, 3)
	case DeedKill:
		w.kill(r)
	case DeedPower:
		w.house.mirror.KillNow()
		err = w.house.reopen(ctx, true)
	case DeedDisk:
		w.troubleDisk(r)
		w.hangUp(r)
	case DeedSleep:
		time.Sleep(someTime(r))
	case DeedShift:
		w.house.shift += time.Duration(r.IntN(7200)-3600) * time.Second
	case DeedPrune:
		w.pruned = true
		err = w.prune(ctx, r)
	case DeedPulse:
		w.pulse()
	case DeedCopy:
		err = w.house.copy(ctx)
	case DeedRestore:
		err = w.restore(ctx)
	}
	w.wait()
	if w.house.mirror.Dead() {
		err = errors.Join(err, w.house.reopen(ctx, false))
	}
	if err != nil && !errors.Is(err, errLost) && !errors.Is(err, errRefusedByServer) && !errors.Is(err, errDead) {
		w.blame("step %d, %s by %s: %v", n, s.Do, d.Name(), err)
	}
	if len(w.wrong) > 0 {
		w.tell(s.Device)
	}
}

// kill lets the server die soon, or now.
func (w *world) kill(r *rand.Rand) {
	if r.IntN(4) == 0 {
		w.house.mirror.KillNow()
		return
	}
	n, commits := 1+r.IntN(6), r.IntN(2) == 0
	if w.house.mirror.sever != nil && r.IntN(2) == 0 {
		w.house.mirror.KillMidway(n, commits)
	} else {
		w.house.mirror.Kill(n, commits)
	}
}

// severSome breaks the way to the database, where there is one, once in so many times.
func (w *world) severSome(r *rand.Rand, once int) {
	if w.house.mirror.sever != nil && r.IntN(once) == 0 {
		w.house.mirror.Sever(1+r.IntN(6), r.IntN(2) == 0)
	}
}

// hangUp breaks all connections to the database now and then, as its restart does.
func (w *world) hangUp(r *rand.Rand) {
	if way, ok := w.house.rows.(severer); ok && r.IntN(2) == 0 {
		way.hangUp()
	}
}

// someTime is seconds, hours or weeks.
func someTime(r *rand.Rand) time.Duration {
	switch r.IntN(4) {
	case 0:
		return time.Duration(r.IntN(48)) * time.Hour
	case 1:
		return time.Duration(r.IntN(20)) * 24 * time.Hour
	}
	return time.Duration(r.IntN(600)) * time.Second
}

// send lets a letter come in for some.
func (w *world) send(r *rand.Rand) {
	w.sent++
	p := posted{token: fmt.Sprintf("letter-%d-%d", w.plan.Seed, w.sent), service: lmtpService}
	if r.IntN(3) == 0 {
		p.service = smtpService
	}
	for i, who := range w.people {
		if i == 0 && len(w.people) > 1 && r.IntN(3) == 0 {
			continue
		}
		p.to = append(p.to, who.Login)
	}
	w.sender.outbox = append(w.sender.outbox, p)
	c := w.cut
	w.cut = cut{}
	w.sender.deliver(c)
}

// troubleDisk lets the disk fail sometimes, or heals it.
func (w *world) troubleDisk(r *rand.Rand) {
	if r.IntN(2) == 0 {
		w.house.disk.SetOdds(faulty.Odds{})
		return
	}
	w.house.disk.SetOdds(faulty.Odds{Write: .1, ShortWrite: .1, Sync: .1})
}

func (w *world) prune(ctx context.Context, r *rand.Rand) error {
	before := w.house.now().Add(-time.Duration(r.IntN(72)) * time.Hour)
	for _, p := range w.people {
		if err := w.house.mirror.Prune(ctx, w.house.db, p.Account, before); err != nil {
			return err
		}
	}
	return nil
}

// pulse looks whether those who are pushed to are in step without having asked.
func (w *world) pulse() {
	time.Sleep(soon)
	w.wait()
	for i, d := range w.devices {
		if !d.Pushed() || d.Hear() != nil || !d.Pushed() {
			continue
		}
		for _, s := range d.Differs(w.truth(w.owner[i]), true) {
			w.blame("%s was not told in time: %s", d.Name(), s)
			w.tell(i)
		}
	}
}

// settle brings everybody into step and compares.
func (w *world) settle(ctx context.Context) {
	w.house.disk.SetOdds(faulty.Odds{})
	w.house.mirror.Kill(0, false)
	w.house.mirror.Sever(0, false)
	w.cut = cut{}
	for range 4 {
		w.sender.deliver(cut{})
	}
	if n := len(w.sender.outbox); n > 0 {
		w.blame("%d letters can't be delivered:\n  %s", n, strings.Join(w.sender.said.lines, "\n  "))
	}
	for range 2 {
		for i := range w.devices {
			w.syncNow(i)
		}
	}
	for i, d := range w.devices {
		for _, s := range d.Differs(w.truth(w.owner[i]), false) {
			w.blame("%s is not in step: %s", d.Name(), s)
		}
		if len(w.wrong) > 0 {
			w.tell(i)
			return
		}
	}
	w.lookForDoubles()
	for i, d := range w.devices {
		if p, ok := d.(*easDevice); ok && p.phone.Resets > 0 && !w.pruned {
			w.blame("%s had to start %d folders over", d.Name(), p.phone.Resets)
			w.tell(i)
		}
	}
	for _, s := range w.sunk.differs(Truth{"": w.inbox(w.sink.Account)}) {
		w.blame("%s: %s", sinkLogin, s)
	}
	w.check(ctx)
}

// lookForDoubles looks for letters that are there twice, where nobody copies any: phones
// can't. What its sender handed over again after days may be.
func (w *world) lookForDoubles() {
	if w.pruned { // a phone that had to start over may add again what it heard no answer to
		return
	}
	if slices.ContainsFunc(w.devices, func(d device) bool { _, ok := d.(*easDevice); return !ok }) {
		return
	}
	for i, p := range w.people {
		seen := map[string]string{}
		for _, b := range w.truth(i) {
			for _, l := range b.Letters {
				if at, twice := seen[l.Subject]; twice && !isOthers(b.Name) && !w.sender.late[l.Token] {
					w.blame("%s has %s in %s and in %s", p.Login, l.Subject, at, b.Name)
				}
				seen[l.Subject] = b.Name
			}
		}
	}
}

// touched reports whether anybody but a device did something in a mailbox since, as far
// as history goes, and how far the account is.
func (w *world) touched(owner int, device string, mb mail.MailboxID, since mail.ModSeq) (yes bool, head mail.ModSeq) {
	err := w.house.model.View(context.Background(), w.people[owner].Account, func(r store.Reader) error {
		a, err := r.Account()
		if err != nil {
			return err
		}
		head, yes = a.Head, a.Exact() > since
		records, err := r.Journal(store.JournalQuery{After: since, Mailbox: mb})
		for _, rec := range records {
			d, err := r.Device(rec.Device)
			yes = yes || err != nil || d.Name != device
		}
		return err
	})
	if err != nil {
		w.blame("model: %v", err)
	}
	return yes, head
}

// syncNow syncs a device; what broke before may break once more.
func (w *world) syncNow(i int) {
	err := w.devices[i].Sync()
	for tries := 3; tries > 0 && errors.Is(err, errLost); tries-- {
		err = w.devices[i].Sync()
	}
	if err != nil {
		w.blame("%s can't sync: %v", w.devices[i].Name(), err)
		w.tell(i)
	}
}

// check lets the store look at itself.
func (w *world) check(ctx context.Context) {
	for _, p := range w.people {
		found, err := w.house.db.Check(ctx, p.Account, false)
		if err != nil || len(found) > 0 {
			w.blame("account %d: %v, %v", p.Account, err, found)
		}
	}
}

func (w *world) end() {
	for _, d := range w.devices {
		d.Leave()
	}
	if err := w.house.close(); err != nil && len(w.wrong) == 0 {
		w.blame("closing: %v", err)
	}
}

// friends are the logins of the others.
func (w *world) friends(owner int) (logins []string) {
	for i, p := range w.people {
		if i != owner {
			logins = append(logins, p.Login)
		}
	}
	return logins
}

// share lets everybody into somebody's inbox and archive.
func (w *world) share(ctx context.Context, owner int) error {
	_, err := w.house.mirror.Update(ctx, w.people[owner].Account, mail.NewOrigin("simulation", 0, mail.Local, mail.BySetup), func(tx store.Tx) error {
		var errs []error
		for i, p := range w.people {
			if i != owner {
				errs = append(errs, letIn(tx, p.ID))
			}
		}
		return errors.Join(errs...)
	})
	return err
}

// truth is what the model says of an account, and of what others share with it.
func (w *world) truth(who int) Truth {
	t := Truth{}
	for owner := range w.people {
		err := w.house.model.View(context.Background(), w.people[owner].Account, func(r store.Reader) error {
			return w.addTruth(t, r, owner, who)
		})
		if err != nil {
			w.blame("model: %v", err)
		}
	}
	return t
}

// addTruth adds what somebody sees in an account.
func (w *world) addTruth(t Truth, r store.Reader, owner, who int) error {
	all, err := r.Mailboxes()
	if err != nil {
		return err
	}
	var as mail.PrincipalID
	above, suffix := "", ""
	if owner != who {
		as = w.people[who].ID
		above = mail.OtherUsers + mail.Delimiter + w.people[owner].Login + mail.Delimiter
		suffix = "-" + strconv.FormatInt(int64(w.people[owner].Account), 36)
	}
	shared, err := r.Shared(as)
	for _, mb := range all {
		if as != 0 && !shared[mb.ID].Has(mail.MayLookup|mail.MayRead) {
			continue
		}
		b, e := truthBox(r, mb, as)
		b.Name = above + mb.Path
		t[mb.ID.String()+suffix] = b
		err = errors.Join(err, e)
	}
	return err
}

func truthBox(r store.Reader, mb mail.Mailbox, as mail.PrincipalID) (*TruthBox, error) {
	b := &TruthBox{Name: mb.Path, Validity: uint32(mb.UIDValidity), Letters: map[uint32]Letter{}, Emails: map[uint32]string{}, Versions: map[uint32]mail.Version{}}
	err := r.Messages(store.PlacementQuery{Mailbox: mb.ID, As: as}, func(p *mail.Placement, m *mail.Message) error {
		token, _, _ := strings.Cut(m.MessageID, "@")
		b.Letters[uint32(p.UID)] = Letter{token, flagWords(p.Flags.Names()), subjectOf(m), m.InternalDate}
		b.Emails[uint32(p.UID)] = m.EmailID.String()
		b.Versions[uint32(p.UID)] = mail.Version{Placement: *p, Date: m.InternalDate}
		return nil
	})
	return b, err
}

// inbox is what an account's inbox holds.
func (w *world) inbox(account mail.AccountID) (b *TruthBox) {
	err := w.house.model.View(context.Background(), account, func(r store.Reader) error {
		mb, err := r.MailboxByPath("INBOX")
		if err == nil {
			b, err = truthBox(r, mb, 0)
		}
		return err
	})
	if err != nil {
		w.blame("model: %v", err)
	}
	return b
}

// tell adds what a device heard last, once.
func (w *world) tell(i int) {
	if w.told {
		return
	}
	w.told = true
	d := w.devices[i]
	w.wrong = append(w.wrong, d.Name()+" heard:\n  "+strings.Join(d.Heard(), "\n  "))
}

// subjectOf is the last word of a message's subject.
func subjectOf(m *mail.Message) string {
	parsed, err := message.Decode(m.Parsed)
	if err != nil {
		return ""
	}
	words := strings.Fields(parsed.Envelope.Subject)
	if len(words) == 0 {
		return ""
	}
	return words[len(words)-1]
}
