// Package websocket is the server's half of RFC 6455: the handshake, and frames to
// values and back. It holds no connection: who reads says from where, so that a
// connection on which nothing happens needs neither goroutine nor buffer. The
// libraries there are read in a goroutine that stays.
//
// Extensions are not spoken, compression neither: it would hold a window of 32 KB for
// each connection.
package websocket

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"io"
)

// Opcode is what a frame is (§5.2).
type Opcode byte

// The opcodes.
const (
	Continuation Opcode = 0
	Text         Opcode = 1
	Binary       Opcode = 2
	Close        Opcode = 8
	Ping         Opcode = 9
	Pong         Opcode = 10
)

func (o Opcode) isControl() bool { return o >= 8 }

// Why a connection is closed (§7.4.1).
const (
	GoingAway      = 1001
	ProtocolError  = 1002
	WrongType      = 1003
	PolicyViolated = 1008
	TooBig         = 1009
	TryLater       = 1013
)

// maxControl is how long a control frame may be (§5.5).
const maxControl = 125

// An Error is why a connection has to be closed.
type Error struct {
	Code   int
	Reason string
}

// Error implements error.
func (e *Error) Error() string { return fmt.Sprintf("websocket %d: %s", e.Code, e.Reason) }

func broken(reason string) error { return &Error{ProtocolError, reason} }

// Header is that of a frame.
type Header struct {
	Opcode Opcode
	Final  bool
	Size   int64
	mask   [4]byte
}

// ReadHeader reads the header of a client's frame. What it has not begun to read
// when the time is up can be tried again.
func ReadHeader(r *bufio.Reader) (h Header, err error) {
	if _, err := r.Peek(1); err != nil {
		return h, err
	}
	var b [8]byte
	if _, err := io.ReadFull(r, b[:2]); err != nil {
		return h, inside(err)
	}
	h.Final, h.Opcode, h.Size = b[0]&0x80 != 0, Opcode(b[0]&0x0f), int64(b[1]&0x7f)
	switch {
	case b[0]&0x70 != 0:
		return h, broken("no extension was agreed on")
	case b[1]&0x80 == 0:
		return h, broken("a client's frames are masked")
	case h.Opcode > Binary && h.Opcode < Close || h.Opcode > Pong:
		return h, broken("there is no such opcode")
	case h.Opcode.isControl() && (!h.Final || h.Size > maxControl):
		return h, broken("a control frame is whole and short")
	}
	if long := map[int64]int{126: 2, 127: 8}[h.Size]; long > 0 {
		if _, err := io.ReadFull(r, b[8-long:]); err != nil {
			return h, inside(err)
		}
		clear(b[:8-long])
		if h.Size = int64(binary.BigEndian.Uint64(b[:])); h.Size < 0 {
			return h, broken("no frame is that long")
		}
	}
	_, err = io.ReadFull(r, h.mask[:])
	return h, inside(err)
}

// inside is an error in the middle of a frame, which nobody can come back from.
func inside(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("in a frame: %w", io.ErrUnexpectedEOF)
}

// Unmask undoes the client's mask of a part of the payload that begins at an offset.
func (h *Header) Unmask(b []byte, offset int64) {
	for i := range b {
		b[i] ^= h.mask[(offset+int64(i))&3]
	}
}

// ReadControl reads the payload of a control frame.
func (h *Header) ReadControl(r *bufio.Reader) ([]byte, error) {
	b := make([]byte, h.Size)
	_, err := io.ReadFull(r, b)
	h.Unmask(b, 0)
	return b, inside(err)
}

// AppendHeader writes the header of one of our frames, which are whole.
func AppendHeader(b []byte, o Opcode, size int) []byte {
	b = append(b, 0x80|byte(o))
	switch {
	case size <= 125:
		return append(b, byte(size))
	case size <= 0xffff:
		return binary.BigEndian.AppendUint16(append(b, 126), uint16(size))
	}
	return binary.BigEndian.AppendUint64(append(b, 127), uint64(size))
}

// AppendClose writes a close frame. The reason is cut to what one can hold.
func AppendClose(b []byte, code int, reason string) []byte {
	reason = reason[:min(len(reason), maxControl-2)]
	b = AppendHeader(b, Close, 2+len(reason))
	return append(binary.BigEndian.AppendUint16(b, uint16(code)), reason...)
}
