package backup

import (
	"context"
	"errors"
	"hash"
	"io"
	"io/fs"
	"slices"

	"lockstep/internal/blob"
)

const (
	// extentBytes is how long an extent becomes at most, or a record longer.
	extentBytes = 16 << 20
	// An extent that is shorter than joinBelow is stored again with what was added
	// since, once that is as long: so a pack has few extents, however often it is
	// copied.
	joinBelow = 4 << 20
)

// copyPacks stores what the packs have and the target has not.
func (p *making) copyPacks(ctx context.Context) error {
	list, err := p.server.Blobs.Packs()
	if err != nil {
		return err
	}
	var total int64
	for _, k := range list {
		total += k.Size
	}
	for _, k := range list {
		if k.Size == 0 {
			continue
		}
		p.m.Packs = append(p.m.Packs, Pack{Pack: k.Pack, Size: k.Size})
		have := p.copied(k)
		p.up.reached("mail", min(have, k.Size), total)
		for from := p.from(k, have); from < k.Size; {
			e, err := p.copyExtent(ctx, k, from, have, total)
			if err != nil {
				return err
			}
			from = e.end()
		}
	}
	return nil
}

// copied is up to where a pack is in the target.
func (p *making) copied(k blob.Pack) int64 {
	_, end := tile(p.Run.packs[k.Pack])
	return end
}

// from is where to go on: before extents that are short.
func (p *making) from(k blob.Pack, end int64) int64 {
	tiles, _ := tile(p.Run.packs[k.Pack])
	from := end
	if from >= k.Size {
		return from
	}
	for _, t := range slices.Backward(tiles) {
		if t.length >= joinBelow || t.length > k.Size-from {
			break
		}
		from = t.offset
	}
	return from
}

// copyExtent stores one extent of a pack, which is read twice: first to see where it
// ends and whether it is whole, then as it is sent.
// Where it is damaged, what the target has already, up to have, is kept in its place.
func (p *making) copyExtent(ctx context.Context, k blob.Pack, from, have, total int64) (e extent, err error) {
	x, err := p.server.Blobs.Extent(ctx, k, from, extentBytes)
	if err != nil {
		return e, err
	}
	p.damaged = append(p.damaged, x.Damaged...)
	if len(x.Damaged) > 0 {
		if e, err = p.spare(ctx, k, from, have); err != nil || e.length > 0 {
			return e, errors.Join(err, x.Close())
		}
	}
	e = extent{k.Pack, from, x.Size()}
	size := e.length + macSize
	p.up.group.Go(func() error {
		err := p.up.put(e.name(), newExtentReader(p.repo.packs, e, x), size, func(s *Sent) { s.PackBytes += size })
		p.up.reached("mail", e.length, total)
		return errors.Join(err, x.Close())
	})
	p.Run.packs[k.Pack] = insertExtent(p.Run.packs[k.Pack], e)
	return e, nil
}

// spare returns what is kept of what the target has from a place on; length 0 is nothing.
func (p *making) spare(ctx context.Context, k blob.Pack, from, have int64) (extent, error) {
	if from < have {
		return extent{k.Pack, from, have - from}, nil
	}
	if !p.o.Again {
		return extent{}, nil
	}
	p.spared[k.Pack] = true
	for _, e := range p.before[k.Pack] {
		if e.offset != from || e.end() > k.Size {
			continue
		}
		err := p.repo.copyExtent(ctx, e, io.Discard)
		if err == nil {
			p.Run.packs[k.Pack] = insertExtent(p.Run.packs[k.Pack], e)
			return e, nil
		}
		if !isDamage(err) && !errors.Is(err, fs.ErrNotExist) {
			return extent{}, err
		}
	}
	return extent{}, nil
}

// An extentReader reads an extent as it is stored. What stands at its end is made of
// the bytes that were read before, from the beginning on: a record may be erased
// meanwhile, and whoever reads twice gets the one or the other, whole.
type extentReader struct {
	seals *packSealer
	e     extent
	x     io.ReaderAt

	mac     hash.Hash
	at      int64  // up to where mac knows the bytes, or the tail was read
	tail    []byte // nil until all bytes were read
	next    int64  // where the next Read begins
	scratch []byte
}

func newExtentReader(seals *packSealer, e extent, x io.ReaderAt) *extentReader {
	return &extentReader{seals: seals, e: e, x: x, mac: seals.mac(e)}
}

// Seek implements io.Seeker.
func (r *extentReader) Seek(offset int64, whence int) (int64, error) {
	switch whence {
	case io.SeekCurrent:
		offset += r.next
	case io.SeekEnd:
		offset += r.e.length + macSize
	}
	if offset < 0 {
		return 0, errors.New("backup: seek before the beginning")
	}
	r.next = offset
	return offset, nil
}

// Read implements io.Reader. Who did not come from the beginning waits until all before
// was read.
func (r *extentReader) Read(b []byte) (int, error) {
	if r.next < r.at {
		r.mac, r.at, r.tail = r.seals.mac(r.e), 0, nil
	}
	for r.at < r.next {
		if r.scratch == nil {
			r.scratch = make([]byte, copyBuffer)
		}
		if _, err := r.read(r.scratch[:min(int64(len(r.scratch)), r.next-r.at)]); err != nil {
			return 0, err
		}
	}
	n, err := r.read(b)
	r.next = r.at
	return n, err
}

// read reads on from where it is.
func (r *extentReader) read(b []byte) (int, error) {
	if r.at < r.e.length {
		b = b[:min(int64(len(b)), r.e.length-r.at)]
		n, err := r.x.ReadAt(b, r.at)
		r.mac.Write(b[:n])
		r.at += int64(n)
		if n == len(b) {
			err = nil
		}
		return n, err
	}
	if r.tail == nil {
		r.tail = r.mac.Sum(nil)
	}
	if r.at >= r.e.length+macSize {
		return 0, io.EOF
	}
	n := copy(b, r.tail[r.at-r.e.length:])
	r.at += int64(n)
	return n, nil
}
