package sqlstore

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"maps"
	"math"
	"slices"
	"strings"
	"time"

	"lockstep/internal/mail"
	"lockstep/internal/store"
)

// Of a message that is erased its row stays until the horizon, without content, and
// those of its placements, without flags: views tell by them what left. A message row
// without content is how everybody else knows.
const (
	selectErasable = `SELECT m.email_id, m.thread_id, m.content_id, c.names FROM message m JOIN content c ON c.account_id = m.account_id AND c.content_id = m.content_id
	WHERE m.account_id = ?1 AND m.message_key = ?2`
	selectTombs   = "SELECT mailbox_id, uid, created FROM vanished_placement WHERE account_id = ?1 AND message_key = ?2"
	eraseContent  = "DELETE FROM content WHERE account_id = ?1 AND content_id = ?2"
	eraseMessage  = "UPDATE message SET content_id = 0, sent_at = ?3 WHERE account_id = ?1 AND message_key = ?2"
	eraseFlags    = "UPDATE vanished_placement SET system = 0, keywords = '' WHERE account_id = ?1 AND mailbox_id = ?2 AND uid IN list(?3)"
	eraseNotes    = "DELETE FROM annotation WHERE account_id = ?1 AND mailbox_id = ?2 AND uid IN list(?3)"
	eraseName     = "DELETE FROM thread_name WHERE account_id = ?1 AND name = ?2 AND thread_id = ?3"
	sumNotesOf    = "SELECT coalesce(sum(length(name) + length(value) + 64), 0) FROM annotation WHERE account_id = ?1 AND mailbox_id = ?2"
	selectUploads = "SELECT upload_id, emails FROM upload WHERE account_id = ?1"
	selectImages  = "SELECT key, image FROM memory WHERE account_id = ?1"
	updateMemory  = "UPDATE memory SET image = ?3 WHERE account_id = ?1 AND key = ?2"
	updateRecord  = "UPDATE journal SET entries = ?3 WHERE account_id = ?1 AND modseq = ?2"
	selectEntries = "SELECT modseq, entries FROM journal WHERE account_id = ?1 AND modseq >= ?2 ORDER BY modseq"
	selectLeavers = `SELECT message_key FROM message WHERE account_id = ?1 AND placements = 0 AND left_modseq > ?2 AND content_id > 0 ORDER BY left_modseq, message_key`
	selectErased  = `SELECT v.uid FROM vanished_placement v WHERE v.account_id = ?1 AND v.mailbox_id = ?2 AND v.uid IN list(?3)
	AND EXISTS (SELECT 1 FROM message m WHERE m.account_id = ?1 AND m.account_id = v.account_id AND m.message_key = v.message_key AND m.content_id = 0)`
)

// erasing is an Erase under way.
type erasing struct {
	*tx
	done    mail.Erased
	keys    map[mail.MessageKey]bool
	emails  map[mail.EmailID]bool
	there   map[mail.MailboxID]mail.UIDSet // that leave by it
	left    map[mail.MailboxID]mail.UIDSet // that had left before
	objects map[mail.ObjectID]bool
	since   mail.ModSeq // no record before it says anything of the messages
}

// Erase implements store.Tx. What is there costs as an Expunge does; the journal is
// read once, from when the oldest of the messages came: 300 000 records in a second.
func (t *tx) Erase(what mail.Erasing) (mail.Erased, error) {
	if len(what.Messages) > mail.MaxErasing || len(what.Objects) > mail.MaxErasing {
		return mail.Erased{}, mail.Errorf(mail.Limit, "at most %d messages are erased at once", mail.MaxErasing)
	}
	if err := t.settleAll(); err != nil {
		return mail.Erased{}, err
	}
	e := &erasing{tx: t, keys: map[mail.MessageKey]bool{}, emails: map[mail.EmailID]bool{},
		there: map[mail.MailboxID]mail.UIDSet{}, left: map[mail.MailboxID]mail.UIDSet{}, objects: map[mail.ObjectID]bool{}, since: t.n}
	if err := e.indexNames(); err != nil {
		return e.done, err
	}
	for _, key := range what.Messages {
		if err := e.find(key); err != nil {
			return e.done, err
		}
	}
	for _, step := range []func() error{e.leave, e.notes, e.uploads, e.memories, func() error { return e.drop(what.Objects) }, e.records} {
		if err := step(); err != nil {
			return e.done, err
		}
	}
	return e.done, nil
}

// indexNames puts all names of the account into the index, where they are found.
func (e *erasing) indexNames() error {
	tl, err := e.tails.get(e.c, e.id, e.account.namedTo)
	if err != nil {
		return err
	}
	e.account.namedTo, e.unwell = e.account.nextID-1, true
	return tl.index(e.c, e.id)
}

// find takes a message that is there, or is kept, and forgets what it says.
func (e *erasing) find(key mail.MessageKey) error {
	var email mail.EmailID
	var thread mail.ThreadID
	var content int64
	var names []byte
	known, err := one(e.c, selectErasable, func(r row) {
		copy(email[:], r.bytes(0))
		thread, content, names = mail.ThreadID(r.num(1)), r.num(2), r.bytes(3)
	}, e.id, key)
	if err != nil || !known {
		return err
	}
	e.keys[key], e.emails[email] = true, true
	e.done.Messages++
	there, err := e.PlacementsOf(key)
	for _, p := range there {
		add(e.there, p.Mailbox, p.UID)
		e.since = min(e.since, p.Created)
	}
	if err == nil {
		err = e.c.query(selectTombs, func(r row) error {
			add(e.left, mail.MailboxID(r.num(0)), mail.UID(r.num(1)))
			e.since = min(e.since, mail.ModSeq(r.num(2)))
			return nil
		}, e.id, key)
	}
	for ; err == nil && len(names) >= 8; names = names[8:] {
		n, broken := e.c.exec(eraseName, e.id, int64(binary.BigEndian.Uint64(names)), thread)
		e.done.Names += int(n)
		err = broken
	}
	if err == nil {
		_, err = e.c.exec(eraseContent, e.id, content)
	}
	if err == nil {
		_, err = e.c.exec(eraseMessage, e.id, key, int64(never))
	}
	return err
}

func add(sets map[mail.MailboxID]mail.UIDSet, mb mail.MailboxID, uid mail.UID) {
	set := sets[mb]
	set.Add(uid)
	sets[mb] = set
}

// boxes are the mailboxes that messages are, or were, in.
func (e *erasing) mailboxes() []mail.MailboxID {
	all := maps.Clone(e.there)
	maps.Copy(all, e.left)
	return slices.Sorted(maps.Keys(all))
}

// leave lets the placements leave, and takes from all what is said of them.
func (e *erasing) leave() error {
	for _, id := range e.mailboxes() {
		there, left := e.there[id], e.left[id]
		e.done.Placements += int(there.Count())
		e.done.Departed += int(left.Count())
		if err := e.vanishAll(id, there); err != nil {
			return err
		}
		e.add(mail.Entry{Op: mail.OpErase, Mailbox: id, UIDs: there, Was: left})
		if _, err := e.c.exec(eraseFlags, e.id, id, listOf(e.spots(id))); err != nil {
			return err
		}
	}
	return nil
}

func (e *erasing) vanishAll(id mail.MailboxID, uids mail.UIDSet) error {
	if len(uids) == 0 {
		return nil
	}
	b, err := e.box(id)
	if err != nil {
		return err
	}
	hs, err := e.load(id, uids, every)
	if err != nil {
		return err
	}
	return e.vanish(b, hs, expunged)
}

// spots are the UIDs in a mailbox that are, or were, of the messages.
func (e *erasing) spots(id mail.MailboxID) mail.UIDSet {
	all := slices.Clone(e.there[id])
	for _, r := range e.left[id] {
		all.AddRange(r.First, r.Last)
	}
	return all
}

func listOf(uids mail.UIDSet) ints {
	var list ints
	for uid := range uids.All() {
		list = append(list, int64(uid))
	}
	return list
}

// notes forgets the annotations of the messages.
func (e *erasing) notes() error {
	for _, id := range e.mailboxes() {
		n, err := e.c.exec(eraseNotes, e.id, id, listOf(e.spots(id)))
		if err != nil {
			return err
		}
		if n == 0 {
			continue
		}
		e.done.Annotations += int(n)
		b, err := e.box(id)
		if err != nil && mail.KindOf(err) == mail.NotFound { // it is counted again if it comes back
			continue
		}
		if err == nil {
			b.notes, err = e.notesOf(id)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// notesOf is what the annotations of a mailbox take.
func (t *tx) notesOf(id mail.MailboxID) (n int64, err error) {
	_, err = one(t.c, sumNotesOf, func(r row) { n = r.num(0) }, t.id, id)
	return n, err
}

// uploads forgets what the messages were made of.
func (e *erasing) uploads() error {
	var gone []mail.UploadID
	err := e.c.query(selectUploads, func(r row) error {
		for text := range slices.Chunk(r.bytes(1), len(mail.EmailID{})) {
			if len(text) == len(mail.EmailID{}) && e.emails[mail.EmailID(text)] {
				gone = append(gone, mail.UploadID(r.bytes(0)))
				break
			}
		}
		return nil
	}, e.id)
	for _, id := range gone {
		if err == nil {
			_, err = e.c.exec(deleteUpload, e.id, id)
		}
	}
	e.done.Uploads += len(gone)
	return err
}

// memories keeps that the messages arrived, so that none comes a second time, and not
// how they were marked.
func (e *erasing) memories() error {
	changed := map[string][]byte{}
	err := e.c.query(selectImages, func(r row) error {
		p, err := parsePlacement(string(r.bytes(1)))
		if err == nil && e.keys[p.Message] {
			p.Flags = mail.Flags{}
			changed[r.text(0)] = placementImage(&p)
		}
		return err
	}, e.id)
	for _, key := range slices.Sorted(maps.Keys(changed)) {
		if err == nil {
			_, err = e.c.exec(updateMemory, e.id, key, changed[key])
		}
	}
	return err
}

// drop drops objects, and notes those that were dropped before.
func (e *erasing) drop(objects []mail.ObjectID) error {
	for _, id := range objects {
		e.objects[id] = true
		e.since = 0 // nobody knows when one that is gone was made
		for _, typ := range objectTypes {
			err := e.DropObject(typ, id)
			if err == nil {
				e.done.Objects++
			} else if mail.KindOf(err) != mail.NotFound {
				return err
			}
		}
	}
	return nil
}

// objectTypes are those that objects can be of.
var objectTypes = []mail.Type{mail.TypeIdentity, mail.TypeSubmission}

// records takes out of the journal, and of what this transaction did before, what is
// said of the messages.
func (e *erasing) records() error {
	if len(e.keys) == 0 && len(e.objects) == 0 {
		return nil
	}
	spots := map[mail.MailboxID]mail.UIDSet{}
	for _, id := range e.mailboxes() {
		spots[id] = e.spots(id)
	}
	e.entries, _ = mail.Effaced(e.entries, spots, e.objects)
	changed := map[mail.ModSeq]string{}
	err := e.c.query(selectEntries, func(r row) error {
		text := r.text(1)
		if !saysSomething(text) {
			return nil
		}
		var entries []mail.Entry
		if err := json.Unmarshal([]byte(text), &entries); err != nil {
			return err
		}
		left, some := mail.Effaced(entries, spots, e.objects)
		if !some {
			return nil
		}
		now, err := json.Marshal(left)
		changed[mail.ModSeq(r.num(0))] = string(now)
		return err
	}, e.id, e.since)
	for _, n := range slices.Sorted(maps.Keys(changed)) {
		if err == nil {
			_, err = e.c.exec(updateRecord, e.id, n, changed[n])
		}
	}
	e.done.Records += len(changed)
	return err
}

// saysSomething reports whether a record may have more than numbers.
func saysSomething(entries string) bool {
	return strings.Contains(entries, `"op":"flags"`) || strings.Contains(entries, `"op":"annotate"`) || strings.Contains(entries, `"op":"object"`)
}

// KeptMessages implements store.Reader.
func (r *reader) KeptMessages(fn func(mail.MessageKey) error) error {
	if err := r.settled(); err != nil {
		return err
	}
	var keys []mail.MessageKey // fn may ask for them, or change them
	err := r.c.query(selectLeavers, func(row row) error { keys = append(keys, mail.MessageKey(row.num(0))); return nil }, r.id, 0)
	for _, key := range keys {
		if err == nil {
			err = fn(key)
		}
	}
	return err
}

// erased counts those of uids that left the mailbox and were erased.
func (u *undo) erased(mb mail.MailboxID, uids mail.UIDSet) (n uint64, err error) {
	err = u.c.query(selectErased, func(row) error { n++; return nil }, u.id, mb, listOf(uids))
	return n, err
}

var _ store.Tx = (*tx)(nil)

const (
	selectActs    = "SELECT modseq FROM journal WHERE account_id = ?1 AND modseq > ?2 AND actor = ?3 AND at <= ?5 ORDER BY modseq LIMIT ?4"
	forgetActorIn = "UPDATE journal SET actor = ?3 WHERE account_id = ?1 AND modseq = ?2"
)

// ForgetActor takes a login out of the journals of all accounts, also of those that are
// kept, whose records up to that time, or all of them where it is zero, then say actor in
// its place, and returns how many did. It reads all journals: a second for each 500 000 records.
func (db *DB) ForgetActor(ctx context.Context, login, actor string, until time.Time) (n int64, err error) {
	at := int64(math.MaxInt64)
	if !until.IsZero() {
		at = stamp(until)
	}
	all, err := db.everyAccount(ctx)
	for _, id := range all {
		for after, more := mail.ModSeq(0), true; more && err == nil; {
			var acts []mail.ModSeq
			err = db.ask(ctx, func(c conn) error {
				return c.query(selectActs, func(r row) error { acts = append(acts, mail.ModSeq(r.num(0))); return nil }, id, after, login, removeChunk, at)
			})
			if more = len(acts) == removeChunk; err != nil || len(acts) == 0 {
				break
			}
			after = acts[len(acts)-1]
			err = db.write(ctx, laneOf(id), func(c conn) error {
				for _, act := range acts {
					if _, err := c.exec(forgetActorIn, id, act, actor); err != nil {
						return err
					}
				}
				return nil
			}, nil)
			n += int64(len(acts))
		}
	}
	return n, err
}

// everyAccount returns all accounts, those that are kept among them.
func (db *DB) everyAccount(ctx context.Context) (ids []mail.AccountID, err error) {
	all, err := db.Accounts(ctx)
	for _, p := range all {
		ids = append(ids, p.Account)
	}
	if err != nil {
		return nil, err
	}
	kept, err := db.KeptRemoved(ctx)
	for _, k := range kept {
		ids = append(ids, k.Account)
	}
	return ids, err
}
