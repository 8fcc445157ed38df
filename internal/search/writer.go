package search

import (
	"context"
	"fmt"
	"math/bits"
	"strings"

	"zombiezen.com/go/sqlite"

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
	c *sqlite.Conn
	*sealer
	grams *gramSorter
}

// doc is a message as it is to be stored.
type doc struct {
	key     mail.MessageKey
	flags   docFlags
	date    int64 // Unix seconds
	text    *exactText
	words   *words
	trouble string
}

// size is what it takes in memory, about.
func (d *doc) size() (n int) {
	if d.text == nil {
		return 0
	}
	for _, t := range d.words.fields {
		n += len(t.out)
	}
	return n + len(d.text.bytes)
}

// state reads a remembered value, "" if there is none.
func (w *writer) state(name string) (value string, err error) {
	err = query(w.c, "SELECT value FROM state WHERE name = ?1", func(st *sqlite.Stmt) error {
		value = st.ColumnText(0)
		return nil
	}, name)
	return value, err
}

// setState remembers a value; "" forgets it.
func (w *writer) setState(name, value string) error {
	if value == "" {
		return run(w.c, "DELETE FROM state WHERE name = ?1", name)
	}
	return run(w.c, "INSERT INTO state (name, value) VALUES (?1, ?2) ON CONFLICT (name) DO UPDATE SET value = ?2", name, value)
}

// has reports whether a message is in the index.
func (w *writer) has(k mail.MessageKey) (found bool, err error) {
	err = query(w.c, "SELECT 1 FROM doc WHERE key = ?1", func(*sqlite.Stmt) error {
		found = true
		return nil
	}, int64(k))
	return found, err
}

// after returns the next messages of the index, by key.
func (w *writer) after(k mail.MessageKey, limit int) (keys []mail.MessageKey, err error) {
	err = query(w.c, "SELECT key FROM doc WHERE key > ?1 ORDER BY key LIMIT ?2", func(st *sqlite.Stmt) error {
		keys = append(keys, mail.MessageKey(st.ColumnInt64(0)))
		return nil
	}, int64(k), int64(limit))
	return keys, err
}

// add stores messages that are not there.
func (w *writer) add(docs []*doc) error {
	var keys []mail.MessageKey
	for _, d := range docs {
		if err := w.addOne(d); err != nil {
			return err
		}
		if d.text != nil {
			w.grams.add(uint32(len(keys)), d.text.bytes)
			keys = append(keys, d.key)
		}
	}
	if len(keys) == 0 {
		return nil
	}
	return w.addSegment(keys, w.grams.write)
}

func (w *writer) addOne(d *doc) error {
	err := run(w.c, "INSERT INTO doc (key, flags, date) VALUES (?1, ?2, ?3)", int64(d.key), int64(d.flags), d.date)
	if err == nil && d.trouble != "" {
		err = run(w.c, "INSERT INTO trouble (key, why) VALUES (?1, ?2)", int64(d.key), d.trouble)
	}
	if err != nil || d.text == nil {
		return err
	}
	if err := run(w.c, "INSERT INTO doc_text (key, sealed) VALUES (?1, ?2)", int64(d.key), w.seal(d.key, d.text)); err != nil {
		return err
	}
	args := []any{int64(d.key)}
	for _, t := range d.words.fields {
		args = append(args, string(t.out))
	}
	return run(w.c, "INSERT INTO word (rowid, subject, sender, recipients, body, names, files) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)", args...)
}

// addSegment stores the grams of messages, which write gives block by block.
func (w *writer) addSegment(keys []mail.MessageKey, write func(put func(block) error) error) error {
	err := run(w.c, "INSERT INTO segment (docs, keys) VALUES (?1, ?2)", int64(len(keys)), encodeKeys(keys))
	if err != nil {
		return err
	}
	id := w.c.LastInsertRowID()
	return write(func(b block) error {
		return run(w.c, "INSERT INTO gram_block (block_id, data) VALUES (?1, ?2)", blockID(id, b.first), b.data)
	})
}

// remove takes a message out. Its grams stay until their segment is merged: they
// then nominate nothing, as there is no such message.
func (w *writer) remove(k mail.MessageKey) error {
	var flags docFlags
	found := false
	err := query(w.c, "SELECT flags FROM doc WHERE key = ?1", func(st *sqlite.Stmt) error {
		found, flags = true, docFlags(st.ColumnInt64(0))
		return nil
	}, int64(k))
	if err != nil || !found {
		return err
	}
	for _, sql := range []string{"DELETE FROM doc WHERE key = ?1", "DELETE FROM trouble WHERE key = ?1", "DELETE FROM doc_text WHERE key = ?1"} {
		if err := run(w.c, sql, int64(k)); err != nil {
			return err
		}
	}
	if flags&docUnread != 0 {
		return nil
	}
	return run(w.c, "DELETE FROM word WHERE rowid = ?1", int64(k))
}

// makeDoc reads a message. One that can't be read is noted, and is not searched
// here; an error is ctx's, or that nothing can be read now.
func (x *Index) makeDoc(ctx context.Context, m *mail.Message) (*doc, error) {
	d := &doc{key: m.Key, date: m.InternalDate.Unix()}
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
		*d = doc{key: m.Key, date: d.date, flags: docUnread, trouble: fmt.Sprintf("%.500v", err)}
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
	if d.words, err = wordsOf(ctx, body, parsed, x.PDF); err != nil {
		return err
	}
	if d.text.cut {
		d.flags |= docCut
	}
	if d.words.fields[fieldBody].lossy {
		d.flags |= docLossy
	}
	d.trouble = strings.Join(d.words.trouble, "; ")
	return nil
}

// A segment's rank is by how many messages it has. When there are mergeAt of one
// rank they become one, so that a message is written again but a few times, and
// the segments to be asked are few.
const mergeAt = 8

type segmentRow struct {
	id, docs int64
}

func (s segmentRow) rank() int { return (bits.Len64(uint64(s.docs)) + 2) / 3 }

func (w *writer) segments() (all []segmentRow, err error) {
	err = query(w.c, "SELECT segment_id, docs FROM segment ORDER BY segment_id", func(st *sqlite.Stmt) error {
		all = append(all, segmentRow{st.ColumnInt64(0), st.ColumnInt64(1)})
		return nil
	})
	return all, err
}

// mergeable picks segments that should be one.
func mergeable(all []segmentRow) []segmentRow {
	byRank := map[int][]segmentRow{}
	for _, s := range all {
		byRank[s.rank()] = append(byRank[s.rank()], s)
	}
	for _, same := range byRank {
		sum := int64(0)
		for i, s := range same {
			full := sum+s.docs > maxSegment
			if full && i > 1 || i == mergeAt {
				return same[:i]
			}
			if full {
				break
			}
			sum += s.docs
		}
		if len(same) == mergeAt && sum <= maxSegment {
			return same
		}
	}
	return nil
}

// merge makes one of several segments, as long as there are too many.
func (w *writer) merge(ctx context.Context) error {
	for ctx.Err() == nil {
		all, err := w.segments()
		if err != nil {
			return err
		}
		some := mergeable(all)
		if len(some) == 0 {
			return nil
		}
		if err := transact(w.c, func() error { return w.mergeSome(some) }); err != nil {
			return err
		}
	}
	return ctx.Err()
}

func (w *writer) mergeSome(some []segmentRow) error {
	var keys []mail.MessageKey
	var from []*cursor
	for _, s := range some {
		cur, err := w.cursor(s, &keys)
		if err != nil {
			return err
		}
		from = append(from, cur)
	}
	if len(keys) > 0 {
		if err := w.addSegment(keys, func(put func(block) error) error { return mergeLists(from, put) }); err != nil {
			return err
		}
	}
	for _, s := range some {
		if err := run(w.c, "DELETE FROM segment WHERE segment_id = ?1", s.id); err != nil {
			return err
		}
		if err := run(w.c, "DELETE FROM gram_block WHERE block_id BETWEEN ?1 AND ?2", blockID(s.id, 0), blockID(s.id, maxGram)); err != nil {
			return err
		}
	}
	return nil
}

// cursor goes through the lists of a segment.
type cursor struct {
	c       *sqlite.Conn
	next    int64 // where the next block begins at the earliest
	last    int64
	numbers []int64 // in the merged segment, by those in this one; -1: gone
	block   *blockReader
	done    bool
}

// cursor begins a segment; what is still there of its messages gets its place in
// keys.
func (w *writer) cursor(s segmentRow, keys *[]mail.MessageKey) (*cursor, error) {
	mine, err := segmentKeys(w.c, s.id)
	if err != nil {
		return nil, err
	}
	cur := &cursor{c: w.c, next: blockID(s.id, 0), last: blockID(s.id, maxGram), numbers: make([]int64, len(mine)), block: &blockReader{}}
	for i, k := range mine {
		found, err := w.has(k)
		if err != nil {
			return nil, err
		}
		cur.numbers[i] = -1
		if found {
			cur.numbers[i] = int64(len(*keys))
			*keys = append(*keys, k)
		}
	}
	return cur, cur.advance()
}

func segmentKeys(c *sqlite.Conn, id int64) (keys []mail.MessageKey, err error) {
	err = query(c, "SELECT keys FROM segment WHERE segment_id = ?1", func(st *sqlite.Stmt) (err error) {
		keys, err = decodeKeys(columnBytes(st, 0, nil))
		return err
	}, id)
	return keys, err
}

// advance goes to the next list.
func (cur *cursor) advance() error {
	for {
		more, err := cur.block.next()
		if more || err != nil {
			return err
		}
		found := false
		err = query(cur.c, "SELECT block_id, data FROM gram_block WHERE block_id BETWEEN ?1 AND ?2 ORDER BY block_id LIMIT 1", func(st *sqlite.Stmt) error {
			id := st.ColumnInt64(0)
			cur.block = readBlock(block{gram(id & maxGram), columnBytes(st, 1, nil)})
			cur.next, found = id+1, true
			return nil
		}, cur.next, cur.last)
		if err != nil {
			return err
		}
		if !found {
			cur.done = true
			return nil
		}
	}
}

// mergeLists writes the lists of several segments as those of one.
func mergeLists(from []*cursor, put func(block) error) error {
	w := &blockWriter{put: put}
	var numbers []uint32
	var list []byte
	for {
		least, some := gram(maxGram), false
		for _, cur := range from {
			if !cur.done {
				least, some = min(least, cur.block.gram), true
			}
		}
		if !some {
			return w.flush()
		}
		numbers = numbers[:0]
		for _, cur := range from {
			if cur.done || cur.block.gram != least {
				continue
			}
			if err := cur.collect(&numbers); err != nil {
				return err
			}
		}
		if len(numbers) == 0 {
			continue
		}
		list = appendNumbers(list[:0], numbers)
		if err := w.add(least, list); err != nil {
			return err
		}
	}
}

// collect takes the messages of the list the cursor is at, and advances.
func (cur *cursor) collect(numbers *[]uint32) error {
	bad := false
	err := eachNumber(cur.block.list, func(n uint32) {
		if int(n) >= len(cur.numbers) {
			bad = true
		} else if now := cur.numbers[n]; now >= 0 {
			*numbers = append(*numbers, uint32(now))
		}
	})
	if err == nil && bad {
		err = errDamaged
	}
	if err != nil {
		return err
	}
	return cur.advance()
}
