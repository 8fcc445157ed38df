package main

import (
	"context"
	"errors"
	"os"
	"slices"
	"sync"
	"time"

	"lockstep/internal/blob"
)

// Why nobody should be sent here: what /readyz says, and nothing else.
const (
	notReadyDraining = "draining"
	notReadyDatabase = "database"
	notReadyBlobs    = "blobs"
	notReadyKey      = "key"
)

// A check is something that has to be usable.
type check struct {
	word string
	look func(context.Context) error
}

// readiness looks whether people should be sent here. However many ask, what lies
// elsewhere is asked once a second at most.
type readiness struct {
	checks []check
	said   func(word string, err error) // hears what is wrong, and that it is right again, once

	mu     sync.Mutex
	looked time.Time
	wrong  []string
}

const (
	readyFor  = time.Second     // an answer holds so long
	readyTime = 4 * time.Second // that all checks together may take
)

// look returns the words of what can't be used.
func (r *readiness) look(ctx context.Context) []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.looked.IsZero() && time.Since(r.looked) < readyFor {
		return r.wrong
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), readyTime) // one who asks and goes does not answer for the others
	defer cancel()
	was := r.wrong
	r.wrong = nil
	for _, c := range r.checks {
		err := c.look(ctx)
		if err != nil {
			r.wrong = append(r.wrong, c.word)
		}
		if slices.Contains(was, c.word) != (err != nil) {
			r.said(c.word, err)
		}
	}
	r.looked = time.Now()
	return r.wrong
}

// newReadiness is what this server needs.
func (h *house) newReadiness() *readiness {
	return &readiness{
		checks: []check{{notReadyDatabase, h.healthy}, {notReadyBlobs, h.blobsUsable}, {notReadyKey, h.keyUsable}},
		said: func(word string, err error) {
			if err == nil {
				h.log.Info("ready again", "part", word)
				return
			}
			h.log.Warn("not ready", "part", word, "err", err)
		},
	}
}

// ready says why nobody should be sent here.
func (h *house) ready(ctx context.Context) []string {
	if h.leave.isUnderWay() {
		return []string{notReadyDraining}
	}
	return h.readiness.look(ctx)
}

// blobsUsable looks whether mail is where it is kept on this machine. A bucket that
// does not answer is as far from all nodes, and much can be done without it: a node is
// ready all the same.
func (h *house) blobsUsable(context.Context) error {
	if h.blobs.InBucket() != "" {
		return nil
	}
	_, err := os.Stat(h.path(packDir))
	return err
}

// keyUsable looks whether the key file is the one that is in force: with another, or
// none, the server would not start again.
func (h *house) keyUsable(context.Context) error {
	text, err := os.ReadFile(h.path(keyFile))
	if err != nil {
		return err
	}
	there, err := blob.ParseKeyring(text)
	if err == nil && there.Fingerprint() != h.blobs.Keys().Fingerprint() {
		err = errors.New("it is another key file than the one in force")
	}
	return err
}
