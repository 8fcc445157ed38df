package blob

import (
	"context"
	"time"

	"lockstep/internal/mail"
)

// Index is where the rows of stored blobs are kept. The package's comment says
// what a commit does to them.
//
// A blob is named when a message, an item, a queued delivery or whatever else
// holds blobs names it, or when a row that exists has it among its Parts.
// Every commit that names a blob anew touches its row.
type Index interface {
	// Blob returns the row of name. It finds no condemned ones: who puts a
	// condemned blob writes it again.
	Blob(ctx context.Context, name mail.BlobName) (b mail.Blob, found bool, err error)

	// Rows returns up to limit rows, condemned ones too, whose Place begins with
	// prefix and is greater than after, in order of Place as bytes compare.
	Rows(ctx context.Context, prefix, after string, limit int) ([]mail.Blob, error)

	// Unnamed returns up to limit names greater than after, in order, of rows
	// that nothing names, that are not condemned, and that were last touched
	// before the given time.
	Unnamed(ctx context.Context, touchedBefore time.Time, after mail.BlobName, limit int) ([]mail.BlobName, error)

	// Condemn marks those of names that are not condemned and were not touched
	// since the given time, and returns how many.
	Condemn(ctx context.Context, names []mail.BlobName, touchedBefore time.Time) (int, error)

	// Forget deletes up to limit rows that were condemned before the given time,
	// and returns how many.
	Forget(ctx context.Context, condemnedBefore time.Time, limit int) (int, error)

	// Move sets the place of each row, condemned or not, that still is where the
	// move says it was, in one transaction. It returns how many that were. What lay in a
	// row of the index stays there until DropBytes.
	Move(ctx context.Context, moves []Move) (int, error)

	// Wrapped returns how many rows, condemned or not, have their keys wrapped by which
	// key: the first four bytes of Key, big-endian; rows without a key count for 0.
	Wrapped(ctx context.Context) (map[uint32]int64, error)

	// Rewrap sets the key of each row, condemned or not, that still is what the change
	// says it was, in one transaction. It returns how many that were.
	Rewrap(ctx context.Context, changes []Rewrap) (int, error)

	// Family returns the names, and those of all the parts that they are put together
	// from, whole ones before their parts; also of condemned rows, each once.
	Family(ctx context.Context, names []mail.BlobName) ([]mail.BlobName, error)

	// Erase deletes the rows, condemned or not, of those of names that nothing names, in
	// the order given: a whole that goes names its parts no more. It returns which of
	// names have no row then. From then on a commit with a fresh handle that says one of
	// the places is Expired. Records of theirs that lie in rows go too, and objects that
	// they have alone are doomed.
	Erase(ctx context.Context, names []mail.BlobName, places []string) (gone []mail.BlobName, err error)

	// Places returns up to limit places of rows, condemned or not, that begin with prefix
	// and are greater than after, in order.
	Places(ctx context.Context, prefix, after string, limit int) ([]string, error)

	// PlacesOf returns the places that those of names have that have a row, condemned or
	// not.
	PlacesOf(ctx context.Context, names []mail.BlobName) (map[mail.BlobName]string, error)

	// Bytes returns the record that lies in a row of the index, by its place.
	Bytes(ctx context.Context, place string) (record []byte, found bool, err error)

	// Waiting returns up to limit of the rows, condemned or not, whose records lie in rows
	// of the index at places greater than after, in order, with Record and without Parts.
	Waiting(ctx context.Context, after string, limit int) ([]mail.Blob, error)

	// DropBytes deletes up to limit records that lie in rows and whose blobs' rows came
	// to say another place before the given time, and returns how many.
	DropBytes(ctx context.Context, movedBefore time.Time, limit int) (int, error)

	// Doom notes that objects are about to be removed, now: from then on whatever would
	// have a row name one is Expired. Who dooms looks afterwards whether one was named
	// meanwhile, once every transaction of before has ended. One that is noted already
	// stays as it is.
	Doom(ctx context.Context, objects []string) error

	// Doomed returns up to limit of those, greater than after, in order.
	Doomed(ctx context.Context, after string, limit int) ([]Doomed, error)

	// Spare takes those objects out again that a row names.
	Spare(ctx context.Context, objects []string) error

	// ForgetDoomed takes out those objects that were doomed before the given time.
	ForgetDoomed(ctx context.Context, objects []string, before time.Time) error

	// Restore makes the rows of records that were found in packs, or makes those
	// that stand like them, touched now and not condemned.
	Restore(ctx context.Context, found []mail.Blob) error
}

// A Move says that compaction copied a record.
type Move struct {
	Name     mail.BlobName
	From, To string // places
}

// Doomed is an object that is about to be removed, or was.
type Doomed struct {
	Object string
	Since  time.Time
}
