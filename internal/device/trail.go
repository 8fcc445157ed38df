package device

import (
	"encoding/json"
	"maps"
	"slices"
	"time"

	"lockstep/internal/mail"
)

// Trail is what is kept of the conversation with a device, for people who want to
// know why it is not in step. It is bookkeeping: it can be thrown away.
type Trail struct {
	Commands []Command       `json:",omitempty"` // the newest last
	Skipped  []Skip          `json:",omitempty"`
	Restarts []Restart       `json:",omitempty"`
	Marks    map[string]Mark `json:",omitempty"` // by collection, as the device knows it
}

// Bounds on a trail.
const (
	MaxTrailCommands = 32
	MaxTrailSkipped  = 32
	MaxTrailRestarts = 16
	MaxTrailMarks    = 500
	MaxTrailText     = 200 // bytes of each text
)

// Command is a command and what was answered, or several in a row that were alike: a
// phone that waits says the same for hours.
type Command struct {
	At      time.Time // of the last
	Times   int
	Name    string
	Version string        // of the protocol
	Status  string        // "1", "HTTP 449"; as the device was told
	Took    time.Duration // the last
}

// Skip is an item that a device was not given.
type Skip struct {
	At         time.Time
	Collection string
	Item       string
	Why        string
}

// Restart is that a device was told to start over.
type Restart struct {
	At         time.Time
	Collection string // "" is the folder hierarchy
	Why        string
}

// Mark is how far a device has come in a collection.
type Mark struct {
	Mailbox mail.MailboxID
	ModSeq  mail.ModSeq // all changes up to it were delivered
	More    bool        // the device was told that more is waiting
	At      time.Time
}

// Did adds a command.
func (t *Trail) Did(c Command) {
	c.Name, c.Version, c.Status, c.Times = short(c.Name), short(c.Version), short(c.Status), 1
	if n := len(t.Commands); n > 0 {
		if last := &t.Commands[n-1]; last.Name == c.Name && last.Version == c.Version && last.Status == c.Status {
			c.Times += last.Times
			*last = c
			return
		}
	}
	t.Commands = push(t.Commands, c, MaxTrailCommands)
}

// Skip adds an item that was left out. The same item again takes the place of what
// was noted before.
func (t *Trail) Skip(s Skip) {
	s.Collection, s.Item, s.Why = short(s.Collection), short(s.Item), short(s.Why)
	t.Skipped = slices.DeleteFunc(t.Skipped, func(o Skip) bool { return o.Collection == s.Collection && o.Item == s.Item })
	t.Skipped = push(t.Skipped, s, MaxTrailSkipped)
}

// Restart adds that the device has to start over.
func (t *Trail) Restart(r Restart) {
	r.Collection, r.Why = short(r.Collection), short(r.Why)
	t.Restarts = push(t.Restarts, r, MaxTrailRestarts)
}

// Mark notes how far the device has come in a collection. Past the bound a
// collection that is not known yet is left out.
func (t *Trail) Mark(collection string, m Mark) {
	if _, known := t.Marks[collection]; !known && len(t.Marks) >= MaxTrailMarks || len(collection) > MaxTrailText {
		return
	}
	if t.Marks == nil {
		t.Marks = map[string]Mark{}
	}
	t.Marks[collection] = m
}

// Unmark forgets a collection that the device no longer has.
func (t *Trail) Unmark(collection string) { delete(t.Marks, collection) }

// push adds to a list that keeps its last n.
func push[T any](list []T, v T, n int) []T {
	if len(list) >= n {
		list = slices.Delete(list, 0, len(list)-n+1)
	}
	return append(list, v)
}

func short(s string) string { return mail.Clip(s, MaxTrailText) }

// clone is a trail of its own.
func (t *Trail) clone() Trail {
	return Trail{slices.Clone(t.Commands), slices.Clone(t.Skipped), slices.Clone(t.Restarts), maps.Clone(t.Marks)}
}

// Encode is the trail as it is stored.
func (t *Trail) Encode() ([]byte, error) { return json.Marshal(t) }

// ReadTrail reads what Encode wrote. What can't be read is an empty trail: it is
// not worth an error.
func ReadTrail(stored []byte) Trail {
	var t Trail
	if json.Unmarshal(stored, &t) != nil {
		return Trail{}
	}
	return t
}
