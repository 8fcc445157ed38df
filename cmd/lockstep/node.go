package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"time"

	"lockstep/internal/cluster"
	"lockstep/internal/mail"
	"lockstep/internal/store"
	"lockstep/internal/store/sqlstore"
)

// Topics of the bus by which nodes wake each other.
const (
	queueTopic = "queue" // something is to be sent
	pushTopic  = "push"  // the subscriptions of an account changed
)

// isClustered reports whether there may be other nodes.
func (h *house) isClustered() bool { return h.cfg.Cluster.Database != "" }

// openNode makes this server a node among others, or one that is alone.
func (h *house) openNode() {
	about := cluster.About{Name: nodeName(h.cfg), Version: version, Schema: sqlstore.Knows()}
	h.keeper = &cluster.Keeper{Bus: h.bus, Log: h.log}
	if h.isClustered() {
		h.node = cluster.New(h.db, about, h.describe, h.log)
		h.keeper.Leases = h.db
	} else {
		h.node = cluster.New(nil, about, nil, h.log)
	}
	h.keeper.Node = h.node
}

// describe is what the node says of itself at each beat.
func (h *house) describe(ctx context.Context) cluster.Detail {
	d := cluster.Detail{Addresses: h.addresses(), Sessions: h.sessions(), Settings: h.cfg.Fingerprint()}
	if err := cmp.Or(h.blobsUsable(ctx), h.blobs.Reachable(ctx)); err != nil {
		d.Blobs = mail.DetailOf(err)
	}
	if h.bus != nil && !h.bus.Stats().Connected {
		d.Bus = "not connected"
	}
	var err error
	if d.Behind, err = h.behind(ctx); err != nil {
		h.log.WarnContext(ctx, "how far this node is behind is not known now", "err", err)
	}
	return d
}

// behindOf is of how many accounts a node looks at each beat whether its sessions are
// behind: a read each.
const behindOf = 4

// behind is how far sessions here are behind what was committed, on whatever node.
func (h *house) behind(ctx context.Context) (b cluster.Behind, err error) {
	lag, err := h.hub.Behind(ctx, behindOf)
	if err != nil || lag.Commits() == 0 {
		return b, err
	}
	b.Commits = lag.Commits()
	err = h.db.View(ctx, lag.Account, func(r store.Reader) error {
		missed, err := r.Journal(store.JournalQuery{After: lag.Told, Before: lag.Told + 2, Limit: 1})
		for _, rec := range missed {
			b.Time = max(h.node.Now().Sub(rec.Time), 0)
		}
		return err
	})
	return b, err
}

// addressesOf are where services listen, by protocol.
func addressesOf(services []service) func() map[string][]string {
	all := map[string][]string{}
	for _, s := range services {
		all[s.key] = append(all[s.key], s.l.Addr().String())
	}
	return func() map[string][]string { return all }
}

// listenToNodes hears from other nodes what wakes this one, until stop.
func (h *house) listenToNodes() (stop func(), err error) {
	if h.bus == nil {
		return func() {}, nil
	}
	free, err := h.keeper.Listen()
	if err != nil {
		return nil, err
	}
	queue, err := h.bus.Receive(queueTopic, func(string, []byte) { h.wakeQueue() })
	if err != nil {
		free()
		return nil, err
	}
	push, err := h.bus.Receive(pushTopic, func(_ string, body []byte) {
		var id mail.AccountID
		if json.Unmarshal(body, &id) == nil {
			h.lookToPush(id)
		}
	})
	if err != nil {
		free()
		queue()
		return nil, err
	}
	return func() { free(); queue(); push() }, nil
}

// tellPusher tells the node that pushes of an account whose subscriptions changed.
func (h *house) tellPusher(id mail.AccountID) {
	if body, err := json.Marshal(id); err == nil && h.bus != nil {
		h.bus.Send(pushTopic, body)
	}
}

// queued wakes whoever empties the queue.
func (h *house) queued() {
	h.wakeQueue()
	if h.bus != nil {
		h.bus.Send(queueTopic, nil)
	}
}

// againAfter is how long a part of the server that failed on one node rests, where
// other parts go on without it.
const againAfter = 10 * time.Second

// onOne is a part of the server that runs on one node of all. There a failure, such as a
// database that is away for a moment, is logged, and it begins again, here or elsewhere.
func (h *house) onOne(name string, run func(context.Context) error) func(context.Context) error {
	return func(ctx context.Context) error {
		for {
			err := h.keeper.Keep(ctx, name, run)
			if err == nil || ctx.Err() != nil || !h.isClustered() {
				return err
			}
			h.log.ErrorContext(ctx, "this failed, and begins again", "part", name, "err", err)
			select {
			case <-ctx.Done():
				return nil
			case <-time.After(againAfter):
			}
		}
	}
}

// cutEvery is how often it is looked for what nodes left unfinished that are gone.
const cutEvery = 30 * time.Second

// finishCut finishes what nodes that are gone had begun: a server that is alone did so
// when it opened its data.
func (h *house) finishCut(ctx context.Context) error {
	if !h.isClustered() {
		return nil
	}
	if err := h.db.FinishCut(ctx); err != nil && ctx.Err() == nil {
		h.log.ErrorContext(ctx, "upkeep: removed accounts", "err", err)
	}
	tick := time.NewTicker(cutEvery)
	defer tick.Stop()
	for {
		living := []string{h.node.ID()}
		for _, p := range h.node.Peers() {
			living = append(living, p.ID)
		}
		if err := h.transfer.Resume(ctx, living...); err != nil && ctx.Err() == nil {
			h.log.ErrorContext(ctx, "upkeep: moves", "err", err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// runNode says that the node lives, from before it serves until after it ended.
func (h *house) runNode(ctx context.Context) (end func() error, err error) {
	if err := h.node.Begin(ctx); err != nil {
		return nil, err
	}
	stop, err := h.listenToNodes()
	if err != nil {
		return nil, err
	}
	living, leave := context.WithCancel(context.WithoutCancel(ctx))
	left := make(chan error, 2)
	go func() { left <- h.node.Run(living) }()
	go func() { left <- h.keeper.Run(living) }()
	return func() error {
		stop()
		leave()
		return errors.Join(<-left, <-left)
	}, nil
}
