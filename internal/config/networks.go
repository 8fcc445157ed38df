package config

import (
	"fmt"
	"net/netip"
)

// Networks are addresses, and networks of them.
type Networks []string

// UnmarshalTOML reads one or a list of them.
func (n *Networks) UnmarshalTOML(v any) error {
	list, ok := v.([]any)
	if !ok {
		list = []any{v}
	}
	*n = Networks{}
	for _, e := range list {
		s, ok := e.(string)
		if !ok {
			return badNetwork(fmt.Sprint(e))
		}
		if _, err := prefix(s); err != nil {
			return badNetwork(s)
		}
		*n = append(*n, s)
	}
	return nil
}

func badNetwork(s string) error {
	return fmt.Errorf("%q is neither a network nor an address: write \"192.0.2.1\" or \"10.0.0.0/8\"", s)
}

func prefix(s string) (netip.Prefix, error) {
	if a, err := netip.ParseAddr(s); err == nil {
		return netip.PrefixFrom(a.Unmap(), a.Unmap().BitLen()), nil
	}
	p, err := netip.ParsePrefix(s)
	return p.Masked(), err
}

// Prefixes are the networks.
func (n Networks) Prefixes() (all []netip.Prefix) {
	for _, s := range n {
		if p, err := prefix(s); err == nil { // they were checked
			all = append(all, p)
		}
	}
	return all
}
