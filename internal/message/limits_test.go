package message

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand"
	"runtime"
	"strings"
	"testing"
	"testing/iotest"
)

func TestDeepNestingIsOpaqueBeyondItsBound(t *testing.T) {
	var raw strings.Builder
	for i := range 10_000 {
		fmt.Fprintf(&raw, "Content-Type: multipart/mixed; boundary=b%d\n\n--b%d\n", i, i)
	}
	m := parse(t, []byte(raw.String()))
	depth := 1
	p := m.Root
	for ; p.IsMultipart(); p = p.Parts[0] {
		depth++
	}
	if depth != MaxDepth || !p.Is("application", "octet-stream") || p.End() != m.Size {
		t.Errorf("depth %d ends in %s/%s", depth, p.Type, p.Subtype)
	}
}

func TestDeepEmbeddingIsOpaqueBeyondItsBound(t *testing.T) {
	m := parse(t, bytes.Repeat([]byte("Content-Type: message/rfc822\n\n"), 10_000))
	depth := 1
	p := m.Root
	for ; p.Message != nil; p = p.Message.Root {
		depth++
	}
	if depth != MaxDepth || !p.Is("application", "octet-stream") {
		t.Errorf("depth %d ends in %s/%s", depth, p.Type, p.Subtype)
	}
}

func TestLastPartHoldsWhatIsBeyondMaxParts(t *testing.T) {
	for _, n := range []int{MaxParts - 2, MaxParts - 1, MaxParts, MaxParts + 100} {
		raw := "Content-Type: multipart/mixed; boundary=b\n\n" + strings.Repeat("--b\n\nx\n", n) + "--b--\n"
		m := parse(t, []byte(raw))
		last := m.Root.Parts[len(m.Root.Parts)-1]
		if n < MaxParts-1 {
			if len(m.Root.Parts) != n || !last.Is("text", "plain") {
				t.Errorf("%d of %d parts, the last is %s/%s", len(m.Root.Parts), n, last.Type, last.Subtype)
			}
			continue
		}
		if len(m.Root.Parts) != MaxParts-1 || !last.Is("application", "octet-stream") || last.End() != m.Size || last.HeaderSize != 0 {
			t.Errorf("%d of %d parts, the last is %+v", len(m.Root.Parts), n, last)
		}
	}
}

func TestStructureStopsAtItsBytes(t *testing.T) {
	part := "--b\nContent-Description: " + strings.Repeat("d", 100_000) + "\n\nx\n"
	m := parse(t, []byte("Content-Type: multipart/mixed; boundary=b\n\n"+strings.Repeat(part, 50)))
	if n := len(m.Root.Parts); n != MaxStructureBytes/100_000+2 {
		t.Errorf("%d parts", n)
	}
}

func TestMaxAddresses(t *testing.T) {
	for _, n := range []int{MaxAddresses - 1, MaxAddresses, MaxAddresses + 1} {
		list := ParseAddresses("g:" + strings.Repeat("a@b,", n))
		if len(list) > MaxAddresses || !list[len(list)-1].IsGroupEnd() {
			t.Errorf("%d entries of %d", len(list), n)
		}
	}
	m := parse(t, []byte(strings.Repeat("To: "+strings.Repeat("a@b,", 1000)+"\n", 20)))
	if len(m.Envelope.To) > MaxAddresses {
		t.Errorf("%d addresses in several fields", len(m.Envelope.To))
	}
}

func TestMaxParamsAndReferences(t *testing.T) {
	var params, ids strings.Builder
	for i := range 200 {
		fmt.Fprintf(&params, "; p%d=v", i)
		fmt.Fprintf(&ids, " <%d@x>", i)
	}
	m := parse(t, []byte("Content-Type: text/x"+params.String()+"\nReferences:"+ids.String()+"\n\n"))
	if len(m.Root.Params) != MaxParams || len(m.References) != MaxReferences || m.References[MaxReferences-1] != "199@x" {
		t.Errorf("%d parameters, %d references", len(m.Root.Params), len(m.References))
	}
}

// endless gives head, and then pattern again and again up to size bytes.
type endless struct {
	head, pattern string
	size, at      int64
}

func (e *endless) Read(b []byte) (int, error) {
	if e.at >= e.size {
		return 0, io.EOF
	}
	for i := range b {
		if e.at < int64(len(e.head)) {
			b[i] = e.head[e.at]
		} else {
			b[i] = e.pattern[(e.at-int64(len(e.head)))%int64(len(e.pattern))]
		}
		e.at++
	}
	return len(b), nil
}

func TestHostileMessagesCostLittleMemory(t *testing.T) {
	const size = 16 << 20
	for _, tt := range []struct{ name, head, pattern string }{
		{"one header line", "Subject: ", "x"},
		{"one address", "To: ", "a "},
		{"quotes", "To: ", `"`},
		{"open angles", "To: ", "<@,"},
		{"many fields", "", "To: a@b.test\n"},
		{"one folded field", "References:\n", " <a@b>\n"},
		{"one body line", "\n", "y"},
		{"dashes", "Content-Type: multipart/mixed; boundary=b\n\n--b\n", "--\n"},
		{"parts", "Content-Type: multipart/mixed; boundary=b\n\n", "--b\n"},
		{"encoded-words", "Subject: ", "=?utf-8?q?a"},
		{"subject prefixes", "Subject: ", "[a]"},
		{"parameters", "Content-Type: a/b", ";a*0*=b"},
		{"html", "Content-Type: text/html\n\n", "<b"},
		{"comments", "From: ", "("},
		{"many lists", "", "To: " + strings.Repeat("a,", MaxAddresses) + "\nContent-Type: message/rfc822\n\n"},
		{"many lists of parts", "Content-Type: multipart/digest; boundary=b\n\n", "--b\n\nTo: " + strings.Repeat("a,", MaxAddresses) + "\n\n"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var before, after runtime.MemStats
			runtime.GC()
			runtime.ReadMemStats(&before)
			m, err := Parse(&endless{tt.head, tt.pattern, size, 0})
			runtime.ReadMemStats(&after)
			if err != nil || m.Size < size {
				t.Fatalf("%+v, %v", m, err)
			}
			if used := after.TotalAlloc - before.TotalAlloc; used > 32<<20 {
				t.Errorf("%d bytes were allocated", used)
			}
		})
	}
}

func TestBoundaryLongerThanALineIsNone(t *testing.T) {
	long := strings.Repeat("b", maxBoundaryLine)
	m := parse(t, []byte("Content-Type: multipart/mixed; boundary="+long+"\n\n--"+long+"\n\nx\n"))
	if !m.Root.Is("text", "plain") {
		t.Errorf("%s/%s", m.Root.Type, m.Root.Subtype)
	}
}

func TestReadErrorIsReturned(t *testing.T) {
	broken := errors.New("disk on fire")
	r := io.MultiReader(strings.NewReader("Subject: x\n"), iotest.ErrReader(broken))
	if _, err := Parse(r); !errors.Is(err, broken) {
		t.Errorf("error %v", err)
	}
}

func TestDecodeRefusesWhatEncodeNeverWrites(t *testing.T) {
	_, m := letter(t, "forwarded")
	good := Encode(m)
	for n := range len(good) {
		if _, err := Decode(good[:n]); err == nil {
			t.Fatalf("the first %d of %d bytes decode", n, len(good))
		}
	}
	if _, err := Decode(append(good, 0)); err == nil {
		t.Error("a byte too many decodes")
	}
	bad := *m
	bad.Size--
	if _, err := Decode(Encode(&bad)); err == nil {
		t.Error("a part outside of the message decodes")
	}
}

func TestCutsComeOutTheSame(t *testing.T) {
	rnd := rand.New(rand.NewSource(7))
	data := make([]byte, 150_000)
	rnd.Read(data)
	for _, lineLen := range []int{1, 60, 64, 70, 72, 75, 76, 77, 998} {
		for _, crlf := range []bool{true, false} {
			for _, tail := range []string{"", "\n", "\r\n\r\n", "\r\n-- \r\nfooter of the list\r\n", "*"} {
				size := len(data) - rnd.Intn(3) - rnd.Intn(lineLen+1)
				text := (Cut{LineLen: lineLen, CRLF: crlf}).appendLines(nil, data[:size])
				text = append(bytes.TrimRight(text, "\r\n"), tail...)
				cuts := proveCuts(t, append([]byte("Content-Transfer-Encoding: base64\n\n"), text...))
				if len(cuts) != 1 || tail != "*" && cuts[0].Size != int64(size) {
					t.Fatalf("lines of %d, CRLF %v, tail %q: %+v of %d bytes", lineLen, crlf, tail, cuts, size)
				}
			}
		}
	}
}

func TestUncommonBase64IsCutBeforeItsOddity(t *testing.T) {
	line := strings.Repeat("QUJD", 19) + "\r\n"
	head := "Content-Transfer-Encoding: base64\r\n\r\n"
	for _, tt := range []struct {
		name, body string
		cut        int // lines
	}{
		{"a shorter line inside", strings.Repeat(line, 1000) + "QUJD\r\n" + strings.Repeat(line, 100), 1000},
		{"another line end inside", strings.Repeat(line, 1000) + strings.ReplaceAll(line, "\r", "") + strings.Repeat(line, 100), 1001},
		{"bits in the padding", strings.Repeat(line, 1000) + "QR==\r\n", 1000},
		{"the padding in the middle", strings.Repeat(line, 1000) + "QQ==\r\n" + strings.Repeat(line, 2000), 1000},
		{"small", strings.Repeat(line, 100), 0},
		{"one line", strings.Repeat("QUJD", 50_000), 0},
		{"blank line first", "\r\n" + strings.Repeat(line, 1000), 0},
	} {
		cuts := proveCuts(t, []byte(head+tt.body))
		switch {
		case tt.cut == 0 && len(cuts) != 0:
			t.Errorf("%s: %+v", tt.name, cuts)
		case tt.cut > 0 && (len(cuts) != 1 || cuts[0].Length/int64(len(line)) != int64(tt.cut) && cuts[0].Length != int64(tt.cut*len(line)-2)):
			t.Errorf("%s: %+v, want %d lines", tt.name, cuts, tt.cut)
		}
	}
}

func TestReencodeOfOtherBytesIsCorrupt(t *testing.T) {
	c := Cut{Length: 78, Size: 57, LineLen: 76, CRLF: true}
	for _, n := range []int{0, 56, 58, 59, 60, 10_000_000} {
		if err := Reencode(io.Discard, bytes.NewReader(make([]byte, n)), c); err == nil {
			t.Errorf("%d bytes pass for %d", n, c.Size)
		}
	}
}

func TestHeaderIsLookedAtUpToItsBound(t *testing.T) {
	const filler, subject, behind = "X: ", "\r\nSubject: last", "\r\nCc: a@b.test\r\n\r\nbody"
	room := MaxHeaderBytes - len(filler) - len(subject)
	for past, want := range []string{"last", "las", "la"} {
		m := parse(t, []byte(filler+strings.Repeat("x", room+past)+subject+behind))
		if m.Root.HeaderSize != m.Size-4 || m.Envelope.Cc != nil || m.Envelope.Subject != want {
			t.Errorf("%d past: header of %d bytes in %d, %+v, want subject %q", past, m.Root.HeaderSize, m.Size, m.Envelope, want)
		}
	}
}

func TestPreviewHasItsCharactersAndNoMore(t *testing.T) {
	for _, n := range []int{MaxPreviewChars - 1, MaxPreviewChars, MaxPreviewChars + 1} {
		for _, word := range []string{"é", "é "} {
			m := parse(t, []byte("Content-Type: text/plain; charset=utf-8\n\n"+strings.Repeat(word, n)))
			got := len([]rune(m.Preview))
			want := min(n, MaxPreviewChars)
			if word == "é " {
				want = MaxPreviewChars - 1 // no space at the end
			}
			if got != want {
				t.Errorf("%d times %q: %d characters, want %d", n, word, got, want)
			}
		}
	}
}

func TestMessageIDsTooLongAreNone(t *testing.T) {
	for n, want := range map[int]int{maxMessageID: 1, maxMessageID + 1: 0} {
		if ids := ParseMessageIDs("<" + strings.Repeat("i", n) + ">"); len(ids) != want {
			t.Errorf("an id of %d bytes gives %d", n, len(ids))
		}
	}
}
