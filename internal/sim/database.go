package sim

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strconv"

	"lockstep/internal/store/sqlstore"
)

// Home is where a simulated server keeps what it has.
type Home struct {
	Dir string
	// Postgres is the URL of a database without accounts; "" keeps the store in a file.
	Postgres string
}

// A database is what the house's store lies in, life after life.
type database interface {
	// open opens what the last life left.
	open(ctx context.Context, o sqlstore.Options) (*sqlstore.DB, error)
	// die is called at the moment of a kill: what is there now is all that the next
	// life has.
	die() error
	// bury is called when nothing of the killed life moves any more.
	bury() error
	// copy keeps a copy of what is there now.
	copy(ctx context.Context) error
	// putBack puts the copy in place, after a kill.
	putBack(ctx context.Context) error
}

// A severer is a database that can be lost between a question and its answer, while
// the server lives on.
type severer interface {
	// sever breaks the connection of the next transaction of an account, as it is about
	// to commit: before the database heard of it, or when it has committed and the answer
	// is on its way. stop takes that back.
	sever(committed bool) (stop func())
	// hangUp breaks all connections.
	hangUp()
}

// files are a database of SQLite. Each life has it in a directory of its own, since
// the one before still has its files open when it is killed.
type files struct {
	dir  string
	life int
}

const (
	databaseFile = "lockstep.db"
	logFile      = databaseFile + "-wal"
	markFile     = "mark"
)

func (f *files) home(life int) string { return filepath.Join(f.dir, "life"+strconv.Itoa(life)) }

// path is where the file lies in this life.
func (f *files) path() string { return filepath.Join(f.home(f.life), databaseFile) }

// sameFile names the database's file: each life has it elsewhere.
func sameFile(string) string { return "the database" }

func (f *files) open(ctx context.Context, o sqlstore.Options) (*sqlstore.DB, error) {
	home := f.home(f.life)
	if err := os.MkdirAll(home, 0o700); err != nil {
		return nil, err
	}
	o.Mark, o.Identity = filepath.Join(home, markFile), sameFile
	return sqlstore.Open(ctx, f.path(), o)
}

func (f *files) die() error {
	to := f.home(f.life + 1)
	errs := []error{os.MkdirAll(to, 0o700)}
	for _, file := range []string{markFile, databaseFile, logFile} {
		errs = append(errs, copyFile(filepath.Join(to, file), filepath.Join(f.home(f.life), file)))
	}
	return errors.Join(errs...)
}

func (f *files) bury() error {
	old := f.home(f.life)
	f.life++
	return os.RemoveAll(old)
}

func (f *files) copy(context.Context) error {
	var errs []error
	for _, file := range []string{databaseFile, logFile} {
		errs = append(errs, copyFile(filepath.Join(f.dir, "copy-"+file), filepath.Join(f.home(f.life), file)))
	}
	return errors.Join(errs...)
}

func (f *files) putBack(context.Context) error {
	for _, file := range []string{databaseFile, logFile} {
		if err := copyFile(filepath.Join(f.home(f.life+1), file), filepath.Join(f.dir, "copy-"+file)); err != nil {
			return err
		}
	}
	return nil
}

func copyFile(to, from string) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.Create(to)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	return errors.Join(err, out.Close())
}
