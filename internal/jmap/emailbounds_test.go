package jmap

import (
	"context"
	"encoding/json"
	"strings"
	"testing"

	"lockstep/internal/auth"
	"lockstep/internal/mail"
	"lockstep/internal/store"
)

// session is Alice's.
func (w *town) session() *auth.Session {
	w.T.Helper()
	w.server.init()
	s, err := w.auth.Login(w.T.Context(), auth.Attempt{Login: login, Secret: password, Protocol: mail.JMAP, Client: "tests"})
	if err != nil {
		w.T.Fatal(err)
	}
	return s
}

func TestAnAnswerThatGrowsTooLargeIsRefused(t *testing.T) {
	w := newTown(t)
	id := w.emailID(w.put("INBOX", "Subject: a\r\n\r\n"+strings.Repeat("text ", 1000)))
	sess := w.session()
	for _, c := range []struct {
		room int64
		more string
		want string
	}{
		{1 << 20, `"properties":["bodyValues"],"fetchTextBodyValues":true`, "Email/get"},
		{4000, `"properties":["bodyValues"],"fetchTextBodyValues":true`, "error"},
		{4000, `"properties":["bodyValues"],"fetchTextBodyValues":true,"maxBodyValueBytes":4500`, "error"},
		{4000, `"properties":["bodyValues"],"fetchTextBodyValues":true,"maxBodyValueBytes":100`, "Email/get"},
		{200, `"properties":["bodyStructure","textBody"]`, "error"},
	} {
		req := &request{srv: w.server, sess: sess, using: []string{mailURN}, created: map[string]string{}, bytes: maxAnswerBytes - c.room}
		req.run(t.Context(), invocation{"Email/get", json.RawMessage(`{"accountId":"` + w.account + `","ids":["` + id + `"],` + c.more + `}`), "c"})
		if got := req.responses[0]; got.name != c.want || c.want == "error" && !strings.Contains(string(got.args), "requestTooLarge") {
			t.Errorf("%s in %d bytes: %s %.200s", c.more, c.room, got.name, got.args)
		}
	}
}

func TestEmailParseReadsOnlySoMuch(t *testing.T) {
	w := newTown(t)
	id := w.emailID(w.put("INBOX", wholeLetter))
	wish, err := parseEmailWish(nil, parsedByDefault, bodyArguments{})
	if err != nil {
		t.Fatal(err)
	}
	for toRead, refused := range map[int64]bool{50: false, 49: true} { // the bytes of the embedded message
		p := &emailParser{call: &call{request: &request{srv: w.server, sess: w.session()}}, account: w.alice.Account, wish: wish, room: 1 << 20, toRead: toRead, out: &emailParseAnswer{}}
		if err := p.parse(t.Context(), "P"+id+"-3"); (err != nil) != refused {
			t.Errorf("%d bytes: %v", toRead, err)
		}
	}
}

func TestThreadsOfTooManyEmailsAreRefused(t *testing.T) {
	w := newTown(t)
	w.put("INBOX", "Subject: a\r\nMessage-ID: <1@example.test>\r\n\r\n")
	p := w.put("INBOX", "Subject: a\r\nReferences: <1@example.test>\r\n\r\n")
	err := w.Store.View(t.Context(), w.alice.Account, func(r store.Reader) error {
		m, err := r.Message(p.Message)
		if err != nil {
			return err
		}
		if err := newGetAnswer("").threads(r, []string{m.Thread.String()}, threadProperties, 2); err != nil {
			t.Errorf("two emails: %v", err)
		}
		if err := newGetAnswer("").threads(r, []string{m.Thread.String()}, threadProperties, 1); err == nil {
			t.Error("two emails are let through where one is allowed")
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestEmailsAreSeenWhereTheyAreVisible(t *testing.T) {
	w := newTown(t)
	p := w.put("INBOX", wholeLetter, `\Seen`)
	archive, trash := w.mailbox("Archive"), w.mailbox("Trash")
	uid := func(in mail.Mailbox) mail.UIDSet {
		var m store.Mapping
		w.change(func(tx store.Tx) (err error) {
			m, err = tx.Copy(p.Mailbox, mail.MakeUIDSet(p.UID), in.ID)
			return err
		})
		return m.To
	}
	unread, deleted := uid(archive), uid(trash)
	w.change(func(tx store.Tx) error {
		seen, flagged := mail.Flags{System: mail.Seen}, mail.Flags{System: mail.Flagged}
		if _, err := tx.StoreFlags(archive.ID, unread, mail.FlagChange{Remove: seen, Add: flagged}, nil); err != nil {
			return err
		}
		hidden, _ := mail.NewFlags(`\Deleted`, "Hidden")
		_, err := tx.StoreFlags(trash.ID, deleted, mail.FlagChange{Add: hidden}, nil)
		return err
	})
	got := w.emails(`"properties":["mailboxIds","keywords"]`, w.emailID(p))[0]
	var in map[string]bool
	if err := json.Unmarshal(got["mailboxIds"], &in); err != nil || len(in) != 2 || !in[p.Mailbox.String()] || !in[archive.ID.String()] {
		t.Errorf("it is in %s", got["mailboxIds"])
	}
	if string(got["keywords"]) != `{"$flagged":true}` {
		t.Errorf("its keywords are %s", got["keywords"])
	}
	gone := w.emailID(w.put("INBOX", wholeLetter, `\Deleted`))
	if list := w.emails(`"properties":["id"]`, gone); len(list) != 0 {
		t.Errorf("what is \\Deleted everywhere is %s", list)
	}
}

// readBody counts what is read of a blob.
type readBody struct {
	Body
	n *int
}

func (b readBody) ReadAt(p []byte, off int64) (int, error) {
	n, err := b.Body.ReadAt(p, off)
	*b.n += n
	return n, err
}

func TestHeaderFieldsCostTheHeader(t *testing.T) {
	w := newTown(t)
	header := "Subject: a\r\nX-Tag: b\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n"
	id := w.emailID(w.put("INBOX", header+"--b\r\nContent-Type: image/png\r\nContent-Transfer-Encoding: base64\r\n\r\n"+strings.Repeat("QUJDREVG\r\n", 100_000)+"--b--\r\n"))
	open, read := w.server.Blobs, 0
	w.server.Blobs = func(ctx context.Context, b mail.Blob) (Body, error) {
		body, err := open(ctx, b)
		return readBody{body, &read}, err
	}
	for more, most := range map[string]int{
		`"properties":["subject","hasAttachment","bodyStructure"],"bodyProperties":["type","name"]`: 0,
		`"properties":["header:X-Tag"]`:                                         len(header),
		`"properties":["attachments"],"bodyProperties":["header:Content-Type"]`: 1000,
		`"properties":["attachments"],"bodyProperties":["size"]`:                10_000,
		`"properties":["bodyValues"],"fetchAllBodyValues":true`:                 0,
	} {
		read = 0
		if w.emails(more, id); read > most {
			t.Errorf("%s reads %d bytes, want %d at most", more, read, most)
		}
	}
}

func TestADamagedMessageLeavesTheOthers(t *testing.T) {
	w := newTown(t)
	whole, damaged := w.emailID(w.put("INBOX", wholeLetter)), w.emailID(w.put("INBOX", wholeLetter+"damaged"))
	open := w.server.Blobs
	w.server.Blobs = func(ctx context.Context, b mail.Blob) (Body, error) {
		if b.Size > int64(len(wholeLetter)) {
			return nil, mail.Errorf(mail.Corrupt, "a frame does not authenticate")
		}
		return open(ctx, b)
	}
	got := w.emails(`"properties":["subject","bodyValues","attachments","header:X-Tag"],"fetchTextBodyValues":true`, damaged, whole)
	if len(got) != 2 {
		t.Fatalf("%d emails", len(got))
	}
	for i, want := range []string{`{"1_1":{"value":"","isEncodingProblem":true,"isTruncated":true}}`, `{"1_1":{"value":"Grüße\nan alle","isEncodingProblem":false,"isTruncated":false}}`} {
		if string(got[i]["bodyValues"]) != want || string(got[i]["subject"]) != `"Grüße aus K"` {
			t.Errorf("%s, %s; want %s", got[i]["subject"], got[i]["bodyValues"], want)
		}
	}
	if rec := w.download("B"+damaged, "a", ""); rec.Code != 500 || rec.Header().Get("Cache-Control") != "no-store" {
		t.Errorf("its download: HTTP %d %v", rec.Code, rec.Header())
	}
}
