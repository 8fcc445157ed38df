package imap

import (
	"context"
	varint "encoding/binary"

	"lockstep/internal/imap/index"
	"lockstep/internal/mail"
	"lockstep/internal/store"
)

// keyKind is what the keys of messages are remembered as: the message that a UID stands
// for never changes, and an index of texts is asked by keys. Some 13 bytes a message,
// where reading the rows takes longer than the index does.
const keyKind = "key"

// keysOf returns those messages of a set that the view has, with their keys. One that
// has gone and is not remembered is left out.
func (x *searcher) keysOf(ctx context.Context, uids mail.UIDSet) (entries []index.Entry, keys []mail.MessageKey, err error) {
	for _, r := range uids {
		lo, hi := x.view.Seqs(r.First, r.Last)
		for _, e := range x.view.Range(lo, hi) {
			entries = append(entries, e)
		}
	}
	known := x.sel.box.Texts(x.view, keyKind)
	texts := make([][]byte, len(entries))
	known.Look(entries, texts)
	if err := x.readKeys(ctx, known, entries, texts); err != nil {
		return nil, nil, err
	}
	keys = make([]mail.MessageKey, 0, len(entries))
	there := entries[:0]
	for i, e := range entries {
		if k, n := varint.Uvarint(texts[i]); n > 0 {
			there, keys = append(there, e), append(keys, mail.MessageKey(k))
		}
	}
	return there, keys, nil
}

// readKeys reads the keys that texts lack, and remembers them.
func (x *searcher) readKeys(ctx context.Context, known *index.Texts, entries []index.Entry, texts [][]byte) error {
	var missing mail.UIDSet
	var read []index.Entry
	var places []int
	for i, e := range entries {
		if texts[i] == nil {
			missing.Add(e.UID)
			read, places = append(read, e), append(places, i)
		}
	}
	if len(missing) == 0 {
		return nil
	}
	some := make([][]byte, len(read))
	err := x.viewAt(ctx, x.sel.at, func(r store.Reader) error {
		i := 0
		return r.Placements(store.PlacementQuery{Mailbox: x.sel.id, UIDs: missing}, func(p *mail.Placement) error {
			for read[i].UID < p.UID { // which has gone
				i++
			}
			some[i] = varint.AppendUvarint(nil, uint64(p.Message))
			return nil
		})
	})
	if err != nil {
		return err
	}
	known.Keep(read, some)
	for i, text := range some {
		texts[places[i]] = text
	}
	return nil
}
