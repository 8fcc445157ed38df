package admin

import (
	"bytes"
	"context"

	"lockstep/internal/mail"
	"lockstep/internal/message"
	"lockstep/internal/store"
	"lockstep/internal/upkeep"
)

// deriver makes anew what the rows of a mailbox's messages say of their bytes.
type deriver struct {
	x       *examination
	p       store.Principal
	mb      mail.Mailbox
	pending []store.Derived
	differ  int
}

// message compares one row with the bytes, if it is asked for or if the row can't
// be read.
func (d *deriver) message(ctx context.Context, f filed) error {
	if _, err := message.Decode(f.m.Parsed); err == nil && !d.x.q.Rebuild {
		return nil
	}
	want, err := upkeep.Derive(ctx, d.x.o.Blobs, f.m)
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case err != nil: // met by Fast alone, which read no bytes before
		return d.x.found(d.p.Login, false, "message %d in %s: what is shown of it can't be made anew: %v", f.uid, d.mb.Path, err)
	case same(f.m, want):
		return nil
	}
	d.differ++
	d.pending = append(d.pending, want)
	return nil
}

func same(m mail.Message, d store.Derived) bool {
	return m.SentAt.Equal(d.SentAt) && m.MessageID == d.MessageID && m.Preview == d.Preview && bytes.Equal(m.Parsed, d.Parsed)
}

// flush writes what differs.
func (d *deriver) flush(ctx context.Context) error {
	if len(d.pending) == 0 || d.x.q.LookOnly {
		d.pending = nil
		return nil
	}
	err := d.x.o.Keeper.Reparsed(ctx, d.p.Account, d.pending)
	d.pending = nil
	d.x.reparsed = d.x.reparsed || err == nil
	return err
}

// report says how many rows were wrong.
func (d *deriver) report() error {
	if d.differ == 0 {
		return nil
	}
	return d.x.found(d.p.Login, !d.x.q.LookOnly, "what is shown of %s in %s (sender, subject, structure, preview) was not what they say", counted(d.differ, "message"), d.mb.Path)
}
