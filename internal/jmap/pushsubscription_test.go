package jmap

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"lockstep/internal/mail"
	"lockstep/internal/notify"
	"lockstep/internal/steady"
	"lockstep/internal/store"
)

// service is a push service.
type service struct {
	*httptest.Server
	status atomic.Int32
	came   chan *http.Request
	bodies chan string
}

func newService(t *testing.T) *service {
	s := &service{came: make(chan *http.Request, 100), bodies: make(chan string, 100)}
	s.status.Store(201)
	s.Server = httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		s.came <- r
		s.bodies <- string(b)
		w.WriteHeader(int(s.status.Load()))
		io.WriteString(w, strings.Repeat("x", 3*pushAnswerBytes))
	}))
	t.Cleanup(s.Close)
	return s
}

// pushed returns the next push.
func (s *service) pushed(t *testing.T) (*http.Request, string) {
	t.Helper()
	select {
	case r := <-s.came:
		return r, <-s.bodies
	case <-time.After(steady.Patience):
		t.Fatal("nothing is pushed")
		return nil, ""
	}
}

// pushes has the town push, to services beside it too.
func (w *town) pushes(t *testing.T) {
	w.server.PushSecret, w.server.PushTLS = []byte("secret"), &tls.Config{InsecureSkipVerify: true}
	w.server.MayPush = func(netip.Addr) bool { return true }
	w.server.Hub = hubOf(w)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- w.server.Push(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

// hubOf tells of all that happens to Alice's account.
func hubOf(w *town) *notify.Hub {
	h := new(notify.Hub)
	stop := w.Store.Watch(w.alice.Account, func(n mail.News) { h.Publish(w.alice.Account, n) })
	w.T.Cleanup(stop)
	return h
}

func (w *town) subscriptionSet(args string) (out setAnswer) {
	w.T.Helper()
	answers := w.api(`[["PushSubscription/set",{` + args + `},"c"]]`)
	if err := json.Unmarshal(answers[0].args, &out); err != nil || answers[0].name == "error" {
		w.T.Fatalf("%s %s: %v", args, answers[0].args, err)
	}
	return out
}

// subscribes subscribes and returns the id and the verification code that was pushed.
func (w *town) subscribes(t *testing.T, s *service, more string) (id, code string) {
	t.Helper()
	out := w.subscriptionSet(`"create":{"p":{"deviceClientId":"a","url":"` + s.URL + `/push"` + more + `}}`)
	if out.NotCreated["p"] != nil {
		t.Fatal(out.NotCreated["p"])
	}
	id = out.Created["p"]["id"].(string)
	_, body := s.pushed(t)
	var v struct {
		Type             string `json:"@type"`
		PushSubscription string `json:"pushSubscriptionId"`
		VerificationCode string
	}
	if err := json.Unmarshal([]byte(body), &v); err != nil || v.Type != "PushVerification" || v.PushSubscription != id || v.VerificationCode == "" {
		t.Fatalf("%s: %v", body, err)
	}
	return id, v.VerificationCode
}

func TestPushesComeWhenTheClientIsKnown(t *testing.T) {
	w := newTown(t)
	s := newService(t)
	w.pushes(t)
	p := w.put("INBOX", letter)
	id, code := w.subscribes(t, s, `,"types":["Email"]`)
	w.mark(p, `\Flagged`, true) // nobody hears of it yet
	if out := w.subscriptionSet(`"update":{"` + id + `":{"verificationCode":"wrong"}}`); out.NotUpdated[id] == nil {
		t.Error("any code does")
	}
	if out := w.subscriptionSet(`"update":{"` + id + `":{"verificationCode":"` + code + `"}}`); out.NotUpdated[id] != nil {
		t.Fatal(out.NotUpdated[id])
	}
	r, body := s.pushed(t) // what came since it subscribed
	var sc stateChange
	if err := json.Unmarshal([]byte(body), &sc); err != nil || sc.Changed[w.account]["Email"] != w.state(mail.TypeEmail) || len(sc.Changed[w.account]) != 1 {
		t.Errorf("%s: %v", body, err)
	}
	if r.Header.Get("TTL") == "" || r.Header.Get("Content-Type") != "application/json" || !strings.HasPrefix(r.Header.Get("Authorization"), "vapid t=") {
		t.Errorf("%v", r.Header)
	}
	w.change(func(tx store.Tx) error {
		_, err := tx.CreateMailbox(mail.MailboxImage{Name: "new"}) // of another type
		return err
	})
	w.mark(p, `\Flagged`, false)
	if _, body := s.pushed(t); !strings.Contains(body, w.state(mail.TypeEmail)) {
		t.Errorf("%s", body)
	}
	var got struct{ List []object }
	w.call("PushSubscription/get", `{"ids":null}`, &got)
	if len(got.List) != 1 || got.List[0]["id"] != id || got.List[0]["verificationCode"] != code || got.List[0]["url"] != nil || fmt.Sprint(got.List[0]["types"]) != "[Email]" {
		t.Errorf("%v", got)
	}
	if out := w.subscriptionSet(`"destroy":["` + id + `","P1"]`); len(out.Destroyed) != 1 || out.NotDestroyed["P1"] == nil {
		t.Errorf("%+v", out)
	}
}

func TestPushesAreEncryptedForWhoHasKeys(t *testing.T) {
	w := newTown(t)
	s := newService(t)
	w.pushes(t)
	out := w.subscriptionSet(`"create":{"p":{"deviceClientId":"a","url":"` + s.URL + `/push","keys":{"p256dh":"BCVxsr7N_eNgVRqvHtD0zTZsEc6-VV-JvLexhqUzORcxaOzi6-AYWXvTBHm4bjyPjs7Vd8pZGH6SRpkNtoIAiw4","auth":"BTBZMqHH6r4Tts7J_aSIgg"}}}`)
	if out.NotCreated["p"] != nil {
		t.Fatal(out.NotCreated["p"])
	}
	r, body := s.pushed(t)
	if r.Header.Get("Content-Encoding") != "aes128gcm" || strings.Contains(body, "PushVerification") || len(body) < 100 {
		t.Errorf("%v %q", r.Header, body)
	}
}

func (w *town) awaitSubscriptions(t *testing.T, n int) {
	t.Helper()
	for end := time.Now().Add(steady.Patience); ; time.Sleep(time.Millisecond) {
		var got struct{ List []object }
		w.call("PushSubscription/get", `{"ids":null}`, &got)
		if len(got.List) == n {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("%d subscriptions, want %d", len(got.List), n)
		}
	}
}

func TestASubscriptionThatIsGoneIsForgotten(t *testing.T) {
	w := newTown(t)
	s := newService(t)
	s.status.Store(410)
	w.pushes(t)
	w.subscribes(t, s, "")
	w.awaitSubscriptions(t, 0)
}

func TestABlockedDeviceIsToldNothing(t *testing.T) {
	w := newTown(t)
	s := newService(t)
	w.pushes(t)
	id, code := w.subscribes(t, s, "")
	w.subscriptionSet(`"update":{"` + id + `":{"verificationCode":"` + code + `"}}`)
	w.change(func(tx store.Tx) error {
		all, err := tx.Devices()
		for _, d := range all {
			d.Access = mail.Blocked
			if err := tx.SetDevice(d); err != nil {
				return err
			}
		}
		return err
	})
	w.put("INBOX", letter)
	for end := time.Now().Add(steady.Patience); ; time.Sleep(time.Millisecond) {
		var names []string
		err := w.Store.View(t.Context(), w.alice.Account, func(r store.Reader) (err error) {
			names, err = r.Cursors(0, subscriptionCursor)
			return err
		})
		if err != nil || time.Now().After(end) {
			t.Fatal(names, err)
		}
		if len(names) == 0 {
			break
		}
	}
	if len(s.came) > 0 {
		t.Error("it is told")
	}
}

// A failure is tried again, later each time, and no sooner than the service wants.
func TestFailedPushesAreTriedAgain(t *testing.T) {
	w := newTown(t)
	s := newService(t)
	w.server.PushTLS, w.server.MayPush = &tls.Config{InsecureSkipVerify: true}, func(netip.Addr) bool { return true }
	s.status.Store(503)
	out := w.subscriptionSet(`"create":{"p":{"deviceClientId":"a","url":"` + s.URL + `/push"}}`)
	id := out.Created["p"]["id"].(string)
	due := w.server.toPush(t.Context(), w.alice.Account)
	if len(due) != 1 || due[0].id != id {
		t.Fatalf("%+v", due)
	}
	if again := w.server.toPush(t.Context(), w.alice.Account); len(again) != 0 {
		t.Error("it is pushed twice at once")
	}
	client := w.server.pushClient()
	for fails := 1; fails < 12; fails++ {
		w.server.pushTo(t.Context(), client, w.alice.Account, due[0])
		at := w.server.pusher.targets[id]
		if wait := time.Until(at.next); at.fails != fails || wait < 50*time.Second || wait > maxPushPause {
			t.Errorf("after %d: %d failures, waits %v", fails, at.fails, wait)
		}
	}
	if early := w.server.toPush(t.Context(), w.alice.Account); len(early) != 0 {
		t.Error("it is tried too soon")
	}
	s.status.Store(201)
	w.server.pushTo(t.Context(), client, w.alice.Account, due[0])
	if at := w.server.pusher.targets[id]; at.fails != 0 {
		t.Errorf("%+v", at)
	}
}

// Whoever knows where it is pushed to may push there too, and failures are logged.
func TestAFailedPushDoesNotSayWhere(t *testing.T) {
	w := newTown(t)
	s := newService(t)
	s.Close()
	w.server.PushTLS, w.server.MayPush = &tls.Config{InsecureSkipVerify: true}, func(netip.Addr) bool { return true }
	w.server.init()
	_, err := w.server.post(t.Context(), w.server.pushClient(), &pushSubscription{URL: s.URL + "/secret"}, object{})
	if err == nil || strings.Contains(err.Error(), "secret") {
		t.Error(err)
	}
}

func TestNoPushGoesInside(t *testing.T) {
	for address, want := range map[string]bool{
		"93.184.216.34": true, "2606:4700::1": true, "127.0.0.1": false, "10.1.2.3": false, "192.168.1.1": false, "172.16.0.1": false, "169.254.169.254": false, "100.64.0.1": false,
		"0.0.0.0": false, "224.0.0.1": false, "255.255.255.255": false, "198.18.0.1": false, "::1": false, "::": false, "fe80::1": false, "fc00::1": false, "ff02::1": false,
		"::ffff:127.0.0.1": false, "64:ff9b::7f00:1": false, "2002:7f00:1::": false, "2001:db8::1": false, "fe80::1%eth0": false, "::127.0.0.1": false,
	} {
		if got := isPublic(netip.MustParseAddr(address)); got != want {
			t.Errorf("%s: %v", address, got)
		}
	}
	w := newTown(t)
	w.server.PushTLS = &tls.Config{InsecureSkipVerify: true}
	s := newService(t)
	w.server.init()
	if _, err := w.server.post(t.Context(), w.server.pushClient(), &pushSubscription{URL: strings.Replace(s.URL, "127.0.0.1", "localhost", 1)}, object{}); err == nil || len(s.came) > 0 {
		t.Errorf("a name that leads inside: %v", err)
	}
	w.server.MayPush = func(netip.Addr) bool { return true }
	away := httptest.NewTLSServer(http.RedirectHandler(s.URL, http.StatusTemporaryRedirect))
	defer away.Close()
	if _, err := w.server.post(t.Context(), w.server.pushClient(), &pushSubscription{URL: away.URL}, object{}); err == nil || len(s.came) > 0 {
		t.Errorf("a redirect was followed: %v", err)
	}
}

func TestWhatSubscriptionsRefuse(t *testing.T) {
	w := newTown(t)
	for create, want := range map[string]string{
		`"url":"https://push.test/"`:                                                                  "deviceClientId",
		`"deviceClientId":"a","url":"http://push.test/"`:                                              "url",
		`"deviceClientId":"a","url":"https://127.0.0.1/"`:                                             "url",
		`"deviceClientId":"a","url":"https://[::1]/"`:                                                 "url",
		`"deviceClientId":"a","url":"https://a:b@push.test/"`:                                         "url",
		`"deviceClientId":"a","url":"https://push.test/` + strings.Repeat("x", maxPushURLBytes) + `"`: "url",
		`"deviceClientId":"a","url":"https://push.test/","keys":{"p256dh":"x","auth":"y"}`:            "keys",
		`"deviceClientId":"a","url":"https://push.test/","verificationCode":"x"`:                      "verificationCode",
		`"deviceClientId":"a","url":"https://push.test/","expires":"2020-01-01T00:00:00Z"`:            "expires",
		`"deviceClientId":"a","url":"https://push.test/","id":"x"`:                                    "id",
	} {
		out := w.subscriptionSet(`"create":{"p":{` + create + `}}`)
		if e := out.NotCreated["p"]; e == nil || e.Type != "invalidProperties" || len(e.Properties) != 1 || e.Properties[0] != want {
			t.Errorf("%.80s: %+v, want %s", create, e, want)
		}
	}
	out := w.subscriptionSet(`"create":{"p":{"deviceClientId":"a","url":"https://push.test/","expires":"2999-01-01T00:00:00Z"}}`)
	expires, err := time.Parse(time.RFC3339, out.Created["p"]["expires"].(string))
	if err != nil || expires.After(time.Now().Add(maxSubscriptionAge)) {
		t.Errorf("it lasts until %v", expires)
	}
	id := out.Created["p"]["id"].(string)
	for patch, want := range map[string]string{`{"url":"https://x.test/"}`: "url", `{"expires":"2020-01-01T00:00:00Z"}`: "expires", `{"types":"Email"}`: "types"} {
		out := w.subscriptionSet(`"update":{"` + id + `":` + patch + `}`)
		if e := out.NotUpdated[id]; e == nil || e.Properties[0] != want {
			t.Errorf("%s: %+v", patch, e)
		}
	}
	for _, p := range []string{"url", "keys"} {
		if answers := w.api(`[["PushSubscription/get",{"ids":null,"properties":["` + p + `"]},"c"]]`); !strings.Contains(string(answers[0].args), "forbidden") {
			t.Errorf("%s: %s", p, answers[0].args)
		}
	}
	var made, refused int
	for range maxSubscriptions {
		out := w.subscriptionSet(`"create":{"p":{"deviceClientId":"a","url":"https://push.test/"}}`)
		if e := out.NotCreated["p"]; e != nil && (e.Type == "rateLimit" || e.Type == "overQuota") {
			refused++
		} else if e == nil {
			made++
		}
	}
	if made != subscribed.Most-1 || refused == 0 {
		t.Errorf("%d were made in an hour, %d refused", made, refused)
	}
}
