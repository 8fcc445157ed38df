package sqlstore_test

import (
	"context"
	"testing"

	"lockstep/internal/steady"
	"lockstep/internal/store"
	"lockstep/internal/store/sqlstore"
)

// Whoever is signed out waits for nobody: the counter that orders sign-outs may be held
// by a node that stands still. Each is found, once, in an order that is the same for all.
func TestSignOutsDoNotWaitForEachOther(t *testing.T) {
	n := twoNodes(t)
	ctx, cancel := context.WithTimeout(context.Background(), steady.Patience) // a lock is waited for no longer, and then there is an error
	defer cancel()
	still := n.connect()
	n.sql(still, "BEGIN; SELECT 1 FROM counter WHERE name = 'ending' FOR UPDATE")
	n.must(n.a.SetPassword(ctx, n.ann.ID, []byte("v")))
	n.must(n.b.SetDisabled(ctx, n.bob.Account, true))
	n.sql(still, "ROLLBACK")
	read := func(db *sqlstore.DB) []store.Ending {
		all, err := db.EndingsAfter(ctx, 0, 10)
		n.must(err)
		return all
	}
	a, b := read(n.a), read(n.b)
	if len(a) != 2 || len(b) != 2 || a[0] != b[0] || a[1] != b[1] || a[0].ID != 1 || a[1].ID != 2 || a[0].Account == a[1].Account {
		t.Errorf("one node reads %+v, the other %+v", a, b)
	}
	n.must(n.a.SetPassword(ctx, n.ann.ID, []byte("w")))
	if last, err := n.b.LastEnding(ctx); last != 3 || err != nil {
		t.Errorf("the last is %d, %v", last, err)
	}
	if left := n.number("SELECT count(*) FROM ending_unread"); left != "0" {
		t.Errorf("%s are left without a number", left)
	}
}
