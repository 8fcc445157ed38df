package backup

import (
	"context"
	"encoding/json"

	"lockstep/internal/store"
)

// Pages is the database, copied page by page while it is in use, as sqlstore.Copier
// does it. Pages are numbered from 1. It is used by one goroutine.
type Pages interface {
	// Settle calls each with every page that changed since the last Settle that was
	// Kept, at first with all, and returns the Moment which they make together with those
	// that were given before. A page may be given more than once: the last stands. They
	// come in runs of ascending numbers; one that was never given is zeros, and what is
	// beyond the last page of the Moment is nothing. The bytes are each's only during the
	// call, which may take its time.
	Settle(ctx context.Context, digests bool, each func(pgno uint32, page []byte) error) (store.Moment, error)
	// Want has the next Settle give these pages too, changed or not.
	Want(pages []uint32)
	// Kept says that what was given is where it should be. Otherwise it is given again.
	Kept()
	// Close ends the copy.
	Close()
}

// digestsAtOnce is how many accounts one object describes.
const digestsAtOnce = 20_000

func parseDigests(name string, b []byte) ([]store.Digest, error) {
	var some []store.Digest
	if err := json.Unmarshal(b, &some); err != nil {
		return nil, damaged(name, err)
	}
	return some, nil
}
