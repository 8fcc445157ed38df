package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"lockstep/internal/admin"
	"lockstep/internal/config"
	"lockstep/internal/migrate"
	"lockstep/internal/store/sqlstore"
	"lockstep/internal/vfs"
)

type migrateCommand struct {
	Accounts migrateAccounts `cmd:"" default:"withargs" help:"Move all accounts to another database: to PostgreSQL, back into a data directory, or between two of a kind."`
	Blobs    migrateBlobs    `cmd:"" help:"Move all mail from packs of the data directory into a bucket, with the server stopped."`
}

type migrateAccounts struct {
	From   string `help:"Where the accounts are. Default: what the configuration says." placeholder:"DIR|postgres://…"`
	To     string `help:"Where they are to be." placeholder:"DIR|postgres://…"`
	Verify bool   `help:"Move nothing: read everything on both sides, and say whether it is the same."`
	Undo   bool   `help:"Let --from be served again though its accounts have moved elsewhere. What came since lies there only."`
}

// Help is what --help says below the flags.
func (*migrateAccounts) Help() string {
	return `Every row goes over as it is, with all UIDs, UIDVALIDITYs, ModSeqs and the positions of devices: no device takes anything new.
The server goes on meanwhile. When little is left to do, changes are refused for a moment ("try again"): of a data directory the
server is drained and ends, nodes on PostgreSQL go on reading. The last of it is brought over, each row is compared on both
sides, and only then is the source marked, so that it is not served any more, and the target opened. Cut short at any moment, the source serves on; the same command
goes on where it was.

The mail itself (packs, or the bucket of cluster.blobs) stays where it is when the target is PostgreSQL, or the data directory of the configuration; the packs and the key are
copied when it is another directory; lockstep migrate blobs moves packs into a bucket. A password is best kept out of arguments: cluster.password_file, or ~/.pgpass.`
}

func (m *migrateAccounts) Run(ctx context.Context, g *globals) (err error) {
	cfg, err := g.load()
	if err != nil {
		return err
	}
	move := &moving{cfg: cfg, from: m.From, to: m.To, line: &statusLine{}}
	defer func() {
		move.line.clear()
		err = errors.Join(err, move.close())
	}()
	if move.from == "" {
		move.from = cfg.Data
		if cfg.Cluster.Database != "" {
			move.from = cfg.Cluster.Database
		}
	}
	if m.Undo {
		return move.undo(ctx)
	}
	if m.To == "" {
		return errors.New("--to says where the accounts are to be: a directory, or postgres://USER@HOST/DATABASE")
	}
	if m.Verify {
		return move.verify(ctx)
	}
	return move.run(ctx)
}

// moving is a migration from the command line.
type moving struct {
	cfg      config.Config
	from, to string
	line     *statusLine
	closers  []func() error
	lock     io.Closer // of the source's directory; nil while a server runs in it
	source   *sqlstore.Side
	target   *sqlstore.Side
}

func (m *moving) close() error {
	var errs []error
	for i := len(m.closers) - 1; i >= 0; i-- {
		errs = append(errs, m.closers[i]())
	}
	return errors.Join(errs...)
}

// options are those of a database that has no password in its URL.
func (m *moving) options() (o sqlstore.Options, err error) {
	o.Program = version
	if file := m.cfg.Cluster.PasswordFile; file != "" {
		line, err := os.ReadFile(file)
		if err != nil {
			return o, fmt.Errorf("cluster.password_file: %w", err)
		}
		o.Password = strings.TrimRight(string(line), "\r\n")
	}
	return o, nil
}

// database is the database at a place.
func database(where string) string {
	if sqlstore.IsPostgres(where) {
		return where
	}
	return filepath.Join(where, databaseFile)
}

// placeName is a place as people see it.
func placeName(where string) string {
	if sqlstore.IsPostgres(where) {
		return sqlstore.PostgresName(where)
	}
	if path, err := filepath.Abs(where); err == nil {
		return path
	}
	return where
}

func (m *moving) openSource(ctx context.Context, where string) (*sqlstore.Side, error) {
	o, err := m.options()
	if err != nil {
		return nil, err
	}
	if !sqlstore.IsPostgres(where) {
		if err := mustExist(where); err != nil {
			return nil, err
		}
	}
	s, err := sqlstore.OpenSource(ctx, database(where), o)
	if err == nil {
		m.closers = append(m.closers, func() error { s.Close(); return nil })
	}
	return s, err
}

// verify compares both sides.
func (m *moving) verify(ctx context.Context) error {
	from, err := m.openSource(ctx, m.from)
	if err != nil {
		return err
	}
	to, err := m.openSource(ctx, m.to)
	if err != nil {
		return err
	}
	v, err := migrate.Verify(ctx, from, to, m.line.throttledMove(func(p migrate.Progress) string {
		return fmt.Sprintf("read %s of %d", inWords(p.Accounts, "account"), p.Of)
	}))
	m.line.clear()
	if err != nil {
		return err
	}
	t := newTable("TABLE", "FROM", "TO", "")
	for _, l := range v.Lines {
		word := "the same"
		if !l.Same {
			word = "DIFFERS"
		}
		t.row(l.Table, l.From, l.To, word)
	}
	if err := t.print(os.Stdout); err != nil {
		return err
	}
	switch {
	case v.Same():
		fmt.Printf("%s: each row is the same on both sides.\n", inWords(v.Accounts, "account"))
		return nil
	case len(v.Wrong) > 0:
		return fmt.Errorf("%s as far along on both sides, and not the same: the first is %d", inWords(len(v.Wrong), "account"), v.Wrong[0])
	}
	return fmt.Errorf("the sides are not the same: of %d, one side changed %d since", v.Accounts, len(v.Moved))
}

// undo lets the source be served again.
func (m *moving) undo(ctx context.Context) error {
	if !sqlstore.IsPostgres(m.from) {
		if err := m.takeLock(); err != nil {
			return err
		}
	}
	s, err := m.openSource(ctx, m.from)
	if err != nil {
		return err
	}
	was, err := s.Moving(ctx)
	if err != nil {
		return err
	}
	if was.State != sqlstore.Gone {
		return fmt.Errorf("the accounts of %s have not moved: there is nothing to undo", placeName(m.from))
	}
	if err := s.SetMoving(ctx, sqlstore.Moving{}, 0); err != nil {
		return err
	}
	fmt.Printf("%s can be served again, as it was when the accounts moved. Serve %s no more: what came there since is not here.\n", placeName(m.from), was.Peer)
	return nil
}

// takeLock takes the lock of the source's directory.
func (m *moving) takeLock() error {
	lock, err := vfs.OS{}.Lock(filepath.Join(m.from, lockFile))
	if err != nil {
		return fmt.Errorf("data directory %s %w by a server: %v", m.from, errInUse, err)
	}
	m.lock = lock
	m.closers = append(m.closers, lock.Close)
	return nil
}

func (m *moving) run(ctx context.Context) (err error) {
	if m.source, err = m.openSource(ctx, m.from); err != nil {
		return err
	}
	if err := m.openTarget(ctx); err != nil {
		return err
	}
	job := &migrate.Job{
		From: m.source, To: m.target, FromName: placeName(m.from), ToName: placeName(m.to), Tell: m.line.throttledMove(movingText),
	}
	if sqlstore.IsPostgres(m.from) {
		job.Freeze = func(ctx context.Context) (migrate.Frozen, error) {
			f, err := m.source.Freeze(ctx, func() int64 { return time.Now().UnixMicro() })
			if err != nil {
				return nil, err
			}
			return f, m.copyPacks(ctx)
		}
	} else if err := m.takeLock(); errors.Is(err, errInUse) {
		job.Freeze = m.stopServer
	} else if err != nil {
		return err
	}
	if err := m.copyPacks(ctx); err != nil {
		return err
	}
	report, err := job.Run(ctx)
	m.line.clear()
	if err != nil {
		return err
	}
	return m.say(report)
}

// movingText says how far a migration is.
func movingText(p migrate.Progress) string {
	text := fmt.Sprintf("pass %d: %d of %s, %s", p.Pass, p.Accounts, inWords(p.Of, "account"), bytesText(p.Bytes))
	if left := p.Left(); left > 0 {
		text += fmt.Sprintf(", about %v left", left.Round(time.Second))
	}
	if p.Frozen {
		text += " (nobody can write)"
	}
	return text
}

func (m *moving) say(r migrate.Report) error {
	fmt.Printf("Moved %s: %d rows, %s, in %d passes and %v. All are the same on both sides, row by row. Nobody could write for %v.\n",
		inWords(r.Accounts, "account"), r.Carried.Written, bytesText(r.Carried.Bytes), r.Passes, r.Took.Round(time.Millisecond), r.Frozen.Round(time.Millisecond))
	if sqlstore.IsPostgres(m.to) {
		fmt.Printf("Now set cluster.database = %q, keep the data directory, which has the mail itself and the key, and start the server.\n", placeName(m.to))
	} else {
		fmt.Printf("Now take cluster.database out of the configuration, and start the server: lockstep serve --data %s\n", m.to)
	}
	fmt.Printf("What is at %s stays as it was, and is refused to be served.\n", placeName(m.from))
	return nil
}

// blobDir is the directory with the packs and the key of a place: PostgreSQL has none.
func (m *moving) blobDir(where string) string {
	if sqlstore.IsPostgres(where) {
		return m.cfg.Data
	}
	return where
}

// openTarget makes the target's directory, if it is one, and its database.
func (m *moving) openTarget(ctx context.Context) error {
	o, err := m.options()
	if err != nil {
		return err
	}
	if !sqlstore.IsPostgres(m.to) {
		if err := m.makeDir(); err != nil {
			return err
		}
	}
	if m.target, err = sqlstore.OpenTarget(ctx, database(m.to), o); err != nil {
		return fmt.Errorf("%s: %w", placeName(m.to), err)
	}
	m.closers = append(m.closers, func() error { m.target.Close(); return nil })
	return nil
}

// makeDir makes a directory to move to, and takes its lock. A node that keeps its packs
// there has the lock, and not the database.
func (m *moving) makeDir() error {
	if err := os.MkdirAll(m.to, 0o700); err != nil {
		return err
	}
	if err := mustBeWhole(m.to); err != nil {
		return err
	}
	lock, err := vfs.OS{}.Lock(filepath.Join(m.to, lockFile))
	switch {
	case err == nil:
		m.closers = append(m.closers, lock.Close)
	case !sqlstore.IsPostgres(m.from) || !sameDir(m.to, m.cfg.Data):
		return fmt.Errorf("directory %s %w by a server: %v", m.to, errInUse, err)
	}
	if _, err := os.Stat(database(m.to)); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	// A mark of another database that was here would make this one an older copy.
	if err := os.Remove(filepath.Join(m.to, markFile)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

func sameDir(a, b string) bool {
	x, err := os.Stat(a)
	if err != nil {
		return false
	}
	y, err := os.Stat(b)
	return err == nil && os.SameFile(x, y)
}

// stopServer drains the server of the source's directory and takes its place.
func (m *moving) stopServer(ctx context.Context) (migrate.Frozen, error) {
	held, err := vfs.OS{}.Lock(filepath.Join(m.from, movingFile))
	if err != nil {
		return nil, fmt.Errorf("another lockstep migrate is at work in %s: %w", m.from, err)
	}
	m.closers = append(m.closers, held.Close)
	m.line.clear()
	fmt.Println("Little is left: the server is asked to end.")
	cfg := m.cfg
	cfg.Data = m.from
	c, err := admin.Dial(ctx, cfg.Socket())
	if err == nil {
		err = admin.ClusterDrain.Each(ctx, c, admin.DrainQuestion{Over: 0}, func(admin.Draining) error { return nil })
		c.Close()
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
	}
	if waited := awaitEnd(ctx, cfg); waited != nil {
		return nil, errors.Join(err, waited)
	}
	if err := m.takeLock(); err != nil {
		return nil, err
	}
	return stopped{m}, m.copyPacks(ctx)
}

// movingFile is locked while a server may not start, as its accounts are just moving.
const movingFile = "moving.lock"

// mustNotMove refuses a directory whose accounts are just moving elsewhere.
func mustNotMove(data string) error {
	path := filepath.Join(data, movingFile)
	if _, err := os.Stat(path); err != nil {
		return nil
	}
	lock, err := vfs.OS{}.Lock(path)
	if err != nil {
		return fmt.Errorf("the accounts in data directory %s are just moving elsewhere (lockstep migrate): wait for that, or stop it", data)
	}
	return errors.Join(os.Remove(path), lock.Close())
}

// stopped is a data directory without its server.
type stopped struct{ m *moving }

func (s stopped) Moved(ctx context.Context, to sqlstore.Moving) error {
	return s.m.source.SetMoving(ctx, to, time.Now().UnixMicro())
}

func (s stopped) Thaw() error { return os.Remove(filepath.Join(s.m.from, movingFile)) }

// copyPacks copies the key and the packs to another directory. It is run once while
// they are in use, and again when they are not; what did not change stays.
func (m *moving) copyPacks(ctx context.Context) error {
	from, to := m.blobDir(m.from), m.blobDir(m.to)
	if sqlstore.IsPostgres(m.to) || sameDir(from, to) || m.cfg.Cluster.Blobs != "" {
		return nil
	}
	if err := copyChanged(filepath.Join(from, keyFile), filepath.Join(to, keyFile)); err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Join(to, packDir), 0o700); err != nil {
		return err
	}
	packs, err := filepath.Glob(filepath.Join(from, packDir, "*.pack"))
	if err != nil {
		return err
	}
	there := map[string]bool{}
	for i, pack := range packs {
		if err := ctx.Err(); err != nil {
			return err
		}
		m.line.show(fmt.Sprintf("pack %d of %d", i+1, len(packs)))
		there[filepath.Base(pack)] = true
		if err := copyChanged(pack, filepath.Join(to, packDir, filepath.Base(pack))); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return m.dropPacks(filepath.Join(to, packDir), there)
}

// dropPacks removes what the source has no more.
func (m *moving) dropPacks(dir string, there map[string]bool) error {
	copied, err := filepath.Glob(filepath.Join(dir, "*.pack"))
	for _, pack := range copied {
		if err == nil && !there[filepath.Base(pack)] {
			err = os.Remove(pack)
		}
	}
	if err != nil {
		return err
	}
	return errors.Join(vfs.OS{}.SyncDir(dir), vfs.OS{}.SyncDir(filepath.Dir(dir)))
}

// copyChanged makes a file like another, durably, if its size or its time differ.
func copyChanged(from, to string) (err error) {
	a, err := os.Stat(from)
	if err != nil {
		return err
	}
	if b, err := os.Stat(to); err == nil && b.Size() == a.Size() && b.ModTime().Equal(a.ModTime()) {
		return nil
	}
	r, err := os.Open(from)
	if err != nil {
		return err
	}
	defer r.Close()
	w, err := os.OpenFile(to+".tmp", os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(w, io.LimitReader(r, a.Size()))
	if err = errors.Join(err, w.Sync(), w.Close()); err != nil {
		return err
	}
	if err := os.Chtimes(to+".tmp", a.ModTime(), a.ModTime()); err != nil {
		return err
	}
	return os.Rename(to+".tmp", to)
}

// throttledMove shows what text says, now and then.
func (l *statusLine) throttledMove(text func(migrate.Progress) string) func(migrate.Progress) {
	var last time.Time
	return func(p migrate.Progress) {
		if now := time.Now(); now.Sub(last) > 100*time.Millisecond {
			last = now
			l.show(text(p))
		}
	}
}
