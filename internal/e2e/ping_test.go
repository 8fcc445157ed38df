package e2e

import (
	"bytes"
	"crypto/tls"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"lockstep/internal/eas/wbxml"
)

// waitingPhone is an ActiveSync phone that waits, over TLS and one connection.
type waitingPhone struct {
	s      *server
	client *http.Client
	id     string
	inbox  string
	key    string
}

func (s *server) waitingPhone(id string) *waitingPhone {
	s.t.Helper()
	// The certificate is one that the server made for itself.
	p := &waitingPhone{s: s, id: id, key: "0", client: &http.Client{Transport: &http.Transport{MaxConnsPerHost: 1, TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}}}
	s.t.Cleanup(p.client.CloseIdleConnections)
	folders := p.asks("FolderSync", wbxml.New(wbxml.FolderFolderSync, wbxml.Text(wbxml.FolderSyncKey, "0")))
	for f := range folders.Child(wbxml.FolderChanges).All(wbxml.FolderAdd) {
		if f.Get(wbxml.FolderType) == "2" {
			p.inbox = f.Get(wbxml.FolderServerId)
		}
	}
	for p.sync() != nil {
	}
	return p
}

// asks sends a command; an empty answer is nil.
func (p *waitingPhone) asks(command string, in *wbxml.Element) *wbxml.Element {
	p.s.t.Helper()
	e, _, err := p.ask(command, in)
	if err != nil {
		p.s.t.Fatal(err)
	}
	return e
}

func (p *waitingPhone) ask(command string, in *wbxml.Element) (e *wbxml.Element, last bool, err error) {
	var body bytes.Buffer
	if in != nil {
		if err := wbxml.Encode(&body, in); err != nil {
			return nil, false, err
		}
	}
	url := "https://127.0.0.1:" + p.s.ports["https"] + "/Microsoft-Server-ActiveSync?Cmd=" + command + "&User=alice&DeviceType=Phone&DeviceId=" + p.id
	r, err := http.NewRequest(http.MethodPost, url, &body)
	if err != nil {
		return nil, false, err
	}
	r.SetBasicAuth(alice, password)
	r.Header.Set("MS-ASProtocolVersion", "16.1")
	r.Header.Set("Content-Type", "application/vnd.ms-sync.wbxml")
	resp, err := p.client.Do(r)
	if err != nil {
		return nil, false, err
	}
	defer resp.Body.Close()
	said, err := io.ReadAll(resp.Body)
	if err != nil || len(said) == 0 {
		return nil, resp.Close, err
	}
	e, err = wbxml.Decode(bytes.NewReader(said), wbxml.Limits{})
	return e, resp.Close, err
}

// sync brings INBOX a step on; nil when nothing is new.
func (p *waitingPhone) sync() *wbxml.Element {
	p.s.t.Helper()
	e := p.asks("Sync", wbxml.New(wbxml.AirSyncSync, wbxml.New(wbxml.AirSyncCollections, wbxml.New(wbxml.AirSyncCollection,
		wbxml.Text(wbxml.AirSyncSyncKey, p.key), wbxml.Text(wbxml.AirSyncCollectionId, p.inbox)))))
	if e != nil {
		p.key = e.Child(wbxml.AirSyncCollections).Child(wbxml.AirSyncCollection).Get(wbxml.AirSyncSyncKey)
	}
	return e
}

// answered is how a Ping ended: its status, and whether the connection did too.
type answered struct {
	status string
	last   bool
	err    error
}

// ping begins to wait.
func (p *waitingPhone) ping() <-chan answered {
	p.s.t.Helper()
	before := p.s.metric("http_waiting", "")
	said := make(chan answered, 1)
	go func() {
		e, last, err := p.ask("Ping", wbxml.New(wbxml.PingPing, wbxml.Int(wbxml.PingHeartbeatInterval, 3540),
			wbxml.New(wbxml.PingFolders, wbxml.New(wbxml.PingFolder, wbxml.Text(wbxml.PingId, p.inbox), wbxml.Text(wbxml.PingClass, "Email")))))
		said <- answered{e.Get(wbxml.PingStatus), last, err}
	}()
	if !eventually(func() bool { return len(said) > 0 || p.s.metric("http_waiting", "") > before }) {
		p.s.t.Fatal("it does not wait")
	}
	return said
}

func (s *server) hears(said <-chan answered, want answered) {
	s.t.Helper()
	select {
	case got := <-said:
		if got != want {
			s.t.Errorf("%+v, want %+v", got, want)
		}
	case <-time.After(patience):
		s.t.Fatalf("no answer; want %+v", want)
	}
}

// Phones wait under TLS and hear of mail at once, of another's hand on their account,
// and of the server's end; autodiscovery leads them there.
func TestPhonesThatWaitAreAnswered(t *testing.T) {
	t.Parallel()
	s := newServer(t, "")
	s.addAccount(alice)
	s.start()
	phone := s.waitingPhone("PHONE1")
	said := phone.ping()
	c, err := s.dial(alice, password)
	if err != nil {
		t.Fatal(err)
	}
	defer c.close()
	text := "Subject: hello\r\n\r\nhello\r\n"
	if _, err := c.do("APPEND INBOX {%d+}\r\n%s", len(text), text); err != nil {
		t.Fatal(err)
	}
	s.hears(said, answered{status: "2"})
	if e := phone.sync(); e == nil || !e.Child(wbxml.AirSyncCollections).Child(wbxml.AirSyncCollection).Has(wbxml.AirSyncCommands) {
		t.Error("the Ping told of nothing")
	}
	for phone.sync() != nil {
	}
	said = phone.ping()
	s.lockstep("", "device", "block", alice, "Go-http-client")
	s.hears(said, answered{status: "1"}) // it asks again, and hears why
	if e := phone.asks("Ping", nil); e.Get(wbxml.PingStatus) != "129" {
		t.Errorf("a blocked device hears status %q", e.Get(wbxml.PingStatus))
	}
	s.stop()
}

// A server that stops answers who waits.
func TestAServerThatStopsAnswersWhoWaits(t *testing.T) {
	t.Parallel()
	s := newServer(t, "")
	s.addAccount(alice)
	s.start()
	var all []<-chan answered
	for _, id := range []string{"PHONE1", "PHONE2", "PHONE3"} {
		all = append(all, s.waitingPhone(id).ping())
	}
	s.stop()
	for _, said := range all {
		s.hears(said, answered{status: "1", last: true})
	}
	if strings.Contains(s.log.String(), "have not ended") {
		t.Error(s.log)
	}
}

func TestAutodiscoverLeadsToTheServer(t *testing.T) {
	t.Parallel()
	s := newServer(t, "")
	s.addAccount(alice)
	s.start()
	phone := s.waitingPhone("PHONE1")
	url := "https://127.0.0.1:" + s.ports["https"] + "/Autodiscover/Autodiscover.xml"
	const schema = "http://schemas.microsoft.com/exchange/autodiscover/mobilesync/responseschema/2006"
	r, err := http.NewRequest(http.MethodPost, url, strings.NewReader("<Autodiscover><Request><EMailAddress>"+alice+"</EMailAddress><AcceptableResponseSchema>"+schema+"</AcceptableResponseSchema></Request></Autodiscover>"))
	if err != nil {
		t.Fatal(err)
	}
	r.SetBasicAuth(alice, password)
	resp, err := phone.client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	said, err := io.ReadAll(resp.Body)
	if want := "<Url>https://mail.example.test:" + s.ports["https"] + "/Microsoft-Server-ActiveSync</Url>"; err != nil || !strings.Contains(string(said), want) {
		t.Errorf("%s, %v; want %s", said, err, want)
	}
	s.stop()
}
