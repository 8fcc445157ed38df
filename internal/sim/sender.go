package sim

import (
	"bufio"
	"fmt"
	"slices"
	"strings"
	"time"
)

// A sender is a mail server that hands over letters until each is accepted.
type sender struct {
	dial   func(service string) (wire, error)
	blame  func(format string, args ...any)
	outbox []posted
	late   map[string]bool // letters that were handed over again when nobody had to know them any more
	said   transcript
}

// tookFor is for how long a server has to know again what it took.
const tookFor = time.Hour

// posted is a letter on its way.
type posted struct {
	token   string
	service string
	to      []string
	first   time.Time // handed over; zero before
}

// accepted reports whether a letter does not wait any more for a recipient.
func (s *sender) accepted(token, to string) bool {
	return !slices.ContainsFunc(s.outbox, func(p posted) bool { return p.token == token && slices.Contains(p.to, to) })
}

// cut is where the connection of a delivery breaks; zero is nowhere.
type cut struct{ up, down int }

// deliver hands over what waits; what can't be delivered now stays.
func (s *sender) deliver(c cut) {
	waiting := s.outbox
	s.outbox = nil
	for _, p := range waiting {
		if p.first.IsZero() {
			p.first = time.Now()
		}
		if time.Since(p.first) >= tookFor {
			if s.late == nil {
				s.late = map[string]bool{}
			}
			s.late[p.token] = true
		}
		left, err := s.hand(p, c)
		if err != nil {
			left = p.to
		}
		if len(left) > 0 {
			s.outbox = append(s.outbox, posted{p.token, p.service, left, p.first})
		}
	}
}

// hand delivers one letter and returns who has not got it.
func (s *sender) hand(p posted, c cut) (left []string, err error) {
	conn, err := s.dial(p.service)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	if c != (cut{}) {
		conn.CutAfter(c.up, c.down)
	}
	s.said.add("-- connected --")
	d := dialogue{conn, bufio.NewReader(conn), &s.said}
	hello := "EHLO sender.example.test"
	if p.service == lmtpService {
		hello = "LHLO sender.example.test"
	}
	commands := []string{"", hello, "MAIL FROM:<somebody@example.test>"}
	for _, to := range p.to {
		commands = append(commands, "RCPT TO:<"+to+">")
	}
	for _, command := range append(commands, "DATA") {
		code, err := d.ask(command)
		if err != nil || code[0] != '2' && code[0] != '3' {
			return p.to, err
		}
	}
	if err := d.say(letterText(p.token) + "."); err != nil { // no line of it begins with a dot
		return nil, err
	}
	answers := 1
	if p.service == lmtpService {
		answers = len(p.to)
	}
	for i := range answers {
		code, err := d.answer()
		if err != nil {
			return nil, err
		}
		if code[0] == '5' {
			s.blame("the sender: %s is answered with %s", p.token, code)
		}
		if code[0] != '2' {
			left = append(left, p.to[i])
		}
	}
	if p.service != lmtpService && len(left) > 0 {
		left = p.to
	}
	return left, nil
}

// dialogue is SMTP from the client's side.
type dialogue struct {
	conn wire
	in   *bufio.Reader
	said *transcript
}

// ask sends a command, if it is one, and returns the answer's code.
func (d dialogue) ask(command string) (string, error) {
	if command != "" {
		if err := d.say(command); err != nil {
			return "", err
		}
	}
	return d.answer()
}

func (d dialogue) say(line string) error {
	d.said.add("C: " + line)
	_, err := d.conn.Write([]byte(line + "\r\n"))
	return err
}

func (d dialogue) answer() (string, error) {
	for {
		l, err := d.in.ReadString('\n')
		if err != nil {
			return "", err
		}
		l = strings.TrimRight(l, "\r\n")
		d.said.add("S: " + l)
		if len(l) < 3 {
			return "", fmt.Errorf("%q is no answer", l)
		}
		if len(l) == 3 || l[3] == ' ' {
			return l, nil
		}
	}
}
