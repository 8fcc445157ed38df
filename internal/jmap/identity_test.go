package jmap

import (
	"fmt"
	"strings"
	"testing"
)

func TestEachAddressHasAnIdentity(t *testing.T) {
	w := newTown(t)
	w.Address("sales@example.test", w.alice.Account)
	w.Address("@catch.test", w.alice.Account)
	var got getAnswer
	w.call("Identity/get", `{"accountId":"$ACCOUNT","ids":null}`, &got)
	var emails []string
	for _, o := range got.List {
		emails = append(emails, o["email"].(string))
		if o["mayDelete"] != false {
			t.Errorf("%v", o)
		}
	}
	if s := strings.Join(emails, " "); s != "alice@example.test *@catch.test sales@example.test" {
		t.Error(s)
	}
	own := got.List[0]["id"].(string)
	out, _ := w.set("Identity/set", `"create":{"n":{"name":"Sales","email":"anything@catch.test","replyTo":[{"name":null,"email":"a@b.test"}]}},
		"update":{"`+own+`":{"textSignature":"-- \nAlice","name":"Alice"}},"destroy":["`+own+`"]`)
	made := out.Created["n"]
	if made == nil || made["mayDelete"] != true || made["textSignature"] != "" || out.NotDestroyed[own].Type != "forbidden" || len(out.Updated) != 1 {
		t.Fatalf("%+v", out)
	}
	var ch changesAnswer
	w.call("Identity/changes", `{"accountId":"$ACCOUNT","sinceState":"`+got.State+`"}`, &ch)
	if fmt.Sprint(ch.Created, ch.Updated, ch.Destroyed) != fmt.Sprintf("[%s] [%s] []", made["id"], own) || ch.NewState != out.NewState {
		t.Errorf("%+v", ch)
	}
	got = getAnswer{}
	w.call("Identity/get", `{"accountId":"$ACCOUNT","ids":["`+own+`","`+made["id"].(string)+`","I77"],"properties":["name","textSignature"]}`, &got)
	if s := fmt.Sprint(got.List, got.NotFound); s != fmt.Sprintf("[map[id:%s name:Alice textSignature:-- \nAlice] map[id:%s name:Sales textSignature:]] [I77]", own, made["id"]) {
		t.Error(s)
	}
	out, _ = w.set("Identity/set", `"destroy":["`+made["id"].(string)+`","I77"]`)
	if len(out.Destroyed) != 1 || out.NotDestroyed["I77"].Type != "notFound" {
		t.Errorf("%+v", out)
	}
	w.Address("more@example.test", w.alice.Account)
	if name := w.call("Identity/changes", `{"accountId":"$ACCOUNT","sinceState":"`+out.NewState+`"}`, &ch); name != "error" {
		t.Errorf("after a new address: %s %+v", name, ch)
	}
}

func TestTheJournalNamesIdentities(t *testing.T) {
	w := newTown(t)
	w.set("Identity/set", `"update":{"`+w.identity()+`":{"name":"X"}}`)
	got := w.api(`[["Act/query",{"accountId":"$ACCOUNT","limit":1},"c"],["Act/get",{"accountId":"$ACCOUNT","#ids":{"resultOf":"c","name":"Act/query","path":"/ids"}},"d"]]`)
	if s := string(got[1].args); !strings.Contains(s, `"isSet":true,"name":"Identity","op":"object"`) {
		t.Error(s)
	}
}

func TestWhatIdentitiesRefuse(t *testing.T) {
	w := newTown(t)
	w.neighbours()
	own := w.identity()
	for create, want := range map[string]string{
		`"email":"bob@example.test"`: "forbiddenFrom", `"email":"x"`: "forbiddenFrom", `"name":"x"`: "invalidProperties",
		`"email":"alice@example.test","bcc":[{"email":"x"}]`: "invalidProperties", `"email":"alice@example.test","name":"a\nb"`: "invalidProperties",
		`"email":"alice@example.test","mayDelete":true`: "invalidProperties", `"email":"alice@example.test","sound":"x"`: "invalidProperties",
		`"email":"alice@example.test","name":7`:                                                           "invalidProperties",
		`"email":"alice@example.test","textSignature":"` + strings.Repeat("x", maxSignatureBytes+1) + `"`: "invalidProperties",
	} {
		out, _ := w.set("Identity/set", `"create":{"n":{`+create+`}}`)
		if e := out.NotCreated["n"]; e == nil || e.Type != want {
			t.Errorf("%.60s: %v, want %s", create, e, want)
		}
	}
	for patch, want := range map[string]string{`{"email":"bob@example.test"}`: "invalidProperties", `{"mayDelete":true}`: "invalidProperties", `{"name/x":1}`: "invalidPatch", `{"replyTo":"x"}`: "invalidProperties"} {
		out, _ := w.set("Identity/set", `"update":{"`+own+`":`+patch+`}`)
		if e := out.NotUpdated[own]; e == nil || e.Type != want {
			t.Errorf("%s: %v, want %s", patch, e, want)
		}
	}
	if answers := w.api(`[["Identity/set",{"accountId":"$ACCOUNT","ifInState":"no"},"c"]]`); !strings.Contains(string(answers[0].args), "stateMismatch") {
		t.Errorf("%s", answers)
	}
}
