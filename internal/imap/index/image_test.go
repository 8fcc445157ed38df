package index

import (
	"bytes"
	"context"
	"math/rand/v2"
	"testing"

	"lockstep/internal/mail"
	"lockstep/internal/store"
)

// image returns what the store keeps of the mailbox; nil if there is nothing.
func (s *scene) image() (b []byte) {
	s.t.Helper()
	err := s.st.View(context.Background(), s.account, func(r store.Reader) (err error) {
		b, err = r.Cursor(0, CursorName(s.inbox))
		return err
	})
	if err != nil && mail.KindOf(err) != mail.NotFound {
		s.t.Fatal(err)
	}
	return b
}

// cold returns the mailbox as a process sees it that has just begun.
func (s *scene) cold() *Version {
	s.t.Helper()
	s.cache.Wait()
	s.cache = NewCache(s.st, 0)
	s.cache.imageFrom = 100
	b := s.cache.Open(s.account, s.inbox)
	defer b.Close()
	v, err := b.At(context.Background(), 0)
	if err != nil {
		s.t.Fatal(err)
	}
	s.cache.Wait()
	return v
}

// Whatever happened since the image was made, who opens the mailbox sees it as it
// is.
func TestImagesLeadToWhatIsThere(t *testing.T) {
	for seed := range uint64(5) {
		s := newScene(t, 0)
		rng := rand.New(rand.NewPCG(seed, 7))
		s.add(700)
		s.check(s.cold())
		if s.image() == nil {
			t.Fatal("no image was made")
		}
		fromImages := 0
		for range 60 {
			for range rng.IntN(12) {
				s.random(rng)
			}
			if rng.IntN(8) == 0 {
				if err := s.st.Prune(context.Background(), s.account, s.st.Now()); err != nil {
					t.Fatal(err)
				}
			}
			v := s.cold()
			s.check(v)
			if v.read < int(v.count) {
				fromImages++
			}
		}
		if fromImages < 20 {
			t.Errorf("seed %d: %d of 60 were made from an image", seed, fromImages)
		}
	}
}

func TestImageSurvivesItsEncoding(t *testing.T) {
	s := newScene(t, 0)
	s.add(300)
	rng := rand.New(rand.NewPCG(1, 1))
	for range 50 {
		s.random(rng)
	}
	want := s.cold()
	got := decodeImage(want.encode())
	if got == nil || got.ModSeq != want.ModSeq || got.HighestModSeq != want.HighestModSeq || got.Epoch != want.Epoch || !bytes.Equal(got.encode(), want.encode()) {
		t.Fatalf("%+v, want %+v", got, want)
	}
	s.check(got)
}

// A damaged image is none.
func TestDamagedImagesAreNotBelieved(t *testing.T) {
	s := newScene(t, 0)
	s.add(300)
	v := s.cold()
	image := s.image()
	for i := range image {
		bad := bytes.Clone(image)
		bad[i] ^= 0x20
		if decodeImage(bad) != nil || decodeImage(image[:i]) != nil {
			t.Fatalf("damage at %d of %d is not seen", i, len(image))
		}
	}
	err := s.st.Note(context.Background(), s.account, func(n store.Notes) error { return n.SetCursor(0, CursorName(s.inbox), image[:100]) })
	if err != nil {
		t.Fatal(err)
	}
	again := s.cold()
	s.check(again)
	if again.read != int(v.count) || decodeImage(s.image()) == nil {
		t.Errorf("%d rows of %d were read, and the image was not made anew", again.read, v.count)
	}
}

func FuzzImage(f *testing.F) {
	v := &Version{Epoch: 1, ModSeq: 9, HighestModSeq: 8, flags: newFlagTable()}
	seen, _ := mail.NewFlags(`\Seen`, "$Forwarded")
	v.add([]Entry{{1, v.flags.id(mail.Flags{}), 3}, {7, v.flags.id(seen), 2}, {1<<32 - 1, v.flags.id(seen), 8}})
	v.number()
	f.Add(v.encode()[:len(v.encode())-4])
	f.Add([]byte{imageVersion, 0, 0, 0, 0, 0})
	f.Fuzz(func(t *testing.T, b []byte) {
		v := decodeImage(sealed(b))
		if v == nil {
			return
		}
		last := mail.UID(0)
		for _, e := range v.All() {
			if e.UID <= last {
				t.Fatalf("UID %d after %d", e.UID, last)
			}
			last = e.UID
			v.FlagText(e)
		}
		again := decodeImage(v.encode())
		if again == nil || again.count != v.count || again.ModSeq != v.ModSeq || !bytes.Equal(again.encode(), v.encode()) {
			t.Fatal("does not survive its own encoding")
		}
	})
}

// An image of before a restore is none: everything changed then.
func TestImagesOfBeforeARestoreAreNotBelieved(t *testing.T) {
	s := newScene(t, 0)
	s.add(300)
	before := s.cold()
	warm := s.cache.Open(s.account, s.inbox)
	defer warm.Close()
	if err := s.st.Restored(t.Context()); err != nil {
		t.Fatal(err)
	}
	after := s.cold()
	s.check(after)
	if after.read != 300 || after.Epoch <= before.Epoch {
		t.Errorf("read %d rows, epoch %d after %d", after.read, after.Epoch, before.Epoch)
	}
	for _, e := range after.All() {
		if e.ModSeq != after.HighestModSeq || e.ModSeq <= before.HighestModSeq {
			t.Fatalf("UID %d has ModSeq %d, HIGHESTMODSEQ was %d and is %d", e.UID, e.ModSeq, before.HighestModSeq, after.HighestModSeq)
		}
	}
	if v, err := warm.At(t.Context(), after.ModSeq); err != nil || v.Epoch != after.Epoch || v.HighestModSeq != after.HighestModSeq {
		t.Errorf("one that was open shows %+v, %v", v, err)
	}
	s.add(10)
	again := s.cold()
	s.check(again)
	if again.read >= 300 {
		t.Error("the image was not made anew")
	}
}

// However a mailbox changes, who opens it after a start reads few rows beside its
// image: a page of a cold disk each.
func TestFewRowsAreReadBesideAnImage(t *testing.T) {
	s := newScene(t, 0)
	s.add(700)
	s.cold()
	b := s.cache.Open(s.account, s.inbox)
	defer b.Close()
	rng := rand.New(rand.NewPCG(3, 1))
	most := 0
	for range 300 {
		s.random(rng)
		if _, err := b.Newest(context.Background()); err != nil {
			t.Fatal(err)
		}
		s.cache.Wait()
		fresh := NewCache(s.st, 0).Open(s.account, s.inbox)
		v, err := fresh.At(context.Background(), 0)
		if err != nil {
			t.Fatal(err)
		}
		most = max(most, v.read)
		fresh.Close()
	}
	if most < renewFrom/2 || most > renewFrom*5/4 {
		t.Errorf("%d rows were read, want %d at most", most, renewFrom)
	}
}
