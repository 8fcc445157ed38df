package main

import (
	"context"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"lockstep/internal/mail"
	"lockstep/internal/store"
)

// Counting devices looks at each of them, so scrapes share one count.
const (
	deviceCountLasts = time.Minute
	deviceCountTime  = 5 * time.Second
)

// deviceCounts remembers the last count.
type deviceCounts struct {
	dir store.Directory

	mu     sync.Mutex
	at     time.Time
	counts []store.DeviceCount
}

// sum counts the devices that are so; -1 when that can't be known.
func (c *deviceCounts) sum(is func(store.DeviceCount) bool) float64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	if time.Since(c.at) > deviceCountLasts {
		ctx, cancel := context.WithTimeout(context.Background(), deviceCountTime)
		defer cancel()
		counts, err := c.dir.CountDevices(ctx)
		if err != nil {
			return -1
		}
		c.at, c.counts = time.Now(), counts
	}
	n := int64(0)
	for _, d := range c.counts {
		if is(d) {
			n += d.Devices
		}
	}
	return float64(n)
}

func (m *metrics) deviceMetrics(h *house) {
	c := &deviceCounts{dir: h.db}
	gauge := func(name, help, label, value string, is func(store.DeviceCount) bool) {
		o := prometheus.GaugeOpts{Name: name, Help: help, ConstLabels: prometheus.Labels{label: value}}
		m.registry.MustRegister(prometheus.NewGaugeFunc(o, func() float64 { return c.sum(is) }))
	}
	for _, a := range mail.Accesses() {
		gauge("devices", "Devices of all accounts, by whether they may come in.", "access", a.String(), func(d store.DeviceCount) bool { return d.Access == a })
	}
	for _, w := range []mail.WipeState{mail.WipeRequested, mail.WipeSent, mail.WipeConfirmed, mail.WipeRefused} {
		gauge("device_wipes", "Devices that were asked to wipe, by how far that came.", "state", string(w), func(d store.DeviceCount) bool { return d.Wipe == w })
	}
}
