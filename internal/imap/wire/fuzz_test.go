package wire

import (
	"io"
	"testing"

	"lockstep/internal/mail"
)

func mailUID(n uint32) mail.UID { return mail.UID(n) }

// FuzzCommand reads whatever comes as commands: it ends, and what was read reads
// the same when it is written.
func FuzzCommand(f *testing.F) {
	for _, test := range commands {
		f.Add("a "+test.line+"\r\n", false)
	}
	for _, s := range []string{"a LOGIN {5+}\r\nab", "a FOO {3+}\r\nabc\r\nb NOOP\r\n", "a APPEND x (\\Seen) {3}\r\nabc ~{2+}\r\nab\r\n",
		"a APPEND x UTF8 (~{1+}\r\na)\r\n", "a APPEND x CATENATE (URL \"/a/;UID=1\" TEXT {2+}\r\nab UTF8 (~{1+}\r\na) URL {3+}\r\n;UI) (\\Seen) {1+}\r\na\r\n",
		"a SEARCH NOT OR (1 2) NOT \"x\r\n", "a GETMETADATA \"\" A\r\n",
		"a UID REPLACE 3 x (\\Seen) {3+}\r\nabc\r\nb REPLACE * x {1+}\r\na {1+}\r\nb\r\n"} {
		f.Add(s, true)
	}
	f.Fuzz(func(t *testing.T, s string, utf8 bool) {
		r, _ := newReader(s, Limits{Line: 4096, Literal: 4096, Skip: 8192, Depth: 50})
		r.UTF8 = utf8
		for range len(s) + 1 {
			cmd, err := r.ReadCommand()
			if err == nil {
				drain(cmd.Body)
				again(t, cmd.Body)
				continue
			}
			if e, ok := err.(*Error); !ok || e.Status == "BYE" {
				return
			}
		}
		t.Errorf("%q: no end", s)
	})
}

// drain reads the messages of an APPEND.
func drain(body Body) {
	a, ok := body.(*Append)
	if c, isReplace := body.(*Replace); isReplace {
		a, ok = &c.Append, true
	}
	for ok {
		m, err := a.Next()
		if err != nil {
			a.current, a.err = nil, nil
			return
		}
		for m.Catenate {
			part, err := m.NextPart()
			if err != nil {
				break
			}
			if part.URL == "" {
				io.Copy(io.Discard, part)
			}
		}
		io.Copy(io.Discard, m)
	}
}

func BenchmarkParseUIDStore(b *testing.B) {
	src := &repeated{line: []byte("a1 UID STORE 1:100 +FLAGS.SILENT (\\Seen)\r\n")}
	r := NewReader(src, nil, nil)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := r.ReadCommand(); err != nil {
			b.Fatal(err)
		}
	}
}

// repeated is a source that has one line for ever.
type repeated struct{ line []byte }

func (r *repeated) ReadSlice(byte) ([]byte, error) { return r.line, nil }
func (r *repeated) Read([]byte) (int, error)       { return 0, io.EOF }
