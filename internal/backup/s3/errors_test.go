package s3_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"lockstep/internal/backup/s3"
	"lockstep/internal/backup/s3/s3test"
	"lockstep/internal/backup/targettest"
	"lockstep/internal/freeport"
	"lockstep/internal/mail"
)

// clean takes what the environment says of AWS away.
func clean(t *testing.T) {
	t.Helper()
	for _, v := range []string{"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_REGION", "AWS_DEFAULT_REGION", "AWS_PROFILE", "AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3", "HTTP_PROXY", "HTTPS_PROXY"} {
		t.Setenv(v, "")
	}
	t.Setenv("AWS_SHARED_CREDENTIALS_FILE", filepath.Join(t.TempDir(), "none"))
	t.Setenv("AWS_CONFIG_FILE", filepath.Join(t.TempDir(), "none"))
	t.Setenv("AWS_EC2_METADATA_DISABLED", "true")
}

// each runs every call of a target.
func each(ctx context.Context, to *s3.Target, see func(call string, err error)) {
	see("put", targettest.Put(ctx, to, "a", []byte("a")))
	see("put large", targettest.Put(ctx, to, "b", make([]byte, partSize+1)))
	_, err := to.PutIf(ctx, "c", strings.NewReader("c"), 1, s3.Absent)
	see("put if", err)
	_, err = targettest.Get(ctx, to, "a", 0, -1)
	see("get", err)
	_, err = targettest.Names(ctx, to, "")
	see("list", err)
	see("delete", to.Delete(ctx, "a"))
}

func wantAll(t *testing.T, cfg s3.Config, kind mail.Kind, words string) {
	t.Helper()
	each(t.Context(), open(t, cfg), func(call string, err error) {
		if mail.KindOf(err) != kind || !strings.Contains(mail.DetailOf(err), words) || errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s: %v, want %v and %q", call, err, kind, words)
		}
		if err != nil && strings.Contains(err.Error(), s3test.Secret) {
			t.Errorf("%s tells the secret: %v", call, err)
		}
	})
}

func TestWrongBucketIsTold(t *testing.T) {
	cfg := config(s3test.Start(t), "p")
	cfg.Bucket = "another"
	wantAll(t, cfg, mail.Invalid, "there is no such bucket")
}

func TestWrongKeyIsTold(t *testing.T) {
	cfg := config(s3test.Start(t), "p")
	cfg.AccessKey = "nobody"
	wantAll(t, cfg, mail.BadCredentials, "does not know the access key")
}

func TestWrongSecretIsTold(t *testing.T) {
	cfg := config(s3test.Start(t), "p")
	cfg.SecretKeyFile = filepath.Join(t.TempDir(), "wrong")
	if err := os.WriteFile(cfg.SecretKeyFile, []byte("wrong\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	wantAll(t, cfg, mail.BadCredentials, "secret")
}

func TestWhatIsNotAllowedIsTold(t *testing.T) {
	srv := s3test.Start(t)
	srv.AddUser(t, "stranger", "another-secret")
	cfg := config(srv, "p")
	cfg.AccessKey, cfg.SecretKeyFile = "stranger", filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(cfg.SecretKeyFile, []byte("another-secret\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	wantAll(t, cfg, mail.Denied, "does not allow s3:")
}

func TestServerThatIsNotThereIsTold(t *testing.T) {
	nobody, err := freeport.Address()
	if err != nil {
		t.Fatal(err)
	}
	cfg := canned(t, "http://"+nobody)
	wantAll(t, cfg, mail.Unavailable, "can't be reached")
}

// A server that takes connections and says nothing is given up.
func TestSilentServerIsGivenUp(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	cfg := canned(t, "http://"+l.Addr().String())
	cfg.Stall, cfg.Attempts = 50*time.Millisecond, 2
	wantAll(t, cfg, mail.Unavailable, "can't be reached")
}

func TestUntrustedCertificateIsTold(t *testing.T) {
	asked := 0
	srv := httptest.NewUnstartedServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { asked++ }))
	srv.Config.ErrorLog = log.New(io.Discard, "", 0)
	srv.StartTLS()
	defer srv.Close()
	wantAll(t, canned(t, srv.URL), mail.Denied, "certificate is not trusted")
	if asked > 0 {
		t.Error("it was asked all the same")
	}
}

// canned is a configuration for a server that only answers errors.
func canned(t *testing.T, endpoint string) s3.Config {
	t.Helper()
	secret := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(secret, []byte(s3test.Secret), 0o600); err != nil {
		t.Fatal(err)
	}
	return s3.Config{Bucket: s3test.Bucket, Endpoint: endpoint, AccessKey: "k", SecretKeyFile: secret, PartSize: partSize, Attempts: 3, MaxPause: time.Millisecond, Stall: time.Second}
}

func TestWhatServersAnswerIsTold(t *testing.T) {
	for _, c := range []struct {
		status   int
		code     string
		kind     mail.Kind
		words    string
		attempts int
	}{
		{403, "RequestTimeTooSkewed", mail.Invalid, "clock", 0},
		{301, "PermanentRedirect", mail.Invalid, "another region", 1},
		{400, "AuthorizationHeaderMalformed", mail.Invalid, "backup.s3.region", 1},
		{400, "ExpiredToken", mail.BadCredentials, "session", 1},
		{403, "AccessDenied", mail.Denied, "s3:PutObject", 1},
		{503, "SlowDown", mail.Unavailable, "try again later", 3},
		{500, "InternalError", mail.Unavailable, "try again later", 3},
		{400, "RequestTimeout", mail.Unavailable, "try again later", 3},
		{400, "BadDigest", mail.Unavailable, "try again later", 3},
		{507, "InsufficientStorage", mail.Unavailable, "full", 1},
		{507, "XMinioStorageFull", mail.Unavailable, "full", 1},
		{501, "NotImplemented", mail.Unimplemented, "can't do", 1},
		{409, "OperationAborted", mail.Internal, "refused", 0},
		{429, "", mail.Unavailable, "429", 3},
		{502, "", mail.Unavailable, "502", 3},
		{403, "", mail.Denied, "credentials", 1},
		{308, "", mail.Invalid, "backup.s3.region", 1},
		{300, "", mail.Internal, "refused", 1},
		{418, "", mail.Internal, "refused", 1},
		{418, "IAmATeapot", mail.Internal, "refused", 1},
	} {
		t.Run(fmt.Sprintf("%d %s", c.status, c.code), func(t *testing.T) {
			asked := 0
			srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				asked++
				w.WriteHeader(c.status)
				if c.code != "" {
					fmt.Fprintf(w, "<Error><Code>%s</Code><Message>no</Message></Error>", c.code)
				}
			}))
			defer srv.Close()
			err := targettest.Put(t.Context(), open(t, canned(t, srv.URL)), "a", []byte("a"))
			if mail.KindOf(err) != c.kind || !strings.Contains(err.Error(), c.words) {
				t.Errorf("%v: %v", mail.KindOf(err), err)
			}
			if c.attempts > 0 && asked != c.attempts {
				t.Errorf("asked %d times, want %d", asked, c.attempts)
			}
		})
	}
}

// Answers that make no sense are errors, of whatever Kind.
func TestNonsenseIsAnError(t *testing.T) {
	for _, body := range []string{"", "<html>It works!</html>", "<ListBucketResult><Contents>", strings.Repeat("<a>", 10_000)} {
		srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, body) }))
		to := open(t, canned(t, srv.URL))
		if err := targettest.Put(t.Context(), to, "b", make([]byte, partSize+1)); err == nil {
			t.Errorf("an upload in parts was answered %.20q and taken as done", body)
		}
		if b, err := targettest.Get(t.Context(), to, "a", 7, 5); err == nil {
			t.Errorf("a range was asked for, %.20q taken as one: %q", body, b)
		}
		srv.Close()
	}
}

func TestOpenRefuses(t *testing.T) {
	clean(t)
	dir := t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	for name, c := range map[string]struct {
		cfg   s3.Config
		kind  mail.Kind
		words string
	}{
		"no credentials":      {s3.Config{Bucket: "b"}, mail.BadCredentials, "there are no credentials"},
		"a key alone":         {s3.Config{Bucket: "b", AccessKey: "k"}, mail.Invalid, "go together"},
		"a secret alone":      {s3.Config{Bucket: "b", SecretKeyFile: write("a", "s")}, mail.Invalid, "go together"},
		"no secret file":      {s3.Config{Bucket: "b", AccessKey: "k", SecretKeyFile: filepath.Join(dir, "none")}, mail.Invalid, "can't be read"},
		"an empty secret":     {s3.Config{Bucket: "b", AccessKey: "k", SecretKeyFile: write("empty", "\n")}, mail.Invalid, "one line"},
		"two lines":           {s3.Config{Bucket: "b", AccessKey: "k", SecretKeyFile: write("two", "topsecret\nx\n")}, mail.Invalid, "one line"},
		"a file too large":    {s3.Config{Bucket: "b", AccessKey: "k", SecretKeyFile: write("large", strings.Repeat("topsecret ", 1000))}, mail.Invalid, "one line"},
		"no scheme":           {s3.Config{Bucket: "b", Endpoint: "s3.example.test"}, mail.Invalid, "https"},
		"a password in it":    {s3.Config{Bucket: "b", Endpoint: "https://a:b@s3.example.test"}, mail.Invalid, "https"},
		"a path":              {s3.Config{Bucket: "b", Endpoint: "https://s3.example.test/x"}, mail.Invalid, "https"},
		"another protocol":    {s3.Config{Bucket: "b", Endpoint: "ftp://s3.example.test"}, mail.Invalid, "https"},
		"nobody at this host": {s3.Config{Bucket: "b", Endpoint: "https://"}, mail.Invalid, "https"},
	} {
		_, err := s3.Open(t.Context(), c.cfg)
		if mail.KindOf(err) != c.kind || !strings.Contains(fmt.Sprint(err), c.words) || strings.Contains(fmt.Sprint(err), "topsecret") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// Credentials are looked for where operators keep them, the nearest first.
func TestCredentialsAreFound(t *testing.T) {
	clean(t)
	file := filepath.Join(t.TempDir(), "credentials")
	text := "[default]\naws_access_key_id = from-file\naws_secret_access_key = s\nregion = eu-west-3\n[other]\naws_access_key_id = from-other\naws_secret_access_key = s\n[role]\nrole_arn = arn:aws:iam::1:role/x\nsource_profile = default\n"
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	secret := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(secret, []byte("s\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("AWS_SHARED_CREDENTIALS_FILE", file)
	asked := make(chan string, 1)
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked <- r.Header.Get("Authorization")
		w.WriteHeader(http.StatusNoContent)
	}))
	defer srv.Close()
	t.Setenv("AWS_ENDPOINT_URL_S3", srv.URL)
	want := func(words string, cfg s3.Config) {
		t.Helper()
		cfg.Bucket, cfg.Attempts = "bucket", 1
		if err := open(t, cfg).Delete(t.Context(), "a"); err != nil {
			t.Error(err)
		}
		if got := <-asked; !strings.Contains(got, words) {
			t.Errorf("%s, want %s", got, words)
		}
	}
	want("from-file/", s3.Config{})
	want("/eu-west-3/", s3.Config{})
	want("/eu-north-1/", s3.Config{Region: "eu-north-1"})
	want("configured/", s3.Config{AccessKey: "configured", SecretKeyFile: secret})
	want("/us-east-1/", s3.Config{AccessKey: "configured", SecretKeyFile: secret})
	t.Setenv("AWS_PROFILE", "other")
	want("from-other/", s3.Config{})
	for profile, words := range map[string]string{"missing": "shared configuration", "role": "a server can't"} {
		t.Setenv("AWS_PROFILE", profile)
		if _, err := s3.Open(t.Context(), s3.Config{Bucket: "b"}); mail.KindOf(err) != mail.Invalid || !strings.Contains(err.Error(), words) {
			t.Errorf("%s: %v", profile, err)
		}
	}
	t.Setenv("AWS_ACCESS_KEY_ID", "from-env")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "s")
	want("from-env/", s3.Config{})
	want("configured/", s3.Config{AccessKey: "configured", SecretKeyFile: secret})
}

func TestSpecs(t *testing.T) {
	for spec, want := range map[string][2]string{
		"s3://backups":                  {"backups", ""},
		"s3://backups/":                 {"backups", ""},
		"s3://back.ups-1/mail/a.b/":     {"back.ups-1", "mail/a.b"},
		"s3://backups/mail.example.org": {"backups", "mail.example.org"},
	} {
		bucket, prefix, err := s3.Parse(spec)
		if err != nil || bucket != want[0] || prefix != want[1] {
			t.Errorf("%s: %q %q %v", spec, bucket, prefix, err)
		}
	}
	for _, spec := range []string{"", "s3://", "s3:///x", "backups", "s3://Backups", "s3://ab", "s3://" + strings.Repeat("a", 64), "s3://a_b_c", "s3://key:secret@bucket", "s3://backups/../x", "s3://backups/A B", "s3://backups/a//x", "https://backups", "s3://backups/" + strings.Repeat("a", 300)} {
		if _, _, err := s3.Parse(spec); mail.KindOf(err) != mail.Invalid {
			t.Errorf("%q: %v", spec, err)
		}
	}
}
