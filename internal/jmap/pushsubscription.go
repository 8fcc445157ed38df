package jmap

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"net/netip"
	"net/url"
	"strings"
	"time"

	"lockstep/internal/hourly"
	"lockstep/internal/jmap/webpush"
	"lockstep/internal/mail"
	"lockstep/internal/store"
)

// vapidURN is the capability of pushes that say who sends them (RFC 9749).
const vapidURN = "urn:ietf:params:jmap:webpush-vapid"

// vapidCapability says by which key our pushes are known.
func (s *Server) vapidCapability() any {
	if s.signer == nil {
		return nil
	}
	return map[string]string{"applicationServerKey": s.signer.PublicKey()}
}

var pushSubscriptionProperties = []string{"id", "deviceClientId", "verificationCode", "expires", "types"}

// Bounds on subscriptions.
const (
	maxSubscriptions   = 64 // of an account
	maxSubscriptionAge = 30 * 24 * time.Hour
	verifyWithin       = time.Hour
	maxPushURLBytes    = 2048
	maxClientIDBytes   = 255
)

// subscribed bounds new subscriptions: each sends something somewhere.
var subscribed = hourly.Bound{Cursor: "jmap/subscribed", Most: 60}

// A pushSubscription is where a client wants to be told of changes while it is not
// connected (§7.2). It belongs to the device that made it. It is bookkeeping of the
// account and no object of it: what it was told moves with each push.
type pushSubscription struct {
	Principal store.PrincipalID `json:"principal"`
	Device    mail.DeviceID     `json:"device"`
	Client    string            `json:"client"`
	URL       string            `json:"url"`
	Keys      *webpush.Keys     `json:"keys,omitempty"`
	Code      string            `json:"code"` // that proves that the client reads what we push there
	Asked     bool              `json:"asked,omitempty"`
	Verified  bool              `json:"verified,omitempty"`
	Made      time.Time         `json:"made"`
	Expires   time.Time         `json:"expires"`
	Types     []string          `json:"types"` // nil is all
	Known     string            `json:"known"` // what the client was told

	id string
}

const subscriptionCursor = "jmap/push/"

func (p *pushSubscription) cursor() string { return subscriptionCursor + p.id }

func (p *pushSubscription) save(n store.Notes) error {
	raw, err := json.Marshal(p)
	if err != nil {
		return err
	}
	return n.SetCursor(0, p.cursor(), raw)
}

// isOver reports whether nothing is pushed any more.
func (p *pushSubscription) isOver(now time.Time) bool {
	return !now.Before(p.Expires) || !p.Verified && now.Sub(p.Made) > verifyWithin
}

func (p *pushSubscription) toObject() object {
	o := object{"id": p.id, "deviceClientId": p.Client, "verificationCode": nil, "expires": utcDate(p.Expires), "types": nil}
	if p.Verified {
		o["verificationCode"] = p.Code
	}
	if p.Types != nil {
		o["types"] = p.Types
	}
	return o
}

// subscriptions are those of an account.
func subscriptions(r store.Reader) (all []*pushSubscription, err error) {
	names, err := r.Cursors(0, subscriptionCursor)
	for _, name := range names {
		raw, err := r.Cursor(0, name)
		if err != nil {
			return nil, err
		}
		p := &pushSubscription{id: strings.TrimPrefix(name, subscriptionCursor)}
		if err := json.Unmarshal(raw, p); err != nil {
			return nil, fmt.Errorf("push subscription: %w", err)
		}
		all = append(all, p)
	}
	return all, err
}

// subscriptions are those of the session's device, and how many the account has.
func (c *call) subscriptions(ctx context.Context) (own map[string]*pushSubscription, n int, err error) {
	own = map[string]*pushSubscription{}
	err = c.srv.Store.View(ctx, c.sess.Account(), func(r store.Reader) error {
		all, err := subscriptions(r)
		for _, p := range all {
			if p.isOver(c.srv.now()) {
				continue
			}
			n++
			if p.Device == c.sess.Device().ID {
				own[p.id] = p
			}
		}
		return err
	})
	return own, n, err
}

// subscriptionGetArguments are those of PushSubscription/get (§7.2.1), which is of no
// account.
type subscriptionGetArguments struct {
	IDs        *[]string `json:"ids"`
	Properties *[]string `json:"properties"`
}

// subscriptionGet serves PushSubscription/get. Where it pushes to, and the keys, are
// told to nobody.
func subscriptionGet(ctx context.Context, c *call, a *subscriptionGetArguments) error {
	if a.Properties != nil {
		for _, p := range *a.Properties {
			if p == "url" || p == "keys" {
				return refused("forbidden", p+" is told to nobody")
			}
		}
	}
	wanted, all, err := c.wantedIDs(a.IDs)
	if err != nil {
		return err
	}
	properties, err := wantedProperties(a.Properties, pushSubscriptionProperties, pushSubscriptionProperties)
	if err != nil {
		return err
	}
	own, _, err := c.subscriptions(ctx)
	if err != nil {
		return err
	}
	if all {
		wanted = sortedKeys(own)
	}
	list, notFound := []object{}, []string{}
	for _, id := range wanted {
		if p, ok := own[id]; ok {
			list = append(list, p.toObject().only(properties))
		} else {
			notFound = append(notFound, id)
		}
	}
	return c.answer(object{"list": list, "notFound": notFound})
}

// subscriptionSetArguments are those of PushSubscription/set (§7.2.2).
type subscriptionSetArguments struct {
	Create  map[string]json.RawMessage `json:"create"`
	Update  map[string]patchObject     `json:"update"`
	Destroy []string                   `json:"destroy"`
}

// subscriptionSet serves PushSubscription/set.
func subscriptionSet(ctx context.Context, c *call, a *subscriptionSetArguments) error {
	if err := c.bounded(&setArguments{Create: a.Create, Update: a.Update, Destroy: a.Destroy}); err != nil {
		return err
	}
	own, n, err := c.subscriptions(ctx)
	if err != nil {
		return err
	}
	out := &setAnswer{}
	for _, creation := range sortedKeys(a.Create) {
		p, err := c.subscribe(ctx, a.Create[creation], n)
		if err != nil {
			out.notCreated(creation, c.srv.setErrorOf(ctx, c.name, err))
			continue
		}
		n++
		out.did(c, creation, p.id, object{"expires": utcDate(p.Expires)})
		own[p.id] = p
	}
	for _, said := range sortedKeys(a.Update) {
		id, _ := c.idOf(said)
		more, err := c.resubscribe(ctx, own[id], a.Update[said])
		if err != nil {
			out.notUpdated(said, c.srv.setErrorOf(ctx, c.name, err))
			continue
		}
		out.updated(said, more)
	}
	for _, said := range a.Destroy {
		id, _ := c.idOf(said)
		if own[id] == nil {
			out.notDestroyed(said, errNotFound)
			continue
		}
		if err := c.srv.unsubscribe(ctx, c.sess.Account(), own[id]); err != nil {
			return err
		}
		delete(own, id)
		out.Destroyed = append(out.Destroyed, said)
	}
	c.srv.subscribedTo(c.sess.Account())
	o := plainOf(out)
	delete(o, "accountId") // it is of none
	delete(o, "newState")
	return c.answer(o)
}

func (s *Server) unsubscribe(ctx context.Context, account mail.AccountID, p *pushSubscription) error {
	return s.Store.Note(ctx, account, func(n store.Notes) error { return n.SetCursor(0, p.cursor(), nil) })
}

// subscribe makes a subscription, to which nothing but a question is pushed until the
// client has answered that.
func (c *call) subscribe(ctx context.Context, raw json.RawMessage, n int) (*pushSubscription, error) {
	var in struct {
		DeviceClientID   string        `json:"deviceClientId"`
		URL              string        `json:"url"`
		Keys             *webpush.Keys `json:"keys"`
		VerificationCode *string       `json:"verificationCode"`
		Expires          *time.Time    `json:"expires"`
		Types            []string      `json:"types"`
	}
	if wrong := decodeObject(raw, &in); wrong != nil {
		return nil, wrong
	}
	now := c.srv.now()
	switch {
	case in.DeviceClientID == "" || len(in.DeviceClientID) > maxClientIDBytes:
		return nil, invalidProperties("it says which client this is, in a few bytes", "deviceClientId")
	case in.VerificationCode != nil:
		return nil, invalidProperties("it is pushed to the client first", "verificationCode")
	case in.Keys != nil && in.Keys.Check() != nil:
		return nil, invalidProperties("these are no keys of Web Push", "keys")
	case in.Expires != nil && !in.Expires.After(now):
		return nil, invalidProperties("it is over already", "expires")
	case n >= maxSubscriptions:
		return nil, &setError{Type: "overQuota", Description: fmt.Sprintf("an account has at most %d subscriptions", maxSubscriptions)}
	}
	if wrong := c.srv.checkPushURL(in.URL); wrong != nil {
		return nil, wrong
	}
	if may, err := hourly.May(ctx, c.srv.Store, c.sess.Account(), subscribed, 1, c.srv.now()); err != nil {
		return nil, err
	} else if !may {
		return nil, &setError{Type: "rateLimit", Description: "that are many subscriptions for an hour"}
	}
	f, err := c.srv.follow(ctx, c.sess.Principal, nil, "")
	if err != nil {
		return nil, err
	}
	p := &pushSubscription{
		Principal: c.sess.Principal.ID, Device: c.sess.Device().ID, Client: in.DeviceClientID, URL: in.URL, Keys: in.Keys, Code: rand.Text(), Made: now,
		Types: in.Types, Known: f.known.String(), id: "P" + rand.Text(),
	}
	p.expire(in.Expires, now)
	return p, c.srv.Store.Note(ctx, c.sess.Account(), p.save)
}

// expire sets when it is over: as the client wants, but no later than we do.
func (p *pushSubscription) expire(at *time.Time, now time.Time) {
	p.Expires = now.Add(maxSubscriptionAge)
	if at != nil && at.Before(p.Expires) {
		p.Expires = *at
	}
}

// resubscribe changes a subscription; more is what the client did not say so.
func (c *call) resubscribe(ctx context.Context, p *pushSubscription, patch patchObject) (more object, err error) {
	if p == nil {
		return nil, errNotFound
	}
	is := *p
	for name, raw := range patch {
		ok := true
		switch name {
		case "verificationCode":
			var code string
			if ok = json.Unmarshal(raw, &code) == nil && code == p.Code; ok {
				is.Verified = true
			}
		case "expires":
			var at *time.Time
			if ok = json.Unmarshal(raw, &at) == nil && (at == nil || at.After(c.srv.now())); ok {
				if is.expire(at, c.srv.now()); at == nil || !is.Expires.Equal(*at) {
					more = object{"expires": utcDate(is.Expires)}
				}
			}
		case "types":
			is.Types = nil
			ok = json.Unmarshal(raw, &is.Types) == nil
		default:
			return nil, invalidProperties("it can't be changed", name)
		}
		if !ok {
			return nil, invalidProperties("it can't be that", name)
		}
	}
	if err := c.srv.Store.Note(ctx, c.sess.Account(), is.save); err != nil {
		return nil, err
	}
	*p = is
	return more, nil
}

// checkPushURL refuses what nobody's push service is at: we go where it leads.
func (s *Server) checkPushURL(raw string) *setError {
	u, err := url.Parse(raw)
	if err != nil || len(raw) > maxPushURLBytes || u.Scheme != "https" || u.Hostname() == "" || u.User != nil {
		return invalidProperties("it is an https URL", "url")
	}
	if a, err := netip.ParseAddr(u.Hostname()); err == nil && !s.mayPush(a) {
		return invalidProperties("it is no address of the public network", "url")
	}
	return nil
}

// mayPush says which addresses are pushed to.
func (s *Server) mayPush(a netip.Addr) bool {
	if s.MayPush != nil {
		return s.MayPush(a)
	}
	return isPublic(a)
}

// notPublic are networks that are nobody's on the public one (RFC 6890), or that lead
// to such: NAT64 and 6to4 wrap any address.
var notPublic = func() (all []netip.Prefix) {
	for _, s := range []string{
		"0.0.0.0/8", "100.64.0.0/10", "192.0.0.0/24", "192.0.2.0/24", "192.88.99.0/24", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24", "240.0.0.0/4",
		"64:ff9b::/96", "64:ff9b:1::/48", "100::/64", "2001::/23", "2001:db8::/32", "2002::/16", "fec0::/10", "::/96",
	} {
		all = append(all, netip.MustParsePrefix(s))
	}
	return all
}()

// isPublic reports whether an address is one of the public network.
func isPublic(a netip.Addr) bool {
	a = a.Unmap().WithZone("")
	if !a.IsGlobalUnicast() || a.IsPrivate() {
		return false
	}
	for _, p := range notPublic {
		if p.Contains(a) {
			return false
		}
	}
	return true
}
