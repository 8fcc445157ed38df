package sim

import (
	"bufio"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"sort"
	"strings"
)

// popDevice downloads the inbox, each message once, and now and then deletes.
type popDevice struct {
	name, login, secret string
	dial                func() (wire, error)
	blame               func(format string, args ...any)

	held    map[string]string // token by unique-id, of all it ever downloaded
	drop    []string          // unique-ids of the maildrop as last seen
	dropped []string          // to delete
	cut     *cut              // of the next connection
	said    transcript
}

func (d *popDevice) Name() string { return d.name }

// Heard implements device.
func (d *popDevice) Heard() []string { return d.said.lines }

// Pushed implements device: it is not.
func (d *popDevice) Pushed() bool { return false }

// Hear implements device.
func (d *popDevice) Hear() error { return nil }

// Leave implements device: it never stays.
func (d *popDevice) Leave() {}

// Lose implements device.
func (d *popDevice) Lose() { d.held, d.drop, d.dropped = map[string]string{}, nil, nil }

// Cut implements device.
func (d *popDevice) Cut(up, down int) { d.cut = &cut{up, down} }

// Act implements device.
func (d *popDevice) Act(r *rand.Rand) error {
	if len(d.drop) > 0 && r.IntN(3) == 0 {
		d.dropped = append(d.dropped, d.drop[r.IntN(len(d.drop))])
	}
	return d.Sync()
}

// Sync implements device.
func (d *popDevice) Sync() error {
	conn, err := d.dial()
	if err != nil {
		return fmt.Errorf("%w: %v", errLost, err)
	}
	defer conn.Close()
	if d.cut != nil {
		conn.CutAfter(d.cut.up, d.cut.down)
		d.cut = nil
	}
	d.said.add("-- connected --")
	if err := d.fetch(&popLink{conn, bufio.NewReader(conn), &d.said}); err != nil {
		return fmt.Errorf("%w: %w", errLost, err)
	}
	return nil
}

// fetch is one session.
func (d *popDevice) fetch(l *popLink) error {
	for _, command := range []string{"", "USER " + d.login, "PASS " + d.secret} {
		if _, err := l.ask(command); err != nil {
			return err
		}
	}
	list, err := l.askLines("UIDL")
	if err != nil {
		return err
	}
	drop := make([]string, len(list))
	for i, line := range list {
		n, id, _ := strings.Cut(line, " ")
		if n != fmt.Sprint(i+1) || slices.Contains(drop, id) {
			d.blame("%s: %q is unique-id %d", d.name, line, i+1)
		}
		drop[i] = id
	}
	for i, id := range drop {
		if d.held[id] == "" {
			if err := d.download(l, i+1, id); err != nil {
				return err
			}
		}
	}
	return d.delete(l, drop)
}

func (d *popDevice) download(l *popLink, n int, id string) error {
	lines, err := l.askLines(fmt.Sprintf("RETR %d", n))
	if err != nil {
		return err
	}
	text := strings.Join(lines, "\r\n") + "\r\n"
	_, header, _ := strings.Cut(text, "Message-ID: ")
	token := tokenOf(header)
	if !isLetter(token, text) {
		d.blame("%s: %s is not what %s was:\n%.300s", d.name, id, token, text)
	}
	d.held[id] = token
	return nil
}

// delete ends the session with what is to be deleted.
func (d *popDevice) delete(l *popLink, drop []string) error {
	gone := map[string]bool{}
	for _, id := range d.dropped {
		if n := slices.Index(drop, id); n >= 0 && !gone[id] {
			if _, err := l.ask(fmt.Sprintf("DELE %d", n+1)); err != nil {
				return err
			}
			gone[id] = true
		}
	}
	if _, err := l.ask("QUIT"); err != nil {
		return err
	}
	d.drop, d.dropped = slices.DeleteFunc(drop, func(id string) bool { return gone[id] }), nil
	return nil
}

// Differs implements device: the maildrop is the inbox without what is marked as
// deleted.
func (d *popDevice) Differs(t Truth, _ bool) []string {
	var have, is []string
	for _, id := range d.drop {
		have = append(have, d.held[id])
	}
	for _, b := range t {
		if b.Name != "INBOX" {
			continue
		}
		for l := range maps.Values(b.Letters) {
			if withFlag(l.Flags, `\Deleted`) != l.Flags {
				is = append(is, l.Token)
			}
		}
	}
	sort.Strings(have)
	sort.Strings(is)
	if !slices.Equal(have, is) {
		return []string{fmt.Sprintf("the maildrop has %v, the inbox %v", have, is)}
	}
	return nil
}

// popLink is POP3 from the client's side.
type popLink struct {
	conn wire
	in   *bufio.Reader
	said *transcript
}

func (l *popLink) line() (string, error) {
	s, err := l.in.ReadString('\n')
	s = strings.TrimSuffix(s, "\r\n")
	l.said.add("S: " + s)
	return s, err
}

// ask sends a command, if it is one, and wants +OK.
func (l *popLink) ask(command string) (string, error) {
	if command != "" {
		l.said.add("C: " + command)
		if _, err := l.conn.Write([]byte(command + "\r\n")); err != nil {
			return "", err
		}
	}
	s, err := l.line()
	if err == nil && !strings.HasPrefix(s, "+OK") {
		err = fmt.Errorf("%s is answered with %s", command, s)
	}
	return s, err
}

// askLines is ask for an answer of several lines.
func (l *popLink) askLines(command string) (lines []string, err error) {
	if _, err := l.ask(command); err != nil {
		return nil, err
	}
	for {
		s, err := l.line()
		if err != nil || s == "." {
			return lines, err
		}
		lines = append(lines, strings.TrimPrefix(s, "."))
	}
}
