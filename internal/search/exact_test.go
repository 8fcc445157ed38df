package search

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"math/rand/v2"
	"mime/quotedprintable"
	"strings"
	"testing"

	"golang.org/x/text/encoding/charmap"
	"golang.org/x/text/encoding/japanese"

	"lockstep/internal/mail"
	"lockstep/internal/message"
	"lockstep/internal/store"
)

// vocabulary is what random mail is made of: case, accents of both spellings,
// characters that decompose, scripts with and without spaces.
var vocabulary = strings.Fields(`meeting MEETING Meet eat café cafe cafe` + "\u0301" + ` CAFÉS résumé straße STRASSE ﬁne fine Æsir naïve ǅ ŉ İstanbul istanbul ıs
	日本語 日本 語の文 カタカナ ｶﾀｶﾅ が か` + "\u3099" + ` 한국어 메일 Привет ПРИВЕТ ёж Ежи οδός ΟΔΟΣ שלום مرحبا हिन्दी ไทย ½ ① x² 12345 123 a b
	anna.berg@mail.example.test mail.example.test <tag> &amp; don't re-use under_score "quoted" soft` + "\u00ad" + `hyphen 💌 👩‍👩‍👧 ` + "\u0301" + `lone`)

// letterMaker makes random mail.
type letterMaker struct{ *rand.Rand }

func (r letterMaker) word() string { return vocabulary[r.IntN(len(vocabulary))] }

func (r letterMaker) prose(n int) string {
	var b strings.Builder
	for i := range n {
		b.WriteString(r.word())
		b.WriteString([]string{" ", " ", " ", "\r\n", "", ", ", ".", "\t"}[r.IntN(8)])
		_ = i
	}
	return b.String()
}

func (r letterMaker) headerWord() string {
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
func (r letterMaker) text() string {
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

func (r letterMaker) entity(depth int) string {
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

func (r letterMaker) letter(depth int) string {
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

// needle is some text, or a piece of it cut between characters.
func (r letterMaker) needle() string {
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

var everyPart = []Part{Subject, From, To, Cc, Bcc, Header, Body, Text}

func TestExactSearchIsWhatReadingFinds(t *testing.T) {
	for seed := range uint64(6) {
		r := letterMaker{rand.New(rand.NewPCG(seed, 7))}
		h := newHouse(t)
		found, decided := 0, 0
		for round := range 4 {
			var letters []string
			for range 25 {
				letters = append(letters, r.letter(0))
			}
			h.put(letters...)
			h.settle()
			keys := h.all()
			if round == 3 {
				h.forget(r, keys[:10])
				keys = h.all()
			}
			for range 60 {
				p, needle := everyPart[r.IntN(len(everyPart))], r.needle()
				got := h.ask(p, needle, keys)
				for _, k := range keys {
					match, sure := got[k]
					if sure {
						decided++
					}
					if want := h.truth(p, needle, k); sure && match != want {
						t.Fatalf("seed %d: part %d, %q in message %d: %v, want %v", seed, p, needle, k, match, want)
					} else if want {
						found++
					}
				}
			}
		}
		if found < 100 || decided < 10_000 {
			t.Errorf("seed %d: %d found, %d decided: the test tests too little", seed, found, decided)
		}
	}
}

// forget expunges messages.
func (h *house) forget(_ letterMaker, keys []mail.MessageKey) {
	h.update(func(tx store.Tx) error {
		var uids mail.UIDSet
		for _, k := range keys {
			all, err := tx.PlacementsOf(k)
			if err != nil {
				return err
			}
			for _, p := range all {
				uids.Add(p.UID)
			}
		}
		_, err := tx.Expunge(h.inbox, uids, false)
		return err
	})
	h.settle()
}

func TestACommonWordIsFoundWithoutReadingText(t *testing.T) {
	h := newHouse(t)
	var letters []string
	for i := range 200 {
		letters = append(letters, fmt.Sprintf("Subject: %d\r\n\r\nabout the meeting number %d and its cafe\r\n", i, i))
	}
	letters = append(letters, "Subject: x\r\n\r\ncafés\r\n", "Subject: y\r\n\r\nthe e-cafesociety\r\n", "Subject: z\r\n\r\nnone\r\n")
	h.put(letters...)
	h.settle()
	keys := h.all()
	// The text is taken away: what is not proved by words can't be decided.
	c, err := create(h.x.path(h.account))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := run(c, "DELETE FROM doc_text WHERE key IN (SELECT key FROM doc LIMIT 200)"); err != nil {
		t.Fatal(err)
	}
	for needle, want := range map[string]int{"meet": 200, "MEETING": 200, "cafe": 202} {
		got := h.ask(Text, needle, keys)
		n := 0
		for _, match := range got {
			if match {
				n++
			}
		}
		if len(got) != len(keys) || n != want {
			t.Errorf("%q: %d of %d decided, %d found, want %d", needle, len(got), len(keys), n, want)
		}
	}
	if got := h.ask(Body, "cafes", keys); got[keys[200]] || !got[keys[201]] {
		t.Errorf("accents are lost: %v, %v", got[keys[200]], got[keys[201]])
	}
}

func TestWhatIsNotKeptWholeIsLeftToReading(t *testing.T) {
	h := newHouse(t)
	h.put("Subject: long\r\n\r\nbeginning "+strings.Repeat("filler and more of it ", maxText/20)+" theend\r\n", "Subject: short\r\n\r\nnothing\r\n")
	h.settle()
	keys := h.all()
	for _, c := range []struct {
		part   Part
		needle string
		sure   bool
		match  bool
	}{{Body, "beginning", true, true}, {Body, "theend", false, false}, {Text, "nowhere", false, false}, {Subject, "nowhere", true, false}, {Subject, "LONG", true, true}} {
		match, sure := h.ask(c.part, c.needle, keys)[keys[0]]
		if match != c.match || sure != c.sure {
			t.Errorf("part %d, %q: %v, sure %v", c.part, c.needle, match, sure)
		}
	}
}

func TestGramsOfNeedles(t *testing.T) {
	for needle, want := range map[string]int{"": 0, "ab": 0, "abc": 1, "abcdef": 4, "aaaaaa": 1, strings.Repeat("0123456789abcdef", 9): 16} {
		if got := gramsOf([]byte(needle)); len(got) != want {
			t.Errorf("%q has %d grams, want %d", needle, len(got), want)
		}
	}
	var long []byte
	for i := range 200 {
		long = append(long, byte(i))
	}
	if got := gramsOf(long); len(got) != maxAsked {
		t.Errorf("%d grams of a long needle are asked, want %d", len(got), maxAsked)
	}
}

// FuzzBlocks holds that blocks from a damaged file end in an error, not in a panic.
func FuzzBlocks(f *testing.F) {
	var s gramSorter
	s.add(0, message.AppendCasemap(nil, []byte("hello world")))
	s.add(7, message.AppendCasemap(nil, []byte("hello there")))
	_ = s.write(func(b block) error {
		f.Add(uint32(b.first), bytes.Clone(b.data))
		return nil
	})
	f.Fuzz(func(t *testing.T, first uint32, data []byte) {
		b := readBlock(block{gram(first & maxGram), data})
		for {
			more, err := b.next()
			if err != nil || !more {
				break
			}
			_ = eachNumber(b.list, func(n uint32) {
				if n >= maxSegment {
					t.Errorf("number %d", n)
				}
			})
		}
		_, _ = decodeKeys(data)
		if text, err := decodeText(data); err == nil {
			for _, p := range everyPart {
				text.part(p)
			}
		}
	})
}
