package backup

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"lockstep/internal/blob"
	"lockstep/internal/mail"
)

// A Server is what is backed up.
type Server struct {
	Pages   func() (Pages, error) // of its database
	Size    func() int64          // of the database, about, in bytes; nil: not known
	Commits func() int64          // of its transactions, counted; nil: it can't be followed
	Blobs   *blob.Store
	KeyFile func() ([]byte, error)            // its text as it is now
	Config  string                            // in force, as it is written in its file
	Files   func() (map[string][]byte, error) // what else is small and in the data directory; nil: nothing
	Holder  string                            // names host and data directory, for whoever finds the target in use
	// Database tells this one from another server's with the same host name and directory;
	// "" is not known.
	Database string
	Version  string
	Log      *slog.Logger     // nil logs nothing
	Now      func() time.Time // nil is time.Now
	Clock    Clock            // zero is that of this process
}

// Options say how a backup is made.
type Options struct {
	// Recipients are those of age that can open the backup beside the key file. Where
	// there are none, a recovery code is made for a backup that begins.
	Recipients []string
	// Recovery is given that code, once, before anything is stored. If it is nil no
	// backup is begun that would need one.
	Recovery func(code string) error
	// Again stores the packs again with the first point, in place of what the target has of
	// them.
	Again bool
	// NewCode has a code made, and given to Recovery, also for a backup that is there: the
	// codes before open it no more.
	NewCode bool
	// Digests has each point record what was in each account.
	Digests bool
	// Fresh begins a new set: its points need nothing of the sets before.
	Fresh bool
	// Existing fails with mail.NotFound where there is no backup, and begins none.
	Existing bool
	// Anew begins a backup also where one was that is gone (see Service).
	Anew bool
	// TakeOver writes also where another server was promoted to.
	TakeOver bool
	// Doing says in a few words what the run is for, to whoever finds the target in use.
	Doing string
	// Progress is told how far it is, now and then, by one goroutine at a time.
	Progress func(Progress)
}

// Progress is how far a run is.
type Progress struct {
	Stage string // what is copied: "database" or "mail"
	Done  int64  // bytes looked at in this stage
	Total int64  // 0: not known yet
	Sent  Sent   // so far
}

// A Result is what became of a point.
type Result struct {
	Point Point
	Sent  Sent
	Took  time.Duration
	// Damaged are the places of stored messages that were found damaged in the packs,
	// and were copied as they are.
	Damaged []string
}

// A Run is one writer at work on a backup, who makes one point after the other. It is
// used by one goroutine, but for Prune (see there). Close it.
type Run struct {
	server Server
	o      Options
	repo   *Repo
	lease  *lease
	pages  Pages

	set     string
	seal    *sealer
	begun   bool  // the backup was begun by this run
	looked  bool  // what is below is as the target has it
	last    Point // the newest of the set; number 0: none
	state   table // the database as of the last point
	packs   map[string][]extent
	before  map[string][]extent // those that are stored again
	spared  map[string]bool     // packs that are damaged here: of them what was stored before stays
	objects map[string]bool     // pages and indexes that are there already

	up *uploads

	// turn does something while nobody makes a point; nil: whoever uses the run is alone.
	turn  func(ctx context.Context, do func() error) error
	sweep *sweep // the last Prune, which hears of points; nil: none

	closed func() // tells whoever waits for it; nil: nobody does
}

// Begin opens the backup in a target, or begins one, and takes its lease. mail.Conflict
// says that somebody else has that.
func Begin(ctx context.Context, t Target, s Server, o Options) (run *Run, err error) {
	if where := s.Blobs.InBucket(); where != "" {
		return nil, mail.Errorf(mail.Unimplemented, "the mail of this server lies in %s, which lockstep backup can't copy, and a backup without it would not be whole. Have the bucket keep versions, and back up the database by its own means (docs/operations.md: Backing up a server with a bucket)", where)
	}
	if s.Log == nil {
		s.Log = slog.New(slog.DiscardHandler)
	}
	if s.Now == nil {
		s.Now = time.Now
	}
	if s.Clock.Steady == nil {
		s.Clock = ourClock
	}
	r := &Run{server: s, o: o}
	if err := r.mayBegin(ctx, t); err != nil { // before anything is written there
		return nil, err
	}
	if err := r.mayWrite(ctx, t); err != nil {
		return nil, err
	}
	if r.lease, err = takeLease(ctx, t, leaseText{Holder: s.Holder, Database: s.Database, Doing: o.Doing}, s.Now); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			run, err = nil, errors.Join(err, r.Close(ctx))
		}
	}()
	if d, ok := t.(interface{ Sweep(context.Context) error }); ok {
		if err := d.Sweep(ctx); err != nil {
			return nil, err
		}
	}
	if err := r.openRepo(ctx, t); err != nil {
		return nil, err
	}
	return r, r.openSet(ctx)
}

// Repo is the backup that the run writes to.
func (r *Run) Repo() *Repo { return r.repo }

// Set names the set that the run makes points of. Sets are named in the order of their
// beginning.
func (r *Run) Set() string { return r.set }

// Close ends the run and gives the lease back.
func (r *Run) Close(ctx context.Context) error {
	if r.pages != nil {
		r.pages.Close()
	}
	if r.closed != nil {
		defer r.closed()
	}
	// Also when ctx has ended: the next run would wait otherwise.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	if err := r.lease.release(ctx); err != nil {
		r.server.Log.WarnContext(ctx, "backup: lease not given back", "target", r.lease.t.String(), "err", err)
	}
	return nil
}

// mayBegin refuses a target that has no backup, where none is to be begun.
func (r *Run) mayBegin(ctx context.Context, t Target) error {
	switch h, err := readHeader(ctx, t); {
	case err != nil:
		return err
	case h != nil:
		return nil
	case r.o.Existing:
		return noBackup(t)
	}
	return isEmpty(ctx, t)
}

// openRepo opens the backup with the server's key file, or begins it.
func (r *Run) openRepo(ctx context.Context, t Target) error {
	keyFile, err := r.server.KeyFile()
	if err != nil {
		return err
	}
	h, err := readHeader(ctx, t)
	if err != nil {
		return err
	}
	if h == nil {
		if h, err = r.beginRepo(ctx, t, keyFile); err != nil {
			return err
		}
		r.begun = true
	}
	if r.repo, err = unlock(t, h, Secret{KeyFile: keyFile}); mail.KindOf(err) == mail.Denied {
		return &mail.Error{Kind: mail.Denied, Detail: fmt.Sprintf("%s has the backup of another server (of the key file with the fingerprint %s): name another place", t, h.KeyFile), Err: err}
	}
	if err != nil {
		return err
	}
	return r.changeRecipients(ctx, keyFile)
}

// beginRepo makes the header.
func (r *Run) beginRepo(ctx context.Context, t Target, keyFile []byte) (*header, error) {
	recipients, code, err := r.recipients(t)
	if err != nil {
		return nil, err
	}
	h, err := newHeader(keyFile, recipients, code, r.server.Now())
	if err != nil {
		return nil, err
	}
	if err := r.showCode(code); err != nil {
		return nil, err
	}
	return h, putBytes(ctx, t, headerName, h.encode())
}

// recipients are who shall open the backup: those of the operator's choice, or that of
// a code that is made now.
func (r *Run) recipients(t Target) (list []string, code string, err error) {
	if len(r.o.Recipients) > 0 {
		return r.o.Recipients, "", nil
	}
	if r.o.Recovery == nil {
		return nil, "", mail.Errorf(mail.Invalid, "there is no backup in %s yet, and its recovery code has to be shown to somebody: begin it by hand with lockstep backup --to, or set backup.recipient", t)
	}
	code, recipient, err := NewRecovery()
	return []string{recipient}, code, err
}

// showCode shows a code, before it is good for anything: one too many harms nobody.
func (r *Run) showCode(code string) error {
	if code == "" {
		return nil
	}
	return r.o.Recovery(code)
}

// isEmpty refuses a target that has objects and no header: it is somebody else's, or
// the header was lost, and without that nothing can be read.
func isEmpty(ctx context.Context, t Target) error {
	return t.List(ctx, "", func(o Object) error {
		if o.Name == leaseName {
			return nil
		}
		if setOf(o.Name) != "" {
			return mail.Errorf(mail.Conflict, "%s holds a backup whose header is gone (%s): without it nothing there can be read. Put it back, or name an empty place", t, headerName)
		}
		return mail.Errorf(mail.Conflict, "%s is not empty and is no backup (it holds %s): name an empty place, or a new one", t, o.Name)
	})
}

// changeRecipients makes the header anew when the operator chose others, or wants
// another code.
func (r *Run) changeRecipients(ctx context.Context, keyFile []byte) error {
	h := r.repo.header
	if same := len(r.o.Recipients) == 0 || slices.Equal(h.Recipients, r.o.Recipients); same && !r.wantsCode() {
		return nil
	}
	recipients, code, err := r.recipients(r.repo.Target)
	if err != nil {
		return err
	}
	changed := *h
	if err := changed.sealTo(recipients, code, keyFile); err != nil {
		return err
	}
	if err := r.showCode(code); err != nil {
		return err
	}
	if err := putBytes(ctx, r.repo.Target, headerName, changed.encode()); err != nil {
		return err
	}
	r.repo.header = &changed
	return nil
}

// wantsCode says that a backup that is there gets another code.
func (r *Run) wantsCode() bool { return r.o.NewCode && !r.begun && len(r.o.Recipients) == 0 }

// openSet finds the newest set and its last point, or begins one.
func (r *Run) openSet(ctx context.Context) error {
	sets, err := r.repo.Sets(ctx)
	if err != nil {
		return err
	}
	if len(sets) == 0 || r.o.Fresh {
		if r.set, err = r.repo.newSet(ctx, r.server.Now(), sets); err != nil {
			return err
		}
	} else {
		r.set = sets[len(sets)-1]
	}
	r.seal, err = r.repo.set(ctx, r.set)
	return err
}

// look finds out what the target has, and reads what the last point of the set has.
// It is done at first, and after each failure.
func (r *Run) look(ctx context.Context) (err error) {
	// A target that is not mounted any more has nothing, and would be given everything.
	if err := r.lease.check(ctx); err != nil {
		return err
	}
	if r.packs, err = extents(ctx, r.repo.Target, packsPrefix); err != nil {
		return err
	}
	if r.o.Again {
		r.before, r.packs, r.spared = r.packs, map[string][]extent{}, map[string]bool{}
	}
	if err := r.lookInSet(ctx); err != nil {
		return err
	}
	r.state = table{}
	if r.last.Number > 0 {
		if err := r.load(ctx); err != nil {
			return fmt.Errorf("what the last point of the backup has: %w", err)
		}
	}
	if r.pages != nil && r.state.count() == 0 { // all pages are needed
		r.pages.Close()
		r.pages = nil
	}
	if r.pages == nil {
		r.pages, err = r.server.Pages()
	}
	return err
}

// forget removes the extents that were stored again otherwise. What is beyond the pack's
// end here stays: another copy of the server wrote it. So does what is stored of packs that
// are damaged here: it may be all there is.
func (r *Run) forget(ctx context.Context) error {
	r.o.Again = false
	for pack, old := range r.before {
		if r.spared[pack] {
			continue
		}
		stored := r.packs[pack]
		_, end := tile(stored)
		for _, e := range old {
			if e.end() > end || slices.Contains(stored, e) {
				continue
			}
			if err := r.repo.Target.Delete(ctx, e.name()); err != nil {
				return err
			}
		}
	}
	r.before, r.spared = nil, nil
	return nil
}

func (r *Run) lookInSet(ctx context.Context) error {
	r.last, r.objects = Point{}, map[string]bool{}
	return each(ctx, r.repo.Target, setsPrefix+r.set+"/", func(o Object) error {
		if p, ok := parsePoint(o.Name); ok {
			if p.Number > r.last.Number {
				r.last = p
			}
			return nil
		}
		r.objects[o.Name] = true
		return nil
	})
}

// Point makes one point: everything that the server has at one commit. When it fails it
// can be called again, and goes on with what is there.
func (r *Run) Point(ctx context.Context) (Result, error) {
	began := r.server.Now()
	if !r.looked {
		if err := r.look(ctx); err != nil {
			return Result{}, err
		}
	}
	r.looked = false
	p := &making{Run: r, m: &Manifest{Format: manifestFormat, Version: r.server.Version, Host: r.server.Holder, Config: r.server.Config, Clock: r.server.Clock.read()}}
	point, err := p.make(ctx)
	r.looked = err == nil
	if err == nil && r.o.Again {
		err = r.forget(ctx)
	}
	slices.Sort(p.damaged)
	p.damaged = slices.Compact(p.damaged) // where two extents begin at one place
	return Result{Point: point, Sent: p.m.Sent, Took: r.server.Now().Sub(began), Damaged: p.damaged}, err
}

// load reads what the last point has. A damaged point is no reason to make none: then
// everything counts as changed.
func (r *Run) load(ctx context.Context) error {
	m, err := r.repo.Manifest(ctx, r.last)
	if err == nil {
		err = r.state.load(ctx, r.repo, r.set, m)
	}
	if mail.KindOf(err) == mail.Corrupt {
		r.server.Log.WarnContext(ctx, "backup: the last point is damaged, so that the whole database is copied", "target", r.repo.Target.String(), "err", err)
		r.state = table{}
		clear(r.objects) // what is there may be damaged too
		return nil
	}
	return err
}

// making is one point on its way.
type making struct {
	*Run
	m       *Manifest
	damaged []string
}

func (p *making) make(ctx context.Context) (Point, error) {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	held := newHolding(p.server.Blobs.Hold(), stop)
	defer held.done()
	p.up = newUploads(ctx, p.Run)
	p.up.moved = held.move
	point, err := p.settle(p.up.ctx)
	if err == nil {
		err = p.copyPacks(p.up.ctx)
	}
	// Before the point, all that it names.
	if err := errors.Join(p.up.wait(), err, held.lost()); err != nil {
		return Point{}, firstCause(err)
	}
	p.m.Sent = p.up.sent
	if err := p.describe(); err != nil {
		return Point{}, err
	}
	if err := errors.Join(held.lost(), p.lease.check(ctx)); err != nil {
		return Point{}, firstCause(err)
	}
	n, err := p.seal.put(ctx, p.repo.Target, point.Name(), p.m.encode())
	if err != nil {
		return Point{}, err
	}
	p.m.Sent.Objects++
	p.m.Sent.Bytes += n
	p.pages.Kept()
	p.last = point
	if p.sweep != nil {
		p.sweep.made = append(p.sweep.made, point)
	}
	return point, nil
}

// firstCause leaves out that the rest was stopped because of it.
func firstCause(err error) error {
	joined, ok := err.(interface{ Unwrap() []error })
	if !ok {
		return err
	}
	for _, e := range joined.Unwrap() {
		if !errors.Is(e, context.Canceled) {
			return e
		}
	}
	return err
}

// describe adds what is small.
func (p *making) describe() error {
	keyFile, err := p.server.KeyFile()
	if err != nil {
		return err
	}
	p.m.KeyFile = string(keyFile)
	if p.server.Files != nil {
		if p.m.Files, err = p.server.Files(); err != nil {
			return err
		}
	}
	if p.last.Number > 0 {
		p.m.Parent = p.last.Name()
	}
	return p.m.check()
}

// uploads stores objects, some at a time.
type uploads struct {
	r     *Run
	ctx   context.Context // ends when one of them fails
	group *errgroup.Group
	moved func() // is called when something got on

	mu   sync.Mutex // guards what is below
	sent Sent
	at   Progress
}

// uploadsAtOnce is how many objects are on their way at a time: as many segments lie
// in memory.
const uploadsAtOnce = 4

func newUploads(ctx context.Context, r *Run) *uploads {
	u := &uploads{r: r, moved: func() {}}
	u.group, u.ctx = errgroup.WithContext(ctx)
	u.group.SetLimit(uploadsAtOnce)
	return u
}

func (u *uploads) wait() error { return u.group.Wait() }

// sealed stores content under a name in the set, unless it is there already.
func (u *uploads) sealed(name string, content []byte, pages int) {
	if u.r.objects[name] {
		u.count(func(s *Sent) { s.Found++; s.Pages += pages })
		return
	}
	u.r.objects[name] = true
	u.group.Go(func() error {
		b := u.r.seal.seal(name, content)
		return u.put(name, bytes.NewReader(b), int64(len(b)), func(s *Sent) {
			s.PageBytes += int64(len(b))
			s.Pages += pages
		})
	})
}

// put stores an object and counts it.
func (u *uploads) put(name string, r io.ReadSeeker, size int64, also func(*Sent)) error {
	if err := u.r.lease.keep(u.ctx); err != nil {
		return err
	}
	if err := u.r.repo.Target.Put(u.ctx, name, r, size); err != nil {
		return err
	}
	u.count(func(s *Sent) {
		s.Objects++
		s.Bytes += size
		also(s)
	})
	return nil
}

func (u *uploads) count(add func(*Sent)) {
	u.mu.Lock()
	defer u.mu.Unlock()
	add(&u.sent)
	u.at.Sent = u.sent
	u.tell()
}

// reached says how far the run is.
func (u *uploads) reached(stage string, more, total int64) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.at.Stage != stage {
		u.at.Stage, u.at.Done = stage, 0
	}
	u.at.Done += more
	u.at.Total = total
	u.tell()
}

func (u *uploads) tell() {
	u.moved()
	if u.r.o.Progress != nil {
		u.r.o.Progress(u.at)
	}
}
