package jmap

import (
	"fmt"
	"testing"
	"time"

	"lockstep/internal/mail"
	"lockstep/internal/message"
	"lockstep/internal/store"
	"lockstep/internal/store/sqlstore"
)

// fillThreads puts n messages into two mailboxes, as conversations of four, with what
// lists are sorted by.
func (m *mill) fillThreads(n int) {
	m.t.Helper()
	const chunk = 10_000
	for from := 0; from < n; from += chunk {
		m.change(func(tx store.Tx) error {
			for i := from; i < min(from+chunk, n); i++ {
				parsed := message.Encode(&message.Message{
					Envelope:    message.Envelope{Subject: fmt.Sprint("subject ", i%1000), From: []message.Address{{Name: fmt.Sprint("Person ", i%300), Mailbox: "p", Host: "example.test"}}},
					Root:        &message.Part{Type: "text", Subtype: "plain"},
					BaseSubject: fmt.Sprint("subject ", i%1000), HasAttachment: i%10 == 0,
				})
				a := mail.Arrival{
					Blob:         mail.Blob{Name: mail.BlobName{2, byte(i >> 16), byte(i >> 8), byte(i)}, Size: 4096 + int64(i%5000), Place: fmt.Sprint("pack/", i), Key: []byte{1}, Fresh: true, Until: time.Now().Add(time.Hour)},
					InternalDate: time.Unix(1_700_000_000+int64(i)*60, 0), MessageID: fmt.Sprintf("t%d@example.test", i), Parsed: parsed, Preview: "preview",
				}
				if i%4 > 0 {
					a.References = []string{fmt.Sprintf("t%d@example.test", i-i%4)}
				}
				if i%3 == 0 {
					a.Flags = mail.Flags{System: mail.Seen}
				}
				if _, err := tx.Append(m.boxes[i%2].ID, a); err != nil {
					return err
				}
			}
			return nil
		})
	}
}

// BenchmarkEmailQuery asks for lists of 100 000 Emails.
func BenchmarkEmailQuery(b *testing.B) {
	m := newMill(b, sqlstore.Options{})
	m.fillThreads(100_000)
	inbox := m.boxes[0].ID.String()
	b.Run("made anew", func(b *testing.B) {
		for b.Loop() {
			m.server.emails = emailTables{}
			m.ask("Email/query", `{"accountId":"$ACCOUNT","limit":50,"calculateTotal":true}`, &gotQuery{})
		}
	})
	b.Run("first page of threads, without a table", func(b *testing.B) {
		for b.Loop() {
			m.server.emails = emailTables{}
			m.ask("Email/query", `{"accountId":"$ACCOUNT","filter":{"inMailbox":"`+inbox+`"},"sort":[{"property":"receivedAt","isAscending":false}],"limit":50,"collapseThreads":true,"calculateTotal":true}`, &gotQuery{})
		}
	})
	m.ask("Email/query", `{"accountId":"$ACCOUNT","limit":50,"calculateTotal":true}`, &gotQuery{})
	for _, bm := range []struct{ name, args string }{
		{"first page", `"filter":{"inMailbox":"` + inbox + `"},"limit":50`},
		{"first page of threads", `"filter":{"inMailbox":"` + inbox + `"},"limit":50,"collapseThreads":true`},
		{"first page of all, with total", `"limit":50,"calculateTotal":true`},
		{"first page of all threads, with total", `"limit":50,"calculateTotal":true,"collapseThreads":true`},
		{"page at 50 000", `"limit":50,"position":50000`},
		{"threads at 20 000, with total", `"limit":50,"position":20000,"collapseThreads":true,"calculateTotal":true`},
		{"unread", `"filter":{"inMailbox":"` + inbox + `","notKeyword":"$seen"},"limit":50,"calculateTotal":true`},
		{"by size", `"sort":[{"property":"size"}],"limit":50`},
		{"by sender", `"sort":[{"property":"from"},{"property":"subject"}],"limit":50`},
		{"with attachments", `"filter":{"hasAttachment":true},"limit":50`},
		{"unread threads", `"filter":{"allInThreadHaveKeyword":"$seen"},"limit":50,"collapseThreads":true`},
	} {
		b.Run(bm.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				m.ask("Email/query", `{"accountId":"$ACCOUNT",`+bm.args+`}`, &gotQuery{})
			}
		})
	}
	var before gotQuery
	m.ask("Email/query", `{"accountId":"$ACCOUNT","limit":1}`, &before)
	for i := range 100 {
		m.change(func(tx store.Tx) error {
			_, err := tx.StoreFlags(m.boxes[0].ID, mail.MakeUIDSet(mail.UID(1+i*400)), mail.FlagChange{Add: mail.Flags{System: mail.Flagged}}, nil)
			return err
		})
	}
	b.Run("first page after 100 changes", func(b *testing.B) {
		for b.Loop() {
			b.StopTimer()
			m.change(func(tx store.Tx) error {
				for i := range 100 {
					n, err := tx.StoreFlags(m.boxes[0].ID, mail.MakeUIDSet(mail.UID(2+i*400)), mail.FlagChange{Add: mail.Flags{System: mail.Flagged}}, nil)
					if err == nil && len(n.Changed) == 0 {
						_, err = tx.StoreFlags(m.boxes[0].ID, mail.MakeUIDSet(mail.UID(2+i*400)), mail.FlagChange{Remove: mail.Flags{System: mail.Flagged}}, nil)
					}
					if err != nil {
						return err
					}
				}
				return nil
			})
			b.StartTimer()
			m.ask("Email/query", `{"accountId":"$ACCOUNT","limit":50}`, &gotQuery{})
		}
	})
	since := `{"accountId":"$ACCOUNT","sinceState":"` + before.QueryState + `"}`
	b.Run("changes after 100", func(b *testing.B) {
		for b.Loop() {
			m.ask("Email/changes", since, &changesAnswer{})
		}
	})
	b.Run("queryChanges after 100", func(b *testing.B) {
		for b.Loop() {
			m.ask("Email/queryChanges", `{"accountId":"$ACCOUNT","sinceQueryState":"`+before.QueryState+`"}`, &gotQueryChanges{})
		}
	})
}
