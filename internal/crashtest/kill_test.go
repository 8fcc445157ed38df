package crashtest

import (
	"bufio"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"lockstep/internal/steady"
)

// TestKilledAgainAndAgain kills a driver at moments that chance chooses, and
// starts another on the same directory, dozens of times. What was acknowledged is
// there each time, also what others before it had acknowledged.
func TestKilledAgainAndAgain(t *testing.T) {
	dir, l := t.TempDir(), newLedger()
	makePrivate(t, dir)
	seed := steady.Seed(t)
	rng := rand.New(rand.NewPCG(seed, 5))
	until := time.Now().Add(soak(t))
	n := 0
	for ; n < 30 || time.Now().Before(until); n++ {
		killed(t, plan{Dir: dir, Seed: rng.Uint64(), Rounds: 1 << 20, Steps: 6, Clock: l.clock + int64(rng.IntN(4000))}, l, rng)
		if err := checkCopy(t, dir, l); err != nil {
			t.Fatalf("after %d kills: %v", n+1, err)
		}
	}
	heads := 0
	for _, s := range l.accounts {
		heads += int(s.head)
	}
	t.Logf("killed %d times; %d changes were acknowledged", n, heads)
}

// killed runs a driver, kills it after some lines or some time, and hears all
// that it said whole.
func killed(t *testing.T, p plan, l *ledger, rng *rand.Rand) {
	t.Helper()
	cmd := exec.Command(os.Args[0], driverArgs...)
	cmd.Env = driverEnv(t, p)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := 1 + rng.IntN(150)
	if rng.IntN(4) == 0 { // perhaps while it opens
		kill := time.AfterFunc(time.Duration(rng.IntN(60))*time.Millisecond, func() { cmd.Process.Kill() })
		defer kill.Stop()
	}
	in := bufio.NewReader(out)
	for n := 0; ; n++ {
		if n == lines {
			cmd.Process.Kill()
		}
		line, err := in.ReadString('\n')
		if err == io.EOF {
			break // what is left in line was cut off
		}
		if err != nil {
			t.Fatal(err)
		}
		l.hear(strings.TrimSuffix(line, "\n"))
	}
	if err := cmd.Wait(); err == nil {
		t.Fatal("the driver ended by itself")
	}
	for _, f := range l.failures {
		t.Fatalf("the driver: %s", f)
	}
}
