package eas

import (
	"bytes"
	"cmp"
	"context"
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"runtime"
	"strings"
	"testing"

	"lockstep/internal/eas/wbxml"
	"lockstep/internal/mail"
	"lockstep/internal/message"
	"lockstep/internal/store"
)

const bob = "bob@example.test"

func mailOf(lines ...string) string {
	return strings.Join(append(lines, "", "hello", ""), "\r\n")
}

var simple = mailOf("From: alice@example.test", "To: Bob <bob@example.test>", "Subject: tea", "Message-ID: <one@phone>")

// neighbours is a town in which Bob lives too.
func neighbours(t testing.TB) (*town, store.Principal) {
	w := newTown(t)
	return w, w.Account(bob, 0, nil)
}

// composeMail is a command of ComposeMail.
func composeMail(root wbxml.Tag, clientID, text string, more ...*wbxml.Element) *wbxml.Element {
	e := wbxml.New(root, wbxml.Text(wbxml.ComposeClientId, clientID)).Add(more...)
	return e.Add(wbxml.Bytes(wbxml.ComposeMime, []byte(text)))
}

var saved = wbxml.New(wbxml.ComposeSaveInSentItems)

func source(p mail.Placement) *wbxml.Element {
	return wbxml.New(wbxml.ComposeSource, wbxml.Text(wbxml.ComposeFolderId, folderID(p.Mailbox)), wbxml.Text(wbxml.ComposeItemId, itemID(p.Mailbox, p.Lineage)))
}

// sends posts a message in the way of the version, and returns the status: 1 for an
// empty answer, for 12.1 the HTTP status of another.
func (p *phone) sends(command string, in *wbxml.Element) int {
	p.w.T.Helper()
	if p.version >= v140 {
		return sendStatus(p.call(command, in))
	}
	query := p.query(command)
	if in.Has(wbxml.ComposeSaveInSentItems) {
		query += "&SaveInSent=T"
	}
	if src := in.Child(wbxml.ComposeSource); src != nil {
		query += "&CollectionId=" + src.Get(wbxml.ComposeFolderId) + "&ItemId=" + src.Get(wbxml.ComposeItemId)
	}
	p.header.Set("Content-Type", typeMessage)
	rec := p.post(query, []byte(in.Get(wbxml.ComposeMime)))
	if rec.Code != http.StatusOK {
		return rec.Code
	}
	if rec.Body.Len() > 0 {
		p.w.T.Errorf("%s: a success says %q", command, rec.Body)
	}
	return 1
}

// sendStatus is the status of an answer of ComposeMail; nothing is 1.
func sendStatus(e *wbxml.Element) int {
	if e == nil {
		return 1
	}
	n := 0
	fmt.Sscan(e.Get(wbxml.ComposeStatus), &n)
	return n
}

// contents are the messages of one of an account's mailboxes, with their flags.
func (w *town) contents(account mail.AccountID, path string) (texts []string, flags []string) {
	w.T.Helper()
	var blobs []mail.Blob
	err := w.Store.View(w.T.Context(), account, func(r store.Reader) error {
		mb, err := r.MailboxByPath(path)
		if err != nil {
			return err
		}
		return r.Messages(store.PlacementQuery{Mailbox: mb.ID, Located: true}, func(p *mail.Placement, m *mail.Message) error {
			blobs, flags = append(blobs, m.Blob), append(flags, p.Flags.String())
			return nil
		})
	})
	if err != nil {
		w.T.Fatal(err)
	}
	for _, b := range blobs {
		texts = append(texts, w.Read(b))
	}
	return texts, flags
}

func (w *town) sent() []string {
	texts, _ := w.contents(w.alice.Account, "Sent")
	return texts
}

func TestSendMail(t *testing.T) {
	for _, v := range versions {
		t.Run(v.String(), func(t *testing.T) {
			w, neighbour := neighbours(t)
			p := w.phone(v)
			text := mailOf("From: Mallory <mallory@elsewhere.test>", "To: Bob <bob@example.test>", "Bcc: alice@example.test", "Subject: =?utf-8?q?Gr=C3=BC=C3=9Fe?=")
			if s := p.sends("SendMail", composeMail(wbxml.ComposeSendMail, "c1", text, saved)); s != 1 {
				t.Fatalf("status %d", s)
			}
			inbox := w.Inbox(neighbour.Account)
			if len(inbox) != 1 {
				t.Fatalf("bob has %d messages", len(inbox))
			}
			for _, want := range []string{"From: \"Mallory\" <alice@example.test>\r\n", "\r\nDate: ", "\r\nMessage-ID: <eas.send.", "\r\nSubject: =?utf-8?q?Gr=C3=BC=C3=9Fe?=\r\n\r\nhello\r\n"} {
				if !strings.Contains(inbox[0], want) {
					t.Errorf("no %q in\n%s", want, inbox[0])
				}
			}
			if strings.Contains(inbox[0], "Bcc") || strings.Contains(inbox[0], "elsewhere") {
				t.Errorf("bob sees\n%s", inbox[0])
			}
			if n := len(w.Inbox(w.alice.Account)); n != 1 {
				t.Errorf("the blind copy came %d times", n)
			}
			copies, flags := w.contents(w.alice.Account, "Sent")
			if len(copies) != 1 || !strings.HasPrefix(copies[0], "Bcc: alice@example.test\r\n") || flags[0] != `\Seen` || !strings.HasSuffix(inbox[0], copies[0][len("Bcc: alice@example.test\r\n"):]) {
				t.Errorf("sent %q %q", copies, flags)
			}
			w.noteOf(t, "Sent", p)
		})
	}
}

// noteOf checks that the newest message of a mailbox was put there by the phone.
func (w *town) noteOf(t *testing.T, path string, p *phone) {
	t.Helper()
	device := p.request().sess.Device().ID
	mb := w.mailbox(path)
	err := w.Store.View(t.Context(), w.alice.Account, func(r store.Reader) error {
		return r.Placements(store.PlacementQuery{Mailbox: mb.ID}, func(pl *mail.Placement) error {
			if pl.ChangedBy != device {
				t.Errorf("%s was put there by device %d, want %d", path, pl.ChangedBy, device)
			}
			return nil
		})
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestSendMailWithABase64Query(t *testing.T) {
	w, neighbour := neighbours(t)
	p := w.phone(v121)
	p.header.Set("Content-Type", typeMessage)
	q := []byte{121, 1, 9, 4, 6}
	q = append(q, "PHONE1"...)
	q = append(append(q, 0, 10), "SmartPhone"...)
	q = append(q, tagOptions, 1, optionSaveInSent)
	if rec := p.post(base64.StdEncoding.EncodeToString(q), []byte(simple)); rec.Code != 200 || rec.Body.Len() != 0 {
		t.Fatalf("%d %s", rec.Code, rec.Body)
	}
	if len(w.Inbox(neighbour.Account)) != 1 || len(w.sent()) != 1 {
		t.Error("nothing was sent")
	}
}

// sentStatus is what a device hears that sends a message once more.
func sentStatus(v version, before int) int {
	if before > 0 && v > v121 {
		return 118
	}
	return 1
}

func TestARepeatSendsNothing(t *testing.T) {
	for _, v := range []version{v121, v141, v161} {
		for _, quiet := range []bool{false, true} {
			w, neighbour := neighbours(t)
			p := w.phone(v)
			for i := range 3 {
				w.server.QuietRepeat = quiet
				want := sentStatus(v, i)
				if quiet {
					want = 1
				}
				if s := p.sends("SendMail", composeMail(wbxml.ComposeSendMail, "c1", simple, saved)); s != want {
					t.Errorf("%v, quiet %v: status %d, want %d", v, quiet, s, want)
				}
				w.start()
			}
			if a, b := len(w.Inbox(neighbour.Account)), len(w.sent()); a != 1 || b != 1 {
				t.Errorf("%v, quiet %v: bob has %d, Sent has %d", v, quiet, a, b)
			}
		}
	}
}

// A ClientId that is used for two messages loses none.
func TestOneClientIDWithTwoMessages(t *testing.T) {
	w, neighbour := neighbours(t)
	p := w.phone(v141)
	for _, edit := range []string{"<one@phone>", "<two@phone>", "<two@phone>\r\nCc: alice@example.test"} {
		if s := p.sends("SendMail", composeMail(wbxml.ComposeSendMail, "c1", strings.Replace(simple, "<one@phone>", edit, 1))); s != 1 {
			t.Errorf("status %d", s)
		}
	}
	if n := len(w.Inbox(neighbour.Account)); n != 3 {
		t.Errorf("bob has %d", n)
	}
}

// A CR that another program takes for a line end brings in no author.
func TestNoAuthorIsSmuggledIn(t *testing.T) {
	w, neighbour := neighbours(t)
	text := strings.Replace(simple, "Subject: tea", "Subject: tea\rFrom: boss@elsewhere.test", 1)
	if s := w.phone(v141).sends("SendMail", composeMail(wbxml.ComposeSendMail, "c", text)); s != 120 {
		t.Errorf("status %d, want 120", s)
	}
	if got := w.Inbox(neighbour.Account); len(got) != 0 {
		t.Errorf("bob got %q", got)
	}
}

const original = "From: Bob <bob@example.test>\r\nTo: alice@example.test\r\nSubject: tea?\r\nMessage-ID: <orig@x>\r\nReferences: <first@x>\r\nDate: Fri, 20 Nov 2026 10:00:00 +0000\r\n" +
	"MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Type: text/plain; charset=iso-8859-1\r\n\r\nK\xe4se?\r\n" +
	"--b\r\nContent-Type: application/pdf; name=menu.pdf\r\nContent-Transfer-Encoding: base64\r\n\r\ncGRm\r\n--b--\r\n"

func TestSmartReplyAndSmartForward(t *testing.T) {
	for _, v := range versions {
		for _, c := range []struct {
			command string
			root    wbxml.Tag
			to      string
			replace bool
			want    []string
			without []string
			flags   string
			verb    string
		}{
			{"SmartReply", wbxml.ComposeSmartReply, "bob@example.test", false,
				[]string{"In-Reply-To: <orig@x>\r\nReferences: <first@x> <orig@x>\r\n", "hello\r\n\r\n\r\nOn Fri, 20 Nov 2026 10:00 +0000, Bob <bob@example.test> wrote:\r\n\r\n> K=C3=A4se?"},
				[]string{"menu.pdf"}, `\Answered`, "1"},
			{"SmartReply", wbxml.ComposeSmartReply, "bob@example.test, carol@example.test", true, []string{"In-Reply-To: <orig@x>", "\r\n\r\nhello\r\n"}, []string{"wrote:"}, `\Answered`, "2"},
			{"SmartForward", wbxml.ComposeSmartForward, "carol@example.test", false,
				[]string{"References: <first@x> <orig@x>\r\n", "Forwarded message", "K=C3=A4se?", "name=menu.pdf\r\nContent-Transfer-Encoding: base64\r\n\r\ncGRm\r\n"}, []string{"In-Reply-To"}, "$Forwarded", "3"},
			{"SmartForward", wbxml.ComposeSmartForward, "carol@example.test", true, []string{"\r\n\r\nhello\r\n"}, []string{"menu.pdf"}, "$Forwarded", "3"},
		} {
			if c.replace && v == v121 {
				continue
			}
			t.Run(fmt.Sprintf("%v/%s/%v", v, c.command, c.replace), func(t *testing.T) {
				w, neighbour := neighbours(t)
				carol := w.Account("carol@example.test", 0, nil)
				src := w.put("INBOX", original)
				in := composeMail(c.root, "c1", mailOf("From: alice@example.test", "To: "+c.to, "Subject: Re: tea?"), saved, source(src))
				if c.replace {
					in.Add(wbxml.New(wbxml.ComposeReplaceMime))
				}
				for i := range 2 {
					if s := w.phone(v).sends(c.command, in); s != sentStatus(v, i) {
						t.Fatalf("status %d", s)
					}
				}
				got := append(w.Inbox(neighbour.Account), w.Inbox(carol.Account)...)
				if len(got) != strings.Count(c.to, "@") {
					t.Fatalf("%d messages arrived", len(got))
				}
				for _, want := range c.want {
					if !strings.Contains(got[0], want) {
						t.Errorf("no %q in\n%s", want, got[0])
					}
				}
				for _, bad := range c.without {
					if strings.Contains(got[0], bad) {
						t.Errorf("%q is in\n%s", bad, got[0])
					}
				}
				if n := len(w.sent()); n != 1 {
					t.Errorf("Sent has %d", n)
				}
				w.marked(t, src, c.flags, c.verb)
			})
		}
	}
}

// marked checks that a message says what was done with it.
func (w *town) marked(t *testing.T, src mail.Placement, flags, verb string) {
	t.Helper()
	_, got := w.contents(w.alice.Account, "INBOX")
	if len(got) != 1 || got[0] != flags {
		t.Errorf("the source has %q, want %s", got, flags)
	}
	var notes map[mail.UID]mailNotes
	err := w.Store.View(t.Context(), w.alice.Account, func(r store.Reader) (err error) {
		notes, err = readMailNotes(r, src.Mailbox, mail.MakeUIDSet(src.UID))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if v := notes[src.UID].lastVerb; v == nil || fmt.Sprint(int(v.Verb)) != verb || v.At.IsZero() {
		t.Errorf("last verb %+v, want %s", v, verb)
	}
}

func TestWhatIsWrongWithASending(t *testing.T) {
	w, _ := neighbours(t)
	src := w.put("INBOX", original)
	gone := src
	gone.Lineage += 1000
	mime := func(lines ...string) []*wbxml.Element {
		return []*wbxml.Element{wbxml.Bytes(wbxml.ComposeMime, []byte(mailOf(lines...)))}
	}
	longID := wbxml.Text(wbxml.ComposeLongId, w.longID(src))
	const from = "From: alice@example.test"
	both := source(src).Add(longID)
	instance := source(src).Add(wbxml.Text(wbxml.ComposeInstanceId, "12/24/2026 3:00 PM"))
	for _, c := range []struct {
		name    string
		command string
		root    wbxml.Tag
		since   version
		in      []*wbxml.Element
		want    int
	}{
		{"no recipient", "SendMail", wbxml.ComposeSendMail, 0, mime(from, "Subject: x"), 119},
		{"hidden recipients only", "SendMail", wbxml.ComposeSendMail, 0, mime(from, "To: undisclosed-recipients:;"), 119},
		{"a name and no address", "SendMail", wbxml.ComposeSendMail, 0, mime(from, "To: Bob"), 116},
		{"no way out", "SendMail", wbxml.ComposeSendMail, 0, mime(from, "To: x@elsewhere.test"), 120},
		{"no Mime", "SendMail", wbxml.ComposeSendMail, 0, nil, 103},
		{"an empty Mime", "SendMail", wbxml.ComposeSendMail, 0, []*wbxml.Element{wbxml.New(wbxml.ComposeMime)}, 107},
		{"no header", "SendMail", wbxml.ComposeSendMail, 0, []*wbxml.Element{wbxml.Bytes(wbxml.ComposeMime, []byte("\r\nhello"))}, 107},
		{"a header without end", "SendMail", wbxml.ComposeSendMail, 0, mime(from, "To: bob@example.test", "X: "+strings.Repeat("x", message.MaxHeaderBytes)), 107},
		{"an account", "SendMail", wbxml.ComposeSendMail, v141, append(mime(from, "To: bob@example.test"), wbxml.Text(wbxml.ComposeAccountId, "other")), 166},
		{"an account, to who knows none", "SendMail", wbxml.ComposeSendMail, v140, append(mime(from, "To: bob@example.test"), wbxml.Text(wbxml.ComposeAccountId, "other")), 1},
		{"a protection", "SendMail", wbxml.ComposeSendMail, v141, append(mime(from, "To: bob@example.test"), wbxml.Text(wbxml.RightsTemplateID, "3a8f2e66-1c1b-4b1e-9a0a-0c5d6f1f0a11")), 168},
		{"no protection", "SendMail", wbxml.ComposeSendMail, v141, append(mime(from, "To: bob@example.test"), wbxml.Text(wbxml.RightsTemplateID, "00000000-0000-0000-0000-000000000000")), 1},
		{"no source", "SmartReply", wbxml.ComposeSmartReply, 0, mime(from, "To: bob@example.test"), 105},
		{"a source that is gone", "SmartReply", wbxml.ComposeSmartReply, 0, append(mime(from, "To: bob@example.test"), source(gone)), 150},
		{"a source that never was", "SmartReply", wbxml.ComposeSmartReply, 0, append(mime(from, "To: bob@example.test"), wbxml.New(wbxml.ComposeSource, wbxml.Text(wbxml.ComposeItemId, "x"))), 150},
		{"two sources", "SmartForward", wbxml.ComposeSmartForward, 0, append(mime(from, "To: bob@example.test"), both), 105},
		{"no time", "SmartForward", wbxml.ComposeSmartForward, 0, append(mime(from, "To: bob@example.test"), instance), 104},
		{"a long id", "SmartForward", wbxml.ComposeSmartForward, 0, append(mime(from, "To: bob@example.test"), wbxml.New(wbxml.ComposeSource, longID)), 1},
		{"a forwardee and a message", "SmartForward", wbxml.ComposeSmartForward, v160, append(mime(from, "To: bob@example.test"), source(src), forwardees("bob@example.test")), 178},
		{"a body for nobody", "SmartForward", wbxml.ComposeSmartForward, v160, []*wbxml.Element{source(src), wbxml.New(wbxml.BaseBody, wbxml.Int(wbxml.BaseType, 1))}, 179},
		{"a forwardee without address", "SmartForward", wbxml.ComposeSmartForward, v160, []*wbxml.Element{source(src), forwardees("bob")}, 116},
	} {
		for _, v := range []version{cmp.Or(c.since, v140), v161} {
			if c.since == v140 && v != v140 {
				continue
			}
			p := w.phone(v)
			in := wbxml.New(c.root, wbxml.Text(wbxml.ComposeClientId, c.name+v.String())).Add(c.in...)
			if got := p.sends(c.command, in); got != c.want {
				t.Errorf("%s in %v: status %d, want %d", c.name, v, got, c.want)
			}
		}
	}
	for _, c := range []struct {
		command, query, body string
		want                 int
	}{
		{"SendMail", "", "", 400}, {"SendMail", "", mailOf(from), 500}, {"SmartReply", "&CollectionId=1&ItemId=1:999999", simple, 500}, {"SmartReply", "", simple, 400},
	} {
		p := w.phone(v121)
		p.header.Set("Content-Type", typeMessage)
		if rec := p.post(p.query(c.command)+c.query, []byte(c.body)); rec.Code != c.want {
			t.Errorf("12.1 %s %s: %d, want %d", c.command, c.query, rec.Code, c.want)
		}
	}
	if n := len(w.sent()); n != 0 {
		t.Errorf("Sent has %d", n)
	}
}

// longID is what a search would have found a message by.
func (w *town) longID(p mail.Placement) (id string) {
	w.T.Helper()
	err := w.Store.View(w.T.Context(), w.alice.Account, func(r store.Reader) error {
		m, err := r.Message(p.Message)
		id = longID(m.EmailID, p.Mailbox)
		return err
	})
	if err != nil {
		w.T.Fatal(err)
	}
	return id
}

func forwardees(addresses ...string) *wbxml.Element {
	e := wbxml.New(wbxml.ComposeForwardees)
	for _, a := range addresses {
		e.Add(wbxml.New(wbxml.ComposeForwardee, wbxml.Text(wbxml.ComposeName, "Some Body"), wbxml.Text(wbxml.ComposeEmail, a)))
	}
	return e
}

func TestForwardees(t *testing.T) {
	w, neighbour := neighbours(t)
	src := w.put("INBOX", original)
	in := wbxml.New(wbxml.ComposeSmartForward, wbxml.Text(wbxml.ComposeClientId, "c"), source(src), forwardees(bob),
		wbxml.New(wbxml.BaseBody, wbxml.Int(wbxml.BaseType, 2), wbxml.Text(wbxml.BaseData, "<p>look</p>")))
	for i := range 2 {
		if s := w.phone(v161).sends("SmartForward", in); s != sentStatus(v161, i) {
			t.Fatalf("status %d", s)
		}
	}
	got := w.Inbox(neighbour.Account)
	if len(got) != 1 {
		t.Fatalf("%d messages", len(got))
	}
	for _, want := range []string{"From: alice@example.test\r\n", "To: \"Some Body\" <bob@example.test>\r\n", "Subject: Fwd: tea?\r\n", "<p>look</p>", "K=C3=A4se?", "menu.pdf"} {
		if !strings.Contains(got[0], want) {
			t.Errorf("no %q in\n%s", want, got[0])
		}
	}
	w.marked(t, src, "$Forwarded", "3")
}

// An alias of the account's own may stand in From.
func TestAliasesStay(t *testing.T) {
	w, neighbour := neighbours(t)
	w.Address("tea@example.test", w.alice.Account)
	for _, from := range []string{"Tea <tea@example.test>", "tea+x@example.test, alice@example.test"} {
		text := strings.Replace(simple, "alice@example.test", from, 1)
		text = strings.Replace(text, "\r\nTo:", "\r\nSender: bob@example.test\r\nTo:", 1)
		if s := w.phone(v141).sends("SendMail", composeMail(wbxml.ComposeSendMail, from, text)); s != 1 {
			t.Fatalf("status %d", s)
		}
		got := w.Inbox(neighbour.Account)
		if last := got[len(got)-1]; !strings.Contains(last, "From: "+from+"\r\n") || strings.Contains(last, "Sender:") {
			t.Errorf("from %s became\n%s", from, last)
		}
	}
}

// Somebody of ours who is not there keeps nothing back: the sender hears of it.
func TestUnknownRecipientsAreReported(t *testing.T) {
	w, neighbour := neighbours(t)
	text := strings.Replace(simple, "To: ", "To: nobody@example.test, ", 1)
	if s := w.phone(v141).sends("SendMail", composeMail(wbxml.ComposeSendMail, "c", text)); s != 1 {
		t.Fatalf("status %d", s)
	}
	queued, err := w.Store.Pending(t.Context(), 10)
	if err != nil || len(queued) != 1 || queued[0].Recipient != "nobody@example.test" {
		t.Errorf("queued %+v (%v)", queued, err)
	}
	if n := len(w.Inbox(neighbour.Account)); n != 1 {
		t.Errorf("bob has %d", n)
	}
}

func TestAFullAccountSendsNothingItCannotKeep(t *testing.T) {
	w, neighbour := neighbours(t)
	w.change(func(tx store.Tx) error { return tx.SetQuota(10) })
	p := w.phone(v141)
	if s := p.sends("SendMail", composeMail(wbxml.ComposeSendMail, "c", simple, saved)); s != 113 {
		t.Errorf("status %d, want 113", s)
	}
	if n := len(w.Inbox(neighbour.Account)); n != 0 {
		t.Errorf("bob has %d", n)
	}
	if s := p.sends("SendMail", composeMail(wbxml.ComposeSendMail, "c", simple)); s != 1 {
		t.Errorf("without a copy: status %d", s)
	}
}

func TestSendingIsBounded(t *testing.T) {
	w, _ := neighbours(t)
	w.Delivery.MaxSent = 3
	w.server.Limits = Limits{Message: 4 << 10}
	send := func(id, client string, more ...string) int {
		p := w.phone(v141)
		p.id = id
		text := strings.Replace(simple, "<one@phone>", "<"+client+"@phone>", 1)
		return p.sends("SendMail", composeMail(wbxml.ComposeSendMail, client, strings.Replace(text, "hello", strings.Join(append(more, "hello"), "\r\n"), 1)))
	}
	for i := range 2 {
		if s := send("PHONE1", fmt.Sprint("a", i)); s != 1 {
			t.Errorf("message %d of the device: %d", i, s)
		}
	}
	for i, want := range []int{1, 115} {
		if s := send("PHONE2", fmt.Sprint("b", i)); s != want {
			t.Errorf("message %d of another device: %d, want %d", i, s, want)
		}
	}
	if s := send("PHONE1", "a0"); s != 118 {
		t.Errorf("a repeat past the bound: %d", s)
	}
	w.Delivery.MaxSent = 0
	w.start()
	w.server.Limits.Message = 4 << 10
	if s := send("PHONE3", "c", strings.Repeat("x", 5<<10)); s != 122 {
		t.Errorf("a message too large: %d, want 122", s)
	}
	to := make([]string, 21)
	for i := range to {
		to[i] = fmt.Sprintf("u%d@x.test", i)
	}
	w.start()
	w.server.Limits.Recipients = len(to) - 1
	w.Delivery.CanSend = true
	p := w.phone(v141)
	p.id = "PHONE4"
	text := mailOf("From: alice@example.test", "To: "+strings.Join(to, ",\r\n "))
	if s := p.sends("SendMail", composeMail(wbxml.ComposeSendMail, "many", text)); s != 115 {
		t.Errorf("too many recipients: %d, want 115", s)
	}
	text = mailOf("From: alice@example.test", "To: "+strings.Join(to[1:], ",\r\n "))
	if s := p.sends("SendMail", composeMail(wbxml.ComposeSendMail, "many", text)); s != 1 {
		t.Errorf("as many recipients as may be: %d", s)
	}
}

// dying is a store that dies at one of its transactions, before it or after it.
type dying struct {
	store.Store
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
	return d.die(func() error { return d.Store.(store.Queue).Enqueue(ctx, out) })
}

// Wherever the server dies on the way, and whatever the queue has sent by the time the
// device asks again, everybody gets one copy and Sent has one.
func TestDyingOnTheWaySendsOnce(t *testing.T) {
	for dies := 1; dies <= 4; dies++ {
		for _, after := range []bool{false, true} {
			t.Run(fmt.Sprintf("%d/%v", dies, after), func(t *testing.T) {
				w, neighbour := neighbours(t)
				w.Delivery.CanSend = true
				src := w.put("INBOX", original)
				text := mailOf("From: alice@example.test", "To: bob@example.test, dave@remote.test", "Subject: Re: tea?")
				in := composeMail(wbxml.ComposeSmartReply, "c1", text, saved, source(src))
				p := w.phone(v161)
				p.request() // signs in, so that the device is there
				d := &dying{Store: w.Store, left: dies, after: after}
				w.server.Store, w.Delivery.Store = d, d
				w.Delivery.Queue = queueOf{w.Store, d}
				first := p.sends("SmartReply", in)
				w.Delivery.Store, w.Delivery.Queue = w.Store, w.Store
				w.start()
				settled := w.sendQueue(t)
				if s := p.sends("SmartReply", in); s != 1 && s != 118 {
					t.Fatalf("again: status %d", s)
				}
				settled += w.sendQueue(t)
				if n := len(w.Inbox(neighbour.Account)); n != 1 {
					t.Errorf("first %d: bob has %d", first, n)
				}
				if n := len(w.sent()); n != 1 {
					t.Errorf("first %d: Sent has %d", first, n)
				}
				if settled != 1 {
					t.Errorf("first %d: the queue sent %d", first, settled)
				}
				w.marked(t, src, `\Answered`, "2")
			})
		}
	}
}

type queueOf struct {
	store.Queue
	d *dying
}

func (q queueOf) Enqueue(ctx context.Context, out []store.Outgoing) error {
	return q.d.Enqueue(ctx, out)
}

// A large message goes through files: all that is ever allocated is less than it.
func TestLargeMailHoldsLittle(t *testing.T) {
	if testing.Short() || racing {
		t.Skip("writes some hundred megabytes, and counts what the race detector adds")
	}
	w, neighbour := neighbours(t)
	const size = 24 << 20
	attachment := strings.Repeat(strings.Repeat("A", 76)+"\r\n", size/78)
	src := w.put("INBOX", strings.NewReplacer("cGRm\r\n", attachment, "base64", "7bit").Replace(original))
	var body bytes.Buffer
	text := mailOf("From: alice@example.test", "To: bob@example.test", "Content-Type: application/x-thing")
	if err := wbxml.Encode(&body, composeMail(wbxml.ComposeSmartForward, "c1", strings.Replace(text, "hello\r\n", attachment, 1), saved, source(src))); err != nil {
		t.Fatal(err)
	}
	p := w.phone(v161)
	runtime.GC()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	rec := p.post(p.query("SmartForward"), body.Bytes())
	runtime.ReadMemStats(&after)
	if rec.Code != 200 || rec.Body.Len() != 0 {
		t.Fatalf("%d %s", rec.Code, rec.Body)
	}
	got := w.Inbox(neighbour.Account)
	if len(got) != 1 || len(got[0]) < 2*len(attachment) {
		t.Fatal("it did not arrive whole")
	}
	if n := after.TotalAlloc - before.TotalAlloc; n > 2*size {
		t.Errorf("forwarding %d MiB with %d MiB allocates %d MiB", size>>20, size>>20, n>>20)
	}
}

func FuzzSendMail(f *testing.F) {
	f.Add([]byte(simple))
	f.Add([]byte(original))
	w, _ := neighbours(f)
	w.Delivery.CanSend = true
	src := w.put("INBOX", original)
	f.Fuzz(func(t *testing.T, b []byte) {
		in := composeMail(wbxml.ComposeSmartReply, "", string(b), source(src))
		var body bytes.Buffer
		if err := wbxml.Encode(&body, in); err != nil {
			t.Fatal(err)
		}
		w.T = t
		p := w.phone(v161)
		rec := p.post(p.query("SmartReply"), body.Bytes())
		if rec.Code != 200 {
			t.Fatalf("%d %s", rec.Code, rec.Body)
		}
		e, err := wbxml.Decode(io.Reader(rec.Body), wbxml.Limits{})
		if rec.Body.Len() > 0 && err != nil {
			t.Fatal(err)
		}
		if s := sendStatus(e); s == int(statusServer) || s == int(statusRetryLater) {
			t.Errorf("status %d for %q", s, b)
		}
	})
}

// The device that replied hears of the mark on the original and of the copy in Sent:
// it knows of neither.
func TestTheDeviceHearsOfWhatItSent(t *testing.T) {
	w, _ := neighbours(t)
	src := w.put("INBOX", original)
	inbox, sent := w.handset(v161, "INBOX"), w.handset(v161, "Sent")
	inbox.settle()
	sent.settle()
	in := composeMail(wbxml.ComposeSmartReply, "c1", mailOf("From: alice@example.test", "To: bob@example.test", "Subject: Re: tea?"), saved, source(src))
	if s := inbox.sends("SmartReply", in); s != 1 {
		t.Fatalf("status %d", s)
	}
	said := short(inbox.exchange(inbox.ask()))
	if want := itemID(src.Mailbox, src.Lineage); !strings.Contains(said, "Change(ServerId="+want) || !strings.Contains(said, "LastVerbExecuted=1 LastVerbExecutionTime=") {
		t.Errorf("the inbox says %s", said)
	}
	if said := short(sent.exchange(sent.ask())); !strings.Contains(said, "Add(") || !strings.Contains(said, "Subject=Re: tea?") {
		t.Errorf("Sent says %s", said)
	}
}
