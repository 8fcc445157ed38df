package delivery_test

import (
	"context"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"lockstep/internal/delivery"
	"lockstep/internal/mail"
	"lockstep/internal/message"
	"lockstep/internal/steady"
	"lockstep/internal/store"
)

// away lets alice answer each audience with its name.
func (w *world) away(t *testing.T, set func(*mail.Vacation)) {
	t.Helper()
	v := mail.Vacation{Enabled: true,
		Internal: mail.VacationAnswer{Enabled: true, Text: "to a colleague"},
		Known:    mail.VacationAnswer{Enabled: true, Text: "to a friend"},
		Unknown:  mail.VacationAnswer{Enabled: true, Text: "to a stranger"},
	}
	if set != nil {
		set(&v)
	}
	if _, err := w.Store.Update(t.Context(), w.alice, mail.NewOrigin("alice", 0, mail.Local, mail.ByUser), func(tx store.Tx) error {
		return delivery.SetVacation(tx, v)
	}); err != nil {
		t.Fatal(err)
	}
}

// letter is what dave writes; more are header fields.
func letter(id int, more string) string {
	return fmt.Sprintf("From: dave@remote.test\r\nTo: Alice <ALICE@example.test>\r\nSubject: =?utf-8?q?gr=C3=BC=C3=9Fe?=\r\nMessage-ID: <m%d@remote.test>\r\nReferences: <r@remote.test>\r\n%s\r\nhello\r\n", id, more)
}

// arrives accepts a message for alice, empties the queue and returns what the
// other server has by now.
func (w *world) arrives(t *testing.T, r *remote, from, body string) []received {
	t.Helper()
	if err := w.Delivery.Accept(t.Context(), envelope(t, w.House, from, "alice@example.test"), strings.NewReader(body)); err != nil {
		t.Fatal(err)
	}
	w.run(t)
	return r.messages()
}

func newAwayWorld(t *testing.T) (*world, *remote) {
	w := newWorld(t)
	r := startRemote(t, nil)
	w.exchanger("remote.test", "192.0.2.10", r)
	return w, r
}

func TestVacationAnswersAsRFC3834Says(t *testing.T) {
	w, r := newAwayWorld(t)
	if err := w.Store.SetName(t.Context(), w.alice, "Alice Exämple"); err != nil {
		t.Fatal(err)
	}
	w.away(t, nil)
	got := w.arrives(t, r, "dave@remote.test", letter(1, ""))
	if len(got) != 1 || got[0].from != "" || len(got[0].to) != 1 || got[0].to[0] != "dave@remote.test" {
		t.Fatalf("sent %+v", got)
	}
	for _, want := range []string{
		"From: =?utf-8?q?Alice_Ex=C3=A4mple?= <alice@example.test>\r\n", "To: <dave@remote.test>\r\n", "Subject: =?utf-8?q?Auto:_gr=C3=BC=C3=9Fe?=\r\n",
		"In-Reply-To: <m1@remote.test>\r\n", "References: <r@remote.test>\r\n <m1@remote.test>\r\n", "Auto-Submitted: auto-replied\r\n", "\r\n\r\nto a stranger",
	} {
		if !strings.Contains(got[0].body, want) {
			t.Errorf("%q lacks %q", got[0].body, want)
		}
	}
	if n := len(w.Inbox(w.alice)); n != 1 {
		t.Errorf("alice has %d messages, want the one she was sent", n)
	}
	if s := w.Delivery.Stats(); s.Answers != 1 {
		t.Errorf("counted %d answers", s.Answers)
	}
}

func TestVacationIsSilentWhereItMustBe(t *testing.T) {
	for name, c := range map[string]struct {
		from, body string
		set        func(*mail.Vacation)
	}{
		"off":                       {set: func(v *mail.Vacation) { v.Enabled = false }},
		"not yet":                   {set: func(v *mail.Vacation) { v.From = time.Now().Add(time.Hour) }},
		"over":                      {set: func(v *mail.Vacation) { v.Until = time.Now().Add(-time.Hour) }},
		"not this audience":         {set: func(v *mail.Vacation) { v.Unknown.Enabled = false }},
		"nothing to say":            {set: func(v *mail.Vacation) { v.Unknown.Text = "" }},
		"null reverse path":         {from: "<>"},
		"mailer-daemon":             {from: "MAILER-DAEMON@remote.test"},
		"owner":                     {from: "owner-list@remote.test"},
		"request":                   {from: "list-request@remote.test"},
		"bounces":                   {from: "list-bounces@remote.test"},
		"verp":                      {from: "bounces+alice=example.test@remote.test"},
		"no-reply":                  {from: "no-reply@remote.test"},
		"own address":               {from: "alice@example.test"},
		"own address with detail":   {from: "alice+x@example.test"},
		"nowhere to go":             {from: "nobody@example.test"},
		"automatic":                 {body: letter(1, "Auto-Submitted: auto-generated; x=1\r\n")},
		"list":                      {body: letter(1, "List-Id: <x.remote.test>\r\n")},
		"list to unsubscribe":       {body: letter(1, "LIST-UNSUBSCRIBE: <mailto:x@remote.test>\r\n")},
		"bulk":                      {body: letter(1, "Precedence: Bulk\r\n")},
		"junk":                      {body: letter(1, "Precedence: junk\r\n")},
		"suppressed":                {body: letter(1, "X-Auto-Response-Suppress: DR, OOF\r\n")},
		"spam":                      {body: letter(1, "X-Spam-Flag: YES\r\n")},
		"a report":                  {body: letter(1, "Content-Type: multipart/report; report-type=delivery-status; boundary=x\r\n")},
		"not addressed to her":      {body: strings.Replace(letter(1, ""), "ALICE@", "team@", 1)},
		"to somebody of her domain": {body: strings.Replace(letter(1, ""), "ALICE@", "alicia@", 1)},
	} {
		t.Run(name, func(t *testing.T) {
			w, r := newAwayWorld(t)
			w.away(t, c.set)
			from, body := c.from, c.body
			switch {
			case from == "":
				from = "dave@remote.test"
			case from == "<>":
				from = ""
			}
			if body == "" {
				body = letter(1, "")
			}
			if got := w.arrives(t, r, from, body); len(got) != 0 {
				t.Errorf("answered %+v", got)
			}
			if n := len(w.Inbox(w.alice)); n != 1 {
				t.Errorf("alice has %d messages, want the one she was sent", n)
			}
		})
	}
}

func TestVacationAnswersWhenSaidInOtherWays(t *testing.T) {
	for name, body := range map[string]string{
		"Auto-Submitted: no":  letter(1, "Auto-Submitted: no (by hand)\r\n"),
		"in Cc":               strings.Replace(letter(1, ""), "To: Alice", "Cc: bob@example.test, Alice", 1),
		"with a detail":       strings.Replace(letter(1, ""), "ALICE@", "alice+news@", 1),
		"by another address":  strings.Replace(letter(1, ""), "ALICE@", "al@", 1),
		"other suppression":   letter(1, "X-Auto-Response-Suppress: DR, NDR\r\n"),
		"without a messageid": strings.Replace(letter(1, ""), "Message-ID: <m1@remote.test>\r\n", "", 1),
	} {
		t.Run(name, func(t *testing.T) {
			w, r := newAwayWorld(t)
			w.Address("al@example.test", w.alice)
			w.away(t, nil)
			if got := w.arrives(t, r, "dave@remote.test", body); len(got) != 1 {
				t.Errorf("answered %d times", len(got))
			}
		})
	}
}

func TestVacationTellsAudiencesApart(t *testing.T) {
	w, r := newAwayWorld(t)
	bob := w.Account("bob@example.test", 0, nil).Account
	eve := w.Account("eve@other.example", 0, nil).Account
	w.Delivery.WroteTo = func(_ context.Context, a mail.AccountID, address string) (bool, error) {
		return a == w.alice && address == "dave@remote.test", nil
	}
	w.away(t, nil)
	w.arrives(t, r, "bob@example.test", letter(1, ""))
	w.arrives(t, r, "eve@other.example", letter(2, ""))
	w.arrives(t, r, "dave@remote.test", letter(3, ""))
	got := w.arrives(t, r, "mallory@remote.test", letter(4, ""))
	for who, c := range map[string][2]string{
		"a colleague":           {strings.Join(w.Inbox(bob), ""), "to a colleague"},
		"somebody else's house": {strings.Join(w.Inbox(eve), ""), "to a stranger"},
		"a friend":              {got[0].body, "to a friend"},
		"a stranger":            {got[1].body, "to a stranger"},
	} {
		if !strings.Contains(c[0], c[1]) {
			t.Errorf("%s hears %q, want %q", who, c[0], c[1])
		}
	}
}

func TestVacationSpeaksHTMLAndItsOwnSubject(t *testing.T) {
	w, r := newAwayWorld(t)
	w.away(t, func(v *mail.Vacation) {
		v.Subject = "Weg bis Juli – ü"
		v.Unknown = mail.VacationAnswer{Enabled: true, HTML: "<p>Ich bin <b>weg</b>.</p><p>" + strings.Repeat("Grüße ", 100) + "</p>"}
	})
	got := w.arrives(t, r, "dave@remote.test", letter(1, ""))
	if len(got) != 1 {
		t.Fatalf("answered %d times", len(got))
	}
	m, err := message.Parse(strings.NewReader(got[0].body))
	if err != nil || !m.Root.Is("multipart", "alternative") || len(m.Root.Parts) != 2 || message.DecodeWords(m.Envelope.Subject) != "Weg bis Juli – ü" {
		t.Fatalf("%+v, %v", m.Root, err)
	}
	var text strings.Builder
	if err := message.BodyText(&text, strings.NewReader(got[0].body), m, 1<<20); err != nil || strings.Count(text.String(), "Ich bin weg.") != 2 {
		t.Errorf("%q, %v", text.String(), err)
	}
	for line := range strings.Lines(got[0].body) {
		if len(line) > 998+2 {
			t.Errorf("a line of %d bytes", len(line))
		}
	}
}

func TestVacationAnswersASenderOnceAWeek(t *testing.T) {
	w, r := newAwayWorld(t)
	w.away(t, nil)
	w.arrives(t, r, "dave@remote.test", letter(1, ""))
	if got := w.arrives(t, r, "Dave@REMOTE.test", letter(2, "")); len(got) != 1 {
		t.Errorf("answered %d times", len(got))
	}
	if got := w.arrives(t, r, "erin@remote.test", letter(3, "")); len(got) != 2 {
		t.Errorf("%d answers to two senders", len(got))
	}
	w.away(t, func(v *mail.Vacation) { v.Unknown.Text = "until August" })
	if got := w.arrives(t, r, "dave@remote.test", letter(4, "")); len(got) != 3 || !strings.Contains(got[2].body, "until August") {
		t.Errorf("what is new was not said: %d answers", len(got))
	}
	w.away(t, func(v *mail.Vacation) { v.Enabled = false })
	if got := w.arrives(t, r, "frank@remote.test", letter(5, "")); len(got) != 3 {
		t.Errorf("answered after it was turned off")
	}
}

// A sender that did not hear our 250 sends again.
func TestVacationAnswersOnceHoweverOftenTheMessageComes(t *testing.T) {
	w, r := newAwayWorld(t)
	w.away(t, nil)
	for range 3 {
		env := envelope(t, w.House, "dave@remote.test", "alice@example.test")
		if err := w.Delivery.Accept(t.Context(), env, strings.NewReader(letter(1, ""))); err != nil {
			t.Fatal(err)
		}
	}
	w.arrives(t, r, "dave@remote.test", letter(1, ""))
	if got := w.arrives(t, r, "dave@remote.test", letter(1, "")); len(got) != 1 {
		t.Errorf("answered %d times", len(got))
	}
	if n := len(w.Inbox(w.alice)); n != 1 {
		t.Errorf("alice has %d messages", n)
	}
}

// crashQueue dies instead of queueing, so many times, before or after it has.
type crashQueue struct {
	store.Queue
	before, after atomic.Int32
}

func (q *crashQueue) Enqueue(ctx context.Context, out []store.Outgoing) error {
	if q.before.Add(-1) >= 0 {
		panic("crash")
	}
	err := q.Queue.Enqueue(ctx, out)
	if q.after.Add(-1) >= 0 {
		panic("crash")
	}
	return err
}

func TestVacationAnswersOnceAlsoAfterACrash(t *testing.T) {
	for name, set := range map[string]func(*crashQueue){
		"before it is queued": func(q *crashQueue) { q.before.Store(2) },
		"after it is queued":  func(q *crashQueue) { q.after.Store(2) },
	} {
		t.Run(name, func(t *testing.T) {
			w, r := newAwayWorld(t)
			w.away(t, nil)
			q := &crashQueue{Queue: w.Store}
			set(q)
			w.Delivery.Queue = q
			for range 2 {
				func() {
					defer func() {
						if recover() == nil {
							t.Error("no crash")
						}
					}()
					env := envelope(t, w.House, "dave@remote.test", "alice@example.test")
					_ = w.Delivery.Accept(t.Context(), env, strings.NewReader(letter(1, "")))
				}()
			}
			w.run(t) // the server is back before the sender is
			for range 2 {
				w.arrives(t, r, "dave@remote.test", letter(1, ""))
			}
			if got := r.messages(); len(got) != 1 {
				t.Errorf("answered %d times, want once", len(got))
			}
			if n := len(w.Inbox(w.alice)); n != 1 {
				t.Errorf("alice has %d messages", n)
			}
		})
	}
}

func TestVacationThatCanNotAnswerStillDelivers(t *testing.T) {
	w, r := newAwayWorld(t)
	w.away(t, nil)
	full := &fullBlobs{Blobs: w.Delivery.Blobs}
	w.Delivery.Blobs = full
	w.Delivery.Queue = failingQueue{w.Store}
	if got := w.arrives(t, r, "dave@remote.test", letter(1, "")); len(got) != 0 || len(w.Inbox(w.alice)) != 1 {
		t.Fatalf("sent %d", len(got))
	}
	w.Delivery.Queue = w.Store
	if got := w.arrives(t, r, "dave@remote.test", letter(2, "")); len(got) != 1 {
		t.Errorf("then answered %d times", len(got))
	}
}

type failingQueue struct{ store.Queue }

func (failingQueue) Enqueue(context.Context, []store.Outgoing) error {
	return mail.Errorf(mail.Unavailable, "the disk is full")
}

func TestWhatIsNoVacationIsNone(t *testing.T) {
	w, r := newAwayWorld(t)
	if _, err := w.Store.Update(t.Context(), w.alice, mail.NewOrigin("alice", 0, mail.IMAP, mail.ByUser), func(tx store.Tx) error {
		return tx.SetMetadata(0, 0, mail.VacationEntry, []byte("on"))
	}); err != nil {
		t.Fatal(err)
	}
	if got := w.arrives(t, r, "dave@remote.test", letter(1, "")); len(got) != 0 || len(w.Inbox(w.alice)) != 1 {
		t.Errorf("answered %d times", len(got))
	}
}

// What an import, a copy or an undo puts into the inbox did not just arrive.
func TestVacationAnswersArrivalsAlone(t *testing.T) {
	w, r := newAwayWorld(t)
	w.away(t, nil)
	a, err := w.Delivery.Ingest(t.Context(), strings.NewReader("Return-Path: <dave@remote.test>\r\n"+letter(1, "")))
	if err != nil {
		t.Fatal(err)
	}
	put := func(fn func(tx store.Tx, inbox mail.MailboxID) error) mail.ModSeq {
		t.Helper()
		n, err := w.Store.Update(t.Context(), w.alice, mail.NewOrigin("alice", 0, mail.Local, mail.ByImport), func(tx store.Tx) error {
			inbox, err := tx.MailboxByPath("INBOX")
			if err != nil {
				return err
			}
			return fn(tx, inbox.ID)
		})
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	put(func(tx store.Tx, inbox mail.MailboxID) error { _, err := tx.Append(inbox, a); return err })
	act := put(func(tx store.Tx, inbox mail.MailboxID) error {
		_, err := tx.Expunge(inbox, mail.AllUIDs, false)
		return err
	})
	put(func(tx store.Tx, _ mail.MailboxID) error { _, err := tx.Undo(mail.ActID(act)); return err })
	w.run(t)
	if got := r.messages(); len(got) != 0 || len(w.Inbox(w.alice)) != 1 {
		t.Errorf("answered %d times", len(got))
	}
}

// deaf is a store that tells nobody of changes, as if they were another node's and the
// word of them was lost.
type deaf struct{ store.Store }

func (deaf) Watch(mail.AccountID, func(mail.News)) func() { return func() {} }

// Of several nodes each looks who is away, whatever it is told.
func TestVacationsSetAtAnotherNodeAreSeen(t *testing.T) {
	w, r := newAwayWorld(t)
	w.Delivery.Store, w.Delivery.Several = deaf{w.Store}, true
	if got := w.arrives(t, r, "dave@remote.test", letter(1, "")); len(got) != 0 {
		t.Fatalf("answered %v", got)
	}
	w.away(t, nil)
	answered := false
	for n, deadline := 2, time.Now().Add(steady.Patience); !answered && time.Now().Before(deadline); n++ {
		answered = len(w.arrives(t, r, "dave@remote.test", letter(n, ""))) > 0
	}
	if !answered {
		t.Error("nobody was answered")
	}
}
