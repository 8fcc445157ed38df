package e2e

import (
	"bytes"
	"net/http"
	"strings"
	"testing"

	"lockstep/internal/eas/wbxml"
)

// pocketPhone is an ActiveSync phone that knows how to be provisioned and wiped.
type pocketPhone struct {
	s      *server
	secret string
	key    string
}

// asks sends a command; the answer is nil unless it is a document.
func (p *pocketPhone) asks(command string, in *wbxml.Element) (*wbxml.Element, int) {
	p.s.t.Helper()
	var body bytes.Buffer
	if err := wbxml.Encode(&body, in); err != nil {
		p.s.t.Fatal(err)
	}
	url := "http://127.0.0.1:" + p.s.ports["http"] + "/Microsoft-Server-ActiveSync?Cmd=" + command + "&User=alice&DeviceId=POCKET1&DeviceType=Phone"
	r, err := http.NewRequestWithContext(p.s.t.Context(), http.MethodPost, url, &body)
	if err != nil {
		p.s.t.Fatal(err)
	}
	r.SetBasicAuth(alice, p.secret)
	r.Header.Set("MS-ASProtocolVersion", "16.1")
	r.Header.Set("Content-Type", "application/vnd.ms-sync.wbxml")
	r.Header.Set("X-MS-PolicyKey", p.key)
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		p.s.t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, resp.StatusCode
	}
	e, err := wbxml.Decode(resp.Body, wbxml.Limits{})
	if err != nil {
		p.s.t.Fatalf("%s: %v", command, err)
	}
	return e, resp.StatusCode
}

// folders is the status of a FolderSync.
func (p *pocketPhone) folders() string {
	p.s.t.Helper()
	e, _ := p.asks("FolderSync", wbxml.New(wbxml.FolderFolderSync, wbxml.Text(wbxml.FolderSyncKey, "0")))
	return e.Get(wbxml.FolderStatus)
}

func (p *pocketPhone) provision(children ...*wbxml.Element) *wbxml.Element {
	p.s.t.Helper()
	e, _ := p.asks("Provision", wbxml.New(wbxml.ProvisionProvision, children...))
	return e
}

// takesPolicy does both steps of Provision.
func (p *pocketPhone) takesPolicy() {
	p.s.t.Helper()
	about := wbxml.New(wbxml.SettingsDeviceInformation, wbxml.New(wbxml.SettingsSet, wbxml.Text(wbxml.SettingsModel, "Pocket 3")))
	for _, status := range []string{"", "1"} {
		policy := wbxml.New(wbxml.ProvisionPolicy, wbxml.Text(wbxml.ProvisionPolicyType, "MS-EAS-Provisioning-WBXML"))
		if status != "" {
			policy.Add(wbxml.Text(wbxml.ProvisionPolicyKey, p.key), wbxml.Text(wbxml.ProvisionStatus, status))
			about = nil
		}
		e := p.provision(about, wbxml.New(wbxml.ProvisionPolicies, policy))
		if p.key = e.Child(wbxml.ProvisionPolicies).Child(wbxml.ProvisionPolicy).Get(wbxml.ProvisionPolicyKey); p.key == "" {
			p.s.t.Fatal("no key")
		}
	}
}

// A phone that takes its policy, is lost and is told to remove the account, by a server
// that is killed at every turn.
func TestAPhoneIsUnderControl(t *testing.T) {
	s := newServer(t, "[policy.staff]\nunprovisioned = \"block\"\npassword = \"any\"\n")
	s.addAccount(alice)
	phone := &pocketPhone{s: s, secret: s.addDevice("pocket")}
	s.start()
	turn := func(name, got, want string) {
		t.Helper()
		if got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
		s.kill()
		s.start()
	}
	turn("under no policy", phone.folders(), "1")
	s.lockstep("", "device", "policy", alice, "staff")
	turn("under a policy", phone.folders(), "142")
	phone.takesPolicy()
	turn("with the policy", phone.folders(), "1")
	show := func(want string) {
		t.Helper()
		if out := s.lockstep("", "device", "show", alice, "pocket"); !strings.Contains(out, want) {
			t.Errorf("%q is not in\n%s", want, out)
		}
	}
	show("Pocket 3")
	show("staff; the device answered at ")
	if out := s.lockstep("", "device", "wipe", alice, "pocket"); !strings.Contains(out, "is told to remove the account when it next comes") {
		t.Error(out)
	}
	turn("lost", phone.folders(), "140")
	told := phone.provision()
	if !told.Has(wbxml.ProvisionAccountOnlyRemoteWipe) {
		t.Error("it is not told")
	}
	turn("told", told.Get(wbxml.ProvisionStatus), "1")
	show("to remove the account: sent at ")
	done := phone.provision(wbxml.New(wbxml.ProvisionAccountOnlyRemoteWipe, wbxml.Text(wbxml.ProvisionStatus, "1")))
	turn("done", done.Get(wbxml.ProvisionStatus), "1")
	show("to remove the account: confirmed at ")
	if _, code := phone.asks("FolderSync", wbxml.New(wbxml.FolderFolderSync)); code != http.StatusUnauthorized {
		t.Errorf("its password still opens: HTTP %d", code)
	}
	for _, want := range []string{"ask pocket to remove the account", "tell pocket to remove the account", "hear from pocket that it will remove the account"} {
		if out := s.lockstep("", "history", alice); !strings.Contains(out, want) {
			t.Errorf("%q is not in\n%s", want, out)
		}
	}
}
