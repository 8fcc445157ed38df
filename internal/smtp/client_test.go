package smtp

import (
	"crypto/tls"
	"net"
	"strings"
	"testing"

	"github.com/emersion/go-sasl"
	gosmtp "github.com/emersion/go-smtp"

	"lockstep/internal/auth"
	"lockstep/internal/delivery"
)

func TestReceivedNamesTheProtocol(t *testing.T) {
	for want, s := range map[string]*session{
		"SMTP":       {srv: &Server{Role: Receiving}, tx: &transaction{}},
		"ESMTP":      {srv: &Server{Role: Receiving}, tx: &transaction{}, extended: true},
		"ESMTPS":     {srv: &Server{Role: Receiving}, tx: &transaction{}, extended: true, tls: &tls.ConnectionState{}},
		"ESMTPSA":    {srv: &Server{Role: Submission}, tx: &transaction{}, extended: true, tls: &tls.ConnectionState{}, who: &auth.Session{}},
		"ESMTPA":     {srv: &Server{Role: Submission}, tx: &transaction{}, extended: true, who: &auth.Session{}},
		"UTF8SMTPSA": {srv: &Server{Role: Submission}, tx: &transaction{env: delivery.Envelope{UTF8: true}}, extended: true, tls: &tls.ConnectionState{}, who: &auth.Session{}},
		"LMTP":       {srv: &Server{Role: LMTP}, tx: &transaction{}, extended: true},
		"UTF8LMTPS":  {srv: &Server{Role: LMTP}, tx: &transaction{env: delivery.Envelope{UTF8: true}}, extended: true, tls: &tls.ConnectionState{}},
	} {
		if got := s.with(); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}

// The servers, spoken to by a client that others wrote.
func TestGoSMTPClient(t *testing.T) {
	w := newTown(t)
	connect := func(addr string) net.Conn {
		nc, err := net.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { nc.Close() })
		return nc
	}
	lmtp := gosmtp.NewClientLMTP(connect(w.serve(LMTP, nil)))
	if err := lmtp.SendMail("c@example.org", []string{"bob@example.test", "alice@example.test"}, strings.NewReader("Subject: 1\r\n\r\n.dot\r\n")); err != nil {
		t.Errorf("LMTP: %v", err)
	}
	if err := lmtp.Quit(); err != nil {
		t.Errorf("LMTP: %v", err)
	}
	smtp := gosmtp.NewClient(connect(w.serve(Receiving, nil)))
	if err := smtp.SendMail("käthe@example.org", []string{"bob@example.test"}, strings.NewReader("Subject: 2\r\n\r\n")); err != nil {
		t.Errorf("SMTP: %v", err)
	}
	if err := smtp.Mail("c@example.org", nil); err != nil {
		t.Fatal(err)
	}
	err := smtp.Rcpt("nobody@example.test", nil)
	if e, ok := err.(*gosmtp.SMTPError); !ok || e.Code != 550 || e.EnhancedCode != (gosmtp.EnhancedCode{5, 1, 1}) {
		t.Errorf("an unknown user: %v", err)
	}
	submission, err := gosmtp.NewClientStartTLS(connect(w.serve(Submission, func(s *Server) { s.TLS = serverTLS() })), &tls.Config{InsecureSkipVerify: true})
	if err != nil {
		t.Fatal(err)
	}
	if err := submission.Auth(sasl.NewPlainClient("", "alice@example.test", password)); err != nil {
		t.Fatal(err)
	}
	if err := submission.Mail("alice@example.test", &gosmtp.MailOptions{Size: 50, Return: gosmtp.DSNReturnHeaders, EnvelopeID: "a+b=c"}); err != nil {
		t.Fatal(err)
	}
	if err := submission.Rcpt("bob@example.test", &gosmtp.RcptOptions{Notify: []gosmtp.DSNNotify{gosmtp.DSNNotifySuccess}, OriginalRecipientType: gosmtp.DSNAddressTypeRFC822, OriginalRecipient: "b@old.test"}); err != nil {
		t.Fatal(err)
	}
	body, err := submission.Data()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := body.Write([]byte("From: alice@example.test\r\nSubject: 3\r\n\r\n")); err != nil {
		t.Fatal(err)
	}
	if err := body.Close(); err != nil {
		t.Fatal(err)
	}
	if got := w.Inbox(w.bob.Account); len(got) != 3 || !strings.HasSuffix(got[0], "\r\n\r\n.dot\r\n") {
		t.Errorf("bob has %q", got)
	}
	reports := w.Inbox(w.alice.Account)
	if n := len(reports); n != 2 || !strings.Contains(reports[1], "Original-Envelope-Id: a+b=c\r\n") || !strings.Contains(reports[1], "Original-Recipient: RFC822;b@old.test\r\n") {
		t.Errorf("alice has %q", reports)
	}
}
