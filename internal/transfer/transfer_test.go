package transfer

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"lockstep/internal/mail"
	"lockstep/internal/message"
	"lockstep/internal/store"
	"lockstep/internal/store/model"
)

var ctx = context.Background()

// house is two accounts, with mail in the first one's INBOX.
type house struct {
	t          *testing.T
	st         *model.Store
	alice, bob End
}

func newHouse(t *testing.T, messages int) *house {
	h := &house{t: t, st: model.New()}
	h.alice, h.bob = h.account("alice"), h.account("bob")
	for i := range messages {
		h.put(h.alice, i)
	}
	return h
}

func (h *house) account(name string) End {
	by := mail.NewOrigin(name+"@example.test", 0, mail.IMAP, mail.ByUser)
	p, err := h.st.CreateAccount(ctx, by, store.NewAccount{Login: name + "@example.test"})
	h.ok(err)
	e := End{Account: p.Account, By: by}
	h.ok(h.st.View(ctx, p.Account, func(r store.Reader) error {
		mb, err := r.MailboxByPath("INBOX")
		e.Mailbox = mb.ID
		return err
	}))
	return e
}

func (h *house) ok(err error) {
	h.t.Helper()
	if err != nil {
		h.t.Fatal(err)
	}
}

func (h *house) put(e End, n int) {
	h.t.Helper()
	m, err := message.Parse(strings.NewReader(fmt.Sprintf("Subject: Re: lunch\r\nMessage-ID: <%d@x>\r\nReferences: <0@x>\r\n\r\nhello\r\n", n)))
	h.ok(err)
	_, err = h.st.Update(ctx, e.Account, e.By, func(tx store.Tx) error {
		_, err := tx.Append(e.Mailbox, mail.Arrival{Blob: mail.Blob{Name: mail.BlobName{byte(n)}, Size: 10}, Parsed: message.Encode(m), MessageID: m.ID,
			References: m.References, BaseSubject: m.BaseSubject, IsReply: m.IsReply, Flags: mail.StoredFlags(mail.Flagged, fmt.Sprintf("k%d", n))})
		return err
	})
	h.ok(err)
}

// holds says what is in a mailbox: the keyword that each message came with.
func (h *house) holds(e End) string {
	h.t.Helper()
	var words []string
	h.ok(h.st.View(ctx, e.Account, func(r store.Reader) error {
		return r.Placements(store.PlacementQuery{Mailbox: e.Mailbox, As: e.As}, func(p *mail.Placement) error {
			words = append(words, p.Flags.KeywordText())
			return nil
		})
	}))
	return strings.Join(words, " ")
}

func (h *house) ids(e End) map[mail.EmailID]int {
	ids := map[mail.EmailID]int{}
	h.ok(h.st.View(ctx, e.Account, func(r store.Reader) error {
		return r.Messages(store.PlacementQuery{Mailbox: e.Mailbox}, func(_ *mail.Placement, m *mail.Message) error { ids[m.EmailID]++; return nil })
	}))
	return ids
}

func TestACopyKeepsItsEmailID(t *testing.T) {
	h := newHouse(t, 3)
	s := &Service{Store: h.st, Intents: h.st}
	done, err := s.Copy(ctx, h.alice, mail.MakeUIDSet(1, 3, 9), h.bob)
	h.ok(err)
	if done.From.String() != "1,3" || done.To.String() != "1:2" {
		t.Errorf("copied %v to %v", done.From, done.To)
	}
	if got := h.holds(h.bob); got != "k0 k2" || h.holds(h.alice) != "k0 k1 k2" {
		t.Errorf("bob has %s, alice %s", got, h.holds(h.alice))
	}
	there := h.ids(h.alice)
	for id := range h.ids(h.bob) {
		if there[id] == 0 {
			t.Errorf("%s has another email id", id)
		}
	}
}

// What an account has already is placed once more, not kept twice.
func TestACopyOfWhatIsThereIsOneMessage(t *testing.T) {
	h := newHouse(t, 1)
	s := &Service{Store: h.st, Intents: h.st}
	for range 2 {
		_, err := s.Move(ctx, h.alice, mail.MakeUIDSet(1, 2), h.bob)
		h.ok(err)
		_, err = s.Copy(ctx, h.bob, mail.MakeUIDSet(1), h.alice)
		h.ok(err)
	}
	if n := len(h.ids(h.alice)); n != 1 || h.holds(h.bob) != "k0 k0" {
		t.Errorf("alice has %d messages, bob %s", n, h.holds(h.bob))
	}
	h.ok(h.st.View(ctx, h.bob.Account, func(r store.Reader) error {
		a, err := r.Account()
		if a.Used != 10 {
			t.Errorf("bob uses %d bytes", a.Used)
		}
		return err
	}))
}

func TestTooMuchAtOnceIsRefused(t *testing.T) {
	h := newHouse(t, MaxMessages+1)
	s := &Service{Store: h.st, Intents: h.st}
	if _, err := s.Copy(ctx, h.alice, mail.AllUIDs, h.bob); mail.KindOf(err) != mail.Limit {
		t.Errorf("got %v, want Limit", err)
	}
	_, err := s.Copy(ctx, h.alice, mail.UIDSet{{First: 1, Last: MaxMessages}}, h.bob)
	h.ok(err)
}

// What may not be set where the copy goes is not, and what may not be taken stays.
func TestRightsAreAskedForInEachTransaction(t *testing.T) {
	h := newHouse(t, 2)
	s := &Service{Store: h.st, Intents: h.st}
	denied := mail.Errorf(mail.Denied, "no")
	from := h.alice
	from.May = func(store.Reader) (mail.Rights, error) { return 0, denied }
	if _, err := s.Move(ctx, from, mail.AllUIDs, h.bob); !errors.Is(err, denied) || h.holds(h.bob) != "" {
		t.Errorf("%v, bob has %s", err, h.holds(h.bob))
	}
	to := h.bob
	to.May = func(store.Reader) (mail.Rights, error) { return mail.MayInsert | mail.MaySee, nil }
	_, err := s.Copy(ctx, h.alice, mail.MakeUIDSet(1), to)
	h.ok(err)
	if got := h.holds(h.bob); got != "" {
		t.Errorf("bob has keywords %q", got)
	}
	if all, err := h.st.Intents(ctx); len(all) > 0 || err != nil {
		t.Errorf("%d intents are left, %v", len(all), err)
	}
}

// crashing is a store whose process ends with the n-th thing written, before it is
// done or right after.
type crashing struct {
	*model.Store
	left  int
	after bool
	dead  bool
}

var errCrash = mail.Errorf(mail.Unavailable, "the process is gone")

func (c *crashing) step(do func() error) error {
	if c.dead {
		return errCrash
	}
	if c.left--; c.left > 0 {
		return do()
	}
	c.dead = true
	if c.after {
		if err := do(); err != nil {
			return err
		}
	}
	return errCrash
}

func (c *crashing) Update(ctx context.Context, id mail.AccountID, by mail.Origin, fn func(store.Tx) error) (n mail.ModSeq, err error) {
	err = c.step(func() (err error) { n, err = c.Store.Update(ctx, id, by, fn); return err })
	return n, err
}

func (c *crashing) Intend(ctx context.Context, a mail.AccountID, state []byte) (id int64, err error) {
	err = c.step(func() (err error) { id, err = c.Store.Intend(ctx, a, state); return err })
	return id, err
}

func (c *crashing) Settled(ctx context.Context, id int64) error {
	return c.step(func() error { return c.Store.Settled(ctx, id) })
}

// A move takes an intent, a copy, an expunge and the end of the intent. Wherever it
// is cut, afterwards each message is in one place.
func TestAMoveThatIsCutIsFinished(t *testing.T) {
	for n := range 4 {
		for _, after := range []bool{false, true} {
			for cutAgain := range 4 {
				t.Run(fmt.Sprintf("%d/after=%v/again=%d", n+1, after, cutAgain), func(t *testing.T) { cutMove(t, n+1, after, cutAgain) })
			}
		}
	}
}

func cutMove(t *testing.T, n int, after bool, cutAgain int) {
	h := newHouse(t, 3)
	first := &crashing{Store: h.st, left: n, after: after}
	if _, err := (&Service{Store: first, Intents: first}).Move(ctx, h.alice, mail.MakeUIDSet(1, 2), h.bob); err == nil {
		t.Fatal("nothing was cut")
	}
	if cutAgain > 0 { // the start, too
		c := &crashing{Store: h.st, left: cutAgain, after: after}
		_ = (&Service{Store: c, Intents: c}).Resume(ctx)
	}
	h.ok((&Service{Store: h.st, Intents: h.st}).Resume(ctx))
	alice, bob := h.holds(h.alice), h.holds(h.bob)
	begun := n > 1 || after
	if begun && (alice != "k2" || bob != "k0 k1") || !begun && (alice != "k0 k1 k2" || bob != "") {
		t.Errorf("alice has %s, bob %s", alice, bob)
	}
	if all, err := h.st.Intents(ctx); len(all) > 0 || err != nil {
		t.Errorf("%d intents are left, %v", len(all), err)
	}
}

// What can't be finished is given up, and nothing is lost.
func TestAMoveThatCantBeFinishedLeavesTheMessages(t *testing.T) {
	for _, spoil := range []struct {
		name string
		do   func(h *house) error
	}{
		{"the account is gone", func(h *house) error { return h.st.RemoveAccount(ctx, h.bob.Account) }},
		{"the account is full", func(h *house) error {
			_, err := h.st.Update(ctx, h.bob.Account, h.bob.By, func(tx store.Tx) error { return tx.SetQuota(1) })
			return err
		}},
	} {
		t.Run(spoil.name, func(t *testing.T) {
			h := newHouse(t, 2)
			c := &crashing{Store: h.st, left: 2}
			if _, err := (&Service{Store: c, Intents: c}).Move(ctx, h.alice, mail.AllUIDs, h.bob); err == nil {
				t.Fatal("nothing was cut")
			}
			h.ok(spoil.do(h))
			h.ok((&Service{Store: h.st, Intents: h.st}).Resume(ctx))
			if got := h.holds(h.alice); got != "k0 k1" {
				t.Errorf("alice has %s", got)
			}
			if all, _ := h.st.Intents(ctx); len(all) > 0 {
				t.Errorf("%d intents are left", len(all))
			}
		})
	}
}

func FuzzIntentsAreRead(f *testing.F) {
	f.Add([]byte(`{"From":{"Account":1,"Mailbox":1,"Actor":"a","Protocol":"imap","Cause":"user","Rights":"lr"},"To":{},"UIDs":"1:3"}`))
	f.Add([]byte(`{}`))
	f.Add([]byte(`[`))
	f.Fuzz(func(t *testing.T, state []byte) {
		st := model.New()
		if _, err := st.Intend(ctx, 1, state); err != nil {
			t.Fatal(err)
		}
		if err := (&Service{Store: st, Intents: st}).Resume(ctx); err != nil {
			t.Fatal(err)
		}
	})
}
