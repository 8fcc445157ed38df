package main

import (
	"lockstep/internal/backup"
	"lockstep/internal/store/sqlstore"
)

// followMetrics tell how far the backup is that follows the server, and what copies of
// the database cost.
func (m *metrics) followMetrics(h *house) {
	if h.follower != nil {
		status := func() backup.FollowStatus { return h.follower.Status() }
		m.gauge("backup_lag_seconds", "How old the oldest change is that is not in the backup that follows the server.", func() float64 { return status().Lag.Seconds() })
		m.gauge("backup_lag_commits", "Transactions that are not in it.", func() float64 { return float64(status().Commits) })
		m.counted("backup_points_total", "Points made by following the server.", func() float64 { return float64(status().Points) })
		m.counted("backup_failed_total", "Times that one could not be made.", func() float64 { return float64(status().Fails) })
		m.counted("backup_sent_bytes_total", "Bytes stored by following the server.", func() float64 { return float64(status().Sent.Bytes) })
	}
	copies := func() sqlstore.CopyStats { return h.db.CopyStats() }
	m.counted("store_copy_pages_total", "Pages of the database read for backups.", func() float64 { return float64(copies().Pages) })
	m.counted("store_copy_pause_seconds_total", "Time that the writer could not begin for them.", func() float64 { return copies().Paused.Seconds() })
	m.gauge("store_copy_pause_seconds_max", "The longest of these pauses.", func() float64 { return copies().Longest.Seconds() })
}
