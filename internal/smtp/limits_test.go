package smtp

import (
	"testing"
)

func TestDefaults(t *testing.T) {
	for _, r := range []Role{LMTP, Receiving, Submission} {
		if got := (Limits{}).withDefaults(r); got != DefaultLimits(r) {
			t.Errorf("%s: %+v", r, got)
		}
		if got := (Limits{Errors: 7}).withDefaults(r); got.Errors != 7 || got.MessageBytes != DefaultLimits(r).MessageBytes {
			t.Errorf("%s: %+v", r, got)
		}
	}
}
