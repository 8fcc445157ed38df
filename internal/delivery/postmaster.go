package delivery

import (
	"context"
	"sync"
	"time"

	"lockstep/internal/mail"
	"lockstep/internal/store"
)

// deputyFor is how long the account that stands in for a postmaster is
// remembered: strangers ask for it, and finding it looks at all accounts.
const deputyFor = time.Minute

// deputy remembers who gets postmaster's mail where nobody was named.
type deputy struct {
	mu    sync.Mutex
	found store.Address
	at    time.Time
}

// postmaster finds who gets postmaster's mail where nobody has that address: whom
// the operator named, else the oldest account in force, since RFC 5321 §4.5.1
// wants somebody to get it. NotFound when there is nobody at all.
func (s *Service) postmaster(ctx context.Context) (store.Address, error) {
	if s.Postmaster == "" {
		return s.deputy.get(ctx, s.Directory)
	}
	local, domain, err := SplitAddress(s.Postmaster)
	if err != nil {
		return store.Address{}, err
	}
	return s.lookup(ctx, local, domain)
}

func (d *deputy) get(ctx context.Context, dir store.Directory) (store.Address, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.found.Account != 0 && time.Since(d.at) < deputyFor {
		return d.found, nil
	}
	all, err := dir.Accounts(ctx)
	if err != nil {
		return store.Address{}, err
	}
	var oldest *store.Principal
	for i, p := range all {
		if !p.Disabled && (oldest == nil || p.Account < oldest.Account) {
			oldest = &all[i]
		}
	}
	if oldest == nil {
		return store.Address{}, mail.Errorf(mail.NotFound, "nobody is postmaster here")
	}
	d.found, d.at = store.Address{Account: oldest.Account}, time.Now()
	return d.found, nil
}
