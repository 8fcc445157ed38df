package delivery

import (
	"context"
	"net/netip"
	"strings"

	"golang.org/x/net/idna"

	"lockstep/internal/mail"
	"lockstep/internal/store"
)

// subaddressSeparator divides user and detail of a local part (RFC 5233).
const subaddressSeparator = "+"

// Bounds of RFC 5321 §4.5.3.1 on addresses.
const (
	maxLocalPartBytes = 64
	maxDomainBytes    = 255
)

// SplitAddress divides an address as an envelope holds it, without angle
// brackets, at its last @. The domain comes back in lower case and A-labels
// (RFC 5890). Invalid when it can't be one.
func SplitAddress(address string) (local, domain string, err error) {
	at := strings.LastIndexByte(address, '@')
	if at <= 0 || at == len(address)-1 {
		return "", "", mail.Errorf(mail.Invalid, "not an address: %q", address)
	}
	local = address[:at]
	if len(local) > maxLocalPartBytes || strings.ContainsAny(local, "\x00\r\n") {
		return "", "", mail.Errorf(mail.Invalid, "a local part has at most %d bytes and no line ends", maxLocalPartBytes)
	}
	domain, err = foldDomain(address[at+1:])
	return local, domain, err
}

// foldDomain brings a domain, or an address literal, into the form it is compared
// in.
func foldDomain(domain string) (string, error) {
	if literal, ok := strings.CutPrefix(domain, "["); ok {
		ip, err := netip.ParseAddr(strings.TrimPrefix(strings.TrimSuffix(literal, "]"), "IPv6:"))
		if err != nil || !strings.HasSuffix(domain, "]") {
			return "", mail.Errorf(mail.Invalid, "not an address literal: %q", domain)
		}
		return "[" + ip.String() + "]", nil
	}
	ascii, err := idna.Lookup.ToASCII(strings.TrimSuffix(domain, "."))
	if err != nil || ascii == "" || len(ascii) > maxDomainBytes {
		return "", &mail.Error{Kind: mail.Invalid, Detail: "not a domain: " + domain, Err: err}
	}
	return strings.ToLower(ascii), nil
}

// isPostmaster reports whether it is the one address that may come without a
// domain (RFC 5321 §4.5.1).
func isPostmaster(address string) bool { return strings.EqualFold(address, "postmaster") }

// isLocal reports whether mail for the domain is ours.
func (s *Service) isLocal(ctx context.Context, domain string) (bool, error) {
	if strings.HasPrefix(domain, "[") {
		return false, nil
	}
	return s.Directory.IsLocal(ctx, domain)
}

// lookup finds whose mail it is: the exact address; else without its detail; else
// the domain's catch-all.
func (s *Service) lookup(ctx context.Context, local, domain string) (store.Address, error) {
	local = strings.ToLower(local)
	a, err := s.Directory.Lookup(ctx, local, domain)
	if err == nil && a.Local != "" {
		return a, nil
	}
	if err != nil && mail.KindOf(err) != mail.NotFound {
		return a, err
	}
	if user, _, ok := strings.Cut(local, subaddressSeparator); ok && user != "" {
		b, errUser := s.Directory.Lookup(ctx, user, domain)
		if errUser != nil && mail.KindOf(errUser) != mail.NotFound || errUser == nil && b.Local != "" {
			return b, errUser
		}
	}
	return a, err
}

// MaySendAs reports whether the account may call itself address: whatever reaches
// it. What somebody else in a domain that it catches has is not its own.
func (s *Service) MaySendAs(ctx context.Context, account mail.AccountID, address string) (bool, error) {
	local, domain, err := SplitAddress(address)
	if err != nil {
		return false, nil
	}
	a, err := s.lookup(ctx, local, domain)
	if err != nil && mail.KindOf(err) == mail.NotFound {
		return false, nil
	}
	return err == nil && a.Account == account, err
}
