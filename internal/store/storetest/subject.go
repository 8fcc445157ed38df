package storetest

import (
	"fmt"
	"time"

	"lockstep/internal/mail"
	"lockstep/internal/store"
)

// subject is one account of an engine, under test.
type subject struct {
	Engine
	account mail.AccountID
	base    mail.ModSeq // its head before the test began
	devices []mail.DeviceID
	members []mail.PrincipalID          // the account may share with
	acts    []mail.ActID                // what the test did, oldest first
	leapt   map[mail.MailboxID]mail.UID // UIDNEXT before the last restore
	ending  int64                       // the last that was looked at
}

const login = "ann@example.test"

var memberLogins = []string{"mia@members.test", "max@members.test"}

var setup = mail.NewOrigin("setup", 0, mail.Local, mail.BySetup)

// subject opens an engine with one account and two devices.
func (t *trial) subject() *subject { return newSubject(t.open(t.tb)) }

func newSubject(e Engine) *subject {
	p := must(e.CreateAccount(ctx, setup, store.NewAccount{Login: login}))
	s := &subject{Engine: e, account: p.Account}
	for _, name := range []string{"laptop", "phone"} {
		ok(s.Note(ctx, s.account, func(n store.Notes) error {
			_, err := n.AddDevice(mail.Device{Name: name, Key: "key of " + name, Protocol: mail.IMAP})
			return err
		}))
	}
	for _, d := range must(view(s, store.Reader.Devices)) {
		s.devices = append(s.devices, d.ID)
	}
	for _, name := range memberLogins {
		s.members = append(s.members, must(e.CreateAccount(ctx, setup, store.NewAccount{Login: name})).ID)
	}
	s.base, s.ending = s.head(), must(e.LastEnding(ctx))
	return s
}

// origin is a user with one of the devices.
func (s *subject) origin(device int) mail.Origin {
	return mail.NewOrigin(login, s.devices[device], mail.IMAP, mail.ByUser).WithSession("s1")
}

// view returns what fn reads.
func view[T any](s *subject, fn func(store.Reader) (T, error)) (T, error) {
	var v T
	err := s.View(ctx, s.account, func(r store.Reader) (err error) {
		v, err = fn(r)
		return err
	})
	return v, err
}

// update returns what fn does, by the first device.
func update[T any](s *subject, fn func(store.Tx) (T, error)) (T, error) {
	v, _, err := change(s, s.origin(0), fn)
	return v, err
}

// change is update by any origin; it returns the ModSeq too.
func change[T any](s *subject, by mail.Origin, fn func(store.Tx) (T, error)) (T, mail.ModSeq, error) {
	var v T
	n, err := s.Update(ctx, s.account, by, func(tx store.Tx) (err error) {
		v, err = fn(tx)
		return err
	})
	return v, n, err
}

// do is update for verbs that return nothing.
func (s *subject) do(fn func(store.Tx) error) error {
	_, err := s.Update(ctx, s.account, s.origin(0), fn)
	return err
}

func (s *subject) head() mail.ModSeq { return must(view(s, store.Reader.Account)).Head }

func (s *subject) box(path string) mail.Mailbox {
	return must(view(s, func(r store.Reader) (mail.Mailbox, error) { return r.MailboxByPath(path) }))
}

func (s *subject) create(name string) mail.Mailbox {
	return must(update(s, func(tx store.Tx) (mail.Mailbox, error) {
		return tx.CreateMailbox(mail.MailboxImage{Name: name})
	}))
}

// arrival is the n-th message of a test.
func arrival(n int, flags ...string) mail.Arrival {
	f := must(mail.NewFlags(flags...))
	return mail.Arrival{
		Blob:  mail.Blob{Name: mail.BlobName{1, byte(n >> 16), byte(n >> 8), byte(n)}, Size: int64(100 + n), Place: fmt.Sprintf("pack/%d", n), Key: []byte{1}, Fresh: true, Until: time.Now().Add(time.Hour)},
		Flags: f, EmailID: emailID(n), InternalDate: day(n), MessageID: fmt.Sprintf("%d@example.test", n), Parsed: []byte("parsed"), Preview: fmt.Sprintf("message %d", n),
	}
}

func emailID(n int) mail.EmailID { return mail.EmailID{0xe, byte(n >> 16), byte(n >> 8), byte(n)} }

// day spreads internal dates over a year, not in the order of arrival.
func day(n int) time.Time {
	zone := time.FixedZone("", zones[n%len(zones)]*60)
	return time.Date(2025, 1, 1+(n*37)%365, 12, 0, n%60, 0, time.UTC).In(zone)
}

// zones are minutes east of UTC: none, and the widest that IMAP can say.
var zones = [...]int{0, 60, -210, 23*60 + 59, -23*60 - 59}

// dateAndZone is all that is kept of an internal date.
func dateAndZone(t time.Time) string { return t.Format("2006-01-02T15:04:05.000000-07:00") }

func (s *subject) append(path string, a mail.Arrival) mail.Placement {
	mb := s.box(path)
	return must(update(s, func(tx store.Tx) (mail.Placement, error) { return tx.Append(mb.ID, a) }))
}

// fill appends n messages and returns the mailbox.
func (s *subject) fill(path string, n int) mail.Mailbox {
	for i := range n {
		s.append(path, arrival(i))
	}
	return s.box(path)
}

func (s *subject) placements(q store.PlacementQuery) []mail.Placement {
	return must(view(s, func(r store.Reader) (ps []mail.Placement, err error) {
		err = r.Placements(q, func(p *mail.Placement) error {
			ps = append(ps, *p)
			return nil
		})
		return ps, err
	}))
}

// placement returns the one message of the mailbox with that UID.
func (s *subject) placement(mb mail.MailboxID, uid mail.UID) mail.Placement {
	ps := s.placements(store.PlacementQuery{Mailbox: mb, UIDs: mail.MakeUIDSet(uid)})
	if len(ps) != 1 {
		fail("UID %d: %d placements, want 1", uid, len(ps))
	}
	return ps[0]
}

func (s *subject) records(q store.JournalQuery) []mail.Record {
	return must(view(s, func(r store.Reader) ([]mail.Record, error) { return r.Journal(q) }))
}

// unchanged gives up if fn changed anything that a snapshot shows.
func (s *subject) unchanged(what string, fn func()) {
	before := s.snapshot().text(s)
	fn()
	if d := difference(s.snapshot().text(s), before); d != "" {
		fail("%s changed something: %s", what, d)
	}
}

func flags(names ...string) mail.Flags { return must(mail.NewFlags(names...)) }

func add(names ...string) mail.FlagChange { return mail.FlagChange{Add: flags(names...)} }

func uids(text string) mail.UIDSet { return must(mail.ParseUIDSet(text)) }
