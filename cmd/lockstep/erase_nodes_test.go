package main

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"lockstep/internal/admin"
	"lockstep/internal/backup/s3/s3test"
	"lockstep/internal/config"
	"lockstep/internal/mail"
	"lockstep/internal/store"
	"lockstep/internal/store/sqlstore/pgtest"
)

// newTwins are two nodes of one database and one bucket. The first has the accounts.
func newTwins(t *testing.T) (here, there *town, bucket *s3test.Server) {
	t.Helper()
	bucket = s3test.Start(t)
	database := pgtest.Database(t)
	node := func(name string) *town {
		w := &town{t: t, cfg: testConfig(t)}
		w.cfg.Cluster.Database, w.cfg.Cluster.Node, w.cfg.Cluster.Blobs = database, name, "s3://"+s3test.Bucket+"/mail"
		w.cfg.Cluster.S3 = config.S3{Endpoint: bucket.Endpoint(), Region: s3test.Region, AccessKey: s3test.AccessKey, SecretKeyFile: bucket.SecretFile}
		return w
	}
	here, there = node("n1"), node("n2")
	here.open()
	if err := os.MkdirAll(there.cfg.Data, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(there.cfg.Data, keyFile), here.blobs.Keys().Text(), 0o600); err != nil {
		t.Fatal(err)
	}
	there.open()
	here.ann, here.bob = here.account("ann@example.test"), here.account("bob@example.test")
	return here, there, bucket
}

// rowsWith are the tables of a database that have one of the words, whatever the case.
func rowsWith(t *testing.T, database string, words []string) (found []string) {
	t.Helper()
	db, err := pgx.Connect(t.Context(), database)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close(context.WithoutCancel(t.Context()))
	rows, err := db.Query(t.Context(), "SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
	if err != nil {
		t.Fatal(err)
	}
	tables, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		t.Fatal(err)
	}
	for _, table := range tables {
		var all bytes.Buffer
		if _, err := db.PgConn().CopyTo(t.Context(), &all, "COPY "+pgx.Identifier{table}.Sanitize()+" TO STDOUT (FORMAT binary)"); err != nil {
			t.Fatal(err)
		}
		text := bytes.ToLower(all.Bytes())
		for _, w := range words {
			if bytes.Contains(text, []byte(strings.ToLower(w))) {
				found = append(found, table+": "+w)
			}
		}
	}
	return found
}

// On PostgreSQL no row has anything of what was erased in an account that is kept, no file
// of the node, and nothing in the bucket opens.
func TestErasingReachesAccountsThatAreKeptOnPostgreSQL(t *testing.T) {
	w, other, _ := newTwins(t)
	defer w.close()
	defer other.close()
	w.append(w.ann, letterWith("plain"))
	zebra := w.append(w.bob, letterWith("zebra"))
	w.append(w.bob, letterWith("bobsown"))
	w.append(w.bob, letterWith("quagga"))
	if err := w.search.CatchUp(t.Context(), w.bob.Account); err != nil {
		t.Fatal(err)
	}
	w.remove(w.bob)
	words := secrets("zebra")
	if len(rowsWith(t, w.cfg.Cluster.Database, words)) == 0 {
		t.Fatal("there is nothing to be erased: the test is not about what it says")
	}
	done := w.erase(admin.ToErase{Kind: "message", Logins: []string{w.bob.Login}, Mailbox: "INBOX", UID: zebra.UID, Expect: 1})
	w.wantErasedInRows("a message", done, words)
	words = append(words, secrets("quagga")...)
	done = w.erase(admin.ToErase{Kind: "person", Address: "quaggasender@strangers.test", Expect: 1})
	w.wantErasedInRows("a person's mail", done, words)
	if !strings.Contains(strings.Join(done.Proof.Remains, "; "), "VACUUM FULL") {
		t.Errorf("what remains: %q", done.Proof.Remains)
	}
	c := w.client()
	defer c.Close()
	if _, err := admin.AccountUndelete.All(t.Context(), c, admin.Undeletion{Login: w.bob.Login}); err != nil {
		t.Fatal(err)
	}
	if got := w.exported(w.bob, 2); !strings.Contains(got, "bobsownsubject") {
		t.Errorf("what came back has %d bytes", len(got))
	}
	w.wantSound()
	w.remove(w.bob)
	done = w.erase(admin.ToErase{Kind: "account", Logins: []string{w.bob.Login}, Expect: -1})
	w.wantErasedInRows("an account", done, append(words, append(secrets("bobsown"), "bob@example.test")...))
	w.wantSound()
}

func (w *town) wantErasedInRows(what string, done admin.Erasing, words []string) {
	w.t.Helper()
	w.wantErasedInKept(what, done, words)
	if found := rowsWith(w.t, w.cfg.Cluster.Database, words); len(found) > 0 {
		w.t.Errorf("after %s was erased there are traces: %q", what, found)
	}
	if done.Proof.Blobs.Gone == 0 {
		w.t.Errorf("%s: no stored bytes went: %+v", what, done.Proof.Blobs)
	}
}

// A slow Erasures stands still when a stage is to be written down.
type slowErasures struct {
	kept
	reached, goOn chan struct{}
}

func (s *slowErasures) SetErasure(ctx context.Context, e store.Erasure) error {
	if s.reached != nil {
		close(s.reached)
		s.reached = nil
		<-s.goOn
	}
	return s.kept.SetErasure(ctx, e)
}

// While one node erases no other does, by hand or by itself.
func TestOneNodeErasesAtATime(t *testing.T) {
	here, there, _ := newTwins(t)
	defer here.close()
	defer there.close()
	here.append(here.ann, letterWith("zebra"))
	here.append(here.ann, letterWith("quagga"))
	slow := &slowErasures{here.ops.Erasures, make(chan struct{}), make(chan struct{})}
	reached := slow.reached
	here.ops.Erasures = slow
	erased := make(chan error, 1)
	go func() {
		c := here.client()
		defer c.Close()
		erased <- admin.EraseDo.Do(t.Context(), c, admin.ToErase{Kind: "person", Address: "zebrasender@strangers.test", Expect: 1})
	}()
	select {
	case <-reached:
	case err := <-erased:
		t.Fatalf("it did not come so far: %v", err)
	}
	c := there.client()
	defer c.Close()
	for what, do := range map[string]func() error{
		"by hand": func() error {
			return admin.EraseDo.Do(t.Context(), c, admin.ToErase{Kind: "person", Address: "quaggasender@strangers.test", Expect: 1})
		},
		"going on": func() error { return admin.EraseResume.Do(t.Context(), c, admin.Nothing{}) },
	} {
		if err := do(); mail.KindOf(err) != mail.Conflict || err == nil || !strings.Contains(mail.DetailOf(err), "is doing this") {
			t.Errorf("%s, on another node: %v", what, err)
		}
	}
	if err := there.ops.ResumeErasures(t.Context()); err != nil {
		t.Errorf("the upkeep of another node: %v", err)
	}
	if n := there.underWay(); n != 1 {
		t.Errorf("%d erasures are under way", n)
	}
	close(slow.goOn)
	if err := <-erased; err != nil {
		t.Fatal(err)
	}
	if n := there.underWay(); n != 0 {
		t.Errorf("%d erasures are under way", n)
	}
	if err := admin.EraseDo.Do(t.Context(), c, admin.ToErase{Kind: "person", Address: "quaggasender@strangers.test", Expect: 1}); err != nil {
		t.Errorf("once the first has ended: %v", err)
	}
}
