package demo

import (
	"bytes"
	"net/mail"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

var moment = time.Date(2031, 5, 20, 14, 0, 0, 0, time.UTC)

func TestSameSeedMakesTheSameMail(t *testing.T) {
	a, b := Mail(7, moment), Mail(7, moment)
	if !slices.EqualFunc(a, b, func(x, y Message) bool {
		return x.Login == y.Login && x.Mailbox == y.Mailbox && slices.Equal(x.Flags, y.Flags) && x.Date.Equal(y.Date) && bytes.Equal(x.Raw, y.Raw)
	}) {
		t.Error("two runs differ")
	}
	if c := Mail(8, moment); bytes.Equal(c[0].Raw, a[0].Raw) && bytes.Equal(c[1].Raw, a[1].Raw) {
		t.Error("another seed makes no other mail")
	}
}

func TestSomeFourHundredMessagesOfEveryKind(t *testing.T) {
	messages := Mail(1, moment)
	if n := len(messages); n < 350 || n > 450 {
		t.Errorf("%d messages", n)
	}
	mailboxes, flags := map[string]int{}, map[string]int{}
	all := ""
	for _, m := range messages {
		mailboxes[m.Login+" "+m.Mailbox]++
		for _, f := range m.Flags {
			flags[f]++
		}
		if m.Date.After(moment) || moment.Sub(m.Date) > 365*24*time.Hour {
			t.Errorf("%s is dated %v", m.Mailbox, m.Date)
		}
		all += string(m.Raw)
	}
	t.Log(len(messages), mailboxes, flags)
	if len(mailboxes) < 14 {
		t.Errorf("only %d mailboxes", len(mailboxes))
	}
	for _, f := range []string{`\Seen`, `\Answered`, `\Flagged`, `\Draft`, "$Forwarded", "$Junk", "$Important", "todo"} {
		if flags[f] == 0 {
			t.Errorf("nothing is marked %s", f)
		}
	}
	for _, s := range []string{"\r\nReferences: <", "multipart/alternative", "multipart/related", "multipart/mixed", "text/calendar", "METHOD:CANCEL", "List-Id:", "image/png", "image/jpeg", "application/pdf", "message/rfc822", "=?utf-8?q?", "filename*=utf-8''"} {
		if !strings.Contains(all, s) {
			t.Errorf("nothing has %q", s)
		}
	}
}

func TestWellMadeMailReads(t *testing.T) {
	ids := map[string]bool{}
	for _, m := range Mail(1, moment) {
		if m.Mailbox == "INBOX/Odd" {
			continue
		}
		parsed, err := mail.ReadMessage(bytes.NewReader(m.Raw))
		if err != nil {
			t.Fatalf("%v\n%s", err, m.Raw)
		}
		if _, err := parsed.Header.AddressList("From"); err != nil {
			t.Errorf("From %q: %v", parsed.Header.Get("From"), err)
		}
		if id := m.Login + parsed.Header.Get("Message-Id"); ids[id] && m.Login == Alice {
			t.Errorf("%s twice", id)
		} else {
			ids[id] = true
		}
		for line := range bytes.SplitSeq(m.Raw, []byte("\r\n")) {
			if len(line) > 998 || bytes.ContainsAny(line, "\r\n") {
				t.Errorf("%s: a line of %d bytes, or a lone CR or LF", parsed.Header.Get("Subject"), len(line))
			}
		}
	}
}

func TestNobodyInItCanExist(t *testing.T) {
	address := regexp.MustCompile(`[A-Za-z0-9._-]+@([A-Za-z0-9.-]+)`)
	for _, m := range Mail(1, moment) {
		for _, found := range address.FindAllSubmatch(bytes.ReplaceAll(m.Raw, []byte("=\r\n"), nil), -1) {
			d := string(found[1])
			if !strings.HasSuffix(d, ".example") && !strings.HasSuffix(d, ".test") {
				t.Errorf("%s names %s", m.Mailbox, found[0])
			}
		}
	}
}
