package blob

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"io"
	"io/fs"
	"path/filepath"

	"lockstep/internal/vfs"
)

// Headers of records are written over where they lie. A write that a crash cuts would
// leave a header that is neither the old nor the new one, and a blob that nobody
// reads. So what will be written is made durable first, in a file beside the packs,
// and what a crash left of that is written again when the store is opened:
//
//	"LSrw", version 1, three zeros; of each header: the pack's number, the offset,
//	the header; then the SHA-256 of all before
const (
	rewriteFile  = "rewrite"
	rewriteMagic = "LSrw\x01\x00\x00\x00"
	rewriteSize  = 8 + 8 + headerSize
)

// A rewrite is a header to be written over the one at a place.
type rewrite struct {
	pack   packID
	offset int64
	header []byte
}

func encodeRewrites(all []rewrite) []byte {
	b := []byte(rewriteMagic)
	for _, r := range all {
		b = binary.BigEndian.AppendUint64(b, uint64(r.pack))
		b = binary.BigEndian.AppendUint64(b, uint64(r.offset))
		b = append(b, r.header...)
	}
	sum := sha256.Sum256(b)
	return append(b, sum[:]...)
}

// decodeRewrites reads what encodeRewrites wrote. What is not whole was never begun.
func decodeRewrites(b []byte) (all []rewrite, whole bool) {
	end := len(b) - sha256.Size
	if end < len(rewriteMagic) || string(b[:len(rewriteMagic)]) != rewriteMagic || (end-len(rewriteMagic))%rewriteSize != 0 {
		return nil, false
	}
	if sum := sha256.Sum256(b[:end]); !bytes.Equal(sum[:], b[end:]) {
		return nil, false
	}
	for rest := b[len(rewriteMagic):end]; len(rest) > 0; rest = rest[rewriteSize:] {
		r := rewrite{packID(binary.BigEndian.Uint64(rest)), int64(binary.BigEndian.Uint64(rest[8:])), rest[16:rewriteSize]}
		if r.offset < packHeaderSize {
			return nil, false
		}
		if _, err := parseHeader(r.header); err != nil {
			return nil, false
		}
		all = append(all, r)
	}
	return all, true
}

// maxRewriteFile bounds what is read of the file.
const maxRewriteFile = int64(len(rewriteMagic)) + rewrapPage*rewriteSize + sha256.Size

// rewriteHeaders writes headers over the ones that lie there, all of them or, after a
// crash, when the store is opened again.
func (p *packs) rewriteHeaders(all []rewrite) error {
	if len(all) == 0 {
		return nil
	}
	path := filepath.Join(p.dir, rewriteFile)
	f, err := p.fs.Create(path + ".tmp")
	if err != nil {
		return err
	}
	_, err = f.WriteAt(encodeRewrites(all), 0)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return errors.Join(err, p.fs.Remove(path+".tmp"))
	}
	if err := p.fs.Rename(path+".tmp", path); err != nil {
		return err
	}
	if err := p.fs.SyncDir(p.dir); err != nil {
		return err
	}
	return p.applyRewrites(all)
}

// applyRewrites writes headers, and forgets that they were to be written.
func (p *packs) applyRewrites(all []rewrite) error {
	for len(all) > 0 {
		n := 1
		for n < len(all) && all[n].pack == all[0].pack {
			n++
		}
		if err := p.rewriteIn(all[0].pack, all[:n]); err != nil {
			return err
		}
		all = all[n:]
	}
	if err := p.fs.Remove(filepath.Join(p.dir, rewriteFile)); err != nil {
		return err
	}
	return p.fs.SyncDir(p.dir)
}

// rewriteIn writes headers of one pack. Who reads one waits, and sees it whole.
func (p *packs) rewriteIn(id packID, all []rewrite) error {
	f, err := p.fs.Change(p.path(id))
	if errors.Is(err, fs.ErrNotExist) { // compacted away since a crash
		return nil
	}
	if err != nil {
		return err
	}
	err = p.overwrite(f, all)
	if err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}

func (p *packs) overwrite(f vfs.File, all []rewrite) error {
	p.heads.Lock()
	defer p.heads.Unlock()
	for _, r := range all {
		if _, err := f.WriteAt(r.header, r.offset); err != nil {
			return err
		}
	}
	return nil
}

// finishRewrites does what a crash cut.
func (p *packs) finishRewrites() error {
	f, err := p.fs.Open(filepath.Join(p.dir, rewriteFile))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	text, err := io.ReadAll(io.NewSectionReader(f, 0, maxRewriteFile))
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	all, _ := decodeRewrites(text)
	return p.applyRewrites(all)
}

// rewrapRecords implements home.
func (s onDisk) rewrapRecords(ctx context.Context, n uint32, done *Rewrapped, tell func(Rewrapped) error) error {
	var batch []rewrite
	flush := func() error {
		if err := s.packs.rewriteHeaders(batch); err != nil {
			return unavailable(err)
		}
		done.Records += int64(len(batch))
		batch = nil
		return tell(*done)
	}
	err := s.eachRecord(ctx, func(at place, h recordHeader) error {
		if wrappedBy(h.key[:]) != n {
			return nil
		}
		key, err := s.keys.unwrap(h.name, h.key[:])
		if err != nil {
			done.Damaged++
			return nil
		}
		copy(h.key[:], s.keys.wrap(h.name, key))
		batch = append(batch, rewrite{at.pack, at.offset, h.append(nil)})
		if len(batch) < rewrapPage {
			return nil
		}
		return flush()
	})
	if err != nil {
		return err
	}
	return flush()
}

// eachRecord calls fn with the header of each record of each pack, also of those that
// no row names. It reads headers alone: 1 000 000 in some seconds when the machine
// has them in memory. Bytes that are no record are passed over,
// and what does not last yet.
func (s *Store) eachRecord(ctx context.Context, fn func(place, recordHeader) error) error {
	list, err := listPacks(s.fs, s.dir)
	if err != nil {
		return err
	}
	for _, info := range list {
		info.size = s.packs.durable(info)
		if err := s.eachRecordOf(ctx, info, fn); err != nil {
			return err
		}
	}
	return nil
}

func (s *Store) eachRecordOf(ctx context.Context, info packInfo, fn func(place, recordHeader) error) error {
	k, err := s.packs.acquire(info.id)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer s.packs.release(k)
	sc := scanner{keys: s.keys, file: k.file, info: info, heads: &s.packs.heads}
	for off := int64(packHeaderSize); off < info.size; {
		if err := ctx.Err(); err != nil {
			return err
		}
		h, err := sc.header(off)
		if err != nil {
			off = sc.next(off + 1)
			continue
		}
		if err := fn(inPack(info.id, off, h.length()), h); err != nil {
			return err
		}
		off += h.length()
	}
	return nil
}
