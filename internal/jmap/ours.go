package jmap

import (
	"lockstep/internal/auth"
	"lockstep/internal/undo"
)

// ours is the capability of what there is no standard for: devices, and the journal.
// docs/protocols/jmap.md describes it, for whoever wants to write a client.
const ours = "urn:lockstep:jmap"

func (s *Server) oursOfAccount(sess *auth.Session) any {
	return map[string]any{
		"deviceId":         deviceID(sess.Device().ID),
		"maxActsInQuery":   maxActs,
		"maxActsInUndo":    undo.MaxActs,
		"maxEmailsInAct":   maxActEmails,
		"maxBehindCounted": maxBehind,
	}
}

// Bounds of the capability.
const (
	maxActs      = 200    // in one answer of Act/query
	maxActEmails = 50     // told of one entry
	maxJournal   = 20_000 // records that one Act/query looks at
	maxBehind    = 1000   // changes that a device is said to be behind by
)
