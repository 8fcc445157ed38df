package imap

import (
	"bufio"
	"bytes"
	"compress/flate"
	"fmt"
	"math/rand/v2"
	"net"
	"slices"
	"sort"
	"strconv"
	"strings"
	"time"

	"lockstep/internal/mail"
	"lockstep/internal/steady"
)

// seen is a message as a client was told of it.
type seen struct {
	uid    mail.UID // 0 until it is told
	flags  string   // in order, without \Recent
	known  bool     // flags was told
	modseq uint64   // 0 until it is told
}

// tracker is a client that holds the server to every word: what it is told must
// agree with itself, with what it told others, and with what was promised.
type tracker struct {
	w    *world
	name string
	rng  *rand.Rand
	addr string

	login string
	above string // of the mailboxes' names: they are somebody else's
	as    mail.PrincipalID

	qresync, condstore, rev2 bool
	notified                 bool // changes come between commands, but for expunges
	leaving                  bool // what is said is still of the mailbox selected before

	conn     net.Conn
	packed   *flate.Writer // in between, with COMPRESS
	outgoing bytes.Buffer
	in       *bufio.Reader
	tags     int
	log      []string // the end of what was said
	box      string   // "" when none is selected
	readOnly bool
	view     []seen
	exists   int
	sync     *resync          // while a SELECT runs
	hms      uint64           // up to where the client may take itself to be (RFC 7162)
	said     uint64           // the last HIGHESTMODSEQ
	high     uint64           // the highest MODSEQ of a FETCH since
	uidNext  mail.UID         // promised
	words    []any            // of the last FLAGS
	recents  int              // the last RECENT
	caches   map[string]cache // what a QRESYNC client remembers of mailboxes
	queue    []*order
	live     []*liveResult
	told     map[mail.UID]bool // messages whose flags were told since the last completion
}

// cache is a mailbox as it was when everything in it was known.
type cache struct {
	hms  uint64
	view []seen
}

// resync gathers what SELECT says until it is complete.
type resync struct {
	from     cache
	partial  bool // UIDs beyond those named are not told
	vanished []mail.UIDSet
	fetched  map[uint32]seen
}

// order is a command, and what is thought of its answers.
type order struct {
	text  string
	more  []string // sent at each continuation request
	tag   string
	hear  func(response) // each untagged response
	done  func(response) // its completion
	holds bool           // EXPUNGE must not come
}

// wrong ends the client: the server broke a rule.
func (c *tracker) wrong(format string, args ...any) {
	panic(broken(fmt.Sprintf("%s in %s: %s\n  %s", c.name, c.box, fmt.Sprintf(format, args...), strings.Join(c.log, "\n  "))))
}

type broken string

const logLines = 40

func (c *tracker) note(line string) {
	if len(line) > 300 {
		line = line[:300] + "…"
	}
	if c.log = append(c.log, line); len(c.log) > logLines {
		c.log = c.log[1:]
	}
}

// at is how the client calls a mailbox.
func (c *tracker) at(box string) string {
	if c.above == "" {
		return box
	}
	return strconv.Quote(c.above + box)
}

func (c *tracker) connect() {
	conn, err := net.Dial("tcp", c.addr)
	if err != nil {
		c.wrong("%v", err)
	}
	c.conn, c.in, c.box, c.view, c.queue, c.packed, c.live = conn, bufio.NewReader(conn), "", nil, nil, nil, nil
	c.note("-- connected --")
	c.response()
	c.run("LOGIN " + c.login + ` "` + testPassword + `"`)
	switch {
	case c.qresync:
		c.run("ENABLE QRESYNC")
	case c.condstore:
		c.run("ENABLE CONDSTORE")
	}
	if c.rev2 {
		c.run("ENABLE IMAP4rev2")
	}
	if c.notified {
		c.run("NOTIFY SET (selected-delayed (MessageNew (UID FLAGS) MessageExpunge FlagChange)) (personal (MessageNew MessageExpunge FlagChange MailboxName))")
	}
	if c.rng.IntN(3) == 0 {
		c.run("COMPRESS DEFLATE")
		c.packed, _ = flate.NewWriter(&c.outgoing, flate.BestSpeed)
		c.in = bufio.NewReader(flate.NewReader(c.in))
	}
}

func (c *tracker) disconnect() {
	c.conn.Close()
	c.box, c.view, c.queue, c.sync = "", nil, nil, nil
	c.note("-- disconnected --")
}

const answerTime = steady.Patience

func (c *tracker) response() response {
	c.conn.SetDeadline(time.Now().Add(answerTime))
	r, err := readResponse(c.in)
	if err != nil {
		c.wrong("%v", err)
	}
	c.note("S: " + r.raw)
	return r
}

// write sends bytes; what is said of an error comes with the next response.
func (c *tracker) write(text string) {
	c.note("C: " + strings.TrimSuffix(text, "\r\n"))
	c.conn.SetDeadline(time.Now().Add(answerTime))
	if err := c.send(text); err != nil {
		c.wrong("%v", err)
	}
}

func (c *tracker) send(text string) error {
	c.outgoing.Reset()
	if c.packed == nil {
		c.outgoing.WriteString(text)
	} else if _, err := c.packed.Write([]byte(text)); err != nil {
		return err
	} else if err := c.packed.Flush(); err != nil {
		return err
	}
	_, err := c.conn.Write(c.outgoing.Bytes()) // at once: LOGOUT is answered as soon as it can be read
	return err
}

// run runs a command that succeeds.
func (c *tracker) run(text string) { c.do(&order{text: text, done: c.ok}) }

func (c *tracker) ok(r response) {
	if r.word != "OK" {
		c.wrong("%s", r.raw)
	}
}

func (c *tracker) tagged(o *order) string {
	c.tags++
	o.tag = "a" + strconv.Itoa(c.tags)
	return o.tag + " " + o.text + "\r\n"
}

// do sends commands at once and reads until all are complete.
func (c *tracker) do(orders ...*order) {
	var text strings.Builder
	for _, o := range orders {
		text.WriteString(c.tagged(o))
	}
	c.write(text.String())
	c.queue = orders
	c.told = map[mail.UID]bool{}
	for len(c.queue) > 0 {
		c.take(c.response())
	}
	c.keep()
}

// take thinks about one response.
func (c *tracker) take(r response) {
	o := c.queue[0]
	switch r.tag {
	case "*":
		c.hear(r, o)
	case "+":
		if len(o.more) == 0 {
			c.wrong("a continuation request nobody waits for")
		}
		c.write(o.more[0])
		o.more = o.more[1:]
	case o.tag:
		c.heed(r)
		if r.word == "OK" {
			c.advance()
		}
		if c.sync == nil && c.box != "" && c.recents > len(c.view) {
			c.wrong("%d were recent when last said, of what are %d now", c.recents, len(c.view))
		}
		if o.done != nil {
			o.done(r)
		}
		c.queue, c.told = c.queue[1:], map[mail.UID]bool{}
	default:
		c.wrong("%q answers a command that is not in progress", r.raw)
	}
}

// hear thinks about an untagged response.
func (c *tracker) hear(r response, o *order) {
	if c.leaving && slices.Contains([]string{"EXISTS", "RECENT", "FLAGS", "FETCH"}, r.word) {
		return
	}
	switch r.word {
	case "EXISTS":
		c.grow(int(r.n))
	case "RECENT":
		if int(r.n) > c.size() {
			c.wrong("%d are recent of %d", r.n, c.size())
		}
		c.recents = int(r.n)
	case "EXPUNGE":
		c.expunge(int(r.n), o)
	case "VANISHED":
		c.vanish(r, o)
	case "FLAGS":
		c.words = r.args[0].([]any)
	case "FETCH":
		c.fetched(r)
	case "ESEARCH":
		c.updated(r)
	case "BYE", "BAD", "NO":
		if o.text != "LOGOUT" {
			c.wrong("%s", r.raw)
		}
	case "OK":
		c.heed(r)
	}
	if o.hear != nil {
		o.hear(r)
	}
}

func (c *tracker) size() int {
	if c.sync != nil {
		return c.exists
	}
	return len(c.view)
}

// heed takes in what a response code promises.
func (c *tracker) heed(r response) {
	if len(r.code) > 0 && r.code[0] == "CLOSED" {
		c.leaving = false
	}
	if len(r.code) < 2 {
		return
	}
	arg, _ := r.code[1].(string)
	n, _ := strconv.ParseUint(arg, 10, 64)
	switch r.code[0] {
	case "HIGHESTMODSEQ":
		c.vouched(n)
	case "UIDNEXT":
		c.uidNext = mail.UID(n)
	case "UIDVALIDITY":
		c.w.fact(c, c.box+" UIDVALIDITY", arg)
	}
}

// vouched takes in a HIGHESTMODSEQ.
func (c *tracker) vouched(n uint64) {
	if c.sync == nil && n < c.said {
		c.wrong("HIGHESTMODSEQ went back from %d to %d", c.said, n)
	}
	c.hms, c.said, c.high = n, n, 0
}

// advance is what a client with QRESYNC may conclude from the OK of a command: it
// knows all up to the highest MODSEQ that it saw, if no HIGHESTMODSEQ said less.
func (c *tracker) advance() {
	if c.qresync && c.sync == nil {
		c.hms = max(c.hms, c.high)
	}
	c.high = 0
}

func (c *tracker) grow(n int) {
	if c.sync != nil {
		c.exists = n
		return
	}
	if n < len(c.view) {
		c.wrong("EXISTS went from %d to %d", len(c.view), n)
	}
	c.view = append(c.view, make([]seen, n-len(c.view))...)
}

func (c *tracker) expunge(n int, o *order) {
	switch {
	case o.holds:
		c.wrong("EXPUNGE during %q", o.text)
	case c.qresync:
		c.wrong("EXPUNGE where VANISHED is enabled")
	case n < 1 || n > len(c.view):
		c.wrong("EXPUNGE of %d of %d", n, len(c.view))
	}
	c.w.left(c, place{c.box, c.view[n-1].uid})
	c.gone(n, c.view[n-1].uid)
	c.view = slices.Delete(c.view, n-1, n)
}

func (c *tracker) vanish(r response, o *order) {
	_, earlier := r.args[0].([]any)
	set, err := mail.ParseUIDSet(r.args[len(r.args)-1].(string))
	switch {
	case err != nil:
		c.wrong("%v", err)
	case !c.qresync:
		c.wrong("VANISHED was not enabled")
	case c.sync != nil && earlier:
		c.sync.vanished = append(c.sync.vanished, set)
		return
	case earlier:
		return // asked for by UID FETCH
	case o.holds:
		c.wrong("VANISHED during %q", o.text)
	}
	for uid := range set.All() {
		c.remove(uid)
	}
}

// remove takes a UID out. Those the client was not told of lie where UIDs grow.
func (c *tracker) remove(uid mail.UID) {
	c.w.left(c, place{c.box, uid})
	i := slices.IndexFunc(c.view, func(m seen) bool { return m.uid == uid })
	if i < 0 { // one of the unknown before the next that is known, no matter which
		i = slices.IndexFunc(c.view, func(m seen) bool { return m.uid > uid })
		if i < 0 {
			i = len(c.view)
		}
		i--
	}
	if i < 0 || c.view[i].uid != uid && c.view[i].uid != 0 {
		c.wrong("UID %d vanished and was not there", uid)
	}
	c.gone(i+1, uid)
	c.view = slices.Delete(c.view, i, i+1)
}

// fetched takes in a FETCH response.
func (c *tracker) fetched(r response) {
	items := pairs(r.args[0])
	if int(r.n) > c.size() || r.n == 0 {
		c.wrong("FETCH of %d of %d", r.n, c.size())
	}
	if c.sync != nil {
		m := seen{uid: c.uidOf(items)}
		c.learn(&m, items)
		c.sync.fetched[r.n] = m
		return
	}
	i := int(r.n) - 1
	m := &c.view[i]
	if uid := c.uidOf(items); uid != 0 {
		c.identify(i, uid)
	} else if c.qresync && items["FLAGS"] != nil && len(items) == 2 && items["MODSEQ"] != nil {
		c.wrong("a FETCH without UID where QRESYNC is enabled")
	}
	c.learn(m, items)
	if items["FLAGS"] != nil {
		c.told[m.uid] = true
	}
}

func (c *tracker) uidOf(items map[string]any) mail.UID {
	text, _ := items["UID"].(string)
	n, _ := strconv.ParseUint(text, 10, 32)
	return mail.UID(n)
}

// identify notes a message's UID, which never changes and grows with the number.
func (c *tracker) identify(i int, uid mail.UID) {
	m := &c.view[i]
	if m.uid != 0 && m.uid != uid {
		c.wrong("message %d was UID %d and is %d", i+1, m.uid, uid)
	}
	m.uid = uid
	for j := i - 1; j >= 0; j-- {
		if u := c.view[j].uid; u != 0 {
			if u >= uid {
				c.wrong("message %d is UID %d and message %d is %d", j+1, u, i+1, uid)
			}
			break
		}
	}
	for j := i + 1; j < len(c.view); j++ {
		if u := c.view[j].uid; u != 0 {
			if u <= uid {
				c.wrong("message %d is UID %d and message %d is %d", i+1, uid, j+1, u)
			}
			break
		}
	}
}

// learn takes in what is said of a message.
func (c *tracker) learn(m *seen, items map[string]any) {
	if list, ok := items["MODSEQ"].([]any); ok {
		n, _ := strconv.ParseUint(list[0].(string), 10, 64)
		if n < m.modseq {
			c.wrong("MODSEQ of UID %d went from %d to %d", m.uid, m.modseq, n)
		}
		if n != m.modseq && items["FLAGS"] == nil && !strings.Contains(c.queue[0].text, ".SILENT") {
			m.known = false
		}
		m.modseq = n
		c.high = max(c.high, n)
	}
	if list, ok := items["FLAGS"].([]any); ok {
		for _, f := range list {
			if !slices.Contains(c.words, f) && f != `\Recent` {
				c.wrong("a message has %v, and FLAGS has not", f)
			}
		}
		m.flags, m.known = flagText(list), true
		if m.uid != 0 && items["MODSEQ"] != nil {
			c.w.flagsAt(c, place{c.box, m.uid}, fmt.Sprintf("%s%s %d at %d FLAGS", c.above, c.box, m.uid, m.modseq), m.flags)
		}
	}
	if m.uid == 0 {
		return
	}
	for name, v := range items {
		switch name {
		case "UID", "FLAGS", "MODSEQ":
		case "BODY[]":
			c.w.checkText(c, m.uid, v.(string))
		case "THREADID": // a member's names the account
			c.w.fact(c, fmt.Sprintf("%s%s %d %s", c.above, c.box, m.uid, name), fmt.Sprint(v))
		default:
			c.w.fact(c, fmt.Sprintf("%s %d %s", c.box, m.uid, name), fmt.Sprint(v))
		}
	}
}

func flagText(list []any) string {
	var flags []string
	for _, f := range list {
		if s := f.(string); s != `\Recent` {
			flags = append(flags, s)
		}
	}
	sort.Strings(flags)
	return strings.Join(flags, " ")
}

// keep remembers the mailbox if all of it is known.
func (c *tracker) keep() {
	if !c.qresync || c.box == "" || slices.ContainsFunc(c.view, func(m seen) bool { return m.uid == 0 || !m.known }) {
		return
	}
	c.caches[c.box] = cache{c.hms, slices.Clone(c.view)}
}

// catchUp asks for what was not told.
func (c *tracker) catchUp() {
	i := slices.IndexFunc(c.view, func(m seen) bool { return m.uid == 0 || !m.known })
	if i < 0 {
		return
	}
	c.do(c.fetch(fmt.Sprintf("%d:*", i+1), "UID FLAGS"+c.modseqItem()))
}

func (c *tracker) modseqItem() string {
	if c.condstore || c.qresync {
		return " MODSEQ"
	}
	return ""
}

func (c *tracker) fetch(set, items string) *order {
	return &order{text: "FETCH " + set + " (" + items + ")", holds: true, done: func(r response) {
		if r.word != "OK" && (len(r.code) == 0 || r.code[0] != "EXPUNGEISSUED") {
			c.wrong("%s", r.raw)
		}
	}}
}

// open selects a mailbox, coming back to it with QRESYNC where that can be.
func (c *tracker) open(box string, readOnly bool) {
	if c.leaving = c.box != ""; c.leaving {
		c.keep()
	}
	verb := "SELECT "
	if readOnly {
		verb = "EXAMINE "
	}
	from, have := c.caches[box]
	c.sync = &resync{fetched: map[uint32]seen{}}
	text := verb + c.at(box)
	if c.qresync && have && from.hms > 0 {
		c.sync.from = from
		text += " (QRESYNC (" + c.w.uidValidity(box) + " " + decimal(from.hms)
		if n := len(from.view); n > 0 && c.rng.IntN(3) == 0 {
			c.sync.partial = true
			text += " 1:" + decimal(uint64(from.view[n-1].uid))
		}
		text += "))"
	} else {
		have = false
	}
	c.box, c.readOnly, c.view, c.exists, c.hms, c.said, c.high, c.recents = box, readOnly, nil, 0, 0, 0, 0, 0
	c.endLive()
	c.do(&order{text: text, done: func(r response) {
		c.ok(r)
		c.live = nil
		c.opened(have)
	}})
	if c.qresync {
		c.catchUp()
	}
}

// opened makes the view out of what SELECT said.
func (c *tracker) opened(resynced bool) {
	s := c.sync
	c.sync = nil
	c.view = make([]seen, c.exists)
	if !resynced {
		return
	}
	var all []seen
	for _, m := range s.from.view {
		if !slices.ContainsFunc(s.vanished, func(set mail.UIDSet) bool { return set.Contains(m.uid) }) {
			all = append(all, m)
		}
	}
	for _, m := range s.fetched {
		i, found := slices.BinarySearchFunc(all, m.uid, func(a seen, uid mail.UID) int { return int(int64(a.uid) - int64(uid)) })
		if !found {
			all = slices.Insert(all, i, m)
		} else if m.modseq < all[i].modseq {
			c.wrong("QRESYNC: MODSEQ of UID %d went from %d to %d", m.uid, all[i].modseq, m.modseq)
		} else {
			all[i] = m
		}
	}
	if len(all) != c.exists && !(s.partial && len(all) < c.exists) {
		c.wrong("after QRESYNC there are %d messages and should be %d", len(all), c.exists)
	}
	for seq, m := range s.fetched {
		if !s.partial && all[seq-1].uid != m.uid {
			c.wrong("QRESYNC: message %d is UID %d, not %d", seq, m.uid, all[seq-1].uid)
		}
	}
	copy(c.view, all)
}
