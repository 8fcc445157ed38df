package releases

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"time"

	"lockstep/internal/blob"
	"lockstep/internal/mail"
	"lockstep/internal/store"
	"lockstep/internal/store/sqlstore"
)

// record is what a data directory holds, in words: everything that a person or a
// device knows of it, through the contract of package store. What it says must be the
// same after each upgrade, so it says nothing that an upgrade may change.
func record(ctx context.Context, db *sqlstore.DB, blobs *blob.Store) (string, error) {
	r := recorder{ctx: ctx, db: db, blobs: blobs}
	all, err := db.Accounts(ctx)
	for _, p := range all {
		if err == nil {
			err = r.account(p)
		}
	}
	if err == nil {
		err = r.queue()
	}
	return r.String(), err
}

type recorder struct {
	strings.Builder
	ctx   context.Context
	db    *sqlstore.DB
	blobs *blob.Store
}

func (r *recorder) say(format string, args ...any) {
	r.WriteString(strings.TrimRight(fmt.Sprintf(format, args...), " ") + "\n")
}

func (r *recorder) account(p store.Principal) error {
	addresses, err := r.db.Addresses(r.ctx, p.Account)
	if err != nil {
		return err
	}
	credentials, err := r.db.Credentials(r.ctx, p.ID)
	if err != nil {
		return err
	}
	return r.db.View(r.ctx, p.Account, func(v store.Reader) error {
		a, err := v.Account()
		if err != nil {
			return err
		}
		r.say("account %s %q at %d.%d", p.Login, p.Name, a.Epoch, a.Head)
		for _, a := range addresses {
			r.say("address %s@%s", a.Local, a.Domain)
		}
		for _, c := range credentials {
			r.say("credential %s %q %x", c.Kind, c.Name, sha256.Sum256(c.Verifier))
		}
		for _, part := range []func(store.Reader, mail.Account) error{r.mailboxes, r.journal, r.devices, r.small} {
			if err := part(v, a); err != nil {
				return err
			}
		}
		return nil
	})
}

func (r *recorder) mailboxes(v store.Reader, a mail.Account) error {
	all, err := v.Mailboxes()
	for _, mb := range all {
		if err == nil {
			r.say("mailbox %q %q uidvalidity %d uidnext %d modseq %d: %d messages, %d unseen, %d bytes", mb.Path, mb.Role, mb.UIDValidity, mb.UIDNext, mb.HighestModSeq,
				mb.Counts.Placements, mb.Counts.Unseen, mb.Counts.Size)
			err = r.messages(v, mb, a)
		}
	}
	return err
}

func (r *recorder) messages(v store.Reader, mb mail.Mailbox, a mail.Account) error {
	err := v.Messages(store.PlacementQuery{Mailbox: mb.ID, Located: true}, func(p *mail.Placement, m *mail.Message) error {
		sum, err := r.bytes(m.Blob)
		r.say("  %d modseq %d created %d lineage %d thread %d %x date %s size %d sum %s %s", p.UID, p.ModSeq, p.Created, p.Lineage, m.Thread, m.EmailID[:], m.InternalDate.UTC().Format(time.RFC3339), m.Size, sum, p.Flags)
		return err
	})
	if err != nil {
		return err
	}
	gone, err := v.Vanished(mb.ID, a.Horizon)
	if err == nil && len(gone) > 0 {
		r.say("  gone %v", gone)
	}
	return err
}

// bytes is the sum of a message's bytes.
func (r *recorder) bytes(b mail.Blob) (string, error) {
	if r.blobs == nil {
		return "-", nil
	}
	f, err := r.blobs.Open(r.ctx, b)
	if err != nil {
		return "", err
	}
	defer f.Close()
	sum := sha256.New()
	_, err = io.Copy(sum, io.NewSectionReader(f, 0, f.Size()))
	return fmt.Sprintf("%x", sum.Sum(nil)[:8]), err
}

func (r *recorder) journal(v store.Reader, _ mail.Account) error {
	records, err := v.Journal(store.JournalQuery{})
	for _, rec := range records {
		entries, err := json.Marshal(rec.Entries)
		if err != nil {
			return err
		}
		r.say("record %d act %d undoes %d at %s by %s device %d %s %s: %s", rec.ModSeq, rec.Act, rec.Undoes, rec.Time.UTC().Format(time.RFC3339), rec.Actor, rec.Device, rec.Protocol, rec.Cause, entries)
	}
	return err
}

func (r *recorder) devices(v store.Reader, _ mail.Account) error {
	all, err := v.Devices()
	for _, d := range all {
		r.say("device %d %q key %q %s", d.ID, d.Name, d.Key, d.Protocol)
		names, err := v.Cursors(d.ID, "")
		if err != nil {
			return err
		}
		for _, name := range names {
			state, err := v.Cursor(d.ID, name)
			if err != nil {
				return err
			}
			r.say("  cursor %s %q", name, state)
		}
	}
	return err
}
