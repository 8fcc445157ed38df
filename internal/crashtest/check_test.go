package crashtest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/netip"
	"slices"
	"strconv"
	"sync/atomic"
	"time"

	"lockstep/internal/blob"
	"lockstep/internal/delivery"
	"lockstep/internal/mail"
	"lockstep/internal/steady"
	"lockstep/internal/store"
	"lockstep/internal/store/sqlstore"
	"lockstep/internal/vfs"
)

// openWithin bounds how long a store may take to open after a crash, on a machine
// that is busy with other tests.
const openWithin = steady.Patience

// slowestOpen is how long the slowest of all openings took, for those who read the
// log.
var slowestOpen atomic.Int64

func noteOpen(took time.Duration) {
	for {
		seen := slowestOpen.Load()
		if int64(took) <= seen || slowestOpen.CompareAndSwap(seen, int64(took)) {
			return
		}
	}
}

// maxComplaints bounds what is said of one crash.
const maxComplaints = 5

var blobOptions blob.PutOptions

// deliver hands a letter in by LMTP, as it were.
func deliver(ctx context.Context, h *house, name string, to []store.Principal) ([]error, error) {
	env := &delivery.Envelope{ReversePath: "a@example.test", Hop: delivery.Hop{
		Helo: "peer.example.test", Addr: netip.MustParseAddr("127.0.0.1"), With: "LMTP", ID: "s", Arrived: time.Now(), Protocol: mail.LMTP,
	}}
	for _, p := range to {
		r, err := h.delivery.LocalRecipient(ctx, p.Login, 0)
		if err != nil {
			return nil, err
		}
		env.Recipients = append(env.Recipients, r)
	}
	return h.delivery.Deliver(ctx, env, bytes.NewReader(letter(name)))
}

// readLetter reads a blob and lets it prove itself.
func readLetter(ctx context.Context, blobs *blob.Store, b mail.Blob) error {
	r, err := blobs.Open(ctx, b)
	if err != nil {
		return fmt.Errorf("blob at %s: %w", b.Place, err)
	}
	defer r.Close()
	text, err := io.ReadAll(r)
	if err != nil {
		return fmt.Errorf("blob at %s: %w", b.Place, err)
	}
	return checkLetter(text)
}

// A checker holds a directory to what the ledger has heard.
type checker struct {
	*house
	*ledger
	ctx   context.Context
	found []store.Principal
	wrong []error
}

// check opens what a crash left and says what is not as promised. It changes the
// directory.
func check(ctx context.Context, dir string, fsys vfs.FS, l *ledger) error {
	c := &checker{ledger: l, ctx: ctx}
	now := func() time.Time { return time.Unix(l.clock, 0).Add(time.Minute) }
	began := time.Now()
	h, err := openHouse(ctx, dir, fsys, now, func(db *sqlstore.DB) store.Store { return db })
	if err != nil {
		return fmt.Errorf("it does not open: %w", err)
	}
	c.house = h
	took := time.Since(began)
	if took > openWithin {
		c.complain("it took %v to open", took)
	}
	noteOpen(took)
	c.everything()
	return errors.Join(append(c.wrong[:min(len(c.wrong), maxComplaints)], h.close())...)
}

func (c *checker) complain(format string, args ...any) {
	c.wrong = append(c.wrong, fmt.Errorf(format, args...))
}

// ok complains of an error.
func (c *checker) ok(what string, err error) bool {
	if err != nil {
		c.complain("%s: %w", what, err)
	}
	return err == nil
}

func (c *checker) everything() {
	var err error
	if c.found, err = c.db.Accounts(c.ctx); !c.ok("accounts", err) {
		return
	}
	for _, id := range slices.Sorted(maps.Keys(c.accounts)) {
		c.account(id, c.accounts[id])
	}
	c.cursors()
	c.outgoing()
	c.arrivedOnce()
	c.goesOn()
}

// account compares an account with what was said of it.
func (c *checker) account(id mail.AccountID, s *said) {
	var blobs []mail.Blob
	err := c.db.View(c.ctx, id, func(r store.Reader) (err error) {
		a, err := r.Account()
		if err != nil {
			return err
		}
		sum, err := digest(r)
		if err != nil {
			return err
		}
		c.isKnown(id, s, a, sum)
		c.journal(r, s, a)
		blobs, err = c.shown(r)
		return err
	})
	c.ok(s.login, err)
	findings, err := c.db.Check(c.ctx, id, false)
	c.ok(s.login, err)
	for _, f := range findings {
		c.complain("%s: %s", s.login, f)
	}
	for _, b := range blobs {
		c.ok(s.login, readLetter(c.ctx, c.blobs, b))
		c.ok(s.login, c.blobs.Verify(c.ctx, b))
	}
}

// isKnown makes sure that nothing acknowledged is missing, and that what is there
// is something that was about to be, whole.
func (c *checker) isKnown(id mail.AccountID, s *said, a mail.Account, sum string) {
	want, exactly := s.did[a.Head]
	switch {
	case a.Restored != 0:
		c.complain("account %d was begun anew, as if somebody had put an older copy back", id)
	case a.Head < s.head:
		c.complain("account %d is at %d, but %d was acknowledged", id, a.Head, s.head)
	case exactly && sum != want:
		c.complain("account %d is not what it was at %d", id, a.Head)
	case !exactly && !s.will[sum]:
		c.complain("account %d at %d is what it never was to be", id, a.Head)
	}
}

// journal looks for the record of each acknowledged change since the horizon.
func (c *checker) journal(r store.Reader, s *said, a mail.Account) {
	records, err := r.Journal(store.JournalQuery{After: a.Horizon, Limit: 1 << 20})
	if !c.ok(s.login, err) {
		return
	}
	there := map[mail.ModSeq]bool{}
	for _, rec := range records {
		there[rec.ModSeq] = true
	}
	for n := range s.did {
		if n > a.Horizon && !there[n] {
			c.complain("%s: no record of %d", s.login, n)
		}
	}
}

// shown returns the blobs of all messages.
func (c *checker) shown(r store.Reader) ([]mail.Blob, error) {
	mailboxes, err := r.Mailboxes()
	if err != nil {
		return nil, err
	}
	var blobs []mail.Blob
	for _, mb := range mailboxes {
		err := r.Messages(store.PlacementQuery{Mailbox: mb.ID, Located: true}, func(p *mail.Placement, m *mail.Message) error {
			blobs = append(blobs, m.Blob)
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	return blobs, nil
}

// cursors have not gone back.
func (c *checker) cursors() {
	for k, n := range c.notes {
		c.ok("cursor", c.db.View(c.ctx, k.account, func(r store.Reader) error {
			b, err := r.Cursor(0, k.cursor)
			if err != nil {
				return err
			}
			if got, err := strconv.ParseInt(string(b), 10, 64); err != nil || got < n {
				c.complain("cursor %v is %q, but %d was acknowledged", k, b, n)
			}
			return nil
		}))
	}
}

// outgoing mail is queued until it is settled, and can be read.
func (c *checker) outgoing() {
	pending, err := c.db.Pending(c.ctx, 1<<20)
	if !c.ok("queue", err) {
		return
	}
	there := map[string]bool{}
	for _, o := range pending {
		if there[o.Delivery] {
			c.complain("%s is queued twice", o.Delivery)
		}
		there[o.Delivery] = true
		c.ok("queued "+o.Delivery, readLetter(c.ctx, c.blobs, o.Blob))
	}
	for name, state := range c.queue {
		if state == queued && !there[name] {
			c.complain("%s is not in the queue any more", name)
		}
		if state == settled && there[name] {
			c.complain("%s is in the queue again", name)
		}
	}
}

// rememberedFor is how many seconds a delivery is remembered at the least, by a
// clock that may be a minute off.
const rememberedFor = 3600 - 60

// arrivedOnce hands in again what was acknowledged last: nothing comes of it.
func (c *checker) arrivedOnce() {
	if n := len(c.delivered); n > 0 && c.delivered[n-1].accounts <= len(c.found) && c.clock < c.delivered[n-1].at+rememberedFor {
		d := c.delivered[n-1]
		c.unchanged("a delivery", func() error {
			errs, err := deliver(c.ctx, c.house, d.name, c.found[:d.accounts])
			return errors.Join(append(errs, err)...)
		})
	}
	n := len(c.appended)
	if n == 0 || c.appended[n-1].until <= c.clock+60 {
		return
	}
	a := c.appended[n-1]
	c.unchanged("an append", func() error {
		arrival, err := c.delivery.Ingest(c.ctx, bytes.NewReader(letter(a.name)))
		if err != nil {
			return err
		}
		arrival.Once = onceKey(a.name)
		_, err = c.db.Update(c.ctx, a.account, by, func(tx store.Tx) error {
			inbox, err := tx.MailboxByPath("INBOX")
			if err != nil {
				return err
			}
			p, err := tx.Append(inbox.ID, arrival)
			if err == nil && (p.UID != a.uid || p.Mailbox != a.mailbox) {
				c.complain("an append is remembered as %d in %d, but %d in %d was acknowledged", p.UID, p.Mailbox, a.uid, a.mailbox)
			}
			return err
		})
		return err
	})
}

// unchanged complains if fn changed any account.
func (c *checker) unchanged(what string, fn func() error) {
	before := c.heads()
	if c.ok(what+" handed in again", fn()) && !slices.Equal(before, c.heads()) {
		c.complain("%s handed in again came a second time", what)
	}
}

func (c *checker) heads() []mail.ModSeq {
	var heads []mail.ModSeq
	for _, p := range c.found {
		c.ok(p.Login, c.db.View(c.ctx, p.Account, func(r store.Reader) error {
			a, err := r.Account()
			heads = append(heads, a.Head)
			return err
		}))
	}
	return heads
}

// goesOn makes sure that the store can be used as before: mail arrives, under the
// next UID and ModSeq, and a new mailbox gets a greater UIDVALIDITY than all.
func (c *checker) goesOn() {
	if len(c.found) == 0 {
		return
	}
	before := c.heads()
	errs, err := deliver(c.ctx, c.house, "after", c.found)
	c.ok("a new delivery", errors.Join(append(errs, err)...))
	for i, n := range c.heads() {
		if n != before[i]+1 {
			c.complain("a delivery brought %s from %d to %d", c.found[i].Login, before[i], n)
		}
	}
	_, err = c.db.Update(c.ctx, c.found[0].Account, by, func(tx store.Tx) error {
		all, err := tx.Mailboxes()
		if err != nil {
			return err
		}
		made, err := tx.CreateMailbox(mail.MailboxImage{Name: "after the crash"})
		for _, mb := range all {
			if mb.UIDValidity >= made.UIDValidity {
				c.complain("a new mailbox got UIDVALIDITY %d, %s has %d", made.UIDValidity, mb.Path, mb.UIDValidity)
			}
		}
		return err
	})
	c.ok("a new mailbox", err)
	_, err = c.blobs.Collect(c.ctx)
	c.ok("collecting", err)
	_, err = c.blobs.Compact(c.ctx)
	c.ok("compacting", err)
}
