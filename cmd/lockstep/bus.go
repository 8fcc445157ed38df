package main

import (
	"context"
	"fmt"
	"os"

	"lockstep/internal/config"
	"lockstep/internal/mail"
	"lockstep/internal/notify"
	"lockstep/internal/notify/natsbus"
	"lockstep/internal/notify/pgbus"
	"lockstep/internal/store"
)

// joinNodes connects to the other nodes, if there are others.
func (h *house) joinNodes() (err error) {
	if h.bus, err = h.openBus(); h.bus == nil || err != nil {
		return err
	}
	h.closers = append(h.closers, h.bus.Close)
	leave, err := h.hub.Join(h.bus, h.head, h.log)
	if err != nil {
		return err
	}
	h.closers = append(h.closers, func() error {
		leave()
		return nil
	})
	return nil
}

// openBus connects by what the configuration names; nil if there is one server only.
func (h *house) openBus() (notify.Bus, error) {
	c := h.cfg.Cluster
	switch {
	case c.Database == "":
		return nil, nil
	case c.Notify != "":
		b, err := natsbus.Open(c.Notify, nodeName(h.cfg), h.log)
		if err != nil {
			return nil, fmt.Errorf("cluster.notify: %w", err)
		}
		return b, nil
	}
	password, err := h.databasePassword()
	if err != nil {
		return nil, err
	}
	b, err := pgbus.Open(pgbus.Options{URL: c.Database, Password: password, Log: h.log})
	if err != nil {
		return nil, fmt.Errorf("cluster.database: %w", err)
	}
	return b, nil
}

// head is where an account is.
func (h *house) head(ctx context.Context, id mail.AccountID) (head mail.ModSeq, err error) {
	err = h.db.View(ctx, id, func(r store.Reader) error {
		a, err := r.Account()
		head = a.Head
		return err
	})
	return head, err
}

// nodeName is what operators call this node.
func nodeName(cfg config.Config) string {
	if cfg.Cluster.Node != "" {
		return cfg.Cluster.Node
	}
	name, err := os.Hostname()
	if err != nil {
		return "unnamed"
	}
	return name
}

// busMetrics tell how the nodes tell each other.
func (m *metrics) busMetrics(h *house) {
	if h.bus == nil {
		return
	}
	m.counted("notify_sent_total", "Words to other nodes.", func() float64 { return float64(h.bus.Stats().Sent) })
	m.counted("notify_received_total", "Words of other nodes.", func() float64 { return float64(h.bus.Stats().Received) })
	m.counted("notify_dropped_total", "Words that were not sent, or not heard, as there was no connection or no room.", func() float64 { return float64(h.bus.Stats().Dropped) })
	m.counted("notify_gaps_total", "Times that words may have been lost; what is watched is looked at then.", func() float64 { return float64(h.bus.Stats().Gaps) })
	m.gauge("notify_connected", "Whether other nodes can be told, 1 or 0.", func() float64 {
		if h.bus.Stats().Connected {
			return 1
		}
		return 0
	})
}
