package threads

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"

	"lockstep/internal/mail"
)

// msg makes a message: "id<ref ref|subject" at a date; a subject that begins with
// "re " is a reply's. Its number is its place.
func msg(number int, text string) Message {
	head, subject, _ := strings.Cut(text, "|")
	id, refs, _ := strings.Cut(head, "<")
	base, reply := strings.CutPrefix(subject, "re ")
	m := Message{Number: uint32(number), ID: id, Ancestry: strings.Fields(refs), Subject: []byte(base), IsReply: reply}
	m.SentAt, m.Arrived = int64(number), int64(number)
	return m
}

func build(t testing.TB, a Algorithm, list []Message) string {
	b := NewBuilder(a)
	for _, m := range list {
		if err := b.Add(m); err != nil {
			t.Fatal(err)
		}
	}
	f := b.Build()
	var out strings.Builder
	for _, r := range f.Roots() {
		out.WriteString(text(f, r))
	}
	return out.String()
}

// text is a thread as "(1 (2 (3))(4))", a dummy being "*".
func text(f *Forest, n Node) string {
	s := "(" + strconv.Itoa(int(f.Number(n)))
	if f.Number(n) == 0 {
		s = "(*"
	}
	for i, c := range f.Children(n) {
		if i == 0 {
			s += " "
		}
		s += text(f, c)
	}
	return s + ")"
}

func TestThreads(t *testing.T) {
	for _, tt := range []struct {
		name                 string
		messages             []string
		references, refs, os string
	}{
		{"nothing", nil, "", "", ""},
		{"one", []string{"a|x"}, "(1)", "(1)", "(1)"},
		{"a chain", []string{"a|x", "b<a|re x", "c<a b|re x"}, "(1 (2 (3)))", "(1 (2 (3)))", "(1 (2)(3))"},
		{"replies before what they answer", []string{"c<a b|re x", "b<a|re x", "a|x"}, "(3 (2 (1)))", "(3 (2 (1)))", "(1 (2)(3))"},
		{"a missing message in between", []string{"a|x", "c<a b|re x"}, "(1 (2))", "(1 (2))", "(1 (2))"},
		{"a missing parent of two", []string{"b<a|re x", "c<a|re x"}, "(* (1)(2))", "(* (1)(2))", "(1 (2))"},
		{"a missing parent of one", []string{"b<z y a|re x"}, "(1)", "(1)", "(1)"},
		{"missing parents of two, above each other", []string{"c<a b|x", "d<a b|x", "e<a|x"}, "(* (1)(2)(3))", "(* (1)(2)(3))", "(1 (2)(3))"},
		{"no id, and one twice", []string{"|x", "a|y", "a<q|z", "b<a|re w"}, "(1)(2 (4))(3)", "(1)(3)(2 (4))", "(1)(2)(3)(4)"},
		{"it refers to itself", []string{"a<a|x", "b<a b|y"}, "(1)(2)", "(1)(2)", "(1)(2)"},
		{"a loop of two", []string{"a<b|x", "b<a|y"}, "(2 (1))", "(2 (1))", "(1)(2)"},
		{"a loop in the references", []string{"d<a b c a|x", "e<b|y", "f<c|z"}, "(* (1)(2)(3))", "(* (1)(2)(3))", "(1)(2)(3)"},
		{"truncated references are overruled by the message itself", []string{"d<a c|x", "a|y", "b<a|z", "c<a b|w"}, "(2 (3 (4 (1))))", "(2 (3 (4 (1))))", "(1)(2)(3)(4)"},
		{"an earlier link stays", []string{"x<a b|1", "y<c b|2", "b<|3"}, "(3 (1)(2))", "(3 (1)(2))", "(1)(2)(3)"},
		{"quoted ids", []string{`"a.b"@x|s`, `r<a.b@x|t`, `q<"a\.b"@x|u`}, "(1 (2)(3))", "(1 (2)(3))", "(1)(2)(3)"},
		{"the same subject", []string{"a|x", "b|x", "c|y", "d|x"}, "(* (1)(2)(4))(3)", "(1)(2)(3)(4)", "(1 (2)(4))(3)"},
		{"replies by subject", []string{"a|re x", "b|x", "c|re x"}, "(2 (1)(3))", "(1)(2)(3)", "(1 (2)(3))"},
		{"two replies without what they answer", []string{"a|re x", "b|re x"}, "(* (1)(2))", "(1)(2)", "(1 (2))"},
		{"no subject joins nobody", []string{"a|", "b|", "c|re "}, "(1)(2)(3)", "(1)(2)(3)", "(1 (2)(3))"},
		{"dummies with the same subject", []string{"a<m|x", "b<m|x", "c<n|x", "d<n|x"}, "(* (1)(2)(3)(4))", "(* (1)(2))(* (3)(4))", "(1 (2)(3)(4))"},
		{"a dummy takes in a message", []string{"a<m|re x", "b<m|x", "c|x"}, "(* (1)(2)(3))", "(* (1)(2))(3)", "(1 (2)(3))"},
		{"a message before the dummy", []string{"c|x", "a<m|re x", "b<m|re x"}, "(* (1)(2)(3))", "(1)(* (2)(3))", "(1 (2)(3))"},
	} {
		var list []Message
		for i, m := range tt.messages {
			list = append(list, msg(i+1, m))
		}
		for _, a := range []struct {
			algorithm Algorithm
			want      string
		}{{References, tt.references}, {Refs, tt.refs}, {OrderedSubject, tt.os}} {
			if got := build(t, a.algorithm, list); got != a.want {
				t.Errorf("%s, algorithm %d: %s, want %s", tt.name, a.algorithm, got, a.want)
			}
		}
	}
}

func TestOrderOfThreads(t *testing.T) {
	list := []Message{msg(1, "a|x"), msg(2, "b|y"), msg(3, "c<a|z"), msg(4, "d<a|w"), msg(5, "e<q|v"), msg(6, "f<q|u")}
	for i, sent := range []int64{50, 10, 30, 20, 70, 5} {
		list[i].SentAt = sent
	}
	list[1].Arrived = 100 // after all others
	if got, want := build(t, References, list), "(* (6)(5))(2)(1 (4)(3))"; got != want {
		t.Errorf("REFERENCES: %s, want %s", got, want)
	}
	if got, want := build(t, Refs, list), "(1 (4)(3))(* (6)(5))(2)"; got != want {
		t.Errorf("REFS: %s, want %s", got, want)
	}
	for i := range list {
		list[i].Subject = []byte{"ab"[i%2]}
	}
	if got, want := build(t, OrderedSubject, list), "(6 (2)(4))(3 (1)(5))"; got != want {
		t.Errorf("ORDEREDSUBJECT: %s, want %s", got, want)
	}
}

// The algorithm as the RFC has it, step by step over trees, makes the same of
// whatever comes.
func TestThreadsAreThoseOfTheNaiveAlgorithm(t *testing.T) {
	for seed := range uint64(3000) {
		rng := rand.New(rand.NewPCG(seed, 5))
		var list []Message
		for i := range 1 + rng.IntN(12) {
			m := msg(i+1, "")
			if rng.IntN(8) > 0 {
				m.ID = strconv.Itoa(rng.IntN(10))
			}
			for range rng.IntN(4) {
				m.Ancestry = append(m.Ancestry, strconv.Itoa(rng.IntN(12)))
			}
			m.Subject, m.IsReply = []byte([]string{"", "x", "y", "z"}[rng.IntN(4)]), rng.IntN(2) == 0
			m.SentAt, m.Arrived = rng.Int64N(8), rng.Int64N(8)
			list = append(list, m)
		}
		for _, a := range []Algorithm{References, Refs} {
			if got, want := build(t, a, list), naive(a, list); got != want {
				t.Fatalf("seed %d, algorithm %d: %s, want %s\n%+v", seed, a, got, want, list)
			}
		}
	}
}

// tree is a node of the naive algorithm.
type tree struct {
	m      *Message // nil is a dummy
	parent *tree
	kids   []*tree
}

func (n *tree) attach(to *tree) {
	n.detach()
	n.parent = to
	to.kids = append(to.kids, n)
}

func (n *tree) detach() {
	if n.parent != nil {
		n.parent.kids = slices.DeleteFunc(n.parent.kids, func(k *tree) bool { return k == n })
		n.parent = nil
	}
}

func (n *tree) isBelow(above *tree) bool {
	for ; n != nil; n = n.parent {
		if n == above {
			return true
		}
	}
	return false
}

// face is the message that a node is sorted by, and has the subject of.
func (n *tree) face() *Message {
	if n.m != nil {
		return n.m
	}
	return n.kids[0].face()
}

func bySent(a, b *tree) int {
	x, y := a.face(), b.face()
	if x.SentAt != y.SentAt {
		return int(x.SentAt - y.SentAt)
	}
	return int(x.Number) - int(y.Number)
}

func naive(a Algorithm, list []Message) string {
	root := naiveLinks(list)
	naivePrune(root, root)
	for _, n := range root.kids {
		naiveSort(n)
	}
	if a == References {
		slices.SortFunc(root.kids, bySent)
		naiveMerge(root)
		naiveSort(root)
	} else {
		slices.SortFunc(root.kids, func(x, y *tree) int {
			p, q := naiveLatest(x), naiveLatest(y)
			if p.Arrived != q.Arrived {
				return int(p.Arrived - q.Arrived)
			}
			return int(p.Number) - int(q.Number)
		})
	}
	var out string
	for _, n := range root.kids {
		out += n.text()
	}
	return out
}

func naiveLinks(list []Message) *tree {
	ids := map[string]*tree{}
	var all []*tree
	get := func(id string) *tree {
		if ids[id] == nil {
			ids[id] = &tree{}
			all = append(all, ids[id])
		}
		return ids[id]
	}
	for i := range list {
		m := &list[i]
		var n *tree
		if m.ID != "" && get(m.ID).m == nil {
			n = get(m.ID)
		} else {
			n = &tree{}
			all = append(all, n)
		}
		n.m = m
		for j := 1; j < len(m.Ancestry); j++ {
			p, c := get(m.Ancestry[j-1]), get(m.Ancestry[j])
			if c.parent == nil && !p.isBelow(c) {
				c.attach(p)
			}
		}
		n.detach()
		if k := len(m.Ancestry); k > 0 {
			if p := get(m.Ancestry[k-1]); !p.isBelow(n) {
				n.attach(p)
			}
		}
	}
	root := &tree{}
	for _, n := range all {
		if n.parent == nil {
			n.attach(root)
		}
	}
	return root
}

func naivePrune(n, root *tree) {
	for again := true; again; {
		again = false
		for _, k := range slices.Clone(n.kids) {
			naivePrune(k, root)
			if k.m != nil || n == root && len(k.kids) > 1 {
				continue
			}
			for _, c := range slices.Clone(k.kids) {
				c.attach(n)
				again = true
			}
			k.detach()
		}
	}
}

func naiveSort(n *tree) {
	for _, k := range n.kids {
		naiveSort(k)
	}
	slices.SortFunc(n.kids, bySent)
}

func naiveMerge(root *tree) {
	table := map[string]*tree{}
	for _, n := range root.kids {
		s := string(n.face().Subject)
		t := table[s]
		if s != "" && (t == nil || t.m != nil && (n.m == nil || t.m.IsReply && !n.m.IsReply)) {
			table[s] = n
		}
	}
	for _, n := range slices.Clone(root.kids) {
		s := string(n.face().Subject)
		t := table[s]
		if s == "" || t == n || n.parent != root {
			continue
		}
		switch {
		case t.m == nil && n.m == nil:
			for _, c := range slices.Clone(n.kids) {
				c.attach(t)
			}
			n.detach()
		case t.m == nil, n.m.IsReply && !t.m.IsReply:
			n.attach(t)
		default:
			d := &tree{}
			d.attach(root)
			n.attach(d)
			t.attach(d)
			table[s] = d
		}
	}
}

func naiveLatest(n *tree) *Message {
	m := n.m
	for _, k := range n.kids {
		if l := naiveLatest(k); m == nil || l.Arrived > m.Arrived || l.Arrived == m.Arrived && l.Number > m.Number {
			m = l
		}
	}
	return m
}

func (n *tree) text() string {
	s := "(*"
	if n.m != nil {
		s = "(" + strconv.Itoa(int(n.m.Number))
	}
	for i, k := range n.kids {
		if i == 0 {
			s += " "
		}
		s += k.text()
	}
	return s + ")"
}

func TestEntangledReferencesAreRefused(t *testing.T) {
	add := func(b *Builder) (err error) {
		for i := 1; i <= 300 && err == nil; i++ {
			err = b.Add(Message{Number: uint32(i), ID: fmt.Sprint("c", i), Ancestry: []string{fmt.Sprint("c", i-1)}})
		}
		for i := 301; i <= 600 && err == nil; i++ { // each link asks whether c300 is below x, which has a child
			x := fmt.Sprint("x", i)
			err = b.Add(Message{Number: uint32(i), ID: fmt.Sprint("k", i), Ancestry: []string{x}})
			if err == nil {
				err = b.Add(Message{Number: uint32(1000 + i), Ancestry: []string{"c300", x}})
			}
		}
		return err
	}
	b := NewBuilder(References)
	if err := add(b); err != nil {
		t.Fatal(err)
	}
	spent := maxSteps - b.steps
	b = NewBuilder(References)
	if b.steps = spent; add(b) != nil {
		t.Error("at the bound it is refused")
	}
	b = NewBuilder(References)
	if b.steps = spent - 1; mail.KindOf(add(b)) != mail.Limit {
		t.Error("one past the bound it is not refused")
	}
}

func TestDeepThreads(t *testing.T) {
	const n = 200_000
	for _, a := range []Algorithm{References, Refs} {
		b := NewBuilder(a)
		for i := 1; i <= n; i++ { // each answers one that comes later
			if err := b.Add(Message{Number: uint32(i), ID: strconv.Itoa(i), Ancestry: []string{strconv.Itoa(i + 1)}, SentAt: int64(i)}); err != nil {
				t.Fatal(err)
			}
		}
		if f := b.Build(); len(f.Roots()) != 1 || f.Number(f.Roots()[0]) != n {
			t.Errorf("%d threads", len(f.Roots()))
		}
	}
}

func FuzzThreads(f *testing.F) {
	f.Add("a|x\nb<a|re x\nc<a b|re x")
	f.Add("a<b|x\nb<a|y\n\"q\"@x<\"|")
	f.Fuzz(func(t *testing.T, s string) {
		var list []Message
		for i, line := range strings.Split(s, "\n") {
			list = append(list, msg(i+1, line))
		}
		for _, a := range []Algorithm{References, Refs, OrderedSubject} {
			b := NewBuilder(a)
			for _, m := range list {
				if err := b.Add(m); err != nil {
					t.Fatal(err)
				}
			}
			seen := map[uint32]bool{}
			forest := b.Build()
			todo := slices.Clone(forest.Roots())
			for len(todo) > 0 {
				n := todo[0]
				todo = append(todo[1:], forest.Children(n)...)
				if k := forest.Number(n); k > 0 && seen[k] || k == 0 && len(forest.Children(n)) < 2 {
					t.Fatalf("message %d again, or a dummy nobody needs", k)
				}
				seen[forest.Number(n)] = true
			}
			delete(seen, 0)
			if len(seen) != len(list) {
				t.Fatalf("%d of %d messages", len(seen), len(list))
			}
		}
	})
}

func BenchmarkReferences(b *testing.B) {
	var list []Message
	for i := range 100_000 {
		m := Message{Number: uint32(i + 1), ID: fmt.Sprintf("message-%d@example.test", i), Subject: []byte(fmt.Sprint("subject ", i/3)), SentAt: int64(i)}
		for j := i - i%5; j < i; j++ {
			m.Ancestry = append(m.Ancestry, fmt.Sprintf("message-%d@example.test", j))
		}
		list = append(list, m)
	}
	b.ReportAllocs()
	for b.Loop() {
		t := NewBuilder(References)
		for _, m := range list {
			if err := t.Add(m); err != nil {
				b.Fatal(err)
			}
		}
		t.Build()
	}
}
