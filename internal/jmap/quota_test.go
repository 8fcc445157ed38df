package jmap

import (
	"fmt"
	"reflect"
	"strings"
	"testing"

	"lockstep/internal/mail"
	"lockstep/internal/store"
)

type quotaAnswer struct {
	Type                        string
	State, NewState, QueryState string
	NewQueryState               string
	List                        []map[string]any
	IDs                         []string
	Created, Updated, Destroyed []string
	UpdatedProperties           []string
	NotFound, Removed           []string
	Added                       []addedItem
	HasMoreChanges              bool
	Total                       int
}

func (w *town) quota(method, args string, a ...any) (r quotaAnswer) {
	w.T.Helper()
	w.ask("Quota/"+method, `{"accountId":"$ACCOUNT",`+fmt.Sprintf(args, a...)+`}`, &r)
	return r
}

func TestQuotasSayWhatIsUsed(t *testing.T) {
	w := newTown(t)
	none := w.quota("get", `"ids":null`)
	if len(none.List) != 1 || none.List[0]["id"] != "mailboxes" || none.List[0]["used"] != 6.0 || none.List[0]["hardLimit"] != float64(mail.MaxMailboxes) {
		t.Errorf("%+v", none)
	}
	w.change(func(tx store.Tx) error { return tx.SetQuota(1000) })
	w.put("INBOX", hello)
	got := w.quota("get", `"ids":["octets","other"],"properties":["used","hardLimit","warnLimit","softLimit","scope","resourceType","types","name"]`)
	want := map[string]any{"id": "octets", "used": float64(len(hello)), "hardLimit": 1000.0, "warnLimit": 900.0, "softLimit": nil, "scope": "account", "resourceType": "octets", "types": []any{"Email"}, "name": "Storage"}
	if len(got.List) != 1 || !reflect.DeepEqual(got.List[0], want) || fmt.Sprint(got.NotFound) != "[other]" {
		t.Errorf("%+v", got)
	}
	if bad := w.quota("get", `"ids":null,"properties":["none"]`); bad.Type != "invalidArguments" {
		t.Errorf("%+v", bad)
	}
}

func TestQuotasTellWhatChanged(t *testing.T) {
	w := newTown(t)
	letter, err := w.Delivery.Ingest(t.Context(), strings.NewReader(hello))
	if err != nil {
		t.Fatal(err)
	}
	states := []string{w.quota("get", `"ids":null`).State}
	for _, step := range []struct {
		did  func(store.Tx) error
		want string
	}{
		{func(tx store.Tx) error { return tx.SetQuota(1000) }, "[octets] [] []"},
		{func(tx store.Tx) error { _, err := tx.Append(w.mailboxIn(tx, "INBOX"), letter); return err }, "[] [octets] []"},
		{func(tx store.Tx) error { _, err := tx.CreateMailbox(mail.MailboxImage{Name: "More"}); return err }, "[] [mailboxes] []"},
		{func(tx store.Tx) error { return tx.SetQuota(0) }, "[] [] [octets]"},
		{func(tx store.Tx) error { return nil }, "[] [] []"},
	} {
		w.change(step.did)
		since := states[len(states)-1]
		got := w.quota("changes", `"sinceState":%q`, since)
		states = append(states, w.quota("get", `"ids":null`).State)
		if s := fmt.Sprint(got.Created, got.Updated, got.Destroyed); s != step.want || got.NewState != states[len(states)-1] || got.HasMoreChanges {
			t.Errorf("since %s: %+v, want %s", since, got, step.want)
		}
	}
	got := w.quota("changes", `"sinceState":%q,"maxChanges":1`, states[2])
	if !got.HasMoreChanges || fmt.Sprint(got.Updated) != "[mailboxes]" || fmt.Sprint(got.UpdatedProperties) != "[used]" {
		t.Errorf("%+v", got)
	}
	if rest := w.quota("changes", `"sinceState":%q`, got.NewState); rest.HasMoreChanges || fmt.Sprint(rest.Destroyed) != "[octets]" || rest.UpdatedProperties != nil || len(rest.Updated) != 0 {
		t.Errorf("%+v", rest)
	}
	for args, want := range map[string]string{`"sinceState":"x"`: "cannotCalculateChanges", `"sinceState":"1-2-3 "`: "cannotCalculateChanges", `"sinceState":"1-2-3","maxChanges":0`: "invalidArguments"} {
		if got := w.quota("changes", "%s", args); got.Type != want {
			t.Errorf("%s: %+v", args, got)
		}
	}
}

func TestQuotasAreQueried(t *testing.T) {
	w := newTown(t)
	before := w.quota("query", `"filter":{"scope":"account"},"calculateTotal":true`)
	w.change(func(tx store.Tx) error { return tx.SetQuota(1000) })
	for args, want := range map[string]string{
		`"filter":null`: "[mailboxes octets]", `"sort":[{"property":"name","isAscending":false}]`: "[octets mailboxes]", `"sort":[{"property":"used"}]`: "[octets mailboxes]",
		`"filter":{"resourceType":"octets"}`: "[octets]", `"filter":{"type":"Mailbox"}`: "[mailboxes]", `"filter":{"name":"STOR"}`: "[octets]", `"filter":{"scope":"domain"}`: "[]",
		`"filter":{"operator":"NOT","conditions":[{"type":"Mailbox"}]}`: "[octets]", `"position":1`: "[octets]",
	} {
		if got := w.quota("query", "%s", args); fmt.Sprint(got.IDs) != want {
			t.Errorf("%s: %+v, want %s", args, got, want)
		}
	}
	for args, want := range map[string]string{`"sort":[{"property":"id"}]`: "unsupportedSort", `"filter":{"color":"red"}`: "unsupportedFilter"} {
		if got := w.quota("query", "%s", args); got.Type != want {
			t.Errorf("%s: %+v", args, got)
		}
	}
	got := w.quota("queryChanges", `"filter":{"scope":"account"},"sinceQueryState":%q,"calculateTotal":true`, before.QueryState)
	if fmt.Sprint(got.Removed, got.Added, got.Total) != "[mailboxes] [{mailboxes 0} {octets 1}] 2" || before.Total != 1 {
		t.Errorf("%+v after %+v", got, before)
	}
	if again := w.quota("queryChanges", `"filter":{"scope":"account"},"sinceQueryState":%q`, got.NewQueryState); len(again.Removed)+len(again.Added) != 0 {
		t.Errorf("%+v", again)
	}
	if got := w.quota("queryChanges", `"sinceQueryState":"none"`); got.Type != "cannotCalculateChanges" {
		t.Errorf("%+v", got)
	}
}
