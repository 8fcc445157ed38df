package sim

import (
	"bufio"
	"fmt"
	"strconv"
	"strings"

	"lockstep/internal/imap/reply"
)

// link is a connection to an IMAP server.
type link struct {
	conn wire
	in   *bufio.Reader
	tags int
	hear func(reply.Response) // each untagged response
	said *transcript
}

// transcript keeps the end of what was said.
type transcript struct{ lines []string }

const transcriptLines = 40

func (t *transcript) add(line string) {
	if len(line) > 300 {
		line = line[:300] + "…"
	}
	if t.lines = append(t.lines, line); len(t.lines) > transcriptLines {
		t.lines = t.lines[1:]
	}
}

func (l *link) read() (reply.Response, error) {
	r, err := reply.Read(l.in)
	if err != nil {
		return r, fmt.Errorf("%w: %v", errLost, err)
	}
	l.said.add("S: " + r.Raw)
	return r, nil
}

func (l *link) write(text string) error {
	l.said.add("C: " + strings.TrimSuffix(text, "\r\n"))
	if _, err := l.conn.Write([]byte(text)); err != nil {
		return fmt.Errorf("%w: %v", errLost, err)
	}
	return nil
}

// run runs a command, giving each of literals when the server is ready for it, and
// returns its completion. NO is errRefusedByServer.
func (l *link) run(command string, literals ...string) (reply.Response, error) {
	l.tags++
	tag := "a" + strconv.Itoa(l.tags)
	if err := l.write(tag + " " + command + "\r\n"); err != nil {
		return reply.Response{}, err
	}
	for {
		r, err := l.read()
		switch {
		case err != nil:
			return r, err
		case r.Tag == "*":
			l.hear(r)
		case r.Tag == "+" && len(literals) > 0:
			if err := l.write(literals[0]); err != nil {
				return r, err
			}
			literals = literals[1:]
		case r.Tag == tag && r.Word == "OK":
			return r, nil
		case r.Tag == tag && r.Word == "NO":
			return r, fmt.Errorf("%w: %s: %s", errRefusedByServer, command, r.Raw)
		default:
			return r, fmt.Errorf("%s is answered with %s", command, r.Raw)
		}
	}
}

// drain takes in what has arrived.
func (l *link) drain() error {
	for l.in.Buffered() > 0 || l.conn.Waiting() {
		r, err := l.read()
		if err != nil {
			return err
		}
		l.hear(r)
	}
	return nil
}

// quote writes a name as a quoted string.
func quote(name string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(name) + `"`
}
