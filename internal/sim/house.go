package sim

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"time"

	"lockstep/internal/auth"
	"lockstep/internal/blob"
	"lockstep/internal/delivery"
	"lockstep/internal/eas"
	"lockstep/internal/imap"
	"lockstep/internal/jmap"
	"lockstep/internal/longpoll"
	"lockstep/internal/mail"
	"lockstep/internal/notify"
	"lockstep/internal/pop3"
	"lockstep/internal/signin"
	"lockstep/internal/smtp"
	"lockstep/internal/store"
	"lockstep/internal/store/model"
	"lockstep/internal/store/sqlstore"
	"lockstep/internal/transfer"
	"lockstep/internal/vfs/faulty"
)

// The services of a house by name.
const (
	imapService = "imap"
	lmtpService = "lmtp"
	smtpService = "smtp"
	pop3Service = "pop3"
	easService  = "eas"
	jmapService = "jmap"
)

// house is a server in this process: the parts of the product, on a network, a
// disk and a clock that are not to be trusted.
type house struct {
	dir   string // for what is on its way in
	rows  database
	net   *Network
	disk  *faulty.FS // for the packs
	model *model.Store
	blame func(format string, args ...any)
	// wrap, if set, stands between the servers and the engine: a planted fault.
	wrap         func(store.Store) store.Store
	wrapPhones   func(http.Handler) http.Handler
	wrapPrograms func(http.Handler) http.Handler
	wrapKept     func(store.Store) store.Store

	wrapRule func(path string) error // spoils a database in a file that came back

	shift time.Duration // of the store's clock
	older func()        // puts the model back to what it was when the database was copied
	back  func()        // older, once the copy is put in place of the database

	db       *sqlstore.DB
	blobs    *blob.Store
	mirror   *mirror
	auth     *auth.Service
	transfer *transfer.Service
	stop     context.CancelFunc
	over     sync.WaitGroup
}

// newHouse makes a house that keeps what it has at home.
func newHouse(home Home, seed uint64, net *Network, blame func(string, ...any)) *house {
	h := &house{dir: home.Dir, net: net, disk: faulty.New(seed), model: model.New(), blame: blame, rows: &files{dir: home.Dir}}
	if home.Postgres != "" {
		h.rows = &rows{url: home.Postgres}
	}
	h.model.Now = h.now
	return h
}

func (h *house) now() time.Time { return time.Now().Add(h.shift) }

// open starts the server on what its last life left.
func (h *house) open(ctx context.Context) (err error) {
	hub, log := &notify.Hub{}, slog.New(slog.DiscardHandler)
	if h.db, err = h.rows.open(ctx, sqlstore.Options{Hub: hub, Log: log, Now: h.now}); err != nil {
		return err
	}
	if err := h.came(); err != nil {
		return err
	}
	if err := h.openBlobs(); err != nil {
		return errors.Join(err, h.db.Close())
	}
	engine := store.Store(h.db)
	if h.wrap != nil {
		engine = h.wrap(engine)
	}
	h.mirror = &mirror{Store: engine, model: h.model, blame: h.blame, die: h.kept}
	if way, ok := h.rows.(severer); ok {
		h.mirror.sever = way.sever
	}
	h.auth = auth.New(h.db, h.mirror, []byte("the salts of a simulated server"), log)
	h.transfer = &transfer.Service{Store: h.mirror, Intents: h.db, Log: log}
	if err := h.transfer.Resume(ctx); err != nil {
		return err
	}
	h.serve(ctx, hub, log)
	return nil
}

// openBlobs opens the packs; a disk that lost what was not synced must not have
// lost more.
func (h *house) openBlobs() error {
	if err := h.disk.MkdirAll("data"); err != nil {
		return err
	}
	keys, _, err := blob.OpenKeyring(h.disk, "data/key", "data/packs")
	if err != nil {
		return err
	}
	h.blobs, err = blob.Open("data/packs", keys, h.db.Blobs(), blob.Options{FS: h.disk, PackSize: 256 << 10, Now: h.now, InTurn: true})
	return err
}

// serve opens the protocols on the network.
func (h *house) serve(ctx context.Context, hub *notify.Hub, log *slog.Logger) {
	ctx, h.stop = context.WithCancel(ctx)
	d := &delivery.Service{Store: h.mirror, Directory: h.db, Queue: h.db, Blobs: h.blobs, Log: log, Hostname: "mx.example.test", SpoolDir: h.dir}
	ingest := func(ctx context.Context, r io.Reader, _ int64) (mail.Arrival, error) { return d.Ingest(ctx, r) }
	anywhere := func(netip.Addr) bool { return true }
	im := &imap.Server{Store: h.mirror, Auth: h.auth, Transfer: h.transfer, Blobs: bodies{h.blobs}, Ingest: ingest, Hub: hub, Log: log, AllowPlainAuth: anywhere,
		Limits: imap.Limits{Connections: maxConnections, PerAddress: maxConnections}}
	pop := &pop3.Server{Store: h.mirror, Auth: h.auth, Blobs: maildrops{h.blobs}, Hostname: "mx.example.test", Log: log, AllowPlainAuth: anywhere}
	in := smtp.Limits{Connections: maxConnections, ConnectionsPerAddress: maxConnections}
	kept := store.Store(h.mirror)
	if h.wrapKept != nil {
		kept = h.wrapKept(kept)
	}
	phones := http.Handler(&eas.Server{Store: kept, Directory: h.db, Auth: h.auth, Delivery: d, Blobs: h.openBody, Log: log, Hostname: "mx.example.test", SpoolDir: h.dir, AllowPlainAuth: anywhere})
	if h.wrapPhones != nil {
		phones = h.wrapPhones(phones)
	}
	h.listen(ctx, easService, overHTTP(phones))
	h.listen(ctx, jmapService, overLongpoll(h.programs(d, hub, log, anywhere), log))
	h.listen(ctx, imapService, im.Serve)
	h.listen(ctx, pop3Service, pop.Serve)
	h.listen(ctx, lmtpService, (&smtp.Server{Role: smtp.LMTP, Hostname: "mx.example.test", Delivery: d, Log: log, Limits: in}).Serve)
	h.listen(ctx, smtpService, (&smtp.Server{Role: smtp.Receiving, Hostname: "mx.example.test", Delivery: d, Log: log, Limits: in}).Serve)
}

// programs is what those are served by that speak JMAP.
func (h *house) programs(d *delivery.Service, hub *notify.Hub, log *slog.Logger, anywhere func(netip.Addr) bool) http.Handler {
	programs := http.Handler(&jmap.Server{
		Store: h.mirror, Directory: h.db, Auth: &signin.Server{Auth: h.auth, Files: h.db, Log: log, AllowPlainAuth: anywhere}, Accounts: h.auth, Delivery: d, Hub: hub, Log: log, Hostname: "mx.example.test", SpoolDir: h.dir,
		Blobs: func(ctx context.Context, which mail.Blob) (jmap.Body, error) { return h.openBody(ctx, which) },
	})
	if h.wrapPrograms != nil {
		programs = h.wrapPrograms(programs)
	}
	return programs
}

const maxConnections = 10_000

func (h *house) listen(ctx context.Context, service string, serve func(context.Context, net.Listener) error) {
	l := h.net.Listen(service)
	h.over.Go(func() {
		if err := serve(ctx, l); err != nil {
			h.blame("%s ended: %v", service, err)
		}
	})
}

func (h *house) openBody(ctx context.Context, which mail.Blob) (eas.Body, error) {
	r, err := h.blobs.Open(ctx, which)
	if err != nil {
		return nil, err
	}
	return r, nil
}

// overHTTP serves a handler until ctx ends and nobody is in it any more.
func overHTTP(handler http.Handler) func(context.Context, net.Listener) error {
	return func(ctx context.Context, l net.Listener) error {
		var inside sync.WaitGroup
		defer inside.Wait()
		s := &http.Server{BaseContext: func(net.Listener) context.Context { return ctx }, ErrorLog: slog.NewLogLogger(slog.DiscardHandler, slog.LevelError),
			Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				inside.Add(1)
				defer inside.Done()
				handler.ServeHTTP(w, r)
			})}
		defer context.AfterFunc(ctx, func() { s.Close() })()
		if err := s.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			return err
		}
		return nil
	}
}

// overLongpoll serves a handler whose answers may go on for ever.
func overLongpoll(handler http.Handler, log *slog.Logger) func(context.Context, net.Listener) error {
	return func(ctx context.Context, l net.Listener) error {
		s := &http.Server{Handler: handler, ErrorLog: slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)}
		return longpoll.Serve(ctx, s, longpoll.Listen(l, longpoll.Options{Log: log}), stopping)
	}
}

// stopping is how long requests under way may take when the server stops.
const stopping = time.Second

// kept is called at the moment of a kill: what is on the disk now is all that the
// next life has.
func (h *house) kept() {
	if err := h.rows.die(); err != nil {
		h.blame("%v", err)
	}
	h.net.CutAll()
}

// copy keeps a copy of the database as it is now, and of the model.
func (h *house) copy(ctx context.Context) error {
	h.mirror.mu.Lock()
	if err := h.rows.copy(ctx); err != nil {
		h.blame("%v", err)
	}
	h.older = h.model.Copy()
	h.mirror.mu.Unlock()
	return h.db.Marked(ctx) // as within a minute
}

// restore puts the last copy in place of the database, while the server is down.
func (h *house) restore(ctx context.Context) error {
	if h.older == nil {
		return nil
	}
	h.mirror.KillNow()
	if err := h.rows.putBack(ctx); err != nil {
		return err
	}
	h.back = h.older
	return h.reopen(ctx, false)
}

// came looks whether the database found out that it was put there, and does the same
// to the model.
func (h *house) came() error {
	why, leap := h.db.Returned()
	if back := h.back; (why != "") != (back != nil) {
		h.blame("the database says that it came back: %q; it did: %v", why, back != nil)
	} else if back != nil {
		h.back = nil
		back()
		h.model.RestoredBy(leap)
		if f, ok := h.rows.(*files); ok && h.wrapRule != nil {
			return h.wrapRule(f.path())
		}
	}
	return nil
}

// reopen buries a server that was killed and starts the next. With power, the disk
// also loses what was not synced.
func (h *house) reopen(ctx context.Context, power bool) error {
	if err := h.close(); err != nil {
		return err
	}
	if power {
		h.disk.Crash()
	}
	if err := h.rows.bury(); err != nil {
		return err
	}
	return h.open(ctx)
}

// close ends the servers.
func (h *house) close() error {
	h.stop()
	h.over.Wait()
	return errors.Join(h.blobs.Close(), h.db.Close())
}

// bodies gives the IMAP server the blob store as it wants it.
type bodies struct{ *blob.Store }

func (b bodies) Open(ctx context.Context, which mail.Blob) (imap.Body, error) {
	r, err := b.Store.Open(ctx, which)
	if err != nil {
		return nil, err
	}
	return r, nil
}

// maildrops gives it to the POP3 server.
type maildrops struct{ *blob.Store }

func (b maildrops) Open(ctx context.Context, which mail.Blob) (pop3.Body, error) {
	r, err := b.Store.Open(ctx, which)
	if err != nil {
		return nil, err
	}
	return r, nil
}

// newAccount makes an account on both sides.
func (h *house) newAccount(ctx context.Context, login string) (store.Principal, error) {
	by := mail.NewOrigin("simulation", 0, mail.Local, mail.BySetup)
	a := store.NewAccount{Login: login}
	want, err := h.model.CreateAccount(ctx, by, a)
	if err != nil {
		return want, err
	}
	p, err := h.db.CreateAccount(ctx, by, a)
	if err == nil && p != want {
		h.blame("account %v is %v in the model", p, want)
	}
	return p, err
}
