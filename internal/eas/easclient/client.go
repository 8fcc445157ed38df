// Package easclient is an ActiveSync device as tests play it: it speaks WBXML over
// HTTP, keeps keys as phones do, and holds what it was told and nothing else. What no
// server may say is blamed on the server.
package easclient

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"lockstep/internal/eas"
	"lockstep/internal/eas/wbxml"
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
	DeviceID      string
	DeviceType    string
	Version       string // such as "14.1"
	Coded         bool   // writes its queries in base64 (MS-ASHTTP §2.2.1.1.1.1)
	PolicyKey     string // "" before it was provisioned
	Said          func(line string)

	// Twice makes the network send the next request twice; the first answer is lost.
	Twice bool
}

// An Answer is what a server says to one command.
type Answer struct {
	Code   int            // of HTTP
	Root   *wbxml.Element // nil if nothing was said
	Header http.Header
}

// Status is the status that stands at the root, "" if none does.
func (a *Answer) Status() string {
	if a.Root == nil {
		return ""
	}
	for _, e := range a.Root.Children {
		if e.Tag.Name() == "Status" {
			return e.Text
		}
	}
	return ""
}

// A Call is a command whose answer has not been read.
type Call struct {
	Conn    net.Conn
	client  *Client
	command string
	in      *bufio.Reader
	request *http.Request
}

// Options asks which commands there are (MS-ASHTTP §2.2.3).
func (c *Client) Options() (commands map[string]bool, err error) {
	conn, err := c.Dial()
	if err != nil {
		return nil, fmt.Errorf("%w: %v", ErrLost, err)
	}
	r, err := http.NewRequest(http.MethodOptions, "http://mail.example.test"+eas.Path, nil)
	if err != nil {
		conn.Close()
		return nil, err
	}
	r.SetBasicAuth(c.Login, c.Secret)
	r.Close = true
	if err := r.Write(conn); err != nil {
		conn.Close()
		return nil, fmt.Errorf("%w: %v", ErrLost, err)
	}
	a, err := (&Call{conn, c, "OPTIONS", bufio.NewReader(conn), r}).Answer()
	if err != nil {
		return nil, err
	}
	if a.Code == http.StatusServiceUnavailable {
		return nil, fmt.Errorf("%w: OPTIONS", ErrLater)
	}
	if a.Code != http.StatusOK || !strings.Contains(a.Header.Get("MS-ASProtocolVersions"), c.Version) {
		return nil, fmt.Errorf("OPTIONS: HTTP %d, %v", a.Code, a.Header)
	}
	commands = map[string]bool{}
	for name := range strings.SplitSeq(a.Header.Get("MS-ASProtocolCommands"), ",") {
		commands[name] = true
	}
	return commands, nil
}

// Start sends a command.
func (c *Client) Start(command string, body []byte) (*Call, error) {
	if c.Twice {
		c.Twice = false
		k, err := c.start(command, body)
		if err != nil {
			return nil, err
		}
		if _, err := k.Answer(); err != nil {
			return nil, err
		}
		c.say("-- and once more --")
	}
	return c.start(command, body)
}

func (c *Client) start(command string, body []byte) (*Call, error) {
	conn, err := c.Dial()
	if err != nil {
		return nil, fmt.Errorf("%w: %v", ErrLost, err)
	}
	r, err := http.NewRequest(http.MethodPost, "http://mail.example.test"+eas.Path+"?"+c.query(command), bytes.NewReader(body))
	if err != nil {
		conn.Close()
		return nil, err
	}
	r.SetBasicAuth(c.Login, c.Secret)
	r.Header.Set("User-Agent", c.DeviceType+"/1.0")
	r.Header.Set("Content-Type", "application/vnd.ms-sync.wbxml")
	if !c.Coded {
		r.Header.Set("MS-ASProtocolVersion", c.Version)
		if c.PolicyKey != "" {
			r.Header.Set("X-MS-PolicyKey", c.PolicyKey)
		}
	}
	r.Close = true
	c.say("C: " + command + " " + c.told(body))
	if err := r.Write(conn); err != nil {
		conn.Close()
		return nil, fmt.Errorf("%w: %v", ErrLost, err)
	}
	return &Call{conn, c, command, bufio.NewReader(conn), r}, nil
}

// told is a body for the transcript.
func (c *Client) told(body []byte) string {
	if c.Said == nil || len(body) == 0 {
		return ""
	}
	e, err := wbxml.Decode(bytes.NewReader(body), wbxml.Limits{})
	if err != nil {
		return fmt.Sprintf("%d bytes", len(body))
	}
	return Short(e)
}

func (c *Client) say(line string) {
	if c.Said != nil {
		c.Said(line)
	}
}

// Answer reads the answer.
func (k *Call) Answer() (*Answer, error) {
	defer k.Conn.Close()
	resp, err := http.ReadResponse(k.in, k.request)
	if err != nil {
		k.client.say("S: " + err.Error())
		return nil, fmt.Errorf("%w: %v", ErrLost, err)
	}
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		k.client.say("S: " + err.Error())
		return nil, fmt.Errorf("%w: %v", ErrLost, err)
	}
	a := &Answer{Code: resp.StatusCode, Header: resp.Header}
	if a.Code == http.StatusOK && len(body) > 0 {
		if a.Root, err = wbxml.Decode(bytes.NewReader(body), wbxml.Limits{}); err != nil {
			return nil, fmt.Errorf("%s: the answer can't be read: %w", k.command, err)
		}
	}
	k.client.say(fmt.Sprintf("S: %d %s", a.Code, Short(a.Root)))
	return a, nil
}

// Do sends a command and reads the answer.
func (c *Client) Do(command string, body []byte) (*Answer, error) {
	k, err := c.Start(command, body)
	if err != nil {
		return nil, err
	}
	return k.Answer()
}

// commandCodes are the codes of commands (MS-ASHTTP §2.2.1.1.1.1.2).
var commandCodes = map[string]byte{"Sync": 0, "SendMail": 1, "SmartForward": 2, "SmartReply": 3, "FolderSync": 9, "FolderCreate": 10, "FolderDelete": 11,
	"FolderUpdate": 12, "MoveItems": 13, "GetItemEstimate": 14, "Search": 16, "Settings": 17, "Ping": 18, "ItemOperations": 19, "Provision": 20}

func (c *Client) query(command string) string {
	if !c.Coded {
		q := url.Values{"Cmd": {command}, "User": {c.Login}, "DeviceId": {c.DeviceID}, "DeviceType": {c.DeviceType}}
		return q.Encode()
	}
	version, _ := strconv.Atoi(strings.ReplaceAll(c.Version, ".", ""))
	b := []byte{byte(version), commandCodes[command], 0x09, 0x04, byte(len(c.DeviceID))}
	b = append(b, c.DeviceID...)
	if key, err := strconv.ParseUint(c.PolicyKey, 10, 32); err == nil {
		b = binary.LittleEndian.AppendUint32(append(b, 4), uint32(key))
	} else {
		b = append(b, 0)
	}
	b = append(append(b, byte(len(c.DeviceType))), c.DeviceType...)
	return base64.StdEncoding.EncodeToString(b)
}

// bytesOf writes a document.
func bytesOf(e *wbxml.Element) []byte {
	var b bytes.Buffer
	_ = wbxml.Encode(&b, e) // into memory, of elements that are there
	return b.Bytes()
}

// Short writes an element in one line: names without namespaces.
func Short(e *wbxml.Element) string {
	if e == nil {
		return "nothing"
	}
	var b strings.Builder
	b.WriteString(e.Tag.Name())
	if e.Text != "" {
		fmt.Fprintf(&b, "=%.60q", e.Text)
	}
	if len(e.Children) > 0 {
		b.WriteString("(")
		for i, c := range e.Children {
			if i > 0 {
				b.WriteString(" ")
			}
			b.WriteString(Short(c))
		}
		b.WriteString(")")
	}
	return b.String()
}
