package main

import (
	"context"

	"lockstep/internal/auth"
)

// directoryTopic is where nodes tell each other that addresses changed.
const directoryTopic = "directory"

// joinSignIns has sign-outs, lock-outs and addresses hold on all nodes, if there are
// others.
func (h *house) joinSignIns(ctx context.Context) error {
	if h.cfg.Cluster.Database == "" {
		return nil
	}
	if err := h.auth.Join(ctx, auth.Nodes{Endings: h.db, Failures: h.db, Bus: h.bus}); err != nil {
		return err
	}
	if h.bus == nil {
		return nil
	}
	stop, err := h.bus.Receive(directoryTopic, func(string, []byte) { h.db.ForgetAddresses() })
	if err != nil {
		return err
	}
	h.closers = append(h.closers, func() error {
		stop()
		return nil
	})
	return nil
}

// tellAddresses tells the other nodes that addresses changed.
func (h *house) tellAddresses() {
	if h.bus != nil {
		h.bus.Send(directoryTopic, []byte("{}"))
	}
}
