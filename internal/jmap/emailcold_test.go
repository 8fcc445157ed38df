package jmap

import (
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"lockstep/internal/mail"
	"lockstep/internal/store"
	"lockstep/internal/store/sqlstore"
)

// What is answered without a table is what the table answers, whatever dates the mail
// has, wherever it lies.
func TestAFirstPageNeedsNoTable(t *testing.T) {
	m := newMill(t, sqlstore.Options{})
	rnd := rand.New(rand.NewPCG(1, 2))
	fill := func() {
		from := m.put
		m.put += 25
		m.change(func(tx store.Tx) error {
			for i := from; i < m.put; i++ {
				if err := m.scatter(tx, rnd, i); err != nil {
					return err
				}
			}
			return nil
		})
	}
	for range 6 {
		fill()
		for _, args := range []string{
			`"limit":30`, `"limit":30,"collapseThreads":true`, `"limit":7,"position":11`, `"limit":0`, `"limit":10,"position":190`,
			`"limit":30,"filter":{"inMailbox":"BOX"},"calculateTotal":true`, `"limit":200,"filter":{"inMailbox":"BOX"},"calculateTotal":true`,
			`"limit":30,"filter":{"inMailbox":"BOX"},"calculateTotal":true,"collapseThreads":true`, `"limit":200,"filter":{"inMailbox":"BOX"},"collapseThreads":true,"calculateTotal":true`,
		} {
			for _, box := range m.boxes {
				m.bothWays(args, box.ID)
			}
		}
	}
}

// scatter puts a message into one mailbox or two, within the same few seconds as others,
// into a conversation with some of them.
func (m *mill) scatter(tx store.Tx, rnd *rand.Rand, i int) error {
	a := mail.Arrival{
		Blob:         mail.Blob{Name: mail.BlobName{3, byte(i >> 8), byte(i)}, Size: 1, Place: fmt.Sprint("pack/", i), Key: []byte{1}, Fresh: true, Until: time.Now().Add(time.Hour)},
		InternalDate: time.UnixMicro(1_700_000_000_000_000 + rnd.Int64N(5_000_000)), MessageID: fmt.Sprintf("c%d@example.test", i),
	}
	if rnd.IntN(3) > 0 {
		a.References = []string{fmt.Sprintf("c%d@example.test", rnd.IntN(20))}
	}
	p, err := tx.Append(m.boxes[0].ID, a)
	if err == nil && rnd.IntN(4) == 0 {
		_, err = tx.Copy(m.boxes[0].ID, mail.MakeUIDSet(p.UID), m.boxes[1].ID)
	}
	if err == nil && rnd.IntN(8) == 0 {
		_, err = tx.StoreFlags(m.boxes[0].ID, mail.MakeUIDSet(p.UID), mail.FlagChange{Add: mail.Flags{System: mail.Deleted}}, nil)
	}
	return err
}

// bothWays asks without a table and with one.
func (m *mill) bothWays(args string, box mail.MailboxID) {
	m.t.Helper()
	args = `{"accountId":"$ACCOUNT","sort":[{"property":"receivedAt","isAscending":false}],` + strings.ReplaceAll(args, "BOX", box.String()) + `}`
	m.server.emails = emailTables{}
	var cold, warm gotQuery
	m.ask("Email/query", args, &cold)
	if m.server.emails.kept != nil {
		m.t.Fatalf("%s made a table", args)
	}
	m.ask("Email/query", `{"accountId":"$ACCOUNT","sort":[{"property":"size"}]}`, &warm)
	warm = gotQuery{}
	m.ask("Email/query", args, &warm)
	if !reflect.DeepEqual(cold, warm) {
		m.t.Fatalf("%s: without a table\n%+v, with it\n%+v", args, cold, warm)
	}
}

// A mailbox whose mail is old costs no more than a table.
func TestAFirstPageThatIsMuchWorkTakesATable(t *testing.T) {
	m := newMill(t, sqlstore.Options{})
	ids := m.fill(maxColdLooks + 1)
	m.change(func(tx store.Tx) error {
		_, err := tx.Copy(m.boxes[0].ID, mail.MakeUIDSet(1), m.boxes[1].ID)
		return err
	})
	var got gotQuery
	m.ask("Email/query", `{"accountId":"$ACCOUNT","limit":50,"filter":{"inMailbox":"`+m.boxes[1].ID.String()+`"}}`, &got)
	if !slices.Equal(got.IDs, ids[:1]) || !m.server.emails.has(m.account) {
		t.Errorf("%+v, with a table: %v", got, m.server.emails.has(m.account))
	}
}
