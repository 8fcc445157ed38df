package tnef

import (
	"bufio"
	"encoding/binary"
	"io"
)

// What a compressed RTF begins with (MS-OXRTFCP §2.1.3.1.1), and what stands in the
// window before anything is read (§2.1.2.1).
const (
	compressedRTF   = 0x75465A4C
	uncompressedRTF = 0x414C454D
	windowSize      = 4096

	window = `{\rtf1\ansi\mac\deff0\deftab720{\fonttbl;}{\f0\fnil \froman \fswiss \fmodern \fscript ` +
		`\fdecor MS Sans SerifSymbolArialTimes New RomanCourier{\colortbl\red0\green0\blue0` + "\r\n" +
		`\par \pard\plain\f0\fs20\b\i\u\tab\tx`
)

// decompress reads compressed RTF. What is damaged ends it.
func decompress(r io.Reader) io.Reader {
	in := bufio.NewReader(r)
	var header [16]byte
	if _, err := io.ReadFull(in, header[:]); err != nil {
		return eof{}
	}
	switch binary.LittleEndian.Uint32(header[8:]) {
	case uncompressedRTF:
		return in
	case compressedRTF:
		d := &decompressor{in: in, size: int64(binary.LittleEndian.Uint32(header[4:]))}
		d.at = copy(d.window[:], window)
		return d
	}
	return eof{}
}

type eof struct{}

func (eof) Read([]byte) (int, error) { return 0, io.EOF }

type decompressor struct {
	in     *bufio.Reader
	size   int64 // of what is left, as the header says it
	window [windowSize]byte
	at     int
	runs   byte // of the tokens in hand
	tokens int
	out    []byte // not yet read
	buf    [18]byte
	err    error
}

func (d *decompressor) Read(b []byte) (int, error) {
	for len(d.out) == 0 {
		if d.err != nil || d.size <= 0 {
			return 0, io.EOF
		}
		d.token()
	}
	n := copy(b, d.out)
	d.out = d.out[n:]
	d.size -= int64(n)
	return n, nil
}

func (d *decompressor) byte() byte {
	c, err := d.in.ReadByte()
	if err != nil {
		d.err = err
	}
	return c
}

// token reads a literal, or a reference into the window.
func (d *decompressor) token() {
	if d.tokens == 0 {
		d.runs, d.tokens = d.byte(), 8
	}
	reference := d.runs&1 != 0
	d.runs >>= 1
	d.tokens--
	first := d.byte()
	if d.err != nil {
		return
	}
	if !reference {
		d.put(0, first)
		d.out = d.buf[:1]
		return
	}
	second := d.byte()
	from, n := int(first)<<4|int(second)>>4, int(second&15)+2
	if from == d.at || d.err != nil { // the end is said so
		d.err = io.EOF
		return
	}
	for i := range n {
		d.put(i, d.window[(from+i)%windowSize])
	}
	d.out = d.buf[:n]
}

func (d *decompressor) put(i int, c byte) {
	d.buf[i] = c
	d.window[d.at] = c
	d.at = (d.at + 1) % windowSize
}
