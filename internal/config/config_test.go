package config

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"
)

func TestDefaultsHold(t *testing.T) {
	c := Default()
	if err := c.check(); err != nil {
		t.Fatal(err)
	}
}

func TestWhatIsPrintedReadsBack(t *testing.T) {
	want := Default()
	want.Data = `/srv/"mail"`
	want.Listen.IMAP = Addresses{"127.0.0.1:143", "[::1]:143"}
	want.Listen.HTTP = Addresses{}
	want.Limits.Message = 1500
	want.History.Horizon = Duration(90 * time.Minute)
	var b strings.Builder
	if err := want.Print(&b); err != nil {
		t.Fatal(err)
	}
	var got Config
	if err := got.parse(b.String()); err != nil {
		t.Fatalf("%v\n%s", err, b.String())
	}
	if len(got.Listen.HTTP) == 0 {
		got.Listen.HTTP = Addresses{}
	}
	if !reflect.DeepEqual(got, want) {
		t.Fatalf("got  %+v\nwant %+v", got, want)
	}
}

func TestEveryKeySaysWhatItIsFor(t *testing.T) {
	walk(reflect.ValueOf(Default()), "", func(key, comment string, _ reflect.Value, table bool) {
		if comment == "" && !table {
			t.Errorf("%s has no comment", key)
		}
	})
}

func TestBrokenFilesAreNamedByLine(t *testing.T) {
	for _, c := range []struct{ name, text, want string }{
		{"unknown key", "data = \"x\"\n[listen]\nimpas = \"127.0.0.1:1\"\n", `lockstep.toml:3: unknown key "listen.impas"; did you mean "listen.imaps"?`},
		{"unknown table", "\n[limit]\nmessage = \"1MiB\"\n", `lockstep.toml:2: unknown key "limit"; did you mean "limits"?`},
		{"key in the wrong table", "[limits]\nhorizon = \"3d\"\n", `lockstep.toml:2: unknown key "limits.horizon"; did you mean "history.horizon"?`},
		{"nothing like it", "[limits]\nzzzzzzzzzz = 1\n", `lockstep.toml:2: unknown key "limits.zzzzzzzzzz"`},
		{"dotted key", "limits.mesage = \"1MiB\"\n", `lockstep.toml:1: unknown key "limits.mesage"; did you mean "limits.message"?`},
		{"no unit", "[limits]\n\nmessage = 50\n", `lockstep.toml:3: limits.message: "50" is not a size: write "50MiB", "2GB" or "0B"`},
		{"no time", "[history]\nhorizon = \"long\"\n", `lockstep.toml:2: history.horizon: "long" is not a time`},
		{"not an address", "[listen]\nimap = \"1143\"\n", `"1143" is not an address`},
		{"port out of range", "[listen]\nimap = \"127.0.0.1:70000\"\n", `"70000" is not a port`},
		{"wrong type", "[limits]\nconnections = \"many\"\n", "lockstep.toml:2: limits.connections:"},
		{"not TOML", "data = \n", "lockstep.toml:1:"},
		{"not a choice", "[auth]\nplaintext = \"sometimes\"\n", `lockstep.toml: auth.plaintext is "sometimes", but it must be one of ["loopback" "never" "always"]`},
		{"half a certificate", "[tls]\ncert = \"a.pem\"\n", "tls.cert and tls.key go together"},
		{"ACME without terms", "hostname = \"mail.example.org\"\n[tls]\nacme = true\n", "tls.acme_terms = true if you agree"},
		{"ACME without a name", "[tls]\nacme = true\nacme_terms = true\n", "tls.acme needs a hostname"},
		{"ACME beside files", "hostname = \"mail.example.org\"\n[tls]\nacme = true\nacme_terms = true\ncert = \"a\"\nkey = \"b\"\n", "set one of them"},
		{"ACME without TLS", "hostname = \"mail.example.org\"\n[tls]\nacme = true\nacme_terms = true\nacme_directory = \"http://a\"\n", "must be the https URL"},
		{"ACME that nobody can reach", "hostname = \"mail.example.org\"\n[listen]\nhttp = []\nhttps = []\n[tls]\nacme = true\nacme_terms = true\n", "listen.http or listen.https has to be set"},
		{"ACME for an address", "hostname = \"mail.example.org\"\n[tls]\nacme = true\nacme_terms = true\nacme_names = [\"192.0.2.1\"]\n", "is no name that an authority certifies"},
		{"ACME for this machine", "hostname = \"localhost\"\n[tls]\nacme = true\nacme_terms = true\n", "is no name that an authority certifies"},
		{"a proxy by name", "[listen]\nproxies = [\"balancer\"]\n", `listen.proxies: "balancer" is neither a network`},
		{"relay without host", "[outgoing]\nvia = \"relay\"\n", `needs "host:port"`},
		{"password in clear", "[outgoing]\nvia = \"relay\"\nrelay=\"a:25\"\nrelay_tls=\"none\"\nrelay_user=\"u\"\nrelay_password_file=\"f\"\n", "would send the relay's password in clear"},
		{"public_url without TLS", "public_url = \"http://mail.example.test\"\n", "must be https"},
		{"public_url with a path", "public_url = \"https://mail.example.test/mail\"\n", "must be https"},
		{"postmaster without domain", "postmaster = \"alice\"\n", "an address looks like alice@example.test"},
		{"a bus that is none", "[cluster]\nnotify = \"redis://a\"\n", `cluster.notify: it begins with "redis", but a NATS server's begins with nats:// or tls://`},
		{"no bucket", "[cluster]\nblobs = \"/var/mail\"\n", "names no bucket"},
		{"no room for what is fetched", "[cluster]\nblobs = \"s3://mail\"\ncache = \"1MiB\"\n", "cluster.cache is"},
		{"a backup of a bucket", "[cluster]\nblobs = \"s3://mail\"\n[backup]\nto = \"/backup\"\n", "have the bucket keep versions"},
		{"half a key of a bucket", "[cluster]\nblobs = \"s3://mail\"\n[cluster.s3]\naccess_key = \"a\"\n", "cluster.s3.access_key and cluster.s3.secret_key_file go together"},
		{"a bus for one server", "[cluster]\nnotify = \"nats://a:4222\"\n", "cluster.database is empty"},
		{"less than nothing to send", "[limits]\nsent_per_hour = -1\n", "limits.sent_per_hour must be a number of recipients, or 0 for no bound"},
		{"no room", "[limits]\nmessage = \"0B\"\n", "limits.message must be more than nothing"},
	} {
		t.Run(c.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "lockstep.toml")
			if err := os.WriteFile(path, []byte(c.text), 0o600); err != nil {
				t.Fatal(err)
			}
			_, err := Load(path)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Fatalf("%q:\n got  %v\n want %s", c.text, err, c.want)
			}
		})
	}
}

func TestAMissingFileSaysHowToMakeOne(t *testing.T) {
	_, err := Load(filepath.Join(t.TempDir(), "no.toml"))
	if err == nil || !strings.Contains(err.Error(), "config print --defaults >") {
		t.Fatal(err)
	}
}

func TestFilesAreFoundInOrder(t *testing.T) {
	t.Setenv(PathVariable, "/from/environment")
	if got := Find("/named"); got != "/named" {
		t.Error(got)
	}
	if got := Find(""); got != "/from/environment" {
		t.Error(got)
	}
}

func TestUnits(t *testing.T) {
	for text, want := range map[string]Duration{"30s": Duration(30 * time.Second), "2d": Duration(48 * time.Hour), "36h": Duration(36 * time.Hour), "10m": Duration(10 * time.Minute), "0s": 0} {
		var d Duration
		if err := d.UnmarshalText([]byte(text)); err != nil || d != want || d.String() != text {
			t.Errorf("%s: got %v, %v, spelt %s", text, d, err, d)
		}
	}
	for text, want := range map[string]Size{"50MiB": 50 << 20, "1500B": 1500, "3GiB": 3 << 30, "0B": 0} {
		var s Size
		if err := s.UnmarshalText([]byte(text)); err != nil || s != want || s.String() != text {
			t.Errorf("%s: got %d, %v, spelt %s", text, s, err, s)
		}
	}
	for _, text := range []string{"", "-1d", "d", "1w", "-5s", "99999999d"} {
		if err := new(Duration).UnmarshalText([]byte(text)); err == nil {
			t.Errorf("%q was taken as a time", text)
		}
	}
	for _, text := range []string{"", "B", "-1MiB", "1", "NaNB", "9999999999TiB"} {
		if err := new(Size).UnmarshalText([]byte(text)); err == nil {
			t.Errorf("%q was taken as a size", text)
		}
	}
}

func TestShippedConfigurationLoads(t *testing.T) {
	c, err := Load("../../deploy/docker.toml")
	if err != nil || c.Data != "/var/lib/lockstep" || len(c.Listen.HTTPS) != 0 {
		t.Errorf("%+v, %v", c, err)
	}
}
