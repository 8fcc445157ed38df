package eas

import (
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/pquerna/otp/totp"

	"lockstep/internal/eas/wbxml"
	"lockstep/internal/mail"
	"lockstep/internal/store"
)

func encoded(t testing.TB, e *wbxml.Element) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := wbxml.Encode(&b, e); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// options asks what is spoken.
func (w *town) options(authorization string) *httptest.ResponseRecorder {
	r := httptest.NewRequestWithContext(w.T.Context(), "OPTIONS", Path, nil)
	r.RemoteAddr = "127.0.0.1:1234"
	if authorization != "" {
		r.Header.Set("Authorization", authorization)
	}
	rec := httptest.NewRecorder()
	w.server.ServeHTTP(rec, r)
	return rec
}

// What is announced is served whole: this list grows only with what is.
const announced = "Sync,SendMail,SmartForward,SmartReply,GetAttachment,FolderSync,FolderCreate,FolderDelete,FolderUpdate,MoveItems,GetItemEstimate,MeetingResponse,Search,Settings,Ping,ItemOperations,Provision,ResolveRecipients,ValidateCert,Find"

func TestOptionsAnnouncesWhatIsServed(t *testing.T) {
	w := newTown(t)
	rec := w.options(basic(login, password))
	for name, want := range map[string]string{
		"MS-ASProtocolVersions": "12.1,14.0,14.1,16.0,16.1",
		"MS-ASProtocolCommands": announced,
		"MS-Server-ActiveSync":  "15.2",
		"Public":                "OPTIONS,POST",
		"Allow":                 "OPTIONS,POST",
		"Content-Length":        "0",
	} {
		if got := rec.Header().Get(name); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
	if rec.Code != 200 || rec.Body.Len() != 0 {
		t.Error(rec.Code, rec.Body)
	}
}

func TestAskingWhatIsSpokenMakesNoDevice(t *testing.T) {
	w := newTown(t)
	w.options(basic(login, password))
	err := w.Store.View(t.Context(), w.alice.Account, func(r store.Reader) error {
		all, err := r.Devices()
		if len(all) > 0 {
			t.Error(all)
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
}

func TestWhoMaySignIn(t *testing.T) {
	w := newTown(t)
	latin := w.House.Account("zoe@example.test", 0, mustHash(t, "glühwürmchen"))
	if latin.Login == "" {
		t.Fatal("nobody moved in")
	}
	for _, c := range []struct {
		login, secret string
		status        int
	}{
		{login, password, 200},
		{`example.test\alice`, password, 200},
		{`EXAMPLE.test\Alice`, password, 200},
		{login, "wrong", 401},
		{`other.test\alice`, password, 401},
		{`\`, password, 401},
		{"zoe@example.test", "glühwürmchen", 200},
		{"zoe@example.test", "gl\xfchw\xfcrmchen", 200},
	} {
		if rec := w.options(basic(c.login, c.secret)); rec.Code != c.status {
			t.Errorf("%s: %d, want %d", c.login, rec.Code, c.status)
		} else if rec.Code == 401 && !strings.HasPrefix(rec.Header().Get("WWW-Authenticate"), "Basic realm=") {
			t.Errorf("%s: 401 does not say how", c.login)
		}
	}
	if rec := w.options(""); rec.Code != 401 {
		t.Error(rec.Code)
	}
}

// A phone whose owner has a second factor is asked for another password, and told which.
func TestASecondFactorAsksForAnAppPassword(t *testing.T) {
	w := newTown(t)
	p := w.phone(v161)
	if status := p.folders(); status != 1 {
		t.Fatal(status)
	}
	e := w.auth.BeginTOTP(w.alice, "test")
	code, err := totp.GenerateCode(e.Secret, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.auth.ConfirmTOTP(t.Context(), w.alice, e.Secret, code); err != nil {
		t.Fatal(err)
	}
	rec := p.post(p.query("FolderSync"), nil)
	if rec.Code != 401 || !strings.Contains(rec.Body.String(), "app password") || rec.Header().Get("WWW-Authenticate") == "" {
		t.Errorf("%d %s", rec.Code, rec.Body)
	}
	_, secret, err := w.auth.AddDevice(t.Context(), w.alice, "phone", nil)
	if err != nil {
		t.Fatal(err)
	}
	p.secret = secret
	if status := p.folders(); status != 1 {
		t.Errorf("with an app password: %d", status)
	}
}

func TestABearerTokenIsAnAppPassword(t *testing.T) {
	w := newTown(t)
	_, secret, err := w.auth.AddDevice(t.Context(), w.alice, "tablet", []mail.Protocol{mail.EAS})
	if err != nil {
		t.Fatal(err)
	}
	in := encoded(t, folderSync("0"))
	for name, c := range map[string]struct {
		query, token string
		want         int
	}{
		"right":           {"User=alice%40example.test&", "Bearer " + secret, 200},
		"another scheme":  {"User=alice%40example.test&", "bearer  " + secret, 200},
		"a wrong token":   {"User=alice%40example.test&", "Bearer wrong", 401},
		"no token":        {"User=alice%40example.test&", "Bearer ", 401},
		"somebody else's": {"User=bob%40example.test&", "Bearer " + secret, 401},
		"nobody's":        {"", "Bearer " + secret, 401},
	} {
		p := w.phone(v161)
		p.header.Set("Authorization", c.token)
		rec := p.post(c.query+"Cmd=FolderSync&DeviceId=D1&DeviceType=T", in)
		if rec.Code != c.want {
			t.Errorf("%s: HTTP %d, want %d", name, rec.Code, c.want)
		}
	}
}

func mustHash(t *testing.T, secret string) []byte {
	t.Helper()
	v, err := hashed(secret)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func TestPasswordsComeUnderTLS(t *testing.T) {
	w := newTown(t)
	w.server.AllowPlainAuth = func(netip.Addr) bool { return false }
	if rec := w.options(basic(login, password)); rec.Code != http.StatusForbidden {
		t.Error(rec.Code)
	}
}

func TestABrowserIsToldWhatThisIs(t *testing.T) {
	w := newTown(t)
	rec := httptest.NewRecorder()
	w.server.ServeHTTP(rec, httptest.NewRequest("GET", Path, nil))
	if rec.Code != http.StatusMethodNotAllowed || !strings.Contains(rec.Body.String(), "phones") {
		t.Error(rec.Code, rec.Body)
	}
}

func TestPathIgnoresCase(t *testing.T) {
	for path, want := range map[string]bool{"/Microsoft-Server-ActiveSync": true, "/microsoft-server-activesync/": true, "/Microsoft-Server-ActiveSync/x": false, "/": false} {
		if Serves(path) != want {
			t.Error(path)
		}
	}
}

// queryOf parses a query as it would come.
func queryOf(t *testing.T, raw string, header ...string) (*query, error) {
	t.Helper()
	r := httptest.NewRequest("POST", Path, nil)
	r.URL.RawQuery = raw
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	q, err := parseQuery(r)
	if err == nil {
		err = q.check()
	}
	return q, err
}

func TestBase64Query(t *testing.T) {
	raw := func(b string) string { return base64.StdEncoding.EncodeToString([]byte(b)) }
	for name, c := range map[string]struct {
		raw  string
		want query
	}{
		"the least":         {raw("\x8d\x09\x09\x04\x06PHONE1\x00\x02SP"), query{command: "FolderSync", version: v141, locale: 0x0409, deviceID: "PHONE1", deviceType: "SP"}},
		"a policy key":      {raw("\xa1\x09\x09\x04\x06PHONE1\x04\x01\x02\x00\x00\x02SP"), query{command: "FolderSync", version: v161, locale: 0x0409, deviceID: "PHONE1", deviceType: "SP", policyKey: "513"}},
		"policy key zero":   {raw("\xa1\x09\x09\x04\x06PHONE1\x04\x00\x00\x00\x00\x02SP"), query{command: "FolderSync", version: v161, locale: 0x0409, deviceID: "PHONE1", deviceType: "SP", policyKey: "0"}},
		"an id of bytes":    {raw("\x79\x09\x09\x04\x04\xff\x01\xfe\x02\x00\x02SP"), query{command: "FolderSync", version: v121, locale: 0x0409, deviceID: "ff01fe02", deviceType: "SP"}},
		"parameters":        {raw("\x8c\x09\x00\x00\x01D\x00\x01T\x01\x0213\x03\x03a:b\x00\x01n\x04\x01l\x06\x01o\x07\x01\x03\x08\x01u\x63\x01x"), query{command: "FolderSync", version: v140, deviceID: "D", deviceType: "T", collectionID: "13", itemID: "a:b", attachment: "n", longID: "l", occurrence: "o", saveInSent: true, multipart: true, user: "u"}},
		"without padding":   {strings.TrimRight(raw("\x8d\x09\x09\x04\x06PHONE1\x00\x03SPx"), "="), query{command: "FolderSync", version: v141, locale: 0x0409, deviceID: "PHONE1", deviceType: "SPx"}},
		"escaped":           {strings.ReplaceAll(raw("\x8d\x09\x09\x04\x06PHONE1\x00\x03SPx"), "=", "%3D"), query{command: "FolderSync", version: v141, locale: 0x0409, deviceID: "PHONE1", deviceType: "SPx"}},
		"the other letters": {base64.URLEncoding.EncodeToString([]byte("\x8d\x09\x09\x04\x04\xfb\xff\xfe\xfb\x00\x03SPx")), query{command: "FolderSync", version: v141, locale: 0x0409, deviceID: "fbfffefb", deviceType: "SPx"}},
	} {
		q, err := queryOf(t, c.raw)
		if err != nil || *q != c.want {
			t.Errorf("%s: %+v, %v", name, q, err)
		}
	}
}

// A vector made by somebody else: version 14.0, locale 0x0409, v140Device, no key,
// SmartPhone.
func TestBase64QueryVector(t *testing.T) {
	b, err := decodeQuery("jAAJBAp2MTQwRGV2aWNlAApTbWFydFBob25l")
	if err != nil {
		t.Fatal(err)
	}
	f := &fields{b: b}
	if version(f.byte()) != v140 || f.byte() != 0 || string(f.take(2)) != "\x09\x04" || string(f.sized()) != "v140Device" || len(f.sized()) != 0 || string(f.sized()) != "SmartPhone" || f.short {
		t.Errorf("%x", b)
	}
}

func TestPlainQuery(t *testing.T) {
	q, err := queryOf(t, "cmd=FolderSync&USER=a%5Cb&DeviceID=D1&devicetype=T&SaveInSent=T&CollectionId=5&ItemId=5%3A1&LongId=l&Occurrence=o&AttachmentName=n",
		"MS-ASProtocolVersion", "14.1", "X-MS-PolicyKey", "42", "MS-ASAcceptMultiPart", "T")
	want := query{command: "FolderSync", version: v141, user: `a\b`, deviceID: "D1", deviceType: "T", policyKey: "42", saveInSent: true, multipart: true, collectionID: "5", itemID: "5:1", longID: "l", occurrence: "o", attachment: "n"}
	if err != nil || *q != want {
		t.Errorf("%+v, %v", q, err)
	}
}

func TestBadQueries(t *testing.T) {
	good := "Cmd=FolderSync&User=u&DeviceId=D1&DeviceType=T"
	v := []string{"MS-ASProtocolVersion", "14.1"}
	for name, c := range map[string]struct {
		raw    string
		header []string
		http   int
	}{
		"nothing":              {"", v, 400},
		"no command":           {"User=u&DeviceId=D1&DeviceType=T", v, 400},
		"no device":            {"Cmd=FolderSync&User=u&DeviceType=T", v, 400},
		"no type":              {"Cmd=FolderSync&User=u&DeviceId=D1", v, 400},
		"a long device id":     {strings.Replace(good, "D1", strings.Repeat("D", 33), 1), v, 400},
		"a long device type":   {good + strings.Repeat("T", maxDeviceTypeBytes), v, 400},
		"no version":           {good, nil, 400},
		"version 2.5":          {good, []string{"MS-ASProtocolVersion", "2.5"}, 400},
		"a bad escape":         {good + "&x=%zz", v, 400},
		"no base64":            {"!!!!", v, 400},
		"base64 that ends":     {base64.StdEncoding.EncodeToString([]byte("\x8d\x09\x09\x04\x20ab")), v, 400},
		"an obsolete code":     {base64.StdEncoding.EncodeToString([]byte("\x8d\x05\x09\x04\x02D1\x00\x01T")), v, 501},
		"a policy key of two":  {base64.StdEncoding.EncodeToString([]byte("\x8d\x09\x09\x04\x02D1\x02ab\x01T")), v, 400},
		"a query without end":  {strings.Repeat("a", maxQueryBytes+1), v, 400},
		"an escape in base64":  {"%zz", v, 400},
		"a slash in the id":    {strings.Replace(good, "D1", "a%2Fb", 1), v, 400},
		"version 200 in bytes": {base64.StdEncoding.EncodeToString([]byte("\xc8\x09\x09\x04\x02D1\x00\x01T")), v, 400},
	} {
		if _, err := queryOf(t, c.raw, c.header...); err == nil || faultOf(err).code() != c.http {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func FuzzQuery(f *testing.F) {
	f.Add("Cmd=FolderSync&User=u&DeviceId=D1&DeviceType=T")
	f.Add("jAAJBAp2MTQwRGV2aWNlAApTbWFydFBob25l")
	f.Fuzz(func(t *testing.T, raw string) {
		q, err := queryOf(t, raw, "MS-ASProtocolVersion", "16.1")
		if err == nil && (q.deviceID == "" || len(q.deviceID) > maxDeviceIDBytes || q.command == "") {
			t.Errorf("%+v", q)
		}
	})
}

// How a command that fails as a whole is told: in its own words from 14.0 on, by HTTP
// before.
func TestCommandsThatFailAsAWhole(t *testing.T) {
	w := newTown(t)
	other := encoded(t, wbxml.New(wbxml.PingPing))
	for _, c := range []struct {
		what   string
		v      version
		cmd    string
		body   []byte
		http   int
		status string
	}{
		{"no WBXML", v121, "FolderSync", []byte("<xml/>"), 400, ""},
		{"no WBXML", v141, "FolderSync", []byte("<xml/>"), 200, "102"},
		{"cut short", v161, "FolderSync", encoded(t, folderSync("0"))[:9], 200, "102"},
		{"nothing", v161, "FolderSync", nil, 200, "101"},
		{"nothing", v121, "FolderSync", nil, 400, ""},
		{"another command's document", v140, "FolderSync", other, 200, "101"},
		{"another command's document", v121, "FolderSync", other, 400, ""},
		{"an unknown command", v121, "GetHierarchy", other, 501, ""},
		{"an unknown command", v161, "GetHierarchy", other, 501, ""},
	} {
		p := w.phone(c.v)
		rec := p.post(p.query(c.cmd), c.body)
		status := ""
		if rec.Code == 200 {
			status = w.decode(c.cmd, rec.Body).Get(wbxml.FolderStatus)
		}
		if rec.Code != c.http || status != c.status {
			t.Errorf("%s at %v: HTTP %d, status %q", c.what, c.v, rec.Code, status)
		}
	}
}

// What is wrong with the device's own name is told like what is wrong with a command.
func TestBadDevicesAreToldByStatus(t *testing.T) {
	w := newTown(t)
	for query, want := range map[string]string{
		"Cmd=FolderSync&User=u&DeviceType=T":                                              "108",
		"Cmd=FolderSync&User=u&DeviceType=T&DeviceId=" + strings.Repeat("D", 33):          "108",
		"Cmd=FolderSync&User=u&DeviceId=D1":                                               "109",
		"Cmd=FolderSync&User=u&DeviceId=D1&DeviceType=" + strings.Repeat("T", 33):         "109",
		"Cmd=FolderSync&User=u&DeviceId=D1&DeviceType=" + strings.Repeat("T", 32) + "&x=": "1",
	} {
		for _, v := range versions {
			rec := w.phone(v).post(query, encoded(t, folderSync("0")))
			switch {
			case v == v121 && want != "1":
				if rec.Code != http.StatusBadRequest {
					t.Errorf("%s at %v: HTTP %d", query, v, rec.Code)
				}
			case rec.Code != 200:
				t.Errorf("%s at %v: HTTP %d", query, v, rec.Code)
			default:
				if a := w.decode("FolderSync", rec.Body); a.Get(wbxml.FolderStatus) != want {
					t.Errorf("%s at %v: %s", query, v, short(a))
				}
			}
		}
	}
}

func TestPackedBodies(t *testing.T) {
	w := newTown(t)
	var packed bytes.Buffer
	z := gzip.NewWriter(&packed)
	_, _ = z.Write(encoded(t, folderSync("0")))
	z.Close()
	p := w.phone(v161)
	p.header.Set("Content-Encoding", "gzip")
	rec := p.post(p.query("FolderSync"), packed.Bytes())
	if a := w.decode("FolderSync", rec.Body); a.Get(wbxml.FolderStatus) != "1" {
		t.Error(short(a))
	}
	if rec := p.post(p.query("FolderSync"), []byte("not packed")); rec.Code != 200 || w.decode("FolderSync", rec.Body).Get(wbxml.FolderStatus) != "101" {
		t.Error(rec.Code)
	}
	p.header.Set("Content-Encoding", "br")
	if rec := p.post(p.query("FolderSync"), packed.Bytes()); rec.Code != http.StatusUnsupportedMediaType {
		t.Error(rec.Code)
	}
}

func TestLargeAnswersArePackedForWhoTakesThat(t *testing.T) {
	w := newTown(t)
	w.change(func(tx store.Tx) error {
		for i := range 100 {
			if _, err := tx.CreateMailbox(image(i)); err != nil {
				return err
			}
		}
		return nil
	})
	p := w.phone(v161)
	in := encoded(t, folderSync("0"))
	plain := p.post(p.query("FolderSync"), in)
	p.header.Set("Accept-Encoding", "deflate, gzip;q=1.0")
	packed := p.post(p.query("FolderSync"), in)
	if packed.Header().Get("Content-Encoding") != "gzip" || packed.Body.Len() >= plain.Body.Len() {
		t.Fatal(packed.Header(), packed.Body.Len(), plain.Body.Len())
	}
	z, err := gzip.NewReader(packed.Body)
	if err != nil {
		t.Fatal(err)
	}
	if a := w.decode("FolderSync", z); len(a.Child(wbxml.FolderChanges).Children) < 100 {
		t.Error(short(a))
	}
	p.header.Set("Accept-Encoding", "gzip;q=0")
	if rec := p.post(base64.StdEncoding.EncodeToString([]byte("\xbf\x09\x09\x04\x02D1\x00\x01T")), in); rec.Code != http.StatusBadRequest {
		t.Errorf("version 19.1: HTTP %d", rec.Code)
	}
	if rec := p.post(p.query("FolderSync"), in); rec.Header().Get("Content-Encoding") != "" {
		t.Error(rec.Header())
	}
}

func TestCommandsOfOneDeviceAtOnceAreBounded(t *testing.T) {
	d := newDevices(2)
	k := deviceKey{1, 2, "x"}
	leave, err := d.enter(k)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := d.enter(k); err != nil {
		t.Fatal(err)
	}
	if _, err := d.enter(k); err == nil || faultOf(err).code() != http.StatusServiceUnavailable {
		t.Error(err)
	}
	if _, err := d.enter(deviceKey{1, 2, "y"}); err != nil {
		t.Error(err)
	}
	leave()
	if _, err := d.enter(k); err != nil {
		t.Error(err)
	}
}

func TestSpoolsAreTheSameInMemoryAndInAFile(t *testing.T) {
	for _, memory := range []int64{0, 5, 1 << 20} {
		s := newSpool(t.TempDir(), memory)
		for _, piece := range []string{"one ", "two ", "three"} {
			if _, err := s.Write([]byte(piece)); err != nil {
				t.Fatal(err)
			}
		}
		var b bytes.Buffer
		if _, err := b.ReadFrom(s.reader()); err != nil || b.String() != "one two three" || s.size != 13 || (s.file != nil) != (memory < 13) {
			t.Error(memory, err, b.String())
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
}
