package model

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"strings"

	"lockstep/internal/mail"
	"lockstep/internal/store"
)

// keptAccount is a removed one that is kept.
type keptAccount struct{ store.RemovedAccount }

// KeepRemoved hides an account: it stays where it is, and nobody finds it.
func (st *Store) KeepRemoved(_ context.Context, id mail.AccountID) error {
	st.mu.Lock()
	defer st.mu.Unlock()
	d := &st.directory
	p, ok := d.principals[id]
	if !ok {
		return noAccount()
	}
	d.kept[id] = keptAccount{RemovedAccount: store.RemovedAccount{Principal: p, At: st.Now(), Addresses: d.addressesOf(id)}}
	delete(d.principals, id)
	maps.DeleteFunc(d.addresses, func(_ string, a store.Address) bool { return a.Account == id })
	d.forgetDomains()
	st.ends(id, 0)
	return nil
}

// hides reports whether an account is there and nobody finds it.
func (d *directory) hides(id mail.AccountID) bool { _, kept := d.kept[id]; return kept }

func (d *directory) addressesOf(id mail.AccountID) (all []store.Address) {
	for _, a := range d.addresses {
		if a.Account == id {
			all = append(all, a)
		}
	}
	slices.SortFunc(all, func(a, b store.Address) int {
		if a.Alias != b.Alias {
			return map[bool]int{false: -1, true: 1}[a.Alias]
		}
		return cmp.Or(strings.Compare(a.Domain, b.Domain), strings.Compare(a.Local, b.Local))
	})
	return all
}

// KeptRemoved returns what is hidden so.
func (st *Store) KeptRemoved(context.Context) ([]store.RemovedAccount, error) {
	st.mu.Lock()
	defer st.mu.Unlock()
	var all []store.RemovedAccount
	for _, k := range st.directory.kept {
		all = append(all, k.RemovedAccount)
	}
	slices.SortFunc(all, func(a, b store.RemovedAccount) int {
		return cmp.Or(b.At.Compare(a.At), cmp.Compare(b.Account, a.Account))
	})
	return all, nil
}

// Reinstate shows an account again.
func (st *Store) Reinstate(_ context.Context, id mail.AccountID, login string) (store.Principal, []store.Address, error) {
	login = strings.ToLower(login)
	st.mu.Lock()
	defer st.mu.Unlock()
	d := &st.directory
	was, ok := d.kept[id]
	if !ok {
		return store.Principal{}, nil, mail.Errorf(mail.NotFound, "no such removed account")
	}
	p, addresses := was.Principal, was.Addresses
	var taken []store.Address
	if login != "" && login != p.Login {
		at := strings.LastIndexByte(login, '@')
		if at <= 0 || at == len(login)-1 {
			return p, nil, mail.Errorf(mail.Invalid, "a login is a full address")
		}
		if _, other := d.addresses[login]; other {
			return p, nil, mail.Errorf(mail.Exists, "somebody else has that login now")
		}
		addresses = append(slices.Clone(addresses), store.Address{Local: login[:at], Domain: login[at+1:], Account: id})
		p.Login = login
	}
	if d.byLogin(p.Login) != nil {
		return p, nil, mail.Errorf(mail.Exists, "somebody else has that login now")
	}
	for _, a := range addresses {
		key := addressKey(a.Local, a.Domain)
		if now, other := d.addresses[key]; other {
			if now.Account != id {
				taken = append(taken, now)
			}
			continue
		}
		d.addresses[key], d.domains[a.Domain] = a, true
	}
	d.principals[id] = p
	delete(d.kept, id)
	s := st.accounts[id].current.Load().clone()
	s.account.Name = p.Login
	st.accounts[id].current.Store(s)
	return p, taken, nil
}
