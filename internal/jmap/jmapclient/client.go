// Package jmapclient is a JMAP mail program as tests play it: it speaks JSON over
// HTTP, keeps states as programs do, and holds what it was told and nothing else. What
// no server may say is blamed on the server.
package jmapclient

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
)

// ErrLost is wrapped by errors of the connection: nobody knows what became of the
// request.
var ErrLost = errors.New("connection lost")

// ErrLater says that the server can't now, and is to be asked again.
var ErrLater = errors.New("try again later")

// Client speaks the protocol, a connection to a request. It is used by one goroutine.
type Client struct {
	Dial          func() (net.Conn, error)
	Login, Secret string
	Name          string // of the program
	Said          func(line string)

	// Twice makes the network send the next request twice; the first answer is lost.
	Twice bool
}

// A Call is one method call.
type Call struct {
	Method string
	Args   any
}

// An Answer is what a server says to one call.
type Answer struct {
	Method string
	Args   json.RawMessage
}

// An Error is how a call was refused.
type Error struct {
	Method      string `json:"-"`
	Type        string `json:"type"`
	Description string `json:"description"`
}

func (e *Error) Error() string { return e.Method + ": " + e.Type + ": " + e.Description }

// Into decodes the answer; an error is returned as one.
func (a Answer) Into(method string, v any) error {
	if a.Method == "error" {
		e := &Error{Method: method}
		if err := json.Unmarshal(a.Args, e); err != nil {
			return err
		}
		if e.Type == "serverUnavailable" || e.Type == "serverFail" {
			return fmt.Errorf("%w: %v", ErrLater, e)
		}
		return e
	}
	if a.Method != method {
		return fmt.Errorf("%s was answered by %s", method, a.Method)
	}
	return json.Unmarshal(a.Args, v)
}

// using is what the program speaks.
var using = []string{"urn:ietf:params:jmap:core", "urn:ietf:params:jmap:mail"}

const (
	host    = "http://mail.example.test"
	session = "/.well-known/jmap"
	api     = "/jmap/api"
)

// Account asks for the session, and says which account it is of.
func (c *Client) Account() (string, error) {
	body, err := c.fetch(http.MethodGet, session, nil)
	if err != nil {
		return "", err
	}
	var s struct {
		PrimaryAccounts map[string]string `json:"primaryAccounts"`
		APIURL          string            `json:"apiUrl"`
	}
	if err := json.Unmarshal(body, &s); err != nil || s.PrimaryAccounts[using[1]] == "" || s.APIURL == "" {
		return "", fmt.Errorf("the session is %.300s (%v)", body, err)
	}
	return s.PrimaryAccounts[using[1]], nil
}

// Do makes calls, and returns an answer for each; those that call others have more,
// which are left out.
func (c *Client) Do(calls ...Call) ([]Answer, error) {
	in := map[string]any{"using": using}
	list := [][3]any{}
	for i, k := range calls {
		list = append(list, [3]any{k.Method, k.Args, fmt.Sprint(i)})
	}
	in["methodCalls"] = list
	request, err := json.Marshal(in)
	if err != nil {
		return nil, err
	}
	if c.Twice {
		c.Twice = false
		if _, err := c.fetch(http.MethodPost, api, request); err != nil {
			return nil, err
		}
		c.say("-- and once more --")
	}
	body, err := c.fetch(http.MethodPost, api, request)
	if err != nil {
		return nil, err
	}
	return read(body, len(calls))
}

func read(body []byte, calls int) ([]Answer, error) {
	var out struct {
		MethodResponses [][3]json.RawMessage `json:"methodResponses"`
	}
	if err := json.Unmarshal(body, &out); err != nil {
		return nil, fmt.Errorf("%.300s: %w", body, err)
	}
	answers := make([]Answer, calls)
	for _, m := range out.MethodResponses {
		var name, id string
		if json.Unmarshal(m[0], &name) != nil || json.Unmarshal(m[2], &id) != nil {
			return nil, fmt.Errorf("%.300s: not a response", body)
		}
		var n int
		if _, err := fmt.Sscan(id, &n); err != nil || n < 0 || n >= calls {
			return nil, fmt.Errorf("%.300s: an answer to a call that was not made", body)
		}
		if answers[n].Method == "" {
			answers[n] = Answer{name, m[1]}
		}
	}
	for i, a := range answers {
		if a.Method == "" {
			return nil, fmt.Errorf("%.300s: call %d was not answered", body, i)
		}
	}
	return answers, nil
}

// fetch makes one request on a connection of its own.
func (c *Client) fetch(method, path string, body []byte) ([]byte, error) {
	k, err := c.start(method, path, body)
	if err != nil {
		return nil, err
	}
	defer k.Conn.Close()
	resp, err := http.ReadResponse(k.in, k.request)
	if err != nil {
		return nil, fmt.Errorf("%w: %v", ErrLost, err)
	}
	answer, err := io.ReadAll(resp.Body)
	if err != nil {
		return nil, fmt.Errorf("%w: %v", ErrLost, err)
	}
	c.say(fmt.Sprintf("S: %d %.2000s", resp.StatusCode, answer))
	switch {
	case resp.StatusCode >= 500 || resp.StatusCode == http.StatusTooManyRequests:
		return nil, fmt.Errorf("%w: HTTP %d %.300s", ErrLater, resp.StatusCode, answer)
	case resp.StatusCode != http.StatusOK:
		return nil, fmt.Errorf("%s: HTTP %d %.300s", path, resp.StatusCode, answer)
	}
	return answer, nil
}

// an exchange is a request whose answer has not been read.
type exchange struct {
	Conn    net.Conn
	in      *bufio.Reader
	request *http.Request
}

func (c *Client) start(method, path string, body []byte) (*exchange, error) {
	conn, err := c.Dial()
	if err != nil {
		return nil, fmt.Errorf("%w: %v", ErrLost, err)
	}
	r, err := http.NewRequest(method, host+path, bytes.NewReader(body))
	if err != nil {
		conn.Close()
		return nil, err
	}
	r.SetBasicAuth(c.Login, c.Secret)
	r.Header.Set("User-Agent", c.Name+"/1.0")
	if body != nil {
		r.Header.Set("Content-Type", "application/json")
	}
	r.Close = true
	c.say(fmt.Sprintf("C: %s %s %.2000s", method, path, body))
	if err := r.Write(conn); err != nil {
		conn.Close()
		return nil, fmt.Errorf("%w: %v", ErrLost, err)
	}
	return &exchange{conn, bufio.NewReader(conn), r}, nil
}

func (c *Client) say(line string) {
	if c.Said != nil {
		c.Said(line)
	}
}
