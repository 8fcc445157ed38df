package eas

import "io"

// answerParts are what an answer of several parts carries beside its document
// (MS-ASCMD §2.2.1.1.1). Part 0 is the document.
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
