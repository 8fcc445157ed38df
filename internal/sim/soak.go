package sim

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"lockstep/internal/auth"
	"lockstep/internal/blob"
	"lockstep/internal/freeport"
	"lockstep/internal/imap/reply"
	"lockstep/internal/mail"
	"lockstep/internal/notify"
	"lockstep/internal/store"
	"lockstep/internal/store/sqlstore"
	"lockstep/internal/vfs"
)

// SoakOptions say how long and how many.
type SoakOptions struct {
	Binary   string // the server's
	Dir      string // an empty directory for its data
	Devices  int
	Duration time.Duration
	Seed     uint64
	Kills    bool      // kill the server every now and then
	Progress io.Writer // may be nil

	// Nodes are how many servers there are; 0 is one. Several share Database, which is
	// PostgreSQL's, and what Cluster says, the lines of that table of their configuration.
	Nodes    int
	Database string
	Cluster  string
	// Nuisances befall what they share, one after the other.
	Nuisances []Nuisance
}

// A Nuisance is something that goes wrong outside of the servers.
type Nuisance struct {
	Name string
	Do   func(ctx context.Context) error // it has begun, and may go on, when it returns
	// Loses says that what was acknowledged during Forgets before may be lost.
	Loses bool
}

// Forgets is how long before a nuisance that loses something that may have come.
const Forgets = 15 * time.Second

// SoakReport is what came of it.
type SoakReport struct {
	Accounts, Devices, Acts, Letters, Kills, Breaks int
	Wrong                                           []string
	// Served says how long after each kill or nuisance a letter was taken again.
	Served []Served
}

// Served is how long it took until a letter was taken after something went wrong.
type Served struct {
	After string
	Took  time.Duration
}

// devicesPerAccount is how many devices share an account: a busy person's.
const devicesPerAccount = 17

// Soak lets devices work against a server in a process of its own, over TCP, all
// at once. The server is killed meanwhile and connections break. What is done
// follows from the seed, in which order it comes does not. In the end all devices of an account, and
// one that starts from nothing, have to hold the same, and it has to be what the
// letters' senders and deleters know.
func Soak(ctx context.Context, o SoakOptions) (*SoakReport, error) {
	if o.Progress == nil {
		o.Progress = io.Discard
	}
	s := &soak{o: o}
	if err := s.prepare(ctx); err != nil {
		return nil, err
	}
	for _, n := range s.nodes {
		if err := n.start(ctx, o.Binary); err != nil {
			return nil, errors.Join(err, s.stopAll(syscall.SIGKILL))
		}
	}
	err := s.work(ctx)
	if err == nil {
		err = s.settle(ctx)
	}
	if stop := s.stopAll(syscall.SIGTERM); err == nil {
		err = stop
	}
	return s.report(), err
}

// soak is one run.
type soak struct {
	o      SoakOptions
	nodes  []*soakNode
	people []*person
	lossy  bool // something may have been lost
	served []Served

	sunk       *ledger // of the account that phones write to
	sinkSecret string

	acts, letters, kills, breaks, conns atomic.Int64
	mu                                  sync.Mutex
	wrong                               []string
}

// soakNode is a server in a process of its own.
type soakNode struct {
	dir    string
	ports  map[string]string // address by service
	server *exec.Cmd
	exited chan error
}

// person is an account, its devices and its letters.
type person struct {
	login   string
	who     store.Principal
	friends []string // who shares mailboxes with them
	secrets []string
	devices []device
	ledger  *ledger
}

func (s *soak) blame(format string, args ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.wrong = append(s.wrong, fmt.Sprintf(format, args...))
}

func (s *soak) report() *SoakReport {
	return &SoakReport{Accounts: len(s.people), Devices: s.o.Devices, Acts: int(s.acts.Load()), Letters: int(s.letters.Load()),
		Kills: int(s.kills.Load()), Breaks: int(s.breaks.Load()), Wrong: s.wrong, Served: s.served}
}

// prepare makes the accounts, with a secret for each device and one more.
func (s *soak) prepare(ctx context.Context) error {
	for i := range max(1, s.o.Nodes) {
		if err := s.addNode(i); err != nil {
			return err
		}
	}
	log := slog.New(slog.DiscardHandler)
	db, err := s.open(ctx, sqlstore.Options{Hub: &notify.Hub{}, Log: log})
	if err != nil {
		return err
	}
	a := auth.New(db, db, []byte("nobody signs in by SCRAM here"), log)
	for left := s.o.Devices; left > 0 && err == nil; left -= devicesPerAccount {
		err = s.addPerson(ctx, db, a, min(left, devicesPerAccount))
	}
	for i := range s.people {
		if err == nil {
			err = s.share(ctx, db, i)
		}
	}
	if err == nil {
		err = s.addSink(ctx, db, a)
	}
	return errors.Join(err, db.Close())
}

// open opens the database that the servers will use.
func (s *soak) open(ctx context.Context, o sqlstore.Options) (*sqlstore.DB, error) {
	if s.o.Database != "" {
		return sqlstore.OpenPostgres(ctx, s.o.Database, o)
	}
	return sqlstore.Open(ctx, filepath.Join(s.nodes[0].data(), databaseFile), o)
}

// addNode makes the directory of a server, with the key that all of them have.
func (s *soak) addNode(i int) error {
	n := &soakNode{dir: filepath.Join(s.o.Dir, fmt.Sprintf("node%d", i+1))}
	packs := filepath.Join(n.data(), "packs")
	if err := os.MkdirAll(packs, 0o700); err != nil {
		return err
	}
	if i == 0 {
		if _, _, err := blob.OpenKeyring(vfs.OS{}, n.key(), packs); err != nil {
			return err
		}
	} else {
		key, err := os.ReadFile(s.nodes[0].key())
		if err == nil {
			err = os.WriteFile(n.key(), key, 0o600)
		}
		if err != nil {
			return err
		}
	}
	s.nodes = append(s.nodes, n)
	return n.configure(s.o)
}

func (s *soak) addPerson(ctx context.Context, db *sqlstore.DB, a *auth.Service, devices int) error {
	n := len(s.people)
	p := &person{login: fmt.Sprintf("person%d@example.test", n), ledger: newLedger(newTried())}
	if n%2 == 1 {
		friend := s.people[n-1]
		p.ledger = newLedger(friend.ledger.tried)
		p.friends, friend.friends = []string{friend.login}, []string{p.login}
	}
	who, err := db.CreateAccount(ctx, mail.NewOrigin("simulation", 0, mail.Local, mail.BySetup), store.NewAccount{Login: p.login})
	for i := 0; i <= devices && err == nil; i++ {
		var secret string
		_, secret, err = a.AddDevice(ctx, who, nameOf(i), nil)
		p.secrets = append(p.secrets, secret)
	}
	p.who = who
	s.people = append(s.people, p)
	return err
}

// addSink makes the account that phones write to.
func (s *soak) addSink(ctx context.Context, db *sqlstore.DB, a *auth.Service) error {
	who, err := db.CreateAccount(ctx, mail.NewOrigin("simulation", 0, mail.Local, mail.BySetup), store.NewAccount{Login: sinkLogin})
	if err != nil {
		return err
	}
	s.sunk = newLedger(newTried())
	_, s.sinkSecret, err = a.AddDevice(ctx, who, "newcomer", nil)
	return err
}

// share lets somebody's friend into their inbox and archive.
func (s *soak) share(ctx context.Context, db *sqlstore.DB, i int) error {
	p := s.people[i]
	if len(p.friends) == 0 {
		return nil
	}
	_, err := db.Update(ctx, p.who.Account, mail.NewOrigin("simulation", 0, mail.Local, mail.BySetup), func(tx store.Tx) error {
		return letIn(tx, s.personOf(p.friends[0]).who.ID)
	})
	return err
}

// letIn shares inbox and archive.
func letIn(tx store.Tx, who mail.PrincipalID) error {
	for _, path := range []string{"INBOX", "Archive"} {
		mb, err := tx.MailboxByPath(path)
		if err == nil {
			err = tx.SetRights(mb.ID, who, mail.AllRights&^mail.MayAdminister)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (n *soakNode) data() string { return filepath.Join(n.dir, "data") }

func (n *soakNode) key() string { return filepath.Join(n.data(), "key") }

func (n *soakNode) config() string { return filepath.Join(n.dir, "lockstep.toml") }

// configure writes the server's configuration: on ports that were free, without
// bounds on how many come from one address.
func (n *soakNode) configure(o SoakOptions) error {
	n.ports = map[string]string{}
	for _, service := range []string{imapService, pop3Service, lmtpService, smtpService, easService} {
		at, err := freeport.Address()
		if err != nil {
			return err
		}
		n.ports[service] = at
	}
	n.ports[jmapService] = n.ports[easService] // one server of HTTP
	text := fmt.Sprintf("data = %q\nhostname = \"mx.example.test\"\n[listen]\nimap = %q\npop3 = %q\nlmtp = %q\nsmtp = %q\nhttp = %q\n", n.data(),
		n.ports[imapService], n.ports[pop3Service], n.ports[lmtpService], n.ports[smtpService], n.ports[easService])
	for _, other := range []string{"imaps", "pop3s", "submission", "submissions", "https"} {
		text += other + " = []\n"
	}
	text += "[limits]\nconnections = 40000\nconnections_per_address = 40000\n"
	if o.Database != "" {
		text += fmt.Sprintf("[cluster]\nnode = %q\ndatabase = %q\ndrain_notice = \"0s\"\n%s", filepath.Base(n.dir), o.Database, o.Cluster)
	}
	return os.WriteFile(n.config(), []byte(text), 0o600)
}

// startTime bounds how long a server may take to answer.
const startTime = time.Minute

func (n *soakNode) start(ctx context.Context, binary string) error {
	out, err := os.OpenFile(filepath.Join(n.dir, "server.log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer out.Close()
	n.server = exec.Command(binary, "serve", "--config", n.config())
	n.server.Stdout, n.server.Stderr = out, out
	if err := n.server.Start(); err != nil {
		return err
	}
	server, exited := n.server, make(chan error, 1)
	n.exited = exited
	go func() { exited <- server.Wait() }()
	for deadline := time.Now().Add(startTime); ctx.Err() == nil; {
		if c, err := net.Dial("tcp", n.ports[smtpService]); err == nil {
			return c.Close()
		}
		select {
		case err := <-exited:
			return fmt.Errorf("the server ended while starting: %w; see %s", err, out.Name())
		case <-time.After(10 * time.Millisecond):
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("the server did not start within %v; see %s", startTime, out.Name())
		}
	}
	return ctx.Err()
}

// stop ends the server; only one that was killed may have an error.
func (n *soakNode) stop(sig syscall.Signal) error {
	if n.server == nil {
		return nil
	}
	if err := n.server.Process.Signal(sig); err != nil {
		return err
	}
	if err := <-n.exited; sig != syscall.SIGKILL {
		return err
	}
	return nil
}

func (s *soak) stopAll(sig syscall.Signal) (err error) {
	for _, n := range s.nodes {
		err = errors.Join(err, n.stop(sig))
	}
	return err
}

// work lets everybody do something until the time is over.
func (s *soak) work(ctx context.Context) error {
	working, done := context.WithTimeout(ctx, s.o.Duration)
	defer done()
	var all sync.WaitGroup
	for i, p := range s.people {
		for j := range len(p.secrets) - 1 {
			d := s.newDevice(p, j)
			p.devices = append(p.devices, d)
			r := rand.New(rand.NewPCG(s.o.Seed, uint64(i*1000+j)))
			all.Go(func() { s.use(working, d, r) })
		}
	}
	all.Go(func() { s.sendMail(working, rand.New(rand.NewPCG(s.o.Seed, 1<<40))) })
	err := s.watch(working, rand.New(rand.NewPCG(s.o.Seed, 1<<41)))
	all.Wait()
	return errors.Join(err, ctx.Err())
}

func (s *soak) dial(service string) (wire, error) {
	n := s.conns.Add(1)
	var w wire
	var err error = net.ErrClosed
	for i := range s.nodes { // as a balancer would: to the next that answers
		node := s.nodes[(int(n)+i)%len(s.nodes)]
		if w, err = dialTCP(node.ports[service], s.o.Seed+uint64(n)); err == nil {
			break
		}
	}
	return w, err
}

func (s *soak) newDevice(p *person, i int) (d device) {
	blame := func(format string, args ...any) { // nobody can play it again, so it says what was said
		s.blame("%s\n  %s", fmt.Sprintf(format, args...), strings.Join(d.Heard(), "\n  "))
	}
	d = newDevice(i, setup{name: p.login + " " + nameOf(i), login: p.login, secret: p.secrets[i], dial: s.dial, blame: blame,
		others: true, friends: p.friends, ledger: p.ledger,
		writes: sinkLogin, outgoing: s.sunk})
	return d
}

func nameOf(i int) string { return deviceName(i) + "." + strconv.Itoa(i) }

// use lets somebody use a device.
func (s *soak) use(ctx context.Context, d device, r *rand.Rand) {
	for pause(ctx, time.Duration(r.IntN(400))*time.Millisecond) {
		var err error
		switch n := r.IntN(100); {
		case n < 70:
			err = d.Act(r)
		case n < 80:
			err = d.Sync()
		case n < 90:
			err = d.Hear()
		case n < 95:
			d.Cut(r.IntN(400), r.IntN(4000))
			s.breaks.Add(1)
		case n < 99:
			d.Leave()
		default:
			d.Lose()
		}
		s.acts.Add(1)
		s.mind(d, err)
	}
}

// mind tells an error that is no weather.
func (s *soak) mind(d device, err error) {
	if err != nil && !errors.Is(err, errLost) && !errors.Is(err, errRefusedByServer) {
		s.blame("%s: %v\n  %s", d.Name(), err, strings.Join(d.Heard(), "\n  "))
	}
}

func pause(ctx context.Context, d time.Duration) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(d):
		return true
	}
}

// sendMail lets mail come in.
func (s *soak) sendMail(ctx context.Context, r *rand.Rand) {
	out := sender{dial: s.dial, blame: s.blame}
	for pause(ctx, time.Duration(r.IntN(50))*time.Millisecond) {
		p := posted{token: fmt.Sprintf("letter-%d-%d", s.o.Seed, s.letters.Add(1)), service: lmtpService}
		if r.IntN(3) == 0 {
			p.service = smtpService
		}
		for range 1 + r.IntN(3) {
			if who := s.people[r.IntN(len(s.people))].login; !slices.Contains(p.to, who) {
				p.to = append(p.to, who)
			}
		}
		var c cut
		if r.IntN(20) == 0 {
			c = cut{1 + r.IntN(1500), 1 + r.IntN(500)}
		}
		s.post(&out, p, c)
	}
	for tries := 0; len(out.outbox) > 0 && tries < 600; tries++ {
		s.post(&out, posted{}, cut{})
		time.Sleep(100 * time.Millisecond)
	}
	if n := len(out.outbox); n > 0 {
		s.blame("%d letters can't be delivered:\n  %s", n, strings.Join(out.said.lines, "\n  "))
	}
}

// post hands over a letter and those that wait, and notes what was accepted.
func (s *soak) post(out *sender, p posted, c cut) {
	if p.token != "" {
		out.outbox = append(out.outbox, p)
	}
	waiting := slices.Clone(out.outbox)
	out.deliver(c)
	for _, w := range waiting {
		for _, to := range w.to {
			if out.accepted(w.token, to) {
				s.personOf(to).ledger.accept(w.token)
			}
		}
	}
}

func (s *soak) personOf(login string) *person {
	return s.people[slices.IndexFunc(s.people, func(p *person) bool { return p.login == login })]
}

// watch says how it goes, and lets something go wrong now and then.
func (s *soak) watch(ctx context.Context, r *rand.Rand) error {
	began := time.Now()
	calm := 5 * time.Second
	if len(s.nodes) > 1 { // there is more that can go wrong
		calm = 2 * time.Second
	}
	for turn := 0; pause(ctx, calm+time.Duration(r.Int64N(int64(2*calm)))); turn++ {
		fmt.Fprintf(s.o.Progress, "%4.0f s  %d acts, %d letters, %d kills, %d breaks\n", time.Since(began).Seconds(), s.acts.Load(), s.letters.Load(), s.kills.Load(), s.breaks.Load())
		for _, n := range s.nodes {
			select {
			case err := <-n.exited:
				return fmt.Errorf("the server %s ended: %w", n.dir, err)
			default:
			}
		}
		if err := s.disturb(context.WithoutCancel(ctx), turn, r); err != nil {
			return err
		}
	}
	return nil
}

// disturb kills a node, or lets the next nuisance befall what they share.
func (s *soak) disturb(ctx context.Context, turn int, r *rand.Rand) error {
	among := len(s.o.Nuisances)
	if among == 0 && !s.o.Kills {
		return nil
	}
	if s.o.Kills && (among == 0 || turn%2 == 1) {
		s.kills.Add(1)
		n := s.nodes[r.IntN(len(s.nodes))]
		if err := n.stop(syscall.SIGKILL); err != nil {
			return err
		}
		s.awaitService("SIGKILL of a node")
		return n.start(ctx, s.o.Binary)
	}
	if s.o.Kills {
		turn /= 2
	}
	what := s.o.Nuisances[turn%among]
	fmt.Fprintf(s.o.Progress, "        %s\n", what.Name)
	if what.Loses {
		s.lossy = true
		since := time.Now().Add(-Forgets)
		defer func() { s.forgive(since, time.Now()) }()
	}
	err := what.Do(ctx)
	s.awaitService(what.Name)
	return err
}

// awaitService notes how long it takes until a letter is taken. With one node that is
// when it is there again.
func (s *soak) awaitService(after string) {
	if len(s.nodes) == 1 {
		return
	}
	began := time.Now()
	out := sender{dial: s.dial, blame: s.blame}
	s.post(&out, posted{token: fmt.Sprintf("probe-%d-%d", s.o.Seed, s.letters.Add(1)), service: lmtpService, to: []string{s.people[0].login}}, cut{})
	for len(out.outbox) > 0 && time.Since(began) < startTime {
		time.Sleep(5 * time.Millisecond)
		s.post(&out, posted{}, cut{})
	}
	if len(out.outbox) > 0 {
		s.blame("nothing is taken %v after: %s\n  %s", startTime, after, strings.Join(out.said.lines, "\n  "))
		return
	}
	s.served = append(s.served, Served{after, time.Since(began)})
}

// forgive lets letters be lost that were accepted in a time.
func (s *soak) forgive(from, to time.Time) {
	for _, p := range s.people {
		p.ledger.forgiveBetween(from, to)
	}
	s.sunk.forgiveBetween(from, to)
}

// settle brings all into step and compares them with one that begins anew.
func (s *soak) settle(ctx context.Context) error {
	fmt.Fprintln(s.o.Progress, "settling")
	s.eachPerson(s.syncAll) // what one still does may be in what another shares
	s.eachPerson(s.syncAll)
	s.eachPerson(s.compare)
	s.checkSink()
	return ctx.Err()
}

func (s *soak) eachPerson(do func(*person)) {
	var all sync.WaitGroup
	for _, p := range s.people {
		all.Go(func() { do(p) })
	}
	all.Wait()
}

func (s *soak) syncAll(p *person) {
	for _, d := range p.devices {
		s.syncNow(d)
	}
}

// checkSink looks whether what phones sent came, once.
func (s *soak) checkSink() {
	d := s.newcomer(sinkLogin, s.sinkSecret)
	s.syncNow(d)
	for _, diff := range s.sunk.differs(d.asTruth()) {
		s.blame("%s: %s", sinkLogin, diff)
	}
	d.Leave()
}

// newcomer is a device that starts from nothing.
func (s *soak) newcomer(login, secret string) *imapDevice {
	return &imapDevice{name: login + " newcomer", login: login, secret: secret, blame: s.blame, boxes: map[string]*box{},
		dial: func() (wire, error) { return s.dial(imapService) }}
}

// maxSettles bounds how often everybody is asked again while something still comes.
const maxSettles = 10

// compare holds everybody to what one sees that starts from nothing, and to what
// is known of letters.
func (s *soak) compare(p *person) {
	last := len(p.secrets) - 1
	newcomer := s.newcomer(p.login, p.secrets[last])
	s.syncNow(newcomer)
	for range maxSettles { // a notice of the server's own may come meanwhile
		was := newcomer.asTruth().String()
		s.syncAll(p)
		if s.syncNow(newcomer); newcomer.asTruth().String() == was {
			break
		}
	}
	if err := newcomer.readSubjects(); err != nil {
		s.blame("%s: %v", newcomer.name, err)
		return
	}
	t := newcomer.asTruth()
	for _, d := range p.devices {
		for _, diff := range d.Differs(t, false) {
			s.blame("%s is not in step: %s\n  %s", d.Name(), diff, strings.Join(d.Heard(), "\n  "))
		}
	}
	for _, d := range p.devices {
		if phone, ok := d.(*easDevice); ok && phone.phone.Resets > 0 && !s.lossy {
			s.blame("%s had to start %d folders over", d.Name(), phone.phone.Resets)
		}
	}
	for _, diff := range p.ledger.differs(t) {
		s.blame("%s: %s", p.login, diff)
	}
	for _, d := range append(slices.Clone(p.devices), newcomer) {
		d.Leave()
	}
}

func (s *soak) syncNow(d device) {
	err := d.Sync()
	for tries := 5; tries > 0 && errors.Is(err, errLost); tries-- {
		time.Sleep(100 * time.Millisecond)
		err = d.Sync()
	}
	if err != nil {
		s.blame("%s can't sync: %v\n  %s", d.Name(), err, strings.Join(d.Heard(), "\n  "))
	}
}

// readSubjects learns what phones and programs tell letters by.
func (d *imapDevice) readSubjects() error {
	for _, id := range slices.Sorted(maps.Keys(d.boxes)) {
		b := d.boxes[id]
		if err := d.selectBox(b); err != nil {
			return err
		}
		if len(d.view) == 0 {
			continue
		}
		hear := d.link.hear
		d.link.hear = func(r reply.Response) {
			if r.Word != "FETCH" {
				hear(r)
				return
			}
			items := reply.Pairs(r.Args[0])
			uid, _ := items["UID"].(string)
			text, _ := items["BODY[HEADER.FIELDS (SUBJECT)]"].(string)
			if l, words := b.letters[uint32(number(uid))], strings.Fields(text); l != nil && len(words) > 0 {
				l.subject = words[len(words)-1]
			}
			if id, ok := items["EMAILID"].([]any); ok && len(id) == 1 && b.letters[uint32(number(uid))] != nil {
				b.letters[uint32(number(uid))].email, _ = id[0].(string)
			}
		}
		_, err := d.link.run("UID FETCH 1:* (EMAILID BODY.PEEK[HEADER.FIELDS (SUBJECT)])")
		d.link.hear = hear
		if err != nil {
			return err
		}
	}
	return nil
}

// asTruth is what a device holds.
func (d *imapDevice) asTruth() Truth {
	t := Truth{}
	for id, b := range d.boxes {
		t[id] = &TruthBox{Name: b.name, Validity: b.validity, Letters: map[uint32]Letter{}, Emails: map[uint32]string{}}
		for uid, l := range b.letters {
			t[id].Emails[uid] = l.email
			t[id].Letters[uid] = Letter{Token: l.token, Flags: l.flags, Subject: l.subject, Date: time.Now()}
		}
	}
	return t
}
