package eas

import (
	"encoding/json"
	"time"

	"lockstep/internal/mail"
	"lockstep/internal/message"
	"lockstep/internal/store"
)

// mailItem is a message in a mailbox, as the store has it.
type mailItem struct {
	placement mail.Placement
	message   mail.Message // located, if its body may be wished
	drafts    bool         // it lies in the mailbox for drafts
	notes     mailNotes
	open      func() (Body, error) // its bytes; called only where a body is wished, and for what of one is too large to hold once more when the answer is written

	parsed *message.Message
}

// structure is the message's envelope and parts, out of its row.
func (m *mailItem) structure() (*message.Message, error) {
	if m.parsed == nil {
		parsed, err := message.Decode(m.message.Parsed)
		if err != nil {
			return nil, err
		}
		m.parsed = parsed
	}
	return m.parsed, nil
}

// Annotations in which is kept of a message what EAS knows and flags do not say. They
// are private to the owner.
const (
	followUpEntry = "/vendor/lockstep/follow-up"
	lastVerbEntry = "/vendor/lockstep/last-verb"
)

// mailNotes are the annotations of a message that are of interest here.
type mailNotes struct {
	followUp *followUp
	lastVerb *lastVerb
}

// set takes an annotation, if it is one of them.
func (n *mailNotes) set(a *mail.Annotation) {
	if a.Shared || a.Who != 0 || a.Value == nil {
		return
	}
	switch a.Name {
	case followUpEntry:
		n.followUp = new(followUp)
		if json.Unmarshal(a.Value, n.followUp) != nil {
			n.followUp = nil
		}
	case lastVerbEntry:
		n.lastVerb = new(lastVerb)
		if json.Unmarshal(a.Value, n.lastVerb) != nil {
			n.lastVerb = nil
		}
	}
}

// readMailNotes reads the notes of messages of a mailbox, by UID: one query.
func readMailNotes(r store.Reader, mb mail.MailboxID, uids mail.UIDSet) (map[mail.UID]mailNotes, error) {
	all := map[mail.UID]mailNotes{}
	err := r.Annotations(store.AnnotationQuery{Mailbox: mb, UIDs: uids}, func(a *mail.Annotation) error {
		n := all[a.UID]
		if n.set(a); n != (mailNotes{}) {
			all[a.UID] = n
		}
		return nil
	})
	return all, err
}

// A verb is what was done last with a message (MS-ASEMAIL §2.2.2.44).
type verb int

// The verbs.
const (
	verbReplied    verb = 1
	verbRepliedAll verb = 2
	verbForwarded  verb = 3
)

// lastVerb is what was done last with a message, and when: beside \Answered and
// $Forwarded, which every protocol knows.
type lastVerb struct {
	Verb verb      `json:"verb"`
	At   time.Time `json:"at"`
}

// note is the verb as an annotation.
func (l lastVerb) note() mail.Annotation {
	value, _ := json.Marshal(l) // of a number and a time: no error
	return mail.Annotation{Name: lastVerbEntry, Value: value}
}

// lastVerbOf is what was done last with a message. Flags decide: another program may
// have answered since, or taken the mark away.
func (m *mailItem) lastVerbOf() (lastVerb, bool) {
	answered, forwarded := m.placement.Flags.Has(mail.Answered), m.placement.Flags.HasKeyword("$Forwarded")
	if n := m.notes.lastVerb; n != nil && (n.Verb == verbForwarded && forwarded || n.Verb < verbForwarded && answered) {
		return *n, true
	}
	switch {
	case answered:
		return lastVerb{Verb: verbReplied}, true
	case forwarded:
		return lastVerb{Verb: verbForwarded}, true
	}
	return lastVerb{}, false
}
