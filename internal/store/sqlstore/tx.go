package sqlstore

import (
	"cmp"
	"encoding/json"
	"maps"
	"slices"

	"lockstep/internal/mail"
	"lockstep/internal/store"
)

// tx is a transaction on an account. Verbs change the rows of placements at
// once and note in memory what became of mailboxes, messages and threads; settle
// writes those rows, compared with how they were when the transaction began.
type tx struct {
	*reader
	*notes
	by        mail.Origin
	account   account
	tails     *tails
	naming    *naming
	n         mail.ModSeq // what all changes here share
	boxes     map[mail.MailboxID]*box
	messages  map[mail.MessageKey]*message
	threads   map[mail.ThreadID]*thread
	unborn    int // messages whose rows settle will insert
	unwell    bool
	entries   []mail.Entry
	undoes    mail.ActID
	annotates bool                    // a mailbox, or the account
	touched   map[mail.MailboxID]bool // placements changed
	dirty     map[mail.MessageKey]*message
	objects   map[mail.ObjectID]object // changed
	puts      []mail.Put               // placements that came or whose flags changed; see allPuts
	added     int                      // entries, also those that became one with the one before
	undone    *undo                    // the last that was undone here
	undoneAt  int                      // added, after that
}

var _ store.Tx = (*tx)(nil)

func (db *DB) newTx(c conn, id mail.AccountID, by mail.Origin) (*tx, error) {
	return db.newTxAmong(c, id, by, false)
}

// newTxAmong is newTx, in accounts that are kept too, if kept.
func (db *DB) newTxAmong(c conn, id mail.AccountID, by mail.Origin, kept bool) (*tx, error) {
	now := db.now()
	a, err := findAccount(c, id, kept)
	if err != nil {
		return nil, err
	}
	t := &tx{
		reader: &reader{c: c, id: id, now: now, held: true, restored: a.Restored}, by: by, account: a, n: a.Head + 1, tails: &db.tails, naming: &db.naming,
		boxes: map[mail.MailboxID]*box{}, messages: map[mail.MessageKey]*message{}, threads: map[mail.ThreadID]*thread{},
		touched: map[mail.MailboxID]bool{}, dirty: map[mail.MessageKey]*message{},
		objects: map[mail.ObjectID]object{},
	}
	t.settle, t.state = t.settleAll, t.current
	t.notes = &notes{t}
	return t, nil
}

// newID draws the next id of the account.
func (t *tx) newID() int64 { return t.newIDs(1) }

// newIDs draws n ids in a row and returns the first.
func (t *tx) newIDs(n int) int64 {
	first := t.account.nextID
	t.account.nextID += int64(n)
	t.unwell = true
	return first
}

// box is a mailbox as this transaction has it, as it found it, and as its row is.
type box struct {
	mailbox
	begin, stored mailbox
	gone          bool
}

// box returns a mailbox to be changed.
func (t *tx) box(id mail.MailboxID) (*box, error) {
	if b := t.boxes[id]; b != nil {
		if b.gone {
			return nil, noMailbox()
		}
		return b, nil
	}
	mb, err := t.mailbox(id)
	if err != nil {
		return nil, err
	}
	b := &box{mailbox: mb, begin: mb, stored: mb}
	t.boxes[id] = b
	return b, nil
}

// touch notes that placements of the mailbox changed.
func (t *tx) touch(b *box) {
	b.HighestModSeq = t.n
	t.touched[b.ID] = true
}

// add writes down what was done. Entries that continue the one before become
// one.
func (t *tx) add(e mail.Entry) {
	t.added++
	if n := len(t.entries); n > 0 && continues(t.entries[n-1], e) {
		last := &t.entries[n-1]
		last.UIDs, last.DestUIDs = joined(last.UIDs, e.UIDs), joined(last.DestUIDs, e.DestUIDs)
		return
	}
	t.entries = append(t.entries, e)
}

// continues reports whether b does more of what a did, to later UIDs, so that
// lists stay parallel.
func continues(a, b mail.Entry) bool {
	switch a.Op {
	case mail.OpAppend, mail.OpFlags, mail.OpExpunge, mail.OpCopy:
	case mail.OpMove:
		if a.Mailbox == a.Dest {
			return false // b may have moved on what a moved
		}
	default:
		return false
	}
	return a.Op == b.Op && a.Mailbox == b.Mailbox && a.Dest == b.Dest && a.Who == b.Who &&
		slices.Equal(a.Added, b.Added) && slices.Equal(a.Removed, b.Removed) &&
		later(a.UIDs, b.UIDs) && later(a.DestUIDs, b.DestUIDs)
}

func later(a, b mail.UIDSet) bool {
	return len(a) == 0 || len(b) == 0 || b[0].First > a[len(a)-1].Last
}

func joined(a, b mail.UIDSet) mail.UIDSet {
	a = slices.Clone(a)
	for _, r := range b {
		a.AddRange(r.First, r.Last)
	}
	return a
}

const insertJournal = `INSERT INTO journal (account_id, modseq, act, undoes, at, actor, device_id, session, protocol, cause, version, entries)
	VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)`

// finish writes what is derived, the account's row and the journal's record, and
// returns what to tell.
func (t *tx) finish() (mail.News, error) {
	if err := t.settleAll(); err != nil {
		return mail.News{}, err
	}
	if len(t.entries) == 0 {
		return mail.News{}, t.finishNotes()
	}
	t.account.Account = t.current()
	if err := t.saveAccount(); err != nil {
		return mail.News{}, err
	}
	entries, err := json.Marshal(t.entries)
	if err != nil {
		return mail.News{}, err
	}
	act := t.by.Act()
	if act == 0 {
		act = mail.ActID(t.n)
	}
	err = t.c.later(insertJournal, t.id, t.n, act, t.undoes, t.now, t.by.Actor(), t.by.Device(), t.by.Session(),
		t.by.Protocol(), t.by.Cause(), mail.RecordVersion, string(entries))
	return t.news(), err
}

// finishNotes keeps the ids that bookkeeping drew.
func (t *tx) finishNotes() error {
	if !t.unwell {
		return nil
	}
	return t.saveAccount()
}

// changedTypes returns the types of which objects changed since the beginning.
func (t *tx) changedTypes() mail.TypeSet {
	var types mail.TypeSet
	if len(t.touched) > 0 {
		types.Add(mail.TypePlacement)
	}
	if t.annotates {
		types.Add(mail.TypeMetadata)
	}
	if slices.ContainsFunc(t.entries, func(e mail.Entry) bool { return e.Op.Names() }) {
		types.Add(mail.TypeNames)
	}
	for _, m := range t.messages {
		if m.changed {
			types.Add(mail.TypeEmail)
			break
		}
	}
	for _, th := range t.threads {
		if th.flips > 0 {
			types.Add(mail.TypeThread)
			break
		}
	}
	for _, o := range t.objects {
		if o.created != 0 || o.there {
			types.Add(o.typ)
		}
	}
	for _, b := range t.boxes {
		if b.gone && b.begin.ID != 0 || !b.gone && (b.PropsModSeq == t.n || b.CountsModSeq == t.n) {
			types.Add(mail.TypeMailbox)
		}
	}
	return types
}

// Account returns the account as this transaction has it.
func (t *tx) Account() (mail.Account, error) {
	if err := t.settleAll(); err != nil {
		return mail.Account{}, err
	}
	return t.current(), nil
}

// current is the account's state, given that all is settled.
func (t *tx) current() mail.Account {
	a := t.account.Account
	if len(t.entries) == 0 {
		return a
	}
	a.Head, a.Last = t.n, maps.Clone(a.Last)
	types := t.changedTypes()
	for _, typ := range allTypes {
		if types.Has(typ) {
			a.Last[typ] = t.n
		}
	}
	return a
}

func (t *tx) news() mail.News {
	news := mail.News{ModSeq: t.n, Types: t.changedTypes(), Device: t.by.Device(), At: t.now, Puts: t.allPuts()}
	if len(t.touched) > mail.MaxNewsMailboxes {
		news.Many = true
		return news
	}
	news.Mailboxes = slices.Sorted(maps.Keys(t.touched))
	return news
}

// put notes what a placement is from now on.
func (t *tx) put(mb mail.MailboxID, uid mail.UID, flags mail.Flags) {
	if len(t.puts) <= mail.MaxNewsPuts {
		t.puts = append(t.puts, mail.Put{Mailbox: mb, UID: uid, Flags: flags})
	}
}

// allPuts are those, if the record tells of nothing but them.
func (t *tx) allPuts() []mail.Put {
	count := uint64(0)
	for _, e := range t.entries {
		if e.Op != mail.OpAppend && e.Op != mail.OpFlags || e.Who != 0 {
			return nil
		}
		count += e.UIDs.Count()
	}
	if count != uint64(len(t.puts)) || count > mail.MaxNewsPuts {
		return nil
	}
	return t.puts
}

const updateAccount = `UPDATE account SET head = ?2, last_mailbox = ?3, last_email = ?4, last_thread = ?5, last_placement = ?6,
	next_id = ?7, next_uidvalidity = ?8, quota = ?9, used = ?10, named_to = ?11, last_identity = ?12, last_submission = ?13,
	peak = ?14, peak_key = ?15, emails = ?16, threads = ?17 WHERE account_id = ?1`

func (t *tx) saveAccount() error {
	a := &t.account
	err := t.c.later(updateAccount, t.id, a.Head, a.Last[mail.TypeMailbox], a.Last[mail.TypeEmail], a.Last[mail.TypeThread],
		a.Last[mail.TypePlacement], a.nextID, a.nextValidity, a.Quota, a.Used, a.namedTo,
		a.Last[mail.TypeIdentity], a.Last[mail.TypeSubmission], a.peak.date, a.peak.number, a.Emails, a.Threads)
	t.unwell = false
	return err
}

// settleAll writes the rows of messages, threads and mailboxes. It may be called
// many times: each compares with how the transaction began.
func (t *tx) settleAll() error {
	if len(t.dirty) > 0 {
		if err := t.settleMessages(); err != nil {
			return err
		}
	}
	for _, id := range slices.Sorted(maps.Keys(t.boxes)) {
		if err := t.settleBox(t.boxes[id]); err != nil {
			return err
		}
	}
	return nil
}

const updateMailbox = `UPDATE mailbox SET uidnext = ?3, recent = ?4, modseq = ?5, highest_modseq = ?6, props_modseq = ?7, counts_modseq = ?8,
	placements = ?9, unseen = ?10, deleted = ?11, size = ?12, emails = ?13, unread_emails = ?14, threads = ?15, unread_threads = ?16, peak = ?17, peak_uid = ?18
	WHERE account_id = ?1 AND mailbox_id = ?2`

const updateMailboxProps = `UPDATE mailbox SET parent_id = ?3, name = ?4, path = ?5, role = ?6, sort_order = ?7
	WHERE account_id = ?1 AND mailbox_id = ?2`

const updateMailboxSharing = "UPDATE mailbox SET common_seen = ?3, seen_switched = ?4, members = ?5 WHERE account_id = ?1 AND mailbox_id = ?2"

func (t *tx) settleBox(b *box) error {
	if b.gone {
		return nil
	}
	b.CountsModSeq = b.begin.CountsModSeq
	if shown(b.Counts) != shown(b.begin.Counts) {
		b.CountsModSeq = t.n
	}
	if b.mailbox == b.stored {
		return nil
	}
	if b.Image() != b.stored.Image() || b.Path != b.stored.Path {
		if err := t.c.later(updateMailboxProps, t.id, b.ID, b.Parent, b.Name, b.Path, b.Role, b.SortOrder); err != nil {
			return err
		}
	}
	if b.shared != b.stored.shared || b.CommonSeen != b.stored.CommonSeen {
		if err := t.c.later(updateMailboxSharing, t.id, b.ID, b.CommonSeen, b.switched, b.members); err != nil {
			return err
		}
	}
	if b.notes != b.stored.notes {
		if err := t.c.later(updateAnnotationBytes, t.id, b.ID, b.notes); err != nil {
			return err
		}
	}
	c := b.Counts
	err := t.c.later(updateMailbox, t.id, b.ID, b.UIDNext, b.recent, max(b.PropsModSeq, b.CountsModSeq), b.HighestModSeq, b.PropsModSeq,
		b.CountsModSeq, c.Placements, c.Unseen, c.Deleted, c.Size, c.Emails, c.UnreadEmails, c.Threads, c.UnreadThreads, b.peak.date, b.peak.number)
	b.stored = b.mailbox
	return err
}

// shown are the counts that JMAP shows.
func shown(c mail.Counts) [4]int64 {
	return [4]int64{c.Emails, c.UnreadEmails, c.Threads, c.UnreadThreads}
}

// byKey sorts messages so that rows are written in the order of their keys.
func byKey(a, b *message) int { return cmp.Compare(a.key, b.key) }
