package jmap

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"lockstep/internal/mail"
	"lockstep/internal/message"
	"lockstep/internal/message/compose"
	"lockstep/internal/store"
)

// create makes one email out of its properties, in Drafts.
func (w *town) create(properties string) (id string, r setResult) {
	w.T.Helper()
	r = w.emailSet(`"create":{"new":{"mailboxIds":{"%s":true},%s}}`, w.id("Drafts"), strings.ReplaceAll(properties, "%", "%%"))
	id, _ = r.Created["new"]["id"].(string)
	return id, r
}

// email gets properties of one email.
func (w *town) email(id string, properties ...string) map[string]any {
	w.T.Helper()
	asked, err := json.Marshal(properties)
	if err != nil {
		w.T.Fatal(err)
	}
	var got struct{ List []map[string]any }
	w.ask("Email/get", fmt.Sprintf(`{"accountId":"$ACCOUNT","ids":[%q],"properties":%s,"fetchAllBodyValues":true,"bodyProperties":["partId","blobId","size","name","type","charset","disposition","cid","language","location","header:X-Part:asText","header:Content-Type"]}`, id, asked), &got)
	if len(got.List) != 1 {
		w.T.Fatalf("%s: %v", id, got)
	}
	return got.List[0]
}

// bytesOf are those of an email.
func (w *town) bytesOf(id string) string {
	w.T.Helper()
	name, _ := mail.ParseEmailID(id)
	var m mail.Message
	w.view(func(r store.Reader) error {
		found, err := r.MessageByEmailID(name)
		if err != nil {
			return err
		}
		return r.Messages(store.PlacementQuery{Mailbox: w.mailboxIn(r, "Drafts"), Located: true}, func(_ *mail.Placement, got *mail.Message) error {
			if got.Key == found.Key {
				m = *got
			}
			return nil
		})
	})
	return w.Read(m.Blob)
}

func TestADraftIsMadeOfItsFields(t *testing.T) {
	w := newTown(t)
	id, r := w.create(`"keywords":{"$draft":true,"$seen":true},"from":[{"name":"Älice","email":"alice@example.test"}],"to":[{"name":null,"email":"bob@example.test"},{"name":"Carol","email":"carol@example.test"}],
		"bcc":[{"email":"dan@example.test"}],"subject":"Grüße","textBody":[{"partId":"t"}],"bodyValues":{"t":{"value":"Hallo\nWelt – schön\n"}}`)
	if id == "" {
		t.Fatalf("%+v", r)
	}
	got := w.bytesOf(id)
	for _, want := range []string{
		"From: =?utf-8?q?=C3=84lice?= <alice@example.test>\r\n", "To: bob@example.test, \"Carol\" <carol@example.test>\r\n", "Bcc: dan@example.test\r\n",
		"Content-Type: text/plain;\r\n charset=utf-8\r\n", "Content-Transfer-Encoding: quoted-printable\r\n", "MIME-Version: 1.0\r\n", "\r\n\r\nHallo\r\nWelt =E2=80=93 sch=C3=B6n\r\n",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("there is no %q in\n%s", want, got)
		}
	}
	made := r.Created["new"]
	shown := w.email(id, "blobId", "threadId", "size", "messageId", "sentAt", "receivedAt", "keywords", "mailboxIds", "subject", "bodyValues")
	for _, p := range []string{"id", "blobId", "threadId", "size"} {
		if made[p] == nil || !reflect.DeepEqual(made[p], shown[p]) {
			t.Errorf("%s: told %v, is %v", p, made[p], shown[p])
		}
	}
	want := map[string]any{
		"subject": "Grüße", "keywords": map[string]any{"$draft": true, "$seen": true}, "mailboxIds": map[string]any{w.id("Drafts"): true},
		"bodyValues": map[string]any{"1": map[string]any{"value": "Hallo\nWelt – schön\n", "isEncodingProblem": false, "isTruncated": false}},
	}
	for p, v := range want {
		if !reflect.DeepEqual(shown[p], v) {
			t.Errorf("%s is %v, want %v", p, shown[p], v)
		}
	}
	if r.OldState == r.NewState {
		t.Error("the state stayed")
	}
}

func TestWhatIsNotSaidHasADefault(t *testing.T) {
	w := newTown(t)
	r := w.emailSet(`"create":{"new":{"mailboxIds":{"%s":true}}}`, w.id("Drafts"))
	id, _ := r.Created["new"]["id"].(string)
	got := w.email(id, "from", "messageId", "sentAt", "keywords", "bodyStructure", "subject")
	if got["subject"] != nil || fmt.Sprint(got["from"]) != "[map[email:alice@example.test name:<nil>]]" || got["sentAt"] == nil || !strings.Contains(fmt.Sprint(got["messageId"]), "@mail.example.test") {
		t.Errorf("%v", got)
	}
}

// Each form of a header field reads as it was written.
func TestHeaderFieldsReadAsTheyWereWritten(t *testing.T) {
	w := newTown(t)
	long := strings.Repeat("wörter und ", 60) + "Ende"
	for _, c := range []struct{ property, value, want string }{
		{"subject", `"plain"`, ""}, {"subject", `""`, ""}, {"subject", `"=?utf-8?q?not_encoded?="`, ""}, {"subject", `"` + long + `"`, ""}, {"subject", `"a\r\nBcc: x@example.test"`, `"a  Bcc: x@example.test"`},
		{"messageId", `["a.b@example.test"]`, ""}, {"inReplyTo", `["a@b","c@d"]`, ""}, {"references", `["a@b","c@d"]`, ""},
		{"sentAt", `"2026-11-22T08:00:00+01:00"`, ""}, {"sentAt", `"1999-01-02T03:04:05Z"`, ""},
		{"from", `[{"name":"A \"B\" C","email":"a@example.test"}]`, ""}, {"sender", `[{"name":"Ü","email":"a@example.test"}]`, ""}, {"replyTo", `[{"name":null,"email":"\"a b\"@example.test"}]`, ""},
		{"to", `[{"name":null,"email":"half"},{"name":"Only","email":"not @ all"}]`, ""}, {"to", `[]`, "null"}, {"cc", `[{"email":"a@example.test"}]`, `[{"name":null,"email":"a@example.test"}]`},
		{"to", `[{"name":null,"email":"a@bücher.example"}]`, `[{"name":null,"email":"a@xn--bcher-kva.example"}]`}, {"bcc", `[{"name":"x, y; <z>","email":"a@example.test"}]`, ""},
		{"to", `[{"name":null,"email":"a@b, c@d"}]`, `[{"name":null,"email":"a@b, c@d"}]`},
		{"header:X-One", `" raw value"`, ""}, {"header:X-One", `"bare"`, `" bare"`}, {"header:X-One", `""`, ""}, {"header:X-One", `" folded\r\n here"`, ""}, {"header:x-one:asText", `"tëxt"`, ""}, {"header:X-One:asDate", `"2026-11-22T08:00:00-08:00"`, ""},
		{"header:X-One:asURLs", `["https://example.test/a","mailto:x@example.test"]`, ""}, {"header:X-One:asMessageIds", `["a@b"]`, ""}, {"header:X-One:asAddresses", `[{"name":null,"email":"a@b"}]`, ""},
		{"header:X-One:asGroupedAddresses", `[{"name":"Friends","addresses":[{"name":null,"email":"a@b"}]},{"name":null,"addresses":[{"name":null,"email":"c@d"}]},{"name":"Nöbody","addresses":[]}]`, ""},
		{"header:X-One:all", `[" a"," b"]`, ""}, {"header:X-One:asText:all", `["ä","b"]`, ""}, {"header:X-One:all", `[]`, ""}, {"header:To:asGroupedAddresses", `[{"name":"G","addresses":[]}]`, ""},
		{"header:Subject", `" raw subject"`, ""}, {"header:X-One:asText", `null`, "null"}, {"header:List-Post:asURLs", `["mailto:list@example.test"]`, ""},
	} {
		id, r := w.create(fmt.Sprintf(`"%s":%s`, c.property, c.value))
		if id == "" {
			t.Errorf("%s %s: %+v", c.property, c.value, r.NotCreated)
			continue
		}
		want := c.want
		if want == "" {
			want = c.value
		}
		var wanted any
		if err := json.Unmarshal([]byte(want), &wanted); err != nil {
			t.Fatal(err)
		}
		if got := w.email(id, c.property)[c.property]; !reflect.DeepEqual(got, wanted) {
			t.Errorf("%s %s became %v\n%s", c.property, c.value, got, w.bytesOf(id))
		}
		for line := range strings.SplitSeq(w.bytesOf(id), "\r\n") {
			if len(line) > 998 || strings.ContainsAny(line, "\r\n") {
				t.Errorf("%s: a line of %d bytes: %q", c.property, len(line), line)
			}
		}
	}
}

// shapeOf draws the structure of a part.
func shapeOf(p *message.Part) string {
	var below []string
	for _, c := range p.Parts {
		below = append(below, shapeOf(c))
	}
	if below == nil {
		return p.Subtype
	}
	return p.Subtype + "(" + strings.Join(below, " ") + ")"
}

func TestBodiesHaveTheStructureTheyAreGiven(t *testing.T) {
	w := newTown(t)
	whole := "B" + w.emailID(w.put("INBOX", "Subject: was\r\nContent-Type: text/plain; charset=iso-8859-1\r\n\r\nsch\xf6n\r\n"))
	part := "P" + whole[1:] + "-1"
	values := `"bodyValues":{"t":{"value":"text"},"h":{"value":"<p>ü"},"x":{"value":"unused"}},`
	for _, c := range []struct{ body, want string }{
		{`"textBody":[{"partId":"t","type":"text/plain"}]`, "plain"},
		{`"htmlBody":[{"partId":"h","type":"text/html"}]`, "html"},
		{`"textBody":[{"partId":"t"}],"htmlBody":[{"partId":"h"}]`, "alternative(plain html)"},
		{`"textBody":[{"partId":"t"}],"attachments":[{"blobId":"` + part + `","type":"text/x-y","charset":"iso-8859-1","name":"ä.txt"}]`, "mixed(plain x-y)"},
		{`"textBody":[{"partId":"t"}],"htmlBody":[{"partId":"h"}],"attachments":[{"blobId":"` + part + `","type":"image/png","cid":"a@b","disposition":"inline"},{"blobId":"` + whole + `","type":"message/rfc822"}]`,
			"mixed(alternative(plain related(html png)) rfc822)"},
		{`"attachments":[{"blobId":"` + part + `"}]`, "octet-stream"},
		{`"bodyStructure":{"partId":"t"}`, "plain"},
		{`"bodyStructure":{"type":"multipart/signed","header:Content-Type":null,"subParts":[{"partId":"t","language":["de","en"],"location":"http://x.example/","cid":"c@d"},{"type":"application/x-sig","partId":"x","header:X-Part:asText":"ü"}]}`, "signed(plain x-sig)"},
		{`"bodyStructure":{"header:Content-Type":"multipart/report; report-type=x; boundary=mine","subParts":[{"partId":"t"}]}`, "report(plain)"},
		{`"bodyStructure":{"subParts":[{"subParts":[{"partId":"t"},{"partId":"h","type":"text/html"}],"type":"multipart/alternative"}]}`, "mixed(alternative(plain html))"},
		{`"bodyStructure":{"partId":"t","header:Content-Type:asText":"text/plain; format=flowed"}`, "plain"},
	} {
		id, r := w.create(values + c.body)
		if id == "" {
			t.Errorf("%s: %+v", c.body, r.NotCreated)
			continue
		}
		raw := w.bytesOf(id)
		m, err := message.Parse(strings.NewReader(raw))
		if err != nil || shapeOf(m.Root) != c.want {
			t.Errorf("%s: %s, want %s (%v)\n%s", c.body, shapeOf(m.Root), c.want, err, raw)
		}
	}
}

func TestAPartKeepsWhatIsSaidOfIt(t *testing.T) {
	w := newTown(t)
	given := map[string]any{"blobId": "B" + w.emailID(w.put("INBOX", hello)), "type": "text/x-thing", "charset": "koi8-r", "disposition": "inline", "name": "Übersicht \"1\".txt", "cid": "x.y@z",
		"language": []any{"de", "en"}, "location": "https://example.test/x", "header:X-Part:asText": "schön"}
	b, err := json.Marshal(given)
	if err != nil {
		t.Fatal(err)
	}
	id, r := w.create(`"bodyStructure":` + string(b))
	if id == "" {
		t.Fatalf("%+v", r.NotCreated)
	}
	got := w.email(id, "bodyStructure")["bodyStructure"].(map[string]any)
	if got["size"] != float64(len(hello)) || !strings.HasPrefix(got["blobId"].(string), "P") {
		t.Errorf("%v", got)
	}
	delete(given, "blobId")
	for p, v := range given {
		if !reflect.DeepEqual(got[p], v) {
			t.Errorf("%s is %v, want %v", p, got[p], v)
		}
	}
}

func TestWhatCantBeMadeIsSaidPropertyByProperty(t *testing.T) {
	w := newTown(t)
	text := `"textBody":[{"partId":"t"}],"bodyValues":{"t":{"value":"x"}}`
	one := func(part string) string { return `"bodyStructure":` + part + `,"bodyValues":{"t":{"value":"x"}}` }
	deep := strings.Repeat(`{"subParts":[`, maxBodyDepth+1) + `{"partId":"t"}` + strings.Repeat(`]}`, maxBodyDepth+1)
	for _, c := range []struct{ properties, want string }{
		{`"headers":[]`, "headers"},
		{`"id":"x","blobId":"y","threadId":"z","size":1,"hasAttachment":true,"preview":"p"`, "blobId hasAttachment id preview size threadId"},
		{`"nonsense":1`, "nonsense"},
		{`"keywords":{"$deleted":true}`, "keywords"}, {`"keywords":[]`, "keywords"},
		{`"receivedAt":"2026-11-22T08:00:00+01:00"`, "receivedAt"}, {`"receivedAt":1`, "receivedAt"},
		{`"subject":"a","header:Subject":"b"`, "subject"},
		{`"header:X-A":"a","header:x-a:asText":"b"`, "header:x-a:asText"},
		{`"header:From:asDate":"2026-11-22T08:00:00Z"`, "header:From:asDate"}, {`"header:Subject:asAddresses":[]`, "header:Subject:asAddresses"}, {`"header:X:asNothing":"x"`, "header:X:asNothing"}, {`"header:":"x"`, "header:"},
		{`"header:Content-Type":"text/plain"`, "header:Content-Type"}, {`"header:content-id:asText":"x"`, "header:content-id:asText"}, {`"header:MIME-Version":"1.0"`, "header:MIME-Version"},
		{`"header:X-A":"a\r\nBcc: b"`, "header:X-A"}, {`"header:X-A":"a\nb"`, "header:X-A"}, {`"header:X-A":"ü"`, "header:X-A"}, {`"header:X-A":"` + strings.Repeat("x", 1000) + `"`, "header:X-A"}, {`"header:X-A":1`, "header:X-A"},
		{`"header:` + strings.Repeat("X", 78) + `":"a"`, "header:" + strings.Repeat("X", 78)},
		{`"header:X-A:all":"a"`, "header:X-A:all"}, {`"header:X-A:asText:all":[1]`, "header:X-A:asText:all"},
		{`"subject":["a"]`, "subject"}, {`"subject":"` + strings.Repeat("x", 17<<10) + `"`, "subject"},
		{`"to":"a@b"`, "to"}, {`"to":[{"mail":"a@b"}]`, "to"}, {`"messageId":["a b"]`, "messageId"}, {`"messageId":["<a@b>"]`, "messageId"}, {`"sentAt":"yesterday"`, "sentAt"},
		{`"header:X-A:asURLs":["<"]`, "header:X-A:asURLs"},
		{`"bodyStructure":{"partId":"t"},` + text, "textBody"},
		{`"bodyStructure":{"partId":"t"},"htmlBody":[],"attachments":[],"bodyValues":{"t":{"value":"x"}}`, "attachments htmlBody"},
		{`"textBody":[]`, "textBody"}, {`"textBody":[{"partId":"t"},{"partId":"t"}],"bodyValues":{"t":{"value":"x"}}`, "textBody"}, {`"textBody":{"partId":"t"}`, "textBody"},
		{`"textBody":[{"partId":"t","type":"text/html"}],"bodyValues":{"t":{"value":"x"}}`, "textBody"}, {`"htmlBody":[{"partId":"t","type":"text/plain"}],"bodyValues":{"t":{"value":"x"}}`, "htmlBody"},
		{`"textBody":[{"partId":"t"}]`, "textBody/0/partId"},
		{one(`{"partId":"t","blobId":"x"}`), "bodyStructure/blobId bodyStructure/partId"}, {one(`{}`), "bodyStructure/partId"}, {one(`[]`), "bodyStructure"},
		{one(`{"partId":"t","charset":"utf-8"}`), "bodyStructure/charset"}, {one(`{"partId":"t","size":1}`), "bodyStructure/size"}, {one(`{"blobId":"x","size":"1"}`), "bodyStructure/size"},
		{one(`{"partId":"t","header:Content-Transfer-Encoding":"base64"}`), "bodyStructure/header:Content-Transfer-Encoding"}, {one(`{"partId":"t","headers":[]}`), "bodyStructure/headers"},
		{one(`{"partId":"t","header:Content-Type":"text/plain","type":"text/plain"}`), "bodyStructure/type"}, {one(`{"partId":"t","header:Content-Type":"nonsense;;"}`), "bodyStructure/header:Content-Type"},
		{one(`{"partId":"t","header:Content-Disposition":"inline","name":"x"}`), "bodyStructure/name"}, {one(`{"partId":"t","cid":"a b"}`), "bodyStructure/cid"}, {one(`{"partId":"t","disposition":"a b"}`), "bodyStructure/disposition"},
		{one(`{"blobId":"x","charset":"a b"}`), "bodyStructure/charset"}, {one(`{"partId":"t","type":"text"}`), "bodyStructure/type"}, {one(`{"partId":"t","type":"text/plain; charset=x"}`), "bodyStructure/type"},
		{one(`{"partId":"t","location":"ü"}`), "bodyStructure/location"}, {one(`{"partId":"t","language":"de"}`), "bodyStructure/language"}, {one(`{"partId":"t","foo":1}`), "bodyStructure/foo"}, {one(`{"partId":1}`), "bodyStructure/partId"},
		{one(`{"type":"multipart/mixed"}`), "bodyStructure/subParts"}, {one(`{"type":"multipart/mixed","subParts":[]}`), "bodyStructure/subParts"}, {one(`{"type":"text/plain","subParts":[{"partId":"t"}]}`), "bodyStructure/subParts"},
		{one(`{"subParts":[{"partId":"t"},{"partId":"u"},3]}`), "bodyStructure/subParts/1/partId bodyStructure/subParts/2"}, {one(`{"subParts":[{"partId":"t"}],"partId":"t"}`), "bodyStructure/subParts"},
		{one(deep), "bodyStructure" + strings.Repeat("/subParts/0", maxBodyDepth+1)},
		{`"subject":"a",` + one(`{"partId":"t","header:Subject":"b"}`), "bodyStructure/header:Subject"},
		{`"bodyValues":{"t":{"value":"x","isTruncated":true},"u":{"value":"x","isEncodingProblem":true},"v":{}}`, "bodyValues/t/isTruncated bodyValues/u/isEncodingProblem bodyValues/v/value"}, {`"bodyValues":[]`, "bodyValues"}, {`"bodyValues":{"t":{"value":1}}`, "bodyValues"},
	} {
		_, r := w.create(c.properties)
		e := r.NotCreated["new"]
		var got []string
		if list, ok := e["properties"].([]any); ok {
			for _, p := range list {
				got = append(got, p.(string))
			}
		}
		slices.Sort(got)
		if e["type"] != "invalidProperties" || e["description"] == "" || strings.Join(got, " ") != c.want {
			t.Errorf("%s: %v, want %s", c.properties[:min(len(c.properties), 200)], e, c.want)
		}
	}
	for _, c := range []struct{ create, kind string }{
		{`{}`, "invalidProperties"}, {`null`, "invalidProperties"}, {`[]`, "invalidProperties"}, {`{"mailboxIds":{}}`, "invalidProperties"}, {`{"mailboxIds":{"Mzzz":true}}`, "invalidProperties"},
	} {
		if r := w.emailSet(`"create":{"a":%s}`, c.create); r.NotCreated["a"]["type"] != c.kind {
			t.Errorf("%s: %+v", c.create, r)
		}
	}
	if n := w.mailbox("Drafts").Counts.Placements; n != 0 {
		t.Errorf("%d emails were made all the same", n)
	}
}

func TestMissingBlobsAreNamed(t *testing.T) {
	w := newTown(t)
	there := "B" + w.emailID(w.put("INBOX", hello))
	_, r := w.create(`"attachments":[{"blobId":"Unothing"},{"blobId":"` + there + `"},{"blobId":"Bnone"},{"blobId":"Unothing"}]`)
	if e := r.NotCreated["new"]; e["type"] != "blobNotFound" || fmt.Sprint(e["notFound"]) != "[Bnone Unothing]" {
		t.Errorf("%v", e)
	}
}

func TestAttachmentsAreBounded(t *testing.T) {
	w := newTown(t)
	w.server.Limits.Upload = 1000
	blob := "B" + w.emailID(w.put("INBOX", "Subject: large\r\n\r\n"+strings.Repeat("x", 380)))
	attach := func(n int) string {
		return `"attachments":[` + strings.TrimSuffix(strings.Repeat(`{"blobId":"`+blob+`"},`, n), ",") + `]`
	}
	if id, r := w.create(attach(2)); id == "" {
		t.Errorf("%v", r.NotCreated)
	}
	if _, r := w.create(attach(3)); r.NotCreated["new"]["type"] != "tooLarge" || r.NotCreated["new"]["maxSize"] != 1000.0 {
		t.Errorf("%v", r.NotCreated)
	}
	var all []string
	for i := range 2 * uploadsInSet {
		all = append(all, fmt.Sprintf(`"c%d":{"mailboxIds":{"%s":true},%s}`, i, w.id("Drafts"), attach(2)))
	}
	r := w.emailSet(`"create":{%s}`, strings.Join(all, ","))
	if len(r.Created) != 5 || r.NotCreated["c7"]["type"] != "rateLimit" {
		t.Errorf("%d made, %v", len(r.Created), r.NotCreated)
	}
}

func TestAFullAccountMakesNothing(t *testing.T) {
	w := newTown(t)
	w.change(func(tx store.Tx) error { return tx.SetQuota(10) })
	if _, r := w.create(`"subject":"x"`); r.NotCreated["new"]["type"] != "overQuota" {
		t.Errorf("%v", r.NotCreated)
	}
}

func TestWhatWasMadeCanBeNamedInTheSameCall(t *testing.T) {
	w := newTown(t)
	r := w.emailSet(`"create":{"a":{"mailboxIds":{"%s":true,"%s":true}},"b":{"mailboxIds":{"%[1]s":true}}},"update":{"#a":{"keywords/$flagged":true}},"destroy":["#b"]`, w.id("Drafts"), w.id("Archive"))
	if len(r.Created) != 2 || len(r.Updated) != 1 || len(r.Destroyed) != 1 {
		t.Fatalf("%+v", r)
	}
	got := w.email(r.Created["a"]["id"].(string), "keywords", "mailboxIds")
	if !reflect.DeepEqual(got["keywords"], map[string]any{"$flagged": true}) || len(got["mailboxIds"].(map[string]any)) != 2 {
		t.Errorf("%v", got)
	}
	if n := w.mailbox("Drafts").Counts.Emails; n != 1 {
		t.Errorf("%d in Drafts", n)
	}
}

// items are the lines of a mailbox, as ActiveSync shows them, with the subject of each.
func (w *town) items(path string) map[mail.Lineage]string {
	w.T.Helper()
	out := map[mail.Lineage]string{}
	mb := w.mailbox(path).ID
	w.view(func(r store.Reader) error {
		return r.Messages(store.PlacementQuery{Mailbox: mb}, func(p *mail.Placement, m *mail.Message) error {
			parsed, err := message.Decode(m.Parsed)
			out[p.Lineage] = parsed.Envelope.Subject
			return err
		})
	})
	return out
}

func TestAnEditedDraftIsOneDraft(t *testing.T) {
	w := newTown(t)
	first, _ := w.create(`"keywords":{"$draft":true},"subject":"one"`)
	before := w.items("Drafts")
	other, _ := w.create(`"keywords":{"$draft":true},"subject":"other"`)
	r := w.emailSet(`"create":{"n":{"mailboxIds":{"%s":true},"keywords":{"$draft":true},"subject":"two"}},"destroy":["%s"]`, w.id("Drafts"), first)
	if len(r.Created) != 1 || !slices.Equal(r.Destroyed, []string{first}) {
		t.Fatalf("%+v", r)
	}
	after := w.items("Drafts")
	for line := range before {
		if after[line] != "two" || len(after) != 2 {
			t.Errorf("the line of %v has %v", before, after)
		}
	}
	// several at once find their own by the Message-ID
	second := r.Created["n"]["id"].(string)
	ids := map[string]any{}
	for _, id := range []string{second, other} {
		ids[id] = w.email(id, "messageId")["messageId"].([]any)[0]
	}
	lines := w.items("Drafts")
	r = w.emailSet(`"create":{"x":{"mailboxIds":{"%s":true},"keywords":{"$draft":true},"subject":"other, again","messageId":["%s"]},"y":{"mailboxIds":{"%s":true},"keywords":{"$draft":true},"subject":"three","messageId":["%s"]}},"destroy":["%s","%s"]`,
		w.id("Drafts"), ids[other], w.id("Drafts"), ids[second], second, other)
	if len(r.Created) != 2 || len(r.Destroyed) != 2 {
		t.Fatalf("%+v", r)
	}
	want := maps.Clone(lines)
	for line, subject := range lines {
		want[line] = map[string]string{"two": "three", "other": "other, again"}[subject]
	}
	if got := w.items("Drafts"); !maps.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
}

func TestADraftThatCannotBeReplacedStays(t *testing.T) {
	w := newTown(t)
	first, _ := w.create(`"keywords":{"$draft":true},"subject":"one"`)
	r := w.emailSet(`"create":{"n":{"mailboxIds":{"%s":true},"keywords":{"$draft":true},"attachments":[{"blobId":"Bgone"}]}},"destroy":["%s"]`, w.id("Drafts"), first)
	if r.NotCreated["n"]["type"] != "blobNotFound" || r.NotDestroyed[first]["type"] != "forbidden" {
		t.Errorf("%+v", r)
	}
	if got := w.email(first, "subject")["subject"]; got != "one" {
		t.Error(got)
	}
}

func TestADraftThatAnotherDeviceReplacedIsNotLost(t *testing.T) {
	w := newTown(t)
	first, _ := w.create(`"keywords":{"$draft":true},"subject":"one"`)
	drafts := w.mailbox("Drafts").ID
	a, err := w.Delivery.Ingest(t.Context(), strings.NewReader("Subject: by the phone\r\n\r\n"))
	if err != nil {
		t.Fatal(err)
	}
	a.Replaces = 1
	w.change(func(tx store.Tx) error { _, err := tx.Append(drafts, a); return err })
	r := w.emailSet(`"create":{"n":{"mailboxIds":{"%s":true},"keywords":{"$draft":true},"subject":"by the browser"}},"destroy":["%s"]`, w.id("Drafts"), first)
	if len(r.Created) != 1 || r.NotDestroyed[first]["type"] != "notFound" {
		t.Errorf("%+v", r)
	}
	if got := slices.Sorted(maps.Values(w.items("Drafts"))); !slices.Equal(got, []string{"by the browser", "by the phone"}) {
		t.Errorf("%q", got)
	}
}

// Whatever a client says an email is to be, it is made or refused, and what is made is
// a message with its own line ends.
func FuzzEmailCreate(f *testing.F) {
	f.Add([]byte(`{"mailboxIds":{"M1":true},"subject":"x","to":[{"email":"a@b"}],"textBody":[{"partId":"t"}],"bodyValues":{"t":{"value":"x\ny"}}}`))
	f.Add([]byte(`{"mailboxIds":{"M1":true},"header:X-A:asURLs:all":[["a"]],"bodyStructure":{"subParts":[{"partId":"t","name":"ü","header:Content-Type":"text/plain; x=y"}]},"bodyValues":{"t":{"value":"."}}}`))
	f.Add([]byte(`{"mailboxIds":{},"header:X-A:asGroupedAddresses":[{"name":"=?","addresses":[{"name":"\\","email":"\"x@"}]}],"header:Y":" a\r\n b","sentAt":"2026-11-22T08:00:00Z"}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		if checkJSON(raw) != nil {
			return
		}
		e := parseNewEmail(raw)
		if e.wrong != nil {
			return
		}
		e.complete("id@example.test", someTime, message.Address{Mailbox: "a", Host: "example.test"})
		for _, use := range e.blobs {
			use.part.Open = textPart("text/plain", use.id).Open
		}
		var b bytes.Buffer
		if err := composeParts(&b, e); err != nil {
			t.Fatal(err)
		}
		if bytes.ContainsAny(bytes.ReplaceAll(b.Bytes(), []byte("\r\n"), nil), "\r\n") {
			t.Fatalf("a bare line end in %q", b.Bytes())
		}
		m, err := message.Parse(&b)
		if err != nil || m.Envelope.MessageID == "" && e.fields["message-id"] == nil && e.rootFields["message-id"] == "" {
			t.Fatalf("%v, %+v", err, m)
		}
		if got := shapeOf(m.Root); countParts(m.Root) != countNew(e.root) {
			t.Fatalf("%s was made of %s", got, raw)
		}
	})
}

var someTime = time.Date(2026, 11, 22, 8, 0, 0, 0, time.UTC)

func composeParts(w io.Writer, e *newEmail) error {
	return compose.WriteParts(w, e.header(), e.root)
}

// countParts counts what was read, not looking into embedded messages.
func countParts(p *message.Part) int {
	n := 1
	for _, c := range p.Parts {
		n += countParts(c)
	}
	return n
}

func countNew(p *compose.Part) int {
	n := 1
	for _, c := range p.Parts {
		n += countNew(c)
	}
	return n
}

func TestWhatOneEmailCanHaveIsBounded(t *testing.T) {
	w := newTown(t)
	parts := func(n int) string {
		return `"bodyStructure":{"subParts":[` + strings.TrimSuffix(strings.Repeat(`{"partId":"t"},`, n), ",") + `]},"bodyValues":{"t":{"value":"x"}}`
	}
	fields := func(n int) string {
		var all []string
		for i := range n {
			all = append(all, fmt.Sprintf(`"header:X-%d:asText":"%s"`, i, strings.Repeat("y ", 7<<10)))
		}
		return strings.Join(all, ",")
	}
	var wrong []string
	for i := range maxWrongProperties + 10 {
		wrong = append(wrong, fmt.Sprintf(`"wrong%d":1`, i))
	}
	for _, c := range []struct {
		properties string
		wrong      int
	}{
		{parts(compose.MaxAttachments - 1), 0}, {parts(compose.MaxAttachments), 1}, {fields(8), 0}, {fields(10), 1}, {strings.Join(wrong, ","), maxWrongProperties},
		{`"bodyStructure":{"partId":"t","type":"text/` + strings.Repeat("x", maxTokenBytes) + `"},"bodyValues":{"t":{"value":"x"}}`, 0},
		{`"bodyStructure":{"partId":"t","type":"text/` + strings.Repeat("x", maxTokenBytes+1) + `"},"bodyValues":{"t":{"value":"x"}}`, 1},
	} {
		id, r := w.create(c.properties)
		list, _ := r.NotCreated["new"]["properties"].([]any)
		if len(list) != c.wrong || (id == "") != (c.wrong > 0) {
			t.Errorf("%s: %v", c.properties[:100], r.NotCreated)
		}
	}
}
