package freeport

import (
	"bufio"
	"net"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
)

const otherVariable = "LOCKSTEP_TEST_FREEPORT"

// TestOther is the process that has ports while the others ask.
func TestOther(t *testing.T) {
	text := os.Getenv(otherVariable)
	if text == "" {
		t.Skip("runs within another test")
	}
	port, err := strconv.Atoi(text)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := TakeAll(port); !got || err != nil {
		t.Fatal(got, err)
	}
	os.Stdout.WriteString("taken\n")
	_, _ = bufio.NewReader(os.Stdin).ReadString('\n')
}

func TestNoPortIsGivenTwice(t *testing.T) {
	seen := map[int]bool{}
	for range 50 {
		ports, err := Take(4)
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range ports {
			if seen[p] || p < first || p >= first+count {
				t.Errorf("port %d", p)
			}
			seen[p] = true
		}
	}
}

func TestAPortIsAnotherProcessesUntilThatEnds(t *testing.T) {
	ports, err := Take(1)
	if err != nil {
		t.Fatal(err)
	}
	port := ports[0]
	mine.giveBack(port)
	other := exec.Command(os.Args[0], "-test.run=^TestOther$")
	other.Env = append(os.Environ(), otherVariable+"="+strconv.Itoa(port))
	in, err := other.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := other.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := other.Start(); err != nil {
		t.Fatal(err)
	}
	if line, err := bufio.NewReader(out).ReadString('\n'); strings.TrimSpace(line) != "taken" {
		t.Fatalf("%q, %v", line, err)
	}
	if got, err := TakeAll(port-1, port); got || err != nil {
		t.Errorf("a port was taken that another process has: %v", err)
	}
	in.Close()
	if err := other.Wait(); err != nil {
		t.Fatal(err)
	}
	if got, err := TakeAll(port); !got || err != nil {
		t.Errorf("the port was not given back: %v", err)
	}
}

func TestAPortThatIsListenedOnIsNotFree(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if got, err := TakeAll(l.Addr().(*net.TCPAddr).Port); got || err != nil {
		t.Error(got, err)
	}
}
