package jmap

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"sync"
	"syscall"
	"time"

	"lockstep/internal/delivery"
	"lockstep/internal/jmap/webpush"
	"lockstep/internal/mail"
	"lockstep/internal/store"
)

// Bounds on pushes to elsewhere.
const (
	maxPushes       = 16               // at the same time
	pushTimeout     = 30 * time.Second // one
	pushAnswerBytes = 4 << 10          // of an answer, that are read
	pushTTL         = 24 * time.Hour   // that a push service keeps one (RFC 8030 §5.2)
	pushPause       = time.Second      // between two to one client: what comes in it goes together
	maxPushPause    = time.Hour        // after many failures, and for who asks for more
	maxUnpushed     = 100_000          // accounts remembered to have no subscription
)

// A pusher tells clients elsewhere of changes. What is due is an account; which of its
// subscriptions have something to hear is looked up then.
type pusher struct {
	mu      sync.Mutex
	due     map[mail.AccountID]bool
	all     bool                    // any account may be due
	running bool                    // else another node pushes, and begins with all when it no longer does
	none    map[mail.AccountID]bool // that have no subscription
	targets map[string]*target      // by subscription; those that were pushed to
	wake    chan struct{}
}

// target is how pushing to one subscription goes.
type target struct {
	busy  bool
	again bool // something came meanwhile
	fails int
	next  time.Time
}

func (p *pusher) init() {
	p.due, p.none, p.targets, p.wake = map[mail.AccountID]bool{}, map[mail.AccountID]bool{}, map[string]*target{}, make(chan struct{}, 1)
}

// hear takes note of news. It must not block.
func (p *pusher) hear(id mail.AccountID, n mail.News) {
	if id == 0 {
		p.mark(id)
		return
	}
	for i := range pushTypes {
		if !n.Types.Has(pushTypes[i].news) {
			continue
		}
		p.mu.Lock()
		none := p.none[id]
		p.mu.Unlock()
		if !none {
			p.mark(id)
		}
		return
	}
}

// mark has an account looked at; 0 is all.
func (p *pusher) mark(id mail.AccountID) {
	p.mu.Lock()
	if !p.running {
		p.mu.Unlock()
		return
	}
	if id == 0 {
		p.all = true
	} else {
		p.due[id] = true
		delete(p.none, id)
	}
	p.mu.Unlock()
	select {
	case p.wake <- struct{}{}:
	default:
	}
}

// begin forgets what was when this node pushed before.
func (p *pusher) begin() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.running, p.all = true, false
	clear(p.due)
	clear(p.none)
	clear(p.targets)
}

func (p *pusher) end() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.running = false
}

func (p *pusher) take() (ids []mail.AccountID, all bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for id := range p.due {
		ids = append(ids, id)
	}
	clear(p.due)
	all, p.all = p.all, false
	return ids, all
}

// Push tells clients that have a PushSubscription of changes (§7.2), until ctx ends.
// It begins with what they missed while nobody did. Of several nodes one does it, which
// may be another each time.
func (s *Server) Push(ctx context.Context) error {
	s.init()
	p := &s.pusher
	p.begin()
	defer p.end()
	if s.Hub != nil {
		defer s.Hub.WatchAll(p.hear)()
	}
	var pushing sync.WaitGroup
	defer pushing.Wait()
	client, slots := s.pushClient(), make(chan struct{}, maxPushes)
	if err := s.markAll(ctx); err != nil || ctx.Err() != nil {
		return err
	}
	for {
		ids, all := p.take()
		if all {
			if err := s.markAll(ctx); err != nil {
				s.logFault(ctx, "PushSubscription", mail.KindOf(err), err)
				time.AfterFunc(time.Minute, func() { p.mark(0) })
			}
		}
		for _, id := range ids {
			for _, sub := range s.toPush(ctx, id) {
				select {
				case slots <- struct{}{}:
				case <-ctx.Done():
					return nil
				}
				pushing.Go(func() {
					defer func() { <-slots }()
					s.pushTo(ctx, client, id, sub)
				})
			}
		}
		select {
		case <-p.wake:
		case <-ctx.Done():
			return nil
		}
	}
}

// LookToPush has whoever pushes look at an account whose subscriptions changed at another
// node. It must not block.
func (s *Server) LookToPush(id mail.AccountID) {
	s.init()
	s.pusher.mark(id)
}

// subscribedTo tells whoever pushes that subscriptions changed.
func (s *Server) subscribedTo(id mail.AccountID) {
	s.pusher.mark(id)
	if s.TellPusher != nil {
		s.TellPusher(id)
	}
}

// markAll has every account looked at. Nil also when ctx ended.
func (s *Server) markAll(ctx context.Context) error {
	accounts, err := s.Directory.Accounts(ctx)
	if ctx.Err() != nil {
		return nil
	}
	for _, a := range accounts {
		s.pusher.mark(a.Account)
	}
	return err
}

// toPush are the subscriptions of an account that may have something to hear now. Those
// that are over are forgotten.
func (s *Server) toPush(ctx context.Context, id mail.AccountID) (due []*pushSubscription) {
	var all, over []*pushSubscription
	err := s.Store.View(ctx, id, func(r store.Reader) (err error) {
		all, over = nil, nil
		subs, err := subscriptions(r)
		if err != nil {
			return err
		}
		for _, sub := range subs {
			d, err := r.Device(sub.Device)
			if err != nil && mail.KindOf(err) != mail.NotFound {
				return err
			}
			if err != nil || d.Access != mail.Allowed || d.Wipe.Open() || sub.isOver(s.now()) {
				over = append(over, sub)
				continue
			}
			all = append(all, sub)
		}
		return nil
	})
	if err != nil {
		if mail.KindOf(err) != mail.NotFound && ctx.Err() == nil {
			s.logFault(ctx, "PushSubscription", mail.KindOf(err), err)
		}
		return nil
	}
	for _, sub := range over {
		s.forgetPush(ctx, id, sub)
	}
	p := &s.pusher
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(all) == 0 && !p.due[id] {
		if len(p.none) >= maxUnpushed {
			clear(p.none)
		}
		p.none[id] = true
	}
	for _, sub := range all {
		if t := p.targets[sub.id]; t == nil {
			p.targets[sub.id] = &target{busy: true}
		} else if t.busy {
			t.again = true
			continue
		} else if s.now().Before(t.next) {
			continue // somebody marks the account then
		} else {
			t.busy = true
		}
		due = append(due, sub)
	}
	return due
}

func (s *Server) forgetPush(ctx context.Context, id mail.AccountID, sub *pushSubscription) {
	if err := s.unsubscribe(ctx, id, sub); err != nil {
		s.logFault(ctx, "PushSubscription", mail.KindOf(err), err)
	}
	s.pusher.mu.Lock()
	defer s.pusher.mu.Unlock()
	delete(s.pusher.targets, sub.id)
}

// pushTo tells one client what it does not know yet, and sees to it that it is tried
// again if that fails.
func (s *Server) pushTo(ctx context.Context, client *http.Client, id mail.AccountID, sub *pushSubscription) {
	later, sent, err := s.pushOnce(ctx, client, id, sub)
	if errors.Is(err, errUnsubscribed) {
		s.forgetPush(ctx, id, sub)
		s.Log.InfoContext(ctx, "push subscription is gone", "proto", "jmap", "account", id)
		return
	}
	p := &s.pusher
	p.mu.Lock()
	defer p.mu.Unlock()
	t := p.targets[sub.id]
	if t == nil {
		return // it was forgotten
	}
	pause, again := time.Duration(0), t.again
	switch {
	case err != nil:
		s.Log.InfoContext(ctx, "push failed", "proto", "jmap", "account", id, "attempts", t.fails+1, "err", err)
		pause, again = min(max(time.Minute<<min(t.fails, 10), later), maxPushPause), true
		t.fails++
	case sent:
		t.fails, pause = 0, pushPause
	}
	t.busy, t.again, t.next = false, false, s.now().Add(pause)
	if sent && err == nil {
		again = true // what came while it was sent; mostly nothing
	}
	if again && ctx.Err() == nil {
		time.AfterFunc(pause, func() { p.mark(id) })
	}
}

// pushOnce sends what there is to send, and notes that it was. Later is when the push
// service wants to hear of us again.
func (s *Server) pushOnce(ctx context.Context, client *http.Client, id mail.AccountID, sub *pushSubscription) (later time.Duration, sent bool, err error) {
	var message any
	known, _ := mail.ParseToken(sub.Known)
	f := follower{who: sub.Principal, account: id, types: pushTypesOf(sub.Types), known: known}
	if sub.Verified {
		states, err := f.look(ctx, s)
		if err != nil || states == nil {
			return 0, false, err
		}
		message = f.stateChange(states)
	} else if sub.Asked {
		return 0, false, nil
	} else {
		message = map[string]string{"@type": "PushVerification", "pushSubscriptionId": sub.id, "verificationCode": sub.Code}
	}
	if later, err = s.post(ctx, client, sub, message); err != nil {
		return later, false, err
	}
	return 0, true, s.pushed(context.WithoutCancel(ctx), id, sub, f.known)
}

// pushed notes what a client was told, if it is subscribed still. The client may have
// changed its subscription meanwhile.
func (s *Server) pushed(ctx context.Context, id mail.AccountID, sub *pushSubscription, known mail.Token) error {
	by := mail.NewOrigin("push", 0, mail.JMAP, mail.ByDelivery)
	_, err := s.Store.Update(ctx, id, by, func(tx store.Tx) error { // a Note can't read
		raw, err := tx.Cursor(0, sub.cursor())
		if err != nil {
			if mail.KindOf(err) == mail.NotFound {
				return nil
			}
			return err
		}
		is := &pushSubscription{id: sub.id}
		if err := json.Unmarshal(raw, is); err != nil {
			return err
		}
		if sub.Verified {
			is.Known = known.String()
		} else {
			is.Asked = true
		}
		return is.save(tx)
	})
	return err
}

var errUnsubscribed = errors.New("the push service no longer knows the subscription")

// post pushes a message (RFC 8030 §5).
func (s *Server) post(ctx context.Context, client *http.Client, sub *pushSubscription, message any) (later time.Duration, err error) {
	body, err := json.Marshal(message)
	if err != nil {
		return 0, err
	}
	if sub.Keys != nil {
		if body, err = webpush.Encrypt(body, *sub.Keys); err != nil {
			return 0, err
		}
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, sub.URL, bytes.NewReader(body))
	if err != nil {
		return 0, err
	}
	r.Header.Set("Content-Type", "application/json")
	if sub.Keys != nil {
		r.Header.Set("Content-Type", "application/octet-stream")
		r.Header.Set("Content-Encoding", "aes128gcm")
	}
	r.Header.Set("TTL", strconv.Itoa(int(pushTTL/time.Second)))
	if s.signer != nil {
		field, err := s.signer.Authorization(r.URL, s.now())
		if err != nil {
			return 0, err
		}
		r.Header.Set("Authorization", field)
	}
	a, err := client.Do(r)
	if e, ok := errors.AsType[*url.Error](err); ok {
		err = e.Err // where we push to is told to nobody, and errors are logged
	}
	if err != nil {
		return 0, err
	}
	defer a.Body.Close()
	_, _ = io.CopyN(io.Discard, a.Body, pushAnswerBytes) // so that the connection can be used again
	switch {
	case a.StatusCode >= 200 && a.StatusCode < 300:
		return 0, nil
	case a.StatusCode == http.StatusNotFound || a.StatusCode == http.StatusGone:
		return 0, errUnsubscribed
	}
	if seconds, err := strconv.Atoi(a.Header.Get("Retry-After")); err == nil && seconds > 0 {
		later = time.Duration(min(seconds, int(maxPushPause/time.Second))) * time.Second
	}
	return later, fmt.Errorf("the push service says %d", a.StatusCode)
}

// pushClient connects to public addresses alone, follows nobody elsewhere, and does not
// wait for ever.
func (s *Server) pushClient() *http.Client {
	dialer := &net.Dialer{Timeout: pushTimeout, Control: func(_, address string, _ syscall.RawConn) error {
		at, err := netip.ParseAddrPort(address)
		if err != nil {
			return err
		}
		if !s.mayPush(at.Addr()) || s.MayPush == nil && !delivery.Elsewhere(at.Addr()) {
			return fmt.Errorf("%s is no address of the public network", at.Addr())
		}
		return nil
	}}
	config := s.PushTLS.Clone()
	if config == nil {
		config = &tls.Config{MinVersion: tls.VersionTLS12}
	}
	return &http.Client{
		Timeout:       pushTimeout,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Transport: &http.Transport{
			DialContext: dialer.DialContext, TLSClientConfig: config, ForceAttemptHTTP2: true, TLSHandshakeTimeout: pushTimeout, ResponseHeaderTimeout: pushTimeout,
			MaxResponseHeaderBytes: 16 << 10, MaxIdleConns: maxPushes, MaxConnsPerHost: maxPushes, IdleConnTimeout: time.Minute,
		},
	}
}
