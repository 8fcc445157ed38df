package mail

import (
	"strings"
	"testing"
)

func TestFollowsAreReplacedEndedAndBounded(t *testing.T) {
	var f Follows
	f = f.With(1, 10).With(2, 20).With(1, 11).With(2, 0)
	if len(f) != 1 || f.Of(1) != 11 || f.Of(2) != 0 {
		t.Errorf("%v", f)
	}
	for i := range MaxFollowed {
		f = f.With(ThreadID(100+i), 5)
	}
	if len(f) != MaxFollowed || f.Of(1) != 0 || f.Of(100) != 5 {
		t.Errorf("%d, the oldest goes to %d", len(f), f.Of(1))
	}
	b, err := EncodeFollows(f)
	if err != nil || len(b) > MaxMetadataBytes {
		t.Errorf("%d bytes, %v", len(b), err)
	}
	if again, err := DecodeFollows(b); err != nil || len(again) != len(f) || again[7] != f[7] {
		t.Errorf("%d come back, %v", len(again), err)
	}
}

func TestWhatSaysNothingOfConversationsIsRefused(t *testing.T) {
	for _, text := range []string{"", "{", `{"version":2}`, `{"version":1,"follow":3}`, `{"version":1,"follow":[` + strings.TrimSuffix(strings.Repeat("{},", MaxFollowed+1), ",") + `]}`} {
		if f, err := DecodeFollows([]byte(text)); KindOf(err) != Invalid {
			t.Errorf("%.40s: %v, %v", text, f, err)
		}
	}
	if f, err := DecodeFollows(nil); f != nil || err != nil {
		t.Error(f, err)
	}
}

func FuzzDecodeFollows(f *testing.F) {
	f.Add([]byte(`{"version":1,"follow":[{"thread":1,"mailbox":2}]}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		all, err := DecodeFollows(b)
		if err == nil && len(all) > MaxFollowed {
			t.Error(len(all))
		}
	})
}
