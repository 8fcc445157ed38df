package blob

import (
	"context"
	"errors"
	"io/fs"
	"maps"
	"slices"
	"time"

	"lockstep/internal/mail"
)

// erase implements home. The key of a blob is in its row and nowhere else, so when the
// row is gone nobody can open what is left of it: in a pack, in an older version that the
// bucket keeps, in the cache of a node. All the same objects of the erased are removed,
// and packs that hold some are copied without them.
//
// A handle of a put that is still on its way, of a large blob, can't be committed any
// more then; that of a small one holds all its bytes, and makes a blob anew.
func (b *inBucket) erase(ctx context.Context, family []mail.BlobName) (done Erased, err error) {
	b.packing.Lock() // nothing is packed meanwhile
	defer b.packing.Unlock()
	places, err := b.index.PlacesOf(ctx, family)
	if err != nil {
		return done, err
	}
	gone, err := b.index.Erase(ctx, family, nil)
	if err != nil {
		return done, err
	}
	b.damage.erased(gone)
	done.Gone, done.Kept = gone, without(family, gone)
	packs := map[string]bool{}
	for _, name := range gone {
		at, err := parsePlace(places[name])
		if err != nil {
			continue // it had no row
		}
		done.Records++
		done.Bytes += at.length
		switch {
		case Alone(at.object):
			if err := b.remove(ctx, at.object); err != nil {
				return done, err
			}
		case !InRow(at.object):
			packs[at.object] = true
		}
	}
	return done, b.rewritePacks(ctx, slices.Sorted(maps.Keys(packs)))
}

// without are those of names that are not among others.
func without(names, others []mail.BlobName) (rest []mail.BlobName) {
	among := map[mail.BlobName]bool{}
	for _, name := range others {
		among[name] = true
	}
	for _, name := range names {
		if !among[name] {
			rest = append(rest, name)
		}
	}
	return rest
}

// rewritePacks copies what lives out of packs, and removes them: one that is young, which
// somebody may be moving records to, is doomed.
func (b *inBucket) rewritePacks(ctx context.Context, packs []string) error {
	var c Compacted
	if err := b.compactPacks(ctx, packs, &c); err != nil {
		return err
	}
	if err := b.index.Doom(ctx, packs); err != nil {
		return err
	}
	for _, object := range packs {
		named, err := b.index.Places(ctx, object+"-", "", 1)
		if err != nil {
			return err
		}
		if made, ok := madeAt(object); len(named) > 0 || !ok || b.now().Sub(made) < youngPack {
			continue
		}
		if err := b.remove(ctx, object); err != nil {
			return err
		}
	}
	return nil
}

// holdsAny implements home: what has no row can't be opened.
func (b *inBucket) holdsAny(ctx context.Context, names []mail.BlobName) (found bool, records int64, err error) {
	places, err := b.index.PlacesOf(ctx, names)
	return len(places) > 0, int64(len(names)), err
}

// dead implements home. Condemned rows are forgotten at once, with their keys; what has
// no row has no key.
func (b *inBucket) dead(ctx context.Context) ([]mail.BlobName, error) {
	for {
		n, err := b.index.Forget(ctx, b.now(), collectPage)
		if err != nil || n == 0 {
			return nil, err
		}
	}
}

// mend implements home. A bucket has one record of each blob, and copies elsewhere would
// be opened by another key: there is nothing to look for. What was damaged in the cache
// alone is whole when it is read again; what is damaged in the bucket has to come from an
// older version that it keeps.
func (b *inBucket) mend(context.Context, []mail.BlobName, bool) (int, error) { return 0, nil }

// rewrapRecords implements home: records have no keys.
func (b *inBucket) rewrapRecords(context.Context, uint32, *Rewrapped, func(Rewrapped) error) error {
	return nil
}

// relocate implements home: it says which objects are missing, and what lay in them.
func (b *inBucket) relocate(ctx context.Context) (done Relocated, err error) {
	v, err := b.survey(ctx)
	if err != nil {
		return done, err
	}
	for _, object := range v.missing {
		there, err := b.exists(ctx, object)
		if err != nil {
			return done, err
		}
		if there {
			continue // the list was older
		}
		done.Packs++
		for after := ""; ; {
			places, err := b.index.Places(ctx, object+"-", after, placesPage)
			if err != nil {
				return done, err
			}
			if len(places) == 0 {
				break
			}
			done.Lost += len(places)
			after = places[len(places)-1]
		}
	}
	return done, nil
}

// bytes implements home: what the last survey found, or what rows say.
func (b *inBucket) bytes() (int64, error) {
	b.lately.Lock()
	defer b.lately.Unlock()
	if !b.asked.IsZero() && time.Since(b.asked) < bytesAsked {
		return b.total, nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), bytesTime)
	defer cancel()
	var total int64
	for after := ""; ; {
		places, err := b.index.Places(ctx, "", after, placesPage)
		if err != nil {
			return b.total, err
		}
		if len(places) == 0 {
			break
		}
		for _, text := range places {
			if at, err := parsePlace(text); err == nil {
				total += at.length
			}
		}
		after = places[len(places)-1]
	}
	b.total, b.asked = total, time.Now()
	return total, nil
}

// For how long the number of bytes holds, and how long asking for it may take: it is
// about right for who looks at how far something is.
const (
	bytesAsked = time.Hour
	bytesTime  = 30 * time.Second
)

// list implements home.
func (b *inBucket) list() ([]Pack, error) {
	return nil, mail.Errorf(mail.Unimplemented, "the mail lies in %s, and not in packs that could be copied", b.bucket)
}

// exists reports whether an object is there.
func (b *inBucket) exists(ctx context.Context, object string) (bool, error) {
	r, err := b.get(ctx, object, 0, 1)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	return true, r.Close()
}
