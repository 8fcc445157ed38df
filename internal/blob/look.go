package blob

import (
	"bytes"
	"context"
	"crypto/sha256"
	"slices"

	"lockstep/internal/mail"
)

// Look reads what lies where a row says: it opens every frame of the record, and
// compares the whole hash of a blob that has no parts. Of parts it asks only whether
// they are there, since they are blobs and looked at in their turn: an attachment
// that a thousand messages share is read once, and a pass over all rows reads what
// the packs hold and no more. Of a blob that nobody names any more it finds nothing
// wrong.
//
// pace is told how many bytes were read after each frame, and may wait; its error
// ends the look. mail.Corrupt is damage, and is remembered.
func (s *Store) Look(ctx context.Context, b mail.Blob, pace func(bytes int64) error) error {
	err := s.look(ctx, b, pace)
	if mail.KindOf(err) != mail.Corrupt {
		return err
	}
	now, named, lookup := s.index.Blob(ctx, b.Name)
	switch {
	case lookup != nil:
	case !named:
		s.damage.mended(b.Name) // it was forgotten, and its pack removed, meanwhile
		return nil
	case now.Place != b.Place || !bytes.Equal(now.Key, b.Key):
		err = s.look(ctx, now, pace) // it was moved, or its key wrapped anew
	}
	return s.count(ctx, b.Name, err)
}

func (s *Store) look(ctx context.Context, b mail.Blob, pace func(int64) error) error {
	r, err := s.openDeep(ctx, b, 0, s.home.pass)
	if err != nil {
		return err
	}
	defer r.Close()
	if !slices.Equal(r.recipe.parts, b.Parts) {
		return corrupt("the parts that the row of a blob names", nil)
	}
	if err := pace(headerSize + int64(r.header.tableLen)); err != nil {
		return err
	}
	sum := sha256.New()
	for i := range r.recipe.segments {
		seg := &r.recipe.segments[i]
		if seg.isPart {
			if err := s.lookForPart(ctx, r, seg); err != nil {
				return err
			}
			continue
		}
		if err := r.load(i); err != nil {
			return err
		}
		sum.Write(r.frame)
		if err := pace(int64(seg.stored)); err != nil {
			return err
		}
	}
	if len(b.Parts) > 0 {
		return s.lookWhole(ctx, b)
	}
	if s.keys.name(sum.Sum(nil)) != b.Name {
		return corrupt("the bytes are not those that were put", nil)
	}
	s.damage.mended(b.Name)
	return nil
}

// lookForPart asks whether a part is there.
func (s *Store) lookForPart(ctx context.Context, r *Reader, seg *segment) error {
	name := r.recipe.parts[seg.part]
	row, found, err := s.index.Blob(ctx, name)
	if err != nil {
		return err
	}
	if !found || row.Size != seg.text.decoded {
		return corrupt("part "+name.String()+" is missing", nil)
	}
	return nil
}

// lookWhole reads a blob whole if it, or a part of it, is known to be damaged: so
// the message of a damaged attachment is known to be damaged too.
func (s *Store) lookWhole(ctx context.Context, b mail.Blob) error {
	if s.damage.has(b.Name) || slices.ContainsFunc(b.Parts, s.damage.has) {
		return s.Verify(ctx, b)
	}
	return nil
}

// Implicate reads each blob that has a part known to be damaged, and so gets to know
// which cannot be served because of it. It reads all rows, and bytes only of those.
func (s *Store) Implicate(ctx context.Context) error {
	for range maxDepth { // a level of parts within parts each time
		before := s.Damaged()
		err := s.Each(ctx, func(b mail.Blob) error {
			if s.damage.has(b.Name) || !slices.ContainsFunc(b.Parts, s.damage.has) {
				return nil
			}
			if err := s.Verify(ctx, b); mail.KindOf(err) != mail.Corrupt {
				return err
			}
			return nil
		})
		if err != nil || s.Damaged() == before {
			return err
		}
	}
	return nil
}

// IsDamaged reports whether a blob is known to be damaged.
func (s *Store) IsDamaged(name mail.BlobName) bool { return s.damage.has(name) }

// DamagedNames returns the blobs that are known to be damaged, in order.
func (s *Store) DamagedNames() []mail.BlobName {
	s.damage.mu.Lock()
	defer s.damage.mu.Unlock()
	all := make([]mail.BlobName, 0, len(s.damage.names))
	for name := range s.damage.names {
		all = append(all, name)
	}
	slices.SortFunc(all, func(a, b mail.BlobName) int { return slices.Compare(a[:], b[:]) })
	return all
}

// Page returns the rows that follow a place, in the order in which Each gives them;
// none at the end.
func (s *Store) Page(ctx context.Context, after string) ([]mail.Blob, error) {
	return s.index.Rows(ctx, "", after, collectPage)
}

// PackBytes is what all packs take on the disk, or about what all records take in the
// bucket.
func (s *Store) PackBytes() (total int64, err error) { return s.home.bytes() }

// bytes implements home.
func (s onDisk) bytes() (total int64, err error) {
	list, err := listPacks(s.fs, s.dir)
	for _, p := range list {
		total += p.size
	}
	return total, err
}
