package main

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// commandMetrics counts what is asked for by a protocol over HTTP.
type commandMetrics struct {
	commands *prometheus.CounterVec
	seconds  *prometheus.HistogramVec
}

func newCommandMetrics(r *prometheus.Registry, prefix, protocol string) *commandMetrics {
	m := &commandMetrics{
		commands: prometheus.NewCounterVec(prometheus.CounterOpts{Name: prefix + "_commands_total", Help: protocol + " commands by name and result."}, []string{"cmd", "result"}),
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: prefix + "_command_seconds", Help: "From a command of " + protocol + " to its answer, waiting included.",
			Buckets: prometheus.ExponentialBuckets(0.0001, 4, 13)}, []string{"cmd"}),
	}
	r.MustRegister(m.commands, m.seconds)
	return m
}

// Command counts one command.
func (m *commandMetrics) Command(name, result string, took time.Duration) {
	m.commands.WithLabelValues(name, result).Inc()
	m.seconds.WithLabelValues(name).Observe(took.Seconds())
}
