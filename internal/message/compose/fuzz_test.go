package compose_test

import (
	"bytes"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"lockstep/internal/mail"
	"lockstep/internal/message"
	"lockstep/internal/message/compose"
)

// seeds are messages, odd ones too.
func seeds(f *testing.F) [][]byte {
	var all [][]byte
	for _, pattern := range []string{"testdata/*.eml", "../testdata/*.eml"} {
		files, err := filepath.Glob(pattern)
		if err != nil || len(files) == 0 {
			f.Fatal(pattern, err)
		}
		for _, file := range files {
			b, err := os.ReadFile(file)
			if err != nil {
				f.Fatal(err)
			}
			all = append(all, b)
		}
	}
	return all
}

// hasLoneCR says whether b has a CR that becomes a line end.
func hasLoneCR(b []byte) bool {
	return bytes.Contains(bytes.ReplaceAll(b, []byte("\r\n"), nil), []byte("\r"))
}

// Whatever answers whatever, a message comes out that has the new one's fields
// and no bare line end.
func FuzzAnswer(f *testing.F) {
	all := seeds(f)
	for i, b := range all {
		f.Add(b, all[(i+7)%len(all)], i%2 == 0)
	}
	f.Fuzz(func(t *testing.T, written, original []byte, forward bool) {
		src := parsed(t, written)
		write := compose.Reply
		if forward {
			write = compose.Forward
		}
		var out bytes.Buffer
		if err := write(&out, src, parsed(t, original)); err != nil {
			if mail.KindOf(err) != mail.Invalid {
				t.Fatal(err)
			}
			return
		}
		got := parsed(t, out.Bytes())
		if got.Message.Envelope.Subject != src.Message.Envelope.Subject && !hasLoneCR(written) {
			t.Errorf("subject %q became %q", src.Message.Envelope.Subject, got.Message.Envelope.Subject)
		}
		if bytes.Contains(bytes.ReplaceAll(out.Bytes(), []byte("\r\n"), nil), []byte("\n")) {
			t.Error("a bare line end")
		}
	})
}

// An edit keeps the body and every field it does not name.
func FuzzEdit(f *testing.F) {
	for _, b := range seeds(f) {
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		src := parsed(t, b)
		e := compose.Edit{Remove: []string{"Bcc"}, From: alice, MessageID: "x@y"}
		var out bytes.Buffer
		if err := e.Write(&out, src); err != nil {
			if mail.KindOf(err) != mail.Invalid {
				t.Fatal(err)
			}
			return
		}
		got := parsed(t, out.Bytes()).Message
		if hasLoneCR(b) {
			return
		}
		if len(got.Envelope.From) != 1 || got.Envelope.From[0].Host != "example.test" || got.Envelope.Bcc != nil || got.ID == "" && src.Message.ID != "" {
			t.Errorf("%+v", got.Envelope)
		}
		if got.Envelope.Subject != src.Message.Envelope.Subject || got.Root.Type != src.Message.Root.Type {
			t.Errorf("subject %q type %s, was %q %s", got.Envelope.Subject, got.Root.Type, src.Message.Envelope.Subject, src.Message.Root.Type)
		}
	})
}

// What is written of recipients is read as the same recipients.
func FuzzRecipients(f *testing.F) {
	f.Add(`a@x.test; "B, C" <b@bücher.example>, group: c@x.test;`)
	f.Add("=?utf-8?q?=?= <a@b>, \"=?x\" <\"q r\"@s>")
	f.Fuzz(func(t *testing.T, s string) {
		list, _ := compose.ParseRecipients(s)
		written := compose.AddressList(list)
		if strings.ContainsAny(written, "\r\n\x00") {
			t.Fatalf("%q", written)
		}
		again, bad := compose.ParseRecipients(written)
		if len(again) != len(list) || len(bad) > 0 {
			t.Fatalf("%q became %q: %v, then %v and %q", s, written, list, again, bad)
		}
		for i := range list {
			before, _ := compose.Mailbox(list[i])
			after, _ := compose.Mailbox(again[i])
			if before != after {
				t.Errorf("%q became %q in %q", before, after, written)
			}
		}
	})
}

// A draft of any words is a message that says the same.
func FuzzDraft(f *testing.F) {
	f.Add("Grüße =?utf-8?q?x?=", "text\r\n.\nFrom x", "näme.txt", "text/plain; charset=x")
	f.Fuzz(func(t *testing.T, subject, text, name, typ string) {
		d := compose.Draft{From: alice, Subject: subject, Text: strings.NewReader(text), Attachments: []compose.Attachment{{Name: name, Type: typ, Body: strings.NewReader(text)}}}
		var out bytes.Buffer
		if err := d.Write(&out); err != nil {
			t.Fatal(err)
		}
		got := parsed(t, out.Bytes())
		if len(got.Message.Root.Parts) != 2 || len(got.Message.Envelope.From) != 1 {
			t.Fatalf("%s", out.Bytes())
		}
		p := got.Message.Root.Parts[1]
		b, err := io.ReadAll(message.DecodeBody(p.Body(got.Bytes), p.Encoding))
		if err != nil || p.Encoding == "base64" && string(b) != text {
			t.Errorf("%q became %q", text, b)
		}
	})
}
