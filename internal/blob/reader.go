package blob

import (
	"context"
	"crypto/cipher"
	"crypto/sha256"
	"errors"
	"io"
	"io/fs"
	"sync"

	"lockstep/internal/mail"
)

// maxDepth is how deep parts may lie in parts. Each level is a quarter smaller
// than the one around it, so that no blob of MaxSize can reach it.
const maxDepth = 100

// A Reader reads one blob. It decodes the frames it touches, keeps the last
// one, and holds what it lies in open until Close. Its methods are safe for concurrent
// use, except that Read and Seek share one position.
type Reader struct {
	store  *Store
	ctx    context.Context // of the Open: parts are looked up when they are first touched
	depth  int
	in     container
	offset int64 // of the frames in it
	aead   cipher.AEAD
	header recordHeader
	recipe *recipe

	mu     sync.Mutex
	closed bool
	pos    int64
	ahead  []byte  // sealed frames read along with the header, pooled
	nahead int64   // bytes of them
	skip   int     // where they begin in ahead
	frame  []byte  // decoded, in dst or scratch
	loaded int     // the segment in frame; -1: none
	dst    []byte  // pooled
	aux    []byte  // pooled
	part   *Reader // the one read last
	partNo int
}

// Open returns a reader of a blob as the index or a put gave it. It fails with
// mail.Corrupt when the record is damaged or gone. ctx holds for as long as the
// reader.
//
// Damage far inside is met only when it is read, and then whoever sends the bytes
// on has to break off. That happens once: what is known to be damaged is read
// whole before it is opened again.
func (s *Store) Open(ctx context.Context, b mail.Blob) (*Reader, error) {
	if s.damage.has(b.Name) {
		if err := s.Verify(ctx, b); err != nil {
			return nil, err
		}
	}
	return s.openDeep(ctx, b, 0, s.home.open)
}

func (s *Store) openDeep(ctx context.Context, b mail.Blob, depth int, by opener) (*Reader, error) {
	if depth > maxDepth {
		return nil, corrupt("parts within parts without end", nil)
	}
	s.stats.opens.Add(1)
	r, err := s.openRecord(ctx, b, depth, by)
	if mail.KindOf(err) == mail.Corrupt {
		// Compaction may have moved the blob since the caller read its row.
		row, found, lookup := s.index.Blob(ctx, b.Name)
		if lookup == nil && found && row.Place != b.Place {
			r, err = s.openRecord(ctx, row, depth, by)
		}
	}
	return r, s.count(ctx, b.Name, err)
}

func (s *Store) openRecord(ctx context.Context, b mail.Blob, depth int, by opener) (*Reader, error) {
	at, err := parsePlace(b.Place)
	if err != nil {
		return nil, err
	}
	key, err := s.keys.unwrap(b.Name, b.Key)
	if err != nil {
		return nil, err
	}
	aead, err := newAEAD(key)
	if err != nil {
		return nil, err
	}
	in, err := by(ctx, b, at)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, corrupt(at.what()+" is missing", err)
	}
	if err != nil {
		return nil, err
	}
	r := &Reader{store: s, ctx: ctx, depth: depth, in: in, aead: aead, loaded: -1}
	err = r.readHead(b, at)
	if mail.KindOf(err) == mail.Corrupt && in.again() {
		r.dropAhead()
		err = r.readHead(b, at)
	}
	if err != nil {
		r.Close()
		return nil, err
	}
	return r, nil
}

// readHead reads header and table, and of a small record the frames too.
func (r *Reader) readHead(b mail.Blob, at place) error {
	r.ahead = frames.get()
	n, err := r.in.readHead(r.ahead[:min(at.length, int64(len(r.ahead)))], at.offset)
	if err != nil {
		return r.damage(err)
	}
	h, err := parseHeader(r.ahead[:n])
	if err != nil {
		return err
	}
	if h.name != b.Name || h.size != b.Size || h.length() != at.length {
		return corrupt("another record lies where this one should", nil)
	}
	tableEnd := headerSize + int(h.tableLen)
	sealed := r.ahead[headerSize:min(tableEnd, n)]
	if tableEnd > n {
		sealed = make([]byte, h.tableLen)
		if _, err := r.read(sealed, at.offset+headerSize); err != nil {
			return err
		}
	}
	if r.recipe, err = openTable(&h, sealed, r.aead); err != nil {
		return err
	}
	r.header, r.offset = h, at.offset+int64(tableEnd)
	r.skip, r.nahead = tableEnd, int64(n-tableEnd)
	if r.nahead < r.recipe.stored { // frames will be read one by one
		r.dropAhead()
	}
	return nil
}

func openTable(h *recordHeader, sealed []byte, aead cipher.AEAD) (*recipe, error) {
	table, err := aead.Open(nil, nonce(nonceTable, 0), sealed, h.appendBound(nil))
	if err != nil {
		return nil, corrupt("a table does not open", err)
	}
	rec, err := parseRecipe(table)
	if err != nil {
		return nil, err
	}
	if rec.size != h.size || rec.stored != h.bodyLen {
		return nil, errRecipe
	}
	return rec, nil
}

// read fills p.
func (r *Reader) read(p []byte, off int64) (int, error) {
	n, err := readFullAt(r.in, p, off)
	return n, r.damage(err)
}

// damage says of an error what it means: what ends early or cannot be read is damage.
// That there is no way to it now is none.
func (r *Reader) damage(err error) error {
	if err == nil || errors.Is(err, fs.ErrClosed) || mail.KindOf(err) == mail.Unavailable || r.ctx.Err() != nil {
		return err
	}
	return corrupt(r.in.String()+" cannot be read", err)
}

// Size is the number of plain bytes.
func (r *Reader) Size() int64 { return r.recipe.size }

// ReadAt implements io.ReaderAt.
func (r *Reader) ReadAt(p []byte, off int64) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.readAt(p, off)
}

func (r *Reader) readAt(p []byte, off int64) (int, error) {
	if r.closed {
		return 0, fs.ErrClosed
	}
	if off < 0 {
		return 0, mail.Errorf(mail.Invalid, "read at a negative offset")
	}
	done := 0
	for i := r.recipe.find(off); done < len(p); i++ {
		if i == len(r.recipe.segments) {
			return done, io.EOF
		}
		n, err := r.readSegment(p[done:], i, off+int64(done))
		if err != nil {
			return done, r.store.count(r.ctx, r.header.name, err)
		}
		done += n
	}
	return done, nil
}

// readSegment copies what p wants of segment i, from off on.
func (r *Reader) readSegment(p []byte, i int, off int64) (int, error) {
	s := &r.recipe.segments[i]
	if s.isPart {
		return r.readPart(p, s, off-s.off)
	}
	if err := r.load(i); err != nil {
		return 0, err
	}
	return copy(p, r.frame[off-s.off:]), nil
}

// load decodes frame i, unless it is there.
func (r *Reader) load(i int) error {
	if r.loaded == i {
		return nil
	}
	if r.dst == nil {
		r.dst, r.aux = frames.get(), frames.get()
	}
	r.loaded = -1
	frame, err := r.decode(i)
	if mail.KindOf(err) == mail.Corrupt && r.in.again() {
		r.dropAhead()
		frame, err = r.decode(i)
	}
	if err != nil {
		return err
	}
	r.store.stats.frames.Add(1)
	r.frame, r.loaded = frame, i
	return nil
}

func (r *Reader) decode(i int) ([]byte, error) {
	s := &r.recipe.segments[i]
	sealed := r.aux[:s.stored]
	if s.at+int64(s.stored) <= r.nahead {
		sealed = r.ahead[r.skip+int(s.at):][:s.stored]
	} else if _, err := r.read(sealed, r.offset+s.at); err != nil {
		return nil, err
	}
	return openFrame(r.dst, sealed, r.aux, r.aead, i, s, i == len(r.recipe.segments)-1)
}

// readPart copies what p wants of the base64 of a part.
func (r *Reader) readPart(p []byte, s *segment, off int64) (int, error) {
	part, err := r.openPart(s)
	if err != nil {
		return 0, err
	}
	p = p[:min(int64(len(p)), s.size-off)]
	if err := s.text.readAt(p, off, part); err != nil {
		return 0, err
	}
	return len(p), nil
}

func (r *Reader) openPart(s *segment) (*Reader, error) {
	if r.part != nil && r.partNo == s.part {
		return r.part, nil
	}
	name := r.recipe.parts[s.part]
	row, found, err := r.store.index.Blob(r.ctx, name)
	if err != nil {
		return nil, err
	}
	if !found || row.Size != s.text.decoded {
		return nil, corrupt("part "+name.String()+" is missing", nil)
	}
	part, err := r.store.openDeep(r.ctx, row, r.depth+1, r.store.home.open)
	if err != nil {
		return nil, err
	}
	r.closePart()
	r.part, r.partNo = part, s.part
	return part, nil
}

func (r *Reader) closePart() {
	if r.part != nil {
		r.part.Close()
		r.part = nil
	}
}

// Read implements io.Reader.
func (r *Reader) Read(p []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	n, err := r.readAt(p, r.pos)
	r.pos += int64(n)
	if n > 0 && err == io.EOF {
		err = nil
	}
	return n, err
}

// Seek implements io.Seeker.
func (r *Reader) Seek(offset int64, whence int) (int64, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch whence {
	case io.SeekCurrent:
		offset += r.pos
	case io.SeekEnd:
		offset += r.recipe.size
	}
	if offset < 0 {
		return r.pos, mail.Errorf(mail.Invalid, "seek before the start")
	}
	r.pos = offset
	return offset, nil
}

// Rest gives the buffers back; the reader can be used on. It is for whoever
// will wait on a slow client.
func (r *Reader) Rest() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.rest()
}

func (r *Reader) rest() {
	r.dropAhead()
	frames.put(r.dst)
	frames.put(r.aux)
	r.dst, r.aux, r.frame, r.loaded = nil, nil, nil, -1
	if r.part != nil {
		r.part.Rest()
	}
}

func (r *Reader) dropAhead() {
	frames.put(r.ahead)
	r.ahead, r.nahead = nil, 0
}

// Close gives everything back. Closing twice is fine.
func (r *Reader) Close() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return nil
	}
	r.closed = true
	r.rest()
	r.closePart()
	r.in.release()
	return nil
}

// Verify reads a blob whole and compares it with its name. In a bucket it reads what lies
// there, and not what is kept nearby of it, but of its parts.
func (s *Store) Verify(ctx context.Context, b mail.Blob) error {
	r, err := s.openDeep(ctx, b, 0, s.home.pass)
	if err != nil {
		return err
	}
	defer r.Close()
	sum := sha256.New()
	buf := frames.get()
	defer frames.put(buf)
	if _, err := io.CopyBuffer(sum, contextReader{ctx, r}, buf); err != nil {
		return err
	}
	if s.keys.name(sum.Sum(nil)) != b.Name {
		return s.count(ctx, b.Name, corrupt("the bytes are not those that were put", nil))
	}
	s.damage.mended(b.Name)
	return nil
}

// A contextReader ends when its context does.
type contextReader struct {
	ctx context.Context
	r   io.Reader
}

func (c contextReader) Read(p []byte) (int, error) {
	if err := c.ctx.Err(); err != nil {
		return 0, err
	}
	return c.r.Read(p)
}
