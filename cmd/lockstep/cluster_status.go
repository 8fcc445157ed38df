package main

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"time"

	"lockstep/internal/admin"
	"lockstep/internal/cluster"
)

type clusterStatus struct {
	JSON bool `name:"json" help:"Print all that is known, for programs."`
}

// Help is what --help says below the flags.
func (*clusterStatus) Help() string {
	return "It asks the server that runs here, or else the database itself. A node that was not heard of for half a minute is gone: what it did for all passes to others. After a day it is forgotten."
}

func (s *clusterStatus) Run(ctx context.Context, g *globals) error {
	return g.with(ctx, func(c *admin.Client) error {
		st, err := admin.ClusterStatus.One(ctx, c, admin.Nothing{})
		if err != nil {
			return err
		}
		if s.JSON {
			e := json.NewEncoder(os.Stdout)
			e.SetIndent("", "  ")
			return e.Encode(st)
		}
		return tellCluster(st)
	})
}

// tellCluster prints who serves.
func tellCluster(st admin.ClusterStanding) error {
	if st.Alone {
		fmt.Println("This is one server with a data directory of its own, and no node of several. See docs/operations.md, Several nodes.")
		return nil
	}
	fmt.Printf("The database answers in %v.\n", st.Trip.Round(time.Microsecond*10))
	if len(st.Nodes) == 0 {
		fmt.Println("No node serves, and none did lately.")
	} else if err := printNodes(st); err != nil {
		return err
	}
	if setApart(st.Nodes) {
		fmt.Println("Nodes are set differently: compare what lockstep config print says on each.")
	}
	if st.Held > 0 {
		fmt.Printf("%d outgoing messages are held since the database was changed over or restored, as they may have been sent already: see lockstep queue list, then release or drop them.\n", st.Held)
	}
	if len(st.Leases) > 0 {
		fmt.Printf("Done by commands, or by nodes that have gone: %s.\n", leasesText(st.Leases))
	}
	return nil
}

func printNodes(st admin.ClusterStanding) error {
	t := newTable("NODE", "VERSION", "SCHEMA", "STATE", "SINCE", "SEEN", "DATABASE", "BEHIND", "SETTINGS", "SESSIONS", "DOES FOR ALL", "")
	for _, n := range st.Nodes {
		name := n.Name
		if n.Here {
			name += " *"
		}
		t.row(name, n.Version, n.Schema, n.State, n.Started.Local().Format("2006-01-02 15:04"), agoText(st.Now.Sub(n.Seen)),
			(time.Duration(n.Detail.TripMicro) * time.Microsecond).Round(10*time.Microsecond).String(), behindText(n.Detail.Behind), cmp.Or(n.Detail.Settings, "-"), sessionsText(n.Detail.Sessions), leasesText(n.Leases), nodeNote(n))
	}
	return t.print(os.Stdout)
}

// setApart reports whether nodes that live do not have in common what should be set
// alike.
func setApart(all []admin.ClusterNode) bool {
	first := ""
	for _, n := range all {
		if n.State == admin.Gone || n.Detail.Settings == "" {
			continue
		}
		first = cmp.Or(first, n.Detail.Settings)
		if n.Detail.Settings != first {
			return true
		}
	}
	return false
}

// behindText is how far the sessions of a node are behind, as it last saw.
func behindText(b cluster.Behind) string {
	if b.Commits == 0 {
		return "-"
	}
	return fmt.Sprintf("%d, %v", b.Commits, b.Time.Round(time.Millisecond))
}

// agoText is how long ago something was, to the second.
func agoText(d time.Duration) string { return max(d, 0).Round(time.Second).String() + " ago" }

// sessionsText is how many there are by protocol, without those that have none.
func sessionsText(by map[string]int) string {
	var all []string
	for _, proto := range slices.Sorted(maps.Keys(by)) {
		if by[proto] > 0 {
			all = append(all, fmt.Sprintf("%s %d", proto, by[proto]))
		}
	}
	if len(all) == 0 {
		return "-"
	}
	return strings.Join(all, ", ")
}

func leasesText(all []admin.HeldLease) string {
	var names []string
	for _, l := range all {
		names = append(names, l.Name)
	}
	if len(names) == 0 {
		return "-"
	}
	return strings.Join(names, ", ")
}

// nodeNote is what is wrong with a node.
func nodeNote(n admin.ClusterNode) string {
	var notes []string
	for part, is := range map[string]string{"blobs": n.Detail.Blobs, "bus": n.Detail.Bus} {
		if is != "" {
			notes = append(notes, part+": "+is)
		}
	}
	slices.Sort(notes)
	return strings.Join(notes, "; ")
}
