package jmap

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"lockstep/internal/mail"
	"lockstep/internal/search"
)

// newIndex makes a search index of the town's mail. While blind is true it can't read any.
func (w *town) newIndex(blind *bool) *search.Index {
	w.T.Helper()
	x, err := search.New(w.T.TempDir(), search.Options{Store: w.Store, Directory: w.Store, Secret: []byte("secret"),
		Blobs: func(ctx context.Context, b mail.Blob) (search.Bytes, error) {
			if *blind {
				return nil, mail.Errorf(mail.Corrupt, "a test does not show it")
			}
			r, err := w.Blobs.Open(ctx, b)
			if err != nil {
				return nil, err
			}
			return r, nil
		}})
	if err != nil {
		w.T.Fatal(err)
	}
	w.T.Cleanup(func() { x.Close() })
	return x
}

// What is found is the same without an index, with one, and with one that does not know
// all the mail; and the index spares the reading.
func TestTextIsFoundWhateverTheIndexKnows(t *testing.T) {
	w := newTown(t)
	l := writeLetters(w)
	blind := false
	x := w.newIndex(&blind)
	if err := x.CatchUp(t.Context(), w.alice.Account); err != nil {
		t.Fatal(err)
	}
	blind = true
	l["later"] = w.emailID(w.put("INBOX", "From: Dora <dora@example.test>\r\nTo: bob@example.test\r\nCc: alice@example.test\r\nSubject: Later lunch\r\nX-Customer: none\r\n\r\nAt the harbour, Straße 5.\r\n"))
	plain := &Server{Store: w.Store, Directory: w.Store, Auth: w.server.Auth, Accounts: w.auth, Delivery: w.Delivery, Blobs: w.server.Blobs}
	indexed := &Server{Store: w.Store, Directory: w.Store, Auth: w.server.Auth, Accounts: w.auth, Delivery: w.Delivery, Blobs: w.server.Blobs, Search: x}
	for _, filter := range []string{
		`{"text":"lunch"}`, `{"text":"harbour alice"}`, `{"body":"strasse"}`, `{"subject":"lunch"}`, `{"from":"bob"}`, `{"from":"dora"}`, `{"to":"bob"}`, `{"to":"carol"}`, `{"cc":"carol"}`,
		`{"cc":"alice"}`, `{"bcc":"alice"}`, `{"header":["X-Customer"]}`, `{"header":["x-customer","4711"]}`, `{"header":["Subject","LUNCH"]}`, `{"text":"\"harbour restaurant\""}`, `{"body":"bill.pdf"}`,
		`{"operator":"NOT","conditions":[{"text":"lunch"},{"from":"anna"}]}`, `{"operator":"OR","conditions":[{"cc":"alice"},{"header":["X-Customer"]},{"subject":"cafe"}]}`, `{"text":"nobody"}`,
	} {
		w.server = plain
		want := l.names(w.query(`"filter":` + filter).IDs)
		w.server = indexed
		if got := l.names(w.query(`"filter":` + filter).IDs); got != want {
			t.Errorf("%s: %q by the index, %q without", filter, got, want)
		}
	}
	blind = false
	indexed.Search = w.newIndex(&blind)
	opened := 0
	blobs := indexed.Blobs
	indexed.emails = emailTables{}
	indexed.Blobs = func(ctx context.Context, b mail.Blob) (Body, error) { opened++; return blobs(ctx, b) }
	if got := l.names(w.query(`"filter":{"text":"harbour"}`).IDs); got != "later lunch" || opened != 0 {
		t.Errorf("%q, %d messages were opened", got, opened)
	}
}

// More mail than a query reads is asked for later, and only where it has to be read.
func TestReadingIsBounded(t *testing.T) {
	w := newTown(t)
	w.server.init()
	c := &call{request: &request{srv: w.server}}
	test := newWordTest(search.Text, "x")
	for i := range maxTextsRead + 1 {
		test.unknown = append(test.unknown, mail.MessageKey(i+1))
	}
	err := c.readTexts(t.Context(), w.alice.Account, []*wordTest{test})
	if e, ok := err.(*methodError); !ok || e.Type != "serverUnavailable" {
		t.Errorf("%v", err)
	}
}

// Answers of old questions are forgotten when there are many.
func TestAnswersAreBounded(t *testing.T) {
	table := newEmailTable(mail.Position{})
	for n := range 50 {
		w := newWordTest(search.Text, fmt.Sprint("word", n))
		w.found = search.Answers{1: true}
		table.remember([]*wordTest{w})
		if len(table.answers) > maxAnswerSets || !w.answers[1] {
			t.Fatalf("%d questions are remembered", len(table.answers))
		}
	}
	w := newWordTest(search.Text, strings.Repeat("many ", 3))
	w.found = search.Answers{}
	for i := range maxAnswers + 1 {
		w.found[mail.MessageKey(i)] = true
	}
	table.remember([]*wordTest{w})
	if len(table.answers) != 1 {
		t.Errorf("%d questions are remembered beside a large one", len(table.answers))
	}
}
