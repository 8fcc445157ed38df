package model

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"strings"
	"time"

	"lockstep/internal/mail"
	"lockstep/internal/store"
)

// cluster is what nodes share; guarded by the Store's mu.
type cluster struct {
	leases map[string]store.Lease // also those that ended
	nodes  map[string]store.Node
	files  map[string]store.File
}

func newCluster() cluster {
	return cluster{leases: map[string]store.Lease{}, nodes: map[string]store.Node{}, files: map[string]store.File{}}
}

// Take takes a lease.
func (st *Store) Take(_ context.Context, name, holder string, life time.Duration) (store.Lease, error) {
	if name == "" || holder == "" || life <= 0 || life > store.MaxLease {
		return store.Lease{}, mail.Errorf(mail.Invalid, "a lease has a name and a holder, and lives for %v at most", store.MaxLease)
	}
	st.leasing.Lock()
	defer st.leasing.Unlock()
	st.mu.Lock()
	defer st.mu.Unlock()
	now, l := st.Now(), st.cluster.leases[name]
	lives := l.Until.After(now)
	if lives && l.Holder != holder {
		return l, mail.Errorf(mail.Exists, "another node has it")
	}
	if !lives || l.Holder != holder {
		l.Fence++
	}
	l.Name, l.Holder, l.Until = name, holder, now.Add(life)
	st.cluster.leases[name] = l
	return l, nil
}

// Holds says whether nobody took a lease over.
func (st *Store) Holds(ctx context.Context, l store.Lease) error {
	done, err := st.fenced(store.Under(ctx, l))
	done()
	return err
}

// fenced is Expired when somebody has taken over the lease that work is done under.
// Until done is called nobody takes it over.
func (st *Store) fenced(ctx context.Context) (done func(), err error) {
	l := store.UnderLease(ctx)
	if l == nil {
		return func() {}, nil
	}
	st.leasing.RLock()
	st.mu.Lock()
	defer st.mu.Unlock()
	if is := st.cluster.leases[l.Name]; is.Holder != l.Holder || is.Fence != l.Fence {
		err = store.Overtaken()
	}
	return st.leasing.RUnlock, err
}

// Yield ends a lease.
func (st *Store) Yield(_ context.Context, l store.Lease) error {
	st.mu.Lock()
	defer st.mu.Unlock()
	if is := st.cluster.leases[l.Name]; is.Holder == l.Holder && is.Fence == l.Fence {
		is.Holder, is.Until = "", st.Now()
		st.cluster.leases[l.Name] = is
	}
	return nil
}

// AllLeases returns those that have not ended.
func (st *Store) AllLeases(context.Context) ([]store.Lease, error) {
	st.mu.Lock()
	defer st.mu.Unlock()
	all := slices.SortedFunc(maps.Values(st.cluster.leases), func(a, b store.Lease) int { return cmp.Compare(a.Name, b.Name) })
	return slices.DeleteFunc(all, func(l store.Lease) bool { return !l.Until.After(st.Now()) }), nil
}

// Announce notes that a node lives.
func (st *Store) Announce(_ context.Context, n store.Node) error {
	switch {
	case n.ID == "":
		return mail.Errorf(mail.Invalid, "a node has an id")
	case len(n.Detail) > store.MaxNodeDetail:
		return mail.Errorf(mail.Limit, "a node says %d bytes of itself at most", store.MaxNodeDetail)
	}
	st.mu.Lock()
	defer st.mu.Unlock()
	if was, there := st.cluster.nodes[n.ID]; there {
		was.State, was.Detail = n.State, n.Detail
		n = was
	}
	n.Seen, n.Detail = st.Now(), slices.Clone(n.Detail)
	maps.DeleteFunc(st.cluster.nodes, func(_ string, o store.Node) bool { return n.Seen.Sub(o.Seen) > store.NodeKept })
	st.cluster.nodes[n.ID] = n
	return nil
}

// Leave removes a node.
func (st *Store) Leave(_ context.Context, id string) error {
	st.mu.Lock()
	defer st.mu.Unlock()
	delete(st.cluster.nodes, id)
	return nil
}

// AllNodes returns those that were seen lately.
func (st *Store) AllNodes(_ context.Context, within time.Duration) ([]store.Node, error) {
	st.mu.Lock()
	defer st.mu.Unlock()
	all := slices.SortedFunc(maps.Values(st.cluster.nodes), func(a, b store.Node) int {
		return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.ID, b.ID))
	})
	return slices.DeleteFunc(all, func(n store.Node) bool { return within > 0 && st.Now().Sub(n.Seen) >= within }), nil
}

// Clock returns the store's time.
func (st *Store) Clock(context.Context) (time.Time, error) { return st.Now(), nil }

// PutFile makes or replaces a file.
func (st *Store) PutFile(ctx context.Context, f store.File) error {
	done, err := st.fenced(ctx)
	defer done()
	if err != nil {
		return err
	}
	if err := store.FileName(f.Name); err != nil {
		return err
	}
	if len(f.Data) > store.MaxFile {
		return mail.Errorf(mail.Limit, "a shared file has %d bytes at most", store.MaxFile)
	}
	st.mu.Lock()
	defer st.mu.Unlock()
	f.Data, f.Size, f.Changed = slices.Clone(f.Data), int64(len(f.Data)), st.Now()
	st.cluster.files[f.Name] = f
	return nil
}

// lives reports whether a file is there and its life is not over.
func (st *Store) lives(name string) bool {
	f, there := st.cluster.files[name]
	return there && (f.Until.IsZero() || f.Until.After(st.Now()))
}

// FileNamed returns a file.
func (st *Store) FileNamed(_ context.Context, name string) (store.File, error) {
	st.mu.Lock()
	defer st.mu.Unlock()
	if !st.lives(name) {
		return store.File{}, mail.Errorf(mail.NotFound, "no such shared file")
	}
	f := st.cluster.files[name]
	f.Data = slices.Clone(f.Data)
	return f, nil
}

// DropFile removes a file, and those below it.
func (st *Store) DropFile(ctx context.Context, name string) error {
	done, err := st.fenced(ctx)
	defer done()
	if err != nil {
		return err
	}
	st.mu.Lock()
	defer st.mu.Unlock()
	some := false
	for n := range st.cluster.files {
		if n == name || strings.HasPrefix(n, name+"/") {
			some = some || st.lives(n)
			delete(st.cluster.files, n)
		}
	}
	if !some {
		return mail.Errorf(mail.NotFound, "no such shared file")
	}
	return nil
}

// FilesBelow returns the files whose names begin with prefix, without their bytes.
func (st *Store) FilesBelow(_ context.Context, prefix string, limit int) ([]store.File, error) {
	st.mu.Lock()
	defer st.mu.Unlock()
	var all []store.File
	for _, name := range slices.Sorted(maps.Keys(st.cluster.files)) {
		if len(all) < limit && strings.HasPrefix(name, prefix) && st.lives(name) {
			f := st.cluster.files[name]
			f.Data = nil
			all = append(all, f)
		}
	}
	return all, nil
}
