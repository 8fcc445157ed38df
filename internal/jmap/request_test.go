package jmap

import (
	"encoding/json"
	"strings"
	"testing"

	"lockstep/internal/mail"
)

func TestBadRequestsAreToldWhatIsWrong(t *testing.T) {
	w := newTown(t)
	deep := strings.Repeat("[", maxNesting+2) + strings.Repeat("]", maxNesting+2)
	for _, c := range []struct{ name, contentType, body, want string }{
		{"no JSON", "application/json", `{`, "notJSON"},
		{"two values", "application/json", `{} {}`, "notJSON"},
		{"a name twice", "application/json", `{"using":[],"using":[],"methodCalls":[]}`, "notJSON"},
		{"not UTF-8", "application/json", "{\"using\":[\"\xff\"]}", "notJSON"},
		{"nested without end", "application/json", `{"using":` + deep + `,"methodCalls":[]}`, "notJSON"},
		{"another type", "text/plain", `{}`, "notJSON"},
		{"no Request", "application/json", `{"using":[]}`, "notRequest"},
		{"no invocation", "application/json", `{"using":[],"methodCalls":[["Core/echo",{}]]}`, "notRequest"},
		{"arguments that are none", "application/json", `{"using":[],"methodCalls":[["Core/echo",[],"a"]]}`, "notRequest"},
		{"unknown capability", "application/json", `{"using":["urn:example:none"],"methodCalls":[]}`, "unknownCapability"},
		{"too many calls", "application/json", `{"using":[],"methodCalls":[` + strings.Repeat(`["a",{},"a"],`, 64) + `["a",{},"a"]]}`, "limit"},
		{"too large", "application/json", `{"using":[],"methodCalls":[],"x":"` + strings.Repeat("x", 10<<20) + `"}`, "limit"},
	} {
		rec := w.do("POST", apiPath, c.contentType, []byte(c.body))
		var p problem
		if err := json.Unmarshal(rec.Body.Bytes(), &p); err != nil || rec.Code != 400 || p.Type != problemPrefix+c.want || p.Detail == "" {
			t.Errorf("%s: HTTP %d %s (%v), want %s", c.name, rec.Code, rec.Body, err, c.want)
		}
	}
}

func TestOneWrongCallLeavesTheOthers(t *testing.T) {
	w := newTown(t)
	got := w.api(`[["Core/echo",{"a":1},"c1"],["No/such",{},"c2"],["Core/echo",{"b":[true,null]},"c3"]]`)
	if len(got) != 3 || got[0].name != "Core/echo" || string(got[0].args) != `{"a":1}` || got[1].name != "error" || got[1].callID != "c2" ||
		!strings.Contains(string(got[1].args), "unknownMethod") || string(got[2].args) != `{"b":[true,null]}` {
		t.Errorf("%s", got)
	}
}

func TestAMethodNeedsItsCapability(t *testing.T) {
	w := newTown(t)
	rec := w.do("POST", apiPath, "application/json", []byte(`{"using":[],"methodCalls":[["Core/echo",{},"a"]]}`))
	if !strings.Contains(rec.Body.String(), "unknownMethod") {
		t.Errorf("%s", rec.Body)
	}
}

func TestResultReferences(t *testing.T) {
	w := newTown(t)
	for _, c := range []struct{ path, want string }{
		{"/list/1/id", `{"ids":"b"}`},
		{"/list/*/id", `{"ids":["a","b"]}`},
		{"/list/*/all", `{"ids":[1,2,3]}`},
		{"/a~1b/c~0d", `{"ids":9007199254740993}`},
		{"", `{"ids":{"a/b":{"c~d":9007199254740993},"list":[{"all":[1,2],"id":"a"},{"all":[3],"id":"b"}]}}`},
		{"/list/2/id", "invalidResultReference"},
		{"/list/01/id", "invalidResultReference"},
		{"/none", "invalidResultReference"},
		{"list", "invalidResultReference"},
		{"/" + strings.Repeat("x", maxPointerBytes), "invalidResultReference"},
	} {
		got := w.api(`[["Core/echo",{"list":[{"id":"a","all":[1,2]},{"id":"b","all":[3]}],"a/b":{"c~d":9007199254740993}},"one"],
			["Core/echo",{"#ids":{"resultOf":"one","name":"Core/echo","path":"` + c.path + `"}},"two"]]`)
		if !strings.Contains(string(got[1].args), c.want) {
			t.Errorf("%s: %s, want %s", c.path, got[1].args, c.want)
		}
	}
	for _, args := range []string{
		`{"ids":1,"#ids":{"resultOf":"one","name":"Core/echo","path":"/a"}}`,
		`{"#ids":{"resultOf":"none","name":"Core/echo","path":"/a"}}`,
		`{"#ids":{"resultOf":"one","name":"Email/get","path":"/a"}}`,
		`{"#ids":{"resultOf":"one"}}`, `{"#ids":3}`,
	} {
		got := w.api(`[["Core/echo",{"a":1},"one"],["Core/echo",` + args + `,"two"]]`)
		if got[1].name != "error" {
			t.Errorf("%s: %s", args, got[1].args)
		}
	}
}

func TestEveryKindOfErrorHasItsWords(t *testing.T) {
	for _, k := range mail.Kinds() {
		if methodKinds[k] == "" || setKinds[k] == "" {
			t.Errorf("%v has no word", k)
		}
	}
}

func TestTheSessionSaysWhatThereIs(t *testing.T) {
	w := newTown(t)
	for _, path := range []string{WellKnown, sessionPath} {
		rec := w.do("GET", path, "", nil)
		var o sessionObject
		if err := json.Unmarshal(rec.Body.Bytes(), &o); err != nil || rec.Code != 200 || o.Accounts[w.account].Name != login || o.State == "" || o.Capabilities[core] == nil {
			t.Errorf("%s: HTTP %d %s (%v)", path, rec.Code, rec.Body, err)
		}
		api := w.do("POST", apiPath, "application/json", []byte(`{"using":[],"methodCalls":[]}`))
		if !strings.Contains(api.Body.String(), `"sessionState":"`+o.State+`"`) {
			t.Errorf("the session's state is %s, a request says %s", o.State, api.Body)
		}
	}
}

func TestNobodyIsLetInWithoutProof(t *testing.T) {
	w := newTown(t)
	w.server.Auth = byPassword{w.auth}
	for _, path := range []string{sessionPath, apiPath} {
		method := map[string]string{sessionPath: "GET", apiPath: "POST"}[path]
		rec := newStranger(w, method, path)
		if rec.Code != 401 || rec.Header().Get("WWW-Authenticate") == "" {
			t.Errorf("%s: HTTP %d %s", path, rec.Code, rec.Body)
		}
	}
	if rec := w.do("DELETE", apiPath, "", nil); rec.Code != 405 || rec.Header().Get("Allow") != "POST" {
		t.Errorf("DELETE: HTTP %d, Allow %q", rec.Code, rec.Header().Get("Allow"))
	}
	if rec := w.do("GET", "/jmap/nothing", "", nil); rec.Code != 404 {
		t.Errorf("nothing is at /jmap/nothing: HTTP %d", rec.Code)
	}
}

func FuzzRequest(f *testing.F) {
	f.Add([]byte(`{"using":["urn:ietf:params:jmap:core"],"methodCalls":[["Core/echo",{"a":[1]},"a"],["Core/echo",{"#b":{"resultOf":"a","name":"Core/echo","path":"/a/*"}},"b"]]}`))
	f.Add([]byte(`{"using":[],"methodCalls":[],"createdIds":{"a":"b"}}`))
	s := &Server{}
	s.init()
	f.Fuzz(func(t *testing.T, body []byte) {
		if checkJSON(body) != nil {
			return
		}
		in, wrong := s.parse(body)
		if wrong != nil {
			return
		}
		req := &request{srv: s, using: in.Using, created: in.CreatedIDs}
		for _, c := range in.MethodCalls {
			if methods[c.name].capability == core {
				req.run(t.Context(), c)
			}
		}
	})
}

func TestPatches(t *testing.T) {
	was := object{"name": "a", "keywords": map[string]any{"x": true}, "list": []any{"1"}}
	for _, c := range []struct{ patch, want string }{
		{`{"name":"b"}`, `{"keywords":{"x":true},"list":["1"],"name":"b"}`},
		{`{"keywords/y":true}`, `{"keywords":{"x":true,"y":true},"list":["1"],"name":"a"}`},
		{`{"keywords/x":null}`, `{"keywords":{},"list":["1"],"name":"a"}`},
		{`{"keywords/a~1b":true,"name":null}`, `{"keywords":{"a/b":true,"x":true},"list":["1"]}`},
		{`{"keywords":{},"keywords/y":true}`, "invalidPatch"},
		{`{"list/0":"2"}`, "invalidPatch"},
		{`{"none/x":true}`, "invalidPatch"},
	} {
		var p patchObject
		if err := json.Unmarshal([]byte(c.patch), &p); err != nil {
			t.Fatal(err)
		}
		got, wrong := p.apply(was)
		b, _ := json.Marshal(got)
		if wrong != nil {
			b = []byte(wrong.Type)
		}
		if string(b) != c.want {
			t.Errorf("%s: %s, want %s", c.patch, b, c.want)
		}
	}
	if b, _ := json.Marshal(was); string(b) != `{"keywords":{"x":true},"list":["1"],"name":"a"}` {
		t.Errorf("the original became %s", b)
	}
}
