package delivery

import (
	"bytes"
	"cmp"
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"mime"
	"mime/quotedprintable"
	netmail "net/mail"
	"strings"
	"time"

	"lockstep/internal/mail"
	"lockstep/internal/message"
	"lockstep/internal/store"
)

// Bounds on what an answer repeats of the message it answers.
const (
	maxAnsweredSubject    = 200 // bytes
	maxAnsweredReferences = 20
)

// composeAnswer writes the answer (RFC 3834 §3.1, RFC 5230 §5).
func (s *Service) composeAnswer(ctx context.Context, a *answer) ([]byte, error) {
	name, err := s.nameOf(ctx, a.account)
	if err != nil {
		return nil, err
	}
	b := new(bytes.Buffer)
	line := func(format string, args ...any) { fmt.Fprintf(b, format+"\r\n", args...) }
	from := netmail.Address{Name: name, Address: a.from}
	line("From: %s", fold(from.String()))
	line("To: <%s>", a.to.Address)
	line("Subject: %s", fold(mime.QEncoding.Encode("utf-8", a.subjectLine())))
	line("Date: %s", time.Now().Format(time.RFC1123Z))
	line("Message-ID: %s", s.newMessageID())
	if ids := a.ids(); len(ids) > 0 {
		line("In-Reply-To: <%s>", ids[len(ids)-1])
		line("References: <%s>", strings.Join(ids, ">\r\n <"))
	}
	line("Auto-Submitted: auto-replied")
	line("X-Auto-Response-Suppress: All")
	line("MIME-Version: 1.0")
	text, html := a.says.Text, a.says.HTML
	if html == "" {
		err := writePart(b, "plain", text)
		return b.Bytes(), err
	}
	boundary := rand.Text()
	line("Content-Type: multipart/alternative; boundary=%q", boundary)
	line("\r\n--%s", boundary)
	err = writePart(b, "plain", cmp.Or(text, message.PlainText(html)))
	line("\r\n--%s", boundary)
	if err == nil {
		err = writePart(b, "html", html)
	}
	line("\r\n--%s--", boundary)
	return b.Bytes(), err
}

// writePart writes a text part, its header included.
func writePart(b *bytes.Buffer, subtype, text string) error {
	fmt.Fprintf(b, "Content-Type: text/%s; charset=utf-8\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n", subtype)
	w := quotedprintable.NewWriter(b)
	_, err := io.WriteString(w, crlf(text))
	return cmp.Or(err, w.Close())
}

// crlf ends each line as mail does, also the last.
func crlf(text string) string {
	text = strings.TrimRight(text, "\r\n") + "\n"
	text = strings.ReplaceAll(strings.ReplaceAll(text, "\r\n", "\n"), "\r", "\n")
	return strings.ReplaceAll(text, "\n", "\r\n")
}

// fold begins a new line between encoded words, of which a long text makes many.
func fold(encoded string) string { return strings.ReplaceAll(encoded, "?= =?", "?=\r\n =?") }

// subjectLine is what the account chose, else what RFC 3834 §3.1.5 makes of the
// subject that is answered.
func (a *answer) subjectLine() string {
	if a.subject != "" {
		return a.subject
	}
	was, _ := a.header.Get("Subject")
	return "Auto: " + repeatedSubject(was)
}

// repeatedSubject is what of somebody's subject stands in that of a message about it.
func repeatedSubject(was string) string {
	was = strings.Map(printable, message.DecodeWords(was))
	if len(was) > maxAnsweredSubject {
		was = strings.ToValidUTF8(was[:maxAnsweredSubject], "")
	}
	return was
}

// ids are the message ids of the conversation, that of what is answered last
// (RFC 5322 §3.6.4); none if it has none.
func (a *answer) ids() []string {
	value, _ := a.header.Get("Message-ID")
	own := message.ParseMessageIDs(value)
	if len(own) == 0 {
		return nil
	}
	value, ok := a.header.Get("References")
	if !ok {
		value, _ = a.header.Get("In-Reply-To")
	}
	before := message.ParseMessageIDs(value)
	return append(before[max(len(before)-maxAnsweredReferences, 0):], own[0])
}

// nameOf is the display name of an account's owner.
func (s *Service) nameOf(ctx context.Context, id mail.AccountID) (string, error) {
	var login string
	err := s.Store.View(ctx, id, func(r store.Reader) error {
		a, err := r.Account()
		login = a.Name
		return err
	})
	if err != nil {
		return "", err
	}
	p, err := s.Directory.PrincipalByLogin(ctx, login)
	return p.Name, err
}
