package delivery

import (
	"bytes"
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"mime"
	"strings"
	"time"

	"lockstep/internal/mail"
	"lockstep/internal/message"
)

// An action is what a report says of a recipient (RFC 3464 §2.3.3).
type action string

const (
	actionFailed    action = "failed"
	actionDelayed   action = "delayed"
	actionDelivered action = "delivered"
	actionRelayed   action = "relayed"
)

// maxReturned is the largest message that a report returns whole; of a larger one
// it returns the header.
const maxReturned = 1 << 20

// report is a delivery status notification (RFC 3461, RFC 3464) to the sender of
// a message.
type report struct {
	action   action
	account  mail.AccountID // whose mail it is about
	to       string
	id       string // names the report, so that it goes out once
	envID    string
	arrived  time.Time
	full     bool // return the whole message
	until    time.Time
	about    []subject
	original io.ReaderAt
	size     int64
}

// subject is one recipient a report is about.
type subject struct {
	recipient  string
	original   string // ORCPT
	status     string
	diagnostic string
	host       string
}

// reportDelivered tells a sender who asked for it that the message is in the
// mailbox. Failing at that does not undo the delivery.
func (s *Service) reportDelivered(ctx context.Context, env *Envelope, in *spool, errs []error) {
	if env.ReversePath == "" {
		return
	}
	r := report{action: actionDelivered, to: env.ReversePath, envID: env.ID, arrived: env.Hop.Arrived, original: in, size: in.whole()}
	for i, rcpt := range env.Recipients {
		if errs[i] == nil && rcpt.Notify&NotifySuccess != 0 {
			r.account = rcpt.Account
			r.about = append(r.about, subject{recipient: rcpt.Address, original: rcpt.Original, status: "2.0.0"})
		}
	}
	if len(r.about) == 0 {
		return
	}
	r.id = deliveryID(env, in.sum.Sum(nil))
	_ = s.sendReport(ctx, &r) // logged
}

// reportQueued tells the sender what became of parcels of one message. An error
// may pass.
func (s *Service) reportQueued(ctx context.Context, a action, ps []*parcel, giveUpAfter time.Duration) error {
	first := ps[0]
	in, err := s.fetch(ctx, first.Blob)
	if err != nil {
		s.Log.ErrorContext(ctx, "report without the message", "err", err)
		in = newSpool(s.SpoolDir)
	}
	defer in.close()
	r := report{action: a, account: first.Account, to: first.ReversePath, id: first.Delivery, envID: first.opts.EnvID, arrived: first.Arrived, until: first.Arrived.Add(giveUpAfter), original: in, size: in.whole()}
	r.full = a == actionFailed && first.opts.Return == ReturnFull
	for _, p := range ps {
		r.id += " " + p.Recipient
		r.about = append(r.about, subject{p.Recipient, p.opts.Original, p.result.status, p.result.diagnostic, p.result.host})
	}
	return s.sendReport(ctx, &r)
}

// sendReport delivers the report, or queues it where the sender is elsewhere. It
// has the null reverse path, so that nothing is ever said about it. An error may
// pass: a report that nobody can get is dropped.
func (s *Service) sendReport(ctx context.Context, r *report) error {
	err := s.trySendReport(ctx, r)
	if err == nil {
		s.counts.reports.Add(1)
		return nil
	}
	s.Log.WarnContext(ctx, "report not sent", "action", string(r.action), "err", err)
	if isPermanent(err) {
		return nil
	}
	return err
}

func (s *Service) trySendReport(ctx context.Context, r *report) error {
	to, err := s.AnyRecipient(ctx, r.to, 0)
	if err != nil {
		return err
	}
	text, err := s.compose(r)
	if err != nil {
		return err
	}
	in, err := s.receive(bytes.NewReader(text))
	if err != nil {
		return err
	}
	defer in.close()
	to.once = onceKey([]byte(r.id), string(r.action), r.to)
	to.Notify = NotifyNever
	env := &Envelope{Recipients: []Recipient{to}, Hop: Hop{Protocol: mail.Local, Arrived: time.Now()}, UTF8: !mail.IsASCII(r.to), EightBit: !mail.IsASCII(string(text))}
	if to.Account == 0 {
		return s.enqueue(ctx, env, in, r.account, env.Recipients)
	}
	in.prefix = returnPath("")
	a, err := s.put(ctx, in)
	if err != nil {
		return err
	}
	err = s.commit(ctx, env, in, a, &to)
	if err != nil && !isPermanent(err) {
		return s.enqueue(ctx, env, in, r.account, env.Recipients)
	}
	return err
}

var subjects = map[action]string{
	actionFailed: "Your message could not be delivered", actionDelayed: "Your message is delayed",
	actionDelivered: "Your message was delivered", actionRelayed: "Your message was handed on",
}

var explanations = map[action]string{
	actionFailed:    "Your message could not be delivered to the recipients named below, and it will\r\nnot be tried again.",
	actionDelayed:   "Your message could not be delivered yet to the recipients named below. You need\r\nnot send it again: it will be tried until %s.",
	actionDelivered: "Your message was delivered to the recipients named below.",
	actionRelayed:   "Your message was handed on for the recipients named below, to a server that will\r\nnot tell you when it is delivered.",
}

// subjectLine says which message the report is about, as people look for it.
func (r *report) subjectLine() string {
	m, err := message.Parse(io.NewSectionReader(r.original, 0, min(r.size, message.MaxHeaderBytes)))
	if err != nil {
		return subjects[r.action]
	}
	was := repeatedSubject(m.Envelope.Subject)
	if was == "" {
		return subjects[r.action]
	}
	return subjects[r.action] + ": " + was
}

// compose writes the report (RFC 3464 §2, RFC 6533).
func (s *Service) compose(r *report) ([]byte, error) {
	utf8 := !mail.IsASCII(r.to)
	for _, a := range r.about {
		utf8 = utf8 || !mail.IsASCII(a.recipient+a.original)
	}
	boundary := rand.Text()
	b := new(bytes.Buffer)
	line := func(format string, args ...any) { fmt.Fprintf(b, format+"\r\n", args...) }
	line("From: Mail Delivery System <postmaster@%s>", s.Hostname)
	line("To: <%s>", r.to)
	line("Subject: %s", fold(mime.QEncoding.Encode("utf-8", r.subjectLine())))
	line("Date: %s", time.Now().Format(time.RFC1123Z))
	line("Message-ID: %s", s.newMessageID())
	line("Auto-Submitted: auto-replied")
	line("MIME-Version: 1.0")
	line("Content-Type: multipart/report; report-type=delivery-status; boundary=%q", boundary)
	line("")
	line("--%s", boundary)
	line("Content-Type: text/plain; charset=utf-8")
	line("Content-Transfer-Encoding: 8bit")
	line("")
	s.explain(b, r)
	line("")
	line("--%s", boundary)
	line("Content-Type: %s", pick(utf8, "message/global-delivery-status", "message/delivery-status"))
	line("Content-Transfer-Encoding: 8bit")
	line("")
	s.statusFields(b, r, utf8)
	line("--%s", boundary)
	if err := r.returnOriginal(b, utf8); err != nil {
		return nil, err
	}
	line("")
	line("--%s--", boundary)
	return b.Bytes(), nil
}

func pick(yes bool, a, b string) string {
	if yes {
		return a
	}
	return b
}

func (s *Service) explain(b *bytes.Buffer, r *report) {
	text := explanations[r.action]
	if r.action == actionDelayed {
		text = fmt.Sprintf(text, r.until.Format(time.RFC1123Z))
	}
	fmt.Fprintf(b, "This is the mail system at %s.\r\n\r\n%s\r\n\r\n", s.Hostname, text)
	for _, a := range r.about {
		fmt.Fprintf(b, "<%s>\r\n", a.recipient)
		if a.diagnostic != "" {
			fmt.Fprintf(b, "    %s\r\n", oneLine(a.diagnostic))
		}
	}
}

// statusFields writes the fields of RFC 3464 §2.2 and §2.3.
func (s *Service) statusFields(b *bytes.Buffer, r *report, utf8 bool) {
	field := func(name, value string) {
		if value != "" {
			fmt.Fprintf(b, "%s: %s\r\n", name, oneLine(value))
		}
	}
	field("Original-Envelope-Id", r.envID)
	field("Reporting-MTA", "dns; "+s.Hostname)
	field("Arrival-Date", r.arrived.Format(time.RFC1123Z))
	for _, a := range r.about {
		b.WriteString("\r\n")
		field("Original-Recipient", a.original)
		field("Final-Recipient", pick(utf8, "utf-8; ", "rfc822; ")+a.recipient)
		field("Action", string(r.action))
		field("Status", a.status)
		if a.host != "" {
			field("Remote-MTA", "dns; "+a.host)
		}
		if a.diagnostic != "" && a.host != "" {
			field("Diagnostic-Code", "smtp; "+a.diagnostic)
		}
		if r.action == actionDelayed {
			field("Will-Retry-Until", r.until.Format(time.RFC1123Z))
		}
	}
	b.WriteString("\r\n")
}

// oneLine makes what somebody else said fit for a header field.
func oneLine(s string) string {
	s = strings.Join(strings.Fields(strings.ToValidUTF8(s, "?")), " ")
	if len(s) > maxDiagnostic {
		s = strings.ToValidUTF8(s[:maxDiagnostic], "")
	}
	return s
}

// maxDiagnostic bounds what a report repeats of another server's words.
const maxDiagnostic = 900

// returnOriginal writes the part with the message, or with its header.
func (r *report) returnOriginal(b *bytes.Buffer, utf8 bool) error {
	n := r.size
	kind := pick(utf8, "message/global", "message/rfc822")
	if !r.full || r.size > maxReturned {
		m, err := message.Parse(io.NewSectionReader(r.original, 0, min(r.size, message.MaxHeaderBytes)))
		if err != nil {
			return err
		}
		n, kind = m.Root.HeaderSize, pick(utf8, "message/global-headers", "text/rfc822-headers")
	}
	fmt.Fprintf(b, "Content-Type: %s\r\nContent-Transfer-Encoding: 8bit\r\n\r\n", kind)
	_, err := io.Copy(b, io.NewSectionReader(r.original, 0, n))
	return err
}
