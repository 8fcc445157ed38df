package jmap

import (
	"context"
	"encoding/json"
	"io"
	"strings"
	"unicode/utf8"

	"lockstep/internal/mail"
	"lockstep/internal/message"
	"lockstep/internal/search"
	"lockstep/internal/store"
)

// Bounds on SearchSnippet/get.
const (
	maxSnippetBytes  = 255       // of a preview (RFC 8621 §5)
	snippetLead      = 60        // bytes before the first mark
	maxSnippetBodies = 200       // Emails whose text is read, when what was searched for is not at its beginning
	maxSnippetText   = 256 << 10 // bytes of text that are looked through of one
)

// snippetArguments are those of SearchSnippet/get (RFC 8621 §5.1).
type snippetArguments struct {
	AccountID string          `json:"accountId"`
	Filter    json.RawMessage `json:"filter"`
	EmailIDs  *[]string       `json:"emailIds"`
}

type snippetAnswer struct {
	AccountID string          `json:"accountId"`
	List      []searchSnippet `json:"list"`
	NotFound  []string        `json:"notFound"`
}

// searchSnippet is what of an Email was searched for; null is nothing.
type searchSnippet struct {
	EmailID string  `json:"emailId"`
	Subject *string `json:"subject"`
	Preview *string `json:"preview"`
}

// snippetGet serves SearchSnippet/get. It costs a row for each Email, and its text where
// its preview does not show what was searched for.
func snippetGet(ctx context.Context, c *call, a *snippetArguments) error {
	account, err := c.account(a.AccountID)
	if err != nil {
		return err
	}
	if a.EmailIDs == nil {
		return invalidArguments("emailIds is a list", "emailIds")
	}
	ids, _, err := c.wantedIDs(a.EmailIDs)
	if err != nil {
		return err
	}
	filter, err := c.newEmailFilter(a.Filter)
	if err != nil {
		return err
	}
	s := &snipper{call: c, ctx: ctx, account: account}
	s.wants(filter.root, true)
	out := snippetAnswer{AccountID: a.AccountID, List: []searchSnippet{}}
	for _, id := range ids {
		snippet, err := s.of(id)
		switch {
		case mail.KindOf(err) == mail.NotFound:
			out.NotFound = append(out.NotFound, id)
		case err != nil:
			return err
		default:
			out.List = append(out.List, snippet)
		}
	}
	return c.answer(out)
}

// snipper makes snippets of Emails.
type snipper struct {
	*call
	ctx      context.Context
	account  mail.AccountID
	subjects []search.Query // that all have to fit
	subject  search.Query   // of which any word counts
	body     search.Query
	read     int // Emails whose text was read
}

// wants collects what a filter looks for, and not what must not be there.
func (s *snipper) wants(node *filter[emailCondition], positive bool) {
	if node == nil {
		return
	}
	for _, b := range node.below {
		s.wants(b, positive != (node.operator == "NOT"))
	}
	if !positive {
		return
	}
	for _, t := range node.condition.tests {
		w, ok := t.(*wordTest)
		if !ok {
			continue
		}
		switch w.asks.part {
		case search.Subject:
			s.subjects = append(s.subjects, w.query)
		case search.Text:
			s.subject, s.body = append(s.subject, w.query...), append(s.body, w.query...)
		case search.Body:
			s.body = append(s.body, w.query...)
		}
	}
}

// of makes the snippet of an Email.
func (s *snipper) of(id string) (searchSnippet, error) {
	out := searchSnippet{EmailID: id}
	emailID, ok := mail.ParseEmailID(id)
	if !ok {
		return out, mail.Errorf(mail.NotFound, "no such email")
	}
	var m mail.Message
	err := s.srv.Store.View(s.ctx, s.account, func(r store.Reader) (err error) {
		m, err = r.MessageByEmailID(emailID)
		return err
	})
	if err != nil {
		return out, err
	}
	parsed, err := message.Decode(m.Parsed)
	if mail.KindOf(err) == mail.Corrupt {
		return out, nil
	}
	if err != nil {
		return out, err
	}
	subject := message.DecodeWords(parsed.Envelope.Subject)
	wanted := s.subject
	for _, q := range s.subjects {
		if q.FitsText(subject) {
			wanted = append(wanted[:len(wanted):len(wanted)], q...)
		}
	}
	if marks := wanted.Marks(subject); len(marks) > 0 {
		text := marked(subject, marks, len(subject)+maxMarkup(subject, marks), 0)
		out.Subject = &text
	}
	out.Preview, err = s.preview(&m, parsed)
	return out, err
}

// preview shows where in the text it is what was searched for; nil is nowhere.
func (s *snipper) preview(m *mail.Message, parsed *message.Message) (*string, error) {
	if len(s.body) == 0 {
		return nil, nil
	}
	text, marks := m.Preview, s.body.Marks(m.Preview)
	if len(marks) == 0 && s.read < maxSnippetBodies {
		s.read++
		var err error
		if text, marks, err = s.inText(m, parsed); err != nil {
			return nil, err
		}
	}
	if len(marks) == 0 {
		return nil, nil
	}
	out := marked(text, marks, maxSnippetBytes, snippetLead)
	return &out, nil
}

// inText looks through the text parts. Where bytes are damaged there is nothing.
func (s *snipper) inText(m *mail.Message, parsed *message.Message) (text string, marks []search.Mark, err error) {
	x := &emailText{call: s.call, ctx: s.ctx, m: m, parsed: parsed}
	defer x.close()
	ra, err := x.bytes()
	if mail.KindOf(err) == mail.Corrupt || mail.KindOf(err) == mail.NotFound {
		return "", nil, nil
	}
	if err != nil {
		return "", nil, err
	}
	left := int64(maxSnippetText)
	parsed.Root.Walk(func(p *message.Part) bool {
		if err != nil || len(marks) > 0 || left <= 0 {
			return false
		}
		if p.Type != "text" || p.Disposition == "attachment" {
			return true
		}
		var b []byte
		b, err = io.ReadAll(io.LimitReader(message.PartText(ra, p), left))
		left -= int64(len(b))
		text = strings.Join(strings.Fields(strings.ToValidUTF8(string(b), "")), " ")
		marks = s.body.Marks(text)
		return true
	})
	if mail.KindOf(err) == mail.Corrupt {
		return "", nil, nil
	}
	return text, marks, err
}

const (
	openMark  = "<mark>"
	closeMark = "</mark>"
)

// escapeText writes text as HTML.
var escapeText = strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;")

// maxMarkup is how much longer a text can become when it is marked.
func maxMarkup(text string, marks []search.Mark) int {
	return len(escapeText.Replace(text)) - len(text) + len(marks)*(len(openMark)+len(closeMark))
}

// marked writes text as HTML, with marks around pieces of it. What is longer than limit is
// cut: it begins lead bytes, or so, before the first mark, and ends where there is no room.
func marked(text string, marks []search.Mark, limit, lead int) string {
	from := 0
	if len(text)+maxMarkup(text, marks) > limit {
		from = wordStart(text, max(marks[0].From-lead, 0), marks[0].From)
	}
	var out strings.Builder
	for _, m := range marks {
		if !addText(&out, text[from:m.From], limit) {
			return out.String()
		}
		room := limit - out.Len() - len(openMark) - len(closeMark)
		piece := cutEscaped(text[m.From:m.To], room)
		if piece == "" || out.Len() > 0 && len(piece) < len(escapeText.Replace(text[m.From:m.To])) {
			return out.String()
		}
		out.WriteString(openMark + piece + closeMark)
		from = m.To
	}
	addText(&out, text[from:], limit)
	return out.String()
}

// addText adds as much of a text as there is room for; false if that is not all.
func addText(out *strings.Builder, text string, limit int) bool {
	piece := cutEscaped(text, limit-out.Len())
	out.WriteString(piece)
	return len(piece) == len(escapeText.Replace(text))
}

// cutEscaped escapes a text up to so many bytes, between characters.
func cutEscaped(text string, room int) string {
	var out strings.Builder
	for len(text) > 0 {
		_, size := utf8.DecodeRuneInString(text)
		c := escapeText.Replace(text[:size])
		if out.Len()+len(c) > room {
			break
		}
		out.WriteString(c)
		text = text[size:]
	}
	return out.String()
}

// wordStart is where a word begins at or after a place, before another.
func wordStart(text string, at, before int) int {
	if at == 0 {
		return 0
	}
	if i := strings.IndexByte(text[at:before], ' '); i >= 0 {
		return at + i + 1
	}
	for at < before && !utf8.RuneStart(text[at]) {
		at++
	}
	return at
}
