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
