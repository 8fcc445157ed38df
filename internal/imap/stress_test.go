package imap

import (
	"context"
	"crypto/sha256"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"lockstep/internal/auth"
	"lockstep/internal/mail"
	"lockstep/internal/steady"
	"lockstep/internal/store"
	"lockstep/internal/store/sqlstore"
	"lockstep/internal/store/sqlstore/sqltest"
)

// place is where a message is.
type place struct {
	box string
	uid mail.UID
}

// world is what all clients of a stress test know together.
type world struct {
	mu     sync.Mutex
	facts  map[string]string // what never changes, by what it is said of
	made   map[place]string  // by acknowledged APPEND, COPY and MOVE: whose text it has
	doomed map[place]bool    // somebody meant to remove it
	unsure map[string]int    // how many messages a mailbox may hold of which nobody heard
	ids    int
}

func newWorld() *world {
	return &world{facts: map[string]string{}, made: map[place]string{}, doomed: map[place]bool{}, unsure: map[string]int{}}
}

// fact notes what was said, which must be what was said before.
func (w *world) fact(c *tracker, of, value string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if old, ok := w.facts[of]; ok && old != value {
		c.wrong("%s is %.200q and was %.200q", of, value, old)
	}
	w.facts[of] = value
}

// flagsAt is fact of flags. What is gone shows to each that has not heard of it the
// flags it would have given it, which is nothing to agree about.
func (w *world) flagsAt(c *tracker, p place, of, flags string) {
	w.mu.Lock()
	doomed := w.doomed[p]
	if doomed && w.facts[of] != flags {
		delete(w.facts, of)
	}
	w.mu.Unlock()
	w.fact(c, of, flags)
}

func (w *world) uidValidity(box string) string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.facts[box+" UIDVALIDITY"]
}

// left notes that a client was told a message is gone. Of those that came by a
// command nobody heard the end of, nothing is known.
func (w *world) left(c *tracker, p place) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if _, known := w.made[p]; known && !w.doomed[p] {
		c.wrong("UID %d of %s is gone, and nobody asked for that", p.uid, p.box)
	}
}

func (w *world) doom(box string, view []seen) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, m := range view {
		w.doomed[place{box, m.uid}] = true
	}
}

// attempt notes that so many messages may come into a mailbox; the result says
// that the server answered.
func (w *world) attempt(box string, n int) (answered func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.unsure[box] += n
	return func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.unsure[box] -= n
	}
}

func (w *world) make(c *tracker, p place, id string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if _, twice := w.made[p]; twice {
		c.wrong("UID %d of %s was given twice", p.uid, p.box)
	}
	w.made[p] = id
}

// copy notes a copy, which has the flags of what it was made from. Where that
// came from nobody may have heard yet, and then it may be \Deleted.
func (w *world) copy(c *tracker, from, to place) {
	w.make(c, to, w.idAt(from))
	w.mu.Lock()
	defer w.mu.Unlock()
	if _, known := w.made[from]; !known || w.doomed[from] {
		w.doomed[to] = true
	}
}

func (w *world) idAt(p place) string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.made[p]
}

// newMessage is a text that says who it is and what its body must be.
func (w *world) newMessage(c *tracker) (id, text string) {
	w.mu.Lock()
	w.ids++
	id = fmt.Sprintf("%s-%d", c.name, w.ids)
	w.mu.Unlock()
	body := strings.Repeat(fmt.Sprintf("This is %s.\r\n", id), 1+c.rng.IntN(40))
	return id, fmt.Sprintf("From: %s <%s@example.test>\r\nSubject: about %s\r\nMessage-ID: <%s@example.test>\r\nX-Sum: %x\r\n\r\n%s",
		c.name, c.name, id, id, sha256.Sum256([]byte(body)), body)
}

// checkText looks whether a message is what it says it is.
func (w *world) checkText(c *tracker, uid mail.UID, text string) {
	head, body, _ := strings.Cut(text, "\r\n\r\n")
	if !strings.Contains(head+"\r\n", fmt.Sprintf("X-Sum: %x\r\n", sha256.Sum256([]byte(body)))) {
		c.wrong("the text of UID %d is damaged: %.300q", uid, text)
	}
	if id := w.idAt(place{c.box, uid}); id != "" && !strings.Contains(head, "<"+id+"@") {
		c.wrong("UID %d is not the message %s that was put there: %.300q", uid, id, head)
	}
}

// In one mailbox flags are also replaced; in the others each client has a keyword
// that nobody else touches.
var stressBoxes = []string{"INBOX", "Work", "Wild"}

const wildBox = "Wild"

// stress is one history: clients that act at random on one account, in rounds;
// after each they settle and must agree with each other and with the store.
type stress struct {
	t       *testing.T
	seed    uint64
	w       *world
	db      *sqlstore.DB
	account mail.AccountID
	server  *Server
	clients []*tracker
}

func newStress(t *testing.T, seed uint64, clients int) *stress {
	s := &stress{t: t, seed: seed, w: newWorld(), db: sqltest.Temp(t, sqlstore.Options{RunTwice: true})}
	log := slog.New(slog.DiscardHandler)
	service := auth.New(s.db, s.db, []byte("salts"), log)
	p, err := s.db.CreateAccount(context.Background(), testOrigin, store.NewAccount{Login: testLogin, Verifier: verifier()})
	if err != nil {
		t.Fatal(err)
	}
	s.account = p.Account
	h := &house{t: t, blobs: &memoryBlobs{}, account: p.Account, user: p}
	s.server = &Server{Store: s.db, Auth: service, Blobs: h.blobs, Ingest: h.blobs.ingest, Log: log, AllowPlainAuth: netip.Addr.IsLoopback,
		Limits: Limits{Nap: time.Millisecond}}
	h.server, h.addr = s.server, h.listen(s.server.Serve)
	for i := range clients {
		c := &tracker{login: testLogin, w: s.w, name: fmt.Sprint("c", i), addr: h.addr, rng: rand.New(rand.NewPCG(seed, uint64(i))), caches: map[string]cache{}}
		c.qresync, c.condstore, c.rev2 = i%3 == 0, i%3 == 1, i%4 == 3
		c.notified = i%4 == 2
		s.clients = append(s.clients, c)
	}
	return s
}

// each runs f for all clients, together or one after the other.
func (s *stress) each(together bool, f func(*tracker)) {
	var all sync.WaitGroup
	for _, c := range s.clients {
		guarded := func() {
			defer func() {
				if b, ok := recover().(broken); ok {
					s.t.Errorf("seed %d: %s", s.seed, string(b))
				}
			}()
			f(c)
		}
		if together {
			all.Go(guarded)
		} else {
			guarded()
		}
	}
	all.Wait()
	if s.t.Failed() {
		s.t.FailNow()
	}
}

func (s *stress) play(rounds, acts int) {
	s.each(false, (*tracker).connect)
	for _, box := range stressBoxes[1:] {
		s.clients[0].run("CREATE " + box)
	}
	s.addMembers()
	for range rounds {
		s.each(true, func(c *tracker) {
			for range acts {
				c.act()
			}
		})
		s.settle()
	}
	s.each(false, func(c *tracker) { c.run("LOGOUT") })
}

// members is how many clients of another account share the mailboxes.
const members = 2

// addMembers shares the mailboxes with somebody, who comes with clients of their
// own and does what the owner does.
func (s *stress) addMembers() {
	login := "bob@example.test"
	p, err := s.db.CreateAccount(context.Background(), testOrigin, store.NewAccount{Login: login, Verifier: verifier()})
	if err != nil {
		s.t.Fatal(err)
	}
	for _, box := range stressBoxes {
		s.clients[0].run("SETACL " + box + " " + login + " lrswite")
	}
	for i := range members {
		c := &tracker{login: login, above: othersPrefix + testLogin + "/", as: p.ID, w: s.w, name: fmt.Sprint("m", i), addr: s.clients[0].addr,
			rng: rand.New(rand.NewPCG(s.seed, uint64(100+i))), caches: map[string]cache{}}
		c.qresync, c.condstore, c.rev2 = i%2 == 0, i%2 == 1, i%2 == 1
		s.clients = append(s.clients, c)
		c.connect()
	}
}

// settle lets everybody hear everything, and compares.
func (s *stress) settle() {
	s.waitForSessions()
	for _, box := range stressBoxes {
		want := s.stored(box, 0)
		mine := map[mail.PrincipalID][]seen{0: want}
		for _, c := range s.clients {
			mine[c.as] = s.stored(box, c.as)
		}
		s.each(true, func(c *tracker) {
			if c.box != box || c.readOnly {
				c.open(box, false)
			}
			c.run("NOOP")
			c.catchUp()
			c.compare(mine[c.as])
			c.checkAll()
			if len(c.view) > 0 {
				c.do(c.fetch("1:*", "UID FLAGS BODY.PEEK[]"+c.modseqItem()))
				c.compare(mine[c.as])
			}
		})
		s.accountFor(box, want)
	}
	wrong, err := s.db.Check(context.Background(), s.account, false)
	if err != nil || len(wrong) > 0 {
		s.t.Fatalf("seed %d: the store's own check says %v, %v", s.seed, wrong, err)
	}
}

// compare holds what a client was told against what is stored.
func (c *tracker) compare(want []seen) {
	if len(c.view) != len(want) {
		c.wrong("%d messages, and %d are stored", len(c.view), len(want))
	}
	for i, m := range c.view {
		if m.uid != want[i].uid || m.flags != want[i].flags || m.modseq != 0 && m.modseq != want[i].modseq {
			c.wrong("message %d is %+v, and stored is %+v", i+1, m, want[i])
		}
	}
}

func (s *stress) stored(box string, as mail.PrincipalID) (all []seen) {
	err := s.db.View(context.Background(), s.account, func(r store.Reader) error {
		mb, err := r.MailboxByPath(box)
		if err != nil {
			return err
		}
		return r.Placements(store.PlacementQuery{Mailbox: mb.ID, As: as}, func(p *mail.Placement) error {
			var flags []any
			for _, f := range strings.Fields(p.Flags.String()) {
				flags = append(flags, f)
			}
			all = append(all, seen{p.UID, flagText(flags), true, uint64(p.ModSeq)})
			return nil
		})
	})
	if err != nil {
		s.t.Fatal(err)
	}
	return all
}

// accountFor looks for losses and for what nobody made.
func (s *stress) accountFor(box string, want []seen) {
	s.w.mu.Lock()
	defer s.w.mu.Unlock()
	there := map[place]bool{}
	extra := 0
	for _, m := range want {
		p := place{box, m.uid}
		there[p] = true
		if _, ok := s.w.made[p]; !ok {
			extra++
		}
	}
	if extra > s.w.unsure[box] {
		s.t.Fatalf("seed %d: %s has %d messages nobody was told of, at most %d may be", s.seed, box, extra, s.w.unsure[box])
	}
	for p := range s.w.made {
		if p.box == box && !there[p] && !s.w.doomed[p] {
			s.t.Fatalf("seed %d: UID %d of %s is lost", s.seed, p.uid, box)
		}
	}
}

// waitForSessions returns when what was cut off has come to its end.
func (s *stress) waitForSessions() {
	for end := time.Now().Add(answerTime); time.Now().Before(end); time.Sleep(time.Millisecond) {
		total := s.server.door.Inside()
		if total == len(s.clients) {
			return
		}
	}
	s.t.Fatal("sessions do not end")
}

// TestClientsUnderStress has clients do at random what clients do, all at once on
// one account, while each holds the server to every word. LOCKSTEP_SOAK makes it
// go on with new seeds for that long, LOCKSTEP_SEED runs one again.
func TestClientsUnderStress(t *testing.T) {
	few, rounds := 3, 6
	if raceEnabled { // hashing passwords takes ten times as long
		few, rounds = 1, 2
	}
	for seed := range steady.Seeds(t, few) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) { newStress(t, seed, 8).play(rounds, 40) })
	}
}
