// Package inflate reads DEFLATE (RFC 1951) as it comes from a peer who waits for
// an answer. What is decoded is given out before more input is waited for, wherever
// the sender flushed: compress/flate gives it out only after an empty stored block,
// and clients also end a command with zlib's partial flush (RFC 4978 §3).
package inflate

import (
	"errors"
	"io"
)

// Input is where compressed bytes come from.
type Input interface {
	io.Reader
	// Pending reports whether Read would return without waiting for the peer.
	Pending() bool
}

// ErrCorrupt is returned for what is not DEFLATE.
var ErrCorrupt = errors.New("inflate: corrupt input")

// errMore asks for more input.
var errMore = errors.New("inflate: more input is needed")

// windowSize is how far back a match may reach (RFC 1951 §2).
const windowSize = 32 << 10

// Room for what is decoded. When outSize is reached, what the bits at hold still
// spell follows: seven bits spell seven matches at most.
const (
	outSize  = 4 << 10
	maxMatch = 258
	maxAfter = 7 * maxMatch
)

// Reader decodes.
type Reader struct {
	in  Input
	err error // sticky

	// Bits that were read and not used, the first lowest. Beyond count they are 0.
	bits  uint64
	count uint
	one   [1]byte

	step   func(*Reader) error // decodes one symbol or header, or asks for more having used nothing
	final  bool
	stored int // bytes left in a stored block
	lit    *code
	dist   *code

	window [windowSize]byte
	end    int // in window, where the next byte goes
	filled int // how much of window was ever written
	out    []byte
	buf    [outSize + maxMatch + maxAfter]byte
}

// NewReader returns a Reader of what in gives.
func NewReader(in Input) *Reader {
	r := &Reader{in: in, step: (*Reader).blockHeader}
	r.out = r.buf[:0]
	return r
}

// Read gives out what is decoded; it waits only when that is nothing.
func (r *Reader) Read(b []byte) (int, error) {
	if len(b) == 0 {
		return 0, nil
	}
	for len(r.out) == 0 {
		if r.err != nil {
			return 0, r.err
		}
		r.out = r.buf[:0]
		r.decode()
	}
	n := copy(b, r.out)
	r.out = r.out[n:]
	return n, nil
}

// decode fills out until it is full or the input would have to be waited for. It
// leaves nothing decodable behind, so that who sees no pending input may wait.
func (r *Reader) decode() {
	for {
		err := r.step(r)
		if err == errMore {
			if len(r.out) >= outSize || len(r.out) > 0 && !r.in.Pending() {
				return
			}
			err = r.more()
		}
		if err != nil {
			r.err = err
			return
		}
	}
}

// more reads one byte into the bits.
func (r *Reader) more() error {
	if r.count > 56 {
		return ErrCorrupt // no symbol is that long
	}
	if _, err := io.ReadFull(r.in, r.one[:]); err != nil {
		return err
	}
	r.bits |= uint64(r.one[0]) << r.count
	r.count += 8
	return nil
}

// use takes n bits away, which are there.
func (r *Reader) use(n uint) {
	r.bits >>= n
	r.count -= n
}

// blockHeader begins a block (RFC 1951 §3.2.3).
func (r *Reader) blockHeader() error {
	if r.final {
		return io.EOF
	}
	if r.count < 3 {
		return errMore
	}
	header := r.bits & 7
	r.use(3)
	r.final = header&1 != 0
	switch header >> 1 {
	case 0:
		r.use(r.count % 8)
		r.step = (*Reader).storedHeader
	case 1:
		r.lit, r.dist = fixedLit, fixedDist
		r.step = (*Reader).symbol
	case 2:
		return r.dynamicHeader()
	default:
		return ErrCorrupt
	}
	return nil
}

func (r *Reader) storedHeader() error {
	if r.count < 32 {
		return errMore
	}
	n, check := uint16(r.bits), uint16(r.bits>>16)
	r.use(32)
	if n != ^check {
		return ErrCorrupt
	}
	r.stored = int(n)
	r.step = (*Reader).storedByte
	return nil
}

func (r *Reader) storedByte() error {
	if r.stored == 0 {
		r.step = (*Reader).blockHeader
		return nil
	}
	if r.count < 8 {
		return errMore
	}
	r.put(byte(r.bits))
	r.use(8)
	r.stored--
	return nil
}

func (r *Reader) put(b byte) {
	r.out = append(r.out, b)
	r.window[r.end] = b
	r.end = (r.end + 1) % windowSize
	r.filled = min(r.filled+1, windowSize)
}

// Lengths and distances (RFC 1951 §3.2.5).
var (
	lengthBase  = [29]uint16{3, 4, 5, 6, 7, 8, 9, 10, 11, 13, 15, 17, 19, 23, 27, 31, 35, 43, 51, 59, 67, 83, 99, 115, 131, 163, 195, 227, 258}
	lengthExtra = [29]uint8{0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3, 4, 4, 4, 4, 5, 5, 5, 5, 0}
	distBase    = [30]uint16{1, 2, 3, 4, 5, 7, 9, 13, 17, 25, 33, 49, 65, 97, 129, 193, 257, 385, 513, 769, 1025, 1537, 2049, 3073, 4097, 6145, 8193, 12289, 16385, 24577}
	distExtra   = [30]uint8{0, 0, 0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6, 7, 7, 8, 8, 9, 9, 10, 10, 11, 11, 12, 12, 13, 13}
)

const endOfBlock = 256

// symbol decodes a literal, a match with its distance, or the end of the block:
// all of it or, when bits are missing, nothing.
func (r *Reader) symbol() error {
	s, n, err := r.lit.decode(r.bits, r.count)
	switch {
	case err != nil:
		return err
	case s < endOfBlock:
		r.use(n)
		r.put(byte(s))
		return nil
	case s == endOfBlock:
		r.use(n)
		r.step = (*Reader).blockHeader
		return nil
	case int(s)-257 >= len(lengthBase):
		return ErrCorrupt
	}
	length, n, err := r.extra(n, lengthBase[s-257], lengthExtra[s-257])
	if err != nil {
		return err
	}
	d, m, err := r.dist.decode(r.bits>>n, r.count-n)
	if err != nil {
		return err
	}
	if int(d) >= len(distBase) {
		return ErrCorrupt
	}
	back, n, err := r.extra(n+m, distBase[d], distExtra[d])
	if err != nil {
		return err
	}
	if back > r.filled {
		return ErrCorrupt
	}
	r.use(n)
	for range length {
		r.put(r.window[(r.end-back+windowSize)%windowSize])
	}
	return nil
}

// extra adds the bits that follow at position at.
func (r *Reader) extra(at uint, base uint16, bits uint8) (value int, next uint, err error) {
	next = at + uint(bits)
	if r.count < next {
		return 0, 0, errMore
	}
	return int(base) + int(r.bits>>at&(1<<bits-1)), next, nil
}

// need waits until n bits are there.
func (r *Reader) need(n uint) error {
	for r.count < n {
		if err := r.more(); err != nil {
			return err
		}
	}
	return nil
}

// take waits for n bits and uses them.
func (r *Reader) take(n uint) (int, error) {
	if err := r.need(n); err != nil {
		return 0, err
	}
	v := int(r.bits & (1<<n - 1))
	r.use(n)
	return v, nil
}

// codeOrder is the order in which the lengths of the code of lengths come.
var codeOrder = [19]uint8{16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15}

// dynamicHeader reads the codes of a block (RFC 1951 §3.2.7). Nobody flushes
// inside one, so that the rest of it is on its way and may be waited for.
func (r *Reader) dynamicHeader() error {
	counts, err := r.take(14)
	if err != nil {
		return err
	}
	nlit, ndist, nlen := counts&31+257, counts>>5&31+1, counts>>10+4
	if nlit > 286 || ndist > 30 {
		return ErrCorrupt
	}
	var lengths [19]uint8
	for _, i := range codeOrder[:nlen] {
		n, err := r.take(3)
		if err != nil {
			return err
		}
		lengths[i] = uint8(n)
	}
	c, err := newCode(lengths[:])
	if err != nil {
		return err
	}
	all := make([]uint8, nlit+ndist)
	if err := r.readLengths(c, all); err != nil {
		return err
	}
	if r.lit, err = newCode(all[:nlit]); err != nil {
		return err
	}
	if r.dist, err = newCode(all[nlit:]); err != nil {
		return err
	}
	r.step = (*Reader).symbol
	return nil
}

func (r *Reader) readLengths(c *code, lengths []uint8) error {
	for i := 0; i < len(lengths); {
		s, n, err := c.decode(r.bits, r.count)
		if err == errMore {
			if err := r.more(); err != nil {
				return err
			}
			continue
		}
		if err != nil {
			return err
		}
		r.use(n)
		if s < 16 {
			lengths[i] = uint8(s)
			i++
			continue
		}
		value, times, err := r.repeat(s, lengths[:i])
		if err != nil {
			return err
		}
		if i+times > len(lengths) {
			return ErrCorrupt
		}
		for range times {
			lengths[i] = value
			i++
		}
	}
	return nil
}

// repeat reads how often which length comes again.
func (r *Reader) repeat(s uint16, before []uint8) (value uint8, times int, err error) {
	bits, least := uint(7), 11
	switch s {
	case 16:
		if len(before) == 0 {
			return 0, 0, ErrCorrupt
		}
		value, bits, least = before[len(before)-1], 2, 3
	case 17:
		bits, least = 3, 3
	}
	n, err := r.take(bits)
	return value, least + n, err
}
