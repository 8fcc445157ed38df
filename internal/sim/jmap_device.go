package sim

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"net"
	"slices"
	"sort"
	"strings"
	"time"

	"lockstep/internal/jmap/jmapclient"
)

// jmapKind is how a program syncs.
type jmapKind struct {
	window int  // changes that it asks for at a time; 0 is as many as the server likes
	listen bool // to an event source
}

// jmapDevice is a mail program that speaks JMAP.
type jmapDevice struct {
	kind   jmapKind
	name   string
	login  string
	dial   func() (wire, error)
	blame  func(format string, args ...any)
	ledger *ledger
	others bool // act at the same time

	program *jmapclient.Program
	stream  *jmapclient.Stream
	away    bool
	cut     *cut // of the next connection
	said    transcript
}

func newJMAPDevice(kind jmapKind, name, login, secret string, dial func() (wire, error), blame func(string, ...any)) *jmapDevice {
	d := &jmapDevice{kind: kind, name: name, login: login, dial: dial, blame: blame}
	d.program = jmapclient.New(&jmapclient.Client{Dial: d.connect, Login: login, Secret: secret, Name: "SimProgram", Said: d.said.add})
	d.program.Window = kind.window
	d.program.Blame = func(format string, args ...any) {
		blame("%s: %s\n  %s", name, fmt.Sprintf(format, args...), strings.Join(d.said.lines, "\n  "))
	}
	return d
}

func (d *jmapDevice) connect() (net.Conn, error) {
	c, err := d.dial()
	if err == nil && d.cut != nil {
		c.CutAfter(d.cut.up, d.cut.down)
		d.cut = nil
	}
	return c, err
}

func (d *jmapDevice) Name() string { return d.name }

// Heard implements device.
func (d *jmapDevice) Heard() []string { return d.said.lines }

// Pushed implements device.
func (d *jmapDevice) Pushed() bool { return d.stream != nil }

// Hear implements device: what an event source told says whether there is something to
// ask for.
func (d *jmapDevice) Hear() error {
	for d.stream != nil && (d.stream.Buffered() || d.stream.Conn.(wire).Waiting()) {
		states, err := d.stream.Next(d.program.AccountID())
		if err == nil {
			err = d.program.Told(states)
		}
		if err != nil {
			d.hangUp()
			return climate(err)
		}
		if !d.others {
			time.Sleep(soon) // another event, if there is something to tell
		}
	}
	return nil
}

// Cut implements device.
func (d *jmapDevice) Cut(up, down int) {
	if d.stream != nil {
		d.stream.Conn.(wire).CutAfter(up, down)
		return
	}
	d.cut = &cut{up, down}
}

// Leave implements device.
func (d *jmapDevice) Leave() {
	d.hangUp()
	d.away, d.cut = true, nil
}

func (d *jmapDevice) hangUp() {
	if d.stream != nil {
		d.stream.Conn.Close()
	}
	d.stream = nil
}

// await listens, and comes into step once more: what happened before it was heard is
// not told.
func (d *jmapDevice) await() (err error) {
	if !d.kind.listen || d.away || d.stream != nil || !d.program.Known() {
		return nil
	}
	if d.stream, err = d.program.Listen(); err == nil {
		err = d.program.CatchUp()
	}
	return err
}

// Lose implements device.
func (d *jmapDevice) Lose() {
	d.Leave()
	d.program.Lose()
}

// climate turns an error of the connection, or of a server that can't now, into the
// fleet's own.
func climate(err error) error {
	switch {
	case errors.Is(err, jmapclient.ErrLost):
		return fmt.Errorf("%w: %v", errLost, err)
	case errors.Is(err, jmapclient.ErrLater):
		return fmt.Errorf("%w: %v", errRefusedByServer, err)
	}
	return err
}

// Sync implements device.
func (d *jmapDevice) Sync() error {
	d.away = false
	return climate(d.program.CatchUp())
}

// Act implements device.
func (d *jmapDevice) Act(r *rand.Rand) error {
	if d.away && r.IntN(3) > 0 {
		d.edit(r)
		return nil
	}
	d.away = false
	if err := d.Hear(); err != nil {
		return err
	}
	d.program.Twice = r.IntN(8) == 0
	err := d.act(r)
	d.program.Twice = false
	if err == nil {
		err = climate(d.await())
	}
	return err
}

func (d *jmapDevice) act(r *rand.Rand) error {
	if !d.program.Known() {
		return d.Sync()
	}
	switch n := r.IntN(20); {
	case n < 12:
		d.edit(r)
	case n < 14:
		d.draft(r)
	case n < 16:
		return climate(d.arrange(r))
	case n < 17:
		d.Leave()
		return nil
	}
	return d.Sync()
}

// some picks an email that nothing is about to happen to.
func (d *jmapDevice) some(r *rand.Rand) *jmapclient.Email {
	all := slices.SortedFunc(maps.Values(d.program.Emails), func(a, b *jmapclient.Email) int { // ids are drawn anew in each run
		return cmp.Or(cmp.Compare(a.ThreadID, b.ThreadID), cmp.Compare(shownEmail(a.Token(), a.MailboxIDs, a.Keywords), shownEmail(b.Token(), b.MailboxIDs, b.Keywords)), cmp.Compare(a.ID, b.ID))
	})
	if len(all) == 0 {
		return nil
	}
	e := all[r.IntN(len(all))]
	if d.program.Touches(e.ID) {
		return nil
	}
	return e
}

// edit does something to an email.
func (d *jmapDevice) edit(r *rand.Rand) {
	e := d.some(r)
	if e == nil {
		return
	}
	mailboxes := slices.Sorted(maps.Keys(d.program.Mailboxes))
	to := mailboxes[r.IntN(len(mailboxes))]
	set := map[bool]any{true: true, false: nil}[r.IntN(3) > 0]
	patch := map[string]any{}
	switch r.IntN(9) {
	case 0, 1:
		patch["keywords/$seen"] = set
	case 2:
		patch["keywords/$flagged"] = set
	case 3:
		patch["keywords/work"] = set
	case 4:
		patch["keywords"] = map[string]bool{"later": true, "$seen": true}
	case 5, 6: // a move
		d.leaves(e, to)
		patch["mailboxIds"] = map[string]bool{to: true}
	case 7: // also in another
		d.ledger.double(e.Token())
		patch["mailboxIds/"+to] = true
	case 8:
		d.ledger.remove(e.Token())
		d.program.Queue(jmapclient.Change{ID: e.ID})
		return
	}
	d.program.Queue(jmapclient.Change{ID: e.ID, Patch: patch})
}

// leaves notes that an email goes where it may vanish: mailboxes called Box are deleted
// with all that is in them.
func (d *jmapDevice) leaves(e *jmapclient.Email, to string) {
	if mb := d.program.Mailboxes[to]; mb != nil && strings.HasPrefix(mb.Name, "Box") {
		d.ledger.remove(e.Token())
	}
}

// draft writes a draft, or goes on with one.
func (d *jmapDevice) draft(r *rand.Rand) {
	var drafts string
	for id, mb := range d.program.Mailboxes {
		if mb.Role != nil && *mb.Role == "drafts" {
			drafts = id
		}
	}
	if drafts == "" || d.others { // the soak's ledger knows letters that came in
		return
	}
	token := fmt.Sprintf("typed-%x", r.Uint64())
	c := jmapclient.Change{Token: token, Draft: map[string]any{
		"mailboxIds": map[string]bool{drafts: true}, "keywords": map[string]bool{"$draft": true, "$seen": true}, "from": []any{map[string]string{"email": d.login}},
		"subject": "thoughts on " + token, "messageId": []string{token + "@typed.example.test"},
		"bodyValues": map[string]any{"1": map[string]string{"value": someWords(r, 12)}}, "textBody": []any{map[string]string{"partId": "1", "type": "text/plain"}}}}
	if e := d.some(r); e != nil && e.Keywords["$draft"] && e.MailboxIDs[drafts] && len(e.MailboxIDs) == 1 && strings.HasPrefix(e.Token(), "typed-") {
		c.Replace = e.ID
	}
	d.program.Queue(c)
}

// arrange makes, renames or deletes a mailbox.
func (d *jmapDevice) arrange(r *rand.Rand) error {
	ids := slices.DeleteFunc(slices.Sorted(maps.Keys(d.program.Mailboxes)), func(id string) bool { return !strings.HasPrefix(d.program.Mailboxes[id].Name, "Box") })
	name := fmt.Sprintf("Box%d", r.IntN(1000))
	args := map[string]any{}
	switch {
	case len(ids) == 0 || r.IntN(3) == 0:
		args["create"] = map[string]any{"m": map[string]any{"name": name}}
	case r.IntN(3) == 0:
		args["destroy"], args["onDestroyRemoveEmails"] = []string{ids[r.IntN(len(ids))]}, true
	default:
		args["update"] = map[string]any{ids[r.IntN(len(ids))]: map[string]any{"name": name}}
	}
	if err := d.program.Arrange(args); err != nil {
		return err
	}
	return d.program.CatchUp()
}

// Differs implements device: each email that has a place where it is not \Deleted, with
// its keywords and mailboxes, and nothing else.
func (d *jmapDevice) Differs(t Truth, _ bool) (out []string) {
	want := jmapTruth(t)
	for id, e := range d.program.Emails {
		is := shownEmail(e.Token(), e.MailboxIDs, e.Keywords)
		switch w, ok := want[id]; {
		case !ok:
			out = append(out, fmt.Sprintf("%s is held and not there: %s", id, is))
		case w != is:
			out = append(out, fmt.Sprintf("%s is %s, and held as %s", id, w, is))
		}
	}
	for id, w := range want {
		if d.program.Emails[id] == nil {
			out = append(out, fmt.Sprintf("%s is missing: %s", id, w))
		}
	}
	for id, b := range t {
		if isOthers(b.Name) {
			continue
		}
		mb := d.program.Mailboxes[id]
		if mb == nil {
			out = append(out, b.Name+" is missing")
			continue
		}
		out = append(out, d.differs(mb, b)...)
	}
	for id, mb := range d.program.Mailboxes {
		if t[id] == nil {
			out = append(out, mb.Name+" is held and not there")
		}
	}
	sort.Strings(out)
	return out
}

// differs compares name and counts of a mailbox.
func (d *jmapDevice) differs(mb *jmapclient.Mailbox, b *TruthBox) (out []string) {
	if path := d.program.Path(mb); path != b.Name && (b.Name != "INBOX" || !strings.EqualFold(path, "inbox")) {
		out = append(out, fmt.Sprintf("%s is called %s", b.Name, path))
	}
	emails := map[string]bool{}
	for uid, l := range b.Letters {
		if withFlag(l.Flags, `\Deleted`) != l.Flags {
			emails[b.Emails[uid]] = true
		}
	}
	if mb.Total != len(emails) {
		out = append(out, fmt.Sprintf("%s has %d emails, the server counts %d", b.Name, len(emails), mb.Total))
	}
	return out
}

// jmapTruth is an account's emails, as JMAP has to show them (RFC 8621 §4.1.1).
func jmapTruth(t Truth) map[string]string {
	type email struct {
		token     string
		mailboxes map[string]bool
		places    []string // their flags
	}
	emails := map[string]*email{}
	for id, b := range t {
		if isOthers(b.Name) {
			continue
		}
		for uid, l := range b.Letters {
			if withFlag(l.Flags, `\Deleted`) == l.Flags {
				continue
			}
			e := emails[b.Emails[uid]]
			if e == nil {
				e = &email{token: l.Token, mailboxes: map[string]bool{}}
				emails[b.Emails[uid]] = e
			}
			e.mailboxes[id] = true
			e.places = append(e.places, l.Flags)
		}
	}
	out := map[string]string{}
	for id, e := range emails {
		keywords, unseen := map[string]bool{}, false
		for _, flags := range e.places {
			unseen = unseen || withFlag(flags, `\Seen`) != flags
			for f := range strings.FieldsSeq(flags) {
				keywords[strings.ToLower(strings.Replace(f, `\`, "$", 1))] = true
			}
		}
		if unseen {
			delete(keywords, "$seen")
		}
		out[id] = shownEmail(e.token, e.mailboxes, keywords)
	}
	return out
}

func shownEmail(token string, mailboxes, keywords map[string]bool) string {
	return fmt.Sprintf("%s in %v with %v", token, slices.Sorted(maps.Keys(mailboxes)), slices.Sorted(maps.Keys(keywords)))
}
