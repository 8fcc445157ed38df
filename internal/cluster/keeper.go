package cluster

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"

	"lockstep/internal/mail"
	"lockstep/internal/notify"
	"lockstep/internal/store"
)

// DefaultLife is how long a lease lives that nobody renews: what its node did stands
// still for so long when that dies. It is renewed when a third of it has passed.
const DefaultLife = 30 * time.Second

// topic is what nodes tell each other on the bus when a lease is free.
const topic = "cluster.free"

// Keeper runs what only one node of all may do. Set its fields before use.
type Keeper struct {
	Node   *Node
	Leases store.Leases // nil: the node is alone, and holds whatever it asks for
	Bus    notify.Bus   // tells others at once what is free; may be nil
	Life   time.Duration
	Log    *slog.Logger

	mu    sync.Mutex
	freed map[string]chan struct{}     // who waits for a lease; guarded by mu
	held  map[string]struct{}          // what this process is doing; guarded by mu
	kept  map[string]func(heir string) // of that, what Keep does, and how it is given up; guarded by mu
}

// errLost is why a job's context ended: its lease did.
var errLost = errors.New("cluster: the lease was lost")

// IsLost reports whether work ended because another node has, or may have, its lease.
func IsLost(ctx context.Context) bool { return errors.Is(context.Cause(ctx), errLost) }

// Keep runs do on this node while it holds the lease of that name, and waits for the
// lease while another node has it, until ctx ends. The context that do is given ends
// with the lease, and what it writes is fenced by it. When do returns before, with or
// without an error, so does Keep.
func (k *Keeper) Keep(ctx context.Context, name string, do func(context.Context) error) error {
	if k.Leases == nil {
		return do(ctx)
	}
	free, stop := k.await(name)
	defer stop()
	for waited := 0; ctx.Err() == nil; waited++ {
		if !k.Node.isDraining() && (waited > 0 || k.Node.turn(name) == 0) {
			l, began, err := k.take(ctx, name)
			if err == nil {
				lost, err := k.hold(ctx, l, began, true, do)
				if !lost {
					return err
				}
				waited = 0 // it may be another's turn now
			}
			if mail.KindOf(err) != mail.Exists && ctx.Err() == nil {
				k.Log.WarnContext(ctx, "lease", "name", name, "err", err)
			}
		}
		select {
		case <-ctx.Done():
		case <-free:
		case <-time.After(jitter(k.life() / 3)):
		}
	}
	return nil
}

// Alone runs do if no node does anything under that name, and is Conflict if one does.
// As with Keep, the context that do is given ends with the lease.
func (k *Keeper) Alone(ctx context.Context, name string, do func(context.Context) error) error {
	if k.Leases == nil {
		return do(ctx)
	}
	l, began, err := k.take(ctx, name)
	if mail.KindOf(err) == mail.Exists && err != nil {
		return mail.Errorf(mail.Conflict, "%s is doing this: wait until it has ended", k.nameOf(l.Holder))
	}
	if err != nil {
		return err
	}
	lost, err := k.hold(ctx, l, began, false, do)
	if lost {
		return mail.Errorf(mail.Unavailable, "this was interrupted, as another node has taken it over")
	}
	return err
}

// nameOf is what operators call a node.
func (k *Keeper) nameOf(id string) string {
	for _, n := range k.Node.Peers() {
		if n.ID == id {
			return "node " + n.Name
		}
	}
	return "another node"
}

func (k *Keeper) life() time.Duration {
	if k.Life == 0 {
		return DefaultLife
	}
	return k.Life
}

// take asks for a lease, and says since when it lives, by our clock. One process has
// it once: the store would give it again to the same node.
func (k *Keeper) take(ctx context.Context, name string) (l store.Lease, began time.Time, err error) {
	k.mu.Lock()
	if k.held == nil {
		k.held = map[string]struct{}{}
	}
	if _, held := k.held[name]; held {
		k.mu.Unlock()
		return store.Lease{Name: name, Holder: k.Node.ID()}, began, mail.Errorf(mail.Exists, "this node has it")
	}
	k.held[name] = struct{}{}
	k.mu.Unlock()
	asking, cancel := context.WithTimeout(ctx, k.life())
	defer cancel()
	began = time.Now()
	l, err = k.Leases.Take(asking, name, k.Node.ID(), k.life())
	if err != nil {
		k.drop(name)
	}
	return l, began, err
}

func (k *Keeper) drop(name string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	delete(k.held, name)
}

// hold runs do under a lease, which it renews meanwhile and yields at the end. lost is
// true when the lease ended, or was given up, before do did.
func (k *Keeper) hold(ctx context.Context, l store.Lease, began time.Time, keeps bool, do func(context.Context) error) (lost bool, err error) {
	defer k.drop(l.Name)
	working, lose := context.WithCancelCause(store.Under(ctx, l))
	heir := make(chan string, 1)
	if keeps {
		defer k.mayGive(l.Name, func(to string) {
			select {
			case heir <- to:
				lose(errGiven)
			default:
			}
		})()
	}
	renewing, stop := context.WithCancel(ctx)
	var renewer sync.WaitGroup
	renewer.Go(func() { k.renew(renewing, l, began, func() { lose(errLost) }) })
	defer func() {
		stop()
		renewer.Wait()
		lose(nil)
		select {
		case to := <-heir:
			k.yield(ctx, l, to)
		default:
			k.yield(ctx, l, "")
		}
	}()
	err = do(working)
	return IsLost(working) && ctx.Err() == nil, err
}

// renew renews a lease whenever a third of its life has passed, until ctx ends. It calls
// lose when another has it, and, before it can have ended, when nobody can be asked.
func (k *Keeper) renew(ctx context.Context, l store.Lease, began time.Time, lose func()) {
	ends := time.AfterFunc(time.Until(began.Add(k.safe())), lose)
	defer ends.Stop()
	for wait := k.life() / 3; ; wait = k.life() / 3 {
		select {
		case <-ctx.Done():
			return
		case <-time.After(wait):
		}
		asking, cancel := context.WithTimeout(ctx, k.life()/3)
		asked := time.Now()
		again, err := k.Leases.Take(asking, l.Name, l.Holder, k.life())
		cancel()
		switch {
		case ctx.Err() != nil:
			return
		case err == nil && again.Fence == l.Fence:
			ends.Reset(time.Until(asked.Add(k.safe())))
		case err == nil: // it had ended: what is being done is under the old one
			lose()
			return
		case mail.KindOf(err) == mail.Exists:
			k.Log.WarnContext(ctx, "another node has taken over what this one was doing", "lease", l.Name)
			lose()
			return
		default:
			k.Log.WarnContext(ctx, "lease not renewed", "lease", l.Name, "err", err)
		}
	}
}

// safe is how long after a lease was asked for it is sure to be ours: clocks may go
// at slightly different speeds.
func (k *Keeper) safe() time.Duration { return k.life() - k.life()/10 }

// yield ends a lease, so that another node takes it at once: the heir, if there is one.
func (k *Keeper) yield(ctx context.Context, l store.Lease, heir string) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), leaveTime)
	defer cancel()
	if err := k.Leases.Yield(ctx, l); err != nil {
		k.Log.WarnContext(ctx, "lease not given back: it ends by itself", "lease", l.Name, "err", err)
		return
	}
	if k.Bus != nil {
		k.Bus.Send(topic, []byte(l.Name+"\x00"+heir))
	}
}

// await returns what says that a lease may be free.
func (k *Keeper) await(name string) (free <-chan struct{}, stop func()) {
	ch := make(chan struct{}, 1)
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.freed == nil {
		k.freed = map[string]chan struct{}{}
	}
	if k.freed[name] != nil {
		panic(fmt.Sprintf("cluster: %s is kept twice", name))
	}
	k.freed[name] = ch
	return ch, func() {
		k.mu.Lock()
		defer k.mu.Unlock()
		delete(k.freed, name)
	}
}

// Listen hears from other nodes what is free, until stop.
func (k *Keeper) Listen() (stop func(), err error) {
	if k.Bus == nil {
		return func() {}, nil
	}
	return k.Bus.Receive(topic, func(_ string, word []byte) {
		name, heir, _ := strings.Cut(string(word), "\x00")
		k.mu.Lock()
		defer k.mu.Unlock()
		if ch := k.freed[name]; ch != nil && (heir == "" || heir == k.Node.ID()) {
			select {
			case ch <- struct{}{}:
			default:
			}
		}
	})
}
