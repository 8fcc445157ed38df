package backup

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"lockstep/internal/blob"
	"lockstep/internal/mail"
	"lockstep/internal/vfs"
)

// What lies in the directory of a standby beside packs, key file and configuration. The
// first of them is made first and removed last: a directory that has it is nobody's to
// serve.
const (
	StandbyMark     = "standby"
	standbyDatabase = "standby.db"
	redoFile        = "standby.redo"
)

// StandbyOptions say how a standby is kept.
type StandbyOptions struct {
	RestoreOptions
	From string // the target, as an operator writes it
	Log  *slog.Logger
}

// A Standby is a directory that follows a backup: the database and the packs as of a
// point, ready to be served but for a name. What a newer point changes is written down
// first, and then done: so the database is always that of one point, wherever the process
// is killed. One process at a time uses it, and of that one goroutine.
type Standby struct {
	dir   string
	o     StandbyOptions
	lock  io.Closer
	rows  func(ctx context.Context, database, prefix string, fn func(mail.Blob) error) error
	state standbyState
	pages table    // of the database's file
	file  vfs.File // the database; nil before the first point
}

// standbyState is what StandbyMark says.
type standbyState struct {
	Format   int       `json:"format"`
	From     string    `json:"from"` // the target
	Backup   string    `json:"backup,omitempty"`
	Point    string    `json:"point,omitempty"` // "": the first is on its way
	At       time.Time `json:"at,omitzero"`     // until when it is the server
	Manifest *Manifest `json:"manifest,omitempty"`
	// Promoting says that it is becoming a server, and follows nobody any more.
	Promoting bool `json:"promoting,omitempty"`
}

const standbyFormat = 1

// maxStandbyMark bounds what is read of it: a manifest, mostly.
const maxStandbyMark = maxContent

// IsStandby says whether a directory is a standby's.
func IsStandby(fsys vfs.FS, dir string) bool {
	_, err := fsys.Stat(filepath.Join(dir, StandbyMark))
	return err == nil
}

// OpenStandby takes a directory that is new or empty, or a standby's. It ends what a
// process that was killed had begun, and reads the whole database.
func OpenStandby(dir string, o StandbyOptions) (_ *Standby, err error) {
	if o.FS == nil {
		o.FS = vfs.OS{}
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	o.Layout.Database = standbyDatabase
	s := &Standby{dir: dir, o: o, rows: o.Rows}
	s.o.Rows = noRows
	if err := s.begin(); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.Close())
		}
	}()
	if s.state.Point == "" {
		return s, nil
	}
	return s, s.openDatabase()
}

// noRows lets the packs come without keys.
func noRows(context.Context, string, string, func(mail.Blob) error) error { return nil }

// Close lets the directory go.
func (s *Standby) Close() error {
	var err error
	if s.file != nil {
		err = s.file.Close()
		s.file = nil
	}
	return errors.Join(err, s.lock.Close())
}

// Target is where it was told to follow; "" before it was.
func (s *Standby) Target() string { return s.state.From }

// At is until when the directory is the server that it follows; zero: it has no whole
// point yet.
func (s *Standby) At() time.Time { return s.state.At }

func (s *Standby) path(name ...string) string {
	return filepath.Join(append([]string{s.dir}, name...)...)
}

// begin takes the directory, and marks it before anything else is made there.
func (s *Standby) begin() (err error) {
	if err := s.o.FS.MkdirAll(s.dir); err != nil {
		return err
	}
	if err := s.o.FS.SyncDir(filepath.Dir(filepath.Clean(s.dir))); err != nil {
		return err
	}
	found, err := s.readState()
	if err != nil {
		return err
	}
	if !found {
		if err := s.mustBeEmpty(); err != nil {
			return err
		}
	}
	if s.lock, err = s.o.FS.Lock(s.path(s.o.Layout.Lock)); err != nil {
		return fmt.Errorf("%s is in use: %w", s.dir, err)
	}
	switch {
	case !found:
		s.state = standbyState{Format: standbyFormat, From: s.o.From}
		err = s.writeState()
	case s.o.From != "" && s.state.From != s.o.From:
		s.state.From = s.o.From // moved, or named otherwise: its id tells whether it is the same
		err = s.writeState()
	}
	if err != nil {
		return errors.Join(err, s.lock.Close())
	}
	return nil
}

func (s *Standby) mustBeEmpty() error {
	files, err := s.o.FS.ReadDir(s.dir)
	if err != nil {
		return err
	}
	dirs, err := s.o.FS.Dirs(s.dir)
	if err != nil {
		return err
	}
	for _, f := range files {
		dirs = append(dirs, f.Name)
	}
	for _, name := range dirs {
		if name != s.o.Layout.Lock && name != part(StandbyMark) {
			return mail.Errorf(mail.Conflict, "%s is no standby, and not empty (it holds %s): nothing there is written over. Name a new directory", s.dir, name)
		}
	}
	return nil
}

func (s *Standby) readState() (found bool, err error) {
	f, err := s.o.FS.Open(s.path(StandbyMark))
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	b, err := io.ReadAll(io.NewSectionReader(f, 0, maxStandbyMark))
	if err := errors.Join(err, f.Close()); err != nil {
		return false, err
	}
	s.state, err = parseStandby(b)
	if err != nil {
		return false, fmt.Errorf("%s: %w", s.path(StandbyMark), err)
	}
	return true, nil
}

func parseStandby(b []byte) (s standbyState, err error) {
	err = json.Unmarshal(b, &s)
	switch {
	case err == nil && s.Format > standbyFormat:
		return s, errors.New("it was made by a later Lockstep: use that one")
	case err == nil && s.Point != "" && s.Manifest == nil:
		err = errors.New("it names a point and not what it is")
	case err == nil && s.Manifest != nil:
		err = s.Manifest.check()
	}
	if err != nil {
		return s, fmt.Errorf("it is damaged (%w): empty the directory, and begin the standby anew", err)
	}
	return s, nil
}

func (s *Standby) writeState() error {
	b, err := json.Marshal(s.state)
	if err != nil {
		return err
	}
	return s.restoring(nil, Point{}).write(StandbyMark, append(b, '\n'))
}

// restoring is a restore into this directory, of which single steps are used.
func (s *Standby) restoring(r *Repo, p Point) *restoring {
	return &restoring{r: r, p: p, m: s.state.Manifest, dir: s.dir, o: s.o.RestoreOptions}
}

// openDatabase opens the database, once what was written down is done.
func (s *Standby) openDatabase() (err error) {
	if s.file, err = s.o.FS.Change(s.path(standbyDatabase)); errors.Is(err, fs.ErrNotExist) {
		return s.promoted()
	} else if err != nil {
		return err
	}
	next, found, err := s.redo()
	if err != nil {
		return err
	}
	if found {
		s.state = *next
		if err := s.writeState(); err != nil {
			return err
		}
		if err := s.forgetRedo(); err != nil {
			return err
		}
	}
	return s.hashPages()
}

// promoted says what it means that the database is gone: its promotion was cut.
func (s *Standby) promoted() error {
	return mail.Errorf(mail.Conflict, "%s is being promoted: end that with lockstep promote --data %s", s.dir, s.dir)
}

// hashPages reads the whole database.
func (s *Standby) hashPages() error {
	size := s.state.Manifest.PageSize
	buf := make([]byte, size*segmentPages(size))
	s.pages = table{}
	for pgno := uint32(1); pgno <= s.state.Manifest.Pages; {
		n, err := s.file.ReadAt(buf, int64(pgno-1)*int64(size))
		if err != nil && err != io.EOF {
			return err
		}
		if n < size {
			break // what is missing is fetched
		}
		for page := range slices.Chunk(buf[:n/size*size], size) {
			if pgno <= s.state.Manifest.Pages {
				s.pages.set(pgno, hashPage(page), 0)
			}
			pgno++
		}
	}
	return nil
}

// Synced says what a Sync brought.
type Synced struct {
	Point Point
	At    time.Time // until when the directory is the server
	New   bool      // there was something new
	Pages int       // of the database that changed
	Bytes int64     // fetched
	// Lost are messages and parts that the backup has not whole, counted.
	Lost int
}

// Sync brings the directory to the newest point of a backup. When it fails or is cut it
// can be called again; the directory is that of a whole point, the one before or the new
// one.
func (s *Standby) Sync(ctx context.Context, r *Repo) (Synced, error) {
	if s.state.Backup != "" && s.state.Backup != r.ID() {
		return Synced{}, mail.Errorf(mail.Conflict, "%s follows another backup than the one in %s: name a new directory for this one", s.dir, r.Target)
	}
	if s.state.Promoting {
		return Synced{}, s.promoted()
	}
	n, err := r.Latest(ctx)
	if err != nil {
		return Synced{}, err
	}
	if n.Point.Name() == s.state.Point {
		s.state.At = n.At // of no account when it is not written down
		return Synced{Point: n.Point, At: n.At}, nil
	}
	m, err := r.Manifest(ctx, n.Point)
	if err != nil {
		return Synced{}, err
	}
	next := standbyState{Format: standbyFormat, From: s.state.From, Backup: r.ID(), Point: n.Point.Name(), At: n.At, Manifest: m}
	step := &standbyStep{Standby: s, repo: r, point: n.Point, next: &next}
	if s.file == nil || m.Pages < s.state.Manifest.Pages || m.PageSize != s.state.Manifest.PageSize {
		err = step.first(ctx)
	} else {
		err = step.again(ctx)
	}
	return Synced{Point: n.Point, At: n.At, New: true, Pages: step.changed, Bytes: step.bytes, Lost: step.lost}, err
}

// standbyStep is one Sync that brings something.
type standbyStep struct {
	*Standby
	repo    *Repo
	point   Point
	next    *standbyState
	changed int
	bytes   int64
	lost    int
}

// first brings everything, as a restore does: also where an earlier one was cut. A
// database that has become smaller, which they never do, is brought as a whole too.
func (st *standbyStep) first(ctx context.Context) error {
	if st.file != nil {
		if err := st.file.Close(); err != nil {
			return err
		}
		st.file, st.state.Point = nil, ""
		if err := st.writeState(); err != nil {
			return err
		}
	}
	t := st.restoring(st.repo, st.point)
	t.m = st.next.Manifest
	if err := st.useWhatIsThere(t.m); err != nil {
		return err
	}
	if err := t.database(ctx); err != nil {
		return err
	}
	if err := t.packs(ctx); err != nil {
		return err
	}
	if err := t.install(part(t.path(standbyDatabase)), t.path(standbyDatabase)); err != nil {
		return err
	}
	st.changed, st.bytes, st.lost = int(t.m.Pages), t.done.Bytes, t.done.LostCount
	if err := st.smallFiles(t.m); err != nil {
		return err
	}
	st.state = *st.next
	if err := st.writeState(); err != nil {
		return err
	}
	return st.openDatabase()
}

// useWhatIsThere gives a database that is of no point, or of an earlier one, the name of
// one that is on its way: pages that it has need not be fetched. One that is too long is
// of no use, as it can't be cut.
func (st *standbyStep) useWhatIsThere(m *Manifest) error {
	file, wanted := st.path(standbyDatabase), int64(m.Pages)*int64(m.PageSize)
	err := st.o.FS.Rename(file, part(file))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	info, err := st.o.FS.Stat(part(file))
	switch {
	case errors.Is(err, fs.ErrNotExist), err == nil && info.Size <= wanted:
		return nil
	case err != nil:
		return err
	}
	return st.o.FS.Remove(part(file))
}

// again brings what changed: the packs first, as what the rows name has to be there; then
// the pages, all or none.
func (st *standbyStep) again(ctx context.Context) error {
	if err := st.packs(ctx); err != nil {
		return err
	}
	if err := st.database(ctx); err != nil {
		return err
	}
	if err := st.smallFiles(st.state.Manifest); err != nil {
		return err
	}
	return st.dropPacks()
}

// smallFiles writes what is small, where it changed.
func (st *standbyStep) smallFiles(m *Manifest) error {
	t := st.restoring(st.repo, st.point)
	t.m = m
	small := map[string][]byte{st.o.Layout.KeyFile: t.keyFile()}
	if m.Config != "" {
		small[st.o.Layout.Config] = []byte(m.Config)
	}
	for name, content := range m.Files {
		small[name] = content
	}
	for name, content := range small {
		if had, err := readFile(st.o.FS, st.path(name)); err == nil && slices.Equal(had, content) {
			continue
		}
		if err := t.write(name, content); err != nil {
			return err
		}
	}
	return nil
}

// dropPacks removes packs that the server has no more.
func (st *standbyStep) dropPacks() error {
	files, err := st.o.FS.ReadDir(st.path(st.o.Layout.Packs))
	if err != nil {
		return err
	}
	for _, f := range files {
		pack, isPackFile := strings.CutSuffix(f.Name, blob.PackSuffix)
		known := slices.ContainsFunc(st.state.Manifest.Packs, func(k Pack) bool { return k.Pack == pack })
		if !isPackFile || !isPack(pack) || known {
			continue
		}
		if err := st.o.FS.Remove(st.path(st.o.Layout.Packs, f.Name)); err != nil {
			return err
		}
	}
	return nil
}

// Promoting says that a promotion was begun: then it has to be ended.
func (s *Standby) Promoting() bool { return s.state.Promoting }

// Promote makes the directory a server's: the keys go into the packs, and the database gets
// its name. Whoever opens it runs the rule for databases that were copied. It returns how
// many messages and parts are not whole. A promotion that was cut is ended by calling it
// again. The Standby is closed then. It takes some ten seconds for a million messages.
func (s *Standby) Promote(ctx context.Context, database string) (lost int, err error) {
	if s.state.Point == "" {
		return 0, mail.Errorf(mail.Conflict, "%s has no whole point yet: there is nothing to promote. Restore from the backup: lockstep restore --from %s", s.dir, s.state.From)
	}
	if !s.state.Promoting {
		s.state.Promoting = true
		if err := s.writeState(); err != nil {
			return 0, err
		}
	}
	if lost, err = s.refill(ctx); err != nil {
		return lost, err
	}
	return lost, s.rename(database)
}

// rename gives the database its name.
func (s *Standby) rename(database string) error {
	if err := s.isFree(database); err != nil {
		return err
	}
	if err := s.file.Close(); err != nil {
		return err
	}
	s.file = nil
	if err := s.o.FS.Rename(s.path(standbyDatabase), s.path(database)); err != nil {
		return err
	}
	// A promotion that lost its power may have left both names, of one file.
	if err := s.o.FS.Remove(s.path(standbyDatabase)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return errors.Join(s.unmark(), s.Close())
}

// isFree refuses to write over a database that is another than the standby's.
func (s *Standby) isFree(database string) error {
	has, err := s.o.FS.Stat(s.path(database))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if own, err := s.o.FS.Stat(s.path(standbyDatabase)); err != nil || own.Size != has.Size {
		return errors.Join(err, mail.Errorf(mail.Conflict, "%s holds a %s that is not the standby's: take it away first", s.dir, database))
	}
	return nil
}

// EndPromotion ends a promotion that was cut, and says whether there was one.
func EndPromotion(dir, database string, o StandbyOptions) (found bool, err error) {
	if o.FS == nil {
		o.FS = vfs.OS{}
	}
	s := &Standby{dir: dir, o: o}
	marked, err := s.readState()
	if err != nil || !marked || s.state.Point == "" {
		return false, err
	}
	if _, err := o.FS.Stat(s.path(standbyDatabase)); !errors.Is(err, fs.ErrNotExist) {
		return false, err
	}
	if _, err := o.FS.Stat(s.path(database)); err != nil {
		return false, &mail.Error{Kind: mail.Corrupt, Detail: fmt.Sprintf("the database of the standby %s is gone: restore from the backup instead, into a new directory: lockstep restore --from %s", dir, s.state.From), Err: err}
	}
	if s.lock, err = o.FS.Lock(s.path(o.Layout.Lock)); err != nil {
		return false, fmt.Errorf("%s is in use: %w", dir, err)
	}
	return true, errors.Join(s.unmark(), s.Close())
}

func (s *Standby) unmark() error {
	if err := s.o.FS.SyncDir(s.dir); err != nil { // the database's name, before the mark goes
		return err
	}
	if err := s.o.FS.Remove(s.path(StandbyMark)); err != nil {
		return err
	}
	return s.o.FS.SyncDir(s.dir)
}

// WriterGone is after how long a silent writer seems to be gone: it says every leaseBeat
// that it is there.
const WriterGone = 3 * leaseBeat

// Writer says who has the lease of the target, and when it last said that it is there,
// by its own clock; "" if nobody has.
func (r *Repo) Writer(ctx context.Context) (holder string, last time.Time, err error) {
	text, err := readLease(ctx, r.Target)
	if err != nil || text == nil || time.Now().After(text.Until) {
		return "", last, err
	}
	n, _, err := r.readNewest(ctx)
	if text.Seen.After(n.At) {
		n.At = text.Seen
	}
	return text.Holder, n.At, err
}

// TakeOver takes the lease, whoever has it: what that one writes afterwards fails, now and
// whenever it comes back (see claim). The server of this holder takes it up. A sign of the other's that comes in between is no
// reason to give up.
func (r *Repo) TakeOver(ctx context.Context, holder string) error {
	if err := putClaim(ctx, r.Target, holder, time.Now()); err != nil {
		return err
	}
	l := &lease{t: r.Target, now: time.Now, text: leaseText{Holder: holder, Doing: "taking over", Nonce: rand.Text()}}
	for {
		put, err := unlessChanged(ctx, r.Target, leaseName)
		if err != nil {
			return err
		}
		err = put(ctx, l.renewed())
		if mail.KindOf(err) != mail.Conflict || ctx.Err() != nil {
			return err
		}
	}
}
