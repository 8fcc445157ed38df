package bench

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"
)

// sizes say how much is done; --quick does less of the same.
type sizes struct {
	single      int // deliveries, APPENDs on one connection
	many        int // on manyConns
	big         int // messages of the big INBOX
	huge        int // of the huge one
	mid         int // of the middle one
	bodies      int // whole messages in one FETCH
	stores      int // STOREs by each of the accounts
	pushes      int // changes that another session waits for
	peerPushes  int // Dovecot waits half a second before each
	idlers      int // connections in IDLE
	peerIdlers  int // Dovecot runs a process for each
	importMB    int
	slowSeconds int // a slow client reads for so long
	rounds      int
	coldRounds  int
}

var fullSizes = sizes{single: 500, many: 8000, big: 100_000, huge: 1_000_000, mid: 10_000, bodies: 2000, stores: 200, pushes: 400, peerPushes: 20,
	idlers: 10_000, peerIdlers: 500, importMB: 2048, slowSeconds: 20, rounds: 5, coldRounds: 3}

var quickSizes = sizes{single: 150, many: 2000, big: 20_000, huge: 50_000, mid: 5000, bodies: 1000, stores: 50, pushes: 150, peerPushes: 6,
	idlers: 2000, peerIdlers: 100, importMB: 200, slowSeconds: 5, rounds: 3, coldRounds: 2}

// Who works on what. Delivery and STORE have accounts of their own, so that the
// big INBOX stays as it was loaded.
const (
	manyConns  = 64
	storeConns = 16
	storeInbox = 1000 // messages in each of their INBOXes
	pushInbox  = 100
	changes    = 100 // between two QRESYNC opens
)

func deliveryAccount(i int) string { return fmt.Sprintf("delivery%02d", i) }
func storeAccount(i int) string    { return fmt.Sprintf("store%02d", i) }

const (
	bigAccount    = "big"
	hugeAccount   = "huge"
	midAccount    = "mid"
	pushAccount   = "push"
	importAccount = "import"
)

// A figure is one number that one run of a workload gave.
type figure struct {
	name  string // what, with its unit
	value float64
}

// A workload is one kind of work.
type workload struct {
	name    string
	about   string
	needs   []string // accounts whose INBOX must be loaded
	uses    []string // accounts that need only exist
	rounds  func(sizes) int
	alone   bool // only the server under test does it
	nodes   bool // a node of several does it too
	warm    bool // run once before the runs that count
	measure func(ctx context.Context, s *site) ([]figure, error)
}

// takes reports whether a server does the work.
func (w workload) takes(s server) bool {
	switch s.name() {
	case "Lockstep":
		return true
	case nodeName:
		return w.nodes
	}
	return !w.alone
}

func everyRound(z sizes) int { return z.rounds }
func coldRounds(z sizes) int { return z.coldRounds }
func once(sizes) int         { return 1 }

// workloads in the order they run. What restarts servers or fills memory comes
// last.
var workloads = []workload{
	{name: "lmtp-1", nodes: true, uses: deliveryAccounts()[:1], about: "LMTP delivery on one connection, 4 KiB messages", rounds: everyRound, warm: true, measure: deliverOne},
	{name: "lmtp-64", nodes: true, uses: deliveryAccounts(), about: "LMTP delivery on 64 connections, an account each", rounds: everyRound, warm: true, measure: deliverMany},
	{name: "append-1", nodes: true, uses: deliveryAccounts()[:1], about: "APPEND on one connection", rounds: everyRound, warm: true, measure: appendOne},
	{name: "append-64", nodes: true, uses: deliveryAccounts(), about: "APPEND on 64 connections, an account each", rounds: everyRound, warm: true, measure: appendMany},
	{name: "store-16", nodes: true, about: "UID STORE of single messages, 16 accounts at once", rounds: everyRound, warm: true, needs: storeAccounts(), measure: storeMany},
	{name: "push", nodes: true, about: "from A's UID STORE to B's line in IDLE, same account", rounds: everyRound, warm: true, needs: []string{pushAccount}, measure: push},
	{name: "eas-push", about: "from A's UID STORE to a phone's waiting Ping and Sync, and from its Sync to IDLE", rounds: everyRound, alone: true, warm: true, needs: []string{pushAccount}, measure: easPush},
	{name: "jmap-push", about: "from A's UID STORE to the event of who listens over JMAP, and to a WebSocket", rounds: everyRound, alone: true, warm: true, needs: []string{pushAccount}, measure: jmapPush},
	{name: "open-warm", nodes: true, about: "SELECT and FETCH 1:* (UID FLAGS) of the big INBOX", rounds: everyRound, warm: true, needs: []string{bigAccount}, measure: openWarm},
	{name: "qresync", nodes: true, about: "SELECT (QRESYNC …) of the big INBOX after 100 changes", rounds: everyRound, warm: true, needs: []string{bigAccount}, measure: qresync},
	{name: "envelope", nodes: true, about: "FETCH 1:* (UID ENVELOPE) of the middle INBOX", rounds: everyRound, warm: true, needs: []string{midAccount}, measure: fetchEnvelopes},
	{name: "headers", nodes: true, about: "FETCH 1:* BODY.PEEK[HEADER.FIELDS (…)] of the middle INBOX", rounds: everyRound, warm: true, needs: []string{midAccount}, measure: fetchHeaders},
	{name: "bodies", nodes: true, about: "FETCH of whole 4 KiB messages in one command", rounds: everyRound, warm: true, needs: []string{midAccount}, measure: fetchBodies},
	{name: "bodies-piped", about: "as many FETCHes of one message each, sent without waiting for answers", rounds: everyRound, warm: true, needs: []string{midAccount}, measure: fetchPiped},
	{name: "envelope-first", about: "ENVELOPE as above by the first client after a restart, files in the page cache", rounds: coldRounds, needs: []string{midAccount}, measure: afterRestart(fetchEnvelopes)},
	{name: "headers-first", about: "HEADER.FIELDS likewise", rounds: coldRounds, needs: []string{midAccount}, measure: afterRestart(fetchHeaders)},
	{name: "search", about: "SEARCH TEXT for a rare and a common word in the middle INBOX", rounds: everyRound, warm: true, needs: []string{midAccount}, measure: searchText},
	{name: "open-cold", about: "the same after a restart with nothing in the page cache", rounds: coldRounds, warm: true, needs: []string{bigAccount}, measure: openCold},
	{name: "open-huge", about: "SELECT and FETCH 1:* (UID FLAGS) of the huge INBOX, of tiny messages", rounds: coldRounds, alone: true, warm: true, needs: []string{hugeAccount}, measure: openHuge},
	{name: "syncs", uses: deliveryAccounts(), about: "waits for the disk, counted by strace in runs of their own", rounds: once, needs: storeAccounts(), measure: syncs},
	{name: "idle-plain", about: "connections in IDLE, INBOX selected, QRESYNC enabled", rounds: once, needs: []string{midAccount}, measure: idlePlain},
	{name: "idle-tls", about: "the same under TLS", rounds: once, alone: true, needs: []string{midAccount}, measure: idleTLS},
	{name: "eas-idle", about: "phones that wait in an ActiveSync Ping, under TLS", rounds: once, alone: true, uses: named(phoneAccounts, phoneAccount), measure: easIdle},
	{name: "jmap-idle", about: "clients that listen over JMAP, under TLS: half by events, half by WebSocket", rounds: once, alone: true, uses: named(phoneAccounts, phoneAccount), measure: jmapIdle},
	{name: "slow-fetch", about: "memory while a slow client fetches everything of the big INBOX", rounds: once, needs: []string{bigAccount}, measure: slowFetch},
	{name: "import", uses: []string{importAccount}, about: "memory while a large mbox is imported", rounds: once, alone: true, measure: importMbox},
}

func storeAccounts() []string { return named(storeConns, storeAccount) }

func deliveryAccounts() []string { return named(manyConns, deliveryAccount) }

func named(n int, name func(int) string) []string {
	all := make([]string, n)
	for i := range all {
		all[i] = name(i)
	}
	return all
}

// load fills the INBOX of an account, once: as one MULTIAPPEND after another, or
// where the server lacks it by single APPENDs on many connections.
func (s *site) load(ctx context.Context, account string) error {
	if s.loaded[account] {
		return nil
	}
	s.loaded[account] = true
	n, write := storeInbox, letters
	switch account {
	case bigAccount:
		n = s.sizes.big
	case hugeAccount:
		n, write = s.sizes.huge, tinyLetters
	case midAccount:
		n = s.sizes.mid
	case pushAccount:
		n = pushInbox
	}
	multi, err := s.hasMultiAppend(account)
	if err != nil {
		return err
	}
	const batch = 500
	for first := 0; first < n; first += batch {
		some := s.freshBy(write, min(batch, n-first))
		if multi {
			err = s.multiAppend(account, some)
		} else {
			_, err = s.race(ctx, manyConns, len(some), s.appender(func(int) string { return account }, some))
		}
		if err != nil {
			return fmt.Errorf("loading %s: %w", account, err)
		}
	}
	return nil
}

func (s *site) hasMultiAppend(account string) (bool, error) {
	c, err := s.dial(account)
	if err != nil {
		return false, err
	}
	defer c.Close()
	found := false
	err = c.do("CAPABILITY", func(line []byte) { found = found || containsWord(line, "MULTIAPPEND") })
	return found, err
}

func (s *site) multiAppend(account string, some []letter) error {
	c, err := s.dial(account)
	if err != nil {
		return err
	}
	defer c.Close()
	return c.appendTo("INBOX", some...)
}

// A worker does one piece of work after another on a connection of its own.
type worker struct {
	do   func(i int) error
	stop func()
}

// outcome is what a race took.
type outcome struct {
	span
	n         int
	latencies []time.Duration
}

// race lets workers do n pieces of work. They connect and are all ready before
// the clock starts; each takes the next piece that nobody has.
func (s *site) race(ctx context.Context, workers, n int, open func(w int) (worker, error)) (outcome, error) {
	crew := make([]worker, workers)
	for w := range crew {
		var err error
		if crew[w], err = open(w); err != nil {
			return outcome{}, err
		}
		defer crew[w].stop()
	}
	took := make([][]time.Duration, workers)
	var next atomic.Int64
	var failed atomic.Pointer[error]
	spent, _ := s.timed(func() error {
		var all sync.WaitGroup
		for w := range crew {
			all.Go(func() {
				for failed.Load() == nil && ctx.Err() == nil {
					i := int(next.Add(1)) - 1
					if i >= n {
						return
					}
					start := time.Now()
					if err := crew[w].do(i); err != nil {
						failed.Store(&err)
						return
					}
					took[w] = append(took[w], time.Since(start))
				}
			})
		}
		all.Wait()
		return nil
	})
	if err := failed.Load(); err != nil {
		return outcome{}, *err
	}
	o := outcome{span: spent, n: n}
	for _, t := range took {
		o.latencies = append(o.latencies, t...)
	}
	return o, ctx.Err()
}

// figures says a race as rate, latencies and processor time.
func (o outcome) figures() []figure {
	return []figure{
		{perSecond, float64(o.n) / o.elapsed.Seconds()},
		{"p50 ms", milliseconds(percentile(o.latencies, 50))},
		{"p99 ms", milliseconds(percentile(o.latencies, 99))},
		{"CPU µs each", float64(o.cpu.Microseconds()) / float64(o.n)},
	}
}

// Names of figures that have goals.
const (
	perSecond     = "per second"
	totalMS       = "ms"
	kilobytes     = "kB sent"
	pushMedian    = "p50 ms"
	pushTail      = "p99 ms"
	perConnection = "KB each"
	peakMB        = "peak MB"
	rareMS        = "rare ms"
	commonMS      = "common ms"
)
