package model

import (
	"maps"
	"slices"
	"strings"
	"time"

	"lockstep/internal/mail"
)

// state is one version of an account. A committed state never changes; a
// transaction works on a copy whose parts it copies before it changes them.
type state struct {
	account      mail.Account
	nextID       int64 // of mailboxes, messages, placements, threads and devices
	lastValidity mail.UIDValidity

	boxes    map[mail.MailboxID]*box
	messages table[*mail.Message] // by MessageKey; also those that left
	where    table[[]*mail.Placement]
	members  table[[]mail.MessageKey] // of a thread, all that ever were
	threadOf map[string]mail.ThreadID // by Message-ID
	subjects map[string]mail.ThreadID // the newest-begun thread of a base subject
	told     map[mail.MessageKey]told // what each message added to both
	erased   map[mail.MessageKey]bool // their rows are kept for the views, until the horizon
	subs     map[string]bool
	chosen   map[mail.Preference]string
	notes    map[noteKey]mail.Annotation  // of messages, also those that left
	metadata map[annotation]mail.Metadata // also those that were removed, and of mailboxes that are gone

	journal []mail.Record // oldest first
	left    map[mail.MailboxID][]departed
	grants  map[grantKey]mail.Grant // also those taken back, without rights
	own     map[ownKey]own
	ownLast map[grantKey]mail.ModSeq // of the last change of a member's own \Seen
	fallen  map[mail.MailboxID]fallen
	lives   table[*life]

	deleting map[deleterKey]deleted
	floods   map[mail.ModSeq]mail.Flood

	devices map[mail.DeviceID]mail.Device
	cursors map[cursorKey][]byte
	recent  map[mail.MailboxID]mail.UID
	once    map[string]memory
	uploads map[mail.UploadID]mail.Upload
	objects map[objectKey]mail.Object
}

// box is a mailbox and what is in it.
type box struct {
	mail.Mailbox
	list     []*mail.Placement // by UID; the values never change
	switched []mail.ModSeq     // when \Seen became common, or no longer was
}

// departed is a placement that left.
type departed struct {
	mail.Placement
	at   mail.ModSeq
	fell bool // with its mailbox
}

// fallen is a mailbox that was deleted.
type fallen struct {
	mail.Mailbox
	at mail.ModSeq
}

type cursorKey struct {
	device mail.DeviceID
	name   string
}

// memory is what came of an idempotent arrival.
type memory struct {
	placement mail.Placement
	until     time.Time
}

func (s *state) clone() *state {
	c := *s
	c.account.Last = maps.Clone(s.account.Last)
	c.boxes = maps.Clone(s.boxes)
	c.subs = maps.Clone(s.subs)
	c.chosen = maps.Clone(s.chosen)
	c.metadata = maps.Clone(s.metadata)
	c.left = maps.Clone(s.left)
	c.fallen = maps.Clone(s.fallen)
	c.devices = maps.Clone(s.devices)
	c.deleting = maps.Clone(s.deleting)
	c.floods = maps.Clone(s.floods)
	c.cursors = maps.Clone(s.cursors)
	c.recent = maps.Clone(s.recent)
	c.grants = maps.Clone(s.grants)
	c.ownLast = maps.Clone(s.ownLast)
	c.uploads = maps.Clone(s.uploads)
	c.objects = maps.Clone(s.objects)
	return &c // own, threadOf, subjects, told, erased, notes and once are copied where they are written
}

func (s *state) newID() int64 { s.nextID++; return s.nextID }

func (s *state) box(id mail.MailboxID) (*box, error) {
	if b := s.boxes[id]; b != nil {
		return b, nil
	}
	return nil, mail.Errorf(mail.NotFound, "no such mailbox")
}

// find returns the index of uid in the list and whether it is there.
func (b *box) find(uid mail.UID) (int, bool) {
	return slices.BinarySearchFunc(b.list, uid, func(p *mail.Placement, u mail.UID) int { return int(int64(p.UID) - int64(u)) })
}

func (b *box) get(uid mail.UID) *mail.Placement {
	if i, ok := b.find(uid); ok {
		return b.list[i]
	}
	return nil
}

// selected returns the placements whose UIDs are in the set.
func (b *box) selected(uids mail.UIDSet) []*mail.Placement {
	var ps []*mail.Placement
	for _, p := range b.list {
		if uids.Contains(p.UID) {
			ps = append(ps, p)
		}
	}
	return ps
}

// path returns the names of the mailbox and all above it.
func (s *state) path(id mail.MailboxID) string {
	var names []string
	for b := s.boxes[id]; b != nil; b = s.boxes[b.Parent] {
		names = append(names, b.Name)
	}
	slices.Reverse(names)
	return strings.Join(names, mail.Delimiter)
}

func (s *state) byPath(path string) (*box, error) {
	var parent mail.MailboxID
	var found *box
	for name := range strings.SplitSeq(path, mail.Delimiter) {
		if found = s.child(parent, name); found == nil {
			return nil, mail.Errorf(mail.NotFound, "no such mailbox")
		}
		parent = found.ID
	}
	return found, nil
}

// child finds a mailbox by its name under its parent.
func (s *state) child(parent mail.MailboxID, name string) *box {
	for _, b := range s.boxes {
		if b.Parent == parent && (b.Name == name || parent == 0 && b.Role == mail.RoleInbox && strings.EqualFold(b.Name, name)) {
			return b
		}
	}
	return nil
}

// depth is how many names the path of a mailbox has; height how many levels
// there are from it downwards.
func (s *state) depth(id mail.MailboxID) int {
	n := 0
	for b := s.boxes[id]; b != nil; b = s.boxes[b.Parent] {
		n++
	}
	return n
}

func (s *state) height(id mail.MailboxID) int {
	n := 0
	for _, b := range s.boxes {
		if b.Parent == id {
			n = max(n, s.height(b.ID))
		}
	}
	return n + 1
}

func (s *state) hasChildren(id mail.MailboxID) bool {
	for _, b := range s.boxes {
		if b.Parent == id {
			return true
		}
	}
	return false
}
