package sqlstore_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"lockstep/internal/mail"
	"lockstep/internal/steady"
	"lockstep/internal/store"
	"lockstep/internal/store/sqlstore"
)

// outgoing is a message of its own for each number.
func (n *pair) outgoing(i int) store.Outgoing {
	return store.Outgoing{Delivery: fmt.Sprint("d", i), Account: n.ann.Account, Blob: letter(9, true).Blob, Recipient: "x@y.test", Arrived: time.Now(), Next: time.Now()}
}

func (n *pair) enqueue(db *sqlstore.DB, from, to int) {
	n.t.Helper()
	for i := from; i < to; i++ {
		n.must(db.Enqueue(context.Background(), []store.Outgoing{n.outgoing(i)}))
	}
}

// A node that stands still in the middle of what it does to the queue holds up nobody:
// not with the lane's row and the counter, which are all nodes', nor with the messages
// that it is about.
func TestNodesQueuesDoNotWaitForEachOther(t *testing.T) {
	n := twoNodes(t)
	ctx, cancel := context.WithTimeout(context.Background(), steady.Patience) // a lock is waited for no longer, and then there is an error
	defer cancel()
	n.enqueue(n.b, 0, 3)
	still := n.connect()
	n.sql(still, "BEGIN; SELECT 1 FROM lane WHERE lane = -1 FOR UPDATE; SELECT 1 FROM counter WHERE name = 'outgoing' FOR UPDATE; SELECT 1 FROM queue WHERE delivery = 'd0' FOR UPDATE")
	n.must(n.b.Enqueue(ctx, []store.Outgoing{n.outgoing(3), n.outgoing(4)}))
	now := time.Now().Add(time.Second)
	due, err := n.b.Due(ctx, "b", now, now.Add(time.Hour), 9)
	n.must(err)
	if len(due) != 4 {
		t.Fatalf("%d are due, want all but the one that is held", len(due))
	}
	n.must(n.b.Retry(ctx, "b", due[0].ID, now, "not now"))
	n.must(n.b.Done(ctx, due[1].ID))
	if left, err := n.b.Withdraw(ctx, n.ann.Account, "d9", now); left != 0 || err != nil {
		t.Errorf("withdrew %d, %v", left, err)
	}
	n.sql(still, "ROLLBACK")
	due, err = n.a.Due(ctx, "a", now, now.Add(time.Hour), 9)
	n.must(err)
	if len(due) != 2 {
		t.Errorf("%d are due afterwards, want the one that was held and the one that was put off", len(due))
	}
}

// Two nodes take from the queue, put off and finish what they took, and add the same
// messages, all at once: each is taken by one, and is there once.
func TestTwoNodesAtOneQueue(t *testing.T) {
	n := twoNodes(t)
	ctx := context.Background()
	const messages = 150
	taken := make(chan string, 2*messages)
	done := make(chan error, 4)
	for _, db := range []*sqlstore.DB{n.a, n.b} {
		go func() {
			var err error
			for i := 0; i < messages && err == nil; i++ {
				err = db.Enqueue(ctx, []store.Outgoing{n.outgoing(i)})
			}
			done <- err
		}()
		go func() {
			name := fmt.Sprintf("%p", db)
			for len(taken) < messages {
				now := time.Now().Add(time.Minute)
				due, err := db.Due(ctx, name, now, now.Add(time.Hour), 7)
				for _, o := range due {
					if o.Attempts == 0 && o.ID%5 == 0 {
						err = db.Retry(ctx, name, o.ID, time.Now(), "once more")
					} else {
						taken <- o.Delivery
						// What has left may be added again by who was late: so it stays, out of reach.
						err = db.Retry(ctx, name, o.ID, time.Now().Add(100*time.Hour), "done")
					}
					if err != nil {
						break
					}
				}
				if err != nil && mail.KindOf(err) != mail.NotFound {
					done <- err
					return
				}
			}
			done <- nil
		}()
	}
	for range 4 {
		select {
		case err := <-done:
			n.must(err)
		case <-time.After(steady.Patience):
			t.Fatalf("only %d of %d were taken", len(taken), messages)
		}
	}
	close(taken)
	seen := map[string]bool{}
	for d := range taken {
		if seen[d] {
			t.Errorf("%s was taken twice", d)
		}
		seen[d] = true
	}
	if got := n.number("SELECT count(*) FROM queue"); got != fmt.Sprint(messages) {
		t.Errorf("%s rows, want %d", got, messages)
	}
}
