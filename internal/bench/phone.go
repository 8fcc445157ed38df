package bench

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"encoding/base64"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"

	"lockstep/internal/eas/wbxml"
)

// phone is one device that speaks ActiveSync 16.1 over one connection under TLS. Used
// by one goroutine.
type phone struct {
	net.Conn
	in   *bufio.Reader
	head string // of each request: %s is the command, %d the length of the body
	// What it holds of INBOX.
	inbox, key string
	first      string // its newest message …
	read       bool   // … which was read

	woken time.Time // when it was told of a change last
	heard time.Time // when it had read the last answer, and had not decoded it
}

// dialPhone connects and brings INBOX in step.
func (s *site) dialPhone(account, device string) (*phone, error) {
	nc, err := net.DialTimeout("tcp", s.httpsAddr(), 10*time.Second)
	if err != nil {
		return nil, err
	}
	// The certificate is one the server made for itself, on loopback.
	secure := tls.Client(nc, &tls.Config{InsecureSkipVerify: true})
	p := &phone{Conn: secure, in: bufio.NewReaderSize(secure, 4096)}
	p.head = "POST /Microsoft-Server-ActiveSync?Cmd=%s&User=" + account + "&DeviceId=" + device + "&DeviceType=Bench HTTP/1.1\r\nHost: " + s.httpsAddr() +
		"\r\nMS-ASProtocolVersion: 16.1\r\nContent-Type: application/vnd.ms-sync.wbxml\r\nUser-Agent: Bench/1.0\r\nAuthorization: Basic " +
		base64.StdEncoding.EncodeToString([]byte(address(account)+":"+password)) + "\r\nContent-Length: %d\r\n\r\n"
	if err := p.begin(); err != nil {
		p.Close()
		return nil, fmt.Errorf("%s: phone %s of %s: %w", s.name(), device, account, err)
	}
	return p, nil
}

// begin finds INBOX and reads it.
func (p *phone) begin() error {
	folders, err := p.ask("FolderSync", wbxml.New(wbxml.FolderFolderSync, wbxml.Text(wbxml.FolderSyncKey, "0")))
	if err != nil {
		return err
	}
	for f := range folders.Child(wbxml.FolderChanges).All(wbxml.FolderAdd) {
		if f.Get(wbxml.FolderType) == "2" {
			p.inbox = f.Get(wbxml.FolderServerId)
		}
	}
	p.key = "0"
	for more := true; more; {
		first := p.key == "0"
		c, err := p.sync()
		if err != nil {
			return err
		}
		more = first || c.Has(wbxml.AirSyncMoreAvailable)
		for item := range c.Child(wbxml.AirSyncCommands).All(wbxml.AirSyncAdd) {
			if p.first == "" {
				p.first, p.read = item.Get(wbxml.AirSyncServerId), item.Child(wbxml.AirSyncApplicationData).Get(wbxml.EmailRead) == "1"
			}
		}
	}
	return nil
}

// ask sends a command and returns its answer; an empty one is nil.
func (p *phone) ask(command string, in *wbxml.Element) (*wbxml.Element, error) {
	if err := p.send(command, in); err != nil {
		return nil, err
	}
	return p.answer()
}

// send sends a command.
func (p *phone) send(command string, in *wbxml.Element) error {
	var body, all bytes.Buffer
	if err := wbxml.Encode(&body, in); err != nil {
		return err
	}
	fmt.Fprintf(&all, p.head, command, body.Len())
	all.Write(body.Bytes())
	p.SetDeadline(time.Now().Add(patience))
	_, err := p.Write(all.Bytes())
	return err
}

// answer reads an answer.
func (p *phone) answer() (*wbxml.Element, error) {
	p.SetDeadline(time.Now().Add(patience))
	r, err := http.ReadResponse(p.in, nil)
	if err != nil {
		return nil, err
	}
	defer r.Body.Close()
	if r.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s", r.Status)
	}
	body, err := io.ReadAll(r.Body)
	p.heard = time.Now()
	if err != nil || len(body) == 0 {
		return nil, err
	}
	return wbxml.Decode(bytes.NewReader(body), wbxml.Limits{})
}

// syncing is a Sync of INBOX.
func (p *phone) syncing(commands ...*wbxml.Element) *wbxml.Element {
	c := wbxml.New(wbxml.AirSyncCollection, wbxml.Text(wbxml.AirSyncSyncKey, p.key), wbxml.Text(wbxml.AirSyncCollectionId, p.inbox))
	if p.key != "0" {
		c.Add(wbxml.Int(wbxml.AirSyncWindowSize, 512))
	}
	if len(commands) > 0 {
		c.Add(wbxml.New(wbxml.AirSyncCommands, commands...))
	}
	return wbxml.New(wbxml.AirSyncSync, wbxml.New(wbxml.AirSyncCollections, c))
}

// sync brings INBOX in step; it returns what was said of it, nil for nothing new.
func (p *phone) sync(commands ...*wbxml.Element) (*wbxml.Element, error) {
	if err := p.send("Sync", p.syncing(commands...)); err != nil {
		return nil, err
	}
	return p.synced()
}

// synced reads the answer to a Sync.
func (p *phone) synced() (*wbxml.Element, error) {
	root, err := p.answer()
	if err != nil || root == nil {
		return nil, err
	}
	c := root.Child(wbxml.AirSyncCollections).Child(wbxml.AirSyncCollection)
	if status := c.Get(wbxml.AirSyncStatus); status != "1" {
		return nil, fmt.Errorf("status %q, %q of Sync", root.Get(wbxml.AirSyncStatus), status)
	}
	p.key = c.Get(wbxml.AirSyncSyncKey)
	return c, nil
}

// ping begins to wait for INBOX.
func (p *phone) ping() error {
	return p.send("Ping", wbxml.New(wbxml.PingPing, wbxml.Int(wbxml.PingHeartbeatInterval, 3540),
		wbxml.New(wbxml.PingFolders, wbxml.New(wbxml.PingFolder, wbxml.Text(wbxml.PingId, p.inbox), wbxml.Text(wbxml.PingClass, "Email")))))
}
