package inflate

const maxCodeBits = 15

// code is a canonical Huffman code (RFC 1951 §3.2.2): how many symbols have each
// length, and the symbols in the order of their codes.
type code struct {
	counts  [maxCodeBits + 1]uint16
	symbols []uint16
	// quick finds codes of up to quickBits at once: symbol<<4 | length, 0 if longer.
	quick [1 << quickBits]uint16
}

const quickBits = 9

// newCode makes the code in which symbol i has lengths[i] bits. One that names
// more codes than there are is refused; one that leaves some out is not, as zlib
// makes such for a single distance.
func newCode(lengths []uint8) (*code, error) {
	c := &code{symbols: make([]uint16, len(lengths))}
	for _, n := range lengths {
		c.counts[n]++
	}
	c.counts[0] = 0
	room := 1
	var at [maxCodeBits + 2]uint16
	for n := 1; n <= maxCodeBits; n++ {
		if room = room<<1 - int(c.counts[n]); room < 0 {
			return nil, ErrCorrupt
		}
		at[n+1] = at[n] + c.counts[n]
	}
	for s, n := range lengths {
		if n != 0 {
			c.symbols[at[n]] = uint16(s)
			at[n]++
		}
	}
	for bits := range uint64(len(c.quick)) {
		if s, n, err := c.slow(bits, quickBits); err == nil {
			c.quick[bits] = s<<4 | uint16(n)
		}
	}
	return c, nil
}

// decode finds the symbol that the first of count bits spell, and how many those
// are. errMore when they are too few.
func (c *code) decode(bits uint64, count uint) (symbol uint16, n uint, err error) {
	if q := c.quick[bits&(1<<quickBits-1)]; q != 0 && uint(q&15) <= count {
		return q >> 4, uint(q & 15), nil
	}
	return c.slow(bits, count)
}

func (c *code) slow(bits uint64, count uint) (uint16, uint, error) {
	value, first, index := 0, 0, 0
	for n := uint(1); n <= maxCodeBits; n++ {
		if n > count {
			return 0, 0, errMore
		}
		value |= int(bits & 1)
		bits >>= 1
		here := int(c.counts[n])
		if value-first < here {
			return c.symbols[index+value-first], n, nil
		}
		index += here
		first = (first + here) << 1
		value <<= 1
	}
	return 0, 0, ErrCorrupt
}

// The fixed codes (RFC 1951 §3.2.6).
var fixedLit, fixedDist = func() (*code, *code) {
	var lit [288]uint8
	for i := range lit {
		switch {
		case i < 144:
			lit[i] = 8
		case i < 256:
			lit[i] = 9
		case i < 280:
			lit[i] = 7
		default:
			lit[i] = 8
		}
	}
	var dist [30]uint8
	for i := range dist {
		dist[i] = 5
	}
	l, err1 := newCode(lit[:])
	d, err2 := newCode(dist[:])
	if err1 != nil || err2 != nil {
		panic("inflate: the fixed codes are codes")
	}
	return l, d
}()
