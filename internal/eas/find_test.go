package eas

import (
	"fmt"
	"strings"
	"testing"

	"lockstep/internal/eas/wbxml"
	"lockstep/internal/mail"
	"lockstep/internal/store"
)

const aSearch = "7c0a4d0e-3f4b-4b0c-9b39-0a4f2b6f8f11"

func (p *phone) find(criterion *wbxml.Element) *wbxml.Element {
	p.w.T.Helper()
	return p.call("Find", wbxml.New(wbxml.FindFind, wbxml.Text(wbxml.FindSearchId, aSearch), wbxml.New(wbxml.FindExecuteSearch, criterion)))
}

func findsMail(query []*wbxml.Element, options ...*wbxml.Element) *wbxml.Element {
	return wbxml.New(wbxml.FindMailBoxSearchCriterion, wbxml.New(wbxml.FindQuery, query...), wbxml.New(wbxml.FindOptions, options...))
}

func kqlText(s string) []*wbxml.Element {
	return []*wbxml.Element{wbxml.Text(wbxml.AirSyncClass, "Email"), wbxml.Text(wbxml.FindFreeText, s)}
}

func findRange(r string) *wbxml.Element { return wbxml.Text(wbxml.FindRange, r) }

// foundSubjects are those of the results, then range and total; or the status.
func foundSubjects(e *wbxml.Element) string {
	in := e.Child(wbxml.FindResponse)
	if in == nil {
		return "status " + e.Get(wbxml.FindStatus)
	}
	if status := in.Get(wbxml.FindStatus); status != "1" {
		return "response " + status
	}
	var all []string
	for r := range in.All(wbxml.FindResult) {
		all = append(all, r.Child(wbxml.FindProperties).Get(wbxml.EmailSubject))
	}
	return strings.Join(all, ", ") + " " + in.Get(wbxml.FindRange) + "/" + in.Get(wbxml.FindTotal)
}

func TestFindUnderstandsKQL(t *testing.T) {
	p := library(t).phone(v161)
	for query, want := range map[string]string{
		"harbour":                                      "budget, harbour below, Re: harbour plans, harbour plans 0-3/4",
		"subject: harbour":                             "harbour below, Re: harbour plans, harbour plans 0-2/3",
		"subject:har":                                  "harbour below, Re: harbour plans, harbour plans 0-2/3",
		"from:anna OR from:carol":                      "budget, harbour below, harbour plans 0-2/3",
		"from:anna from:carol":                         "budget, harbour below, harbour plans 0-2/3",
		"from:anna AND subject:below":                  "harbour below 0-0/1",
		"harbour NOT (from:anna OR budget)":            "Re: harbour plans 0-0/1",
		`"harbour plans" -mole`:                        "Re: harbour plans 0-0/1",
		"participants:bob":                             "harbour below, Re: harbour plans 0-1/2",
		"cc:carol":                                     "harbour below 0-0/1",
		"attachment:spades":                            "budget 0-0/1",
		"body:mole":                                    "harbour plans 0-0/1",
		"hasattachment:true":                           "budget 0-0/1",
		"harbour hasattachment:no":                     "harbour below, Re: harbour plans, harbour plans 0-2/3",
		"isread:true":                                  "harbour plans 0-0/1",
		"isflagged:yes OR hasattachment:yes":           "budget, Re: harbour plans 0-1/2",
		"received>=2026-02-01 received<2026-04-01":     "harbour below, Re: harbour plans 0-1/2",
		"received:2026-01 received:2026-03":            "harbour below, harbour plans 0-1/2",
		"received>=2026-02-01 AND received<2026-04-01": "harbour below, Re: harbour plans 0-1/2",
		"received:2026-02-01..2026-03-01":              "harbour below, Re: harbour plans 0-1/2",
		"harbour received:2026-03":                     "harbour below 0-0/1",
		"harbour OR received:2026-04":                  "budget, harbour below, Re: harbour plans, harbour plans 0-3/4",
		"NOT harbour":                                  " /0",
		"NOT mole":                                     "budget, harbour below, Re: harbour plans 0-2/3",
		"*":                                            "budget, harbour below, Re: harbour plans, harbour plans 0-3/4",
		"isread:perhaps":                               " /0",
		"received:sometime":                            " /0",
		"nowhere":                                      " /0",
	} {
		if got := foundSubjects(p.find(findsMail(kqlText(query), findRange("0-5")))); got != want {
			t.Errorf("%s: %s, want %s", query, got, want)
		}
	}
}

func TestFindTellsWhatListsShow(t *testing.T) {
	w := library(t)
	below := w.mailbox("INBOX/Below")
	var line mail.Lineage
	err := w.Store.View(t.Context(), w.alice.Account, func(r store.Reader) error {
		return r.Placements(store.PlacementQuery{Mailbox: below.ID}, func(p *mail.Placement) error { line = p.Lineage; return nil })
	})
	if err != nil {
		t.Fatal(err)
	}
	got := short(w.phone(v161).find(findsMail(kqlText("below"), findRange("0-9"))))
	want := fmt.Sprintf("Find(Status=1 Response(Store=Mailbox Status=1 Result(Class=Email ServerId=%s CollectionId=%s Properties(Subject=harbour below DateReceived=2026-03-01T12:00:00.000Z "+
		"DisplayTo=bob@remote.test DisplayCc=Carol Importance=1 Read=0 IsDraft=0 Preview=x HasAttachments=0 From=anna@remote.test)) Range=0-0 Total=1))", itemID(below.ID, line), folderID(below.ID))
	if got != want {
		t.Errorf("\n got %s\nwant %s", got, want)
	}
}

func TestFindKeepsToFoldersAndClasses(t *testing.T) {
	w := library(t)
	p := w.phone(v161)
	inbox := inFolder(folderID(w.mailbox("INBOX").ID))
	words := wbxml.Text(wbxml.FindFreeText, "harbour")
	deep := wbxml.New(wbxml.FindDeepTraversal)
	for name, c := range map[string]struct {
		in   *wbxml.Element
		want string
	}{
		"a folder":         {findsMail([]*wbxml.Element{words, inbox}), "Re: harbour plans, harbour plans 0-1/2"},
		"and below":        {findsMail([]*wbxml.Element{words, inbox}, deep), "harbour below, Re: harbour plans, harbour plans 0-2/3"},
		"without words":    {findsMail([]*wbxml.Element{wbxml.Text(wbxml.FindFreeText, "hasattachment:false"), inbox}), "Re: harbour plans, harbour plans 0-1/2"},
		"no class":         {findsMail([]*wbxml.Element{words}, findRange("0-0")), "budget 0-0/4"},
		"another class":    {findsMail([]*wbxml.Element{wbxml.Text(wbxml.AirSyncClass, "Calendar"), words}), " /0"},
		"no such class":    {findsMail([]*wbxml.Element{wbxml.Text(wbxml.AirSyncClass, "Letters"), words}), "status 2"},
		"no words":         {findsMail(nil), "status 2"},
		"empty words":      {findsMail(kqlText(" ")), "status 2"},
		"no such folder":   {findsMail([]*wbxml.Element{words, inFolder("999")}), "status 3"},
		"not from zero":    {findsMail(kqlText("harbour"), findRange("1-2")), "response 4"},
		"no range":         {findsMail(kqlText("harbour"), findRange("all")), "response 2"},
		"past the end":     {findsMail(kqlText("harbour"), findRange("0-100")), "response 2"},
		"nothing is asked": {nil, "status 2"},
	} {
		if got := foundSubjects(p.find(c.in)); got != c.want {
			t.Errorf("%s: %s, want %s", name, got, c.want)
		}
	}
	for _, id := range []string{"", "1", aSearch + "0"} {
		in := wbxml.New(wbxml.FindFind, wbxml.Text(wbxml.FindSearchId, id), wbxml.New(wbxml.FindExecuteSearch, findsMail(kqlText("x"))))
		if got := short(p.call("Find", in)); got != "Find(Status=2)" {
			t.Errorf("search id %q: %s", id, got)
		}
	}
	both := wbxml.New(wbxml.FindExecuteSearch, findsMail(kqlText("x")), findsPeople("x"))
	if got := short(p.call("Find", wbxml.New(wbxml.FindFind, wbxml.Text(wbxml.FindSearchId, aSearch), both))); got != "Find(Status=2)" {
		t.Errorf("both: %s", got)
	}
	if rec := w.phone(v160).post(w.phone(v160).query("Find"), nil); rec.Code != 501 {
		t.Errorf("in 16.0: HTTP %d, %s", rec.Code, rec.Body)
	}
}

func findsPeople(query string, options ...*wbxml.Element) *wbxml.Element {
	return wbxml.New(wbxml.FindGalSearchCriterion, wbxml.Text(wbxml.FindQuery, query), wbxml.New(wbxml.FindOptions, options...))
}

func TestFindFindsPeople(t *testing.T) {
	p := bobs(t).phone(v161)
	got := short(p.find(findsPeople("zimm", findRange("0-9"), wbxml.New(wbxml.FindPicture, wbxml.Text(wbxml.FindMaxPictures, "3")))))
	want := "Find(Status=1 Response(Store=GAL Status=1 Result(Properties(DisplayName=Bob Zimmer Alias=bob.z FirstName=Bob LastName=Zimmer EmailAddress=bob.z@example.test Picture(Status=173))) Range=0-0 Total=1))"
	if got != want {
		t.Errorf("\n got %s\nwant %s", got, want)
	}
	for query, want := range map[string]string{"nobody": "Find(Status=1 Response(Store=GAL Status=1 Total=0))", "": "Find(Status=2)"} {
		if got := short(p.find(findsPeople(query))); got != want {
			t.Errorf("%q: %s", query, got)
		}
	}
	if got := short(p.find(findsPeople("bob", findRange("2-3")))); got != "Find(Status=1 Response(Store=GAL Status=4))" {
		t.Error(got)
	}
}
