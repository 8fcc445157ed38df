package smtp

import (
	"context"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

var replyLine = regexp.MustCompile(`^[2345]\d\d[- ][^\r\n]*\r\n$`)

// panicLog fails the test where a session logs that it panicked.
type panicLog struct {
	slog.Handler
	t testing.TB
}

func (h panicLog) Enabled(context.Context, slog.Level) bool { return true }
func (h panicLog) WithAttrs([]slog.Attr) slog.Handler       { return h }
func (h panicLog) Handle(_ context.Context, r slog.Record) error {
	if r.Message == "panic" {
		r.Attrs(func(a slog.Attr) bool { h.t.Errorf("%v", a); return true })
	}
	return nil
}

// FuzzSession plays whatever a client may send, beginning with the dialogues.
func FuzzSession(f *testing.F) {
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil {
		f.Fatal(err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		var said strings.Builder
		for line := range strings.Lines(string(text)) {
			if c, ok := strings.CutPrefix(strings.TrimSuffix(line, "\n"), "C:"); ok {
				said.WriteString(strings.TrimPrefix(c, " ") + "\r\n")
			}
		}
		for role := range byte(3) {
			f.Add(role, []byte(said.String()))
		}
	}
	w := newTown(f)
	w.Delivery.Store = shallowStore{w.Store}
	w.Delivery.CanSend = true
	f.Fuzz(func(t *testing.T, role byte, said []byte) {
		srv := &Server{Role: []Role{LMTP, Receiving, Submission}[role%3], Hostname: "mx.example.test", Delivery: w.Delivery, Auth: w.auth,
			Log: slog.New(panicLog{slog.DiscardHandler, t}), Limits: Limits{MessageBytes: 1 << 16, Errors: 50}}
		here, there := net.Pipe()
		heard := make(chan []byte, 1)
		go func() {
			b, _ := io.ReadAll(here)
			heard <- b
		}()
		go func() {
			here.SetWriteDeadline(time.Now().Add(patience))
			here.Write(said)
			here.Close()
		}()
		srv.serve(t.Context(), there, srv.Limits.withDefaults(srv.Role))
		for line := range strings.Lines(string(<-heard)) {
			if strings.HasSuffix(line, "\n") && !replyLine.MatchString(line) {
				t.Errorf("said %q", line)
			}
		}
	})
}
