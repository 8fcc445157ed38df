// Package natsbus carries words between nodes by a NATS server, or a cluster of them.
// It uses subjects below a prefix and nothing else: no JetStream, no requests.
package natsbus

import (
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"

	"lockstep/internal/notify"
)

// Bounds on the connection.
const (
	connectTime = 3 * time.Second  // for one server to answer
	pingEvery   = 10 * time.Second // so that a dead connection is found out
	maxPings    = 2                // unanswered
	writeTime   = 5 * time.Second  // for the server to take what is sent
	inForce     = 5 * time.Second  // for a subscription, before it is looked whether we are connected still
	maxUnheard  = 16 << 10         // words that came and were not heard yet
	gapEvery    = time.Second      // at most, that others are told of a gap
)

// Bus is a notify.Bus.
type Bus struct {
	notify.Ears
	conn   *nats.Conn
	prefix string // with the dot
	log    *slog.Logger
	queue  notify.Queue
	came   chan *nats.Msg
	done   chan struct{}
	closed sync.Once
	gone   sync.WaitGroup

	mu            sync.Mutex
	subscriptions map[string]*subscription // by topic as it is listened to
}

// subscription is shared by all who listen to one topic.
type subscription struct {
	sub   *nats.Subscription
	users int
}

// Open connects to the servers of a URL; name is what the server shows of us. A server
// that does not answer is no error: the bus connects when it can. One that refuses us
// is.
func Open(servers, name string, log *slog.Logger) (*Bus, error) {
	p, err := parse(servers)
	if err != nil {
		return nil, err
	}
	b := &Bus{prefix: p.prefix + ".", log: log, came: make(chan *nats.Msg, maxUnheard), done: make(chan struct{}), subscriptions: map[string]*subscription{}}
	options, err := p.connectAs()
	if err != nil {
		return nil, err
	}
	options = append(options,
		nats.Name("lockstep "+name), nats.NoEcho(), nats.Timeout(connectTime), nats.PingInterval(pingEvery), nats.MaxPingsOutstanding(maxPings), nats.FlusherTimeout(writeTime),
		nats.MaxReconnects(-1), nats.CustomReconnectDelay(notify.Pause), nats.IgnoreAuthErrorAbort(), nats.ReconnectBufSize(-1),
		nats.ConnectHandler(b.connected), nats.ReconnectHandler(b.connectedAgain), nats.DisconnectErrHandler(b.disconnected), nats.ErrorHandler(b.failed),
	)
	if err := b.connect(strings.Join(p.servers, ","), options); err != nil {
		return nil, err
	}
	if _, err := b.subscribe(notify.TopicGap); err != nil {
		b.conn.Close()
		return nil, err
	}
	b.gone.Go(b.listen)
	b.gone.Go(b.send)
	return b, nil
}

func (b *Bus) connect(servers string, options []nats.Option) (err error) {
	if b.conn, err = nats.Connect(servers, options...); err == nil {
		return nil
	}
	if isRefusal(err) {
		return fmt.Errorf("NATS server %s: %w", servers, err)
	}
	b.log.Warn("no NATS server answers; until one does, changes made on other nodes are seen late", "servers", servers, "err", err)
	b.conn, err = nats.Connect(servers, append(options, nats.RetryOnFailedConnect(true))...)
	return err
}

// isRefusal reports whether a server answered, and trying again would not help.
func isRefusal(err error) bool {
	for _, is := range []error{nats.ErrAuthorization, nats.ErrAuthExpired, nats.ErrAuthRevoked, nats.ErrAccountAuthExpired, nats.ErrSecureConnRequired, nats.ErrSecureConnWanted, nats.ErrInvalidConnection} {
		if errors.Is(err, is) {
			return true
		}
	}
	_, unknown := errors.AsType[*tls.CertificateVerificationError](err)
	return unknown
}

// connected is called when the connection is there. What was said elsewhere before is
// lost.
func (b *Bus) connected(c *nats.Conn) {
	b.log.Info("connected to a NATS server", "server", c.ConnectedUrlRedacted())
	if !settle(c) {
		return // it broke again: the next time is told
	}
	b.Connected.Store(true)
	if b.Dropped.Load() > 0 {
		b.queue.Lose()
	}
	b.Gap()
}

// settle returns when the server has done all it was asked for; false if the connection
// broke before.
func settle(c *nats.Conn) bool {
	for c.FlushTimeout(inForce) != nil {
		if !c.IsConnected() {
			return false
		}
	}
	return true
}

// connectedAgain is called when it is there again. What was said here last may be lost
// as well, although it was sent.
func (b *Bus) connectedAgain(c *nats.Conn) {
	b.connected(c)
	b.queue.Lose()
}

func (b *Bus) disconnected(_ *nats.Conn, err error) {
	b.Connected.Store(false)
	select {
	case <-b.done:
	default:
		b.log.Warn("connection to the NATS server broke; until it is there again, changes made on other nodes are seen late", "err", err)
	}
}

// failed is called with what goes wrong while we are connected.
func (b *Bus) failed(_ *nats.Conn, _ *nats.Subscription, err error) {
	switch {
	case errors.Is(err, nats.ErrSlowConsumer):
		b.Dropped.Add(1) // and maybe more: the first of a row is told
		b.Gap()
	case errors.Is(err, nats.ErrPermissionViolation):
		b.log.Error("the NATS server refuses what we say or hear: the user has to be allowed to publish and to subscribe to "+b.prefix+">", "err", err)
	default:
		b.log.Warn("the NATS server says that something is wrong", "err", err)
	}
}

// Send implements notify.Bus.
func (b *Bus) Send(topic string, body []byte) {
	if !b.queue.Put(topic, body) {
		b.Dropped.Add(1)
	}
}

// send hands to the connection what is queued. It does not wait for company: the
// connection writes together what comes together.
func (b *Bus) send() {
	var told time.Time
	for {
		select {
		case <-b.done:
			return
		case <-b.queue.Wait():
		}
		words, lost := b.queue.Take()
		for _, w := range words {
			if !b.Connected.Load() || b.conn.Publish(b.prefix+w.Topic, w.Body) != nil {
				b.Dropped.Add(1)
				lost = true
				continue
			}
			b.Sent.Add(1)
		}
		if !lost || !b.Connected.Load() { // when it is connected again, that is told
			continue
		}
		if wait := time.Until(told.Add(gapEvery)); wait > 0 {
			time.AfterFunc(wait, b.queue.Lose)
			continue
		}
		told = time.Now()
		_ = b.conn.Publish(b.prefix+notify.TopicGap, nil)
	}
}

// listen tells those who listen what came.
func (b *Bus) listen() {
	for {
		select {
		case <-b.done:
			return
		case m := <-b.came:
			b.hear(m)
		}
	}
}

func (b *Bus) hear(m *nats.Msg) {
	topic, ok := strings.CutPrefix(m.Subject, b.prefix)
	if !ok {
		return
	}
	if topic == notify.TopicGap {
		b.Gap()
		return
	}
	name, _ := strings.CutPrefix(m.Sub.Subject, b.prefix)
	if b.HearAs(name, topic, m.Data) {
		b.Received.Add(1)
	}
}

// Receive implements notify.Bus.
func (b *Bus) Receive(topic string, fn func(topic string, body []byte)) (stop func(), err error) {
	_, forget, err := b.Ears.Receive(topic, fn)
	if err != nil {
		return nil, err
	}
	leave, err := b.subscribe(topic)
	if err != nil {
		forget()
		return nil, err
	}
	if b.Connected.Load() {
		settle(b.conn) // a connection that broke is told of when it is there again
	}
	return sync.OnceFunc(func() {
		forget()
		leave()
	}), nil
}

// subscribe has the server send what is said on a topic, once for all who listen.
func (b *Bus) subscribe(topic string) (leave func(), err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	s := b.subscriptions[topic]
	if s == nil {
		sub, err := b.conn.ChanSubscribe(b.prefix+topic, b.came)
		if err != nil {
			return nil, err
		}
		s = &subscription{sub: sub}
		b.subscriptions[topic] = s
	}
	s.users++
	return func() {
		b.mu.Lock()
		defer b.mu.Unlock()
		if s.users--; s.users == 0 {
			delete(b.subscriptions, topic)
			_ = s.sub.Unsubscribe() // a connection that is closed needs none
		}
	}, nil
}

// Close implements notify.Bus. What is queued is sent, if that goes at once.
func (b *Bus) Close() error {
	b.closed.Do(func() {
		b.queue.Close()
		words, _ := b.queue.Take()
		for _, w := range words {
			if b.Connected.Load() && b.conn.Publish(b.prefix+w.Topic, w.Body) == nil {
				b.Sent.Add(1)
			}
		}
		if b.Connected.Load() {
			_ = b.conn.FlushTimeout(time.Second)
		}
		close(b.done)
		b.conn.Close()
		b.gone.Wait()
		b.Connected.Store(false)
	})
	return nil
}
