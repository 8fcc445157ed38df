package auth

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"lockstep/internal/mail"
	"lockstep/internal/notify"
	"lockstep/internal/notify/notifytest"
	"lockstep/internal/store"
	"lockstep/internal/store/model"
)

// cluster is nodes on one store.
type cluster struct {
	t     *testing.T
	store *model.Store
	air   notifytest.Air
	buses []notify.Bus
	looks atomic.Int64 // questions to the store that nobody's sign-in asked
	nodes []*bench
	stop  []func()
}

// lookCounter counts what nodes ask by themselves.
type lookCounter struct {
	*model.Store
	n *atomic.Int64
}

func (c lookCounter) EndingsAfter(ctx context.Context, id int64, limit int) ([]store.Ending, error) {
	c.n.Add(1)
	return c.Store.EndingsAfter(ctx, id, limit)
}

func (c lookCounter) LockedOut(ctx context.Context, since, now time.Time, limit int) ([]store.Failure, error) {
	c.n.Add(1)
	return c.Store.LockedOut(ctx, since, now, limit)
}

// newCluster starts n nodes. Within a bubble it is to be closed there.
func newCluster(t *testing.T, n int) *cluster {
	c := &cluster{t: t, store: model.New()}
	c.store.Now = time.Now
	for range n {
		c.start()
	}
	c.nodes[0].alice = c.nodes[0].account("alice@example.test", verifier())
	for _, b := range c.nodes {
		b.alice = c.nodes[0].alice
	}
	return c
}

// start adds a node.
func (c *cluster) start() *bench {
	b := &bench{t: c.t, store: c.store, Service: New(c.store, c.store, []byte("salts"), slog.New(slog.DiscardHandler))}
	shared := lookCounter{c.store, &c.looks}
	bus := c.air.Node()
	c.buses = append(c.buses, bus)
	if err := b.Join(c.t.Context(), Nodes{shared, shared, bus}); err != nil {
		c.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(c.t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := b.Follow(ctx); err != nil {
			c.t.Error(err)
		}
	}()
	c.nodes = append(c.nodes, b)
	c.stop = append(c.stop, func() { cancel(); <-done })
	return b
}

func (c *cluster) close() {
	for _, stop := range c.stop {
		stop()
	}
	for _, bus := range c.buses {
		bus.Close()
	}
}

// cut has every word get lost.
func (c *cluster) cut(lost bool) {
	if lost {
		c.air.Spoil(notifytest.Faults{Rand: rand.New(rand.NewPCG(1, 1)), Lose: 1})
	}
}

// watched is a session that waits.
type watched struct {
	*Session
	why atomic.Pointer[string]
}

func (b *bench) waits(sess *Session) *watched {
	w := &watched{Session: sess}
	b.Track(sess, func(why string) { w.why.Store(&why) })
	return w
}

func (w *watched) ended() string {
	if why := w.why.Load(); why != nil {
		return *why
	}
	return ""
}

// acts are all that signs somebody out.
var acts = []struct {
	name string
	ends string // which of those that everyWay makes
	do   func(c *cluster, b *bench, sessions map[string]*watched) error
}{
	{"device signed out", "app", func(c *cluster, b *bench, s map[string]*watched) error {
		return b.SignOut(c.t.Context(), b.alice, s["app"].Device().ID)
	}},
	{"implicit device signed out", "password", func(c *cluster, b *bench, s map[string]*watched) error {
		return b.SignOut(c.t.Context(), b.alice, s["password"].Device().ID)
	}},
	{"password changed", "password web", func(c *cluster, b *bench, _ map[string]*watched) error {
		return b.SetPassword(c.t.Context(), b.alice, "another-horse")
	}},
	{"account disabled", "app password web phone", func(c *cluster, b *bench, _ map[string]*watched) error {
		return b.SetDisabled(c.t.Context(), b.alice.Account, true)
	}},
	{"account removed", "app password web phone", func(c *cluster, b *bench, _ map[string]*watched) error {
		return c.store.KeepRemoved(c.t.Context(), b.alice.Account)
	}},
	{"account gone", "app password web phone", func(c *cluster, b *bench, _ map[string]*watched) error {
		return c.store.RemoveAccount(c.t.Context(), b.alice.Account)
	}},
	{"device blocked", "app", func(c *cluster, b *bench, s map[string]*watched) error {
		return b.SetAccess(c.t.Context(), by, b.alice.Account, s["app"].Device().ID, mail.Blocked)
	}},
	{"device quarantined", "phone", func(c *cluster, b *bench, s map[string]*watched) error {
		return b.SetAccess(c.t.Context(), by, b.alice.Account, s["phone"].Device().ID, mail.Quarantined)
	}},
	{"wipe asked for", "phone", func(c *cluster, b *bench, s map[string]*watched) error {
		_, err := b.RequestWipe(c.t.Context(), by, b.alice.Account, s["phone"].Device().ID, mail.WipeAccount)
		return err
	}},
	{"browser signed out", "web", func(c *cluster, b *bench, s map[string]*watched) error {
		return b.EndSignIn(c.t.Context(), b.alice, s["web"].SignedIn().ID)
	}},
	{"second factor", "password phone", func(c *cluster, b *bench, _ map[string]*watched) error {
		_, err := b.addFactor(c.t.Context(), b.alice, store.Credential{Kind: store.TOTP})
		return err
	}},
	{"app password taken away", "app", func(c *cluster, b *bench, s map[string]*watched) error {
		return c.store.RemoveCredential(c.t.Context(), s["app"].Credential)
	}},
	{"device starts over", "phone", func(c *cluster, b *bench, s map[string]*watched) error {
		if err := b.StartOver(c.t.Context(), b.alice.Account, s["phone"].Device().ID); mail.KindOf(err) == mail.Internal {
			return err
		}
		return nil // it held nothing yet
	}},
	{"renamed", "", func(c *cluster, b *bench, s map[string]*watched) error {
		_, err := b.Rename(c.t.Context(), by, b.alice.Account, s["app"].Device().ID, "other")
		return err
	}},
}

// everyWay signs in by each.
func (b *bench) everyWay(secret string) map[string]*watched {
	all := map[string]*watched{"password": b.waits(b.in(attempt(password))), "app": b.waits(b.in(attempt(secret)))}
	phone := attempt(password)
	phone.Protocol, phone.DeviceKey, phone.CanWipe = mail.EAS, "ID1", true
	all["phone"] = b.waits(b.in(phone))
	proof, err := b.ProvePassword(b.t.Context(), "alice@example.test", password, home)
	if err != nil {
		b.t.Fatal(err)
	}
	_, web, err := b.Stay(b.t.Context(), proof, Browser{Key: "k", Agent: "Mozilla/5.0 Firefox/1", Addr: home})
	if err != nil {
		b.t.Fatal(err)
	}
	all["web"] = b.waits(web)
	return all
}

// appPassword is one of a new device of Alice's.
func (b *bench) appPassword() string {
	b.t.Helper()
	_, secret, err := b.AddDevice(b.t.Context(), b.alice, "phone", nil)
	if err != nil {
		b.t.Fatal(err)
	}
	return secret
}

func TestWhoIsSignedOutAtOneNodeIsAtAll(t *testing.T) {
	for _, act := range acts {
		for _, cut := range []bool{false, true} {
			name := act.name
			if cut {
				name += ", and no word comes through"
			}
			t.Run(name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					c := newCluster(t, 2)
					defer c.close()
					c.cut(cut)
					here, there := c.nodes[0], c.nodes[1]
					secret := here.appPassword()
					sessions := there.everyWay(secret)
					bob := there.account("bob@example.test", verifier())
					his := attempt(password)
					his.Login = bob.Login
					other := there.waits(there.in(his))
					time.Sleep(lookEach * 3)
					if err := act.do(c, here, sessions); err != nil {
						t.Fatal(err)
					}
					if !cut && act.name != "account removed" && act.name != "account gone" && act.name != "app password taken away" {
						time.Sleep(lookPause)
					} else { // the store alone knows
						time.Sleep(SeenWithin)
					}
					synctest.Wait()
					for way, sess := range sessions {
						want := strings.Contains(" "+act.ends+" ", " "+way+" ")
						if act.name == "password changed" && way == "phone" {
							want = true // it came in by the password too
						}
						if got := sess.ended() != ""; got != want {
							t.Errorf("%s: ended %v (%q), want %v", way, got, sess.ended(), want)
						}
					}
					if other.ended() != "" {
						t.Errorf("somebody else's session ended: %s", other.ended())
					}
				})
			})
		}
	}
}

func TestWhoWasSignedOutComesBackOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 2)
		defer c.close()
		c.cut(true)
		here := c.nodes[0]
		first := here.waits(here.in(attempt(password)))
		if err := here.SignOut(t.Context(), here.alice, first.Device().ID); err != nil {
			t.Fatal(err)
		}
		again := here.waits(here.in(attempt(password)))
		time.Sleep(SeenWithin)
		synctest.Wait()
		if first.ended() == "" || again.ended() != "" {
			t.Errorf("the first ended %q, the second %q", first.ended(), again.ended())
		}
	})
}

func TestAWipeThatIsBeingToldIsNotCut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 2)
		defer c.close()
		here, there := c.nodes[0], c.nodes[1]
		phone := attempt(password)
		phone.Protocol, phone.DeviceKey, phone.CanWipe = mail.EAS, "ID1", true
		d := there.in(phone).Device()
		if _, err := here.RequestWipe(t.Context(), by, here.alice.Account, d.ID, mail.WipeAccount); err != nil {
			t.Fatal(err)
		}
		told := there.waits(there.in(phone))
		if err := there.WipeSent(t.Context(), told.Session); err != nil {
			t.Fatal(err)
		}
		time.Sleep(SeenWithin)
		synctest.Wait()
		if !told.WipeOnly() || told.ended() != "" {
			t.Errorf("wipe only %v, ended %q", told.WipeOnly(), told.ended())
		}
	})
}

func TestANodeThatMissedTooMuchEndsAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 2)
		defer c.close()
		there := c.nodes[1]
		waits := there.waits(there.in(attempt(password)))
		for range 3 {
			if _, err := c.store.EndSessions(t.Context(), 99, 1); err != nil {
				t.Fatal(err)
			}
		}
		there.others.mu.Lock()
		there.others.last -= 2 // of what the store has forgotten
		there.others.mu.Unlock()
		time.Sleep(SeenWithin)
		synctest.Wait()
		if waits.ended() == "" {
			t.Error("a session goes on, though nobody can tell whether it may")
		}
	})
}

// What nodes ask by themselves does not grow with the sessions that wait.
func TestWaitingSessionsCostNoStatements(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 1)
		defer c.close()
		b := c.nodes[0]
		for i := range 1000 {
			a := attempt(password)
			a.Client = fmt.Sprint("client ", i%200)
			b.waits(b.in(a))
		}
		before := c.looks.Load()
		time.Sleep(10 * time.Minute)
		if n := c.looks.Load() - before; n > 160 {
			t.Errorf("%d statements in ten minutes, want at most 160: two each eight seconds", n)
		}
	})
}

func TestGuessesSpreadOverNodesAreNoMore(t *testing.T) {
	for _, cut := range []bool{false, true} {
		t.Run(fmt.Sprint("cut=", cut), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := newCluster(t, 3)
				defer func() { c.close() }()
				c.cut(cut)
				heard := 0
				guess := func(i int) {
					_, err := c.nodes[i%3].Login(t.Context(), attempt("wrong-horse"))
					switch mail.KindOf(err) {
					case mail.BadCredentials:
						heard++
					case mail.Limit:
					default:
						t.Fatal(err)
					}
				}
				for i := range 30 {
					guess(i)
				}
				if heard != freeFailuresPair {
					t.Errorf("%d guesses were heard, want %d", heard, freeFailuresPair)
				}
				for _, b := range c.nodes { // nor is who guesses right
					b.refused(attempt(password), mail.Limit)
				}
				for range 3 { // all nodes start anew
					c.stop[0]()
					c.stop, c.nodes = c.stop[1:], c.nodes[1:]
					c.start().alice = c.nodes[0].alice
				}
				guess(0)
				if heard != freeFailuresPair {
					t.Errorf("a restart gave %d more guesses", heard-freeFailuresPair)
				}
				time.Sleep(2 * time.Second)
				guess(1)
				guess(2)
				if heard != freeFailuresPair+1 {
					t.Errorf("%d guesses after the wait, want one", heard-freeFailuresPair)
				}
				time.Sleep(maxWait)
				for _, b := range c.nodes {
					b.in(attempt(password))
				}
				for _, f := range failuresOf(t, c, "alice@example.test", home)[:1] {
					if f.N != 0 {
						t.Errorf("%d failures of the pair are left", f.N)
					}
				}
			})
		})
	}
}

func failuresOf(t *testing.T, c *cluster, login string, addr netip.Addr) []store.Failure {
	all, err := c.store.FailuresOf(t.Context(), keysOf(c.nodes[0].limits.limitsOf(login, addr)))
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func TestGuessesAtOnceOnManyNodesAreNoMore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 3)
		defer c.close()
		c.cut(true)
		var heard atomic.Int64
		var wg sync.WaitGroup
		for i := range 24 {
			wg.Go(func() {
				_, err := c.nodes[i%3].Login(t.Context(), attempt(fmt.Sprint("wrong-horse", i)))
				if mail.KindOf(err) == mail.BadCredentials {
					heard.Add(1)
				}
			})
		}
		wg.Wait()
		if n := heard.Load(); n != freeFailuresPair {
			t.Errorf("%d guesses were heard, want %d", n, freeFailuresPair)
		}
	})
}

// What is random and long is not looked up before it is let in: a lock-out reaches it
// by a word at once, and without one when the node looks.
func TestALockOutReachesAllNodes(t *testing.T) {
	for _, cut := range []bool{false, true} {
		t.Run(fmt.Sprint("cut=", cut), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := newCluster(t, 2)
				defer c.close()
				c.cut(cut)
				here, there := c.nodes[0], c.nodes[1]
				secret := here.appPassword()
				for range freeFailuresPair + 6 { // a wait of a minute
					time.Sleep(maxWait / 12)
					_, _ = here.Login(t.Context(), attempt("wrong-horse"))
				}
				if cut {
					time.Sleep(SeenWithin)
				}
				synctest.Wait()
				there.refused(attempt(secret), mail.Limit)
			})
		})
	}
}

func TestTheOwnersNetworkIsKnownAtAllNodes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 2)
		defer c.close()
		here, there := c.nodes[0], c.nodes[1]
		here.in(attempt(password))
		for i := range freeFailuresLogin + 5 {
			a := attempt("wrong-horse")
			a.Addr = netip.AddrFrom4([4]byte{10, 0, byte(i), 1})
			_ = there.failed(t.Context(), try{login: a.Login, addr: a.Addr, guessed: true})
		}
		stranger := attempt(password)
		stranger.Addr = netip.MustParseAddr("198.51.100.1")
		there.refused(stranger, mail.Limit)
		there.in(attempt(password))
	})
}

func TestFailuresOfWhatNobodyGuessesAreWrittenAtABoundedRate(t *testing.T) {
	var b budget
	at := time.Now()
	n := 0
	for range failuresAtOnce * 2 {
		if b.take(at) {
			n++
		}
	}
	if n != failuresAtOnce {
		t.Errorf("%d at once, want %d", n, failuresAtOnce)
	}
	for range 2 * failuresASecond {
		if b.take(at.Add(time.Second)) {
			n++
		}
	}
	if n != failuresAtOnce+failuresASecond {
		t.Errorf("%d more a second later, want %d", n-failuresAtOnce, failuresASecond)
	}
}

// Whoever says nonsense on the bus has nodes ask the store, and no more often than they
// rest between.
func TestWordsThatAreForgedCostFewLooks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 1)
		defer c.close()
		b := c.nodes[0]
		waits := b.waits(b.in(attempt(password)))
		bus := c.air.Node()
		defer bus.Close()
		before := c.looks.Load()
		for range 1000 {
			bus.Send(signInTopic, []byte(`{"account":1}`))
			bus.Send(limitTopic, []byte(`[{"Key":"x","Until":"9999-01-01T00:00:00Z"}]`))
			time.Sleep(time.Millisecond)
		}
		if n := c.looks.Load() - before; n > 50 {
			t.Errorf("%d statements in a second", n)
		}
		if waits.ended() != "" {
			t.Errorf("the session ended: %s", waits.ended())
		}
		b.in(attempt(password))
	})
}

// brokenFor fails where an account's ways in are read.
type brokenFor struct {
	*model.Store
	id *atomic.Int64
}

func (b brokenFor) SignIns(ctx context.Context, id store.PrincipalID) ([]store.SignIn, error) {
	if int64(id) == b.id.Load() {
		return nil, errors.New("damaged")
	}
	return b.Store.SignIns(ctx, id)
}

func TestAnAccountThatCanNotBeReadHoldsUpNoOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 2)
		defer c.close()
		here, there := c.nodes[0], c.nodes[1]
		var id atomic.Int64
		there.dir = brokenFor{c.store, &id}
		bob := here.account("bob@example.test", verifier())
		his := attempt(password)
		his.Login = bob.Login
		hers, bobs := there.waits(there.in(attempt(password))), there.waits(there.in(his))
		id.Store(int64(here.alice.ID))
		for _, p := range []store.Principal{here.alice, bob} {
			if err := here.SetDisabled(t.Context(), p.Account, true); err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(SeenWithin)
		synctest.Wait()
		if hers.ended() != "sign in again" || bobs.ended() != "account disabled" {
			t.Errorf("ended %q and %q", hers.ended(), bobs.ended())
		}
	})
}

func TestEndedAccountsAreBounded(t *testing.T) {
	var r registry
	for i := range maxEnded + 1 {
		before := r.soFar()
		r.end(mail.AccountID(i+1), func(*Session) bool { return true }, "")
		if !r.endedSince(mail.AccountID(i+1), before) || r.endedSince(mail.AccountID(maxEnded+9), before) {
			t.Fatal("who was meant is not known")
		}
		if len(r.ended) > maxEnded {
			t.Fatalf("%d accounts are known", len(r.ended))
		}
	}
	if !r.endedSince(1, 0) {
		t.Error("what was forgotten counts as not ended")
	}
}
