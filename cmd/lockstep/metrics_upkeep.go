package main

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"lockstep/internal/upkeep"
)

func (m *metrics) upkeepMetrics(h *house) {
	m.gauge("scrub_progress_ratio", "How much of the pass over everything that is stored is done; 1 between passes.", func() float64 { return h.scrub.Status().Share() })
	m.gauge("scrub_age_seconds", "How long ago everything had been looked at once; if it never was, since when that is tried.", func() float64 { return h.scrub.Status().Age(time.Now()).Seconds() })
	m.gauge("scrub_left", "Things that the last whole pass found wrong with accounts or the database and could not put right.", func() float64 {
		if last := h.scrub.Status().Last; last != nil {
			return float64(len(last.Left))
		}
		return 0
	})
	m.jobMetrics("backup", "backup", h.backupJob)
	m.jobMetrics("drill", "drill", h.drillJob)
	m.counted("scrub_bytes_total", "Bytes read by it.", func() float64 { return float64(h.scrub.Status().Stats.Bytes) })
	for result, value := range map[string]func(upkeep.Stats) int64{
		"damaged": func(s upkeep.Stats) int64 { return s.Damaged }, "mended": func(s upkeep.Stats) int64 { return s.Mended },
		"restored": func(s upkeep.Stats) int64 { return s.Restored }, "put_right": func(s upkeep.Stats) int64 { return s.PutRight },
		"left": func(s upkeep.Stats) int64 { return s.LeftWrong },
	} {
		m.labelled("scrub_findings_total", "What it found, and what became of that.", "result", result, func() int64 { return value(h.scrub.Status().Stats) })
	}
}

func (m *metrics) jobMetrics(name, what string, job *upkeep.Job) {
	m.gauge(name+"_age_seconds", "How long ago the last good "+what+" ended; -1 if there was none.", func() float64 {
		if st := job.Status(); !st.Began.IsZero() {
			return time.Since(st.Ended).Seconds()
		}
		return -1
	})
	m.gauge(name+"_duration_seconds", "How long it took.", func() float64 {
		st := job.Status()
		return st.Ended.Sub(st.Began).Seconds()
	})
	m.gauge(name+"_failures", "How many failed since.", func() float64 { return float64(job.Status().Times) })
	m.gauge(name+"_running", "Whether one is under way.", func() float64 {
		if job.Status().Since.IsZero() {
			return 0
		}
		return 1
	})
}

// gauge registers a number that a part knows.
func (m *metrics) gauge(name, help string, value func() float64) {
	m.registry.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help}, value))
}
