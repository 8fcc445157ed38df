package jmap

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"lockstep/internal/delivery"
	"lockstep/internal/mail"
	"lockstep/internal/steady"
	"lockstep/internal/store"
)

const draft = "From: alice@example.test\r\nTo: bob@example.test\r\nCc: Team: bob@example.test;\r\nBcc: carol@example.test\r\nSubject: hello\r\nDate: Fri, 20 Nov 2026 10:00:00 +0000\r\nMessage-ID: <draft@x>\r\n\r\nhello\r\n"

// neighbours are Bob and Carol, to whom Alice writes.
func (w *town) neighbours() (bob, carol mail.AccountID) {
	w.server.Delivery.Outcome = w.server.Outcome
	return w.Account("bob@example.test", 0, nil).Account, w.Account("carol@example.test", 0, nil).Account
}

// set makes one call of Foo/set and decodes its answer; more are the answers after it.
func (w *town) set(method, args string) (out setAnswer, more []response) {
	w.T.Helper()
	answers := w.api(`[["` + method + `",{"accountId":"` + w.account + `",` + args + `},"c"]]`)
	if answers[0].name != method {
		w.T.Fatalf("%s %s: %s %s", method, args, answers[0].name, answers[0].args)
	}
	if err := json.Unmarshal(answers[0].args, &out); err != nil {
		w.T.Fatal(err)
	}
	return out, answers[1:]
}

// UnmarshalJSON implements json.Unmarshaler, for tests.
func (e *setError) UnmarshalJSON(b []byte) error {
	if err := json.Unmarshal(b, &e.Extra); err != nil {
		return err
	}
	e.Type, _ = e.Extra["type"].(string)
	e.Description, _ = e.Extra["description"].(string)
	if list, ok := e.Extra["properties"].([]any); ok {
		for _, p := range list {
			e.Properties = append(e.Properties, p.(string))
		}
	}
	return nil
}

func (w *town) identity() string {
	w.T.Helper()
	var got getAnswer
	w.call("Identity/get", `{"accountId":"$ACCOUNT","ids":null}`, &got)
	return got.List[0]["id"].(string)
}

// submits sends an email, with more properties.
func (w *town) submits(email, more string) (setAnswer, []response) {
	w.T.Helper()
	return w.set("EmailSubmission/set", `"create":{"s":{"identityId":"`+w.identity()+`","emailId":"`+email+`"`+more+`}}`)
}

func (w *town) submission(id string) object {
	w.T.Helper()
	var got getAnswer
	w.call("EmailSubmission/get", `{"accountId":"$ACCOUNT","ids":["`+id+`"]}`, &got)
	if len(got.List) != 1 {
		w.T.Fatalf("%s: %+v", id, got)
	}
	return got.List[0]
}

// deliverStatus is what is said of one recipient.
func statusTo(o object, to string) string {
	all, _ := o["deliveryStatus"].(map[string]any)
	of, _ := all[to].(map[string]any)
	return fmt.Sprint(of["delivered"], " ", of["smtpReply"])
}

// runQueue empties the queue of what is due; elsewhere there is nobody.
func (w *town) runQueue() {
	w.T.Helper()
	q := &delivery.Sender{Service: w.Delivery, Resolver: nowhere{}, Schedule: []time.Duration{0}}
	w.Delivery.Wake = q.Wake
	ctx, cancel := context.WithCancel(w.T.Context())
	defer cancel()
	done := make(chan error, 1)
	go func() { done <- q.Run(ctx) }()
	for end := time.Now().Add(steady.Patience); ; time.Sleep(time.Millisecond) {
		left, err := w.Store.Pending(ctx, 10)
		if err != nil || time.Now().After(end) {
			w.T.Fatalf("still queued: %+v (%v)", left, err)
		}
		if len(left) == 0 {
			break
		}
	}
	cancel()
	if err := <-done; err != nil {
		w.T.Fatal(err)
	}
}

// nowhere is a DNS in which there is nothing.
type nowhere struct{}

func (nowhere) LookupMX(context.Context, string) ([]*net.MX, error) {
	return nil, &net.DNSError{IsNotFound: true}
}

func (nowhere) LookupNetIP(context.Context, string, string) ([]netip.Addr, error) {
	return nil, &net.DNSError{IsNotFound: true}
}

func TestAnEmailIsSentOnce(t *testing.T) {
	w := newTown(t)
	bob, carol := w.neighbours()
	email := w.emailID(w.put("Drafts", draft, `\Draft`))
	out, more := w.submits(email, "")
	made := out.Created["s"]
	if made == nil || made["undoStatus"] != "final" || made["sendAt"] == nil || len(more) != 0 {
		t.Fatalf("%+v %+v", out, out.NotCreated["s"])
	}
	for who, id := range map[string]mail.AccountID{"bob": bob, "carol": carol} {
		got := w.Inbox(id)
		if len(got) != 1 || strings.Contains(got[0], "carol") || !strings.Contains(got[0], "Subject: hello") {
			t.Errorf("%s has %d: %q", who, len(got), got)
		}
	}
	id := made["id"].(string)
	o := w.submission(id)
	if o["emailId"] != email || o["threadId"] == "" || statusTo(o, "bob@example.test") != "yes 250 2.1.5 OK" {
		t.Errorf("%v", o)
	}
	again, _ := w.submits(email, "") // the answer was lost, and the client asks again
	if again.Created["s"]["id"] != id || again.NewState != out.NewState {
		t.Errorf("again: %+v", again)
	}
	if n := len(w.Inbox(bob)); n != 1 {
		t.Errorf("bob has %d", n)
	}
	w.server.now = func() time.Time { return time.Now().Add(repeatWindow + time.Minute) }
	again, _ = w.submits(email, "") // much later, somebody means it
	if n := len(w.Inbox(bob)); again.Created["s"]["id"] == id || n != 2 {
		t.Errorf("much later: %+v, bob has %d", again, n)
	}
}

func TestTheEmailIsChangedWhenItIsSent(t *testing.T) {
	w := newTown(t)
	w.neighbours()
	email := w.emailID(w.put("Drafts", draft, `\Draft`))
	drafts, sent := w.mailbox("Drafts").ID.String(), w.mailbox("Sent").ID.String()
	got := w.api(`[["EmailSubmission/set",{"accountId":"$ACCOUNT","create":{"s":{"identityId":"` + w.identity() + `","emailId":"` + email + `"},
		"bad":{"identityId":"none","emailId":"` + email + `"}},
		"onSuccessUpdateEmail":{"#s":{"mailboxIds/` + drafts + `":null,"mailboxIds/` + sent + `":true,"keywords/$draft":null},"#bad":{"keywords/$flagged":true}}},"c"]]`)
	if len(got) != 2 || got[1].name != "Email/set" || got[1].callID != "c" || !strings.Contains(string(got[1].args), `"`+email+`":null`) {
		t.Fatalf("%s", got)
	}
	var emails getAnswer
	w.call("Email/get", `{"accountId":"$ACCOUNT","ids":["`+email+`"],"properties":["mailboxIds","keywords"]}`, &emails)
	if s := fmt.Sprint(emails.List); s != "[map[id:"+email+" keywords:map[] mailboxIds:map["+sent+":true]]]" {
		t.Error(s)
	}
	email = w.emailID(w.put("Drafts", strings.Replace(draft, "draft@x", "other@x", 1)))
	got = w.api(`[["EmailSubmission/set",{"accountId":"$ACCOUNT","create":{"s":{"identityId":"` + w.identity() + `","emailId":"` + email + `"}},"onSuccessDestroyEmail":["#s"]},"c"]]`)
	if len(got) != 2 || !strings.Contains(string(got[1].args), `"destroyed":["`+email+`"]`) {
		t.Fatalf("%s", got)
	}
}

func TestWhatCannotBeSentIsToldWhy(t *testing.T) {
	w := newTown(t)
	w.neighbours()
	w.server.Limits = Limits{Message: 1000, Recipients: 2}
	email := w.emailID(w.put("Drafts", draft))
	other := w.emailID(w.put("Drafts", strings.Replace(draft, "From: alice", "From: bob", 1)))
	nobody := w.emailID(w.put("Drafts", "From: alice@example.test\r\n\r\n"))
	anonymous := w.emailID(w.put("Drafts", "To: bob@example.test\r\n\r\n"))
	stranger := w.emailID(w.put("Drafts", "From: alice@example.test\r\nTo: nobody@example.test\r\n\r\n"))
	large := w.emailID(w.put("Drafts", draft+strings.Repeat("x", 1000)))
	identity := w.identity()
	envelope := func(from, parameters string, to ...string) string {
		var list []string
		for _, a := range to {
			list = append(list, `{"email":"`+a+`","parameters":null}`)
		}
		return `,"envelope":{"mailFrom":{"email":"` + from + `","parameters":` + parameters + `},"rcptTo":[` + strings.Join(list, ",") + `]}`
	}
	for _, c := range []struct{ create, want string }{
		{`"identityId":"` + identity + `","emailId":"nonsense"`, "invalidProperties emailId"},
		{`"identityId":"` + identity + `","emailId":"#none"`, "invalidProperties emailId"},
		{`"identityId":"I99","emailId":"` + email + `"`, "invalidProperties identityId"},
		{`"emailId":"` + email + `"`, "invalidProperties identityId"},
		{`"identityId":"` + identity + `","emailId":"` + email + `","threadId":"T1"`, "invalidProperties threadId"},
		{`"identityId":"` + identity + `","emailId":"` + other + `"`, "forbiddenFrom"},
		{`"identityId":"` + identity + `","emailId":"` + anonymous + `"`, "invalidEmail from"},
		{`"identityId":"` + identity + `","emailId":"` + nobody + `"`, "noRecipients"},
		{`"identityId":"` + identity + `","emailId":"` + stranger + `"`, "invalidRecipients"},
		{`"identityId":"` + identity + `","emailId":"` + large + `"`, "tooLarge"},
		{`"identityId":"` + identity + `","emailId":"` + email + `"` + envelope("bob@example.test", "null", "bob@example.test"), "forbiddenMailFrom"},
		{`"identityId":"` + identity + `","emailId":"` + email + `"` + envelope("alice@example.test", "null"), "noRecipients"},
		{`"identityId":"` + identity + `","emailId":"` + email + `"` + envelope("alice@example.test", "null", "a@x.test", "b@x.test", "c@x.test"), "tooManyRecipients"},
		{`"identityId":"` + identity + `","emailId":"` + email + `"` + envelope("alice@example.test", "null", "not an address"), "invalidRecipients"},
		{`"identityId":"` + identity + `","emailId":"` + email + `"` + envelope("alice@example.test", "null", "a@elsewhere.test"), "forbiddenToSend"},
		{`"identityId":"` + identity + `","emailId":"` + email + `"` + envelope("alice@example.test", `{"NONE":null}`, "bob@example.test"), "invalidProperties envelope/mailFrom/parameters"},
		{`"identityId":"` + identity + `","emailId":"` + email + `"` + envelope("alice@example.test", `{"holdfor":"9999999999"}`, "bob@example.test"), "invalidProperties envelope/mailFrom/parameters"},
		{`"identityId":"` + identity + `","emailId":"` + email + `"` + envelope("alice@example.test", `{"HOLDUNTIL":"soon"}`, "bob@example.test"), "invalidProperties envelope/mailFrom/parameters"},
		{`"identityId":"` + identity + `","emailId":"` + email + `"` + envelope("alice@example.test", `{"RET":"half"}`, "bob@example.test"), "invalidProperties envelope/mailFrom/parameters"},
	} {
		out, _ := w.set("EmailSubmission/set", `"create":{"s":{`+c.create+`}}`)
		e := out.NotCreated["s"]
		if e == nil {
			t.Errorf("%s was sent: %v", c.create, out.Created)
			continue
		}
		if got := strings.TrimSpace(e.Type + " " + strings.Join(e.Properties, " ")); got != c.want || e.Description == "" {
			t.Errorf("%s: %s (%s), want %s", c.create, got, e.Description, c.want)
		}
	}
}

// held is an envelope that is to be sent later.
const held = `,"envelope":{"mailFrom":{"email":"alice@example.test","parameters":{"HOLDFOR":"3600"}},"rcptTo":[{"email":"bob@example.test","parameters":{"NOTIFY":"NEVER"}}]}`

func TestWhatIsHeldCanBeTakenBack(t *testing.T) {
	w := newTown(t)
	bob, _ := w.neighbours()
	email := w.emailID(w.put("Drafts", draft))
	out, _ := w.submits(email, held)
	made := out.Created["s"]
	if made == nil || made["undoStatus"] != "pending" {
		t.Fatalf("%+v %+v", out, out.NotCreated["s"])
	}
	id := made["id"].(string)
	if got := statusTo(w.submission(id), "bob@example.test"); got != "queued 250 2.0.0 Queued" {
		t.Error(got)
	}
	undo := func() *setError {
		out, _ := w.set("EmailSubmission/set", `"update":{"`+id+`":{"undoStatus":"canceled"}}`)
		if _, ok := out.Updated[id]; ok {
			return nil
		}
		return out.NotUpdated[id]
	}
	if e := undo(); e != nil {
		t.Fatal(e)
	}
	if left, err := w.Store.Pending(t.Context(), 10); len(left) != 0 || err != nil {
		t.Errorf("queued %+v, %v", left, err)
	}
	if got := w.submission(id); got["undoStatus"] != "canceled" {
		t.Errorf("%v", got)
	}
	if e := undo(); e != nil {
		t.Errorf("what is so already: %v", e)
	}
	out, _ = w.submits(email, held) // sent again after all
	again := out.Created["s"]
	if again == nil || again["id"] == id {
		t.Fatalf("%+v %+v", out, out.NotCreated["s"])
	}
	id = again["id"].(string)
	w.server.now = func() time.Time { return time.Now().Add(2 * time.Hour) }
	if e := undo(); e == nil || e.Type != "cannotUnsend" {
		t.Errorf("too late: %v", e)
	}
	if n := len(w.Inbox(bob)); n != 0 {
		t.Errorf("bob has %d", n)
	}
	for patch, want := range map[string]string{`{"undoStatus":"pending"}`: "invalidProperties", `{"emailId":"x"}`: "invalidProperties"} {
		out, _ := w.set("EmailSubmission/set", `"update":{"`+id+`":`+patch+`}`)
		if e := out.NotUpdated[id]; e == nil || e.Type != want {
			t.Errorf("%s: %v", patch, e)
		}
	}
	out, _ = w.set("EmailSubmission/set", `"destroy":["`+id+`","S99"]`)
	if len(out.Destroyed) != 1 || out.NotDestroyed["S99"].Type != "notFound" {
		t.Errorf("%+v", out)
	}
	if left, _ := w.Store.Pending(t.Context(), 10); len(left) != 1 {
		t.Errorf("to forget it took it back: %+v", left)
	}
}

func TestTheQueueTellsWhatBecameOfMail(t *testing.T) {
	w := newTown(t)
	bob, _ := w.neighbours()
	w.Delivery.CanSend = true
	email := w.emailID(w.put("Drafts", draft))
	until := time.Now().Add(1100 * time.Millisecond).UTC().Format(time.RFC3339Nano)
	out, _ := w.submits(email, `,"envelope":{"mailFrom":{"email":"alice@example.test","parameters":{"HOLDUNTIL":"`+until+`"}},"rcptTo":[{"email":"bob@example.test"},{"email":"dave@nowhere.test"}]}`)
	made := out.Created["s"]
	if made == nil || made["undoStatus"] != "pending" {
		t.Fatalf("%+v %+v", out, out.NotCreated["s"])
	}
	w.runQueue()
	o := w.submission(made["id"].(string))
	if o["undoStatus"] != "final" || !strings.HasPrefix(statusTo(o, "bob@example.test"), "yes 250 ") || !strings.HasPrefix(statusTo(o, "dave@nowhere.test"), "no 550 5.1.2 ") {
		t.Errorf("%v", o)
	}
	if n := len(w.Inbox(bob)); n != 1 {
		t.Errorf("bob has %d", n)
	}
	var ch changesAnswer
	w.call("EmailSubmission/changes", `{"accountId":"$ACCOUNT","sinceState":"`+out.NewState+`"}`, &ch)
	if len(ch.Updated) != 1 || ch.Updated[0] != made["id"] {
		t.Errorf("%+v", ch)
	}
}

// What is heard before the submission is noted is not lost.
func TestEarlyOutcomesAreNoted(t *testing.T) {
	w := newTown(t)
	w.neighbours()
	s := w.server
	s.init()
	is := &submission{Delivery: "d"}
	told := delivery.Outcome{Account: w.alice.Account, Delivery: "d", Recipient: "x@y.test", Fate: delivery.Relayed, Reply: "250 OK"}
	s.Outcome(t.Context(), told)
	if len(s.outcomes.early) != 0 {
		t.Error("what nobody expects is kept")
	}
	s.outcomes.expect("d")
	s.Outcome(t.Context(), told)
	w.change(func(tx store.Tx) error { is.object = 0; return is.put(tx) })
	if err := s.earlyOutcome(t.Context(), w.alice.Account, is); err != nil {
		t.Fatal(err)
	}
	s.outcomes.forget("d")
	if got := statusTo(w.submission(submissionID(is.object)), "x@y.test"); got != "unknown 250 OK" {
		t.Error(got)
	}
}

// What another node hears of a submission before this one has noted it is not lost
// either, whichever of the two comes first.
func TestOutcomesHeardAtAnotherNodeAreNoted(t *testing.T) {
	w := newTown(t)
	w.neighbours()
	s := w.server
	s.init()
	other := &Server{Store: s.Store, Files: w.Store, Log: s.Log}
	other.init()
	s.Files = w.Store
	is := &submission{Delivery: "d"}
	of := func(to string) delivery.Outcome {
		return delivery.Outcome{Account: w.alice.Account, Delivery: "d", Recipient: to, Fate: delivery.Relayed, Reply: "250 OK"}
	}
	s.outcomes.expect("d")
	other.Outcome(t.Context(), of("x@y.test"))
	w.change(func(tx store.Tx) error { is.object = 0; return is.put(tx) })
	other.Outcome(t.Context(), of("z@y.test"))
	if err := s.earlyOutcome(t.Context(), w.alice.Account, is); err != nil {
		t.Fatal(err)
	}
	s.outcomes.forget("d")
	for _, to := range []string{"x@y.test", "z@y.test"} {
		if got := statusTo(w.submission(submissionID(is.object)), to); got != "unknown 250 OK" {
			t.Errorf("%s: %s", to, got)
		}
	}
}

func TestSubmissionsAreFound(t *testing.T) {
	w := newTown(t)
	w.neighbours()
	var ids, emails []string
	at := time.Now()
	for i := range 3 {
		w.server.now = func() time.Time { return at.Add(time.Duration(i) * time.Minute) }
		email := w.emailID(w.put("Drafts", strings.Replace(draft, "draft@x", fmt.Sprint(i, "@x"), 1)))
		more := ""
		if i == 2 {
			more = held
		}
		out, _ := w.submits(email, more)
		ids, emails = append(ids, out.Created["s"]["id"].(string)), append(emails, email)
	}
	for _, c := range []struct{ args, want string }{
		{``, ids[0] + ids[1] + ids[2]},
		{`,"sort":[{"property":"sentAt","isAscending":false}]`, ids[2] + ids[1] + ids[0]},
		{`,"filter":{"undoStatus":"pending"}`, ids[2]},
		{`,"filter":{"emailIds":["` + emails[1] + `"]}`, ids[1]},
		{`,"filter":{"operator":"NOT","conditions":[{"emailIds":["` + emails[1] + `"]}]}`, ids[0] + ids[2]},
		{`,"filter":{"identityIds":[]}`, ""},
		{`,"filter":{"after":"` + at.Add(time.Minute).UTC().Truncate(time.Second).Format(time.RFC3339) + `"},"limit":1`, ids[1]},
	} {
		var q queryAnswer
		if name := w.call("EmailSubmission/query", `{"accountId":"$ACCOUNT"`+c.args+`}`, &q); name == "error" || strings.Join(q.IDs, "") != c.want {
			t.Errorf("%s: %s %v, want %s", c.args, name, q.IDs, c.want)
		}
	}
	var q queryAnswer
	w.call("EmailSubmission/query", `{"accountId":"$ACCOUNT"}`, &q)
	for since, want := range map[string]string{q.QueryState: "EmailSubmission/queryChanges", "0.1": "error"} {
		if name := w.call("EmailSubmission/queryChanges", `{"accountId":"$ACCOUNT","sinceQueryState":"`+since+`"}`, &object{}); name != want {
			t.Errorf("since %s: %s", since, name)
		}
	}
	for _, args := range []string{`"sort":[{"property":"size"}]`, `"filter":{"subject":"x"}`} {
		if name := w.call("EmailSubmission/query", `{"accountId":"$ACCOUNT",`+args+`}`, &object{}); name != "error" {
			t.Errorf("%s: %s", args, name)
		}
	}
}

func TestSubmissionsAreBounded(t *testing.T) {
	w := newTown(t)
	w.neighbours()
	w.server.init()
	email := w.emailID(w.put("Drafts", draft))
	w.change(func(tx store.Tx) error {
		for i := range maxSubmissions {
			s := submission{SendAt: time.Now(), Delivery: fmt.Sprint(i)}
			if i < maxHeldMail {
				s.Held, s.SendAt = true, time.Now().Add(time.Hour)
			}
			if i == maxHeldMail {
				s.SendAt = time.Now().Add(-keepSubmissions)
			}
			if err := s.put(tx); err != nil {
				return err
			}
		}
		return nil
	})
	if out, _ := w.submits(email, held); out.NotCreated["s"] == nil || out.NotCreated["s"].Type != "overQuota" {
		t.Errorf("%+v", out)
	}
	if out, _ := w.submits(email, ""); out.Created["s"] == nil {
		t.Errorf("%+v", out)
	}
	var all getAnswer
	w.call("EmailSubmission/get", `{"accountId":"$ACCOUNT","ids":null,"properties":["undoStatus"]}`, &all)
	if len(all.List) > maxSubmissions || len(all.List) < maxSubmissions-1 {
		t.Errorf("%d are kept", len(all.List))
	}
}

// The bound on what an account sends in an hour is that of all protocols.
func TestSendingIsBounded(t *testing.T) {
	w := newTown(t)
	w.neighbours()
	email := w.emailID(w.put("Drafts", draft))
	first, _ := w.submits(email, "")
	if first.Created["s"] == nil {
		t.Fatalf("%+v", first)
	}
	w.Delivery.MaxSent = 3 // each goes to two
	for i := range 3 {
		email := w.emailID(w.put("Drafts", strings.Replace(draft, "Subject: ", fmt.Sprint("Subject: ", i), 1)))
		out, _ := w.submits(email, "")
		if e := out.NotCreated["s"]; (e != nil && e.Type == "rateLimit") != (i > 0) || (out.Created["s"] != nil) != (i == 0) {
			t.Errorf("%d: %+v", i, out)
		}
	}
}

// dying is a store that dies at one of its transactions, before it or after it.
type dying struct {
	store.Store
	store.Queue
	left  int
	after bool
}

var errDied = mail.Errorf(mail.Unavailable, "the power went")

func (d *dying) die(run func() error) error {
	if d.left--; d.left < 0 {
		return errDied
	}
	if d.left > 0 {
		return run()
	}
	if d.after {
		_ = run()
	}
	return errDied
}

func (d *dying) Update(ctx context.Context, id mail.AccountID, by mail.Origin, fn func(store.Tx) error) (n mail.ModSeq, err error) {
	err = d.die(func() (err error) {
		n, err = d.Store.Update(ctx, id, by, fn)
		return err
	})
	return n, err
}

func (d *dying) Enqueue(ctx context.Context, out []store.Outgoing) error {
	return d.die(func() error { return d.Queue.Enqueue(ctx, out) })
}

// Wherever the server dies on the way, and whatever the queue has sent by the time the
// client asks again, everybody gets one copy.
func TestDyingOnTheWaySendsOnce(t *testing.T) {
	for dies := 1; dies <= 3; dies++ {
		for _, after := range []bool{false, true} {
			t.Run(fmt.Sprintf("%d/%v", dies, after), func(t *testing.T) {
				w := newTown(t)
				bob, _ := w.neighbours()
				w.Delivery.CanSend = true
				email := w.emailID(w.put("Drafts", strings.Replace(draft, "carol@example.test", "dave@nowhere.test", 1)))
				w.identity() // signs in, so that the device is there
				told := 0
				w.Delivery.Outcome = func(ctx context.Context, o delivery.Outcome) {
					told++
					w.server.Outcome(ctx, o)
				}
				d := &dying{Store: w.Store, Queue: w.Store, left: dies, after: after}
				w.server.Store, w.Delivery.Store, w.Delivery.Queue = d, d, d
				first, _ := w.submits(email, "")
				w.server.Store, w.Delivery.Store, w.Delivery.Queue = w.Store, w.Store, w.Store
				w.runQueue()
				out, _ := w.submits(email, "")
				if out.Created["s"] == nil {
					t.Fatalf("again: %+v", out.NotCreated["s"])
				}
				w.runQueue()
				again, _ := w.submits(email, "")
				if again.Created["s"]["id"] != out.Created["s"]["id"] {
					t.Errorf("%v, then %v", out, again)
				}
				if n := len(w.Inbox(bob)); n != 1 {
					t.Errorf("first %v: bob has %d", first.NotCreated["s"], n)
				}
				if told != 1 {
					t.Errorf("first %v: the queue tried %d times", first.NotCreated["s"], told)
				}
			})
		}
	}
}
