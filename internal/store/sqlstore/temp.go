package sqlstore

import (
	"context"
	"os"
	"path/filepath"
	"sync"
)

// T is what OpenTemp needs of a test.
type T interface {
	TempDir() string
	Cleanup(func())
	Fatal(...any)
	Error(...any)
}

// OpenTemp opens an empty database that goes with the test, and runs every
// closure twice.
func OpenTemp(t T) *DB { return OpenTempWith(t, Options{RunTwice: true}) }

// OpenTempWith is OpenTemp with other options.
func OpenTempWith(t T, o Options) *DB {
	path := filepath.Join(t.TempDir(), "lockstep.db")
	empty, err := emptyDatabase()
	if err == nil {
		err = os.WriteFile(path, empty, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	db, err := Open(context.Background(), path, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	return db
}

// emptyDatabase is made once for all tests: the migrations take longer than most
// of them.
var emptyDatabase = sync.OnceValues(func() ([]byte, error) {
	dir, err := os.MkdirTemp("", "lockstep")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "lockstep.db")
	db, err := Open(context.Background(), path, Options{})
	if err != nil {
		return nil, err
	}
	if err := db.Close(); err != nil {
		return nil, err
	}
	return os.ReadFile(path)
})
