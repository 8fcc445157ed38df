package imap

import (
	"context"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"lockstep/internal/mail"
)

func TestAheadDoesEverythingOnce(t *testing.T) {
	var a ahead
	for _, n := range []int{0, 1, 2, 3, 100} {
		done := make([]atomic.Int64, n)
		a.each(n, func(i int) { done[i].Add(1) })
		for i := range done {
			if done[i].Load() != 1 {
				t.Errorf("%d of %d was done %d times", i, n, done[i].Load())
			}
		}
	}
}

func TestAheadIsBounded(t *testing.T) {
	var a ahead
	if !a.take(maxAhead) || a.take(1) {
		t.Error("the bound on memory does not hold")
	}
	a.give(1)
	if !a.take(1) {
		t.Error("what was given back is lost")
	}
	a.helpers.Store(int64(runtime.GOMAXPROCS(0)))
	var at, most atomic.Int64
	a.each(50, func(int) {
		if n := at.Add(1); n > most.Load() {
			most.Store(n)
		}
		runtime.Gosched()
		at.Add(-1)
	})
	if most.Load() != 1 {
		t.Errorf("%d worked at once without a helper", most.Load())
	}
}

func TestPanicAheadIsTheCallers(t *testing.T) {
	var a ahead
	defer func() {
		if p := recover(); p != "a bug" || a.helpers.Load() != 0 {
			t.Errorf("%v, %d helpers", p, a.helpers.Load())
		}
	}()
	a.each(20, func(i int) {
		if i == 7 {
			panic("a bug")
		}
	})
}

// Small and large messages, one of them damaged, are answered for in their order.
func TestBodiesComeInOrder(t *testing.T) {
	h := newHouse(t, nil)
	const n, bad = 120, 50
	for i := range n {
		size := 10
		if i%7 == 3 {
			size = smallPiece + i
		}
		h.put("INBOX", fmt.Sprintf("Subject: %d\r\n\r\n%s\r\n", i+1, strings.Repeat("x", size)), mail.Flags{}, 0, 0)
	}
	for name, b := range h.blobs.m {
		if strings.HasPrefix(string(b), fmt.Sprintf("Subject: %d\r\n", bad)) {
			delete(h.blobs.m, name)
		}
	}
	c := dial(t, h.addr).ready().login()
	c.must("SELECT INBOX")
	for _, items := range []string{"BODY.PEEK[]", "(ENVELOPE BODY.PEEK[])", "BODY[TEXT]"} {
		got := c.run("FETCH 1:* " + items)
		next := 1
		for _, line := range got {
			if strings.Contains(line, "FETCH (") && !strings.Contains(line, `FETCH (UID`) && strings.Contains(line, "BODY[") {
				if next == bad {
					next++
				}
				if !strings.HasPrefix(line, fmt.Sprintf("* %d FETCH", next)) {
					t.Fatalf("%s: got %.40s, want %d", items, line, next)
				}
				next++
			}
		}
		if next != n+1 || !strings.Contains(got[len(got)-1], "NO [CORRUPTION]") {
			t.Errorf("%s: up to %d, %s", items, next, got[len(got)-1])
		}
	}
	if taken := h.server.ahead.bytes.Load(); taken != 0 {
		t.Errorf("%d bytes were not given back", taken)
	}
}

// movedBlobs finds nothing where a blob was when it was asked for first.
type movedBlobs struct {
	Blobs
	mu    sync.Mutex
	asked map[mail.BlobName]int
}

func (b *movedBlobs) Open(ctx context.Context, which mail.Blob) (Body, error) {
	b.mu.Lock()
	b.asked[which.Name]++
	n := b.asked[which.Name]
	b.mu.Unlock()
	if n == 2 {
		return nil, mail.Errorf(mail.Corrupt, "another record lies where this one should")
	}
	return b.Blobs.Open(ctx, which)
}

func TestMovedMessageIsFound(t *testing.T) {
	h := newHouse(t, func(s *Server) { s.Blobs = &movedBlobs{Blobs: s.Blobs, asked: map[mail.BlobName]int{}} })
	h.put("INBOX", "Subject: x\r\n\r\nbody\r\n", mail.Flags{}, 0, 0)
	c := dial(t, h.addr).ready().login()
	c.must("SELECT INBOX")
	for range 3 {
		if got := strings.Join(c.must("FETCH 1 BODY.PEEK[]"), "\n"); !strings.Contains(got, "body") {
			t.Errorf("%q", got)
		}
	}
}

func TestBlobsAreRememberedWhole(t *testing.T) {
	want := mail.Blob{Name: mail.BlobName{1, 2, 3}, Size: 1 << 40, Place: "01-2-3", Key: []byte{9, 8, 7}}
	if got := blobOf(appendBlob(nil, want)); fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("%v, want %v", got, want)
	}
}

// A client that asks for one message after another without waiting gets what it
// asked for, also where it leaves its way, or others change what lies ahead.
func TestMessagesAreReadAhead(t *testing.T) {
	h := newHouse(t, nil)
	const n = 100
	for i := range n {
		h.put("INBOX", fmt.Sprintf("Subject: %d\r\n\r\nthis is %d\r\n", i+1, i+1), mail.Flags{}, 0, 0)
	}
	c := dial(t, h.addr).ready().login()
	c.must("SELECT INBOX")
	var commands strings.Builder
	var want []string
	ask := func(item string, seq int) {
		fmt.Fprintf(&commands, "p%d FETCH %d %s\r\n", len(want), seq, item)
		want = append(want, fmt.Sprintf("* %d FETCH", seq))
	}
	for seq := 1; seq <= n; seq++ {
		ask("BODY.PEEK[]", seq)
		switch {
		case seq%10 == 5:
			ask("BODY.PEEK[]", n-seq)
		case seq == 33:
			ask("(BODY.PEEK[]<0.11>)", seq+1)
		case seq == 44:
			ask("BODY[]", seq+1)
		}
	}
	if _, err := c.conn.Write([]byte(commands.String())); err != nil {
		t.Fatal(err)
	}
	for i, prefix := range want {
		var got []string
		for len(got) == 0 || !strings.HasPrefix(got[len(got)-1], fmt.Sprintf("p%d ", i)) {
			got = append(got, c.line())
		}
		seq, _, _ := strings.Cut(prefix[2:], " ")
		if !strings.HasPrefix(got[0], prefix) || !strings.Contains(strings.Join(got, "\n"), "Subject: "+seq) {
			t.Fatalf("%d: %q, want %s", i, got, prefix)
		}
	}
	c.must("NOOP")
	if taken := h.server.ahead.bytes.Load(); taken != 0 {
		t.Errorf("%d bytes are held while the session waits", taken)
	}
}
