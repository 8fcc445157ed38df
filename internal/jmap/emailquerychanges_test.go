package jmap

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"lockstep/internal/mail"
	"lockstep/internal/store"
)

type gotQueryChanges struct {
	OldQueryState, NewQueryState string
	Total                        *int
	Removed                      []string
	Added                        []struct {
		ID    string
		Index int
	}
}

// apply does to a list what a client does (RFC 8620 §5.6).
func (g gotQueryChanges) apply(list []string) []string {
	out := slices.DeleteFunc(slices.Clone(list), func(id string) bool { return slices.Contains(g.Removed, id) })
	for _, a := range g.Added {
		out = slices.Insert(out, min(a.Index, len(out)), a.ID)
	}
	return out
}

// rambler changes mail at random.
type rambler struct {
	*town
	rnd  *rand.Rand
	n    int
	acts []mail.ModSeq
}

func (m *rambler) somewhere() mail.Mailbox {
	var all []mail.Mailbox
	err := m.Store.View(m.T.Context(), m.alice.Account, func(r store.Reader) (err error) {
		all, err = r.Mailboxes()
		return err
	})
	if err != nil {
		m.T.Fatal(err)
	}
	return all[m.rnd.IntN(min(len(all), 4))]
}

// some picks some of the messages of a mailbox.
func (m *rambler) some(mb mail.Mailbox) mail.UIDSet {
	var uids []mail.UID
	err := m.Store.View(m.T.Context(), m.alice.Account, func(r store.Reader) error {
		uids = nil
		return r.Placements(store.PlacementQuery{Mailbox: mb.ID}, func(p *mail.Placement) error {
			uids = append(uids, p.UID)
			return nil
		})
	})
	if err != nil {
		m.T.Fatal(err)
	}
	var set mail.UIDSet
	for _, uid := range uids {
		if m.rnd.IntN(4) == 0 {
			set.Add(uid)
		}
	}
	return set
}

func (m *rambler) step() {
	here, there := m.somewhere(), m.somewhere()
	switch m.rnd.IntN(9) {
	case 0, 1, 2:
		m.n++
		text := fmt.Sprintf("From: p%d@example.test\r\nSubject: s%d\r\nMessage-ID: <m%d@x.test>\r\nReferences: <m%d@x.test>\r\n\r\n%s\r\n",
			m.rnd.IntN(4), m.rnd.IntN(3), m.n, 1+m.rnd.IntN(m.n), strings.Repeat("word ", m.rnd.IntN(5)))
		m.putAt(time.Date(2026, 1, 1, 0, 0, m.rnd.IntN(20), 0, time.UTC), here.Path, text)
	case 3, 4, 5:
		f, _ := mail.NewFlags([]string{`\Seen`, `\Flagged`, "$work", `\Deleted`}[m.rnd.IntN(4)])
		change := mail.FlagChange{Add: f}
		if m.rnd.IntN(2) == 0 {
			change = mail.FlagChange{Remove: f}
		}
		uids := m.some(here)
		m.did(func(tx store.Tx) error {
			_, err := tx.StoreFlags(here.ID, uids, change, nil)
			return err
		})
	case 6:
		uids := m.some(here)
		m.did(func(tx store.Tx) error {
			_, err := tx.Move(here.ID, uids, there.ID)
			return err
		})
	case 7:
		uids := m.some(here)
		m.did(func(tx store.Tx) error {
			_, err := tx.Copy(here.ID, uids, there.ID)
			return err
		})
	case 8:
		uids := m.some(here)
		m.did(func(tx store.Tx) error {
			_, err := tx.Expunge(here.ID, uids, m.rnd.IntN(2) == 0)
			return err
		})
	}
}

// did makes a change, or takes an earlier one back.
func (m *rambler) did(fn func(store.Tx) error) {
	if n := len(m.acts); n > 0 && m.rnd.IntN(6) == 0 {
		act := m.acts[n-1]
		m.acts = m.acts[:n-1]
		m.change(func(tx store.Tx) error {
			_, err := tx.Undo(mail.ActID(act))
			return err
		})
		return
	}
	if n := m.change(fn); n != 0 {
		m.acts = append(m.acts, n)
	}
}

// remembered is a list as a client has it.
type remembered struct {
	query string
	state string
	ids   []string
}

// A list that is kept up to date by what changed is the list that is asked for anew,
// whatever was asked and however long ago.
func TestQueryChangesLeadToTheListOfNow(t *testing.T) {
	for seed := range uint64(3) {
		t.Run(fmt.Sprint("seed=", seed), func(t *testing.T) { ramble(t, seed) })
	}
}

func ramble(t *testing.T, seed uint64) {
	w := newTown(t)
	m := &rambler{town: w, rnd: rand.New(rand.NewPCG(seed, 1))}
	inbox, sent := w.mailbox("INBOX").ID.String(), w.mailbox("Sent").ID.String()
	filters := []string{`null`, `{"inMailbox":"` + inbox + `"}`, `{"inMailboxOtherThan":["` + inbox + `","` + sent + `"]}`, `{"hasKeyword":"$seen"}`, `{"notKeyword":"$work"}`,
		`{"allInThreadHaveKeyword":"$seen"}`, `{"someInThreadHaveKeyword":"$flagged","inMailbox":"` + inbox + `"}`, `{"noneInThreadHaveKeyword":"$work"}`,
		`{"after":"2026-01-01T00:00:10Z"}`, `{"from":"p1"}`, `{"operator":"NOT","conditions":[{"subject":"s1"},{"inMailbox":"` + sent + `"}]}`}
	sorts := []string{`[]`, `[{"property":"receivedAt"}]`, `[{"property":"size"}]`, `[{"property":"hasKeyword","keyword":"$seen"},{"property":"receivedAt"}]`,
		`[{"property":"someInThreadHaveKeyword","keyword":"$flagged","isAscending":false}]`, `[{"property":"subject"},{"property":"from","isAscending":false}]`}
	var lists []remembered
	for step := range 50 {
		m.step()
		query := `"filter":` + filters[m.rnd.IntN(len(filters))] + `,"sort":` + sorts[m.rnd.IntN(len(sorts))] + `,"collapseThreads":` + fmt.Sprint(m.rnd.IntN(2) == 0)
		now := w.query(query)
		lists = append(lists, remembered{query, now.QueryState, now.IDs})
		for range 6 {
			i := m.rnd.IntN(len(lists))
			old := lists[i]
			lists[i] = checkQueryChanges(t, w, old, step)
		}
		w.sameAnew(query, now.IDs)
	}
}

// checkQueryChanges brings a list up to date and holds it against a new one.
func checkQueryChanges(t *testing.T, w *town, old remembered, step int) remembered {
	t.Helper()
	var got gotQueryChanges
	w.must("Email/queryChanges", `{"accountId":"$ACCOUNT","calculateTotal":true,"sinceQueryState":"`+old.state+`",`+old.query+`}`, &got)
	now := w.query(old.query + `,"calculateTotal":true`)
	if list := got.apply(old.ids); !slices.Equal(list, now.IDs) || got.NewQueryState != now.QueryState || got.OldQueryState != old.state || *got.Total != *now.Total {
		t.Fatalf("step %d, %s since %s:\n%+v\nmakes of %v\n%v, the list is\n%v", step, old.query, old.state, got, old.ids, list, now.IDs)
	}
	return remembered{old.query, now.QueryState, now.IDs}
}

// sameAnew asks a server that has kept nothing.
func (w *town) sameAnew(query string, want []string) {
	w.T.Helper()
	kept := w.server
	defer func() { w.server = kept }()
	w.server = &Server{Store: kept.Store, Directory: kept.Directory, Auth: kept.Auth, Accounts: kept.Accounts, Delivery: kept.Delivery, Blobs: kept.Blobs}
	if got := w.query(query).IDs; !slices.Equal(got, want) {
		w.T.Fatalf("%s: the list that is kept up to date is\n%v, anew it is\n%v", query, want, got)
	}
}

func TestQueryChangesAreRefusedAndBounded(t *testing.T) {
	w := newTown(t)
	l := writeLetters(w)
	old := w.query(`"sort":[]`)
	l["new"] = w.emailID(w.put("INBOX", "Subject: new\r\n\r\n"))
	var got gotQueryChanges
	since := `{"accountId":"$ACCOUNT","sinceQueryState":"` + old.QueryState + `"`
	w.must("Email/queryChanges", since+`}`, &got)
	if len(got.Removed) != 0 || len(got.Added) != 1 || got.Added[0].ID != l["new"] || got.Added[0].Index != 0 || got.Total != nil {
		t.Errorf("%+v", got)
	}
	// What came behind the last that the client knows of is left out, where nothing else moves.
	got = gotQueryChanges{}
	w.must("Email/queryChanges", since+`,"sort":[{"property":"receivedAt"}],"upToId":"`+l["bill"]+`"}`, &got)
	if len(got.Added) != 0 {
		t.Errorf("%+v", got)
	}
	w.must("Email/queryChanges", since+`,"sort":[{"property":"receivedAt"}],"upToId":"`+l["bill"]+`","filter":{"notKeyword":"$seen"}}`, &got)
	if len(got.Added) != 1 {
		t.Errorf("%+v", got)
	}
	w.put("INBOX", "Subject: newer\r\n\r\n")
	w.refused("tooManyChanges", "Email/queryChanges", since+`,"maxChanges":1}`)
	w.refused("invalidArguments", "Email/queryChanges", since+`,"maxChanges":0}`)
	w.refused("cannotCalculateChanges", "Email/queryChanges", `{"accountId":"$ACCOUNT","sinceQueryState":"x"}`)
	w.refused("cannotCalculateChanges", "Email/queryChanges", `{"accountId":"$ACCOUNT","sinceQueryState":"1.99999"}`)
	w.refused("cannotCalculateChanges", "Email/queryChanges", `{"accountId":"$ACCOUNT","sinceQueryState":"7.1"}`)
	w.refused("unsupportedSort", "Email/queryChanges", since+`,"sort":[{"property":"x"}]}`)
	w.refused("unsupportedFilter", "Email/queryChanges", since+`,"filter":{"x":1}}`)
	if err := w.Store.Prune(t.Context(), w.alice.Account, time.Now().Add(time.Hour)); err != nil {
		t.Fatal(err)
	}
	w.refused("cannotCalculateChanges", "Email/queryChanges", since+`}`)
	var now gotQueryChanges
	w.must("Email/queryChanges", `{"accountId":"$ACCOUNT","sinceQueryState":"`+w.query(`"limit":1`).QueryState+`"}`, &now)
	if len(now.Added)+len(now.Removed) != 0 {
		t.Errorf("nothing happened: %+v", now)
	}
}

func TestChangesOfEmails(t *testing.T) {
	w := newTown(t)
	l := writeLetters(w)
	state := w.query(`"limit":1`).QueryState
	inbox := w.mailbox("INBOX")
	l["new"] = w.emailID(w.put("INBOX", "Subject: new\r\n\r\n"))
	w.change(func(tx store.Tx) error {
		_, err := tx.Expunge(inbox.ID, mail.MakeUIDSet(2), false)
		return err
	})
	seen, _ := mail.NewFlags(`\Seen`)
	w.change(func(tx store.Tx) error {
		_, err := tx.StoreFlags(inbox.ID, mail.MakeUIDSet(3), mail.FlagChange{Add: seen}, nil)
		return err
	})
	var c struct {
		Created, Updated, Destroyed []string
		HasMoreChanges              bool
		NewState                    string
	}
	w.must("Email/changes", `{"accountId":"$ACCOUNT","sinceState":"`+state+`"}`, &c)
	if l.names(c.Created) != "new" || l.names(c.Updated) != "noon" || l.names(c.Destroyed) != "bill" || c.HasMoreChanges {
		t.Errorf("%+v", c)
	}
	var all []string
	for range 3 {
		w.must("Email/changes", `{"accountId":"$ACCOUNT","maxChanges":1,"sinceState":"`+state+`"}`, &c)
		all = append(all, slices.Concat(c.Created, c.Updated, c.Destroyed)...)
		state = c.NewState
	}
	if l.names(all) != "new noon bill" || c.HasMoreChanges {
		t.Errorf("in pages: %s, %+v", l.names(all), c)
	}
}

func FuzzFilters(f *testing.F) {
	for _, s := range []string{`{}`, `{"operator":"AND","conditions":[{"text":"a"},{"before":"2026-01-01T00:00:00Z"}]}`, `{"header":["a"]}`, `{"hasAttachment":true}`, `{"operator":"NOT","conditions":[{"hasKeyword":"$seen"}]}`} {
		f.Add(s)
	}
	w := newTown(f)
	w.server.init()
	c := &call{request: &request{srv: w.server, created: map[string]string{}}}
	row := &emailRow{key: 1, mailbox: 1}
	f.Fuzz(func(t *testing.T, s string) {
		if checkJSON([]byte(s)) != nil {
			return
		}
		filter, err := c.newEmailFilter(json.RawMessage(s))
		if err != nil {
			return
		}
		table := newEmailTable(mail.Position{})
		filter.table = table
		table.threadNumber(1)
		for _, th := range filter.threads {
			th.look(table)
		}
		filter.judge(row)
	})
}
