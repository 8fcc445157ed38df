package sqlstore

import (
	"crypto/sha256"
	"encoding/binary"
	"slices"

	"lockstep/internal/mail"
)

// Append implements store.Tx.
func (t *tx) Append(mb mail.MailboxID, a mail.Arrival) (p mail.Placement, err error) {
	if t.tails.direct {
		if err := t.askAhead(mb, a); err != nil {
			return p, err
		}
		defer func() {
			if forgetting := t.c.ahead(); err == nil {
				err = forgetting
			}
		}()
	}
	return t.append(mb, a)
}

// askAhead says what an arrival is going to ask, none of which it changes before.
func (t *tx) askAhead(mb mail.MailboxID, a mail.Arrival) error {
	var asks []ask
	if t.boxes[mb] == nil {
		asks = append(asks, ask{selectMailbox, []any{t.id, mb}})
	}
	return t.c.ahead(append(asks, asksOf(t.id, a)...)...)
}

func (t *tx) append(mb mail.MailboxID, a mail.Arrival) (mail.Placement, error) {
	b, err := t.box(mb)
	if err != nil {
		return mail.Placement{}, err
	}
	if a.Once != "" {
		if p, err := t.Remembered(a.Once); mail.KindOf(err) != mail.NotFound {
			return p, err
		}
	}
	own := a.As != 0 && !b.CommonSeen && a.Flags.Has(mail.Seen)
	if own {
		a.Flags.System &^= mail.Seen
	}
	old, from, err := t.predecessor(b, a)
	if err != nil {
		return mail.Placement{}, err
	}
	var leaving []held
	if a.Replaces != 0 {
		leaving = old
	}
	if err := t.room(a.Blob.Size, leaving); err != nil {
		return mail.Placement{}, err
	}
	key := mail.MessageKey(t.newID())
	brought, err := nameBlobsOf(t.c, t.naming, t.now, namer{t.id, key}, append(slices.Clip(a.Parts), a.Blob)...)
	if err != nil {
		return mail.Placement{}, err
	}
	line, err := t.handOn(old)
	if err != nil {
		return mail.Placement{}, err
	}
	if leaving != nil { // first, so that an undo takes the successor away before it brings this back
		if err := t.vanish(from, leaving, expunged); err != nil {
			return mail.Placement{}, err
		}
		t.add(mail.Entry{Op: mail.OpExpunge, Mailbox: from.ID, UIDs: mail.MakeUIDSet(a.Replaces)})
	}
	p, err := t.arrive(b, a, line, key, brought)
	if err != nil {
		return p, err
	}
	if err := t.annotateArrival(b, &p, a, from, old); err != nil {
		return p, err
	}
	t.add(mail.Entry{Op: mail.OpAppend, Mailbox: mb, UIDs: mail.MakeUIDSet(p.UID)})
	if own {
		if err := t.storeOwn(b, a.As, ints{int64(p.UID)}, true); err != nil {
			return p, err
		}
	}
	if a.Once != "" {
		return p, t.remember(a.Once, &p, t.now.Add(a.OnceFor))
	}
	return p, nil
}

// predecessor returns the placement that an arrival replaces or continues, if any,
// and its mailbox.
func (t *tx) predecessor(b *box, a mail.Arrival) (old []held, from *box, err error) {
	uid, from := a.Continues, b
	if a.Replaces != 0 {
		uid = a.Replaces
	}
	if a.Replaces != 0 && a.ReplacesIn != 0 {
		if from, err = t.box(a.ReplacesIn); err != nil {
			return nil, nil, err
		}
	}
	if uid == 0 {
		return nil, nil, nil
	}
	old, err = t.load(from.ID, mail.MakeUIDSet(uid), every)
	if err == nil && old == nil {
		err = mail.Errorf(mail.NotFound, "the message to be replaced is not there")
	}
	return old, from, err
}

const markEarlier = "UPDATE placement SET lineage = -lineage WHERE account_id = ?1 AND mailbox_id = ?2 AND uid = ?3"

// handOn takes the line from who holds it; 0 if there is none to take. It is no
// change that a view hears of: the ModSeq stays.
func (t *tx) handOn(old []held) (mail.Lineage, error) {
	if old == nil || !old[0].Lineage.Held() {
		return 0, nil
	}
	err := t.c.later(markEarlier, t.id, old[0].Mailbox, old[0].UID)
	return old[0].Lineage, err
}

func every(*mail.Placement) bool { return true }

// room looks whether size more bytes fit, once the replaced message is gone.
func (t *tx) room(size int64, old []held) error {
	used := t.account.Used + size
	if old != nil && len(old[0].m.places) == 1 {
		used -= old[0].Size
	}
	if t.account.Quota > 0 && used > t.account.Quota {
		return mail.Errorf(mail.OverQuota, "the account is full")
	}
	return nil
}

const (
	// The engine numbers the rows, as they come.
	insertContent = "INSERT INTO content (account_id, blob, sent_at, message_id, parsed, preview, names, again) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)"
	insertMessage = `INSERT INTO message (account_id, message_key, email_id, thread_id, size, internal_date, created, modseq, visible, placements, left_modseq, born, named, content_id, internal_zone, behind, sent_at, home_mailbox, home_uid)
	VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19)`
	insertPlacement = `INSERT INTO placement (account_id, mailbox_id, uid, placement_id, message_key, lineage, system, keywords, save_date, created, modseq, changed_by, size, content_id, received, behind, elsewhere)
	VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, 0)`
)

// arrive makes the message and its placement, which holds the line; 0 begins one.
// brought says that the blob's row names the message.
func (t *tx) arrive(b *box, a mail.Arrival, line mail.Lineage, key mail.MessageKey, brought bool) (mail.Placement, error) {
	uid, err := b.takeUIDs(1)
	if err != nil {
		return mail.Placement{}, err
	}
	m, content, err := t.newMessage(a, key, brought)
	if err != nil {
		return mail.Placement{}, err
	}
	m.homeMailbox, m.homeUID = b.ID, uid
	p := mail.Placement{ID: mail.PlacementID(t.newID()), Mailbox: b.ID, Message: m.key, UID: uid, Flags: a.Flags, SaveDate: unstamp(stamp(t.now)),
		Created: t.n, ModSeq: t.n, ChangedBy: t.by.Device(), Size: m.size, Lineage: line}
	if line == 0 {
		p.Lineage = mail.Lineage(p.ID)
	}
	t.touch(b)
	t.put(b.ID, uid, p.Flags)
	b.count(p.Flags, p.Size, 1)
	t.place(m, place{id: p.ID, mailbox: b.ID, flags: p.Flags})
	err = t.c.later(insertPlacement, t.id, b.ID, uid, p.ID, p.Message, p.Lineage, p.Flags.System, p.Flags.KeywordText(), p.SaveDate,
		p.Created, p.ModSeq, p.ChangedBy, p.Size, content, m.received, b.follow(int64(uid), m.received))
	return p, err
}

// newMessage writes what never changes, and returns its number too, and leaves the
// rest to settle.
func (t *tx) newMessage(a mail.Arrival, key mail.MessageKey, brought bool) (m *message, content int64, err error) {
	if a.InternalDate.IsZero() {
		a.InternalDate = t.now.UTC()
	}
	m = &message{key: key, size: a.Blob.Size, received: stamp(a.InternalDate)}
	if a.EmailID == (mail.EmailID{}) {
		a.EmailID = emailIDOf(m.key)
	}
	thread, names, err := t.findThread(a)
	if err != nil {
		return nil, 0, err
	}
	m.thread = thread
	content, err = t.c.insert(insertContent, t.id, a.Blob.Name, a.SentAt, a.MessageID, a.Parsed, a.Preview, names, !brought)
	if err != nil {
		return nil, 0, err
	}
	behind := t.account.peak.follow(int64(m.key), m.received)
	m.insert = func(rw messageRow) error {
		err := t.c.later(insertMessage, t.id, m.key, a.EmailID, m.thread, m.size, a.InternalDate, rw.created, rw.modseq, rw.visible, rw.placements, rw.left,
			t.n, keyOf(a.EmailID) != m.key, content, minutesEast(a.InternalDate), behind, a.SentAt, m.homeMailbox, m.homeUID)
		return err
	}
	t.messages[m.key] = m
	t.unborn++
	return m, content, nil
}

// emailIDOf draws the email id of a message of ours: 80 random bits, then the key
// that it is found by, without an index of its own.
func emailIDOf(key mail.MessageKey) mail.EmailID {
	id := mail.NewEmailID()
	var b [8]byte
	binary.BigEndian.PutUint64(b[:], uint64(key))
	copy(id[10:], b[2:])
	return id
}

// keyOf is the key that an email id says, if it is one of ours.
func keyOf(id mail.EmailID) mail.MessageKey {
	var b [8]byte
	copy(b[2:], id[10:])
	return mail.MessageKey(binary.BigEndian.Uint64(b[:]))
}

// digest is under what a message id or a subject is looked for. Who went to the
// length of making two alike would have joined two threads, which an In-Reply-To
// does too.
func digest(s string) int64 {
	sum := sha256.Sum256([]byte(s))
	return int64(binary.BigEndian.Uint64(sum[:8]))
}

// findThread returns the thread of an arrival: that of its own Message-ID, else
// that of the newest reference known, else, for a reply, the newest thread that
// began with its base subject, else a new one. The arrival makes all its names
// known. What no arrival has named stays unknown, so threads never merge.
func (t *tx) findThread(a mail.Arrival) (id mail.ThreadID, names []byte, err error) {
	own, asked := namesOf(a)
	known, err := t.threadsOf(asked)
	if err != nil {
		return 0, nil, err
	}
	for _, name := range asked {
		if id = known[name]; id != 0 {
			break
		}
	}
	fresh := slices.DeleteFunc(slices.Clone(own), func(name int64) bool { return known[name] != 0 })
	if id == 0 {
		id = t.beginThread()
		if a.BaseSubject != "" {
			fresh = append(fresh, subjectName(a.BaseSubject))
		}
	}
	names, err = t.name(id, fresh)
	return id, names, err
}

// namesOf are the names of an arrival, and those by which its thread is looked for.
func namesOf(a mail.Arrival) (own, asked ints) {
	own = threadNames(a)
	asked = own
	if a.IsReply && a.BaseSubject != "" {
		asked = append(slices.Clip(own), subjectName(a.BaseSubject))
	}
	return own, asked
}

// subjectName is the name of threads that began with a subject; no message id has
// a NUL.
func subjectName(base string) int64 { return digest("\x00" + base) }

// threadNames are the digests of the arrival's own Message-ID and of its
// references, newest first.
func threadNames(a mail.Arrival) ints {
	var names ints
	add := func(name string) {
		if d := digest(name); name != "" && !slices.Contains(names, d) {
			names = append(names, d)
		}
	}
	add(a.MessageID)
	for _, name := range slices.Backward(a.References) {
		add(name)
	}
	return names
}

// beginThread makes a thread; settle writes its row.
func (t *tx) beginThread() mail.ThreadID {
	id := mail.ThreadID(t.newID())
	t.threads[id] = &thread{id: id, unborn: true, in: map[mail.MailboxID]int64{}, storedIn: map[mail.MailboxID]int64{}}
	return id
}
