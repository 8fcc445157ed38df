package jmap

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"lockstep/internal/auth"
	"lockstep/internal/mail"
	"lockstep/internal/store"
	"lockstep/internal/store/sqlstore"
	"lockstep/internal/store/sqlstore/sqltest"
)

// mill is a server on the engine that people run, and Alice's session.
type mill struct {
	*sqlstore.DB
	t       testing.TB
	server  *Server
	sess    *auth.Session
	account mail.AccountID
	boxes   []mail.Mailbox
	put     int
}

var millBy = mail.NewOrigin("test", 0, mail.IMAP, mail.BySetup)

func newMill(t testing.TB, o sqlstore.Options) *mill {
	m := &mill{DB: sqltest.Temp(t, o), t: t}
	p, err := m.CreateAccount(t.Context(), millBy, store.NewAccount{Login: login, Verifier: verifier()})
	if err != nil {
		t.Fatal(err)
	}
	m.account = p.Account
	service := auth.New(m.DB, m.DB, []byte("salts"), nil)
	m.sess, err = service.Login(t.Context(), auth.Attempt{Login: login, Secret: password, Protocol: mail.JMAP, Addr: netip.IPv6Loopback(), Client: "tests"})
	if err != nil {
		t.Fatal(err)
	}
	m.server = &Server{Store: m.DB, Directory: m.DB, SpoolDir: t.TempDir()}
	m.server.init()
	m.view(func(r store.Reader) (err error) { m.boxes, err = r.Mailboxes(); return err })
	return m
}

func (m *mill) view(fn func(store.Reader) error) {
	m.t.Helper()
	if err := m.View(m.t.Context(), m.account, fn); err != nil {
		m.t.Fatal(err)
	}
}

func (m *mill) change(fn func(store.Tx) error) {
	m.t.Helper()
	if _, err := m.Update(m.t.Context(), m.account, millBy, fn); err != nil {
		m.t.Fatal(err)
	}
}

// fill puts n messages into the inbox whose bytes nobody asks for.
func (m *mill) fill(n int) (ids []string) {
	m.t.Helper()
	from := m.put
	m.put += n
	m.change(func(tx store.Tx) error {
		ids = nil
		for i := from; i < from+n; i++ {
			p, err := tx.Append(m.boxes[0].ID, mail.Arrival{
				Blob:         mail.Blob{Name: mail.BlobName{1, byte(i >> 16), byte(i >> 8), byte(i)}, Size: 4096, Place: fmt.Sprint("pack/", i), Key: []byte{1}, Fresh: true, Until: time.Now().Add(time.Hour)},
				InternalDate: time.Unix(1_700_000_000+int64(i)*60, 0), MessageID: fmt.Sprintf("%d@example.test", i), Parsed: []byte("parsed"), Preview: "preview",
			})
			if err != nil {
				return err
			}
			got, err := tx.Message(p.Message)
			if err != nil {
				return err
			}
			ids = append(ids, got.EmailID.String())
		}
		return nil
	})
	return ids
}

// ask makes one call as Alice.
func (m *mill) ask(method, args string, into any) (name string) {
	m.t.Helper()
	req := &request{srv: m.server, sess: m.sess, using: []string{methods[method].capability}, created: map[string]string{}}
	req.run(m.t.Context(), invocation{method, json.RawMessage(strings.ReplaceAll(args, "$ACCOUNT", accountID(m.account))), "c"})
	if err := json.Unmarshal(req.responses[0].args, into); err != nil {
		m.t.Fatalf("%s %s: %s: %v", method, args, req.responses[0].args, err)
	}
	return req.responses[0].name
}
