package index

import (
	"sync"

	"lockstep/internal/mail"
	"lockstep/internal/store"
)

// DefaultBudget is how many bytes a Cache may hold of mailboxes nobody has open,
// and of texts.
const DefaultBudget = 256 << 20

// Cache holds the boxes of hot mailboxes. What nobody has open is kept as long as
// the whole stays within the budget.
type Cache struct {
	store     store.Store
	budget    int64
	imageFrom int // see there; tests have less
	running   running

	mu    sync.Mutex
	boxes map[boxKey]*Box
	sizes map[*Box]int64
	total int64
	clock uint64
	texts textTable
}

// NewCache returns a Cache of mailboxes in st; budget 0 is DefaultBudget.
func NewCache(st store.Store, budget int64) *Cache {
	if budget == 0 {
		budget = DefaultBudget
	}
	return &Cache{store: st, budget: budget, imageFrom: imageFrom, boxes: map[boxKey]*Box{}, sizes: map[*Box]int64{}}
}

// Open returns the box of a mailbox as its owner sees it; Close it.
func (c *Cache) Open(a mail.AccountID, mb mail.MailboxID) *Box { return c.OpenAs(a, mb, 0) }

// OpenAs is Open for a member, who has a \Seen of their own and sees the mailbox
// as long as they may read it.
func (c *Cache) OpenAs(a mail.AccountID, mb mail.MailboxID, as mail.PrincipalID) *Box {
	c.mu.Lock()
	defer c.mu.Unlock()
	k := boxKey{a, mb, as}
	b := c.boxes[k]
	if b == nil {
		b = &Box{cache: c, key: k}
		c.boxes[k] = b
	}
	b.users++
	if b.users == 1 {
		b.stop = c.store.Watch(a, b.heard)
		b.stale.Store(true) // what happened while nobody watched is not known
	}
	return b
}

// Close gives a box back.
func (b *Box) Close() {
	c := b.cache
	c.mu.Lock()
	defer c.mu.Unlock()
	c.clock++
	b.lastUse = c.clock
	if b.users--; b.users == 0 {
		b.stop()
		c.evict()
	}
}

// Wait returns when no goroutine of the cache runs. With boxes open others may
// begin at any time.
func (c *Cache) Wait() { c.running.wait() }

// running counts goroutines. Other than a sync.WaitGroup it may be waited for
// while more begin.
type running struct {
	mu   sync.Mutex
	n    int
	zero chan struct{} // closed when n comes to 0; nil if nobody waits
}

func (r *running) start(f func()) {
	r.mu.Lock()
	r.n++
	r.mu.Unlock()
	go func() {
		defer r.done()
		f()
	}()
}

func (r *running) done() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.n--; r.n == 0 && r.zero != nil {
		close(r.zero)
		r.zero = nil
	}
}

func (r *running) wait() {
	r.mu.Lock()
	if r.n == 0 {
		r.mu.Unlock()
		return
	}
	if r.zero == nil {
		r.zero = make(chan struct{})
	}
	zero := r.zero
	r.mu.Unlock()
	<-zero
}

// resized notes how large a box is now.
func (c *Cache) resized(b *Box, size int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.total += size - c.sizes[b]
	c.sizes[b] = size
	c.evict()
}

// evict forgets boxes nobody has open, the one unused longest first, until the
// rest fits beside the texts.
func (c *Cache) evict() {
	for c.total+c.texts.total > c.budget {
		var oldest *Box
		for _, b := range c.boxes {
			if b.users == 0 && (oldest == nil || b.lastUse < oldest.lastUse) {
				oldest = b
			}
		}
		if oldest == nil {
			return
		}
		delete(c.boxes, oldest.key)
		c.total -= c.sizes[oldest]
		delete(c.sizes, oldest)
	}
}
