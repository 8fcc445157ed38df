package e2e

import (
	"bytes"
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"io"
	mathrand "math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// mbox writes n messages of about size bytes each; each other one has an
// attachment that does not compress.
func mbox(w io.Writer, seed uint64, n, size int) error {
	rng := mathrand.New(mathrand.NewPCG(seed, 0))
	noise := make([]byte, 1<<20)
	if _, err := rand.Read(noise); err != nil {
		return err
	}
	var b bytes.Buffer
	for i := range n {
		b.Reset()
		fmt.Fprintf(&b, "From friend@elsewhere.example Mon Jan  5 10:00:00 2026\nFrom: friend@elsewhere.example\nTo: %s\nSubject: number %d\nMessage-ID: <%d.%d@elsewhere.example>\nStatus: RO\n", alice, i, i, seed)
		if i%2 == 0 {
			b.WriteString("\n")
			for b.Len() < size {
				fmt.Fprintf(&b, "line %d of a text that says little\n", rng.IntN(100_000))
			}
		} else {
			b.WriteString("MIME-Version: 1.0\nContent-Type: multipart/mixed; boundary=b\n\n--b\nContent-Type: application/octet-stream\nContent-Transfer-Encoding: base64\n\n")
			for b.Len() < size {
				at := rng.IntN(len(noise) - 57)
				b.WriteString(base64.StdEncoding.EncodeToString(noise[at : at+57]))
				b.WriteByte('\n')
			}
			b.WriteString("--b--\n")
		}
		b.WriteString("\n")
		if _, err := w.Write(b.Bytes()); err != nil {
			return err
		}
	}
	return nil
}

// What is exported is imported again byte for byte, in both formats.
func TestExportAndImportAreInverse(t *testing.T) {
	s := newServer(t, "")
	s.start()
	s.addAccount(alice)
	s.addAccount("bob@example.test")
	var source bytes.Buffer
	if err := mbox(&source, 1, 60, 3000); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "in.mbox")
	if err := os.WriteFile(file, source.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	if out := s.lockstep("", "import", alice, file, "--into", "Old/Mail"); !strings.Contains(out, "Imported 60 messages; already there: 0") {
		t.Error(out)
	}
	if out := s.lockstep("", "import", alice, file, "--into", "Old/Mail"); !strings.Contains(out, "Imported 0 messages; already there: 60") {
		t.Error(out)
	}
	dir := t.TempDir()
	first := filepath.Join(dir, "maildir")
	if out := s.lockstep("", "export", alice, first); !strings.Contains(out, "Exported 60 messages") {
		t.Error(out)
	}
	s.lockstep("", "import", "bob@example.test", first)
	for _, login := range []string{alice, "bob@example.test"} {
		s.lockstep("", "export", login, filepath.Join(dir, login), "--format", "mbox", "--mailbox", "Old/Mail")
	}
	a, err1 := os.ReadFile(filepath.Join(dir, alice, "Old/Mail.mbox"))
	b, err2 := os.ReadFile(filepath.Join(dir, "bob@example.test", "Old/Mail.mbox"))
	if err1 != nil || err2 != nil || !bytes.Equal(a, b) || len(a) < 60*3000 {
		i := 0
		for i < min(len(a), len(b)) && a[i] == b[i] {
			i++
		}
		t.Errorf("%v, %v: %d and %d bytes, first difference at %d:\n%.200s\n%.200s", err1, err2, len(a), len(b), i, a[i:], b[i:])
	}
	s.stop()
}

// An import that the server's death cut short is taken up again, and nothing
// comes twice.
func TestImportSurvivesAKill(t *testing.T) {
	s := newServer(t, "")
	s.start()
	s.addAccount(alice)
	const messages = 3000
	file := filepath.Join(t.TempDir(), "in.mbox")
	f, err := os.Create(file)
	if err != nil {
		t.Fatal(err)
	}
	if err := mbox(f, 2, messages, 6000); err != nil {
		t.Fatal(err)
	}
	f.Close()
	// The first import reads from a pipe that stops giving half way, so that the
	// kill always finds it at work.
	pipe := filepath.Join(t.TempDir(), "in.mbox")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	importing := exec.Command(binary, "import", alice, pipe, "--config", s.config)
	if err := importing.Start(); err != nil {
		t.Fatal(err)
	}
	whole, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	w, err := os.OpenFile(pipe, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	if _, err := w.Write(whole[:len(whole)/2]); err != nil {
		t.Fatal(err)
	}
	eventually(func() bool { return s.metric("blob_puts_total", "") > messages/3 })
	s.kill()
	w.Close()
	if err := importing.Wait(); err == nil {
		t.Fatal("the import says that it went well, and the server was killed under it")
	}
	s.start()
	out := s.lockstep("", "import", alice, file)
	m := regexp.MustCompile(`Imported (\d+) messages; already there: (\d+); could not be taken: 0`).FindStringSubmatch(out)
	if m == nil {
		t.Fatal(out)
	}
	fresh, _ := strconv.Atoi(m[1])
	known, _ := strconv.Atoi(m[2])
	if known == 0 || fresh+known != messages || s.messages("INBOX") != strconv.Itoa(messages) {
		t.Errorf("%d + %d of %d, and INBOX has %s", fresh, known, messages, s.messages("INBOX"))
	}
	s.stop()
	if out := s.lockstep("", "doctor"); !strings.Contains(out, "All is well.") {
		t.Error(out)
	}
}

var anonymous = regexp.MustCompile(`RssAnon:\s+(\d+) kB`)

// watchMemory looks at a process again and again, until the test ends. It returns
// the most memory of its own that the process had; what it maps of files is the
// machine's cache.
func watchMemory(t *testing.T, pid int) (peakMiB func() int) {
	t.Helper()
	if _, err := os.Stat("/proc/self/status"); err != nil {
		t.Skip("no /proc here: ", err)
	}
	var peak atomic.Int64
	go func() {
		for t.Context().Err() == nil {
			status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
			if err != nil {
				return // it has ended
			}
			if m := anonymous.FindSubmatch(status); m != nil {
				kb, _ := strconv.ParseInt(string(m[1]), 10, 64)
				peak.Store(max(peak.Load(), kb>>10))
			}
			time.Sleep(20 * time.Millisecond)
		}
	}()
	return func() int { return int(peak.Load()) }
}

// maxMemoryMiB is what the server and the command line may take, whatever comes.
const maxMemoryMiB = 200

// frugal has garbage collected before it comes near to that, also where a processor is so
// busy that the collector falls behind. What is needed is in memory all the same.
var frugal = []string{fmt.Sprintf("GOMEMLIMIT=%dMiB", maxMemoryMiB/2)}

// The server and the importing command stay small: 2 GB in CI, a tenth elsewhere.
func TestLargeImportTakesLittleMemory(t *testing.T) {
	t.Parallel()
	messages, size := 1000, 200_000
	if os.Getenv("CI") == "true" && !testing.Short() {
		messages = 10_000
	}
	s := newServer(t, "")
	s.env = frugal
	s.start()
	s.addAccount(alice)
	read, write, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	importing := exec.Command(binary, "import", alice, "-", "--config", s.config)
	importing.Stdin = read
	var out syncBuffer
	importing.Stdout, importing.Stderr = &out, &out
	began := time.Now()
	if err := importing.Start(); err != nil {
		t.Fatal(err)
	}
	read.Close()
	client, server := watchMemory(t, importing.Process.Pid), watchMemory(t, s.cmd.Process.Pid)
	if err := mbox(write, 3, messages, size); err != nil {
		t.Fatalf("%v\n%s", err, &out)
	}
	write.Close()
	if err := importing.Wait(); err != nil {
		t.Fatalf("%v\n%s", err, &out)
	}
	t.Logf("%d MB in %.1f s; server %d MiB, command %d MiB at most", messages*size/1e6, time.Since(began).Seconds(), server(), client())
	if server() == 0 || server() > maxMemoryMiB || client() == 0 || client() > maxMemoryMiB {
		t.Errorf("server %d MiB, command %d MiB", server(), client())
	}
	if !strings.Contains(out.String(), fmt.Sprintf("Imported %d messages; already there: 0", messages)) {
		t.Error(out.String())
	}
	s.stop()
}

// A client that asks for everything and does not read makes the server hold
// nothing: 100 000 messages in CI, a tenth elsewhere.
func TestSlowReaderTakesLittleMemory(t *testing.T) {
	t.Parallel()
	messages := 10_000
	if os.Getenv("CI") == "true" && !testing.Short() {
		messages = 100_000
	}
	s := newServer(t, "")
	s.addAccount(alice)
	file := filepath.Join(t.TempDir(), "in.mbox")
	f, err := os.Create(file)
	if err != nil {
		t.Fatal(err)
	}
	if err := mbox(f, 4, messages, 2000); err != nil {
		t.Fatal(err)
	}
	f.Close()
	s.lockstepFor(5*time.Minute, "import", alice, file)
	s.env = frugal
	s.start()
	peak := watchMemory(t, s.cmd.Process.Pid)
	for range 4 {
		c, err := net.Dial("tcp", "127.0.0.1:"+s.ports["imap"])
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		fmt.Fprintf(c, "a LOGIN %s \"%s\"\r\nb SELECT INBOX\r\nc FETCH 1:* (FLAGS ENVELOPE BODYSTRUCTURE BODY.PEEK[])\r\n", alice, password)
		// Until bodies come; then nothing is read any more.
		if err := c.SetReadDeadline(time.Now().Add(patience)); err != nil {
			t.Fatal(err)
		}
		seen := make([]byte, 0, 64<<10)
		for !bytes.Contains(seen, []byte("Message-ID")) {
			n, err := c.Read(seen[len(seen):cap(seen)])
			if err != nil {
				t.Fatalf("%v\n%s", err, seen)
			}
			seen = seen[:len(seen)+n]
		}
	}
	if s.get("/healthz") != "ok\n" {
		t.Error("the server is not well")
	}
	t.Logf("%d messages, 4 clients that do not read: %d MiB at most", messages, peak())
	if peak() == 0 || peak() > maxMemoryMiB {
		t.Errorf("%d MiB", peak())
	}
	s.stop()
}
