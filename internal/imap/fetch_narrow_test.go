package imap

import (
	"bytes"
	"context"
	"testing"

	"lockstep/internal/imap/wire"
	"lockstep/internal/mail"
	"lockstep/internal/store"
)

// What the index knows is said without allocating, and as other items are said.
func TestLinesFromTheIndexAreAsAllOthers(t *testing.T) {
	h := newHouse(t, nil)
	h.fill(40)
	c := dial(t, h.addr).ready().login()
	c.must("SELECT INBOX")
	c.must(`STORE 1:20 +FLAGS (\Seen)`)
	c.must(`STORE 11:30 +FLAGS (\Flagged)`)
	c.must(`STORE 5,15,25,35 +FLAGS (work $Forwarded)`)
	var inbox mail.MailboxID
	err := h.store.View(t.Context(), h.account, func(r store.Reader) error {
		mb, err := r.MailboxByPath("INBOX")
		inbox = mb.ID
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	box := h.server.cache.Open(h.account, inbox)
	defer box.Close()
	view, err := box.Newest(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	var recent mail.UIDSet
	recent.AddRange(3, 17)
	kinds := []wire.FetchKind{wire.FetchUID, wire.FetchFlags, wire.FetchModSeq}
	for n := range 1 << 6 {
		s := &session{srv: h.server, rev2: n&8 > 0, uidOnly: n&16 > 0, sel: &selection{view: view}}
		if n&32 > 0 {
			s.sel.recent = recent
		}
		plan := &fetchPlan{}
		for i := range kinds {
			if k := kinds[(i+n)%len(kinds)]; n>>i&1 > 0 {
				plan.items = append(plan.items, wire.FetchItem{Kind: k})
			}
		}
		f := &fetcher{session: s, sel: s.sel, plan: plan, view: view}
		var want bytes.Buffer
		enc := wire.NewEncoder(&want)
		var got []byte
		line := f.narrow()
		for seq, e := range view.All() {
			out := f.beginFetch(enc, seq, e.UID)
			for i := range plan.items {
				f.sayNarrow(out, &plan.items[i], e)
			}
			out.Close().End()
			got = append(line.append(got, seq, e), "\r\n"...)
		}
		if err := enc.Flush(); err != nil || !bytes.Equal(got, want.Bytes()) {
			t.Fatalf("%v: %q\nwant %q, %v", plan.items, got, want.Bytes(), err)
		}
		each := testing.AllocsPerRun(10, func() {
			for seq, e := range view.All() {
				got = line.append(got[:0], seq, e)
			}
		})
		if each > 0 {
			t.Errorf("%v: %v allocations for %d lines", plan.items, each, view.Len())
		}
	}
}
