package jmap

import "slices"

func init() { // until all of its methods are served, it is announced to tests alone
	if !slices.Contains(capabilityNames(), mailURN) {
		capabilities = append(capabilities, capability{mailURN, nothing, nil})
	}
}
