// Package searchtest makes mail for tests of searching.
package searchtest

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"math/rand/v2"
	"mime/quotedprintable"
	"strings"

	"golang.org/x/text/encoding/charmap"
	"golang.org/x/text/encoding/japanese"
)

// vocabulary is what random mail is made of: case, accents of both spellings,
// characters that decompose, scripts with and without spaces.
var vocabulary = strings.Fields(`meeting MEETING Meet eat café cafe cafe` + "\u0301" + ` CAFÉS résumé straße STRASSE ﬁne fine Æsir naïve ǅ ŉ İstanbul istanbul ıs
	日本語 日本 語の文 カタカナ ｶﾀｶﾅ が か` + "\u3099" + ` 한국어 메일 Привет ПРИВЕТ ёж Ежи οδός ΟΔΟΣ שלום مرحبا हिन्दी ไทย ½ ① x² 12345 123 a b
	anna.berg@mail.example.test mail.example.test <tag> &amp; don't re-use under_score "quoted" soft` + "\u00ad" + `hyphen 💌 👩‍👩‍👧 ` + "\u0301" + `lone`)

// Maker makes random mail, and needles that are found in it now and then.
type Maker struct{ *rand.Rand }

func (r Maker) word() string { return vocabulary[r.IntN(len(vocabulary))] }

func (r Maker) prose(n int) string {
	var b strings.Builder
	for range n {
		b.WriteString(r.word())
		b.WriteString([]string{" ", " ", " ", "\r\n", "", ", ", ".", "\t"}[r.IntN(8)])
	}
	return b.String()
}

func (r Maker) headerWord() string {
	w := r.word()
	switch r.IntN(3) {
	case 0:
		return "=?utf-8?B?" + base64.StdEncoding.EncodeToString([]byte(w)) + "?="
	case 1:
		if latin, err := charmap.ISO8859_1.NewEncoder().String(w); err == nil {
			return "=?iso-8859-1?B?" + base64.StdEncoding.EncodeToString([]byte(latin)) + "?="
		}
	}
	return w
}

// text is a text part: header and body.
func (r Maker) text() string {
	body, charset, subtype := r.prose(1+r.IntN(30)), "utf-8", "plain"
	switch r.IntN(6) {
	case 0:
		if s, err := charmap.Windows1252.NewEncoder().String(body); err == nil {
			body, charset = s, "windows-1252"
		}
	case 1:
		if s, err := japanese.ISO2022JP.NewEncoder().String(body); err == nil {
			body, charset = s, "iso-2022-jp"
		}
	case 2:
		subtype = "html"
		body = "<html><style>.hidden{}</style><p>" + strings.ReplaceAll(body, " ", " <b>") + "</p>&eacute;<img alt=\"" + strings.ReplaceAll(r.word(), `"`, "") + "\">"
	case 3:
		body += string([]byte{0xff, 0xc3})
	}
	encoding := "8bit"
	switch r.IntN(3) {
	case 0:
		encoding = "base64"
		enc := base64.StdEncoding.EncodeToString([]byte(body))
		body = ""
		for len(enc) > 76 {
			body, enc = body+enc[:76]+"\r\n", enc[76:]
		}
		body += enc
	case 1:
		encoding = "quoted-printable"
		var b bytes.Buffer
		w := quotedprintable.NewWriter(&b)
		w.Write([]byte(body))
		w.Close()
		body = b.String()
	}
	return fmt.Sprintf("Content-Type: text/%s; charset=%s\r\nContent-Transfer-Encoding: %s\r\n\r\n%s\r\n", subtype, charset, encoding, body)
}

func (r Maker) entity(depth int) string {
	kind := r.IntN(8)
	if depth > 2 {
		kind = 7
	}
	boundary := fmt.Sprintf("b%d", r.Uint32())
	switch kind {
	case 0, 1:
		var b strings.Builder
		fmt.Fprintf(&b, "Content-Type: multipart/%s; boundary=%s\r\n\r\n", []string{"mixed", "alternative"}[kind], boundary)
		for range 1 + r.IntN(3) {
			fmt.Fprintf(&b, "--%s\r\n%s\r\n", boundary, r.entity(depth+1))
		}
		return b.String() + "--" + boundary + "--\r\n"
	case 2:
		return "Content-Type: message/rfc822\r\n\r\n" + r.letter(depth+1)
	case 3:
		return fmt.Sprintf("Content-Type: application/octet-stream\r\nContent-Disposition: attachment; filename=\"%s\"\r\nContent-Description: %s\r\n\r\nnothing",
			strings.ReplaceAll(r.word(), `"`, ""), r.headerWord())
	}
	return r.text()
}

// Letter is a message: words in whatever charset and encoding, parts within parts.
func (r Maker) Letter() string { return r.letter(0) }

func (r Maker) letter(depth int) string {
	var b strings.Builder
	fmt.Fprintf(&b, "From: %s %s <%s@example.test>\r\n", r.headerWord(), r.headerWord(), []string{"anna", "bob", "o'neil"}[r.IntN(3)])
	for _, field := range []string{"To", "Cc", "Bcc", "X-Other"} {
		if r.IntN(2) == 0 {
			fmt.Fprintf(&b, "%s: =?utf-8?Q?a?= <x%d@example.test>, \"%s\" <y@example.test>\r\n", field, r.IntN(9), []string{"Zoë", "Jim", "Ann Ex"}[r.IntN(3)])
		}
	}
	fmt.Fprintf(&b, "Subject: %s %s\r\n %s\r\nMIME-Version: 1.0\r\n", r.headerWord(), r.headerWord(), r.headerWord())
	return b.String() + r.entity(depth)
}

// Needle is some text, or a piece of it cut between characters.
func (r Maker) Needle() string {
	s := []rune(r.prose(1 + r.IntN(3)))
	if r.IntN(3) == 0 {
		s = []rune(r.word())
	}
	from := r.IntN(len(s))
	to := from + 1 + r.IntN(len(s)-from)
	if r.IntN(4) == 0 {
		from, to = 0, len(s)
	}
	out := string(s[from:to])
	switch r.IntN(4) {
	case 0:
		out = strings.ToUpper(out)
	case 1:
		out = strings.ToLower(out)
	}
	return out
}
