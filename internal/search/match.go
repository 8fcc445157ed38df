package search

import (
	"context"
	"io"
	"slices"
	"strings"
	"unicode"

	"lockstep/internal/mail"
	"lockstep/internal/message"
)

// partFields are the fields of the index in which all there is of a part lies.
// Subject alone has a field to itself.
var partFields = map[Part]fieldSet{
	Subject: fields(fieldSubject), From: fields(fieldSender),
	To: fields(fieldRecipients), Cc: fields(fieldRecipients), Bcc: fields(fieldRecipients),
	Body: fields(fieldBody, fieldNames, fieldFiles), Text: 0,
}

// Words is what a text asks for in a part (RFC 8621 §4.4.1): each of its words, as it
// is or as the beginning of one, and each row of words between quotes as it stands.
// There is none for Header.
func Words(p Part, text string) Query {
	in, ok := partFields[p]
	if !ok {
		return nil
	}
	var q Query
	for len(q) < maxTerms {
		text = strings.TrimLeftFunc(text, unicode.IsSpace)
		if text == "" {
			break
		}
		t := Term{in: in}
		if after, ok := strings.CutPrefix(text, `"`); ok {
			t.text, text, _ = strings.Cut(after, `"`)
		} else {
			end := strings.IndexFunc(text, func(r rune) bool { return unicode.IsSpace(r) || r == '"' })
			if end < 0 {
				end = len(text)
			}
			t.text, text, t.prefix = text[:end], text[end:], true
		}
		if after, ok := strings.CutPrefix(text, "*"); ok {
			t.prefix, text = true, after
		}
		if len(phrasesOf(t.text, t.prefix)) > 0 {
			q = append(q, t)
		}
	}
	return q
}

// Match says which of some messages of an account fit a query, as far as the index
// goes. Without one it knows of none.
func (x *Index) Match(ctx context.Context, a mail.AccountID, q Query, keys []mail.MessageKey) (Answers, error) {
	if p := q.plan(); len(p.must) == 0 {
		return Answers{}, nil
	}
	x.need(a)
	answers := Answers{}
	err := x.read(ctx, a, func(r *reader) error {
		clear(answers)
		e := &exact{reader: r}
		if err := e.load(keys); err != nil {
			return err
		}
		for k := range e.known {
			answers[k] = false
		}
		return r.matching(q.plan(), func(k mail.MessageKey) {
			if _, asked := e.known[k]; asked {
				answers[k] = true
			}
		})
	})
	if err != nil {
		return Answers{}, x.unusable(ctx, err)
	}
	return answers, nil
}

// Fits reports whether a message fits a query, reading it as the index would.
func (q Query) Fits(ctx context.Context, ra io.ReaderAt, m *message.Message, pdf PDFReader) (bool, error) {
	w, err := wordsOf(ctx, ra, m, pdf)
	if err != nil {
		return false, err
	}
	for _, t := range q {
		if t.isIn(w) == t.not {
			return false, nil
		}
	}
	return true, nil
}

// isIn reports whether each phrase of a term stands in one of its fields.
func (t Term) isIn(w *words) bool {
	var texts []string
	for f := range numFields {
		if t.in == 0 || t.in&(1<<f) != 0 {
			texts = append(texts, string(w.fields[f].out))
		}
	}
	return t.isInTexts(texts...)
}

// isInTexts is isIn for texts that a tokenizer wrote.
func (t Term) isInTexts(texts ...string) bool {
	phrases := phrasesOf(t.text, t.prefix)
	for _, p := range phrases {
		if !slices.ContainsFunc(texts, p.isIn) {
			return false
		}
	}
	return len(phrases) > 0
}

func (p phrase) isIn(text string) bool {
	row := " " + strings.Join(p.words, " ")
	if !p.prefix {
		row += " "
	}
	return strings.Contains(" "+text, row)
}

// FitsText reports whether a text has what a query asks for, wherever it asks for it.
func (q Query) FitsText(text string) bool {
	t := newTokenizer(maxTokens)
	t.text(text)
	for _, term := range q {
		if term.isInTexts(string(t.out)) == term.not {
			return false
		}
	}
	return true
}

// AddressText is what words are looked for in of an address.
func AddressText(a message.Address) string { return message.DecodeWords(a.Name) + " " + a.String() }
