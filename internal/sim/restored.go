package sim

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"lockstep/internal/mail"
)

// restore puts an older copy of the database in its place. What happened since never
// was: letters that were accepted may be gone, and devices that keep a generation with
// the server have to start over.
func (w *world) restore(ctx context.Context) error {
	if w.house.older == nil {
		return nil
	}
	if err := w.house.restore(ctx); err != nil {
		return err
	}
	w.pruned = true
	w.sunk.forgive()
	for i, d := range w.devices {
		if r, ok := d.(rememberer); ok {
			r.remember(w.truth(w.owner[i]))
		}
	}
	return nil
}

// A rememberer is a device that need not fetch again what it holds when the server
// comes back from an older copy.
type rememberer interface{ remember(Truth) }

// remember takes down what the device holds and the server still has.
func (d *imapDevice) remember(t Truth) {
	d.keeps = map[string]bool{}
	for id, b := range d.boxes {
		for uid, l := range b.letters {
			if is := t[id]; is != nil && l.token != "" && is.Letters[uid].Token == l.token {
				d.keeps[keeping(b, uid)] = true
			}
		}
	}
}

func keeping(b *box, uid uint32) string { return fmt.Sprintf("%s/%d/%d", b.id, b.validity, uid) }

// fetches notes what the device is about to fetch.
func (d *imapDevice) fetches(b *box, uids []uint32) {
	for _, uid := range uids {
		if d.keeps[keeping(b, uid)] {
			d.blame("%s: fetches %d of %s again, which it held before the server was restored", d.name, uid, b.name)
		}
	}
}

// dropped notes that the device was shown a mailbox no longer, and so holds nothing of
// it.
func (d *imapDevice) dropped(b *box) {
	for _, uid := range b.uids() {
		delete(d.keeps, keeping(b, uid))
	}
}

// forgive takes what was accepted so far as if somebody had tried to delete it.
func (l *ledger) forgive() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for token := range l.accepted {
		l.removed[token] = true
	}
}

// given is a ledger of every number that was ever given to something, over all that
// was restored: none may come to mean something else.
type given struct {
	is map[string]string
}

func newGiven() *given { return &given{is: map[string]string{}} }

// note takes down what is there. An email id is of one letter, and the message of a
// placement never changes; a mailbox has one UIDVALIDITY, and no other has that.
func (g *given) note(account mail.AccountID, t Truth, blame func(string, ...any)) {
	claim := func(name, what string) {
		if was, known := g.is[name]; known && was != what {
			blame("%s was %s, and is %s", name, was, what)
		}
		g.is[name] = what
	}
	for _, id := range slices.Sorted(maps.Keys(t)) {
		b := t[id]
		if isOthers(b.Name) {
			continue
		}
		claim(fmt.Sprintf("mailbox %d/%s", account, id), fmt.Sprintf("of UIDVALIDITY %d", b.Validity))
		claim(fmt.Sprintf("UIDVALIDITY %d of account %d", b.Validity, account), "of mailbox "+id)
		for _, uid := range slices.Sorted(maps.Keys(b.Letters)) {
			l, v := b.Letters[uid], b.Versions[uid]
			letter := fmt.Sprintf("%s of %s (%s)", l.Token, l.Date.UTC().Format("2006-01-02T15:04:05.000000"), l.Subject)
			claim(fmt.Sprintf("UID %d of %d in %d/%s", uid, b.Validity, account, id), b.Emails[uid])
			claim("email "+b.Emails[uid], letter)
			claim(fmt.Sprintf("placement %d/%d", account, v.ID), fmt.Sprintf("%s/%d, %s", id, uid, b.Emails[uid]))
			claim(fmt.Sprintf("message %d/%d", account, v.Message), b.Emails[uid])
		}
	}
}
