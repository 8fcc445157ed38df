package blob

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"
	"slices"
	"testing"

	"lockstep/internal/mail"
	"lockstep/internal/vfs"
)

func someRecipe() *recipe {
	r := &recipe{}
	r.addFrame(700, 400, zstdCoded)
	r.addFrame(frameSize, frameSize+sealOverhead, asItIs)
	r.addPart(mail.BlobName{1}, encoding{decoded: 1000, lineLen: 76, crlf: true, ended: true})
	r.addPart(mail.BlobName{2}, encoding{decoded: 57, lineLen: 76})
	r.addPart(mail.BlobName{1}, encoding{decoded: 1000, lineLen: 76, crlf: true})
	r.addFrame(3, 3+sealOverhead, asItIs)
	r.addFrame(900, 500, s2Coded)
	return r
}

func FuzzRecipe(f *testing.F) {
	f.Add(someRecipe().append(nil))
	f.Add((&recipe{}).append(nil))
	f.Add([]byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01})
	f.Add([]byte{0, 0xff, 0xff, 0xff, 0xff, 0x0f, 0, 1, 17})
	f.Add([]byte{1})
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := parseRecipe(b)
		if err != nil {
			if mail.KindOf(err) != mail.Corrupt {
				t.Fatalf("unexpected error %v", err)
			}
			return
		}
		if cap(r.segments) > len(b) {
			t.Fatalf("%d segments allocated for %d bytes", cap(r.segments), len(b))
		}
		again, err := parseRecipe(r.append(nil))
		if err != nil || again.size != r.size || again.stored != r.stored || !slices.Equal(again.segments, r.segments) {
			t.Fatalf("does not survive its own encoding: %v", err)
		}
		for i, s := range r.segments {
			if s.size <= 0 || r.find(s.off) != i || r.find(s.off+s.size-1) != i {
				t.Fatalf("segment %d cannot be found", i)
			}
		}
	})
}

func FuzzRecordHeader(f *testing.F) {
	h := recordHeader{tableLen: 100, bodyLen: 4000, size: 5000, name: mail.BlobName{1, 2}, bodyCRC: 7}
	f.Add(h.append(nil))
	f.Add([]byte("LSb1"))
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) >= headerSize { // let the fuzzer past the checksum
			b = slices.Clone(b)
			binary.BigEndian.PutUint32(b[140:], crc32.Checksum(b[:140], castagnoli))
		}
		h, err := parseHeader(b)
		if err != nil {
			return
		}
		if h.length() < headerSize || h.tableLen > maxTable || h.size > MaxSize {
			t.Fatalf("lengths out of bounds: %+v", h)
		}
		if got := h.append(nil); !bytes.Equal(got, b[:headerSize]) {
			t.Fatalf("does not survive its own encoding")
		}
	})
}

func FuzzPlace(f *testing.F) {
	f.Add("0193a3f4c2d1-20-1f3")
	f.Add("packs/0193a3f4c2d1.0123456789abcdef-20-1f3")
	f.Add("rows/0193a3f4c2d1.0123456789abcdef-0-1f3")
	f.Add("blobs/0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef.0123456789abcdef-0-1f3")
	f.Add("--")
	f.Fuzz(func(t *testing.T, s string) {
		p, err := parsePlace(s)
		if err != nil {
			return
		}
		if again, err := parsePlace(p.String()); err != nil || again != p {
			t.Fatalf("%q does not survive its own encoding", s)
		}
	})
}

func TestLimitsOfARecipe(t *testing.T) {
	for name, b := range map[string][]byte{
		"too many parts":        binary.AppendUvarint(nil, MaxParts+1),
		"frame too large":       append([]byte{0, 1, 1}, append(binary.AppendUvarint(nil, frameSize+1), 100)...),
		"empty frame":           {0, 1, 0, 0, 16},
		"plain frame stretched": {0, 1, 0, 5, 22},
		"part that is not":      {0, 1, 2, 0, 5, 76},
		"line length":           append(append([]byte{1}, make([]byte, 32)...), 1, 2, 0, 5, 75),
		"trailing bytes":        {0, 0, 0},
		"unknown kind":          {0, 1, 6, 1, 1, 1},
		"cut off":               {0, 2, 0, 5, 21},
	} {
		if _, err := parseRecipe(b); mail.KindOf(err) != mail.Corrupt {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestBlobLargerThanMaxSizeIsRefused(t *testing.T) {
	b := &builder{plain: frames.get()[:0]}
	b.recipe.size = MaxSize - 2
	if _, err := b.Write([]byte("xx")); err != nil {
		t.Errorf("at the limit: %v", err)
	}
	if _, err := b.Write([]byte("x")); mail.KindOf(err) != mail.Limit {
		t.Errorf("one past: %v", err)
	}
}

func TestTextOfPartsCountsTowardsMaxSize(t *testing.T) {
	b := &builder{plain: frames.get()[:0]}
	if err := b.addPart(mail.BlobName{}, encoding{decoded: MaxSize, lineLen: 4}); mail.KindOf(err) != mail.Limit {
		t.Errorf("got %v", err)
	}
}

func TestLengthsOfARecordAreBounded(t *testing.T) {
	for name, h := range map[string]recordHeader{
		"table": {tableLen: maxTable + 1},
		"body":  {bodyLen: maxBody + 1},
		"size":  {size: MaxSize + 1},
		"sign":  {size: -1},
	} {
		if _, err := parseHeader(h.append(nil)); mail.KindOf(err) != mail.Corrupt {
			t.Errorf("%s: %v", name, err)
		}
	}
	h := recordHeader{tableLen: maxTable, bodyLen: maxBody, size: MaxSize}
	if _, err := parseHeader(h.append(nil)); err != nil {
		t.Errorf("at the limits: %v", err)
	}
}

func TestDepthOfPartsIsBounded(t *testing.T) {
	if _, err := (&Store{}).openDeep(t.Context(), mail.Blob{}, maxDepth+1, nil); mail.KindOf(err) != mail.Corrupt {
		t.Errorf("got %v", err)
	}
}

func TestIdlePacksAreClosed(t *testing.T) {
	k := ringOf(t, keyFileHead+"\n"+keyLine(1, make([]byte, keySize)))
	p, err := newPacks(vfs.OS{}, t.TempDir(), k)
	if err != nil {
		t.Fatal(err)
	}
	defer p.close()
	var held []*pack
	for range maxIdlePacks + 10 {
		k, err := p.create()
		if err != nil {
			t.Fatal(err)
		}
		held = append(held, k)
	}
	for _, k := range held {
		p.release(k)
	}
	if len(p.open) != maxIdlePacks || len(p.idle) != maxIdlePacks {
		t.Errorf("%d open, %d idle", len(p.open), len(p.idle))
	}
	if k, err := p.acquire(held[0].id); err != nil || k == held[0] {
		t.Errorf("the first was not closed and opened again: %v", err)
	}
}

func TestLaterVersionIsNotDamage(t *testing.T) {
	h := recordHeader{tableLen: 100}
	b := h.append(nil)
	b[4] = recordVersion + 1
	binary.BigEndian.PutUint32(b[140:], crc32.Checksum(b[:140], castagnoli))
	if _, err := parseHeader(b); mail.KindOf(err) != mail.Unimplemented {
		t.Errorf("got %v", err)
	}
}

func TestPlacesOfOnePackSortTogether(t *testing.T) {
	var all []string
	for _, p := range []place{inPack(1, 32, 200), inPack(0x193a3f4c2d1, 1<<40, 200), inPack(2, 1<<30, 200), inPack(1, 1<<35, 200)} {
		all = append(all, p.String())
	}
	slices.Sort(all)
	for i := range all[1:] {
		if all[i][:12] > all[i+1][:12] {
			t.Errorf("%q", all)
		}
	}
}

// ringOf is the keyring of a key file with this text.
func ringOf(t *testing.T, text string) *Keyring {
	t.Helper()
	r, err := parseKeyring([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	k := &Keyring{}
	k.ring.Store(r)
	return k
}

func TestKeyOfALaterKeyFileIsNamed(t *testing.T) {
	k := ringOf(t, keyFileHead+"\n"+keyLine(1, make([]byte, keySize))+keyLine(2, bytes.Repeat([]byte{2}, keySize)))
	old := ringOf(t, keyFileHead+"\n"+keyLine(1, make([]byte, keySize)))
	name := k.name([]byte("sum"))
	if name != old.name([]byte("sum")) {
		t.Error("a rotation renames blobs")
	}
	wrapped := k.wrap(name, make([]byte, keySize))
	if _, err := old.unwrap(name, wrapped); err == nil || mail.KindOf(err) == mail.Corrupt {
		t.Errorf("want an error that names the key file, got %v", err)
	}
	if _, err := k.unwrap(mail.BlobName{}, wrapped); mail.KindOf(err) != mail.Corrupt {
		t.Errorf("under another name: %v", err)
	}
	if _, err := k.unwrap(name, old.wrap(name, make([]byte, keySize))); err != nil {
		t.Errorf("wrapped before the rotation: %v", err)
	}
}

func FuzzDecode(f *testing.F) {
	for _, size := range []int{1, 100, smallFrame, smallFrame + 1, frameSize} {
		coded, c := encode(bytes.Repeat([]byte("a letter "), size/9+1)[:size], make([]byte, frameBuffer))
		f.Add(bytes.Clone(coded), byte(c))
	}
	f.Add([]byte{0xff, 0xff, 0xff, 0xff, 0x0f, 0}, byte(s2Coded))
	f.Fuzz(func(t *testing.T, coded []byte, c byte) {
		if coding(c) != zstdCoded {
			c = byte(s2Coded)
		}
		dst := make([]byte, frameBuffer)
		plain, err := decode(coded, dst, coding(c))
		if err != nil {
			return
		}
		if len(plain) > frameSize || len(plain) > 0 && &plain[0] != &dst[0] {
			t.Fatalf("%d bytes, not where they should be", len(plain))
		}
		again, c2 := encode(plain, make([]byte, frameBuffer))
		if len(plain) > 0 {
			if got, err := decode(again, make([]byte, frameBuffer), c2); err != nil || !bytes.Equal(got, plain) {
				t.Fatalf("does not survive its own encoding: %v", err)
			}
		}
	})
}

func FuzzKeyFile(f *testing.F) {
	f.Add(keyFileHead + "\n# made 2026-01-02T03:04:05Z: key 1\n" + keyLine(1, make([]byte, keySize)))
	f.Add(keyFileHead2 + "\nretired 1 2026-01-02T03:04:05Z\n" + keyLine(2, make([]byte, keySize)) + secretLine(blobNames, make([]byte, keySize)) + secretLine(keyFingerprint, make([]byte, keySize)) + secretLine(laterPurposes, make([]byte, keySize)))
	f.Fuzz(func(t *testing.T, text string) {
		r, err := parseKeyring([]byte(text))
		if err != nil {
			return
		}
		if len(r.naming) != keySize || r.keys[len(r.keys)-1].wrap == nil {
			t.Fatalf("taken for a key file: %q", text)
		}
		if _, err := r.derive("lockstep for anything"); err != nil {
			t.Fatal(err)
		}
	})
}

func FuzzRewrites(f *testing.F) {
	h := recordHeader{tableLen: 100}
	f.Add(encodeRewrites([]rewrite{{1, packHeaderSize, h.append(nil)}}))
	f.Add(encodeRewrites(nil))
	f.Fuzz(func(t *testing.T, b []byte) {
		if all, whole := decodeRewrites(b); whole && !bytes.Equal(encodeRewrites(all), b) {
			t.Fatal("does not survive its own encoding")
		}
	})
}
