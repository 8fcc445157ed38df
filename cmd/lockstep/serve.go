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
)

type serveCommand struct{}

func (serveCommand) Run(ctx context.Context, g *globals) error {
	cfg, err := g.load()
	if err != nil {
		return err
	}
	h, err := openHouse(ctx, cfg, newLogger(cfg.Log))
	if err != nil {
		return err
	}
	if err := h.greet(ctx); err != nil {
		return errors.Join(err, h.close())
	}
	began := time.Now()
	err = h.run(ctx, func(services []service) {
		for _, s := range services {
			h.log.Info("listening", "proto", s.key, "addr", s.l.Addr().String())
		}
		h.log.Info("started", "version", version, "data", cfg.Data, "took", time.Since(began).Round(time.Millisecond).String())
	})
	h.log.Info("stopped")
	return errors.Join(err, h.close())
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
