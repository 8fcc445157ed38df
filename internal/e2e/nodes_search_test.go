package e2e

import (
	"strings"
	"testing"
	"time"
)

// Nodes share an account's index, which one of them makes of the mail, wherever that came
// in: what has not been read yet is found all the same, what has been no node reads
// again, and when the node dies that follows the account another goes on.
func TestNodesShareTheSearchIndex(t *testing.T) {
	t.Parallel()
	all := nodes(t, 2, "")
	all[0].addAccount(alice)
	var sessions [2]*client
	for i := range sessions {
		c, err := all[i].dial(alice, password)
		if err != nil {
			t.Fatal(err)
		}
		defer c.close()
		sessions[i] = c
	}
	find := func(node int, what string) string {
		t.Helper()
		if _, err := sessions[node].do("SELECT INBOX"); err != nil {
			t.Fatal(err)
		}
		found, err := sessions[node].do("SEARCH %s", what)
		if err != nil {
			t.Fatal(err)
		}
		return strings.TrimSpace(strings.Join(found, ""))
	}
	all[0].lmtp(alice, "Subject: letter\r\n\r\nA needle.\r\n")
	if found := find(1, "TEXT needle"); !strings.Contains(found, "* SEARCH 1") {
		t.Errorf("found %q", found)
	}
	read := func(node int) int { return all[node].metric("search_indexed_total", "") }
	if !eventually(func() bool { return read(0)+read(1) == 1 }) {
		t.Fatalf("the message was read %d and %d times", read(0), read(1))
	}
	for node := range sessions {
		asked := all[node].metric("search_decided_total", "")
		if found := find(node, "TEXT needle"); !strings.Contains(found, "* SEARCH 1") {
			t.Errorf("node %d found %q", node, found)
		}
		if all[node].metric("search_decided_total", "") != asked+1 {
			t.Errorf("node %d read the message", node)
		}
	}
	if a, b := read(0), read(1); a+b != 1 {
		t.Errorf("the message was read %d and %d times", a, b)
	}
	dies, lives := 1, 0
	if read(0) == 1 {
		dies, lives = 0, 1
	}
	all[dies].kill()
	all[lives].lmtp(alice, "Subject: letter\r\n\r\nAnother needle.\r\n")
	for end := time.Now().Add(2 * time.Minute); read(lives) < 1; time.Sleep(100 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("nobody goes on where the node that died was")
		}
	}
	if found := find(lives, "TEXT needle"); !strings.Contains(found, "* SEARCH 1 2") {
		t.Errorf("found %q", found)
	}
}
