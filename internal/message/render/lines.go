package render

import (
	"bufio"
	"bytes"
	"io"
	"strings"

	"lockstep/internal/message"
)

func isParam(p *message.Part, name, value string) bool {
	return strings.EqualFold(strings.TrimSpace(p.Param(name)), value)
}

// sink takes paragraphs. Their text comes in pieces.
type sink interface {
	begin(depth int) error // of quotation
	text(b []byte) error
	end() error
	finish() error
}

// eachLine calls fn with the lines of r without their ends, those longer than maxLine
// in pieces: first and last say where a line begins and ends.
func eachLine(r io.Reader, fn func(line []byte, first, last bool) error) error {
	in := bufio.NewReaderSize(r, maxLine)
	first := true
	for {
		line, err := in.ReadSlice('\n')
		last := err != bufio.ErrBufferFull
		if len(line) > 0 {
			if err := fn(bytes.TrimRight(line, "\r\n"), first, last); err != nil {
				return err
			}
		}
		first = last
		switch err {
		case nil, bufio.ErrBufferFull:
		case io.EOF:
			return nil
		default:
			return err
		}
	}
}

// plainLines makes a paragraph of every line.
func plainLines(s sink, r io.Reader) error {
	err := eachLine(r, func(line []byte, first, last bool) error {
		if first {
			if err := s.begin(0); err != nil {
				return err
			}
		}
		return endIf(s, line, last)
	})
	if err != nil {
		return err
	}
	return s.finish()
}

func endIf(s sink, line []byte, last bool) error {
	if err := s.text(line); err != nil || !last {
		return err
	}
	return s.end()
}

// unflow puts the lines of paragraphs together (RFC 3676 §4).
func unflow(s sink, r io.Reader, delSp bool) error {
	f := flow{sink: s, delSp: delSp}
	if err := eachLine(r, f.line); err != nil {
		return err
	}
	if err := f.close(); err != nil {
		return err
	}
	return s.finish()
}

type flow struct {
	sink
	delSp bool
	depth int
	open  bool
}

func (f *flow) close() error {
	if !f.open {
		return nil
	}
	f.open = false
	return f.end()
}

func (f *flow) line(line []byte, first, last bool) error {
	flows := last && bytes.HasSuffix(line, []byte(" "))
	if first {
		depth := 0
		for len(line) > 0 && line[0] == '>' {
			line = line[1:]
			depth++
		}
		line = bytes.TrimPrefix(line, []byte(" "))
		signature := last && string(line) == "-- "
		flows = flows && len(line) > 0 && !signature
		if err := f.start(depth, signature); err != nil {
			return err
		}
	}
	if flows && f.delSp {
		line = line[:len(line)-1]
	}
	if err := f.text(line); err != nil || flows || !last {
		return err
	}
	return f.close()
}

// start begins a line: a new paragraph, if none flows on at its depth.
func (f *flow) start(depth int, signature bool) error {
	if f.open && (depth != f.depth || signature) {
		if err := f.close(); err != nil {
			return err
		}
	}
	if f.open {
		return nil
	}
	f.open, f.depth = true, depth
	return f.begin(depth)
}

// textSink writes paragraphs as lines.
type textSink struct{ w io.Writer }

func (t *textSink) begin(depth int) error {
	if depth == 0 {
		return nil
	}
	_, err := io.WriteString(t.w, strings.Repeat(">", min(depth, maxPrefix))+" ")
	return err
}

func (t *textSink) text(b []byte) error {
	_, err := t.w.Write(b)
	return err
}

func (t *textSink) end() error {
	_, err := t.w.Write(crlf)
	return err
}

func (t *textSink) finish() error { return nil }

// htmlSink writes paragraphs as lines of HTML.
type htmlSink struct {
	w     io.Writer
	depth int  // quotations that are open
	space bool // the last thing in this line is a space, or nothing is yet
	buf   []byte
}

func (h *htmlSink) begin(depth int) error {
	h.space = true
	return h.quote(min(depth, maxPrefix))
}

func (h *htmlSink) quote(depth int) error {
	for h.depth != depth {
		tag := "<blockquote type=\"cite\">\r\n"
		step := 1
		if h.depth > depth {
			tag, step = "</blockquote>\r\n", -1
		}
		if _, err := io.WriteString(h.w, tag); err != nil {
			return err
		}
		h.depth += step
	}
	return nil
}

// text writes a piece of a line. Spaces that HTML would collapse are kept.
func (h *htmlSink) text(b []byte) error {
	h.buf = h.buf[:0]
	for _, c := range b {
		space := false
		switch {
		case c == '&':
			h.buf = append(h.buf, "&amp;"...)
		case c == '<':
			h.buf = append(h.buf, "&lt;"...)
		case c == '>':
			h.buf = append(h.buf, "&gt;"...)
		case c == '\t':
			h.buf = append(h.buf, "&nbsp;&nbsp;&nbsp; "...)
			space = true
		case c == ' ' && h.space:
			h.buf = append(h.buf, "&nbsp;"...)
			space = true
		case c == ' ', c == '\r':
			h.buf = append(h.buf, ' ')
			space = true
		case c < ' ':
		default:
			h.buf = append(h.buf, c)
		}
		h.space = space
	}
	_, err := h.w.Write(h.buf)
	return err
}

func (h *htmlSink) end() error {
	_, err := io.WriteString(h.w, "<br>\r\n")
	return err
}

func (h *htmlSink) finish() error { return h.quote(0) }
