package message

import (
	"slices"
	"strings"
)

// readThreading takes the message's own id and those it refers to from its header.
func (m *Message) readThreading(block string) {
	var references string
	for f := range Header(block).Fields() {
		if len(f.Name) == len("References") && strings.EqualFold(f.Name, "References") {
			references = f.Value()
			break
		}
	}
	if ids := ParseMessageIDs(m.Envelope.MessageID); ids != nil {
		m.ID = ids[0]
	}
	ids := append(ParseMessageIDs(references), ParseMessageIDs(m.Envelope.InReplyTo)...)
	m.References = lastReferences(ids)
}

// lastReferences drops what is named again later, and the oldest beyond
// MaxReferences. The parent is the last.
func lastReferences(ids []string) []string {
	var kept []string
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

// ParseMessageIDs reads the ids in a Message-ID, References or In-Reply-To value
// (RFC 5322 §3.6.4), without their angle brackets. Other words are passed over; if
// nothing is in brackets, words with an at sign count.
func ParseMessageIDs(value string) []string {
	var ids []string
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
