package backup_test

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"

	"lockstep/internal/backup"
	"lockstep/internal/mail"
	"lockstep/internal/vfs/faulty"
)

// ageCode is a recovery code as it was shown by versions before codes vouched.
func ageCode(code string) string { return strings.TrimPrefix(code, "LOCKSTEP-") }

const headerObject = "lockstep-backup"

// changeHeader changes the header that lies in a target.
func changeHeader(t *testing.T, target backup.Target, change func(map[string]any)) {
	t.Helper()
	var h map[string]any
	if err := json.Unmarshal(get(t, target, headerObject), &h); err != nil {
		t.Fatal(err)
	}
	change(h)
	b, err := json.Marshal(h)
	if err == nil {
		err = target.Put(t.Context(), headerObject, bytes.NewReader(b), int64(len(b)))
	}
	if err != nil {
		t.Fatal(err)
	}
}

func recipientsOf(t *testing.T, target backup.Target) []any {
	t.Helper()
	var h map[string]any
	if err := json.Unmarshal(get(t, target, headerObject), &h); err != nil {
		t.Fatal(err)
	}
	return h["recipients"].([]any)
}

// forge is what somebody does who can read and write the target: a backup of mail of their
// own, with a key file of their own, that opens to the operator's code, whose public side
// stands in the header.
func forge(t *testing.T, real backup.Target) (forged *backup.Dir) {
	t.Helper()
	liar := newHouse(t, 30)
	liar.changed()
	forged = backup.NewDir(faulty.New(5), "/forged")
	o := liar.options()
	o.Recipients = []string{recipientsOf(t, real)[0].(string)}
	run, err := backup.Begin(t.Context(), forged, liar.server, o)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := run.Point(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := run.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	return forged
}

// A backup that somebody else made, who knows all but the secrets, does not open with the
// recovery code, whatever they put into the header.
func TestTheRecoveryCodeVouchesForItsBackup(t *testing.T) {
	h := newHouse(t, 30)
	h.changed()
	target := backup.NewDir(faulty.New(2), "/target")
	h.mustBackup(target)
	r, err := backup.Unlock(t.Context(), target, backup.Secret{Recovery: h.code})
	if err != nil || r.Trust() != backup.ByCode || !r.Vouched() {
		t.Fatalf("the backup itself: %v", err)
	}
	if r, err := backup.Unlock(t.Context(), target, backup.Secret{KeyFile: h.file("/data/key")}); err != nil || r.Trust() != backup.ByKeyFile {
		t.Fatalf("by its key file: %v", err)
	}
	var voucher, id any
	changeHeader(t, target, func(h map[string]any) { voucher, id = h["voucher"], h["id"] })
	if voucher == nil {
		t.Fatal("there is no voucher")
	}
	for what, change := range map[string]func(map[string]any){
		"as it was made":                 func(map[string]any) {},
		"with the voucher of the backup": func(h map[string]any) { h["voucher"] = voucher },
		"with its id too":                func(h map[string]any) { h["voucher"], h["id"] = voucher, id },
		"with an empty voucher":          func(h map[string]any) { h["voucher"] = "" },
	} {
		forged := forge(t, target)
		changeHeader(t, forged, change)
		if r, err := backup.Unlock(t.Context(), forged, backup.Secret{Recovery: h.code}); mail.KindOf(err) != mail.Denied || err == nil || !strings.Contains(err.Error(), "does not vouch") {
			t.Errorf("forged, %s, it opens: %v, %v", what, r, err)
		}
		// As age knows the code it does not say that it vouches: nobody is told that all is well.
		if r, err := backup.Unlock(t.Context(), forged, backup.Secret{Recovery: ageCode(h.code)}); err == nil && r.Trust() != backup.Untold {
			t.Errorf("forged, %s, it is taken for told: %s", what, r.Trust())
		}
	}
}

// What a version made whose codes do not vouch opens as ever, and it is known that nobody
// can tell; a new code ends that.
func TestABackupOfBeforeCodesVouchedOpens(t *testing.T) {
	h := newHouse(t, 30)
	h.changed()
	target := backup.NewDir(faulty.New(2), "/target")
	point := h.mustBackup(target).Point
	changeHeader(t, target, func(h map[string]any) { delete(h, "voucher") })
	r, err := backup.Unlock(t.Context(), target, backup.Secret{Recovery: ageCode(h.code)})
	if err != nil || r.Trust() != backup.Untold || r.Vouched() {
		t.Fatalf("%v", err)
	}
	fs := faulty.New(3)
	if _, err := r.Restore(t.Context(), point, "/new", h.restoreOptions(fs)); err != nil {
		t.Fatal(err)
	}
	h.agree(fs, "/new", h.state())
	h.mustBackup(target) // a backup goes on there
	o := h.options()
	o.NewCode = true
	run, err := backup.Begin(t.Context(), target, h.server, o)
	if err != nil {
		t.Fatal(err)
	}
	if err := run.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	if r, err := backup.Unlock(t.Context(), target, backup.Secret{Recovery: h.code}); err != nil || r.Trust() != backup.ByCode {
		t.Errorf("with a new code: %v", err)
	}
}

// Who rotates the key file, and retires the first, has the code vouch as before: what it
// vouches for stays.
func TestACodeVouchesAfterTheKeyFileChanged(t *testing.T) {
	h := newHouse(t, 30)
	h.changed()
	target := backup.NewDir(faulty.New(2), "/target")
	h.mustBackup(target)
	if _, err := h.blobs.Keys().Rotate(began); err != nil {
		t.Fatal(err)
	}
	h.mustBackup(target)
	if r, err := backup.Unlock(t.Context(), target, backup.Secret{Recovery: h.code}); err != nil || r.Trust() != backup.ByCode {
		t.Errorf("%v", err)
	}
}
