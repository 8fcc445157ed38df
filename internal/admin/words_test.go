package admin

import (
	"testing"

	"lockstep/internal/mail"
)

func TestObjectsAreToldInWords(t *testing.T) {
	for _, c := range []struct {
		e    mail.Entry
		want string
	}{
		{mail.Entry{Type: mail.TypeIdentity, New: []byte("{}")}, "made an identity"},
		{mail.Entry{Type: mail.TypeIdentity, Old: []byte("{}"), New: []byte("{}")}, "changed an identity"},
		{mail.Entry{Type: mail.TypeSubmission, New: []byte("{}")}, "sent a message"},
		{mail.Entry{Type: mail.TypeSubmission, Old: []byte("{}")}, "forgot a sent message"},
	} {
		c.e.Op = mail.OpObject
		if got := objectWords(c.e); got != c.want {
			t.Errorf("%+v: %s, want %s", c.e, got, c.want)
		}
	}
}

func TestARestoreIsToldInWords(t *testing.T) {
	n := names{mailboxes: map[mail.MailboxID]string{1: "INBOX"}}
	for want, rec := range map[string]mail.Record{
		"made it as it was: brought 2 messages back to INBOX": {Cause: mail.ByRestore, Entries: []mail.Entry{{Op: mail.OpRestore, Mailbox: 1, UIDs: mail.MakeUIDSet(1, 2)}}},
		"undid act 7: removed 1 message from INBOX":           {Cause: mail.ByUndo, Undoes: 7, Entries: []mail.Entry{{Op: mail.OpExpunge, Mailbox: 1, UIDs: mail.MakeUIDSet(1)}}},
	} {
		if got := n.what(rec); got != want {
			t.Errorf("%+v is %q, want %q", rec, got, want)
		}
	}
}
