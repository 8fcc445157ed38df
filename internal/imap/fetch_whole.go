package imap

import (
	"context"
	varint "encoding/binary" // this package has a binary of its own

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
				rows = append(rows, row{p: mail.Placement{UID: e.UID}, m: mail.Message{Blob: blobOf(where)}})
				rows[len(rows)-1].m.Size = rows[len(rows)-1].m.Blob.Size
			}
		}
		return f.sayBodies(ctx, rows)
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
