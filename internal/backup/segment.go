package backup

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
)

// A segment is some pages of the database, in ascending order. Its content is
//
//	offset  bytes
//	     0      4  "LSpg"
//	     4      4  page size
//	     8      4  count of pages
//	    12    4×n  their numbers
//	               the pages
//
// and its name is made of that, so that the same pages are stored once.
const (
	segmentMagic = "LSpg"
	segmentHead  = 12
	segmentBytes = 4 << 20 // of pages, at most
)

// segmentPages is how many pages a segment has at most.
func segmentPages(pageSize int) int { return segmentBytes / pageSize }

// A pageHash tells pages apart.
type pageHash [16]byte

func hashPage(page []byte) (h pageHash) {
	sum := sha256.Sum256(page)
	copy(h[:], sum[:])
	return h
}

// A segmentMaker collects pages for a segment.
type segmentMaker struct {
	pageSize int
	numbers  []uint32
	pages    []byte
}

func (m *segmentMaker) add(pgno uint32, page []byte) {
	m.numbers = append(m.numbers, pgno)
	m.pages = append(m.pages, page...)
}

func (m *segmentMaker) full() bool { return len(m.numbers) == segmentPages(m.pageSize) }

func (m *segmentMaker) reset() { m.numbers, m.pages = m.numbers[:0], m.pages[:0] }

func (m *segmentMaker) content() []byte {
	b := make([]byte, 0, segmentHead+4*len(m.numbers)+len(m.pages))
	b = append(b, segmentMagic...)
	b = binary.BigEndian.AppendUint32(b, uint32(m.pageSize))
	b = binary.BigEndian.AppendUint32(b, uint32(len(m.numbers)))
	for _, n := range m.numbers {
		b = binary.BigEndian.AppendUint32(b, n)
	}
	return append(b, m.pages...)
}

// eachPage calls fn with the pages of a segment's content.
func eachPage(content []byte, pageSize int, fn func(pgno uint32, page []byte) error) error {
	if len(content) < segmentHead || string(content[:4]) != segmentMagic || binary.BigEndian.Uint32(content[4:]) != uint32(pageSize) {
		return errors.New("it does not begin as a segment of pages does")
	}
	n := int(binary.BigEndian.Uint32(content[8:]))
	if n > segmentPages(pageSize) || len(content) != segmentHead+n*(4+pageSize) {
		return errors.New("it has not the length that its pages need")
	}
	numbers, pages := content[segmentHead:segmentHead+4*n], content[segmentHead+4*n:]
	for i := range n {
		if err := fn(binary.BigEndian.Uint32(numbers[4*i:]), pages[i*pageSize:(i+1)*pageSize]); err != nil {
			return err
		}
	}
	return nil
}

// An index says which pages of a layer lie in which segments. Its content is
//
//	"LSix", the page size (4 bytes), then for each segment
//	its name (16 bytes), a count (4 bytes), and for each page that counts
//	its number, less that of the page before in the segment (uvarint), and its hash
//
// A segment may have pages that do not count: a later one has them anew.
const (
	indexMagic = "LSix"
	indexHead  = 8
	// indexPages is how many pages one object of an index describes at most.
	indexPages = 1 << 18
)

// A segmentPage is a page in an index.
type segmentPage struct {
	pgno uint32
	hash pageHash
}

type indexMaker struct{ b []byte }

func newIndexMaker(pageSize int) *indexMaker {
	return &indexMaker{binary.BigEndian.AppendUint32([]byte(indexMagic), uint32(pageSize))}
}

func (m *indexMaker) add(segment string, pages []segmentPage) {
	name, err := hex.DecodeString(segment)
	if err != nil || len(name) != nameBytes {
		panic(fmt.Sprintf("backup: %q names no segment", segment))
	}
	m.b = append(m.b, name...)
	m.b = binary.BigEndian.AppendUint32(m.b, uint32(len(pages)))
	last := uint32(0)
	for _, p := range pages {
		m.b = binary.AppendUvarint(m.b, uint64(p.pgno-last))
		m.b = append(m.b, p.hash[:]...)
		last = p.pgno
	}
}

// eachSegment calls fn with each segment of an index's content, and its pages that
// count, which fn does not keep.
func eachSegment(content []byte, pageSize int, fn func(segment string, pages []segmentPage) error) error {
	if len(content) < indexHead || string(content[:4]) != indexMagic || binary.BigEndian.Uint32(content[4:]) != uint32(pageSize) {
		return errors.New("it does not begin as an index does")
	}
	var pages []segmentPage
	for rest := content[indexHead:]; len(rest) > 0; {
		if len(rest) < nameBytes+4 {
			return errors.New("it ends within a segment")
		}
		name, n := hex.EncodeToString(rest[:nameBytes]), int(binary.BigEndian.Uint32(rest[nameBytes:]))
		if n > segmentPages(pageSize) {
			return errors.New("a segment has too many pages")
		}
		var err error
		if pages, rest, err = readPages(pages[:0], rest[nameBytes+4:], n); err != nil {
			return err
		}
		if err := fn(name, pages); err != nil {
			return err
		}
	}
	return nil
}

// readPages reads n pages of an index, which ascend from 1.
func readPages(pages []segmentPage, b []byte, n int) ([]segmentPage, []byte, error) {
	last := uint64(0)
	for range n {
		step, size := binary.Uvarint(b)
		if size <= 0 || step == 0 || step > 1<<32-1-last || len(b) < size+len(pageHash{}) {
			return nil, nil, errors.New("the pages of a segment make no sense")
		}
		last += step
		p := segmentPage{pgno: uint32(last)}
		copy(p.hash[:], b[size:])
		b = b[size+len(p.hash):]
		pages = append(pages, p)
	}
	return pages, b, nil
}
