package jmap

import (
	"encoding/json"
	"strings"
	"testing"
)

// wholeLetter is a message with all that Email/get looks at.
const wholeLetter = "Received: from a.test by b.test; Mon, 2 Nov 2026 10:00:00 +0000\r\n" +
	"From: =?UTF-8?Q?J=C3=BCrgen?= <j@example.test>\r\n" +
	"To: \"Friends, all\" <\"all of them\"@example.test>, Team: a@example.test, Bo <b@example.test>;\r\n" +
	"Subject: =?UTF-8?Q?Gr=C3=BC=C3=9Fe?=\r\n aus K\r\n" +
	"Date: Mon, 2 Nov 2026 11:00:00 +0100\r\n" +
	"Message-ID: <1@example.test>\r\n" +
	"In-Reply-To: <0@example.test>\r\n" +
	"References: <a@example.test> <0@example.test>\r\n" +
	"List-Unsubscribe: <mailto:u@example.test>, (or) <https://example.test/\r\n u>\r\n" +
	"X-Tag: one\r\n" +
	"X-Tag:  two \r\n" +
	"MIME-Version: 1.0\r\n" +
	"Content-Type: multipart/mixed; boundary=m\r\n\r\n" +
	"--m\r\nContent-Type: multipart/alternative; boundary=a\r\n\r\n" +
	"--a\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\nGr=C3=BC=C3=9Fe\r\nan alle\r\n" +
	"--a\r\nContent-Type: text/html; charset=iso-8859-1\r\n\r\n<p class=\"x\">Gr\xfc\xdfe</p>\r\n--a--\r\n" +
	"--m\r\nContent-Type: application/pdf; name=a.pdf\r\nContent-Disposition: attachment; filename*=utf-8''%C3%A4.pdf\r\nContent-ID: <pdf@example.test>\r\nContent-Language: de, en\r\nContent-Transfer-Encoding: base64\r\n\r\nJVBERi0x\r\n" +
	"--m\r\nContent-Type: message/rfc822\r\n\r\nSubject: inner\r\nFrom: c@example.test\r\n\r\ninner text\r\n--m--\r\n"

// emails calls Email/get of some ids with more arguments, and returns the list.
func (w *town) emails(more string, ids ...string) []map[string]json.RawMessage {
	w.T.Helper()
	list, err := json.Marshal(ids)
	if err != nil {
		w.T.Fatal(err)
	}
	if more != "" {
		more = "," + more
	}
	var out struct {
		List []map[string]json.RawMessage
	}
	if name := w.call("Email/get", `{"accountId":"$ACCOUNT","ids":`+string(list)+more+`}`, &out); name != "Email/get" {
		w.T.Fatalf("%s: %s", more, name)
	}
	return out.List
}

func TestEmailGetSaysEachProperty(t *testing.T) {
	w := newTown(t)
	p := w.put("INBOX", wholeLetter, `\Flagged`, "Later")
	id := w.emailID(p)
	for property, want := range map[string]string{
		"id": `"` + id + `"`, "blobId": `"B` + id + `"`,
		"mailboxIds": `{"` + p.Mailbox.String() + `":true}`,
		"keywords":   `{"$flagged":true,"later":true}`,
		"messageId":  `["1@example.test"]`, "inReplyTo": `["0@example.test"]`, "references": `["a@example.test","0@example.test"]`,
		"sender": `null`, "cc": `null`, "replyTo": `null`,
		"from":           `[{"name":"Jürgen","email":"j@example.test"}]`,
		"to":             `[{"name":"Friends, all","email":"\"all of them\"@example.test"},{"name":null,"email":"a@example.test"},{"name":"Bo","email":"b@example.test"}]`,
		"subject":        `"Grüße aus K"`,
		"sentAt":         `"2026-11-02T11:00:00+01:00"`,
		"hasAttachment":  `true`,
		"preview":        `"Grüße an alle"`,
		"header:subject": `" =?UTF-8?Q?Gr=C3=BC=C3=9Fe?=\r\n aus K"`, "header:SUBJECT:asText": `"Grüße aus K"`,
		"header:To:asGroupedAddresses": `[{"name":null,"addresses":[{"name":"Friends, all","email":"\"all of them\"@example.test"}]},{"name":"Team","addresses":[{"name":null,"email":"a@example.test"},{"name":"Bo","email":"b@example.test"}]}]`,
		"header:Date:asDate":           `"2026-11-02T11:00:00+01:00"`, "header:X-Tag": `"  two "`, "header:x-tag:all": `[" one","  two "]`, "header:X-Tag:asText:all": `["one","two"]`,
		"header:X-Tag:asURLs": `null`, "header:X-Tag:asDate": `null`, "header:X-Tag:asMessageIds": `null`, "header:X-None": `null`, "header:X-None:asDate:all": `[]`,
		"header:List-Unsubscribe:asURLs": `["mailto:u@example.test","https://example.test/u"]`, "header:References:asMessageIds": `["a@example.test","0@example.test"]`,
	} {
		got := w.emails(`"properties":["`+property+`"]`, id)
		if len(got) != 1 || string(got[0][property]) != want || len(got[0]) > 2 {
			t.Errorf("%s: %s, want %s", property, got, want)
		}
	}
}

func TestEmailGetTakesTheBodyApart(t *testing.T) {
	w := newTown(t)
	id := w.emailID(w.put("INBOX", wholeLetter))
	part := func(n, size, name, kind, charset, disposition, cid, language string) string {
		return `{"blobId":"P` + id + `-` + n + `","charset":` + charset + `,"cid":` + cid + `,"disposition":` + disposition + `,"language":` + language +
			`,"location":null,"name":` + name + `,"partId":"` + n + `","size":` + size + `,"type":"` + kind + `"}`
	}
	text := part("1_1", "16", "null", "text/plain", `"utf-8"`, "null", "null", "null")
	html := part("1_2", "22", "null", "text/html", `"iso-8859-1"`, "null", "null", "null")
	pdf := part("2", "6", `"ä.pdf"`, "application/pdf", "null", `"attachment"`, `"pdf@example.test"`, `["de","en"]`)
	inner := part("3", "50", "null", "message/rfc822", "null", "null", "null", "null")
	got := w.emails("", id)[0]
	for property, want := range map[string]string{
		"textBody": "[" + text + "]", "htmlBody": "[" + html + "]", "attachments": "[" + pdf + "," + inner + "]", "bodyValues": "{}",
	} {
		if string(got[property]) != want {
			t.Errorf("%s: %s\nwant %s", property, got[property], want)
		}
	}
	got = w.emails(`"properties":["bodyStructure"],"bodyProperties":["type","partId","header:content-language:asText"]`, id)[0]
	leaf := func(kind, n, language string) string {
		return `{"header:content-language:asText":` + language + `,"partId":"` + n + `","type":"` + kind + `"}`
	}
	want := `{"header:content-language:asText":null,"partId":null,"subParts":[{"header:content-language:asText":null,"partId":null,"subParts":[` +
		leaf("text/plain", "1_1", "null") + "," + leaf("text/html", "1_2", "null") + `],"type":"multipart/alternative"},` +
		leaf("application/pdf", "2", `"de, en"`) + "," + leaf("message/rfc822", "3", "null") + `],"type":"multipart/mixed"}`
	if string(got["bodyStructure"]) != want {
		t.Errorf("%s\nwant %s", got["bodyStructure"], want)
	}
}

func TestEmailGetReadsTheTexts(t *testing.T) {
	w := newTown(t)
	id := w.emailID(w.put("INBOX", wholeLetter))
	const text = `{"value":"Grüße\nan alle","isEncodingProblem":false,"isTruncated":false}`
	const html = `{"value":"<p class=\"x\">Grüße</p>","isEncodingProblem":false,"isTruncated":false}`
	for _, c := range []struct{ more, want string }{
		{`"fetchTextBodyValues":true`, `{"1_1":` + text + `}`},
		{`"fetchHTMLBodyValues":true`, `{"1_2":` + html + `}`},
		{`"fetchAllBodyValues":true`, `{"1_1":` + text + `,"1_2":` + html + `}`},
		{`"fetchTextBodyValues":true,"maxBodyValueBytes":3`, `{"1_1":{"value":"Gr","isEncodingProblem":false,"isTruncated":true}}`},
		{`"fetchTextBodyValues":true,"maxBodyValueBytes":15`, `{"1_1":` + text + `}`},
		{`"fetchHTMLBodyValues":true,"maxBodyValueBytes":11`, `{"1_2":{"value":"","isEncodingProblem":false,"isTruncated":true}}`},
		{`"fetchHTMLBodyValues":true,"maxBodyValueBytes":20`, `{"1_2":{"value":"<p class=\"x\">Grüße","isEncodingProblem":false,"isTruncated":true}}`},
	} {
		got := w.emails(`"properties":["bodyValues"],`+c.more, id)[0]
		if string(got["bodyValues"]) != c.want {
			t.Errorf("%s: %s\nwant %s", c.more, got["bodyValues"], c.want)
		}
	}
}

func TestWhatAnEmailHasNotIsRefused(t *testing.T) {
	w := newTown(t)
	many := strings.Repeat(`"id",`, maxProperties) + `"id"`
	for _, more := range []string{
		`"properties":["none"]`, `"properties":["header:"]`, `"properties":["header:From:asDate"]`, `"properties":["header:Received:asText"]`, `"properties":["header:Subject:asAddresses"]`,
		`"properties":["header:X:all:asText"]`, `"properties":["header:X:asSomething"]`, `"properties":["header:X:asText:all:all"]`, `"properties":["header:a b"]`, `"properties":["header:X:"]`,
		`"properties":["header:List-Post:asMessageIds"]`, `"bodyProperties":["from"]`, `"bodyProperties":["header:To:asURLs"]`, `"maxBodyValueBytes":-1`, `"maxBodyValueBytes":null`, `"maxBodyValueBytes":"1"`, `"maxBodyValueBytes":true`, `"maxBodyValueBytes":{}`, `"properties":[` + many + `]`,
		`"ids":["E"],"fetchAll":true`, `"properties":"id"`,
	} {
		var e methodError
		if name := w.call("Email/get", `{"accountId":"$ACCOUNT",`+more+`}`, &e); name != "error" || e.Type != "invalidArguments" {
			t.Errorf("%s: %s %v", more[:min(len(more), 80)], name, e)
		}
	}
}
