package e2e

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// client is an IMAP client that does one thing after the other.
type client struct {
	c net.Conn
	r *bufio.Reader
	n int
}

// dial connects and signs in.
func (s *server) dial(login, secret string) (*client, error) {
	nc, err := net.DialTimeout("tcp", "127.0.0.1:"+s.ports["imap"], patience)
	if err != nil {
		return nil, err
	}
	c := &client{c: nc, r: bufio.NewReader(nc)}
	if _, err = c.line(); err == nil {
		_, err = c.do("LOGIN %s \"%s\"", login, secret)
	}
	if err != nil {
		nc.Close()
		return nil, err
	}
	return c, nil
}

func (c *client) close() { c.c.Close() }

// line reads one response line with the literals in it.
func (c *client) line() (string, error) {
	if err := c.c.SetReadDeadline(time.Now().Add(patience)); err != nil {
		return "", err
	}
	var all strings.Builder
	for {
		l, err := c.r.ReadString('\n')
		all.WriteString(l)
		if err != nil {
			return all.String(), err
		}
		m := literal.FindStringSubmatch(l)
		if m == nil {
			return all.String(), nil
		}
		n, err := strconv.Atoi(m[1])
		if err != nil {
			return "", err
		}
		if _, err := io.CopyN(&all, c.r, int64(n)); err != nil {
			return "", err
		}
	}
}

var literal = regexp.MustCompile(`\{(\d+)\}\r\n$`)

// refusal is a NO or a BAD.
type refusal struct{ command, answer string }

func (r *refusal) Error() string { return fmt.Sprintf("%.100q: %s", r.command, r.answer) }

// do runs a command and returns what the server said, the tagged line last. NO and
// BAD are errors.
func (c *client) do(format string, args ...any) ([]string, error) {
	c.n++
	tag := fmt.Sprintf("t%d ", c.n)
	if _, err := fmt.Fprintf(c.c, tag+format+"\r\n", args...); err != nil {
		return nil, err
	}
	var said []string
	for {
		l, err := c.line()
		if err != nil {
			return said, err
		}
		said = append(said, l)
		if strings.HasPrefix(l, tag+"OK") {
			return said, nil
		}
		if strings.HasPrefix(l, tag) {
			return said, &refusal{fmt.Sprintf(format, args...), l}
		}
	}
}

var appendUID = regexp.MustCompile(`\[APPENDUID \d+ (\d+)\]`)

// append appends a message and returns its UID.
func (c *client) append(mailbox, text string) (uid string, err error) {
	said, err := c.do("APPEND %q {%d+}\r\n%s", mailbox, len(text), text)
	if err != nil {
		return "", err
	}
	m := appendUID.FindStringSubmatch(said[len(said)-1])
	if m == nil {
		return "", fmt.Errorf("no APPENDUID in %q", said[len(said)-1])
	}
	return m[1], nil
}

// seen is a message as a FETCH shows it.
type seen struct{ mailbox, uid, flags, id string }

var (
	fetched  = regexp.MustCompile(`(?s)^\* \d+ FETCH \((.*)\)\r\n$`)
	uidItem  = regexp.MustCompile(`UID (\d+)`)
	flagItem = regexp.MustCompile(`FLAGS \(([^)]*)\)`)
	idField  = regexp.MustCompile(`(?i)Message-ID: *<([^>]*)>`)
	status   = regexp.MustCompile(`\[(UIDVALIDITY|HIGHESTMODSEQ|UIDNEXT) (\d+)\]`)
)

// list selects a mailbox and returns its messages, and the numbers of the SELECT.
func (c *client) list(mailbox string) ([]seen, map[string]int, error) {
	said, err := c.do("SELECT %q (CONDSTORE)", mailbox)
	if err != nil {
		return nil, nil, err
	}
	numbers := map[string]int{}
	for _, m := range status.FindAllStringSubmatch(strings.Join(said, ""), -1) {
		if numbers[m[1]], err = strconv.Atoi(m[2]); err != nil {
			return nil, nil, err
		}
	}
	said, err = c.do("UID FETCH 1:* (UID FLAGS BODY.PEEK[HEADER.FIELDS (MESSAGE-ID)])")
	if err != nil {
		return nil, nil, err
	}
	var all []seen
	for _, l := range said {
		m := fetched.FindStringSubmatch(l)
		if m == nil {
			continue
		}
		uid, flags, id := uidItem.FindStringSubmatch(m[1]), flagItem.FindStringSubmatch(m[1]), idField.FindStringSubmatch(m[1])
		if uid == nil || flags == nil || id == nil {
			return nil, nil, fmt.Errorf("%s: %q lacks something", mailbox, l)
		}
		all = append(all, seen{mailbox, uid[1], strings.ReplaceAll(strings.ReplaceAll(flags[1], `\Recent `, ""), `\Recent`, ""), id[1]})
	}
	return all, numbers, nil
}
