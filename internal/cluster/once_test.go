package cluster

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	gosmtp "github.com/emersion/go-smtp"

	"lockstep/internal/blob"
	"lockstep/internal/delivery"
	"lockstep/internal/mail"
	"lockstep/internal/store"
	"lockstep/internal/store/sqlstore"
	"lockstep/internal/store/sqlstore/sqltest"
	"lockstep/internal/vfs"
)

// receiver is a server elsewhere that counts what it takes, by recipient.
type receiver struct {
	host string
	port int
	mu   sync.Mutex
	got  map[string]int
}

func startReceiver(t *testing.T) *receiver {
	r := &receiver{got: map[string]int{}}
	srv := gosmtp.NewServer(gosmtp.BackendFunc(func(*gosmtp.Conn) (gosmtp.Session, error) { return &receiving{r: r}, nil }))
	srv.Domain, srv.ErrorLog = "remote.test", log.New(io.Discard, "", 0)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go srv.Serve(l)
	t.Cleanup(func() { srv.Close() })
	at := l.Addr().(*net.TCPAddr)
	r.host, r.port = at.IP.String(), at.Port
	return r
}

func (r *receiver) counted() (all, most int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, n := range r.got {
		most = max(most, n)
	}
	return len(r.got), most
}

type receiving struct {
	r  *receiver
	to []string
}

func (s *receiving) Reset()                                      { s.to = nil }
func (s *receiving) Logout() error                               { return nil }
func (s *receiving) Mail(string, *gosmtp.MailOptions) error      { return nil }
func (s *receiving) Rcpt(to string, _ *gosmtp.RcptOptions) error { s.to = append(s.to, to); return nil }
func (s *receiving) Data(body io.Reader) error {
	if _, err := io.Copy(io.Discard, body); err != nil {
		return err
	}
	s.r.mu.Lock()
	defer s.r.mu.Unlock()
	for _, to := range s.to {
		s.r.got[to]++
	}
	return nil
}

// worker is a node with all that it does for others. Once it is dead, nothing of what
// it does gets anywhere, though its goroutines do not know.
type worker struct {
	*sqlstore.DB
	node   *Node
	keeper *Keeper
	sender *delivery.Sender
	dead   atomic.Bool
	stop   context.CancelFunc
	done   sync.WaitGroup
	lines  sync.Map // open connections

	mu   sync.Mutex
	sent map[int64]bool // what it sent, and could not say so any more
}

func (w *worker) alive() error {
	if w.dead.Load() {
		return mail.Errorf(mail.Unavailable, "this node is dead")
	}
	return nil
}

func (w *worker) Take(ctx context.Context, name, holder string, life time.Duration) (store.Lease, error) {
	if err := w.alive(); err != nil {
		return store.Lease{}, err
	}
	return w.DB.Take(ctx, name, holder, life)
}

func (w *worker) Yield(ctx context.Context, l store.Lease) error {
	return errors.Join(w.alive(), ifAlive(w, func() error { return w.DB.Yield(ctx, l) }))
}

func (w *worker) Announce(ctx context.Context, n store.Node) error {
	return ifAlive(w, func() error { return w.DB.Announce(ctx, n) })
}

func (w *worker) Leave(ctx context.Context, id string) error {
	return ifAlive(w, func() error { return w.DB.Leave(ctx, id) })
}

func (w *worker) Due(ctx context.Context, node string, now, lease time.Time, limit int) ([]store.Outgoing, error) {
	if err := w.alive(); err != nil {
		return nil, err
	}
	return w.DB.Due(ctx, node, now, lease, limit)
}

func (w *worker) Retry(ctx context.Context, node string, id int64, next time.Time, lastError string) error {
	return ifAlive(w, func() error { return w.DB.Retry(ctx, node, id, next, lastError) })
}

func (w *worker) Done(ctx context.Context, id int64) error {
	err := ifAlive(w, func() error { return w.DB.Done(ctx, id) })
	if err != nil {
		w.mu.Lock()
		w.sent[id] = true
		w.mu.Unlock()
	}
	return err
}

func ifAlive(w *worker, do func() error) error {
	if err := w.alive(); err != nil {
		return err
	}
	return do()
}

func (w *worker) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	if err := w.alive(); err != nil {
		return nil, err
	}
	c, err := (&net.Dialer{}).DialContext(ctx, network, addr)
	if err == nil {
		w.lines.Store(c, true)
	}
	return c, err
}

// kill stops the node so that nobody hears of it.
func (w *worker) kill() {
	w.dead.Store(true)
	w.lines.Range(func(c, _ any) bool { c.(net.Conn).Close(); return true })
	w.stop()
}

// town is what several workers share.
type town struct {
	t     *testing.T
	blobs *blob.Store
	open  func() *sqlstore.DB // another connection to the one database
	there *receiver
	alice mail.AccountID
}

// Short times, as nodes die often.
const (
	townLife    = 2 * time.Second
	townSilence = 2 * time.Second
	townBeat    = 200 * time.Millisecond
)

func (tn *town) worker(name string) *worker {
	w := &worker{DB: tn.open(), sent: map[int64]bool{}}
	w.node = New(w, About{Name: name}, nil, quiet)
	w.keeper = &Keeper{Node: w.node, Leases: w, Life: townLife, Log: quiet}
	service := &delivery.Service{Store: w.DB, Directory: w.DB, Queue: w, Blobs: tn.blobs, Log: quiet, Hostname: "mx.example.test", SpoolDir: tn.t.TempDir(), CanSend: true}
	w.sender = &delivery.Sender{Service: service, Relay: &delivery.Relay{Host: tn.there.host, Port: tn.there.port, TLS: delivery.RelayPlain}, Dial: w.dial,
		Schedule: []time.Duration{10 * time.Millisecond}, Node: w.node.ID(), Silence: townSilence, Now: w.node.Now}
	service.Wake = w.sender.Wake
	var ctx context.Context
	ctx, w.stop = context.WithCancel(tn.t.Context())
	if err := w.node.Begin(ctx); err != nil {
		tn.t.Fatal(err)
	}
	w.done.Go(func() { w.sender.Run(ctx) })
	w.done.Go(func() {
		for ctx.Err() == nil {
			_ = w.node.beat(ctx) // the next one tries again
			select {
			case <-ctx.Done():
			case <-time.After(townBeat):
			}
		}
	})
	w.done.Go(func() { w.keeper.Keep(ctx, "upkeep", func(ctx context.Context) error { return tn.upkeep(ctx, w) }) })
	tn.t.Cleanup(func() { w.stop(); w.done.Wait() })
	return w
}

// stint is a step of the upkeep, as it is noted.
type stint struct {
	N     int   // of all, by whoever
	Fence int64 // under which it was done
}

// upkeep prunes and collects again and again, and notes each time. What it notes is what
// it read, and one more: if two did it at once, or one who was overtaken, one would be
// lost.
func (tn *town) upkeep(ctx context.Context, w *worker) error {
	for ctx.Err() == nil && w.alive() == nil {
		err := w.DB.Prune(ctx, tn.alice, time.Now().Add(-time.Hour))
		if err == nil {
			_, err = tn.blobs.Collect(ctx)
		}
		if err == nil {
			err = tn.note(ctx, w)
		}
		if err != nil && ctx.Err() == nil && mail.KindOf(err) != mail.Expired && w.alive() == nil {
			tn.t.Error(err)
		}
	}
	return nil
}

var stints struct {
	sync.Mutex
	noted map[string]int // by town
}

func (tn *town) note(ctx context.Context, w *worker) error {
	is, err := readStint(ctx, w.DB)
	if err != nil {
		return err
	}
	l := store.UnderLease(ctx)
	if is.Fence > l.Fence {
		return mail.Errorf(mail.Expired, "another goes on")
	}
	text, err := json.Marshal(stint{is.N + 1, l.Fence})
	if err != nil {
		return err
	}
	err = ifAlive(w, func() error { return w.DB.PutFile(ctx, store.File{Name: "stint", Data: text}) })
	if err == nil {
		stints.Lock()
		stints.noted[tn.t.Name()]++
		stints.Unlock()
	}
	return err
}

func readStint(ctx context.Context, db *sqlstore.DB) (is stint, err error) {
	f, err := db.FileNamed(ctx, "stint")
	if err != nil && mail.KindOf(err) == mail.NotFound {
		return is, nil
	}
	if err == nil {
		err = json.Unmarshal(f.Data, &is)
	}
	return is, err
}

// submit has a node take a message to somebody elsewhere.
func (tn *town) submit(w *worker, to string) {
	d := w.sender.Service
	r, err := d.AnyRecipient(tn.t.Context(), to, 0)
	if err != nil {
		tn.t.Fatal(err)
	}
	env := &delivery.Envelope{ReversePath: "alice@example.test", Recipients: []delivery.Recipient{r}, Hop: delivery.Hop{Protocol: mail.Submission, Arrived: time.Now()}}
	text := "From: alice@example.test\r\nTo: " + to + "\r\nSubject: once\r\nMessage-ID: <" + to + ">\r\nDate: Fri, 20 Nov 2026 10:00:00 +0000\r\n\r\nOnce.\r\n"
	if err := d.Submit(tn.t.Context(), tn.alice, env, strings.NewReader(text)); err != nil {
		tn.t.Fatal(err)
	}
}

func newTown(t *testing.T, open func() *sqlstore.DB) *town {
	db := open()
	dir := t.TempDir()
	keys, _, err := blob.OpenKeyring(vfs.OS{}, filepath.Join(dir, "key"), filepath.Join(dir, "packs"))
	if err != nil {
		t.Fatal(err)
	}
	blobs, err := blob.Open(filepath.Join(dir, "packs"), keys, db.Blobs(), blob.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { blobs.Close() })
	alice, err := db.CreateAccount(t.Context(), mail.NewOrigin("test", 0, mail.Local, mail.BySetup), store.NewAccount{Login: "alice@example.test"})
	if err != nil {
		t.Fatal(err)
	}
	return &town{t: t, blobs: blobs, open: open, there: startReceiver(t), alice: alice.Account}
}

// Nodes are killed in the middle of sending, pruning and collecting. Nothing is lost,
// and nothing is sent twice but what had been taken at the other side when its sender
// died before it could say so.
func TestNodesThatDieLeaveNothingUndoneAndNothingDoneTwice(t *testing.T) {
	stints.noted = map[string]int{}
	for name, engine := range map[string]func(*testing.T) func() *sqlstore.DB{
		"SQLite": func(t *testing.T) func() *sqlstore.DB {
			db := sqlstore.OpenTempWith(t, sqlstore.Options{})
			return func() *sqlstore.DB { return db }
		},
		"PostgreSQL": func(t *testing.T) func() *sqlstore.DB {
			url := sqltest.PostgresURL(t)
			return func() *sqlstore.DB { return sqltest.Open(t, url, sqlstore.Options{}) }
		},
	} {
		t.Run(name, func(t *testing.T) { outlive(t, newTown(t, engine(t))) })
	}
}

func outlive(t *testing.T, tn *town) {
	const each, kills = 60, 3
	all := []*worker{tn.worker("a"), tn.worker("b"), tn.worker("c")}
	var gone []*worker
	for round := range kills + 1 {
		for i := range each {
			tn.submit(all[i%len(all)], fmt.Sprintf("u%d-%d@remote.test", round, i))
		}
		if round == kills {
			break
		}
		tn.until(func() bool { n, _ := tn.there.counted(); return n >= round*each+each/4 })
		i := tn.keeping(all)
		all[i].kill()
		gone = append(gone, all[i])
		all[i] = tn.worker(fmt.Sprint("n", round))
	}
	tn.until(func() bool {
		is, err := readStint(t.Context(), all[0].DB)
		return err == nil && is.Fence > kills
	})
	tn.until(func() bool {
		left, err := all[0].Pending(t.Context(), 1)
		return err == nil && len(left) == 0
	})
	unsaid := 0
	for _, w := range gone {
		w.done.Wait()
		unsaid += len(w.sent)
	}
	tn.there.mu.Lock()
	doubled := 0
	for to, n := range tn.there.got {
		doubled += n - 1
		if n > 1 {
			t.Logf("%s came %d times", to, n)
		}
	}
	count := len(tn.there.got)
	t.Logf("%d came, %d once more; %d were sent by who died before it could say so", count, doubled, unsaid)
	tn.there.mu.Unlock()
	if count != (kills+1)*each || doubled > unsaid {
		t.Errorf("%d came, want %d; %d once more, and %d were sent by who died before it could say so", count, (kills+1)*each, doubled, unsaid)
	}
	for _, w := range all {
		w.stop()
		w.done.Wait()
	}
	is, err := readStint(t.Context(), all[0].DB)
	stints.Lock()
	defer stints.Unlock()
	if noted := stints.noted[t.Name()]; err != nil || is.N != noted || noted == 0 {
		t.Errorf("the upkeep was noted %d times, and %d by its own count, the last under fence %d, %v", noted, is.N, is.Fence, err)
	}
	if wrong, err := all[0].Check(t.Context(), tn.alice, false); err != nil || len(wrong) > 0 {
		t.Errorf("afterwards: %v, %v", wrong, err)
	}
}

// keeping waits until one of the nodes does the upkeep, and says which.
func (tn *town) keeping(all []*worker) (at int) {
	tn.until(func() bool {
		leases, err := all[0].AllLeases(tn.t.Context())
		if err != nil || len(leases) != 1 {
			return false
		}
		at = slices.IndexFunc(all, func(w *worker) bool { return w.node.ID() == leases[0].Holder })
		return at >= 0
	})
	return at
}

// until waits for something.
func (tn *town) until(so func() bool) {
	tn.t.Helper()
	for deadline := time.Now().Add(2 * time.Minute); !so(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			n, most := tn.there.counted()
			tn.t.Fatalf("it does not come to that; %d came, the same one %d times at most", n, most)
		}
	}
}
