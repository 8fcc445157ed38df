package eas

import (
	"crypto/rand"
	"encoding/binary"
	"encoding/json"
	"strconv"
	"strings"

	"lockstep/internal/mail"
	"lockstep/internal/store"
)

// maxRelationships is how many phones may share a DeviceId without one throwing the
// other back to the beginning: backups copied to a second phone copy the id too.
const maxRelationships = 3

// folderState is what is remembered of a device's folder hierarchy: for each
// relationship, begun with key 0, where it stands now and where it stood before the
// last answer, which may have got lost.
type folderState struct {
	All []*folderRelation `json:"all"` // the one used last is last
}

type folderRelation struct {
	ID      uint32           `json:"id"`
	Current folderGeneration `json:"cur"`
	Before  folderGeneration `json:"prev"`
	HasPrev bool             `json:"hasprev,omitempty"`
}

// folderGeneration is where a device stands once it knows a key.
type folderGeneration struct {
	N    uint64        `json:"n"`
	Mark mail.Position `json:"mark"` // in the changes of mailboxes
	// Own are the mailboxes that the device itself changed since the mark, with the
	// ModSeq of that: it is not told of these. 0 is one it deleted.
	Own map[mail.MailboxID]mail.ModSeq `json:"own,omitempty"`
	// Asked is the hash of the command that led here, and Made the mailbox it made:
	// a command that comes again is not done again.
	Asked []byte         `json:"asked,omitempty"`
	Made  mail.MailboxID `json:"made,omitempty"`
}

const folderCursor = "folders"

// loadFolders reads what is remembered, and the bytes it is in; nothing is the zero
// state.
func (q *request) loadFolders(r store.Reader) (*folderState, []byte, error) {
	raw, err := r.Cursor(q.sess.Device().ID, q.cursor(folderCursor))
	if mail.KindOf(err) == mail.NotFound && err != nil {
		return &folderState{}, nil, nil
	}
	if err != nil {
		return nil, nil, err
	}
	var s folderState
	if json.Unmarshal(raw, &s) != nil {
		return &folderState{}, raw, nil // of another version: the device starts over
	}
	return &s, raw, nil
}

// saveFolders remembers what was made from the state that was read: Conflict if that is
// not what is remembered any more.
func (q *request) saveFolders(n store.Notes, s *folderState, was []byte) error {
	raw, err := json.Marshal(s)
	if err != nil {
		return err
	}
	return n.SwapCursor(q.sess.Device().ID, q.cursor(folderCursor), was, raw)
}

// find returns the relationship that a key is of and whether the key is the one
// before the current; nil if the key is none. It becomes the one used last. A key says
// by itself where it stands, so one that is no longer remembered, or that another
// device was given, is as good: a phone may have been made from a backup of another.
func (s *folderState) find(key string) (rel *folderRelation, before bool) {
	id, n, mark, ok := parseFolderKey(key)
	if !ok {
		return nil, false
	}
	for i, r := range s.All {
		current := n == r.Current.N && mark == r.Current.Mark
		before = r.HasPrev && n == r.Before.N && mark == r.Before.Mark
		if r.ID != id || !current && !before {
			continue
		}
		s.All = append(append(s.All[:i:i], s.All[i+1:]...), r)
		return r, before
	}
	r := s.begin(mark)
	r.Current.N = n
	return r, false
}

// begin makes a relationship, in place of the one not used for longest if there are
// many.
func (s *folderState) begin(mark mail.Position) *folderRelation {
	r := &folderRelation{ID: newRelationID(), Current: folderGeneration{N: 1, Mark: mark}}
	s.All = append(s.All, r)
	if len(s.All) > maxRelationships {
		s.All = s.All[len(s.All)-maxRelationships:]
	}
	return r
}

// advance makes g, after from, the current generation. It was asked for with the key
// of from, which stays good in case the answer gets lost.
func (r *folderRelation) advance(from folderGeneration, g folderGeneration) {
	g.N = r.Current.N + 1
	r.Before, r.HasPrev, r.Current = from, true, g
}

// key names the current generation: relationship, number and position.
func (r *folderRelation) key() string {
	return syncKey(r.ID, r.Current.N) + "-" + r.Current.Mark.String()
}

// parseFolderKey reads what key wrote.
func parseFolderKey(key string) (id uint32, n uint64, mark mail.Position, ok bool) {
	at := strings.LastIndexByte(key, '-')
	if at < 0 {
		return 0, 0, mark, false
	}
	if id, n, ok = parseKey(key[:at]); !ok {
		return 0, 0, mark, false
	}
	mark, ok = mail.ParsePosition(key[at+1:])
	return id, n, mark, ok && mark.Target == 0
}

// syncKey is how a generation of a relationship is named to a device.
func syncKey(id uint32, n uint64) string {
	return strconv.FormatUint(uint64(id), 10) + "-" + strconv.FormatUint(n, 10)
}

// parseKey reads what syncKey wrote.
func parseKey(key string) (id uint32, n uint64, ok bool) {
	a, b, found := strings.Cut(key, "-")
	rel, err1 := strconv.ParseUint(a, 10, 32)
	n, err2 := strconv.ParseUint(b, 10, 64)
	return uint32(rel), n, found && err1 == nil && err2 == nil
}

// newRelationID draws the number of a relationship: after a reset nobody's old key
// must look like a new one.
func newRelationID() uint32 {
	var b [4]byte
	_, _ = rand.Read(b[:]) // never fails
	return binary.LittleEndian.Uint32(b[:])
}
