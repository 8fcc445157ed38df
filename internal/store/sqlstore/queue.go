package sqlstore

import (
	"context"
	"hash/fnv"
	"io"
	"sync"
	"time"

	"lockstep/internal/mail"
	"lockstep/internal/store"
)

const (
	insertOutgoing = `INSERT INTO queue (outgoing_id, delivery, owner_id, blob, reverse_path, recipient, options, arrived, attempts, next_attempt, last_error)
	VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11) ON CONFLICT (delivery, recipient) DO NOTHING`
	drawNumbers    = "UPDATE counter SET next = next + ?2 WHERE name = ?1 RETURNING next - ?2"
	selectDelivery = "SELECT 1 FROM queue WHERE delivery = ?1 AND recipient = ?2"
	selectOutgoing = `SELECT q.outgoing_id, q.delivery, q.owner_id, q.blob, q.reverse_path, q.recipient, q.options, q.arrived, q.attempts,
	q.next_attempt, q.last_error, b.size, b.place, b.key, q.restored FROM queue q JOIN blob b ON b.name = q.blob`
	selectDue     = selectOutgoing + " WHERE q.next_attempt <= ?1 AND q.restored = 0 ORDER BY q.next_attempt, q.outgoing_id LIMIT ?2"
	selectQueued  = selectOutgoing + " WHERE q.delivery = ?2 AND q.owner_id = ?1 ORDER BY q.recipient"
	withdraw      = "DELETE FROM queue WHERE delivery = ?2 AND owner_id = ?1 AND arrived > ?3 AND (next_attempt = arrived OR restored = 1)"
	selectPending = selectOutgoing + " ORDER BY q.next_attempt, q.outgoing_id LIMIT ?1"
	leaseOutgoing = "UPDATE queue SET next_attempt = ?2, taken_by = ?3 WHERE outgoing_id IN list(?1) AND next_attempt <= ?4 AND restored = 0"
	giveBack      = `UPDATE queue SET next_attempt = CASE WHEN next_attempt > ?1 THEN ?1 ELSE next_attempt END, taken_by = ''
	WHERE taken_by <> '' AND taken_by <> ?2 AND restored = 0 AND taken_by NOT IN (SELECT n.node_id FROM node n WHERE n.seen > ?3)`
	selectInHand   = "SELECT outgoing_id FROM queue WHERE taken_by = ?1 AND outgoing_id IN list(?2)"
	retryOutgoing  = "UPDATE queue SET next_attempt = ?3, last_error = ?4, attempts = attempts + 1, taken_by = '' WHERE outgoing_id = ?1 AND taken_by = ?2"
	deleteOutgoing = "DELETE FROM queue WHERE outgoing_id = ?1"
	selectNextDue  = "SELECT next_attempt FROM queue WHERE restored = 0 ORDER BY next_attempt LIMIT 1"
)

// numbersOfQueue is how many numbers of outgoing mail a node of several takes at a
// time, so that the counter is nobody's bottleneck. A node that ends leaves some out.
const numbersOfQueue = 64

// numberBlock are numbers that a node has taken and not given yet.
type numberBlock struct {
	mu         sync.Mutex
	next, left int64
}

func (n *numberBlock) take(count int64) (first int64, ok bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.left < count {
		return 0, false
	}
	first = n.next
	n.next, n.left = n.next+count, n.left-count
	return first, true
}

func (n *numberBlock) refill(next, left int64) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.next, n.left = next, left
}

// numbers gives outgoing mail its numbers on a shared engine. It costs a small transaction of its own for
// every numbersOfQueue.
func (db *DB) numbers(ctx context.Context, count int64) (first int64, err error) {
	if first, ok := db.outgoing.take(count); ok {
		return first, nil
	}
	block := max(count, numbersOfQueue)
	err = db.write(ctx, queueLane, func(c conn) error {
		_, err := one(c, drawNumbers, func(r row) { first = r.num(0) }, "outgoing", block)
		return err
	}, nil)
	if err == nil {
		db.outgoing.refill(first+count, block-count)
	}
	return first, err
}

// Enqueue implements store.Queue. Whoever adds the same at once waits for who was
// first.
func (db *DB) Enqueue(ctx context.Context, out []store.Outgoing) error {
	if len(out) == 0 {
		return nil
	}
	var first int64
	if db.shared {
		var err error
		if first, err = db.numbers(ctx, int64(len(out))); err != nil {
			return err
		}
	}
	h := fnv.New64a()
	_, _ = io.WriteString(h, out[0].Delivery)
	return db.write(ctx, queueLaneOf(h.Sum64()), func(c conn) error {
		for i, o := range out {
			if o.ID = 0; db.shared {
				o.ID = first + int64(i)
			}
			if err := db.enqueue(c, o); err != nil {
				return err
			}
		}
		return nil
	}, nil)
}

func (db *DB) enqueue(c conn, o store.Outgoing) error {
	there, err := one(c, selectDelivery, func(row) {}, o.Delivery, o.Recipient)
	if err != nil || there {
		return err
	}
	if err := nameBlobs(c, &db.naming, db.now(), o.Blob); err != nil {
		return err
	}
	if o.ID == 0 {
		if o.ID, err = draw(c, "outgoing"); err != nil {
			return err
		}
	}
	_, err = c.exec(insertOutgoing, o.ID, o.Delivery, o.Account, o.Blob.Name, o.ReversePath, o.Recipient, o.Options, o.Arrived, o.Attempts, o.Next, o.LastError)
	return err
}

func scanOutgoing(r row) store.Outgoing {
	name := mail.BlobName(r.bytes(3))
	return store.Outgoing{
		ID: r.num(0), Delivery: r.text(1), Account: mail.AccountID(r.num(2)),
		Blob:        mail.Blob{Name: name, Size: r.num(11), Place: r.text(12), Key: r.bytes(13)},
		ReversePath: r.text(4), Recipient: r.text(5), Options: r.bytes(6), Arrived: unstamp(r.num(7)), Attempts: int(r.num(8)),
		Next: unstamp(r.num(9)), LastError: r.text(10), Restored: r.num(14) != 0,
	}
}

// Due implements store.Queue. On a shared engine what others have under their hands is
// passed over, and what is found is held: two statements for however many.
func (db *DB) Due(ctx context.Context, node string, now, lease time.Time, limit int) ([]store.Outgoing, error) {
	var due []store.Outgoing
	err := db.write(ctx, queueLane, func(c conn) error {
		due = nil
		var ids ints
		err := c.query(selectDue, func(r row) error {
			o := scanOutgoing(r)
			o.Next = unstamp(stamp(lease))
			due, ids = append(due, o), append(ids, o.ID)
			return nil
		}, now, limit)
		if err != nil || len(due) == 0 {
			return err
		}
		taken, err := c.exec(leaseOutgoing, ids, lease, node, now)
		if err == nil && taken != int64(len(due)) {
			panic("sqlstore: outgoing mail that is held was taken")
		}
		return err
	}, nil)
	return due, err
}

// GiveBack implements store.Queue.
func (db *DB) GiveBack(ctx context.Context, node string, now time.Time, silent time.Duration) (n int, err error) {
	err = db.write(ctx, queueLane, func(c conn) error {
		clock, err := db.storeNow(c)
		if err != nil {
			return err
		}
		given, err := c.exec(giveBack, now, node, clock-silent.Microseconds())
		n = int(given)
		return err
	}, nil)
	return n, err
}

// InHand implements store.Queue.
func (db *DB) InHand(ctx context.Context, node string, ids []int64) (still []int64, err error) {
	err = db.ask(ctx, func(c conn) error {
		return c.query(selectInHand, func(r row) error { still = append(still, r.num(0)); return nil }, node, ints(ids))
	})
	return still, err
}

// Retry implements store.Queue.
func (db *DB) Retry(ctx context.Context, node string, id int64, next time.Time, lastError string) error {
	return db.writeOneIn(ctx, queueLaneOf(uint64(id)), "not in the queue", retryOutgoing, id, node, next, lastError)
}

// Done implements store.Queue.
func (db *DB) Done(ctx context.Context, id int64) error {
	return db.writeOneIn(ctx, queueLaneOf(uint64(id)), "not in the queue", deleteOutgoing, id)
}

// Queued implements store.Queue.
func (db *DB) Queued(ctx context.Context, id mail.AccountID, delivery string) ([]store.Outgoing, error) {
	var left []store.Outgoing
	err := db.read(ctx, func(c conn) error {
		return c.query(selectQueued, func(r row) error { left = append(left, scanOutgoing(r)); return nil }, id, delivery)
	})
	return left, err
}

// Withdraw implements store.Queue.
func (db *DB) Withdraw(ctx context.Context, id mail.AccountID, delivery string, now time.Time) (n int, err error) {
	err = db.write(ctx, queueLane, func(c conn) error {
		gone, err := c.exec(withdraw, id, delivery, now)
		n = int(gone)
		return err
	}, nil)
	return n, err
}

// Pending implements store.Queue.
func (db *DB) Pending(ctx context.Context, limit int) ([]store.Outgoing, error) {
	var all []store.Outgoing
	err := db.read(ctx, func(c conn) error {
		return c.query(selectPending, func(r row) error { all = append(all, scanOutgoing(r)); return nil }, limit)
	})
	return all, err
}

// NextDue implements store.Queue.
func (db *DB) NextDue(ctx context.Context) (time.Time, error) {
	var at time.Time
	err := db.read(ctx, func(c conn) error {
		_, err := one(c, selectNextDue, func(r row) { at = unstamp(r.num(0)) })
		return err
	})
	return at, err
}
