package jmap

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"lockstep/internal/auth"
	"lockstep/internal/mail"
	"lockstep/internal/store"
)

// ask makes one call as Alice.
func (w *town) ask(method, args string, into any) (name string) {
	w.T.Helper()
	w.server.init()
	sess, err := w.auth.Login(w.T.Context(), auth.Attempt{Login: login, Secret: password, Protocol: mail.JMAP, Addr: netip.IPv6Loopback(), Client: "tests"})
	if err != nil {
		w.T.Fatal(err)
	}
	req := &request{srv: w.server, sess: sess, using: []string{methods[method].capability}, created: map[string]string{}}
	req.run(w.T.Context(), invocation{method, json.RawMessage(strings.ReplaceAll(args, "$ACCOUNT", w.account)), "c"})
	if err := json.Unmarshal(req.responses[0].args, into); err != nil {
		w.T.Fatalf("%s %s: %s: %v", method, args, req.responses[0].args, err)
	}
	return req.responses[0].name
}

// setResult is what Foo/set answered, as a client reads it.
type setResult struct {
	Type         string // of an error
	OldState     string
	NewState     string
	Created      map[string]map[string]any
	Updated      map[string]map[string]any
	Destroyed    []string
	NotCreated   map[string]map[string]any
	NotUpdated   map[string]map[string]any
	NotDestroyed map[string]map[string]any
}

func (w *town) emailSet(args string, a ...any) (r setResult) {
	w.T.Helper()
	w.ask("Email/set", `{"accountId":"$ACCOUNT",`+fmt.Sprintf(args, a...)+`}`, &r)
	return r
}

// placements is where a message is, as IMAP sees it: "path: flags", sorted.
func (w *town) placements(p mail.Placement) string {
	w.T.Helper()
	var all []string
	w.view(func(r store.Reader) error {
		list, err := r.PlacementsOf(p.Message)
		for _, p := range list {
			mb, err := r.Mailbox(p.Mailbox)
			if err != nil {
				return err
			}
			all = append(all, strings.TrimSpace(mb.Path+": "+p.Flags.String()))
		}
		return err
	})
	slices.Sort(all)
	return strings.Join(all, "; ")
}

func (w *town) view(fn func(store.Reader) error) {
	w.T.Helper()
	if err := w.Store.View(w.T.Context(), w.alice.Account, fn); err != nil {
		w.T.Fatal(err)
	}
}

// copyTo copies a message as IMAP does.
func (w *town) copyTo(p mail.Placement, path string) {
	w.T.Helper()
	to := w.mailbox(path).ID
	w.change(func(tx store.Tx) error {
		_, err := tx.Copy(p.Mailbox, mail.MakeUIDSet(p.UID), to)
		return err
	})
}

// flag changes the flags of one placement as IMAP does.
func (w *town) flag(p mail.Placement, flags ...string) {
	w.T.Helper()
	f, err := mail.NewFlags(flags...)
	if err != nil {
		w.T.Fatal(err)
	}
	w.change(func(tx store.Tx) error {
		_, err := tx.StoreFlags(p.Mailbox, mail.MakeUIDSet(p.UID), mail.FlagChange{Add: f}, nil)
		return err
	})
}

func (w *town) id(path string) string { return w.mailbox(path).ID.String() }

const hello = "Subject: hello\r\n\r\nHello.\r\n"

func TestKeywordsAreFlagsOfAllVisiblePlacements(t *testing.T) {
	for _, c := range []struct{ patch, want string }{
		{`"keywords/$seen":true`, `Archive: \Seen; INBOX: \Flagged \Seen $seen Work`},
		{`"keywords/$flagged":null`, `Archive:; INBOX: $seen Work`},
		{`"keywords/$flagged":true,"keywords/WORK":null`, `Archive: \Flagged; INBOX: \Flagged $seen`},
		{`"keywords":{"$answered":true,"$draft":true}`, `Archive: \Answered \Draft; INBOX: \Answered \Draft $seen`},
		{`"keywords":{"work":true,"$forwarded":true}`, `Archive: $Forwarded work; INBOX: $Forwarded $seen Work`},
		{`"keywords":null`, `Archive:; INBOX: $seen`},
		{`"keywords":{"a":true,"b~c/d":true}`, `Archive: a b~c/d; INBOX: $seen a b~c/d`},
		{`"keywords/b~0c~1d":true`, `Archive: b~c/d; INBOX: \Flagged $seen b~c/d Work`},
	} {
		w := newTown(t)
		p := w.put("INBOX", hello, `\Flagged`, "Work", "$seen") // the last is no keyword of JMAP
		w.copyTo(p, "Archive")
		w.change(func(tx store.Tx) error {
			_, err := tx.StoreFlags(w.mailboxIn(tx, "Archive"), mail.AllUIDs, mail.FlagChange{Replace: true}, nil)
			return err
		})
		deleted := mail.Placement{Mailbox: w.mailbox("INBOX").ID, UID: p.UID + 1}
		w.copyTo(p, "INBOX")
		w.flag(deleted, `\Deleted`)
		r := w.emailSet(`"update":{"%s":{%s}}`, w.emailID(p), c.patch)
		want := strings.Replace(c.want, "; INBOX", `; INBOX: \Flagged \Deleted $seen Work; INBOX`, 1)
		if got := w.placements(p); got != sorted(want) || len(r.Updated) != 1 {
			t.Errorf("%s: %s, want %s (%+v)", c.patch, got, want, r)
		}
	}
}

func sorted(list string) string {
	all := strings.Split(list, "; ")
	slices.Sort(all)
	return strings.Join(all, "; ")
}

func (w *town) mailboxIn(r store.Reader, path string) mail.MailboxID {
	mb, err := r.MailboxByPath(path)
	if err != nil {
		w.T.Error(err)
	}
	return mb.ID
}

func TestMailboxesAreCopiesMovesAndExpunges(t *testing.T) {
	w := newTown(t)
	p := w.put("INBOX", hello, `\Seen`)
	in := strings.NewReplacer("INBOX", w.id("INBOX"), "Archive", w.id("Archive"), "Trash", w.id("Trash"), "Sent", w.id("Sent"))
	for _, c := range []struct{ patch, want, did string }{
		{`"mailboxIds/Archive":true`, `Archive: \Seen; INBOX: \Seen`, "copy"},
		{`"mailboxIds/Archive":true`, `Archive: \Seen; INBOX: \Seen`, ""},
		{`"mailboxIds/INBOX":null`, `Archive: \Seen`, "expunge"},
		{`"mailboxIds/INBOX":null`, `Archive: \Seen`, ""},
		{`"mailboxIds":{"Trash":true}`, `Trash: \Seen`, "move"},
		{`"mailboxIds/Trash":null,"mailboxIds/INBOX":true,"keywords/$seen":null`, `INBOX:`, "flags move"},
		{`"mailboxIds":{"Archive":true,"Sent":true,"Trash":true}`, `Archive:; Sent:; Trash:`, "copy copy move"},
		{`"mailboxIds":{"INBOX":true}`, `INBOX:`, "expunge expunge move"},
	} {
		before := w.head()
		r := w.emailSet(`"update":{"%s":{%s}}`, w.emailID(p), in.Replace(c.patch))
		if got := w.placements(p); got != c.want || len(r.Updated) != 1 {
			t.Errorf("%s: %s, want %s (%+v)", c.patch, got, c.want, r)
		}
		if got := w.didSince(before); got != c.did {
			t.Errorf("%s was %q, want %q", c.patch, got, c.did)
		}
	}
}

// head is the newest change.
func (w *town) head() (n mail.ModSeq) {
	w.T.Helper()
	w.view(func(r store.Reader) error {
		a, err := r.Account()
		n = a.Head
		return err
	})
	return n
}

// didSince is what the journal says was done, sorted.
func (w *town) didSince(n mail.ModSeq) string {
	w.T.Helper()
	var all []string
	w.view(func(r store.Reader) error {
		records, err := r.Journal(store.JournalQuery{After: n})
		for _, rec := range records {
			if rec.Protocol != mail.JMAP || rec.Device == 0 {
				w.T.Errorf("%v is not by JMAP", rec)
			}
			for _, e := range rec.Entries {
				all = append(all, string(e.Op))
			}
		}
		return err
	})
	slices.Sort(all)
	return strings.Join(all, " ")
}

func TestKeywordsOfAnEmailSurviveThatItLeavesAMailbox(t *testing.T) {
	w := newTown(t)
	p := w.put("INBOX", hello)
	w.copyTo(p, "Archive")
	w.flag(p, `\Flagged`, "one")
	w.change(func(tx store.Tx) error {
		_, err := tx.StoreFlags(w.mailboxIn(tx, "Archive"), mail.AllUIDs, mail.FlagChange{Add: mail.Flags{System: mail.Seen}}, nil)
		return err
	})
	w.emailSet(`"update":{"%s":{"mailboxIds":{"%s":true}}}`, w.emailID(p), w.id("Archive"))
	if got := w.placements(p); got != `Archive: \Flagged one` { // it was not read in the inbox
		t.Error(got)
	}
}

func TestDestroyExpungesWhatIsVisible(t *testing.T) {
	w := newTown(t)
	p := w.put("INBOX", hello)
	w.copyTo(p, "Archive")
	w.copyTo(p, "Sent")
	w.flag(mail.Placement{Mailbox: w.mailbox("Sent").ID, UID: 1}, `\Deleted`)
	id := w.emailID(p)
	r := w.emailSet(`"destroy":["%s","%[1]s"]`, id)
	if got := w.placements(p); got != `Sent: \Deleted` || !slices.Equal(r.Destroyed, []string{id}) {
		t.Errorf("%s, %+v", got, r)
	}
	r = w.emailSet(`"update":{"%s":{"keywords":{}}},"destroy":["%[1]s","#none","Enothing"]`, id)
	if len(r.NotDestroyed) != 3 || r.NotDestroyed[id]["type"] != "notFound" || r.NotUpdated[id]["type"] != "notFound" || r.OldState != r.NewState {
		t.Errorf("%+v", r)
	}
}

func TestWhatCantBeChangedIsSaidOfEach(t *testing.T) {
	w := newTown(t)
	ids := map[string]string{}
	many := `"keywords":{"k0":true`
	for i := range mail.MaxKeywords {
		many += fmt.Sprintf(`,"k%d":true`, i+1)
	}
	boxes := `"mailboxIds":{"Mzzzz":true`
	for i := range maxMailboxesPerEmail {
		boxes += fmt.Sprintf(`,"M%d":true`, i+1)
	}
	cases := []struct{ patch, kind, property string }{
		{many + `}`, "tooManyKeywords", ""},
		{boxes + `}`, "tooManyMailboxes", ""},
		{`"keywords/$recent":true`, "invalidProperties", "keywords"},
		{`"keywords/$Deleted":true`, "invalidProperties", "keywords"},
		{`"keywords":{"\\Seen":true}`, "invalidProperties", "keywords"},
		{`"keywords":{"":true}`, "invalidProperties", "keywords"},
		{`"keywords":{"a b":true}`, "invalidProperties", "keywords"},
		{`"keywords":{"ä":true}`, "invalidProperties", "keywords"},
		{`"keywords":{"` + strings.Repeat("x", 256) + `":true}`, "invalidProperties", "keywords"},
		{`"keywords":{"a":false}`, "invalidProperties", "keywords"},
		{`"keywords":["a"]`, "invalidProperties", "keywords"},
		{`"keywords/a":false`, "invalidProperties", "keywords"},
		{`"keywords/a":"true"`, "invalidProperties", "keywords"},
		{`"keywords/a/b":true`, "invalidPatch", "keywords/a/b"},
		{`"keywords":{},"keywords/a":true`, "invalidPatch", "keywords/a"},
		{`"mailboxIds":{}`, "invalidProperties", "mailboxIds"},
		{`"mailboxIds":null`, "invalidProperties", "mailboxIds"},
		{`"mailboxIds/` + w.id("INBOX") + `":null`, "invalidProperties", "mailboxIds"},
		{`"mailboxIds":{"` + w.id("INBOX") + `":false}`, "invalidProperties", "mailboxIds"},
		{`"mailboxIds/` + w.id("INBOX") + `":1`, "invalidProperties", "mailboxIds"},
		{`"mailboxIds/Mzzzz":true`, "invalidProperties", "mailboxIds"},
		{`"mailboxIds/#none":true`, "invalidProperties", "mailboxIds"},
		{`"subject":"another"`, "invalidProperties", "subject"},
		{`"no/such":1`, "invalidProperties", "no/such"},
	}
	args := ""
	for i, c := range cases {
		id := w.emailID(w.put("INBOX", hello))
		ids[id] = id
		args += `"` + id + `":{` + c.patch + `},`
		cases[i].patch = id
	}
	good := w.put("INBOX", hello)
	r := w.emailSet(`"update":{%s"%s":{"keywords/$seen":true}}`, args, w.emailID(good))
	for _, c := range cases {
		got := r.NotUpdated[c.patch]
		if got["type"] != c.kind || got["description"] == "" || c.property != "" && fmt.Sprint(got["properties"]) != "["+c.property+"]" {
			t.Errorf("%+v: %v", c, got)
		}
	}
	if got := w.placements(good); got != `INBOX: \Seen` || len(r.Updated) != 1 {
		t.Errorf("%s, %v", got, r.Updated)
	}
}

func TestAPatchCannotGoPastTheKeywordsThatAMessageCanHave(t *testing.T) {
	w := newTown(t)
	var many []string
	for i := range mail.MaxKeywords {
		many = append(many, fmt.Sprint("k", i))
	}
	p := w.put("INBOX", hello, many...)
	id := w.emailID(p)
	if r := w.emailSet(`"update":{"%s":{"keywords/more":true}}`, id); r.NotUpdated[id]["type"] != "tooManyKeywords" {
		t.Errorf("%+v", r)
	}
	if r := w.emailSet(`"update":{"%s":{"keywords/k1":null,"keywords/more":true}}`, id); len(r.Updated) != 1 {
		t.Errorf("%+v", r)
	}
}

func TestIfInStateIsHonoured(t *testing.T) {
	w := newTown(t)
	p := w.put("INBOX", hello)
	first := w.emailSet(`"update":{"%s":{"keywords/a":true}}`, w.emailID(p))
	stale := w.emailSet(`"ifInState":"%s","update":{"%s":{"keywords/b":true}}`, first.OldState, w.emailID(p))
	if stale.Type != "stateMismatch" || w.placements(p) != "INBOX: a" {
		t.Errorf("%+v, %s", stale, w.placements(p))
	}
	good := w.emailSet(`"ifInState":"%s","update":{"%s":{"keywords/b":true}}`, first.NewState, w.emailID(p))
	if good.OldState != first.NewState || good.NewState == good.OldState || w.placements(p) != "INBOX: a b" {
		t.Errorf("%+v, %s", good, w.placements(p))
	}
	if same := w.emailSet(`"update":{"%s":{"keywords/b":true}}`, w.emailID(p)); same.NewState != good.NewState || len(same.Updated) != 1 {
		t.Errorf("%+v after %+v", same, good)
	}
}

func TestWhatIsDestroyedIsNotUpdated(t *testing.T) {
	w := newTown(t)
	id := w.emailID(w.put("INBOX", hello))
	r := w.emailSet(`"update":{"%s":{"keywords/a":true}},"destroy":["%[1]s"]`, id)
	if r.NotUpdated[id]["type"] != "willDestroy" || len(r.Destroyed) != 1 {
		t.Errorf("%+v", r)
	}
}

func TestTheGuardForbidsAFloodAndLeavesTheRest(t *testing.T) {
	w := newTown(t)
	w.change(func(tx store.Tx) error { return tx.SetPreference(mail.Guard, mail.GuardHold) })
	var all []string
	for range 120 {
		p := w.put("INBOX", hello)
		if len(all)%2 == 0 {
			w.copyTo(p, "Archive")
		}
		all = append(all, w.emailID(p))
	}
	other := w.put("Sent", hello)
	list, err := json.Marshal(append(all, w.emailID(other)))
	if err != nil {
		t.Fatal(err)
	}
	r := w.emailSet(`"destroy":%s`, list)
	if len(r.NotDestroyed) != 120 || r.NotDestroyed[all[0]]["type"] != "forbidden" || !strings.Contains(fmt.Sprint(r.NotDestroyed[all[0]]["description"]), "guard") || len(r.Destroyed) != 1 {
		t.Errorf("%v destroyed, not %v", r.Destroyed, r.NotDestroyed[all[0]])
	}
	for path, want := range map[string]int64{"INBOX": 120, "Archive": 60, "Sent": 0} {
		if n := w.mailbox(path).Counts.Placements; n != want {
			t.Errorf("%s has %d, want %d", path, n, want)
		}
	}
}

func TestASetTooLargeIsRefused(t *testing.T) {
	w := newTown(t)
	w.server.Limits.ObjectsInSet = 3
	if r := w.emailSet(`"update":{"a":{},"b":{}},"destroy":["c","d"]`); r.Type != "requestTooLarge" {
		t.Errorf("%+v", r)
	}
	if r := w.emailSet(`"update":{"a":{},"b":{}},"destroy":["c"]`); len(r.NotUpdated) != 2 {
		t.Errorf("%+v", r)
	}
}

func TestWhoSendsBackAWholeEmailChangesNothing(t *testing.T) {
	w := newTown(t)
	p := w.put("INBOX", "From: a <a@example.test>\r\nTo: b@example.test\r\nDate: Sun, 22 Nov 2026 08:00:00 +0100\r\nSubject: hello\r\nMessage-ID: <x@y>\r\n\r\nHello.\r\n")
	id := w.emailID(p)
	whole := w.email(id, unchanging...)
	whole["keywords"], whole["mailboxIds"] = map[string]any{"$seen": true}, map[string]any{w.id("INBOX"): true}
	b, err := json.Marshal(whole)
	if err != nil {
		t.Fatal(err)
	}
	if r := w.emailSet(`"update":{"%s":%s}`, id, strings.ReplaceAll(string(b), "%", "%%")); len(r.Updated) != 1 || w.placements(p) != `INBOX: \Seen` {
		t.Errorf("%s: %+v", b, r)
	}
	for _, property := range unchanging {
		r := w.emailSet(`"update":{"%s":{"%s":"another"}}`, id, property)
		if e := r.NotUpdated[id]; e["type"] != "invalidProperties" || fmt.Sprint(e["properties"]) != "["+property+"]" {
			t.Errorf("%s: %+v", property, r)
		}
	}
}

// Whatever an update says, it is done or refused, and no email is left in no mailbox.
func FuzzEmailUpdate(f *testing.F) {
	for _, patch := range []string{`{"keywords/$seen":true}`, `{"keywords":{"a":true},"mailboxIds/M3":true}`, `{"mailboxIds":{"M3":true},"subject":"x"}`, `{"keywords/~01":null,"mailboxIds/M2":null}`, `{"a/b":1}`, `null`, `[]`} {
		f.Add([]byte(patch))
	}
	w := newTown(f)
	w.server.init()
	sess, err := w.auth.Login(f.Context(), auth.Attempt{Login: login, Secret: password, Protocol: mail.JMAP, Addr: netip.IPv6Loopback(), Client: "tests"})
	if err != nil {
		f.Fatal(err)
	}
	p := w.put("INBOX", hello)
	id := w.emailID(p)
	f.Fuzz(func(t *testing.T, patch []byte) {
		args := []byte(`{"accountId":"` + w.account + `","update":{"` + id + `":` + string(patch) + `}}`)
		if checkJSON(args) != nil {
			return
		}
		req := &request{srv: w.server, sess: sess, using: []string{mailURN}, created: map[string]string{}}
		req.run(t.Context(), invocation{"Email/set", args, "c"})
		err := w.Store.View(t.Context(), w.alice.Account, func(r store.Reader) error {
			all, err := r.PlacementsOf(p.Message)
			if len(visiblePlacements(all)) == 0 {
				t.Errorf("%s: the email is nowhere: %s", patch, req.responses[0].args)
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	})
}
