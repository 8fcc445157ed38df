package bench

import (
	"bufio"
	"fmt"
	"net"
	"time"
)

// lmtpConn is one LMTP client (RFC 2033). It pipelines as mail transfer agents
// do: envelope and DATA in one write (RFC 2920). Used by one goroutine.
type lmtpConn struct {
	net.Conn
	r   *bufio.Reader
	cmd []byte
}

// dialLMTP connects and says hello.
func dialLMTP(addr string) (*lmtpConn, error) {
	nc, err := net.DialTimeout("tcp", addr, 10*time.Second)
	if err != nil {
		return nil, err
	}
	c := &lmtpConn{Conn: nc, r: bufio.NewReaderSize(nc, 4096)}
	c.SetDeadline(time.Now().Add(patience))
	if err = c.expect('2'); err == nil {
		if _, err = c.Write([]byte("LHLO bench.test\r\n")); err == nil {
			err = c.expect('2')
		}
	}
	if err != nil {
		nc.Close()
		return nil, fmt.Errorf("lmtp %s: %w", addr, err)
	}
	return c, nil
}

// deliver sends one message to one recipient and waits until it is taken.
func (c *lmtpConn) deliver(to string, text []byte) error {
	c.SetDeadline(time.Now().Add(patience))
	c.cmd = append(append(append(c.cmd[:0], "MAIL FROM:<sender@elsewhere.example>\r\nRCPT TO:<"...), to...), ">\r\nDATA\r\n"...)
	if _, err := c.Write(c.cmd); err != nil {
		return err
	}
	for _, class := range []byte("223") {
		if err := c.expect(class); err != nil {
			return err
		}
	}
	c.cmd = append(append(c.cmd[:0], text...), ".\r\n"...)
	if _, err := c.Write(c.cmd); err != nil {
		return err
	}
	return c.expect('2')
}

// expect reads one reply, which may have many lines, of the given class.
func (c *lmtpConn) expect(class byte) error {
	for {
		line, err := c.r.ReadSlice('\n')
		if err != nil {
			return err
		}
		if len(line) < 4 || line[0] != class {
			return fmt.Errorf("lmtp: %q", line)
		}
		if line[3] != '-' {
			return nil
		}
	}
}
