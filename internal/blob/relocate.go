package blob

import (
	"context"
	"errors"
	"io/fs"
	"maps"
	"slices"

	"lockstep/internal/mail"
)

// maxRelocated bounds how many names one sweep over the packs looks for; for the rest
// there is another.
const maxRelocated = 1 << 20

// Relocated says what Relocate found.
type Relocated struct {
	Packs int // that rows name and that are not there
	Moved int // rows that say now where their bytes lie
	Lost  int // rows whose bytes are in no pack
}

// Relocate looks for packs that rows name and that are not there, as after an older
// index was put back: compaction has copied what lived in them since. It finds those
// blobs by the headers of all records there are. It costs a question for each pack;
// and where one is missing, a read for each record.
func (s *Store) Relocate(ctx context.Context) (done Relocated, err error) {
	s.mu.Lock() // nothing is collected or compacted meanwhile
	defer s.mu.Unlock()
	return s.home.relocate(ctx)
}

// relocate implements home.
func (s onDisk) relocate(ctx context.Context) (done Relocated, err error) {
	list, err := listPacks(s.fs, s.dir)
	if err != nil {
		return done, err
	}
	missing, err := s.missingPacks(ctx, list)
	done.Packs = len(missing)
	m := &mending{s: s.Store, broken: map[mail.BlobName]bool{}}
	for len(missing) > 0 && err == nil {
		pack := missing[0]
		if err = s.eachIn(ctx, pack, func(b mail.Blob) { m.broken[b.Name] = true }); err != nil {
			break
		}
		if missing = missing[1:]; len(missing) > 0 && len(m.broken) < maxRelocated {
			continue
		}
		if err = m.sweep(ctx, list); err == nil {
			done.Moved, done.Lost = m.done, done.Lost+len(m.broken)
			clear(m.broken)
		}
	}
	return done, err
}

// missingPacks are those that some row names, and nobody finds.
func (s *Store) missingPacks(ctx context.Context, list []packInfo) (missing []packID, err error) {
	there := map[packID]bool{}
	for _, info := range list {
		there[info.id] = true
	}
	for after := ""; ; {
		rows, err := s.index.Rows(ctx, "", after, 1)
		if err != nil || len(rows) == 0 {
			return missing, err
		}
		at, err := parsePlace(rows[0].Place)
		if err != nil || at.object != "" { // that is for the doctor; or it is being moved to a bucket
			after = rows[0].Place
			continue
		}
		if !there[at.pack] {
			missing = append(missing, at.pack)
		}
		after = at.pack.String() + "." // which sorts behind all places in the pack
	}
}

// eachIn calls fn with each row that names a pack.
func (s *Store) eachIn(ctx context.Context, pack packID, fn func(mail.Blob)) error {
	for after := ""; ; {
		rows, err := s.index.Rows(ctx, pack.String()+"-", after, collectPage)
		if err != nil || len(rows) == 0 {
			return err
		}
		for _, row := range rows {
			fn(row)
		}
		after = rows[len(rows)-1].Place
	}
}

// sweep looks for what is broken by the headers of all records, and reads no more of
// those that nobody looks for.
func (m *mending) sweep(ctx context.Context, list []packInfo) error {
	want := func(name mail.BlobName) (bool, error) { return m.broken[name], nil }
	for _, info := range list {
		var stop error
		_, err := scanPack(ctx, m.s.packs, info, want, func(f Found, _ error) bool {
			stop = m.found(ctx, f)
			return stop == nil
		})
		if err = orFirst(stop, err); err != nil {
			return err
		}
	}
	return m.flush(ctx)
}

// isThere implements home: a row whose pack is not there is no blob that a put could
// rely on, nor is one that is known to be damaged: its bytes are here again.
func (s onDisk) isThere(b mail.Blob) bool {
	if s.damage.has(b.Name) {
		return false
	}
	at, err := parsePlace(b.Place)
	if err != nil {
		return true // that is for the doctor
	}
	k, err := s.packs.acquire(at.pack)
	if err == nil {
		s.packs.release(k)
	}
	return !errors.Is(err, fs.ErrNotExist)
}

// heal makes the rows of blobs that were damaged, or whose packs were not there, say where
// this put wrote them, once they are durable: a commit alone would only touch them.
func (p *putting) heal(b mail.Blob, parts []mail.Blob) error {
	if len(p.lost) == 0 {
		return nil
	}
	rows := map[mail.BlobName]mail.Blob{}
	for _, h := range append(slices.Clone(parts), b) {
		if !p.lost[h.Name] || !h.Fresh {
			continue
		}
		if err := h.Pending.Wait(); err != nil {
			return err
		}
		h.Fresh, h.Pending = false, nil
		rows[h.Name] = h
	}
	if len(rows) == 0 {
		return nil
	}
	if err := p.s.index.Restore(p.ctx, slices.Collect(maps.Values(rows))); err != nil {
		return err
	}
	for name := range rows {
		p.s.damage.mended(name)
	}
	return nil
}
