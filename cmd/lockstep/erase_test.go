package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"lockstep/internal/admin"
	"lockstep/internal/backup"
	"lockstep/internal/config"
	"lockstep/internal/mail"
	"lockstep/internal/store"
	"lockstep/internal/store/sqlstore"
	"lockstep/internal/vfs"
)

// A town is a house with two accounts, for erasing in.
type town struct {
	t   *testing.T
	cfg config.Config
	*house
	ann, bob store.Principal
}

func newTown(t *testing.T) *town {
	w := &town{t: t, cfg: testConfig(t)}
	w.open()
	w.ann, w.bob = w.account("ann@example.test"), w.account("bob@example.test")
	return w
}

// newBackedUpTown is a town with a place for backups, which has none yet.
func newBackedUpTown(t *testing.T) (w *town, target string) {
	w = &town{t: t, cfg: testConfig(t)}
	target = filepath.Join(t.TempDir(), "backup")
	w.cfg.Backup.To = target
	w.open()
	w.ann, w.bob = w.account("ann@example.test"), w.account("bob@example.test")
	return w, target
}

func (w *town) open() {
	w.t.Helper()
	h, err := openHouse(w.t.Context(), w.cfg, newLogger(config.Log{Level: "error", Format: "text"}))
	if err != nil {
		w.t.Fatal(err)
	}
	w.house = h
}

func (w *town) close() {
	w.t.Helper()
	if err := w.house.close(); err != nil {
		w.t.Fatal(err)
	}
}

func (w *town) account(login string) store.Principal {
	w.t.Helper()
	p, err := w.db.CreateAccount(w.t.Context(), mail.NewOrigin("test", 0, mail.Local, mail.BySetup), store.NewAccount{Login: login})
	if err != nil {
		w.t.Fatal(err)
	}
	return p
}

// secrets are the words of a letter that are to be found nowhere.
func secrets(word string) []string {
	var all []string
	for _, part := range []string{"sender", "subject", "body", "file", "header", "name", "id", "attached"} {
		all = append(all, word+part)
	}
	return all
}

// letterWith is a message with a word in each place, and an attachment that is cut out.
func letterWith(word string) string {
	noise := make([]byte, 40_000)
	rand.Read(noise)
	attached := base64.StdEncoding.EncodeToString(append([]byte(strings.Repeat(word+"attached ", 2000)), noise...))
	var lines strings.Builder
	for i := 0; i < len(attached); i += 76 {
		lines.WriteString(attached[i:min(i+76, len(attached))] + "\r\n")
	}
	return fmt.Sprintf("From: %[1]sname <%[1]ssender@strangers.test>\r\nTo: ann@example.test\r\nSubject: %[1]ssubject\r\nMessage-ID: <%[1]sid@strangers.test>\r\nX-Note: %[1]sheader\r\n"+
		"MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Type: text/plain\r\n\r\n%[1]sbody %[2]s\r\n--b\r\nContent-Type: application/octet-stream; name=%[1]sfile.bin\r\nContent-Transfer-Encoding: base64\r\n\r\n%[3]s--b--\r\n",
		word, strings.Repeat("and so on ", 100), lines.String())
}

// append puts a letter into somebody's inbox.
func (w *town) append(p store.Principal, text string) mail.Placement {
	w.t.Helper()
	a, err := w.delivery.Ingest(w.t.Context(), strings.NewReader(text))
	if err != nil {
		w.t.Fatal(err)
	}
	var placed mail.Placement
	w.update(p, func(tx store.Tx) error {
		inbox, err := tx.MailboxByPath("INBOX")
		if err == nil {
			placed, err = tx.Append(inbox.ID, a)
		}
		return err
	})
	return placed
}

func (w *town) update(p store.Principal, fn func(store.Tx) error) mail.ModSeq {
	w.t.Helper()
	n, err := w.db.Update(w.t.Context(), p.Account, mail.NewOrigin(p.Login, 0, mail.Local, mail.ByUser), fn)
	if err != nil {
		w.t.Fatal(err)
	}
	return n
}

// client asks the verbs.
func (w *town) client() *admin.Client { return admin.Here(w.ops, func() error { return nil }) }

func (w *town) erase(q admin.ToErase) admin.Erasing {
	w.t.Helper()
	c := w.client()
	defer c.Close()
	rows, err := admin.EraseDo.All(w.t.Context(), c, q)
	if err != nil {
		w.t.Fatal(err)
	}
	return rows[len(rows)-1]
}

// traces are the files in a directory that have one of the words, whatever the case.
func traces(t *testing.T, dir string, words []string) (found []string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		text, err := os.ReadFile(path)
		text = bytes.ToLower(text)
		for _, w := range words {
			if bytes.Contains(text, []byte(strings.ToLower(w))) {
				found = append(found, filepath.Base(path)+": "+w)
			}
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func (w *town) wantNoTrace(when string, words []string) {
	w.t.Helper()
	if found := traces(w.t, w.cfg.Data, words); len(found) > 0 {
		w.t.Errorf("%s there are traces: %q", when, found)
	}
}

func TestWhatIsErasedLeavesNoTraceInTheDataDirectory(t *testing.T) {
	w := newTown(t)
	var others []mail.Placement
	for i := range 30 {
		others = append(others, w.append(w.ann, letterWith(fmt.Sprintf("plain%02d", i))))
		if i == 10 {
			w.append(w.bob, letterWith("bobsown"))
		}
	}
	text := letterWith("zebra")
	p := w.append(w.ann, text)
	q := w.append(w.ann, letterWith("quagga"))
	both := letterWith("shared")
	s := w.append(w.ann, both)
	w.append(w.bob, both)
	w.update(w.ann, func(tx store.Tx) error {
		archive, err := tx.MailboxByPath("Archive")
		if err == nil {
			_, err = tx.Copy(p.Mailbox, mail.MakeUIDSet(p.UID, q.UID), archive.ID)
		}
		if err == nil {
			_, err = tx.Annotate(p.Mailbox, mail.MakeUIDSet(p.UID), []mail.Annotation{{Name: "/comment", Value: []byte("zebrabody")}}, nil)
		}
		return err
	})
	gone := w.update(w.ann, func(tx store.Tx) error {
		_, err := tx.Expunge(p.Mailbox, mail.MakeUIDSet(p.UID, q.UID, others[3].UID), false)
		return err
	})
	for _, a := range []store.Principal{w.ann, w.bob} {
		if err := w.search.CatchUp(t.Context(), a.Account); err != nil {
			t.Fatal(err)
		}
	}
	if len(traces(t, w.cfg.Data, secrets("zebra"))) == 0 {
		t.Fatal("there is nothing to be erased: the test is not about what it says")
	}
	done := w.erase(admin.ToErase{Kind: "message", Logins: []string{w.ann.Login}, Mailbox: "Archive", UID: 1, Expect: 1})
	w.wantNoTrace("after an erasing", secrets("zebra"))
	if len(traces(t, w.cfg.Data, []string{"quaggasubject"})) == 0 || done.Proof.Erased.Messages != 1 || done.Proof.Blobs.Gone != 2 {
		t.Errorf("erased something else: %+v", done.Proof)
	}
	if r := undone(w, gone); r.Undone != 2 || len(r.Left) != 1 || !strings.Contains(r.Left[0], "erased") {
		t.Errorf("undoing what touched it: %+v", r)
	}

	done = w.erase(admin.ToErase{Kind: "person", Address: "QuaggaSender@strangers.test", Expect: 1})
	w.wantNoTrace("after a person was erased", append(secrets("zebra"), secrets("quagga")...))
	if strings.Contains(strings.ToLower(string(done.Text)), "quagga") {
		t.Errorf("the proof tells what was erased: %s", done.Text)
	}

	// What somebody else has too stays theirs.
	done = w.erase(admin.ToErase{Kind: "message", Logins: []string{w.ann.Login}, Mailbox: "INBOX", UID: s.UID, Expect: 1})
	if done.Proof.Blobs.Kept != 2 || done.Proof.Blobs.Gone != 0 || len(done.Proof.Remains) == 0 {
		t.Errorf("%+v", done.Proof)
	}
	if got := w.exported(w.bob, 2); got != both {
		t.Errorf("the other account's message is %d bytes of %d", len(got), len(both))
	}

	w.wantSound()
	w.close()
	w.wantNoTrace("when the server is down", append(secrets("zebra"), secrets("quagga")...))
	w.open()
	defer w.close()
	w.append(w.ann, letterWith("later"))
	if err := w.search.CatchUp(t.Context(), w.ann.Account); err != nil {
		t.Fatal(err)
	}
	w.wantNoTrace("after it was started again", append(secrets("zebra"), secrets("quagga")...))

	w.erase(admin.ToErase{Kind: "account", Logins: []string{w.bob.Login}, Expect: -1})
	w.wantNoTrace("after an account was erased", append(secrets("bobsown"), "bob@example.test"))
	w.wantSound()
	w.wantProofs(done.Text)
}

// undone undoes an act.
func undone(w *town, act mail.ModSeq) (r mail.UndoReport) {
	w.update(w.ann, func(tx store.Tx) (err error) {
		r, err = tx.Undo(mail.ActID(act))
		return err
	})
	return r
}

// exported is the n-th message of an inbox.
func (w *town) exported(p store.Principal, uid mail.UID) string {
	w.t.Helper()
	var b mail.Blob
	err := w.db.View(w.t.Context(), p.Account, func(r store.Reader) error {
		inbox, err := r.MailboxByPath("INBOX")
		if err != nil {
			return err
		}
		return r.Messages(store.PlacementQuery{Mailbox: inbox.ID, UIDs: mail.MakeUIDSet(uid), Located: true}, func(_ *mail.Placement, m *mail.Message) error {
			b = m.Blob
			b.Key, b.Parts = bytes.Clone(b.Key), slices.Clone(b.Parts)
			return nil
		})
	})
	if err != nil {
		w.t.Fatal(err)
	}
	r, err := w.blobs.Open(w.t.Context(), b)
	if err != nil {
		w.t.Fatal(err)
	}
	defer r.Close()
	text := make([]byte, r.Size())
	if _, err := r.ReadAt(text, 0); err != nil {
		w.t.Fatal(err)
	}
	return string(text)
}

// wantSound asks the doctor.
func (w *town) wantSound() {
	w.t.Helper()
	c := w.client()
	defer c.Close()
	err := admin.Doctor.Each(w.t.Context(), c, admin.Examine{LookOnly: true}, func(f admin.Finding) error {
		if f.Problem != "" {
			w.t.Errorf("the doctor finds: %s", f.Problem)
		}
		return nil
	})
	if err != nil {
		w.t.Error(err)
	}
}

// doctorSays is what the doctor finds.
func (w *town) doctorSays() (said string) {
	w.t.Helper()
	c := w.client()
	defer c.Close()
	err := admin.Doctor.Each(w.t.Context(), c, admin.Examine{LookOnly: true, Fast: true}, func(f admin.Finding) error { said += f.Problem; return nil })
	if err != nil {
		w.t.Fatal(err)
	}
	return said
}

// wantProofs holds a proof against the server.
func (w *town) wantProofs(text []byte) {
	w.t.Helper()
	c := w.client()
	defer c.Close()
	rows, err := admin.EraseList.All(w.t.Context(), c, admin.Nothing{})
	if err != nil || len(rows) != 4 {
		w.t.Fatalf("%d erasures, %v", len(rows), err)
	}
	for _, r := range rows {
		v, err := admin.EraseVerify.One(w.t.Context(), c, admin.ToVerify{Text: r.Text})
		if err != nil || !v.Genuine || !v.Known || r.Open {
			w.t.Errorf("erasure %d: %+v, %v", r.Number, v, err)
		}
	}
	if v, err := admin.EraseVerify.One(w.t.Context(), c, admin.ToVerify{Text: rows[1].Text, Who: "quaggasender@STRANGERS.test"}); err != nil || !v.IsWho {
		w.t.Errorf("whose it is: %+v, %v", v, err)
	}
	for _, change := range [][2]string{{`"Messages": 1`, `"Messages": 2`}, {`"Kind": "message"`, `"Kind": "person"`}, {"lockstep-seal 1 ", "lockstep-seal 1 0"}} {
		forged := bytes.Replace(text, []byte(change[0]), []byte(change[1]), 1)
		if v, err := admin.EraseVerify.One(w.t.Context(), c, admin.ToVerify{Text: forged}); err != nil || v.Genuine {
			w.t.Errorf("with %q it is taken for genuine: %v", change[1], err)
		}
	}
}

// TestErasingReachesWhatWasMadeOfAMessage erases what is kept of sending it, what it was
// made of, and what of it is on its way.
func TestErasingReachesWhatWasMadeOfAMessage(t *testing.T) {
	w := newTown(t)
	defer w.close()
	text := letterWith("zebra")
	p := w.append(w.ann, text)
	var email mail.EmailID
	w.update(w.ann, func(tx store.Tx) error {
		m, err := tx.Message(p.Message)
		if email = m.EmailID; err != nil {
			return err
		}
		data := fmt.Sprintf(`{"email":%q,"envelope":{"mailFrom":{"email":"ann@example.test"},"rcptTo":[{"email":"zebrasender@strangers.test"}]}}`, email)
		o, err := tx.PutObject(mail.Object{Type: mail.TypeSubmission, Data: []byte(data)})
		if err == nil {
			_, err = tx.PutObject(mail.Object{Type: mail.TypeSubmission, ID: o.ID, Data: []byte(strings.Replace(data, "{", `{"key":"zebrabody",`, 1))})
		}
		if err == nil {
			_, err = tx.PutObject(mail.Object{Type: mail.TypeSubmission, Data: []byte(`{"email":"another","envelope":{"rcptTo":[{"email":"ben@strangers.test"}]}}`)})
		}
		return err
	})
	a, err := w.delivery.Ingest(t.Context(), strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	if err := w.db.Note(t.Context(), w.ann.Account, func(n store.Notes) error {
		u, err := n.AddUpload(mail.Upload{Blob: a.Blob, Parts: a.Parts, Type: "text/zebrafile"})
		if err == nil {
			err = n.UsedUpload(u.ID, email)
		}
		return err
	}); err != nil {
		t.Fatal(err)
	}
	other, err := w.delivery.Ingest(t.Context(), strings.NewReader("From: ann@example.test\r\nSubject: okapi\r\n\r\nHello\r\n"))
	if err != nil {
		t.Fatal(err)
	}
	later := time.Now().Add(time.Hour)
	if err := w.db.Enqueue(t.Context(), []store.Outgoing{
		{Delivery: "one", Account: w.ann.Account, Blob: a.Blob, ReversePath: "ann@example.test", Recipient: "ben@strangers.test", Arrived: later, Next: later, LastError: "zebraname"},
		{Delivery: "two", Account: w.ann.Account, Blob: other.Blob, ReversePath: "ann@example.test", Recipient: "zebrasender@strangers.test", Arrived: later, Next: later},
		{Delivery: "three", Account: w.ann.Account, Blob: other.Blob, ReversePath: "ann@example.test", Recipient: "ben@strangers.test", Arrived: later, Next: later},
	}); err != nil {
		t.Fatal(err)
	}
	done := w.erase(admin.ToErase{Kind: "person", Address: "zebrasender@strangers.test", Expect: 1})
	if e := done.Proof.Erased; e.Objects != 1 || e.Uploads != 1 || done.Proof.Outgoing != 2 || done.Proof.Blobs.Kept == 0 {
		t.Errorf("%+v", done.Proof)
	}
	w.wantNoTrace("after an erasing", secrets("zebra"))
	left, err := w.db.Pending(t.Context(), 10)
	if err != nil || len(left) != 1 || left[0].Delivery != "three" {
		t.Errorf("on their way: %+v, %v", left, err)
	}
	w.wantSound()
}

func TestNothingIsErasedThatWasNotShown(t *testing.T) {
	w := newTown(t)
	defer w.close()
	w.append(w.ann, letterWith("zebra"))
	w.append(w.ann, letterWith("zebra"))
	c := w.client()
	defer c.Close()
	for _, q := range []admin.ToErase{
		{Kind: "person", Address: "zebrasender@strangers.test", Expect: 1},
		{Kind: "person", Address: "nobody@strangers.test"},
		{Kind: "person", Address: "zebra"},
		{Kind: "message", Logins: []string{w.ann.Login}, Mailbox: "INBOX", UID: 77, Expect: 1},
		{Kind: "message", Logins: []string{w.ann.Login}, Email: "nonsense", Expect: 1},
		{Kind: "account", Logins: []string{"nobody@example.test"}, Expect: -1},
		{},
	} {
		if err := admin.EraseDo.Do(t.Context(), c, q); err == nil {
			t.Errorf("%+v was done", q)
		}
	}
	rows, err := admin.EraseLook.All(t.Context(), c, admin.ToErase{Kind: "person", Address: "zebrasender@strangers.test"})
	if err != nil || len(rows) != 3 || rows[2].Total != 2 || rows[0].Subject != "zebrasubject" || len(rows[0].Where) != 1 {
		t.Errorf("%+v, %v", rows, err)
	}
	if len(traces(t, w.cfg.Data, []string{"zebrasubject"})) == 0 {
		t.Error("it is gone")
	}
}

// TestABackupLosesWhatIsErased restores the newest point, and tries the older ones.
func TestABackupLosesWhatIsErased(t *testing.T) {
	w, target := newBackedUpTown(t)
	defer w.close()
	for i := range 5 {
		w.append(w.ann, letterWith(fmt.Sprintf("plain%02d", i)))
	}
	w.append(w.ann, letterWith("zebra"))
	before := w.point()
	copied := filepath.Join(t.TempDir(), "copy")
	if err := os.CopyFS(copied, os.DirFS(target)); err != nil {
		t.Fatal(err)
	}
	done := w.erase(admin.ToErase{Kind: "person", Address: "zebrasender@strangers.test", Expect: 1})
	if len(done.Proof.Pending) > 0 {
		t.Fatalf("pending: %q", done.Proof.Pending)
	}
	repo := w.repo(target)
	points, err := repo.Points(t.Context())
	if err != nil || len(points) != 1 || points[0].Set == before.Set {
		t.Fatalf("points %v, before %v, %v", points, before, err)
	}
	if _, err := repo.Manifest(t.Context(), before); err == nil {
		t.Error("the point from before can be opened")
	}
	data := w.restore(repo, points[0])
	if found := traces(t, data, secrets("zebra")); len(found) > 0 {
		t.Errorf("what was restored has traces: %q", found)
	}
	if len(traces(t, data, []string{"plain03subject"})) == 0 {
		t.Error("what was restored lacks what was not erased")
	}
	// Somebody who put the older set's objects back, but not its key, has nothing.
	for _, part := range []string{"points", "pages"} {
		from := filepath.Join(copied, "sets", before.Set, part)
		if err := os.CopyFS(filepath.Join(target, "sets", before.Set, part), os.DirFS(from)); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := w.repo(target).Manifest(t.Context(), before); err == nil {
		t.Error("without the key of its set the point from before can be opened")
	}
}

func (w *town) point() backup.Point {
	w.t.Helper()
	run, err := w.ops.Backups.Begin(w.t.Context(), "", backup.Options{Recovery: func(string) error { return nil }, Doing: "a test"})
	if err != nil {
		w.t.Fatal(err)
	}
	done, err := run.Point(w.t.Context())
	if err != nil {
		w.t.Fatal(err)
	}
	if err := run.Close(w.t.Context()); err != nil {
		w.t.Fatal(err)
	}
	return done.Point
}

func (w *town) repo(target string) *backup.Repo {
	w.t.Helper()
	repo, err := backup.Unlock(w.t.Context(), backup.NewDir(vfs.OS{}, target), backup.Secret{KeyFile: w.blobs.Keys().Text()})
	if err != nil {
		w.t.Fatal(err)
	}
	return repo
}

func (w *town) restore(repo *backup.Repo, p backup.Point) string {
	w.t.Helper()
	data := filepath.Join(w.t.TempDir(), "restored")
	_, err := repo.Restore(w.t.Context(), p, data, backup.RestoreOptions{
		Layout: backup.Layout{Database: databaseFile, Packs: packDir, KeyFile: keyFile, Config: restoredConfig, Lock: lockFile}, Rows: sqlstore.EachBlob})
	if err != nil {
		w.t.Fatal(err)
	}
	return data
}

func TestABackupThatCantBeReachedIsTriedAgain(t *testing.T) {
	w, target := newBackedUpTown(t)
	defer func() { w.close() }()
	w.append(w.ann, letterWith("zebra"))
	before := w.point()
	away := false
	reach := w.ops.Backups.Open
	w.ops.Backups.Open = func(ctx context.Context, spec string) (backup.Target, error) {
		if away {
			return nil, mail.Errorf(mail.Unavailable, "the disk is not there")
		}
		return reach(ctx, spec)
	}
	away = true
	done := w.erase(admin.ToErase{Kind: "person", Address: "zebrasender@strangers.test", Expect: 1})
	if len(done.Proof.Pending) != 1 || !strings.Contains(done.Proof.Pending[0], "the disk is not there") {
		t.Fatalf("pending: %q", done.Proof.Pending)
	}
	w.wantNoTrace("although the backup could not be reached", secrets("zebra"))
	if said := w.doctorSays(); !strings.Contains(said, "erasure 1 is not finished") {
		t.Errorf("the doctor says %q", said)
	}
	if err := w.ops.ResumeErasures(t.Context()); err != nil {
		t.Fatal(err)
	}
	if n := w.underWay(); n != 1 {
		t.Fatalf("%d erasures are under way", n)
	}
	w.close()
	w.open() // the server may have been started again meanwhile
	w.wantBegunAnew(target, before)
	w.wantNoTrace("at the end", secrets("zebra"))
}

// TestABackupThatIsNotMountedIsNotForgotten looks at a place where a backup was, and none
// is just now.
func TestABackupThatIsNotMountedIsNotForgotten(t *testing.T) {
	w, target := newBackedUpTown(t)
	defer w.close()
	w.append(w.ann, letterWith("zebra"))
	before := w.point()
	if err := os.Rename(target, target+"-away"); err != nil {
		t.Fatal(err)
	}
	done := w.erase(admin.ToErase{Kind: "person", Address: "zebrasender@strangers.test", Expect: 1})
	if len(done.Proof.Pending) != 1 {
		t.Fatalf("pending: %q, reached: %v", done.Proof.Pending, done.Proof.Reached)
	}
	if err := os.RemoveAll(target); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(target+"-away", target); err != nil {
		t.Fatal(err)
	}
	w.wantBegunAnew(target, before)
}

// TestAnErasureThatIsNotFinishedIsAnError is about the exit status.
func TestAnErasureThatIsNotFinishedIsAnError(t *testing.T) {
	if err := sayErased(admin.Erasing{Proof: &admin.Proof{Number: 7, Pending: []string{"the backup"}}}, ""); err == nil || !strings.Contains(err.Error(), "erasure 7") {
		t.Errorf("with something to be done: %v", err)
	}
	if err := sayErased(admin.Erasing{Proof: &admin.Proof{Number: 7}}, ""); err != nil {
		t.Errorf("at its end: %v", err)
	}
}

// A lockedTarget lets nothing be destroyed for a while.
type lockedTarget struct {
	backup.Target
	locked *bool
}

func (l lockedTarget) Destroy(ctx context.Context, name string) error {
	if *l.locked {
		return mail.Errorf(mail.Denied, "%s is locked", name)
	}
	return l.Delete(ctx, name)
}

// TestALockedBackupIsBegunAnewOnce tries again where keys can't be destroyed yet.
func TestALockedBackupIsBegunAnewOnce(t *testing.T) {
	w, target := newBackedUpTown(t)
	defer w.close()
	w.append(w.ann, letterWith("zebra"))
	before := w.point()
	locked := true
	w.ops.Backups.Open = func(ctx context.Context, spec string) (backup.Target, error) {
		return lockedTarget{backup.NewDir(vfs.OS{}, spec), &locked}, nil
	}
	done := w.erase(admin.ToErase{Kind: "person", Address: "zebrasender@strangers.test", Expect: 1})
	if len(done.Proof.Pending) != 1 {
		t.Fatalf("pending: %q", done.Proof.Pending)
	}
	for range 3 {
		w.wantOneMoreSet(target)
	}
	locked = false
	w.wantBegunAnew(target, before)
}

// wantOneMoreSet tries again to end what can't be ended yet, which begins nothing anew.
func (w *town) wantOneMoreSet(target string) {
	w.t.Helper()
	if err := w.ops.ResumeErasures(w.t.Context()); err != nil {
		w.t.Fatal(err)
	}
	if sets, err := w.repo(target).Sets(w.t.Context()); len(sets) != 2 || err != nil {
		w.t.Fatalf("sets %v, %v: want that from before and one more", sets, err)
	}
}

// wantBegunAnew ends what is under way: nothing is left in the backup of what was before.
func (w *town) wantBegunAnew(target string, before backup.Point) {
	w.t.Helper()
	if err := w.ops.ResumeErasures(w.t.Context()); err != nil {
		w.t.Fatal(err)
	}
	if sets, err := w.repo(target).Sets(w.t.Context()); len(sets) != 1 || sets[0] == before.Set || err != nil || w.underWay() != 0 {
		w.t.Errorf("sets %v, %v, %d erasures are under way", sets, err, w.underWay())
	}
	if _, err := w.repo(target).Manifest(w.t.Context(), before); err == nil {
		w.t.Error("the point from before can be opened")
	}
}

// A fullTarget takes nothing that is a point for a while.
type fullTarget struct {
	backup.Target
	full *bool
}

func (f fullTarget) Put(ctx context.Context, name string, r io.ReadSeeker, size int64) error {
	if *f.full && strings.Contains(name, "/points/") {
		return mail.Errorf(mail.Unavailable, "there is no room")
	}
	return f.Target.Put(ctx, name, r, size)
}

// What was begun anew for an erasure, and could not be ended, is gone on with: else each
// try would store everything once more.
func TestABackupThatIsFullIsBegunAnewOnce(t *testing.T) {
	w, target := newBackedUpTown(t)
	defer func() { w.close() }()
	w.append(w.ann, letterWith("zebra"))
	before := w.point()
	full := true
	reach := func() {
		w.ops.Backups.Open = func(ctx context.Context, spec string) (backup.Target, error) {
			return fullTarget{backup.NewDir(vfs.OS{}, spec), &full}, nil
		}
	}
	reach()
	done := w.erase(admin.ToErase{Kind: "person", Address: "zebrasender@strangers.test", Expect: 1})
	if len(done.Proof.Pending) != 1 || !strings.Contains(done.Proof.Pending[0], "there is no room") {
		t.Fatalf("pending: %q", done.Proof.Pending)
	}
	for range 3 {
		w.close()
		w.open()
		reach()
		w.wantOneMoreSet(target)
	}
	full = false
	w.wantBegunAnew(target, before)
}

// An erasure that can't be ended holds up none that came later.
func TestAnErasureThatFailsHoldsUpNoOther(t *testing.T) {
	w := newTown(t)
	defer w.close()
	w.append(w.ann, letterWith("zebra"))
	if _, err := w.db.BeginErasure(t.Context(), []byte("of a version that is not known")); err != nil {
		t.Fatal(err)
	}
	stop := &stopsAt{w.ops.Depths, w.ops.Erasures, 1}
	w.ops.Depths, w.ops.Erasures = stop, stop
	c := w.client()
	defer c.Close()
	if err := admin.EraseDo.Do(t.Context(), c, admin.ToErase{Kind: "person", Address: "zebrasender@strangers.test", Expect: 1}); err == nil {
		t.Fatal("it was not cut")
	}
	stop.left = 1 << 20
	if err := w.ops.ResumeErasures(t.Context()); err == nil || !strings.Contains(err.Error(), "erasure 1") {
		t.Errorf("of the first nothing is said: %v", err)
	}
	if n := w.underWay(); n != 1 {
		t.Errorf("%d erasures are under way", n)
	}
	w.wantNoTrace("although the first erasure fails", secrets("zebra"))
}

// underWay counts the erasures that are under way.
func (w *town) underWay() (n int) {
	w.t.Helper()
	all, err := w.db.Erasures(w.t.Context(), true)
	if err != nil {
		w.t.Fatal(err)
	}
	for _, e := range all {
		if e.Open {
			n++
		}
	}
	return n
}

// stopsAt is a database that fails at the n-th thing asked of it in an erasing.
type stopsAt struct {
	admin.Depths
	kept
	left int
}

type kept interface{ store.Erasures }

var errStop = errors.New("killed")

func (s *stopsAt) step() error {
	if s.left--; s.left < 0 {
		return errStop
	}
	return nil
}

func (s *stopsAt) Scour(ctx context.Context) (int64, int64, error) {
	if err := s.step(); err != nil {
		return 0, 0, err
	}
	return s.Depths.Scour(ctx)
}

func (s *stopsAt) SetErasure(ctx context.Context, e store.Erasure) error {
	if err := s.step(); err != nil {
		return err
	}
	return s.kept.SetErasure(ctx, e)
}

func TestAnErasingThatWasCutGoesOn(t *testing.T) {
	cut := 0
	for at := range 10 {
		w := newTown(t)
		w.append(w.ann, letterWith("plain"))
		w.append(w.ann, letterWith("zebra"))
		stop := &stopsAt{w.ops.Depths, w.ops.Erasures, at}
		w.ops.Depths, w.ops.Erasures = stop, stop
		c := w.client()
		if err := admin.EraseDo.Do(t.Context(), c, admin.ToErase{Kind: "person", Address: "zebrasender@strangers.test", Expect: 1}); err != nil {
			cut++
			if !strings.Contains(err.Error(), "killed") {
				t.Fatal(err)
			}
		}
		c.Close()
		w.close()
		w.open()
		if err := w.ops.ResumeErasures(t.Context()); err != nil {
			t.Fatal(err)
		}
		w.wantNoTrace(fmt.Sprintf("cut at %d and gone on with", at), secrets("zebra"))
		all, err := w.db.Erasures(t.Context(), false)
		if err != nil || len(all) != 1 || all[0].Open || len(all[0].State) > 0 || len(all[0].Proof) == 0 {
			t.Errorf("cut at %d: %+v, %v", at, all, err)
		}
		w.wantSound()
		w.close()
	}
	if cut < 4 || cut == 10 {
		t.Errorf("cut %d times: the test is not about what it says", cut)
	}
}

// remove removes somebody's account, which is kept.
func (w *town) remove(p store.Principal) {
	w.t.Helper()
	c := w.client()
	defer c.Close()
	if _, err := admin.AccountRemove.All(w.t.Context(), c, admin.Removal{Login: p.Login}); err != nil {
		w.t.Fatal(err)
	}
}

// What is erased in an account that was removed is as gone as elsewhere; the account stays
// removed, and comes back without it.
func TestErasingReachesAccountsThatAreKept(t *testing.T) {
	w, target := newBackedUpTown(t)
	defer func() { w.close() }()
	for _, word := range []string{"plain", "zebra", "quagga"} {
		w.append(w.ann, letterWith(word))
	}
	w.append(w.bob, letterWith("zebra"))
	w.append(w.bob, letterWith("bobsown"))
	gone := w.append(w.bob, letterWith("okapi"))
	if _, err := w.db.Update(t.Context(), w.bob.Account, mail.NewOrigin(w.bob.Login, 0, mail.Local, mail.ByUser), func(tx store.Tx) error {
		_, err := tx.Expunge(gone.Mailbox, mail.MakeUIDSet(gone.UID), false)
		return err
	}); err != nil {
		t.Fatal(err)
	}
	for _, a := range []store.Principal{w.ann, w.bob} {
		if err := w.search.CatchUp(t.Context(), a.Account); err != nil {
			t.Fatal(err)
		}
	}
	w.remove(w.bob)
	before := w.point()
	c := w.client()
	defer c.Close()
	look, err := admin.EraseLook.All(t.Context(), c, admin.ToErase{Kind: "person", Address: "zebrasender@strangers.test"})
	if err != nil || len(look) != 3 || look[0].Kept || !look[1].Kept || look[1].Login != w.bob.Login || !strings.Contains(strings.Join(look[2].Notes, " "), "stays so") {
		t.Fatalf("shown: %+v, %v", look, err)
	}

	words := secrets("zebra")
	done := w.erase(admin.ToErase{Kind: "person", Address: "zebrasender@strangers.test", Expect: 2})
	w.wantErasedInKept("a person's mail", done, words)
	w.wantBegunAnew(target, before)

	words = append(words, secrets("okapi")...)
	done = w.erase(admin.ToErase{Kind: "message", Logins: []string{w.bob.Login}, Mailbox: "INBOX", UID: gone.UID, Expect: 1})
	w.wantErasedInKept("a message that had left", done, words)
	if len(traces(t, w.cfg.Data, []string{"quaggasubject"})) == 0 || len(traces(t, w.cfg.Data, []string{"bobsownsubject"})) == 0 {
		t.Error("erased something else")
	}

	data := w.restore(w.repo(target), w.point())
	if found := traces(t, data, words); len(found) > 0 {
		t.Errorf("what was restored has traces: %q", found)
	}
	if _, err := admin.AccountUndelete.All(t.Context(), c, admin.Undeletion{Login: w.bob.Login}); err != nil {
		t.Fatal(err)
	}
	if got := w.exported(w.bob, 2); !strings.Contains(got, "bobsownsubject") {
		t.Errorf("what came back has %d bytes", len(got))
	}
	w.wantSound()
	if err := w.search.CatchUp(t.Context(), w.bob.Account); err != nil {
		t.Fatal(err)
	}
	w.wantNoTrace("after the account came back", words)

	w.remove(w.bob)
	again := w.account(w.bob.Login) // somebody else, of the same login
	w.append(again, letterWith("newcomer"))
	w.update(again, func(tx store.Tx) error { _, err := tx.CreateMailbox(mail.MailboxImage{Name: "Mine"}); return err })
	done = w.erase(admin.ToErase{Kind: "account", Logins: []string{fmt.Sprint(w.bob.Account)}, Expect: -1})
	words = append(words, secrets("bobsown")...)
	w.wantErasedInKept("an account", done, words)
	if kept, err := w.db.KeptRemoved(t.Context()); err != nil || len(kept) != 0 {
		t.Errorf("kept: %v, %v", kept, err)
	}
	if got := w.exported(again, 1); !strings.Contains(got, "newcomersubject") || len(traces(t, w.cfg.Data, []string{"bob@example.test"})) == 0 {
		t.Error("the other account of that login lost something")
	}
	w.wantSound()
	w.close()
	w.wantNoTrace("when the server is down", words)
	w.open()
}

// wantErasedInKept holds what an erasing in an account that is kept says against the files.
func (w *town) wantErasedInKept(what string, done admin.Erasing, words []string) {
	w.t.Helper()
	p := done.Proof
	if len(p.Kept) != 1 || p.Kept[0] != w.bob.Account || len(p.Pending) > 0 || !slices.ContainsFunc(p.Reached, func(r admin.Reached) bool { return r.Place == "removed accounts" }) {
		w.t.Errorf("%s: the proof says %+v", what, p)
	}
	w.wantNoTrace("after "+what+" was erased", words)
	if _, err := w.db.PrincipalByLogin(w.t.Context(), w.bob.Login); err == nil && what != "an account" {
		w.t.Errorf("after %s was erased the account is back", what)
	}
}
