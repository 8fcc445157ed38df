package jmap

import (
	"bytes"
	"cmp"
	"crypto/rand"
	"fmt"
	"io"
	"mime/quotedprintable"
	"slices"
	"strings"

	"lockstep/internal/mail"
	"lockstep/internal/message"
	"lockstep/internal/message/compose"
)

// compose writes the receipt (RFC 8098 §3): a text, what became of the message, and
// if it is wanted the message.
func (m *receipt) compose(original io.ReaderAt) (string, error) {
	m.complete()
	local, domain, _ := strings.Cut(m.from.Email, "@")
	subject, err := compose.TextField("Subject", *m.Subject)
	if err != nil {
		return "", err
	}
	boundary := rand.Text()
	var b bytes.Buffer
	b.Write(compose.AddressField("From", []message.Address{{Name: m.from.Name, Mailbox: local, Host: domain}}))
	b.Write(compose.AddressField("To", m.to))
	b.Write(subject)
	if id := m.parsed.ID; id != "" {
		fmt.Fprintf(&b, "In-Reply-To: <%s>\r\nReferences: <%s>\r\n", id, id)
	}
	fmt.Fprintf(&b, "Auto-Submitted: %s\r\nMIME-Version: 1.0\r\nContent-Type: multipart/report; report-type=disposition-notification;\r\n boundary=\"%s\"\r\n\r\n",
		map[bool]string{true: "auto-replied", false: "no"}[m.Disposition.SendingMode == mdnModes[1]], boundary)
	fmt.Fprintf(&b, "--%s\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n", boundary)
	text := quotedprintable.NewWriter(&b)
	_, _ = io.WriteString(text, strings.NewReplacer("\r\n", "\r\n", "\n", "\r\n").Replace(cmp.Or(value(m.TextBody), "The message was "+m.Disposition.Type+".\n")))
	_ = text.Close() // a buffer takes everything
	fmt.Fprintf(&b, "\r\n--%s\r\nContent-Type: message/disposition-notification\r\n\r\n", boundary)
	m.writeFields(&b)
	if m.IncludeOriginalMessage {
		if err := m.writeOriginal(&b, boundary, original); err != nil {
			return "", err
		}
	}
	fmt.Fprintf(&b, "\r\n--%s--\r\n", boundary)
	return b.String(), nil
}

// complete fills in what the server knows.
func (m *receipt) complete() {
	if m.Subject == nil {
		subject := clip("Read: " + message.DecodeWords(m.parsed.Envelope.Subject))
		m.Subject = &subject
	}
	if m.FinalRecipient == nil {
		final := "rfc822; " + m.from.Email
		m.FinalRecipient = &final
	}
	if id := m.parsed.ID; id != "" {
		id = clip("<" + id + ">")
		m.OriginalMessageID = &id
	}
	if m.OriginalRecipient != nil {
		*m.OriginalRecipient = clip(*m.OriginalRecipient)
	}
}

// clip makes of what somebody else said one line that fits.
func clip(s string) string {
	s = strings.Join(strings.Fields(s), " ")
	return strings.ToValidUTF8(s[:min(len(s), maxMDNFieldBytes)], "")
}

// writeFields writes what became of the message (RFC 8098 §3.1).
func (m *receipt) writeFields(b *bytes.Buffer) {
	for _, f := range []struct {
		name  string
		value *string
	}{{"Reporting-UA", m.ReportingUA}, {"Original-Recipient", m.OriginalRecipient}, {"Final-Recipient", m.FinalRecipient}, {"Original-Message-ID", m.OriginalMessageID}} {
		if f.value != nil {
			fmt.Fprintf(b, "%s: %s\r\n", f.name, *f.value)
		}
	}
	d := m.Disposition
	fmt.Fprintf(b, "Disposition: %s/%s; %s\r\n", d.ActionMode, d.SendingMode, d.Type)
	for _, name := range sortedKeys(m.ExtensionFields) {
		if !slices.Contains([]string{"disposition", "final-recipient", "original-message-id"}, strings.ToLower(name)) {
			fmt.Fprintf(b, "%s: %s\r\n", name, m.ExtensionFields[name])
		}
	}
}

// writeOriginal writes the message, or its header if it is large.
func (m *receipt) writeOriginal(b *bytes.Buffer, boundary string, original io.ReaderAt) error {
	kind, size := "message/rfc822", m.msg.Size
	if size > maxMDNOriginal {
		kind, size = "text/rfc822-headers", min(m.parsed.Root.HeaderSize, maxMDNOriginal)
	}
	fmt.Fprintf(b, "\r\n--%s\r\nContent-Type: %s\r\n\r\n", boundary, kind)
	if _, err := io.Copy(b, io.NewSectionReader(original, 0, size)); err != nil {
		return err
	}
	if bytes.Contains(b.Bytes()[b.Len()-int(size):], []byte(boundary)) {
		return mail.Errorf(mail.Unavailable, "the boundary of the receipt stands in the message; try again")
	}
	return nil
}
