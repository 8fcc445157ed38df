package delivery_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"strings"
	"testing"
	"time"

	"lockstep/internal/blob"
	"lockstep/internal/delivery"
	"lockstep/internal/delivery/deliverytest"
	"lockstep/internal/mail"
	"lockstep/internal/store"
)

const text = "From: Carol <carol@example.org>\r\nSubject: hello\r\nMessage-ID: <1@example.org>\r\n\r\nhi\r\n"

func hop(p mail.Protocol) delivery.Hop {
	return delivery.Hop{Helo: "mta.example.org", Addr: netip.MustParseAddr("192.0.2.1"), With: "ESMTP", ID: "S1", Arrived: time.Now(), Protocol: p}
}

// envelope resolves the recipients; all of them have to be accepted.
func envelope(t testing.TB, h *deliverytest.House, from string, to ...string) *delivery.Envelope {
	t.Helper()
	env := &delivery.Envelope{ReversePath: from, Hop: hop(mail.LMTP)}
	for _, a := range to {
		r, err := h.Delivery.AnyRecipient(t.Context(), a, 0)
		if err != nil {
			t.Fatal(err)
		}
		env.Recipients = append(env.Recipients, r)
	}
	return env
}

func deliver(t testing.TB, h *deliverytest.House, env *delivery.Envelope, body string) {
	t.Helper()
	errs, err := h.Delivery.Deliver(t.Context(), env, strings.NewReader(body))
	if err := errors.Join(append(errs, err)...); err != nil {
		t.Fatal(err)
	}
}

func TestDeliveredMessageHasTraceAndIsOtherwiseAsReceived(t *testing.T) {
	h := deliverytest.New(t)
	bob := h.Account("bob@example.test", 0, nil)
	deliver(t, h, envelope(t, h, "carol@example.org", "bob@example.test"), text)
	got := h.Inbox(bob.Account)
	if len(got) != 1 {
		t.Fatalf("%d messages, want 1", len(got))
	}
	trace, ok := strings.CutSuffix(got[0], text)
	if !ok {
		t.Fatalf("changed on its way: %q", got[0])
	}
	for _, want := range []string{"Return-Path: <carol@example.org>\r\nReceived: from mta.example.org ([192.0.2.1])\r\n", "by mx.example.test with ESMTP id S1;\r\n"} {
		if !strings.Contains(trace, want) {
			t.Errorf("trace %q lacks %q", trace, want)
		}
	}
}

func TestTraceIsSafeWhateverTheClientSays(t *testing.T) {
	h := deliverytest.New(t)
	bob := h.Account("bob@example.test", 0, nil)
	env := envelope(t, h, "", "bob@example.test")
	env.Hop.Helo, env.Hop.Addr, env.Hop.TLS = "x (by evil) <a@b>;\r\nX-Evil: \"1\" ü\x00"+strings.Repeat("y", 300), netip.MustParseAddr("2001:db8::1"), "TLS 1.3 X"
	deliver(t, h, env, text)
	trace, _ := strings.CutSuffix(h.Inbox(bob.Account)[0], text)
	lines := strings.Split(trace, "\r\n")
	if want := "Received: from xbyevila@bX-Evil:1" + strings.Repeat("y", 255-len("xbyevila@bX-Evil:1")) + " ([IPv6:2001:db8::1])"; lines[0] != "Return-Path: <>" || lines[1] != want || lines[2] != "\t(using TLS 1.3 X)" || len(lines) != 6 {
		t.Errorf("trace %q", lines)
	}
}

func TestQueuedForAFullMailboxIsReported(t *testing.T) {
	h := deliverytest.New(t)
	alice := h.Account("alice@example.test", 0, nil)
	h.Account("carol@example.test", 0, nil)
	full := h.Account("full@example.test", 1, nil)
	if err := h.Delivery.Accept(t.Context(), envelope(t, h, "carol@example.test", "alice@example.test", "full@example.test"), strings.NewReader(text)); err != nil {
		t.Fatal(err)
	}
	runUntilEmpty(t, h, &delivery.Sender{Service: h.Delivery})
	if a, f := len(h.Inbox(alice.Account)), len(h.Inbox(full.Account)); a != 1 || f != 0 {
		t.Errorf("alice has %d, the other %d", a, f)
	}
	carol, err := h.Store.PrincipalByLogin(t.Context(), "carol@example.test")
	if err != nil {
		t.Fatal(err)
	}
	if got := h.Inbox(carol.Account); len(got) != 1 || !strings.Contains(got[0], "Status: 5.2.2\r\n") {
		t.Errorf("carol heard %q", got)
	}
	if s := h.Delivery.Stats(); s.Delivered != 1 || s.Failed != 1 || s.Queued != 1 || s.GivenUp != 1 || s.Reports != 1 {
		t.Errorf("counted %+v", s)
	}
}

func TestJournalNamesReversePath(t *testing.T) {
	for _, from := range []string{"carol@example.org", ""} {
		h := deliverytest.New(t)
		bob := h.Account("bob@example.test", 0, nil)
		deliver(t, h, envelope(t, h, from, "bob@example.test"), text)
		err := h.Store.View(t.Context(), bob.Account, func(r store.Reader) error {
			records, err := r.Journal(store.JournalQuery{Limit: 1})
			if err != nil {
				return err
			}
			want := from
			if want == "" {
				want = "<>"
			}
			if got := records[0]; got.Actor != want || got.Protocol != mail.LMTP || got.Cause != mail.ByDelivery || got.Session != "S1" {
				t.Errorf("journal says %+v", got)
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
}

func TestSameMessageAgainIsDeliveredOnce(t *testing.T) {
	h := deliverytest.New(t)
	bob := h.Account("bob@example.test", 0, nil)
	for range 2 {
		deliver(t, h, envelope(t, h, "carol@example.org", "bob@example.test"), text)
	}
	deliver(t, h, envelope(t, h, "dave@example.org", "bob@example.test"), text)
	deliver(t, h, envelope(t, h, "carol@example.org", "bob@example.test"), text+"!")
	if got := len(h.Inbox(bob.Account)); got != 3 {
		t.Errorf("%d messages, want 3", got)
	}
	later := time.Now().Add(61 * time.Minute)
	h.Model().Now = func() time.Time { return later }
	h.Delivery.Blobs = lastingBlobs{h.Delivery.Blobs}
	deliver(t, h, envelope(t, h, "carol@example.org", "bob@example.test"), text)
	if got := len(h.Inbox(bob.Account)); got != 4 {
		t.Errorf("%d messages after the hour, want 4", got)
	}
}

// lastingBlobs gives handles that last for long.
type lastingBlobs struct{ delivery.Blobs }

func (b lastingBlobs) Put(ctx context.Context, r io.Reader, o blob.PutOptions) (mail.Blob, []mail.Blob, error) {
	got, parts, err := b.Blobs.Put(ctx, r, o)
	got.Until = got.Until.Add(24 * time.Hour)
	return got, parts, err
}

func TestSeveralAddressesOfOneAccountGetOneCopy(t *testing.T) {
	h := deliverytest.New(t)
	bob := h.Account("bob@example.test", 0, nil)
	alice := h.Account("alice@example.test", 0, nil)
	h.Address("robert@example.test", bob.Account)
	deliver(t, h, envelope(t, h, "c@example.org", "bob@example.test", "alice@example.test", "robert@example.test", "bob+x@example.test"), text)
	if a, b := len(h.Inbox(alice.Account)), len(h.Inbox(bob.Account)); a != 1 || b != 1 {
		t.Errorf("alice has %d, bob has %d, want 1 each", a, b)
	}
}

func TestRecipients(t *testing.T) {
	h := deliverytest.New(t)
	alice := h.Account("alice@example.test", 0, nil)
	bob := h.Account("bob@example.test", 10, nil)
	h.Address("sales@xn--bcher-kva.test", alice.Account)
	h.Address("@caught.test", bob.Account)
	h.Address("alice+special@example.test", bob.Account)
	for _, c := range []struct {
		address string
		size    int64
		who     mail.AccountID
		kind    mail.Kind
	}{
		{"alice@example.test", 0, alice.Account, 0},
		{"ALICE@Example.TEST.", 0, alice.Account, 0},
		{"alice+lists@example.test", 0, alice.Account, 0},
		{"alice+special@example.test", 0, bob.Account, 0},
		{"sales@bücher.test", 0, alice.Account, 0},
		{"anything@caught.test", 0, bob.Account, 0},
		{"bob@example.test", 10, bob.Account, 0},
		{"bob@example.test", 11, 0, mail.OverQuota},
		{"nobody@example.test", 0, 0, mail.NotFound},
		{"+@example.test", 0, 0, mail.NotFound},
		{"alice@example.org", 0, 0, mail.Denied},
		{"alice@[127.0.0.1]", 0, 0, mail.Denied},
		{"alice@[x]", 0, 0, mail.Invalid},
		{"alice", 0, 0, mail.Invalid},
		{"@example.test", 0, 0, mail.Invalid},
		{"alice@", 0, 0, mail.Invalid},
		{"alice@exa mple.test", 0, 0, mail.Invalid},
		{strings.Repeat("a", 65) + "@example.test", 0, 0, mail.Invalid},
		{"postmaster", 0, alice.Account, 0},
		{"POSTMASTER@caught.test", 0, bob.Account, 0},
		{"postmaster@example.org", 0, 0, mail.Denied},
	} {
		r, err := h.Delivery.LocalRecipient(t.Context(), c.address, c.size)
		switch {
		case c.who != 0 && (err != nil || r.Account != c.who):
			t.Errorf("%s: account %d, %v, want %d", c.address, r.Account, err, c.who)
		case c.who == 0 && (err == nil || mail.KindOf(err) != c.kind):
			t.Errorf("%s: %v, want %v", c.address, err, c.kind)
		}
	}
	h.Delivery.Postmaster = "bob@example.test"
	for _, a := range []string{"Postmaster", "postmaster@example.test", "postmaster@caught.test"} {
		if r, err := h.Delivery.LocalRecipient(t.Context(), a, 0); err != nil || r.Account != bob.Account {
			t.Errorf("%s: account %d, %v", a, r.Account, err)
		}
	}
	if _, err := h.Delivery.LocalRecipient(t.Context(), "postmaster@example.org", 0); mail.KindOf(err) != mail.Denied {
		t.Errorf("another's postmaster: %v", err)
	}
}

func TestSomebodyIsPostmasterAsSoonAsThereIsAnybody(t *testing.T) {
	h := deliverytest.New(t)
	if _, err := h.Delivery.LocalRecipient(t.Context(), "postmaster", 0); mail.KindOf(err) != mail.NotFound {
		t.Errorf("with nobody here: %v", err)
	}
	gone := h.Account("gone@example.test", 0, nil)
	if err := h.Store.SetDisabled(t.Context(), gone.Account, true); err != nil {
		t.Fatal(err)
	}
	bob := h.Account("bob@example.test", 0, nil)
	if r, err := h.Delivery.LocalRecipient(t.Context(), "postmaster@example.test", 0); err != nil || r.Account != bob.Account {
		t.Errorf("account %d, %v, want %d", r.Account, err, bob.Account)
	}
}

func TestMailInCirclesIsRefused(t *testing.T) {
	h := deliverytest.New(t)
	h.Account("bob@example.test", 0, nil)
	for n, want := range map[int]error{delivery.MaxReceived: nil, delivery.MaxReceived + 1: delivery.ErrLoop} {
		body := strings.Repeat("RECEIVED: from a by b;\r\n\tdate\r\n", n) + text
		errs, err := h.Delivery.Deliver(t.Context(), envelope(t, h, "c@example.org", "bob@example.test"), strings.NewReader(body))
		if !errors.Is(err, want) || want == nil && errors.Join(errs...) != nil {
			t.Errorf("%d Received fields: %v %v, want %v", n, errs, err, want)
		}
	}
	// In the body they count nothing.
	deliver(t, h, envelope(t, h, "c@example.org", "bob@example.test"), text+strings.Repeat("Received: x\r\n", 200))
}

// staleBlobs gives handles that have expired, the first few times.
type staleBlobs struct {
	delivery.Blobs
	stale int
}

func (b *staleBlobs) Put(ctx context.Context, r io.Reader, o blob.PutOptions) (mail.Blob, []mail.Blob, error) {
	got, parts, err := b.Blobs.Put(ctx, r, o)
	if b.stale--; b.stale >= 0 {
		got.Until = time.Now().Add(-time.Second)
	}
	return got, parts, err
}

func TestExpiredHandleIsPutAgain(t *testing.T) {
	h := deliverytest.New(t)
	bob := h.Account("bob@example.test", 0, nil)
	h.Delivery.CanSend = true
	h.Delivery.Blobs = &staleBlobs{h.Delivery.Blobs, 1}
	deliver(t, h, envelope(t, h, "c@example.org", "bob@example.test"), text)
	if got := len(h.Inbox(bob.Account)); got != 1 {
		t.Errorf("%d messages, want 1", got)
	}
	h.Delivery.Blobs = &staleBlobs{h.Delivery.Blobs, 1}
	if err := h.Delivery.Submit(t.Context(), bob.Account, envelope(t, h, "bob@example.test", "d@example.com"), strings.NewReader("From: bob@example.test\r\n\r\n")); err != nil {
		t.Error(err)
	}
	h.Delivery.Blobs = &staleBlobs{h.Delivery.Blobs, 9}
	errs, err := h.Delivery.Deliver(t.Context(), envelope(t, h, "e@example.org", "bob@example.test"), strings.NewReader(text))
	if err != nil || mail.KindOf(errs[0]) != mail.Expired {
		t.Errorf("got %v %v, want Expired", errs, err)
	}
}

// lameStore fails to change the accounts named.
type lameStore struct {
	store.Store
	fails map[mail.AccountID]error
}

func (s lameStore) Update(ctx context.Context, id mail.AccountID, by mail.Origin, fn func(store.Tx) error) (mail.ModSeq, error) {
	if err := s.fails[id]; err != nil {
		return 0, err
	}
	return s.Store.Update(ctx, id, by, fn)
}

func TestWhoCanNotBeServedNowIsQueuedIfAnotherWas(t *testing.T) {
	h := deliverytest.New(t)
	alice := h.Account("alice@example.test", 0, nil)
	bob := h.Account("bob@example.test", 0, nil)
	h.Delivery.Store = lameStore{h.Store, map[mail.AccountID]error{bob.Account: mail.Errorf(mail.Unavailable, "disk")}}
	env := envelope(t, h, "c@example.org", "alice@example.test", "bob@example.test")
	if err := h.Delivery.Accept(t.Context(), env, strings.NewReader(text)); err != nil {
		t.Fatal(err)
	}
	if got := len(h.Inbox(alice.Account)); got != 1 {
		t.Errorf("alice has %d messages, want 1", got)
	}
	queued, err := h.Store.Pending(t.Context(), 10)
	if err != nil || len(queued) != 1 || queued[0].Recipient != "bob@example.test" || queued[0].Account != bob.Account {
		t.Fatalf("queued %+v %v, want bob's", queued, err)
	}

	// Without anybody who empties it, the queue takes nothing.
	wake := h.Delivery.Wake
	h.Delivery.Wake = nil
	err = h.Delivery.Accept(t.Context(), envelope(t, h, "c@example.org", "alice@example.test", "bob@example.test"), strings.NewReader("Subject: 1\r\n\r\n"))
	if mail.KindOf(err) != mail.Unavailable || err == nil {
		t.Errorf("without a sender: %v, want Unavailable", err)
	}
	h.Delivery.Wake = wake

	// Nobody served: it stays the sender's.
	err = h.Delivery.Accept(t.Context(), envelope(t, h, "c@example.org", "bob@example.test"), strings.NewReader("Subject: 2\r\n\r\n"))
	if mail.KindOf(err) != mail.Unavailable {
		t.Errorf("got %v, want Unavailable", err)
	}
	if queued, _ := h.Store.Pending(t.Context(), 10); len(queued) != 1 {
		t.Errorf("%d queued, want 1", len(queued))
	}

	// The queue delivers it, once.
	h.Delivery.Store = h.Store
	q := &delivery.Sender{Service: h.Delivery}
	runUntilEmpty(t, h, q)
	if err := h.Delivery.Accept(t.Context(), env, strings.NewReader(text)); err != nil {
		t.Fatal(err)
	}
	if got := h.Inbox(bob.Account); len(got) != 1 || !strings.HasSuffix(got[0], text) {
		t.Errorf("bob has %q", got)
	}
}

func TestSeveralAddressesOfOneAccountGetOneCopyByTheQueueToo(t *testing.T) {
	h := deliverytest.New(t)
	h.Account("alice@example.test", 0, nil)
	bob := h.Account("bob@example.test", 0, nil)
	h.Address("robert@example.test", bob.Account)
	h.Delivery.Store = lameStore{h.Store, map[mail.AccountID]error{bob.Account: mail.Errorf(mail.Unavailable, "disk")}}
	env := envelope(t, h, "c@example.org", "alice@example.test", "bob@example.test", "robert@example.test")
	if err := h.Delivery.Accept(t.Context(), env, strings.NewReader(text)); err != nil {
		t.Fatal(err)
	}
	h.Delivery.Store = h.Store
	runUntilEmpty(t, h, &delivery.Sender{Service: h.Delivery})
	if got := len(h.Inbox(bob.Account)); got != 1 {
		t.Errorf("bob has %d copies, want 1", got)
	}
}

func TestAnErrorOfTheBodyDeliversNothing(t *testing.T) {
	h := deliverytest.New(t)
	bob := h.Account("bob@example.test", 0, nil)
	broken := errors.New("line dropped")
	body := io.MultiReader(strings.NewReader(text), errReader{broken})
	if _, err := h.Delivery.Deliver(t.Context(), envelope(t, h, "c@example.org", "bob@example.test"), body); !errors.Is(err, broken) {
		t.Errorf("got %v", err)
	}
	if got := len(h.Inbox(bob.Account)); got != 0 {
		t.Errorf("%d messages, want none", got)
	}
}

type errReader struct{ err error }

func (r errReader) Read([]byte) (int, error) { return 0, r.err }

func TestLargeMessageComesBackAsItWas(t *testing.T) {
	h := deliverytest.New(t)
	bob := h.Account("bob@example.test", 0, nil)
	for _, size := range []int{1<<20 - len(text), 1<<20 - len(text) + 1, 3 << 20} {
		body := text + strings.Repeat("0123456789abcde\n", size/16) + strings.Repeat("x", size%16)
		deliver(t, h, envelope(t, h, "c@example.org", "bob@example.test"), body)
		got := h.Inbox(bob.Account)
		if !strings.HasSuffix(got[len(got)-1], body) {
			t.Errorf("a message of %d bytes came back changed", len(body))
		}
	}
}

func TestIngestSaysWhatTheMessageIs(t *testing.T) {
	h := deliverytest.New(t)
	a, err := h.Delivery.Ingest(t.Context(), strings.NewReader("Date: Fri, 20 Nov 2026 10:00:00 +0000\r\nReferences: <0@x>\r\nSubject: Re: hello\r\n"+text))
	if err != nil {
		t.Fatal(err)
	}
	if a.MessageID != "1@example.org" || a.BaseSubject != "hello" || !a.IsReply || len(a.References) != 1 || a.SentAt.IsZero() || !strings.Contains(a.Preview, "hi") || len(a.Parsed) == 0 || a.Blob.Size == 0 {
		t.Errorf("got %+v", a)
	}
}

func TestSubmitAddsWhatIsMissing(t *testing.T) {
	h := deliverytest.New(t)
	alice := h.Account("alice@example.test", 0, nil)
	h.Address("sales@example.test", alice.Account)
	submit := func(body string) error {
		return h.Delivery.Submit(t.Context(), alice.Account, envelope(t, h, "alice@example.test", "alice@example.test"), strings.NewReader(body))
	}
	if err := submit("From: Alice <alice+x@example.test>\r\n\r\n1"); err != nil {
		t.Fatal(err)
	}
	if err := submit("From: sales@example.test\r\nSender: alice@example.test\r\nDate: x\r\nMessage-Id: <2@x>\r\n\r\n2"); err != nil {
		t.Fatal(err)
	}
	got := h.Inbox(alice.Account)
	if !strings.Contains(got[0], "\r\nDate: ") || !strings.Contains(got[0], "\r\nMessage-ID: <") || !strings.HasPrefix(got[0], "Received: ") {
		t.Errorf("lacks something: %q", got[0])
	}
	if strings.Count(got[1], "Date: ") != 1 || strings.Contains(got[1], "Message-ID: ") {
		t.Errorf("has too much: %q", got[1])
	}
	for body, kind := range map[string]mail.Kind{
		"From: bob@example.test\r\n\r\n":                               mail.Denied,
		"From: alice@example.test, bob@example.test\r\n\r\n":           mail.Denied,
		"From: alice@example.test\r\nSender: bob@example.test\r\n\r\n": mail.Denied,
		"From: alice@example.test\r\nFrom: bob@example.test\r\n\r\n":   mail.Denied,
		"Subject: no author\r\n\r\n":                                   mail.Invalid,
		"From: undisclosed:;\r\n\r\n":                                  mail.Invalid,
	} {
		if err := submit(body); err == nil || mail.KindOf(err) != kind {
			t.Errorf("%q: %v, want %v", body, err, kind)
		}
	}
}

func TestOneBlobForAllRecipients(t *testing.T) {
	h := deliverytest.New(t)
	var to []string
	for i := range 40 {
		to = append(to, fmt.Sprintf("u%d@example.test", i))
		h.Account(to[i], 0, nil)
	}
	counting := &countingBlobs{Blobs: h.Delivery.Blobs}
	h.Delivery.Blobs = counting
	deliver(t, h, envelope(t, h, "c@example.org", to...), text)
	if counting.puts != 1 {
		t.Errorf("%d puts for 40 recipients, want 1", counting.puts)
	}
}

type countingBlobs struct {
	delivery.Blobs
	puts int
}

func (b *countingBlobs) Put(ctx context.Context, r io.Reader, o blob.PutOptions) (mail.Blob, []mail.Blob, error) {
	b.puts++
	return b.Blobs.Put(ctx, r, o)
}
