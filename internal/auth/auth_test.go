package auth

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/xdg-go/scram"

	"lockstep/internal/mail"
	"lockstep/internal/store"
	"lockstep/internal/store/model"
)

const password = "correct-horse"

var (
	by   = mail.NewOrigin("test", 0, mail.Local, mail.BySetup)
	home = netip.MustParseAddr("192.0.2.1")
)

// verifier is hashed once for all tests: it is slow on purpose.
var verifier = sync.OnceValue(func() []byte {
	v, err := HashPassword(context.Background(), password)
	if err != nil {
		panic(err)
	}
	return v
})

// bench is a service with alice on it and a clock that tests move.
type bench struct {
	*Service
	t     testing.TB
	store *model.Store
	alice store.Principal
	clock time.Time
}

func newBench(t testing.TB) *bench {
	b := &bench{t: t, store: model.New(), clock: time.Date(2026, 11, 20, 10, 0, 0, 0, time.UTC)}
	b.Service = New(b.store, b.store, []byte("salts"), slog.New(slog.DiscardHandler))
	b.now = func() time.Time { return b.clock }
	b.alice = b.account("alice@example.test", verifier())
	return b
}

func (b *bench) account(login string, verifier []byte) store.Principal {
	p, err := b.store.CreateAccount(b.t.Context(), by, store.NewAccount{Login: login, Verifier: verifier})
	if err != nil {
		b.t.Fatal(err)
	}
	return p
}

func attempt(secret string) Attempt {
	return Attempt{Login: "alice@example.test", Secret: secret, Protocol: mail.IMAP, Addr: home}
}

// in signs in and fails the test if that is refused.
func (b *bench) in(a Attempt) *Session {
	b.t.Helper()
	s, err := b.Login(b.t.Context(), a)
	if err != nil {
		b.t.Fatal(err)
	}
	return s
}

func (b *bench) refused(a Attempt, want mail.Kind) {
	b.t.Helper()
	if _, err := b.Login(b.t.Context(), a); err == nil || mail.KindOf(err) != want {
		b.t.Fatalf("got %v, want %v", err, want)
	}
}

func (b *bench) devices() []mail.Device {
	b.t.Helper()
	var all []mail.Device
	err := b.store.View(b.t.Context(), b.alice.Account, func(r store.Reader) (err error) {
		all, err = r.Devices()
		return err
	})
	if err != nil {
		b.t.Fatal(err)
	}
	return all
}

func TestPasswords(t *testing.T) {
	for _, p := range []string{strings.Repeat("x", MinPasswordBytes), strings.Repeat("x", MaxPasswordBytes), "päßwörter\x00\n"} {
		v, err := HashPassword(t.Context(), p)
		if err != nil {
			t.Fatal(err)
		}
		for secret, want := range map[string]bool{p: true, p + "x": false, p[1:]: false, "": false} {
			if ok, err := checkPassword(t.Context(), v, secret); ok != want || err != nil {
				t.Errorf("%.10q for %.10q: %v, %v", secret, p, ok, err)
			}
		}
	}
	for _, p := range []string{"", strings.Repeat("x", MinPasswordBytes-1), strings.Repeat("x", MaxPasswordBytes+1)} {
		if _, err := HashPassword(t.Context(), p); err == nil || mail.KindOf(err) != mail.Invalid {
			t.Errorf("a password of %d bytes: %v, want Invalid", len(p), err)
		}
	}
	again, err := HashPassword(t.Context(), password)
	if err != nil || string(again) == string(verifier()) {
		t.Errorf("two verifiers of one password are equal, or %v", err)
	}
}

func TestVerifiersThatCanNotBeRead(t *testing.T) {
	good := string(verifier())
	for _, bad := range []string{"", "x", "$argon2id$", "$argon2i$" + good[len("$argon2id$"):], strings.Replace(good, "v=19", "v=18", 1), strings.Replace(good, "m=19456", "m=4194304", 1),
		strings.Replace(good, "t=2", "t=0", 1), strings.Replace(good, "t=2", "t=17", 1), strings.Replace(good, "p=1", "p=0", 1), good[:len(good)-2], good + "!"} {
		if ok, err := checkPassword(t.Context(), []byte(bad), password); ok || err == nil {
			t.Errorf("%q: %v, %v, want an error", bad, ok, err)
		}
	}
}

func TestHashingGivesUpWithItsContext(t *testing.T) {
	for range cap(hashing) {
		hashing <- struct{}{}
	}
	defer func() {
		for range cap(hashing) {
			<-hashing
		}
	}()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := HashPassword(ctx, password); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

func TestAppPasswords(t *testing.T) {
	seen := map[string]bool{}
	for range 100 {
		p := NewAppPassword()
		if len(p) != appGroups*appGroupChars+appGroups-1 || seen[p] || strings.Trim(p, appAlphabet+"-") != "" {
			t.Fatalf("drew %q", p)
		}
		seen[p] = true
	}
	v := newAppVerifier("secret")
	if !checkAppPassword(v, "secret") || checkAppPassword(v, "Secret") || checkAppPassword(nil, "") || checkAppPassword([]byte("sha256:!:"), "") || checkAppPassword(verifier(), password) {
		t.Error("an app password is checked wrongly")
	}
}

func TestLoginIsFoldedAndTrimmed(t *testing.T) {
	b := newBench(t)
	a := attempt(password)
	a.Login = " Alice@Example.TEST "
	if s := b.in(a); s.Account() != b.alice.Account || s.Origin().Actor() != "alice@example.test" || s.Origin().Protocol() != mail.IMAP {
		t.Errorf("got %+v", s)
	}
}

func TestWrongSecretsSoundAlike(t *testing.T) {
	b := newBench(t)
	b.account("locked@example.test", nil)
	var texts []string
	for _, login := range []string{"alice@example.test", "nobody@example.test", "locked@example.test", ""} {
		_, err := b.Login(t.Context(), Attempt{Login: login, Secret: "wrong-horse", Protocol: mail.IMAP, Addr: home})
		if mail.KindOf(err) != mail.BadCredentials {
			t.Fatalf("%q: %v", login, err)
		}
		texts = append(texts, err.Error())
	}
	for _, text := range texts {
		if text != texts[0] {
			t.Errorf("%q and %q tell who is here", texts[0], text)
		}
	}
}

func TestAppPasswordIsForItsProtocolsOnly(t *testing.T) {
	b := newBench(t)
	d, secret, err := b.AddDevice(t.Context(), b.alice, " phone ", []mail.Protocol{mail.IMAP, mail.Submission})
	if err != nil || d.Name != "phone" {
		t.Fatal(d, err)
	}
	if s := b.in(attempt(secret)); s.Device().ID != d.ID {
		t.Errorf("device %d, want %d", s.Device().ID, d.ID)
	}
	if odd, _, err := b.AddDevice(t.Context(), b.alice, "a\x1b]0;b\n", nil); err != nil || odd.Name != "a]0;b" {
		t.Errorf("a name that a terminal obeys is kept as %q: %v", odd.Name, err)
	}
	a := attempt(secret)
	a.Protocol = mail.POP3
	b.refused(a, mail.Denied)
	for _, name := range []string{"", "  ", "\n", strings.Repeat("x", mail.MaxDeviceNameBytes+1)} {
		if _, _, err := b.AddDevice(t.Context(), b.alice, name, nil); err == nil || mail.KindOf(err) != mail.Invalid {
			t.Errorf("a device named %.5q: %v", name, err)
		}
	}
}

func TestDisabledIsToldToTheRightSecretOnly(t *testing.T) {
	b := newBench(t)
	ended := b.watch(b.in(attempt(password)))
	if err := b.SetDisabled(t.Context(), b.alice.Account, true); err != nil {
		t.Fatal(err)
	}
	if got := <-ended; got != "account disabled" {
		t.Errorf("ended with %q", got)
	}
	b.refused(attempt(password), mail.Denied)
	b.refused(attempt("wrong-horse"), mail.BadCredentials)
	if err := b.SetDisabled(t.Context(), b.alice.Account, false); err != nil {
		t.Fatal(err)
	}
	b.in(attempt(password))
}

// watch tracks a session and returns how it ended.
func (b *bench) watch(s *Session) <-chan string {
	ended := make(chan string, 1)
	b.t.Cleanup(b.Track(s, func(reason string) { ended <- reason }))
	return ended
}

func stays(t *testing.T, ended <-chan string, what string) {
	t.Helper()
	select {
	case reason := <-ended:
		t.Errorf("%s ended: %s", what, reason)
	default:
	}
}

func TestBlockedDevice(t *testing.T) {
	b := newBench(t)
	d, secret, err := b.AddDevice(t.Context(), b.alice, "phone", nil)
	if err != nil {
		t.Fatal(err)
	}
	phone, laptop := b.watch(b.in(attempt(secret))), b.watch(b.in(attempt(password)))
	if n := b.Connected(b.alice.Account); n[d.ID] != 1 || len(n) != 2 {
		t.Errorf("connected: %v", n)
	}
	if err := b.SetAccess(t.Context(), by, b.alice.Account, d.ID, mail.Blocked); err != nil {
		t.Fatal(err)
	}
	if got := <-phone; got != "device blocked" {
		t.Errorf("ended with %q", got)
	}
	stays(t, laptop, "the other device")
	b.refused(attempt(secret), mail.Denied)
	b.in(attempt(password))
	if err := b.SetAccess(t.Context(), by, b.alice.Account, d.ID, mail.Allowed); err != nil {
		t.Fatal(err)
	}
	b.in(attempt(secret))
}

func TestBlockedImplicitDevice(t *testing.T) {
	b := newBench(t)
	mutt := attempt(password)
	mutt.Client = "Mutt"
	d := b.in(mutt).Device()
	if err := b.SetAccess(t.Context(), by, b.alice.Account, d.ID, mail.Blocked); err != nil {
		t.Fatal(err)
	}
	b.refused(mutt, mail.Denied)
	unnamed := b.in(attempt(password))
	if err := b.Named(t.Context(), unnamed, "mutt"); err == nil || mail.KindOf(err) != mail.Denied {
		t.Errorf("it came in by another name: %v", err)
	}
}

func TestSignOutEndsSessionsAndRevokes(t *testing.T) {
	b := newBench(t)
	d, secret, err := b.AddDevice(t.Context(), b.alice, "phone", nil)
	if err != nil {
		t.Fatal(err)
	}
	_, other, err := b.AddDevice(t.Context(), b.alice, "tablet", nil)
	if err != nil {
		t.Fatal(err)
	}
	phone, tablet := b.watch(b.in(attempt(secret))), b.watch(b.in(attempt(other)))
	if err := b.SignOut(t.Context(), b.alice, d.ID); err != nil {
		t.Fatal(err)
	}
	if got := <-phone; got != "signed out" {
		t.Errorf("ended with %q", got)
	}
	stays(t, tablet, "the other device")
	b.refused(attempt(secret), mail.BadCredentials)
	b.in(attempt(other))
}

// A session that was signing in while its device was signed out is ended when it
// is tracked.
func TestSignOutReachesWhoIsJustSigningIn(t *testing.T) {
	b := newBench(t)
	d, secret, err := b.AddDevice(t.Context(), b.alice, "phone", nil)
	if err != nil {
		t.Fatal(err)
	}
	s := b.in(attempt(secret))
	if err := b.SignOut(t.Context(), b.alice, d.ID); err != nil {
		t.Fatal(err)
	}
	if got := <-b.watch(s); got != "signed out" {
		t.Errorf("ended with %q", got)
	}
	stays(t, b.watch(b.in(attempt(password))), "who came later")
}

func TestSetPasswordForgetsTheOld(t *testing.T) {
	b := newBench(t)
	_, secret, err := b.AddDevice(t.Context(), b.alice, "phone", nil)
	if err != nil {
		t.Fatal(err)
	}
	direct, phone := b.watch(b.in(attempt(password))), b.watch(b.in(attempt(secret)))
	b.in(attempt(password)) // from memory
	if err := b.SetPassword(t.Context(), b.alice, "battery-staple"); err != nil {
		t.Fatal(err)
	}
	if got := <-direct; got != "password changed" {
		t.Errorf("ended with %q", got)
	}
	stays(t, phone, "a device with an app password")
	b.refused(attempt(password), mail.BadCredentials)
	b.in(attempt("battery-staple"))
	b.in(attempt(secret))
}

func TestPasswordIsRememberedForAWhile(t *testing.T) {
	b := newBench(t)
	b.in(attempt(password))
	for range cap(hashing) { // no hashing now
		hashing <- struct{}{}
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	if _, err := b.Login(ctx, attempt(password)); err != nil {
		t.Errorf("it was hashed again: %v", err)
	}
	cancel()
	b.clock = b.clock.Add(rememberFor)
	if _, err := b.Login(ctx, attempt(password)); !errors.Is(err, context.Canceled) {
		t.Errorf("after a while it was not: %v", err)
	}
	for range cap(hashing) {
		<-hashing
	}
}

func TestManyConnectionsHashOnePasswordOnce(t *testing.T) {
	b := newBench(t)
	var all sync.WaitGroup
	for range 20 {
		all.Go(func() {
			if _, err := b.Login(t.Context(), attempt(password)); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if n := b.hashed.Load(); n != 1 {
		t.Errorf("hashed %d times", n)
	}
}

func TestWhatIsRememberedIsBounded(t *testing.T) {
	r := recentPasswords{ok: map[[32]byte]time.Time{}}
	for i := range maxRecentPasswords + 1 {
		r.add([32]byte{byte(i), byte(i >> 8), byte(i >> 16)}, time.Time{})
	}
	if len(r.ok) > maxRecentPasswords {
		t.Errorf("%d remembered", len(r.ok))
	}
}

func TestImplicitDevices(t *testing.T) {
	b := newBench(t)
	unnamed := b.in(attempt(password))
	if unnamed.Device().Name != "unnamed IMAP client" {
		t.Errorf("named %q", unnamed.Device().Name)
	}
	if again := b.in(attempt(password)); again.Device().ID != unnamed.Device().ID {
		t.Error("the unnamed client is two devices")
	}
	mutt := attempt(password)
	mutt.Client = "Mutt"
	first := b.in(mutt)
	mutt.Client = " mutt "
	if again := b.in(mutt); again.Device().ID != first.Device().ID || first.Device().Name != "Mutt" || first.Device().ID == unnamed.Device().ID {
		t.Errorf("mutt is %+v and %+v", first.Device(), again.Device())
	}
	if err := b.Named(t.Context(), unnamed, "MUTT"); err != nil || unnamed.Device().ID != first.Device().ID {
		t.Errorf("by IMAP ID it is %+v, %v", unnamed.Device(), err)
	}
	if err := b.Named(t.Context(), unnamed, " "); err != nil || unnamed.Device().ID != first.Device().ID {
		t.Errorf("an empty ID made it %+v, %v", unnamed.Device(), err)
	}
	pop := attempt(password)
	pop.Protocol, pop.Client = mail.POP3, "Mutt"
	if d := b.in(pop).Device(); d.ID == first.Device().ID {
		t.Error("a client of another protocol is the same device")
	}
	phone := attempt(password)
	phone.Protocol, phone.DeviceKey, phone.Client = mail.EAS, "ApplX1", "iPhone"
	one := b.in(phone).Device()
	phone.Client = "iPhone 2"
	if two := b.in(phone).Device(); one.ID != two.ID || one.Name != "iPhone" {
		t.Errorf("one DeviceId, but %+v and %+v", one, two)
	}
	if got := len(b.devices()); got != 4 {
		t.Errorf("%d devices, want 4", got)
	}
}

func TestNameOfAppPasswordDeviceStays(t *testing.T) {
	b := newBench(t)
	d, secret, err := b.AddDevice(t.Context(), b.alice, "phone", nil)
	if err != nil {
		t.Fatal(err)
	}
	s := b.in(attempt(secret))
	if err := b.Named(t.Context(), s, "Mutt"); err != nil || s.Device().ID != d.ID {
		t.Errorf("became %+v, %v", s.Device(), err)
	}
}

func TestClientNamesAreMadeFit(t *testing.T) {
	b := newBench(t)
	a := attempt(password)
	a.Client = "Ma\r\nil\x00 " + strings.Repeat("ä", mail.MaxDeviceNameBytes)
	d := b.in(a).Device()
	if len(d.Name) > mail.MaxDeviceNameBytes || len(d.Client) > mail.MaxDeviceNameBytes || !strings.HasPrefix(d.Name, "Mail ää") || strings.ToValidUTF8(d.Name, "") != d.Name {
		t.Errorf("named %q", d.Name)
	}
}

// Somebody with a thousand names for his program still gets in.
func TestDevicesOnePast(t *testing.T) {
	b := newBench(t)
	b.in(attempt(password))
	a := attempt(password)
	for i := range mail.MaxDevices - 1 {
		a.Client = fmt.Sprint("client ", i)
		b.in(a)
	}
	a.Client = "one more"
	if d := b.in(a).Device(); d.Name != "unnamed IMAP client" {
		t.Errorf("it is %q", d.Name)
	}
	if _, _, err := b.AddDevice(t.Context(), b.alice, "phone", nil); err == nil || mail.KindOf(err) != mail.Limit {
		t.Errorf("a device too many: %v", err)
	}
}

func TestTwoFirstContactsMakeOneDevice(t *testing.T) {
	b := newBench(t)
	b.in(attempt(password)) // so that the password is known
	a := attempt(password)
	a.Client = "Mutt"
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			if _, err := b.Login(t.Context(), a); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if got := len(b.devices()); got != 2 {
		t.Errorf("%d devices, want 2", got)
	}
}

func TestLastSeenIsWrittenNowAndThen(t *testing.T) {
	b := newBench(t)
	b.in(attempt(password))
	start := b.clock
	b.clock = start.Add(writeContactAtMostEach - time.Second)
	b.in(attempt(password))
	if got := b.devices()[0].LastSeen; !got.Equal(start) {
		t.Errorf("written again after %v", got.Sub(start))
	}
	b.clock = start.Add(writeContactAtMostEach)
	b.in(attempt(password))
	if got := b.devices()[0].LastSeen; !got.Equal(b.clock) {
		t.Errorf("last seen %v, want %v", got, b.clock)
	}
	a := attempt(password)
	a.Addr = netip.MustParseAddr("2001:db8::1")
	b.in(a)
	if got := b.devices()[0].LastAddr; got != "2001:db8::1" {
		t.Errorf("last address %s", got)
	}
}

func TestGuessingIsSlowedDownOnePast(t *testing.T) {
	at := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	addr := func(i int) netip.Addr { return netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)}) }
	for name, c := range map[string]struct {
		free  int
		login func(i int) string
		addr  func(i int) netip.Addr
	}{
		"pair":    {freeFailuresPair, func(int) string { return "a" }, func(int) netip.Addr { return home }},
		"address": {freeFailuresAddress, func(i int) string { return fmt.Sprint(i) }, func(int) netip.Addr { return home }},
		"login":   {freeFailuresLogin, func(int) string { return "a" }, addr},
		"IPv6 /64": {freeFailuresAddress, func(i int) string { return fmt.Sprint(i) }, func(i int) netip.Addr {
			return netip.AddrFrom16([16]byte{0x20, 1, 0xd, 0xb8, 15: byte(i)})
		}},
	} {
		t.Run(name, func(t *testing.T) {
			var l limiter
			for i := range c.free {
				if w := l.wait(c.login(i), c.addr(i), at); w != 0 {
					t.Fatalf("attempt %d waits %v", i+1, w)
				}
				l.failed(c.login(i), c.addr(i), at)
			}
			if w := l.wait(c.login(c.free), c.addr(c.free), at); w != time.Second {
				t.Errorf("attempt %d waits %v, want a second", c.free+1, w)
			}
			l.failed(c.login(c.free), c.addr(c.free), at.Add(time.Second))
			if w := l.wait(c.login(c.free), c.addr(c.free), at.Add(time.Second)); w != 2*time.Second {
				t.Errorf("then %v, want two", w)
			}
			if w := l.wait("b", netip.MustParseAddr("198.51.100.1"), at); w != 0 {
				t.Errorf("somebody else waits %v", w)
			}
			if w := l.wait(c.login(0), c.addr(0), at.Add(2*forgetAfter)); w != 0 {
				t.Errorf("after two hours it waits %v", w)
			}
		})
	}
}

func TestWaitingHasAnEnd(t *testing.T) {
	var l limiter
	at := time.Now()
	for range 100 {
		l.failed("a", home, at)
	}
	if w := l.wait("a", home, at); w != maxWait {
		t.Errorf("waits %v, want %v", w, maxWait)
	}
	later := at.Add(forgetAfter + time.Second)
	l.failed("a", home, later)
	if w := l.wait("a", home, later); w != 0 {
		t.Errorf("an hour later one failure waits %v", w)
	}
}

func TestLimiterIsBounded(t *testing.T) {
	var l limiter
	at := time.Now()
	long := strings.Repeat("x", 10_000)
	for i := range maxLimiterEntries {
		l.failed(fmt.Sprint(i, long), netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)}), at)
		if len(l.entries) > maxLimiterEntries+3 {
			t.Fatalf("%d entries", len(l.entries))
		}
	}
	for k := range l.entries {
		if len(k) > 20 {
			t.Fatalf("%d bytes are kept of a login", len(k))
		}
	}
}

// Who signed in from a network lately gets in from there whatever strangers do
// elsewhere, and guesses no more freely.
func TestStrangersDoNotKeepTheOwnerOut(t *testing.T) {
	b := newBench(t)
	guess := func() {
		for i := range freeFailuresLogin {
			b.limits.failed("alice@example.test", netip.AddrFrom4([4]byte{10, 0, 0, byte(i)}), b.clock)
		}
	}
	b.in(attempt(password))
	guess()
	stranger := attempt(password)
	stranger.Addr = netip.MustParseAddr("198.51.100.1")
	b.refused(stranger, mail.Limit)
	b.in(attempt(password))
	for range freeFailuresPair {
		b.refused(attempt("wrong-horse"), mail.BadCredentials)
	}
	b.refused(attempt(password), mail.Limit)
	b.clock = b.clock.Add(familiarFor)
	guess()
	b.refused(attempt(password), mail.Limit)
}

func TestFamiliarNetworksAreBounded(t *testing.T) {
	var l limiter
	for i := range maxFamiliar + 1 {
		l.succeeded("a", netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)}), time.Time{})
		if len(l.familiar) > maxFamiliar {
			t.Fatalf("%d networks are known", len(l.familiar))
		}
	}
}

func TestLockedOutIsNotEvenAsked(t *testing.T) {
	b := newBench(t)
	for range freeFailuresPair {
		b.refused(attempt("wrong-horse"), mail.BadCredentials)
	}
	b.refused(attempt(password), mail.Limit)
	elsewhere := attempt(password)
	elsewhere.Addr = netip.MustParseAddr("198.51.100.1")
	b.in(elsewhere)
	b.clock = b.clock.Add(time.Second)
	b.in(attempt(password))
	// That forgot the pair's failures, not the address's.
	for range freeFailuresPair - 1 {
		b.refused(attempt("wrong-horse"), mail.BadCredentials)
	}
	b.in(attempt(password))
	if got := b.limits.entries[b.limits.limitsOf("", home)[0].key].N; got != 2*freeFailuresPair-1 {
		t.Errorf("%d failures of the address, want %d", got, 2*freeFailuresPair-1)
	}
}

// exchange speaks SCRAM as a real client.
func (b *bench) exchange(login, secret string, a Attempt, client, server *scram.ChannelBinding, plus bool) (*Session, bool, error) {
	b.t.Helper()
	user, err := scram.SHA256.NewClient(login, secret, "")
	if err != nil {
		b.t.Fatal(err)
	}
	conv := user.NewConversation()
	if client != nil {
		conv = user.NewConversationWithChannelBinding(*client)
	}
	x := b.NewScram(a, server, plus)
	first, err := conv.Step("")
	if err != nil {
		b.t.Fatal(err)
	}
	challenge, err := x.First(b.t.Context(), first)
	if err != nil {
		return nil, false, err
	}
	final, err := conv.Step(challenge)
	if err != nil {
		b.t.Fatal(err)
	}
	proof, s, err := x.Final(b.t.Context(), final)
	if err != nil {
		return nil, false, err
	}
	if _, err := conv.Step(proof); err != nil {
		b.t.Fatal(err)
	}
	return s, conv.Valid(), nil
}

func TestScramKnowsEachAppPassword(t *testing.T) {
	b := newBench(t)
	var secrets []string
	var ids []mail.DeviceID
	for _, name := range []string{"phone", "laptop"} {
		d, secret, err := b.AddDevice(t.Context(), b.alice, name, nil)
		if err != nil {
			t.Fatal(err)
		}
		secrets, ids = append(secrets, secret), append(ids, d.ID)
	}
	for i, secret := range secrets {
		s, valid, err := b.exchange("Alice@example.test", secret, attempt(""), nil, nil, false)
		if err != nil || !valid || s.Device().ID != ids[i] {
			t.Errorf("password %d: %+v, server proved itself: %v, %v", i, s, valid, err)
		}
	}
	for login, secret := range map[string]string{"alice@example.test": "wrong", "nobody@example.test": secrets[0]} {
		if _, _, err := b.exchange(login, secret, attempt(""), nil, nil, false); mail.KindOf(err) != mail.BadCredentials || err == nil {
			t.Errorf("%s with %q: %v", login, secret, err)
		}
	}
	// The password itself has no SCRAM keys.
	_, _, err := b.exchange("alice@example.test", password, attempt(""), nil, nil, false)
	if mail.KindOf(err) != mail.BadCredentials || err == nil {
		t.Errorf("the password: %v", err)
	}
	// Who is not here hears the same.
	if _, _, unknown := b.exchange("nobody@example.test", password, attempt(""), nil, nil, false); unknown == nil || unknown.Error() != err.Error() {
		t.Errorf("nobody: %v, somebody: %v", unknown, err)
	}
}

func TestScramBindsToTheChannel(t *testing.T) {
	b := newBench(t)
	_, secret, err := b.AddDevice(t.Context(), b.alice, "phone", nil)
	if err != nil {
		t.Fatal(err)
	}
	ours := &scram.ChannelBinding{Type: "tls-exporter", Data: []byte("this channel")}
	other := &scram.ChannelBinding{Type: "tls-exporter", Data: []byte("another channel")}
	const login = "alice@example.test"
	if _, valid, err := b.exchange(login, secret, attempt(""), ours, ours, true); err != nil || !valid {
		t.Errorf("bound: %v, %v", valid, err)
	}
	if _, _, err := b.exchange(login, secret, attempt(""), other, ours, true); err == nil {
		t.Error("somebody in between got through")
	}
	if _, _, err := b.exchange(login, secret, attempt(""), nil, ours, true); err == nil {
		t.Error("without binding, although it has to be used")
	}
	if _, valid, err := b.exchange(login, secret, attempt(""), nil, ours, false); err != nil || !valid {
		t.Errorf("a client that knows no binding: %v, %v", valid, err)
	}
}

func TestScramDoesNotTellWhoIsHere(t *testing.T) {
	b := newBench(t)
	if _, _, err := b.AddDevice(t.Context(), b.alice, "phone", nil); err != nil {
		t.Fatal(err)
	}
	ask := func(login string) (salt string) {
		challenge, err := b.NewScram(attempt(""), nil, false).First(t.Context(), "n,,n="+login+",r=nonce")
		if err != nil {
			t.Fatal(err)
		}
		fields := strings.Split(challenge, ",")
		if len(fields) != 3 || fields[2] != fmt.Sprint("i=", scramIterations) || len(fields[1]) != len("s=")+24 {
			t.Errorf("%s: challenge %q", login, challenge)
		}
		return fields[1]
	}
	for _, login := range []string{"alice@example.test", "nobody@example.test"} {
		if first, again := ask(login), ask(login); first != again {
			t.Errorf("%s has another salt each time", login)
		}
	}
	if ask("nobody@example.test") == ask("nobody2@example.test") {
		t.Error("all who are not here have one salt")
	}
}

// Salts outlive the process, and the first app password of a login changes
// nothing: else they would tell who is here.
func TestSaltsStay(t *testing.T) {
	b := newBench(t)
	salt := func(s *Service, login string) string {
		challenge, err := s.NewScram(attempt(""), nil, false).First(t.Context(), "n,,n="+login+",r=nonce")
		if err != nil {
			t.Fatal(err)
		}
		return strings.Split(challenge, ",")[1]
	}
	logins := []string{"alice@example.test", "nobody@example.test"}
	before := map[string]string{}
	for _, login := range logins {
		before[login] = salt(b.Service, login)
	}
	var all sync.WaitGroup
	for _, name := range []string{"phone", "laptop"} { // both the first
		all.Go(func() {
			if _, _, err := b.AddDevice(t.Context(), b.alice, name, nil); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	again := New(b.store, b.store, []byte("salts"), slog.New(slog.DiscardHandler))
	other := New(b.store, b.store, []byte("of others"), slog.New(slog.DiscardHandler))
	for _, login := range logins {
		if got := salt(again, login); got != before[login] {
			t.Errorf("%s: salt %s after a restart, %s before", login, got, before[login])
		}
	}
	if salt(other, "nobody@example.test") == before["nobody@example.test"] {
		t.Error("salts don't depend on the secret")
	}
}

func TestScramIsSlowedDownToo(t *testing.T) {
	b := newBench(t)
	_, secret, err := b.AddDevice(t.Context(), b.alice, "phone", nil)
	if err != nil {
		t.Fatal(err)
	}
	for range freeFailuresPair {
		b.exchange("alice@example.test", "wrong", attempt(""), nil, nil, false)
	}
	if _, _, err := b.exchange("alice@example.test", secret, attempt(""), nil, nil, false); mail.KindOf(err) != mail.Limit || err == nil {
		t.Errorf("got %v, want Limit", err)
	}
}

func TestScramScopeAndDisabled(t *testing.T) {
	b := newBench(t)
	_, secret, err := b.AddDevice(t.Context(), b.alice, "phone", []mail.Protocol{mail.Submission})
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := b.exchange("alice@example.test", secret, attempt(""), nil, nil, false); mail.KindOf(err) != mail.Denied || err == nil {
		t.Errorf("another protocol: %v", err)
	}
}

func TestScramMessagesThatMakeNoSense(t *testing.T) {
	b := newBench(t)
	if _, _, err := b.AddDevice(t.Context(), b.alice, "phone", nil); err != nil {
		t.Fatal(err)
	}
	for _, m := range []string{"", "n,,", "n,,n=,r=x", "n,,r=x", "x", "n,,n=alice@example.test", "p=tls-exporter,,n=alice@example.test,r=x", "\x00"} {
		if _, err := b.NewScram(attempt(""), nil, false).First(t.Context(), m); err == nil || mail.KindOf(err) != mail.Invalid {
			t.Errorf("%q: %v, want Invalid", m, err)
		}
	}
	x := b.NewScram(attempt(""), nil, false)
	if _, err := x.First(t.Context(), "n,,n=alice@example.test,r=x"); err != nil {
		t.Fatal(err)
	}
	for _, m := range []string{"", "c=biws", "c=biws,r=x,p=!"} {
		if _, _, err := x.Final(t.Context(), m); mail.KindOf(err) != mail.BadCredentials || err == nil {
			t.Errorf("%q: %v, want BadCredentials", m, err)
		}
	}
}

func TestDecodeBase64(t *testing.T) {
	for in, want := range map[string]string{"=": "", "": "", "YQ==": "a"} {
		if got, err := DecodeBase64(in); got != want || err != nil {
			t.Errorf("%q: %q, %v", in, got, err)
		}
	}
	for _, bad := range []string{"*", "YQ", "Y Q=="} {
		if _, err := DecodeBase64(bad); err == nil || mail.KindOf(err) != mail.Invalid {
			t.Errorf("%q: %v, want Invalid", bad, err)
		}
	}
}

func TestSignInsAreCountedByHowTheyEnd(t *testing.T) {
	b := newBench(t)
	before := b.Stats()
	for _, secret := range []string{password, "wrong"} {
		a := attempt(secret)
		_, _ = b.Login(t.Context(), a)
	}
	after := b.Stats()
	if after.OK-before.OK != 1 || after.Wrong-before.Wrong != 1 || after.Denied+after.Limited+after.Failed != 0 {
		t.Errorf("%+v", after)
	}
	if LastHash().IsZero() {
		t.Error("no password was hashed")
	}
}
