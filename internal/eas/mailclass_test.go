package eas

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"strings"
	"testing"
	"time"

	"lockstep/internal/eas/wbxml"
	"lockstep/internal/mail"
	"lockstep/internal/store"
)

// item is a message of Alice's as the mail class takes it. opened counts how often its
// bytes are.
func (w *town) item(path string, p mail.Placement, opened *int) *mailItem {
	w.T.Helper()
	mb := w.mailbox(path)
	m := &mailItem{drafts: mb.Role == mail.RoleDrafts}
	err := w.Store.View(w.T.Context(), w.alice.Account, func(r store.Reader) error {
		var uids mail.UIDSet
		uids.Add(p.UID)
		notes, err := readMailNotes(r, mb.ID, uids)
		if err != nil {
			return err
		}
		return r.Messages(store.PlacementQuery{Mailbox: mb.ID, UIDs: uids, Located: true}, func(p *mail.Placement, msg *mail.Message) error {
			m.placement, m.message, m.notes = *p, *msg, notes[p.UID]
			m.message.Parsed = bytes.Clone(msg.Parsed)
			return nil
		})
	})
	if err != nil || m.placement.ID == 0 {
		w.T.Fatalf("message %d of %s: %v", p.UID, path, err)
	}
	w.server.init()
	m.open = func() (Body, error) {
		if opened != nil {
			*opened++
		}
		return w.server.Blobs(w.T.Context(), m.message.Blob)
	}
	return m
}

// asAdded checks an item as part of a Sync answer, after a way over the wire, and
// returns it.
func (w *town) asAdded(e *wbxml.Element) *wbxml.Element {
	w.T.Helper()
	doc := wbxml.New(wbxml.AirSyncSync, wbxml.New(wbxml.AirSyncCollections, wbxml.New(wbxml.AirSyncCollection,
		wbxml.Text(wbxml.AirSyncSyncKey, "1-2"), wbxml.Text(wbxml.AirSyncCollectionId, "5"), wbxml.Int(wbxml.AirSyncStatus, 1),
		wbxml.New(wbxml.AirSyncCommands, wbxml.New(wbxml.AirSyncAdd, wbxml.Text(wbxml.AirSyncServerId, "5:1"), e)))))
	var out bytes.Buffer
	if err := wbxml.Encode(&out, doc); err != nil {
		w.T.Fatal(err)
	}
	got := w.decode("Sync", &out)
	for _, t := range []wbxml.Tag{wbxml.AirSyncCollections, wbxml.AirSyncCollection, wbxml.AirSyncCommands, wbxml.AirSyncAdd, wbxml.AirSyncApplicationData} {
		got = got.Child(t)
	}
	return got
}

func (w *town) shown(v version, m *mailItem, o bodyOptions) *wbxml.Element {
	w.T.Helper()
	e, err := v.emailItem(wbxml.AirSyncApplicationData, m, &o)
	if err != nil {
		w.T.Fatal(err)
	}
	return w.asAdded(e)
}

// names are the elements in their order.
func names(e *wbxml.Element) string {
	var list []string
	for _, c := range e.Children {
		list = append(list, c.Tag.Name())
	}
	return strings.Join(list, " ")
}

func prefer(list ...bodyPreference) bodyOptions {
	o := noBodyOptions()
	o.preferences = list
	return o
}

const letter = "From: =?utf-8?q?J=C3=B6rg?= <joerg@sample.test>\r\nSender: office@sample.test\r\nTo: Alice <alice@example.test>, undisclosed-recipients:;, bob@example.test\r\n" +
	"Cc: \"Carla, C.\" <carla@example.test>\r\nReply-To: answers@sample.test\r\nSubject: Re: =?utf-8?q?Gr=C3=BC=C3=9Fe?=\r\nDate: Sun, 12 Jul 2026 10:00:00 +0200\r\n" +
	"Message-ID: <b@sample.test>\r\nReferences: <a@example.test>\r\nImportance: High\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=m\r\n\r\n" +
	"--m\r\nContent-Type: multipart/alternative; boundary=a\r\n\r\n--a\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\nGr\xc3\xbc\xc3\x9fe aus K\xc3\xb6ln.\r\n" +
	"--a\r\nContent-Type: text/html; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\n<html><body><p>Gr\xc3\xbc\xc3\x9fe aus <b>K\xc3\xb6ln</b>.</p><blockquote type=\"cite\">Hello</blockquote></body></html>\r\n--a--\r\n" +
	"--m\r\nContent-Type: application/pdf; name=plan.pdf\r\nContent-Disposition: attachment; filename=plan.pdf\r\nContent-Transfer-Encoding: base64\r\n\r\nJVBERi0xLjQK\r\n--m--\r\n"

func TestEmailElementsByVersion(t *testing.T) {
	w := newTown(t)
	m := w.item("INBOX", w.put("INBOX", letter, `\Flagged`, `\Answered`, "Red_car", "$Junk"), nil)
	const all = "To Cc From Subject ReplyTo DateReceived DisplayTo ThreadTopic Importance Read Attachments Body MessageClass InternetCPID Flag ContentClass NativeBodyType"
	const since14 = all + " Categories LastVerbExecuted"
	for v, want := range map[version]string{
		v121: all,
		v140: since14 + " ConversationId ConversationIndex Sender",
		v141: since14 + " ConversationId ConversationIndex Sender",
		v160: since14 + " IsDraft ConversationId ConversationIndex Sender",
		v161: since14 + " IsDraft ConversationId ConversationIndex Sender",
	} {
		e := w.shown(v, m, prefer(bodyPreference{typ: 1, limit: -1}))
		if got := names(e); got != want {
			t.Errorf("%v:\n got %s\nwant %s", v, got, want)
		}
	}
	e := w.shown(v161, m, prefer(bodyPreference{typ: 1, limit: -1}))
	for tag, want := range map[wbxml.Tag]string{
		wbxml.EmailTo:                `"Alice" <alice@example.test>, bob@example.test`,
		wbxml.EmailCc:                `"Carla, C." <carla@example.test>`,
		wbxml.EmailFrom:              `"Jörg" <joerg@sample.test>`,
		wbxml.EmailSubject:           "Re: Grüße",
		wbxml.EmailReplyTo:           "answers@sample.test",
		wbxml.EmailDisplayTo:         "Alice; bob@example.test",
		wbxml.EmailThreadTopic:       "Grüße",
		wbxml.EmailImportance:        "2",
		wbxml.EmailRead:              "0",
		wbxml.EmailMessageClass:      "IPM.Note",
		wbxml.EmailInternetCPID:      "65001",
		wbxml.EmailContentClass:      contentMessage,
		wbxml.BaseNativeBodyType:     "2",
		wbxml.Email2Sender:           "office@sample.test",
		wbxml.EmailDateReceived:      dateTime(m.message.InternalDate),
		wbxml.Email2ConversationId:   string(conversationID(m.message.Thread)),
		wbxml.Email2LastVerbExecuted: "1",
	} {
		if got := e.Get(tag); got != want {
			t.Errorf("%v is %q, want %q", tag, got, want)
		}
	}
	for tag, want := range map[wbxml.Tag]string{
		wbxml.EmailFlag:       "Flag(Status=2 FlagType=for Follow Up)",
		wbxml.EmailCategories: "Categories(Category=Red car)",
		wbxml.BaseAttachments: "Attachments(Attachment(DisplayName=plan.pdf FileReference=" + m.message.EmailID.String() + ":2 Method=1 EstimatedDataSize=9))",
		wbxml.BaseBody:        "Body(Type=1 EstimatedDataSize=18 Data=Grüße aus Köln.)",
	} {
		if got := strings.ReplaceAll(short(e.Child(tag)), "\r\n", ""); got != want {
			t.Errorf("%v is\n%s, want\n%s", tag, got, want)
		}
	}
	if got, want := hex.EncodeToString([]byte(e.Get(wbxml.Email2ConversationIndex))), "01dd11c9c60000000000"; len(got) != len(want) || !strings.HasPrefix(got, "01dd") {
		t.Errorf("conversation index %s", got)
	}
}

func TestAnUnflaggedMessageHasAnEmptyFlag(t *testing.T) {
	w := newTown(t)
	m := w.item("INBOX", w.put("INBOX", "Subject: a\r\n\r\nb\r\n", `\Seen`), nil)
	e := w.shown(v141, m, noBodyOptions())
	if got := short(e.Child(wbxml.EmailFlag)); got != "Flag" {
		t.Errorf("the flag is %s", got)
	}
	if got := short(e.Child(wbxml.EmailCategories)); got != "Categories" {
		t.Errorf("the categories are %s", got)
	}
	if e.Get(wbxml.EmailRead) != "1" {
		t.Error("it is not read")
	}
}

func TestWhoWishesNoBodyOpensNothing(t *testing.T) {
	w := newTown(t)
	opened := 0
	m := w.item("INBOX", w.put("INBOX", letter), &opened)
	o := noBodyOptions()
	o.none = true
	if e := w.shown(v161, m, o); e.Has(wbxml.BaseBody) || !e.Has(wbxml.BaseAttachments) || opened != 0 {
		t.Errorf("opened %d times: %s", opened, short(e))
	}
	o = noBodyOptions()
	o.schema = []wbxml.Tag{wbxml.EmailSubject, wbxml.EmailRead}
	if e := w.shown(v161, m, o); names(e) != "Subject Read" || opened != 0 {
		t.Errorf("opened %d times: %s", opened, short(e))
	}
	w.shown(v161, m, noBodyOptions())
	if opened != 1 {
		t.Errorf("a body was read in %d times", opened)
	}
	e := w.asAdded(v161.emailFlags(wbxml.AirSyncApplicationData, m, allAspects))
	if names(e) != "Read Flag Categories" || opened != 1 {
		t.Errorf("what changes is %s", names(e))
	}
}

func TestBodyChosenAndCut(t *testing.T) {
	w := newTown(t)
	m := w.item("INBOX", w.put("INBOX", letter), nil)
	text := bodyPreference{typ: 1, limit: -1}
	html := bodyPreference{typ: 2, limit: -1}
	mime := bodyPreference{typ: 4, limit: -1}
	cut := func(p bodyPreference, n int64, all bool) bodyPreference { p.limit, p.allOrNone = n, all; return p }
	preview := func(p bodyPreference, n int) bodyPreference { p.preview = n; return p }
	const page = `<html><body><p>Grüße aus <b>Köln</b>.</p><blockquote type="cite">Hello</blockquote></body></html>`
	for _, c := range []struct {
		name    string
		options func() bodyOptions
		want    string
	}{
		{"nothing said", noBodyOptions, "Body(Type=1 EstimatedDataSize=18 Data=Grüße aus Köln.)"},
		{"the native form", func() bodyOptions { return prefer(text, html) }, "Body(Type=2 EstimatedDataSize=100 Data=" + page + ")"},
		{"MIME that may not be", func() bodyOptions { return prefer(mime, text) }, "Body(Type=1 EstimatedDataSize=18 Data=Grüße aus Köln.)"},
		{"MIME alone, that may not be", func() bodyOptions { return prefer(mime) }, "Body(Type=2 EstimatedDataSize=100 Truncated=1)"},
		{"RTF alone", func() bodyOptions { return prefer(bodyPreference{typ: rtf, limit: 5}) }, "Body(Type=2 EstimatedDataSize=100 Truncated=1 Data=<html)"},
		{"cut inside a character", func() bodyOptions { return prefer(cut(text, 3, false)) }, "Body(Type=1 EstimatedDataSize=18 Truncated=1 Data=Gr)"},
		{"cut to nothing", func() bodyOptions { return prefer(cut(text, 0, false)) }, "Body(Type=1 EstimatedDataSize=18 Truncated=1)"},
		{"all", func() bodyOptions { return prefer(cut(text, 18, true)) }, "Body(Type=1 EstimatedDataSize=18 Data=Grüße aus Köln.)"},
		{"or none", func() bodyOptions { return prefer(cut(text, 17, true)) }, "Body(Type=1 EstimatedDataSize=18 Truncated=1)"},
		{"or the next", func() bodyOptions { return prefer(cut(html, 50, true), cut(text, 50, true)) }, "Body(Type=1 EstimatedDataSize=18 Data=Grüße aus Köln.)"},
		{"a preview of text that is there", func() bodyOptions { return prefer(preview(cut(text, 2, false), 5)) }, "Body(Type=1 EstimatedDataSize=18 Truncated=1 Data=Gr)"},
		{"a preview of text that is not", func() bodyOptions { return prefer(preview(cut(text, 0, false), 5)) }, "Body(Type=1 EstimatedDataSize=18 Truncated=1 Preview=Grüße)"},
		{"a preview of HTML", func() bodyOptions { return prefer(preview(cut(html, 2, false), 7)) }, "Body(Type=2 EstimatedDataSize=100 Truncated=1 Data=<h Preview=Grüße a)"},
		{"the policy", func() bodyOptions { o := prefer(text); o.textCap = 2; return o }, "Body(Type=1 EstimatedDataSize=18 Truncated=1 Data=Gr)"},
		{"the part", func() bodyOptions { o := prefer(cut(text, 0, false)); o.part = &html; return o },
			"Body(Type=1 EstimatedDataSize=18 Truncated=1) BodyPart(Status=1 Type=2 EstimatedDataSize=58 Data=<html><body><p>Grüße aus <b>Köln</b>.</p></body></html>)"},
		{"the part alone", func() bodyOptions { o := noBodyOptions(); o.part = &bodyPreference{typ: 2, limit: 8}; return o },
			"BodyPart(Status=1 Type=2 EstimatedDataSize=58 Truncated=1 Data=<html><b)"},
	} {
		e := w.shown(v141, m, c.options())
		var got []string
		for _, tag := range []wbxml.Tag{wbxml.BaseBody, wbxml.BaseBodyPart} {
			if b := e.Child(tag); b != nil {
				got = append(got, strings.ReplaceAll(short(b), "\r\n", ""))
			}
		}
		if got := strings.Join(got, " "); got != c.want {
			t.Errorf("%s:\n got %s\nwant %s", c.name, got, c.want)
		}
	}
	o := prefer(mime, html)
	o.mimeSupport = 2
	if b := w.shown(v121, m, o).Child(wbxml.BaseBody); b.Get(wbxml.BaseData) != letter || b.Get(wbxml.BaseType) != "4" {
		t.Errorf("MIME is %s", short(b))
	}
	o.mimeSupport = 1
	if b := w.shown(v121, m, o).Child(wbxml.BaseBody); b.Get(wbxml.BaseType) != "2" {
		t.Errorf("MIME of what is no S/MIME: %s", short(b))
	}
}

func TestMessageClasses(t *testing.T) {
	w := newTown(t)
	for i, c := range []struct{ header, class string }{
		{"Content-Type: text/plain", "IPM.Note"},
		{`Content-Type: multipart/signed; protocol="application/pkcs7-signature"; boundary=b`, "IPM.Note.SMIME.MultipartSigned"},
		{`Content-Type: multipart/signed; protocol="application/pgp-signature"; boundary=b`, "IPM.Note"},
		{"Content-Type: application/pkcs7-mime; name=smime.p7m", "IPM.Note.SMIME"},
		{"Content-Type: multipart/report; report-type=delivery-status; boundary=b", "REPORT.IPM.NOTE.NDR"},
		{"Content-Type: multipart/report; report-type=disposition-notification; boundary=b", "REPORT.IPM.NOTE.IPNRN"},
	} {
		p := w.put("INBOX", fmt.Sprintf("Subject: %d\r\nMIME-Version: 1.0\r\n%s\r\n\r\n--b\r\n\r\nx\r\n--b--\r\n", i, c.header))
		o := prefer(bodyPreference{typ: 4, limit: -1})
		o.mimeSupport = 1
		e := w.shown(v161, w.item("INBOX", p, nil), o)
		if got := e.Get(wbxml.EmailMessageClass); got != c.class {
			t.Errorf("%s: class %q, want %q", c.header, got, c.class)
		}
		if isMIME := e.Child(wbxml.BaseBody).Get(wbxml.BaseType) == "4"; isMIME != strings.Contains(c.class, "SMIME") {
			t.Errorf("%s: MIME is %v", c.header, isMIME)
		}
	}
}

func TestDraftsSayBccAndThatTheyAreDrafts(t *testing.T) {
	w := newTown(t)
	p := w.put("Drafts", "To: a@example.test\r\nBcc: Carl <c@example.test>\r\nSubject: s\r\n\r\nb\r\n", `\Draft`)
	e := w.shown(v160, w.item("Drafts", p, nil), noBodyOptions())
	if e.Get(wbxml.Email2IsDraft) != "1" || e.Get(wbxml.Email2Bcc) != `"Carl" <c@example.test>` {
		t.Errorf("got %s", short(e))
	}
	if e := w.shown(v141, w.item("Drafts", p, nil), noBodyOptions()); e.Has(wbxml.Email2IsDraft) || e.Has(wbxml.Email2Bcc) {
		t.Errorf("14.1 has %s", names(e))
	}
}

func TestAnItemWhoseBytesAreDamagedIsTold(t *testing.T) {
	w := newTown(t)
	m := w.item("INBOX", w.put("INBOX", letter), nil)
	m.open = func() (Body, error) { return nil, mail.Errorf(mail.Corrupt, "damaged") }
	e := w.shown(v161, m, noBodyOptions())
	if !strings.Contains(e.Child(wbxml.BaseBody).Get(wbxml.BaseData), "damaged") || e.Get(wbxml.EmailSubject) != "Re: Grüße" {
		t.Errorf("got %s", short(e))
	}
	m.open = func() (Body, error) { return nil, mail.Errorf(mail.Unavailable, "busy") }
	o := noBodyOptions()
	if _, err := v161.emailItem(wbxml.AirSyncApplicationData, m, &o); mail.KindOf(err) != mail.Unavailable {
		t.Errorf("error %v", err)
	}
}

func TestLargeBodiesAreReadAsTheyAreWritten(t *testing.T) {
	w := newTown(t)
	text := strings.Repeat("A line of a long letter.\r\n", 100_000)
	opened := 0
	m := w.item("INBOX", w.put("INBOX", "Subject: long\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n"+text), &opened)
	o := prefer(bodyPreference{typ: 1, limit: -1})
	e, err := v161.emailItem(wbxml.AirSyncApplicationData, m, &o)
	if err != nil {
		t.Fatal(err)
	}
	if data := e.Child(wbxml.BaseBody).Child(wbxml.BaseData); data.From == nil || data.Text != "" {
		t.Error("the body is held")
	}
	var out bytes.Buffer
	if err := wbxml.Encode(&out, e); err != nil || !bytes.Contains(out.Bytes(), []byte(text)) || opened != 2 {
		t.Errorf("%d bytes written, opened %d times, %v", out.Len(), opened, err)
	}
}

func TestFollowUpFlags(t *testing.T) {
	at := func(s string) *time.Time { v, _ := parseDateTime(s); return &v }
	flag := func(children ...*wbxml.Element) *wbxml.Element { return wbxml.New(wbxml.EmailFlag, children...) }
	status := func(n int) *wbxml.Element { return wbxml.Int(wbxml.EmailStatus, n) }
	const day, next = "2026-07-12T00:00:00.000Z", "2026-07-13T00:00:00.000Z"
	dates := func(start, due string) []*wbxml.Element {
		return []*wbxml.Element{wbxml.Text(wbxml.TasksStartDate, start), wbxml.Text(wbxml.TasksUtcStartDate, start), wbxml.Text(wbxml.TasksDueDate, due), wbxml.Text(wbxml.TasksUtcDueDate, due)}
	}
	for _, c := range []struct {
		name string
		in   *wbxml.Element
		want *followUp
		ok   bool
	}{
		{"empty", flag(), nil, true},
		{"cleared", flag(status(0)), nil, true},
		{"active", flag(status(2), wbxml.Text(wbxml.EmailFlagType, "Reply")), &followUp{Status: 2, Type: "Reply"}, true},
		{"due", flag(append(dates(day, next), status(2))...), &followUp{Status: 2, Start: at(day), UTCStart: at(day), Due: at(next), UTCDue: at(next)}, true},
		{"due before it starts", flag(append(dates(next, day), status(2))...), nil, false},
		{"half a date", flag(status(2), wbxml.Text(wbxml.TasksStartDate, day)), nil, false},
		{"complete", flag(status(1), wbxml.Text(wbxml.EmailCompleteTime, day), wbxml.Text(wbxml.TasksDateCompleted, day)), &followUp{Status: 1, CompleteTime: at(day), Completed: at(day)}, true},
		{"complete and no time", flag(status(1)), nil, false},
		{"active and nothing else", flag(status(2)), nil, false},
		{"a reminder at no time", flag(status(2), wbxml.Text(wbxml.EmailFlagType, "Reply"), wbxml.Text(wbxml.TasksReminderSet, "1")), nil, false},
		{"twice the same", flag(status(2), wbxml.Text(wbxml.EmailFlagType, "Call"), wbxml.Text(wbxml.EmailFlagType, "Reply")), &followUp{Status: 2, Type: "Reply"}, true},
		{"no status", flag(wbxml.Text(wbxml.EmailFlagType, "Reply")), nil, false},
		{"no date", flag(status(2), wbxml.Text(wbxml.TasksReminderTime, "yesterday")), nil, false},
		{"too long", flag(status(2), wbxml.Text(wbxml.EmailFlagType, strings.Repeat("x", maxFlagText+1))), nil, false},
	} {
		got, ok := parseFollowUp(c.in)
		if g, w := string(got.note().Value), string(c.want.note().Value); ok != c.ok || ok && g != w {
			t.Errorf("%s: got %s, %v; want %s, %v", c.name, g, ok, w, c.ok)
		}
	}
}

func TestFlagsOfOtherProtocolsWin(t *testing.T) {
	w := newTown(t)
	done := &followUp{Status: flagComplete, Type: "Call"}
	active := &followUp{Status: flagActive, Type: "Call", Subject: "x"}
	for _, c := range []struct {
		flags []string
		note  *followUp
		want  string
	}{
		{nil, nil, "Flag"},
		{nil, active, "Flag"},
		{nil, done, "Flag(Status=1 FlagType=Call)"},
		{[]string{`\Flagged`}, active, "Flag(Subject=x Status=2 FlagType=Call)"},
		{[]string{`\Flagged`}, done, "Flag(Status=2 FlagType=for Follow Up)"},
	} {
		p := w.put("INBOX", "Subject: a\r\n\r\nb\r\n", c.flags...)
		w.change(func(tx store.Tx) error {
			var uids mail.UIDSet
			uids.Add(p.UID)
			if c.note == nil {
				return nil
			}
			_, err := tx.Annotate(p.Mailbox, uids, []mail.Annotation{c.note.note()}, nil)
			return err
		})
		if got := short(w.item("INBOX", p, nil).flagElement()); got != c.want {
			t.Errorf("%v with %v: got %s, want %s", c.flags, c.note, got, c.want)
		}
	}
}

func TestTheLastVerbIsToldWhileItsFlagIsThere(t *testing.T) {
	w := newTown(t)
	at, _ := parseDateTime("2026-07-12T08:00:00.000Z")
	for _, c := range []struct {
		flags []string
		verb  verb
		want  string
	}{
		{nil, verbRepliedAll, ""},
		{[]string{`\Answered`}, verbRepliedAll, "2 2026-07-12T08:00:00.000Z"},
		{[]string{`\Answered`}, verbForwarded, "1 "},
		{[]string{"$Forwarded"}, verbForwarded, "3 2026-07-12T08:00:00.000Z"},
		{[]string{"$Forwarded"}, 0, "3 "},
	} {
		p := w.put("INBOX", "Subject: a\r\n\r\nb\r\n", c.flags...)
		w.change(func(tx store.Tx) error {
			if c.verb == 0 {
				return nil
			}
			var uids mail.UIDSet
			uids.Add(p.UID)
			_, err := tx.Annotate(p.Mailbox, uids, []mail.Annotation{lastVerb{c.verb, at}.note()}, nil)
			return err
		})
		e := v141.emailFlags(wbxml.AirSyncApplicationData, w.item("INBOX", p, nil), allAspects)
		got := e.Get(wbxml.Email2LastVerbExecuted) + " " + e.Get(wbxml.Email2LastVerbExecutionTime)
		if strings.TrimSpace(got) != strings.TrimSpace(c.want) {
			t.Errorf("%v with %d: got %q, want %q", c.flags, c.verb, got, c.want)
		}
	}
}

func TestCategoriesAreKeywords(t *testing.T) {
	for name, keyword := range map[string]string{
		"Work": "Work", "Red car": "Red_car", "a_b": "a&AF8-b", "Grün & Blau": "Gr&APw-n_&ACY-_Blau", "$odd": "&ACQ-odd", "Junk": "&AEo-unk", "(x)": "&ACg-x&ACk-", "猫": "&cys-", "😀": "&2D3eAA-",
	} {
		got, ok := keywordOf(name)
		if !ok || got != keyword {
			t.Errorf("%q became %q, %v; want %q", name, got, ok, keyword)
		}
		if back, ok := categoryOf(got); !ok || back != name {
			t.Errorf("%q came back as %q", name, back)
		}
	}
	for _, keyword := range []string{"$Forwarded", "junk", "NonJunk", "a&b", "&-", "&AF-x"} {
		if name, ok := categoryOf(keyword); ok {
			t.Errorf("%q is a category: %q", keyword, name)
		}
	}
	f, err := mail.NewFlags(`\Seen`, "$Forwarded", "Old", "x_y")
	if err != nil {
		t.Fatal(err)
	}
	got, err := withCategories(f, []string{"New one", "x y"})
	if want := `\Seen $Forwarded New_one x_y`; err != nil || strings.Join(got.Names(), " ") != want {
		t.Errorf("got %v, want %s, %v", got.Names(), want, err)
	}
	if _, err := withCategories(f, make([]string, maxCategories+1)); mail.KindOf(err) != mail.Limit {
		t.Errorf("too many: %v", err)
	}
	if _, err := withCategories(f, []string{strings.Repeat("ü", 200)}); mail.KindOf(err) != mail.Invalid {
		t.Errorf("too long: %v", err)
	}
}

func FuzzCategories(f *testing.F) {
	f.Add("Grün & Blau", "a&AF8-b")
	f.Fuzz(func(t *testing.T, name, keyword string) {
		if k, ok := keywordOf(name); ok {
			if back, ok := categoryOf(k); !ok || back != name {
				t.Errorf("%q became %q, and that %q", name, k, back)
			}
			if _, err := mail.NewFlags(k); err != nil {
				t.Errorf("%q became %q: %v", name, k, err)
			}
		}
		categoryOf(keyword)
	})
}

func TestBodyOptions(t *testing.T) {
	preference := func(children ...*wbxml.Element) *wbxml.Element {
		return wbxml.New(wbxml.BaseBodyPreference, children...)
	}
	typ := func(s string) *wbxml.Element { return wbxml.Text(wbxml.BaseType, s) }
	size := func(s string) *wbxml.Element { return wbxml.Text(wbxml.BaseTruncationSize, s) }
	all := func(s string) *wbxml.Element { return wbxml.Text(wbxml.BaseAllOrNone, s) }
	for name, c := range map[string]struct {
		in   []*wbxml.Element
		ok   bool
		want bodyPreference
	}{
		"whole":             {[]*wbxml.Element{preference(typ("1"), size("4294967295"), all("1"), wbxml.Text(wbxml.BasePreview, "255"))}, true, bodyPreference{1, 4294967295, true, 255}},
		"type alone":        {[]*wbxml.Element{preference(typ("4"))}, true, bodyPreference{4, -1, false, 0}},
		"all of no size":    {[]*wbxml.Element{preference(typ("2"), all("1"))}, true, bodyPreference{2, -1, false, 0}},
		"wrong order":       {[]*wbxml.Element{preference(size("1"), typ("1"))}, false, bodyPreference{}},
		"twice":             {[]*wbxml.Element{preference(typ("1"), all("0"), all("0"))}, false, bodyPreference{}},
		"no type":           {[]*wbxml.Element{preference(size("1"))}, false, bodyPreference{}},
		"no number":         {[]*wbxml.Element{preference(typ("a"))}, false, bodyPreference{}},
		"type 5":            {[]*wbxml.Element{preference(typ("5"))}, false, bodyPreference{}},
		"no boolean":        {[]*wbxml.Element{preference(typ("1"), size("1"), all("a"))}, false, bodyPreference{}},
		"size too large":    {[]*wbxml.Element{preference(typ("1"), size("4294967296"))}, false, bodyPreference{}},
		"preview too large": {[]*wbxml.Element{preference(typ("1"), wbxml.Text(wbxml.BasePreview, "256"))}, false, bodyPreference{}},
		"two of a type":     {[]*wbxml.Element{preference(typ("1")), preference(typ("1"))}, false, bodyPreference{}},
		"other element":     {[]*wbxml.Element{preference(typ("1"), wbxml.Text(wbxml.BaseData, "x"))}, false, bodyPreference{}},
		"MIME support 3":    {[]*wbxml.Element{wbxml.Text(wbxml.AirSyncMIMESupport, "3")}, false, bodyPreference{}},
		"MIME truncation 9": {[]*wbxml.Element{wbxml.Text(wbxml.AirSyncMIMETruncation, "9")}, false, bodyPreference{}},
	} {
		o, ok, err := v141.parseBodyOptions(wbxml.New(wbxml.AirSyncOptions, c.in...))
		if err != nil || ok != c.ok || ok && o.preferences[0] != c.want {
			t.Errorf("%s: got %+v, %v, %v", name, o, ok, err)
		}
	}
	part := wbxml.New(wbxml.AirSyncOptions, wbxml.New(wbxml.BaseBodyPartPreference, typ("1")))
	if _, _, err := v141.parseBodyOptions(part); err == nil || faultOf(err).status != statusBodyPartType {
		t.Errorf("a part as text: %v", err)
	}
	if o, ok, err := v140.parseBodyOptions(part); err != nil || !ok || o.part != nil {
		t.Errorf("a part before 14.1: %v, %v", ok, err)
	}
	if o, ok, _ := v141.parseBodyOptions(nil); !ok || o.mimeLimit != -1 || !o.wantsBody() {
		t.Errorf("no options are %+v", o)
	}
}

func TestMailIDs(t *testing.T) {
	if mb, line, ok := parseItemID(itemID(5, -17)); !ok || mb != 5 || line != 17 {
		t.Errorf("an item id came back as %d, %d, %v", mb, line, ok)
	}
	for _, bad := range []string{"", "5", "5:", ":5", "5:0", "05:1", "5:01", "5:-1", "5:1:1", "0:1", "5:99999999999999999999"} {
		if _, _, ok := parseItemID(bad); ok {
			t.Errorf("%q is an item", bad)
		}
	}
	id := mail.NewEmailID()
	if got, mb, ok := parseLongID(longID(id, 7)); !ok || got != id || mb != 7 {
		t.Errorf("a long id came back as %v, %d, %v", got, mb, ok)
	}
	if got, path, ok := parseFileReference(fileReference(id, "2.1/3")); !ok || got != id || path != "2.1/3" {
		t.Errorf("a file reference came back as %v, %q, %v", got, path, ok)
	}
	for _, bad := range []string{"", "x", id.String(), id.String() + ":", "E:1", id.String() + ":" + strings.Repeat("1", maxPartPath+1)} {
		if _, _, ok := parseFileReference(bad); ok {
			t.Errorf("%q is a file", bad)
		}
	}
	if got, ok := parseConversationID(string(conversationID(12))); !ok || got != 12 || len(conversationID(12)) != 16 {
		t.Errorf("a conversation id came back as %d, %v", got, ok)
	}
	if got, ok := parseConversationID(base64.StdEncoding.EncodeToString(conversationID(12))); !ok || got != 12 {
		t.Errorf("as text it came back as %d, %v", got, ok)
	}
	for _, bad := range []string{"", "lockstep", "lockstep12345678x", "locksteq\x00\x00\x00\x00\x00\x00\x00\x01", string(conversationID(0))} {
		if _, ok := parseConversationID(bad); ok {
			t.Errorf("%q is a conversation", bad)
		}
	}
}
