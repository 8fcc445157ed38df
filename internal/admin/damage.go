package admin

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"

	"lockstep/internal/mail"
	"lockstep/internal/message"
	"lockstep/internal/store"
)

// maxBrokenPlaces bounds how many mailboxes are remembered of one damaged blob.
const maxBrokenPlaces = 100

// broken is a blob that can't be read, and the messages that have it.
type broken struct {
	blob   mail.Blob
	err    error
	places []brokenPlace
}

// brokenPlace is a message whose bytes are damaged.
type brokenPlace struct {
	p  store.Principal
	mb mail.Mailbox
	f  filed
}

// compare orders by where the first message that has it lies.
func (b *broken) compare(o *broken) int {
	if len(b.places) == 0 || len(o.places) == 0 {
		return cmp.Or(cmp.Compare(len(b.places), len(o.places)), bytes.Compare(b.blob.Name[:], o.blob.Name[:]))
	}
	p, q := b.places[0], o.places[0]
	return cmp.Or(cmp.Compare(p.p.Login, q.p.Login), cmp.Compare(p.mb.Path, q.mb.Path), cmp.Compare(p.f.uid, q.f.uid))
}

// String names the message for a person.
func (b brokenPlace) String() string {
	subject := "whose subject is not known either"
	if v, err := message.DecodeEnvelope(b.f.m.Parsed); err == nil {
		subject = fmt.Sprintf("%q", message.DecodeWords(v.Subject))
	}
	return fmt.Sprintf("message %d in %s, %s,", b.f.uid, b.mb.Path, subject)
}

// stored reads every blob, in the order in which they lie on the disk.
func (x *examination) stored(ctx context.Context) error {
	if !x.whole() {
		return nil
	}
	return x.o.Blobs.Each(ctx, func(b mail.Blob) error {
		if err := x.o.Blobs.Verify(ctx, b); err != nil && ctx.Err() == nil {
			x.broken[b.Name] = &broken{blob: b, err: err}
		}
		return ctx.Err()
	})
}

// bytes says what is wrong with the bytes of a message.
func (x *examination) bytes(ctx context.Context, b mail.Blob) error {
	if known := x.broken[b.Name]; known != nil {
		return known.err
	}
	wasRead := x.whole() && !x.refilled // with all others
	skip := wasRead || x.q.Fast && !x.o.Blobs.IsDamaged(b.Name)
	if b.Place != "" && skip {
		return nil
	}
	if _, ok := x.seen[b.Name]; ok {
		return nil
	}
	x.seen[b.Name] = struct{}{}
	return x.o.Blobs.Verify(ctx, b)
}

// isBroken remembers a message whose bytes are damaged.
func (x *examination) isBroken(d *deriver, f filed, err error) error {
	b := x.broken[f.m.Blob.Name]
	if b == nil {
		b = &broken{blob: f.m.Blob, err: err}
		x.broken[f.m.Blob.Name] = b
	}
	if len(b.places) < maxBrokenPlaces {
		b.places = append(b.places, brokenPlace{d.p, d.mb, f})
	}
	return nil
}

// refill looks through the packs for the rows of blobs, once, when a message
// names a blob that has none.
func (x *examination) refill(ctx context.Context, p store.Principal, f *filed) error {
	if f.m.Blob.Place != "" {
		return nil
	}
	if !x.refilled && !x.q.LookOnly {
		x.refilled = true
		n, err := x.o.Blobs.Mend(ctx, nil)
		if err != nil {
			return err
		}
		if n > 0 {
			if err := x.found("", true, "where messages lie was lost; found in the packs: %s of messages and parts", counted(n, "record")); err != nil {
				return err
			}
		}
	}
	return x.o.Store.View(ctx, p.Account, func(r store.Reader) error {
		m, err := r.Message(f.m.Key)
		if err == nil {
			f.m = m
		}
		return nil // it may have gone meanwhile
	})
}

// settle mends what is broken and tells what could not be.
func (x *examination) settle(ctx context.Context) error {
	if len(x.broken) > 0 && !x.q.LookOnly {
		if _, err := x.o.Blobs.Mend(ctx, slices.Collect(maps.Keys(x.broken))); err != nil {
			return err
		}
	}
	if x.whole() {
		x.o.Blobs.RetainDamage(func(name mail.BlobName) bool { return x.broken[name] != nil })
	}
	for _, b := range slices.SortedFunc(maps.Values(x.broken), (*broken).compare) {
		if err := x.settleOne(ctx, b); err != nil {
			return err
		}
	}
	return nil
}

func (x *examination) settleOne(ctx context.Context, b *broken) error {
	now, ok, err := x.o.Blobs.Find(ctx, b.blob.Name)
	if err != nil {
		return err
	}
	mended := ok && x.o.Blobs.Verify(ctx, now) == nil
	from := "and there was a good copy"
	if ok && !mended && x.restore(ctx, now) {
		if now, ok, err = x.o.Blobs.Find(ctx, b.blob.Name); err != nil {
			return err
		}
		mended, from = ok, "and was fetched from the backup"
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if len(b.places) == 0 {
		return x.foundStored(mended, from, b)
	}
	for _, at := range b.places {
		if !mended {
			err := x.found(at.p.Login, false, "%v is damaged and is not served: %v. With a backup that has it in backup.to, lockstep doctor fetches it; else expunge it", at, b.err)
			if err != nil {
				return err
			}
			continue
		}
		if err := x.found(at.p.Login, true, "%v was damaged, %s", at, from); err != nil {
			return err
		}
		at.f.m.Blob = now
		d := &deriver{x: x, p: at.p, mb: at.mb}
		if err := d.message(ctx, at.f); err != nil {
			return err
		}
		if err := d.flush(ctx); err != nil {
			return err
		}
		if err := d.report(); err != nil {
			return err
		}
	}
	return nil
}

// restore fetches what has no good copy here from a backup.
func (x *examination) restore(ctx context.Context, b mail.Blob) bool {
	return !x.q.LookOnly && x.o.Scrub != nil && x.o.Scrub.Restore(ctx, b) == nil
}

// foundStored tells of a blob that is in no mailbox itself: a part, or what was
// deleted or waits in the queue.
func (x *examination) foundStored(mended bool, from string, b *broken) error {
	if mended {
		return x.found("", true, "%d bytes that are in no mailbox by themselves were damaged, %s", b.blob.Size, from)
	}
	return x.found("", false, "%d bytes that are in no mailbox by themselves are damaged: an attachment, a message in the queue, or one that was deleted: %v", b.blob.Size, b.err)
}
