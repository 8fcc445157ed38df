package jmap

import (
	"encoding/base64"
	"encoding/json"
	"strings"
	"testing"
)

type parseAnswer struct {
	Parsed      map[string]map[string]json.RawMessage
	NotParsable []string
	NotFound    []string
}

func (w *town) parse(args string) (out parseAnswer) {
	w.T.Helper()
	if name := w.call("Email/parse", `{"accountId":"$ACCOUNT",`+args+`}`, &out); name != "Email/parse" {
		w.T.Fatalf("%s: %s", args, name)
	}
	return out
}

func TestEmailParseLooksIntoAttachedMessages(t *testing.T) {
	w := newTown(t)
	id := w.emailID(w.put("INBOX", wholeLetter))
	inner := "P" + id + "-3"
	got := w.parse(`"blobIds":["` + inner + `"],"properties":["id","blobId","threadId","mailboxIds","keywords","receivedAt","size","subject","from","textBody","bodyValues","preview","hasAttachment","header:From"],
		"bodyProperties":["partId","blobId","size"],"fetchTextBodyValues":true`)
	for property, want := range map[string]string{
		"id": "null", "threadId": "null", "mailboxIds": "null", "keywords": "null", "receivedAt": "null", "blobId": `"` + inner + `"`, "size": "50",
		"subject": `"inner"`, "from": `[{"name":null,"email":"c@example.test"}]`, "header:From": `" c@example.test"`, "preview": `"inner text"`, "hasAttachment": "false",
		"textBody":   `[{"blobId":"` + inner + `_1","partId":"1","size":10}]`,
		"bodyValues": `{"1":{"value":"inner text","isEncodingProblem":false,"isTruncated":false}}`,
	} {
		if s := string(got.Parsed[inner][property]); s != want {
			t.Errorf("%s: %s, want %s", property, s, want)
		}
	}
	if rec := w.download(inner+"_1", "a", "text/plain"); rec.Body.String() != "inner text" {
		t.Errorf("its part is %q", rec.Body)
	}
}

// A message under base64, which MIME forbids, has no structure in the whole.
func TestEmailParseLooksIntoEncodedMessages(t *testing.T) {
	w := newTown(t)
	deepest := "Subject: two\r\nContent-Type: text/plain; charset=utf-8\r\n\r\ndeepest"
	within := func(text string) string {
		return "Subject: one\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Type: message/rfc822\r\nContent-Transfer-Encoding: base64\r\n\r\n" +
			base64.StdEncoding.EncodeToString([]byte(text)) + "\r\n--b--\r\n"
	}
	id := w.emailID(w.put("INBOX", within(within(deepest))))
	first := w.parse(`"blobIds":["P` + id + `-1"],"properties":["subject","attachments"]`)
	attached := string(first.Parsed["P"+id+"-1"]["attachments"])
	second := "P" + id + "-1_0_1"
	if !strings.Contains(attached, `"`+second+`"`) {
		t.Fatalf("the message in the message is none of %s", attached)
	}
	got := w.parse(`"blobIds":["` + second + `"],"properties":["subject","textBody"],"bodyProperties":["blobId"]`)
	if s := string(got.Parsed[second]["subject"]); s != `"two"` {
		t.Errorf("its subject is %s", s)
	}
	if s := string(got.Parsed[second]["textBody"]); s != `[{"blobId":"`+second+`_0_1"}]` {
		t.Errorf("its text is %s", s)
	}
	if rec := w.download(second+"_0_1", "a", "text/plain"); rec.Body.String() != "deepest" {
		t.Errorf("its text is %q", rec.Body)
	}
}

func TestEmailParseSaysWhatIsNoEmail(t *testing.T) {
	w := newTown(t)
	id := w.emailID(w.put("INBOX", wholeLetter))
	got := w.parse(`"blobIds":["P` + id + `-1_1","none","B` + id + `","P` + id + `-9"],"properties":["subject"]`)
	if len(got.NotParsable) != 1 || len(got.NotFound) != 2 || len(got.Parsed) != 1 || got.Parsed["B"+id] == nil {
		t.Errorf("%v", got)
	}
	var raw map[string]json.RawMessage
	w.call("Email/parse", `{"accountId":"$ACCOUNT","blobIds":[]}`, &raw)
	if string(raw["parsed"])+string(raw["notParsable"])+string(raw["notFound"]) != "nullnullnull" {
		t.Errorf("of nothing it says %s", raw)
	}
	var e methodError
	if w.call("Email/parse", `{"accountId":"$ACCOUNT"}`, &e); e.Type != "invalidArguments" {
		t.Errorf("without blobIds: %v", e)
	}
	if w.call("Email/parse", `{"accountId":"$ACCOUNT","blobIds":[`+strings.Repeat(`"x",`, 1000)+`"y"]}`, &e); e.Type != "requestTooLarge" {
		t.Errorf("too many: %v", e)
	}
}

func TestEmailParseReadsUploads(t *testing.T) {
	w := newTown(t)
	upload := func(text string) string {
		var up struct{ BlobID string }
		rec := w.do("POST", uploadPath+w.account+"/", "message/rfc822", []byte(text))
		if err := json.Unmarshal(rec.Body.Bytes(), &up); err != nil {
			t.Fatalf("%s: %v", rec.Body, err)
		}
		return up.BlobID
	}
	letter, text := upload(wholeLetter), upload("this is no email, just words")
	got := w.parse(`"blobIds":["` + letter + `","` + text + `"],"properties":["subject","attachments"],"bodyProperties":["blobId"]`)
	if want := `[{"blobId":"P` + letter + `-2"},{"blobId":"P` + letter + `-3"}]`; string(got.Parsed[letter]["attachments"]) != want || len(got.NotParsable) != 1 {
		t.Errorf("%s, not parsable %s; want %s", got.Parsed, got.NotParsable, want)
	}
	for id, want := range map[string]string{"P" + letter + "-2": "%PDF-1", "P" + letter + "-3_1": "inner text"} {
		if rec := w.download(id, "a", ""); rec.Body.String() != want {
			t.Errorf("%s is %q, want %q", id, rec.Body, want)
		}
	}
}
