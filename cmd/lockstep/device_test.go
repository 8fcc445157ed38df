package main

import (
	"strings"
	"testing"

	"lockstep/internal/admin"
	"lockstep/internal/mail"
)

func TestAWipeSaysWhatWillBecomeOfIt(t *testing.T) {
	for _, c := range []struct {
		version string
		scope   mail.WipeScope
		want    string
	}{
		{"", mail.WipeDevice, "It never spoke ActiveSync"},
		{"16.0", mail.WipeAccount, "Only --full is understood"},
		{"16.0", mail.WipeDevice, "told to erase all it holds"},
		{"16.1", mail.WipeAccount, "told to remove the account"},
	} {
		d := admin.Device{ID: 7, ActiveSync: c.version, Wipe: mail.Wipe{Scope: c.scope, State: mail.WipeRequested}}
		if got := wipeOutlook(d, "a@example.test"); !strings.Contains(got, c.want) {
			t.Errorf("%s, %s: %q", c.version, c.scope, got)
		}
	}
}
