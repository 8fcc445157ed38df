package storetest

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	"lockstep/internal/mail"
	"lockstep/internal/store"
)

// op is one transaction of a random history: a plain value. It names what it
// works on by path, by distance from UIDNEXT and by how long ago, so that it
// means the same to every engine, and still means something when the
// operations before it are left out.
type op struct {
	steps  []step
	device int
	goesOn bool // in the act of the operation before
	breaks bool // ends with an error: nothing may have happened
	// restores is no transaction: the store comes back from a copy of itself.
	restores bool
	// absent is no transaction: the account is removed, kept, and brought back.
	absent bool
}

// step is one verb.
type step struct {
	verb     string
	box, to  string // paths
	from, n  int    // UIDs: n of them, the newest of which is from below the newest of all
	flags    string // of FLAGS: words with + - or = before them
	arrives  int    // the number of an arriving message
	answers  int    // the number of the message it replies to; 0 is none
	subject  string
	replaces bool // in the mailbox "to", if that is set
	goesOn   bool // hands on the line of a message that stays
	once     string
	ago      int // acts, or transactions for UNCHANGEDSINCE; 0 is none
	sort     uint32
	role     mail.Role
	name     string // of a preference or an annotation
	value    string
	who      mail.PrincipalID
	member   int    // 0 is the owner, 1 and 2 are members, 3 is anyone
	rights   string // of GRANT
	kind     mail.Type
}

func (o op) String() string {
	var words []string
	for _, s := range o.steps {
		words = append(words, s.String())
	}
	if o.absent {
		words = append(words, "the account is removed and brought back")
	}
	if o.restores {
		words = append(words, "the store is restored")
	}
	text := fmt.Sprintf("d%d: %s", o.device, strings.Join(words, "; "))
	if o.goesOn {
		text += " (same act)"
	}
	if o.breaks {
		text += " (fails)"
	}
	return text
}

func (s step) String() string {
	text := s.verb
	for _, part := range []struct {
		name string
		v    any
		show bool
	}{{"box", s.box, s.box != ""}, {"to", s.to, s.to != ""}, {"from", s.from, s.n > 0}, {"n", s.n, s.n > 0}, {"flags", s.flags, s.flags != ""},
		{"arrives", s.arrives, s.arrives > 0}, {"answers", s.answers, s.answers > 0}, {"subject", s.subject, s.subject != ""},
		{"replaces", s.replaces, s.replaces}, {"continues", s.goesOn, s.goesOn}, {"once", s.once, s.once != ""}, {"ago", s.ago, s.ago > 0}, {"sort", s.sort, s.sort > 0}, {"role", s.role, s.role != ""},
		{"name", s.name, s.name != ""}, {"value", s.value, s.value != ""}, {"who", s.who, s.who != 0}, {"member", s.member, s.member > 0}, {"rights", s.rights, s.rights != ""}, {"kind", s.kind, s.kind != 0}} {
		if part.show {
			text += fmt.Sprintf(" %s=%v", part.name, part.v)
		}
	}
	return text
}

var errBroken = errors.New("the closure failed")

// do does the operation and returns what came of it, in words that do not
// depend on the engine's ids.
func (o op) do(s *subject) string {
	said := o.result(s)
	if n := s.endings(); n > 0 {
		said += fmt.Sprintf(", ends %d", n)
	}
	return said
}

func (o op) result(s *subject) string {
	if o.restores {
		return s.comeBack()
	}
	if o.absent {
		return s.goAndComeBack()
	}
	by := s.origin(o.device)
	if o.goesOn && len(s.acts) > 0 {
		by = by.InAct(s.acts[len(s.acts)-1])
	}
	text, n, err := change(s, by, func(tx store.Tx) (string, error) {
		var said []string
		for _, st := range o.steps {
			r, err := st.do(s, tx)
			if err != nil {
				return "", err
			}
			said = append(said, r)
		}
		if o.breaks {
			return "", errBroken
		}
		return strings.Join(said, "; "), nil
	})
	switch {
	case errors.Is(err, errBroken):
		return "failed as asked"
	case err != nil:
		return mail.KindOf(err).String()
	case n == 0:
		return text + " @0"
	}
	if by.Act() == 0 {
		s.acts = append(s.acts, mail.ActID(n))
	}
	return fmt.Sprintf("%s @%d", text, n-s.base)
}

// given is nil for "": what is removed.
func given(value string) []byte {
	if value == "" {
		return nil
	}
	if value == "empty" {
		return []byte{}
	}
	return []byte(value)
}

// resolve returns the mailbox of the step and the UIDs it means.
func (st step) resolve(s *subject, tx store.Tx) (mail.Mailbox, mail.UIDSet, error) {
	mb, err := tx.MailboxByPath(st.box)
	if err != nil {
		return mb, nil, err
	}
	newest := int64(mb.UIDNext) - 1
	if next, leapt := s.leapt[mb.ID]; leapt && st.n%2 == 0 { // what was there before is meant too
		newest = int64(next) - 1
	}
	last := max(newest-int64(st.from), 1)
	var set mail.UIDSet
	set.AddRange(mail.UID(max(last-int64(st.n)+1, 1)), mail.UID(last))
	return mb, set, nil
}

func (st step) do(s *subject, tx store.Tx) (string, error) {
	switch st.verb {
	case "create", "set", "delete", "subscribe", "unsubscribe":
		return st.doMailbox(tx)
	case "undo":
		return st.undo(s, tx)
	case "annotate":
		mb, err := tx.MailboxByPath(st.box)
		if st.box == "" {
			mb.ID, err = 0, nil
		}
		if err != nil {
			return "", err
		}
		return "", tx.SetMetadata(mb.ID, st.who, st.name, given(st.value))
	case "flood":
		return st.settle(tx)
	case "bring-back", "bring-mailbox":
		return st.doPast(s, tx)
	case "make-object", "change-object", "drop-object":
		return st.doObject(tx)
	case "prefer":
		return "", tx.SetPreference(mail.Preference(st.name), st.value)
	case "note":
		mb, err := tx.MailboxByPath(st.box)
		if err != nil {
			return "", err
		}
		uid, err := tx.ClaimRecent(mb.ID)
		return fmt.Sprintf("recent from %d", uid), err
	case "block":
		d, err := tx.Device(s.devices[1])
		if err != nil {
			return "", err
		}
		d.Access = (d.Access + 1) % mail.Access(len(mail.Accesses()))
		return fmt.Sprint("device ", d.Access), tx.SetDevice(d)
	case "wipe":
		d, err := tx.Device(s.devices[1])
		if err != nil {
			return "", err
		}
		d.Wipe = mail.Wipe{Scope: mail.WipeAccount, State: mail.WipeState(st.value), Status: st.name}
		if d.Wipe.State == mail.WipeNone {
			d.Wipe = mail.Wipe{}
		}
		return fmt.Sprintf("wipe %q", d.Wipe.State), tx.SetDevice(d)
	case "upload":
		u, err := tx.AddUpload(uploaded(st.n))
		return inWords(u), err
	case "use-upload":
		return "", tx.UsedUpload(uploaded(st.n).ID, emailID(st.arrives))
	case "told":
		if err := tx.SetCursor(s.devices[st.n%2], "eas/"+st.value, []byte(st.value)); err != nil {
			return "", err
		}
		if err := tx.DeviceTold(s.devices[st.n%2], mail.Told{Model: st.value, Policy: mail.Acknowledged{Name: st.name}}); err != nil {
			return "", err
		}
		return st.swap(tx, s.devices[st.n%2])
	}
	if st.verb == "grant" {
		return st.grant(s, tx)
	}
	return st.doMessages(s, tx)
}

// swap makes a cursor from nothing, from one state the other, or nothing from it.
func (st step) swap(tx store.Tx, device mail.DeviceID) (string, error) {
	state := map[string][]byte{"one": []byte("one"), "two": []byte("two")}
	was, to := state["one"], state[st.value]
	switch {
	case st.name == "":
		was = nil
	case st.value == "one":
		was = state["two"]
	}
	err := tx.SwapCursor(device, "swapped", was, to)
	if err != nil && mail.KindOf(err) == mail.Conflict {
		return "moved", nil
	}
	return "swapped", err
}

// principal is who the step is about.
func (s *subject) principal(who int) mail.PrincipalID {
	switch who {
	case 0:
		return 0
	case len(s.members) + 1:
		return mail.Anyone
	}
	return s.members[who-1]
}

func (st step) grant(s *subject, tx store.Tx) (string, error) {
	mb, err := tx.MailboxByPath(st.box)
	if err != nil {
		return "", err
	}
	return "", tx.SetRights(mb.ID, s.principal(st.member), must(mail.ParseRights(st.rights)))
}

func (st step) doMessages(s *subject, tx store.Tx) (string, error) {
	mb, set, err := st.resolve(s, tx)
	if err != nil {
		return "", err
	}
	switch st.verb {
	case "append":
		a := st.arrival(set)
		a.As = s.principal(st.member)
		if st.replaces && st.to != "" {
			from := st
			from.box = st.to
			mb, set, err := from.resolve(s, tx)
			if err != nil {
				return "", err
			}
			a.Replaces, a.ReplacesIn = set[len(set)-1].Last, mb.ID
		}
		p, err := tx.Append(mb.ID, a)
		return fmt.Sprintf("UID %d", p.UID), err
	case "flags":
		return st.storeFlags(s, tx, mb.ID, set)
	case "remark":
		return st.remark(tx, mb.ID, set)
	case "erase":
		return erase(tx, mb.ID, set)
	case "expunge", "expunge-deleted":
		gone, err := tx.Expunge(mb.ID, set, st.verb == "expunge-deleted")
		return "gone " + gone.String(), err
	}
	to, err := tx.MailboxByPath(st.to)
	if err != nil {
		return "", err
	}
	transfer := tx.Copy
	if st.verb == "move" {
		transfer = tx.Move
	}
	m, err := transfer(mb.ID, set, to.ID)
	return fmt.Sprintf("%s became %s", m.From, m.To), err
}

// arrival is the message that arrives. Its date, size and threading follow from
// its number.
func (st step) arrival(set mail.UIDSet) mail.Arrival {
	a := mail.Arrival{
		Blob:  mail.Blob{Name: mail.BlobName{2, byte(st.arrives >> 8), byte(st.arrives)}, Size: int64(100 + st.arrives), Place: "p", Key: []byte{1}, Fresh: true, Until: time.Now().Add(time.Hour)},
		Flags: flagWords(st.flags).Add, EmailID: emailID(st.arrives), InternalDate: day(st.arrives), MessageID: fmt.Sprintf("%d@example.test", st.arrives),
		BaseSubject: st.subject, IsReply: st.answers > 0, Parsed: []byte("parsed"), Preview: "preview", Once: st.once, OnceFor: time.Hour,
	}
	a.Annotations = st.annotations()
	if st.answers > 1 { // 1 replies by subject alone
		a.References = []string{fmt.Sprintf("%d@example.test", st.answers/2), fmt.Sprintf("%d@example.test", st.answers)}
	}
	if st.replaces && len(set) > 0 {
		a.Replaces = set[len(set)-1].Last
	}
	if st.goesOn && len(set) > 0 {
		a.Continues = set[len(set)-1].Last
	}
	return a
}

// flagWords reads words such as "+\Seen -$Junk" or "=\Draft".
func flagWords(text string) mail.FlagChange {
	var c mail.FlagChange
	for word := range strings.FieldsSeq(text) {
		f, err := mail.NewFlags(word[1:])
		if err != nil {
			panic(err)
		}
		switch word[0] {
		case '-':
			c.Remove = c.Remove.Union(f)
		case '=':
			c.Replace = true
			c.Add = c.Add.Union(f)
		default:
			c.Add = c.Add.Union(f)
		}
	}
	return c
}

func (st step) unchangedSince(tx store.Tx) (*mail.ModSeq, error) {
	if st.ago == 0 {
		return nil, nil
	}
	a, err := tx.Account()
	n := a.Head - min(a.Head, mail.ModSeq(st.ago))
	return &n, err
}

func (st step) storeFlags(s *subject, tx store.Tx, mb mail.MailboxID, set mail.UIDSet) (string, error) {
	unchangedSince, err := st.unchangedSince(tx)
	if err != nil {
		return "", err
	}
	change := flagWords(st.flags)
	change.As = s.principal(st.member)
	r, err := tx.StoreFlags(mb, set, change, unchangedSince)
	return fmt.Sprintf("changed %s same %s modified %s", r.Changed, r.Same, r.Modified), err
}

// settle decides about the oldest flood.
func (st step) settle(tx store.Tx) (string, error) {
	all, err := tx.Floods()
	if err != nil || len(all) == 0 {
		return "no flood", err
	}
	if st.n == 1 {
		return "accepted", tx.AcceptFlood(all[0].ID)
	}
	r, err := tx.UndoFlood(all[0].ID)
	return fmt.Sprintf("undone %d, whole %v", r.Undone, len(r.Left) == 0), err
}

// remark annotates messages.
func (st step) remark(tx store.Tx, mb mail.MailboxID, set mail.UIDSet) (string, error) {
	unchangedSince, err := st.unchangedSince(tx)
	if err != nil {
		return "", err
	}
	r, err := tx.Annotate(mb, set, st.annotations(), unchangedSince)
	return fmt.Sprintf("changed %s same %s modified %s", r.Changed, r.Same, r.Modified), err
}

// annotations is the step's, and with several words one more.
func (st step) annotations() []mail.Annotation {
	if st.name == "" {
		return nil
	}
	name, shared := strings.CutSuffix(st.name, ".shared")
	a := mail.Annotation{Name: name, Shared: shared, Who: st.who, Value: given(st.value)}
	if st.value != "two" {
		return []mail.Annotation{a}
	}
	return []mail.Annotation{a, {Name: "/altsubject", Value: given(st.value)}}
}

func (st step) doMailbox(tx store.Tx) (string, error) {
	switch st.verb {
	case "create":
		im, err := st.image(tx, st.box)
		if err != nil {
			return "", err
		}
		mb, err := tx.CreateMailbox(im)
		return "made " + mb.Path, err
	case "subscribe":
		return "", tx.Subscribe(st.box)
	case "unsubscribe":
		return "", tx.Unsubscribe(st.box)
	}
	mb, err := tx.MailboxByPath(st.box)
	if err != nil {
		return "", err
	}
	if st.verb == "delete" {
		return "", tx.DeleteMailbox(mb.ID)
	}
	im, err := st.image(tx, st.to)
	if err != nil {
		return "", err
	}
	if st.role == mail.NoRole {
		im.Role = mb.Role
	}
	im.CommonSeen = mb.CommonSeen != (st.member > 0)
	return "", tx.SetMailbox(mb.ID, im)
}

// image is what the step makes of a mailbox that will have the path.
func (st step) image(tx store.Tx, path string) (mail.MailboxImage, error) {
	im := mail.MailboxImage{Name: path, Role: st.role, SortOrder: st.sort}
	if i := strings.LastIndex(path, mail.Delimiter); i >= 0 {
		parent, err := tx.MailboxByPath(path[:i])
		if err != nil {
			return im, err
		}
		im.Parent, im.Name = parent.ID, path[i+1:]
	}
	return im, nil
}

func (st step) undo(s *subject, tx store.Tx) (string, error) {
	if len(s.acts) < st.ago {
		return "nothing to undo", nil
	}
	r, err := tx.Undo(s.acts[len(s.acts)-st.ago])
	return fmt.Sprintf("undone, whole %v", len(r.Left) == 0), err
}

// generator makes random histories.
type generator struct {
	*rand.Rand
	arrived int
}

func randomOps(seed uint64, n int) []op {
	g := &generator{Rand: rand.New(rand.NewPCG(seed, 0))}
	var ops []op
	for _, path := range []string{"Work", "Old", "Work/Äpfel"} {
		ops = append(ops, op{steps: []step{{verb: "create", box: path}}})
	}
	for _, box := range []string{"INBOX", "Archive"} {
		ops = append(ops, op{steps: []step{{verb: "grant", box: box, member: 1, rights: "lrs"}}})
	}
	for len(ops) < n {
		ops = append(ops, g.op())
	}
	return ops
}

// sharedOps are of a mailbox in which members read, while its owner goes on.
func sharedOps(seed uint64, n int) []op {
	g := &generator{Rand: rand.New(rand.NewPCG(seed, 2))}
	ops := []op{{steps: []step{{verb: "grant", box: "INBOX", member: 1, rights: "lrs"}, {verb: "grant", box: "INBOX", member: 3, rights: "lr"}}}}
	for len(ops) < n {
		s := step{box: "INBOX", from: g.IntN(8), n: 1 + g.IntN(3)}
		switch k := g.IntN(20); {
		case k < 6:
			s = g.arrival(s)
			s.replaces = false
		case k < 14:
			s.verb, s.member, s.flags = "flags", 1+g.IntN(2), pick(g, []string{`+\Seen`, `+\Seen`, `-\Seen`})
		case k < 16:
			s.verb, s.flags = "flags", pick(g, []string{`+\Flagged`, `+\Seen`, `-\Seen`})
		case k < 17:
			s.verb, s.n = "expunge", 1
		case k < 18:
			s.verb, s.to = "copy", "INBOX"
		case k < 19:
			s = step{verb: "set", box: "INBOX", to: "INBOX", member: g.IntN(2)}
		default:
			s = step{verb: "undo", ago: 1 + g.IntN(3)}
		}
		ops = append(ops, op{steps: []step{s}})
	}
	return ops
}

func (g *generator) op() op {
	o := op{device: g.IntN(2), goesOn: g.IntN(8) == 0, breaks: g.IntN(20) == 0}
	for range 1 + max(0, g.IntN(8)-5) {
		o.steps = append(o.steps, g.step())
	}
	return o
}

var (
	paths    = []string{"INBOX", "INBOX", "INBOX", "Archive", "Archive", "Trash", "Work", "Work", "Work/Äpfel", "Old", "Old/work", "INBOX/list"}
	words    = []string{`\Seen`, `\Seen`, `\Seen`, `\Deleted`, `\Deleted`, `\Flagged`, `\Answered`, `\Draft`, "$Forwarded", "$forwarded", "blue", "Red", "red"}
	subjects = []string{"", "lunch", "report", "holiday"}
)

// uploadsOfHistories is how many uploads there can be.
const uploadsOfHistories = 4

func pick[T any](g *generator, from []T) T { return from[g.IntN(len(from))] }

func (g *generator) step() step {
	s := step{box: pick(g, paths), from: g.IntN(12), n: 1 + g.IntN(6)}
	if g.IntN(12) == 0 {
		s.from, s.n = 0, 1000 // all of them
	}
	switch k := g.IntN(107); {
	case k >= 101:
		return g.object()
	case k < 30:
		return g.arrival(s)
	case k < 35:
		s.verb = "remark"
		if g.IntN(4) == 0 {
			s.ago = 1 + g.IntN(20)
		}
		return g.remark(s)
	case k < 52:
		s.verb, s.flags = "flags", g.change()
		if g.IntN(2) == 0 {
			s.member, s.flags = 1+g.IntN(2), pick(g, []string{`+\Seen`, `+\Seen`, `-\Seen`, `=\Seen`, `+\Seen +\Flagged`, `=\Answered`})
		}
		if g.IntN(4) == 0 {
			s.ago = 1 + g.IntN(20)
		}
		return s
	case k < 59:
		s.verb, s.to = "copy", pick(g, paths)
		s.n = min(s.n, 6)
		return s
	case k < 66:
		s.verb, s.to = "move", pick(g, paths)
		return s
	case k < 68:
		s.verb = "expunge"
		return s
	case k < 69:
		s.verb, s.n = "erase", 1+g.IntN(2)
		return s
	case k < 74:
		s.verb, s.from, s.n = "expunge-deleted", 0, 1000
		return s
	case k < 78:
		return step{verb: "grant", box: s.box, member: 1 + g.IntN(3), rights: pick(g, []string{"lr", "lrs", "lrs", "l", "", "lrswipkxtea"})}
	case k < 89:
		return g.mailboxStep()
	case k < 95:
		return step{verb: "undo", ago: 1 + g.IntN(8)}
	case k < 96:
		return step{verb: "note", box: s.box}
	case k < 97:
		return step{verb: pick(g, []string{"bring-back", "bring-mailbox"}), box: s.box, from: s.from, n: min(s.n, 6)}
	}
	switch g.IntN(9) {
	case 7:
		return step{verb: "upload", n: g.IntN(uploadsOfHistories)}
	case 8:
		return step{verb: "use-upload", n: g.IntN(uploadsOfHistories), arrives: 1 + g.IntN(9)}
	case 0:
		return step{verb: "block"}
	case 5:
		return step{verb: "wipe", value: pick(g, []string{"", "requested", "sent", "confirmed", "refused"}), name: pick(g, []string{"", "1", "2"})}
	case 6:
		return step{verb: "told", n: 1 + g.IntN(2), value: pick(g, []string{"one", "two", "onetwo"}), name: pick(g, []string{"", "default"})}
	case 1, 2:
		return g.annotation(s)
	case 3:
		return step{verb: "flood", n: 1 + g.IntN(2)}
	}
	p := pick(g, mail.Preferences())
	return step{verb: "prefer", name: string(p), value: pick(g, append(p.Choices(), "", "neither"))}
}

func (g *generator) annotation(s step) step {
	a := step{verb: "annotate", box: s.box, who: mail.PrincipalID(g.IntN(2) * 7), name: pick(g, []string{"/shared/comment", "/private/comment", "/private/Vendor/acme/x"})}
	if g.IntN(4) == 0 {
		a.box = ""
	}
	a.value = pick(g, []string{"", "one", "two", "empty"})
	return a
}

// remark adds an annotation of messages to a step.
func (g *generator) remark(s step) step {
	s.who, s.name = mail.PrincipalID(g.IntN(2)*7), pick(g, []string{"/comment", "/comment.shared", "/vendor/acme/x"})
	s.value = pick(g, []string{"", "one", "two", "empty"})
	return s
}

func (g *generator) arrival(s step) step {
	g.arrived++
	s.verb, s.arrives, s.subject = "append", g.arrived, pick(g, subjects)
	s.n = 1
	switch g.IntN(24) {
	case 0, 1:
		s.replaces = true
	case 2:
		s.replaces, s.to = true, pick(g, paths)
	case 3, 4, 5:
		s.goesOn = true
	}
	if g.IntN(2) == 0 {
		s.flags, s.member = g.additions(), max(0, g.IntN(5)-2)
	}
	switch g.IntN(4) {
	case 0:
		s.answers = 1
	case 1:
		s.answers = 2 + g.IntN(g.arrived+3) // also messages that never came, or come later
	}
	if g.IntN(8) == 0 {
		s = g.remark(s)
	}
	if g.IntN(12) == 0 {
		s.once = fmt.Sprintf("once %d", g.IntN(4))
	}
	return s
}

func (g *generator) additions() string {
	var text []string
	for range 1 + g.IntN(2) {
		text = append(text, "+"+pick(g, words))
	}
	return strings.Join(text, " ")
}

func (g *generator) change() string {
	var text []string
	sign := pick(g, []string{"+", "+", "-", "=", "±"})
	for i := range 1 + g.IntN(3) {
		s := sign
		if sign == "±" {
			s = []string{"+", "-"}[i%2]
		}
		text = append(text, s+pick(g, words))
	}
	return strings.Join(text, " ")
}

func (g *generator) mailboxStep() step {
	verb := pick(g, []string{"create", "create", "create", "set", "set", "delete", "subscribe", "unsubscribe"})
	s := step{verb: verb, box: pick(g, paths)}
	if verb == "set" {
		s.to, s.sort = s.box, uint32(g.IntN(3))
		if g.IntN(2) == 0 {
			s.to = pick(g, paths)
		}
		s.member = max(0, g.IntN(6)-4)
	}
	if (verb == "set" || verb == "create") && g.IntN(6) == 0 {
		s.role = pick(g, []mail.Role{mail.RoleFlagged, mail.RoleAll, mail.RoleArchive})
	}
	return s
}
