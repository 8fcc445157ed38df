package jmap

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"lockstep/internal/mail"
	"lockstep/internal/store"
)

type gotQuery struct {
	QueryState          string
	CanCalculateChanges bool
	Position            int
	IDs                 []string
	Total               *int
	Limit               *int
}

// letters are some messages, by name.
type letters map[string]string // to their ids

// writeLetters puts some messages into Alice's mailboxes; the last came last.
func writeLetters(w *town) letters {
	l := letters{}
	put := func(name, mailbox, text string, flags ...string) {
		at := time.Date(2026, 1, 6, 8, len(l), 0, 0, time.UTC)
		l[name] = w.emailID(w.putAt(at, mailbox, strings.ReplaceAll(text, "\n", "\r\n"), flags...))
	}
	put("lunch", "INBOX", "From: Bob <bob@example.test>\nTo: Alice <alice@example.test>\nCc: carol@example.test\nSubject: Lunch tomorrow?\nDate: Mon, 05 Jan 2026 10:00:00 +0000\nMessage-ID: <lunch@x.test>\n\nShall we meet at the harbour restaurant?\n", `\Seen`)
	put("answer", "Sent", "From: Alice <alice@example.test>\nTo: Bob <bob@example.test>\nSubject: Re: Lunch tomorrow?\nDate: Mon, 05 Jan 2026 11:00:00 +0000\nMessage-ID: <answer@x.test>\nReferences: <lunch@x.test>\n\nGladly. Meeting at noon?\n", `\Seen`)
	put("bill", "INBOX", "From: Zed Power <billing@power.test>\nTo: alice@example.test\nSubject: Your bill\nX-Customer: 4711 Alice\nDate: Sun, 04 Jan 2026 09:00:00 +0000\nMIME-Version: 1.0\nContent-Type: multipart/mixed; boundary=b\n\n--b\n\nPlease pay at once.\n--b\nContent-Type: application/pdf; name=bill.pdf\nContent-Disposition: attachment; filename=bill.pdf\n\n%PDF\n--b--\n", `\Flagged`)
	put("noon", "INBOX", "From: Bob <bob@example.test>\nTo: Alice <alice@example.test>\nSubject: RE: Lunch tomorrow?\nDate: Mon, 05 Jan 2026 12:00:00 +0000\nMessage-ID: <noon@x.test>\nReferences: <lunch@x.test> <answer@x.test>\n\nNoon it is.\n", "$work")
	put("cafe", "Archive", "From: anna@example.test\nTo: Team: bob@example.test, carol@example.test;\nBcc: alice@example.test\nSubject: =?utf-8?q?Caf=C3=A9_opening?=\nDate: Sat, 03 Jan 2026 09:00:00 +0000\n\nCome to the Straße.\n", `\Seen`, `\Answered`)
	return l
}

// putAt is put, for what came at a moment.
func (w *town) putAt(at time.Time, path, text string, flags ...string) (p mail.Placement) {
	w.T.Helper()
	f, err := mail.NewFlags(flags...)
	if err != nil {
		w.T.Fatal(err)
	}
	a, err := w.Delivery.Ingest(w.T.Context(), strings.NewReader(text))
	if err != nil {
		w.T.Fatal(err)
	}
	a.Flags, a.InternalDate = f, at
	mb := w.mailbox(path)
	w.change(func(tx store.Tx) (err error) {
		p, err = tx.Append(mb.ID, a)
		return err
	})
	return p
}

// names are the letters with these ids.
func (l letters) names(ids []string) string {
	var names []string
	for _, id := range ids {
		name := "?"
		for n, is := range l {
			if is == id {
				name = n
			}
		}
		names = append(names, name)
	}
	return strings.Join(names, " ")
}

func (w *town) query(args string) (q gotQuery) {
	w.T.Helper()
	w.must("Email/query", `{"accountId":"$ACCOUNT",`+args+`}`, &q)
	return q
}

func TestFilters(t *testing.T) {
	w := newTown(t)
	l := writeLetters(w)
	inbox, sent := w.mailbox("INBOX").ID.String(), w.mailbox("Sent").ID.String()
	for _, tt := range []struct{ filter, want string }{
		{`null`, "cafe noon bill answer lunch"},
		{`{}`, "cafe noon bill answer lunch"},
		{`{"inMailbox":"` + inbox + `"}`, "noon bill lunch"},
		{`{"inMailbox":"Mzzz"}`, ""},
		{`{"inMailboxOtherThan":["` + inbox + `","` + sent + `"]}`, "cafe"},
		{`{"inMailboxOtherThan":[]}`, "cafe noon bill answer lunch"},
		{`{"hasAttachment":true}`, "bill"},
		{`{"hasAttachment":false,"inMailbox":"` + inbox + `"}`, "noon lunch"},
		{`{"hasKeyword":"$seen"}`, "cafe answer lunch"},
		{`{"notKeyword":"$seen"}`, "noon bill"},
		{`{"hasKeyword":"$WORK"}`, "noon"},
		{`{"allInThreadHaveKeyword":"$seen"}`, "cafe"},
		{`{"someInThreadHaveKeyword":"$seen"}`, "cafe noon answer lunch"},
		{`{"noneInThreadHaveKeyword":"$seen"}`, "bill"},
		{`{"minSize":300}`, "bill"},
		{`{"maxSize":1}`, ""},
		{`{"before":"2000-01-01T00:00:00Z"}`, ""},
		{`{"before":"2026-01-06T08:02:00Z"}`, "answer lunch"},
		{`{"after":"2026-01-06T08:02:00Z"}`, "cafe noon bill"},
		{`{"after":"2026-01-06T08:02:00.5Z"}`, "cafe noon"},
		{`{"after":"2000-01-01T00:00:00Z"}`, "cafe noon bill answer lunch"},
		{`{"from":"bob"}`, "noon lunch"},
		{`{"from":"bob@example.test"}`, "noon lunch"},
		{`{"to":"carol"}`, "cafe"},
		{`{"cc":"carol"}`, "lunch"},
		{`{"bcc":"alice"}`, "cafe"},
		{`{"subject":"lunch"}`, "noon answer lunch"},
		{`{"subject":"tomorrow lunch"}`, "noon answer lunch"},
		{`{"subject":"\"tomorrow lunch\""}`, ""},
		{`{"subject":"cafe open"}`, "cafe"},
		{`{"body":"meet"}`, "answer lunch"},
		{`{"body":"\"meet\""}`, "lunch"},
		{`{"body":"strasse"}`, "cafe"},
		{`{"body":"bill.pdf"}`, "bill"},
		{`{"text":"bob noon"}`, "noon answer"},
		{`{"text":"  "}`, "cafe noon bill answer lunch"},
		{`{"text":"?!"}`, ""},
		{`{"header":["X-Customer"]}`, "bill"},
		{`{"header":["x-customer","alice"]}`, "bill"},
		{`{"header":["X-Customer","bob"]}`, ""},
		{`{"operator":"NOT","conditions":[{"hasKeyword":"$seen"},{"hasKeyword":"$work"}]}`, "bill"},
		{`{"operator":"OR","conditions":[{"hasKeyword":"$work"},{"subject":"bill"}]}`, "noon bill"},
		{`{"operator":"AND","conditions":[{"inMailbox":"` + inbox + `"},{"operator":"NOT","conditions":[{"subject":"bill"}]}]}`, "noon lunch"},
		{`{"operator":"AND","conditions":[]}`, "cafe noon bill answer lunch"},
		{`{"operator":"OR","conditions":[]}`, ""},
		{`{"hasKeyword":"$seen","from":"anna"}`, "cafe"},
	} {
		if got := l.names(w.query(`"filter":` + tt.filter).IDs); got != tt.want {
			t.Errorf("%s: %q, want %q", tt.filter, got, tt.want)
		}
	}
	for want, filters := range map[string][]string{
		"unsupportedFilter": {`{"colour":"red"}`, `{"operator":"AND","conditions":[` + strings.Repeat(`{},`, maxFilterCondition) + `{}]}`,
			strings.Repeat(`{"operator":"NOT","conditions":[`, maxFilterDepth+1) + `{}` + strings.Repeat(`]}`, maxFilterDepth+1)},
		"invalidArguments": {`{"before":"2000-01-01"}`, `{"after":"2000-01-01T00:00:00+01:00"}`, `{"minSize":"x"}`, `{"minSize":-1}`, `{"hasKeyword":"a b"}`, `{"header":[]}`, `{"header":["a","b","c"]}`,
			`{"operator":"XOR","conditions":[]}`, `{"operator":"AND"}`, `3`},
	} {
		for _, f := range filters {
			w.refused(want, "Email/query", `{"accountId":"$ACCOUNT","filter":`+f+`}`)
		}
	}
}

func TestOrders(t *testing.T) {
	w := newTown(t)
	l := writeLetters(w)
	for _, tt := range []struct{ sort, want string }{
		{`[]`, "cafe noon bill answer lunch"},
		{`[{"property":"receivedAt"}]`, "lunch answer bill noon cafe"},
		{`[{"property":"receivedAt","isAscending":false}]`, "cafe noon bill answer lunch"},
		{`[{"property":"sentAt"}]`, "cafe bill lunch answer noon"},
		{`[{"property":"size","isAscending":false}]`, "bill lunch noon answer cafe"},
		{`[{"property":"from"}]`, "answer cafe noon lunch bill"},
		{`[{"property":"from"},{"property":"receivedAt"}]`, "answer cafe lunch noon bill"},
		{`[{"property":"to"},{"property":"sentAt"}]`, "lunch noon bill answer cafe"},
		{`[{"property":"subject"},{"property":"sentAt","isAscending":false}]`, "cafe noon answer lunch bill"},
		{`[{"property":"subject","collation":"i;octet"},{"property":"sentAt"}]`, "cafe lunch answer noon bill"},
		{`[{"property":"hasKeyword","keyword":"$seen","isAscending":false},{"property":"sentAt"}]`, "cafe lunch answer bill noon"},
		{`[{"property":"allInThreadHaveKeyword","keyword":"$seen"}]`, "noon bill answer lunch cafe"},
		{`[{"property":"someInThreadHaveKeyword","keyword":"$work","isAscending":false}]`, "noon answer lunch cafe bill"},
	} {
		if got := l.names(w.query(`"sort":` + tt.sort).IDs); got != tt.want {
			t.Errorf("%s: %q, want %q", tt.sort, got, tt.want)
		}
	}
	for _, sort := range []string{`[{"property":"colour"}]`, `[{"property":"from","collation":"i;klingon"}]`, `[{"property":"size"}` + strings.Repeat(`,{"property":"size"}`, maxComparators) + `]`} {
		w.refused("unsupportedSort", "Email/query", `{"accountId":"$ACCOUNT","sort":`+sort+`}`)
	}
	w.refused("invalidArguments", "Email/query", `{"accountId":"$ACCOUNT","sort":[{"property":"hasKeyword"}]}`)
}

func TestWindows(t *testing.T) {
	w := newTown(t)
	l := writeLetters(w) // cafe noon bill answer lunch
	for _, tt := range []struct {
		args, want string
		position   int
	}{
		{`"limit":2`, "cafe noon", 0},
		{`"limit":0`, "", 0},
		{`"position":1,"limit":2`, "noon bill", 1},
		{`"position":-2`, "answer lunch", 3},
		{`"position":-99,"limit":1`, "cafe", 0},
		{`"position":99`, "", 5},
		{`"anchor":"` + l["bill"] + `","limit":2`, "bill answer", 2},
		{`"anchor":"` + l["bill"] + `","anchorOffset":-1,"limit":2`, "noon bill", 1},
		{`"anchor":"` + l["bill"] + `","anchorOffset":-9,"limit":1`, "cafe", 0},
		{`"anchor":"` + l["bill"] + `","anchorOffset":1,"position":4,"limit":1`, "answer", 3},
		{`"collapseThreads":true`, "cafe noon bill", 0},
		{`"collapseThreads":true,"limit":1,"position":2`, "bill", 2},
		{`"collapseThreads":true,"sort":[{"property":"receivedAt"}]`, "lunch bill cafe", 0},
		{`"collapseThreads":true,"sort":[{"property":"size"}]`, "cafe answer bill", 0},
	} {
		q := w.query(tt.args + `,"calculateTotal":true`)
		total := 5
		if strings.Contains(tt.args, "collapse") {
			total = 3
		}
		if got := l.names(q.IDs); got != tt.want || q.Position != tt.position || q.Total == nil || *q.Total != total || !q.CanCalculateChanges {
			t.Errorf("%s: %q %+v, want %q", tt.args, got, q, tt.want)
		}
		plain := w.query(tt.args)
		if got := l.names(plain.IDs); got != tt.want || plain.Total != nil {
			t.Errorf("%s: %q %+v without a total, want %q", tt.args, got, plain, tt.want)
		}
	}
	if q := w.query(`"limit":` + fmt.Sprint(maxQueryLimit+1)); q.Limit == nil || *q.Limit != maxQueryLimit {
		t.Errorf("%+v", q)
	}
	w.refused("anchorNotFound", "Email/query", `{"accountId":"$ACCOUNT","anchor":"`+mail.NewEmailID().String()+`"}`)
	w.refused("anchorNotFound", "Email/query", `{"accountId":"$ACCOUNT","anchor":"x"}`)
	w.refused("invalidArguments", "Email/query", `{"accountId":"$ACCOUNT","limit":-1}`)
	w.refused("accountNotFound", "Email/query", `{"accountId":"x"}`)
}

// A list is of the mail as it is, whatever was kept of it.
func TestAListFollowsTheMail(t *testing.T) {
	w := newTown(t)
	l := writeLetters(w)
	inbox, trash := w.mailbox("INBOX"), w.mailbox("Trash")
	before := w.query(`"filter":{"text":"bob"}`)
	if got := l.names(before.IDs); got != "cafe noon answer lunch" {
		t.Fatal(got)
	}
	l["old"] = w.emailID(w.put("INBOX", "From: bob@example.test\r\nSubject: old\r\n\r\n", `\Seen`))
	w.change(func(tx store.Tx) error {
		_, err := tx.Move(inbox.ID, mail.MakeUIDSet(1), trash.ID)
		return err
	})
	w.change(func(tx store.Tx) error {
		_, err := tx.Expunge(inbox.ID, mail.MakeUIDSet(3), false)
		return err
	})
	after := w.query(`"filter":{"text":"bob"}`)
	if got := l.names(after.IDs); got != "old cafe answer lunch" || after.QueryState == before.QueryState {
		t.Errorf("%s in state %s, before it was %s", got, after.QueryState, before.QueryState)
	}
	if got := l.names(w.query(`"filter":{"inMailbox":"` + trash.ID.String() + `"}`).IDs); got != "lunch" {
		t.Error(got)
	}
}

// Tables stay within their bound, and the one that is asked stays.
func TestTablesAreBounded(t *testing.T) {
	var ts emailTables
	for n := range 20 {
		id := mail.AccountID(n + 1)
		k := ts.of(id)
		k.table = newEmailTable(mail.Position{})
		k.table.rows = make([]emailRow, 10)
		ts.keep(id, k, 35)
		if ts.rows > 35 || ts.kept[id] != k {
			t.Fatalf("%d rows are kept, %v", ts.rows, ts.kept)
		}
	}
	k := ts.of(20)
	k.table.rows = make([]emailRow, 100)
	ts.keep(20, k, 35)
	if len(ts.kept) != 1 || ts.rows != 100 {
		t.Errorf("%d rows are kept, %v", ts.rows, ts.kept)
	}
	if slices.Contains([]uint64{0}, k.used) {
		t.Error("nobody used it")
	}
}
