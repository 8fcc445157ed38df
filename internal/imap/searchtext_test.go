package imap

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"lockstep/internal/mail"
	"lockstep/internal/search"
	"lockstep/internal/search/searchtest"
	"lockstep/internal/steady"
	"lockstep/internal/store"
)

// newIndex makes an index of the texts that a server has.
func newIndex(t testing.TB, srv *Server) *search.Index {
	t.Helper()
	x, err := search.New(t.TempDir(), search.Options{Store: srv.Store, Directory: srv.Store.(store.Directory), Secret: []byte("secret"),
		Blobs: func(ctx context.Context, b mail.Blob) (search.Bytes, error) { return srv.Blobs.Open(ctx, b) }})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { x.Close() })
	return x
}

const indexGiven = "given an index"

// indexIfGiven gives the server of a scene an index if it asks for one.
func indexIfGiven(t testing.TB, lines []string) func(*Server) {
	if !slices.Contains(lines, indexGiven) {
		return nil
	}
	return func(s *Server) { s.Search = newIndex(t, s) }
}

// dialWith signs in to a server of the same mail that has an index.
func (h *house) dialWith(x *search.Index) *testClient {
	h.t.Helper()
	srv := &Server{Store: h.store, Auth: h.auth, Blobs: h.blobs, Ingest: h.blobs.ingest, Hub: h.server.Hub, AllowPlainAuth: h.server.AllowPlainAuth, Search: x}
	c := dial(h.t, h.listen(srv.Serve)).ready().login()
	c.must("SELECT INBOX")
	return c
}

// randomKey is a search key, some of it about text.
func randomKey(r searchtest.Maker, depth int) string {
	literal := func(s string) string { return fmt.Sprintf("{%d+}\r\n%s", len(s), s) }
	switch n := r.IntN(14); {
	case n < 2 && depth < 3:
		return "OR " + randomKey(r, depth+1) + " " + randomKey(r, depth+1)
	case n == 2 && depth < 3:
		return "NOT " + randomKey(r, depth+1)
	case n == 3 && depth < 3:
		return "(" + randomKey(r, depth+1) + " " + randomKey(r, depth+1) + ")"
	case n == 4:
		return []string{"SEEN", "UNSEEN", "1:20", "LARGER 400", "SENTSINCE 1-Jan-2026"}[r.IntN(5)]
	case n == 5:
		return "HEADER " + []string{"Subject", "x-other", "CONTENT-TYPE", "From", "X-None"}[r.IntN(5)] + " " + literal([]string{"", r.Needle()}[r.IntN(2)])
	case n < 9:
		return []string{"SUBJECT", "FROM", "TO", "CC", "BCC"}[r.IntN(5)] + " " + literal(r.Needle())
	}
	return []string{"TEXT", "BODY"}[r.IntN(2)] + " " + literal(r.Needle())
}

// What a search with an index finds is what it finds without one, whether the index
// has seen the mail or not.
func TestAnIndexChangesNoResult(t *testing.T) {
	for seed := range uint64(3) {
		r := searchtest.Maker{Rand: rand.New(rand.NewPCG(seed, 11))}
		h := newHouse(t, nil)
		put := func(n int) {
			for range n {
				h.put("INBOX", r.Letter(), []mail.Flags{{}, {System: mail.Seen}}[r.IntN(2)], 0, 0)
			}
		}
		put(30)
		x := newIndex(t, h.server)
		if err := x.CatchUp(t.Context(), h.account); err != nil {
			t.Fatal(err)
		}
		put(10) // of which it knows nothing
		reading, asking := dial(t, h.addr).ready().login(), h.dialWith(x)
		reading.must("SELECT INBOX")
		found := 0
		for range 150 {
			key := randomKey(r, 0)
			with, without := searchResult(t, asking, key), searchResult(t, reading, key)
			if with != without {
				t.Fatalf("seed %d: SEARCH %q\n with an index %s\nwithout        %s", seed, key, with, without)
			}
			if without != "* SEARCH" {
				found++
			}
		}
		if found < 20 {
			t.Errorf("seed %d: only %d searches found something", seed, found)
		}
		if s := x.Stats(); s.Decided < 1000 {
			t.Errorf("seed %d: the index decided only %d times", seed, s.Decided)
		}
	}
}

// searchResult is what SEARCH answers. The literals of key may hold line ends.
func searchResult(t *testing.T, c *testClient, key string) string {
	t.Helper()
	c.n++
	c.tag = fmt.Sprintf("t%d", c.n)
	c.left, c.within = 0, false
	if _, err := c.conn.Write([]byte(c.tag + " SEARCH CHARSET UTF-8 " + key + "\r\n")); err != nil {
		t.Fatal(err)
	}
	lines := c.answer()
	if last := lines[len(lines)-1]; !strings.HasPrefix(last, c.tag+" OK") {
		t.Fatalf("SEARCH %q: %s", key, last)
	}
	return lines[0]
}

func TestACommonWordReadsNoMail(t *testing.T) {
	h := newHouse(t, nil)
	h.fill(1000)
	x := newIndex(t, h.server)
	if err := x.CatchUp(t.Context(), h.account); err != nil {
		t.Fatal(err)
	}
	c := h.dialWith(x)
	h.blobs.mu.Lock()
	clear(h.blobs.m)
	h.blobs.mu.Unlock()
	for key, want := range map[string]string{
		"TEXT hello": "* ESEARCH (TAG \"%s\") COUNT 1000", "BODY hell": "* ESEARCH (TAG \"%s\") COUNT 1000", "BODY ell": "* ESEARCH (TAG \"%s\") COUNT 1000",
		"HEADER subject USUAL": "* ESEARCH (TAG \"%s\") COUNT 1000", "HEADER To usual": "* ESEARCH (TAG \"%s\") COUNT 0", "HEADER mime-version \"\"": "* ESEARCH (TAG \"%s\") COUNT 1000",
		"TEXT nowhere": "* ESEARCH (TAG \"%s\") COUNT 0", "FROM bob42@": "* ESEARCH (TAG \"%s\") COUNT 10", "NOT SUBJECT usual": "* ESEARCH (TAG \"%s\") COUNT 0",
	} {
		if got := c.must("SEARCH RETURN (COUNT) " + key); got[0] != fmt.Sprintf(want, c.tag) {
			t.Errorf("%s: %s", key, got[0])
		}
	}
}

func TestWithoutTakesSetsApart(t *testing.T) {
	r := rand.New(rand.NewPCG(steady.Seed(t), 1))
	for range 500 {
		var a, b, want mail.UIDSet
		in := map[mail.UID]bool{}
		for range r.IntN(12) {
			a.Add(mail.UID(1 + r.IntN(30)))
		}
		for range r.IntN(12) {
			uid := mail.UID(1 + r.IntN(30))
			b.Add(uid)
			in[uid] = true
		}
		for uid := range a.All() {
			if !in[uid] {
				want.Add(uid)
			}
		}
		if got := without(a, b); got.String() != want.String() {
			t.Fatalf("%v without %v is %v, want %v", a, b, got, want)
		}
	}
}

func TestFuzzySearchIsAnnouncedWithAnIndex(t *testing.T) {
	h := newHouse(t, nil)
	with, without := h.dialWith(newIndex(t, h.server)), dial(t, h.addr).ready().login()
	if got := with.must("CAPABILITY")[0]; !strings.Contains(got, " SEARCH=FUZZY") {
		t.Error(got)
	}
	if got := without.must("CAPABILITY")[0]; strings.Contains(got, "FUZZY") {
		t.Error(got)
	}
}
