// Package threads puts messages into conversations by the algorithms of RFC 5256
// §3 and of draft-ietf-morg-inthread §4: from what each message says of itself to
// a forest. It does no I/O and knows neither mailboxes nor protocols.
//
// A message costs about 200 bytes, and each message id that only others name as
// much. Ids and subjects are not kept but
// their 128-bit hashes, under seeds of this process.
package threads

import (
	"cmp"
	"hash/maphash"
	"slices"

	"lockstep/internal/mail"
)

// An Algorithm is a way to make threads.
type Algorithm uint8

// The algorithms. All of them order siblings by sent date.
const (
	// OrderedSubject puts messages with the same base subject together, the later
	// ones below the first.
	OrderedSubject Algorithm = iota
	// References follows the references, and joins threads with the same base
	// subject.
	References
	// Refs follows the references alone, and puts the thread in which something
	// arrived last at the end.
	Refs
)

// A Message is what its thread depends on.
type Message struct {
	Number   uint32 // by which the caller knows it; it grows from message to message
	ID       string // Message-ID, without angle brackets; "" if there is none
	Ancestry []string
	Subject  []byte // the base subject in the form in which it is compared
	IsReply  bool   // the subject says so
	SentAt   int64  // or, where the message does not say, when it arrived; any unit
	Arrived  int64
}

// A Node is a place in a Forest: a message, or a dummy that stands for a parent
// nobody has.
type Node int32

const none Node = -1

// node is a message, or an id that messages refer to.
type node struct {
	parent  Node
	kids    int32  // nodes that have it as their parent
	number  uint32 // 0 is a dummy
	subject int32  // see Builder.subjects; 0 is the empty one
	reply   bool
	sent    int64
	arrived int64
}

// NodeBytes is about what a message takes, or an id that only others name, with its
// place in the table of ids and in the forest.
const NodeBytes = 200

// A Builder makes a Forest: Add messages in their order, then call Build, once.
type Builder struct {
	algorithm Algorithm
	nodes     []node
	ids       map[hash]Node
	subjects  map[hash]int32
	steps     int
}

// maxSteps bounds the search for loops. References that mail programs make need a
// few steps each; with those made to be hard it would grow with the square of the
// messages.
const maxSteps = 100_000_000

// NewBuilder returns an empty Builder.
func NewBuilder(a Algorithm) *Builder {
	return &Builder{algorithm: a, ids: map[hash]Node{}, subjects: map[hash]int32{}, steps: maxSteps}
}

// Size is about how many bytes the Builder and what it builds take.
func (b *Builder) Size() int64 { return int64(len(b.nodes)) * NodeBytes }

type hash [2]uint64

var seeds = [2]maphash.Seed{maphash.MakeSeed(), maphash.MakeSeed()}

func hashOf(s []byte) hash { return hash{maphash.Bytes(seeds[0], s), maphash.Bytes(seeds[1], s)} }

// idHash is hashOf an id. A quoted local part is the same as one without quotes
// (RFC 5256 §3).
func idHash(id string) hash {
	if n := len(id); n > 0 && id[0] == '"' {
		id = unquote(id)
	}
	return hash{maphash.String(seeds[0], id), maphash.String(seeds[1], id)}
}

// unquote takes the quotes off the local part of an id.
func unquote(id string) string {
	b := make([]byte, 0, len(id))
	for i := 1; i < len(id); i++ {
		switch c := id[i]; {
		case c == '"':
			return string(append(b, id[i+1:]...))
		case c == '\\' && i+1 < len(id):
			i++
			b = append(b, id[i])
		default:
			b = append(b, c)
		}
	}
	return id // the quote has no end
}

// Add adds a message. Limit means that its references are too entangled with the
// others'.
func (b *Builder) Add(m Message) error {
	n := b.place(m)
	v := &b.nodes[n]
	v.number, v.reply, v.sent, v.arrived = m.Number, m.IsReply, m.SentAt, m.Arrived
	if b.algorithm != Refs {
		v.subject = b.subject(m.Subject)
	}
	if b.algorithm != OrderedSubject {
		b.follow(n, m.Ancestry)
	}
	if b.steps < 0 {
		return mail.Errorf(mail.Limit, "The messages refer to each other in too many ways")
	}
	return nil
}

// place finds the node of a message: that of its id, unless an earlier message
// has it.
func (b *Builder) place(m Message) Node {
	if m.ID == "" || b.algorithm == OrderedSubject {
		return b.newNode()
	}
	n := b.byID(m.ID)
	if b.nodes[n].number != 0 {
		return b.newNode()
	}
	return n
}

func (b *Builder) newNode() Node {
	b.nodes = append(b.nodes, node{parent: none})
	return Node(len(b.nodes) - 1)
}

func (b *Builder) byID(id string) Node {
	h := idHash(id)
	n, ok := b.ids[h]
	if !ok {
		n = b.newNode()
		b.ids[h] = n
	}
	return n
}

func (b *Builder) subject(text []byte) int32 {
	if len(text) == 0 {
		return 0
	}
	h := hashOf(text)
	n, ok := b.subjects[h]
	if !ok {
		n = int32(len(b.subjects)) + 1
		b.subjects[h] = n
	}
	return n
}

// follow makes the links of step 1: along the references, where they have no
// parent yet, and to the message itself in any case.
func (b *Builder) follow(n Node, ancestry []string) {
	last := none
	for _, id := range ancestry {
		ref := b.byID(id)
		if last != none && b.nodes[ref].parent == none {
			b.link(last, ref)
		}
		last = ref
	}
	if old := b.nodes[n].parent; old != none {
		b.nodes[old].kids--
		b.nodes[n].parent = none
	}
	if last != none {
		b.link(last, n)
	}
}

// link makes parent that of child, which has none, unless that would be a loop.
func (b *Builder) link(parent, child Node) {
	if parent == child || b.nodes[child].kids > 0 && b.isBelow(parent, child) {
		return
	}
	b.nodes[child].parent = parent
	b.nodes[parent].kids++
}

func (b *Builder) isBelow(n, above Node) bool {
	for ; n != none && b.steps >= 0; n = b.nodes[n].parent {
		if n == above {
			return true
		}
		b.steps--
	}
	return false
}

// A Forest is messages in threads. What belongs to a node comes in order.
type Forest struct {
	nodes []node
	roots []Node
	kids  []Node  // of all nodes
	start []int32 // where a node's begin
}

// Roots are the beginnings of the threads.
func (f *Forest) Roots() []Node { return f.roots }

// Number is what the caller knows a message by; 0 is a dummy, which only a root
// with children can be.
func (f *Forest) Number(n Node) uint32 { return f.nodes[n].number }

// Children are the messages right below a node.
func (f *Forest) Children(n Node) []Node { return f.kids[f.start[n]:f.start[n+1]] }

// Build makes the Forest. The Builder must not be used afterwards.
func (b *Builder) Build() *Forest {
	f := &Forest{nodes: b.nodes}
	switch b.algorithm {
	case OrderedSubject:
		f.groupBySubject()
		f.gather()
		f.sortRoots(nil)
	case References:
		f.prune()
		f.sortRoots(f.firstOfDummies())
		f.mergeSubjects(len(b.subjects))
		f.gather()
		f.sortRoots(f.firstOfDummies())
	case Refs:
		f.prune()
		f.gather()
		f.sortByArrival()
	}
	return f
}

// gather makes the lists of children out of the parents, each in the order of the
// sent date.
func (f *Forest) gather() {
	f.start = make([]int32, len(f.nodes)+1)
	for i := range f.nodes {
		if p := f.nodes[i].parent; p != none {
			f.start[p+1]++
		}
	}
	for i := range f.nodes {
		f.start[i+1] += f.start[i]
	}
	f.kids = make([]Node, f.start[len(f.nodes)])
	next := slices.Clone(f.start)
	for i := range f.nodes {
		if p := f.nodes[i].parent; p != none {
			f.kids[next[p]] = Node(i)
			next[p]++
		}
	}
	for i := range f.nodes {
		slices.SortFunc(f.Children(Node(i)), f.compareSent)
	}
}

// compareSent orders two messages by sent date; where it is the same, by number.
func (f *Forest) compareSent(a, b Node) int {
	x, y := &f.nodes[a], &f.nodes[b]
	return cmp.Or(cmp.Compare(x.sent, y.sent), cmp.Compare(x.number, y.number))
}

// sortRoots orders the threads by the sent date of the first message, which for a
// dummy is one of its children.
func (f *Forest) sortRoots(first map[Node]Node) {
	slices.SortFunc(f.roots, func(a, b Node) int { return f.compareSent(orFirst(a, first), orFirst(b, first)) })
}

func orFirst(n Node, first map[Node]Node) Node {
	if c, ok := first[n]; ok {
		return c
	}
	return n
}

// firstOfDummies finds the first child of each dummy.
func (f *Forest) firstOfDummies() map[Node]Node {
	first := map[Node]Node{}
	for i := range f.nodes {
		p := f.nodes[i].parent
		if p == none || f.nodes[p].number != 0 {
			continue
		}
		if c, ok := first[p]; !ok || f.compareSent(Node(i), c) < 0 {
			first[p] = Node(i)
		}
	}
	return first
}

// groupBySubject makes threads of two levels.
func (f *Forest) groupBySubject() {
	order := make([]Node, len(f.nodes))
	for i := range order {
		order[i] = Node(i)
	}
	slices.SortFunc(order, func(a, b Node) int {
		return cmp.Or(cmp.Compare(f.nodes[a].subject, f.nodes[b].subject), f.compareSent(a, b))
	})
	for i, n := range order {
		if i == 0 || f.nodes[n].subject != f.nodes[order[i-1]].subject {
			f.roots = append(f.roots, n)
		} else {
			f.nodes[n].parent = f.roots[len(f.roots)-1]
		}
	}
}

// prune takes the dummies away (step 3), but for those at the top that hold
// several messages together, and finds the roots.
func (f *Forest) prune() {
	held := map[Node]int{} // messages right below each dummy that is left
	for i := range f.nodes {
		if v := &f.nodes[i]; v.number != 0 {
			if v.parent = f.settle(v.parent); v.parent != none && f.nodes[v.parent].number == 0 {
				held[v.parent]++
			}
		}
	}
	for i := range f.nodes {
		v := &f.nodes[i]
		switch {
		case v.number == 0:
			v.parent = none
			if held[Node(i)] > 1 {
				f.roots = append(f.roots, Node(i))
			}
		case v.parent == none:
			f.roots = append(f.roots, Node(i))
		case held[v.parent] == 1:
			v.parent = none
			f.roots = append(f.roots, Node(i))
		}
	}
}

// settle is the nearest message at n or above, else the uppermost dummy. The
// dummies on the way point there afterwards, so that nobody walks the way again.
func (f *Forest) settle(n Node) Node {
	end := n
	for end != none && f.nodes[end].number == 0 && f.nodes[end].parent != none {
		end = f.nodes[end].parent
	}
	for n != end {
		n, f.nodes[n].parent = f.nodes[n].parent, end
	}
	return end
}

// mergeSubjects joins threads with the same base subject (step 5).
func (f *Forest) mergeSubjects(subjects int) {
	m := &merger{Forest: f, first: f.firstOfDummies(), table: make([]Node, subjects+1), kids: map[Node][]Node{}, gone: map[Node]bool{}}
	m.fill()
	for i := range f.nodes {
		if p := f.nodes[i].parent; p != none && f.nodes[p].number == 0 {
			m.kids[p] = append(m.kids[p], Node(i))
		}
	}
	for _, n := range f.roots {
		if s := m.subject(n); s != 0 && m.table[s] != n && f.nodes[n].parent == none {
			m.merge(n, s)
		}
	}
	f.roots = slices.DeleteFunc(append(f.roots, m.made...), func(n Node) bool { return m.gone[n] || f.nodes[n].parent != none })
}

// merger does step 5.
type merger struct {
	*Forest
	first map[Node]Node   // of dummies
	table []Node          // by subject
	kids  map[Node][]Node // of dummies
	gone  map[Node]bool   // dummies whose children another has taken
	made  []Node          // dummies made here
}

// subject is the thread subject: of a dummy its first child's.
func (m *merger) subject(n Node) int32 { return m.nodes[orFirst(n, m.first)].subject }

// fill makes the subject table (step 5.B).
func (m *merger) fill() {
	for i := range m.table {
		m.table[i] = none
	}
	for _, n := range m.roots {
		s := m.subject(n)
		if s == 0 {
			continue
		}
		t := m.table[s]
		if t == none || m.nodes[t].number != 0 && (m.nodes[n].number == 0 || m.nodes[t].reply && !m.nodes[n].reply) {
			m.table[s] = n
		}
	}
}

// merge joins the thread of n with the one the table has for its subject (step
// 5.C).
func (m *merger) merge(n Node, subject int32) {
	t := m.table[subject]
	switch {
	case m.nodes[t].number == 0 && m.nodes[n].number == 0:
		for _, c := range m.kids[n] {
			m.nodes[c].parent = t
		}
		m.gone[n] = true
	case m.nodes[t].number == 0, m.nodes[n].reply && !m.nodes[t].reply:
		m.nodes[n].parent = t
	default:
		d := Node(len(m.nodes))
		m.nodes = append(m.nodes, node{parent: none})
		m.nodes[n].parent, m.nodes[t].parent = d, d
		m.table[subject] = d
		m.made = append(m.made, d)
	}
}

// sortByArrival orders the threads by what arrived last in each.
func (f *Forest) sortByArrival() {
	latest := make(map[Node]Node, len(f.roots))
	for _, root := range f.roots {
		latest[root] = f.latest(root)
	}
	slices.SortFunc(f.roots, func(a, b Node) int { return f.compareArrived(latest[a], latest[b]) })
}

func (f *Forest) compareArrived(a, b Node) int {
	x, y := &f.nodes[a], &f.nodes[b]
	return cmp.Or(cmp.Compare(x.arrived, y.arrived), cmp.Compare(x.number, y.number))
}

// latest is the message of a thread that arrived last.
func (f *Forest) latest(root Node) Node {
	last, todo := none, []Node{root}
	for len(todo) > 0 {
		n := todo[len(todo)-1]
		todo = append(todo[:len(todo)-1], f.Children(n)...)
		if f.nodes[n].number != 0 && (last == none || f.compareArrived(n, last) > 0) {
			last = n
		}
	}
	return last
}
