package index

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"

	"lockstep/internal/mail"
	"lockstep/internal/store"
)

func entriesOf(uids ...mail.UID) []Entry {
	out := make([]Entry, len(uids))
	for i, u := range uids {
		out[i].UID = u
	}
	return out
}

func textOf(u mail.UID) []byte { return fmt.Appendf(nil, "text of %d", u) }

// box opens the mailbox of the scene.
func (s *scene) box() (*Box, *Version) {
	s.t.Helper()
	b := s.cache.Open(s.account, s.inbox)
	s.t.Cleanup(b.Close)
	v, err := b.At(context.Background(), 0)
	if err != nil {
		s.t.Fatal(err)
	}
	return b, v
}

func TestTextsKeepWhatTheyAreGiven(t *testing.T) {
	s := newScene(t, 0)
	b, v := s.box()
	texts := b.Texts(v, "ENVELOPE")
	rng := rand.New(rand.NewPCG(1, 2))
	known := map[mail.UID]bool{}
	for range 300 {
		var uids []mail.UID
		for u := mail.UID(1 + rng.IntN(50)); u < 1000; u += mail.UID(1 + rng.IntN(200)) {
			uids = append(uids, u)
		}
		entries := entriesOf(uids...)
		got := make([][]byte, len(entries))
		texts.Look(entries, got)
		for i, u := range uids {
			if known[u] != (got[i] != nil) || known[u] && !bytes.Equal(got[i], textOf(u)) {
				t.Fatalf("uid %d: %q, known %v", u, got[i], known[u])
			}
			if got[i] == nil && rng.IntN(2) == 0 {
				got[i], known[u] = textOf(u), true
			}
		}
		texts.Keep(entries, got)
	}
	if b.Texts(v, "ENVELOPE") != texts || b.Texts(v, "BODY") == texts {
		t.Error("kinds are mixed up")
	}
}

func TestTextsThatAreTooLongAreNotKept(t *testing.T) {
	s := newScene(t, 0)
	b, v := s.box()
	entries := entriesOf(1, 2)
	b.Texts(v, "x").Keep(entries, [][]byte{bytes.Repeat([]byte("a"), MaxText), bytes.Repeat([]byte("b"), MaxText+1)})
	got := make([][]byte, 2)
	b.Texts(v, "x").Look(entries, got)
	if len(got[0]) != MaxText || got[1] != nil {
		t.Errorf("%d and %d bytes", len(got[0]), len(got[1]))
	}
}

// What is kept never takes more than its share of the budget, and who was asked
// for last stays.
func TestTextsStayWithinTheirShare(t *testing.T) {
	const budget = 1 << 20
	s := newScene(t, budget)
	b, v := s.box()
	long := bytes.Repeat([]byte("a"), MaxText)
	for k := range 50 {
		texts := b.Texts(v, fmt.Sprint("kind", k))
		for u := range mail.UID(10) {
			texts.Keep(entriesOf(u+1), [][]byte{long})
		}
		if s.cache.texts.total > budget/textShare {
			t.Fatalf("%d bytes", s.cache.texts.total)
		}
	}
	got := make([][]byte, 2)
	b.Texts(v, "kind49").Look(entriesOf(10), got[:1])
	b.Texts(v, "kind0").Look(entriesOf(10), got[1:])
	if got[0] == nil || got[1] != nil {
		t.Error("the wrong ones were forgotten")
	}
	all := b.Texts(v, "all")
	for u := range mail.UID(1000) {
		all.Keep(entriesOf(u+1), [][]byte{long})
	}
	if all.size > budget/textShare/2 || all.dropped {
		t.Errorf("one mailbox takes %d bytes, dropped %v", all.size, all.dropped)
	}
	for k := range 5000 { // kinds are the clients' to choose
		b.Texts(v, strings.Repeat("k", k%7)+fmt.Sprint(k))
	}
	if n := len(s.cache.texts.byKey); s.cache.texts.total > budget/textShare || n > budget/textShare/perTexts || n != s.cache.texts.order.Len() {
		t.Errorf("%d kinds, %d bytes", n, s.cache.texts.total)
	}
}

func TestTextsFromBeforeAreForgotten(t *testing.T) {
	s := newScene(t, 0)
	s.add(1)
	b, v := s.box()
	b.Texts(v, "x").Keep(entriesOf(1), [][]byte{textOf(1)})
	if err := s.st.Reparsed(context.Background(), s.account, []store.Derived{{Message: 1}}); err != nil {
		t.Fatal(err)
	}
	now, err := b.Newest(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	got := make([][]byte, 1)
	if b.Texts(now, "x").Look(entriesOf(1), got); got[0] != nil {
		t.Errorf("%q is still known", got[0])
	}
	if again, err := b.At(context.Background(), 0); err != nil || again.Reparsed != now.Reparsed {
		t.Errorf("the next session gets the Version of before: %v", err)
	}
}

func TestTextsAreSharedSafely(t *testing.T) {
	s := newScene(t, 256<<10)
	b, v := s.box()
	var all sync.WaitGroup
	for w := range 8 {
		all.Go(func() {
			rng := rand.New(rand.NewPCG(uint64(w), 3))
			for range 300 {
				texts := b.Texts(v, fmt.Sprint("kind", rng.IntN(4)))
				first := mail.UID(1 + rng.IntN(500))
				entries := entriesOf(first, first+1, first+70)
				got := make([][]byte, len(entries))
				texts.Look(entries, got)
				for i, e := range entries {
					if got[i] != nil && !bytes.Equal(got[i], textOf(e.UID)) {
						t.Errorf("uid %d: %q", e.UID, got[i])
					}
					got[i] = textOf(e.UID)
				}
				texts.Keep(entries, got)
			}
		})
	}
	all.Wait()
}
