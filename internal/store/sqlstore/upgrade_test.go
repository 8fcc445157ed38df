package sqlstore

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"lockstep/internal/mail"
	"lockstep/internal/steady"
	"lockstep/internal/store"
)

// stepNumber is one of this program's migrations.
func stepNumber(t *testing.T, number int) step {
	t.Helper()
	steps, err := readSteps(migrations, sqliteSteps)
	i := slices.IndexFunc(steps, func(s step) bool { return s.number == number })
	if err != nil || i < 0 {
		t.Fatalf("there is no step %d: %v", number, err)
	}
	return steps[i]
}

// present are this program's migrations up to a number, and more by their text.
func present(upTo int, more map[string]string) fs.FS {
	all := fstest.MapFS{}
	names, err := fs.Glob(migrations, "migrations/*.sql")
	for _, name := range names {
		var number int
		if fmt.Sscanf(name, "migrations/%04d_", &number); number > upTo {
			continue
		}
		text, readErr := fs.ReadFile(migrations, name)
		err = errors.Join(err, readErr)
		all[name] = &fstest.MapFile{Data: text}
	}
	for name, text := range more {
		all["migrations/"+name+".sql"] = &fstest.MapFile{Data: []byte(text)}
	}
	if err != nil {
		panic(err)
	}
	return all
}

const everyStep = 1 << 20

// future are this program's migrations and that of testdata/future.
func future() fs.FS {
	text, err := os.ReadFile("testdata/future/migrations/9001_weight.sql")
	if err != nil {
		panic(err)
	}
	return present(everyStep, map[string]string{"9001_weight": string(text)})
}

// closedHome is an account with mail in a database that nobody has open.
func closedHome(t *testing.T) home {
	t.Helper()
	h := newHome(t, Options{})
	h.fill(300)
	h.update(func(tx store.Tx) error { _, err := tx.Expunge(h.inbox, mail.MakeUIDSet(3, 4), false); return err })
	if err := h.Close(); err != nil {
		t.Fatal(err)
	}
	return h
}

// dump is all that a database holds, table by table, in words; but for what it says
// of its steps.
func dump(t *testing.T, path string) map[string]string {
	t.Helper()
	c, err := openToLook(path)
	if err != nil {
		t.Fatal(err)
	}
	defer c.close()
	all := map[string]string{}
	err = c.query("SELECT name, sql FROM sqlite_schema WHERE type = 'table' AND name <> 'schema_version'", func(r row) error { all[r.text(0)] = r.text(1) + "\n"; return nil })
	for name := range all {
		if err == nil {
			err = dumpTable(c, name, all)
		}
	}
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func dumpTable(c *sqliteConn, name string, all map[string]string) error {
	var columns []string
	err := c.query("SELECT name FROM pragma_table_info(?1)", func(r row) error { columns = append(columns, "quote("+r.text(0)+")"); return nil }, name)
	if err != nil {
		return err
	}
	var rows []string
	err = c.query("SELECT "+strings.Join(columns, "||','||")+" FROM "+name, func(r row) error { rows = append(rows, r.text(0)); return nil })
	slices.Sort(rows)
	all[name] += strings.Join(rows, "\n")
	return err
}

// same says where two dumps differ.
func same(t *testing.T, what string, got, want map[string]string) {
	t.Helper()
	for name := range want {
		if got[name] != want[name] {
			t.Errorf("%s: table %s is not as it was", what, name)
		}
	}
	for name := range got {
		if _, ok := want[name]; !ok {
			t.Errorf("%s: there is a table %s", what, name)
		}
	}
}

// opens opens and closes it, and returns why it can't be opened.
func opens(path string, o Options) error {
	db, err := Open(context.Background(), path, o)
	if err != nil {
		return err
	}
	return db.Close()
}

func TestAnUpgradeKeepsWhatWasBefore(t *testing.T) {
	h := closedHome(t)
	before := dump(t, h.path)
	var told []string
	tell := func(u Upgrade) { told = append(told, fmt.Sprint(filepath.Base(u.Snapshot), u.Step, u.Done)) }
	if err := opens(h.path, Options{steps: future(), Program: "9.0.0", Upgrading: tell}); err != nil {
		t.Fatal(err)
	}
	kept, err := SnapshotsOf(h.path)
	if err != nil || len(kept) != 1 {
		t.Fatalf("kept %v, %v", kept, err)
	}
	same(t, "the snapshot", dump(t, kept[0].Path), before)
	if want := "lockstep-schema-" + fmt.Sprint(kept[0].Schema) + ".db0 .9001_weight0"; strings.Join(told, " ") != want {
		t.Errorf("told %q, want %q", told, want)
	}
	s, err := readSchema(h.path, future())
	last := s.Taken[len(s.Taken)-1]
	if err != nil || last.Program != "9.0.0" || last.ReadsFrom != 27 || time.Since(last.At) > time.Minute || s.Pending != 0 {
		t.Errorf("the database says %+v, %v", last, err)
	}
	if info, err := os.Stat(kept[0].Path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the snapshot is open to others: %v, %v", info.Mode(), err)
	}
}

func TestANewDatabaseNeedsNoSnapshot(t *testing.T) {
	h := newHome(t, Options{})
	if kept, err := SnapshotsOf(h.path); err != nil || len(kept) != 0 {
		t.Errorf("%v, %v", kept, err)
	}
}

func TestSnapshotsAreBounded(t *testing.T) {
	h := closedHome(t)
	var more = map[string]string{}
	for i := range MaxSnapshots + 2 {
		more[fmt.Sprintf("%d_more", 9000+i)] = fmt.Sprintf("CREATE TABLE more%d (n INTEGER) STRICT;\n", i)
		if err := opens(h.path, Options{steps: present(everyStep, more)}); err != nil {
			t.Fatal(err)
		}
	}
	torn := filepath.Join(snapshotsBeside(h.path), "lockstep-schema-9000.db"+unfinished)
	if err := os.WriteFile(torn, []byte("half"), 0o600); err != nil {
		t.Fatal(err)
	}
	kept, err := SnapshotsOf(h.path)
	if err != nil || len(kept) != MaxSnapshots || kept[0].Schema != 9000+MaxSnapshots {
		t.Fatalf("kept %v, %v", kept, err)
	}
	for _, c := range []struct {
		age  time.Duration
		all  bool
		left int
	}{{SnapshotLife - time.Minute, false, MaxSnapshots}, {SnapshotLife + time.Minute, false, 0}, {0, true, 0}} {
		left, err := PruneSnapshots(h.path, time.Now().Add(c.age), c.all)
		if _, gone := os.Stat(torn); err != nil || left != c.left || !errors.Is(gone, fs.ErrNotExist) {
			t.Errorf("after %v: %d left, %v, %v", c.age, left, err, gone)
		}
	}
}

// All steps are one transaction: whichever fails, the version before goes on.
func TestAFailedStepLeavesTheVersionBeforeAbleToStart(t *testing.T) {
	h := closedHome(t)
	before := dump(t, h.path)
	for failing := range 3 {
		more := map[string]string{}
		for i := range 3 {
			sql := fmt.Sprintf("ALTER TABLE message ADD COLUMN more%d INTEGER NOT NULL DEFAULT 0;\nUPDATE message SET size = size + 1;\nDROP INDEX message_named;\nCREATE INDEX message_named ON message (account_id, more%d);\n", i, i)
			if i == failing {
				sql += "INSERT INTO nowhere (n) VALUES (1);\n"
			}
			more[fmt.Sprintf("%d_more", 9000+i)] = sql
		}
		err := opens(h.path, Options{steps: present(everyStep, more)})
		if err == nil || !strings.Contains(err.Error(), fmt.Sprint(9000+failing)) {
			t.Errorf("step %d: %v", failing, err)
		}
		same(t, fmt.Sprint("step ", failing), dump(t, h.path), before)
		if kept, err := SnapshotsOf(h.path); err != nil || len(kept) != 0 {
			t.Errorf("step %d: %v are left, %v", failing, kept, err)
		}
	}
	if err := opens(h.path, Options{}); err != nil {
		t.Error("the version before does not start: ", err)
	}
}

const slowSteps = 2

// slowly takes some tenths of a second, all over the database.
func slowly() fs.FS { return present(everyStep, slowStepsSQL()) }

func slowStepsSQL() map[string]string {
	more := map[string]string{}
	for i := range slowSteps {
		more[fmt.Sprintf("%d_slow", 9000+i)] = fmt.Sprintf("CREATE TABLE slow%d (n INTEGER, x BLOB) STRICT;\nUPDATE message SET size = size + 1;\n"+
			"INSERT INTO slow%[1]d (n, x) WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c WHERE n < 2500) SELECT n, randomblob(2000) FROM c;\n", i)
	}
	return more
}

// endless is slowly with a step after it that never ends.
func endless() fs.FS {
	more := slowStepsSQL()
	more[fmt.Sprintf("%d_endless", 9000+slowSteps)] = "CREATE TABLE endless AS WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c) SELECT count(*) AS n FROM c;\n"
	return present(everyStep, more)
}

// The path of the database that is upgraded to be killed, and whether it never ends.
const (
	upgradeHere    = "LOCKSTEP_TEST_UPGRADE"
	upgradeForever = "LOCKSTEP_TEST_UPGRADE_FOREVER"
)

// TestUpgradeToBeKilled is the process that TestAKilledUpgradeHarmsNothing kills.
func TestUpgradeToBeKilled(t *testing.T) {
	path := os.Getenv(upgradeHere)
	if path == "" {
		t.Skip("runs within another test")
	}
	steps := slowly()
	if os.Getenv(upgradeForever) != "" {
		steps = endless()
	}
	if err := opens(path, Options{steps: steps}); err != nil {
		t.Fatal(err)
	}
}

func TestAKilledUpgradeHarmsNothing(t *testing.T) {
	h := closedHome(t)
	whole, err := os.ReadFile(h.path)
	if err != nil {
		t.Fatal(err)
	}
	before := dump(t, h.path)
	rng := rand.New(rand.NewPCG(steady.Seed(t), 0))
	took := time.Duration(0)
	cut := 0
	for round := range 10 {
		dir := t.TempDir()
		path := filepath.Join(dir, "lockstep.db")
		if err := os.WriteFile(path, whole, 0o600); err != nil {
			t.Fatal(err)
		}
		cmd := exec.Command(os.Args[0], "-test.run=^TestUpgradeToBeKilled$")
		cmd.Env = append(os.Environ(), upgradeHere+"="+path)
		if round == 9 { // which is killed in the middle, however fast the machine is
			cmd.Env = append(cmd.Env, upgradeForever+"=1")
		}
		began := time.Now()
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		switch {
		case round == 9:
			steady.Eventually(t, "a snapshot, which comes before the steps", func() bool { kept, _ := SnapshotsOf(path); return len(kept) > 0 })
			cmd.Process.Kill()
		case round > 0: // the first shows how long it takes
			timer := time.AfterFunc(time.Duration(rng.Int64N(int64(took))), func() { cmd.Process.Kill() })
			defer timer.Stop()
		}
		if cmd.Wait() != nil {
			cut++
		} else if round == 9 {
			t.Error("an upgrade without an end has ended")
		}
		took = max(took, time.Since(began))
		kept, err := SnapshotsOf(path)
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range kept {
			same(t, "the snapshot", dump(t, s.Path), before)
		}
		if schema, err := readSchema(path, slowly()); err != nil || schema.Pending != 0 && schema.Pending != slowSteps {
			t.Errorf("%d steps are left, %v", schema.Pending, err)
		} else if schema.Pending == slowSteps {
			same(t, "the database", dump(t, path), before)
			if err := opens(path, Options{}); err != nil {
				t.Error("the version before does not start: ", err)
			}
		}
		if err := opens(path, Options{steps: slowly()}); err != nil {
			t.Error("it can't be upgraded again: ", err)
		}
		if torn, _ := filepath.Glob(filepath.Join(dir, SnapshotDir, "*"+unfinished)); len(torn) > 0 {
			t.Error("left are ", torn)
		}
	}
	t.Logf("%d of 9 were cut, in at most %v", cut, took)
}

// lives does a little of everything to an account.
func (h home) lives(n int) {
	h.t.Helper()
	flagged, _ := mail.NewFlags(`\Flagged`, "$Later")
	var came [5]mail.UID
	for i := range came {
		h.update(func(tx store.Tx) error { p, err := tx.Append(h.inbox, arrival(n+i)); came[i] = p.UID; return err })
	}
	h.update(func(tx store.Tx) error {
		_, err := tx.StoreFlags(h.inbox, mail.AllUIDs, mail.FlagChange{Add: flagged}, nil)
		return err
	})
	var junk mail.Mailbox
	h.view(func(r store.Reader) (err error) { junk, err = r.MailboxByPath("Junk"); return err })
	act := h.update(func(tx store.Tx) error {
		_, err := tx.Move(h.inbox, mail.MakeUIDSet(came[0], came[1]), junk.ID)
		return err
	})
	h.update(func(tx store.Tx) error { _, err := tx.Copy(h.inbox, mail.MakeUIDSet(came[2], 8), junk.ID); return err })
	h.update(func(tx store.Tx) error { _, err := tx.Expunge(h.inbox, mail.MakeUIDSet(came[3]), false); return err })
	h.update(func(tx store.Tx) error { _, err := tx.Undo(mail.ActID(act)); return err })
}

// sound fails unless everything that is counted agrees.
func (h home) sound() {
	h.t.Helper()
	if wrong, err := h.Check(h.t.Context(), h.id, false); err != nil || len(wrong) > 0 {
		h.t.Error(wrong, err)
	}
}

func (h home) again(o Options) home {
	h.t.Helper()
	db, err := Open(h.t.Context(), h.path, o)
	if err != nil {
		h.t.Fatal(err)
	}
	return home{DB: db, t: h.t, id: h.id, inbox: h.inbox}
}

// weights are what the step of testdata/future keeps of messages.
func (h home) weights() (wrong, heavy, messages int64) {
	h.t.Helper()
	err := h.read(h.t.Context(), func(c conn) error {
		return c.query("SELECT (SELECT count(*) FROM message WHERE weight <> size * 2), (SELECT count(*) FROM heavy), (SELECT count(*) FROM message)", func(r row) error {
			wrong, heavy, messages = r.num(0), r.num(1), r.num(2)
			return nil
		})
	})
	if err != nil {
		h.t.Fatal(err)
	}
	return wrong, heavy, messages
}

// The release before reads and writes what the next one made, where the step says
// so; and the next one finds all that it needs when it comes back.
func TestTheReleaseBeforeWorksOnTheNextOnesDatabase(t *testing.T) {
	h := closedHome(t).again(Options{steps: future()})
	h.lives(1000)
	if err := h.Close(); err != nil {
		t.Fatal(err)
	}
	for round := range 2 {
		h = h.again(Options{})
		before := h.deltas()
		h.lives(2000 + 100*round)
		p, err := h.CreateAccount(t.Context(), by.WithCause(mail.BySetup), store.NewAccount{Login: fmt.Sprintf("bob%d@example.test", round)})
		if err != nil {
			t.Fatal(err)
		}
		bob := h
		bob.id = p.Account
		bob.view(func(r store.Reader) error { mb, err := r.MailboxByPath("inbox"); bob.inbox = mb.ID; return err })
		bob.fill(3)
		if err := h.RemoveAccount(t.Context(), p.Account); err != nil {
			t.Fatal(err)
		}
		h.sound()
		if err := h.Close(); err != nil {
			t.Fatal(err)
		}
		h = h.again(Options{steps: future()})
		if wrong, heavy, messages := h.weights(); wrong != 0 || heavy != messages {
			t.Errorf("%d of %d messages have no weight, and %d are heavy", wrong, messages, heavy)
		}
		if len(before) == 0 {
			t.Error("there were no deltas")
		}
		h.sound()
		if s, err := readSchema(h.path, future()); err != nil || slices.ContainsFunc(s.Taken, func(t Taken) bool { return t.missed }) {
			t.Errorf("%+v, %v", s, err)
		}
		if err := h.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// What the release before may not work on it refuses, in words that help.
func TestTheReleaseBeforeRefusesWhatItCannotRead(t *testing.T) {
	h := closedHome(t)
	more := map[string]string{"9001_other": "ALTER TABLE message RENAME COLUMN size TO bytes;\n"}
	if err := opens(h.path, Options{steps: present(everyStep, more), Program: "9.1.0"}); err != nil {
		t.Fatal(err)
	}
	before := dump(t, h.path)
	kept, err := SnapshotsOf(h.path)
	if err != nil || len(kept) != 1 {
		t.Fatal(kept, err)
	}
	err = opens(h.path, Options{Program: "9.0.0"})
	var newer *NewerError
	if !errors.As(err, &newer) || mail.KindOf(err) != mail.Unavailable {
		t.Fatalf("%v", err)
	}
	for _, word := range []string{"9.1.0", "9001", kept[0].Path, "lockstep upgrade back"} {
		if !strings.Contains(err.Error(), word) {
			t.Errorf("%q does not say %s", err, word)
		}
	}
	same(t, "after the refusal", dump(t, h.path), before)
	if s, err := ReadSchema(h.path); err != nil || s.Refused == nil || s.Version() != 9001 {
		t.Errorf("%+v, %v", s, err)
	}
	left, err := PutBack(h.path, kept[0], func(Upgrade) {})
	if err != nil {
		t.Fatal(err)
	}
	same(t, "what was put aside", dump(t, left.Path), before)
	again := h.again(Options{})
	again.lives(4000)
	again.sound()
	if err := again.Close(); err != nil {
		t.Fatal(err)
	}
	all, err := SnapshotsOf(h.path)
	if err != nil || len(all) != 2 || !all[0].Left || all[0].Schema != 9001 {
		t.Errorf("kept %+v, %v", all, err)
	}
	if n, err := ChangesSince(h.path, kept[0].Path); n < 5 || err != nil {
		t.Errorf("%d changes since, %v", n, err)
	}
	if second, err := PutBack(h.path, all[0], func(Upgrade) {}); err != nil || second.Path == all[0].Path {
		t.Errorf("forward: %+v, %v", second, err)
	}
	same(t, "forward again", dump(t, h.path), before)
	if _, err := PutBack(h.path, kept[0], func(Upgrade) {}); err != nil {
		t.Fatal(err)
	}
	if err := opens(h.path, Options{steps: present(everyStep, more)}); err != nil {
		t.Error("it can't be upgraded again: ", err)
	}
}

// Two programs that took different steps have not been tried on each other.
func TestStepsThatWentDifferentWaysAreRefused(t *testing.T) {
	h := closedHome(t)
	if err := opens(h.path, Options{steps: future()}); err != nil {
		t.Fatal(err)
	}
	err := opens(h.path, Options{steps: present(everyStep, map[string]string{"9000_other": "CREATE TABLE other (n INTEGER) STRICT;\n"})})
	var newer *NewerError
	if !errors.As(err, &newer) {
		t.Error(err)
	}
}

func TestStepsSayWhatTheyNeed(t *testing.T) {
	for _, c := range []struct{ name, text, want string }{
		{"0031_a", "-- Words.\n\nCREATE TABLE a (n);\n", "31 31 CREATE TABLE a (n); / "},
		{"0031_a", "-- reads from: 0028\nCREATE TABLE a (n);\n-- again:\n-- why\nUPDATE a SET n = 1;\n", "31 28 CREATE TABLE a (n); / UPDATE a SET n = 1;"},
		{"0031_a", "-- reads from: 0031\n", "error"},
		{"0031_a", "-- reads from: x\n", "error"},
		{"a_0031", "", "error"},
	} {
		s, err := parseStep(c.name, c.text)
		got := fmt.Sprintf("%d %d %s / %s", s.number, s.readsFrom, strings.TrimSpace(s.sql), strings.TrimSpace(s.again))
		if err != nil {
			got = "error"
		}
		if got != c.want {
			t.Errorf("%q: %s, want %s (%v)", c.text, got, c.want, err)
		}
	}
	two := fstest.MapFS{"migrations/0001_a.sql": {}, "migrations/0001_b.sql": {}}
	if _, err := readSteps(two, sqliteSteps); err == nil {
		t.Error("two steps have one number")
	}
}

func TestDumpsTellDatabasesApart(t *testing.T) {
	h := closedHome(t)
	before := dump(t, h.path)
	again := h.again(Options{})
	again.run("UPDATE message SET size = size + 1 WHERE message_key = 7 AND account_id = ?1", h.id)
	if err := again.Close(); err != nil {
		t.Fatal(err)
	}
	after := dump(t, h.path)
	if after["message"] == before["message"] || after["thread"] != before["thread"] || !strings.Contains(before["content"], strings.ToUpper(hex.EncodeToString([]byte("parsed")))) {
		t.Error("a change is not seen")
	}
}
