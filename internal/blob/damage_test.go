package blob

import (
	"os"
	"path/filepath"
	"testing"

	"lockstep/internal/mail"
	"lockstep/internal/vfs"
)

func TestDamageIsRememberedUntilItIsMended(t *testing.T) {
	dir := t.TempDir()
	a, b := mail.BlobName{1}, mail.BlobName{2}
	d := openDamage(vfs.OS{}, dir)
	for range 2 {
		d.met(a)
		d.met(b)
	}
	d.mended(a)
	d.mended(mail.BlobName{3})
	d.close()
	d = openDamage(vfs.OS{}, dir)
	if _, ok := d.names[b]; !ok || len(d.names) != 1 {
		t.Fatalf("after a restart: %v", d.names)
	}
	d.retain(func(mail.BlobName) bool { return false })
	d.close()
	if d = openDamage(vfs.OS{}, dir); len(d.names) != 0 {
		t.Errorf("still there: %v", d.names)
	}
}

func TestATornListOfDamageIsReadAsFarAsItGoes(t *testing.T) {
	dir := t.TempDir()
	d := openDamage(vfs.OS{}, dir)
	d.met(mail.BlobName{1})
	d.met(mail.BlobName{2})
	d.close()
	file := filepath.Join(dir, damageFile)
	if err := os.Truncate(file, 70); err != nil {
		t.Fatal(err)
	}
	if d = openDamage(vfs.OS{}, dir); len(d.names) != 1 {
		t.Errorf("%d names", len(d.names))
	}
}

func TestDamageIsBounded(t *testing.T) {
	d := openDamage(vfs.OS{}, t.TempDir())
	defer d.close()
	for i := range maxDamage + 1 {
		d.met(mail.BlobName{byte(i), byte(i >> 8)})
	}
	if len(d.names) != maxDamage {
		t.Errorf("%d names are remembered, want %d", len(d.names), maxDamage)
	}
}
