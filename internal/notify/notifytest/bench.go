package notifytest

import (
	"context"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"time"

	"lockstep/internal/mail"
	"lockstep/internal/notify"
)

// Bench measures how long it takes from a Publish on one node to the watcher on another,
// in microseconds, alone and beside many of other accounts.
func Bench(b *testing.B, node func() notify.Bus) {
	for name, others := range map[string]time.Duration{"alone": 0, "beside 5000 a second": 200 * time.Microsecond} {
		b.Run(name, func(b *testing.B) { bench(b, node, others) })
	}
}

const (
	watchedHere = 1
	watchedNot  = 2
)

func bench(b *testing.B, node func() notify.Bus, others time.Duration) {
	head := func(context.Context, mail.AccountID) (mail.ModSeq, error) { return 0, nil }
	var from, to notify.Hub
	for _, h := range []*notify.Hub{&from, &to} {
		bus := node()
		defer bus.Close()
		leave, err := h.Join(bus, head, slog.New(slog.DiscardHandler))
		if err != nil {
			b.Fatal(err)
		}
		defer leave()
	}
	came := make(chan mail.ModSeq, 1)
	defer to.Watch(watchedHere, func(n mail.News) { came <- n.ModSeq })()
	time.Sleep(200 * time.Millisecond) // for the subscription
	ctx, stop := context.WithCancel(b.Context())
	var noise sync.WaitGroup
	defer noise.Wait()
	defer stop()
	if others > 0 {
		noise.Go(func() { publish(ctx, &from, others) })
	}
	var took []time.Duration
	n := mail.ModSeq(0)
	for b.Loop() {
		n++
		began := time.Now()
		from.Publish(watchedHere, mail.News{ModSeq: n, Mailboxes: []mail.MailboxID{4711}, At: began})
		select {
		case <-came:
		case <-time.After(patience):
			b.Fatal("it did not come")
		}
		took = append(took, time.Since(began))
	}
	slices.Sort(took)
	for name, share := range map[string]float64{"p50-µs": 0.5, "p99-µs": 0.99} {
		b.ReportMetric(float64(took[int(share*float64(len(took)-1))].Nanoseconds())/1000, name)
	}
}

// publish tells of one account again and again.
func publish(ctx context.Context, h *notify.Hub, every time.Duration) {
	began := time.Now()
	for n := mail.ModSeq(1); ctx.Err() == nil; n++ {
		h.Publish(watchedNot, mail.News{ModSeq: n, Mailboxes: []mail.MailboxID{4711}, At: time.Now()})
		time.Sleep(time.Until(began.Add(time.Duration(n) * every)))
	}
}
