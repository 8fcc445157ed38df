package jmap

import (
	"bytes"
	"io"
	"strings"
	"unicode/utf8"

	"golang.org/x/net/html"
	"golang.org/x/text/transform"

	"lockstep/internal/message"
	"lockstep/internal/message/render"
)

// A bodyValue is the text of a part (RFC 8621 §4.1.4).
type bodyValue struct {
	Value             string `json:"value"`
	IsEncodingProblem bool   `json:"isEncodingProblem"`
	IsTruncated       bool   `json:"isTruncated"`
}

// bodyValues reads the texts that are asked for, by the ids of their parts, at most room
// bytes of them. It costs reading as much of the parts as is answered.
func (w *emailWish) bodyValues(e *email, b *bodyMaker, choice render.Choice, room int64) (map[string]bodyValue, error) {
	values := map[string]bodyValue{}
	take := func(parts []*message.Part) error {
		for _, p := range parts {
			id := b.ids[p]
			if _, done := values[id]; done || p.Type != "text" {
				continue
			}
			v, err := w.bodyValue(e, p, room)
			if err != nil {
				return err
			}
			values[id] = v
			room -= int64(len(v.Value))
		}
		return nil
	}
	if w.FetchTextBodyValues {
		if err := take(choice.Text); err != nil {
			return nil, err
		}
	}
	if w.FetchHTMLBodyValues {
		if err := take(choice.HTML); err != nil {
			return nil, err
		}
	}
	if w.FetchAllBodyValues {
		return values, take(leaves(e.parsed.Root))
	}
	return values, nil
}

// leaves are the parts that are no multipart, in their order.
func leaves(p *message.Part) (all []*message.Part) {
	if !p.IsMultipart() {
		return []*message.Part{p}
	}
	for _, c := range p.Parts {
		all = append(all, leaves(c)...)
	}
	return all
}

// lookahead is how much is read past a cut, to see whether it is inside something.
const lookahead = utf8.UTFMax

func (w *emailWish) bodyValue(e *email, p *message.Part, room int64) (bodyValue, error) {
	if e.damaged {
		return bodyValue{IsEncodingProblem: true, IsTruncated: true}, nil
	}
	ra, err := e.read()
	if err != nil {
		return bodyValue{}, err
	}
	limit := room
	if w.MaxBodyValueBytes > 0 {
		limit = min(int64(w.MaxBodyValueBytes), room)
	}
	text := message.NewTextReader(ra, p)
	read, err := io.ReadAll(io.LimitReader(unixLines(text), limit+lookahead))
	if err != nil {
		return bodyValue{}, err
	}
	v := bodyValue{Value: string(read), IsEncodingProblem: text.Guessed()}
	if int64(len(read)) <= limit {
		return v, nil
	}
	if limit != int64(w.MaxBodyValueBytes) {
		return bodyValue{}, answerTooLarge()
	}
	v.Value, v.IsTruncated = cutText(v.Value, int(limit), p.Subtype == "html"), true
	return v, nil
}

// cutText shortens a longer text to at most n bytes, not inside of a character, nor of a
// tag if it is HTML.
func cutText(s string, n int, isHTML bool) string {
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	if !isHTML {
		return s[:n]
	}
	at := 0
	for z := html.NewTokenizer(strings.NewReader(s)); ; {
		kind := z.Next()
		end := at + len(z.Raw())
		switch {
		case kind == html.ErrorToken, end > n && kind == html.TextToken:
			return s[:n]
		case end > n:
			return s[:at]
		}
		at = end
	}
}

// unixLines reads text whose lines end in CRLF as one whose lines end in LF.
func unixLines(r io.Reader) io.Reader { return transform.NewReader(r, crlfToLF{}) }

type crlfToLF struct{ transform.NopResetter }

// Transform implements transform.Transformer.
func (crlfToLF) Transform(dst, src []byte, atEOF bool) (nDst, nSrc int, err error) {
	for nSrc < len(src) {
		piece := src[nSrc:]
		if i := bytes.IndexByte(piece, '\r'); i > 0 {
			piece = piece[:i]
		} else if i == 0 {
			if len(piece) == 1 && !atEOF {
				return nDst, nSrc, transform.ErrShortSrc
			}
			if len(piece) > 1 && piece[1] == '\n' {
				nSrc++
				continue
			}
			piece = piece[:1]
		}
		n := copy(dst[nDst:], piece)
		nDst, nSrc = nDst+n, nSrc+n
		if n < len(piece) {
			return nDst, nSrc, transform.ErrShortDst
		}
	}
	return nDst, nSrc, nil
}
