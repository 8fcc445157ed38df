package admin

import (
	"context"
	netmail "net/mail"
	"strings"

	"lockstep/internal/delivery"
	"lockstep/internal/mail"
	"lockstep/internal/store"
)

// Address is one address an account gets mail for; "@domain" is the domain's
// catch-all.
type Address struct {
	Login   string
	Address string
	Alias   bool
}

// The verbs of addresses.
var (
	AddressList   = Verb[OfAccount, Address]{"address/list", (*Ops).addressList}
	AddressAdd    = Verb[Address, Nothing]{"address/add", (*Ops).addressAdd}
	AddressRemove = Verb[Address, Nothing]{"address/remove", (*Ops).addressRemove}
)

func (o *Ops) addressList(ctx context.Context, q OfAccount, emit func(Address) error) error {
	p, err := o.principal(ctx, q.Login)
	if err != nil {
		return err
	}
	list, err := o.Directory.Addresses(ctx, p.Account)
	if err != nil {
		return err
	}
	for _, a := range list {
		if err := emit(Address{p.Login, a.Local + "@" + a.Domain, a.Alias}); err != nil {
			return err
		}
	}
	return nil
}

// splitAddress wants local@domain or @domain. The domain comes back in A-labels.
func splitAddress(address string) (local, domain string, err error) {
	address = strings.ToLower(strings.TrimSpace(address))
	catchAll := strings.HasPrefix(address, "@")
	full := address
	if catchAll {
		full = "any" + address
	}
	a, err := netmail.ParseAddress(full)
	if err == nil && a.Address == full && a.Name == "" {
		local, domain, err = delivery.SplitAddress(full)
	}
	if err != nil || domain == "" {
		return "", "", mail.Errorf(mail.Invalid, "%q is not an address: write info@example.test, or @example.test for all of the domain", address)
	}
	if catchAll {
		local = ""
	}
	return local, domain, nil
}

func (o *Ops) addressAdd(ctx context.Context, q Address, _ func(Nothing) error) error {
	p, err := o.principal(ctx, q.Login)
	if err != nil {
		return err
	}
	local, domain, err := splitAddress(q.Address)
	if err != nil {
		return err
	}
	return o.Directory.AddAddress(ctx, store.Address{Local: local, Domain: domain, Account: p.Account, Alias: true})
}

func (o *Ops) addressRemove(ctx context.Context, q Address, _ func(Nothing) error) error {
	local, domain, err := splitAddress(q.Address)
	if err != nil {
		return err
	}
	return o.Directory.RemoveAddress(ctx, local, domain)
}
