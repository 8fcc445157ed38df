package jmap

import (
	"encoding/json"
	"slices"
	"testing"

	"lockstep/internal/mail"
	"lockstep/internal/store"
)

const replyLetter = "Subject: Re: a\r\nMessage-ID: <2@example.test>\r\nReferences: <1@example.test>\r\nFrom: b@example.test\r\n\r\nyes"

func TestThreadsHaveTheirEmailsInOrder(t *testing.T) {
	w := newTown(t)
	one := w.put("INBOX", "Subject: a\r\nMessage-ID: <1@example.test>\r\nFrom: a@example.test\r\n\r\nno")
	two, deleted := w.put("Archive", replyLetter), w.put("INBOX", "Subject: Re: a\r\nReferences: <1@example.test>\r\n\r\n", `\Deleted`)
	thread := string(w.emails(`"properties":["threadId"]`, w.emailID(two))[0]["threadId"])
	var got struct {
		State    string
		List     []struct{ ID, EmailIDs any }
		NotFound []string
	}
	var raw struct {
		State    string
		List     []map[string]json.RawMessage
		NotFound []string
	}
	w.call("Thread/get", `{"accountId":"$ACCOUNT","ids":[`+thread+`,"T0","none",`+thread+`]}`, &raw)
	want := `["` + w.emailID(one) + `","` + w.emailID(two) + `"]`
	if len(raw.List) != 1 || string(raw.List[0]["emailIds"]) != want || string(raw.List[0]["id"]) != thread || !slices.Equal(raw.NotFound, []string{"T0", "none"}) {
		t.Errorf("%s, want %s; without %s", raw, want, w.emailID(deleted))
	}
	w.call("Thread/get", `{"accountId":"$ACCOUNT","ids":null}`, &got)
	if len(got.List) != 1 {
		t.Errorf("all are %v", got.List)
	}

	state := raw.State
	w.change(func(tx store.Tx) error {
		_, err := tx.Expunge(one.Mailbox, mail.MakeUIDSet(one.UID), false)
		return err
	})
	var changes changesAnswer
	w.call("Thread/changes", `{"accountId":"$ACCOUNT","sinceState":"`+state+`"}`, &changes)
	if len(changes.Updated) != 1 || `"`+changes.Updated[0]+`"` != thread {
		t.Errorf("after one of two left: %v", changes)
	}
	w.change(func(tx store.Tx) error {
		_, err := tx.Expunge(two.Mailbox, mail.MakeUIDSet(two.UID), false)
		return err
	})
	w.call("Thread/changes", `{"accountId":"$ACCOUNT","sinceState":"`+changes.NewState+`"}`, &changes)
	if len(changes.Destroyed) != 1 || `"`+changes.Destroyed[0]+`"` != thread {
		t.Errorf("after both left: %v", changes)
	}
}

func TestAllIsTooMuchPastTheLimit(t *testing.T) {
	w := newTown(t)
	w.server.Limits.ObjectsInGet = 2
	for range 2 {
		w.put("INBOX", "From: a@example.test\r\n\r\n")
	}
	for range 2 {
		for _, method := range []string{"Email/get", "Thread/get"} {
			var e methodError
			name := w.call(method, `{"accountId":"$ACCOUNT","ids":null,"properties":["id"]}`, &e)
			if many := len(w.emailsIn("INBOX")) > 2; many != (e.Type == "requestTooLarge") || many != (name == "error") {
				t.Errorf("%s of %d: %s %v", method, len(w.emailsIn("INBOX")), name, e)
			}
		}
		w.put("INBOX", "From: a@example.test\r\n\r\n")
	}
}

// emailsIn are the emails in a mailbox.
func (w *town) emailsIn(path string) (ids []string) {
	w.T.Helper()
	mb := w.mailbox(path)
	err := w.Store.View(w.T.Context(), w.alice.Account, func(r store.Reader) error {
		return r.Messages(store.PlacementQuery{Mailbox: mb.ID}, func(_ *mail.Placement, m *mail.Message) error {
			ids = append(ids, m.EmailID.String())
			return nil
		})
	})
	if err != nil {
		w.T.Fatal(err)
	}
	return ids
}
