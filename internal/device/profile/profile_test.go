package profile

import (
	"bytes"
	"encoding/xml"
	"errors"
	"io"
	"strings"
	"testing"
)

var alice = Account{Name: "Mail & more", Owner: "Alice <A>", Login: "alice@example.test", Password: "abcde-fghij", Host: "mail.example.test", IMAP: 993, Submission: 465}

// plist reads a property list: its keys in their order, each with what follows it.
func plist(t testing.TB, text []byte) map[string]string {
	t.Helper()
	all, key := map[string]string{}, ""
	for d := xml.NewDecoder(bytes.NewReader(text)); ; {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			return all
		}
		if err != nil {
			t.Fatal(err)
		}
		start, ok := token.(xml.StartElement)
		if !ok {
			continue
		}
		switch start.Name.Local {
		case "key":
			if err := d.DecodeElement(&key, &start); err != nil {
				t.Fatal(err)
			}
		case "string", "integer":
			var v string
			if err := d.DecodeElement(&v, &start); err != nil {
				t.Fatal(err)
			}
			all[key] = v
		case "true", "false":
			all[key] = start.Name.Local
		}
	}
}

func write(t testing.TB, a Account) map[string]string {
	t.Helper()
	var b bytes.Buffer
	if err := Write(&b, a); err != nil {
		t.Fatal(err)
	}
	return plist(t, b.Bytes())
}

func TestMailIsSetUp(t *testing.T) {
	got := write(t, alice)
	for key, want := range map[string]string{
		"EmailAccountType": "EmailTypeIMAP", "EmailAccountDescription": "Mail & more", "EmailAccountName": "Alice <A>", "IncomingMailServerHostName": "mail.example.test",
		"IncomingMailServerPortNumber": "993", "OutgoingMailServerPortNumber": "465", "IncomingPassword": "abcde-fghij", "IncomingMailServerUseSSL": "true", "PayloadRemovalDisallowed": "false",
	} {
		if got[key] != want {
			t.Errorf("%s is %q, want %q", key, got[key], want)
		}
	}
}

func TestExchangeIsSetUp(t *testing.T) {
	a := alice
	a.ActiveSync = true
	got := write(t, a)
	for key, want := range map[string]string{"Host": "mail.example.test", "UserName": "alice@example.test", "Password": "abcde-fghij", "SSL": "true"} {
		if got[key] != want {
			t.Errorf("%s is %q, want %q", key, got[key], want)
		}
	}
}

// One that comes again replaces the one before.
func TestTheSameAccountHasTheSameName(t *testing.T) {
	again := alice
	again.Password = "other-secret"
	if one, two := write(t, alice), write(t, again); one["PayloadUUID"] != two["PayloadUUID"] || len(one["PayloadUUID"]) != 36 {
		t.Error(one["PayloadUUID"], two["PayloadUUID"])
	}
	again.Login = "bob@example.test"
	if one, two := write(t, alice), write(t, again); one["PayloadUUID"] == two["PayloadUUID"] {
		t.Error("two accounts have one name")
	}
}

type full struct{}

func (full) Write([]byte) (int, error) { return 0, errors.New("full") }

func TestAFaultIsTold(t *testing.T) {
	if err := Write(full{}, alice); err == nil || !strings.Contains(err.Error(), "full") {
		t.Error(err)
	}
}
