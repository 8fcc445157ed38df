package backup

import (
	"bytes"
	"testing"
	"time"
)

func FuzzHeader(f *testing.F) {
	keyFile := []byte("lockstep-key-file 1\nkey 1 AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8= 630dcd29\n")
	code, recipient, err := NewRecovery()
	if err != nil {
		f.Fatal(err)
	}
	h, err := newHeader(keyFile, []string{recipient}, code, time.Unix(1, 0))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(h.encode())
	f.Add([]byte(`{"format":1,"id":"00000000000000000000000000000000"}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		h, err := parseHeader(b)
		if err != nil {
			return
		}
		again, err := parseHeader(h.encode())
		if err != nil || again.ID != h.ID || !bytes.Equal(again.Key, h.Key) {
			t.Fatalf("%v: %+v came back as %+v", err, h, again)
		}
		if _, err := h.open(Secret{KeyFile: keyFile}); err == nil && h.KeyFile == "" {
			t.Fatal("a header without a fingerprint was opened")
		}
		if o, err := h.open(Secret{Recovery: code}); err == nil && !bytes.Equal(o.keyFile, keyFile) {
			t.Fatal("a key file of somebody else was taken")
		}
	})
}

func FuzzManifest(f *testing.F) {
	m := &Manifest{Format: 1, Time: time.Unix(1, 0).UTC(), PageSize: 4096, Pages: 3, Root: make([]byte, 32),
		Layers: []Layer{{Indexes: []string{"sets/a/indexes/b"}, Pages: 3}}, Packs: []Pack{{"0000000000ab", 100}}, Files: map[string][]byte{"self-signed.crt": {1}}}
	f.Add(m.encode())
	f.Add([]byte(`{"format":1,"page_size":512,"pages":1,"root":"","layers":[{}]}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := parseManifest("p", b)
		if err != nil {
			return
		}
		if again, err := parseManifest("p", m.encode()); err != nil || !bytes.Equal(again.encode(), m.encode()) {
			t.Fatalf("%v: %s came back as another", err, m.encode())
		}
	})
}

func FuzzSegment(f *testing.F) {
	m := segmentMaker{pageSize: 512}
	m.add(3, make([]byte, 512))
	m.add(9, bytes.Repeat([]byte{7}, 512))
	f.Add(m.content())
	f.Fuzz(func(t *testing.T, b []byte) {
		again := segmentMaker{pageSize: 512}
		err := eachPage(b, 512, func(pgno uint32, page []byte) error {
			again.add(pgno, page)
			return nil
		})
		if err == nil && !bytes.Equal(again.content(), b) {
			t.Fatal("the pages make another segment")
		}
	})
}

func FuzzIndex(f *testing.F) {
	m := newIndexMaker(512)
	m.add("000102030405060708090a0b0c0d0e0f", []segmentPage{{1, pageHash{1}}, {900, pageHash{2}}})
	m.add("0f0102030405060708090a0b0c0d0e0f", nil)
	f.Add(m.b)
	f.Add([]byte("LSix\x00\x00\x02\x00aaaaaaaaaaaaaaaa\xff\xff\xff\xff"))
	f.Fuzz(func(t *testing.T, b []byte) {
		again := newIndexMaker(512)
		err := eachSegment(b, 512, func(segment string, pages []segmentPage) error {
			again.add(segment, pages)
			return nil
		})
		if err != nil {
			return
		}
		// A number may be written with more bytes than it needs.
		if err := eachSegment(again.b, 512, func(string, []segmentPage) error { return nil }); err != nil || len(again.b) > len(b) {
			t.Fatalf("what was read can't be read again: %v", err)
		}
	})
}

func FuzzNames(f *testing.F) {
	f.Add("sets/20260101t000000z-00000000/points/20260101t000000.000z-000001", int64(0))
	f.Add("packs/0000000000ab/000000000000-1a", int64(26+32))
	f.Fuzz(func(t *testing.T, name string, size int64) {
		if p, ok := parsePoint(name); ok && p.Name() != name {
			t.Fatalf("%q is read as the point %q", name, p.Name())
		}
		if e, ok := parseExtent(Object{Name: name, Size: size}); ok && (e.name() != name || e.offset < 0 || e.length != size-macSize) {
			t.Fatalf("%q is read as the extent %q", name, e.name())
		}
	})
}

func FuzzSealed(f *testing.F) {
	s, err := newSealer("id", make([]byte, keySize))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(s.seal("name", []byte("content")))
	f.Fuzz(func(t *testing.T, b []byte) {
		if content, err := s.open("name", b); err == nil && string(content) != "content" {
			t.Fatalf("%q opened, and nobody sealed it", content)
		}
		if _, err := s.open("another", b); err == nil {
			t.Fatal("an object opened under another name")
		}
	})
}
