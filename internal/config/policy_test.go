package config

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"lockstep/internal/device"
	"lockstep/internal/mail"
)

func loadText(t *testing.T, text string) (Config, error) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "lockstep.toml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return Load(path)
}

const strictPolicy = `
[policy.strict]
new_devices = "quarantine"
unprovisioned = "block"
max_devices = 3
password = "alphanumeric"
password_min_length = 8
password_expires = "90d"
lock_after = "5m"
require = ["device-encryption"]
forbid = ["camera", "bluetooth-data"]
mail_age = "2w"
max_attachment = "5MiB"
approved_applications = []
`

func TestPoliciesAreWhatTheFileSays(t *testing.T) {
	c, err := loadText(t, strictPolicy+"[policy.default]\nmax_devices = 7\n")
	if err != nil {
		t.Fatal(err)
	}
	want := device.Policies{
		"default": {MaxDevices: 7},
		"strict": {NewDevices: mail.Quarantined, RefuseUnprovisioned: true, MaxDevices: 3,
			Password: device.PasswordRule{Required: true, Alphanumeric: true, MinLength: 8, Expires: 90 * 24 * time.Hour, LockAfter: 5 * time.Minute},
			Require:  []device.Requirement{device.DeviceEncryption}, Forbid: []device.Feature{device.Camera, device.BluetoothData},
			MailAge: device.TwoWeeks, MaxAttachment: 5 << 20},
	}
	if got := c.Policies(); !reflect.DeepEqual(got, want) {
		t.Fatalf("got  %+v\nwant %+v", got, want)
	}
	var b strings.Builder
	if err := c.Print(&b); err != nil {
		t.Fatal(err)
	}
	again, err := loadText(t, b.String())
	if err != nil || !reflect.DeepEqual(again.Policies(), want) {
		t.Fatalf("printed and read again: %v\n%s", err, b.String())
	}
}

func TestWithoutPoliciesTheDefaultOneAllowsAll(t *testing.T) {
	c, err := loadText(t, "")
	if err != nil || !reflect.DeepEqual(c.Policies(), device.Policies{"default": {MaxDevices: device.DefaultMaxDevices}}) {
		t.Fatalf("%+v, %v", c.Policies(), err)
	}
}

func TestPoliciesThatCanNotBe(t *testing.T) {
	for text, want := range map[string]string{
		"new_devices = \"maybe\"":        `policy.x.new_devices is "maybe", but it must be one of ["allow" "quarantine" "block"]`,
		"forbid = [\"cameras\"]":         `policy.x: forbid has "cameras", but knows "attachments"`,
		"require = [\"luck\"]":           `policy.x: require has "luck", but knows "device-encryption"`,
		"mail_age = \"3m\"":              "policy.x: mail_age is one of",
		"calendar_age = \"1d\"":          "policy.x: calendar_age is one of",
		"mail_age = \"5d\"":              `policy.x: mail_age has "5d"`,
		"password_min_length = 4":        `policy.x: what is asked of a password needs password`,
		"max_devices = 501":              "policy.x: max_devices is 1 to 500",
		"max_devices = -1":               "policy.x: max_devices is 1 to 500",
		"refresh = \"10m\"":              "policy.x: refresh is at least 1h",
		"lock_after = \"1d\"":            "policy.x: lock_after is whole seconds up to",
		"forbit = []":                    `unknown key "policy.x.forbit"; did you mean "policy.x.forbid"?`,
		"encrypt_algorithm = \"rot13\"":  `policy.x: encrypt_algorithm has "rot13"`,
		"max_body = \"2GiB\"":            "policy.x: max_body and max_html_body are less than 2GiB",
		"approved_applications = [\"\"]": "policy.x: at most 200 applications",
	} {
		if _, err := loadText(t, "[policy.x]\n"+text+"\n"); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s:\n got  %v\n want %s", text, err, want)
		}
	}
	for _, rule := range []string{"password_min_length = 17", "password_min_classes = 5", "password_attempts = 3", "password_attempts = 17", "password_history = 51", "password_expires = \"36h\"", "lock_after = \"9999s\""} {
		if _, err := loadText(t, "[policy.x]\npassword = \"any\"\n"+rule+"\n"); err == nil {
			t.Errorf("%s was taken", rule)
		}
	}
	if _, err := loadText(t, "[policy.Upper]\n"); err == nil || !strings.Contains(err.Error(), "lower case letters") {
		t.Error(err)
	}
}
