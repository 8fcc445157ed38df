package pop3

import (
	"context"
	"fmt"
	"strings"
)

var (
	errSyntax    = &refusal{text: "The arguments are not as they should be"}
	errNoMessage = &refusal{text: "There is no such message"}
	errMarked    = &refusal{text: "The message is marked as deleted"}
)

// capa serves CAPA (RFC 2449 §5). What is announced is served whole.
func (s *session) capa(_ context.Context, cmd command) error {
	if len(cmd.args()) > 0 {
		return errSyntax
	}
	s.ok("What this server can do")
	lines := []string{"TOP", "UIDL", "RESP-CODES", "AUTH-RESP-CODE", "PIPELINING", "EXPIRE NEVER", "LOGIN-DELAY 0", "UTF8 USER", "LANG"}
	if s.mayPlain() {
		lines = append(lines, "USER")
	}
	lines = append(lines, "SASL "+strings.Join(s.mechanisms(), " "))
	if s.who == nil && s.tls == nil && s.srv.TLS != nil {
		lines = append(lines, "STLS")
	}
	lines = append(lines, "IMPLEMENTATION Lockstep", ".")
	fmt.Fprint(s.c.out, strings.Join(lines, "\r\n"), "\r\n")
	return nil
}

// noop serves NOOP.
func (s *session) noop(_ context.Context, cmd command) error {
	if len(cmd.args()) > 0 {
		return errSyntax
	}
	s.ok("Still here")
	return nil
}

// stat serves STAT.
func (s *session) stat(_ context.Context, cmd command) error {
	if len(cmd.args()) > 0 {
		return errSyntax
	}
	n, size := s.drop.there()
	s.okf("%d %d", n, size)
	return nil
}

// find is the message an argument means.
func (s *session) find(arg string) (int, *entry, error) {
	n, ok := number(arg)
	switch {
	case !ok:
		return 0, nil, errSyntax
	case n < 1 || n > len(s.drop.entries):
		return 0, nil, errNoMessage
	case s.drop.entries[n-1].marked:
		return 0, nil, errMarked
	}
	return n, &s.drop.entries[n-1], nil
}

// list serves LIST. The size is that of the message as it lies in the mailbox
// (docs/protocols/pop3.md, "Sizes").
func (s *session) list(_ context.Context, cmd command) error {
	return s.listing(cmd, func(n int, e *entry) { fmt.Fprintf(s.c.out, "%d %d\r\n", n, e.size) })
}

// uidl serves UIDL.
func (s *session) uidl(_ context.Context, cmd command) error {
	return s.listing(cmd, func(n int, e *entry) { fmt.Fprintf(s.c.out, "%d %s\r\n", n, e.id()) })
}

// listing says a line of one message, or of all that are not marked.
func (s *session) listing(cmd command, line func(int, *entry)) error {
	args := cmd.args()
	if len(args) > 1 {
		return errSyntax
	}
	if len(args) == 1 {
		n, e, err := s.find(args[0])
		if err != nil {
			return err
		}
		fmt.Fprint(s.c.out, "+OK ")
		line(n, e)
		return nil
	}
	s.ok("A line for each message")
	for i := range s.drop.entries {
		if e := &s.drop.entries[i]; !e.marked {
			line(i+1, e)
		}
	}
	fmt.Fprint(s.c.out, ".\r\n")
	return nil
}

// dele serves DELE.
func (s *session) dele(_ context.Context, cmd command) error {
	args := cmd.args()
	if len(args) != 1 {
		return errSyntax
	}
	_, e, err := s.find(args[0])
	if err != nil {
		return err
	}
	e.marked = true
	s.ok("Marked as deleted")
	return nil
}

// rset serves RSET.
func (s *session) rset(_ context.Context, cmd command) error {
	if len(cmd.args()) > 0 {
		return errSyntax
	}
	for i := range s.drop.entries {
		s.drop.entries[i].marked = false
	}
	s.okf("%d %d", len(s.drop.entries), s.drop.size)
	return nil
}

// quit serves QUIT. After sign-in it is what deletes (RFC 1939 §6).
func (s *session) quit(ctx context.Context, cmd command) error {
	if len(cmd.args()) > 0 {
		return errSyntax
	}
	s.over = true
	if s.drop != nil {
		if err := s.remove(ctx, s.drop.marked()); err != nil {
			return fmt.Errorf("some deleted messages not removed: %w", err)
		}
	}
	s.ok("Goodbye")
	return nil
}
