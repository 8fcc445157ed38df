package blob

import (
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"slices"

	"lockstep/internal/mail"
)

// ParseKeyring reads the text of a key file. What it returns opens things and changes
// nothing: it has no file.
func ParseKeyring(text []byte) (*Keyring, error) {
	if len(text) > maxKeyFile {
		return nil, fmt.Errorf("it is no key file: it has %d bytes", len(text))
	}
	r, err := parseKeyring(text)
	if err != nil {
		return nil, err
	}
	k := &Keyring{}
	k.ring.Store(r)
	return k, nil
}

// Hold keeps packs from being removed until release is called: Compact ends early,
// and does nothing while somebody holds. It waits for a compaction under way to end
// with the pack it is at.
func (s *Store) Hold() (release func()) {
	s.holds.Add(1)
	s.mu.Lock() // what was under way has ended then
	defer s.mu.Unlock()
	return func() { s.holds.Add(-1) }
}

// A Pack is a pack as a copy of it is made.
type Pack struct {
	Pack string // its number, as places begin with it
	Size int64  // up to where it lasts: of one that is written to, what was synced
}

// Packs returns all packs, the oldest first. Whatever a row names that was committed
// before is in them, up to their sizes.
func (s *Store) Packs() ([]Pack, error) { return s.home.list() }

// list implements home.
func (s onDisk) list() ([]Pack, error) {
	list, err := listPacks(s.fs, s.dir)
	if err != nil {
		return nil, err
	}
	all := make([]Pack, len(list))
	for i, info := range list {
		all[i] = Pack{info.id.String(), s.packs.durable(info)}
	}
	return all, nil
}

// An Extent is a stretch of a pack without keys: as the pack has it, but that the
// wrapped key in each record's header is zero and the header's checksum made anew, and
// that bytes which are no record's are zero. It begins where a record does, or the
// pack, and ends where one ends, or the pack. Close it.
type Extent struct {
	// Damaged are the places of records that rows name and whose checksum is wrong.
	Damaged []string

	packs        *packs
	pack         *pack
	offset, size int64
	headers      []int64    // where records begin, in the pack
	gaps         [][2]int64 // where none are: from, to
}

// Extent opens a stretch of a pack that is held. It reads the pack from there on, to
// see where records end, until they have atLeast bytes, or the pack its end: so it has
// one record more than that at most.
func (s *Store) Extent(ctx context.Context, p Pack, from, atLeast int64) (*Extent, error) {
	id, ok := parsePackID(p.Pack)
	if !ok || from < 0 || from >= p.Size {
		return nil, fmt.Errorf("no extent of pack %q begins at %d", p.Pack, from)
	}
	k, err := s.packs.acquire(id)
	if err != nil {
		return nil, err
	}
	x := &Extent{packs: s.packs, pack: k, offset: from}
	if err := x.walk(ctx, s, p, from+atLeast); err != nil {
		x.Close()
		return nil, err
	}
	return x, nil
}

// walk goes from record to record.
func (x *Extent) walk(ctx context.Context, s *Store, p Pack, enough int64) error {
	scan := scanner{keys: s.keys, file: x.pack.file, info: packInfo{x.pack.id, p.Size}, heads: &s.packs.heads}
	off := max(x.offset, packHeaderSize)
	for off < p.Size && off < enough {
		if err := ctx.Err(); err != nil {
			return err
		}
		h, err := scan.header(off)
		if err == nil {
			if err := x.look(ctx, s, off, &h); err != nil {
				return err
			}
			off += h.length()
			continue
		}
		if mail.KindOf(err) != mail.Corrupt {
			return err
		}
		end := scan.next(off + 1)
		x.gaps = append(x.gaps, [2]int64{off, end})
		off = end
	}
	x.size = min(off, p.Size) - x.offset
	return x.lookInGaps(ctx, s)
}

// look takes a record, and notes if it is damaged and somebody wants it. What can't be
// read of it is left out.
func (x *Extent) look(ctx context.Context, s *Store, off int64, h *recordHeader) error {
	x.headers = append(x.headers, off)
	_, err := checkBody(x.pack.file, off, h)
	if mail.KindOf(err) != mail.Corrupt {
		return err
	}
	if _, err := io.Copy(io.Discard, io.NewSectionReader(x.pack.file, off+headerSize, h.length()-headerSize)); err != nil {
		x.gaps = append(x.gaps, [2]int64{off + headerSize, off + h.length()})
	}
	at := inPack(x.pack.id, off, h.length()).String()
	row, found, err := s.index.Blob(ctx, h.name)
	if err == nil && found && row.Place == at {
		x.Damaged = append(x.Damaged, at)
	}
	return err
}

// lookInGaps notes what somebody wants of where no record is. As a rule there is
// nothing, but what a crash left at the end of a pack.
func (x *Extent) lookInGaps(ctx context.Context, s *Store) error {
	for after := ""; len(x.gaps) > 0; {
		rows, err := s.index.Rows(ctx, x.pack.id.String()+"-", after, collectPage)
		if err != nil || len(rows) == 0 {
			return err
		}
		for _, row := range rows {
			at, err := parsePlace(row.Place)
			if err == nil && slices.ContainsFunc(x.gaps, func(gap [2]int64) bool { return gap[0] <= at.offset && at.offset < gap[1] }) {
				x.Damaged = append(x.Damaged, row.Place)
			}
		}
		after = rows[len(rows)-1].Place
	}
	return nil
}

// Size is how many bytes the extent has.
func (x *Extent) Size() int64 { return x.size }

// Close lets go of the pack.
func (x *Extent) Close() error {
	x.packs.release(x.pack)
	return nil
}

// ReadAt implements io.ReaderAt, safe for concurrent use.
func (x *Extent) ReadAt(b []byte, off int64) (int, error) {
	if off >= x.size {
		return 0, io.EOF
	}
	whole := len(b)
	b = b[:min(int64(whole), x.size-off)]
	at := x.offset + off
	if err := x.read(b, at); err != nil {
		return 0, err
	}
	first, _ := slices.BinarySearchFunc(x.headers, at-headerSize+1, cmp.Compare[int64])
	for _, header := range x.headers[first:] {
		if header >= at+int64(len(b)) {
			break
		}
		if err := x.patch(b, at, header); err != nil {
			return 0, err
		}
	}
	if len(b) < whole {
		return len(b), io.EOF
	}
	return len(b), nil
}

// read reads the pack where records are: where none are it may be that nothing can be
// read.
func (x *Extent) read(b []byte, at int64) error {
	for _, gap := range x.gaps {
		if from, to := max(gap[0], at), min(gap[1], at+int64(len(b))); from < to {
			if _, err := readFullAt(x.pack.file, b[:from-at], at); err != nil {
				return err
			}
			clear(b[from-at : to-at])
			b, at = b[to-at:], to
		}
	}
	_, err := readFullAt(x.pack.file, b, at)
	return err
}

// patch puts what the extent has of a header into b, which begins at at.
func (x *Extent) patch(b []byte, at, header int64) error {
	var h [headerSize]byte
	x.packs.heads.RLock() // its key may be wrapped anew just now
	_, err := readFullAt(x.pack.file, h[:], header)
	x.packs.heads.RUnlock()
	if err != nil {
		return err
	}
	setKey(&h, make([]byte, wrappedSize))
	from := max(header, at)
	copy(b[from-at:], h[from-header:])
	return nil
}

// setKey writes the key of a record's header, and the checksum that follows from it.
func setKey(h *[headerSize]byte, key []byte) {
	copy(h[boundSize:boundSize+wrappedSize], key)
	binary.BigEndian.PutUint32(h[headerSize-4:], crc32.Checksum(h[:headerSize-4], castagnoli))
}

// Refill writes the key of a row into the header of its record in a pack that came
// from extents. It fails with mail.Corrupt, and writes nothing, when the record is not
// the row's.
func Refill(pack interface {
	io.ReaderAt
	io.WriterAt
}, row mail.Blob) error {
	at, err := parsePlace(row.Place)
	if err != nil {
		return err
	}
	var b [headerSize]byte
	if _, err := readFullAt(pack, b[:], at.offset); err != nil {
		return corrupt("a record is cut off", err)
	}
	h, err := parseHeader(b[:])
	if err != nil {
		return err
	}
	if h.name != row.Name || h.length() != at.length || h.size != row.Size || len(row.Key) != wrappedSize {
		return corrupt("the record is not that of its row", errors.New(row.Place))
	}
	setKey(&b, row.Key)
	_, err = pack.WriteAt(b[:], at.offset)
	return err
}

// PackOf is the pack that a place is in, and where the record lies there.
func PackOf(placeText string) (pack string, offset, length int64, err error) {
	at, err := parsePlace(placeText)
	return at.in(), at.offset, at.length, err
}
