package eas

import (
	"encoding/binary"
	"errors"
	"io"
	"net/http"

	"lockstep/internal/eas/wbxml"
)

// typeMultipart is an answer of several parts.
const typeMultipart = "application/vnd.ms-sync.multipart"

// answerParts are what an answer of several parts carries beside its document
// (MS-ASCMD §2.2.1.10.1), which is part 0. Nil is no such answer.
type answerParts struct {
	list []answerPart
}

type answerPart struct {
	from io.WriterTo
	size int64
}

// add takes a part that is written later, and returns its number.
func (p *answerParts) add(from io.WriterTo, size int64) int {
	p.list = append(p.list, answerPart{from, size})
	return len(p.list)
}

// bytesFrom is the size of the parts from the i-th on.
func (p *answerParts) bytesFrom(i int) (n int64) {
	if p == nil {
		return 0
	}
	for _, part := range p.list[i:] {
		n += part.size
	}
	return n
}

// cut takes the parts from the i-th on away.
func (p *answerParts) cut(i int) {
	if p != nil {
		p.list = p.list[:i]
	}
}

// rawAnswer is an answer that is no document.
type rawAnswer struct {
	typ  string
	from io.WriterTo
}

// errPartSize is that of a part that is not as long as it was.
var errPartSize = errors.New("a part of an answer changed its size")

// encode writes an answer's body and returns its type.
func (a *answer) encode(out *spool, s *Server) (string, error) {
	switch {
	case a.raw != nil:
		_, err := a.raw.from.WriteTo(out)
		return a.raw.typ, err
	case a.parts != nil:
		return typeMultipart, a.parts.encode(out, a.root, newSpool(s.SpoolDir, s.limits.Answer))
	}
	return typeWBXML, wbxml.Encode(out, a.root)
}

// encode writes how many parts there are, where each begins and how long it is, and
// the parts. Places count from the beginning of the body.
func (p *answerParts) encode(out *spool, root *wbxml.Element, document *spool) error {
	defer document.Close()
	if err := wbxml.Encode(document, root); err != nil {
		return err
	}
	all := append([]answerPart{{document, document.size}}, p.list...)
	head := binary.LittleEndian.AppendUint32(nil, uint32(len(all)))
	at := int64(4 + 8*len(all))
	for _, part := range all {
		head = binary.LittleEndian.AppendUint32(head, uint32(at))
		head = binary.LittleEndian.AppendUint32(head, uint32(part.size))
		at += part.size
	}
	if _, err := out.Write(head); err != nil {
		return err
	}
	for _, part := range all {
		before := out.size
		if _, err := part.from.WriteTo(out); err != nil {
			return err
		}
		if out.size-before != part.size {
			return errPartSize
		}
	}
	return nil
}

// WriteTo implements io.WriterTo.
func (s *spool) WriteTo(w io.Writer) (int64, error) { return io.Copy(w, s.reader()) }

// setType says what an answer is. A raw one is shown by no browser.
func setType(h http.Header, typ string) {
	h.Set("Content-Type", typ)
	h.Set("X-Content-Type-Options", "nosniff")
}
