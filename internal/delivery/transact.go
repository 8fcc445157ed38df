package delivery

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"lockstep/internal/mail"
)

// transact gives one message to one server for all of a group. What it says of a
// single recipient is noted there; the error is about the others. taken says that
// the server took a recipient, so that no other server is to be asked.
func (q *Sender) transact(ctx context.Context, c *client, group []*parcel) (taken bool, err error) {
	needs8 := needsUTF8(group)
	if needs8 && !c.offers("SMTPUTF8") {
		return false, &routeError{"5.6.7", true, fmt.Errorf("%s does not know addresses beyond ASCII", c.host)}
	}
	if err := c.cmd(250, "MAIL FROM:<%s>%s", group[0].ReversePath, c.mailParams(group[0], needs8)); err != nil {
		return false, err
	}
	var with []*parcel
	for _, p := range group {
		err := c.cmd(25, "RCPT TO:<%s>%s", p.address(needs8), c.rcptParams(p))
		if err == nil {
			with = append(with, p)
			continue
		}
		if e := (*smtpError)(nil); !errors.As(err, &e) {
			return false, err
		}
		p.result = resultOf(err)
	}
	if len(with) == 0 {
		return false, nil
	}
	res := result{status: "2.0.0", host: c.host, relayedDSN: c.offers("DSN")}
	if err := q.transfer(ctx, c, group[0]); err != nil {
		res = resultOf(err)
	}
	for _, p := range with {
		p.result = res
	}
	return true, nil
}

func (q *Sender) transfer(ctx context.Context, c *client, p *parcel) error {
	body, err := q.Service.Blobs.Open(ctx, p.Blob)
	if err != nil {
		return &routeError{"4.3.0", false, err}
	}
	defer body.Close()
	if err := c.cmd(354, "DATA"); err != nil {
		return err
	}
	return c.data(body)
}

// needsUTF8 reports whether the envelope can't be said in ASCII (RFC 6531).
// Domains can, as A-labels; local parts can't.
func needsUTF8(group []*parcel) bool {
	if group[0].opts.UTF8 || !mail.IsASCII(group[0].ReversePath) {
		return true
	}
	for _, p := range group {
		if local, _, err := SplitAddress(p.Recipient); err == nil && !mail.IsASCII(local) {
			return true
		}
	}
	return false
}

// address is the recipient as it is said.
func (p *parcel) address(utf8 bool) string {
	if utf8 || mail.IsASCII(p.Recipient) {
		return p.Recipient
	}
	local, domain, err := SplitAddress(p.Recipient)
	if err != nil {
		return p.Recipient
	}
	return local + "@" + domain
}

func (c *client) mailParams(p *parcel, utf8 bool) string {
	var b strings.Builder
	if c.offers("SIZE") {
		fmt.Fprintf(&b, " SIZE=%d", p.Blob.Size)
	}
	if p.opts.EightBit && c.offers("8BITMIME") {
		b.WriteString(" BODY=8BITMIME")
	}
	if utf8 {
		b.WriteString(" SMTPUTF8")
	}
	if !c.offers("DSN") {
		return b.String()
	}
	if p.opts.Return != "" {
		b.WriteString(" RET=" + string(p.opts.Return))
	}
	if p.opts.EnvID != "" {
		b.WriteString(" ENVID=" + encodeXtext(p.opts.EnvID))
	}
	return b.String()
}

var notifyNames = []struct {
	n    Notify
	name string
}{{NotifyNever, "NEVER"}, {NotifySuccess, "SUCCESS"}, {NotifyFailure, "FAILURE"}, {NotifyDelay, "DELAY"}}

// rcptParams hands on what the sender asked for (RFC 3461 §5.2.1).
func (c *client) rcptParams(p *parcel) string {
	if !c.offers("DSN") {
		return ""
	}
	var words []string
	for _, n := range notifyNames {
		if p.opts.Notify&n.n != 0 {
			words = append(words, n.name)
		}
	}
	var b strings.Builder
	if len(words) > 0 {
		b.WriteString(" NOTIFY=" + strings.Join(words, ","))
	}
	if kind, address, ok := strings.Cut(p.opts.Original, ";"); ok && mail.IsASCII(address) {
		b.WriteString(" ORCPT=" + kind + ";" + encodeXtext(address))
	}
	return b.String()
}

// encodeXtext writes xtext (RFC 3461 §4).
func encodeXtext(s string) string {
	var b strings.Builder
	for i := range len(s) {
		if c := s[i]; c < '!' || c > '~' || c == '+' || c == '=' {
			fmt.Fprintf(&b, "+%02X", c)
		} else {
			b.WriteByte(c)
		}
	}
	return b.String()
}
