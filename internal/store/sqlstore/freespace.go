package sqlstore

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// What SQLite deletes stays in the file: in pages that are free, and in the room of
// pages between what is there. VACUUM would write everything anew, and twice. But what
// is free in a page can be told from the page ("Database File Format", §1.5 and §1.6),
// and zeros there change nothing for whoever reads it: also when the write is torn.

// A freeSpace writes zeros over what is free in a database file that nobody changes
// meanwhile.
type freeSpace struct {
	file interface {
		io.ReaderAt
		io.WriterAt
	}
	pageSize, usable int
	pages            uint32
	seen             pageSet
	used             []bool // of the page that is looked at
	buf, tail        []byte

	// Looked and Written count pages.
	Looked, Written int64
}

var errPage = errors.New("a page of the database is not as it should be")

// sqliteHeaderBytes is how many bytes of the first page are the file's header.
const sqliteHeaderBytes = 100

// zeroFreeSpace goes through the trees with these roots, and the list of free pages.
func zeroFreeSpace(ctx context.Context, file interface {
	io.ReaderAt
	io.WriterAt
}, roots []uint32) (*freeSpace, error) {
	var head [sqliteHeaderBytes]byte
	if _, err := file.ReadAt(head[:], 0); err != nil {
		return nil, err
	}
	size, err := pageSizeOf(file)
	if err != nil {
		return nil, err
	}
	s := &freeSpace{file: file, pageSize: size, usable: size - int(head[20]), pages: binary.BigEndian.Uint32(head[28:]),
		used: make([]bool, size), buf: make([]byte, size), tail: make([]byte, size)}
	if s.usable < 480 || binary.BigEndian.Uint32(head[52:]) != 0 {
		return s, fmt.Errorf("%w: its header", errPage)
	}
	for todo := append([]uint32{1}, roots...); len(todo) > 0; {
		page := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		if s.seen.has(page) {
			continue
		}
		children, err := s.tree(ctx, page)
		if err != nil {
			return s, fmt.Errorf("page %d: %w", page, err)
		}
		todo = append(todo, children...)
	}
	return s, s.freeList(ctx, binary.BigEndian.Uint32(head[32:]))
}

// load reads a page, each once.
func (s *freeSpace) load(ctx context.Context, page uint32, into []byte) error {
	if page == 0 || page > s.pages || s.seen.has(page) {
		return errPage
	}
	s.seen.add(page)
	s.Looked++
	if err := ctx.Err(); err != nil {
		return err
	}
	_, err := s.file.ReadAt(into, int64(page-1)*int64(s.pageSize))
	return err
}

// cleanTail writes a page if there is something but zeros from an offset on.
func (s *freeSpace) cleanTail(page uint32, b []byte, from int) error {
	tail := b[from:s.usable]
	if len(bytes.TrimLeft(tail, "\x00")) == 0 {
		return nil
	}
	clear(tail)
	return s.write(page, b)
}

// cleanUnused writes a page of a tree if there is something but zeros where it is not
// used.
func (s *freeSpace) cleanUnused(page uint32) error {
	dirty := false
	for i, b := range s.buf[:s.usable] {
		if b != 0 && !s.used[i] {
			s.buf[i], dirty = 0, true
		}
	}
	if !dirty {
		return nil
	}
	return s.write(page, s.buf)
}

func (s *freeSpace) write(page uint32, b []byte) error {
	s.Written++
	_, err := s.file.WriteAt(b, int64(page-1)*int64(s.pageSize))
	return err
}

// tree looks at one page of a tree and returns its children.
func (s *freeSpace) tree(ctx context.Context, page uint32) (children []uint32, err error) {
	if err := s.load(ctx, page, s.buf); err != nil {
		return nil, err
	}
	begin := 0
	if page == 1 {
		begin = sqliteHeaderBytes
	}
	p := treePage{b: s.buf[:s.usable], begin: begin, used: s.used}
	children, chains, err := p.read()
	if err != nil {
		return nil, err
	}
	if err := s.cleanUnused(page); err != nil {
		return nil, err
	}
	for _, c := range chains {
		if err := s.chain(ctx, c); err != nil {
			return nil, err
		}
	}
	return children, nil
}

// chain looks at the pages that the rest of a long value lies in.
func (s *freeSpace) chain(ctx context.Context, c overflow) error {
	for c.bytes > 0 {
		here := min(c.bytes, int64(s.usable-4))
		page := s.tail
		if here == int64(s.usable-4) { // it is full: only what follows is asked for
			page = page[:4]
		}
		if err := s.load(ctx, c.page, page); err != nil {
			return fmt.Errorf("page %d: %w", c.page, err)
		}
		if len(page) > 4 {
			if err := s.cleanTail(c.page, page, 4+int(here)); err != nil {
				return err
			}
		}
		c.page, c.bytes = binary.BigEndian.Uint32(s.tail), c.bytes-here
	}
	return nil
}

// freeList looks at the pages that are free: some list others.
func (s *freeSpace) freeList(ctx context.Context, trunk uint32) error {
	for trunk != 0 {
		if err := s.load(ctx, trunk, s.buf); err != nil {
			return fmt.Errorf("free page %d: %w", trunk, err)
		}
		n := int(binary.BigEndian.Uint32(s.buf[4:]))
		if n < 0 || 8+4*n > s.usable {
			return fmt.Errorf("free page %d: %w", trunk, errPage)
		}
		for i := range n {
			leaf := binary.BigEndian.Uint32(s.buf[8+4*i:])
			if err := s.load(ctx, leaf, s.tail); err != nil {
				return fmt.Errorf("free page %d: %w", leaf, err)
			}
			if err := s.cleanTail(leaf, s.tail, 0); err != nil {
				return err
			}
		}
		if err := s.cleanTail(trunk, s.buf, 8+4*n); err != nil {
			return err
		}
		trunk = binary.BigEndian.Uint32(s.buf)
	}
	return nil
}

// The types of pages of trees.
const (
	innerIndex = 2
	innerTable = 5
	leafIndex  = 10
	leafTable  = 13
)

// overflow is the rest of a value that is too long for its page.
type overflow struct {
	page  uint32
	bytes int64
}

// A treePage finds out what of a page is used.
type treePage struct {
	b     []byte // as far as it can be used
	begin int
	used  []bool
}

// read marks what is used and returns the pages that the page names.
func (p *treePage) read() (children []uint32, chains []overflow, err error) {
	clear(p.used)
	kind := p.b[p.begin]
	head := 8
	if kind == innerIndex || kind == innerTable {
		head = 12
	}
	cells := p.number(p.begin + 3)
	list := p.begin + head
	switch kind {
	case innerIndex, innerTable, leafIndex, leafTable:
	default:
		return nil, nil, errPage
	}
	if !p.mark(0, list+2*cells) {
		return nil, nil, errPage
	}
	if head == 12 {
		children = append(children, binary.BigEndian.Uint32(p.b[p.begin+8:]))
	}
	for i := range cells {
		child, chain, err := p.cell(kind, p.number(list+2*i))
		if err != nil {
			return nil, nil, err
		}
		if child != 0 {
			children = append(children, child)
		}
		if chain.bytes > 0 {
			chains = append(chains, chain)
		}
	}
	return children, chains, p.freeBlocks()
}

func (p *treePage) number(at int) int { return int(binary.BigEndian.Uint16(p.b[at:])) }

// mark says that a stretch is used; false if it can't be.
func (p *treePage) mark(from, to int) bool {
	if from < 0 || to > len(p.b) || from > to {
		return false
	}
	for i := from; i < to; i++ {
		if p.used[i] {
			return false
		}
		p.used[i] = true
	}
	return true
}

// freeBlocks marks the four bytes by which the free stretches of a page are listed.
func (p *treePage) freeBlocks() error {
	for at, last := p.number(p.begin+1), 0; at != 0; at, last = p.number(at), at {
		if at <= last || at+4 > len(p.b) || !p.mark(at, at+4) {
			return errPage
		}
	}
	return nil
}

// minCell is the least room that a cell takes, so that it can become a free stretch.
const minCell = 4

// cell marks a cell and returns the pages that it names.
func (p *treePage) cell(kind byte, from int) (child uint32, chain overflow, err error) {
	at := from
	if kind == innerIndex || kind == innerTable {
		if at+4 > len(p.b) {
			return 0, chain, errPage
		}
		child = binary.BigEndian.Uint32(p.b[at:])
		at += 4
	}
	var size int64
	if kind != innerTable {
		var n uint64
		if n, at, err = p.varint(at); err != nil || n > maxValue {
			return 0, chain, errPage
		}
		size = int64(n)
	}
	if kind == leafTable || kind == innerTable {
		if _, at, err = p.varint(at); err != nil {
			return 0, chain, err
		}
	}
	here := p.local(kind, size)
	at += int(here)
	if here < size {
		if at+4 > len(p.b) {
			return 0, chain, errPage
		}
		chain = overflow{binary.BigEndian.Uint32(p.b[at:]), size - here}
		at += 4
	}
	if !p.mark(from, min(max(at, from+minCell), max(len(p.b), at))) {
		return 0, chain, errPage
	}
	return child, chain, nil
}

// local is how many bytes of a value lie in its cell.
func (p *treePage) local(kind byte, size int64) int64 {
	u := int64(len(p.b))
	most, least := (u-12)*64/255-23, (u-12)*32/255-23
	if kind == leafTable {
		most = u - 35
	}
	if size <= most {
		return size
	}
	if k := least + (size-least)%(u-4); k <= most {
		return k
	}
	return least
}

// maxValue is more than SQLite lets a value be long.
const maxValue = 1 << 31

// varint reads a number of one to nine bytes.
func (p *treePage) varint(at int) (n uint64, next int, err error) {
	for i := range 9 {
		if at+i >= len(p.b) {
			break
		}
		b := p.b[at+i]
		if i == 8 {
			return n<<8 | uint64(b), at + 9, nil
		}
		if n = n<<7 | uint64(b&0x7f); b&0x80 == 0 {
			return n, at + i + 1, nil
		}
	}
	return 0, 0, errPage
}
