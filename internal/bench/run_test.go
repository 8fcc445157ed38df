package bench

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

// What needs few accounts runs against our own server, a little of each.
func TestWorkloadsRun(t *testing.T) {
	if testing.Short() {
		t.Skip("builds and starts the server")
	}
	if _, err := os.Stat("/proc/self/smaps_rollup"); err != nil {
		t.Skip("needs Linux")
	}
	binary := filepath.Join(t.TempDir(), "lockstep")
	if out, err := exec.Command("go", "build", "-o", binary, "lockstep/cmd/lockstep").CombinedOutput(); err != nil {
		t.Fatalf("the server cannot be built: %v: %s", err, out)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	b, err := newBench(Options{Progress: t.Output(), Binary: binary, Dir: t.TempDir(), Only: []string{"lmtp-1", "append-1", "push", "open-warm", "qresync",
		"envelope", "headers", "bodies", "bodies-piped", "envelope-first", "open-cold", "open-huge", "slow-fetch", "import"}})
	if err != nil {
		t.Fatal(err)
	}
	b.sizes = sizes{single: 5, big: 2000, huge: 1000, mid: 50, bodies: 20, pushes: 10, importMB: 1, slowSeconds: 1, rounds: 1, coldRounds: 1}
	report, err := b.run(ctx)
	if err != nil {
		t.Fatal(err)
	}
	for _, row := range report.Rows {
		if len(row.Errors) > 0 || len(row.Lockstep) != 1 {
			t.Errorf("%s %s: %v %v", row.Workload, row.Figure, row.Lockstep, row.Errors)
		}
	}
}
