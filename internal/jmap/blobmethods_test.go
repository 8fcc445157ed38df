package jmap

import (
	"crypto/sha1"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"testing"
)

const fox = "The quick brown fox jumped over the lazy dog."

// blobUpload makes blobs.
func (w *town) blobUpload(create string) (r setResult) {
	w.T.Helper()
	w.ask("Blob/upload", `{"accountId":"$ACCOUNT","create":{`+create+`}}`, &r)
	return r
}

type blobList struct {
	Type     string // of an error
	List     []map[string]any
	NotFound []string
}

func (w *town) blobGet(args string, a ...any) (r blobList) {
	w.T.Helper()
	w.ask("Blob/get", `{"accountId":"$ACCOUNT",`+fmt.Sprintf(args, a...)+`}`, &r)
	return r
}

func TestBlobsArePutTogether(t *testing.T) {
	w := newTown(t)
	r := w.blobUpload(`"cat":{"type":"text/plain","data":[{"data:asText":"How"},{"blobId":"#fox","offset":3,"length":7},{"data:asText":"was t"},{"blobId":"#fox","offset":1,"length":1},{"data:asBase64":"YXQ/"}]},
		"fox":{"data":[{"data:asText":"` + fox + `"}]},"empty":{"data":[]},"tail":{"data":[{"blobId":"#fox","offset":40}]},"wrapped":{"data":[{"data:asBase64":"aGVs\r\nbG8="}]}`)
	for creation, want := range map[string]string{"cat": "How quick was that?", "fox": fox, "empty": "", "tail": " dog.", "wrapped": "hello"} {
		made := r.Created[creation]
		if made == nil || made["size"] != float64(len(want)) {
			t.Errorf("%s: %+v", creation, r)
			continue
		}
		if rec := w.download(made["id"].(string), "x", "text/plain"); rec.Body.String() != want {
			t.Errorf("%s is %q, want %q", creation, rec.Body, want)
		}
	}
	if r.Created["cat"]["type"] != "text/plain" || r.Created["fox"]["type"] != "application/octet-stream" {
		t.Errorf("%+v", r.Created)
	}
}

func TestBlobsThatCantBePutTogether(t *testing.T) {
	w := newTown(t)
	w.server.Limits.Upload = 100
	fox := w.upload(fox, "text/plain")
	for _, c := range []struct{ blob, kind string }{
		{`{"data":[{"data:asBase64":"not*base64"}]}`, "invalidProperties"}, {`{"data":[{"data:asBase64":"aGVsbG8"}]}`, "invalidProperties"}, {`{"data":[{"data:asBase64":"aGVsbG8=YQ=="}]}`, "invalidProperties"},
		{`{"data":[{"data:asText":"a","data:asBase64":"YQ=="}]}`, "invalidProperties"}, {`{"data":[{}]}`, "invalidProperties"}, {`{"data":[{"data:asText":"a","offset":1}]}`, "invalidProperties"},
		{`{"data":[{"text":"a"}]}`, "invalidProperties"}, {`{"data":"a"}`, "invalidProperties"}, {`{}`, "invalidProperties"}, {`null`, "invalidProperties"}, {`{"data":[{"blobId":"` + fox + `","offset":-1}]}`, "invalidProperties"},
		{`{"data":[{"blobId":"` + fox + `","offset":46}]}`, "invalidProperties"}, {`{"data":[{"blobId":"` + fox + `","offset":40,"length":6}]}`, "invalidProperties"},
		{`{"data":[` + strings.Repeat(`{"data:asText":"a"},`, maxDataSources) + `{"data:asText":"a"}]}`, "invalidProperties"},
		{`{"data":[{"blobId":"Unone"}]}`, "blobNotFound"}, {`{"data":[{"blobId":"#bad"}]}`, "blobNotFound"}, {`{"data":[{"blobId":"#none"}]}`, "blobNotFound"},
		{`{"data":[{"blobId":"` + fox + `"},{"blobId":"` + fox + `"},{"blobId":"` + fox + `"}]}`, "tooLarge"},
	} {
		r := w.blobUpload(`"bad":` + c.blob + `,"good":{"data":[{"data:asText":"a"}]}`)
		if r.NotCreated["bad"]["type"] != c.kind || r.Created["good"] == nil {
			t.Errorf("%s: %+v", c.blob[:min(len(c.blob), 80)], r)
		}
	}
	var all []string
	for i := range 2*uploadsInSet + 2 {
		all = append(all, fmt.Sprintf(`"b%d":{"data":[{"blobId":"%s"}]}`, i, fox))
	}
	if r := w.blobUpload(strings.Join(all, ",")); r.NotCreated["b9"]["type"] != "rateLimit" {
		t.Errorf("%+v", r)
	}
	w.server.limits.ObjectsInSet = 1
	if r := w.blobUpload(`"a":{},"b":{}`); r.Type != "requestTooLarge" {
		t.Errorf("%+v", r)
	}
}

func TestBlobsAreRead(t *testing.T) {
	w := newTown(t)
	text, binary := w.upload(fox, ""), w.upload("\xff\xfe\x00binary", "")
	sum, old := sha256.Sum256([]byte("quick bro")), sha1.Sum([]byte("quick bro"))
	b64 := base64.StdEncoding.EncodeToString
	for _, c := range []struct {
		args string
		want map[string]any
	}{
		{`"ids":["` + text + `"]`, map[string]any{"data:asText": fox, "size": 45.0}},
		{`"ids":["` + text + `"],"properties":["data:asText","data:asBase64"]`, map[string]any{"data:asText": fox, "data:asBase64": b64([]byte(fox))}},
		{`"ids":["` + text + `"],"properties":["digest:sha","digest:sha-256","data:asText","size"],"offset":4,"length":9`,
			map[string]any{"data:asText": "quick bro", "size": 45.0, "digest:sha": b64(old[:]), "digest:sha-256": b64(sum[:])}},
		{`"ids":["` + text + `"],"properties":["data"],"offset":41,"length":9`, map[string]any{"data:asText": "dog.", "isTruncated": true}},
		{`"ids":["` + text + `"],"properties":["data"],"offset":99`, map[string]any{"data:asText": "", "isTruncated": true}},
		{`"ids":["` + text + `"],"properties":["size"],"offset":99`, map[string]any{"size": 45.0}},
		{`"ids":["` + binary + `"]`, map[string]any{"data:asBase64": b64([]byte("\xff\xfe\x00binary")), "size": 9.0, "isEncodingProblem": true}},
		{`"ids":["` + binary + `"],"properties":["data:asText"]`, map[string]any{"data:asText": nil, "isEncodingProblem": true}},
		{`"ids":["` + binary + `"],"properties":["data:asBase64"],"offset":3`, map[string]any{"data:asBase64": b64([]byte("binary"))}},
		{`"ids":["` + binary + `"],"properties":["data"],"offset":3`, map[string]any{"data:asText": "binary"}},
	} {
		got := w.blobGet("%s", c.args)
		if len(got.List) != 1 {
			t.Errorf("%s: %+v", c.args, got)
			continue
		}
		delete(got.List[0], "id")
		if !reflect.DeepEqual(got.List[0], c.want) {
			t.Errorf("%s:\n got %v\nwant %v", c.args, got.List[0], c.want)
		}
	}
	email := w.emailID(w.put("INBOX", wholeLetter))
	got := w.blobGet(`"ids":["P%s-2","Unone"],"properties":["data:asText"]`, email)
	if len(got.List) != 1 || got.List[0]["data:asText"] != "%PDF-1" || len(got.NotFound) != 1 {
		t.Errorf("%+v", got)
	}
	for args, want := range map[string]string{`"ids":null`: "invalidArguments", `"ids":[],"properties":["digest:md4"]`: "invalidArguments", `"ids":[],"offset":-1`: "invalidArguments"} {
		if got := w.blobGet("%s", args); got.Type != want {
			t.Errorf("%s: %+v", args, got)
		}
	}
	w.server.limits.ObjectsInGet = 1
	if got := w.blobGet(`"ids":["a","b"]`); got.Type != "requestTooLarge" {
		t.Errorf("%+v", got)
	}
}

func TestBlobsAreLookedUp(t *testing.T) {
	w := newTown(t)
	p := w.put("INBOX", wholeLetter)
	w.copyTo(p, "Archive")
	email, upload, unused := w.emailID(p), w.upload("attached", ""), w.upload("x", "")
	made, _ := w.create(`"attachments":[{"blobId":"` + upload + `"}]`)
	var r blobList
	ids, err := json.Marshal([]string{"B" + email, "P" + email + "-2", upload, unused, "P" + email + "-9", "Unone", "nonsense"})
	if err != nil {
		t.Fatal(err)
	}
	w.ask("Blob/lookup", `{"accountId":"$ACCOUNT","typeNames":["Email","Mailbox","Thread"],"ids":`+string(ids)+`}`, &r)
	if len(r.List) != 4 || strings.Join(r.NotFound, " ") != "P"+email+"-9 Unone nonsense" {
		t.Fatalf("%+v", r)
	}
	for i, want := range []struct {
		email     []any
		mailboxes int
	}{{[]any{email}, 2}, {[]any{email}, 2}, {[]any{made}, 1}, {[]any{}, 0}} {
		got := r.List[i]["matchedIds"].(map[string]any)
		if !reflect.DeepEqual(got["Email"], want.email) || len(got["Mailbox"].([]any)) != want.mailboxes || len(got["Thread"].([]any)) != len(want.email) {
			t.Errorf("%v: %v", r.List[i], want)
		}
	}
	w.ask("Blob/lookup", `{"accountId":"$ACCOUNT","typeNames":["Thread"],"ids":["B`+email+`"]}`, &r)
	if got := r.List[0]["matchedIds"].(map[string]any); len(got) != 1 {
		t.Errorf("%v", got)
	}
	for args, want := range map[string]string{`"typeNames":["Calendar"],"ids":[]`: "unknownDataType", `"typeNames":["Email"]`: "invalidArguments"} {
		if w.ask("Blob/lookup", `{"accountId":"$ACCOUNT",`+args+`}`, &r); r.Type != want {
			t.Errorf("%s: %+v", args, r)
		}
	}
}

func TestBlobsAreAnnounced(t *testing.T) {
	w := newTown(t)
	var o sessionObject
	if err := json.Unmarshal(w.do("GET", sessionPath, "", nil).Body.Bytes(), &o); err != nil {
		t.Fatal(err)
	}
	said := o.Accounts[w.account].AccountCapabilities[blobURN].(map[string]any)
	if said["maxSizeBlobSet"] != 50.0*(1<<20) || said["maxDataSources"].(float64) < 64 || fmt.Sprint(said["supportedDigestAlgorithms"]) != "[sha sha-256]" || len(said["supportedTypeNames"].([]any)) != 3 {
		t.Errorf("%v", said)
	}
}

func TestBlobsOfBlobsHaveABound(t *testing.T) {
	w := newTown(t)
	chain := func(n int) string {
		all := []string{fmt.Sprintf(`"b%02d":{"data":[{"data:asText":"x"}]}`, n)}
		for i := range n {
			all = append(all, fmt.Sprintf(`"b%02d":{"data":[{"blobId":"#b%02d"}]}`, i, i+1))
		}
		return strings.Join(all, ",")
	}
	if r := w.blobUpload(chain(maxBlobDepth)); len(r.NotCreated) != 0 || r.Created["b00"]["size"] != 1.0 {
		t.Errorf("%+v", r)
	}
	if r := w.blobUpload(chain(maxBlobDepth + 1)); r.NotCreated["b00"]["type"] != "blobNotFound" {
		t.Errorf("%+v", r)
	}
}
