package search

import (
	"context"
	"errors"
	"fmt"
	"io"
	"runtime/debug"
	"strings"
	"time"

	"lockstep/internal/message"
)

// A field is a piece of a message that people search in.
type field uint8

// The fields, in the order of the index's columns.
const (
	fieldSubject    field = iota
	fieldSender           // From, Sender, Reply-To
	fieldRecipients       // To, Cc, Bcc
	fieldBody             // what is shown of the message
	fieldNames            // of attachments, and their descriptions
	fieldFiles            // what attachments say, embedded messages' headers among it

	numFields
)

// Bounds on reading one message for its words.
const (
	maxPartText  = 8 << 20          // bytes of text of one part
	maxFile      = 16 << 20         // bytes of one attachment that is read; a larger one's name alone is
	maxFiles     = 100              // attachments that are read
	maxFilesTime = 20 * time.Second // that all of them may take
	maxWalk      = 100              // parts within parts
)

// words are the words of a message, for people's search.
type words struct {
	fields  [numFields]*tokenizer
	trouble []string // attachments that were not read, and why
}

// wordReader reads the words of one message.
type wordReader struct {
	*words
	ctx   context.Context // of reading attachments
	ra    io.ReaderAt
	pdf   PDFReader
	files int
}

// PDFReader writes the text of a PDF file, and stops when ctx ends or w fails.
type PDFReader func(ctx context.Context, w io.Writer, file []byte) error

// wordsOf reads a message. What its attachments say is left out where they can't be
// read; its other errors are ra's.
func wordsOf(ctx context.Context, ra io.ReaderAt, m *message.Message, pdf PDFReader) (*words, error) {
	w := &words{}
	for i := range w.fields {
		w.fields[i] = newTokenizer(maxTokens)
	}
	e := &m.Envelope
	w.add(fieldSubject, message.DecodeWords(e.Subject))
	w.addAddresses(fieldSender, e.From, e.Sender, e.ReplyTo)
	w.addAddresses(fieldRecipients, e.To, e.Cc, e.Bcc)
	ctx, cancel := context.WithTimeout(ctx, maxFilesTime)
	defer cancel()
	r := &wordReader{words: w, ctx: ctx, ra: ra, pdf: pdf}
	return w, r.part(m.Root, 0)
}

func (w *words) add(f field, s string) {
	if s != "" {
		w.fields[f].text(s)
	}
}

// addAddresses takes each address once.
func (w *words) addAddresses(f field, lists ...[]message.Address) {
	seen := map[string]bool{}
	for _, list := range lists {
		for _, a := range list {
			s := AddressText(a)
			if !seen[s] {
				seen[s] = true
				w.add(f, s)
			}
		}
	}
}

func (r *wordReader) part(p *message.Part, depth int) error {
	if depth > maxWalk {
		return nil
	}
	name := p.Filename()
	r.add(fieldNames, name)
	r.add(fieldNames, message.DecodeWords(p.Description))
	switch {
	case p.Message != nil:
		e := &p.Message.Envelope
		r.add(fieldFiles, message.DecodeWords(e.Subject))
		r.addAddresses(fieldFiles, e.From, e.To, e.Cc)
		return r.part(p.Message.Root, depth+1)
	case p.Is("multipart", "alternative") && p.IsMultipart():
		return r.part(best(p.Parts), depth+1)
	case p.IsMultipart():
		for _, c := range p.Parts {
			if err := r.part(c, depth+1); err != nil {
				return err
			}
		}
		return nil
	case p.Type == "text" && name == "" && p.Disposition != "attachment":
		return r.text(fieldBody, p)
	case p.Type == "text":
		return r.text(fieldFiles, p)
	}
	return r.file(p, strings.ToLower(name))
}

// best is the alternative that is read: the last with text (RFC 2046 §5.1.4).
func best(parts []*message.Part) *message.Part {
	for i := len(parts) - 1; i >= 0; i-- {
		found := false
		parts[i].Walk(func(p *message.Part) bool {
			found = found || p.Is("text", "plain") || p.Is("text", "html")
			return !found
		})
		if found {
			return parts[i]
		}
	}
	return parts[len(parts)-1]
}

// text takes the words of a text part.
func (r *wordReader) text(f field, p *message.Part) error {
	t := r.fields[f]
	_, err := io.Copy(t, io.LimitReader(message.PartText(r.ra, p), maxPartText))
	t.close()
	if errors.Is(err, errFull) {
		return nil
	}
	return err
}

// file takes the words of an attachment of a kind that we can read.
func (r *wordReader) file(p *message.Part, name string) error {
	read := r.reader(p, name)
	if read == nil {
		return nil
	}
	if r.files++; r.files > maxFiles {
		return nil
	}
	data, err := io.ReadAll(io.LimitReader(message.DecodeBody(p.Body(r.ra), p.Encoding), maxFile+1))
	if err != nil {
		return err
	}
	if len(data) > maxFile {
		r.trouble = append(r.trouble, "an attachment is too large")
		return nil
	}
	t := r.fields[fieldFiles]
	if err := safely(func() error { return read(r.ctx, t, data) }); err != nil && !errors.Is(err, errFull) {
		r.trouble = append(r.trouble, fmt.Sprintf("an attachment of type %s/%s: %.200v", p.Type, p.Subtype, err))
	}
	t.close()
	return nil
}

func (r *wordReader) reader(p *message.Part, name string) PDFReader {
	switch {
	case p.Is("application", "pdf") || strings.HasSuffix(name, ".pdf"):
		return r.pdf
	case isOffice(p.Subtype, name):
		return officeText
	}
	return nil
}

// safely makes a panic an error: what comes from strangers must not stop us.
func safely(fn func() error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v\n%s", p, debug.Stack())
		}
	}()
	return fn()
}
