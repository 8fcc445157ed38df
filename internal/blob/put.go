package blob

import (
	"bytes"
	"context"
	"crypto/sha256"
	"hash"
	"io"
	"slices"
	"time"

	"lockstep/internal/mail"
)

// PutOptions say how a blob may be cut. The zero value is good for anything.
type PutOptions struct {
	// HeaderSize is where a message's header ends: a frame ends there too, so
	// that reading the header decodes nothing else.
	HeaderSize int64
	// Cuts are stored decoded as blobs of their own. In order, not overlapping.
	Cuts []Cut
}

// Put stores all that r gives. On return the bytes are durable, and the handles
// can be committed until they expire: that of the blob, and those of the parts
// it is put together from, which have to be committed with it. A blob that is
// there already costs no write and comes without parts. Put fails with
// mail.Unavailable when the disk does not take the bytes; an error of r is
// returned as it is.
func (s *Store) Put(ctx context.Context, r io.Reader, o PutOptions) (mail.Blob, []mail.Blob, error) {
	if err := checkCuts(o.Cuts); err != nil {
		return mail.Blob{}, nil, err
	}
	s.stats.puts.Add(1)
	start, release, whole, err := readStart(r)
	defer func() { release() }()
	if err != nil {
		return mail.Blob{}, nil, err
	}
	p := &putting{s: s, ctx: ctx, o: o, sum: sha256.New()}
	defer p.close()
	p.sum.Write(start)
	if whole {
		return p.put(bytes.NewReader(start), p.name())
	}
	// A copy of what was read ahead goes first; the rest is hashed on its way.
	return p.put(io.MultiReader(bytes.NewReader(start), io.TeeReader(r, p.sum)), mail.BlobName{})
}

// readStart reads what fits in memory; whole says that it is everything.
func readStart(r io.Reader) (b []byte, release func(), whole bool, err error) {
	small := frames.get()
	release = func() { frames.put(small) }
	n, err := io.ReadFull(r, small)
	if err == nil {
		large := smalls.get()
		copy(large, small)
		frames.put(small)
		release = func() { smalls.put(large) }
		var m int
		m, err = io.ReadFull(r, large[n:])
		n, small = n+m, large
	}
	if err == io.EOF || err == io.ErrUnexpectedEOF {
		return small[:n], release, true, nil
	}
	return small[:n], release, false, err
}

// putting is one call of Put.
type putting struct {
	s     *Store
	ctx   context.Context
	o     PutOptions
	sum   hash.Hash // of the blob's plain bytes
	main  *builder
	cut   []*builder // parts to be written
	parts []mail.Blob
}

func (p *putting) close() {
	if p.main != nil {
		p.main.close()
	}
	for _, b := range p.cut {
		b.close()
	}
}

func (p *putting) name() mail.BlobName { return p.s.keys.name(p.sum.Sum(nil)) }

// put stores what r gives. name is zero when it is known only afterwards.
func (p *putting) put(r io.Reader, name mail.BlobName) (b mail.Blob, parts []mail.Blob, err error) {
	known := name != mail.BlobName{}
	if known {
		if found, ok, err := p.find(name); ok || err != nil {
			return found, nil, err
		}
	}
	if p.main, err = p.s.newBuilder(); err != nil {
		return b, nil, err
	}
	if err := p.build(r); err != nil {
		return b, nil, err
	}
	if !known {
		name = p.name()
		if found, ok, err := p.find(name); ok || err != nil {
			return found, nil, err
		}
	}
	if err := p.main.finish(p.s.keys, name); err != nil {
		return b, nil, err
	}
	return p.write()
}

// find returns the handle of a blob that is there.
func (p *putting) find(name mail.BlobName) (mail.Blob, bool, error) {
	b, ok, err := p.s.index.Blob(p.ctx, name)
	if !ok || err != nil {
		return mail.Blob{}, false, err
	}
	p.s.stats.found.Add(1)
	b.Fresh, b.Until = false, time.Now().Add(HandleLife)
	return b, true, nil
}

// write makes the records durable, the parts' before the one that needs them.
func (p *putting) write() (mail.Blob, []mail.Blob, error) {
	if err := p.ctx.Err(); err != nil {
		return mail.Blob{}, nil, err
	}
	all := append(slices.Clone(p.cut), p.main)
	var records []source
	var size int64
	for _, b := range all {
		records = append(records, b)
		size += b.length()
	}
	to := p.s.small
	if size > smallPut+maxTable {
		to = p.s.large
	}
	places, err := to.append(records...)
	if err != nil {
		return mail.Blob{}, nil, err
	}
	for i, b := range all[:len(p.cut)] {
		p.parts = append(p.parts, p.handle(b, places[i]))
	}
	return p.handle(p.main, places[len(p.cut)]), p.parts, nil
}

func (p *putting) handle(b *builder, at place) mail.Blob {
	p.s.stats.plain.Add(b.recipe.size)
	p.s.stats.stored.Add(at.length)
	return mail.Blob{
		Name: b.header.name, Size: b.recipe.size, Place: at.String(), Key: slices.Clone(b.header.key[:]),
		Parts: b.recipe.parts, Fresh: true, Until: time.Now().Add(HandleLife),
	}
}

// build feeds the builder from r, cutting out the parts.
func (p *putting) build(r io.Reader) error {
	var pos int64
	if p.o.HeaderSize > 0 && (len(p.o.Cuts) == 0 || p.o.HeaderSize <= p.o.Cuts[0].Offset) {
		n, err := p.copy(p.main, r, p.o.HeaderSize)
		if err != nil {
			return err
		}
		pos = n
		p.main.split = true
	}
	for i, c := range p.o.Cuts {
		if i == MaxParts {
			break
		}
		n, err := p.copy(p.main, r, c.Offset-pos)
		if err != nil {
			return err
		}
		if pos += n; pos < c.Offset {
			return nil // shorter than the cuts said
		}
		if err := p.cutOut(r, c); err != nil {
			return err
		}
		pos += c.Length
	}
	_, err := p.copy(p.main, r, MaxSize+1)
	return err
}

// copy copies up to n bytes; it is not an error when there are fewer.
func (p *putting) copy(w io.Writer, r io.Reader, n int64) (int64, error) {
	buf := frames.get()
	defer frames.put(buf)
	var done int64
	for done < n {
		if err := p.ctx.Err(); err != nil {
			return done, err
		}
		k, err := r.Read(buf[:min(int64(len(buf)), n-done)])
		done += int64(k)
		if _, err := w.Write(buf[:k]); err != nil {
			return done, err
		}
		if err == io.EOF {
			return done, nil
		}
		if err != nil {
			return done, err
		}
	}
	return done, nil
}
