package cluster

import (
	"context"
	"fmt"
	"time"
)

// A node that starts late, or was restarted last, finds that the others have all there
// is to do. So each looks now and then, and gives one thing up when another node has far
// less: as when it stops, what it did ends first, and is gone on with by the other.
const (
	BalanceEvery = time.Minute
	farFewer     = 2 // leases that another has less, so that none is passed to and fro
)

// errGiven is why a job's context ended: its lease goes to a node that has fewer.
var errGiven = fmt.Errorf("%w to a node that has fewer", errLost)

// Run gives leases up where others have far fewer, until ctx ends. It costs a read each
// BalanceEvery.
func (k *Keeper) Run(ctx context.Context) error {
	if k.Leases == nil {
		return nil
	}
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(jitter(BalanceEvery)):
		}
		if err := k.balance(ctx); err != nil && ctx.Err() == nil {
			k.Log.WarnContext(ctx, "who does what can't be seen", "err", err)
		}
	}
}

// mayGive notes how what is kept under a name is given up, until stop.
func (k *Keeper) mayGive(name string, give func(heir string)) (stop func()) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.kept == nil {
		k.kept = map[string]func(string){}
	}
	k.kept[name] = give
	return func() {
		k.mu.Lock()
		defer k.mu.Unlock()
		delete(k.kept, name)
	}
}

// balance gives up one lease, if there is a node that has far fewer than this one.
func (k *Keeper) balance(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, beatTime)
	defer cancel()
	leases, err := k.Leases.AllLeases(ctx)
	if err != nil {
		return err
	}
	has := map[string]int{}
	for _, l := range leases {
		has[l.Holder]++
	}
	heir := k.poorest(has)
	if heir == "" || has[k.Node.ID()]-has[heir] < farFewer {
		return nil
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	name := ""
	for of := range k.kept {
		if name == "" || weigh(of, heir) > weigh(name, heir) {
			name = of
		}
	}
	if name != "" {
		k.Log.InfoContext(ctx, "given to a node that does less", "lease", name, "heir", heir)
		k.kept[name](heir)
	}
	return nil
}

// poorest is the other node that has the fewest leases, of those that serve and are past
// their beginning.
func (k *Keeper) poorest(has map[string]int) (id string) {
	now := k.Node.Now()
	for _, p := range k.Node.Peers() {
		switch {
		case p.ID == k.Node.ID(), p.State != Serving, now.Sub(p.Started) < BalanceEvery:
		case id == "" || has[p.ID] < has[id]:
			id = p.ID
		}
	}
	return id
}
