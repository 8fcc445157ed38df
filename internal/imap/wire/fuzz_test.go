package wire

import (
	"io"
	"slices"
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
	for _, test := range badCommands {
		f.Add(test.line+"\r\n", false)
	}
	for _, s := range []string{"a LOGIN {5+}\r\nab", "a FOO {3+}\r\nabc\r\nb NOOP\r\n", "a APPEND x (\\Seen) {3}\r\nabc ~{2+}\r\nab\r\n",
		"a APPEND x UTF8 (~{1+}\r\na)\r\n", "a APPEND x CATENATE (URL \"/a/;UID=1\" TEXT {2+}\r\nab UTF8 (~{1+}\r\na) URL {3+}\r\n;UI) (\\Seen) {1+}\r\na\r\n",
		"a SEARCH NOT OR (1 2) NOT \"x\r\n", "a GETMETADATA \"\" A\r\n",
		"a UID REPLACE 3 x (\\Seen) {3+}\r\nabc\r\nb REPLACE * x {1+}\r\na {1+}\r\nb\r\n"} {
		f.Add(s, true)
	}
	f.Fuzz(func(t *testing.T, s string, utf8 bool) {
		r, _ := newReader(s, Limits{Line: 4096, Literal: 512, Literals: 8, Items: 50, Skip: 8192, Depth: 50})
		r.UTF8 = utf8
		for range len(s) + 1 {
			cmd, err := r.ReadCommand()
			if err == nil {
				drain(cmd.Body)
				again(t, cmd.Body)
				err = readBehind(r, cmd.Body)
			}
			if err == nil {
				continue
			}
			if e, ok := err.(*Error); !ok || e.Status == "BYE" {
				return
			}
		}
		t.Errorf("%q: no end", s)
	})
}

// readBehind reads what a command has behind it that is no command.
func readBehind(r *Reader, body Body) (err error) {
	switch body.(type) {
	case *Idle:
		err = r.ReadDone()
	case *Authenticate:
		_, err = r.ReadSASL()
	}
	if err == ErrCancelled {
		err = nil
	}
	return err
}

// FuzzSequenceSet: a set means the numbers that it names, however it is written.
func FuzzSequenceSet(f *testing.F) {
	for _, s := range []string{"1", "*", "$", "1:*", "*:3", "5:2,3,*:7,4294967295", "1,2,3:4,$", "0", "4294967296", "1:", ",", "1,", "$,1", "9:9,8"} {
		f.Add(s, uint32(5))
		f.Add(s, uint32(0))
	}
	f.Fuzz(func(t *testing.T, text string, largest uint32) {
		r, _ := newReader("a COPY "+text+" x\r\n", Limits{})
		cmd, err := r.ReadCommand()
		copied, ok := cmd.Body.(*Copy)
		if err != nil || !ok || copied.Mailbox != "x" {
			return
		}
		set := copied.Set
		got := set.Resolve(largest)
		for i, r := range got {
			if r.First == 0 || r.Last < r.First || i > 0 && uint64(r.First) <= uint64(got[i-1].Last)+1 {
				t.Fatalf("%q up to %d is %v", text, largest, got)
			}
		}
		if uids := set.UIDs(mail.UID(largest)); len(uids) != len(got) {
			t.Errorf("%q is %v, as UIDs %v", text, got, uids)
		}
		for _, r := range slices.Concat(set.Ranges, got) {
			for _, n := range []uint32{r.First, r.Last, r.First - 1, r.Last + 1, largest} {
				if isIn(got, n) != isNamed(set, n, largest) {
					t.Errorf("%q up to %d is %v, and %d is wrong", text, largest, got, n)
				}
			}
		}
	})
}

func isIn(ranges []Range, n uint32) bool {
	return n != 0 && slices.ContainsFunc(ranges, func(r Range) bool { return r.First <= n && n <= r.Last })
}

// isNamed is isIn as RFC 9051 §9 says what a seq-range means.
func isNamed(s SeqSet, n, largest uint32) bool {
	return n != 0 && slices.ContainsFunc(s.Ranges, func(r Range) bool {
		if largest == 0 && (r.First == Star || r.Last == Star) {
			return false
		}
		a, b := r.First, r.Last
		if a == Star {
			a = largest
		}
		if b == Star {
			b = largest
		}
		return a <= n && n <= b || b <= n && n <= a
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
