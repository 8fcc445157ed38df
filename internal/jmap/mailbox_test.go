package jmap

import (
	"encoding/json"
	"reflect"
	"slices"
	"strings"
	"testing"

	"lockstep/internal/mail"
	"lockstep/internal/store"
)

// gotMailbox is a Mailbox as it was answered.
type gotMailbox struct {
	ID           string          `json:"id"`
	Name         string          `json:"name"`
	ParentID     *string         `json:"parentId"`
	Role         *string         `json:"role"`
	SortOrder    int             `json:"sortOrder"`
	Total        int             `json:"totalEmails"`
	Unread       int             `json:"unreadEmails"`
	Threads      int             `json:"totalThreads"`
	UnreadThread int             `json:"unreadThreads"`
	MyRights     map[string]bool `json:"myRights"`
	IsSubscribed bool            `json:"isSubscribed"`
}

type gotMailboxes struct {
	State    string       `json:"state"`
	List     []gotMailbox `json:"list"`
	NotFound []string     `json:"notFound"`
}

// methodFault is an error of a method as it was answered.
type methodFault struct {
	Type      string   `json:"type"`
	Arguments []string `json:"arguments"`
}

// must makes a call that succeeds.
func (w *town) must(method, args string, into any) {
	w.T.Helper()
	answers := w.api(`[["` + method + `",` + args + `,"c"]]`)
	if answers[0].name != method {
		w.T.Fatalf("%s %s: %s", method, args, answers[0].args)
	}
	if err := json.Unmarshal(answers[0].args, into); err != nil {
		w.T.Fatalf("%s %s: %s: %v", method, args, answers[0].args, err)
	}
}

// refused makes a call that fails with the error.
func (w *town) refused(want, method, args string) {
	w.T.Helper()
	var e methodFault
	if name := w.call(method, args, &e); name != "error" || e.Type != want {
		w.T.Errorf("%s %s: %s %+v, want %s", method, args, name, e, want)
	}
}

func (w *town) mailboxes() gotMailboxes {
	w.T.Helper()
	var got gotMailboxes
	w.must("Mailbox/get", `{"accountId":"$ACCOUNT"}`, &got)
	return got
}

func TestMailboxesAreShownWithTheirCounts(t *testing.T) {
	w := newTown(t)
	w.put("INBOX", "Subject: one\r\nMessage-ID: <1@x.test>\r\n\r\nbody\r\n")
	w.put("INBOX", "Subject: Re: one\r\nMessage-ID: <2@x.test>\r\nReferences: <1@x.test>\r\n\r\nbody\r\n", `\Seen`)
	w.put("INBOX", "Subject: two\r\n\r\nbody\r\n", `\Seen`)
	w.put("INBOX", "Subject: gone\r\n\r\nbody\r\n", `\Deleted`)
	got := w.mailboxes()
	if len(got.List) != len(mail.Standard) || got.State == "" || got.NotFound == nil {
		t.Fatalf("%+v", got)
	}
	in := got.List[0]
	if in.Name != "Inbox" || in.Role == nil || *in.Role != "inbox" || in.ParentID != nil || in.Total != 3 || in.Unread != 1 || in.Threads != 2 || in.UnreadThread != 1 {
		t.Errorf("%+v", in)
	}
	if in.MyRights["mayRename"] || in.MyRights["mayDelete"] || !in.MyRights["mayAddItems"] || len(in.MyRights) != 9 {
		t.Errorf("of the inbox one has the rights %v", in.MyRights)
	}
	if r := got.List[1].MyRights; !r["mayRename"] || !r["mayDelete"] || !r["mayCreateChild"] {
		t.Errorf("of another mailbox one has the rights %v", r)
	}

	var some gotMailboxes
	w.must("Mailbox/get", `{"accountId":"$ACCOUNT","ids":["`+in.ID+`","M9zz","x","`+in.ID+`"],"properties":["name"]}`, &some)
	if len(some.List) != 1 || some.List[0].ID != in.ID || some.List[0].Total != 0 || !slices.Equal(some.NotFound, []string{"M9zz", "x"}) {
		t.Errorf("%+v", some)
	}
	w.refused("invalidArguments", "Mailbox/get", `{"accountId":"$ACCOUNT","properties":["colour"]}`)
	w.refused("accountNotFound", "Mailbox/get", `{"accountId":"A99"}`)
	w.refused("requestTooLarge", "Mailbox/get", `{"accountId":"$ACCOUNT","ids":["x`+strings.Repeat(`","x`, 1000)+`"]}`)
}

func TestChangesOfCountsAloneSaySo(t *testing.T) {
	w := newTown(t)
	state := w.mailboxes().State
	inbox, sent := w.mailbox("INBOX").ID.String(), w.mailbox("Sent")
	type changes struct {
		NewState                    string
		Created, Updated, Destroyed []string
		UpdatedProperties           []string
	}
	since := func(state string) (c changes) {
		t.Helper()
		w.must("Mailbox/changes", `{"accountId":"$ACCOUNT","sinceState":"`+state+`"}`, &c)
		return c
	}
	if c := since(state); c.NewState != state || len(c.Updated) != 0 || c.UpdatedProperties != nil {
		t.Errorf("nothing happened: %+v", c)
	}
	w.put("INBOX", "Subject: one\r\n\r\nbody\r\n")
	c := since(state)
	if !slices.Equal(c.Updated, []string{inbox}) || !slices.Equal(c.UpdatedProperties, mailboxCounts) {
		t.Errorf("mail came: %+v", c)
	}
	w.change(func(tx store.Tx) error {
		im := sent.Image()
		im.SortOrder = 7
		return tx.SetMailbox(sent.ID, im)
	})
	if c = since(state); len(c.Updated) != 2 || c.UpdatedProperties != nil {
		t.Errorf("an order changed too: %+v", c)
	}
	if got := w.mailboxes().State; got != c.NewState {
		t.Errorf("the state is %s, changes lead to %s", got, c.NewState)
	}
	if reflect.DeepEqual(c, since(c.NewState)) {
		t.Error("what was told is told again")
	}
}
