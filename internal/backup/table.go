package backup

import (
	"context"
	"crypto/sha256"
)

// A table knows the pages of the database as a point has them: 17 bytes for each.
type table struct {
	hashes []pageHash // by number, from 1
	owner  []uint8    // the layer that has the page, plus one; 0: none has
	layers []Layer
}

func (t *table) count() int { return len(t.hashes) }

// has says whether a page is known to be as it is.
func (t *table) has(pgno uint32, h pageHash) bool {
	return int(pgno) <= len(t.hashes) && t.owner[pgno-1] != 0 && t.hashes[pgno-1] == h
}

func (t *table) set(pgno uint32, h pageHash, layer int) {
	for int(pgno) > len(t.hashes) {
		t.hashes, t.owner = append(t.hashes, pageHash{}), append(t.owner, 0)
	}
	t.hashes[pgno-1], t.owner[pgno-1] = h, uint8(layer+1)
}

// truncate forgets pages beyond the last.
func (t *table) truncate(pages uint32) {
	if int(pages) < len(t.hashes) {
		t.hashes, t.owner = t.hashes[:pages], t.owner[:pages]
	}
}

// root is made of all pages.
func (t *table) root() []byte {
	h := sha256.New()
	for i := range t.hashes {
		h.Write(t.hashes[i][:])
	}
	return h.Sum(nil)
}

// load reads the indexes of a point.
func (t *table) load(ctx context.Context, r *Repo, set string, m *Manifest) error {
	seal, err := r.set(ctx, set)
	if err != nil {
		return err
	}
	*t = table{layers: m.Layers}
	for layer, l := range m.Layers {
		for _, name := range l.Indexes {
			content, err := seal.get(ctx, r.Target, name)
			if err != nil {
				return err
			}
			err = eachSegment(content, m.PageSize, func(_ string, pages []segmentPage) error {
				for _, p := range pages {
					if p.pgno <= m.Pages {
						t.set(p.pgno, p.hash, layer)
					}
				}
				return nil
			})
			if err != nil {
				return damaged(name, err)
			}
		}
	}
	return nil
}

// A point absorbs the last layers when there are absorbAt of about one size: then it
// carries their pages too, and stands for them. So a database has a few layers for each
// doubling of what changed, and each page is carried again as often as that.
const absorbAt = 8

// absorb returns how many of the last layers the next point takes in.
func absorb(layers []Layer) int {
	n, pages := 0, 0
	for n < len(layers) {
		l := layers[len(layers)-1-n]
		if n > 0 && l.Pages > 2*pages {
			break
		}
		n, pages = n+1, pages+l.Pages
	}
	switch {
	case n >= absorbAt:
		return n
	case len(layers) >= maxLayers:
		return maxLayers / 2
	}
	return 0
}

// ownedFrom lists the pages that layers from first on have.
func (t *table) ownedFrom(first int) []uint32 {
	var pages []uint32
	for i, o := range t.owner {
		if int(o) > first {
			pages = append(pages, uint32(i+1))
		}
	}
	return pages
}
