package blob_test

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"lockstep/internal/blob"
	"lockstep/internal/mail"
	"lockstep/internal/vfs"
)

// at is the file of a blob's record, where it begins and how long it is.
func (w *world) at(b mail.Blob) (file string, offset, length int64) {
	w.t.Helper()
	f := strings.Split(b.Place, "-")
	offset, err1 := strconv.ParseInt(f[1], 16, 64)
	length, err2 := strconv.ParseInt(f[2], 16, 64)
	if err := errors.Join(err1, err2); err != nil {
		w.t.Fatal(err)
	}
	return filepath.Join(w.dir, f[0]+".pack"), offset, length
}

// record reads a blob's record as it lies in its pack.
func (w *world) record(b mail.Blob) []byte {
	w.t.Helper()
	file, off, n := w.at(b)
	f, err := os.Open(file)
	if err != nil {
		w.t.Fatal(err)
	}
	defer f.Close()
	rec := make([]byte, n)
	if _, err := f.ReadAt(rec, off); err != nil {
		w.t.Fatal(err)
	}
	return rec
}

// flipBit changes one bit of a blob's record, counted from its end.
func (w *world) flipBit(b mail.Blob, fromEnd int64) {
	w.t.Helper()
	file, off, n := w.at(b)
	f, err := os.OpenFile(file, os.O_RDWR, 0)
	if err != nil {
		w.t.Fatal(err)
	}
	defer f.Close()
	var c [1]byte
	if _, err := f.ReadAt(c[:], off+n-fromEnd); err != nil {
		w.t.Fatal(err)
	}
	c[0] ^= 1
	if _, err := f.WriteAt(c[:], off+n-fromEnd); err != nil {
		w.t.Fatal(err)
	}
}

func free(int64) error { return nil }

// letter is a message whose attachment is stored as a part.
func letter(n int, attached []byte) []byte {
	return fmt.Appendf(nil, "Subject: %d\r\nMIME-Version: 1.0\r\nContent-Type: application/octet-stream\r\nContent-Transfer-Encoding: base64\r\n\r\n%s", n, lines(attached))
}

func lines(data []byte) string {
	var b strings.Builder
	for text := base64.StdEncoding.EncodeToString(data); text != ""; {
		n := min(76, len(text))
		b.WriteString(text[:n] + "\r\n")
		text = text[n:]
	}
	return b.String()
}

// putLetter puts a message with its attachment cut out, and returns both.
func (w *world) putLetter(n int, attached []byte) (whole, part mail.Blob) {
	w.t.Helper()
	text := letter(n, attached)
	start := int64(bytes.Index(text, []byte("\r\n\r\n")) + 4)
	whole = w.put(text, blob.PutOptions{Cuts: []blob.Cut{{Offset: start, Length: int64(len(text)) - start, LineLen: 76, EOL: "\r\n"}}})
	if len(whole.Parts) != 1 {
		w.t.Fatalf("%d parts were cut out, want 1", len(whole.Parts))
	}
	part, found, err := w.Find(w.t.Context(), whole.Parts[0])
	if !found || err != nil {
		w.t.Fatalf("part: %v, %v", found, err)
	}
	return whole, part
}

func TestLookFindsEachFlippedBit(t *testing.T) {
	w := newWorld(t, vfs.OS{}, blob.Options{})
	b := w.put(randomBytes(200_000), blob.PutOptions{})
	_, _, n := w.at(b)
	read := int64(0)
	if err := w.Look(t.Context(), b, func(n int64) error { read += n; return nil }); err != nil {
		t.Fatal(err)
	}
	if read != n {
		t.Errorf("pace was told of %d bytes of a record of %d", read, n)
	}
	for _, fromEnd := range []int64{1, 70_000, 199_000, n - 30, n - 50} {
		w.flipBit(b, fromEnd)
		err := w.Look(t.Context(), b, free)
		if mail.KindOf(err) != mail.Corrupt || !w.IsDamaged(b.Name) {
			t.Errorf("a bit %d bytes from the end: %v", fromEnd, err)
		}
		w.flipBit(b, fromEnd)
		if err := w.Look(t.Context(), b, free); err != nil || w.IsDamaged(b.Name) {
			t.Errorf("flipped back: %v", err)
		}
	}
}

func TestLookEndsWithItsPace(t *testing.T) {
	w := newWorld(t, vfs.OS{}, blob.Options{})
	b := w.put(randomBytes(1<<20), blob.PutOptions{})
	stop, n := errors.New("enough"), 0
	err := w.Look(t.Context(), b, func(int64) error {
		if n++; n == 3 {
			return stop
		}
		return nil
	})
	if err != stop || n != 3 || w.Damaged() != 0 {
		t.Errorf("%v after %d frames, %d damaged", err, n, w.Damaged())
	}
}

// What is read is what the packs hold: a part that many share is read in its turn
// alone.
func TestLookReadsSharedPartsOnce(t *testing.T) {
	w := newWorld(t, vfs.OS{}, blob.Options{})
	attached := randomBytes(300_000)
	for i := range 20 {
		w.putLetter(i, attached)
	}
	read := int64(0)
	err := w.Each(t.Context(), func(b mail.Blob) error {
		return w.Look(t.Context(), b, func(n int64) error { read += n; return nil })
	})
	if err != nil {
		t.Fatal(err)
	}
	if all, err := w.PackBytes(); err != nil || read > all {
		t.Errorf("%d bytes were read of packs of %d: %v", read, all, err)
	}
}

func TestTheMessageOfADamagedPartIsKnownToo(t *testing.T) {
	w := newWorld(t, vfs.OS{}, blob.Options{})
	attached := randomBytes(300_000)
	var wholes []mail.Blob
	var part mail.Blob
	for i := range 3 {
		var whole mail.Blob
		whole, part = w.putLetter(i, attached)
		wholes = append(wholes, whole)
	}
	other, _ := w.putLetter(9, randomBytes(300_000))
	w.flipBit(part, 1000)
	if err := w.Look(t.Context(), wholes[0], free); err != nil {
		t.Fatalf("before the part is known: %v", err)
	}
	if err := w.Look(t.Context(), part, free); mail.KindOf(err) != mail.Corrupt {
		t.Fatal(err)
	}
	if err := w.Look(t.Context(), wholes[1], free); mail.KindOf(err) != mail.Corrupt {
		t.Errorf("after the part is known: %v", err)
	}
	if err := w.Implicate(t.Context()); err != nil {
		t.Fatal(err)
	}
	if n := w.Damaged(); n != 4 || w.IsDamaged(other.Name) {
		t.Errorf("%d are known to be damaged, want the part and its three messages", n)
	}
	if names := w.DamagedNames(); len(names) != 4 {
		t.Errorf("%d names", len(names))
	}
}

func TestLookFindsLostPartsOfARow(t *testing.T) {
	w := newWorld(t, vfs.OS{}, blob.Options{})
	whole, _ := w.putLetter(1, randomBytes(300_000))
	wrong := whole
	wrong.Parts = nil
	if err := w.index.Restore(t.Context(), []mail.Blob{wrong}); err != nil {
		t.Fatal(err)
	}
	if err := w.Look(t.Context(), wrong, free); mail.KindOf(err) != mail.Corrupt {
		t.Errorf("%v", err)
	}
	if n, err := w.MendKnown(t.Context(), []mail.BlobName{whole.Name}); n != 1 || err != nil {
		t.Errorf("mended %d: %v", n, err)
	}
	if b, _, _ := w.Find(t.Context(), whole.Name); len(b.Parts) != 1 || w.Look(t.Context(), b, free) != nil {
		t.Errorf("the row was not put right: %v", b.Parts)
	}
}

func TestForgottenBlobsAreNotDamaged(t *testing.T) {
	w := newWorld(t, vfs.OS{}, blob.Options{})
	b := w.put(randomBytes(1000), blob.PutOptions{})
	w.index.Lose(b.Name)
	file, _, _ := w.at(b)
	if err := os.Truncate(file, 40); err != nil {
		t.Fatal(err)
	}
	if err := w.Look(t.Context(), b, free); err != nil || w.Damaged() != 0 {
		t.Errorf("%v, %d damaged", err, w.Damaged())
	}
}

// A row that was read before it was moved, or its key wrapped anew, is no damage.
func TestLookTakesTheRowAsItIsNow(t *testing.T) {
	w := newWorld(t, vfs.OS{}, blob.Options{})
	b := w.put(randomBytes(1000), blob.PutOptions{})
	before := b
	before.Key = make([]byte, len(b.Key))
	if err := w.Look(t.Context(), before, free); err != nil || w.Damaged() != 0 {
		t.Errorf("with the key of before: %v, %d damaged", err, w.Damaged())
	}
}

func TestMendKnownTakesAnotherGoodRecord(t *testing.T) {
	w := newWorld(t, vfs.OS{}, blob.Options{})
	data := randomBytes(50_000)
	first := w.put(data, blob.PutOptions{})
	w.index.Lose(first.Name)
	second := w.put(data, blob.PutOptions{}) // a second record of the same bytes
	lost := w.put(randomBytes(500), blob.PutOptions{})
	w.index.Lose(lost.Name)
	w.flipBit(second, 5)
	if err := w.Look(t.Context(), second, free); mail.KindOf(err) != mail.Corrupt {
		t.Fatal(err)
	}
	if n, err := w.MendKnown(t.Context(), w.DamagedNames()); n != 1 || err != nil {
		t.Fatalf("mended %d: %v", n, err)
	}
	b, _, err := w.Find(t.Context(), second.Name)
	if err != nil || b.Place != first.Place || w.Damaged() != 0 {
		t.Errorf("the row says %s, want %s: %v", b.Place, first.Place, err)
	}
	w.mustRead(b, data)
	if _, found, _ := w.Find(t.Context(), lost.Name); found {
		t.Error("a lost row was looked for")
	}
}

// withoutKey is a record as a backup keeps it: its key is zero, and the header's
// checksum is made anew.
func withoutKey(record []byte) []byte {
	b := bytes.Clone(record)
	clear(b[60:136])
	return blob.ResealHeader(b)
}

func TestMendFromElsewhereIsByteForByte(t *testing.T) {
	for _, size := range []int{0, 100, 70_000, 3 << 20} {
		w := newWorld(t, vfs.OS{}, blob.Options{})
		data := randomBytes(size)
		b := w.put(data, blob.PutOptions{})
		good := withoutKey(w.record(b))
		w.flipBit(b, 1)
		if err := w.Look(t.Context(), b, free); mail.KindOf(err) != mail.Corrupt {
			t.Fatal(err)
		}
		bad := withoutKey(w.record(b))
		for what, rec := range map[string][]byte{"damaged": bad, "cut off": good[:len(good)-1], "no record": bad[1:], "empty": nil} {
			if err := w.MendFrom(t.Context(), b, bytes.NewReader(rec)); mail.KindOf(err) != mail.Corrupt {
				t.Errorf("%d bytes, %s: %v", size, what, err)
			}
			if now, _, _ := w.Find(t.Context(), b.Name); now.Place != b.Place || !w.IsDamaged(b.Name) {
				t.Errorf("%d bytes, %s: the row says %s", size, what, now.Place)
			}
		}
		if err := w.MendFrom(t.Context(), b, bytes.NewReader(good)); err != nil {
			t.Fatalf("%d bytes: %v", size, err)
		}
		now, _, _ := w.Find(t.Context(), b.Name)
		if now.Place == b.Place || w.Damaged() != 0 || w.Look(t.Context(), now, free) != nil {
			t.Errorf("%d bytes: the row still says %s", size, now.Place)
		}
		w.mustRead(now, data)
		if err := w.MendFrom(t.Context(), b, bytes.NewReader(good)); mail.KindOf(err) != mail.Conflict {
			t.Errorf("%d bytes, of a row that moved: %v", size, err)
		}
	}
}

func TestARecordIsCheckedWhereverItLies(t *testing.T) {
	w := newWorld(t, vfs.OS{}, blob.Options{})
	whole, part := w.putLetter(1, randomBytes(300_000))
	for _, b := range []mail.Blob{w.put(nil, blob.PutOptions{}), w.put(textBytes(100_000), blob.PutOptions{}), whole, part} {
		good := withoutKey(w.record(b))
		if err := w.keys.CheckRecord(t.Context(), b, bytes.NewReader(good)); err != nil {
			t.Fatalf("%d bytes: %v", b.Size, err)
		}
		for at := 0; at < len(good); at += 1 + len(good)/200 {
			bad := bytes.Clone(good)
			bad[at] ^= 4
			err := w.keys.CheckRecord(t.Context(), b, bytes.NewReader(bad))
			isKey, isSum := at >= 60 && at < 136, at >= 136 && at < 144 // the header's checksums are no seal
			if err == nil && !isKey && !isSum {
				t.Errorf("%d bytes: a bit of byte %d of %d is not missed", b.Size, at, len(good))
			}
		}
		if err := w.keys.CheckRecord(t.Context(), b, bytes.NewReader(good[:len(good)-1])); mail.KindOf(err) != mail.Corrupt {
			t.Errorf("cut off: %v", err)
		}
		other := newWorld(t, vfs.OS{}, blob.Options{})
		if err := other.keys.CheckRecord(t.Context(), b, bytes.NewReader(good)); err == nil {
			t.Error("with another key file")
		}
	}
}
