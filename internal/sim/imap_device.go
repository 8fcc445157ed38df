package sim

import (
	"bufio"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"lockstep/internal/imap/reply"
	"lockstep/internal/mail"
)

// imapKind is how an IMAP device follows its mailboxes.
type imapKind struct {
	name               string
	condstore, qresync bool
	known              bool // says which UIDs it knows when it resynchronises
	rev2, idle         bool
	notify             bool // hears of all its mailboxes by NOTIFY, in IDLE or not
	visits             bool // waits where somebody shares a mailbox
	aside              bool // waits where little happens
}

// imapDevice is a mail program that works offline and online.
type imapDevice struct {
	kind          imapKind
	name          string
	login, secret string
	dial          func() (wire, error)
	blame         func(format string, args ...any)
	others        bool     // act at the same time: what was done may be undone at once
	friends       []string // with whom it shares mailboxes
	ledger        *ledger  // may be nil

	boxes map[string]*box // by MAILBOXID
	queue []chore         // done offline
	keeps map[string]bool // what it held when the server came back from an older copy

	link  *link
	said  transcript
	open  *box     // the selected one
	view  []uint32 // UIDs by sequence number; 0 is not known yet
	moves int      // of the view: how often something came or went
	idles bool
	waits bool             // between commands, for what NOTIFY says
	noted map[string]noted // by name: what NOTIFY has to keep up to date
	stale bool             // its own changes, of which NOTIFY says nothing, are not noted yet

	listed  map[string]listing // while LIST runs
	found   mail.UIDSet        // by the last SEARCH
	arrived map[uint32]string  // tokens that a FETCH brought
	bodies  map[uint32]string  // likewise
	offered uint64             // HIGHESTMODSEQ of SELECT
	opened  listing            // what else SELECT says the mailbox is
	copied  string             // COPYUID of the last command
	bye     bool
}

// listing is what LIST-STATUS tells of a mailbox.
type listing struct {
	id               string
	validity         uint32
	messages, unseen int
}

func (d *imapDevice) Name() string { return d.name }

// Heard implements device.
func (d *imapDevice) Heard() []string { return d.said.lines }

// Pushed implements device.
func (d *imapDevice) Pushed() bool { return d.idles || d.waits }

// Cut implements device.
func (d *imapDevice) Cut(up, down int) {
	if d.link != nil {
		d.link.conn.CutAfter(up, down)
	}
}

// Leave implements device.
func (d *imapDevice) Leave() {
	if d.link != nil {
		d.link.conn.Close()
		d.said.add("-- offline --")
	}
	d.link, d.open, d.view, d.idles, d.waits, d.noted = nil, nil, nil, false, false, nil
}

// Lose implements device.
func (d *imapDevice) Lose() {
	d.Leave()
	d.boxes, d.queue, d.keeps = map[string]*box{}, nil, nil
}

// lost hangs up if err is of the connection.
func (d *imapDevice) lost(err error) error {
	if err != nil {
		d.Leave()
	}
	return err
}

// connect signs in, if that is to be done.
func (d *imapDevice) connect() error {
	if d.link != nil {
		return nil
	}
	c, err := d.dial()
	if err != nil {
		return fmt.Errorf("%w: %v", errLost, err)
	}
	d.said.add("-- online --")
	d.bye = false
	d.link = &link{conn: c, in: bufio.NewReader(c), hear: d.hear, said: &d.said}
	greeting, err := d.link.read()
	if err != nil {
		return err
	}
	if greeting.Word != "OK" {
		return fmt.Errorf("greeted with %s", greeting.Raw)
	}
	commands := []string{"LOGIN " + quote(d.login) + " " + quote(d.secret)}
	switch {
	case d.kind.qresync:
		commands = append(commands, "ENABLE QRESYNC")
	case d.kind.condstore:
		commands = append(commands, "ENABLE CONDSTORE")
	}
	if d.kind.rev2 {
		commands = append(commands, "ENABLE IMAP4rev2")
	}
	if d.kind.notify {
		d.noted = map[string]noted{}
		commands = append(commands, notifyCommand)
	}
	for _, command := range commands {
		if _, err := d.link.run(command); err != nil {
			return err
		}
	}
	return nil
}

// hear takes in an untagged response.
func (d *imapDevice) hear(r reply.Response) {
	switch r.Word {
	case "EXISTS":
		d.exists(int(r.Num))
	case "EXPUNGE":
		d.expunged(int(r.Num))
	case "VANISHED":
		d.vanished(r)
	case "FETCH":
		d.fetched(r)
	case "LIST":
		d.list(r)
	case "STATUS":
		d.status(r)
	case "SEARCH":
		d.found = nil
		for _, s := range reply.Strings(r.Args) {
			d.found.Add(mail.UID(number(s)))
		}
	case "ESEARCH":
		d.esearch(r)
	case "OK", "NO":
		d.heed(r)
	case "BYE":
		d.bye = true
	}
}

func number(s string) uint64 {
	n, _ := strconv.ParseUint(s, 10, 64)
	return n
}

// heed takes in a response code.
func (d *imapDevice) heed(r reply.Response) {
	words := reply.Strings(r.Code)
	if len(words) == 0 {
		return
	}
	switch words[0] {
	case "HIGHESTMODSEQ":
		d.offered = number(words[1])
	case "UIDVALIDITY":
		d.opened.validity = uint32(number(words[1]))
	case "MAILBOXID":
		d.opened.id = strings.Join(reply.Strings(r.Code[1]), "")
	case "CLOSED":
		d.view = nil
	case "COPYUID":
		d.copied = strings.Join(words[1:], " ")
	}
}

func (d *imapDevice) exists(n int) {
	if n < len(d.view) {
		d.blame("%s: %d EXISTS after %d", d.name, n, len(d.view))
		return
	}
	for len(d.view) < n {
		d.view = append(d.view, 0)
		d.moves++
	}
}

func (d *imapDevice) expunged(seq int) {
	if d.kind.qresync {
		d.blame("%s: EXPUNGE to one who enabled QRESYNC", d.name)
	}
	if seq < 1 || seq > len(d.view) {
		d.blame("%s: %d EXPUNGE of %d messages", d.name, seq, len(d.view))
		return
	}
	if uid := d.view[seq-1]; uid != 0 && d.open != nil {
		delete(d.open.letters, uid)
	}
	d.view = append(d.view[:seq-1:seq-1], d.view[seq:]...)
	d.moves++
}

func (d *imapDevice) vanished(r reply.Response) {
	if d.open == nil || len(r.Args) == 0 {
		return
	}
	text, ok := r.Args[len(r.Args)-1].(string)
	gone, err := mail.ParseUIDSet(text)
	if !ok || err != nil {
		d.blame("%s: %s", d.name, r.Raw)
		return
	}
	earlier := len(r.Args) > 1
	for _, uid := range d.open.uids() {
		if gone.Contains(mail.UID(uid)) {
			delete(d.open.letters, uid)
		}
	}
	if earlier {
		return
	}
	for uid := range gone.All() {
		d.leave(uint32(uid))
	}
}

// leave takes a UID out of the view. One that was not told yet stands, as a zero,
// somewhere before the next that is known.
func (d *imapDevice) leave(uid uint32) {
	at := len(d.view)
	for i, known := range d.view {
		if known >= uid {
			at = i
			break
		}
	}
	switch {
	case at < len(d.view) && d.view[at] == uid:
	case at > 0 && d.view[at-1] == 0:
		at--
	default:
		return // it was gone before it was counted
	}
	d.view = append(d.view[:at:at], d.view[at+1:]...)
	d.moves++
}

func (d *imapDevice) fetched(r reply.Response) {
	if d.open == nil || len(r.Args) == 0 {
		return
	}
	seq, items := int(r.Num), reply.Pairs(r.Args[0])
	if seq < 1 || seq > len(d.view) {
		d.blame("%s: %s with %d messages", d.name, r.Raw, len(d.view))
		return
	}
	uid := d.view[seq-1]
	if s, ok := items["UID"].(string); ok {
		told := uint32(number(s))
		if uid != 0 && uid != told {
			d.blame("%s: message %d had UID %d and has %d", d.name, seq, uid, told)
		}
		uid = told
		d.view[seq-1] = uid
	}
	if uid == 0 {
		return // its flags come when its UID is asked for
	}
	l := d.open.letters[uid]
	if l == nil {
		l = &letter{}
		d.open.letters[uid] = l
	}
	if flags, ok := items["FLAGS"].([]any); ok {
		l.flags = flagWords(reply.Strings(flags))
	}
	for name, v := range items {
		text, _ := v.(string)
		switch {
		case strings.HasPrefix(name, "BODY[HEADER.FIELDS"):
			d.arrived[uid] = tokenOf(text)
		case name == "BODY[]":
			d.bodies[uid] = text
		}
	}
}

// tokenOf finds the token in a Message-ID.
func tokenOf(header string) string {
	_, rest, _ := strings.Cut(header, "<")
	token, _, _ := strings.Cut(rest, "@")
	return token
}

func (d *imapDevice) list(r reply.Response) {
	if len(r.Args) < 3 {
		return
	}
	if d.listed == nil {
		d.notedName(r)
		return
	}
	name, _ := r.Args[2].(string)
	for _, attribute := range reply.Strings(r.Args[0]) {
		if strings.EqualFold(attribute, `\NonExistent`) || strings.EqualFold(attribute, `\Noselect`) {
			return
		}
	}
	if _, known := d.listed[name]; !known {
		d.listed[name] = listing{}
	}
}

func (d *imapDevice) status(r reply.Response) {
	if len(r.Args) < 2 {
		return
	}
	name, _ := r.Args[0].(string)
	items := reply.Pairs(r.Args[1])
	if d.listed == nil || items["MAILBOXID"] == nil {
		d.notedStatus(name, items)
		return
	}
	id := strings.Join(reply.Strings(items["MAILBOXID"]), "")
	n := func(item string) int {
		s, _ := items[item].(string)
		return int(number(s))
	}
	d.listed[name] = listing{id, uint32(n("UIDVALIDITY")), n("MESSAGES"), n("UNSEEN")}
}

func (d *imapDevice) esearch(r reply.Response) {
	d.found = nil
	for i := 0; i+1 < len(r.Args); i++ {
		if word, _ := r.Args[i].(string); word == "ALL" {
			text, _ := r.Args[i+1].(string)
			set, err := mail.ParseUIDSet(text)
			if err != nil {
				d.blame("%s: %s", d.name, r.Raw)
			}
			d.found = set
		}
	}
}

// Differs implements device.
func (d *imapDevice) Differs(t Truth, live bool) (out []string) {
	if live {
		return d.differsNow(t)
	}
	for id, b := range d.boxes {
		out = append(append(out, b.differs(t[id])...), b.miscounts()...)
	}
	for id, b := range t {
		if d.boxes[id] == nil {
			out = append(out, b.Name+": is missing")
		}
	}
	return out
}

// differsNow compares what is shown while the device waits: what came is counted,
// and of what it knows everything is right.
func (d *imapDevice) differsNow(t Truth) (out []string) {
	if d.kind.notify {
		out = d.unnoticed(t)
	}
	is := t[d.open.id]
	if is == nil {
		return []string{d.open.name + ": is not there"}
	}
	if n := len(is.Letters); n != len(d.view) {
		return []string{fmt.Sprintf("%s: %d messages are shown, there are %d", d.open.name, len(d.view), n)}
	}
	shown := &TruthBox{Name: d.open.name, Validity: is.Validity, Letters: maps.Clone(is.Letters)}
	for uid, l := range is.Letters {
		switch have := d.open.letters[uid]; {
		case have == nil && slices.Contains(d.view, 0):
			delete(shown.Letters, uid)
		case have != nil && have.token == "": // its flags came, its header was not asked for
			shown.Letters[uid] = Letter{Flags: l.Flags}
		}
	}
	return append(out, d.open.differs(shown)...)
}
