package main

import "github.com/prometheus/client_golang/prometheus"

// certificateMetrics tell until when programs get to see a certificate that holds.
func (m *metrics) certificateMetrics(h *house) {
	m.registry.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "tls_certificate_expiry_timestamp_seconds", Help: "When the first of the certificates in force ends; 0: none is."}, func() float64 {
		first, _ := h.certificateExpiry()
		if first.IsZero() {
			return 0
		}
		return float64(first.Unix())
	}))
	m.registry.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "tls_certificates_missing", Help: "Names for which tls.acme is to get a certificate, and there is none that holds."}, func() float64 {
		_, missing := h.certificateExpiry()
		return float64(missing)
	}))
}
