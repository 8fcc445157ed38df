package blob

import (
	"encoding/binary"
	"slices"
	"sort"

	"lockstep/internal/mail"
)

// MaxSize is the most plain bytes of one blob.
const MaxSize = 16 << 30

// MaxParts is the most parts one blob is put together from; further cuts are
// stored as they came.
const MaxParts = 1000

const (
	frameSize    = 64 << 10 // plain bytes of a frame, at most
	sealOverhead = 16
	maxBody      = 2 * MaxSize // frames as small as they like to be
)

// A recipe says how a blob is put together: its segments in order. Its encoding
// is the plain text of a record's table:
//
//	number of parts, then their names
//	number of segments, then of each:
//	  0, 1, 6  a frame, by its coding; plain length; stored length
//	  2 … 5    base64 of a part: 2, +1 when lines end in CRLF, +2 when the last
//	           line is ended too; number of the part; its size; line length
//
// Numbers are uvarints.
type recipe struct {
	parts    []mail.BlobName
	segments []segment
	size     int64 // plain bytes of the whole
	stored   int64 // bytes of all frames
}

// A segment is a frame of the blob itself, or the base64 of a part.
type segment struct {
	off  int64 // of its first plain byte in the blob
	size int64 // plain bytes

	at     int64 // frame: where it lies among the frames
	stored int32 // frame: sealed length
	coding coding

	isPart bool
	part   int // index in parts
	text   encoding
}

func (r *recipe) addFrame(plain, stored int, c coding) {
	r.segments = append(r.segments, segment{off: r.size, size: int64(plain), at: r.stored, stored: int32(stored), coding: c})
	r.size += int64(plain)
	r.stored += int64(stored)
}

func (r *recipe) addPart(name mail.BlobName, text encoding) {
	i := slices.Index(r.parts, name)
	if i < 0 {
		i = len(r.parts)
		r.parts = append(r.parts, name)
	}
	size := text.encodedSize()
	r.segments = append(r.segments, segment{off: r.size, size: size, isPart: true, part: i, text: text})
	r.size += size
}

// find returns the index of the segment that holds the byte at off.
func (r *recipe) find(off int64) int {
	return sort.Search(len(r.segments), func(i int) bool { return r.segments[i].off+r.segments[i].size > off })
}

func (r *recipe) append(b []byte) []byte {
	b = binary.AppendUvarint(b, uint64(len(r.parts)))
	for _, p := range r.parts {
		b = append(b, p[:]...)
	}
	b = binary.AppendUvarint(b, uint64(len(r.segments)))
	for _, s := range r.segments {
		b = s.append(b)
	}
	return b
}

func (s *segment) append(b []byte) []byte {
	if s.isPart {
		b = append(b, 2+b2i(s.text.crlf)+2*b2i(s.text.ended))
		b = binary.AppendUvarint(b, uint64(s.part))
		b = binary.AppendUvarint(b, uint64(s.text.decoded))
		return binary.AppendUvarint(b, uint64(s.text.lineLen))
	}
	b = append(b, byte(s.coding))
	b = binary.AppendUvarint(b, uint64(s.size))
	return binary.AppendUvarint(b, uint64(s.stored))
}

func b2i(b bool) byte {
	if b {
		return 1
	}
	return 0
}

// parseRecipe reads what append wrote. It allocates in proportion to b.
func parseRecipe(b []byte) (*recipe, error) {
	p := recipeParser{rest: b}
	r := &recipe{}
	nparts := p.number(MaxParts)
	if int64(len(p.rest)) < nparts*int64(len(mail.BlobName{})) {
		return nil, errRecipe
	}
	for range nparts {
		r.parts = append(r.parts, mail.BlobName(p.rest))
		p.rest = p.rest[len(mail.BlobName{}):]
	}
	n := p.number(int64(len(p.rest)) / 3) // a segment takes three bytes at least
	r.segments = make([]segment, 0, n)
	for range n {
		p.segment(r)
		if p.bad || r.size > MaxSize {
			return nil, errRecipe
		}
	}
	if p.bad || len(p.rest) > 0 {
		return nil, errRecipe
	}
	return r, nil
}

var errRecipe = corrupt("a table of frames", nil)

type recipeParser struct {
	rest []byte
	bad  bool
}

// number reads a number from 0 to limit.
func (p *recipeParser) number(limit int64) int64 {
	v, n := binary.Uvarint(p.rest)
	if n <= 0 || v > uint64(max(limit, 0)) {
		p.bad, p.rest = true, nil
		return 0
	}
	p.rest = p.rest[n:]
	return int64(v)
}

func (p *recipeParser) segment(r *recipe) {
	switch kind := p.number(6); kind {
	case int64(asItIs), int64(zstdCoded), int64(s2Coded):
		plain, stored := p.number(frameSize), p.number(frameSize+sealOverhead)
		p.bad = p.bad || plain == 0 || stored <= sealOverhead || kind == int64(asItIs) && stored != plain+sealOverhead
		r.addFrame(int(plain), int(stored), coding(kind))
	default:
		part, decoded, lineLen := p.number(int64(len(r.parts))-1), p.number(MaxSize), p.number(maxLine)
		text := encoding{decoded: decoded, lineLen: int(lineLen), crlf: (kind-2)&1 != 0, ended: (kind-2)&2 != 0}
		if p.bad || len(r.parts) == 0 || decoded == 0 || !validLine(text.lineLen) {
			p.bad = true
			return
		}
		size := text.encodedSize()
		r.segments = append(r.segments, segment{off: r.size, size: size, isPart: true, part: int(part), text: text})
		r.size += size
	}
}
