package e2e

import (
	"bytes"
	"crypto/tls"
	"encoding/json"
	"io"
	"net/http"
	"net/http/cookiejar"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/pquerna/otp/totp"
)

// page is a browser with a page of the server in it.
type page struct {
	t    *testing.T
	at   string
	http *http.Client
	csrf string
}

func (s *server) page() *page {
	jar, err := cookiejar.New(nil)
	if err != nil {
		s.t.Fatal(err)
	}
	transport := &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}
	s.t.Cleanup(transport.CloseIdleConnections)
	return &page{t: s.t, at: "https://localhost:" + s.ports["https"], http: &http.Client{Jar: jar, Transport: transport, Timeout: patience}}
}

// ask asks as a page does, and decodes what is answered.
func (p *page) ask(status int, method, path string, body, into any) {
	p.t.Helper()
	text, err := json.Marshal(body)
	if err != nil {
		p.t.Fatal(err)
	}
	r, err := http.NewRequest(method, p.at+path, bytes.NewReader(text))
	if err != nil {
		p.t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Sec-Fetch-Site", "same-origin")
	r.Header.Set("X-CSRF-Token", p.csrf)
	resp, err := p.http.Do(r)
	if err != nil {
		p.t.Fatal(err)
	}
	defer resp.Body.Close()
	got, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != status {
		p.t.Fatalf("%s %s: %d %s, %v", method, path, resp.StatusCode, got, err)
	}
	if into != nil {
		if err := json.Unmarshal(got, into); err != nil {
			p.t.Fatalf("%s: %v", got, err)
		}
	}
}

// object is JSON.
type object map[string]any

func TestABrowserSignsInAndStaysSo(t *testing.T) {
	s := newServer(t, "")
	config, err := os.ReadFile(s.config)
	if err != nil {
		t.Fatal(err)
	}
	config = append([]byte("public_url = \"https://localhost:"+s.ports["https"]+"\"\n"), config...)
	if err := os.WriteFile(s.config, config, 0o600); err != nil {
		t.Fatal(err)
	}
	s.start()
	s.addAccount(alice)
	p := s.page()
	p.ask(401, "GET", "/auth/session", nil, nil)
	var in struct{ Account, CSRF string }
	p.ask(200, "POST", "/auth/sign-in", object{"login": alice, "password": password, "deviceName": "Kitchen"}, &in)
	p.csrf = in.CSRF
	var session struct{ Username string }
	p.ask(200, "GET", "/jmap/session", nil, &session)
	if session.Username != alice {
		t.Errorf("JMAP knows %+v", session)
	}
	if list := s.lockstep("", "device", "list", alice); !strings.Contains(list, "Kitchen") {
		t.Error(list)
	}
	s.kill()
	s.start()
	p.ask(200, "GET", "/auth/session", nil, nil)

	var e struct{ Secret string }
	p.ask(200, "POST", "/auth/account/totp/begin", nil, &e)
	code, err := totp.GenerateCode(e.Secret, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	p.ask(200, "POST", "/auth/account/totp/confirm", object{"code": code}, nil)
	if _, err := s.dial(alice, password); err == nil || !strings.Contains(err.Error(), "app password") {
		t.Errorf("IMAP with the password alone: %v", err)
	}
	c, err := s.dial(alice, s.addDevice("laptop"))
	if err != nil {
		t.Fatal(err)
	}
	told, err := c.do("GETJMAPACCESS")
	c.close()
	if err != nil || !strings.Contains(strings.Join(told, ""), `* JMAPACCESS "https://localhost:`+s.ports["https"]) {
		t.Errorf("%q, %v", told, err)
	}
	if out := s.lockstep("", "account", "second-factor", "remove", alice); !strings.Contains(out, "password alone now") {
		t.Error(out)
	}
	if c, err = s.dial(alice, password); err != nil {
		t.Errorf("without a second factor: %v", err)
	} else {
		c.close()
	}
	s.lockstep("", "device", "block", alice, "Kitchen")
	p.ask(403, "GET", "/auth/session", nil, nil)
	if log := s.log.String(); strings.Contains(log, e.Secret) || strings.Contains(log, in.CSRF) || strings.Contains(log, password) {
		t.Error("a secret is in the log")
	}
}
