package blob_test

import (
	"bytes"
	"strings"
	"testing"

	"lockstep/internal/blob"
	"lockstep/internal/mail"
	"lockstep/internal/vfs"
	"lockstep/internal/vfs/faulty"
)

func TestAnErasedBlobLeavesNoByte(t *testing.T) {
	w := newWorld(t, vfs.OS{}, blob.Options{})
	w.put(textBytes(300), blob.PutOptions{})
	data := randomBytes(200_000)
	b := w.put(data, blob.PutOptions{})
	w.put(textBytes(400), blob.PutOptions{})
	text := packBytes(t, w.dir)
	at := strings.Index(text, string(b.Name[:]))
	if at < 0 {
		t.Fatal("the record is not found")
	}
	body := text[at:][:190_000]
	if done, err := w.Erase(t.Context(), []mail.BlobName{b.Name}); err != nil || len(done.Kept) != 1 || done.Records != 0 {
		t.Fatalf("what is named: %+v, %v", done, err)
	}
	w.mustRead(b, data)
	w.index.Unname(b.Name)
	done, err := w.Erase(t.Context(), []mail.BlobName{b.Name})
	if err != nil || len(done.Gone) != 1 || done.Records != 1 {
		t.Fatalf("%+v, %v", done, err)
	}
	now := packBytes(t, w.dir)
	for from := 0; from < len(body); from += 1000 {
		if strings.Contains(now, body[from:][:32]) {
			t.Fatalf("byte %d of it is there yet", from)
		}
	}
	if found, _, err := w.Holds(t.Context(), []mail.BlobName{b.Name}); found || err != nil {
		t.Errorf("found %v, %v", found, err)
	}
	if _, err := w.read(b); mail.KindOf(err) != mail.NotFound || w.Damaged() != 0 {
		t.Errorf("reading it: %v, %d damaged", err, w.Damaged())
	}
	if again, err := w.Erase(t.Context(), []mail.BlobName{b.Name}); err != nil || again.Records != 0 {
		t.Errorf("a second time: %+v, %v", again, err)
	}
	w.reopen()
	for _, row := range w.rows() {
		if _, err := w.read(row); err != nil {
			t.Error(err)
		}
	}
	if _, err := w.Mend(t.Context(), nil); err != nil {
		t.Error(err)
	}
	w.mustRead(w.put(data, blob.PutOptions{}), data) // it can come again
}

func TestErasingReachesRecordsThatNoRowNames(t *testing.T) {
	w := newWorld(t, vfs.OS{}, blob.Options{})
	data := textBytes(1000)
	first, _, err := w.Put(t.Context(), bytes.NewReader(data), blob.PutOptions{})
	if err != nil {
		t.Fatal(err)
	}
	second, _, err := w.Put(t.Context(), bytes.NewReader(data), blob.PutOptions{}) // before the first was committed
	if err != nil || !second.Fresh {
		t.Fatalf("%+v, %v", second, err)
	}
	if err := w.index.Commit(first); err != nil {
		t.Fatal(err)
	}
	done, err := w.Erase(t.Context(), []mail.BlobName{first.Name})
	if err != nil || done.Records != 2 {
		t.Fatalf("%+v, %v", done, err)
	}
	if err := w.index.Commit(second); mail.KindOf(err) != mail.Expired {
		t.Errorf("a handle to erased bytes was committed: %v", err)
	}
}

func TestPartsGoUnlessOthersHaveThem(t *testing.T) {
	w := newWorld(t, vfs.OS{}, blob.Options{})
	shared, own := randomBytes(60_000), randomBytes(70_000)
	one, cuts := withAttachments(shared, own)
	other, cuts2 := withAttachments(shared)
	a := w.put(one, blob.PutOptions{Cuts: cuts})
	b := w.put(other, blob.PutOptions{Cuts: cuts2})
	if len(w.rows()) != 4 {
		t.Fatalf("%d rows", len(w.rows()))
	}
	w.index.Unname(a.Name)
	done, err := w.Erase(t.Context(), []mail.BlobName{a.Name})
	if err != nil || len(done.Gone) != 2 || len(done.Kept) != 1 {
		t.Fatalf("%+v, %v", done, err)
	}
	w.mustRead(b, other)
	if len(w.rows()) != 2 {
		t.Errorf("%d rows", len(w.rows()))
	}
}

// withAttachments is a message with attachments, and where they are.
func withAttachments(attached ...[]byte) (whole []byte, cuts []blob.Cut) {
	whole = []byte("a letter\r\n")
	for _, a := range attached {
		text := asBase64(a, 76, "\r\n", true)
		cuts = append(cuts, blob.Cut{Offset: int64(len(whole)), Length: int64(len(text)), LineLen: 76, EOL: "\r\n"})
		whole = append(append(whole, text...), "--\r\n"...)
	}
	return whole, cuts
}

func TestAKilledErasingIsFinishedByTheNext(t *testing.T) {
	cut := 0
	for at := range 40 {
		fsys := &cutFS{FS: faulty.New(uint64(at)), left: -1}
		w := newWorld(t, fsys, blob.Options{})
		w.put(textBytes(5000), blob.PutOptions{})
		b := w.put(textBytes(100_000), blob.PutOptions{})
		w.index.Unname(b.Name)
		fsys.left = at
		if _, err := w.Erase(t.Context(), []mail.BlobName{b.Name}); err != nil {
			cut++
		}
		fsys.left = -1
		if fsys.dead {
			fsys.dead = false
			w.open()
		} else {
			w.reopen()
		}
		if _, err := w.Erase(t.Context(), []mail.BlobName{b.Name}); err != nil {
			t.Fatal(err)
		}
		if found, _, err := w.Holds(t.Context(), []mail.BlobName{b.Name}); found || err != nil {
			t.Fatalf("after %d operations it is there, %v", at, err)
		}
		if rows := w.rows(); len(rows) != 1 {
			t.Fatalf("%d rows", len(rows))
		}
		w.mustRead(w.rows()[0], textBytes(5000))
		w.Close()
	}
	if cut < 5 || cut == 40 {
		t.Errorf("cut %d times: the test is not about what it says", cut)
	}
}

func TestDeadRecordsAreErasedToo(t *testing.T) {
	w := newWorld(t, vfs.OS{}, blob.Options{})
	kept := w.put(textBytes(300), blob.PutOptions{})
	lost, _, err := w.Put(t.Context(), bytes.NewReader(textBytes(900)), blob.PutOptions{}) // never committed
	if err != nil {
		t.Fatal(err)
	}
	if dead, err := w.Dead(t.Context()); err != nil || len(dead) != 0 {
		t.Fatalf("what may be committed yet is taken for dead: %v, %v", dead, err)
	}
	w.reopen()
	w.index.Name(lost.Name) // by something whose row was lost
	if dead, err := w.Dead(t.Context()); err != nil || len(dead) != 0 {
		t.Fatalf("what can be mended is taken for dead: %v, %v", dead, err)
	}
	w.index.Unname(lost.Name)
	dead, err := w.Dead(t.Context())
	if err != nil || len(dead) != 1 || dead[0] != lost.Name {
		t.Fatalf("%v, %v", dead, err)
	}
	if done, err := w.Erase(t.Context(), dead); err != nil || done.Records != 1 {
		t.Fatalf("%+v, %v", done, err)
	}
	if dead, err := w.Dead(t.Context()); err != nil || len(dead) != 0 {
		t.Fatalf("%v, %v", dead, err)
	}
	w.mustRead(kept, textBytes(300))
}
