package jmap

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"lockstep/internal/mail"
	"lockstep/internal/store"
)

type gotSet struct {
	OldState, NewState                   string
	Created                              map[string]map[string]any
	Updated                              map[string]map[string]any
	Destroyed                            []string
	NotCreated, NotUpdated, NotDestroyed map[string]struct {
		Type       string
		Properties []string
		ExistingID string
	}
}

func (w *town) setMailboxes(args string) (g gotSet) {
	w.T.Helper()
	w.must("Mailbox/set", `{"accountId":"$ACCOUNT",`+args+`}`, &g)
	return g
}

// tree is all mailboxes as paths of shown names, with role, order and subscription where
// there are any.
func (w *town) tree() string {
	w.T.Helper()
	got := w.mailboxes()
	path := func(mb gotMailbox) string { return "" }
	path = func(mb gotMailbox) string {
		for _, above := range got.List {
			if mb.ParentID != nil && *mb.ParentID == above.ID {
				return path(above) + "/" + mb.Name
			}
		}
		return mb.Name
	}
	var all []string
	for _, mb := range got.List {
		s := path(mb)
		if standard := slices.ContainsFunc(mail.Standard, func(m struct {
			Name string
			Role mail.Role
		}) bool {
			return mb.Role != nil && *mb.Role == string(m.Role) && (mb.Name == m.Name || mb.Name == "Inbox") && mb.ParentID == nil && mb.SortOrder == 0
		}); standard {
			continue
		}
		if mb.Role != nil {
			s += "=" + *mb.Role
		}
		if mb.SortOrder != 0 {
			s += fmt.Sprint("@", mb.SortOrder)
		}
		if mb.IsSubscribed {
			s += "+"
		}
		all = append(all, s)
	}
	return strings.Join(all, " ")
}

func TestMailboxesAreMadeChangedAndDestroyed(t *testing.T) {
	w := newTown(t)
	g := w.setMailboxes(`"create":{"c":{"name":"Cat","parentId":"#b"},"b":{"name":"Bear","parentId":"#a","sortOrder":3},"a":{"name":"Ape","isSubscribed":true,"role":"flagged"}}`)
	if len(g.Created) != 3 || w.tree() != "Ape=flagged+ Ape/Bear@3 Ape/Bear/Cat" || g.NewState == g.OldState || g.NewState != w.mailboxes().State {
		t.Fatalf("%s, %+v", w.tree(), g)
	}
	a := g.Created["a"]
	id := map[string]string{}
	for name, o := range g.Created {
		id[name] = o["id"].(string)
	}
	if a["totalEmails"] != 0.0 || a["myRights"] == nil || a["sortOrder"] != 0.0 || a["name"] != nil || a["role"] != nil || g.Created["c"]["isSubscribed"] != false {
		t.Errorf("%+v", g.Created)
	}
	if v, there := a["parentId"]; !there || v != nil {
		t.Errorf("%+v", a)
	}

	g = w.setMailboxes(`"update":{"` + id["c"] + `":{"parentId":null,"name":"Cow","isSubscribed":true},"` + id["b"] + `":{"sortOrder":9,"totalEmails":0},"` + id["a"] + `":{"role":null}}`)
	if len(g.Updated) != 3 || w.tree() != "Ape+ Ape/Bear@9 Cow+" {
		t.Errorf("%s, %+v", w.tree(), g)
	}
	// One gives up a name that another takes; decomposed names are composed.
	g = w.setMailboxes(`"update":{"` + id["a"] + `":{"name":"Cow"},"` + id["c"] + `":{"name":"Ko\u0301l"}}`)
	if w.tree() != "Cow+ Cow/Bear@9 Kól+" || g.Updated[id["c"]]["name"] != "Kól" || len(g.NotUpdated) != 0 {
		t.Errorf("%s, %+v", w.tree(), g)
	}
	// Below and above change places in one call.
	g = w.setMailboxes(`"update":{"` + id["a"] + `":{"parentId":"` + id["b"] + `"},"` + id["b"] + `":{"parentId":null}}`)
	if w.tree() != "Bear@9 Bear/Cow+ Kól+" {
		t.Errorf("%s, %+v", w.tree(), g)
	}
	g = w.setMailboxes(`"destroy":["` + id["b"] + `","` + id["a"] + `","` + id["c"] + `"]`)
	if len(g.Destroyed) != 3 || w.tree() != "" {
		t.Errorf("%s, %+v", w.tree(), g)
	}
	g = w.setMailboxes(`"create":{"x":{"name":"X"}},"update":{"#x":{"name":"Y"}},"destroy":[]`)
	if len(g.Updated) != 1 || w.tree() != "Y" {
		t.Errorf("%s, %+v", w.tree(), g)
	}
	answers := w.api(`[["Mailbox/set",{"accountId":"$ACCOUNT","create":{"p":{"name":"P"}}},"1"],["Mailbox/set",{"accountId":"$ACCOUNT","create":{"q":{"name":"Q","parentId":"#p"}}},"2"],["Mailbox/get",{"accountId":"$ACCOUNT","ids":["#q"]},"3"]]`)
	if !strings.Contains(string(answers[2].args), `"name":"Q"`) || w.tree() != "P P/Q Y" {
		t.Errorf("%s: %s", w.tree(), answers[2].args)
	}
}

func TestWhatMailboxesCantBeIsSaid(t *testing.T) {
	w := newTown(t)
	inbox, sent := w.mailbox("INBOX").ID.String(), w.mailbox("Sent").ID.String()
	made := w.setMailboxes(`"create":{"a":{"name":"A"},"b":{"name":"B","parentId":"#a"}}`).Created
	a, b := made["a"]["id"].(string), made["b"]["id"].(string)
	plain, err := json.Marshal(w.mailboxes().List[1].MyRights)
	if err != nil {
		t.Fatal(err)
	}
	rights := string(plain)
	for _, tt := range []struct{ args, want string }{
		{`"create":{"x":{}}`, "invalidProperties name"},
		{`"create":{"x":{"name":""}}`, "invalidProperties name"},
		{`"create":{"x":{"name":"a/b"}}`, "invalidProperties name"},
		{`"create":{"x":{"name":"a\u0007"}}`, "invalidProperties name"},
		{`"create":{"x":{"name":7,"role":7,"sortOrder":"x","parentId":7,"isSubscribed":7}}`, "invalidProperties name parentId role sortOrder isSubscribed"},
		{`"create":{"x":{"name":"` + strings.Repeat("x", mail.MaxMailboxNameBytes) + `"}}`, ""},
		{`"create":{"x":{"name":"` + strings.Repeat("x", mail.MaxMailboxNameBytes+1) + `"}}`, "invalidProperties name"},
		{`"create":{"x":{"name":"A"}}`, "alreadyExists name"},
		{`"create":{"x":{"name":"inbox"}}`, "alreadyExists name"},
		{`"create":{"x":{"name":"Other Users"}}`, "invalidProperties name"},
		{`"create":{"x":{"name":"X","parentId":"#y"}}`, "invalidProperties parentId"},
		{`"create":{"x":{"name":"X","parentId":"Mzzz"}}`, "invalidProperties parentId"},
		{`"create":{"x":{"name":"X","parentId":"#x"}}`, "invalidProperties parentId"},
		{`"create":{"x":{"name":"X","role":"sent"}}`, "invalidProperties role"},
		{`"create":{"x":{"name":"X","role":"king"}}`, "invalidProperties role"},
		{`"create":{"x":{"name":"X","sortOrder":-1}}`, "invalidProperties sortOrder"},
		{`"create":{"x":{"name":"X","sortOrder":1.5}}`, "invalidProperties sortOrder"},
		{`"create":{"x":{"name":"X","sortOrder":2147483648}}`, "invalidProperties sortOrder"},
		{`"create":{"x":{"name":"X","totalEmails":1,"id":"Mx"}}`, "invalidProperties id totalEmails"},
		{`"create":{"x":7}`, "invalidProperties"},
		{`"update":{"Mzzz":{"name":"X"}}`, "notFound"},
		{`"update":{"#none":{"name":"X"}}`, "notFound"},
		{`"update":{"` + a + `":{"parentId":"` + b + `"}}`, "invalidProperties parentId"},
		{`"update":{"` + a + `":{"parentId":"` + a + `"}}`, "invalidProperties parentId"},
		{`"update":{"` + a + `":{"name":"Sent"}}`, "alreadyExists name"},
		{`"update":{"` + a + `":{"role":"sent"}}`, "invalidProperties role"},
		{`"update":{"` + a + `":{"name":null}}`, "invalidProperties name"},
		{`"update":{"` + a + `":{"totalEmails":4,"colour":"red"}}`, "invalidProperties colour totalEmails"},
		{`"update":{"` + a + `":{"totalEmails":null}}`, "invalidProperties totalEmails"},
		{`"update":{"` + a + `":{"myRights/mayDelete":false}}`, "invalidProperties myRights/mayDelete"},
		{`"update":{"` + a + `":{"myRights":{}}}`, "invalidProperties myRights/mayAddItems myRights/mayCreateChild myRights/mayDelete myRights/mayReadItems myRights/mayRemoveItems myRights/mayRename myRights/maySetKeywords myRights/maySetSeen myRights/maySubmit"},
		{`"create":{"x":{"name":"X","totalEmails":0,"unreadThreads":0,"isSubscribed":true,"myRights":` + rights + `}}`, ""},
		{`"create":{"x":{"name":"X","unreadThreads":1,"myRights":` + strings.Replace(rights, "true", "false", 1) + `}}`, "invalidProperties myRights/mayAddItems unreadThreads"},
		{`"update":{"` + a + `":{"myRights/mayDelete":true}}`, ""},
		{`"update":{"` + a + `":{"name/x":"y"}}`, "invalidPatch name/x"},
		{`"update":{"` + inbox + `":{"name":"Post"}}`, "forbidden"},
		{`"update":{"` + inbox + `":{"role":null}}`, "forbidden"},
		{`"update":{"` + inbox + `":{"parentId":"` + a + `"}}`, "forbidden"},
		{`"update":{"` + inbox + `":{"name":"Inbox","sortOrder":1}}`, ""},
		{`"update":{"` + b + `":{"name":"C"}},"destroy":["` + b + `","` + inbox + `"]`, "willDestroy forbidden"},
		{`"destroy":["Mzzz"]`, "notFound"},
		{`"destroy":["` + inbox + `"]`, "forbidden"},
	} {
		g := w.setMailboxes(tt.args)
		var wrong []string
		for _, all := range []map[string]struct {
			Type       string
			Properties []string
			ExistingID string
		}{g.NotCreated, g.NotUpdated, g.NotDestroyed} {
			for _, e := range all {
				wrong = append(wrong, strings.Join(append([]string{e.Type}, e.Properties...), " "))
			}
		}
		if got := strings.Join(wrong, " "); got != tt.want {
			t.Errorf("%s: %q, want %q", tt.args, got, tt.want)
		}
		for name, o := range g.Created {
			if name != "" {
				w.setMailboxes(`"destroy":["` + o["id"].(string) + `"]`)
			}
		}
	}
	if g := w.setMailboxes(`"create":{"x":{"name":"Sent"}}`); g.NotCreated["x"].ExistingID != sent {
		t.Errorf("%+v", g)
	}
	w.setMailboxes(`"create":{"b":{"name":"B","parentId":"` + a + `"}}`)
	w.put("Sent", "Subject: x\r\n\r\n")
	g := w.setMailboxes(`"destroy":["` + a + `","` + sent + `"]`)
	if g.NotDestroyed[a].Type != "mailboxHasChild" || g.NotDestroyed[sent].Type != "mailboxHasEmail" || g.OldState != g.NewState {
		t.Errorf("%+v", g)
	}
	if g = w.setMailboxes(`"onDestroyRemoveEmails":true,"destroy":["` + sent + `"]`); !slices.Equal(g.Destroyed, []string{sent}) {
		t.Errorf("%+v", g)
	}
	if ids := w.query(`"limit":5`).IDs; len(ids) != 0 {
		t.Errorf("its mail is still there: %v", ids)
	}
	w.refused("stateMismatch", "Mailbox/set", `{"accountId":"$ACCOUNT","ifInState":"1.1","destroy":["`+a+`"]}`)
	w.setMailboxes(`"ifInState":"` + w.mailboxes().State + `","create":{"z":{"name":"Z"}}`)
	w.refused("requestTooLarge", "Mailbox/set", `{"accountId":"$ACCOUNT","destroy":["x`+strings.Repeat(`","x`, 1000)+`"]}`)
}

func TestMailboxesLieSoDeepAndNoDeeper(t *testing.T) {
	w := newTown(t)
	create := `"create":{"0":{"name":"0"}`
	for i := 1; i <= mail.MaxMailboxDepth; i++ {
		create += fmt.Sprintf(`,"%d":{"name":"%d","parentId":"#%d"}`, i, i, i-1)
	}
	g := w.setMailboxes(create + `}`)
	if len(g.Created) != mail.MaxMailboxDepth || g.NotCreated[fmt.Sprint(mail.MaxMailboxDepth)].Type != "invalidProperties" || g.NotCreated[fmt.Sprint(mail.MaxMailboxDepth)].Properties[0] != "parentId" {
		t.Fatalf("%d, %+v", len(g.Created), g.NotCreated)
	}
	top, deepest := g.Created["0"]["id"].(string), g.Created[fmt.Sprint(mail.MaxMailboxDepth-1)]
	if deepest["myRights"].(map[string]any)["mayCreateChild"] != false {
		t.Errorf("%+v", deepest)
	}
	other := w.setMailboxes(`"create":{"x":{"name":"x"}}`).Created["x"]["id"].(string)
	if g = w.setMailboxes(`"update":{"` + top + `":{"parentId":"` + other + `"}}`); g.NotUpdated[top].Properties[0] != "parentId" {
		t.Errorf("%+v", g)
	}
}

func TestMailboxQueries(t *testing.T) {
	w := newTown(t)
	w.setMailboxes(`"create":{"b":{"name":"Bee","sortOrder":1},"a":{"name":"ant","parentId":"#b","isSubscribed":true},"z":{"name":"Zebra","parentId":"#b"},"c":{"name":"Cat"}}`)
	names := func(ids []string) string {
		var out []string
		for _, id := range ids {
			for _, mb := range w.mailboxes().List {
				if mb.ID == id {
					out = append(out, mb.Name)
				}
			}
		}
		return strings.Join(out, " ")
	}
	bee := ""
	for _, mb := range w.mailboxes().List {
		if mb.Name == "Bee" {
			bee = mb.ID
		}
	}
	for _, tt := range []struct{ args, want string }{
		{`"sort":[{"property":"name"}]`, "ant Archive Bee Cat Drafts Inbox Junk Sent Trash Zebra"},
		{`"sort":[{"property":"name","collation":"i;octet"}]`, "Archive Bee Cat Drafts Inbox Junk Sent Trash Zebra ant"},
		{`"sort":[{"property":"sortOrder","isAscending":false},{"property":"name"}],"limit":2`, "Bee ant"},
		{`"sortAsTree":true,"sort":[{"property":"name","isAscending":false}]`, "Trash Sent Junk Inbox Drafts Cat Bee Zebra ant Archive"},
		{`"filter":{"parentId":"` + bee + `"}`, "ant Zebra"},
		{`"filter":{"parentId":null,"hasAnyRole":false},"sort":[{"property":"name"}]`, "Bee Cat"},
		{`"filter":{"parentId":"Mzz"}`, ""},
		{`"filter":{"name":"B"},"sort":[{"property":"name"}]`, "Bee Inbox Zebra"},
		{`"filterAsTree":true,"filter":{"name":"B"},"sort":[{"property":"name"}]`, "Bee Inbox Zebra"},
		{`"filterAsTree":true,"filter":{"name":"A"},"sort":[{"property":"name"}]`, "Archive Cat Drafts Trash"},
		{`"filter":{"role":"sent"}`, "Sent"},
		{`"filter":{"role":null},"sort":[{"property":"name"}]`, "ant Bee Cat Zebra"},
		{`"filter":{"isSubscribed":true,"hasAnyRole":false}`, "ant"},
		{`"filter":{"operator":"NOT","conditions":[{"hasAnyRole":true},{"name":"cat"}]},"sort":[{"property":"name"}],"position":-1`, "Zebra"},
		{`"filter":{"role":null},"sort":[{"property":"name"}],"anchor":"` + bee + `","anchorOffset":-1,"limit":2`, "ant Bee"},
	} {
		var q gotQuery
		w.must("Mailbox/query", `{"accountId":"$ACCOUNT","calculateTotal":true,`+tt.args+`}`, &q)
		if got := names(q.IDs); got != tt.want || !q.CanCalculateChanges || q.QueryState != w.mailboxes().State {
			t.Errorf("%s: %q, want %q", tt.args, got, tt.want)
		}
	}
	w.refused("unsupportedSort", "Mailbox/query", `{"accountId":"$ACCOUNT","sort":[{"property":"colour"}]}`)
	w.refused("unsupportedFilter", "Mailbox/query", `{"accountId":"$ACCOUNT","filter":{"colour":1}}`)
	w.refused("invalidArguments", "Mailbox/query", `{"accountId":"$ACCOUNT","filter":{"name":1}}`)
	w.refused("anchorNotFound", "Mailbox/query", `{"accountId":"$ACCOUNT","anchor":"x"}`)
}

// A list of mailboxes that is kept up to date by what changed is the list of now.
func TestMailboxQueryChangesLeadToTheListOfNow(t *testing.T) {
	w := newTown(t)
	var lists []remembered
	for step := range 40 {
		var all []gotMailbox
		for _, mb := range w.mailboxes().List {
			if mb.Role == nil {
				all = append(all, mb)
			}
		}
		switch pick := func() string { return all[step%len(all)].ID }; {
		case step%4 == 0 || len(all) < 3:
			parent := "null"
			if len(all) > 0 {
				parent = `"` + pick() + `"`
			}
			w.setMailboxes(fmt.Sprintf(`"create":{"x":{"name":"n%d","parentId":%s,"sortOrder":%d}}`, step, parent, step%3))
		case step%4 == 1:
			w.setMailboxes(fmt.Sprintf(`"update":{"%s":{"name":"r%d","sortOrder":%d}}`, pick(), 99-step, step%2))
		case step%4 == 2:
			w.setMailboxes(fmt.Sprintf(`"update":{"%s":{"parentId":null,"isSubscribed":%v}}`, pick(), step%3 == 0))
		default:
			w.setMailboxes(fmt.Sprintf(`"destroy":["%s"]`, pick()))
			w.put("INBOX", "Subject: x\r\n\r\n")
		}
		query := []string{`"sort":[{"property":"name"}]`, `"sortAsTree":true,"sort":[{"property":"sortOrder"},{"property":"name"}]`, `"filter":{"name":"r"},"filterAsTree":true,"sort":[{"property":"name"}]`,
			`"filter":{"parentId":null}`, `"filter":{"isSubscribed":true},"sort":[{"property":"name"}]`}[step%5]
		var now gotQuery
		w.must("Mailbox/query", `{"accountId":"$ACCOUNT",`+query+`}`, &now)
		lists = append(lists, remembered{query, now.QueryState, now.IDs})
		for i, old := range lists {
			var got gotQueryChanges
			now = gotQuery{}
			w.must("Mailbox/queryChanges", `{"accountId":"$ACCOUNT","calculateTotal":true,"sinceQueryState":"`+old.state+`",`+old.query+`}`, &got)
			w.must("Mailbox/query", `{"accountId":"$ACCOUNT",`+old.query+`}`, &now)
			if list := got.apply(old.ids); !slices.Equal(list, now.IDs) || *got.Total != len(now.IDs) || got.NewQueryState != now.QueryState {
				t.Fatalf("step %d, %s since %s: %+v makes of %v\n%v, the list is\n%v", step, old.query, old.state, got, old.ids, list, now.IDs)
			}
			if i%2 == 0 {
				lists[i] = remembered{old.query, now.QueryState, slices.Clone(now.IDs)}
			}
		}
	}
	since := `{"accountId":"$ACCOUNT","sinceQueryState":"` + lists[1].state + `"`
	w.refused("tooManyChanges", "Mailbox/queryChanges", since+`,"maxChanges":1}`)
	w.refused("cannotCalculateChanges", "Mailbox/queryChanges", `{"accountId":"$ACCOUNT","sinceQueryState":"x"}`)
	w.refused("cannotCalculateChanges", "Mailbox/queryChanges", `{"accountId":"$ACCOUNT","sinceQueryState":"1.99999"}`)
}

// What is done of a set is one act in the journal.
func TestASetOfMailboxesIsOneAct(t *testing.T) {
	w := newTown(t)
	w.setMailboxes(`"create":{"a":{"name":"A","isSubscribed":true},"b":{"name":"B"}}`)
	var records []mail.Record
	err := w.Store.View(t.Context(), w.alice.Account, func(r store.Reader) (err error) {
		records, err = r.Journal(store.JournalQuery{Limit: 1})
		return err
	})
	if err != nil || len(records) != 1 || len(records[0].Entries) != 3 {
		b, _ := json.Marshal(records)
		t.Errorf("%s, %v", b, err)
	}
}
