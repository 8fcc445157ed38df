package main

import (
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
	"time"

	"lockstep/internal/cluster"
	"lockstep/internal/config"
	"lockstep/internal/delivery"
)

var relayTLS = map[config.RelayTLS]delivery.RelayTLS{config.RelayStartTLS: delivery.RelayStartTLS, config.RelayImplicit: delivery.RelayImplicit, config.RelayPlain: delivery.RelayPlain}

// sender empties the queue as configured. Also where no mail leaves, the queue may
// hold some: for people here who could not be served when it came, and for others
// from before the configuration changed, which waits.
func (h *house) sender() (*delivery.Sender, error) {
	o := h.cfg.Outgoing
	s := &delivery.Sender{Service: h.delivery, GiveUpAfter: time.Duration(o.GiveUpAfter), Node: h.node.ID()}
	if h.isClustered() {
		s.Silence, s.Now = cluster.GoneAfter, h.node.Now
	}
	if o.Via == config.ViaRelay {
		relay, err := relayOf(o)
		if err != nil {
			return nil, err
		}
		s.Relay = relay
	}
	h.wakeQueue = s.Wake
	h.delivery.Wake, h.ops.QueueMoved = h.queued, h.queued
	return s, nil
}

func relayOf(o config.Outgoing) (*delivery.Relay, error) {
	host, port, err := net.SplitHostPort(o.Relay)
	if err != nil {
		return nil, fmt.Errorf("outgoing.relay: %w", err)
	}
	n, err := strconv.Atoi(port)
	if err != nil {
		return nil, fmt.Errorf("outgoing.relay: %q is not a port", port)
	}
	secret, err := relayPassword(o)
	return &delivery.Relay{Host: host, Port: n, TLS: relayTLS[o.RelayTLS], Login: o.RelayUser, Secret: secret}, err
}

// relayPassword reads the one line of its file.
func relayPassword(o config.Outgoing) (string, error) {
	if o.RelayPasswordFile == "" {
		return "", nil
	}
	text, err := os.ReadFile(o.RelayPasswordFile)
	if err != nil {
		return "", fmt.Errorf("outgoing.relay_password_file: %w", err)
	}
	line, _, _ := strings.Cut(string(text), "\n")
	if line = strings.TrimRight(line, "\r"); line == "" {
		return "", fmt.Errorf("outgoing.relay_password_file: %s begins with an empty line", o.RelayPasswordFile)
	}
	return line, nil
}
