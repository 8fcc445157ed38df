package search

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"lockstep/internal/mail"
	"lockstep/internal/notify"
	"lockstep/internal/notify/notifytest"
	"lockstep/internal/store"
	"lockstep/internal/store/sqlstore"
	"lockstep/internal/store/sqlstore/sqltest"
)

// node is one of several that share a database and hear of each other on the bus.
type node struct {
	*house
	bus notify.Bus
	dir string

	blobs func(context.Context, mail.Blob) (Bytes, error)
}

// newTown is two nodes, with an account.
func newTown(t *testing.T) (here, there *node) {
	t.Helper()
	h := &house{t: t, hub: &notify.Hub{}, dir: t.TempDir(), blobs: map[mail.BlobName][]byte{}, url: sqltest.PostgresURL(t)}
	h.db = sqltest.Open(t, h.url, sqlstore.Options{Hub: h.hub})
	h.account = h.addAccount("alice@example.test")
	h.view(func(r store.Reader) error {
		mb, err := r.MailboxByPath("INBOX")
		h.inbox = mb.ID
		return err
	})
	var air notifytest.Air
	begin := func(own *house) *node {
		n := &node{house: own, bus: air.Node(), dir: t.TempDir(), blobs: h.open}
		leave, err := own.hub.Join(n.bus, h.head, slog.New(slog.DiscardHandler))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			leave()
			n.bus.Close()
		})
		n.again()
		return n
	}
	other := &house{t: t, hub: &notify.Hub{}, account: h.account, inbox: h.inbox, url: h.url}
	other.db = sqltest.Open(t, h.url, sqlstore.Options{Hub: other.hub})
	return begin(h), begin(other)
}

func (h *house) head(ctx context.Context, a mail.AccountID) (head mail.ModSeq, err error) {
	err = h.db.View(ctx, a, func(r store.Reader) error {
		row, err := r.Account()
		head = row.Head
		return err
	})
	return head, err
}

// again begins anew.
func (n *node) again() {
	n.t.Helper()
	var err error
	n.x, err = New(n.dir, Options{Nodes: &Nodes{Dial: n.db.Dial, Readable: sqlstore.Readable, Bus: n.bus}, Store: n.db, Directory: n.db, Hub: n.hub, Secret: []byte("secret"), Blobs: n.blobs})
	if err != nil {
		n.t.Fatal(err)
	}
	x := n.x
	n.t.Cleanup(func() { x.Close() })
}

// indexed is how many messages the index of an account has, as a node sees it; -1: there
// is none.
func (n *node) indexed(a mail.AccountID) int64 {
	s, err := n.x.Status(context.Background(), a)
	if err != nil {
		return -1
	}
	return s.Messages
}

// tables are a node's.
func (n *node) tables() *tables { return n.x.storage.(*tables) }

// lapse ends all claims, as time does.
func (n *node) lapse() {
	n.t.Helper()
	n.exec("", "UPDATE search_state SET until = 0")
}

func TestAnAccountInUseAnywhereIsIndexedForAll(t *testing.T) {
	here, there := newTown(t)
	here.put("Subject: a\r\n\r\nneedle\r\n")
	bob := here.addAccount("bob@example.test")
	defer here.run()()
	defer there.run()()
	if got := there.ask(Text, "needle", there.all()); len(got) != 0 {
		t.Errorf("decided without an index: %v", got)
	}
	there.eventually("who is searched for is indexed", func() bool { return there.indexed(there.account) == 1 })
	if got := here.ask(Text, "needle", here.all()); len(got) != 1 {
		t.Errorf("the other node does not find it: %v", got)
	}
	here.put("Subject: b\r\n\r\nneedle\r\n")
	there.eventually("what is committed elsewhere is followed", func() bool { return there.indexed(there.account) == 2 })
	if here.indexed(bob) != -1 {
		t.Error("an account is indexed that nobody uses")
	}
	stop := there.hub.Watch(bob, func(mail.News) {}) // a session
	defer stop()
	there.x.lookAround()
	here.eventually("who has a session is indexed", func() bool { return here.indexed(bob) == 0 })
}

// However many nodes hear of an account, each message is taken in once.
func TestOneNodeAtATimeFollowsAnAccount(t *testing.T) {
	here, there := newTown(t)
	here.x.need(here.account)
	there.x.need(here.account)
	defer here.run()()
	defer there.run()()
	const n = 40
	for i := range n {
		here.put(fmt.Sprintf("Subject: %d\r\n\r\nneedle %d\r\n", i, i))
		if i%10 == 0 {
			here.eventually("it is indexed", func() bool { return there.indexed(here.account) == int64(i)+1 })
		}
	}
	there.eventually("all is indexed", func() bool { return there.indexed(here.account) == n })
	if a, b := here.x.Stats(), there.x.Stats(); a.Indexed+b.Indexed != n || a.Failed+b.Failed > 0 {
		t.Errorf("taken in %d and %d messages, want %d in all; failed %d and %d", a.Indexed, b.Indexed, n, a.Failed, b.Failed)
	}
	for _, node := range []*node{here, there} {
		if got := node.has("needle 7\r\n"); got != 1 {
			t.Errorf("found %d", got)
		}
	}
}

// A node that died keeps its claims until they end; then another goes on from there.
func TestAnotherNodeGoesOnWhenTheClaimEnds(t *testing.T) {
	here, there := newTown(t)
	here.put("Subject: a\r\n\r\nneedle\r\n")
	here.settle() // and is not heard of again
	here.put("Subject: b\r\n\r\nneedle\r\n")
	there.x.need(there.account)
	_, err := there.x.catchUp(t.Context(), there.account, time.Hour, func() {})
	var held *heldError
	if !errors.As(err, &held) || held.left <= 0 || held.left > claimFor {
		t.Fatalf("while it is claimed: %v", err)
	}
	if there, err := there.x.CatchUpWithin(t.Context(), there.account, time.Millisecond); there || err != nil {
		t.Errorf("caught up %v, %v", there, err)
	}
	there.lapse()
	there.settle()
	if there.indexed(there.account) != 2 || there.x.Stats().Indexed != 1 {
		t.Errorf("%d messages, %+v", there.indexed(there.account), there.x.Stats())
	}
}

// A node that hears of what another follows asks once, and again when the claim ends.
func TestWhatAnotherNodeFollowsCostsLittle(t *testing.T) {
	here, there := newTown(t)
	here.put("Subject: a\r\n\r\nneedle\r\n")
	here.settle()
	there.x.need(there.account)
	serve := func() int64 {
		before := there.tables().trips.Load()
		here.put("Subject: b\r\n\r\nneedle\r\n")
		if err := there.x.serve(t.Context(), there.account, false); err != nil {
			t.Fatal(err)
		}
		return there.tables().trips.Load() - before
	}
	if n := serve(); n > 4 {
		t.Errorf("the first time %d trips", n)
	}
	if n := serve(); n != 0 {
		t.Errorf("the second time %d trips", n)
	}
}

// A node that ends leaves its claims to others at once.
func TestAClaimEndsWithItsNode(t *testing.T) {
	here, there := newTown(t)
	here.put("Subject: a\r\n\r\nneedle\r\n")
	here.settle()
	here.x.Close()
	here.put("Subject: b\r\n\r\nneedle\r\n")
	there.settle()
	if there.indexed(there.account) != 2 {
		t.Errorf("%d messages", there.indexed(there.account))
	}
}

// What was read under a claim that another took meanwhile is not committed, whatever
// the clocks say.
func TestAConsumerThatSleptCommitsNothing(t *testing.T) {
	here, there := newTown(t)
	here.put("Subject: a\r\n\r\nneedle\r\n")
	here.settle()
	slept, err := here.x.storage.take(t.Context(), here.account)
	if err != nil {
		t.Fatal(err)
	}
	there.lapse()
	there.put2(here, "Subject: b\r\n\r\nneedle\r\n")
	there.settle()
	before := there.indexed(there.account)
	err = slept.transact(func() error {
		if err := slept.addDocs([]docRow{{key: 1 << 40, sealed: []byte("x")}}); err != nil {
			return err
		}
		return slept.setState("nonsense")
	})
	slept.putBack()
	if !errors.As(err, new(*heldError)) {
		t.Errorf("it commits: %v", err)
	}
	if here.x.storage.mine(here.account) {
		t.Error("it believes that it has the claim")
	}
	if there.indexed(there.account) != before || there.has("needle") != 2 {
		t.Errorf("%d messages, want %d; %d found", there.indexed(there.account), before, there.has("needle"))
	}
}

// put2 is a commit by way of another node.
func (n *node) put2(other *node, text string) {
	n.t.Helper()
	other.put(text)
}

// Nobody takes a claim from a transaction that is open, and nobody waits for it.
func TestAClaimIsNotTakenFromAnOpenTransaction(t *testing.T) {
	here, there := newTown(t)
	here.put("Subject: a\r\n\r\nneedle\r\n")
	p, err := here.x.storage.take(t.Context(), here.account)
	if err != nil {
		t.Fatal(err)
	}
	there.lapse()
	err = p.transact(func() error {
		if _, err := p.state(); err != nil { // sends what waits
			return err
		}
		// Who waited would wait for ever, as we hold it until that is answered.
		if _, err := there.x.storage.take(t.Context(), here.account); !errors.As(err, new(*heldError)) {
			t.Errorf("taken: %v", err)
		}
		return nil
	})
	p.putBack()
	if err != nil {
		t.Error(err)
	}
}

// An index of a newer version of this program is left to it.
func TestANewerIndexIsLeftAlone(t *testing.T) {
	here, there := newTown(t)
	here.put("Subject: a\r\n\r\nneedle\r\n")
	here.settle()
	here.x.Close()
	here.exec("", fmt.Sprintf("UPDATE search_state SET format = %d", format+1))
	_, err := there.x.catchUp(t.Context(), there.account, time.Hour, func() {})
	if !errors.As(err, new(*heldError)) || there.indexed(there.account) != -1 {
		t.Errorf("%v, %d messages", err, there.indexed(there.account))
	}
}

func TestAnIndexThatNobodyNeededForLongGoes(t *testing.T) {
	here, there := newTown(t)
	here.put("Subject: a\r\n\r\nneedle\r\n")
	here.x.need(here.account)
	here.settle()
	if err := there.x.sweep(t.Context()); err != nil || there.indexed(there.account) != 1 {
		t.Fatalf("it goes at once: %v", err)
	}
	here.exec("", fmt.Sprintf("UPDATE search_state SET needed = needed - %d", (keptFor+time.Hour).Microseconds()))
	if err := there.x.sweep(t.Context()); err != nil {
		t.Fatal(err)
	}
	here.empty()
	if err := here.x.CatchUp(t.Context(), here.account); err != nil || there.indexed(there.account) != 1 {
		t.Errorf("it is not made again: %v, %d", err, there.indexed(there.account))
	}
}

// Somebody's use of an index is noted, to the hour.
func TestUseOfAnIndexIsNoted(t *testing.T) {
	here, there := newTown(t)
	here.put("Subject: a\r\n\r\nneedle\r\n")
	here.settle()
	here.exec("", fmt.Sprintf("UPDATE search_state SET needed = needed - %d", (keptFor+time.Hour).Microseconds()))
	there.x.need(there.account)
	if keep, err := there.x.settleFollowed(t.Context(), there.account); !keep || err != nil {
		t.Fatal(keep, err)
	}
	if err := here.x.sweep(t.Context()); err != nil || here.indexed(here.account) != 1 {
		t.Errorf("%v, %d", err, here.indexed(here.account))
	}
}

// What a crash between the account and its index left goes.
func TestTheIndexOfAnAccountThatIsNoMoreGoes(t *testing.T) {
	here, there := newTown(t)
	here.put("Subject: a\r\n\r\nneedle\r\n")
	here.settle()
	if err := here.db.RemoveAccount(t.Context(), here.account); err != nil {
		t.Fatal(err)
	}
	here.exec("", fmt.Sprintf("UPDATE search_state SET needed = needed - %d", (goneFor+time.Hour).Microseconds()))
	if err := there.x.sweep(t.Context()); err != nil {
		t.Fatal(err)
	}
	here.empty()
}

func TestWhatAServerAloneKeptGoes(t *testing.T) {
	here, _ := newTown(t)
	old, other := filepath.Join(here.dir, "7.db"), filepath.Join(here.dir, "notes.txt")
	for _, name := range []string{old, old + "-wal", other} {
		if err := os.WriteFile(name, nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	defer here.run()()
	here.eventually("the files go", func() bool {
		_, err := os.Stat(old)
		_, wal := os.Stat(old + "-wal")
		return os.IsNotExist(err) && os.IsNotExist(wal)
	})
	if _, err := os.Stat(other); err != nil {
		t.Error(err)
	}
}

// A session keeps an index, and the index's own interest in the account does not.
func TestASessionKeepsAnIndex(t *testing.T) {
	here, _ := newTown(t)
	here.x.need(here.account)
	age := func() {
		here.x.following.Lock()
		defer here.x.following.Unlock()
		here.x.follows[here.account].needed = time.Now().Add(-keptFor - time.Hour)
	}
	age()
	stop := here.hub.Watch(here.account, func(mail.News) {})
	here.x.lookAround()
	if !here.x.Has(here.account) {
		t.Fatal("an account with a session is given up")
	}
	stop()
	age()
	here.x.lookAround()
	if here.x.Has(here.account) {
		t.Error("an account that nobody uses is kept")
	}
}

// Whatever node is told to, no row of what has to go is left, and who follows the
// account begins anew.
func TestWhatHasToGoGoesFromAllNodes(t *testing.T) {
	here, there := newTown(t)
	here.put("Subject: a\r\n\r\nneedle\r\n")
	there.settle()
	if err := here.x.Renew(t.Context(), here.account); err != nil {
		t.Fatal(err)
	}
	here.empty()
	there.put2(here, "Subject: b\r\n\r\nneedle\r\n")
	there.settle() // which believed that it had the claim
	if n := there.x.Stats().Indexed; there.indexed(there.account) != 2 || n != 3 {
		t.Errorf("%d messages, %d were taken in", there.indexed(there.account), n)
	}
	there.x.need(there.account)
	defer there.run()()
	if err := errors.Join(here.db.RemoveAccount(t.Context(), here.account), here.x.Forget(t.Context(), here.account)); err != nil {
		t.Fatal(err)
	}
	there.eventually("it goes", func() bool { return there.indexed(there.account) == -1 && there.x.Lag().Accounts == 0 })
	there.x.heard(there.account, 1) // a word that came late
	there.eventually("the late word is heard", func() bool { return there.x.Lag().Accounts == 0 })
	here.empty()
}

// A node that follows an account makes its index again when another was told to.
func TestANodeIsToldThatAnIndexIsToBeMadeAgain(t *testing.T) {
	here, there := newTown(t)
	here.put("Subject: a\r\n\r\nneedle\r\n")
	there.x.need(there.account)
	defer there.run()()
	there.eventually("it is indexed", func() bool { return there.indexed(there.account) == 1 && there.x.Lag().Accounts == 0 })
	if err := here.x.Renew(t.Context(), here.account); err != nil {
		t.Fatal(err)
	}
	there.eventually("it is made anew", func() bool { return there.x.Stats().Indexed == 2 && there.indexed(there.account) == 1 })
}

// Trips are what a cluster pays: these are what docs/search.md says.
func TestTripsToTheSharedIndex(t *testing.T) {
	here, _ := newTown(t)
	here.fill(300)
	here.settle()
	h := here.house
	for _, tt := range []struct {
		what string
		most int64
		do   func()
	}{
		{"a message that came", 5, func() { h.put(benchLetter(rng(), 1)); here.settle() }},
		{"a hundred that came", 5, func() { h.fill(100); here.settle() }},
		{"a word", 5, func() { h.people("invoice") }},
		{"rows of words", 5, func() { h.people(`"meeting the" from:invoice -budget`) }},
		{"an exact search of what is rare", 7, func() { h.ask(Text, "xylophone", h.all()) }},
		{"nothing to be found", 3, func() { h.people("nothingofthat") }},
	} {
		tt.do() // statements are known then
		before := here.tables().trips.Load()
		tt.do()
		if took := here.tables().trips.Load() - before; took > tt.most {
			t.Errorf("%s took %d trips, want %d at most", tt.what, took, tt.most)
		} else {
			t.Logf("%s: %d trips", tt.what, took)
		}
	}
}

// However large the index is and whatever the planner knows of it, a lookup is a descent
// by all that is known of the key, and ORDER BY with LIMIT is no reason to walk.
func TestLookupsAreDescents(t *testing.T) {
	here, _ := newTown(t)
	here.fill(200)
	here.settle()
	c, err := here.db.Dial(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close(context.Background())
	if err := settle(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	explain := func(analyzed bool) {
		for i, tt := range []struct {
			sql, types, args string
			conds            []string
		}{
			{selectDocs, "bigint, bigint[]", "1, '{1,2}'", []string{"(account_id = $1) AND (message_key = k.n)"}},
			{selectRange, "bigint, bigint, bigint, bigint", "1, 2, 3, 4", []string{"(account_id = $1) AND (message_key >= $2) AND (message_key <= $3)"}},
			{selectTexts, "bigint, bigint[]", "1, '{1,2}'", []string{"(account_id = $1) AND (message_key = k.n)"}},
			{selectKeys, "bigint, bigint[]", "1, '{1,2}'", []string{"(account_id = $1) AND (segment_id = k.n)"}},
			{selectFrom, "bigint, bigint, bytea, bytea, bigint", "1, 2, 'a', 'b', 3", []string{"(account_id = $1) AND (segment_id = $2) AND (first >= $3) AND (first <= $4)"}},
			{strings.ReplaceAll(deleteOf, "TABLE", "search_doc"), "bigint, bigint[]", "1, '{1,2}'", []string{"(account_id = $1) AND (message_key = k.n)"}},
			{strings.NewReplacer("TABLE", "search_block", "KEY", "segment_id, first").Replace(deleteSome), "bigint", "1", []string{"account_id = $1"}},
			{deleteBlocks, "bigint, bigint", "1, 2", []string{"(account_id = $1) AND (segment_id = $2)"}},
			{deleteOne, "bigint, bigint", "1, 2", []string{"(account_id = $1) AND (segment_id = $2)"}},
			{selectBlocks, "bigint, bigint[], bytea[], bytea[]", "1, '{1}', '{a}', '{b}'", []string{"(account_id = $1) AND (segment_id = $0) AND (first <= $1)", "(account_id = $1) AND (segment_id = a.segment_id) AND (first <= a.high) AND (first >="}},
		} {
			name := fmt.Sprintf("plan%d%v", i, analyzed)
			all, err := c.Exec(t.Context(), "SET plan_cache_mode = force_generic_plan; PREPARE "+name+" ("+tt.types+") AS "+tt.sql+"; EXPLAIN (COSTS OFF) EXECUTE "+name+" ("+tt.args+")").ReadAll()
			if err != nil {
				t.Fatal(err)
			}
			plan := ""
			for _, r := range all[len(all)-1].Rows {
				plan += string(r[0]) + "\n"
			}
			for _, cond := range tt.conds {
				if !strings.Contains(plan, "Index Cond: ("+cond) {
					t.Errorf("%s is not found by %s:\n%s", tt.sql, cond, plan)
				}
			}
			if strings.Contains(plan, "Seq Scan") || strings.Contains(plan, "Sort") || strings.Contains(plan, "Filter") {
				t.Errorf("%s walks:\n%s", tt.sql, plan)
			}
		}
	}
	explain(false)
	if err := c.Exec(t.Context(), "ANALYZE").Close(); err != nil {
		t.Fatal(err)
	}
	explain(true)
}

func (h *house) people(text string) []Hit {
	h.t.Helper()
	hits, err := h.x.People(h.t.Context(), h.account, ParseQuery(text), 100)
	if err != nil {
		h.t.Fatal(err)
	}
	return hits
}

func TestMoreAccountsThanTheirBoundAreNotFollowed(t *testing.T) {
	here, _ := newTown(t)
	hub := &notify.Hub{} // of nobody
	here.x.Hub = hub
	now := time.Now()
	for i := range maxFollowed + 1 {
		here.x.needAt(mail.AccountID(1000+i), now.Add(time.Duration(i)*time.Microsecond))
	}
	if n := len(here.x.follows); n != maxFollowed || here.x.Has(1000) || !here.x.Has(1001) || !here.x.Has(1000+maxFollowed) {
		t.Errorf("%d are followed; the first %v", n, here.x.Has(1000))
	}
	watched := 0
	hub.EachWatched(func(mail.AccountID, int) { watched++ })
	if watched != maxFollowed {
		t.Errorf("%d are watched", watched)
	}
}
