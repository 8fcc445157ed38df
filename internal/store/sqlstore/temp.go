package sqlstore

import (
	"context"
	"path/filepath"
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
func OpenTemp(t T) *DB {
	db, err := Open(context.Background(), filepath.Join(t.TempDir(), "lockstep.db"), Options{RunTwice: true})
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
