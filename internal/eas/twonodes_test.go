package eas

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"lockstep/internal/delivery"
	"lockstep/internal/device"
	"lockstep/internal/eas/wbxml"
	"lockstep/internal/mail"
	"lockstep/internal/store"
)

// gate is the store as one node has it: what comes there as the n-th waits until it is
// opened.
type gate struct {
	store.Store
	n       int64
	came    atomic.Int64
	reached chan struct{}
	open    chan struct{}
}

func (g *gate) pass() {
	if g.came.Add(1) == g.n {
		close(g.reached)
		<-g.open
	}
}

func (g *gate) View(ctx context.Context, id mail.AccountID, fn func(store.Reader) error) error {
	g.pass()
	return g.Store.View(ctx, id, fn)
}

func (g *gate) Update(ctx context.Context, id mail.AccountID, by mail.Origin, fn func(store.Tx) error) (mail.ModSeq, error) {
	g.pass()
	return g.Store.Update(ctx, id, by, fn)
}

func (g *gate) Note(ctx context.Context, id mail.AccountID, fn func(store.Notes) error) error {
	g.pass()
	return g.Store.Note(ctx, id, fn)
}

// node is another server over the same store, which has nothing else in common.
func (w *town) node(st store.Store) *Server {
	d := &delivery.Service{
		Store: st, Directory: w.Store, Queue: w.Store, Blobs: w.Blobs, Log: w.Delivery.Log, Hostname: w.Delivery.Hostname,
		SpoolDir: w.Delivery.SpoolDir, Wake: func() {}, CanSend: true, Several: true,
	}
	s := w.server
	return &Server{
		Store: st, Directory: s.Directory, Auth: s.Auth, Delivery: d, Hostname: s.Hostname, SpoolDir: s.SpoolDir, AllowPlainAuth: s.AllowPlainAuth,
		People: s.People, Trails: device.NewTrails(w.Store, d.Log), Blobs: s.Blobs,
	}
}

// at sends a command to one of the nodes.
func (p *phone) at(s *Server, command string, in *wbxml.Element) *httptest.ResponseRecorder {
	var body bytes.Buffer
	if in != nil {
		if err := wbxml.Encode(&body, in); err != nil {
			panic(err)
		}
	}
	r := httptest.NewRequestWithContext(p.w.T.Context(), "POST", Path+"?"+p.query(command), &body)
	r.RemoteAddr = "127.0.0.1:1234"
	r.Header.Set("MS-ASProtocolVersion", p.version.String())
	r.Header.Set("Content-Type", typeWBXML)
	r.SetBasicAuth(p.login, p.secret)
	rec := httptest.NewRecorder()
	s.ServeHTTP(rec, r)
	return rec
}

// What a device asked of two nodes at once: how it begins, what it says to each, and
// what has to hold once it is at rest.
type overlap struct {
	name          string
	command       string
	path          string
	begin         func(h *handset)
	first, second func(h *handset) *wbxml.Element
	check         func(t *testing.T, h *handset, bob mail.AccountID)
}

func newDraft(clientID string, more ...*wbxml.Element) *wbxml.Element {
	return wbxml.New(wbxml.AirSyncAdd, wbxml.Text(wbxml.AirSyncClientId, clientID), wbxml.New(wbxml.AirSyncApplicationData,
		wbxml.Text(wbxml.EmailTo, bob), wbxml.Text(wbxml.EmailSubject, clientID)).Add(more...))
}

func countOf(t *testing.T, what string, got, want int) {
	t.Helper()
	if got != want {
		t.Errorf("%s: %d, want %d", what, got, want)
	}
}

var overlaps = []overlap{
	{
		name: "what is new", command: "Sync", path: "INBOX",
		begin: func(h *handset) {
			for i := range 7 {
				h.w.mailAt("INBOX", i, 0, nil)
			}
			h.hear(h.exchange(h.ask()))
			h.window = 3
		},
		first: func(h *handset) *wbxml.Element { return h.ask() },
	},
	{
		name: "what is new, with a first window heard", command: "Sync", path: "INBOX",
		begin: func(h *handset) {
			for i := range 7 {
				h.w.mailAt("INBOX", i, 0, nil)
			}
			h.window = 3
			h.hear(h.exchange(h.ask()))
			h.hear(h.exchange(h.ask()))
		},
		first:  func(h *handset) *wbxml.Element { return h.ask() },
		second: func(h *handset) *wbxml.Element { h.window = 2; defer func() { h.window = 3 }(); return h.ask() },
	},
	{
		name: "the beginning", command: "Sync", path: "INBOX",
		begin: func(h *handset) { h.w.mailAt("INBOX", 1, 0, nil) },
		first: func(h *handset) *wbxml.Element { return h.ask() },
	},
	{
		name: "a draft", command: "Sync", path: "Drafts", begin: (*handset).settle,
		first: func(h *handset) *wbxml.Element { return h.ask(newDraft("c1")) },
		check: func(t *testing.T, h *handset, bob mail.AccountID) {
			countOf(t, "drafts", len(placementsIn(h.w, "Drafts")), 1)
		},
	},
	{
		name: "a draft, and once more with another", command: "Sync", path: "Drafts", begin: (*handset).settle,
		first:  func(h *handset) *wbxml.Element { return h.ask(newDraft("c1")) },
		second: func(h *handset) *wbxml.Element { return h.ask(newDraft("c1"), newDraft("c2")) },
		check: func(t *testing.T, h *handset, bob mail.AccountID) {
			countOf(t, "drafts", len(placementsIn(h.w, "Drafts")), 2)
		},
	},
	{
		name: "a draft that is sent", command: "Sync", path: "Drafts", begin: (*handset).settle,
		first: func(h *handset) *wbxml.Element { return h.ask(newDraft("c1", wbxml.New(wbxml.Email2Send))) },
		check: func(t *testing.T, h *handset, bob mail.AccountID) {
			countOf(t, "drafts", len(placementsIn(h.w, "Drafts")), 0)
			countOf(t, "copies in Sent", len(placementsIn(h.w, "Sent")), 1)
			countOf(t, "that Bob got", len(h.w.Inbox(bob)), 1)
		},
	},
	{
		name: "a message", command: "SendMail", path: "INBOX", begin: (*handset).settle,
		first: func(*handset) *wbxml.Element {
			return composeMail(wbxml.ComposeSendMail, "c1", strings.Replace(simple, "<bob@example.test>", "<bob@example.test>, x@elsewhere.test", 1), saved)
		},
		check: func(t *testing.T, h *handset, bob mail.AccountID) {
			countOf(t, "copies in Sent", len(placementsIn(h.w, "Sent")), 1)
			countOf(t, "that Bob got", len(h.w.Inbox(bob)), 1)
			out, err := h.w.Store.Pending(t.Context(), 10)
			if err != nil {
				t.Fatal(err)
			}
			countOf(t, "on their way", len(out), 1)
		},
	},
	{
		name: "a folder", command: "FolderCreate", path: "INBOX", begin: (*handset).settle,
		first: func(h *handset) *wbxml.Element {
			return wbxml.New(wbxml.FolderFolderCreate, wbxml.Text(wbxml.FolderSyncKey, h.folderKey()), wbxml.Text(wbxml.FolderParentId, "0"),
				wbxml.Text(wbxml.FolderDisplayName, "New"), wbxml.Int(wbxml.FolderType, typeMail))
		},
		check: func(t *testing.T, h *handset, bob mail.AccountID) { h.w.mailbox("New") },
	},
	{
		name: "the folders", command: "FolderSync", path: "INBOX", begin: (*handset).settle,
		first: func(h *handset) *wbxml.Element {
			key := h.folderKey()
			h.w.change(func(tx store.Tx) error { _, err := tx.CreateMailbox(image(1)); return err })
			return wbxml.New(wbxml.FolderFolderSync, wbxml.Text(wbxml.FolderSyncKey, key))
		},
	},
}

// folderKey begins with the folders and returns the key that came.
func (h *handset) folderKey() string {
	return h.call("FolderSync", wbxml.New(wbxml.FolderFolderSync, wbxml.Text(wbxml.FolderSyncKey, "0"))).Get(wbxml.FolderSyncKey)
}

// A request is held at every point at which it comes to the store, while another node
// serves the same device; the device hears the one answer, the other, or none.
func TestADeviceAtTwoNodesAtOnce(t *testing.T) {
	for _, o := range overlaps {
		t.Run(o.name, func(t *testing.T) {
			points := int64(0)
			for n := int64(1); ; n++ {
				held := false
				for heard := range 3 {
					held = o.play(t, n, heard)
				}
				if !held {
					break
				}
				points = n
			}
			if points < 2 {
				t.Errorf("the request could be held at %d points only", points)
			}
		})
	}
}

// play holds the first request at its n-th point; false: it has fewer.
func (o *overlap) play(t *testing.T, n int64, heard int) (held bool) {
	t.Helper()
	w := newTown(t)
	neighbour := w.Account(bob, 0, nil)
	w.Delivery.CanSend = true
	h := w.handset(v161, o.path)
	o.begin(h)
	g := &gate{Store: w.Store, n: n, reached: make(chan struct{}), open: make(chan struct{})}
	a, b := w.node(g), w.node(w.Store)
	first := o.first(h)
	second := first
	if o.second != nil {
		second = o.second(h)
	}
	answer := make(chan *httptest.ResponseRecorder, 1)
	go func() { answer <- h.at(a, o.command, first) }()
	select {
	case <-g.reached:
		held = true
	case r := <-answer:
		answer <- r
	}
	answers := []*httptest.ResponseRecorder{nil, h.at(b, o.command, second), nil}
	close(g.open)
	answers[0] = <-answer
	if t.Failed() {
		return false
	}
	what := fmt.Sprintf("held at %d, heard %d", n, heard)
	for i, r := range answers[:2] {
		if r.Code != http.StatusOK && r.Code != http.StatusServiceUnavailable {
			t.Errorf("%s: answer %d is HTTP %d: %s", what, i, r.Code, r.Body)
		}
	}
	if o.command == "Sync" {
		h.goOn(what, answers[heard], first, second)
	}
	if o.check != nil {
		o.check(t, h, neighbour.Account)
	}
	if t.Failed() {
		t.Fatalf("%s", what)
	}
	return held
}

// goOn has the device hear an answer, and ask again for what it heard nothing of, until
// it is at rest and has what the folder has.
func (h *handset) goOn(what string, answer *httptest.ResponseRecorder, asked ...*wbxml.Element) {
	h.w.T.Helper()
	made := map[string]bool{}
	if answer != nil && answer.Code == http.StatusOK {
		if status := h.takeIn(answer.Body.Bytes(), made); status != "1" && status != "16" {
			h.w.T.Fatalf("%s: status %s", what, status)
		}
	}
	var again []*wbxml.Element
	for e := range collectionOf(asked[len(asked)-1]).Child(wbxml.AirSyncCommands).All(wbxml.AirSyncAdd) {
		if !made[e.Get(wbxml.AirSyncClientId)] {
			again = append(again, e)
		}
	}
	next := h.ask(again...)
	if answer == nil {
		next = asked[len(asked)-1]
	}
	status := h.takeIn(h.at(h.w.server, "Sync", next).Body.Bytes(), made)
	switch {
	case status == "3" && asked[0] != asked[1]: // what it heard was overtaken
		h.key, h.options = "0", true
	case status != "1":
		h.w.T.Fatalf("%s: asked again: status %s", what, status)
	}
	h.settle()
	got, want := maps.Clone(h.holds), h.shown()
	for id := range got { // of drafts the device is told no more than it said
		if it, ok := want[id]; ok && h.folder.Role == mail.RoleDrafts {
			got[id] = it
		}
	}
	if !maps.Equal(got, want) {
		h.w.T.Errorf("%s: the device has %v, the folder %v", what, h.holds, want)
	}
}

// takeIn hears an answer, with what became of what the device made, and returns its
// status.
func (h *handset) takeIn(raw []byte, made map[string]bool) string {
	h.w.T.Helper()
	if len(raw) == 0 {
		return "1"
	}
	root := h.w.decode("Sync", bytes.NewReader(raw))
	if !root.Has(wbxml.AirSyncCollections) {
		return root.Get(wbxml.AirSyncStatus)
	}
	c := collectionOf(root)
	if status := c.Get(wbxml.AirSyncStatus); status != "1" {
		return status
	}
	for e := range c.Child(wbxml.AirSyncResponses).All(wbxml.AirSyncAdd) {
		made[e.Get(wbxml.AirSyncClientId)] = true
		if id := e.Get(wbxml.AirSyncServerId); id != "" {
			h.holds[id] = held{}
		}
	}
	h.hear(root)
	return "1"
}
