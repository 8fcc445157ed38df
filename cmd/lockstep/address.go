package main

import (
	"context"
	"fmt"

	"lockstep/internal/admin"
)

type addressCommand struct {
	List   addressList   `cmd:"" help:"List the addresses of an account."`
	Add    addressAdd    `cmd:"" help:"Give an account one more address."`
	Remove addressRemove `cmd:"" help:"Take an address away."`
}

type addressList struct {
	Login string `arg:"" help:"The account."`
}

func (a *addressList) Run(ctx context.Context, g *globals) error {
	return g.with(ctx, func(c *admin.Client) error {
		return admin.AddressList.Each(ctx, c, admin.OfAccount{Login: a.Login}, func(row admin.Address) error {
			_, err := fmt.Println(row.Address)
			return err
		})
	})
}

type addressAdd struct {
	Login   string `arg:"" help:"The account."`
	Address string `arg:"" help:"The address, or @domain for everything in it that nobody else gets."`
}

func (a *addressAdd) Run(ctx context.Context, g *globals) error {
	return g.with(ctx, func(c *admin.Client) error {
		err := admin.AddressAdd.Do(ctx, c, admin.Address{Login: a.Login, Address: a.Address})
		return said(err, "Mail to %s goes to %s now.", a.Address, a.Login)
	})
}

type addressRemove struct {
	Address string `arg:"" help:"The address, or @domain."`
}

func (a *addressRemove) Run(ctx context.Context, g *globals) error {
	return g.with(ctx, func(c *admin.Client) error {
		return said(admin.AddressRemove.Do(ctx, c, admin.Address{Address: a.Address}), "Mail to %s is refused now.", a.Address)
	})
}
