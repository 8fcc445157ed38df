package imap

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"lockstep/internal/mail"
)

// act does something at random.
func (c *tracker) act() {
	if c.box == "" || c.rng.IntN(25) == 0 {
		c.open(stressBoxes[c.rng.IntN(len(stressBoxes))], c.rng.IntN(8) == 0)
		return
	}
	switch n := c.rng.IntN(100); {
	case n < 3:
		c.leave()
	case n < 8:
		c.idle()
	case n < 13:
		c.cut()
	case n < 18:
		c.do(c.status())
	case n < 40:
		c.do(c.byNumber(), c.byNumber(), c.byUID(), c.byUID())
	case n < 50:
		c.do(c.byNumber(), c.byNumber(), c.byNumber())
	default:
		c.do(c.byAny())
	}
	if c.qresync || c.rng.IntN(4) == 0 {
		c.catchUp()
	}
}

// byNumber is a command with sequence numbers during which nothing is expunged, so
// that others may be pipelined behind it.
func (c *tracker) byNumber() *order {
	if len(c.view) == 0 {
		return c.appendOne(false)
	}
	lo, hi := c.some(6)
	switch c.rng.IntN(5) {
	case 4:
		if o := c.watch(false); o.holds {
			return o
		}
		fallthrough
	case 0:
		return c.fetch(span1(lo, hi), "UID FLAGS"+c.modseqItem())
	case 1:
		return c.fetch(span1(lo, hi), c.fetchItems())
	case 2:
		return c.search()
	}
	return c.storeFlags(lo, hi, false)
}

// byUID is a command during which numbers may change.
func (c *tracker) byUID() *order {
	switch n := c.rng.IntN(10); {
	case n < 2:
		return &order{text: "NOOP", done: c.ok}
	case n < 4:
		return c.appendOne(false)
	case n < 5:
		return &order{text: "UID SEARCH ALL", done: c.ok}
	case n < 7 && c.allKnown() && len(c.view) > 0:
		lo, hi := c.some(5)
		return c.storeFlags(lo, hi, true)
	case n < 8:
		return c.expungeOrder()
	}
	return &order{text: "UID FETCH 1:* (FLAGS" + c.modseqItem() + ")", done: c.ok}
}

// byAny is a command that is sent alone.
func (c *tracker) byAny() *order {
	if len(c.view) == 0 {
		return c.appendOne(true)
	}
	switch n := c.rng.IntN(20); {
	case n < 3 && len(c.view) < 100:
		return c.appendOne(c.rng.IntN(2) == 0)
	case n < 6 && len(c.view) < 100:
		return c.copyOrder()
	case n < 8:
		return c.moveOrder()
	case n < 11:
		return c.expungeOrder()
	case n < 12 && c.rng.IntN(2) == 0:
		return c.replaceOrder()
	case n < 12 && c.qresync:
		return &order{text: "UID FETCH 1:* (FLAGS) (CHANGEDSINCE " + decimal(max(c.hms, 1)) + " VANISHED)", done: c.ok}
	case n < 15:
		return c.byUID()
	case n < 17:
		return c.watch(true)
	}
	return c.byNumber()
}

func span1(lo, hi int) string {
	if lo == hi {
		return strconv.Itoa(lo)
	}
	return fmt.Sprintf("%d:%d", lo, hi)
}

// some picks up to n messages that lie together.
func (c *tracker) some(n int) (lo, hi int) {
	lo = 1 + c.rng.IntN(len(c.view))
	return lo, min(len(c.view), lo+c.rng.IntN(n))
}

func (c *tracker) allKnown() bool {
	return !slices.ContainsFunc(c.view, func(m seen) bool { return m.uid == 0 || !m.known })
}

func (c *tracker) fetchItems() string {
	return []string{"UID ENVELOPE", "UID BODY.PEEK[]", "UID BODYSTRUCTURE RFC822.SIZE INTERNALDATE", "UID EMAILID THREADID", "UID BODY[]",
		"UID BODY.PEEK[HEADER.FIELDS (X-Sum Subject)]", "UID BODY.PEEK[TEXT]<5.20>", "UID BINARY.PEEK[1]", "UID BINARY.SIZE[1] SAVEDATE"}[c.rng.IntN(9)]
}

// search looks for messages by a flag, and the result must be what was told.
func (c *tracker) search() *order {
	flag := []string{"SEEN", "FLAGGED", "DELETED", "KEYWORD $A"}[c.rng.IntN(4)]
	word := map[string]string{"SEEN": `\Seen`, "FLAGGED": `\Flagged`, "DELETED": `\Deleted`, "KEYWORD $A": "$A"}[flag]
	o := &order{text: "SEARCH " + flag, holds: true, done: c.ok}
	o.hear = func(r response) {
		var found mail.UIDSet
		switch {
		case r.word == "ESEARCH" && tagOf(r) != o.tag:
			return
		case r.word == "SEARCH":
			for _, v := range r.args {
				n, _ := strconv.Atoi(v.(string))
				found.Add(mail.UID(n))
			}
		case r.word == "ESEARCH" && len(r.args) == 3:
			found, _ = mail.ParseUIDSet(r.args[2].(string))
		case r.word != "ESEARCH":
			return
		}
		for i, m := range c.view {
			if has := slices.Contains(strings.Fields(m.flags), word); m.known && has != found.Contains(mail.UID(i+1)) {
				c.wrong("message %d was told to be %q, and SEARCH %s finds %v", i+1, m.flags, flag, found)
			}
		}
	}
	return o
}

func (c *tracker) mine() string { return "$mine" + c.name }

// storeFlags is STORE in one of its forms.
func (c *tracker) storeFlags(lo, hi int, byUID bool) *order {
	flag := []string{`\Seen`, `\Flagged`, `\Answered`, `\Deleted`, "$A", "$B", c.mine()}[c.rng.IntN(7)]
	mode := []string{"+", "-", ""}[c.rng.IntN(3)]
	if mode == "" && c.box != wildBox {
		mode = "+"
	}
	text, silent := "FLAGS", c.rng.IntN(2) == 0
	if silent {
		text += ".SILENT"
	}
	guard := ""
	if (c.condstore || c.qresync) && c.rng.IntN(3) == 0 {
		guard = "(UNCHANGEDSINCE " + decimal(c.view[lo-1].modseq) + ") "
	}
	if flag == `\Deleted` && !c.readOnly {
		c.w.doom(c.box, c.view[lo-1:hi])
		if slices.ContainsFunc(c.view[lo-1:hi], func(m seen) bool { return m.uid == 0 }) {
			flag = `\Flagged` // whom it would hit is not known
		}
	}
	set := span1(lo, hi)
	o := &order{holds: !byUID}
	targets := slices.Clone(c.view[lo-1 : hi])
	if byUID {
		var uids mail.UIDSet
		for _, m := range targets {
			uids.Add(m.uid)
		}
		set = uids.String()
	}
	o.text = "STORE " + set + " " + guard + mode + text + " (" + flag + ")"
	if byUID {
		o.text = "UID " + o.text
	}
	o.done = func(r response) {
		if byUID {
			c.stored(r, c.placesOf(targets), mode, flag, silent)
			return
		}
		var at []int
		for i := lo - 1; i < hi; i++ {
			at = append(at, i)
		}
		c.stored(r, at, mode, flag, silent)
	}
	return o
}

// placesOf finds messages where they are now.
func (c *tracker) placesOf(list []seen) (at []int) {
	for i, m := range c.view {
		if m.uid != 0 && slices.ContainsFunc(list, func(t seen) bool { return t.uid == m.uid }) {
			at = append(at, i)
		}
	}
	return at
}

// stored judges the end of a STORE of the messages at these places.
func (c *tracker) stored(r response, at []int, mode, flag string, silent bool) {
	if c.readOnly {
		if r.word != "NO" {
			c.wrong("STORE where nothing may be changed")
		}
		return
	}
	var modified mail.UIDSet
	switch {
	case r.word == "OK" && len(r.code) == 2 && r.code[0] == "MODIFIED":
		modified, _ = mail.ParseUIDSet(r.code[1].(string))
	case r.word == "OK":
	case len(r.code) > 0 && (r.code[0] == "EXPUNGEISSUED" || r.code[0] == "MODIFIED"):
		for _, i := range at {
			c.view[i].known = c.told[c.view[i].uid]
		}
		return
	default:
		c.wrong("%s", r.raw)
	}
	byUID := strings.HasPrefix(c.queue[0].text, "UID ")
	for _, i := range at {
		m := &c.view[i]
		if byUID && modified.Contains(m.uid) || !byUID && modified.Contains(mail.UID(i+1)) {
			continue
		}
		c.storedOne(m, i, mode, flag, silent, byUID)
	}
}

// storedOne judges what was said of one message.
func (c *tracker) storedOne(m *seen, i int, mode, flag string, silent, byUID bool) {
	told := m.uid != 0 && c.told[m.uid]
	if !told && !silent && !byUID {
		c.wrong("STORE did not tell the flags of message %d", i+1)
	}
	if !told && m.known && silent {
		m.flags = changed(m.flags, mode, flag)
	}
	if m.known && told && flag == c.mine() && c.box != wildBox {
		if has := slices.Contains(strings.Fields(m.flags), flag); has != (mode == "+") {
			c.wrong("after STORE %s%s message %d has %q", mode, flag, i+1, m.flags)
		}
	}
}

func changed(flags, mode, flag string) string {
	list := slices.DeleteFunc(strings.Fields(flags), func(f string) bool { return mode == "" || f == flag })
	if mode != "-" {
		list = append(list, flag)
	}
	slices.Sort(list)
	return strings.Join(list, " ")
}

// appendOne is APPEND of one message, or of two.
func (c *tracker) appendOne(alone bool) *order {
	box := c.box
	if c.rng.IntN(3) == 0 {
		box = stressBoxes[c.rng.IntN(len(stressBoxes))]
	}
	o := &order{text: "APPEND " + c.at(box)}
	plus := "+"
	if alone {
		plus = ""
	}
	var ids []string
	for i := range 1 + c.rng.IntN(2) {
		id, text := c.w.newMessage(c)
		ids = append(ids, id)
		head := fmt.Sprintf(` (\Seen $B) {%d%s}`, len(text), plus)
		switch {
		case !alone:
			o.text += head + "\r\n" + text
		case i == 0:
			o.text += head
			o.more = []string{text}
		default:
			o.more[i-1] += head + "\r\n"
			o.more = append(o.more, text)
		}
	}
	if alone {
		o.more[len(o.more)-1] += "\r\n"
	}
	answered := c.w.attempt(box, len(ids))
	o.done = func(r response) {
		c.ok(r)
		uids, err := mail.ParseUIDSet(r.code[2].(string))
		if err != nil || uids.Count() != uint64(len(ids)) {
			c.wrong("%s", r.raw)
		}
		i := 0
		for uid := range uids.All() {
			c.w.make(c, place{box, uid}, ids[i])
			i++
		}
		answered()
	}
	return o
}

// copied takes in COPYUID.
func (c *tracker) copied(code []any, to string) {
	from, err1 := mail.ParseUIDSet(code[2].(string))
	uids, err2 := mail.ParseUIDSet(code[3].(string))
	if err1 != nil || err2 != nil || from.Count() != uids.Count() {
		c.wrong("COPYUID %v", code)
	}
	var sources []mail.UID
	for uid := range from.All() {
		sources = append(sources, uid)
	}
	i := 0
	for uid := range uids.All() {
		c.w.copy(c, place{c.box, sources[i]}, place{to, uid})
		i++
	}
}

func (c *tracker) copyOrder() *order {
	lo, hi := c.some(3)
	box := stressBoxes[c.rng.IntN(len(stressBoxes))]
	answered := c.w.attempt(box, hi-lo+1)
	return &order{text: "COPY " + span1(lo, hi) + " " + c.at(box), done: func(r response) {
		if r.word == "OK" {
			c.copied(r.code, box)
		} else if r.code == nil || r.code[0] != "EXPUNGEISSUED" {
			c.wrong("%s", r.raw)
		}
		answered()
	}}
}

func (c *tracker) moveOrder() *order {
	lo, hi := c.some(3)
	if slices.ContainsFunc(c.view[lo-1:hi], func(m seen) bool { return m.uid == 0 }) {
		return c.copyOrder()
	}
	box := stressBoxes[c.rng.IntN(len(stressBoxes))]
	if !c.readOnly {
		c.w.doom(c.box, c.view[lo-1:hi])
	}
	answered := c.w.attempt(box, hi-lo+1)
	return &order{text: "MOVE " + span1(lo, hi) + " " + c.at(box), hear: func(r response) {
		if r.word == "OK" && r.code != nil && r.code[0] == "COPYUID" {
			c.copied(r.code, box)
		}
	}, done: func(r response) {
		if r.word != "OK" && !c.readOnly && (r.code == nil || r.code[0] != "EXPUNGEISSUED") {
			c.wrong("%s", r.raw)
		}
		answered()
	}}
}

// replaceOrder is REPLACE by number or UID, into this mailbox or another.
func (c *tracker) replaceOrder() *order {
	i := c.rng.IntN(len(c.view))
	old := c.view[i].uid
	if old == 0 || c.readOnly {
		return c.copyOrder()
	}
	box := c.box
	if c.rng.IntN(3) == 0 {
		box = stressBoxes[c.rng.IntN(len(stressBoxes))]
	}
	c.w.doom(c.box, c.view[i:i+1])
	id, text := c.w.newMessage(c)
	head := "REPLACE " + strconv.Itoa(i+1)
	if c.rng.IntN(2) == 0 {
		head = "UID REPLACE " + decimal(uint64(old))
	}
	said, answered := false, c.w.attempt(box, 1)
	return &order{text: fmt.Sprintf("%s %s (\\Seen $B) {%d}", head, c.at(box), len(text)), more: []string{text + "\r\n"}, hear: func(r response) {
		if r.word != "OK" || r.code == nil || r.code[0] != "APPENDUID" {
			return
		}
		if len(c.placesOf([]seen{{uid: old}})) == 0 {
			c.wrong("UID %d went before it was said what takes its place", old)
		}
		uid, _ := strconv.ParseUint(r.code[2].(string), 10, 32)
		c.w.make(c, place{box, mail.UID(uid)}, id)
		said = true
	}, done: func(r response) {
		if said != (r.word == "OK") || !said && (r.code == nil || r.code[0] != "EXPUNGEISSUED") {
			c.wrong("%s", r.raw)
		}
		if said && len(c.placesOf([]seen{{uid: old}})) > 0 {
			c.wrong("UID %d is still there", old)
		}
		answered()
	}}
}

func (c *tracker) expungeOrder() *order {
	text := "EXPUNGE"
	if c.allKnown() && len(c.view) > 0 && c.rng.IntN(2) == 0 {
		text = "UID EXPUNGE " + decimal(uint64(c.view[0].uid)) + ":*"
	}
	return &order{text: text, done: func(r response) {
		if (r.word == "OK") == c.readOnly {
			c.wrong("%s", r.raw)
		}
	}}
}

// status asks after a mailbox, whose numbers only grow.
func (c *tracker) status() *order {
	items := "MESSAGES UIDNEXT UIDVALIDITY UNSEEN SIZE"
	if c.condstore || c.qresync {
		items += " HIGHESTMODSEQ"
	}
	return &order{text: "STATUS " + c.at(c.box) + " (" + items + ")", done: c.ok, hear: func(r response) {
		if r.word != "STATUS" || r.args[0] != any(c.above+c.box) { // NOTIFY tells of others
			return
		}
		m := pairs(r.args[1])
		n, _ := strconv.ParseUint(m["UIDNEXT"].(string), 10, 32)
		if mail.UID(n) < c.uidNext {
			c.wrong("UIDNEXT went from %d to %d", c.uidNext, n)
		}
		c.uidNext = mail.UID(n)
		c.w.fact(c, c.box+" UIDVALIDITY", m["UIDVALIDITY"].(string))
	}}
}

// leave closes the mailbox in one of three ways.
func (c *tracker) leave() {
	c.keep()
	verb := []string{"CLOSE", "UNSELECT"}[c.rng.IntN(2)]
	c.do(&order{text: verb, done: func(r response) {
		c.ok(r)
		c.box, c.view, c.live = "", nil, nil
	}})
}

// idle waits a moment for what others do.
func (c *tracker) idle() {
	done := false
	o := &order{text: "IDLE", done: c.ok}
	c.write(c.tagged(o))
	c.queue, c.told = []*order{o}, map[mail.UID]bool{}
	for !done {
		r := c.response()
		if done = r.tag == "+"; !done {
			c.take(r)
		}
	}
	for range c.rng.IntN(4) {
		if c.packed != nil {
			break // decompression does not go on after a deadline
		}
		c.conn.SetReadDeadline(time.Now().Add(time.Duration(c.rng.IntN(10)) * time.Millisecond))
		if _, err := c.in.Peek(1); err != nil {
			break
		}
		c.take(c.response())
	}
	c.write("DONE\r\n")
	for len(c.queue) > 0 {
		c.take(c.response())
	}
	c.keep()
}

// cut breaks the connection in the middle of a command, or of its answer.
func (c *tracker) cut() {
	o := c.byAny()
	text := c.tagged(o)
	for _, m := range o.more {
		text = strings.Replace(text, "}", "+}", 1) + m
	}
	if c.rng.IntN(2) == 0 {
		text = text[:c.rng.IntN(len(text))]
	}
	c.write(text)
	c.disconnect()
	c.connect()
}
