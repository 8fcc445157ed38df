package jmap

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http/httptest"
	"strings"
	"testing"

	"lockstep/internal/mail"
	"lockstep/internal/store"
)

// upload puts bytes beside Alice's mail.
func (w *town) upload(text, contentType string) (blobID string) {
	w.T.Helper()
	rec := w.do("POST", uploadPath+w.account+"/", contentType, []byte(text))
	var a uploadAnswer
	if err := json.Unmarshal(rec.Body.Bytes(), &a); err != nil || rec.Code != 201 || a.AccountID != w.account || a.Size != int64(len(text)) {
		w.T.Fatalf("HTTP %d %s (%v)", rec.Code, rec.Body, err)
	}
	return a.BlobID
}

func TestUploadsAreKept(t *testing.T) {
	w := newTown(t)
	for _, text := range []string{"", "Hello", strings.Repeat("\x00\xff", 200_000)} {
		id := w.upload(text, "text/x-thing; charset=x")
		if rec := w.download(id, "x", "text/plain"); rec.Body.String() != text {
			t.Errorf("HTTP %d, %d bytes, want %d", rec.Code, rec.Body.Len(), len(text))
		}
	}
	rec := w.do("POST", uploadPath+w.account+"/", "", []byte("x"))
	if !strings.Contains(rec.Body.String(), `"type":"application/octet-stream"`) {
		t.Errorf("%s", rec.Body)
	}
}

func TestUploadsAreBounded(t *testing.T) {
	w := newTown(t)
	w.server.Limits = Limits{Upload: 10, ConcurrentUploads: 1}
	path := uploadPath + w.account + "/"
	for _, c := range []struct {
		name, path, body string
		code             int
		says             string
	}{
		{"too large", path, "12345678901", 413, "maxSizeUpload"},
		{"just fits", path, "1234567890", 201, "blobId"},
		{"another's", uploadPath + "Azz/", "x", 404, "account"},
		{"nobody's", uploadPath, "x", 404, "account"},
	} {
		if rec := w.do("POST", c.path, "", []byte(c.body)); rec.Code != c.code || !strings.Contains(rec.Body.String(), c.says) {
			t.Errorf("%s: HTTP %d %s", c.name, rec.Code, rec.Body)
		}
	}
	// one whose length nobody said
	r := httptest.NewRequestWithContext(t.Context(), "POST", "http://localhost"+path, strings.NewReader("12345678901"))
	r.ContentLength = -1
	r.SetBasicAuth(login, password)
	rec := httptest.NewRecorder()
	if w.server.ServeHTTP(rec, r); rec.Code != 413 {
		t.Errorf("without a length: HTTP %d %s", rec.Code, rec.Body)
	}
	leave, _ := w.server.rooms.enter(w.alice.ID, "uploads", 1)
	defer leave()
	if rec := w.do("POST", path, "", []byte("x")); rec.Code != 400 || !strings.Contains(rec.Body.String(), "maxConcurrentUpload") {
		t.Errorf("two at once: HTTP %d %s", rec.Code, rec.Body)
	}
}

func TestTheOldestUploadsMakeRoom(t *testing.T) {
	w := newTown(t)
	id := w.upload("x", "")
	name, _ := mail.ParseUploadID(id)
	var u mail.Upload
	w.view(func(r store.Reader) (err error) { u, err = r.Upload(name); return err })
	err := w.Store.Note(t.Context(), w.alice.Account, func(n store.Notes) error {
		for range mail.MaxUploads - 1 {
			other := u
			other.ID = mail.UploadID{}
			if _, err := n.AddUpload(other); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	newest := w.upload("y", "")
	if rec := w.download(newest, "x", "text/plain"); rec.Body.String() != "y" {
		t.Errorf("the newest: HTTP %d %s", rec.Code, rec.Body)
	}
	if rec := w.download(id, "x", "text/plain"); rec.Code != 404 {
		t.Errorf("the oldest: HTTP %d %s", rec.Code, rec.Body)
	}
}

func TestUploadsBecomeAttachments(t *testing.T) {
	w := newTown(t)
	blob := w.upload("attached", "text/x-thing")
	id, r := w.create(`"textBody":[{"partId":"t"}],"bodyValues":{"t":{"value":"x"}},"attachments":[{"blobId":"` + blob + `","type":"application/pdf","name":"a.pdf"}]`)
	if id == "" {
		t.Fatalf("%v", r.NotCreated)
	}
	got := w.email(id, "attachments")["attachments"].([]any)[0].(map[string]any)
	if rec := w.download(got["blobId"].(string), "a.pdf", "application/pdf"); rec.Body.String() != "attached" || got["name"] != "a.pdf" {
		t.Errorf("%v is %q", got, rec.Body)
	}
}

func (w *town) imports(args string, a ...any) (r setResult) {
	w.T.Helper()
	w.ask("Email/import", `{"accountId":"$ACCOUNT",`+fmt.Sprintf(args, a...)+`}`, &r)
	return r
}

func TestMessagesAreImported(t *testing.T) {
	w := newTown(t)
	text := "Received: from a by b;\r\n Thu, 1 Jan 2026 12:00:00 +0200\r\nReceived: from x by y; Wed, 31 Dec 2025 12:00:00 +0000\r\nSubject: imported\r\nFrom: a@b\r\n\r\nBody\x00\xff"
	blob := w.upload(text, "message/rfc822")
	r := w.imports(`"emails":{"a":{"blobId":"%s","mailboxIds":{"%s":true,"%s":true},"keywords":{"$seen":true,"work":true}}}`, blob, w.id("INBOX"), w.id("Archive"))
	made := r.Created["a"]
	if made["id"] == nil || made["size"] != float64(len(text)) || made["threadId"] == nil || len(made) != 4 || r.OldState == r.NewState {
		t.Fatalf("%+v", r)
	}
	id := made["id"].(string)
	got := w.email(id, "subject", "receivedAt", "keywords", "mailboxIds")
	if got["subject"] != "imported" || got["receivedAt"] != "2026-01-01T10:00:00Z" || fmt.Sprint(got["keywords"]) != "map[$seen:true work:true]" || len(got["mailboxIds"].(map[string]any)) != 2 {
		t.Errorf("%v", got)
	}
	if rec := w.download(made["blobId"].(string), "x", "message/rfc822"); rec.Body.String() != text {
		t.Errorf("%q", rec.Body)
	}
	// the answer got lost
	for _, source := range []string{blob, made["blobId"].(string)} {
		r = w.imports(`"emails":{"a":{"blobId":"%s","mailboxIds":{"%s":true}}}`, source, w.id("INBOX"))
		if e := r.NotCreated["a"]; e["type"] != "alreadyExists" || e["existingId"] != id || r.OldState != r.NewState {
			t.Errorf("%+v", r)
		}
	}
	w.emailSet(`"destroy":["%s"]`, id)
	r = w.imports(`"emails":{"a":{"blobId":"%s","mailboxIds":{"%s":true},"receivedAt":"2020-02-03T04:05:06Z"}}`, blob, w.id("INBOX"))
	if got := w.email(r.Created["a"]["id"].(string), "receivedAt"); got["receivedAt"] != "2020-02-03T04:05:06Z" {
		t.Errorf("%v", got)
	}
}

func TestWhatCantBeImportedIsSaidOfEach(t *testing.T) {
	w := newTown(t)
	good, empty, prose := w.upload(hello, ""), w.upload("", ""), w.upload("this is not an email", "")
	inbox := w.id("INBOX")
	for _, c := range []struct{ email, kind, property string }{
		{`{"mailboxIds":{"` + inbox + `":true}}`, "invalidProperties", "blobId"},
		{`{"blobId":1,"mailboxIds":{"` + inbox + `":true}}`, "invalidProperties", "blobId"},
		{`{"blobId":"Unone","mailboxIds":{"` + inbox + `":true}}`, "invalidProperties", "blobId"},
		{`{"blobId":"` + good + `"}`, "invalidProperties", "mailboxIds"},
		{`{"blobId":"` + good + `","mailboxIds":{}}`, "invalidProperties", "mailboxIds"},
		{`{"blobId":"` + good + `","mailboxIds":{"Mzz":true}}`, "invalidProperties", "mailboxIds"},
		{`{"blobId":"` + good + `","mailboxIds":{"` + inbox + `":true},"keywords":{"a b":true}}`, "invalidProperties", "keywords"},
		{`{"blobId":"` + good + `","mailboxIds":{"` + inbox + `":true},"receivedAt":"x"}`, "invalidProperties", "receivedAt"},
		{`{"blobId":"` + good + `","mailboxIds":{"` + inbox + `":true},"subject":"x"}`, "invalidProperties", "subject"},
		{`null`, "invalidProperties", ""},
		{`{"blobId":"` + prose + `","mailboxIds":{"` + inbox + `":true}}`, "invalidEmail", ""},
		{`{"blobId":"` + empty + `","mailboxIds":{"` + inbox + `":true}}`, "invalidEmail", ""},
	} {
		r := w.imports(`"emails":{"bad":%s,"good":{"blobId":"%s","mailboxIds":{"%s":true}}}`, c.email, w.upload(hello, ""), inbox)
		e := r.NotCreated["bad"]
		if e["type"] != c.kind || c.property != "" && fmt.Sprint(e["properties"]) != "["+c.property+"]" || r.Created["good"] == nil {
			t.Errorf("%s: %+v", c.email, r)
		}
	}
	w.change(func(tx store.Tx) error { return tx.SetQuota(10) })
	if r := w.imports(`"emails":{"a":{"blobId":"%s","mailboxIds":{"%s":true}}}`, good, inbox); r.NotCreated["a"]["type"] != "overQuota" {
		t.Errorf("%+v", r)
	}
	if r := w.imports(`"ifInState":"1.0","emails":{"a":{"blobId":"%s","mailboxIds":{"%s":true}}}`, good, inbox); r.Type != "stateMismatch" {
		t.Errorf("%+v", r)
	}
	if r := w.imports(`"ifInState":null`); r.Type != "invalidArguments" {
		t.Errorf("%+v", r)
	}
	w.server.limits.ObjectsInSet = 1
	if r := w.imports(`"emails":{"a":{},"b":{}}`); r.Type != "requestTooLarge" {
		t.Errorf("%+v", r)
	}
}

func TestNothingIsCopiedBetweenAccountsThatAreNotThere(t *testing.T) {
	w := newTown(t)
	for _, method := range []string{"Email/copy", "Blob/copy"} {
		what := map[string]string{"Email/copy": `"create":{"a":{"id":"x"}}`, "Blob/copy": `"blobIds":["x"]`}[method]
		for accounts, want := range map[string]string{
			`"fromAccountId":"$ACCOUNT","accountId":"$ACCOUNT"`: "invalidArguments", `"fromAccountId":"Azz","accountId":"$ACCOUNT"`: "fromAccountNotFound",
			`"fromAccountId":"$ACCOUNT","accountId":"Azz"`: "accountNotFound",
		} {
			var r setResult
			if name := w.ask(method, "{"+accounts+","+what+"}", &r); name != "error" || r.Type != want {
				t.Errorf("%s %s: %s %+v, want %s", method, accounts, name, r, want)
			}
		}
	}
	w.server.limits.ObjectsInSet = 1
	var r setResult
	if w.ask("Blob/copy", `{"fromAccountId":"$ACCOUNT","accountId":"Azz","blobIds":["a","b"]}`, &r); r.Type != "requestTooLarge" {
		t.Errorf("%+v", r)
	}
	if w.ask("Email/copy", `{"fromAccountId":"$ACCOUNT","accountId":"Azz","create":{"a":{},"b":{}}}`, &r); r.Type != "requestTooLarge" {
		t.Errorf("%+v", r)
	}
}

func TestADamagedBlobFailsOneEmail(t *testing.T) {
	w := newTown(t)
	bad := w.upload("damaged", "")
	open := w.server.Blobs
	w.server.Blobs = func(ctx context.Context, b mail.Blob) (Body, error) {
		if b.Size == int64(len("damaged")) {
			return nil, mail.Errorf(mail.Corrupt, "damaged")
		}
		return open(ctx, b)
	}
	r := w.emailSet(`"create":{"bad":{"mailboxIds":{"%s":true},"attachments":[{"blobId":"%s"}]},"good":{"mailboxIds":{"%[1]s":true}}}`, w.id("Drafts"), bad)
	if r.NotCreated["bad"]["type"] != "serverFail" || r.Created["good"] == nil {
		t.Errorf("%+v", r)
	}
	r = w.imports(`"emails":{"bad":{"blobId":"%s","mailboxIds":{"%s":true}},"good":{"blobId":"%s","mailboxIds":{"%[2]s":true}}}`, bad, w.id("Drafts"), w.upload(hello, ""))
	if r.NotCreated["bad"]["type"] != "serverFail" || r.Created["good"] == nil {
		t.Errorf("%+v", r)
	}
}
