package eas

import (
	"bytes"
	"cmp"
	"context"
	"encoding/base64"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"lockstep/internal/auth"
	"lockstep/internal/delivery/deliverytest"
	"lockstep/internal/device"
	"lockstep/internal/eas/wbxml"
	"lockstep/internal/mail"
	"lockstep/internal/store"
)

const (
	login    = "alice@example.test"
	password = "correct horse"
)

var verifier = sync.OnceValue(func() []byte {
	v, err := auth.HashPassword(context.Background(), password)
	if err != nil {
		panic(err)
	}
	return v
})

// town is a house in which Alice lives, and a server in it.
type town struct {
	*deliverytest.House
	auth   *auth.Service
	alice  store.Principal
	server *Server

	policies device.Policies
}

func newTown(t testing.TB) *town {
	h := deliverytest.New(t)
	w := &town{House: h, auth: auth.New(h.Store, h.Store, []byte("salts"), slog.New(slog.DiscardHandler))}
	w.alice = h.Account(login, 0, verifier())
	w.start()
	return w
}

// start makes the server anew, as after a restart: what it knew in memory is gone.
func (w *town) start() {
	w.server = &Server{
		Store: w.Store, Directory: w.Store, Auth: w.auth, Delivery: w.Delivery, Hostname: "mail.example.test", SpoolDir: w.T.TempDir(),
		AllowPlainAuth: netip.Addr.IsLoopback, People: w.Store.People, Policies: w.policies, Trails: device.NewTrails(w.Store, slog.New(slog.DiscardHandler)),
		Blobs: func(ctx context.Context, b mail.Blob) (Body, error) {
			r, err := w.Blobs.Open(ctx, b)
			if err != nil {
				return nil, err
			}
			return r, nil
		},
	}
}

// change changes Alice's mail as another device would.
func (w *town) change(fn func(store.Tx) error) mail.ModSeq {
	w.T.Helper()
	n, err := w.Store.Update(w.T.Context(), w.alice.Account, deliverytest.By, fn)
	if err != nil {
		w.T.Fatal(err)
	}
	return n
}

// mailbox finds one of Alice's mailboxes.
func (w *town) mailbox(path string) (mb mail.Mailbox) {
	w.T.Helper()
	err := w.Store.View(w.T.Context(), w.alice.Account, func(r store.Reader) (err error) {
		mb, err = r.MailboxByPath(path)
		return err
	})
	if err != nil {
		w.T.Fatalf("%s: %v", path, err)
	}
	return mb
}

// put puts a message into a mailbox, as another device or a delivery would.
func (w *town) put(path, text string, flags ...string) (p mail.Placement) {
	w.T.Helper()
	f, err := mail.NewFlags(flags...)
	if err != nil {
		w.T.Fatal(err)
	}
	a, err := w.Delivery.Ingest(w.T.Context(), strings.NewReader(text))
	if err != nil {
		w.T.Fatal(err)
	}
	a.Flags = f
	mb := w.mailbox(path)
	w.change(func(tx store.Tx) (err error) {
		p, err = tx.Append(mb.ID, a)
		return err
	})
	return p
}

// phone is a device as the tests play it.
type phone struct {
	w       *town
	version version
	id      string
	kind    string // DeviceType; "" is a SmartPhone
	login   string
	secret  string
	header  http.Header
	hangsUp bool // before it has the answer
}

func (w *town) phone(v version) *phone {
	return &phone{w: w, version: v, id: "PHONE1", login: login, secret: password, header: http.Header{}}
}

// post sends a command with a body as it is, and returns what came.
func (p *phone) post(query string, body []byte) *httptest.ResponseRecorder {
	p.w.T.Helper()
	r := httptest.NewRequestWithContext(p.w.T.Context(), "POST", Path+"?"+query, bytes.NewReader(body))
	r.RemoteAddr = "127.0.0.1:1234"
	r.Header.Set("MS-ASProtocolVersion", p.version.String())
	r.Header.Set("Content-Type", typeWBXML)
	r.Header.Set("User-Agent", "Phone/1.0")
	r.SetBasicAuth(p.login, p.secret)
	for name, values := range p.header {
		r.Header[name] = values
	}
	rec := httptest.NewRecorder()
	if p.hangsUp {
		ctx, hangUp := context.WithCancel(r.Context())
		p.w.server.ServeHTTP(hangingUp{rec, hangUp}, r.WithContext(ctx))
		return rec
	}
	p.w.server.ServeHTTP(rec, r)
	if got, want := rec.Header().Get("Content-Length"), fmt.Sprint(rec.Body.Len()); rec.Code == 200 && got != want {
		p.w.T.Errorf("%s: Content-Length %q of a body of %s bytes", query, got, want)
	}
	return rec
}

// hangingUp is a client whose connection breaks before it has the answer.
type hangingUp struct {
	http.ResponseWriter
	hangUp context.CancelFunc
}

func (h hangingUp) Write(p []byte) (int, error) {
	h.hangUp()
	return h.ResponseWriter.Write(p)
}

// request is a request of the phone as a command has it, signed in.
func (p *phone) request() *request {
	p.w.T.Helper()
	p.w.server.init()
	r := httptest.NewRequestWithContext(p.w.T.Context(), "POST", Path, nil)
	r.RemoteAddr = "127.0.0.1:1234"
	r.SetBasicAuth(p.login, p.secret)
	q := &query{version: p.version, deviceID: p.id, deviceType: "SmartPhone"}
	sess, err := p.w.server.signIn(r, q)
	if err != nil {
		p.w.T.Fatal(err)
	}
	req := &request{query: q, srv: p.w.server, ctx: r.Context(), http: r, sess: sess}
	if _, err := req.loadPolicy(); err != nil {
		p.w.T.Fatal(err)
	}
	return req
}

func (p *phone) query(command string) string {
	return fmt.Sprintf("Cmd=%s&User=%s&DeviceId=%s&DeviceType=%s", command, "alice%40example.test", p.id, cmp.Or(p.kind, "SmartPhone"))
}

// call sends a command and returns the answer, which has to fit its schema; nil is an
// empty one.
func (p *phone) call(command string, in *wbxml.Element) *wbxml.Element {
	p.w.T.Helper()
	var body bytes.Buffer
	if in != nil {
		if err := wbxml.Encode(&body, in); err != nil {
			p.w.T.Fatal(err)
		}
	}
	rec := p.post(p.query(command), body.Bytes())
	if rec.Code != http.StatusOK {
		p.w.T.Fatalf("%s: HTTP %d: %s", command, rec.Code, rec.Body)
	}
	if rec.Body.Len() == 0 {
		return nil
	}
	return p.w.decode(command, rec.Body)
}

// decode reads an answer and holds it against the schema of its command.
func (w *town) decode(command string, body io.Reader) *wbxml.Element {
	w.T.Helper()
	e, err := wbxml.Decode(body, wbxml.Limits{})
	if err != nil {
		w.T.Fatalf("%s: the answer can't be read: %v", command, err)
	}
	fitsSchema(w.T, command, e)
	return e
}

// schemas are the entry schemas of what commands answer that have none of their own
// name.
var schemas = map[string]string{"MeetingResponse": "MeetingResponseResponse"}

// fitsSchema holds an answer against Microsoft's schema of it.
func fitsSchema(t testing.TB, command string, e *wbxml.Element) {
	t.Helper()
	lint, err := exec.LookPath("xmllint")
	if err != nil {
		if os.Getenv("CI") != "" {
			t.Fatal("xmllint is not installed")
		}
		schemaSkipped.Do(func() { t.Log("answers are not held against the schemas: xmllint is not installed") })
		return
	}
	var doc bytes.Buffer
	if err := wbxml.XML(&doc, e); err != nil {
		t.Fatal(err)
	}
	checked := doc.String()
	if _, ok := schemaPassed.Load(checked); ok {
		return
	}
	schema := filepath.Join("testdata", "xsd", cmp.Or(schemas[command], command+"Response")+".xsd")
	run := exec.CommandContext(t.Context(), lint, "--noout", "--nonet", "--schema", schema, "-")
	run.Stdin = &doc
	if out, err := run.CombinedOutput(); err != nil {
		t.Errorf("%s: the answer does not fit its schema: %v\n%s\n%s", command, err, out, checked)
		return
	}
	schemaPassed.Store(checked, true)
}

var (
	schemaSkipped sync.Once
	schemaPassed  sync.Map // documents that fitted
)

func basic(login, secret string) string {
	return "Basic " + base64.StdEncoding.EncodeToString([]byte(login+":"+secret))
}

// short writes an element in one line, for comparing: names without namespaces,
// <Name text> or <Name children>.
func short(e *wbxml.Element) string {
	if e == nil {
		return "nothing"
	}
	var b strings.Builder
	b.WriteString(e.Tag.Name())
	if e.Text != "" {
		fmt.Fprintf(&b, "=%s", e.Text)
	}
	if len(e.Children) > 0 {
		b.WriteString("(")
		for i, c := range e.Children {
			if i > 0 {
				b.WriteString(" ")
			}
			b.WriteString(short(c))
		}
		b.WriteString(")")
	}
	return b.String()
}

func hashed(secret string) ([]byte, error) { return auth.HashPassword(context.Background(), secret) }

func image(i int) mail.MailboxImage { return mail.MailboxImage{Name: fmt.Sprintf("Folder %d", i)} }
