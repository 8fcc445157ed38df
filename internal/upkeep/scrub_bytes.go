package upkeep

import (
	"cmp"
	"context"
	"errors"
	"io/fs"
	"slices"
	"time"

	"lockstep/internal/mail"
)

// bytes looks at every blob. Damage is seen to page by page, since whoever reads a
// damaged message waits for it; but no more often than leaves nine tenths of the time
// for looking, as each time looks through the headers of all packs.
func (s *Scrub) bytes(ctx context.Context) error {
	for fresh := false; ; {
		page, err := s.Blobs.Page(ctx, s.at().After)
		if err != nil {
			return err
		}
		if len(page) == 0 {
			return s.settle(ctx)
		}
		for _, b := range page {
			damaged, err := s.blob(ctx, b)
			if err != nil {
				return err
			}
			fresh = fresh || damaged
			s.moved(func(p *Pass) { p.After, p.Blobs = b.Place, p.Blobs+1 })
		}
		if fresh && time.Since(s.settled) > 9*s.took {
			if err := s.settle(ctx); err != nil {
				return err
			}
			fresh = false
		}
	}
}

// blob looks at one blob, and reports whether it is damaged.
func (s *Scrub) blob(ctx context.Context, b mail.Blob) (damaged bool, err error) {
	known := s.Blobs.IsDamaged(b.Name)
	err = s.Blobs.Look(ctx, b, func(n int64) error { return s.rest(ctx, n) })
	switch {
	case ctx.Err() != nil:
		return false, ctx.Err()
	case mail.KindOf(err) == mail.Corrupt:
		if !known {
			s.note(func(_ *Findings, st *Stats) { st.Damaged++ })
			s.Log.ErrorContext(ctx, "scrub: a blob is damaged", "place", b.Place, "size", b.Size, "err", err)
		}
		return true, nil
	case err != nil:
		s.skip(ctx, "the bytes at "+b.Place, err)
	}
	return false, nil
}

// settle sees to what is known to be damaged: from other records in the packs, then
// from a backup. What is left is known with all that it is a part of.
func (s *Scrub) settle(ctx context.Context) error {
	began := time.Now()
	defer func() {
		s.settled, s.took = time.Now(), time.Since(began)
		s.pace.begin()
	}()
	names := slices.DeleteFunc(s.Blobs.DamagedNames(), func(name mail.BlobName) bool { return s.tried[name] })
	if len(names) == 0 {
		return nil
	}
	if _, err := s.Blobs.MendKnown(ctx, names); err != nil {
		return err
	}
	rows, err := s.stillThere(ctx, names)
	if err != nil {
		return err
	}
	for _, b := range rows {
		if err := s.mend(ctx, b); err != nil {
			return err
		}
	}
	return s.Blobs.Implicate(ctx)
}

// stillThere returns the rows of blobs, parts before what they are parts of, and
// forgets the damage of those that nobody names any more.
func (s *Scrub) stillThere(ctx context.Context, names []mail.BlobName) (rows []mail.Blob, err error) {
	gone := map[mail.BlobName]bool{}
	for _, name := range names {
		b, found, err := s.Blobs.Find(ctx, name)
		if err != nil {
			return nil, err
		}
		if !found {
			gone[name] = true
			continue
		}
		rows = append(rows, b)
	}
	s.Blobs.RetainDamage(func(name mail.BlobName) bool { return !gone[name] })
	slices.SortStableFunc(rows, func(a, b mail.Blob) int { return cmp.Compare(len(a.Parts), len(b.Parts)) })
	return rows, nil
}

// mend fetches what is still damaged from a backup, and notes what became of it.
func (s *Scrub) mend(ctx context.Context, b mail.Blob) error {
	err := s.Blobs.Verify(ctx, b)
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case err == nil:
		s.note(func(f *Findings, st *Stats) { f.Mended++; st.Mended++ })
		s.Log.WarnContext(ctx, "scrub: a damaged blob was mended from another copy in the packs", "place", b.Place, "size", b.Size)
		return nil
	}
	if err := s.Restore(ctx, b); err != nil {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		s.tried[b.Name] = mail.KindOf(err) != mail.Unavailable
		s.Log.ErrorContext(ctx, "scrub: a damaged blob can't be mended and is not served; lockstep doctor --fast names the message", "place", b.Place, "size", b.Size, "err", err)
		return nil
	}
	s.note(func(f *Findings, st *Stats) { f.Restored++; st.Restored++ })
	s.Log.WarnContext(ctx, "scrub: a damaged blob was mended from the backup", "place", b.Place, "size", b.Size)
	return nil
}

var errNoBackup = errors.New("there is no other good copy in the packs, and no backup is configured")

// Restore fetches the record of a damaged blob from a backup. It is nil when the blob
// is whole again.
func (s *Scrub) Restore(ctx context.Context, b mail.Blob) error {
	if s.Spare == nil {
		return errNoBackup
	}
	r, err := s.Spare(ctx, b.Place)
	if errors.Is(err, fs.ErrNotExist) {
		return errors.New("there is no other good copy in the packs, and none in the backup")
	}
	if err != nil {
		return err
	}
	defer r.Close()
	if err := s.Blobs.MendFrom(ctx, b, r); err != nil {
		return err
	}
	now, found, err := s.Blobs.Find(ctx, b.Name)
	if err != nil || !found {
		return err
	}
	return s.Blobs.Verify(ctx, now)
}

// note notes findings.
func (s *Scrub) note(fn func(*Findings, *Stats)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	fn(&s.state.Pass.Findings, &s.stats)
}

// skip notes what could not be looked at.
func (s *Scrub) skip(ctx context.Context, what string, err error) {
	s.Log.WarnContext(ctx, "scrub: passed over", "what", what, "err", err)
	s.note(func(f *Findings, _ *Stats) { f.Skipped = appendUpTo(f.Skipped, what+": "+err.Error()) })
}

// appendUpTo adds to a list that has a bound.
func appendUpTo(list []string, more ...string) []string {
	for _, text := range more {
		if len(list) < maxLeft {
			list = append(list, text)
		}
	}
	return list
}
