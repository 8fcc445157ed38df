package message

import (
	"slices"
	"strings"
)

// readThreading finds the message's own id, and those it refers to.
func (m *Message) readThreading(references string) {
	var few [8]string // as many as most messages have, without allocation
	if ids := appendMessageIDs(few[:0], m.Envelope.MessageID); len(ids) > 0 {
		m.ID = ids[0]
	}
	ids := lastReferences(appendMessageIDs(few[:0], references))
	for _, id := range ParseMessageIDs(m.Envelope.InReplyTo) {
		if !slices.Contains(ids, id) && m.OnlyInReplyTo < maxOnlyInReplyTo {
			ids = append(ids, id)
			m.OnlyInReplyTo++
		}
	}
	m.References = ids[max(0, len(ids)-MaxReferences):]
}

// lastReferences drops what is named again later, and the oldest beyond
// MaxReferences.
func lastReferences(ids []string) []string {
	if len(ids) == 0 {
		return nil
	}
	kept := make([]string, 0, min(len(ids), MaxReferences)+1)
	for _, id := range slices.Backward(ids) {
		if len(kept) == MaxReferences {
			break
		}
		if !slices.Contains(kept, id) {
			kept = append(kept, id)
		}
	}
	slices.Reverse(kept)
	return kept
}

// Ancestry is what RFC 5256 §3 threads a message by, oldest first: the ids of
// References, else the first of In-Reply-To. The parent is the last.
func (m *Message) Ancestry() []string { return ancestry(m.References, m.OnlyInReplyTo) }

func ancestry(references []string, onlyInReplyTo int) []string {
	named := len(references) - onlyInReplyTo
	if named == 0 {
		named = min(len(references), 1)
	}
	return references[:named:named]
}

// ParseMessageIDs reads the ids in a Message-ID, References or In-Reply-To value
// (RFC 5322 §3.6.4), without their angle brackets. Other words are passed over; if
// nothing is in brackets, words with an at sign count.
func ParseMessageIDs(value string) []string { return appendMessageIDs(nil, value) }

func appendMessageIDs(ids []string, value string) []string {
	bracketed := strings.IndexByte(value, '<') >= 0
	for value != "" && bracketed {
		_, rest, _ := strings.Cut(value, "<")
		id, after, ok := strings.Cut(rest, ">")
		if !ok {
			break
		}
		ids = appendID(ids, id)
		value = after
	}
	if bracketed {
		return ids
	}
	for word := range strings.FieldsFuncSeq(value, func(r rune) bool { return r == ' ' || r == '\t' || r == ',' }) {
		if strings.Contains(word, "@") {
			ids = appendID(ids, word)
		}
	}
	return ids
}

// appendID adds an id without the white space that folding left in it.
func appendID(ids []string, id string) []string {
	if strings.ContainsAny(id, " \t") {
		id = strings.Join(strings.Fields(id), "")
	}
	if id == "" || len(id) > maxMessageID {
		return ids
	}
	return append(ids, id)
}
