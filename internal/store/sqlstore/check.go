package sqlstore

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"lockstep/internal/mail"
)

// truth is what follows from the placements: the emails that are shown, whether
// they are unread, and in which mailboxes and threads they count. The numbers are
// those of mail.SystemFlags: 1 is \Seen, 8 \Deleted, 16 \Draft.
const truth = `WITH view AS (
	SELECT p.message_key, m.thread_id, CASE WHEN min(p.system & 1) = 0 AND max(p.system & 16) = 0 THEN 1 ELSE 0 END AS unread
	FROM placement p JOIN message m ON m.account_id = p.account_id AND m.message_key = p.message_key
	WHERE p.account_id = ?1 AND p.system & 8 = 0 GROUP BY p.message_key, m.thread_id),
threads AS (SELECT thread_id, count(*) AS emails, sum(unread) AS unread FROM view GROUP BY thread_id),
here AS (SELECT DISTINCT mailbox_id, message_key FROM placement WHERE account_id = ?1 AND system & 8 = 0),
inside AS (SELECT v.thread_id, h.mailbox_id, count(*) AS emails FROM here h JOIN view v ON v.message_key = h.message_key GROUP BY v.thread_id, h.mailbox_id),
raw AS (SELECT mailbox_id, count(*) AS placements, sum(CASE WHEN system & 1 = 0 THEN 1 ELSE 0 END) AS unseen,
	sum(CASE WHEN system & 8 <> 0 THEN 1 ELSE 0 END) AS deleted, sum(size) AS size FROM placement WHERE account_id = ?1 GROUP BY mailbox_id),
emails AS (SELECT h.mailbox_id, count(*) AS emails, sum(v.unread) AS unread_emails FROM here h JOIN view v ON v.message_key = h.message_key GROUP BY h.mailbox_id),
talk AS (SELECT i.mailbox_id, count(*) AS threads, sum(CASE WHEN t.unread > 0 THEN 1 ELSE 0 END) AS unread_threads
	FROM inside i JOIN threads t ON t.thread_id = i.thread_id GROUP BY i.mailbox_id),
counts AS (SELECT b.mailbox_id AS id, coalesce(r.placements, 0) AS placements, coalesce(r.unseen, 0) AS unseen, coalesce(r.deleted, 0) AS deleted,
	coalesce(r.size, 0) AS size, coalesce(e.emails, 0) AS emails, coalesce(e.unread_emails, 0) AS unread_emails,
	coalesce(k.threads, 0) AS threads, coalesce(k.unread_threads, 0) AS unread_threads
	FROM mailbox b LEFT JOIN raw r ON r.mailbox_id = b.mailbox_id LEFT JOIN emails e ON e.mailbox_id = b.mailbox_id
	LEFT JOIN talk k ON k.mailbox_id = b.mailbox_id WHERE b.account_id = ?1),
said AS (SELECT x.thread_id, CAST(j.key AS BIGINT) AS mailbox_id, CAST(j.value AS BIGINT) AS emails FROM thread x, json_each(x.places) j WHERE x.account_id = ?1),
places AS (SELECT message_key, count(*) AS placements FROM placement WHERE account_id = ?1 GROUP BY message_key)
`

const countColumns = "placements, unseen, deleted, size, emails, unread_emails, threads, unread_threads"

// A flaw is something derived that may be wrong: how to find it, as text, and how
// to put it right. What has no cure needs a person.
type flaw struct {
	what string
	find string
	cure []string
}

var flaws = []flaw{
	{"a placement without its message", `SELECT b.path || ', UID ' || p.uid FROM placement p JOIN mailbox b ON b.account_id = p.account_id AND b.mailbox_id = p.mailbox_id
	WHERE p.account_id = ?1 AND NOT EXISTS (SELECT 1 FROM message m JOIN content c ON c.account_id = m.account_id AND c.content_id = m.content_id
	WHERE m.account_id = ?1 AND m.message_key = p.message_key)`, nil},
	{"a placement that shows another message", `SELECT 'UID ' || p.uid FROM placement p JOIN message m ON m.account_id = p.account_id AND m.message_key = p.message_key
	WHERE p.account_id = ?1 AND p.content_id <> m.content_id`, []string{`UPDATE placement SET content_id = (SELECT m.content_id FROM message m
	WHERE m.account_id = ?1 AND m.message_key = placement.message_key) WHERE account_id = ?1 AND content_id <>
	(SELECT m.content_id FROM message m WHERE m.account_id = ?1 AND m.message_key = placement.message_key)`}},
	{"a placement that its message does not find", "SELECT 'UID ' || p.uid FROM placement p WHERE p.account_id = ?1 AND p.elsewhere = 0 AND " + notAtHome("p"), []string{
		"UPDATE placement SET elsewhere = 1 WHERE account_id = ?1 AND elsewhere = 0 AND " + notAtHome("placement"),
	}},
	{"a placement in no mailbox", `SELECT 'UID ' || p.uid FROM placement p
	WHERE p.account_id = ?1 AND NOT EXISTS (SELECT 1 FROM mailbox b WHERE b.account_id = ?1 AND b.mailbox_id = p.mailbox_id)`, nil},
	{"a mailbox out of the order of dates", order + "SELECT 'mailbox ' || mailbox_id || ', UID ' || uid FROM ordered WHERE wrong", []string{
		"UPDATE placement SET received = " + internalDate + " WHERE account_id = ?1 AND received <> " + internalDate,
		order + `UPDATE placement SET behind = o.should FROM ordered o WHERE placement.account_id = ?1 AND placement.mailbox_id = o.mailbox_id
	AND placement.uid = o.uid AND placement.behind <> o.should`,
		`UPDATE mailbox SET (peak, peak_uid) = (SELECT p.received, p.uid FROM placement p WHERE p.account_id = ?1 AND p.mailbox_id = mailbox.mailbox_id
	AND p.behind = 0 ORDER BY p.uid DESC LIMIT 1) WHERE account_id = ?1 AND placements > 0`,
	}},
	{"an account out of the order of dates", arrivalOrder + "SELECT 'message ' || message_key FROM ordered WHERE wrong", []string{
		arrivalOrder + `UPDATE message SET behind = o.should FROM ordered o WHERE message.account_id = ?1 AND message.message_key = o.message_key AND message.behind <> o.should`,
		`UPDATE account SET (peak, peak_key) = (SELECT m.internal_date, m.message_key FROM message m WHERE m.account_id = ?1 AND m.behind = 0
	ORDER BY m.message_key DESC LIMIT 1) WHERE account_id = ?1`,
	}},
	{"a message that says otherwise when it was sent", `SELECT 'message ' || m.message_key FROM message m JOIN content c ON c.account_id = m.account_id AND c.content_id = m.content_id
	WHERE m.account_id = ?1 AND m.sent_at <> c.sent_at`, []string{`UPDATE message SET sent_at = c.sent_at FROM content c
	WHERE message.account_id = ?1 AND c.account_id = ?1 AND c.content_id = message.content_id AND message.sent_at <> c.sent_at`}},
	{"ids that don't grow with UIDs", `SELECT 'mailbox ' || mailbox_id || ', UID ' || uid FROM (SELECT mailbox_id, uid, placement_id,
	max(placement_id) OVER (PARTITION BY mailbox_id ORDER BY uid) AS most FROM placement WHERE account_id = ?1) p WHERE placement_id < most`, nil},
	{"numbers out of order", `SELECT b.path || ', UID ' || p.uid FROM placement p JOIN mailbox b ON b.account_id = p.account_id AND b.mailbox_id = p.mailbox_id
	JOIN account a ON a.account_id = p.account_id
	WHERE p.account_id = ?1 AND (p.uid >= b.uidnext OR p.modseq > b.highest_modseq OR p.created > p.modseq OR b.highest_modseq > a.head)`, nil},
	{"a message shown or counted wrongly", truth + `SELECT 'message ' || m.message_key FROM message m LEFT JOIN view v ON v.message_key = m.message_key
	LEFT JOIN places n ON n.message_key = m.message_key WHERE m.account_id = ?1
	AND (m.visible <> CASE WHEN v.message_key IS NULL THEN 0 ELSE 1 END OR m.placements <> coalesce(n.placements, 0))`, []string{
		truth + `UPDATE message SET visible = CASE WHEN message_key IN (SELECT message_key FROM view) THEN 1 ELSE 0 END,
	placements = coalesce((SELECT n.placements FROM places n WHERE n.message_key = message.message_key), 0) WHERE account_id = ?1`,
	}},
	{"a thread counted wrongly", truth + `SELECT 'thread ' || x.thread_id FROM thread x LEFT JOIN threads t ON t.thread_id = x.thread_id WHERE x.account_id = ?1
	AND (x.emails <> coalesce(t.emails, 0) OR x.unread <> coalesce(t.unread, 0))`, []string{
		truth + `UPDATE thread SET emails = coalesce((SELECT t.emails FROM threads t WHERE t.thread_id = thread.thread_id), 0),
	unread = coalesce((SELECT t.unread FROM threads t WHERE t.thread_id = thread.thread_id), 0) WHERE account_id = ?1`,
	}},
	{"visible messages or threads counted wrongly", `SELECT 'says ' || a.emails || ' and ' || a.threads FROM account a WHERE a.account_id = ?1
	AND (a.emails <> (SELECT count(*) FROM message m WHERE m.account_id = ?1 AND m.visible = 1) OR a.threads <> (SELECT count(*) FROM thread t WHERE t.account_id = ?1 AND t.emails > 0))`, []string{
		`UPDATE account SET emails = (SELECT count(*) FROM message m WHERE m.account_id = ?1 AND m.visible = 1),
	threads = (SELECT count(*) FROM thread t WHERE t.account_id = ?1 AND t.emails > 0) WHERE account_id = ?1`,
	}},
	{"a thread counted wrongly in a mailbox", truth + `SELECT 'thread ' || thread_id FROM (
	SELECT * FROM (SELECT thread_id, mailbox_id, emails FROM inside EXCEPT SELECT thread_id, mailbox_id, emails FROM said) more
	UNION SELECT * FROM (SELECT thread_id, mailbox_id, emails FROM said EXCEPT SELECT thread_id, mailbox_id, emails FROM inside) less) d`, []string{
		"UPDATE thread SET places = '{}' WHERE account_id = ?1",
		truth + `UPDATE thread SET places = g.places FROM (SELECT thread_id, '{' || string_agg('"' || mailbox_id || '":' || emails, ',' ORDER BY mailbox_id) || '}' AS places
	FROM inside GROUP BY thread_id) g
	WHERE thread.account_id = ?1 AND thread.thread_id = g.thread_id`,
	}},
	{"a mailbox counted wrongly", truth + `SELECT b.path FROM mailbox b JOIN counts c ON c.id = b.mailbox_id WHERE b.account_id = ?1
	AND (b.placements <> c.placements OR b.unseen <> c.unseen OR b.deleted <> c.deleted OR b.size <> c.size OR b.emails <> c.emails
	OR b.unread_emails <> c.unread_emails OR b.threads <> c.threads OR b.unread_threads <> c.unread_threads)`, []string{
		truth + "UPDATE mailbox SET (" + countColumns + ") = (SELECT " + countColumns + " FROM counts c WHERE c.id = mailbox.mailbox_id) WHERE account_id = ?1",
	}},
	{"what a member has read counted wrongly", `SELECT 'mailbox ' || m.mailbox_id || ', member ' || m.principal_id FROM member m WHERE m.account_id = ?1 AND m.seen <> ` + memberSeen,
		[]string{"UPDATE member AS m SET seen = " + memberSeen + " WHERE m.account_id = ?1"}},
	{"an annotation of no message", `SELECT 'UID ' || n.uid || ', ' || n.name FROM annotation n WHERE n.account_id = ?1
	AND NOT EXISTS (SELECT 1 FROM placement p WHERE p.account_id = ?1 AND p.mailbox_id = n.mailbox_id AND p.uid = n.uid)
	AND NOT EXISTS (SELECT 1 FROM vanished_placement v WHERE v.account_id = ?1 AND v.mailbox_id = n.mailbox_id AND v.uid = n.uid)`, nil},
	{"annotations counted wrongly", `SELECT b.path FROM mailbox b WHERE b.account_id = ?1 AND b.annotation_bytes <>
	(SELECT coalesce(sum(length(n.name) + length(n.value) + 64), 0) FROM annotation n WHERE n.account_id = ?1 AND n.mailbox_id = b.mailbox_id)`, []string{
		"UPDATE mailbox SET annotation_bytes = 1 WHERE account_id = ?1", recountAnnotations,
	}},
	{"the bytes used", `SELECT 'says ' || a.used FROM account a WHERE a.account_id = ?1
	AND a.used <> coalesce((SELECT sum(size) FROM message m WHERE m.account_id = ?1 AND m.placements > 0), 0)`, []string{
		"UPDATE account SET used = coalesce((SELECT sum(size) FROM message m WHERE m.account_id = ?1 AND m.placements > 0), 0) WHERE account_id = ?1",
	}},
}

// notAtHome says of a placement that its message came in elsewhere.
func notAtHome(placement string) string {
	return strings.ReplaceAll(`NOT EXISTS (SELECT 1 FROM message m WHERE m.account_id = ?1 AND m.message_key = PLACEMENT.message_key
	AND m.home_mailbox = PLACEMENT.mailbox_id AND m.home_uid = PLACEMENT.uid)`, "PLACEMENT", placement)
}

const internalDate = "(SELECT m.internal_date FROM message m WHERE m.account_id = ?1 AND m.message_key = placement.message_key)"

// order is what the order of dates says of each placement, and what it would say if
// what has left had never been: both are right if none in order is older than one
// before it, none is passed over that is in order, and the next can tell what it is.
const order = `WITH dates AS (SELECT p.mailbox_id, p.uid, p.received, p.behind, m.internal_date, b.peak, b.peak_uid,
	p.received < max(p.received) OVER w AS astray,
	max(CASE WHEN p.behind = 0 THEN p.received END) OVER w AS high, max(CASE WHEN p.behind = 0 THEN p.uid END) OVER w AS last
	FROM placement p JOIN message m ON m.account_id = p.account_id AND m.message_key = p.message_key
	JOIN mailbox b ON b.account_id = p.account_id AND b.mailbox_id = p.mailbox_id
	WHERE p.account_id = ?1 WINDOW w AS (PARTITION BY p.mailbox_id ORDER BY p.uid)),
ordered AS (SELECT *, CASE WHEN astray THEN max(CASE WHEN astray THEN 0 ELSE uid END) OVER (PARTITION BY mailbox_id ORDER BY uid) ELSE 0 END AS should,
	received <> internal_date OR behind = 0 AND (received < high OR received > peak OR uid > peak_uid)
	OR behind > 0 AND (behind < coalesce(last, 0) OR behind >= uid) AS wrong FROM dates)
`

// arrivalOrder is the same of the messages of the account.
const arrivalOrder = `WITH dates AS (SELECT m.message_key, m.internal_date, m.behind, a.peak, a.peak_key,
	m.internal_date < max(m.internal_date) OVER w AS astray,
	max(CASE WHEN m.behind = 0 THEN m.internal_date END) OVER w AS high, max(CASE WHEN m.behind = 0 THEN m.message_key END) OVER w AS last
	FROM message m JOIN account a ON a.account_id = m.account_id WHERE m.account_id = ?1 WINDOW w AS (ORDER BY m.message_key)),
ordered AS (SELECT *, CASE WHEN astray THEN max(CASE WHEN astray THEN 0 ELSE message_key END) OVER (ORDER BY message_key) ELSE 0 END AS should,
	behind = 0 AND (internal_date < high OR internal_date > peak OR message_key > peak_key)
	OR behind > 0 AND (behind < coalesce(last, 0) OR behind >= message_key) AS wrong FROM dates)
`

const memberSeen = `(SELECT count(*) FROM seen s JOIN placement p ON p.account_id = s.account_id AND p.mailbox_id = s.mailbox_id AND p.uid = s.uid
	WHERE s.account_id = ?1 AND s.mailbox_id = m.mailbox_id AND s.principal_id = m.principal_id AND s.seen = 1)`

// maxFindings bounds what Check says of each kind.
const maxFindings = 100

// Check implements store.Keeper. What it repairs is derived: it takes no ModSeq. Each
// flaw is looked for on a snapshot of its own, and the writer stops for those alone
// that were found: all of them take some 50 µs for each message, the longest 12.
func (db *DB) Check(ctx context.Context, id mail.AccountID, repair bool) ([]string, error) {
	return db.check(ctx, id, repair, func(ctx context.Context, fn func(conn) error) error {
		err := db.aside(ctx, fn)
		if err == errAside {
			err = db.ask(ctx, fn) // somebody waits for the answer
		}
		return err
	})
}

// LookOver is Check that changes nothing, and that fails with mail.Unavailable when
// people are at work meanwhile and it had to give way; it can be tried again.
func (db *DB) LookOver(ctx context.Context, id mail.AccountID) ([]string, error) {
	return db.check(ctx, id, false, db.aside)
}

func (db *DB) check(ctx context.Context, id mail.AccountID, repair bool, look func(context.Context, func(conn) error) error) ([]string, error) {
	if err := db.ask(ctx, func(c conn) error { _, err := loadAccount(c, id); return err }); err != nil {
		return nil, err
	}
	var wrong []string
	for _, f := range flaws {
		var found []string
		err := look(ctx, func(c conn) (err error) { found, err = f.look(c, id); return err })
		if err == nil && len(found) > 0 && repair && len(f.cure) > 0 {
			found, err = db.cure(ctx, id, f)
		}
		if err != nil {
			return wrong, err
		}
		wrong = append(wrong, found...)
	}
	lost, err := db.checkNamers(ctx, id, repair, look)
	wrong = append(wrong, lost...)
	if err != nil {
		return wrong, err
	}
	shares, err := db.checkShares(ctx, id, repair)
	return append(wrong, shares...), err
}

const (
	selectBrought = `SELECT m.message_key, m.content_id, c.blob FROM message m JOIN content c ON c.account_id = m.account_id AND c.content_id = m.content_id
	WHERE m.account_id = ?1 AND c.again = 0`
	setAgain = "UPDATE content SET again = 1 WHERE account_id = ?1 AND content_id = ?2"
)

// checkNamers looks for messages that are said to have brought their blobs while the
// blobs' rows say otherwise: nobody who looks for who names such a blob would find
// them. Put into the index they are found.
func (db *DB) checkNamers(ctx context.Context, id mail.AccountID, repair bool, look func(context.Context, func(conn) error) error) (found []string, err error) {
	const what = "a message that its blob does not find"
	var contents []int64
	err = look(ctx, func(c conn) error {
		found, contents = nil, nil
		return c.query(selectBrought, func(r row) error {
			key, content := mail.MessageKey(r.num(0)), r.num(1)
			var by namer
			if _, err := one(c, selectNamer, func(r row) { by = scanNamer(r, 0) }, mail.BlobName(r.bytes(2))); err != nil || by == (namer{id, key}) {
				return err
			}
			switch contents = append(contents, content); {
			case len(found) < maxFindings:
				found = append(found, fmt.Sprintf("%s: message %d", what, key))
			case len(found) == maxFindings:
				found = append(found, what+": and more")
			}
			return nil
		}, id)
	})
	if err != nil || !repair {
		return found, err
	}
	for some := range slices.Chunk(contents, removeChunk) {
		err := db.write(ctx, laneOf(id), func(c conn) error {
			for _, content := range some {
				if _, err := c.exec(setAgain, id, content); err != nil {
					return err
				}
			}
			return nil
		}, nil)
		if err != nil {
			return found, err
		}
	}
	return found, nil
}

// look says where an account has the flaw.
func (f *flaw) look(c conn, id mail.AccountID) (found []string, err error) {
	err = c.query(f.find, func(r row) error {
		if len(found) == maxFindings {
			found = append(found, f.what+": and more")
			return enough{}
		}
		found = append(found, fmt.Sprintf("%s: %s", f.what, r.text(0)))
		return nil
	}, id)
	return found, ignoreEnough(err)
}

// cure puts a flaw right, and says where it was.
func (db *DB) cure(ctx context.Context, id mail.AccountID, f flaw) (found []string, err error) {
	err = db.write(ctx, laneOf(id), func(c conn) (err error) {
		if found, err = f.look(c, id); err != nil || len(found) == 0 {
			return err
		}
		for _, sql := range f.cure {
			if _, err := c.exec(sql, id); err != nil {
				return err
			}
		}
		return nil
	}, nil)
	return found, err
}

func (db *DB) checkShares(ctx context.Context, id mail.AccountID, repair bool) (wrong []string, err error) {
	run := func(c conn) (err error) {
		wrong, err = checkShares(c, id, repair)
		return err
	}
	if repair {
		err = db.write(ctx, laneOf(id), run, nil)
	} else {
		err = db.read(ctx, run)
	}
	return wrong, err
}
