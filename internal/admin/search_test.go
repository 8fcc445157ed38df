package admin

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"lockstep/internal/mail"
	"lockstep/internal/notify"
	"lockstep/internal/search"
	"lockstep/internal/store"
)

// withSearch gives the verbs search indexes.
func withSearch(t *testing.T, o *Ops) (dir string) {
	t.Helper()
	dir = t.TempDir()
	x, err := search.New(dir, search.Options{Store: o.Store, Directory: o.Directory, Hub: &notify.Hub{}, Secret: []byte("secret"),
		Blobs: func(ctx context.Context, b mail.Blob) (search.Bytes, error) { return o.Blobs.Open(ctx, b) }})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { x.Close() })
	o.Search = x
	return dir
}

func TestSearchIndexes(t *testing.T) {
	both(t, func(t *testing.T, o *Ops, c *Client) {
		ctx := t.Context()
		dir := withSearch(t, o)
		addAlice(t, c)
		p, err := o.Directory.PrincipalByLogin(ctx, alice)
		if err != nil {
			t.Fatal(err)
		}
		for range 3 {
			a, err := o.Ingest(ctx, strings.NewReader("Subject: hello\r\n\r\nsome needle\r\n"))
			if err != nil {
				t.Fatal(err)
			}
			_, err = o.Store.Update(ctx, p.Account, operator(), func(tx store.Tx) error {
				mb, err := tx.MailboxByPath("INBOX")
				if err == nil {
					_, err = tx.Append(mb.ID, a)
				}
				return err
			})
			if err != nil {
				t.Fatal(err)
			}
		}
		row, err := SearchStatus.One(ctx, c, OfAccount{alice})
		if err != nil || row != (Indexed{Login: alice, State: indexNone}) {
			t.Errorf("before: %+v, %v", row, err)
		}
		rows, err := SearchRebuild.All(ctx, c, OfAccount{})
		if n := len(rows); err != nil || n == 0 || !rows[n-1].Done || rows[n-1].Messages != 3 || rows[n-1].State != indexCurrent || rows[n-1].Bytes == 0 {
			t.Errorf("%+v, %v", rows, err)
		}
		if note := doctorNote(t, c); !strings.HasPrefix(note, "The search index holds 3 messages") {
			t.Errorf("%q", note)
		}
		harm(t, dir)
		found, err := Doctor.All(ctx, c, Examine{})
		if err != nil || !mends(found, "search index is damaged") {
			t.Errorf("%+v, %v", found, err)
		}
		if row, err := SearchStatus.One(ctx, c, OfAccount{alice}); err != nil || row.Messages != 3 {
			t.Errorf("after it was damaged: %+v, %v", row, err)
		}
		_, err = SearchRebuild.All(ctx, c, OfAccount{"bob@example.test"})
		wantKind(t, err, mail.NotFound, "account list")
		if err := AccountRemove.Do(ctx, c, Removal{Login: alice}); err != nil {
			t.Fatal(err)
		}
		if left, _ := filepath.Glob(filepath.Join(dir, "*")); len(left) > 0 {
			t.Errorf("of a removed account %q are left", left)
		}
	})
}

func doctorNote(t *testing.T, c *Client) (note string) {
	t.Helper()
	found, err := Doctor.All(t.Context(), c, Examine{})
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range found {
		if f.Problem != "" {
			t.Errorf("%s: %s", f.Login, f.Problem)
		}
		note += f.Note
	}
	return note
}

func mends(found []Finding, what string) bool {
	for _, f := range found {
		if f.Repaired && strings.Contains(f.Problem, what) {
			return true
		}
	}
	return false
}

// harm overwrites every database but for its first page.
func harm(t *testing.T, dir string) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*.db"))
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	for _, file := range files {
		for _, suffix := range []string{"-wal", "-shm"} { // what stands there would hide the damage
			if err := os.Remove(file + suffix); err != nil && !errors.Is(err, fs.ErrNotExist) {
				t.Fatal(err)
			}
		}
		if err := os.WriteFile(file, []byte(strings.Repeat("not a database ", 2000)), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}
