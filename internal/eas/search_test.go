package eas

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"lockstep/internal/eas/wbxml"
	"lockstep/internal/mail"
	"lockstep/internal/notify"
	"lockstep/internal/search"
	"lockstep/internal/store"
)

// indexed gives the town's server a search index.
func (w *town) indexed() *town {
	w.T.Helper()
	x, err := search.New(w.T.TempDir(), search.Options{
		Store: w.Store, Directory: w.Store, Hub: &notify.Hub{}, Secret: []byte("secret"), Log: slog.New(slog.DiscardHandler),
		Blobs: func(ctx context.Context, b mail.Blob) (search.Bytes, error) {
			r, err := w.Blobs.Open(ctx, b)
			if err != nil {
				return nil, err
			}
			return r, nil
		},
	})
	if err != nil {
		w.T.Fatal(err)
	}
	w.T.Cleanup(func() { x.Close() })
	w.server.Search = x
	return w
}

// at puts a message with a date into a mailbox.
func (w *town) at(path, date, text string, flags ...string) {
	w.T.Helper()
	day, err := time.Parse("2006-01-02", date)
	if err != nil {
		w.T.Fatal(err)
	}
	a, err := w.Delivery.Ingest(w.T.Context(), strings.NewReader(text))
	if err != nil {
		w.T.Fatal(err)
	}
	if a.Flags, err = mail.NewFlags(flags...); err != nil {
		w.T.Fatal(err)
	}
	a.InternalDate = day.Add(12 * time.Hour)
	mb := w.mailbox(path)
	w.change(func(tx store.Tx) error {
		_, err := tx.Append(mb.ID, a)
		return err
	})
}

// library is a town with mail to look for.
func library(t *testing.T) *town {
	w := newTown(t).indexed()
	w.change(func(tx store.Tx) error {
		inbox, err := tx.MailboxByPath("INBOX")
		if err == nil {
			_, err = tx.CreateMailbox(mail.MailboxImage{Name: "Below", Parent: inbox.ID})
		}
		return err
	})
	w.at("INBOX", "2026-01-01", "From: Anna <anna@remote.test>\r\nTo: alice@example.test\r\nSubject: harbour plans\r\nMessage-ID: <h1@x>\r\n\r\nthe old mole\r\n", `\Seen`)
	w.at("INBOX", "2026-02-01", "From: bob@remote.test\r\nTo: alice@example.test\r\nSubject: Re: harbour plans\r\nIn-Reply-To: <h1@x>\r\n\r\nmobiles are loud\r\n", `\Flagged`)
	w.at("INBOX/Below", "2026-03-01", "From: anna@remote.test\r\nTo: bob@remote.test\r\nCc: Carol <carol@remote.test>\r\nSubject: harbour below\r\n\r\nx\r\n")
	w.at("Archive", "2026-04-01", "From: carol@remote.test\r\nSubject: budget\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\nthe harbour costs\r\n--b\r\nContent-Type: text/plain\r\nContent-Disposition: attachment; filename=\"spades.txt\"\r\n\r\nflowers\r\n--b--\r\n")
	w.at("INBOX", "2026-05-01", "From: anna@remote.test\r\nSubject: harbour gone\r\n\r\nx\r\n", `\Deleted`)
	return w
}

func (p *phone) search(store *wbxml.Element) *wbxml.Element {
	p.w.T.Helper()
	return p.call("Search", wbxml.New(wbxml.SearchSearch, store))
}

// in asks a store; options may be nil.
func searchIn(name string, query *wbxml.Element, options ...*wbxml.Element) *wbxml.Element {
	e := wbxml.New(wbxml.SearchStore, wbxml.Text(wbxml.SearchName, name), query)
	if len(options) > 0 {
		e.Add(wbxml.New(wbxml.SearchOptions, options...))
	}
	return e
}

func queryAnd(children ...*wbxml.Element) *wbxml.Element {
	return wbxml.New(wbxml.SearchQuery, wbxml.New(wbxml.SearchAnd, children...))
}

func freeText(s string) *wbxml.Element { return wbxml.Text(wbxml.SearchFreeText, s) }

func inFolder(id string) *wbxml.Element { return wbxml.Text(wbxml.AirSyncCollectionId, id) }

func received(t wbxml.Tag, at string) *wbxml.Element {
	return wbxml.New(t, wbxml.New(wbxml.EmailDateReceived), wbxml.Text(wbxml.SearchValue, at))
}

// subjects are those of the results, then range and total; or the status.
func subjects(e *wbxml.Element) string {
	in := e.Child(wbxml.SearchResponse).Child(wbxml.SearchStore)
	if status := in.Get(wbxml.SearchStatus); status != "1" {
		return "status " + status
	}
	var all []string
	for r := range in.All(wbxml.SearchResult) {
		if p := r.Child(wbxml.SearchProperties); p != nil {
			all = append(all, p.Get(wbxml.EmailSubject))
		}
	}
	return strings.Join(all, ", ") + " " + in.Get(wbxml.SearchRange) + "/" + in.Get(wbxml.SearchTotal)
}

func TestSearchFindsMail(t *testing.T) {
	w := library(t)
	inbox := folderID(w.mailbox("INBOX").ID)
	archive := folderID(w.mailbox("Archive").ID)
	deep := wbxml.New(wbxml.SearchDeepTraversal)
	rebuild := wbxml.New(wbxml.SearchRebuildResults)
	class := wbxml.Text(wbxml.AirSyncClass, "Email")
	for name, c := range map[string]struct {
		query   *wbxml.Element
		options []*wbxml.Element
		want    string
	}{
		"everywhere":           {queryAnd(class, freeText("harbour")), nil, "budget, harbour below, Re: harbour plans, harbour plans 0-3/4"},
		"of the Outlook app":   {queryAnd(freeText("harbour"), inFolder("0")), nil, "budget, harbour below, Re: harbour plans, harbour plans 0-3/4"},
		"in a folder":          {queryAnd(class, inFolder(inbox), freeText("harbour")), []*wbxml.Element{rebuild}, "Re: harbour plans, harbour plans 0-1/2"},
		"and below":            {queryAnd(inFolder(inbox), freeText("harbour")), []*wbxml.Element{deep, deep, rebuild}, "harbour below, Re: harbour plans, harbour plans 0-2/3"},
		"in two folders":       {queryAnd(inFolder(inbox), inFolder(archive), freeText("harbour")), nil, "budget, Re: harbour plans, harbour plans 0-2/3"},
		"in the outbox":        {queryAnd(inFolder(outboxID), freeText("harbour")), nil, " /0"},
		"a beginning":          {queryAnd(freeText("mobil")), nil, "Re: harbour plans 0-0/1"},
		"two words":            {queryAnd(freeText("harbour mole")), nil, "harbour plans 0-0/1"},
		"two texts":            {queryAnd(freeText("harbour"), freeText("mole")), nil, "harbour plans 0-0/1"},
		"a phrase":             {queryAnd(freeText(`"harbour plans"`)), nil, "Re: harbour plans, harbour plans 0-1/2"},
		"without a word":       {queryAnd(freeText("harbour -plans")), nil, "budget, harbour below 0-1/2"},
		"from":                 {queryAnd(freeText("from:anna")), nil, "harbour below, harbour plans 0-1/2"},
		"in an attachment":     {queryAnd(freeText("flowers")), nil, "budget 0-0/1"},
		"the first":            {queryAnd(freeText("harbour")), []*wbxml.Element{wbxml.Text(wbxml.SearchRange, "0-0")}, "budget 0-0/4"},
		"the next":             {queryAnd(freeText("harbour")), []*wbxml.Element{wbxml.Text(wbxml.SearchRange, "1-2")}, "harbour below, Re: harbour plans 1-2/4"},
		"the last":             {queryAnd(freeText("harbour")), []*wbxml.Element{wbxml.Text(wbxml.SearchRange, "3-99")}, "harbour plans 3-3/4"},
		"behind the last":      {queryAnd(freeText("harbour")), []*wbxml.Element{wbxml.Text(wbxml.SearchRange, "4-9")}, " /4"},
		"nothing":              {queryAnd(freeText("nowhere")), nil, " /0"},
		"no word at all":       {queryAnd(freeText("...")), nil, " /0"},
		"after":                {queryAnd(freeText("harbour"), received(wbxml.SearchGreaterThan, "2026-02-15T00:00:00.000Z")), nil, "budget, harbour below 0-1/2"},
		"between":              {queryAnd(freeText("harbour"), received(wbxml.SearchGreaterThan, "2026-01-15T00:00:00.000Z"), received(wbxml.SearchLessThan, "20260315T000000Z")), nil, "harbour below, Re: harbour plans 0-1/2"},
		"only dates":           {queryAnd(received(wbxml.SearchLessThan, "2026-02-15T00:00:00.000Z")), nil, "Re: harbour plans, harbour plans 0-1/2"},
		"only the date":        {queryAnd(received(wbxml.SearchGreaterThan, "2026-03-01T12:00:00.000Z")), nil, "budget 0-0/1"},
		"of other classes":     {queryAnd(wbxml.Text(wbxml.AirSyncClass, "Tasks"), wbxml.Text(wbxml.AirSyncClass, "Calendar"), freeText("harbour")), nil, " /0"},
		"of mail among others": {queryAnd(wbxml.Text(wbxml.AirSyncClass, "Tasks"), class, freeText("mole")), nil, "harbour plans 0-0/1"},
	} {
		for _, v := range versions {
			if got := subjects(w.phone(v).search(searchIn("Mailbox", c.query, c.options...))); got != c.want {
				t.Errorf("%v, %s: %s, want %s", v, name, got, c.want)
			}
		}
	}
}

func TestSearchFindsWhatWasJustDelivered(t *testing.T) {
	w := newTown(t).indexed()
	p := w.phone(v161)
	for i := range 3 {
		w.put("INBOX", fmt.Sprintf("Subject: news %d\r\n\r\nx\r\n", i))
		if got, want := subjects(p.search(searchIn("Mailbox", queryAnd(freeText(fmt.Sprintf("%d", i)))))), fmt.Sprintf("news %d 0-0/1", i); got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
	w.server.Search = nil
	if got := subjects(p.search(searchIn("Mailbox", queryAnd(freeText("news"))))); got != " /0" {
		t.Errorf("without an index: %s", got)
	}
}

func TestSearchStatuses(t *testing.T) {
	w := library(t)
	and := wbxml.New(wbxml.SearchAnd, freeText("x"))
	class, text := wbxml.Text(wbxml.AirSyncClass, "Email"), freeText("x")
	query := func(children ...*wbxml.Element) *wbxml.Element { return wbxml.New(wbxml.SearchQuery, children...) }
	ranged := func(r string) *wbxml.Element {
		return searchIn("Mailbox", queryAnd(text), wbxml.Text(wbxml.SearchRange, r))
	}
	link := wbxml.New(wbxml.SearchEqualTo, wbxml.New(wbxml.DocumentsLinkId), wbxml.Text(wbxml.SearchValue, `\\files\share`))
	for name, c := range map[string]struct {
		in   *wbxml.Element
		want string
	}{
		"two Ands":                {searchIn("Mailbox", query(and, and)), "8"},
		"Class beside And":        {searchIn("Mailbox", query(class, and)), "8"},
		"CollectionId beside And": {searchIn("Mailbox", query(inFolder("1"), and)), "8"},
		"FreeText beside And":     {searchIn("Mailbox", query(and, text)), "8"},
		"Or":                      {searchIn("Mailbox", query(wbxml.New(wbxml.SearchOr, text))), "8"},
		"And in And":              {searchIn("Mailbox", queryAnd(and)), "8"},
		"two conversations":       {searchIn("Mailbox", queryAnd(text, wbxml.Text(wbxml.SearchConversationId, "x"), wbxml.Text(wbxml.SearchConversationId, "y"))), "2"},
		"of mail":                 {searchIn("Mailbox", queryAnd(text, wbxml.Text(wbxml.EmailTo, "x"))), "2"},
		"empty":                   {searchIn("Mailbox", queryAnd()), "2"},
		"only a class":            {searchIn("Mailbox", queryAnd(class)), "2"},
		"empty text":              {searchIn("Mailbox", queryAnd(freeText(""))), "2"},
		"no query":                {searchIn("Mailbox", nil), "2"},
		"no And":                  {searchIn("Mailbox", query()), "2"},
		"class":                   {searchIn("Mailbox", queryAnd(text, wbxml.Text(wbxml.AirSyncClass, "Letters"))), "2"},
		"date":                    {searchIn("Mailbox", queryAnd(text, received(wbxml.SearchLessThan, "soon"))), "2"},
		"of another date":         {searchIn("Mailbox", queryAnd(text, wbxml.New(wbxml.SearchLessThan, wbxml.Text(wbxml.SearchValue, "2026-01-01T00:00:00.000Z")))), "2"},
		"no range":                {ranged("x"), "2"},
		"half a range":            {ranged("0-"), "2"},
		"backwards":               {ranged("5-4"), "2"},
		"past the end":            {ranged("0-100"), "12"},
		"no such folder":          {searchIn("Mailbox", queryAnd(text, inFolder("999"))), "11"},
		"no folder":               {searchIn("Mailbox", queryAnd(text, inFolder("x"))), "11"},
		"body preference":         {searchIn("Mailbox", queryAnd(text), wbxml.New(wbxml.BaseBodyPreference, wbxml.Text(wbxml.BaseType, "9"))), "2"},
		"another store":           {searchIn("Cellar", queryAnd(text)), "2"},
		"documents":               {searchIn("DocumentLibrary", query(link)), "6"},
		"no document":             {searchIn("DocumentLibrary", query(wbxml.New(wbxml.SearchEqualTo))), "2"},
		"directory of nothing":    {searchIn("GAL", wbxml.Text(wbxml.SearchQuery, " ")), "2"},
		"directory of a tree":     {searchIn("GAL", queryAnd(text)), "2"},
		"directory past its end":  {searchIn("GAL", wbxml.Text(wbxml.SearchQuery, "x"), wbxml.Text(wbxml.SearchRange, "0-100")), "12"},
		"directory without range": {searchIn("GAL", wbxml.Text(wbxml.SearchQuery, "x"), wbxml.Text(wbxml.SearchRange, "-")), "2"},
	} {
		if got := subjects(w.phone(v161).search(c.in)); got != "status "+c.want {
			t.Errorf("%s: %s, want status %s", name, got, c.want)
		}
	}
	if got := short(w.phone(v161).call("Search", wbxml.New(wbxml.SearchSearch))); got != "Search(Status=1 Response(Store(Status=2)))" {
		t.Errorf("without a store: %s", got)
	}
	two := wbxml.New(wbxml.SearchSearch, searchIn("Mailbox", queryAnd(freeText("mole"))), searchIn("Mailbox", queryAnd(freeText("budget"))))
	if got := subjects(w.phone(v161).call("Search", two)); got != "harbour plans 0-0/1" {
		t.Errorf("with two stores: %s", got)
	}
	if got := short(w.phone(v161).search(searchIn("Mailbox", queryAnd(freeText("nowhere"))))); got != "Search(Status=1 Response(Store(Status=1 Result Total=0)))" {
		t.Error(got)
	}
}

func TestSearchTellsOfMailAsSyncDoes(t *testing.T) {
	w := library(t)
	body := wbxml.New(wbxml.BaseBodyPreference, wbxml.Text(wbxml.BaseType, "1"), wbxml.Text(wbxml.BaseTruncationSize, "7"))
	for _, v := range versions {
		e := w.phone(v).search(searchIn("Mailbox", queryAnd(freeText("mole")), body)).Child(wbxml.SearchResponse).Child(wbxml.SearchStore)
		r := e.Child(wbxml.SearchResult)
		p := r.Child(wbxml.SearchProperties)
		if r.Get(wbxml.AirSyncClass) != "Email" || r.Get(wbxml.AirSyncCollectionId) != folderID(w.mailbox("INBOX").ID) || p.Get(wbxml.EmailRead) != "1" ||
			p.Get(wbxml.EmailDateReceived) != "2026-01-01T12:00:00.000Z" || p.Child(wbxml.BaseBody).Get(wbxml.BaseData) != "the old" {
			t.Errorf("%v: %s", v, short(r))
		}
		id, mb, ok := parseLongID(r.Get(wbxml.SearchLongId))
		if !ok || mb != w.mailbox("INBOX").ID {
			t.Errorf("%v: LongId %q", v, r.Get(wbxml.SearchLongId))
		}
		err := w.Store.View(t.Context(), w.alice.Account, func(r store.Reader) error {
			_, err := r.MessageByEmailID(id)
			return err
		})
		if err != nil {
			t.Error(err)
		}
		if v < v140 {
			continue
		}
		thread := wbxml.Bytes(wbxml.SearchConversationId, []byte(p.Get(wbxml.Email2ConversationId)))
		if got := subjects(w.phone(v).search(searchIn("Mailbox", queryAnd(thread)))); got != "Re: harbour plans, harbour plans 0-1/2" {
			t.Errorf("%v, the conversation: %s", v, got)
		}
		if got := subjects(w.phone(v).search(searchIn("Mailbox", queryAnd(thread, freeText("mole"))))); got != "harbour plans 0-0/1" {
			t.Errorf("%v, words of the conversation: %s", v, got)
		}
	}
	strange := wbxml.Bytes(wbxml.SearchConversationId, []byte("0123456789abcdef"))
	if got := subjects(w.phone(v161).search(searchIn("Mailbox", queryAnd(strange)))); got != " /0" {
		t.Errorf("another server's conversation: %s", got)
	}
}

func TestSearchFindsPeople(t *testing.T) {
	w := bobs(t)
	gal := func(v version, query string, options ...*wbxml.Element) string {
		return short(w.phone(v).search(searchIn("GAL", wbxml.Text(wbxml.SearchQuery, query), options...)))
	}
	ash := "Result(Properties(DisplayName=Bob Ash Phone Office Title Company Alias=robert FirstName=Bob LastName=Ash HomePhone MobilePhone EmailAddress=robert@example.test))"
	zimmer := "Result(Properties(DisplayName=Bob Zimmer Phone Office Title Company Alias=bob.z FirstName=Bob LastName=Zimmer HomePhone MobilePhone EmailAddress=bob.z@example.test))"
	nameless := "Result(Properties(DisplayName=bob Phone Office Title Company Alias=bob FirstName LastName=bob HomePhone MobilePhone EmailAddress=bob@example.test))"
	answer := func(s string) string { return "Search(Status=1 Response(Store(Status=1 " + s + ")))" }
	for _, v := range versions {
		if got, want := gal(v, "BO"), answer(ash+" "+zimmer+" "+nameless+" Range=0-2 Total=3"); got != want {
			t.Errorf("%v:\n got %s\nwant %s", v, got, want)
		}
		if got, want := gal(v, "bob z", wbxml.Text(wbxml.SearchRange, "0-49")), answer(zimmer+" Range=0-0 Total=1"); got != want {
			t.Errorf("%v: %s", v, got)
		}
		if got, want := gal(v, "other"), answer("Result Total=0"); got != want {
			t.Errorf("%v: %s", v, got)
		}
	}
	if got, want := gal(v161, "bob", wbxml.Text(wbxml.SearchRange, "1-1")), answer(zimmer+" Range=1-1 Total=3"); got != want {
		t.Error(got)
	}
	picture := wbxml.New(wbxml.SearchPicture)
	if got := gal(v141, "ash", picture); !strings.Contains(got, "EmailAddress=robert@example.test Picture(Status=173))") {
		t.Error(got)
	}
	if got := gal(v140, "ash", picture); strings.Contains(got, "Picture") {
		t.Error(got)
	}
	w.server.People = nil
	if got := gal(v161, "bob"); got != answer("Result Total=0") {
		t.Errorf("of a directory that is off: %s", got)
	}
}

// What was found can be fetched by the names it is told with, also when it was moved.
func TestWhatIsFoundCanBeFetched(t *testing.T) {
	w := library(t)
	p := w.phone(v161)
	fetch := func(names ...*wbxml.Element) string {
		t.Helper()
		e := p.call("ItemOperations", wbxml.New(wbxml.ItemsItemOperations, wbxml.New(wbxml.ItemsFetch, wbxml.Text(wbxml.ItemsStore, "Mailbox")).Add(names...)))
		got := e.Child(wbxml.ItemsResponse).Child(wbxml.ItemsFetch)
		return got.Get(wbxml.ItemsStatus) + " " + got.Child(wbxml.ItemsProperties).Get(wbxml.EmailSubject)
	}
	r := p.search(searchIn("Mailbox", queryAnd(freeText("mole")))).Child(wbxml.SearchResponse).Child(wbxml.SearchStore).Child(wbxml.SearchResult)
	long := wbxml.Text(wbxml.SearchLongId, r.Get(wbxml.SearchLongId))
	f := p.find(findsMail(kqlText("mole"))).Child(wbxml.FindResponse).Child(wbxml.FindResult)
	if got := fetch(inFolder(f.Get(wbxml.AirSyncCollectionId)), wbxml.Text(wbxml.AirSyncServerId, f.Get(wbxml.AirSyncServerId))); got != "1 harbour plans" {
		t.Errorf("by ServerId: %s", got)
	}
	if got := fetch(long); got != "1 harbour plans" {
		t.Errorf("by LongId: %s", got)
	}
	inbox, archive := w.mailbox("INBOX"), w.mailbox("Archive")
	w.change(func(tx store.Tx) error {
		_, err := tx.Move(inbox.ID, mail.AllUIDs, archive.ID)
		return err
	})
	if got := fetch(long); got != "1 harbour plans" {
		t.Errorf("by LongId, elsewhere: %s", got)
	}
}

func TestSearchAnswersAreBounded(t *testing.T) {
	w := newTown(t).indexed()
	for range 6 {
		w.put("INBOX", "Subject: long\r\nContent-Type: text/plain\r\n\r\n"+strings.Repeat("a long line of a long message\r\n", maxSearchBytes/4/31))
	}
	all := wbxml.New(wbxml.BaseBodyPreference, wbxml.Text(wbxml.BaseType, "1"))
	for asked, want := range map[string]string{"0-99": "long, long, long, long, long 0-4/6", "5-99": "long 5-5/6"} {
		if got := subjects(w.phone(v161).search(searchIn("Mailbox", queryAnd(freeText("subject:long")), all, wbxml.Text(wbxml.SearchRange, asked)))); got != want {
			t.Errorf("%s: %s, want %s", asked, got, want)
		}
	}
}
