package jmap

import (
	"encoding/json"
	"strings"
	"time"

	"lockstep/internal/mail"
	"lockstep/internal/message"
	"lockstep/internal/message/compose"
)

// write makes a header field of a value in the form (RFC 8621 §4.1.2). What it can't
// be made of is Invalid.
func (f headerForm) write(name string, raw json.RawMessage) ([]byte, error) {
	switch f {
	case asText:
		text, err := valueAs[string](raw, "a text")
		if err != nil {
			return nil, err
		}
		return compose.TextField(name, text)
	case asAddresses:
		list, err := valueAs[[]emailAddress](raw, "a list of objects with name and email")
		if err != nil {
			return nil, err
		}
		return compose.GroupField(name, []compose.Group{{Addresses: addressesFrom(list)}})
	case asGroupedAddresses:
		groups, err := valueAs[[]addressGroup](raw, "a list of objects with name and addresses")
		if err != nil {
			return nil, err
		}
		return compose.GroupField(name, groupsFrom(groups))
	case asMessageIDs:
		ids, err := valueAs[[]string](raw, "a list of message ids")
		if err != nil {
			return nil, err
		}
		return compose.IDField(name, ids)
	case asDate:
		text, err := valueAs[string](raw, "a date")
		if err != nil {
			return nil, err
		}
		at, err := time.Parse(time.RFC3339, text)
		if err != nil {
			return nil, mail.Errorf(mail.Invalid, "a date is said as 2026-11-22T08:00:00+01:00")
		}
		return compose.DateField(name, at)
	case asURLs:
		urls, err := valueAs[[]string](raw, "a list of URLs")
		if err != nil {
			return nil, err
		}
		return compose.URLField(name, urls)
	}
	text, err := valueAs[string](raw, "a text")
	if err != nil {
		return nil, err
	}
	return compose.RawField(name, text)
}

// valueAs reads a value whose names are all known.
func valueAs[T any](raw json.RawMessage, what string) (v T, err error) {
	if isNull(raw) || decodeStrict(raw, &v) != nil {
		return v, mail.Errorf(mail.Invalid, "it is %s", what)
	}
	return v, nil
}

// addressesFrom takes addresses apart. What is none yet is all local part.
func addressesFrom(list []emailAddress) (out []message.Address) {
	for _, e := range list {
		a := message.Address{Mailbox: e.Email, Host: message.MissingHost}
		if at := strings.LastIndexByte(e.Email, '@'); at > 0 {
			if local, ok := localPart(e.Email[:at]); ok {
				a.Mailbox, a.Host = local, e.Email[at+1:]
			}
		}
		if e.Name != nil {
			a.Name = *e.Name
		}
		out = append(out, a)
	}
	return out
}

// localPart reads what stands before the @: atoms with dots, or a text in quotes (RFC
// 5322 §3.4.1).
func localPart(s string) (string, bool) {
	if s[0] != '"' {
		return s, !strings.ContainsAny(s, " \t,;:<>()[]@\"\\")
	}
	var b strings.Builder
	escaped := false
	for i, c := range s[1:] {
		if c == '"' && !escaped {
			return b.String(), i == len(s)-2
		}
		if escaped = c == '\\' && !escaped; !escaped {
			b.WriteRune(c)
		}
	}
	return "", false
}

func groupsFrom(groups []addressGroup) (out []compose.Group) {
	for _, g := range groups {
		c := compose.Group{Addresses: addressesFrom(g.Addresses)}
		if g.Name != nil {
			c.Name, c.IsNamed = *g.Name, true
		}
		out = append(out, c)
	}
	return out
}
