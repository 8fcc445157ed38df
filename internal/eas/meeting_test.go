package eas

import (
	"strings"
	"testing"

	"lockstep/internal/eas/wbxml"
	"lockstep/internal/mail"
	"lockstep/internal/message"
	"lockstep/internal/message/compose"
	"lockstep/internal/store"
)

const invitationMail = "From: Bob <bob@example.test>\r\nTo: tea@example.test\r\nSubject: Dinner\r\nMIME-Version: 1.0\r\nContent-Type: multipart/alternative; boundary=b\r\n\r\n--b\r\n\r\nDinner.\r\n" +
	"--b\r\nContent-Type: text/calendar; method=REQUEST; charset=utf-8\r\n\r\nBEGIN:VCALENDAR\r\nVERSION:2.0\r\nMETHOD:REQUEST\r\nBEGIN:VEVENT\r\nUID:dinner@x\r\nSUMMARY:Dinner\r\n" +
	"DTSTART:20260712T200000Z\r\nDTEND:20260712T220000Z\r\nORGANIZER:mailto:bob@example.test\r\nATTENDEE;CN=Alice:mailto:tea@example.test\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n--b--\r\n"

func meetingRequest(p mail.Placement, response string, more ...*wbxml.Element) *wbxml.Element {
	return wbxml.New(wbxml.MeetingMeetingResponse, wbxml.New(wbxml.MeetingRequest,
		wbxml.Text(wbxml.MeetingUserResponse, response), wbxml.Text(wbxml.MeetingCollectionId, folderID(p.Mailbox)), wbxml.Text(wbxml.MeetingRequestId, itemID(p.Mailbox, p.Lineage))).Add(more...))
}

func sendResponse(more ...*wbxml.Element) *wbxml.Element {
	return wbxml.New(wbxml.MeetingSendResponse).Add(more...)
}

func proposal(start, end string) *wbxml.Element {
	return sendResponse(wbxml.Text(wbxml.MeetingProposedStartTime, start), wbxml.Text(wbxml.MeetingProposedEndTime, end))
}

func TestMeetingResponse(t *testing.T) {
	body := wbxml.New(wbxml.BaseBody, wbxml.Int(wbxml.BaseType, 1), wbxml.Text(wbxml.BaseData, "With pleasure"))
	for _, c := range []struct {
		name     string
		version  version
		response string
		send     *wbxml.Element
		want     []string // of the answer that is sent
	}{
		{"accepted", v161, "1", sendResponse(body), []string{"From: tea@example.test\r\n", "To: bob@example.test\r\n", "Subject: Accepted: Dinner\r\n", "With pleasure", "method=REPLY", "PARTSTAT=3DACCEPTED:mailto:tea@example.test", "UID:dinner@x"}},
		{"tentative", v160, "2", sendResponse(), []string{"Subject: Tentative: Dinner\r\n", "PARTSTAT=3DTENTATIVE"}},
		{"declined", v161, "3", sendResponse(), []string{"Subject: Declined: Dinner\r\n", "PARTSTAT=3DDECLINED"}},
		{"another time", v161, "2", proposal("20260713T200000Z", "20260713T210000Z"), []string{"Subject: New Time Proposed: Dinner\r\n", "method=COUNTER", "DTSTART:20260713T200000Z"}},
		{"another time, before there was such a thing", v160, "2", proposal("20260713T200000Z", "20260713T210000Z"), []string{"method=REPLY", "DTSTART:20260712T200000Z"}},
		{"in silence", v161, "1", nil, nil},
		{"by itself", v141, "1", sendResponse(), nil},
		{"by itself, of old", v121, "3", nil, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			w, neighbour := neighbours(t)
			w.Address("tea@example.test", w.alice.Account)
			src := w.put("INBOX", invitationMail)
			p := w.phone(c.version)
			for range 2 {
				a := p.call("MeetingResponse", meetingRequest(src, c.response, c.send))
				if want := "MeetingResponse(Result(RequestId=" + itemID(src.Mailbox, src.Lineage) + " Status=1))"; short(a) != want {
					t.Errorf("%s, want %s", short(a), want)
				}
				w.start()
			}
			got := w.Inbox(neighbour.Account)
			if len(got) != min(len(c.want), 1) || len(got) != len(w.sent()) {
				t.Fatalf("bob has %d messages, Sent %d", len(got), len(w.sent()))
			}
			for _, want := range c.want {
				if flat := strings.ReplaceAll(got[0], "=\r\n", ""); !strings.Contains(flat, want) {
					t.Errorf("no %q in\n%s", want, got[0])
				}
			}
			inbox, _ := w.contents(w.alice.Account, "INBOX")
			trash, _ := w.contents(w.alice.Account, "Trash")
			if len(inbox) != 0 || len(trash) != 1 {
				t.Errorf("the inbox has %d, Trash %d", len(inbox), len(trash))
			}
		})
	}
}

func TestWhatIsNoMeeting(t *testing.T) {
	w, neighbour := neighbours(t)
	src, plain := w.put("INBOX", invitationMail), w.put("INBOX", original)
	gone := src
	gone.Lineage += 1000
	for name, c := range map[string]struct {
		in   *wbxml.Element
		want string
	}{
		"an ordinary message": {meetingRequest(plain, "1"), "2"},
		"a message not there": {meetingRequest(gone, "1"), "2"},
		"no response":         {meetingRequest(src, "4"), "2"},
		"no request":          {wbxml.New(wbxml.MeetingMeetingResponse), "2"},
		"no ids":              {wbxml.New(wbxml.MeetingMeetingResponse, wbxml.New(wbxml.MeetingRequest, wbxml.Text(wbxml.MeetingUserResponse, "1"))), "2"},
		"no time":             {meetingRequest(src, "1", wbxml.Text(wbxml.MeetingInstanceId, "tomorrow")), "104"},
		"a time of no series": {meetingRequest(src, "1", wbxml.Text(wbxml.MeetingInstanceId, "2026-07-12T20:00:00.000Z")), "146"},
		"half a proposal":     {meetingRequest(src, "1", sendResponse(wbxml.Text(wbxml.MeetingProposedStartTime, "20260713T200000Z"))), "2"},
		"a proposal reversed": {meetingRequest(src, "1", proposal("20260713T200000Z", "20260713T190000Z")), "2"},
	} {
		a := w.phone(v161).call("MeetingResponse", c.in)
		if got := a.Child(wbxml.MeetingResult).Get(wbxml.MeetingStatus); got != c.want {
			t.Errorf("%s: %s, want %s", name, short(a), c.want)
		}
	}
	if inbox, _ := w.contents(w.alice.Account, "INBOX"); len(inbox) != 2 || len(w.Inbox(neighbour.Account)) != 0 {
		t.Error("something was done")
	}
	many := wbxml.New(wbxml.MeetingMeetingResponse)
	for range maxMeetings + 1 {
		many.Add(meetingRequest(plain, "1").Children...)
	}
	many.Children[maxMeetings] = meetingRequest(src, "1").Children[0]
	a := w.phone(v161).call("MeetingResponse", many)
	if got := a.Children[maxMeetings].Get(wbxml.MeetingStatus); got != "2" {
		t.Errorf("one past the bound: %s", got)
	}
}

func TestSendingADraft(t *testing.T) {
	w, neighbour := neighbours(t)
	draft := w.put("Drafts", mailOf("To: bob@example.test", "Subject: tea", "X-Universally-Unique-Identifier: 1"), `\Draft`)
	ref := reference{item: itemID(draft.Mailbox, draft.Lineage)}
	p := w.phone(v161)
	for range 2 {
		src, err := p.request().open(ref)
		if err != nil { // it is gone: the device sends it again
			text := mailOf("To: bob@example.test", "Subject: tea")
			m, err := message.Parse(strings.NewReader(text))
			if err != nil {
				t.Fatal(err)
			}
			if err := p.request().sendDraft("draft 1", compose.Source{Bytes: strings.NewReader(text), Message: m}, mail.Placement{}); err != nil {
				t.Fatal(err)
			}
			continue
		}
		if err := p.request().sendDraft("draft 1", src.Source, src.placement); err != nil {
			t.Fatal(err)
		}
		src.close()
	}
	drafts, _ := w.contents(w.alice.Account, "Drafts")
	copies, flags := w.contents(w.alice.Account, "Sent")
	if len(drafts) != 0 || len(copies) != 1 || flags[0] != `\Seen` || strings.Contains(copies[0], "X-Univ") {
		t.Errorf("Drafts has %d, Sent %q %q", len(drafts), copies, flags)
	}
	if n := len(w.Inbox(neighbour.Account)); n != 1 {
		t.Errorf("bob has %d", n)
	}
	for name, to := range map[string]string{"no recipient": "", "no address": "Bob"} {
		bad := w.put("Drafts", mailOf("To: "+to, "Subject: tea"), `\Draft`)
		src, err := p.request().open(reference{item: itemID(bad.Mailbox, bad.Lineage)})
		if err != nil {
			t.Fatal(err)
		}
		if f := faultOf(p.request().sendDraft(name, src.Source, src.placement)); f.status != statusRecipients {
			t.Errorf("%s: %v, want status 183", name, f)
		}
		src.close()
	}
	if drafts, _ := w.contents(w.alice.Account, "Drafts"); len(drafts) != 2 {
		t.Errorf("Drafts has %d", len(drafts))
	}
}

// An account without Sent and Trash gets them.
func TestMissingMailboxesAreMade(t *testing.T) {
	w, _ := neighbours(t)
	sent, trash := w.mailbox("Sent"), w.mailbox("Trash")
	w.change(func(tx store.Tx) error {
		if err := tx.DeleteMailbox(trash.ID); err != nil {
			return err
		}
		if err := tx.DeleteMailbox(sent.ID); err != nil {
			return err
		}
		_, err := tx.CreateMailbox(mail.MailboxImage{Name: "Sent"}) // which is somebody's own
		return err
	})
	src := w.put("INBOX", invitationMail)
	p := w.phone(v161)
	if s := p.sends("SendMail", composeMail(wbxml.ComposeSendMail, "c", simple, saved)); s != 1 {
		t.Errorf("status %d", s)
	}
	if s := p.call("MeetingResponse", meetingRequest(src, "1")).Child(wbxml.MeetingResult).Get(wbxml.MeetingStatus); s != "1" {
		t.Errorf("status %s", s)
	}
	if texts, _ := w.contents(w.alice.Account, "Sent (sent)"); len(texts) != 1 {
		t.Errorf("Sent has %d", len(texts))
	}
	if texts, _ := w.contents(w.alice.Account, "Trash"); len(texts) != 1 {
		t.Errorf("Trash has %d", len(texts))
	}
}
