package sqlstore

import (
	"context"
	"math"
	"time"

	"lockstep/internal/mail"
	"lockstep/internal/store"
)

const (
	announceNode = `INSERT INTO node (node_id, name, version, knows_schema, started, seen, state, detail) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)
	ON CONFLICT (node_id) DO UPDATE SET seen = excluded.seen, state = excluded.state, detail = excluded.detail`
	deleteNode  = "DELETE FROM node WHERE node_id = ?1"
	forgetNodes = "DELETE FROM node WHERE seen < ?1"
	selectNodes = "SELECT node_id, name, version, knows_schema, started, seen, state, detail FROM node WHERE seen > ?1 ORDER BY name, node_id"
)

// Announce implements store.Nodes.
func (db *DB) Announce(ctx context.Context, n store.Node) error {
	switch {
	case n.ID == "":
		return mail.Errorf(mail.Invalid, "a node has an id")
	case len(n.Detail) > store.MaxNodeDetail:
		return mail.Errorf(mail.Limit, "a node says %d bytes of itself at most", store.MaxNodeDetail)
	}
	detail := append([]byte{}, n.Detail...) // empty is not NULL
	return db.write(ctx, sharedLane, func(c conn) error {
		now, err := db.storeNow(c)
		if err != nil {
			return err
		}
		if _, err := c.exec(forgetNodes, now-store.NodeKept.Microseconds()); err != nil {
			return err
		}
		_, err = c.exec(announceNode, n.ID, n.Name, n.Version, n.Schema, n.Started, now, n.State, detail)
		return err
	}, nil)
}

// Leave implements store.Nodes.
func (db *DB) Leave(ctx context.Context, id string) error {
	return db.write(ctx, sharedLane, func(c conn) error {
		_, err := c.exec(deleteNode, id)
		return err
	}, nil)
}

// AllNodes implements store.Nodes.
func (db *DB) AllNodes(ctx context.Context, within time.Duration) (all []store.Node, err error) {
	err = db.ask(ctx, func(c conn) error {
		since := int64(math.MinInt64)
		if within > 0 {
			now, err := db.storeNow(c)
			if err != nil {
				return err
			}
			since = now - within.Microseconds()
		}
		return c.query(selectNodes, func(r row) error {
			all = append(all, store.Node{
				ID: r.text(0), Name: r.text(1), Version: r.text(2), Schema: int(r.num(3)), Started: unstamp(r.num(4)), Seen: unstamp(r.num(5)),
				State: r.text(6), Detail: r.bytes(7),
			})
			return nil
		}, since)
	})
	return all, err
}

// Clock implements store.Nodes.
func (db *DB) Clock(ctx context.Context) (at time.Time, err error) {
	err = db.ask(ctx, func(c conn) error {
		now, err := db.storeNow(c)
		at = unstamp(now)
		return err
	})
	return at, err
}
