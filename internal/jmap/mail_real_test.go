package jmap

import (
	"context"
	"fmt"
	"log/slog"
	"path/filepath"
	"strings"
	"testing"

	"lockstep/internal/blob"
	"lockstep/internal/delivery"
	"lockstep/internal/mail"
	"lockstep/internal/store"
	"lockstep/internal/store/sqlstore"
	"lockstep/internal/vfs"
)

// withBlobs gives a mill a place for the bytes of mail.
func (m *mill) withBlobs() *mill {
	dir := m.t.TempDir()
	keys, _, err := blob.OpenKeyring(vfs.OS{}, filepath.Join(dir, "key"), filepath.Join(dir, "packs"))
	if err != nil {
		m.t.Fatal(err)
	}
	blobs, err := blob.Open(filepath.Join(dir, "packs"), keys, m.DB.Blobs(), blob.Options{})
	if err != nil {
		m.t.Fatal(err)
	}
	m.t.Cleanup(func() { blobs.Close() })
	m.server.Delivery = &delivery.Service{Store: m.DB, Directory: m.DB, Queue: m.DB, Blobs: blobs, Log: slog.New(slog.DiscardHandler), Hostname: "mx.example.test", SpoolDir: dir, Wake: func() {}}
	m.server.Blobs = func(ctx context.Context, b mail.Blob) (Body, error) { return blobs.Open(ctx, b) }
	return m
}

// Whatever is made, edited and imported on the engine that people run is there, whole.
func TestMailIsMadeOnTheEngine(t *testing.T) {
	m := newMill(t, sqlstore.Options{RunTwice: true}).withBlobs()
	role := func(r mail.Role) string { return m.boxOf(r).String() }
	set := func(args string, a ...any) (r setResult) {
		t.Helper()
		m.ask("Email/set", `{"accountId":"$ACCOUNT",`+fmt.Sprintf(args, a...)+`}`, &r)
		return r
	}
	large := strings.Repeat("0123456789abcdef", 10_000)
	var up setResult
	m.ask("Blob/upload", `{"accountId":"$ACCOUNT","create":{"b":{"data":[{"data:asText":"`+large+`"}]},"m":{"data":[{"data:asText":"Subject: imported\r\n\r\nx"}]}}}`, &up)
	attachment := up.Created["b"]["id"].(string)
	drafts := role(mail.RoleDrafts)
	const draft = `{"mailboxIds":{"%s":true,"%s":true},"keywords":{"$draft":true,"own":true},"subject":"%s","textBody":[{"partId":"t"}],"bodyValues":{"t":{"value":"text"}},"attachments":[{"blobId":"%s"}]}`
	first := set(`"create":{"a":`+draft+`}`, drafts, role(mail.RoleArchive), "one", attachment)
	id, _ := first.Created["a"]["id"].(string)
	if id == "" {
		t.Fatalf("%+v", first)
	}
	second := set(`"create":{"a":`+draft+`},"destroy":["%s"],"update":{"#a":{"keywords/$flagged":true}}`, drafts, role(mail.RoleArchive), "two", attachment, id)
	next, _ := second.Created["a"]["id"].(string)
	if len(second.Destroyed) != 1 || next == "" || len(second.Updated) != 1 {
		t.Fatalf("%+v", second)
	}
	var imported setResult
	m.ask("Email/import", fmt.Sprintf(`{"accountId":"$ACCOUNT","emails":{"i":{"blobId":"%s","mailboxIds":{"%s":true,"%s":true}}}}`, up.Created["m"]["id"], role(mail.RoleInbox), drafts), &imported)
	if imported.Created["i"] == nil {
		t.Fatalf("%+v", imported)
	}
	var got struct{ List []map[string]any }
	m.ask("Email/get", fmt.Sprintf(`{"accountId":"$ACCOUNT","ids":["%s","%s","%s"],"properties":["subject","keywords","mailboxIds","attachments"]}`, id, next, imported.Created["i"]["id"]), &got)
	if len(got.List) != 2 || got.List[0]["subject"] != "two" || fmt.Sprint(got.List[0]["keywords"]) != "map[$draft:true $flagged:true own:true]" || len(got.List[0]["mailboxIds"].(map[string]any)) != 2 || got.List[1]["subject"] != "imported" {
		t.Fatalf("%+v", got)
	}
	part := got.List[0]["attachments"].([]any)[0].(map[string]any)["blobId"].(string)
	var data blobList
	m.ask("Blob/get", `{"accountId":"$ACCOUNT","ids":["`+part+`","`+attachment+`"]}`, &data)
	if len(data.List) != 2 || data.List[0]["data:asText"] != large || data.List[1]["data:asText"] != large {
		t.Errorf("%d blobs", len(data.List))
	}
	var found blobList
	m.ask("Blob/lookup", `{"accountId":"$ACCOUNT","typeNames":["Email"],"ids":["`+attachment+`"]}`, &found)
	if len(found.List) != 1 || fmt.Sprint(found.List[0]["matchedIds"]) != "map[Email:["+next+"]]" {
		t.Errorf("%+v", found)
	}
	// one line in Drafts, and what was imported
	m.view(func(r store.Reader) error {
		n := 0
		err := r.Placements(store.PlacementQuery{Mailbox: m.boxOf(mail.RoleDrafts)}, func(p *mail.Placement) error {
			if n++; n == 1 && p.Lineage == mail.Lineage(p.ID) {
				t.Errorf("%+v began a line", p)
			}
			return nil
		})
		if n != 2 {
			t.Errorf("%d in Drafts", n)
		}
		return err
	})
	if wrong, err := m.Check(t.Context(), m.account, false); err != nil || len(wrong) > 0 {
		t.Errorf("%q, %v", wrong, err)
	}
}

func (m *mill) boxOf(role mail.Role) mail.MailboxID {
	for _, mb := range m.boxes {
		if mb.Role == role {
			return mb.ID
		}
	}
	return 0
}
