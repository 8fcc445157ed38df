package smtp

import (
	"bufio"
	"fmt"
	"log/slog"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// slowly runs a conversation in which time costs nothing, and wants it to be over
// by the server's doing between least and most, with a 421 if any reply.
func slowly(t *testing.T, least, most time.Duration, talk func(c *client)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := newTown(t)
		srv := &Server{Role: Receiving, Hostname: "mx.example.test", Delivery: w.Delivery, Log: slog.New(slog.DiscardHandler)}
		ours, theirs := net.Pipe()
		t.Cleanup(func() { theirs.Close() })
		began := time.Now()
		done := make(chan time.Duration, 1)
		go func() {
			srv.serve(t.Context(), ours, Limits{}.withDefaults(Receiving))
			done <- time.Since(began)
		}()
		c := &client{t, theirs, bufio.NewReader(theirs)}
		c.hears("220")
		talk(c)
		theirs.Close()
		if took := <-done; took < least || took > most {
			t.Errorf("it held the connection for %v, want %v to %v", took, least, most)
		}
	})
}

// drips sends text byte by byte until the server has enough.
func (c *client) drips(text string, pause time.Duration) {
	heard := make(chan struct{})
	go func() {
		defer close(heard)
		c.hears("421 4.4.2")
	}()
	for i := range len(text) {
		time.Sleep(pause)
		if _, err := c.nc.Write([]byte(text[i : i+1])); err != nil {
			break
		}
	}
	<-heard
}

func TestLineByteByByteEndsInTime(t *testing.T) {
	l := DefaultLimits(Receiving)
	slowly(t, l.Idle, l.Idle, func(c *client) {
		c.drips("NOOP "+strings.Repeat("x", 1000), l.Idle-time.Second)
	})
}

func TestBodyByteByByteEndsInTime(t *testing.T) {
	l := DefaultLimits(Receiving)
	for _, command := range []string{"DATA", "BDAT 100000 LAST"} {
		slowly(t, l.Idle, l.Idle+time.Second, func(c *client) {
			c.says("EHLO x", "250")
			c.says("MAIL FROM:<carol@example.org>", "250")
			c.says("RCPT TO:<bob@example.test>", "250")
			if c.send(command + "\r\n"); command == "DATA" {
				c.hears("354")
			}
			c.drips(strings.Repeat("x", 1000), time.Second)
		})
	}
}

// A body that comes at the rate takes as long as it needs.
func TestBodyAtTheRateArrives(t *testing.T) {
	l := DefaultLimits(Receiving)
	const blocks = 1000
	slowly(t, blocks*time.Second, blocks*time.Second, func(c *client) {
		c.says("EHLO x", "250")
		c.says("MAIL FROM:<carol@example.org>", "250")
		c.says("RCPT TO:<bob@example.test>", "250")
		c.says("DATA", "354")
		block := strings.Repeat("x", int(l.BodyRate)-2) + "\r\n"
		for range blocks {
			time.Sleep(time.Second)
			c.send(block)
		}
		c.says(".", "250 2.0.0")
		c.says("QUIT", "221")
	})
}

// What is larger than a message may be buys no more time.
func TestEndlessBodyEnds(t *testing.T) {
	l := DefaultLimits(Receiving)
	most := l.Idle + time.Duration(l.MessageBytes/l.BodyRate)*time.Second
	slowly(t, most, most+time.Second, func(c *client) {
		c.send("BDAT 1000000000000 LAST\r\n")
		heard := make(chan struct{})
		go func() {
			defer close(heard)
			c.hears("421 4.4.2")
		}()
		block := make([]byte, 10*l.BodyRate)
		for {
			if _, err := c.nc.Write(block); err != nil {
				break
			}
			time.Sleep(9 * time.Second)
		}
		<-heard
	})
}

func TestCommandsWithoutMessageOnePast(t *testing.T) {
	l := DefaultLimits(Receiving)
	slowly(t, 0, 0, func(c *client) {
		for i := range l.Commands {
			c.says([]string{"NOOP", "RSET", "VRFY x", "EHLO x", "MAIL FROM:<>"}[i%5], "2")
		}
		c.says("NOOP", "421 4.7.0 too many commands")
		c.hears("(closed)")
	})
}

// Recipients don't count, and a message makes all good.
func TestCommandsThatLeadToMessagesAreNotCounted(t *testing.T) {
	l := DefaultLimits(Receiving)
	slowly(t, 0, 0, func(c *client) {
		c.says("EHLO x", "250")
		for range l.Commands {
			c.says("MAIL FROM:<carol@example.org>", "250")
			c.says("RCPT TO:<bob@example.test>", "250")
			c.says("RCPT TO:<alice@example.test>", "250")
			c.says("DATA", "354")
			c.says("Subject: x\r\n\r\n.", "250")
		}
		c.says("QUIT", "221")
	})
}

func TestCommandsBetweenChunksOnePast(t *testing.T) {
	l := DefaultLimits(Receiving)
	slowly(t, 0, 0, func(c *client) {
		c.says("EHLO x", "250")
		c.says("MAIL FROM:<carol@example.org>", "250")
		c.says("RCPT TO:<bob@example.test>", "250")
		c.send("BDAT 1\r\nx")
		c.hears("250")
		for range l.Commands {
			c.says("NOOP", "250")
		}
		c.says("NOOP", "421 4.7.0 too many commands")
		c.hears("(closed)")
	})
}

func TestTimeWithoutMessageOnePast(t *testing.T) {
	l := DefaultLimits(Receiving)
	slowly(t, l.WithoutMessage, l.WithoutMessage, func(c *client) {
		c.says("EHLO x", "250")
		c.says("MAIL FROM:<carol@example.org>", "250")
		for i := range int(l.WithoutMessage/time.Minute) - 1 {
			time.Sleep(time.Minute)
			c.says(fmt.Sprintf("RCPT TO:<bob+%d@example.test>", i), "250")
		}
		c.hears("421 4.4.2")
	})
}
