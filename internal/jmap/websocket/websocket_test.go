package websocket

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// masked is a client's frame.
func masked(final bool, o Opcode, payload string) []byte {
	b := AppendHeader(nil, o, len(payload))
	if !final {
		b[0] &^= 0x80
	}
	b[1] |= 0x80
	mask := [4]byte{1, 2, 3, 250}
	b = append(b, mask[:]...)
	h := Header{mask: mask}
	body := []byte(payload)
	h.Unmask(body, 0)
	return append(b, body...)
}

func TestFramesAreReadAsTheyWereWritten(t *testing.T) {
	for _, size := range []int{0, 1, 125, 126, 127, 0xffff, 0x10000} {
		want := strings.Repeat("x", size)
		r := bufio.NewReader(bytes.NewReader(masked(size%2 == 0, Text, want)))
		h, err := ReadHeader(r)
		if err != nil || h.Opcode != Text || h.Final != (size%2 == 0) || h.Size != int64(size) {
			t.Fatalf("%d bytes: %+v, %v", size, h, err)
		}
		got := make([]byte, size)
		if _, err := io.ReadFull(r, got); err != nil {
			t.Fatal(err)
		}
		half := size / 3
		h.Unmask(got[:half], 0)
		h.Unmask(got[half:], int64(half))
		if string(got) != want {
			t.Errorf("%d bytes: came out changed", size)
		}
	}
}

func TestBadFramesAreRefused(t *testing.T) {
	for name, frame := range map[string]string{
		"a reserved bit":      "\xc1\x80\x00\x00\x00\x00",
		"not masked":          "\x81\x00",
		"an opcode of nobody": "\x83\x80\x00\x00\x00\x00",
		"and another":         "\x8b\x80\x00\x00\x00\x00",
		"a ping in parts":     "\x09\x80\x00\x00\x00\x00",
		"a long ping":         "\x89\xfe\x00\x7e\x00\x00\x00\x00",
		"a negative length":   "\x81\xff\xff\xff\xff\xff\xff\xff\xff\xff\x00\x00\x00\x00",
	} {
		_, err := ReadHeader(bufio.NewReader(strings.NewReader(frame)))
		if e, ok := errors.AsType[*Error](err); !ok || e.Code != ProtocolError || e.Error() == "" {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, cut := range []string{"\x81", "\x81\xfe\x00", "\x81\x80\x00\x00"} {
		if _, err := ReadHeader(bufio.NewReader(strings.NewReader(cut))); !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("%q: %v", cut, err)
		}
	}
	if _, err := ReadHeader(bufio.NewReader(strings.NewReader(""))); err != io.EOF {
		t.Errorf("nothing: %v", err)
	}
}

func TestCloseFrames(t *testing.T) {
	if got := AppendClose(nil, GoingAway, "bye"); string(got) != "\x88\x05\x03\xe9bye" {
		t.Errorf("%q", got)
	}
	if got := AppendClose(nil, GoingAway, strings.Repeat("x", 1000)); len(got) != 2+maxControl {
		t.Errorf("%d bytes", len(got))
	}
}

func TestHandshakes(t *testing.T) {
	good := map[string]string{
		"Connection": "keep-alive, Upgrade", "Upgrade": "WebSocket", "Sec-WebSocket-Version": "13", "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==", "Sec-WebSocket-Protocol": "other, jmap",
	}
	for _, c := range []struct {
		name, value string
		want        int
	}{
		{"Upgrade", "websocket", 0}, {"Upgrade", "h2c", 426}, {"Connection", "close", 426}, {"Sec-WebSocket-Version", "8", 426},
		{"Sec-WebSocket-Key", "x", 400}, {"Sec-WebSocket-Protocol", "imap", 400},
	} {
		r := httptest.NewRequest("GET", "/", nil)
		for name, value := range good {
			r.Header.Set(name, value)
		}
		r.Header.Set(c.name, c.value)
		answer := http.Header{}
		no := Accept(r, "jmap", answer)
		if c.want == 0 && (no != nil || answer.Get("Sec-WebSocket-Accept") != "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=" || answer.Get("Sec-WebSocket-Protocol") != "jmap") {
			t.Errorf("the RFC's own: %+v, %v", no, answer)
		}
		if c.want != 0 && (no == nil || no.Status != c.want) {
			t.Errorf("%s %s: %+v, want %d", c.name, c.value, no, c.want)
		}
	}
}

func FuzzReadHeader(f *testing.F) {
	f.Add(masked(true, Text, "hello"))
	f.Add(masked(false, Binary, strings.Repeat("x", 70_000)))
	f.Add(masked(true, Close, "\x03\xe9bye"))
	f.Fuzz(func(t *testing.T, b []byte) {
		r := bufio.NewReader(bytes.NewReader(b))
		for {
			h, err := ReadHeader(r)
			if err != nil {
				return
			}
			if h.Size < 0 || h.Opcode.isControl() && h.Size > maxControl {
				t.Fatalf("%+v", h)
			}
			if n, _ := io.CopyN(io.Discard, r, h.Size); n < h.Size {
				return
			}
		}
	})
}
