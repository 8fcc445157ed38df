package smtp

import (
	"bufio"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	"lockstep/internal/blob"
	"lockstep/internal/delivery"
	"lockstep/internal/delivery/deliverytest"
	"lockstep/internal/store"
	"lockstep/internal/store/sqlstore"
	"lockstep/internal/vfs"
)

// BenchmarkLMTPOnEngine is the whole path of a message of 4 KiB, durable, each connection
// to an account of its own: socket, parser, packs and database. The processor's
// time is that of server and client together; on a busy machine it is what tells.
func BenchmarkLMTPOnEngine(b *testing.B) {
	for _, conns := range []int{1, 64} {
		b.Run(fmt.Sprintf("conns=%d", conns), func(b *testing.B) { benchmarkLMTP(b, conns) })
	}
}

func benchmarkLMTP(b *testing.B, conns int) {
	dir := b.TempDir()
	db, err := sqlstore.Open(b.Context(), filepath.Join(dir, "store.db"), sqlstore.Options{})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { db.Close() })
	keys, _, err := blob.OpenKeyring(vfs.OS{}, filepath.Join(dir, "key"), filepath.Join(dir, "packs"))
	if err != nil {
		b.Fatal(err)
	}
	blobs, err := blob.Open(filepath.Join(dir, "packs"), keys, db.Blobs(), blob.Options{})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { blobs.Close() })
	log := slog.New(slog.DiscardHandler)
	svc := &delivery.Service{Store: db, Directory: db, Queue: db, Blobs: blobs, Log: log, Hostname: "mx.example.test", SpoolDir: dir}
	addr := serveBench(b, &Server{Role: LMTP, Hostname: "mx.example.test", Delivery: svc, Log: log, Limits: Limits{Connections: conns, ConnectionsPerAddress: conns}})
	var clients []*benchClient
	for i := range conns {
		login := fmt.Sprintf("user%d@example.test", i)
		if _, err := db.CreateAccount(b.Context(), deliverytest.By, store.NewAccount{Login: login}); err != nil {
			b.Fatal(err)
		}
		clients = append(clients, dialBench(b, addr, login))
	}
	before, blobsBefore, cpu := db.Stats(), blobs.Stats(), processorTime(b)
	var next atomic.Int64
	b.ReportAllocs()
	b.ResetTimer()
	var all sync.WaitGroup
	for _, c := range clients {
		all.Go(func() {
			for n := next.Add(1); n <= int64(b.N); n = next.Add(1) {
				if err := c.deliver(n); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	all.Wait()
	each := func(n float64) float64 { return n / float64(b.N) }
	s := db.Stats()
	b.ReportMetric(each(processorTime(b)-cpu), "cpu-µs/op")
	b.ReportMetric(each(float64(s.Statements-before.Statements)), "statements/op")
	b.ReportMetric(each(float64(s.Commits-before.Commits)+float64(blobs.Stats().Syncs-blobsBefore.Syncs)), "syncs/op")
}

// processorTime is what this process has used, in microseconds.
func processorTime(b *testing.B) float64 {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return float64(u.Utime.Nano()+u.Stime.Nano()) / 1e3
}

func serveBench(b *testing.B, s *Server) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	var served sync.WaitGroup
	served.Go(func() {
		if err := s.Serve(b.Context(), l); err != nil {
			b.Error(err)
		}
	})
	b.Cleanup(served.Wait)
	return l.Addr().String()
}

// benchClient delivers to one recipient, as mail transfer agents do: the
// envelope and DATA in one write.
type benchClient struct {
	nc       net.Conn
	in       *bufio.Reader
	envelope string
}

func dialBench(b *testing.B, addr, to string) *benchClient {
	nc, err := net.Dial("tcp", addr)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { nc.Close() })
	c := &benchClient{nc, bufio.NewReader(nc), "MAIL FROM:<carol@example.org>\r\nRCPT TO:<" + to + ">\r\nDATA\r\n"}
	if err := c.expect("220"); err != nil {
		b.Fatal(err)
	}
	fmt.Fprint(nc, "LHLO mta.example.org\r\n")
	if err := c.expect("250"); err != nil {
		b.Fatal(err)
	}
	return c
}

func (c *benchClient) deliver(n int64) error {
	if _, err := c.nc.Write([]byte(c.envelope)); err != nil {
		return err
	}
	for _, code := range []string{"250", "250", "354"} {
		if err := c.expect(code); err != nil {
			return err
		}
	}
	if _, err := c.nc.Write(benchLetter(n)); err != nil {
		return err
	}
	return c.expect("250")
}

// benchLetter is 4 KiB with the header mail has after a few hops, and its end.
func benchLetter(n int64) []byte {
	rng := rand.New(rand.NewPCG(uint64(n), 4096))
	b := fmt.Appendf(nil, "Received: from a.example (a.example [192.0.2.1])\r\n\tby b.example with ESMTPS id %x;\r\n\tFri, 20 Nov 2026 10:00:00 +0000\r\n", rng.Uint64())
	b = fmt.Appendf(b, "DKIM-Signature: v=1; a=rsa-sha256; d=example.org; s=s1;\r\n\tb=%s\r\n", strings.Repeat(fmt.Sprintf("%016x", rng.Uint64()), 20))
	b = fmt.Appendf(b, "From: Carol <carol@example.org>\r\nTo: Bob <bob@example.test>\r\nDate: Fri, 20 Nov 2026 10:00:00 +0000\r\nSubject: letter %d\r\nMessage-ID: <%d.%x@example.org>\r\n", n, n, rng.Uint64())
	b = append(b, "MIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n"...)
	for len(b) < 4000 {
		b = fmt.Appendf(b, "line %d has some %x words and then a few more of them\r\n", len(b), rng.Uint32())
	}
	return append(b, ".\r\n"...)
}

func (c *benchClient) expect(code string) error {
	for {
		line, err := c.in.ReadSlice('\n')
		switch {
		case err != nil:
			return err
		case !strings.HasPrefix(string(line), code):
			return fmt.Errorf("heard %q", line)
		case line[3] == ' ':
			return nil
		}
	}
}
