package sqlstore

import (
	"sync"
	"sync/atomic"
	"testing"

	"lockstep/internal/mail"
	"lockstep/internal/store"
)

// BenchmarkFlags is flags of one message after another, changed in 16 accounts at once
// by sessions that take over their own changes.
func BenchmarkFlags(b *testing.B) {
	const accounts, messages = 16, 500
	h := newHome(b, Options{LogPages: 1 << 30})
	homes := h.neighbours(accounts-1, messages)
	seen, _ := mail.NewFlags(`\Seen`)
	changes := []mail.FlagChange{{Add: seen}, {Remove: seen}}
	var next atomic.Int64
	m := h.measure(b)
	var all sync.WaitGroup
	for _, h := range homes {
		all.Go(func() {
			for i := 0; next.Add(1) <= int64(b.N); i++ {
				h.update(func(tx store.Tx) error {
					_, err := tx.StoreFlags(h.inbox, mail.MakeUIDSet(mail.UID(i%messages+1)), changes[i/messages%2], nil)
					return err
				})
			}
		})
	}
	all.Wait()
	m.report()
}
