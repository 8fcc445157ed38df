package eas

import (
	"crypto/tls"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"lockstep/internal/store"
)

// discovering is a request as programs send it.
func discovering(address string, schemas ...string) string {
	var accepted strings.Builder
	for _, s := range schemas {
		accepted.WriteString("<AcceptableResponseSchema>" + s + "</AcceptableResponseSchema>")
	}
	return `<?xml version="1.0" encoding="utf-8"?><Autodiscover xmlns="http://schemas.microsoft.com/exchange/autodiscover/mobilesync/requestschema/2006"><Request>` +
		`<EMailAddress>` + address + `</EMailAddress>` + accepted.String() + `</Request></Autodiscover>`
}

// discover asks at a path, under TLS unless change says otherwise.
func (w *town) discover(method, path, body string, change func(*http.Request)) *httptest.ResponseRecorder {
	w.T.Helper()
	r := httptest.NewRequestWithContext(w.T.Context(), method, path, strings.NewReader(body))
	r.RemoteAddr, r.Host, r.TLS = "192.0.2.1:1234", "autodiscover.example.test:8443", &tls.ConnectionState{}
	r.SetBasicAuth(login, password)
	if change != nil {
		change(r)
	}
	if !ServesAutodiscover(r.URL.Path) {
		w.T.Fatalf("%s is not served", r.URL.Path)
	}
	rec := httptest.NewRecorder()
	w.server.Autodiscover(rec, r)
	if rec.Header().Get("Content-Type") == "text/xml; charset=utf-8" {
		w.fitsFrame(rec.Body.String())
	}
	return rec
}

// fitsFrame holds an answer against Microsoft's schema of it; it does not know
// Outlook's.
func (w *town) fitsFrame(doc string) {
	w.T.Helper()
	lint, err := exec.LookPath("xmllint")
	if err != nil || strings.Contains(doc, outlookSchema) {
		return // that CI has it is seen to by fitsSchema
	}
	run := exec.CommandContext(w.T.Context(), lint, "--noout", "--nonet", "--schema", filepath.Join("testdata", "xsd", "AutodiscoverResponse.xsd"), "-")
	run.Stdin = strings.NewReader(doc)
	if out, err := run.CombinedOutput(); err != nil {
		w.T.Errorf("the answer does not fit its schema: %v\n%s\n%s", err, out, doc)
	}
}

// parts says which parts are in a text, and which are not.
func parts(t *testing.T, text string, in []string, out ...string) {
	t.Helper()
	for _, p := range in {
		if !strings.Contains(text, p) {
			t.Errorf("%s\nlacks %s", text, p)
		}
	}
	for _, p := range out {
		if strings.Contains(text, p) {
			t.Errorf("%s\nhas %s", text, p)
		}
	}
}

func TestAutodiscoverTellsWhereActiveSyncIs(t *testing.T) {
	w := newTown(t)
	if err := w.Store.AddAddress(t.Context(), store.Address{Local: "sales", Domain: "example.test", Account: w.alice.Account, Alias: true}); err != nil {
		t.Fatal(err)
	}
	const url = "https://autodiscover.example.test:8443" + Path
	for _, path := range []string{"/autodiscover/autodiscover.xml", "/Autodiscover/Autodiscover.xml", "/AUTODISCOVER/AUTODISCOVER.XML"} {
		for _, address := range []string{login, "Sales@EXAMPLE.test"} {
			rec := w.discover("POST", path, discovering(address, mobileSchema), nil)
			parts(t, rec.Body.String(), []string{
				`<Autodiscover xmlns="` + frameSchema + `"><Response xmlns="` + mobileSchema + `"><Culture>en:us</Culture>`, "<EMailAddress>" + address + "</EMailAddress></User>",
				"<Action><Settings><Server><Type>MobileSync</Type><Url>" + url + "</Url><Name>" + url + "</Name></Server></Settings></Action>",
			}, "Error")
		}
	}
	w.server.PublicName = "mail.example.test"
	rec := w.discover("POST", autodiscoverPath, discovering(login, outlookSchema, mobileSchema), func(r *http.Request) { r.Host = "autodiscover.example.test" })
	parts(t, rec.Body.String(), []string{"<Url>https://mail.example.test" + Path + "</Url>"})
}

func TestAutodiscoverSaysWhyNot(t *testing.T) {
	w := newTown(t)
	w.Account("bob@example.test", 0, verifier())
	for _, c := range []struct{ name, body, want string }{
		{"another's address", discovering("bob@example.test", mobileSchema), "<Action><Error><Status>2</Status>"},
		{"nobody's address", discovering("nobody@example.test", mobileSchema), "<Action><Error><Status>2</Status>"},
		{"no address at all", discovering("alice", mobileSchema), "<Action><Error><Status>2</Status>"},
		{"another schema", discovering(login, "http://schemas.example.test/other"), "<ErrorCode>601</ErrorCode>"},
		{"Outlook's, which is not offered", discovering(login, outlookSchema), "<ErrorCode>601</ErrorCode>"},
		{"no schema", discovering(login), "<ErrorCode>600</ErrorCode>"},
		{"no address", discovering("", mobileSchema), "<ErrorCode>600</ErrorCode>"},
		{"two requests", strings.Replace(discovering(login, mobileSchema), "</Autodiscover>", "<Request/></Autodiscover>", 1), "<ErrorCode>600</ErrorCode>"},
		{"no request", "<Autodiscover/>", "<ErrorCode>600</ErrorCode>"},
		{"another root", "<Other/>", "<ErrorCode>600</ErrorCode>"},
		{"no XML", "{}", "<ErrorCode>600</ErrorCode>"},
		{"nothing", "", "<ErrorCode>600</ErrorCode>"},
		{"too much", strings.Repeat(" ", maxAutodiscoverBytes) + discovering(login, mobileSchema), "<ErrorCode>600</ErrorCode>"},
	} {
		t.Run(c.name, func(t *testing.T) {
			rec := w.discover("POST", autodiscoverPath, c.body, nil)
			if rec.Code != http.StatusOK {
				t.Error(rec.Code)
			}
			parts(t, rec.Body.String(), []string{c.want}, "MobileSync")
		})
	}
	parts(t, w.discover("GET", autodiscoverPath, "", nil).Body.String(), []string{"<ErrorCode>600</ErrorCode>"})
}

// Whether an address is somebody's is told to who signed in, and to nobody else.
func TestAutodiscoverAsksForThePasswordFirst(t *testing.T) {
	w := newTown(t)
	for name, change := range map[string]func(*http.Request){
		"none": func(r *http.Request) { r.Header.Del("Authorization") }, "wrong": func(r *http.Request) { r.SetBasicAuth(login, "wrong") },
		"nobody's": func(r *http.Request) { r.SetBasicAuth("nobody@example.test", "wrong") },
	} {
		for _, body := range []string{discovering(login, mobileSchema), "nonsense"} {
			rec := w.discover("POST", autodiscoverPath, body, change)
			if rec.Code != http.StatusUnauthorized || !strings.HasPrefix(rec.Header().Get("WWW-Authenticate"), "Basic") {
				t.Errorf("%s: %d %v", name, rec.Code, rec.Header())
			}
		}
	}
	if devices := w.devices(); len(devices) > 0 {
		t.Errorf("asking made devices: %v", devices)
	}
}

// devices are the names of Alice's.
func (w *town) devices() (names []string) {
	w.T.Helper()
	err := w.Store.View(w.T.Context(), w.alice.Account, func(r store.Reader) error {
		all, err := r.Devices()
		for _, d := range all {
			names = append(names, d.Name)
		}
		return err
	})
	if err != nil {
		w.T.Fatal(err)
	}
	return names
}

func TestAutodiscoverWithoutTLSLeadsToIt(t *testing.T) {
	w := newTown(t)
	plain := func(r *http.Request) { r.TLS, r.Host = nil, "autodiscover.example.test" }
	rec := w.discover("GET", "/Autodiscover/Autodiscover.xml", "", plain)
	if rec.Code != http.StatusFound || rec.Header().Get("Location") != "https://autodiscover.example.test/autodiscover/autodiscover.xml" {
		t.Error(rec.Code, rec.Header())
	}
	rec = w.discover("POST", autodiscoverPath, discovering(login, mobileSchema), plain)
	if rec.Code != http.StatusForbidden {
		t.Error("a password was taken in clear:", rec.Code, rec.Body)
	}
	w.server.AllowPlainAuth = func(a netip.Addr) bool { return a == netip.MustParseAddr("192.0.2.1") } // a proxy that does the TLS
	rec = w.discover("POST", autodiscoverPath, discovering(login, mobileSchema), plain)
	parts(t, rec.Body.String(), []string{"<Url>https://autodiscover.example.test" + Path + "</Url>"})
}

func TestAutodiscoverTellsOutlookOfIMAP(t *testing.T) {
	w := newTown(t)
	w.server.Mailservers = []Mailserver{{"IMAP", 993}, {"SMTP", 465}}
	rec := w.discover("POST", autodiscoverPath, discovering(login, outlookSchema), nil)
	parts(t, rec.Body.String(), []string{
		`<Response xmlns="` + outlookSchema + `">`, "<Account><AccountType>email</AccountType><Action>settings</Action>",
		"<Protocol><Type>IMAP</Type><Server>autodiscover.example.test</Server><Port>993</Port>", "<Type>SMTP</Type>", "<LoginName>" + login + "</LoginName>", "<SSL>on</SSL>",
	})
	rec = w.discover("POST", autodiscoverPath, discovering("bob@example.test", outlookSchema), nil)
	parts(t, rec.Body.String(), []string{"<ErrorCode>500</ErrorCode>"}, "IMAP")
}

func TestAutodiscoverInJSON(t *testing.T) {
	w := newTown(t)
	nobody := func(r *http.Request) { r.Header.Del("Authorization") }
	for _, c := range []struct {
		path   string
		status int
		want   map[string]string
	}{
		{"/autodiscover/autodiscover.json?Email=a@b.test&Protocol=ActiveSync&RedirectCount=1", 200, map[string]string{"Protocol": "ActiveSync", "Url": "https://autodiscover.example.test:8443" + Path}},
		{"/Autodiscover/Autodiscover.json/v1.0/nobody@example.test?protocol=activesync", 200, map[string]string{"Protocol": "ActiveSync", "Url": "https://autodiscover.example.test:8443" + Path}},
		{"/autodiscover/autodiscover.json?Protocol=AutodiscoverV1", 200, map[string]string{"Protocol": "AutodiscoverV1", "Url": "https://autodiscover.example.test:8443" + autodiscoverPath}},
		{"/autodiscover/autodiscover.json?Protocol=EWS", 400, map[string]string{"ErrorCode": "InvalidProtocol"}},
		{"/autodiscover/autodiscover.json?Protocol=Rest", 400, map[string]string{"ErrorCode": "InvalidProtocol"}},
		{"/autodiscover/autodiscover.json?Email=a@b.test", 400, map[string]string{"ErrorCode": "MandatoryParameterMissing"}},
	} {
		rec := w.discover("GET", c.path, "", nobody)
		var got map[string]string
		if err := json.Unmarshal(rec.Body.Bytes(), &got); err != nil || rec.Code != c.status {
			t.Errorf("%s: %d %s, %v", c.path, rec.Code, rec.Body, err)
		}
		for key, want := range c.want {
			if got[key] != want {
				t.Errorf("%s: %s is %q, want %q", c.path, key, got[key], want)
			}
		}
	}
	if rec := w.discover("POST", autodiscoverJSON, "", nobody); rec.Code != http.StatusMethodNotAllowed {
		t.Error(rec.Code)
	}
}

func TestTheOriginIsWhatDevicesCanReach(t *testing.T) {
	for _, c := range []struct {
		host, public string
		secure       bool
		want         string
	}{
		{"mail.example.test", "", true, "https://mail.example.test"}, {"mail.example.test:443", "", true, "https://mail.example.test"},
		{"localhost:8443", "", true, "https://localhost:8443"}, {"[::1]:8443", "", true, "https://[::1]:8443"}, {"[::1]", "", true, "https://[::1]"},
		{"10.0.0.1:8443", "mail.example.test", true, "https://mail.example.test:8443"}, {"localhost:8080", "mail.example.test", false, "https://mail.example.test"},
	} {
		r := httptest.NewRequest("GET", "/", nil)
		r.Host = c.host
		if c.secure {
			r.TLS = &tls.ConnectionState{}
		}
		if got := (&Server{PublicName: c.public}).origin(r); got != c.want {
			t.Errorf("%+v: %s", c, got)
		}
	}
}

func FuzzDiscovery(f *testing.F) {
	f.Add(discovering(login, mobileSchema))
	f.Add(discovering("", outlookSchema, mobileSchema))
	f.Add(`<?xml version="1.0" encoding="utf-16"?><Autodiscover><Request/></Autodiscover>`)
	f.Fuzz(func(t *testing.T, body string) {
		d, err := readDiscovery(strings.NewReader(body))
		if err == nil && d.address == "" {
			t.Error("no address, and no error")
		}
	})
}
