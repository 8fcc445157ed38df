package mail

import (
	"encoding/json"
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

func TestUIDSetEqualsAPlainSet(t *testing.T) {
	for seed := range uint64(200) {
		r := rand.New(rand.NewPCG(seed, 1))
		var s UIDSet
		plain := map[UID]bool{}
		for range 60 {
			first := UID(1 + r.IntN(100))
			last := first + UID(r.IntN(6))
			s.AddRange(first, last)
			for u := first; u <= last; u++ {
				plain[u] = true
			}
		}
		if int(s.Count()) != len(plain) {
			t.Fatalf("seed %d: %v counts %d, want %d", seed, s, s.Count(), len(plain))
		}
		for u := UID(1); u < 110; u++ {
			if s.Contains(u) != plain[u] {
				t.Fatalf("seed %d: %v contains %d: %v", seed, s, u, s.Contains(u))
			}
		}
		for i := 1; i < len(s); i++ {
			if s[i].First <= s[i-1].Last+1 {
				t.Fatalf("seed %d: %v: ranges touch", seed, s)
			}
		}
		if all := slices.Collect(s.All()); len(all) != len(plain) || !slices.IsSorted(all) {
			t.Fatalf("seed %d: All gives %v", seed, all)
		}
	}
}

func TestUIDSetReachesTheLastUID(t *testing.T) {
	var s UIDSet
	s.Add(1<<32 - 1)
	s.AddRange(5, 1<<32-2)
	s.AddRange(1, 1<<32-1)
	if s.String() != "1:4294967295" || s.Count() != 1<<32-1 {
		t.Errorf("got %v, count %d", s, s.Count())
	}
}

func FuzzParseUIDSet(f *testing.F) {
	for _, s := range []string{"", "1", "3:1,7", "4294967295", "0", "1:", "1,,2", "9:4,5:6,1:2"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		s, err := ParseUIDSet(text)
		if err != nil {
			return
		}
		again, err := ParseUIDSet(s.String())
		if err != nil || !slices.Equal(s, again) {
			t.Errorf("%q is %v, and again %v, %v", text, s, again, err)
		}
		b, _ := json.Marshal(s)
		var back UIDSet
		if err := json.Unmarshal(b, &back); err != nil || !slices.Equal(s, back) {
			t.Errorf("%q by JSON is %v, %v", text, back, err)
		}
	})
}

func FuzzParsePosition(f *testing.F) {
	for _, s := range []string{"1.7", "0.0", "1.7-9-1-8-44", "1.7-9-4-8-44", "1.07", "-1.7", "1.9223372036854775808"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if p, ok := ParsePosition(text); ok && p.String() != text {
			t.Errorf("%q is read as %q", text, p)
		}
		if id, ok := ParseEmailID(text); ok && id.String() != text {
			t.Errorf("%q is read as %q", text, id)
		}
	})
}

func TestTokensOutOfBoundsAreRefused(t *testing.T) {
	for _, s := range []string{"", "1", ".", "1.", ".1", "1.9223372036854775808", "4294967296.1", "01.1", "1.+1"} {
		if got, ok := ParseToken(s); ok {
			t.Errorf("ParseToken(%q) = %v", s, got)
		}
	}
}

func TestNewsMergeLosesNothing(t *testing.T) {
	a := News{ModSeq: 1, Mailboxes: []MailboxID{1, 2}, Device: 3}
	b := News{ModSeq: 2, Mailboxes: []MailboxID{2, 4}, Device: 5}
	m := a.Merge(b)
	if m.ModSeq != 2 || !m.Touches(1) || !m.Touches(4) || m.Touches(9) || m.Device != 0 || len(m.Mailboxes) != 3 {
		t.Errorf("merged to %+v", m)
	}
	for i := range MailboxID(MaxNewsMailboxes) {
		m = m.Merge(News{ModSeq: 3, Mailboxes: []MailboxID{100 + i}})
	}
	if !m.Many || m.Mailboxes != nil || !m.Touches(9) {
		t.Errorf("past the bound: %+v", m)
	}
	late := b.Merge(a)
	if late.ModSeq != 2 || !late.Touches(1) || !late.Touches(4) {
		t.Errorf("with what came late merged to %+v", late)
	}
	look := a.Merge(LookNews(2, time.Unix(7, 0))).Merge(News{ModSeq: 3})
	if !look.Look || look.ModSeq != 3 || !look.Touches(9) || !look.Types.Has(TypeSubmission) || !look.Types.Has(TypeMailbox) {
		t.Errorf("with a look merged to %+v", look)
	}
}

func TestAnOriginNeedsActorProtocolAndCause(t *testing.T) {
	defer func() {
		if recover() == nil {
			t.Error("an origin without an actor was made")
		}
	}()
	NewOrigin("", 0, IMAP, ByUser)
}

func TestEveryKindHasAName(t *testing.T) {
	seen := map[string]bool{}
	for _, k := range Kinds() {
		if k.String() == "" || seen[k.String()] {
			t.Errorf("kind %d is called %q", k, k)
		}
		seen[k.String()] = true
	}
}
