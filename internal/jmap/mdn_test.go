package jmap

import (
	"encoding/json"
	"strings"
	"testing"

	"lockstep/internal/message"
)

const wantsReceipt = "From: bob@example.test\r\nTo: alice@example.test\r\nSubject: important\r\nMessage-ID: <i@x>\r\nDisposition-Notification-To: bob@example.test\r\nOriginal-Recipient: rfc822;alias@example.test\r\n\r\nread this\r\n"

// mdnAnswer is what MDN/send answers.
type mdnAnswer struct {
	Sent    map[string]object
	NotSent map[string]*setError
}

func TestAReceiptIsSentOnce(t *testing.T) {
	w := newTown(t)
	bob, _ := w.neighbours()
	email := w.emailID(w.put("INBOX", wantsReceipt))
	send := func() (out mdnAnswer, more []response) {
		answers := w.api(`[["MDN/send",{"accountId":"$ACCOUNT","identityId":"` + w.identity() + `","send":{"k":{"forEmailId":"` + email + `","textBody":"gelesen: ja, ü","reportingUA":"tests; Lockstep",
			"includeOriginalMessage":true,"disposition":{"actionMode":"manual-action","sendingMode":"mdn-sent-manually","type":"displayed"},"extensionFields":{"X-Mood":"good"}}},
			"onSuccessUpdateEmail":{"#k":{"keywords/$seen":true,"keywords/$mdnsent":true}}},"c"]]`)
		if err := json.Unmarshal(answers[0].args, &out); err != nil || answers[0].name != "MDN/send" {
			t.Fatalf("%s", answers)
		}
		return out, answers[1:]
	}
	out, more := send()
	if out.Sent["k"] == nil || out.Sent["k"]["finalRecipient"] != "rfc822; alice@example.test" || out.Sent["k"]["originalMessageId"] != "<i@x>" || len(more) != 1 || more[0].name != "Email/set" {
		t.Fatalf("%+v %+v %s", out, out.NotSent["k"], more)
	}
	if again, more := send(); again.NotSent["k"] == nil || again.NotSent["k"].Type != "mdnAlreadySent" || len(more) != 0 {
		t.Errorf("%+v", again)
	}
	got := w.Inbox(bob)
	if len(got) != 1 || !strings.Contains(got[0], "Return-Path: <>\r\n") && !strings.Contains(got[0], "report-type=disposition-notification") {
		t.Fatalf("%q", got)
	}
	at := strings.NewReader(got[0])
	whole, err := message.Parse(at)
	if err != nil {
		t.Fatal(err)
	}
	m, err := readMDN(strings.NewReader(got[0]), whole)
	if err != nil {
		t.Fatal(err)
	}
	b, _ := json.Marshal(m)
	const want = `{"forEmailId":null,"subject":"Read: important","textBody":"gelesen: ja, ü","includeOriginalMessage":true,"reportingUA":"tests; Lockstep",` +
		`"disposition":{"actionMode":"manual-action","sendingMode":"mdn-sent-manually","type":"displayed"},"mdnGateway":null,"originalRecipient":"rfc822;alias@example.test",` +
		`"finalRecipient":"rfc822; alice@example.test","originalMessageId":"\u003ci@x\u003e","error":null,"extensionFields":{"X-Mood":"good"}}`
	if string(b) != want {
		t.Errorf("%s, want %s", b, want)
	}
	var emails getAnswer
	w.call("Email/get", `{"accountId":"$ACCOUNT","ids":["`+email+`"],"properties":["keywords"]}`, &emails)
	if s, _ := json.Marshal(emails.List[0]["keywords"]); string(s) != `{"$mdnsent":true,"$seen":true}` {
		t.Errorf("%s", s)
	}
}

func TestWhatReceiptsRefuse(t *testing.T) {
	w := newTown(t)
	w.neighbours()
	plain, wants := w.emailID(w.put("INBOX", letter)), w.emailID(w.put("INBOX", wantsReceipt))
	const displayed = `"disposition":{"actionMode":"manual-action","sendingMode":"mdn-sent-manually","type":"displayed"}`
	for create, want := range map[string]string{
		`"forEmailId":"none",` + displayed:          "notFound",
		`"forEmailId":"` + plain + `",` + displayed: "notFound",
		displayed:                      "invalidProperties",
		`"forEmailId":"` + wants + `"`: "invalidProperties",
		`"forEmailId":"` + wants + `","disposition":{"type":"eaten"}`:                  "invalidProperties",
		`"forEmailId":"` + wants + `",` + displayed + `,"reportingUA":"a\r\nb"`:        "invalidProperties",
		`"forEmailId":"` + wants + `",` + displayed + `,"extensionFields":{"a:b":"c"}`: "invalidProperties",
		`"forEmailId":"` + wants + `",` + displayed + `,"mdnGateway":"x"`:              "invalidProperties",
	} {
		var out mdnAnswer
		w.call("MDN/send", `{"accountId":"$ACCOUNT","identityId":"`+w.identity()+`","send":{"k":{`+create+`}},"onSuccessUpdateEmail":{"#k":{"keywords/$mdnsent":true}}}`, &out)
		if e := out.NotSent["k"]; e == nil || e.Type != want {
			t.Errorf("%s: %+v, want %s", create, e, want)
		}
	}
	for patch, want := range map[string]bool{
		`{"keywords/$mdnsent":true}`: true, `{"keywords/$MDNSent":true}`: true, `{"keywords":{"$mdnsent":true}}`: true, `{"keywords/$mdnsent":null}`: false, `{"keywords":{}}`: false, `{"keywords":7}`: false, `{}`: false,
	} {
		var p patchObject
		if err := json.Unmarshal([]byte(patch), &p); err != nil || setsMDNSent(p) != want {
			t.Errorf("%s: %v", patch, err)
		}
	}
	if name := w.call("MDN/send", `{"accountId":"$ACCOUNT","identityId":"I99","send":{}}`, &object{}); name != "error" {
		t.Error(name)
	}
}

func TestReceiptsAreParsed(t *testing.T) {
	w := newTown(t)
	w.neighbours()
	mdn := w.emailID(w.put("INBOX", "From: bob@example.test\r\nSubject: Read\r\nContent-Type: multipart/report; report-type=disposition-notification; boundary=x\r\n\r\n--x\r\n\r\nread it\r\n--x\r\nContent-Type: message/disposition-notification\r\n\r\nFinal-Recipient: rfc822;bob@example.test\r\nDisposition: automatic-action/MDN-sent-automatically; displayed/error\r\nError: odd\r\n--x--\r\n"))
	plain := w.emailID(w.put("INBOX", letter))
	var out struct {
		Parsed                map[string]mdnObject
		NotParsable, NotFound []string
	}
	w.call("MDN/parse", `{"accountId":"$ACCOUNT","blobIds":["B`+mdn+`","B`+plain+`","Bnone"]}`, &out)
	m := out.Parsed["B"+mdn]
	if m.FinalRecipient != "rfc822;bob@example.test" || m.Disposition.Type != "displayed" || len(m.Error) != 1 || m.TextBody != "read it" || len(out.NotParsable) != 1 || len(out.NotFound) != 1 {
		t.Errorf("%+v", out)
	}
}

type mdnObject struct {
	FinalRecipient, TextBody string
	Disposition              mdnDisposition
	Error                    []string
}

func FuzzReadMDN(f *testing.F) {
	f.Add(wantsReceipt)
	f.Add("Content-Type: message/disposition-notification\r\n\r\nFinal-Recipient: x\r\nDisposition: a/b;c\r\n")
	f.Fuzz(func(t *testing.T, s string) {
		whole, err := message.Parse(strings.NewReader(s))
		if err != nil {
			t.Fatal(err)
		}
		if m, err := readMDN(strings.NewReader(s), whole); err == nil && (m.Disposition == nil || len(m.ExtensionFields) > maxMDNFields) {
			t.Errorf("%+v", m)
		}
	})
}
