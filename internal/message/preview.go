package message

import (
	"bytes"
	"io"
	"strings"
	"unicode"
	"unicode/utf8"
)

// preview collects the beginning of a text part while it streams by, and makes
// the preview of it. The first text part that gives one counts, in the order of
// the message: that is the plain one of an alternative.
type preview struct {
	buf  []byte // encoded, as it came
	part *Part  // being collected
	text string
}

func (v *preview) begin(p *Part) {
	wanted := p.Is("text", "plain") || p.Is("text", "html")
	if v.text == "" && wanted && p.Disposition != "attachment" {
		v.part, v.buf = p, v.buf[:0]
	}
}

func (v *preview) add(line []byte) {
	if v.part != nil && len(v.buf) < maxPreviewBytes {
		v.buf = append(v.buf, line[:min(len(line), maxPreviewBytes-len(v.buf))]...)
	}
}

func (v *preview) end(p *Part) {
	if v.part == p {
		v.part = nil
		v.buf = v.buf[:min(int64(len(v.buf)), p.BodySize)] // not the line end of a delimiter
		v.text = makePreview(p, v.buf)
	}
}

// makePreview makes the preview of a text part from its first encoded bytes
// (RFC 8970 §4). Quoted lines tell the reader nothing new: they are left out
// unless there is nothing else.
func makePreview(p *Part, body []byte) string {
	if p.Subtype == "html" {
		text, _ := io.ReadAll(io.LimitReader(htmlText(partText(bytes.NewReader(body), p)), maxPreviewBytes))
		return shorten(string(text), false)
	}
	text := string(body)
	if !isIdentity(p.Encoding) || !isUnicode(p.Charset()) || !utf8.Valid(body) {
		decoded, _ := io.ReadAll(io.LimitReader(partText(bytes.NewReader(body), p), 3*maxPreviewBytes))
		text = string(decoded)
	}
	if s := shorten(text, true); s != "" {
		return s
	}
	return shorten(text, false)
}

// shorten collapses white space and cuts after MaxPreviewChars characters.
func shorten(text string, skipQuoted bool) string {
	var out []byte
	chars, space := 0, false
	for line := range strings.Lines(text) {
		if skipQuoted && line[0] == '>' {
			continue
		}
		for _, r := range line {
			if !isPrintable(r) {
				space = space || unicode.IsSpace(r)
				continue
			}
			if space && chars > 0 {
				out = append(out, ' ')
				chars++
			}
			if space = false; chars >= MaxPreviewChars {
				return strings.TrimRight(string(out[:lastChars(out, chars)]), " ")
			}
			out = utf8.AppendRune(out, r)
			chars++
		}
		space = true
	}
	return string(out)
}

// lastChars returns how much of out is MaxPreviewChars characters long.
func lastChars(out []byte, chars int) int {
	n := len(out)
	for ; chars > MaxPreviewChars; chars-- {
		_, size := utf8.DecodeLastRune(out[:n])
		n -= size
	}
	return n
}

// isPrintable leaves out white space, controls and the invisible characters that
// mailings pad their own previews with.
func isPrintable(r rune) bool {
	switch r {
	case '\u00ad', '\u034f', '\u200b', '\u2060', '\ufeff', utf8.RuneError:
		return false
	}
	return !unicode.IsSpace(r) && !unicode.IsControl(r)
}
