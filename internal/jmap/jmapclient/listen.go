package jmapclient

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
)

// A Stream is a connection on which the server tells what changed (RFC 8620 §7.3).
type Stream struct {
	Conn net.Conn
	body *bufio.Reader
	say  func(string)
}

// Listen asks to be told of all changes.
func (c *Client) Listen() (*Stream, error) {
	k, err := c.start(http.MethodGet, "/jmap/eventsource/?types=*&closeafter=no&ping=0", nil)
	if err != nil {
		return nil, err
	}
	resp, err := http.ReadResponse(k.in, k.request)
	if err == nil && resp.StatusCode != http.StatusOK {
		answer, _ := io.ReadAll(resp.Body)
		err = fmt.Errorf("HTTP %d %.300s", resp.StatusCode, answer)
		if resp.StatusCode < 500 {
			k.Conn.Close()
			return nil, fmt.Errorf("event source: %w", err)
		}
	}
	if err != nil {
		k.Conn.Close()
		return nil, fmt.Errorf("%w: %v", ErrLost, err)
	}
	return &Stream{k.Conn, bufio.NewReader(resp.Body), c.say}, nil
}

// Buffered reports whether something was read from the connection and not told yet.
func (s *Stream) Buffered() bool { return s.body.Buffered() > 0 }

// Next reads an event, and returns the states that it tells of an account; nil if it
// is of another kind.
func (s *Stream) Next(account string) (map[string]string, error) {
	kind, data := "", ""
	for {
		line, err := s.body.ReadString('\n')
		if err != nil {
			return nil, fmt.Errorf("%w: %v", ErrLost, err)
		}
		line = strings.TrimRight(line, "\r\n")
		if line == "" {
			break
		}
		s.say("S: " + line)
		if v, ok := strings.CutPrefix(line, "event:"); ok {
			kind = strings.TrimSpace(v)
		}
		if v, ok := strings.CutPrefix(line, "data:"); ok {
			data += strings.TrimSpace(v)
		}
	}
	if kind != "state" {
		return nil, nil
	}
	var change struct {
		Changed map[string]map[string]string `json:"changed"`
	}
	if err := json.Unmarshal([]byte(data), &change); err != nil {
		return nil, fmt.Errorf("event source: %.300s: %w", data, err)
	}
	return change.Changed[account], nil
}

// Told takes in what an event told; it comes into step if a state is news.
func (p *Program) Told(states map[string]string) error {
	if s, ok := states["Email"]; ok && s != p.emails || states["Mailbox"] != "" && states["Mailbox"] != p.mailboxes {
		return p.CatchUp()
	}
	return nil
}

// AccountID is the account it is of; "" before it ever was in step.
func (p *Program) AccountID() string { return p.account }
