package e2e

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
)

// standing is what lockstep cluster status --json says, as far as is looked at here.
type standing struct {
	Alone bool
	Nodes []struct {
		Name, Version, State string
		Here                 bool
		Detail               struct {
			Sessions map[string]int
		}
		Leases []struct{ Name string }
	}
}

func (s *server) standing() (st standing) {
	s.t.Helper()
	if err := json.Unmarshal([]byte(s.lockstep("", "cluster", "status", "--json")), &st); err != nil {
		s.t.Fatal(err)
	}
	return st
}

// A node says who serves and what each does for all, while it runs, and from the
// database when it does not; what it did passes on when it stops.
func TestClusterStatusSaysWhoServes(t *testing.T) {
	t.Parallel()
	all := nodes(t, 2, "")
	does := []string{"pack", "push", "scrub", "unfinished", "upkeep"}
	var last standing
	whole := func(s *server, names ...string) bool {
		last = s.standing()
		var serve, done []string
		for _, n := range last.Nodes {
			serve = append(serve, n.Name)
			for _, l := range n.Leases {
				done = append(done, l.Name)
			}
		}
		return slices.Equal(serve, names) && !slices.ContainsFunc(does, func(name string) bool { return !slices.Contains(done, name) })
	}
	if !eventually(func() bool { return whole(all[0], "n1", "n2") }) {
		t.Fatalf("two nodes: %+v", last)
	}
	if !last.Nodes[0].Here || last.Nodes[1].Here || last.Nodes[1].State != "serving" || last.Alone {
		t.Errorf("as the first says: %+v", last)
	}
	all[0].stop()
	if !eventually(func() bool { return whole(all[1], "n2") }) {
		t.Errorf("after the first stopped: %+v", last)
	}
	if st := all[0].standing(); len(st.Nodes) != 1 || st.Nodes[0].Name != "n2" || st.Nodes[0].Here {
		t.Errorf("from the database: %+v", st)
	}
	if text := all[1].lockstep("", "cluster"); !strings.Contains(text, "n2 *") || !strings.Contains(text, "upkeep") || !strings.Contains(text, "The database answers in ") {
		t.Errorf("in words:\n%s", text)
	}
	one := newServer(t, "")
	one.start()
	if text := one.lockstep("", "cluster"); !strings.HasPrefix(text, "This is one server") {
		t.Errorf("a server of its own: %s", text)
	}
}
