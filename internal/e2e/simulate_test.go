package e2e

import (
	"strings"
	"testing"
	"time"
)

// Devices of every protocol work at once against a server that is killed, and all
// hold the same in the end.
func TestSimulatedDevicesAgree(t *testing.T) {
	out, err := runFor(4*time.Minute, "", "simulate", "--devices", "24", "--minutes", "0.3")
	if err != nil || !strings.Contains(out, "Every device holds the same.") {
		t.Errorf("%v\n%s", err, out)
	}
	if strings.Contains(out, ": 0 acts") || strings.Contains(out, " 0 letters") {
		t.Errorf("nothing was done: %s", out)
	}
}
