package main

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"lockstep/internal/auth"
	"lockstep/internal/delivery"
	"lockstep/internal/httpd"
	"lockstep/internal/pop3"
	"lockstep/internal/search"
	"lockstep/internal/smtp"
)

// metrics is what the server counts. docs/operations.md says which question each
// answers.
type metrics struct {
	registry       *prometheus.Registry
	commands       *prometheus.CounterVec
	commandSeconds *prometheus.HistogramVec
	sessions       prometheus.Gauge
	bytes          *prometheus.CounterVec
	connections    *prometheus.CounterVec
	eas, jmap      *commandMetrics
	imap           atomic.Int64            // sessions now
	now            map[string]func() int64 // sessions of the other protocols
}

func newMetrics(h *house) *metrics {
	m := &metrics{
		now:      map[string]func() int64{},
		registry: prometheus.NewRegistry(),
		commands: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "imap_commands_total", Help: "IMAP commands by name and result."}, []string{"cmd", "result"}),
		commandSeconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "imap_command_seconds", Help: "From the end of an IMAP command to its answer.",
			Buckets: prometheus.ExponentialBuckets(0.0001, 4, 9)}, []string{"cmd"}),
		sessions:    prometheus.NewGauge(prometheus.GaugeOpts{Name: "imap_sessions", Help: "IMAP connections now."}),
		bytes:       prometheus.NewCounterVec(prometheus.CounterOpts{Name: "imap_bytes_total", Help: "Bytes of ended IMAP sessions, in or out."}, []string{"direction"}),
		connections: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "listener_connections_total", Help: "Connections accepted, by protocol."}, []string{"proto"}),
	}
	m.registry.MustRegister(m.commands, m.commandSeconds, m.sessions, m.bytes, m.connections, collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	m.eas = newCommandMetrics(m.registry, "activesync", "ActiveSync")
	m.jmap = newCommandMetrics(m.registry, "jmap", "JMAP")
	m.storeMetrics(h)
	m.followMetrics(h)
	m.blobMetrics(h)
	m.queueMetrics(h)
	m.deliveryMetrics(h)
	m.authMetrics(h)
	m.searchMetrics(h)
	m.deviceMetrics(h)
	m.upkeepMetrics(h)
	m.certificateMetrics(h)
	m.busMetrics(h)
	return m
}

// labelled registers one of the counters of a name, each with its own label.
func (m *metrics) labelled(name, help, label, is string, value func() int64) {
	o := prometheus.CounterOpts{Name: name, Help: help, ConstLabels: prometheus.Labels{label: is}}
	m.registry.MustRegister(prometheus.NewCounterFunc(o, func() float64 { return float64(value()) }))
}

func (m *metrics) deliveryMetrics(h *house) {
	for result, value := range map[string]func(delivery.Stats) int64{
		"delivered": func(s delivery.Stats) int64 { return s.Delivered }, "failed": func(s delivery.Stats) int64 { return s.Failed },
		"queued": func(s delivery.Stats) int64 { return s.Queued }, "sent": func(s delivery.Stats) int64 { return s.Sent },
		"put_off": func(s delivery.Stats) int64 { return s.PutOff }, "given_up": func(s delivery.Stats) int64 { return s.GivenUp },
	} {
		m.labelled("delivery_recipients_total", "What became of messages, for each recipient.", "result", result, func() int64 { return value(h.delivery.Stats()) })
	}
	m.counted("delivery_answers_total", "Automatic answers given for who is away.", func() float64 { return float64(h.delivery.Stats().Answers) })
	m.counted("delivery_reports_total", "Delivery status notifications made.", func() float64 { return float64(h.delivery.Stats().Reports) })
}

func (m *metrics) authMetrics(h *house) {
	for result, value := range map[string]func(auth.Stats) int64{
		"ok": func(s auth.Stats) int64 { return s.OK }, "wrong": func(s auth.Stats) int64 { return s.Wrong }, "limited": func(s auth.Stats) int64 { return s.Limited },
		"denied": func(s auth.Stats) int64 { return s.Denied }, "failed": func(s auth.Stats) int64 { return s.Failed },
	} {
		m.labelled("auth_signins_total", "Sign-ins by how they ended.", "result", result, func() int64 { return value(h.auth.Stats()) })
	}
}

func (m *metrics) searchMetrics(h *house) {
	for name, g := range map[string]struct {
		help  string
		value func(search.Lag) float64
	}{
		"search_lag_changes":  {"Changes of mail that the search index has not seen.", func(l search.Lag) float64 { return float64(l.Changes) }},
		"search_lag_seconds":  {"How long the oldest of these waits.", func(l search.Lag) float64 { return l.Time.Seconds() }},
		"search_lag_accounts": {"Accounts whose changes wait.", func(l search.Lag) float64 { return float64(l.Accounts) }},
	} {
		m.registry.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: g.help}, func() float64 { return g.value(h.search.Lag()) }))
	}
	m.counted("search_indexed_total", "Messages taken into the search index.", func() float64 { return float64(h.search.Stats().Indexed) })
	m.counted("search_unread_total", "Messages that could not be read for the search index.", func() float64 { return float64(h.search.Stats().Unread) })
	m.counted("search_damaged_total", "Search indexes found damaged; they are made again.", func() float64 { return float64(h.search.Stats().Damaged) })
	m.counted("search_failed_total", "Times a search index could not be written.", func() float64 { return float64(h.search.Stats().Failed) })
	m.counted("search_asked_total", "Texts that searches asked the index for.", func() float64 { return float64(h.search.Stats().Asked) })
	m.counted("search_decided_total", "Messages that were decided without reading them.", func() float64 { return float64(h.search.Stats().Decided) })
}

// watch counts what an SMTP or LMTP server does.
func (m *metrics) watch(proto string, s *smtp.Server) *smtp.Server {
	m.now[proto] = func() int64 { return s.Stats().Sessions }
	m.registry.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "smtp_sessions", Help: "SMTP and LMTP connections now.",
		ConstLabels: prometheus.Labels{"proto": proto}}, func() float64 { return float64(s.Stats().Sessions) }))
	m.labelled("smtp_turned_away_total", "Connections that were one too many.", "proto", proto, func() int64 { return s.Stats().TurnedAway })
	m.labelled("smtp_messages_total", "Messages received, whatever came of them.", "proto", proto, func() int64 { return s.Stats().Messages })
	m.labelled("smtp_bytes_total", "Bytes of these messages.", "proto", proto, func() int64 { return s.Stats().Bytes })
	m.labelled("smtp_refused_total", "Commands and messages answered with 4xx or 5xx.", "proto", proto, func() int64 { return s.Stats().Refused })
	return s
}

// watchHTTP counts what an HTTP server does, and returns it.
func (m *metrics) watchHTTP(s *httpd.Server) *httpd.Server {
	m.now["http"] = func() int64 { return int64(s.Stats().Connections) }
	m.registry.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "http_connections", Help: "HTTP connections now."}, func() float64 { return float64(s.Stats().Connections) }))
	m.registry.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "http_waiting", Help: "HTTP connections that wait, without a goroutine."}, func() float64 { return float64(s.Stats().Waiting) }))
	m.counted("http_turned_away_total", "HTTP connections that were one too many.", func() float64 { return float64(s.Stats().TurnedAway) })
	return s
}

// watchPOP3 counts what the POP3 server does.
func (m *metrics) watchPOP3(s *pop3.Server) *pop3.Server {
	m.now["pop3"] = func() int64 { return int64(s.Stats().Sessions) }
	m.registry.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "pop3_sessions", Help: "POP3 connections now."}, func() float64 { return float64(s.Stats().Sessions) }))
	m.counted("pop3_turned_away_total", "POP3 connections that were one too many.", func() float64 { return float64(s.Stats().TurnedAway) })
	m.counted("pop3_maildrops_total", "Maildrops opened by POP3.", func() float64 { return float64(s.Stats().Maildrops) })
	m.counted("pop3_retrieved_total", "Messages sent whole by POP3.", func() float64 { return float64(s.Stats().Retrieved) })
	m.counted("pop3_deleted_total", "Messages deleted by POP3, or moved to the trash.", func() float64 { return float64(s.Stats().Deleted) })
	m.counted("pop3_bytes_total", "Bytes sent in POP3 sessions that ended.", func() float64 { return float64(s.Stats().Bytes) })
	m.counted("pop3_refused_total", "POP3 commands answered with -ERR.", func() float64 { return float64(s.Stats().Refused) })
	return s
}

// counted registers a counter that a part keeps itself.
func (m *metrics) counted(name, help string, value func() float64) {
	m.registry.MustRegister(prometheus.NewCounterFunc(prometheus.CounterOpts{Name: name, Help: help}, value))
}

func (m *metrics) storeMetrics(h *house) {
	m.counted("store_commits_total", "Commits of the database, one sync each.", func() float64 { return float64(h.db.Stats().Commits) })
	m.counted("store_transactions_total", "Transactions; several share a commit.", func() float64 { return float64(h.db.Stats().Closures) })
	m.counted("store_reruns_total", "Batches that ran again, one transaction at a time.", func() float64 { return float64(h.db.Stats().Reruns) })
	m.counted("store_checkpoints_total", "Times the database's log was written back.", func() float64 { return float64(h.db.Stats().Checkpoints) })
	m.counted("store_statements_total", "Statements run by the writer.", func() float64 { return float64(h.db.Stats().Statements) })
	m.counted("store_commit_seconds_total", "Time spent in commits.", func() float64 { return h.db.Stats().CommitTime.Seconds() })
}

func (m *metrics) blobMetrics(h *house) {
	m.counted("blob_puts_total", "Messages and parts handed to the blob store.", func() float64 { return float64(h.blobs.Stats().Puts) })
	m.counted("blob_found_total", "Puts that were there already.", func() float64 { return float64(h.blobs.Stats().Found) })
	m.counted("blob_plain_bytes_total", "Bytes written, before compression and sealing.", func() float64 { return float64(h.blobs.Stats().PlainBytes) })
	m.counted("blob_stored_bytes_total", "Bytes that they take on disk.", func() float64 { return float64(h.blobs.Stats().StoredBytes) })
	m.counted("blob_syncs_total", "Syncs of packs; several puts share one.", func() float64 { return float64(h.blobs.Stats().Syncs) })
	m.counted("blob_failed_writes_total", "Writes or syncs that went wrong.", func() float64 { return float64(h.blobs.Stats().FailedBatches) })
	m.counted("blob_opens_total", "Messages whose bytes were read.", func() float64 { return float64(h.blobs.Stats().Opens) })
	m.counted("blob_corrupt_total", "Damage met while reading.", func() float64 { return float64(h.blobs.Stats().Corrupt) })
	m.registry.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "blob_damaged", Help: "Messages and parts known to be damaged now."}, func() float64 { return float64(h.blobs.Damaged()) }))
	if h.blobs.InBucket() != "" {
		m.bucket(h)
	}
	m.counted("blob_collected_total", "Blobs that nobody named any more.", func() float64 { return float64(h.blobs.Stats().Collected) })
}

// queueScanTime bounds how long a scrape may look at the queue, maxQueueScan how
// much of it is counted.
const (
	queueScanTime = time.Second
	maxQueueScan  = 10_000
)

func (m *metrics) queueMetrics(h *house) {
	m.registry.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "queue_messages", Help: "Messages on their way out, counted up to 10000."}, func() float64 {
		ctx, cancel := context.WithTimeout(context.Background(), queueScanTime)
		defer cancel()
		pending, err := h.db.Pending(ctx, maxQueueScan)
		if err != nil {
			return -1
		}
		return float64(len(pending))
	}))
	m.registry.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "queue_held", Help: "Of these, messages that are held since a restore."}, func() float64 {
		ctx, cancel := context.WithTimeout(context.Background(), queueScanTime)
		defer cancel()
		held, err := h.db.Held(ctx)
		if err != nil {
			return -1
		}
		return float64(held)
	}))
}

// Command counts one IMAP command.
func (m *metrics) Command(name, result string, took time.Duration) {
	m.commands.WithLabelValues(name, result).Inc()
	m.commandSeconds.WithLabelValues(name).Observe(took.Seconds())
}

// sessionsNow are how many sessions there are, by protocol.
func (m *metrics) sessionsNow() map[string]int {
	all := map[string]int{"imap": int(m.imap.Load())}
	for proto, n := range m.now {
		all[proto] = int(n())
	}
	return all
}

// SessionBegan counts an IMAP connection.
func (m *metrics) SessionBegan() {
	m.sessions.Inc()
	m.imap.Add(1)
}

// SessionEnded counts it out, with the bytes it moved.
func (m *metrics) SessionEnded(received, sent int64) {
	m.sessions.Dec()
	m.imap.Add(-1)
	m.bytes.WithLabelValues("in").Add(float64(received))
	m.bytes.WithLabelValues("out").Add(float64(sent))
}
