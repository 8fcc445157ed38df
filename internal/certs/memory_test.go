package certs

import (
	"context"
	"slices"
	"strings"
	"sync"
	"time"

	"lockstep/internal/mail"
	"lockstep/internal/store"
)

// memory is a store for tests that several nodes share, by the machine's clock.
type memory struct {
	mu     sync.Mutex
	files  map[string]store.File
	leases map[string]store.Lease
	fences map[string]int64
}

func newMemory() *memory {
	return &memory{files: map[string]store.File{}, leases: map[string]store.Lease{}, fences: map[string]int64{}}
}

func (m *memory) PutFile(_ context.Context, f store.File) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(f.Data) > store.MaxFile {
		return mail.Errorf(mail.Limit, "too large")
	}
	f.Data, f.Changed = slices.Clone(f.Data), time.Now()
	m.files[f.Name] = f
	return nil
}

func (m *memory) FileNamed(_ context.Context, name string) (store.File, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	f, ok := m.files[name]
	if !ok || !f.Until.IsZero() && time.Now().After(f.Until) {
		return store.File{}, mail.Errorf(mail.NotFound, "no such file")
	}
	return f, nil
}

func (m *memory) DropFile(_ context.Context, name string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	n := len(m.files)
	for have := range m.files {
		if have == name || strings.HasPrefix(have, name+"/") {
			delete(m.files, have)
		}
	}
	if len(m.files) == n {
		return mail.Errorf(mail.NotFound, "no such file")
	}
	return nil
}

func (m *memory) FilesBelow(_ context.Context, prefix string, limit int) (all []store.File, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for name, f := range m.files {
		if strings.HasPrefix(name, prefix) {
			f.Data = nil
			all = append(all, f)
		}
	}
	slices.SortFunc(all, func(a, b store.File) int { return strings.Compare(a.Name, b.Name) })
	return all[:min(limit, len(all))], nil
}

func (m *memory) Take(_ context.Context, name, holder string, life time.Duration) (store.Lease, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	l, ok := m.leases[name]
	if ok && l.Holder != holder && time.Now().Before(l.Until) {
		return l, mail.Errorf(mail.Exists, "%s has it", l.Holder)
	}
	if !ok || l.Holder != holder || !time.Now().Before(l.Until) {
		m.fences[name]++
	}
	l = store.Lease{Name: name, Holder: holder, Until: time.Now().Add(life), Fence: m.fences[name]}
	m.leases[name] = l
	return l, nil
}

func (m *memory) Holds(_ context.Context, l store.Lease) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.fences[l.Name] != l.Fence {
		return mail.Errorf(mail.Expired, "another has it")
	}
	return nil
}

func (m *memory) Yield(_ context.Context, l store.Lease) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if have := m.leases[l.Name]; have.Fence == l.Fence {
		delete(m.leases, l.Name)
	}
	return nil
}

func (m *memory) AllLeases(context.Context) (all []store.Lease, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, l := range m.leases {
		all = append(all, l)
	}
	return all, nil
}
