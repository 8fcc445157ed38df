package imap

import (
	"context"
	"slices"
	"strings"

	"lockstep/internal/imap/wire"
	"lockstep/internal/mail"
	"lockstep/internal/store"
)

// node is a name in the tree of mailboxes: a mailbox, a subscription without one,
// or only something above one of these.
type node struct {
	path        string
	mailbox     *mail.Mailbox // nil if there is none of that name
	subscribed  bool
	hasChildren bool // a mailbox lies below
	childInfo   bool // a match of the selection options lies below (RFC 5258 §3.5)
	unsaid      bool // … one that no pattern names
	metadata    []mail.Metadata
	at          reach
	rights      mail.Rights
	above       bool // something that others share lies below, and no mailbox to be seen is here
}

// tree is everything LIST can name, in the order of the store: INBOX first.
type tree struct {
	nodes []*node
	by    map[string]*node
}

func (t *tree) node(path string) *node {
	n := t.by[path]
	if n == nil {
		n = &node{path: path}
		t.by[path] = n
		t.nodes = append(t.nodes, n)
	}
	return n
}

func readTree(r store.Reader, own reach) (*tree, error) {
	boxes, err := r.Mailboxes()
	if err != nil {
		return nil, err
	}
	t := &tree{by: make(map[string]*node, len(boxes))}
	for i := range boxes {
		n := t.node(boxes[i].Path)
		n.mailbox, n.at, n.rights = &boxes[i], own, mail.AllRights
	}
	for _, mb := range boxes {
		for p := parent(mb.Path); p != ""; p = parent(p) {
			if n := t.by[p]; n != nil {
				n.hasChildren = true
			}
		}
	}
	subscribed, err := r.Subscriptions()
	for _, path := range subscribed {
		t.node(path).subscribed = true
	}
	return t, err
}

// parent is the path above, "" at the top.
func parent(path string) string {
	i := strings.LastIndex(path, mail.Delimiter)
	return path[:max(i, 0)]
}

// patterns match canonical names (RFC 9051 §6.3.9): "*" is anything, "%" anything
// but the delimiter.
type patterns []string

func newPatterns(reference string, list []string) patterns {
	var ps patterns
	for _, p := range list {
		if !strings.HasPrefix(p, mail.Delimiter) {
			p = reference + p
		}
		ps = append(ps, p)
	}
	return ps
}

func (ps patterns) size() (n int) {
	for _, p := range ps {
		n += len(p)
	}
	return n
}

func (ps patterns) match(name string) bool {
	return slices.ContainsFunc(ps, func(p string) bool { return matchPattern(p, name) })
}

// matchPattern costs the length of the pattern times that of the name, whatever
// the wildcards.
func matchPattern(pattern, name string) bool {
	if len(name) >= 5 && strings.EqualFold(name[:5], "INBOX") && len(pattern) >= 5 && strings.EqualFold(pattern[:5], "INBOX") {
		pattern, name = "INBOX"+pattern[5:], "INBOX"+name[5:]
	}
	// reach[j]: the pattern so far matches name[:j].
	reach := make([]bool, len(name)+1)
	reach[0] = true
	for i := range len(pattern) {
		c := pattern[i]
		if c == '*' || c == '%' {
			for j := 1; j <= len(name); j++ {
				reach[j] = reach[j] || reach[j-1] && (c == '*' || name[j-1] != '/')
			}
			continue
		}
		for j := len(name); j > 0; j-- {
			reach[j] = reach[j-1] && name[j-1] == c
		}
		reach[0] = false
	}
	return reach[len(name)]
}

// list serves LIST (RFC 9051 §6.3.9, RFC 5258, RFC 6154 §2, RFC 5819, RFC 9590).
func (s *session) list(ctx context.Context, cmd *wire.List, _ *reply) error {
	if !cmd.Extended && cmd.Patterns[0] == "" {
		s.enc.Star().Atom("LIST").Words(`\Noselect`).String(mail.Delimiter).String("").End()
		return nil
	}

	ps := newPatterns(cmd.Reference, cmd.Patterns)
	if ps.size() > maxPatternBytes {
		return errNo("LIMIT", "The patterns are too long")
	}
	var t *tree
	err := s.view(ctx, func(r store.Reader) (err error) {
		if t, err = readTree(r, reach{account: s.user.Account()}); err != nil {
			return err
		}
		return s.listMetadata(r, reach{account: s.user.Account()}, cmd, t, ps)
	})
	if err != nil {
		return err
	}
	if ps.mayMatchOthers() {
		if err := s.addShared(ctx, t, func(r store.Reader, at reach) error { return s.listMetadata(r, at, cmd, t, ps) }); err != nil {
			return err
		}
	}
	if cmd.Select&wire.SelectRecursiveMatch != 0 {
		t.markParents(cmd, ps)
	}
	for _, n := range t.nodes {
		if !ps.match(n.path) || n.above && !n.subscribed && !n.unsaid && !ps.matchLevel(n.path) {
			continue
		}
		chosen := n.chosen(cmd)
		if !chosen && !n.unsaid { // the child says it itself
			continue
		}
		s.sayList(cmd, n, chosen)
		s.sayMetadata(n.path, n.metadata)
		if n.mailbox == nil || !chosen {
			continue
		}
		if cmd.Return&wire.ReturnMyRights != 0 {
			s.sayMyRights(n.path, n.rights)
		}
		if err := s.sayListStatus(ctx, cmd, n); err != nil {
			return err
		}
	}
	return s.enc.Err()
}

// sayListStatus writes the STATUS of LIST (RFC 5819); of what may not be read there
// is none.
func (s *session) sayListStatus(ctx context.Context, cmd *wire.List, n *node) error {
	if cmd.Status == nil || !n.rights.Has(mail.MayRead) {
		return nil
	}
	mb := *n.mailbox
	if n.at.as != 0 {
		err := s.viewAt(ctx, n.at, func(r store.Reader) (err error) {
			mb, err = r.MailboxAs(mb.ID, n.at.as)
			return err
		})
		if mail.KindOf(err) == mail.NotFound && err != nil {
			return nil // gone meanwhile
		}
		if err != nil {
			return err
		}
	}
	return s.sayStatus(ctx, n.at, mb, cmd.Status)
}

// chosen reports whether the selection options name the node.
func (n *node) chosen(cmd *wire.List) bool {
	if cmd.Select&wire.SelectSubscribed != 0 && !n.subscribed {
		return false
	}
	if cmd.Select&wire.SelectSpecialUse != 0 && n.use() == "" {
		return false
	}
	return n.mailbox != nil || n.above || cmd.Select&wire.SelectSubscribed != 0
}

// markParents notes what lies above the chosen (RECURSIVEMATCH).
func (t *tree) markParents(cmd *wire.List, ps patterns) {
	for _, n := range slices.Clone(t.nodes) {
		if !n.chosen(cmd) {
			continue
		}
		said := ps.match(n.path)
		for p := parent(n.path); p != ""; p = parent(p) {
			above := t.node(p)
			above.childInfo, above.unsaid = true, above.unsaid || !said
		}
	}
}

// sayList writes one LIST response.
func (s *session) sayList(cmd *wire.List, n *node, chosen bool) {
	e := s.enc.Star().Atom("LIST").Open()
	for _, a := range n.attributes(cmd) {
		e.Atom(a)
	}
	e.Close().String(mail.Delimiter).Mailbox(n.path)
	if n.childInfo && cmd.Select&wire.SelectRecursiveMatch != 0 {
		if what := childInfo(cmd.Select); len(what) > 0 {
			e.Open().String("CHILDINFO").Open()
			for _, w := range what {
				e.String(w)
			}
			e.Close().Close()
		}
	}
	e.End()
}

func childInfo(sel wire.ListSelect) []string {
	var what []string
	if sel&wire.SelectSubscribed != 0 {
		what = append(what, "SUBSCRIBED")
	}
	if sel&wire.SelectSpecialUse != 0 {
		what = append(what, "SPECIAL-USE")
	}
	return what
}

func (n *node) attributes(cmd *wire.List) []string {
	var a []string
	if n.mailbox == nil {
		a = append(a, `\NonExistent`)
	}
	if n.above {
		a = append(a, `\Noselect`) // for who does not know the other
	}
	if n.subscribed && (cmd.Select&wire.SelectSubscribed != 0 || cmd.Return&wire.ReturnSubscribed != 0) {
		a = append(a, `\Subscribed`)
	}
	if n.hasChildren {
		a = append(a, `\HasChildren`)
	} else if n.mailbox != nil {
		a = append(a, `\HasNoChildren`)
	}
	if use := n.use(); use != "" {
		a = append(a, use)
	}
	return a
}

// use is for what the mailbox is; what somebody else uses theirs for is theirs.
func (n *node) use() string {
	if n.mailbox == nil || n.at.as != 0 {
		return ""
	}
	return specialUse(n.mailbox.Role)
}

// uses pairs roles with RFC 6154 §2. INBOX has no use: its name says it.
var uses = []struct {
	role mail.Role
	use  string
}{{mail.RoleAll, `\All`}, {mail.RoleArchive, `\Archive`}, {mail.RoleDrafts, `\Drafts`}, {mail.RoleFlagged, `\Flagged`},
	{mail.RoleJunk, `\Junk`}, {mail.RoleSent, `\Sent`}, {mail.RoleTrash, `\Trash`}}

func specialUse(r mail.Role) string {
	for _, u := range uses {
		if u.role == r {
			return u.use
		}
	}
	return ""
}

// lsub serves LSUB (RFC 3501 §6.3.9). With "%" also a name above a subscription
// is said, as \Noselect, if the subscription itself does not match.
func (s *session) lsub(ctx context.Context, cmd *wire.Lsub, _ *reply) error {
	var paths []string
	err := s.view(ctx, func(r store.Reader) (err error) {
		paths, err = r.Subscriptions()
		return err
	})
	if err != nil {
		return err
	}
	ps := newPatterns(cmd.Reference, []string{cmd.Pattern})
	if ps.size() > maxPatternBytes {
		return errNo("LIMIT", "The pattern is too long")
	}
	said := map[string]bool{}
	for _, path := range paths {
		if ps.match(path) {
			said[path] = true
			s.enc.Star().Atom("LSUB").Open().Close().String(mail.Delimiter).Mailbox(path).End()
		}
	}
	if !strings.HasSuffix(cmd.Pattern, "%") {
		return nil
	}
	for _, path := range paths {
		for p := parent(path); p != ""; p = parent(p) {
			if !said[p] && ps.match(p) {
				said[p] = true
				s.enc.Star().Atom("LSUB").Words(`\Noselect`).String(mail.Delimiter).Mailbox(p).End()
			}
		}
	}
	return nil
}
