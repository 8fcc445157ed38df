package index

import (
	"container/list"
	"sync"

	"lockstep/internal/mail"
)

// Texts remember one thing that FETCH says of the messages of one mailbox and that
// never changes of them, as it goes to the client: of those that were asked for,
// as long as it fits. Methods are safe for concurrent use.
type Texts struct {
	cache *Cache
	key   textsKey

	mu     sync.Mutex
	blocks map[mail.UID]*textBlock // by UID / blockUIDs

	// Guarded by the cache's mu.
	size    int64
	place   *list.Element
	dropped bool
}

// textsKey says which: the Reparsed of the Version tells texts of before from those
// of after.
type textsKey struct {
	boxKey
	reparsed uint64
	kind     string
}

// What one block of UIDs holds never changes: it is replaced.
const blockUIDs = 64

type textBlock struct {
	at   [blockUIDs]struct{ start, n uint32 } // n is 0 of those that are not known
	text []byte
}

// MaxText is how long a text may be to be remembered.
const MaxText = 4 << 10

// What texts take besides their bytes.
const (
	perTexts = 400
	perBlock = blockUIDs*8 + 100
)

// textShare is the part of the budget that texts may take: one in so many.
const textShare = 4

// textTable is all texts, the one used last in front.
type textTable struct {
	byKey map[textsKey]*Texts
	order list.List
	total int64
}

// Texts returns what is remembered of a kind for the messages of the mailbox that v
// shows. Kinds are the caller's.
func (b *Box) Texts(v *Version, kind string) *Texts {
	c := b.cache
	k := textsKey{b.key, v.Reparsed, kind}
	c.mu.Lock()
	defer c.mu.Unlock()
	t := c.texts.byKey[k]
	if t != nil {
		c.texts.order.MoveToFront(t.place)
		return t
	}
	t = &Texts{cache: c, key: k, blocks: map[mail.UID]*textBlock{}}
	t.place = c.texts.order.PushFront(t)
	if c.texts.byKey == nil {
		c.texts.byKey = map[textsKey]*Texts{}
	}
	c.texts.byKey[k] = t
	t.grow(perTexts + int64(len(kind)))
	return t
}

// grow notes that t takes more, which others make room for, and reports whether
// there is. c.mu is held.
func (t *Texts) grow(n int64) bool {
	c := t.cache
	most := c.budget / textShare
	if t.dropped || t.size+n > most/2 { // a mailbox that would drive out all others
		return false
	}
	t.size += n
	c.texts.total += n
	for c.texts.total > most {
		oldest := c.texts.order.Back().Value.(*Texts)
		c.texts.order.Remove(oldest.place)
		delete(c.texts.byKey, oldest.key)
		c.texts.total -= oldest.size
		oldest.dropped = true
	}
	c.evict()
	return !t.dropped
}

// Look sets the texts of entries in out, where it is nil and one is known. They are
// not to be changed.
func (t *Texts) Look(entries []Entry, out [][]byte) {
	t.mu.Lock()
	defer t.mu.Unlock()
	var block *textBlock
	last := mail.UID(0)
	for i, e := range entries {
		if n := e.UID / blockUIDs; i == 0 || n != last {
			block, last = t.blocks[n], n
		}
		if block == nil || out[i] != nil {
			continue
		}
		if at := block.at[e.UID%blockUIDs]; at.n > 0 {
			end := at.start + at.n
			out[i] = block.text[at.start:end:end]
		}
	}
}

// Keep remembers the texts of entries, which are in the order of their UIDs; nil is
// none.
func (t *Texts) Keep(entries []Entry, texts [][]byte) {
	for i := 0; i < len(entries); {
		n := entries[i].UID / blockUIDs
		j := i + 1
		for j < len(entries) && entries[j].UID/blockUIDs == n {
			j++
		}
		t.keep(n, entries[i:j], texts[i:j])
		i = j
	}
}

// keep adds to one block.
func (t *Texts) keep(n mail.UID, entries []Entry, texts [][]byte) {
	t.mu.Lock()
	defer t.mu.Unlock()
	old := t.blocks[n]
	b, more := new(textBlock), 0
	if old != nil {
		*b = *old
	}
	for i, e := range entries {
		if b.isNew(e, texts[i]) {
			more += len(texts[i])
		}
	}
	if more == 0 || !t.room(more, old == nil) {
		return
	}
	b.text = append(make([]byte, 0, len(b.text)+more), b.text...)
	for i, e := range entries {
		if b.isNew(e, texts[i]) {
			at := &b.at[e.UID%blockUIDs]
			at.start, at.n = uint32(len(b.text)), uint32(len(texts[i]))
			b.text = append(b.text, texts[i]...)
		}
	}
	t.blocks[n] = b
}

func (b *textBlock) isNew(e Entry, text []byte) bool {
	return len(text) > 0 && len(text) <= MaxText && b.at[e.UID%blockUIDs].n == 0
}

func (t *Texts) room(bytes int, block bool) bool {
	t.cache.mu.Lock()
	defer t.cache.mu.Unlock()
	size := int64(bytes)
	if block {
		size += perBlock
	}
	return t.grow(size)
}
