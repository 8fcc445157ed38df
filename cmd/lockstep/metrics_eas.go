package main

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// easMetrics counts what devices ask for by ActiveSync.
type easMetrics struct {
	commands *prometheus.CounterVec
	seconds  *prometheus.HistogramVec
}

func newEASMetrics(r *prometheus.Registry) *easMetrics {
	m := &easMetrics{
		commands: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "activesync_commands_total", Help: "ActiveSync commands by name and result."}, []string{"cmd", "result"}),
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "activesync_command_seconds", Help: "From an ActiveSync command to its answer, waiting included.",
			Buckets: prometheus.ExponentialBuckets(0.0001, 4, 13)}, []string{"cmd"}),
	}
	r.MustRegister(m.commands, m.seconds)
	return m
}

// Command counts one command.
func (m *easMetrics) Command(name, result string, took time.Duration) {
	m.commands.WithLabelValues(name, result).Inc()
	m.seconds.WithLabelValues(name).Observe(took.Seconds())
}
