package notify

import (
	"context"
	"testing"

	"lockstep/internal/mail"
)

func TestASlowReceiverSkipsNumbersButNotTheLast(t *testing.T) {
	var h Hub
	ctx, cancel := context.WithCancel(t.Context())
	ch := Chan(ctx, &h, 7)
	for n := range mail.ModSeq(50) {
		h.Publish(7, mail.News{ModSeq: n + 1, Mailboxes: []mail.MailboxID{mail.MailboxID(n % 3)}})
	}
	h.Publish(8, mail.News{ModSeq: 99})
	got := <-ch
	if got.ModSeq != 50 || len(got.Mailboxes) != 3 {
		t.Errorf("got %+v, want the 50th with three mailboxes", got)
	}
	select {
	case n := <-ch:
		t.Errorf("and again %+v", n)
	default:
	}
	cancel()
	if _, open := <-ch; open {
		t.Error("the channel is open after its context ended")
	}
	h.Publish(7, mail.News{ModSeq: 51}) // must not panic on the closed channel
}

func TestAStoppedWatcherIsForgotten(t *testing.T) {
	var h Hub
	n := 0
	stop := h.Watch(1, func(mail.News) { n++ })
	other := h.Watch(1, func(mail.News) {})
	h.Publish(1, mail.News{ModSeq: 1})
	stop()
	stop() // twice is harmless
	h.Publish(1, mail.News{ModSeq: 2})
	if n != 1 {
		t.Errorf("called %d times, want once", n)
	}
	other()
	if len(h.accounts) != 0 {
		t.Errorf("%d accounts are still watched", len(h.accounts))
	}
}

func TestWhoWatchesAllHearsOfEveryAccount(t *testing.T) {
	var h Hub
	heard := map[mail.AccountID]mail.ModSeq{}
	stop := h.WatchAll(func(a mail.AccountID, n mail.News) { heard[a] = n.ModSeq })
	h.Publish(1, mail.News{ModSeq: 7})
	h.Publish(2, mail.News{ModSeq: 9})
	stop()
	stop() // twice is harmless
	h.Publish(1, mail.News{ModSeq: 8})
	if len(heard) != 2 || heard[1] != 7 || heard[2] != 9 {
		t.Errorf("heard %v", heard)
	}
}
