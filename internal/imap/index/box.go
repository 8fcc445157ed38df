package index

import (
	"context"
	"sync"
	"sync/atomic"

	"lockstep/internal/mail"
	"lockstep/internal/store"
)

// A Waker is told that its mailbox has changed. Wake must not block.
type Waker interface{ Wake() }

// Box is one mailbox in memory, shared by all who have it open. Methods are safe
// for concurrent use.
type Box struct {
	cache   *Cache
	key     boxKey
	current atomic.Pointer[Version] // nil until it is loaded
	wanted  atomic.Uint64           // the newest ModSeq known to touch this mailbox
	stale   atomic.Bool             // nobody listened for a while
	claimed atomic.Uint32           // see Claimed

	loading sync.Mutex // held by who reads the changes for all
	drift   int        // rows read since the last image; guarded by loading
	imaging atomic.Bool

	mu      sync.Mutex
	told    []mail.News // what the next Version may be made of; at most maxTold
	waking  bool        // a goroutine is on its way to the wakers
	wakers  map[Waker]struct{}
	users   int // guarded by the cache's mu, as is stop
	stop    func()
	lastUse uint64
	shown   mail.UID // see Show
}

type boxKey struct {
	account mail.AccountID
	mailbox mail.MailboxID
	as      mail.PrincipalID // 0 is the owner
}

// At returns a Version not older than n, nor than any change this process has
// heard of. NotFound means that the mailbox was deleted, or is
// no longer to be read by the member.
func (b *Box) At(ctx context.Context, n mail.ModSeq) (*Version, error) {
	n = max(n, mail.ModSeq(b.wanted.Load()))
	if v := b.ready(n); v != nil {
		return v, nil
	}
	b.loading.Lock()
	defer b.loading.Unlock()
	if v := b.ready(n); v != nil {
		return v, nil
	}
	return b.refresh(ctx)
}

func (b *Box) ready(n mail.ModSeq) *Version {
	if v := b.current.Load(); v != nil && v.ModSeq >= n && !b.stale.Load() {
		return v
	}
	return nil
}

// Newest returns a Version not older than any change committed before the call,
// on whatever node.
func (b *Box) Newest(ctx context.Context) (*Version, error) {
	b.loading.Lock()
	defer b.loading.Unlock()
	return b.refresh(ctx)
}

func (b *Box) refresh(ctx context.Context) (v *Version, err error) {
	old := b.current.Load()
	b.stale.Store(false)
	err = b.cache.store.View(ctx, b.key.account, func(r store.Reader) error {
		v, err = load(r, b.key, old)
		return err
	})
	if err != nil {
		b.stale.Store(true)
		return nil, err
	}
	if old == nil || v.ModSeq != old.ModSeq || v.Reparsed != old.Reparsed {
		b.current.Store(v)
	}
	if old == nil || v.count != old.count {
		b.cache.resized(b, v.size())
	}
	b.keepImage(v)
	return v, nil
}

// Wake tells w of changes until Sleep. What changed before is not told.
func (b *Box) Wake(w Waker) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.wakers == nil {
		b.wakers = map[Waker]struct{}{}
	}
	b.wakers[w] = struct{}{}
}

// Sleep tells w no longer; a call already under way may still come.
func (b *Box) Sleep(w Waker) {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.wakers, w)
}

// heard is called in the path of a commit.
func (b *Box) heard(n mail.News) {
	if !n.Touches(b.key.mailbox) {
		return
	}
	for {
		old := b.wanted.Load()
		if uint64(n.ModSeq) <= old || b.wanted.CompareAndSwap(old, uint64(n.ModSeq)) {
			break
		}
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.wakers) == 0 {
		return
	}
	if n.Puts != nil && b.key.as == 0 && len(b.told) < maxTold { // a member's own \Seen is not among them
		b.told = append(b.told, n)
	}
	if !b.waking {
		b.waking = true
		b.cache.running.start(b.wakeAll)
	}
}

// maxTold bounds the news that wait to be made a Version of.
const maxTold = 16

// wakeAll finds out about the changes once, by the news or else by reading, and then
// wakes everybody.
func (b *Box) wakeAll() {
	b.mu.Lock()
	b.waking = false
	told := b.told
	b.told = nil
	b.mu.Unlock()
	b.believe(told)
	_, _ = b.At(context.Background(), 0) // who is woken meets the error again
	b.mu.Lock()
	wakers := make([]Waker, 0, len(b.wakers))
	for w := range b.wakers {
		wakers = append(wakers, w)
	}
	b.mu.Unlock()
	for _, w := range wakers {
		w.Wake()
	}
}

// Claimed returns the UIDNEXT up to which this process knows that \Recent was
// claimed (RFC 3501 §2.3.2), so that an unchanged mailbox need not be asked.
func (b *Box) Claimed() mail.UID { return mail.UID(b.claimed.Load()) }

// SetClaimed notes that \Recent was claimed below next.
func (b *Box) SetClaimed(next mail.UID) { b.claimed.Store(uint32(next)) }

// Show returns from which UID on the messages from first to below next are \Recent
// to the session that asks, as no other was told of them. It is next if none are.
func (b *Box) Show(first, next mail.UID) mail.UID {
	b.mu.Lock()
	defer b.mu.Unlock()
	first = min(max(first, b.shown), next)
	b.shown = max(b.shown, next)
	return first
}

// Shown returns the UID below which sessions that are open were told of every
// message.
func (c *Cache) Shown(a mail.AccountID, mb mail.MailboxID) mail.UID {
	c.mu.Lock()
	b := c.boxes[boxKey{a, mb, 0}]
	c.mu.Unlock()
	if b == nil {
		return 0
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.shown
}

// load makes the Version r shows, out of old if history reaches back that far.
func load(r store.Reader, key boxKey, old *Version) (*Version, error) {
	account, err := r.Account()
	if err != nil {
		return nil, err
	}
	mb, err := r.MailboxAs(key.mailbox, key.as)
	if err != nil {
		return nil, err
	}
	rights, err := mayRead(r, key)
	if err != nil {
		return nil, err
	}
	v := &Version{ModSeq: account.Head, HighestModSeq: mb.HighestModSeq, UIDNext: mb.UIDNext, UIDValidity: mb.UIDValidity, Epoch: account.Epoch,
		Reparsed: account.Reparsed, Rights: rights}
	if old == nil {
		old = fromImage(r, key, &account)
	}
	if old == nil || old.Epoch != account.Epoch || old.flags.bloated(old.count) {
		return v, v.loadAll(r, key)
	}
	v.chunks, v.starts, v.count, v.flags = old.chunks, old.starts, old.count, old.flags
	if mb.HighestModSeq == old.HighestModSeq {
		return v, nil
	}
	gone, err := r.Vanished(key.mailbox, old.ModSeq)
	if mail.KindOf(err) == mail.TooOld && err != nil {
		return v, v.loadAll(r, key)
	}
	if err != nil {
		return nil, err
	}
	puts, err := v.rows(r, store.PlacementQuery{Mailbox: key.mailbox, ChangedSince: old.ModSeq, As: key.as}, nil)
	if err != nil || len(puts) == 0 && len(gone) == 0 {
		return v, err
	}
	v.read = len(puts) + int(gone.Count())
	return v.with(puts, gone), nil
}

// mayRead returns what may be done in the mailbox; NotFound if that is not to read
// it.
func mayRead(r store.Reader, key boxKey) (mail.Rights, error) {
	if key.as == 0 {
		return mail.AllRights, nil
	}
	grants, err := r.Rights(key.mailbox)
	rights := mail.RightsOf(grants, key.as)
	if err == nil && !rights.Has(mail.MayRead) {
		err = mail.Errorf(mail.NotFound, "no such mailbox")
	}
	return rights, err
}

func (v *Version) loadAll(r store.Reader, key boxKey) error {
	v.flags, v.chunks = newFlagTable(), nil
	entries, err := v.rows(r, store.PlacementQuery{Mailbox: key.mailbox, As: key.as}, nil)
	v.add(entries)
	v.number()
	v.read = len(entries)
	return err
}

func (v *Version) rows(r store.Reader, q store.PlacementQuery, out []Entry) ([]Entry, error) {
	err := r.Placements(q, func(p *mail.Placement) error {
		out = append(out, Entry{p.UID, v.flags.id(p.Flags), p.ModSeq})
		return nil
	})
	return out, err
}
