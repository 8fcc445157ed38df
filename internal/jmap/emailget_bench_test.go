package jmap

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"lockstep/internal/mail"
	"lockstep/internal/message"
	"lockstep/internal/store"
	"lockstep/internal/store/sqlstore"
)

// fillWith puts n messages that are as wholeLetter into the inbox; there is nothing to
// read of their bytes.
func (m *mill) fillWith(n int) []string {
	m.t.Helper()
	parsed, err := message.Parse(strings.NewReader(wholeLetter))
	if err != nil {
		m.t.Fatal(err)
	}
	row := message.Encode(parsed)
	var ids []string
	for from := 0; from < n; from += 1000 {
		var some []string
		m.change(func(tx store.Tx) error {
			some = nil
			for i := from; i < min(from+1000, n); i++ {
				p, err := tx.Append(m.boxes[0].ID, mail.Arrival{
					Blob:         mail.Blob{Name: mail.BlobName{2, byte(i >> 16), byte(i >> 8), byte(i)}, Size: int64(len(wholeLetter)), Place: fmt.Sprint("pack/", i), Key: []byte{1}, Fresh: true, Until: time.Now().Add(time.Hour)},
					InternalDate: time.Unix(1_700_000_000+int64(i)*60, 0), MessageID: fmt.Sprintf("%d@example.test", i), Parsed: row, Preview: parsed.Preview,
				})
				if err != nil {
					return err
				}
				got, err := tx.Message(p.Message)
				if err != nil {
					return err
				}
				some = append(some, got.EmailID.String())
			}
			return nil
		})
		ids = append(ids, some...)
	}
	m.server.Blobs = func(context.Context, mail.Blob) (Body, error) { return nil, errors.New("somebody opened a blob") }
	return ids
}

const listProperties = `["id","threadId","mailboxIds","keywords","from","to","subject","receivedAt","preview","hasAttachment","size"]`

// TestListsOpenNoBlob counts what a list of many emails costs.
func TestListsOpenNoBlob(t *testing.T) {
	m := newMill(t, sqlstore.Options{})
	list, err := json.Marshal(m.fillWith(1000))
	if err != nil {
		t.Fatal(err)
	}
	before := m.Stats().Statements
	var out emailGetAnswer
	m.ask("Email/get", `{"accountId":"$ACCOUNT","ids":`+string(list)+`,"properties":`+listProperties+`}`, &out)
	if n := m.Stats().Statements - before; len(out.List) != 1000 || n > 3*1000+10 {
		t.Errorf("%d emails with %d statements", len(out.List), n)
	}
	// What the structure tells of bodies opens none either.
	m.ask("Email/get", `{"accountId":"$ACCOUNT","ids":`+string(list)+`,"properties":["bodyStructure","attachments","references"],"bodyProperties":["partId","blobId","type","name","cid","disposition"]}`, &out)
	if len(out.List) != 1000 {
		t.Errorf("%d structures", len(out.List))
	}
}

func BenchmarkEmailGet(b *testing.B) {
	for _, n := range []int{1000, 100_000} {
		m := newMill(b, sqlstore.Options{})
		all := m.fillWith(n)
		for _, page := range []int{50, 1000} {
			list, err := json.Marshal(all[n-page:])
			if err != nil {
				b.Fatal(err)
			}
			b.Run(fmt.Sprintf("list/%d/of%d", page, n), func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					req := &request{srv: m.server, sess: m.sess, using: []string{mailURN}, created: map[string]string{}}
					req.run(b.Context(), invocation{"Email/get", json.RawMessage(`{"accountId":"` + accountID(m.account) + `","ids":` + string(list) + `,"properties":` + listProperties + `}`), "c"})
					if len(req.responses[0].args) < 100*page {
						b.Fatal(string(req.responses[0].args))
					}
				}
			})
		}
	}
}

func BenchmarkEmailGetBody(b *testing.B) {
	w := newTown(b)
	id := w.emailID(w.put("INBOX", "Subject: a\r\nContent-Type: text/html\r\n\r\n"+strings.Repeat("<p class=\"x\">Some text of a letter, which is long.</p>\r\n", 1<<20/54)))
	sess := w.session()
	body := []byte(`{"using":["` + mailURN + `"],"methodCalls":[["Email/get",{"accountId":"` + w.account + `","ids":["` + id + `"],"properties":["bodyValues"],"fetchAllBodyValues":true},"c"]]}`)
	b.ReportAllocs()
	for b.Loop() {
		out, wrong := w.server.process(b.Context(), sess, body, "")
		if wrong != nil {
			b.Fatal(wrong)
		}
		b.SetBytes(int64(len(out.encode())))
	}
}
