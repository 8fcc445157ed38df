package sqlstore

import (
	"slices"
	"strings"
	"testing"
	"time"

	"lockstep/internal/mail"
	"lockstep/internal/store"
)

// unnamed asks which of all blobs nobody names.
func (h home) unnamed() []mail.BlobName {
	h.t.Helper()
	names, err := h.Blobs().Unnamed(h.t.Context(), time.Now().Add(time.Hour), mail.BlobName{}, 1000)
	if err != nil {
		h.t.Fatal(err)
	}
	return names
}

// gone lets a message of the inbox leave, and history end behind it.
func (h home) gone(uid mail.UID) {
	h.t.Helper()
	h.update(func(tx store.Tx) error { _, err := tx.Expunge(h.inbox, mail.MakeUIDSet(uid), false); return err })
	if err := h.Prune(h.t.Context(), h.id, time.Now().Add(time.Hour)); err != nil {
		h.t.Fatal(err)
	}
}

// A blob is named by the message that brought it, which its row says, and by those that
// came to it later, which an index says, whoever of them goes first.
func TestABlobIsNamedByEachOfItsMessages(t *testing.T) {
	name := arrival(0).Blob.Name
	for _, order := range [][]mail.UID{{1, 2, 3}, {3, 2, 1}, {2, 1, 3}} {
		h := newHome(t, Options{})
		for range 3 {
			h.fill(1) // the same letter
		}
		for i, uid := range order {
			if got := h.unnamed(); len(got) != 0 {
				t.Errorf("%v: after %d went nobody names %v", order, i, got)
			}
			if wrong, err := h.Check(t.Context(), h.id, false); err != nil || len(wrong) > 0 {
				t.Errorf("%v: %v %v", order, wrong, err)
			}
			h.gone(uid)
		}
		if got := h.unnamed(); !slices.Equal(got, []mail.BlobName{name}) {
			t.Errorf("%v: when all went nobody names %v", order, got)
		}
	}
}

// A row of a blob that was lost and comes back says nobody, and is not taken for one
// that nobody names: neither before nor after the check that finds out whose it is.
func TestABlobThatWasLostStaysNamed(t *testing.T) {
	h := newHome(t, Options{})
	h.fill(2)
	b := arrival(1).Blob
	h.run("DELETE FROM blob WHERE name = ?1", b.Name)
	stray := arrival(7).Blob
	if err := h.Blobs().Restore(t.Context(), []mail.Blob{b, stray}); err != nil {
		t.Fatal(err)
	}
	for _, repaired := range []bool{false, true} {
		if got := h.unnamed(); !slices.Equal(got, []mail.BlobName{stray.Name}) {
			t.Errorf("repaired %v: nobody names %v", repaired, got)
		}
		wrong, err := h.Check(t.Context(), h.id, true)
		if expected := !repaired; err != nil || (len(wrong) == 1) != expected {
			t.Errorf("repaired %v: %v %v", repaired, wrong, err)
		}
	}
	found := false
	if err := h.ask(t.Context(), func(c conn) (err error) { found, err = one(c, selectNamed, func(row) {}, b.Name); return err }); err != nil || !found {
		t.Errorf("by the index: %v, %v", found, err)
	}
}

// Check finds messages that can't be found by their blob, or placements that can't be
// by their message, and puts both right.
func TestCheckFindsWhatCannotBeFound(t *testing.T) {
	for what, spoil := range map[string]string{
		"a message that its blob does not find":      "UPDATE blob SET namer_key = 0 WHERE name = ?1",
		"a placement that its message does not find": "UPDATE message SET home_uid = 77 WHERE content_id = (SELECT content_id FROM content WHERE blob = ?1)",
	} {
		h := newHome(t, Options{})
		h.fill(2)
		h.run(spoil, arrival(1).Blob.Name)
		wrong, err := h.Check(t.Context(), h.id, true)
		if err != nil || len(wrong) != 1 || !strings.HasPrefix(wrong[0], what+": ") {
			t.Errorf("%s: %v %v", what, wrong, err)
		}
		if wrong, err = h.Check(t.Context(), h.id, false); err != nil || len(wrong) > 0 {
			t.Errorf("%s: afterwards %v %v", what, wrong, err)
		}
		if got := h.unnamed(); len(got) > 0 {
			t.Errorf("%s: nobody names %v", what, got)
		}
		h.view(func(r store.Reader) error {
			var keys []mail.MessageKey
			err := r.Placements(store.PlacementQuery{Mailbox: h.inbox}, func(p *mail.Placement) error { keys = append(keys, p.Message); return nil })
			for _, key := range keys {
				if ps, err := r.PlacementsOf(key); err != nil || len(ps) != 1 {
					t.Errorf("%s: %d lies in %v, %v", what, key, ps, err)
				}
			}
			return err
		})
	}
}

// What came in once and stayed enters neither of the two indexes: a delivery writes
// no page of them.
func TestWhatStaysWhereItCameInIsNotIndexed(t *testing.T) {
	h := newHome(t, Options{})
	h.fill(20)
	count := func(sql string) (n int64) {
		if err := h.ask(t.Context(), func(c conn) error { _, err := one(c, sql, func(r row) { n = r.num(0) }); return err }); err != nil {
			t.Fatal(err)
		}
		return n
	}
	placed, named := "SELECT count(*) FROM placement WHERE elsewhere = 1", "SELECT count(*) FROM content WHERE again = 1"
	if a, b := count(placed), count(named); a != 0 || b != 0 {
		t.Errorf("%d placements and %d contents are indexed", a, b)
	}
	h.fill(1)
	h.update(func(tx store.Tx) error { _, err := tx.Copy(h.inbox, mail.MakeUIDSet(2, 3), h.inbox); return err })
	if a, b := count(placed), count(named); a != 2 || b != 1 {
		t.Errorf("after a letter that came again, and two copies, %d placements and %d contents are indexed", a, b)
	}
}
