package e2e

import (
	"strings"
	"testing"
)

// A node reads the mail of those who search there, wherever it came in, and of nobody
// else; and what it has not read yet it finds all the same.
func TestANodeIndexesWhoSearchesThere(t *testing.T) {
	t.Parallel()
	all := nodes(t, 2, "")
	all[0].addAccount(alice)
	c, err := all[1].dial(alice, password)
	if err != nil {
		t.Fatal(err)
	}
	defer c.close()
	find := func() {
		t.Helper()
		if _, err := c.do("SELECT INBOX"); err != nil {
			t.Fatal(err)
		}
		found, err := c.do("SEARCH TEXT needle")
		if err != nil || !strings.Contains(strings.Join(found, ""), "* SEARCH 1\r\n") {
			t.Errorf("found %q, %v", found, err)
		}
	}
	all[0].lmtp(alice, "Subject: letter\r\n\r\nA needle.\r\n")
	find()
	if !eventually(func() bool { return all[1].metric("search_indexed_total", "") == 1 }) {
		t.Error("the node does not index the mail of who searches there")
	}
	find()
	if n := all[0].metric("search_indexed_total", ""); n != 0 {
		t.Errorf("a node where nobody is has read %v messages", n)
	}
}
