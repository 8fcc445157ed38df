package sqlstore

import (
	"maps"
	"slices"
	"strings"
	"time"

	"lockstep/internal/mail"
)

// reader is one snapshot of an account. Inside a transaction, settle brings what
// is derived up to date before it is read.
type reader struct {
	c      conn
	id     mail.AccountID
	now    time.Time
	settle func() error        // nil outside a transaction
	state  func() mail.Account // so
	row    mail.Account        // as the snapshot has it, outside a transaction
	last   mailbox             // asked for, so
	guard  mail.GuardRule
	held   bool // rows are collected before fn is called, as fn may change them
	// restored is when the account last came back from an older copy: the least ModSeq
	// that a view sees of a placement. The rows keep what they had, by which an undo
	// knows what was touched.
	restored mail.ModSeq
}

func newReader(c conn, id mail.AccountID, now time.Time, kept bool) (*reader, error) {
	a, err := findAccount(c, id, kept)
	return &reader{c: c, id: id, now: now, row: a.Account, restored: a.Restored}, err
}

func (r *reader) settled() error {
	if r.settle == nil {
		return nil
	}
	return r.settle()
}

// account is an account's row.
type account struct {
	mail.Account
	nextID       int64
	nextValidity mail.UIDValidity
	namedTo      int64 // the names of messages up to this key are in the index
	peak         peak
}

const selectAnyAccount = `SELECT name, head, epoch, horizon, last_mailbox, last_email, last_thread, last_placement, last_identity, last_submission,
	next_id, next_uidvalidity, quota, used, disabled, created, reparsed, named_to, peak, peak_key, emails, threads, horizon_at, restored FROM account WHERE account_id = ?1`
const selectAccount = selectAnyAccount + " AND kept = 0"

func loadAccount(c conn, id mail.AccountID) (account, error) { return findAccount(c, id, false) }

// findAccount finds also one that was removed and is kept, if kept.
func findAccount(c conn, id mail.AccountID, kept bool) (account, error) {
	sql := selectAccount
	if kept {
		sql = selectAnyAccount
	}
	var a account
	found, err := one(c, sql, func(r row) {
		a.Account = mail.Account{
			ID: id, Name: r.text(0), Head: mail.ModSeq(r.num(1)), Epoch: mail.Epoch(r.num(2)), Horizon: mail.ModSeq(r.num(3)),
			Last:  map[mail.Type]mail.ModSeq{},
			Quota: r.num(12), Used: r.num(13), Disabled: r.num(14) != 0, Created: unstamp(r.num(15)), Reparsed: uint64(r.num(16)),
			Emails: r.num(20), Threads: r.num(21), HorizonAt: unstamp(r.num(22)), Restored: mail.ModSeq(r.num(23)),
		}
		if r.num(22) == 0 {
			a.HorizonAt = a.Created
		}
		for i, t := range allTypes {
			if n := r.num(4 + i); n != 0 {
				a.Last[t] = mail.ModSeq(n)
			}
		}
		a.nextID, a.nextValidity, a.namedTo = r.num(10), mail.UIDValidity(r.num(11)), r.num(17)
		a.peak = peak{r.num(18), r.num(19)}
	}, id)
	if err == nil && !found {
		err = mail.Errorf(mail.NotFound, "no such account")
	}
	return a, err
}

// allTypes is in the order of the account's columns.
var allTypes = []mail.Type{mail.TypeMailbox, mail.TypeEmail, mail.TypeThread, mail.TypePlacement, mail.TypeIdentity, mail.TypeSubmission}

func (r *reader) Account() (mail.Account, error) {
	if r.state != nil {
		return r.state(), nil
	}
	a := r.row
	a.Last = maps.Clone(a.Last)
	return a, nil
}

// mailbox is a mailbox's row.
type mailbox struct {
	mail.Mailbox
	recent mail.UID
	shared
	notes int64 // bytes of annotations of its messages, with those that left
	peak
}

const mailboxColumns = `mailbox_id, parent_id, name, path, role, uidvalidity, uidnext, recent, sort_order, created,
	highest_modseq, props_modseq, counts_modseq, placements, unseen, deleted, size, emails, unread_emails, threads, unread_threads,
	common_seen, seen_switched, members, annotation_bytes, peak, peak_uid`

func scanMailbox(r row) mailbox {
	return mailbox{mail.Mailbox{
		ID: mail.MailboxID(r.num(0)), Parent: mail.MailboxID(r.num(1)), Name: r.text(2), Path: r.text(3), Role: mail.Role(r.text(4)),
		UIDValidity: mail.UIDValidity(r.num(5)), UIDNext: mail.UID(r.num(6)), SortOrder: uint32(r.num(8)), Created: mail.ModSeq(r.num(9)),
		CommonSeen:    r.num(21) != 0,
		HighestModSeq: mail.ModSeq(r.num(10)), PropsModSeq: mail.ModSeq(r.num(11)), CountsModSeq: mail.ModSeq(r.num(12)),
		Counts: mail.Counts{
			Placements: r.num(13), Unseen: r.num(14), Deleted: r.num(15), Size: r.num(16),
			Emails: r.num(17), UnreadEmails: r.num(18), Threads: r.num(19), UnreadThreads: r.num(20),
		},
	}, mail.UID(r.num(7)), shared{mail.ModSeq(r.num(22)), r.num(23) != 0}, r.num(24), peak{r.num(25), r.num(26)}}
}

const (
	selectMailboxes     = "SELECT " + mailboxColumns + " FROM mailbox WHERE account_id = ?1"
	selectMailbox       = selectMailboxes + " AND mailbox_id = ?2"
	selectMailboxByPath = selectMailboxes + " AND path = ?2"
	selectSubscriptions = "SELECT path FROM subscription WHERE account_id = ?1 ORDER BY path"
)

func noMailbox() error { return mail.Errorf(mail.NotFound, "no such mailbox") }

func (r *reader) Mailboxes() ([]mail.Mailbox, error) {
	if err := r.settled(); err != nil {
		return nil, err
	}
	var all []mail.Mailbox
	err := r.c.query(selectMailboxes, func(row row) error {
		all = append(all, scanMailbox(row).Mailbox)
		return nil
	}, r.id)
	sortMailboxes(all)
	return all, err
}

// sortMailboxes puts INBOX first, then goes by path, folded.
func sortMailboxes(all []mail.Mailbox) {
	folded := make(map[mail.MailboxID]string, len(all))
	for _, mb := range all {
		folded[mb.ID] = strings.ToLower(mb.Path)
	}
	slices.SortFunc(all, func(a, b mail.Mailbox) int {
		if isInbox(a) != isInbox(b) {
			if isInbox(a) {
				return -1
			}
			return 1
		}
		if c := strings.Compare(folded[a.ID], folded[b.ID]); c != 0 {
			return c
		}
		return strings.Compare(a.Path, b.Path)
	})
}

const inboxName = "INBOX"

func isInbox(mb mail.Mailbox) bool { return mb.Role == mail.RoleInbox }

func (r *reader) Mailbox(id mail.MailboxID) (mail.Mailbox, error) {
	if err := r.settled(); err != nil {
		return mail.Mailbox{}, err
	}
	mb, err := r.mailbox(id)
	return mb.Mailbox, err
}

// mailbox returns a row. Outside a transaction it stays as it was.
func (r *reader) mailbox(id mail.MailboxID) (mailbox, error) {
	if r.settle == nil && r.last.ID == id && id != 0 {
		return r.last, nil
	}
	mb, err := r.mailboxWhere(selectMailbox, id)
	if err == nil && r.settle == nil {
		r.last = mb
	}
	return mb, err
}

func (r *reader) mailboxWhere(sql string, arg any) (mailbox, error) {
	var mb mailbox
	found, err := one(r.c, sql, func(row row) { mb = scanMailbox(row) }, r.id, arg)
	if err == nil && !found {
		err = noMailbox()
	}
	return mb, err
}

func (r *reader) MailboxByPath(path string) (mail.Mailbox, error) {
	if err := r.settled(); err != nil {
		return mail.Mailbox{}, err
	}
	mb, err := r.mailboxWhere(selectMailboxByPath, canonical(path))
	return mb.Mailbox, err
}

// canonical spells the inbox, and what lies below it, as it is stored.
func canonical(path string) string {
	if name, below, found := strings.Cut(path, mail.Delimiter); strings.EqualFold(name, inboxName) {
		if !found {
			return inboxName
		}
		return inboxName + mail.Delimiter + below
	}
	return path
}

func (r *reader) Subscriptions() ([]string, error) {
	var paths []string
	err := r.c.query(selectSubscriptions, func(row row) error {
		paths = append(paths, row.text(0))
		return nil
	}, r.id)
	slices.Sort(paths)
	return paths, err
}
