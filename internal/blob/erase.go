package blob

import (
	"context"
	"errors"
	"hash/crc32"
	"io/fs"
	"slices"

	"lockstep/internal/mail"
	"lockstep/internal/vfs"
)

// Erased says what an erasing did.
type Erased struct {
	Gone    []mail.BlobName // rows and records of these are no more, their parts among them
	Kept    []mail.BlobName // something else names them
	Records int             // that were blanked
	Bytes   int64           // of them
}

// erasePasses bounds how often the packs are looked through: a second time for what
// was put while the first was under way, a third to see that nothing is left.
const erasePasses = 4

// Erase takes blobs that nothing names any more out at once, with their keys, and
// their parts that nothing else names. Of every record of them that lies in a pack,
// also of those that no row names, the bytes are written over with zeros where they
// lie, and then its header, which then is no blob's. It may be stopped anywhere and
// called again with the same names. A handle of a put that is still on its way can't be committed
// any more then: it is mail.Expired, and the caller puts again.
//
// It reads the header of each record there is, and writes what it erases.
func (s *Store) Erase(ctx context.Context, names []mail.BlobName) (Erased, error) {
	s.mu.Lock() // nothing is copied meanwhile
	defer s.mu.Unlock()
	family, err := s.index.Family(ctx, names)
	if err != nil {
		return Erased{}, err
	}
	return s.home.erase(ctx, family)
}

// erase implements home.
func (s onDisk) erase(ctx context.Context, family []mail.BlobName) (done Erased, err error) {
	wanted := map[mail.BlobName]bool{}
	for _, name := range family {
		wanted[name] = true
	}
	for range erasePasses {
		places, err := s.recordsOf(ctx, wanted)
		if err != nil {
			return done, err
		}
		gone, err := s.index.Erase(ctx, family, textOf(places))
		if err != nil {
			return done, err
		}
		s.keepOnly(wanted, gone)
		n, err := s.blankAll(ctx, places, wanted, &done)
		if err != nil {
			return done, err
		}
		if n == 0 {
			break
		}
	}
	for _, name := range family {
		if wanted[name] {
			done.Gone = append(done.Gone, name)
		} else {
			done.Kept = append(done.Kept, name)
		}
	}
	return done, nil
}

// recordsOf finds the records of blobs, as far as they last.
func (s *Store) recordsOf(ctx context.Context, wanted map[mail.BlobName]bool) (found []namedRecord, err error) {
	err = s.eachRecord(ctx, func(at place, h recordHeader) error {
		if wanted[h.name] {
			found = append(found, namedRecord{at, h})
		}
		return nil
	})
	return found, err
}

type namedRecord struct {
	place
	header recordHeader
}

func textOf(records []namedRecord) []string {
	all := make([]string, len(records))
	for i, r := range records {
		all[i] = r.String()
	}
	return all
}

// keepOnly leaves in wanted what is gone, and lets readers of it know.
func (s *Store) keepOnly(wanted map[mail.BlobName]bool, gone []mail.BlobName) {
	clear(wanted)
	for _, name := range gone {
		wanted[name] = true
	}
	s.damage.erased(gone)
}

// blankAll blanks those records whose blobs are gone, some hundred of a pack at once.
func (s *Store) blankAll(ctx context.Context, records []namedRecord, gone map[mail.BlobName]bool, done *Erased) (n int, err error) {
	records = slices.DeleteFunc(records, func(r namedRecord) bool { return !gone[r.header.name] })
	for len(records) > 0 {
		if err := ctx.Err(); err != nil {
			return n, err
		}
		some := 1
		for some < min(len(records), rewrapPage) && records[some].pack == records[0].pack {
			some++
		}
		if err := s.packs.blank(records[:some]); err != nil {
			return n, unavailable(err)
		}
		for _, r := range records[:some] {
			delete(s.damaged, r.String())
			done.Records++
			done.Bytes += r.length
		}
		n += some
		records = records[some:]
	}
	return n, nil
}

// blank writes over what records of one pack say, durably, and last their headers, by
// which they are found if this is cut.
func (p *packs) blank(records []namedRecord) error {
	f, err := p.fs.Change(p.path(records[0].pack))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	headers := make([]rewrite, len(records))
	for i, r := range records {
		var sum uint32
		if sum, err = writeZeros(f, r.offset+headerSize, r.length-headerSize); err != nil {
			break
		}
		blank := recordHeader{tableLen: r.header.tableLen, bodyLen: r.header.bodyLen, bodyCRC: sum}
		headers[i] = rewrite{r.pack, r.offset, blank.append(nil)}
	}
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	return p.rewriteHeaders(headers)
}

// writeZeros fills a stretch of a file, and returns the checksum of what it wrote.
func writeZeros(f vfs.File, off, n int64) (sum uint32, err error) {
	zeros := make([]byte, min(n, frameSize))
	for n > 0 && err == nil {
		some := zeros[:min(n, int64(len(zeros)))]
		_, err = f.WriteAt(some, off)
		sum = crc32.Update(sum, castagnoli, some)
		off += int64(len(some))
		n -= int64(len(some))
	}
	return sum, err
}

// Holds reports whether a record of one of the blobs lies in a pack, and how many
// records were looked at.
func (s *Store) Holds(ctx context.Context, names []mail.BlobName) (found bool, records int64, err error) {
	return s.home.holdsAny(ctx, names)
}

// holdsAny implements home.
func (s onDisk) holdsAny(ctx context.Context, names []mail.BlobName) (found bool, records int64, err error) {
	wanted := map[mail.BlobName]bool{}
	for _, name := range names {
		wanted[name] = true
	}
	err = s.eachRecord(ctx, func(_ place, h recordHeader) error {
		records++
		found = found || wanted[h.name]
		return nil
	})
	return found, records, err
}

// Unnamed returns the blobs that nothing names now, also those that were named or put
// a moment ago.
func (s *Store) Unnamed(ctx context.Context) (all []mail.BlobName, err error) {
	var after mail.BlobName
	for {
		names, err := s.index.Unnamed(ctx, s.now().Add(HandleLife), after, collectPage)
		if err != nil || len(names) == 0 {
			return all, err
		}
		all = append(all, names...)
		after = names[len(names)-1]
	}
}

// Dead returns the blobs of which records lie in packs and that have no row, or a
// condemned one: what was deleted, and waits for its pack to be compacted. Packs to
// which a handle that was not committed yet may point are left out. Of a store that
// lost rows of what is named it returns none.
func (s *Store) Dead(ctx context.Context) (all []mail.BlobName, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.home.dead(ctx)
}

// dead implements home.
func (s onDisk) dead(ctx context.Context) (all []mail.BlobName, err error) {
	dead := map[mail.BlobName]bool{}
	err = s.eachRecord(ctx, func(at place, h recordHeader) error {
		if h.name == (mail.BlobName{}) || dead[h.name] || !s.packs.settled(at.pack) {
			return nil
		}
		_, found, err := s.index.Blob(ctx, h.name)
		if err == nil && !found {
			dead[h.name] = true
			all = append(all, h.name)
		}
		return err
	})
	if err != nil || len(all) == 0 {
		return nil, err
	}
	gone, err := s.index.Erase(ctx, all, nil)
	if err != nil || len(gone) < len(all) {
		return nil, err // rows were lost, and perhaps of their parts too: Mend finds them again
	}
	return gone, nil
}
