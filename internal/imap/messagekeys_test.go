package imap

import (
	"context"
	"slices"
	"strings"
	"testing"

	"lockstep/internal/mail"
	"lockstep/internal/store"
)

// rowsRead counts the placements that are read of a store.
type rowsRead struct {
	store.Store
	n int
}

type rowsReader struct {
	store.Reader
	s *rowsRead
}

func (s *rowsRead) View(ctx context.Context, id mail.AccountID, fn func(store.Reader) error) error {
	return s.Store.View(ctx, id, func(r store.Reader) error { return fn(rowsReader{r, s}) })
}

func (r rowsReader) Placements(q store.PlacementQuery, fn func(*mail.Placement) error) error {
	return r.Reader.Placements(q, func(p *mail.Placement) error { r.s.n++; return fn(p) })
}

// What is asked of an index of texts a second time reads no rows but those that came
// since, and none of what has gone.
func TestASecondSearchReadsNoRows(t *testing.T) {
	h := newHouse(t, nil)
	for uid := mail.UID(1); uid <= 50; uid++ {
		h.put("INBOX", "Subject: x\r\n\r\nthe letter\r\n", mail.Flags{}, uid, 0)
	}
	x := newIndex(t, h.server)
	counted := &rowsRead{Store: h.store}
	srv := &Server{Store: counted, Auth: h.auth, Blobs: h.blobs, Ingest: h.blobs.ingest, Hub: h.server.Hub, AllowPlainAuth: h.server.AllowPlainAuth, Search: x}
	c := dial(t, h.listen(srv.Serve)).ready().login()
	c.must("SELECT INBOX")
	if err := x.CatchUp(t.Context(), h.account); err != nil {
		t.Fatal(err)
	}
	search := func(found, rows int) {
		t.Helper()
		counted.n = 0
		lines := c.must("SEARCH TEXT letter")
		i := slices.IndexFunc(lines, func(l string) bool { return strings.HasPrefix(l, "* SEARCH") })
		if got := len(strings.Fields(lines[i])) - 2; got != found || counted.n != rows {
			t.Errorf("%d found, %d rows read, want %d and %d", got, counted.n, found, rows)
		}
	}
	search(50, 50)
	search(50, 0)
	h.put("INBOX", "Subject: x\r\n\r\nanother letter\r\n", mail.Flags{}, 51, 0)
	if err := x.CatchUp(t.Context(), h.account); err != nil {
		t.Fatal(err)
	}
	c.must("NOOP")
	search(51, 1)
	c.must(`STORE 3:5 +FLAGS.SILENT (\Deleted)`)
	c.must("EXPUNGE")
	search(48, 0)
}
