package blob

import (
	"context"
	"io"

	"lockstep/internal/mail"
)

// A home is where records lie: packs on the disk, or a bucket with rows beside it. The
// rest of a store is the same for both. What an exported method of Store of the same
// name promises is not repeated here.
type home interface {
	// lodge makes the records of one put durable, and says where they lie; with soon it
	// may leave the waiting to the commit.
	lodge(ctx context.Context, records []*builder, soon bool) ([]lodging, error)
	// add makes one record durable that came from elsewhere.
	add(ctx context.Context, r source) (place, error)
	// open opens what a record lies in; fs.ErrNotExist if that is not there. ctx holds
	// for as long as what it returns.
	open(ctx context.Context, b mail.Blob, at place) (container, error)
	// pass is open for who looks at all records in their order, and at what is kept nearby
	// of none.
	pass(ctx context.Context, b mail.Blob, at place) (container, error)
	// isThere reports whether a put can rely on a row.
	isThere(b mail.Blob) bool
	// asksFirst reports whether a put of so many bytes that just arrived asks for the row
	// of its blob before it seals them. Where it does not, the commit finds out.
	asksFirst(name mail.BlobName, size int) bool
	// isGone reports whether a blob has no row any more, where other nodes may have taken it
	// out while it was read here.
	isGone(ctx context.Context, name mail.BlobName) bool
	// keyless says that headers of records have no keys.
	keyless() bool

	// The store's mu is held by who calls these.
	compact(ctx context.Context) (Compacted, error)
	relocate(ctx context.Context) (Relocated, error)
	mend(ctx context.Context, broken []mail.BlobName, lost bool) (int, error)
	erase(ctx context.Context, family []mail.BlobName) (Erased, error)
	dead(ctx context.Context) ([]mail.BlobName, error)
	rewrapRecords(ctx context.Context, n uint32, done *Rewrapped, tell func(Rewrapped) error) error

	holdsAny(ctx context.Context, names []mail.BlobName) (found bool, records int64, err error)
	bytes() (int64, error)
	list() ([]Pack, error)
	close()
}

// An opener is home.open, or home.pass.
type opener func(ctx context.Context, b mail.Blob, at place) (container, error)

// A lodging is where a record of a put lies.
type lodging struct {
	place
	durable *mail.Pending // nil: it is
	record  []byte        // the record itself, if the commit is to keep it
}

// A container is what a record lies in, open: a pack, an object, a row. Offsets are as
// in places.
type container interface {
	io.ReaderAt
	// readHead reads where a header is, which may be written over just now.
	readHead(p []byte, off int64) (int, error)
	// again reports whether reading once more may give something better, since what was
	// read lay nearby, and does not any more.
	again() bool
	release()
	String() string
}

// onDisk is the home of records in packs.
type onDisk struct{ *Store }

func (s onDisk) lodge(_ context.Context, records []*builder, soon bool) ([]lodging, error) {
	all := make([]source, len(records))
	for i, r := range records {
		all[i] = r
	}
	to := s.small
	if size(all) > smallPut+maxTable {
		to = s.large
	}
	add := to.appendNow
	if soon {
		add = to.appendSoon
	}
	places, durable, err := add(all...)
	if err != nil {
		return nil, err
	}
	at := make([]lodging, len(places))
	for i, p := range places {
		at[i] = lodging{place: p, durable: durable}
	}
	return at, nil
}

func (s onDisk) add(_ context.Context, r source) (place, error) {
	places, err := s.moved.append(r)
	if err != nil {
		return place{}, err
	}
	return places[0], nil
}

func (s onDisk) open(_ context.Context, _ mail.Blob, at place) (container, error) {
	k, err := s.packs.acquire(at.pack)
	if err != nil {
		return nil, err
	}
	return k, nil
}

func (s onDisk) pass(ctx context.Context, b mail.Blob, at place) (container, error) {
	return s.open(ctx, b, at)
}

func (s onDisk) isGone(context.Context, mail.BlobName) bool { return false }

func (s onDisk) asksFirst(mail.BlobName, int) bool { return true }

func (s onDisk) keyless() bool { return false }

func (s onDisk) close() {
	s.small.close()
	s.large.close()
	s.moved.close()
	s.packs.close()
}

// A pack is a container.

// ReadAt implements io.ReaderAt.
func (k *pack) ReadAt(p []byte, off int64) (int, error) { return k.file.ReadAt(p, off) }

func (k *pack) readHead(p []byte, off int64) (int, error) {
	k.packs.heads.RLock()
	defer k.packs.heads.RUnlock()
	return readFullAt(k.file, p, off)
}

func (k *pack) again() bool { return false }

func (k *pack) release() { k.packs.release(k) }

// String names it for a person.
func (k *pack) String() string { return "pack " + k.id.String() }
