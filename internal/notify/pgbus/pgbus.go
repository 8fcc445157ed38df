// Package pgbus carries words between nodes by LISTEN and NOTIFY of the PostgreSQL
// server that they share, for clusters that have no NATS server. Every node receives
// every word, and drops what nobody there listens to.
//
// Notifications that are sent in a transaction of the store would make its commits wait
// for each other, as PostgreSQL commits those that notify one at a time. So they have
// a connection of their own, whose commits do not wait for the disk, and all that has
// come together meanwhile goes in one of them.
package pgbus

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"lockstep/internal/notify"
)

// Channel is the one of PostgreSQL that all nodes use. It is one database's.
const Channel = "lockstep"

// Bounds on the connections.
const (
	connectTime = 5 * time.Second
	sendTime    = 5 * time.Second
	silence     = 20 * time.Second // of others, after which a node listens for itself
	echoTime    = 10 * time.Second // in which it then has to hear itself
	gapEvery    = time.Second      // at most, that others are told of a gap
	maxNodes    = 1000             // whose frames are counted
	maxPayloads = 64               // in one transaction
)

// Options say how the database is reached.
type Options struct {
	URL      string // as libpq names it
	Password string // "" is what the URL says
	Log      *slog.Logger
}

// Bus is a notify.Bus.
type Bus struct {
	notify.Ears
	o      Options
	config *pgconn.Config
	node   nodeID
	queue  notify.Queue
	greet  chan struct{} // something has to be sent, so that we hear it
	ctx    context.Context
	end    context.CancelFunc
	gone   sync.WaitGroup

	seq  uint64            // of the last frame that was sent; used by send alone
	seen map[nodeID]uint64 // the last frame that came of others; used by listen alone
}

// Open begins to connect to the database of the URL; it does not wait for that.
func Open(o Options) (*Bus, error) {
	config, err := pgconn.ParseConfig(o.URL)
	if err != nil {
		return nil, fmt.Errorf("the database's URL can't be used: %w", err)
	}
	if o.Password != "" {
		config.Password = o.Password
	}
	config.ConnectTimeout = connectTime
	config.DialFunc = (&net.Dialer{Timeout: connectTime, KeepAlive: silence / 4}).DialContext
	config.RuntimeParams["application_name"] = "lockstep notify"
	if config.ValidateConnect == nil { // a standby lets nobody listen
		config.ValidateConnect = pgconn.ValidateConnectTargetSessionAttrsReadWrite
	}
	b := &Bus{o: o, config: config, greet: make(chan struct{}, 1), seen: map[nodeID]uint64{}}
	_, _ = rand.Read(b.node[:]) // never fails
	b.ctx, b.end = context.WithCancel(context.Background())
	b.gone.Go(b.listen)
	b.gone.Go(b.send)
	return b, nil
}

// Send implements notify.Bus.
func (b *Bus) Send(topic string, body []byte) {
	if !b.queue.Put(topic, body) {
		b.Dropped.Add(1)
	}
}

// Receive implements notify.Bus.
func (b *Bus) Receive(topic string, fn func(topic string, body []byte)) (stop func(), err error) {
	_, forget, err := b.Ears.Receive(topic, fn)
	if err != nil {
		return nil, err
	}
	return func() { forget() }, nil
}

// Close implements notify.Bus.
func (b *Bus) Close() error {
	b.queue.Close()
	b.end()
	b.gone.Wait()
	b.Connected.Store(false)
	return nil
}

// connect makes a connection. Each try that fails is told once in a row.
func (b *Bus) connect(setUp string, hear func(*pgconn.PgConn, *pgconn.Notification)) *pgconn.PgConn {
	config := b.config.Copy()
	config.OnNotification = hear
	for n := 1; ; n++ {
		c, err := pgconn.ConnectConfig(b.ctx, config)
		if err == nil {
			ctx, cancel := context.WithTimeout(b.ctx, connectTime)
			err = c.Exec(ctx, setUp).Close()
			cancel()
			if err == nil {
				return c
			}
			b.hangUp(c)
		}
		if b.ctx.Err() != nil {
			return nil
		}
		if n == 1 {
			b.o.Log.Warn("the database can't be used to tell other nodes; until it can, changes made there are seen late", "err", err)
		}
		if !b.sleep(notify.Pause(n)) {
			return nil
		}
	}
}

func (b *Bus) hangUp(c *pgconn.PgConn) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	_ = c.Close(ctx) // whatever it says, it is over
}

func (b *Bus) sleep(d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-b.ctx.Done():
		return false
	case <-t.C:
		return true
	}
}

// listen hears what is said, on one connection after the other.
func (b *Bus) listen() {
	for {
		c := b.connect("LISTEN "+Channel, b.hear)
		if c == nil {
			return
		}
		clear(b.seen)
		err := b.listenOn(c)
		b.hangUp(c)
		if b.Connected.Swap(false) && b.ctx.Err() == nil {
			b.o.Log.Warn("the connection by which other nodes tell us broke; until it is there again, changes made there are seen late", "err", err)
		}
		if !b.sleep(notify.Pause(1)) {
			return
		}
	}
}

// listenOn hears what is said on a connection until it breaks. We are connected when
// what we say comes back to us, and as long as something comes: a connection of which
// that is not true, such as one through a pooler, is none.
func (b *Bus) listenOn(c *pgconn.PgConn) error {
	b.sayHello()
	wait := echoTime
	for {
		ctx, cancel := context.WithTimeout(b.ctx, wait)
		err := c.WaitForNotification(ctx)
		cancel()
		switch {
		case b.ctx.Err() != nil:
			return b.ctx.Err()
		case err == nil:
			wait = silence
		case !pgconn.Timeout(err):
			return err
		case wait == echoTime:
			return errors.New("nothing that is said comes back: is the database reached through a pooler that does not keep sessions?")
		default:
			b.sayHello()
			wait = echoTime
		}
	}
}

// sayHello has something sent, so that it comes back.
func (b *Bus) sayHello() {
	select {
	case b.greet <- struct{}{}:
	default:
	}
}

// hear takes a notification.
func (b *Bus) hear(_ *pgconn.PgConn, n *pgconn.Notification) {
	if n.Channel != Channel {
		return
	}
	f, ok := parse(n.Payload)
	if !ok {
		b.Gap() // a later version says something
		return
	}
	if f.node == b.node {
		b.heardOurselves()
		return
	}
	last, known := b.seen[f.node]
	if len(b.seen) >= maxNodes && !known {
		clear(b.seen)
	}
	b.seen[f.node] = max(f.seq, last)
	if f.gap || known && f.seq > last+1 {
		b.Gap()
	}
	for _, w := range f.words {
		b.Hear(w.Topic, w.Body)
	}
}

// heardOurselves is called when our own words came back. What others said before is
// lost.
func (b *Bus) heardOurselves() {
	if !b.Connected.Swap(true) {
		b.o.Log.Info("connected to other nodes by the database")
		b.Gap()
	}
}

// send tells what is queued.
func (b *Bus) send() {
	var c *pgconn.PgConn
	defer func() {
		if c != nil {
			b.hangUp(c)
		}
	}()
	var told time.Time
	for {
		hello := false
		select {
		case <-b.ctx.Done():
			b.last(c)
			return
		case <-b.queue.Wait():
		case <-b.greet:
			hello = true
		}
		if c == nil {
			if c = b.connect("SET synchronous_commit = off", nil); c == nil {
				return
			}
		}
		words, lost := b.queue.Take()
		if wait := time.Until(told.Add(gapEvery)); lost && wait > 0 {
			lost = false
			time.AfterFunc(wait, b.queue.Lose)
		}
		if len(words) == 0 && !lost && !hello {
			continue
		}
		if lost {
			told = time.Now()
		}
		if err := b.sendAll(b.ctx, c, words, lost); err != nil && b.ctx.Err() == nil {
			b.o.Log.Warn("other nodes can't be told by the database; until they can, changes made here are seen late there", "err", err)
			b.hangUp(c)
			c = nil
			b.Dropped.Add(int64(len(words)))
			b.queue.Lose()
			b.sleep(notify.Pause(1))
		}
	}
}

// last sends what is queued when the bus is closed, if that goes at once.
func (b *Bus) last(c *pgconn.PgConn) {
	words, _ := b.queue.Take()
	if c == nil || len(words) == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	_ = b.sendAll(ctx, c, words, false) // nobody is left to be told
}

func (b *Bus) sendAll(ctx context.Context, c *pgconn.PgConn, words []notify.Word, lost bool) error {
	payloads, seq := pack(b.node, b.seq, lost, words)
	b.seq = seq
	for len(payloads) > 0 {
		n := min(len(payloads), maxPayloads)
		if err := b.notify(ctx, c, payloads[:n]); err != nil {
			return err
		}
		payloads = payloads[n:]
	}
	b.Sent.Add(int64(len(words)))
	return nil
}

// notify sends some payloads in one transaction.
func (b *Bus) notify(ctx context.Context, c *pgconn.PgConn, payloads []string) error {
	ctx, cancel := context.WithTimeout(ctx, sendTime)
	defer cancel()
	var sql strings.Builder
	for _, p := range payloads { // base64 needs no quoting
		sql.WriteString("NOTIFY " + Channel + ", '" + p + "';")
	}
	return c.Exec(ctx, sql.String()).Close()
}
