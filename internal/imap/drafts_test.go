package imap

import (
	"context"
	"fmt"
	"testing"

	"lockstep/internal/mail"
	"lockstep/internal/store"
)

// drafts returns what lies in Drafts.
func (h *house) drafts() (all []mail.Placement) {
	h.t.Helper()
	err := h.store.View(context.Background(), h.account, func(r store.Reader) error {
		mb, err := r.MailboxByPath("Drafts")
		if err != nil {
			return err
		}
		return r.Placements(store.PlacementQuery{Mailbox: mb.ID}, func(p *mail.Placement) error {
			all = append(all, *p)
			return nil
		})
	})
	if err != nil {
		h.t.Fatal(err)
	}
	return all
}

// save appends a version of a draft.
func (c *testClient) save(id, text string) {
	c.t.Helper()
	body := fmt.Sprintf("Message-ID: <%s@example.test>\r\n\r\n%s\r\n", id, text)
	c.must(fmt.Sprintf("APPEND Drafts (\\Draft) {%d+}\r\n%s", len(body), body))
}

func (h *house) breakOff(c *testClient) {
	c.conn.Close()
	h.waitForSessions(0)
}

// Whatever a saving goes through, the draft stays the same item.
func TestADraftKeepsItsLine(t *testing.T) {
	h := newHouse(t, nil)
	c := dial(t, h.addr).ready().login()
	c.must("SELECT Drafts")
	c.save("d", "one")
	line := h.drafts()[0].Lineage
	only := func(when string, uid mail.UID) {
		t.Helper()
		if all := h.drafts(); len(all) != 1 || all[0].UID != uid || all[0].Lineage != line {
			t.Fatalf("%s: %+v, want UID %d of line %d", when, all, uid, line)
		}
	}
	c.save("d", "two")
	c.must(`UID STORE 1 +FLAGS (\Deleted)`)
	c.must("UID EXPUNGE 1")
	only("saved", 2)
	c.save("d", "three")
	h.breakOff(c)
	c = dial(t, h.addr).ready().login()
	c.save("d", "four")
	only("saved after the connection broke", 4)
	c.must("SELECT Drafts")
	c.save("d", "five") // the client, which never heard of UID 4, removes 2 and 3
	c.must(`UID STORE 2:3 +FLAGS (\Deleted)`)
	body := "Message-ID: <d@example.test>\r\n\r\nsix\r\n"
	c.must(fmt.Sprintf("UID REPLACE 5 Drafts (\\Draft) {%d+}\r\n%s", len(body), body))
	c.must(`UID STORE 4 +FLAGS (\Deleted)`)
	c.must("EXPUNGE")
	only("replaced", 6)
	c.save("e", "another")
	if all := h.drafts(); len(all) != 2 || all[1].Lineage == line {
		t.Errorf("another draft: %+v", all)
	}
}

func TestASessionKnowsTheLastDraftsItSaved(t *testing.T) {
	h := newHouse(t, nil)
	c := dial(t, h.addr).ready().login()
	for i := range maxDrafts + 1 {
		c.save(fmt.Sprint(i), "one")
		c.save(fmt.Sprint(i), "two")
	}
	h.breakOff(c)
	c = dial(t, h.addr).ready().login()
	for i := range maxDrafts + 1 {
		c.save(fmt.Sprint(i), "three")
	}
	if n := len(h.drafts()); n != 3+maxDrafts {
		t.Errorf("%d drafts, want 3 of the first and one of each other", n)
	}
}
