package jmap

import (
	"testing"

	"lockstep/internal/store/sqlstore"
)

// On the engine that people run, subscribing is a change of the mailbox too, and the
// states that a set tells are those that a get tells.
func TestSubscribingChangesTheState(t *testing.T) {
	m := newMill(t, sqlstore.Options{})
	id := m.boxes[1].ID.String()
	state := func() string {
		var got gotMailboxes
		m.ask("Mailbox/get", `{"accountId":"$ACCOUNT","ids":[]}`, &got)
		return got.State
	}
	for _, args := range []string{
		`"update":{"` + id + `":{"isSubscribed":false}}`, `"update":{"` + id + `":{"isSubscribed":true}}`, `"create":{"x":{"name":"X","isSubscribed":true}}`,
		`"update":{"` + id + `":{"name":"Renamed"}}`,
	} {
		before := state()
		var g gotSet
		m.ask("Mailbox/set", `{"accountId":"$ACCOUNT",`+args+`}`, &g)
		if now := state(); g.OldState != before || g.NewState != now || now == before {
			t.Errorf("%s: from %s to %s, a get tells %s and then %s", args, g.OldState, g.NewState, before, now)
		}
	}
	before := state()
	var g gotSet
	if m.ask("Mailbox/set", `{"accountId":"$ACCOUNT","update":{"`+id+`":{"isSubscribed":true}}}`, &g); g.NewState != before || len(g.Updated) != 1 {
		t.Errorf("nothing changed: %+v", g)
	}
}
