package backup_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path"
	"strings"
	"sync"
	"testing"
	"time"

	"filippo.io/age"

	"lockstep/internal/backup"
	"lockstep/internal/backup/targettest"
	"lockstep/internal/blob"
	"lockstep/internal/mail"
	"lockstep/internal/vfs"
	"lockstep/internal/vfs/faulty"
)

func TestADirectoryOfTheFaultyFileSystemIsATarget(t *testing.T) {
	targettest.Run(t, 1<<20, func(*testing.T) backup.Target { return backup.NewDir(faulty.New(1), "/target") })
}

// What was being written when a process was killed is no object, and goes with the next
// run.
func TestHalvesOfObjectsAreSwept(t *testing.T) {
	h := newHouse(t, 10)
	disk := faulty.New(2)
	f, err := disk.Create("/target/tmp/HALF")
	if err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	target := backup.NewDir(disk, "/target")
	if got := names(t, target); len(got) != 0 {
		t.Errorf("objects: %v", got)
	}
	h.mustBackup(target)
	if _, err := disk.Stat("/target/tmp/HALF"); err == nil {
		t.Error("it is still there")
	}
}

// get and put change objects as somebody does who can write to the target.
func get(t testing.TB, from backup.Target, name string) []byte {
	t.Helper()
	b, err := targettest.Get(context.Background(), from, name, 0, -1)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func put(t testing.TB, to backup.Target, name string, b []byte) {
	t.Helper()
	if err := targettest.Put(context.Background(), to, name, b); err != nil {
		t.Fatal(err)
	}
}

// restore tries to bring the newest point back with the server's key file.
func (h *house) restore(target backup.Target) (*faulty.FS, backup.Restored, error) {
	fs := faulty.New(3)
	r, err := backup.Unlock(context.Background(), target, backup.Secret{KeyFile: h.file("/data/key")})
	if err != nil {
		return fs, backup.Restored{}, err
	}
	point, err := r.Newest(context.Background(), time.Time{})
	if err != nil {
		return fs, backup.Restored{}, err
	}
	done, err := r.Restore(context.Background(), point, "/new", h.restoreOptions(fs))
	return fs, done, err
}

// A recorder knows which objects were read.
type recorder struct {
	backup.Target
	mu    sync.Mutex
	names map[string]bool
}

func (r *recorder) Get(ctx context.Context, name string, offset, length int64) (io.ReadCloser, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.names == nil {
		r.names = map[string]bool{}
	}
	r.names[name] = true
	return r.Target.Get(ctx, name, offset, length)
}

// Each object, damaged, missing, cut off or in the place of another, is named, and
// nothing is restored.
func TestDamageIsNamed(t *testing.T) {
	h := newHouse(t, 300)
	for range 30 {
		h.put(60_000) // several packs
	}
	target := backup.NewDir(faulty.New(2), "/target")
	h.mustBackup(target)
	h.changed()
	h.mustBackup(target)
	all := names(t, target)
	like := func(name string) string { // another object of its kind
		for _, other := range all {
			if other != name && path.Dir(path.Dir(other)) == path.Dir(path.Dir(name)) && path.Dir(other)[:5] == name[:5] {
				return other
			}
		}
		return ""
	}
	tried := map[string]int{}
	read := &recorder{Target: target}
	if _, _, err := h.restore(read); err != nil {
		t.Fatal(err)
	}
	for name := range read.names {
		was := get(t, target, name)
		for what, with := range map[string][]byte{
			"a bit":   append(bytes.Clone(was[:len(was)-1]), was[len(was)-1]^1),
			"half":    was[:len(was)/2],
			"nothing": {},
			"longer":  append(bytes.Clone(was), 0),
			"another": nil,
			"missing": nil,
		} {
			switch what {
			case "another":
				other := like(name)
				if other == "" {
					continue
				}
				put(t, target, name, get(t, target, other))
			case "missing":
				if strings.Contains(name, "/points/") {
					continue // the one before is the newest then
				}
				if err := target.Delete(t.Context(), name); err != nil {
					t.Fatal(err)
				}
			default:
				put(t, target, name, with)
			}
			disk, _, err := h.restore(target)
			put(t, target, name, was)
			if name == "lockstep-backup" && (what == "a bit" || what == "longer") {
				continue // a newline at the end of a text
			}
			if err == nil {
				t.Errorf("%s: %s: restored all the same", name, what)
				continue
			}
			if _, stat := disk.Stat("/new/lockstep.db"); stat == nil {
				t.Errorf("%s: %s: a database was left", name, what)
			}
			if kind := mail.KindOf(err); kind != mail.Corrupt && kind != mail.NotFound {
				t.Errorf("%s: %s: %v", name, what, err)
			}
			tried[what]++
		}
	}
	if _, _, err := h.restore(target); err != nil {
		t.Fatalf("whole again: %v", err)
	}
	for _, what := range []string{"a bit", "half", "nothing", "another", "missing"} {
		if tried[what] < 5 {
			t.Errorf("%s was tried on %d objects", what, tried[what])
		}
	}
}

// With the operator's consent, everything comes back but what a damaged extent has.
func TestDamageThatIsAccepted(t *testing.T) {
	h := newHouse(t, 50)
	for range 40 {
		h.put(60_000)
	}
	target := backup.NewDir(faulty.New(2), "/target")
	point := h.mustBackup(target).Point
	var hit string
	for _, name := range names(t, target) {
		if strings.HasPrefix(name, "packs/") {
			hit = name
			break
		}
	}
	b := get(t, target, hit)
	b[100_000] ^= 1
	put(t, target, hit, b)
	fs := faulty.New(3)
	o := h.restoreOptions(fs)
	if _, err := h.unlock(target).Restore(t.Context(), point, "/new", o); err == nil || !strings.Contains(err.Error(), "--accept-damage") || !strings.Contains(err.Error(), hit) {
		t.Fatalf("unasked: %v", err)
	}
	o.AcceptDamage = true
	if _, err := h.unlock(target).Restore(t.Context(), point, "/new", o); err != nil {
		t.Fatal(err)
	}
	if err := target.Delete(t.Context(), hit); err != nil {
		t.Fatal(err)
	}
	fs = faulty.New(3)
	o = h.restoreOptions(fs)
	o.AcceptDamage = true
	done, err := h.unlock(target).Restore(t.Context(), point, "/new", o)
	if err != nil || done.LostCount == 0 || done.LostCount == 40 || done.Blobs+done.LostCount != 40 {
		t.Errorf("%d came back and %d are lost: %v", done.Blobs, done.LostCount, err)
	}
}

func TestKeysAndCodes(t *testing.T) {
	h := newHouse(t, 50)
	h.changed()
	target := backup.NewDir(faulty.New(2), "/target")
	point := h.mustBackup(target).Point
	if !strings.HasPrefix(h.code, "LOCKSTEP-AGE-SECRET-KEY-1") {
		t.Fatalf("the recovery code is %q", h.code)
	}
	other := newHouse(t, 1)
	otherCode, otherSide, err := backup.NewRecovery()
	if err != nil {
		t.Fatal(err)
	}
	mistyped := h.code[:30] + "Q" + h.code[31:]
	if mistyped == h.code {
		mistyped = h.code[:30] + "P" + h.code[31:]
	}
	for name, c := range map[string]struct {
		secret backup.Secret
		kind   mail.Kind
		want   string
	}{
		"another's key file": {backup.Secret{KeyFile: other.file("/data/key")}, mail.Denied, "key file of another server"},
		"no key file":        {backup.Secret{KeyFile: []byte("hello")}, mail.Internal, "the key file"},
		"an empty key file":  {backup.Secret{}, mail.Internal, "the key file"},
		"another's code":     {backup.Secret{Recovery: otherCode}, mail.Denied, "not that of this backup"},
		"a public side":      {backup.Secret{Recovery: otherSide}, mail.Invalid, "begins with LOCKSTEP-AGE-SECRET-KEY-1"},
		"a slip":             {backup.Secret{Recovery: mistyped}, mail.Invalid, "a slip in it"},
		"a blank line":       {backup.Secret{Recovery: " \n"}, mail.Invalid, "no recovery code"},
	} {
		_, err := backup.Unlock(t.Context(), target, c.secret)
		if err == nil || mail.KindOf(err) != c.kind || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", name, err)
		}
		if err != nil && (strings.Contains(err.Error(), otherCode) || strings.Contains(err.Error(), mistyped)) {
			t.Errorf("%s: the secret is in the error: %v", name, err)
		}
	}
	for name, code := range map[string]string{"as it is": h.code, "as age knows it": ageCode(h.code), "small": strings.ToLower(h.code), "with spaces": " " + h.code[:30] + " " + h.code[30:] + "\r\n", "in a file of age-keygen": "# created: today\n# public key: age1\n" + h.code + "\n"} {
		r, err := backup.Unlock(t.Context(), target, backup.Secret{Recovery: code})
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		fs := faulty.New(3)
		if _, err := r.Restore(t.Context(), point, "/new", h.restoreOptions(fs)); err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		h.agree(fs, "/new", h.state())
	}
	if _, err := backup.Unlock(t.Context(), backup.NewDir(faulty.New(1), "/nowhere"), backup.Secret{}); mail.KindOf(err) != mail.NotFound {
		t.Errorf("no backup: %v", err)
	}
}

// Nothing of the keys or of what the database says is in a target in clear.
func TestATargetHoldsNothingInClear(t *testing.T) {
	h := newHouse(t, 50)
	secret := []byte("the secret of this database")
	copy(h.db.pages[9][100:], secret)
	h.changed()
	target := backup.NewDir(faulty.New(2), "/target")
	h.mustBackup(target)
	var key []byte
	for line := range bytes.Lines(h.file("/data/key")) {
		if bytes.HasPrefix(line, []byte("key ")) {
			key = bytes.Fields(line)[2]
		}
	}
	for _, name := range names(t, target) {
		b := get(t, target, name)
		for what, text := range map[string][]byte{"the database": secret, "the key": key, "the code": []byte(h.code), "the configuration": []byte("mail.example.test")} {
			if bytes.Contains(b, text) {
				t.Errorf("%s is in %s in clear", what, name)
			}
		}
		for _, row := range h.rows() {
			if bytes.Contains(b, row.Key) {
				t.Errorf("the key of a message is in %s", name)
			}
		}
	}
}

// An operator's own age key opens the backup, and another one after it was changed.
func TestRecipientsOfOnesOwn(t *testing.T) {
	h := newHouse(t, 50)
	target := backup.NewDir(faulty.New(2), "/target")
	first, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	second, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	with := func(text string) error {
		to, err := backup.ParseRecipients(text)
		if err != nil {
			return err
		}
		run, err := backup.Begin(t.Context(), target, h.server, backup.Options{Recipients: to})
		if err != nil {
			return err
		}
		_, err = run.Point(t.Context())
		return errors.Join(err, run.Close(t.Context()))
	}
	opens := func(id *age.X25519Identity) bool {
		_, err := backup.Unlock(t.Context(), target, backup.Secret{Recovery: id.String()})
		return err == nil
	}
	if err := with(first.Recipient().String()); err != nil || !opens(first) || opens(second) {
		t.Fatalf("first: %v, %v, %v", err, opens(first), opens(second))
	}
	if err := with(second.Recipient().String()); err != nil || opens(first) || !opens(second) {
		t.Fatalf("second: %v, %v, %v", err, opens(first), opens(second))
	}
	if err := with(first.Recipient().String() + ", " + second.Recipient().String()); err != nil || !opens(first) || !opens(second) {
		t.Fatalf("both: %v", err)
	}
	if err := with(""); err != nil || !opens(first) { // as it was
		t.Fatal(err)
	}
	for text, want := range map[string]string{
		first.String(): "write down only its public side",
		"age1abc":      "is no recipient",
		strings.Repeat(first.Recipient().String()+" ", 1) + many(t, 16): "more than 16",
	} {
		if _, err := backup.ParseRecipients(text); err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), first.String()) {
			t.Errorf("%.20s…: %v; want %s", text, err, want)
		}
	}
}

func many(t *testing.T, n int) string {
	var all []string
	for range n {
		_, side, err := backup.NewRecovery()
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, side)
	}
	return strings.Join(all, " ")
}

// A new code opens the backup, and the one before no more.
func TestACodeIsReplaced(t *testing.T) {
	h := newHouse(t, 20)
	target := backup.NewDir(faulty.New(2), "/target")
	h.mustBackup(target)
	old, o := h.code, h.options()
	o.NewCode = true
	run, err := backup.Begin(t.Context(), target, h.server, o)
	if err != nil {
		t.Fatal(err)
	}
	if err := run.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := backup.Unlock(t.Context(), target, backup.Secret{Recovery: old}); h.code == old || mail.KindOf(err) != mail.Denied {
		t.Errorf("the old code: %v", err)
	}
	if _, err := backup.Unlock(t.Context(), target, backup.Secret{Recovery: h.code}); err != nil {
		t.Errorf("the new code: %v", err)
	}
}

// A disk that is too small is told before anything is fetched.
func TestRestoreLooksForRoom(t *testing.T) {
	h := newHouse(t, 1000)
	target := backup.NewDir(faulty.New(2), "/target")
	point := h.mustBackup(target).Point
	disk := faulty.New(3)
	o, free := h.restoreOptions(disk), int64(3<<20)
	o.Free = func(string) (int64, bool, error) { return free, true, nil }
	if done, err := h.unlock(target).Restore(t.Context(), point, "/new", o); mail.KindOf(err) != mail.Unavailable || done.Bytes > 0 || !strings.Contains(err.Error(), "1 MiB more are needed") {
		t.Errorf("%+v, %v", done, err)
	}
	free = 5 << 20
	if _, err := h.unlock(target).Restore(t.Context(), point, "/new", o); err != nil {
		t.Error(err)
	}
}

// A backup that somebody has to see the code of is not begun by the clock.
func TestNoBackupBeginsUnseen(t *testing.T) {
	h := newHouse(t, 5)
	disk := faulty.New(2)
	_, err := backup.Begin(t.Context(), backup.NewDir(disk, "/target"), h.server, backup.Options{})
	if mail.KindOf(err) != mail.Invalid || !strings.Contains(err.Error(), "lockstep backup --to") {
		t.Errorf("%v", err)
	}
	if got := names(t, backup.NewDir(disk, "/target")); len(got) != 0 {
		t.Errorf("left behind: %v", got)
	}
}

func TestOnlyEmptyPlacesAreBegun(t *testing.T) {
	h := newHouse(t, 5)
	for name, want := range map[string]string{"notes.txt": "is no backup", "sets/20260101t000000z-00000000/key": "header is gone"} {
		target := backup.NewDir(faulty.New(2), "/target")
		put(t, target, name, []byte("x"))
		if _, err := h.backup(target); mail.KindOf(err) != mail.Conflict || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", name, err)
		}
		if got := names(t, target); len(got) != 1 {
			t.Errorf("%s: left behind: %v", name, got)
		}
	}
}

// A restore writes into nothing that is in use.
func TestRestoreWritesOverNothing(t *testing.T) {
	h := newHouse(t, 20)
	target := backup.NewDir(faulty.New(2), "/target")
	one := h.mustBackup(target).Point
	h.changed()
	two := h.mustBackup(target).Point
	r := h.unlock(target)
	for file, want := range map[string]string{"lockstep.db": "holds a Lockstep already", "letter.txt": "is not empty", "packs/000000000001.pack": "is not empty"} {
		disk := faulty.New(1)
		f, err := disk.Create("/new/" + file)
		if err != nil {
			t.Fatal(err)
		}
		f.Close()
		if _, err := r.Restore(t.Context(), one, "/new", h.restoreOptions(disk)); mail.KindOf(err) != mail.Conflict || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", file, err)
		}
		if _, err := disk.Stat("/new/" + backup.RestoreMark); err == nil {
			t.Errorf("%s: something was made there", file)
		}
	}
	disk := faulty.New(1)
	o := h.restoreOptions(disk)
	stop := errors.New("enough")
	o.Rows = func(context.Context, string, string, func(mail.Blob) error) error { return stop }
	if _, err := r.Restore(t.Context(), two, "/new", o); !errors.Is(err, stop) {
		t.Fatal(err)
	}
	if _, err := r.Restore(t.Context(), one, "/new", h.restoreOptions(disk)); mail.KindOf(err) != mail.Conflict || !strings.Contains(err.Error(), "half of another restore") {
		t.Errorf("another point into half a restore: %v", err)
	}
	lock, err := disk.Lock("/new/lock")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.Restore(t.Context(), two, "/new", h.restoreOptions(disk)); err == nil || !strings.Contains(err.Error(), "in use") {
		t.Errorf("two at once: %v", err)
	}
	lock.Close()
	if _, err := r.Restore(t.Context(), two, "/new", h.restoreOptions(disk)); err != nil {
		t.Error(err)
	}
	h.agree(disk, "/new", h.state())
}

// After damage in a backup, one that copies everything again is whole, and so are the
// points before it whose packs it has.
func TestEverythingIsCopiedAgain(t *testing.T) {
	h := newHouse(t, 200)
	target := backup.NewDir(faulty.New(2), "/target")
	for range 4 {
		h.changed()
		h.put(300_000)
		h.mustBackup(target)
	}
	flipped := 0
	for _, name := range names(t, target) {
		if strings.HasPrefix(name, "packs/") || strings.Contains(name, "/pages/") {
			b := get(t, target, name)
			b[len(b)/2] ^= 1
			put(t, target, name, b)
			flipped++
		}
	}
	if _, _, err := h.restore(target); err == nil || flipped < 5 {
		t.Fatalf("%d objects were damaged: %v", flipped, err)
	}
	run, err := backup.Begin(t.Context(), target, h.server, backup.Options{Fresh: true, Again: true})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := run.Point(t.Context()); err != nil {
		t.Fatal(err)
	}
	h.changed()
	last, err := run.Point(t.Context())
	if err := errors.Join(err, run.Close(t.Context())); err != nil {
		t.Fatal(err)
	}
	if last.Sent.PackBytes > 200_000 {
		t.Errorf("the second point stored %d bytes of packs again", last.Sent.PackBytes)
	}
	disk, _, err := h.restore(target)
	if err != nil {
		t.Fatal(err)
	}
	h.agree(disk, "/new", h.state())
}

// What is damaged here is not stored over what the backup has whole.
func TestWhatIsDamagedHereStaysWholeInTheBackup(t *testing.T) {
	for what, o := range map[string]backup.Options{"everything again": {Fresh: true, Again: true}, "short extents joined": {}} {
		h := newHouse(t, 20)
		target := backup.NewDir(faulty.New(2), "/target")
		first := h.put(3000)
		h.mustBackup(target)
		pack, offset, _, err := blob.PackOf(first.Place)
		if err != nil {
			t.Fatal(err)
		}
		h.fs.Corrupt("/data/packs/"+pack+blob.PackSuffix, func(data []byte) []byte {
			clear(data[offset+144 : offset+1200])
			return data
		})
		h.put(30_000)
		run, err := backup.Begin(t.Context(), target, h.server, o)
		if err != nil {
			t.Fatal(err)
		}
		result, err := run.Point(t.Context())
		if err := errors.Join(err, run.Close(t.Context())); err != nil {
			t.Fatal(err)
		}
		if len(result.Damaged) != 1 || result.Damaged[0] != first.Place {
			t.Errorf("%s: damaged %v, want %s", what, result.Damaged, first.Place)
		}
		disk, _, err := h.restore(target)
		if err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		h.agree(disk, "/new", h.state())
	}
}

// A target that is gone, as a disk that is not mounted, is given nothing.
func TestATargetThatIsGoneIsGivenNothing(t *testing.T) {
	h := newHouse(t, 300)
	h.put(60_000)
	dir := t.TempDir()
	target := backup.NewDir(vfs.OS{}, dir+"/target")
	run, err := backup.Begin(t.Context(), target, h.server, h.options())
	if err != nil {
		t.Fatal(err)
	}
	defer run.Close(context.Background())
	if err := os.Rename(dir+"/target", dir+"/away"); err != nil {
		t.Fatal(err)
	}
	if _, err := run.Point(t.Context()); mail.KindOf(err) != mail.Conflict {
		t.Errorf("a point: %v", err)
	}
	if got := names(t, target); len(got) > 0 {
		t.Errorf("it was given %v", got)
	}
}

// Who can write to a target does not steer the terminals of those who read it.
func TestWordsOfOthersAreShownAsText(t *testing.T) {
	h := newHouse(t, 5)
	target := backup.NewDir(faulty.New(2), "/target")
	h.mustBackup(target)
	put(t, target, "lease", []byte(`{"holder":"\u001b]0;evil\u0007\r","doing":"\u001b[2J","until":"2999-01-01T00:00:00Z"}`))
	if _, err := h.backup(target); mail.KindOf(err) != mail.Conflict || strings.ContainsAny(err.Error(), "\x1b\a\r") {
		t.Errorf("somebody else's lease: %q", err)
	}
	head := bytes.Replace(get(t, target, "lockstep-backup"), []byte(`"key_file": "`), []byte(`"key_file": "\u001b[2J`), 1)
	put(t, target, "lockstep-backup", head)
	other := newHouse(t, 5)
	if _, err := backup.Unlock(t.Context(), target, backup.Secret{KeyFile: other.file("/data/key")}); mail.KindOf(err) != mail.Denied || strings.Contains(err.Error(), "\x1b") {
		t.Errorf("somebody else's header: %q", err)
	}
}

// A point that lacks something is not whole.
func TestAPointIsChecked(t *testing.T) {
	h := newHouse(t, 200)
	h.put(60_000)
	target := backup.NewDir(faulty.New(2), "/target")
	run, err := backup.Begin(t.Context(), target, h.server, h.options())
	if err != nil {
		t.Fatal(err)
	}
	defer run.Close(context.Background())
	done, err := run.Point(t.Context())
	if err == nil {
		err = run.Check(t.Context(), done.Point)
	}
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names(t, target) {
		if !strings.HasPrefix(name, "packs/") && !strings.HasPrefix(name, "sets/") || strings.HasSuffix(name, "/key") {
			continue // the key was read already
		}
		was := get(t, target, name)
		if err := target.Delete(t.Context(), name); err != nil {
			t.Fatal(err)
		}
		if err := run.Check(t.Context(), done.Point); mail.KindOf(err) != mail.Corrupt {
			t.Errorf("without %s: %v", name, err)
		}
		put(t, target, name, was)
	}
}

// A server does not write into the backup of another.
func TestAnothersBackupIsLeftAlone(t *testing.T) {
	h, other := newHouse(t, 5), newHouse(t, 5)
	target := backup.NewDir(faulty.New(2), "/target")
	h.mustBackup(target)
	before := names(t, target)
	if _, err := other.backup(target); mail.KindOf(err) != mail.Denied || !strings.Contains(err.Error(), "the backup of another server") {
		t.Errorf("%v", err)
	}
	if after := names(t, target); strings.Join(after, " ") != strings.Join(before, " ") {
		t.Errorf("it has %v, and had %v", after, before)
	}
}

// Whoever destroys the key of a set destroys what only its points could read.
func TestDestroyedSets(t *testing.T) {
	h := newHouse(t, 50)
	h.changed()
	target := backup.NewDir(faulty.New(2), "/target")
	old := h.mustBackup(target).Point
	run, err := backup.Begin(t.Context(), target, h.server, backup.Options{Fresh: true})
	if err != nil {
		t.Fatal(err)
	}
	fresh, err := run.Point(t.Context())
	if err := errors.Join(err, run.Close(t.Context())); err != nil {
		t.Fatal(err)
	}
	if fresh.Point.Set == old.Set || fresh.Sent.Pages < len(h.db.pages) || fresh.Sent.PackBytes != 0 {
		t.Errorf("the fresh set: %+v", fresh)
	}
	if newest, err := h.unlock(target).Newest(t.Context(), time.Time{}); err != nil || newest != fresh.Point {
		t.Errorf("the newest point is %v: %v", newest, err)
	}
	r := h.unlock(target)
	if err := r.DestroySet(t.Context(), old.Set); err != nil {
		t.Fatal(err)
	}
	for _, name := range names(t, target) {
		if strings.Contains(name, old.Set) {
			t.Errorf("%s is left", name)
		}
	}
	if _, err := h.unlock(target).Manifest(t.Context(), old); mail.KindOf(err) != mail.NotFound {
		t.Errorf("the old point: %v", err)
	}
	if _, _, err := h.restore(target); err != nil {
		t.Errorf("the fresh one: %v", err)
	}
	if next := h.mustBackup(target); next.Point.Set != fresh.Point.Set {
		t.Error("the next point is in another set")
	}
}

// The key file of a point comes back, or the newer one that opened the backup.
func TestKeyFilesComeBack(t *testing.T) {
	h := newHouse(t, 20)
	target := backup.NewDir(faulty.New(2), "/target")
	h.changed()
	point := h.mustBackup(target).Point
	older := h.file("/data/key")
	keys, _, err := blob.OpenKeyring(h.fs, "/data/key", "/data/packs")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := keys.Rotate(time.Now()); err != nil {
		t.Fatal(err)
	}
	newer := h.file("/data/key")
	later := h.mustBackup(target).Point
	for _, c := range []struct {
		point      backup.Point
		with, want []byte
	}{{point, older, older}, {point, newer, newer}, {later, older, newer}, {later, newer, newer}} {
		r, err := backup.Unlock(t.Context(), target, backup.Secret{KeyFile: c.with})
		if err != nil {
			t.Fatal(err)
		}
		disk := faulty.New(1)
		if _, err := r.Restore(t.Context(), c.point, "/new", h.restoreOptions(disk)); err != nil {
			t.Fatal(err)
		}
		if got := (&house{t: t, fs: disk}).file("/new/key"); !bytes.Equal(got, c.want) {
			t.Errorf("%v with %d bytes of key file: %d came back, want %d", c.point, len(c.with), len(got), len(c.want))
		}
	}
}

// A message that is mended from the backup is as it was.
func TestRecordsOfTheBackupMend(t *testing.T) {
	h := newHouse(t, 20)
	b := h.put(200_000)
	target := backup.NewDir(faulty.New(2), "/target")
	h.mustBackup(target)
	pack, offset, length, err := blob.PackOf(b.Place)
	if err != nil {
		t.Fatal(err)
	}
	h.fs.Corrupt("/data/packs/"+pack+blob.PackSuffix, func(data []byte) []byte {
		clear(data[offset+length/2 : offset+length])
		return data
	})
	if err := h.blobs.Verify(t.Context(), b); mail.KindOf(err) != mail.Corrupt {
		t.Fatal(err)
	}
	r := h.unlock(target)
	record, err := r.Record(t.Context(), b.Place)
	if err != nil {
		t.Fatal(err)
	}
	defer record.Close()
	row, _, err := h.blobs.Find(t.Context(), b.Name)
	if err != nil {
		t.Fatal(err)
	}
	if err := h.blobs.MendFrom(t.Context(), row, record); err != nil {
		t.Fatal(err)
	}
	row, _, err = h.blobs.Find(t.Context(), b.Name)
	if err == nil {
		err = h.blobs.Verify(t.Context(), row)
	}
	if err != nil {
		t.Error(err)
	}
	if _, err := r.Record(t.Context(), "0000000fffff-20-900"); mail.KindOf(err) != mail.NotFound {
		t.Errorf("a record that is not there: %v", err)
	}
}

// A backup of damaged packs is made, says so, and brings the rest back.
func TestDamagedPacksAreBackedUp(t *testing.T) {
	for what, from := range map[string]int64{"body": 100, "header": 0} {
		h := newHouse(t, 20)
		var all []mail.Blob
		for range 5 {
			all = append(all, h.put(3000))
		}
		pack, offset, _, err := blob.PackOf(all[2].Place)
		if err != nil {
			t.Fatal(err)
		}
		h.fs.Corrupt("/data/packs/"+pack+blob.PackSuffix, func(data []byte) []byte {
			clear(data[offset+from+44 : offset+from+1200])
			return data
		})
		target := backup.NewDir(faulty.New(2), "/target")
		r := h.mustBackup(target)
		if len(r.Damaged) != 1 || r.Damaged[0] != all[2].Place {
			t.Errorf("%s: damaged %v, want %s", what, r.Damaged, all[2].Place)
		}
		disk, done, err := h.restore(target)
		if err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		if lost := done.LostCount; what == "header" && lost != 1 || what == "body" && lost != 0 {
			t.Errorf("%s: %d lost", what, lost)
		}
		want := h.state()
		rows := want.rows
		want.rows = nil
		for _, row := range rows {
			if row.Name != all[2].Name {
				want.rows = append(want.rows, row)
			}
		}
		h.agree(disk, "/new", want)
	}
}

func TestHeadersOfLaterVersions(t *testing.T) {
	h := newHouse(t, 5)
	target := backup.NewDir(faulty.New(2), "/target")
	h.mustBackup(target)
	var fields map[string]any
	if err := json.Unmarshal(get(t, target, "lockstep-backup"), &fields); err != nil {
		t.Fatal(err)
	}
	fields["format"] = 2
	b, err := json.Marshal(fields)
	if err != nil {
		t.Fatal(err)
	}
	put(t, target, "lockstep-backup", b)
	if _, err := backup.Times(t.Context(), target); err == nil || !strings.Contains(err.Error(), "later Lockstep") {
		t.Errorf("%v", err)
	}
	if _, err := h.backup(target); err == nil || !strings.Contains(err.Error(), "later Lockstep") {
		t.Errorf("%v", err)
	}
}
