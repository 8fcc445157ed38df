package bench

import (
	"bufio"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"
)

// slowFetch asks for everything of the big INBOX and reads it at about a
// megabyte a second, for a while.
func slowFetch(ctx context.Context, s *site) ([]figure, error) {
	if err := s.restart(ctx, false, ""); err != nil {
		return nil, err
	}
	c, _, err := s.dialInbox(bigAccount)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	watch := s.watchPeak()
	if err := c.start("FETCH 1:* (UID FLAGS ENVELOPE BODY.PEEK[])"); err != nil {
		return nil, err
	}
	read, err := sip(ctx, c, time.Duration(s.sizes.slowSeconds)*time.Second)
	peak := watch()
	if err == nil && read == 0 {
		err = errors.New("nothing came")
	}
	return []figure{{peakMB, float64(peak) / 1024}}, err
}

// sip reads a little at a time and reports how much came. It goes on when all
// has come, so that a small answer takes as long.
func sip(ctx context.Context, c net.Conn, long time.Duration) (int, error) {
	sum, b := 0, make([]byte, 64<<10)
	end := time.Now().Add(long)
	c.SetReadDeadline(end)
	for ; time.Now().Before(end) && ctx.Err() == nil; time.Sleep(60 * time.Millisecond) {
		n, err := c.Read(b)
		sum += n
		if errors.Is(err, os.ErrDeadlineExceeded) {
			break
		}
		if err != nil {
			return sum, err
		}
	}
	return sum, ctx.Err()
}

// watchPeak follows the server's memory until the function it returns is called,
// which tells the highest value in KB.
func (s *site) watchPeak() func() int64 {
	exact := forgetPeak(s.pid()) == nil && len(family(s.pid())) == 1
	stop, peak := make(chan struct{}), make(chan int64)
	go func() {
		var most int64
		for {
			if kb, err := residentKB(s.pid()); err == nil {
				most = max(most, kb)
			}
			select {
			case <-stop:
				peak <- most
				return
			case <-time.After(100 * time.Millisecond):
			}
		}
	}()
	return func() int64 {
		close(stop)
		most := <-peak
		if kb, err := peakKB(s.pid()); exact && err == nil {
			most = max(most, kb)
		}
		return most
	}
}

// importMbox imports a large mbox into the running server.
func importMbox(ctx context.Context, s *site) ([]figure, error) {
	l, ok := s.server.(*lockstep)
	if !ok {
		return nil, errors.New("only for the server under test")
	}
	path := filepath.Join(filepath.Dir(s.dir()), "import.mbox")
	defer os.Remove(path)
	if err := writeMbox(path, int64(s.sizes.importMB)<<20); err != nil {
		return nil, err
	}
	if err := s.restart(ctx, false, ""); err != nil {
		return nil, err
	}
	watch, start := s.watchPeak(), time.Now()
	cmd := l.command(ctx, "import", address(importAccount), path)
	out, err := cmd.CombinedOutput()
	took, peak := time.Since(start), watch()
	if err != nil {
		return nil, fmt.Errorf("import: %w: %s", err, out[max(0, len(out)-500):])
	}
	return []figure{{peakMB, float64(peak) / 1024}, {"peak MB of the command", childPeakMB(cmd)}, {"MB per second", float64(s.sizes.importMB) / took.Seconds()}}, nil
}

func childPeakMB(cmd *exec.Cmd) float64 {
	if u, ok := cmd.ProcessState.SysUsage().(*syscall.Rusage); ok {
		return float64(u.Maxrss) / 1024
	}
	return 0
}

// writeMbox writes about so many bytes of mail: short letters, every twentieth
// with a megabyte attached, now and then one with twenty.
func writeMbox(path string, size int64) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	defer f.Close()
	w := bufio.NewWriterSize(f, 1<<20)
	rng := rand.New(rand.NewPCG(1, 2))
	var written int64
	var b []byte
	for i := 0; written < size; i++ {
		b = append(b[:0], "From sender@elsewhere.example Tue Nov 14 22:13:20 2023\n"...)
		switch {
		case i%400 == 399:
			b = appendAttached(b, rng, i, 20<<20)
		case i%20 == 19:
			b = appendAttached(b, rng, i, 1<<20)
		default:
			b = appendLetter(b, rng, 99, i)
		}
		b = append(b, '\n')
		n, err := w.Write(b)
		if err != nil {
			return err
		}
		written += int64(n)
	}
	return errors.Join(w.Flush(), f.Close())
}

// appendAttached writes a message with an attachment that does not compress.
func appendAttached(b []byte, rng *rand.Rand, i, size int) []byte {
	b = fmt.Appendf(b, "From: sender@elsewhere.example\r\nTo: import@bench.test\r\nSubject: Attached %d\r\nMessage-ID: <attached.%d@elsewhere.example>\r\n", i, i)
	b = append(b, "Date: Tue, 14 Nov 2023 22:13:20 +0000\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=frontier\r\n\r\n"...)
	b = append(b, "--frontier\r\nContent-Type: text/plain\r\n\r\nSee the file.\r\n"...)
	b = append(b, "--frontier\r\nContent-Type: application/octet-stream; name=data.bin\r\nContent-Transfer-Encoding: base64\r\n\r\n"...)
	var raw [57]byte // 76 characters a line (RFC 2045 §6.8)
	for end := len(b) + size; len(b) < end; {
		for j := 0; j < len(raw); j += 8 {
			v := rng.Uint64()
			for k := j; k < min(j+8, len(raw)); k++ {
				raw[k], v = byte(v), v>>8
			}
		}
		b = base64.StdEncoding.AppendEncode(b, raw[:])
		b = append(b, '\r', '\n')
	}
	return append(b, "--frontier--\r\n"...)
}
