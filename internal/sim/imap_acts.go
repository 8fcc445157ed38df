package sim

import (
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"

	"lockstep/internal/mail"
)

// chore is something a person did to a message or a mailbox; offline it waits in a
// queue.
type chore struct {
	do     string // flag, unflag, delete, move, copy, read all, append, create, rename, drop
	box    string // MAILBOXID
	uid    uint32
	flag   string
	to     string // MAILBOXID, or a name to be
	token  string // of the letter
	silent bool
	tried  bool // before, and nobody knows what came of it
}

var someFlags = []string{`\Seen`, `\Flagged`, `\Answered`, "$Forwarded", "work", "later"}

// Act implements device.
func (d *imapDevice) Act(r *rand.Rand) error {
	if d.kind.notify && r.IntN(2) == 0 {
		return d.attend()
	}
	if d.link == nil && r.IntN(3) > 0 {
		d.actOffline(r)
		return nil
	}
	if d.link == nil || r.IntN(8) == 0 {
		return d.Sync()
	}
	return d.lost(d.actOnline(r))
}

// attend lets it wait and hear, which is most of what such a device does.
func (d *imapDevice) attend() error {
	if d.waits || d.idles {
		return d.Hear()
	}
	if err := d.sync(); err != nil {
		return d.lost(err)
	}
	return d.lost(d.await())
}

// actOffline does something to what is held, and remembers to do it.
func (d *imapDevice) actOffline(r *rand.Rand) {
	c, ok := d.choose(r)
	if !ok {
		return
	}
	if l := d.boxes[c.box].letters[c.uid]; c.do == "delete" || c.do == "move" {
		l.hidden = true // what the server said is kept until it says otherwise
	}
	d.queue = append(d.queue, c)
}

// believe takes an OK for what the server did not say.
func (d *imapDevice) believe(c chore) {
	l := d.boxes[c.box].letters[c.uid]
	switch {
	case l == nil:
	case c.do == "flag":
		l.flags = withFlag(l.flags, c.flag)
	case c.do == "unflag":
		l.flags = withoutFlag(l.flags, c.flag)
	}
}

// replay does what was done offline. What the server refuses is given up: the
// mailbox it was for has gone.
func (d *imapDevice) replay() error {
	for len(d.queue) > 0 {
		c := d.queue[0]
		if d.boxes[c.box] == nil && c.box != "" {
			d.queue = d.queue[1:]
			continue
		}
		if err := d.perform(c); err != nil && !errors.Is(err, errRefusedByServer) {
			return err
		}
		d.queue = d.queue[1:]
	}
	return nil
}

// choose thinks of something to do.
func (d *imapDevice) choose(r *rand.Rand) (c chore, ok bool) {
	b := d.someBox(r)
	if b == nil {
		return c, false
	}
	c.box, c.silent = b.id, r.IntN(3) == 0
	to := d.someBox(r)
	uids := slices.DeleteFunc(b.uids(), func(uid uint32) bool { return b.letters[uid].hidden || b.letters[uid].token == "" })
	if len(uids) == 0 {
		return c, false
	}
	c.uid = uids[r.IntN(len(uids))]
	c.token = b.letters[c.uid].token
	switch r.IntN(12) {
	case 0, 1, 2, 3:
		c.do, c.flag = "flag", someFlags[r.IntN(len(someFlags))]
	case 4, 5:
		c.do, c.flag = "unflag", someFlags[r.IntN(len(someFlags))]
	case 6, 7:
		c.do = "delete"
	case 8, 9:
		c.do, c.to = "move", to.id
	case 10:
		c.do, c.to = "copy", to.id
	case 11:
		c.do = "read all"
	}
	return c, c.to != c.box
}

func (d *imapDevice) someBox(r *rand.Rand) *box {
	ids := slices.Sorted(maps.Keys(d.boxes))
	if len(ids) == 0 {
		return nil
	}
	if inbox := d.boxNamed("INBOX"); inbox != nil && r.IntN(2) == 0 {
		return inbox
	}
	return d.boxes[ids[r.IntN(len(ids))]]
}

func (d *imapDevice) actOnline(r *rand.Rand) error {
	if err := d.Hear(); err != nil {
		return err
	}
	if err := d.wake(); err != nil {
		return err
	}
	switch n := r.IntN(20); {
	case n < 11:
		c, ok := d.choose(r)
		if !ok {
			return d.awaitIfKind()
		}
		d.stale = true
		if err := d.perform(c); err != nil && !errors.Is(err, errRefusedByServer) {
			return err
		}
	case n < 14:
		d.stale = true
		if err := d.writeDraft(r); err != nil {
			return err
		}
	case n < 18 && len(d.friends) > 0 && r.IntN(4) == 0:
		if err := d.share(r); err != nil && !errors.Is(err, errRefusedByServer) {
			return err
		}
	case n < 18:
		if err := d.arrange(r); err != nil && !errors.Is(err, errRefusedByServer) {
			return err
		}
	case n < 19:
		d.Leave()
		return nil
	}
	return d.awaitIfKind()
}

func (d *imapDevice) awaitIfKind() error {
	if !d.kind.idle && !d.kind.notify {
		return nil
	}
	return d.await()
}

// perform does a chore and sees to it that it was done.
func (d *imapDevice) perform(c chore) error {
	if c.do == "append" {
		return d.append(c)
	}
	b := d.boxes[c.box]
	d.account(c)
	if d.open != b {
		if err := d.selectBox(b); err != nil {
			return err
		}
	}
	silent := ""
	if c.silent {
		silent = ".SILENT"
	}
	var err error
	switch c.do {
	case "flag":
		_, err = d.link.run(fmt.Sprintf("UID STORE %d +FLAGS%s (%s)", c.uid, silent, c.flag))
	case "unflag":
		_, err = d.link.run(fmt.Sprintf("UID STORE %d -FLAGS%s (%s)", c.uid, silent, c.flag))
	case "read all":
		c.silent = false
		if len(d.view) > 0 {
			_, err = d.link.run(`UID STORE 1:* +FLAGS (\Seen)`)
		}
	case "delete":
		c.silent = false
		if _, err = d.link.run(fmt.Sprintf(`UID STORE %d +FLAGS.SILENT (\Deleted)`, c.uid)); err == nil {
			_, err = d.link.run(fmt.Sprintf("UID EXPUNGE %d", c.uid))
		}
	case "copy", "move":
		c.silent = false
		if to := d.boxes[c.to]; to != nil {
			_, err = d.link.run(fmt.Sprintf("UID %s %d %s", strings.ToUpper(c.do), c.uid, quote(to.name)))
		}
	}
	if err != nil {
		return err
	}
	if c.silent {
		d.believe(c)
	}
	d.done(c)
	return d.learn()
}

// account notes what is about to be tried with a letter. What is in mailboxes that
// come and go may go with them.
func (d *imapDevice) account(c chore) {
	from, to := d.boxes[c.box], d.boxes[c.to]
	abroad := to != nil && isOthers(from.name) != isOthers(to.name)
	if c.do == "delete" || abroad || to != nil && mayBeDeleted(to.name) {
		d.ledger.remove(c.token)
	}
	if c.do == "copy" || abroad {
		d.ledger.double(c.token)
	}
}

// mayBeDeleted says of a mailbox, one's own or somebody else's, that devices delete such.
func mayBeDeleted(name string) bool {
	return strings.HasPrefix(name[strings.LastIndex(name, mail.Delimiter)+1:], "Box")
}

// done holds the server to its OK.
func (d *imapDevice) done(c chore) {
	if d.others {
		return
	}
	l := d.boxes[c.box].letters[c.uid]
	switch {
	case l == nil || c.silent:
	case c.do == "flag" && withFlag(l.flags, c.flag) != l.flags,
		c.do == "unflag" && withoutFlag(l.flags, c.flag) != l.flags:
		d.blame("%s: %s %s of %d was answered with OK, and its flags are %q", d.name, c.do, c.flag, c.uid, l.flags)
	case c.do == "delete", c.do == "move":
		d.blame("%s: %d is still there after its %s", d.name, c.uid, c.do)
	}
}

// writeDraft saves a draft, or the next version of one: the new one comes, and the
// old one goes.
func (d *imapDevice) writeDraft(r *rand.Rand) error {
	drafts := d.boxNamed("Drafts")
	if drafts == nil {
		return nil
	}
	c := chore{do: "append", box: drafts.id, token: fmt.Sprintf("draft-%s-%x", strings.NewReplacer("@", "-", " ", "-").Replace(d.name), r.Uint64())}
	uids := slices.DeleteFunc(drafts.uids(), func(uid uint32) bool { return drafts.letters[uid].token == "" })
	if len(uids) > 0 && r.IntN(2) == 0 {
		c.uid = uids[r.IntN(len(uids))]
	}
	d.queue = append(d.queue, c)
	if c.uid != 0 {
		d.queue = append(d.queue, chore{do: "delete", box: drafts.id, uid: c.uid, token: drafts.letters[c.uid].token})
	}
	return d.replay()
}

func (d *imapDevice) append(c chore) error {
	text := letterText(c.token)
	if c.tried {
		d.ledger.double(c.token)
	}
	d.queue[0].tried = true
	_, err := d.link.run(fmt.Sprintf(`APPEND %s (\Draft \Seen) {%d}`, quote(d.boxes[c.box].name), len(text)), text+"\r\n")
	if err == nil {
		d.ledger.accept(c.token)
	}
	return err
}

// arrange makes, renames or deletes a mailbox.
func (d *imapDevice) arrange(r *rand.Rand) error {
	own := slices.DeleteFunc(slices.Sorted(maps.Keys(d.boxes)), func(id string) bool { return !strings.HasPrefix(d.boxes[id].name, "Box") })
	name := fmt.Sprintf("Box%d", r.IntN(1000))
	if len(own) == 0 || r.IntN(3) == 0 {
		if _, err := d.link.run("CREATE " + quote(name)); err != nil {
			return err
		}
		return d.syncMailboxes()
	}
	b := d.boxes[own[r.IntN(len(own))]]
	if d.open == b {
		if _, err := d.link.run("UNSELECT"); err != nil {
			return err
		}
		d.open, d.view = nil, nil
	}
	command := "RENAME " + quote(b.name) + " " + quote(name)
	if r.IntN(3) == 0 {
		command = "DELETE " + quote(b.name)
	}
	if _, err := d.link.run(command); err != nil {
		return err
	}
	return d.syncMailboxes()
}

// someRights are what people let others do.
var someRights = []string{"lrswite", "lrswite", "lrswitekx", "lrs", "lr", "lrite", "l"}

// share lets somebody else into a mailbox, or out of it.
func (d *imapDevice) share(r *rand.Rand) error {
	b := d.someBox(r)
	if b == nil || isOthers(b.name) {
		return nil
	}
	who := quote(d.friends[r.IntN(len(d.friends))])
	command := "SETACL " + quote(b.name) + " " + who + " " + someRights[r.IntN(len(someRights))]
	if r.IntN(3) == 0 {
		command = "DELETEACL " + quote(b.name) + " " + who
	}
	_, err := d.link.run(command)
	return err
}
