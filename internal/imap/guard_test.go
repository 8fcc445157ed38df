package imap

import (
	"strings"
	"testing"

	"lockstep/internal/delivery/deliverytest"
	"lockstep/internal/mail"
	"lockstep/internal/store"
)

// A guard that holds floods back refuses the command, whatever it is; one that keeps
// them lets it.
func TestTheGuardRefusesInIMAPsWords(t *testing.T) {
	h := newHouse(t, nil)
	deliverytest.OnlyModel(t, h.store).Guard = mail.GuardRule{Minimum: 2}
	for range 4 {
		h.put("INBOX", "Subject: x\r\n\r\nx\r\n", mail.StoredFlags(mail.Deleted, ""), 0, 0)
	}
	choose := func(mode string) {
		_, err := h.store.Update(t.Context(), h.user.Account, mail.NewOrigin("test", 0, mail.Local, mail.ByAdmin), func(tx store.Tx) error {
			return tx.SetPreference(mail.Guard, mode)
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	choose(mail.GuardHold)
	c := dial(t, h.addr)
	c.line()
	c.must("LOGIN " + testLogin + ` "` + testPassword + `"`)
	c.must("SELECT INBOX")
	for _, command := range []string{"EXPUNGE", "UID EXPUNGE 1:4", "UID MOVE 1:3 Trash", "CLOSE"} {
		lines := c.run(command)
		if last := lines[len(lines)-1]; !strings.Contains(last, "NO [LIMIT] too many messages of INBOX") || len(lines) > 1 {
			t.Errorf("%s: %q", command, lines)
		}
	}
	c.must("UID MOVE 1:2 Archive")
	choose(mail.GuardKeep)
	c.must("UID EXPUNGE 3")
	if lines := c.must("STATUS INBOX (MESSAGES)"); lines[0] != "* STATUS INBOX (MESSAGES 1)" {
		t.Errorf("%q", lines)
	}
}
