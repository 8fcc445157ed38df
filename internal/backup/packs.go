package backup

import (
	"context"
	"errors"
	"io"
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
			e, err := p.copyExtent(ctx, k, from, total)
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

// copyExtent stores one extent of a pack, which is read twice: first to see that it is
// whole and for what stands at its end, then as it is sent.
func (p *making) copyExtent(ctx context.Context, k blob.Pack, from, total int64) (e extent, err error) {
	x, err := p.server.Blobs.Extent(ctx, k, from, extentBytes)
	if err != nil {
		return e, err
	}
	p.damaged = append(p.damaged, x.Damaged...)
	e = extent{k.Pack, from, x.Size()}
	mac := p.repo.packs.mac(e)
	if _, err := copyAll(ctx, mac, io.NewSectionReader(x, 0, e.length)); err != nil {
		return e, errors.Join(err, x.Close())
	}
	body := &extentReader{x: x, size: e.length, mac: mac.Sum(nil)}
	p.up.group.Go(func() error {
		err := p.up.put(e.name(), io.NewSectionReader(body, 0, e.length+macSize), e.length+macSize, func(s *Sent) { s.PackBytes += e.length + macSize })
		p.up.reached("mail", e.length, total)
		return errors.Join(err, x.Close())
	})
	p.Run.packs[k.Pack] = insertExtent(p.Run.packs[k.Pack], e)
	return e, nil
}

// An extentReader reads an extent as it is stored.
type extentReader struct {
	x    *blob.Extent
	size int64
	mac  []byte
}

// ReadAt implements io.ReaderAt.
func (r *extentReader) ReadAt(b []byte, off int64) (n int, err error) {
	if off < r.size {
		n, err = r.x.ReadAt(b[:min(int64(len(b)), r.size-off)], off)
		if err != nil && err != io.EOF || n == len(b) {
			return n, err
		}
	}
	if off += int64(n); off >= r.size+int64(len(r.mac)) {
		return n, io.EOF
	}
	n += copy(b[n:], r.mac[off-r.size:])
	if n < len(b) {
		return n, io.EOF
	}
	return n, nil
}
