package main

import (
	"testing"

	"lockstep/internal/config"
)

func TestEachMessageCanBeSentWithinTheHour(t *testing.T) {
	for _, c := range []struct{ perHour, recipients, want int }{{0, 1000, 0}, {2000, 1000, 2000}, {2000, 5000, 5000}} {
		cfg := config.Default()
		cfg.Limits.SentPerHour, cfg.Limits.Recipients = c.perHour, c.recipients
		if got := maxSent(cfg); got != c.want {
			t.Errorf("%+v: %d", c, got)
		}
	}
}
