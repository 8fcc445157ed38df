package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"time"

	"lockstep/internal/config"
	"lockstep/internal/notify"
)

type serveCommand struct{}

func (serveCommand) Run(ctx context.Context, g *globals) error {
	cfg, err := g.load()
	if err != nil {
		return err
	}
	if err := mustBeEnded(cfg.Data); err != nil {
		return err
	}
	log := newLogger(cfg.Log)
	for again := true; again && err == nil; {
		again, err = serveUntilChangedOver(ctx, cfg, log)
	}
	return err
}

// reopenTime is how long a database that was changed over may take until it can be
// worked on.
const reopenTime = 2 * time.Minute

// serveUntilChangedOver serves until the server is to stop, or the database became
// another: again is true then. Nothing in memory is true any more, and what clients
// were told may never have been: so everything begins anew, as after a restart.
func serveUntilChangedOver(ctx context.Context, cfg config.Config, log *slog.Logger) (again bool, err error) {
	h, err := openHouse(ctx, cfg, log)
	if err != nil {
		return false, err
	}
	if err := h.greet(ctx); err != nil {
		return false, errors.Join(err, h.close())
	}
	began := time.Now()
	err = h.run(ctx, func(services []service) {
		for _, s := range services {
			h.log.Info("listening", "proto", s.key, "addr", s.l.Addr().String())
		}
		h.log.Info("started", "version", version, "data", cfg.Data, "took", time.Since(began).Round(time.Millisecond).String())
	})
	again = h.changedOver && ctx.Err() == nil
	if again {
		h.log.Warn("the database was changed over to another server: all sessions ended, and everything begins anew", "err", err)
		return true, errors.Join(h.close(), awaitDatabase(ctx, cfg, log))
	}
	h.log.Info("stopped")
	return false, errors.Join(err, h.close())
}

// awaitDatabase waits until the database can be opened again.
func awaitDatabase(ctx context.Context, cfg config.Config, log *slog.Logger) error {
	for end := time.Now().Add(reopenTime); ; {
		h := &house{cfg: cfg, log: log, hub: &notify.Hub{}}
		err := h.openDatabase(ctx)
		if err == nil {
			return h.db.Close()
		}
		if time.Now().After(end) {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(time.Second):
		}
	}
}

// greet says what an operator has to do, once.
func (h *house) greet(ctx context.Context) error {
	h.sayNewKey(os.Stderr)
	accounts, err := h.db.Accounts(ctx)
	if err == nil && len(accounts) == 0 {
		fmt.Fprintf(os.Stderr, "There are no accounts yet. Add one: lockstep account add alice@example.test --data %s\n", h.cfg.Data)
	}
	return err
}

func newLogger(c config.Log) *slog.Logger {
	var level slog.Level
	if err := level.UnmarshalText([]byte(c.Level)); err != nil {
		panic(err) // the configuration was checked
	}
	o := &slog.HandlerOptions{Level: level}
	if c.Format == "json" {
		return slog.New(slog.NewJSONHandler(os.Stderr, o))
	}
	return slog.New(slog.NewTextHandler(os.Stderr, o))
}

// notifySystemd tells a service manager that waits for it (sd_notify(3)).
func notifySystemd(state string) {
	socket := os.Getenv("NOTIFY_SOCKET")
	if socket == "" {
		return
	}
	if c, err := net.Dial("unixgram", socket); err == nil {
		_, _ = c.Write([]byte(state)) // nobody to tell if nobody listens
		c.Close()
	}
}
