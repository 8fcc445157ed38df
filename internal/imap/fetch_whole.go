package imap

import (
	"context"
	varint "encoding/binary" // this package has a binary of its own
	"slices"

	"lockstep/internal/imap/index"
	"lockstep/internal/imap/wire"
	"lockstep/internal/mail"
	"lockstep/internal/store"
)

// blobKind is what is remembered of where a message's bytes lie. It may be true no
// longer: who finds nothing there asks again.
const blobKind = "blob"

// wholeBodies answers for whole messages, of which nothing is needed but where they
// lie.
func (f *fetcher) wholeBodies(ctx context.Context, uids mail.UIDSet) error {
	if len(uids) == 1 && uids[0].First == uids[0].Last {
		if seq, ok := f.view.Seq(uids[0].First); ok {
			return f.wholeOne(ctx, seq)
		}
	}
	return f.located(ctx, uids, func(rows []row) error { return f.sayBodies(ctx, rows) })
}

// located calls say with the messages of a set, some at a time, of which nothing is
// filled in but where they lie.
func (f *fetcher) located(ctx context.Context, uids mail.UIDSet, say func([]row) error) error {
	p := &page{f: f, enc: wire.NewTextEncoder(false), known: []*index.Texts{f.sel.box.Texts(f.view, blobKind)}, texts: make([][][]byte, 1)}
	p.read = func(ctx context.Context, missing mail.UIDSet) (rest mail.UIDSet, err error) {
		return f.viewRows(ctx, missing, true, func(pl *mail.Placement, m *mail.Message) error {
			return p.make(pl.UID, func(int) error {
				p.enc.Append(func(b []byte) []byte { return appendBlob(b, m.Blob) })
				return nil
			})
		})
	}
	return p.walk(ctx, uids, func(n int) error {
		rows := make([]row, 0, n)
		for i, e := range p.entries[:n] {
			if where := p.texts[0][i]; where != nil {
				blob := blobOf(where)
				rows = append(rows, row{p: mail.Placement{UID: e.UID}, m: mail.Message{Blob: blob, Size: blob.Size}})
			}
		}
		return say(rows)
	})
}

// next is messages read because the client asks for one after another, and has
// sent more commands already. It is given up before the session waits.
type next struct {
	items   []wire.FetchItem
	window  *window
	writers []bodyWriter // of the window, that are still to be said
}

// dropNext forgets what was read ahead.
func (sel *selection) dropNext() {
	if sel.next != nil {
		sel.next.window.close()
		sel.next = nil
	}
}

// has reports whether the message that was read first is this one.
func (n *next) has(uid mail.UID, items []wire.FetchItem) bool {
	return n != nil && len(n.writers) > 0 && n.writers[0].p.UID == uid && slices.EqualFunc(n.items, items, func(a, b wire.FetchItem) bool {
		return a.Kind == b.Kind && (a.Partial == b.Partial || a.Partial != nil && b.Partial != nil && *a.Partial == *b.Partial)
	})
}

// wholeOne answers for a single message.
func (f *fetcher) wholeOne(ctx context.Context, seq uint32) error {
	e := f.view.At(seq)
	if !f.sel.next.has(e.UID, f.plan.items) {
		f.sel.dropNext()
		if err := f.readNext(ctx, seq); err != nil || f.sel.next == nil {
			return err
		}
	}
	n := f.sel.next
	f.sel.after = seq
	b := &n.writers[0]
	n.writers = n.writers[1:]
	defer b.close()
	if err := f.sayBody(b); err != nil {
		return err
	}
	return f.setSeen(ctx, []index.Entry{e})
}

// readNext reads a message, and those behind it if they are next.
func (f *fetcher) readNext(ctx context.Context, seq uint32) error {
	last := seq
	if seq == f.sel.after+1 && f.inputPending() {
		last = min(seq+aheadMessages-1, f.view.Len())
	}
	var uids mail.UIDSet
	for _, e := range f.view.Range(seq, last) {
		uids.Add(e.UID)
	}
	first := uids[0].First
	return f.located(ctx, uids, func(rows []row) error {
		if f.sel.next != nil || len(rows) == 0 || rows[0].p.UID != first {
			return nil
		}
		w := f.readWindow(ctx, rows)
		f.sel.next = &next{f.plan.items, w, w.writers}
		return nil
	})
}

// appendBlob writes name, size, place and key.
func appendBlob(b []byte, blob mail.Blob) []byte {
	b = append(b, blob.Name[:]...)
	b = varint.AppendUvarint(b, uint64(blob.Size))
	b = append(varint.AppendUvarint(b, uint64(len(blob.Place))), blob.Place...)
	return append(b, blob.Key...)
}

// blobOf reads what appendBlob wrote. The key lies in b.
func blobOf(b []byte) mail.Blob {
	blob := mail.Blob{Name: mail.BlobName(b)}
	b = b[len(blob.Name):]
	size, n := varint.Uvarint(b)
	blob.Size, b = int64(size), b[n:]
	place, n := varint.Uvarint(b)
	b = b[n:]
	blob.Place, blob.Key = string(b[:place]), b[place:]
	return blob
}

// prepareAnew is prepare after a look where the message lies now: it may have been
// moved, or mended elsewhere.
func (b *bodyWriter) prepareAnew(ctx context.Context) error {
	b.close()
	b.held = 0
	var found mail.Blob
	err := b.f.viewAt(ctx, b.f.sel.at, func(r store.Reader) error {
		return r.Messages(store.PlacementQuery{Mailbox: b.f.sel.id, UIDs: mail.MakeUIDSet(b.p.UID), Located: true}, func(_ *mail.Placement, m *mail.Message) error {
			found = copyRow(&mail.Placement{}, m).m.Blob
			return nil
		})
	})
	if err != nil {
		return err
	}
	if found.Place != "" {
		b.m.Blob = found
	}
	return b.prepare(ctx)
}
