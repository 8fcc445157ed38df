package search

import (
	"context"
	"fmt"
	"math"
	"strings"

	"lockstep/internal/mail"
	"lockstep/internal/message"
)

// Bounds of what is committed at once.
const (
	batchDocs  = 400
	batchBytes = 4 << 20 // of text and words
)

// writer changes an account's index. Used by one goroutine, which holds the
// account's lock.
type writer struct {
	pen
	*sealer
	grams *gramSorter
	sorts *wordSorter
	segs  []segmentRow
	read  bool // segs is what there is
}

// doc is a message as it is to be stored.
type doc struct {
	docRow
	text  *exactText
	terms *words
}

// size is what it takes in memory, about.
func (d *doc) size() (n int) {
	if d.text == nil {
		return 0
	}
	for _, t := range d.terms.fields {
		n += len(t.out)
	}
	return n + len(d.text.bytes)
}

// known are the segments that there are.
func (w *writer) known() (_ []segmentRow, err error) {
	if !w.read {
		w.segs, err = w.segments()
		w.read = err == nil
	}
	return w.segs, err
}

// after returns the next messages of the index, by key.
func (w *writer) after(k mail.MessageKey, limit int) (keys []mail.MessageKey, err error) {
	err = w.docsBetween(k+1, maxKey, limit, func(d docRow) error {
		keys = append(keys, d.key)
		return nil
	})
	return keys, err
}

// maxKey is the last message that there can be.
const maxKey = mail.MessageKey(math.MaxInt64)

// add stores messages that are not there.
func (w *writer) add(docs []*doc) error {
	var rows []docRow
	var keys []mail.MessageKey
	for _, d := range docs {
		if d.text != nil {
			n := uint32(len(keys))
			w.grams.add(n, d.text.bytes)
			w.sorts.add(n, d.terms)
			d.sealed, d.words = w.seal(d.key, d.text), wordsIn(d.terms)
			keys = append(keys, d.key)
		}
		rows = append(rows, d.docRow)
	}
	if len(rows) == 0 {
		return nil
	}
	if err := w.addDocs(rows); err != nil || len(keys) == 0 {
		return err
	}
	return w.addSegment(w.sorts.count, keys, func(put func(block) error) error {
		if err := w.grams.write(put); err != nil {
			return err
		}
		return w.sorts.write(put)
	})
}

// addSegment stores what is said of messages, which write gives block by block.
func (w *writer) addSegment(words int64, keys []mail.MessageKey, write func(put func(block) error) error) error {
	all, err := w.known()
	if err != nil {
		return err
	}
	s := segmentRow{id: 1, docs: int64(len(keys)), words: words}
	for _, is := range all {
		s.id = max(s.id, is.id+1)
	}
	if err := w.pen.addSegment(s, keys); err != nil {
		return err
	}
	var some []block
	err = write(func(b block) error {
		if some = append(some, b); len(some) < feedBlocks {
			return nil
		}
		err := w.addBlocks(s.id, some)
		some = some[:0]
		return err
	})
	if err == nil && len(some) > 0 {
		err = w.addBlocks(s.id, some)
	}
	w.segs = append(w.segs, s)
	return err
}

// makeDoc reads a message. One that can't be read is noted, and is not searched
// here; an error is ctx's, or that nothing can be read now.
func (x *Index) makeDoc(ctx context.Context, m *mail.Message) (*doc, error) {
	d := &doc{docRow: docRow{key: m.Key, date: m.InternalDate.Unix()}}
	err := safely(func() error { return x.readDoc(ctx, m, d) })
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	if err != nil && mail.KindOf(err) == mail.Unavailable {
		return nil, err
	}
	if err != nil {
		x.stats.unread.Add(1)
		x.Log.WarnContext(ctx, "message left out of the search index", "err", err)
		*d = doc{docRow: docRow{key: m.Key, date: d.date, flags: docUnread, trouble: fmt.Sprintf("%.500v", err)}}
	}
	return d, nil
}

func (x *Index) readDoc(ctx context.Context, m *mail.Message, d *doc) error {
	body, err := x.Blobs(ctx, m.Blob)
	if err != nil {
		return err
	}
	defer body.Close()
	parsed, err := message.Decode(m.Parsed)
	if err != nil {
		return err
	}
	if d.text, err = exactTextOf(body, parsed); err != nil {
		return err
	}
	if d.terms, err = wordsOf(ctx, body, parsed, x.PDF); err != nil {
		return err
	}
	if d.text.cut {
		d.flags |= docCut
	}
	if d.terms.fields[fieldBody].lossy {
		d.flags |= docLossy
	}
	d.trouble = strings.Join(d.terms.trouble, "; ")
	return nil
}
