package jmap

import (
	"strings"
	"testing"

	"lockstep/internal/mail"
	"lockstep/internal/store"
)

// states are those of all types that have one, by the method that asks what changed.
func (w *town) states() map[string]string {
	w.T.Helper()
	states := map[string]string{}
	for _, typ := range []string{"Mailbox", "Email", "Thread", "Identity", "EmailSubmission"} { // a Quota's is what it says
		var got struct{ State string }
		w.must(typ+"/get", `{"accountId":"$ACCOUNT","ids":[]}`, &got)
		states[typ] = got.State
	}
	return states
}

func (w *town) queryState(method string) string {
	w.T.Helper()
	var got struct{ QueryState string }
	w.must(method, `{"accountId":"$ACCOUNT"}`, &got)
	return got.QueryState
}

// restored puts the store back to what it was, as a server that comes up after that
// finds it.
func (w *town) restored(putBack func()) {
	w.T.Helper()
	putBack()
	if err := w.Store.Restored(w.T.Context()); err != nil {
		w.T.Fatal(err)
	}
	old := w.server
	w.server = &Server{Store: old.Store, Directory: old.Directory, Auth: old.Auth, Accounts: old.Accounts, Trails: old.Trails, Delivery: old.Delivery,
		Hostname: old.Hostname, SpoolDir: old.SpoolDir, People: old.People, Blobs: old.Blobs}
}

// Who knows a state of before a restore starts over, whether it is one that the copy
// has had or one of a time that never was; ids and blobs are those they were; and from
// the states of now on everything goes on.
func TestAfterARestoreEveryStateStartsOver(t *testing.T) {
	w := newTown(t)
	kept := w.put("INBOX", "Subject: kept\r\n\r\nx")
	id := w.emailID(kept)
	w.queryState("Email/query") // which makes what queries are answered from
	putBack := w.Model().Copy()
	copied, copiedQuery := w.states(), []string{w.queryState("Email/query"), w.queryState("Mailbox/query")}
	lost := w.put("INBOX", "Subject: lost\r\n\r\nx")
	lostID := w.emailID(lost)
	w.change(func(tx store.Tx) error { _, err := tx.CreateMailbox(mail.MailboxImage{Name: "Lost"}); return err })
	never, neverQuery := w.states(), []string{w.queryState("Email/query"), w.queryState("Mailbox/query")}
	w.restored(putBack)

	now := w.states()
	for _, before := range []map[string]string{copied, never} {
		for typ, state := range before {
			if now[typ] == state {
				t.Errorf("%s has the state it had, %s", typ, state)
			}
			w.refused("cannotCalculateChanges", typ+"/changes", `{"accountId":"$ACCOUNT","sinceState":"`+state+`"}`)
		}
		w.refused("stateMismatch", "Email/set", `{"accountId":"$ACCOUNT","ifInState":"`+before["Email"]+`","destroy":["`+id+`"]}`)
	}
	for i, method := range []string{"Email/queryChanges", "Mailbox/queryChanges"} {
		for _, state := range []string{copiedQuery[i], neverQuery[i]} {
			w.refused("cannotCalculateChanges", method, `{"accountId":"$ACCOUNT","sinceQueryState":"`+state+`"}`)
		}
	}
	var got struct {
		List     []struct{ ID, BlobID string }
		NotFound []string
	}
	w.must("Email/get", `{"accountId":"$ACCOUNT","ids":["`+id+`","`+lostID+`"],"properties":["blobId"]}`, &got)
	if len(got.List) != 1 || got.List[0].ID != id || len(got.NotFound) != 1 {
		t.Errorf("%+v", got)
	}
	var query struct{ IDs []string }
	w.must("Email/query", `{"accountId":"$ACCOUNT"}`, &query)
	if strings.Join(query.IDs, " ") != id {
		t.Errorf("found %v", query.IDs)
	}

	fresh := w.put("INBOX", "Subject: fresh\r\n\r\nx")
	var changes struct{ Created, Updated, Destroyed []string }
	w.must("Email/changes", `{"accountId":"$ACCOUNT","sinceState":"`+now["Email"]+`"}`, &changes)
	if len(changes.Created) != 1 || changes.Created[0] != w.emailID(fresh) || len(changes.Updated)+len(changes.Destroyed) != 0 {
		t.Errorf("since now: %+v", changes)
	}
	if fresh.Message <= lost.Message || fresh.UID <= lost.UID {
		t.Errorf("%+v after %+v", fresh, lost)
	}
	for _, typ := range []string{"Mailbox", "Thread", "Identity", "EmailSubmission"} {
		w.must(typ+"/changes", `{"accountId":"$ACCOUNT","sinceState":"`+now[typ]+`"}`, &changes)
	}
}

// Whoever is pushed to hears of every type when the account came back, wherever it
// stood.
func TestAfterARestoreEverythingIsPushed(t *testing.T) {
	w := newTown(t)
	w.put("INBOX", "Subject: kept\r\n\r\nx")
	putBack := w.Model().Copy()
	for range 3 {
		w.put("INBOX", "Subject: lost\r\n\r\nx")
	}
	f := follower{account: w.alice.Account, who: w.alice.ID, types: pushTypesOf(nil)}
	if _, err := f.look(t.Context(), w.server); err != nil {
		t.Fatal(err)
	}
	w.restored(putBack)
	states, err := f.look(t.Context(), w.server)
	if err != nil {
		t.Fatal(err)
	}
	for _, typ := range []string{"Mailbox", "Email", "Thread"} {
		if states[typ] != w.states()[typ] {
			t.Errorf("%s: pushed %q, is at %q", typ, states[typ], w.states()[typ])
		}
	}
	if states, err := f.look(t.Context(), w.server); err != nil || len(states) != 0 {
		t.Errorf("and again: %v, %v", states, err)
	}
}
