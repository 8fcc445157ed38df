package eas

import (
	"context"
	"errors"
	"testing"

	"lockstep/internal/mail"
)

func TestEveryKindHasAStatus(t *testing.T) {
	for _, k := range mail.Kinds() {
		if s := faultOf(mail.Errorf(k, "detail")).status; s == 0 || httpOf[s] == 0 {
			t.Errorf("%v: status %d, HTTP %d", k, s, httpOf[s])
		}
	}
}

// What a device did wrong is nothing for an operator to look into.
func TestWhoseFaultItIs(t *testing.T) {
	for _, c := range []struct {
		err  error
		ours bool
	}{
		{fail(statusContent, "nonsense"), false},
		{mail.Errorf(mail.NotFound, "no such message"), false},
		{mail.Errorf(mail.OverQuota, "full"), false},
		{mail.Errorf(mail.Corrupt, "damaged"), true},
		{errors.New("the disk is gone"), true},
		{context.DeadlineExceeded, true},
	} {
		if got := faultOf(c.err).isOurs(); got != c.ours {
			t.Errorf("%v: %v", c.err, got)
		}
	}
}
