package blob

import (
	"bytes"
	"context"
	"hash/crc32"
	"io"
	"iter"
	"sync"

	"lockstep/internal/mail"
	"lockstep/internal/vfs"
)

// A Found is a stretch of a pack: a whole record, or bytes that are none.
type Found struct {
	Blob           mail.Blob // as its row should be, when Err is nil
	Pack           string    // the file's name
	Offset, Length int64
	// Err says why this is no record. At the end of a pack that is what a crash
	// or a failed write leaves, and nothing that was acknowledged.
	Err error
}

// Scan goes through all packs of a directory, the oldest first, so that an index
// can be made anew from them. A blob may be found more than once, and also when
// it was forgotten; any of its records is good. The error ends the scan.
func Scan(ctx context.Context, fsys vfs.FS, dir string, keys *Keyring) iter.Seq2[Found, error] {
	return func(yield func(Found, error) bool) {
		p, err := newPacks(fsys, dir, keys)
		if err != nil {
			yield(Found{}, err)
			return
		}
		list, err := listPacks(fsys, dir)
		if err != nil {
			yield(Found{}, err)
			return
		}
		for _, info := range list {
			if ok, err := scanPack(ctx, p, info, nil, yield); err != nil {
				yield(Found{}, err)
				return
			} else if !ok {
				return
			}
		}
	}
}

// scanPack goes through one pack. Records that want refuses are passed over, and
// only their headers read; nil wants all.
func scanPack(ctx context.Context, p *packs, info packInfo, want func(mail.BlobName) (bool, error), yield func(Found, error) bool) (ok bool, err error) {
	f, err := p.fs.Open(p.path(info.id))
	if err != nil {
		return false, err
	}
	defer f.Close()
	s := scanner{keys: p.keys, file: f, info: info, heads: &p.heads}
	for off := int64(packHeaderSize); off < info.size; {
		if err := ctx.Err(); err != nil {
			return false, err
		}
		skip, err := s.passOver(off, want)
		if err != nil {
			return false, err
		}
		if skip > 0 {
			off += skip
			continue
		}
		found := s.record(off)
		if found.Err != nil {
			found.Length = s.next(off+1) - off
		}
		if !yield(found, nil) {
			return false, nil
		}
		off += found.Length
	}
	return true, nil
}

type scanner struct {
	keys  *Keyring
	file  vfs.File
	info  packInfo
	heads *sync.RWMutex
}

// passOver is the length of a record that nobody wants; 0 if it is to be looked at.
func (s *scanner) passOver(off int64, want func(mail.BlobName) (bool, error)) (int64, error) {
	if want == nil {
		return 0, nil
	}
	h, err := s.header(off)
	if err != nil {
		return 0, nil // no record, as record says too
	}
	wanted, err := want(h.name)
	if wanted || err != nil {
		return 0, err
	}
	return h.length(), nil
}

// record reads the record at off.
func (s *scanner) record(off int64) Found {
	found := Found{Pack: s.info.id.String() + PackSuffix, Offset: off}
	h, err := s.header(off)
	if err == nil {
		found.Length = h.length()
		found.Blob, err = s.blob(off, h)
	}
	found.Err = err
	return found
}

func (s *scanner) header(off int64) (h recordHeader, err error) {
	b := make([]byte, headerSize)
	s.heads.RLock()
	n, err := readFullAt(s.file, b, off)
	s.heads.RUnlock()
	if err != nil {
		return h, corrupt("a record is cut off", err)
	}
	if h, err = parseHeader(b[:n]); err != nil {
		return h, err
	}
	if h.length() > s.info.size-off {
		return h, corrupt("a record is cut off", nil)
	}
	return h, nil
}

// blob checks the record's body and makes its row.
func (s *scanner) blob(off int64, h recordHeader) (b mail.Blob, err error) {
	table, err := checkBody(s.file, off, &h)
	if err != nil {
		return b, err
	}
	key, err := s.keys.unwrap(h.name, h.key[:])
	if err != nil {
		return b, err
	}
	aead, err := newAEAD(key)
	if err != nil {
		return b, err
	}
	rec, err := openTable(&h, table, aead)
	if err != nil {
		return b, err
	}
	at := inPack(s.info.id, off, h.length())
	return mail.Blob{Name: h.name, Size: h.size, Place: at.String(), Key: h.key[:], Parts: rec.parts}, nil
}

// checkBody compares a record with its checksum and returns the sealed table.
func checkBody(f io.ReaderAt, off int64, h *recordHeader) ([]byte, error) {
	table := make([]byte, h.tableLen)
	if _, err := readFullAt(f, table, off+headerSize); err != nil {
		return nil, corrupt("a table cannot be read", err)
	}
	sum := crc32.New(castagnoli)
	body := io.NewSectionReader(f, off+headerSize+int64(h.tableLen), h.bodyLen)
	if _, err := io.Copy(sum, body); err != nil {
		return nil, corrupt("frames cannot be read", err)
	}
	sum.Write(table)
	if sum.Sum32() != h.bodyCRC {
		return nil, corrupt("a record's checksum", nil)
	}
	return table, nil
}

// next returns where the next header lies that makes sense, or the end.
func (s *scanner) next(off int64) int64 {
	buf := frames.get()
	defer frames.put(buf)
	for off < s.info.size {
		n, _ := readFullAt(s.file, buf[:min(int64(len(buf)), s.info.size-off)], off)
		if n < len(recordMagic) {
			break
		}
		i := bytes.Index(buf[:n], []byte(recordMagic))
		if i < 0 {
			off += int64(n - len(recordMagic) + 1)
			continue
		}
		off += int64(i)
		if _, err := s.header(off); err == nil {
			return off
		}
		off++
	}
	return s.info.size
}
