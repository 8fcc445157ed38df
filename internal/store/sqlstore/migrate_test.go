package sqlstore

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"testing"

	"lockstep/internal/mail"
	"lockstep/internal/store"
)

// backToSecond makes the schema what it was before the third migration.
const backToSecond = `
CREATE TABLE thread_mailbox (account_id INTEGER NOT NULL, thread_id INTEGER NOT NULL, mailbox_id INTEGER NOT NULL, emails INTEGER NOT NULL,
  PRIMARY KEY (account_id, thread_id, mailbox_id)) STRICT, WITHOUT ROWID;
INSERT INTO thread_mailbox SELECT t.account_id, t.thread_id, CAST(j.key AS INTEGER), j.value FROM thread t, json_each(t.places) j;
DROP INDEX message_late;
DROP INDEX message_changed;
DROP INDEX message_thread;
DROP INDEX message_named;
DROP INDEX thread_late;
DROP INDEX thread_changed;
DROP INDEX placement_changed;
ALTER TABLE message DROP COLUMN born;
ALTER TABLE message DROP COLUMN named;
ALTER TABLE thread DROP COLUMN born;
ALTER TABLE thread DROP COLUMN places;
UPDATE memory SET image = CAST('{"ID":8,"Mailbox":1,"Message":7,"UID":1,"Lineage":8,"System":1,"Keywords":"a b","SaveDate":5,"Created":2,"ModSeq":3,"ChangedBy":0,"Size":9}' AS BLOB);
CREATE INDEX message_created ON message (account_id, created, message_key) WHERE visible = 1;
CREATE INDEX message_modseq ON message (account_id, modseq, message_key) WHERE visible = 1;
CREATE INDEX message_thread ON message (account_id, thread_id);
CREATE INDEX message_email ON message (account_id, email_id);
CREATE INDEX thread_created ON thread (account_id, created, thread_id) WHERE emails > 0;
CREATE INDEX thread_modseq ON thread (account_id, modseq, thread_id) WHERE emails > 0;
CREATE INDEX placement_modseq ON placement (account_id, mailbox_id, modseq, uid);`

// What a delta says does not change with the schema: messages that were hidden at
// first, that left and came back, whose flags changed, in conversations.
func TestTheThirdMigrationKeepsDeltas(t *testing.T) {
	h := newHome(t, Options{})
	deleted, _ := mail.NewFlags(`\Deleted`)
	flagged, _ := mail.NewFlags(`\Flagged`)
	h.update(func(tx store.Tx) error {
		a := arrival(1)
		a.Once, a.OnceFor = "once", 1<<50
		_, err := tx.Append(h.inbox, a)
		return err
	})
	var junk mail.Mailbox
	h.view(func(r store.Reader) (err error) { junk, err = r.MailboxByPath("Junk"); return err })
	for i := range 30 {
		h.update(func(tx store.Tx) error {
			a := arrival(10 + i)
			if i%4 == 0 {
				a.Flags = deleted
			}
			if i%3 == 0 {
				a.References = []string{fmt.Sprintf("%d@example.test", 9+i)}
			}
			_, err := tx.Append(h.inbox, a)
			return err
		})
	}
	change := func(uids mail.UIDSet, c mail.FlagChange) {
		h.update(func(tx store.Tx) error { _, err := tx.StoreFlags(h.inbox, uids, c, nil); return err })
	}
	change(mail.MakeUIDSet(3, 7, 8), mail.FlagChange{Add: deleted})
	change(mail.MakeUIDSet(2, 6, 7, 8, 31), mail.FlagChange{Remove: deleted})
	change(mail.MakeUIDSet(5, 9), mail.FlagChange{Add: flagged})
	h.update(func(tx store.Tx) error { _, err := tx.Copy(h.inbox, mail.MakeUIDSet(4, 5, 6), junk.ID); return err })
	h.update(func(tx store.Tx) error { _, err := tx.Expunge(h.inbox, mail.MakeUIDSet(9, 12), false); return err })

	before := h.deltas()
	err := h.write(t.Context(), directoryLane, func(c conn) error {
		if err := c.script(backToSecond); err != nil {
			return err
		}
		return c.script(stepNumber(t, 3).sql)
	}, nil)
	if err != nil {
		t.Fatal(err)
	}
	after := h.deltas()
	for _, name := range slices.Sorted(maps.Keys(before)) {
		if before[name] != after[name] {
			t.Errorf("%s\n was %s\n is  %s", name, before[name], after[name])
		}
	}
	if wrong, err := h.Check(t.Context(), h.id, false); err != nil || len(wrong) > 0 {
		t.Error(wrong, err)
	}
	h.view(func(r store.Reader) error {
		image, err := parsePlacement("8 1 7 1 8 1 5 2 3 0 9 a b")
		if err != nil {
			return err
		}
		var stored []byte
		if _, err := one(r.(*reader).c, selectMemory, func(row row) { stored = row.bytes(3) }, h.id, "once"); err != nil {
			return err
		}
		if got, err := parsePlacement(string(stored)); err != nil || got != image {
			t.Errorf("remembered %+v, %v", got, err)
		}
		return nil
	})
}

// deltas are all there are, in pages of 7, and what threads and email ids lead to.
func (h home) deltas() map[string]string {
	all := map[string]string{}
	h.view(func(r store.Reader) error {
		a, err := r.Account()
		if err != nil {
			return err
		}
		for typ := mail.TypeMailbox; typ <= mail.TypePlacement; typ++ {
			for since := range a.Head + 1 {
				name := fmt.Sprintf("type %d since %d", typ, since)
				for pos, more := a.Epoch.At(since), true; more; {
					page, err := r.Changes(store.ChangeQuery{Type: typ, Mailbox: h.inbox, From: pos, Limit: 7})
					if err != nil {
						return err
					}
					all[name] += fmt.Sprint(page.Changes)
					pos, more = page.Next, page.More
				}
			}
		}
		return r.Messages(store.PlacementQuery{Mailbox: h.inbox}, func(p *mail.Placement, m *mail.Message) error {
			thread, err := r.Thread(m.Thread)
			found, errID := r.MessageByEmailID(m.EmailID)
			all[fmt.Sprint("uid ", p.UID)] = fmt.Sprint(thread, err, found.Key, errID)
			return nil
		})
	})
	return all
}

// A message of ours is found by its email id without an index, one that was given
// to us by the index.
func TestEmailIDsLeadToTheirMessages(t *testing.T) {
	h := newHome(t, Options{})
	given := mail.NewEmailID()
	for i, id := range []mail.EmailID{{}, given} {
		h.update(func(tx store.Tx) error {
			a := arrival(i)
			a.EmailID = id
			_, err := tx.Append(h.inbox, a)
			return err
		})
	}
	err := h.View(context.Background(), h.id, func(r store.Reader) error {
		return r.Messages(store.PlacementQuery{Mailbox: h.inbox}, func(p *mail.Placement, m *mail.Message) error {
			found, err := r.MessageByEmailID(m.EmailID)
			if err != nil || found.Key != m.Key || p.UID == 2 && m.EmailID != given {
				t.Errorf("UID %d: %v, %v", p.UID, found.Key, err)
			}
			other := m.EmailID
			other[0]++
			if _, err := r.MessageByEmailID(other); mail.KindOf(err) != mail.NotFound {
				t.Errorf("UID %d: an id that differs leads there too", p.UID)
			}
			return nil
		})
	})
	if err != nil {
		t.Fatal(err)
	}
}
