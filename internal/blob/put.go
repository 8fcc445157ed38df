package blob

import (
	"context"
	"crypto/sha256"
	"hash"
	"io"
	"slices"

	"lockstep/internal/mail"
)

// PutOptions say how a blob may be cut. The zero value is good for anything.
type PutOptions struct {
	// HeaderSize is where a message's header ends: a frame ends there too, so
	// that reading the header decodes nothing else. It lies before the first cut.
	HeaderSize int64
	// Cuts are stored decoded as blobs of their own. In order, not overlapping.
	Cuts []Cut
	// Soon lets a small put return before its bytes are durable: the commit waits
	// for the handle's Pending.
	Soon bool
	// Arrives says that it just came from outside, so that it is hardly ever there: a
	// small one may be sealed without asking whether it is.
	Arrives bool
}

// Put stores all that r gives. On return the bytes are durable, or soon will be if
// that was asked for, and the handles can be committed until they expire: that of the blob, and those of the parts
// it is put together from, which have to be committed with it. A blob that is
// there already costs no write and comes without parts. Put fails with
// mail.Unavailable when the disk does not take the bytes, and in rare cases with
// mail.Expired, as a commit does; an error of r is returned as it is. A blob
// made of new parts can be read once it is committed.
func (s *Store) Put(ctx context.Context, r io.Reader, o PutOptions) (mail.Blob, []mail.Blob, error) {
	if err := checkCuts(o.Cuts); err != nil {
		return mail.Blob{}, nil, err
	}
	s.stats.puts.Add(1)
	var ahead start
	defer ahead.free()
	whole, err := ahead.fill(r)
	if err != nil {
		return mail.Blob{}, nil, err
	}
	p := &putting{s: s, ctx: ctx, o: o, sum: sha256.New(), over: overflow{fs: s.fs, dir: s.dir}}
	defer p.close()
	p.sum.Write(ahead.bytes())
	if whole {
		return p.put(&ahead, p.name(), ahead.n)
	}
	return p.put(io.MultiReader(&ahead, io.TeeReader(r, p.sum)), mail.BlobName{}, 0)
}

// A start is what was read ahead of a put: all of a small one, so that its name
// is known before anything is sealed.
type start struct {
	buf    []byte // pooled
	off, n int
}

// fill reads up to smallPut bytes, and says whether that is everything.
func (s *start) fill(r io.Reader) (whole bool, err error) {
	s.buf = frames.get()
	s.n, err = io.ReadFull(r, s.buf)
	if err == nil {
		s.grow()
		var more int
		more, err = io.ReadFull(r, s.buf[s.n:])
		s.n += more
	}
	if err == io.EOF || err == io.ErrUnexpectedEOF {
		return true, nil
	}
	return false, err
}

func (s *start) grow() {
	large := smalls.get()
	copy(large, s.buf)
	frames.put(s.buf)
	s.buf = large
}

func (s *start) bytes() []byte { return s.buf[:s.n] }

// Read implements io.Reader. It gives the buffer back when all is read: the
// rest may come from a slow client.
func (s *start) Read(p []byte) (int, error) {
	if s.off == s.n {
		s.free()
		return 0, io.EOF
	}
	n := copy(p, s.buf[s.off:s.n])
	s.off += n
	return n, nil
}

func (s *start) free() {
	switch len(s.buf) {
	case frameBuffer:
		frames.put(s.buf)
	case smallPut:
		smalls.put(s.buf)
	}
	s.buf = nil
}

// putting is one call of Put.
type putting struct {
	s     *Store
	ctx   context.Context
	o     PutOptions
	sum   hash.Hash // of the blob's plain bytes
	over  overflow
	main  *builder
	cut   []*builder // parts to be written
	parts []mail.Blob
	lost  map[mail.BlobName]bool // that have a row, and no pack
}

func (p *putting) close() {
	if p.main != nil {
		p.main.close()
	}
	for _, b := range p.cut {
		b.close()
	}
	p.over.close()
}

func (p *putting) name() mail.BlobName { return p.s.keys.name(p.sum.Sum(nil)) }

// put stores what r gives. name is zero when it is known only afterwards, and so is size.
func (p *putting) put(r io.Reader, name mail.BlobName, size int) (b mail.Blob, parts []mail.Blob, err error) {
	known := name != mail.BlobName{}
	if known && (!p.o.Arrives || p.s.home.asksFirst(name, size)) {
		if found, ok, err := p.find(name); ok || err != nil {
			p.s.stats.found.Add(int64(b2i(ok)))
			return found, nil, err
		}
	}
	if p.main, err = newBuilder(&p.over); err != nil {
		return b, nil, err
	}
	if err := p.build(r); err != nil {
		return b, nil, err
	}
	if !known {
		name = p.name()
		if found, ok, err := p.find(name); ok || err != nil {
			p.s.stats.found.Add(int64(b2i(ok)))
			return found, nil, err
		}
	}
	if err := p.main.finish(p.s.keys, name, p.s.home.keyless()); err != nil {
		return b, nil, err
	}
	if b, parts, err = p.write(); err == nil {
		err = p.heal(b, parts)
	}
	return b, parts, err
}

// find returns the handle of a blob that is there.
func (p *putting) find(name mail.BlobName) (mail.Blob, bool, error) {
	b, ok, err := p.s.index.Blob(p.ctx, name)
	if !ok || err != nil {
		return mail.Blob{}, false, err
	}
	if !p.s.home.isThere(b) {
		if p.lost == nil {
			p.lost = map[mail.BlobName]bool{}
		}
		p.lost[name] = true
		return mail.Blob{}, false, nil
	}
	b.Fresh, b.Until = false, p.s.now().Add(HandleLife)
	return b, true, nil
}

// write makes the records durable, the parts' before the one that needs them.
func (p *putting) write() (mail.Blob, []mail.Blob, error) {
	if err := p.renewParts(); err != nil {
		return mail.Blob{}, nil, err
	}
	all := append(slices.Clone(p.cut), p.main)
	at, err := p.s.home.lodge(p.ctx, all, p.o.Soon && !p.s.inTurn)
	if err != nil {
		return mail.Blob{}, nil, err
	}
	for i, b := range all[:len(p.cut)] {
		p.parts = append(p.parts, p.handle(b, at[i]))
	}
	return p.handle(p.main, at[len(p.cut)]), p.parts, nil
}

// renewParts looks again for the parts that were found: the rest may have taken
// its time to arrive.
func (p *putting) renewParts() error {
	for i, found := range p.parts {
		b, ok, err := p.find(found.Name)
		if err != nil {
			return err
		}
		if !ok {
			return mail.Errorf(mail.Expired, "a part was deleted while the rest of its message arrived")
		}
		p.parts[i] = b
	}
	return p.ctx.Err()
}

func (p *putting) handle(b *builder, at lodging) mail.Blob {
	p.s.stats.plain.Add(b.recipe.size)
	p.s.stats.stored.Add(at.length)
	return mail.Blob{
		Name: b.header.name, Size: b.recipe.size, Place: at.String(), Key: b.wrapped,
		Parts: b.recipe.parts, Fresh: true, Until: p.s.now().Add(HandleLife),
		Pending: at.durable, Record: at.record,
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
