package blob

import (
	"context"
	"maps"
	"slices"

	"lockstep/internal/mail"
)

// restoreBatch is how many rows are put right in one transaction.
const restoreBatch = 256

// Each calls fn with every row, in the order in which the bytes lie in the packs.
func (s *Store) Each(ctx context.Context, fn func(mail.Blob) error) error {
	for after := ""; ; {
		rows, err := s.index.Rows(ctx, "", after, collectPage)
		if err != nil || len(rows) == 0 {
			return err
		}
		for _, row := range rows {
			if err := fn(row); err != nil {
				return err
			}
		}
		after = rows[len(rows)-1].Place
	}
}

// Find returns the row of a blob as it is now.
func (s *Store) Find(ctx context.Context, name mail.BlobName) (b mail.Blob, found bool, err error) {
	return s.index.Blob(ctx, name)
}

// Mend looks through all packs for good records of the broken blobs, of their
// broken parts, and of blobs whose rows are lost, and makes their rows say where
// those lie. Rows that are made for what nobody names are collected again. It
// returns how many rows it put right.
func (s *Store) Mend(ctx context.Context, broken []mail.BlobName) (int, error) {
	return s.mend(ctx, broken, true)
}

// MendKnown is Mend without the blobs whose rows are lost. It ends as soon as all of
// the broken ones are found.
func (s *Store) MendKnown(ctx context.Context, broken []mail.BlobName) (int, error) {
	return s.mend(ctx, broken, false)
}

func (s *Store) mend(ctx context.Context, broken []mail.BlobName, lost bool) (int, error) {
	s.mu.Lock() // nothing is collected or compacted meanwhile: what is found stays where it is
	defer s.mu.Unlock()
	return s.home.mend(ctx, broken, lost)
}

// mend implements home.
func (s onDisk) mend(ctx context.Context, broken []mail.BlobName, lost bool) (int, error) {
	m := &mending{s: s.Store, lost: lost, broken: map[mail.BlobName]bool{}}
	for _, name := range broken {
		if err := m.add(ctx, name, 0); err != nil {
			return 0, err
		}
	}
	list, err := listPacks(s.fs, s.dir)
	if err != nil {
		return 0, err
	}
	want := func(name mail.BlobName) (bool, error) { return m.wants(ctx, name) }
	for _, info := range list {
		var stop error
		_, err := scanPack(ctx, s.packs, info, want, func(f Found, _ error) bool {
			stop = m.found(ctx, f)
			return stop == nil && !m.complete()
		})
		if stop != nil || err != nil {
			return m.done, orFirst(stop, err)
		}
		if m.complete() {
			break
		}
	}
	return m.done, m.flush(ctx)
}

func orFirst(a, b error) error {
	if a != nil {
		return a
	}
	return b
}

// mending is one run of Mend.
type mending struct {
	s      *Store
	lost   bool // blobs without a row are looked for too
	broken map[mail.BlobName]bool
	batch  map[mail.BlobName]mail.Blob
	done   int
}

// add adds a broken blob, and of its parts those that are broken.
func (m *mending) add(ctx context.Context, name mail.BlobName, depth int) error {
	m.broken[name] = true
	row, found, err := m.s.index.Blob(ctx, name)
	if err != nil || !found || depth > maxDepth {
		return err
	}
	for _, part := range row.Parts {
		p, found, err := m.s.index.Blob(ctx, part)
		if err != nil {
			return err
		}
		if found && !m.broken[part] && m.s.Verify(ctx, p) != nil {
			if err := m.add(ctx, part, depth+1); err != nil {
				return err
			}
		}
	}
	return ctx.Err()
}

// wants reports whether a good record of a blob is of use.
func (m *mending) wants(ctx context.Context, name mail.BlobName) (bool, error) {
	if _, taken := m.batch[name]; taken {
		return false, nil
	}
	if m.broken[name] || !m.lost {
		return m.broken[name], nil
	}
	_, stands, err := m.s.index.Blob(ctx, name)
	return !stands, err
}

// complete reports whether there is nothing more to look for.
func (m *mending) complete() bool { return !m.lost && len(m.batch) == len(m.broken) }

// found takes a record that is wanted, if it is good.
func (m *mending) found(ctx context.Context, f Found) error {
	if f.Err != nil {
		return nil
	}
	if m.s.verifyCopy(ctx, f.Blob) != nil {
		return ctx.Err()
	}
	if m.batch == nil {
		m.batch = map[mail.BlobName]mail.Blob{}
	}
	m.batch[f.Blob.Name] = f.Blob
	if len(m.batch) < restoreBatch {
		return nil
	}
	return m.flush(ctx)
}

func (m *mending) flush(ctx context.Context) error {
	if len(m.batch) == 0 {
		return nil
	}
	if err := m.s.index.Restore(ctx, slices.Collect(maps.Values(m.batch))); err != nil {
		return err
	}
	m.done += len(m.batch)
	for name, b := range m.batch {
		delete(m.broken, name)
		delete(m.s.damaged, b.Place)
		m.s.damage.mended(name)
	}
	clear(m.batch)
	return nil
}
