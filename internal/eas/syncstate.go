package eas

import (
	"bytes"
	"encoding/json"
	"slices"

	"lockstep/internal/mail"
	"lockstep/internal/store"
)

// collectionState is what is remembered of what a device holds of one collection: for
// each relationship, begun with key 0, where it stands now and where it stood before
// the last answer. It is never in proportion to the collection (ADR 15).
type collectionState struct {
	Version int             `json:"v"`
	All     []*relationship `json:"all"` // the one used last is last
}

// collectionVersion is that of the state. One of another version makes the device start over.
const collectionVersion = 1

type relationship struct {
	ID      uint32     `json:"id"`
	Options []byte     `json:"opt,omitempty"` // the Options of each class, as WBXML
	Current generation `json:"cur"`
	Before  generation `json:"prev"`
	HasPrev bool       `json:"hasprev,omitempty"`
	// Pending are commands that were done, and whose answer is not made yet.
	Pending *pending `json:"pending,omitempty"`
	// Tries is how often in a row the device asked again for the current answer, and
	// Singly how many items it gets one at a time since it could not take in more.
	Tries  int `json:"tries,omitempty"`
	Singly int `json:"singly,omitempty"`
}

// generation is where a device stands once it knows a key.
type generation struct {
	N     uint64 `json:"n"`
	View  view   `json:"view"`
	Asked []byte `json:"asked,omitempty"` // the hash of the request that led here
	Said  recipe `json:"said,omitzero"`   // what the answer to it brought
	Done  done   `json:"done,omitzero"`   // what came of its commands
}

// recipe is enough to make an answer once more.
type recipe struct {
	Add     mail.UIDSet    `json:"add,omitempty"`
	Change  mail.UIDSet    `json:"change,omitempty"`
	Flags   mail.UIDSet    `json:"flags,omitempty"`
	Delete  []mail.Lineage `json:"delete,omitempty"`
	Soft    []mail.Lineage `json:"soft,omitempty"`
	Line    mail.Lineage   `json:"line,omitempty"` // of the last of them
	More    bool           `json:"more,omitempty"`
	Entries int            `json:"entries,omitempty"`
}

// isHeavy reports whether it is one whole item, which may be what a device chokes on.
func (r recipe) isHeavy() bool { return r.Entries == 1 && len(r.Add)+len(r.Change) == 1 }

// done is what came of the commands of one request.
type done struct {
	Results []result `json:"results,omitempty"`
	Known   []result `json:"known,omitempty"` // of requests before, whose answers the device did not hear
	Own     []own    `json:"own,omitempty"`
	// Gone are versions that had left when the device deleted their item.
	Gone mail.UIDSet `json:"gone,omitempty"`
}

// result is the answer to one command of a device; those that need none have none.
type result struct {
	Verb     string `json:"verb"` // of verbAdd and the like
	ClientID string `json:"client,omitempty"`
	ServerID string `json:"server,omitempty"`
	Status   int    `json:"status"`
	// Files are the ClientIds of what a new draft attaches.
	Files []string `json:"files,omitempty"`
}

// own is what a device changed itself and is not told.
type own struct {
	At   mail.ModSeq `json:"at"`
	UIDs mail.UIDSet `json:"uids"`
}

// pending says that the commands of a request with a key were done.
type pending struct {
	N     uint64 `json:"n"` // of the key it came with
	Asked []byte `json:"asked"`
	Done  done   `json:"done"`
}

// parseCollection reads a state; nothing, or one that is not ours, is the empty one.
func parseCollection(raw []byte) *collectionState {
	var s collectionState
	if raw == nil || json.Unmarshal(raw, &s) != nil || s.Version != collectionVersion {
		return &collectionState{Version: collectionVersion}
	}
	return &s
}

// loadCollection reads what is remembered of a collection, and the bytes it is in.
func (q *request) loadCollection(r store.Reader, id string) (*collectionState, []byte, error) {
	raw, err := r.Cursor(q.sess.Device().ID, q.cursor(collectionCursor(id)))
	if err != nil && mail.KindOf(err) != mail.NotFound {
		return nil, nil, err
	}
	return parseCollection(raw), raw, nil
}

func (q *request) saveCollection(n store.Notes, id string, s *collectionState) error {
	raw, err := encodeCollection(s)
	if err != nil {
		return err
	}
	return n.SetCursor(q.sess.Device().ID, q.cursor(collectionCursor(id)), raw)
}

func encodeCollection(s *collectionState) ([]byte, error) { return json.Marshal(s) }

// standing is how the key of a request stands to what is remembered.
type standing int

const (
	isCurrent standing = iota // it is the current one
	isBefore                  // the one before it: the device did not hear the answer
	isCarried                 // what follows from it is current now, and not remembered yet
)

// find returns the relationship that a key is of; nil if the key is none that could
// come. It becomes the one used last. Head is that of the account.
func (s *collectionState) find(key string, head mail.ModSeq) (*relationship, standing) {
	id, n, ok := parseKey(key)
	i := slices.IndexFunc(s.All, func(r *relationship) bool { return r.ID == id })
	if !ok || i < 0 {
		return nil, isCurrent
	}
	rel, how := s.All[i], isCurrent
	switch {
	case n == rel.Current.N:
	case rel.HasPrev && n == rel.Before.N:
		how = isBefore
	case rel.carry(n, head):
		how = isCarried
	default:
		return nil, isCurrent
	}
	s.All = append(slices.Delete(s.All, i, i+1), rel)
	return rel, how
}

// last is the relationship used last; nil if there is none.
func (s *collectionState) last() *relationship {
	if len(s.All) == 0 {
		return nil
	}
	return s.All[len(s.All)-1]
}

// begin makes a relationship, in place of the one not used for longest if there are
// many.
func (s *collectionState) begin(v view) *relationship {
	r := &relationship{ID: newRelationID(), Current: generation{N: 1, View: v}}
	s.All = append(s.All, r)
	if len(s.All) > maxRelationships {
		s.All = s.All[len(s.All)-maxRelationships:]
	}
	return r
}

// advance makes g, after from, the current generation. It was asked for with the key
// of from, which stays good in case the answer gets lost. Its key carries a ModSeq, or 0.
func (r *relationship) advance(from, g generation, carried mail.ModSeq) {
	g.N = follower(r.Current.N, carried)
	from.Said, from.Asked, from.Done = recipe{}, nil, done{} // what led to it is confirmed
	r.Before, r.HasPrev, r.Current, r.Pending = from, true, g, nil
}

func (r *relationship) key() string { return syncKey(r.ID, r.Current.N) }

// isAsked reports whether a generation came of a request with that hash.
func (g *generation) isAsked(hash []byte) bool { return g.Asked != nil && bytes.Equal(g.Asked, hash) }

// made returns what came of an Add that the device named so in a request whose answer
// it did not hear.
func (x *exchange) made(clientID string) (result, bool) {
	for _, r := range slices.Concat(x.done.Known, x.unheard) {
		if r.Verb == verbAdd && clientID != "" && r.ClientID == clientID {
			return r, true
		}
	}
	return result{}, false
}
