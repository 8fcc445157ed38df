package sim

import (
	"errors"
	"fmt"
	"maps"
	"slices"

	"lockstep/internal/imap/reply"
	"lockstep/internal/mail"
)

// Hear implements device.
func (d *imapDevice) Hear() error {
	if d.link == nil {
		return nil
	}
	if err := d.link.drain(); err != nil {
		return d.lost(err)
	}
	if d.bye {
		return d.lost(fmt.Errorf("%w: goodbye", errLost))
	}
	return nil
}

// Sync implements device.
func (d *imapDevice) Sync() error {
	if err := d.sync(); err != nil {
		return d.lost(err)
	}
	return nil
}

func (d *imapDevice) sync() error {
	if err := d.Hear(); err != nil && !errors.Is(err, errLost) {
		return err
	}
	if err := d.connect(); err != nil {
		return err
	}
	if err := d.wake(); err != nil {
		return err
	}
	if err := d.replay(); err != nil {
		return err
	}
	if err := d.syncMailboxes(); err != nil {
		return err
	}
	for _, id := range slices.Sorted(maps.Keys(d.boxes)) {
		if err := d.selectBox(d.boxes[id]); errors.Is(err, errRefusedByServer) {
			continue // somebody deleted it meanwhile; the next LIST says so
		} else if err != nil {
			return err
		}
	}
	return nil
}

// wake ends IDLE.
func (d *imapDevice) wake() error {
	d.waits = false
	if !d.idles {
		return nil
	}
	d.idles = false
	if err := d.link.write("DONE\r\n"); err != nil {
		return err
	}
	for {
		r, err := d.link.read()
		if err != nil {
			return err
		}
		if r.Tag != "*" {
			return d.learn()
		}
		d.hear(r)
	}
}

// await waits for changes to INBOX, or to what somebody shares.
func (d *imapDevice) await() error {
	at := d.boxNamed("INBOX")
	if d.kind.aside {
		at = d.boxNamed("Trash")
	}
	if visited := d.visited(); visited != nil {
		at = visited
	}
	if d.idles || d.waits || at == nil {
		return nil
	}
	if d.open != at {
		if err := d.selectBox(at); err != nil {
			return err
		}
	}
	if d.kind.notify && d.stale {
		if err := d.syncMailboxes(); err != nil {
			return err
		}
	}
	if d.kind.idle {
		return d.idle()
	}
	d.waits = true
	return nil
}

// visited is a mailbox of somebody else that it likes to wait in.
func (d *imapDevice) visited() *box {
	if d.kind.visits {
		for _, id := range slices.Sorted(maps.Keys(d.boxes)) {
			if isOthers(d.boxes[id].name) {
				return d.boxes[id]
			}
		}
	}
	return nil
}

// idle begins IDLE.
func (d *imapDevice) idle() error {
	d.link.tags++
	if err := d.link.write(fmt.Sprintf("a%d IDLE\r\n", d.link.tags)); err != nil {
		return err
	}
	for {
		r, err := d.link.read()
		if err != nil {
			return err
		}
		if r.Tag == "+" {
			d.idles = true
			return nil
		}
		d.hear(r)
	}
}

func (d *imapDevice) boxNamed(name string) *box {
	for _, b := range d.boxes {
		if b.name == name {
			return b
		}
	}
	return nil
}

// syncMailboxes learns which mailboxes there are. A mailbox is known by its
// MAILBOXID, so that a new name is no new mailbox.
func (d *imapDevice) syncMailboxes() error {
	d.listed = map[string]listing{}
	defer func() { d.listed = nil }()
	if _, err := d.link.run(`LIST "" "*" RETURN (STATUS (MAILBOXID UIDVALIDITY MESSAGES UNSEEN))`); err != nil {
		return err
	}
	there := map[string]bool{}
	for name, l := range d.listed {
		if l.id == "" && (isOthers(name) || d.kind.notify) {
			continue // it may be looked up and not read; or came meanwhile, and the next LIST has it
		}
		if l.id == "" {
			d.blame("%s: no STATUS of %s", d.name, name)
			continue
		}
		there[l.id] = true
		b := d.boxes[l.id]
		if b == nil {
			b = &box{id: l.id, validity: l.validity, letters: map[uint32]*letter{}}
			d.boxes[l.id] = b
		}
		if b.validity != l.validity {
			d.blame("%s: UIDVALIDITY of %s was %d and is %d", d.name, name, b.validity, l.validity)
		}
		b.name, b.messages, b.unseen = name, l.messages, l.unseen
	}
	for id := range d.boxes {
		if !there[id] {
			d.dropped(d.boxes[id])
			delete(d.boxes, id)
		}
	}
	d.notedListed()
	return nil
}

// selectBox opens a mailbox and learns what changed in it.
func (d *imapDevice) selectBox(b *box) error {
	if d.kind.notify && d.open != nil { // which is told of until it is left
		if _, err := d.link.run("UNSELECT"); err != nil {
			return err
		}
		d.notedOpen()
	}
	d.open, d.view = nil, nil
	d.offered, d.opened = 0, listing{}
	command := "SELECT " + quote(b.name)
	switch {
	case d.kind.qresync && b.modseq > 0:
		return d.resync(b, command)
	case d.kind.condstore:
		command += " (CONDSTORE)"
	}
	d.open = b
	if _, err := d.link.run(command); err != nil {
		d.open = nil
		return err
	}
	if err := d.isOpen(b); err != nil {
		return err
	}
	if d.kind.condstore && b.modseq > 0 {
		return d.catchUp(b)
	}
	return d.readAll(b)
}

// isOpen looks whether a name still leads to the mailbox that was listed under it: while
// others are at work it may have been given to another, which the next LIST says.
func (d *imapDevice) isOpen(b *box) error {
	if d.others && d.opened.id != b.id {
		d.open, d.view = nil, nil
		if _, err := d.link.run("UNSELECT"); err != nil {
			return err
		}
		return fmt.Errorf("%w: %s is another mailbox now", errRefusedByServer, b.name)
	}
	if d.opened.validity != b.validity {
		d.blame("%s: UIDVALIDITY of %s was %d and is %d", d.name, b.name, b.validity, d.opened.validity)
	}
	return nil
}

// resync opens a mailbox by QRESYNC (RFC 7162 §3.2.5): what is told is all that
// changed.
func (d *imapDevice) resync(b *box, command string) error {
	d.open = b
	before := b.uids()
	// FETCH responses say sequence numbers of a view that is told only in part.
	news := map[uint32][]string{}
	count := 0
	hear := d.link.hear
	d.link.hear = func(r reply.Response) {
		switch r.Word {
		case "EXISTS":
			count = int(r.Num)
		case "FETCH":
			items := reply.Pairs(r.Args[0])
			uid, _ := items["UID"].(string)
			news[uint32(number(uid))] = reply.Strings(items["FLAGS"])
		default:
			hear(r)
		}
	}
	known := ""
	if d.kind.known && len(before) > 0 { // then new ones are not told (RFC 7162 §3.2.5.1)
		known = " " + setOf(before)
	}
	_, err := d.link.run(fmt.Sprintf("%s (QRESYNC (%d %d%s))", command, b.validity, b.modseq, known))
	d.link.hear = hear
	if err != nil {
		d.open = nil
		return err
	}
	if err := d.isOpen(b); err != nil {
		return err
	}
	for uid, flags := range news {
		if uid == 0 {
			d.blame("%s: a FETCH without UID after QRESYNC", d.name)
			continue
		}
		if b.letters[uid] == nil {
			b.letters[uid] = &letter{}
		}
		b.letters[uid].flags = flagWords(flags)
	}
	d.view = b.uids()
	if count < len(d.view) || known == "" && count > len(d.view) {
		d.blame("%s: after QRESYNC of %s %d messages are known, and %d exist", d.name, b.name, len(d.view), count)
		return nil
	}
	if count > len(d.view) { // it may have been told of some that came after ones it does not know
		d.view = make([]uint32, count)
		return d.compareUIDs(b)
	}
	return d.settle(b)
}

func setOf(uids []uint32) string {
	var set mail.UIDSet
	for _, uid := range uids {
		set.Add(mail.UID(uid))
	}
	return set.String()
}

// catchUp asks for what changed since, and what is left (RFC 7162 §3.1).
func (d *imapDevice) catchUp(b *box) error {
	if len(d.view) == 0 {
		clear(b.letters)
		return d.settle(b)
	}
	if d.offered != b.modseq {
		if _, err := d.link.run(fmt.Sprintf("UID FETCH 1:* (FLAGS) (CHANGEDSINCE %d)", b.modseq)); err != nil {
			return err
		}
	}
	return d.compareUIDs(b)
}

// compareUIDs drops what is not there any more.
func (d *imapDevice) compareUIDs(b *box) error {
	for tries := 100; ; tries-- { // what went or came is told after what was found, and may leave as many
		d.found = nil
		before := d.moves
		if _, err := d.link.run("UID SEARCH ALL"); err != nil {
			return err
		}
		if d.moves == before || !d.others || tries == 0 {
			break
		}
	}
	if n := d.found.Count(); n != uint64(len(d.view)) {
		d.blame("%s: SEARCH ALL in %s finds %d of %d", d.name, b.name, n, len(d.view))
		return nil
	}
	i := 0
	for uid := range d.found.All() {
		d.view[i] = uint32(uid)
		i++
	}
	for _, uid := range b.uids() {
		if !d.found.Contains(mail.UID(uid)) {
			delete(b.letters, uid)
		}
	}
	return d.settle(b)
}

// readAll reads the flags of everything.
func (d *imapDevice) readAll(b *box) error {
	old := b.uids()
	if len(d.view) > 0 {
		if _, err := d.link.run("FETCH 1:* (UID FLAGS)"); err != nil {
			return err
		}
	}
	for _, uid := range old {
		if !slices.Contains(d.view, uid) {
			delete(b.letters, uid)
		}
	}
	return d.settle(b)
}

// settle fetches what is not known yet, and then knows everything up to what the
// server offered.
func (d *imapDevice) settle(b *box) error {
	offered := d.offered
	if err := d.learn(); err != nil {
		return err
	}
	if d.kind.condstore || d.kind.qresync {
		b.modseq = max(b.modseq, offered)
	}
	return nil
}

// learn asks for the UIDs and headers of messages that were only counted.
func (d *imapDevice) learn() error {
	if d.open == nil {
		return nil
	}
	for at, last := slices.Index(d.view, 0), -1; at >= 0; at, last = slices.Index(d.view, 0), at {
		if at == last {
			d.blame("%s: message %d of %d in %s can't be fetched", d.name, at+1, len(d.view), d.open.name)
			return nil
		}
		command := fmt.Sprintf("FETCH %d:* (UID FLAGS)", at+1)
		if d.kind.notify { // numbers may have changed before the server reads it
			command = fmt.Sprintf("UID FETCH %d:* (FLAGS)", d.uidBefore(at)+1)
		}
		if _, err := d.link.run(command); err != nil {
			return err
		}
	}
	var unread []uint32
	for _, uid := range d.view {
		if l := d.open.letters[uid]; l == nil {
			if _, err := d.link.run(fmt.Sprintf("UID FETCH %d (FLAGS)", uid)); err != nil {
				return err
			}
		}
		if l := d.open.letters[uid]; l != nil && l.token == "" {
			unread = append(unread, uid)
		}
	}
	if len(unread) == 0 {
		return nil
	}
	return d.readHeaders(d.open, unread)
}

// uidBefore is the UID of the message before the one at a place of the view.
func (d *imapDevice) uidBefore(at int) uint32 {
	if at == 0 {
		return 0
	}
	return d.view[at-1]
}

// readHeaders fetches what says which message it is, and reads one whole.
func (d *imapDevice) readHeaders(b *box, uids []uint32) error {
	d.fetches(b, uids)
	d.arrived, d.bodies = map[uint32]string{}, map[uint32]string{}
	items := "(BODY.PEEK[HEADER.FIELDS (MESSAGE-ID)])"
	if len(uids) == 1 {
		items = "(BODY.PEEK[HEADER.FIELDS (MESSAGE-ID)] BODY.PEEK[])"
	}
	if _, err := d.link.run("UID FETCH " + setOf(uids) + " " + items); err != nil {
		return err
	}
	for uid, token := range d.arrived {
		if l := b.letters[uid]; l != nil {
			l.token = token
		}
	}
	for uid, text := range d.bodies {
		if token := d.arrived[uid]; !isLetter(token, text) {
			d.blame("%s: %s/%d is not what %s was:\n%.300s", d.name, b.name, uid, token, text)
		}
	}
	return nil
}
