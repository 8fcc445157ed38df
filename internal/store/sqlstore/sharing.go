package sqlstore

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"lockstep/internal/mail"
	"lockstep/internal/store"
)

const (
	selectGrants = "SELECT principal_id, rights, modseq FROM acl WHERE account_id = ?1 AND mailbox_id = ?2 ORDER BY principal_id"
	upsertGrant  = `INSERT INTO acl (account_id, mailbox_id, principal_id, rights, modseq) VALUES (?1, ?2, ?3, ?4, ?5)
	ON CONFLICT (account_id, mailbox_id, principal_id) DO UPDATE SET rights = excluded.rights, modseq = excluded.modseq`
	selectGranted = "SELECT 1 FROM acl WHERE account_id = ?1 AND principal_id = ?2 AND rights <> 0 LIMIT 1"
	selectGivenTo = "SELECT mailbox_id FROM acl WHERE account_id = ?1 AND principal_id = ?2 AND rights <> 0"

	// The global side: in whose accounts to look for a principal.
	liveShare     = "INSERT INTO share (principal_id, owner_id, live) VALUES (?1, ?2, 1) ON CONFLICT (principal_id, owner_id) DO UPDATE SET live = 1"
	traceShare    = "INSERT INTO share (principal_id, owner_id, live) VALUES (?1, ?2, 0) ON CONFLICT DO NOTHING"
	deadShare     = "UPDATE share SET live = 0 WHERE principal_id = ?1 AND owner_id = ?2 AND live = 1"
	deleteShare   = "DELETE FROM share WHERE principal_id = ?1 AND owner_id = ?2"
	deleteShares  = "DELETE FROM share WHERE owner_id = ?1"
	selectShares  = "SELECT owner_id FROM share WHERE principal_id = ?1"
	deletePrivate = "DELETE FROM metadata WHERE account_id = ?1 AND who = ?2"
	selectGoing   = "SELECT principal_id FROM principal WHERE owner_id = ?1"
)

// grants returns the grants of a mailbox, with those taken back, which have no
// rights.
func (r *reader) grants(mb mail.MailboxID) ([]mail.Grant, error) {
	var all []mail.Grant
	err := r.c.query(selectGrants, func(row row) error {
		all = append(all, mail.Grant{Principal: mail.PrincipalID(row.num(0)), Rights: mail.Rights(row.num(1)), Since: mail.ModSeq(row.num(2))})
		return nil
	}, r.id, mb)
	return all, err
}

// Rights implements store.Reader.
func (r *reader) Rights(mb mail.MailboxID) ([]mail.Grant, error) {
	if err := r.settled(); err != nil {
		return nil, err
	}
	if _, err := r.mailbox(mb); err != nil {
		return nil, err
	}
	all, err := r.grants(mb)
	return slices.DeleteFunc(all, func(g mail.Grant) bool { return g.Rights == 0 }), err
}

const selectShared = "SELECT mailbox_id, rights FROM acl WHERE account_id = ?1 AND principal_id IN (?2, -1) AND rights <> 0"

// Shared implements store.Reader.
func (r *reader) Shared(p mail.PrincipalID) (map[mail.MailboxID]mail.Rights, error) {
	all := map[mail.MailboxID]mail.Rights{}
	err := r.c.query(selectShared, func(row row) error {
		all[mail.MailboxID(row.num(0))] |= mail.Rights(row.num(1))
		return nil
	}, r.id, p)
	return all, err
}

// following says how a member follows a mailbox's changes, and whether they may
// from where they stand.
func (r *reader) following(q store.ChangeQuery) (member, error) {
	if q.As == 0 || q.Type != mail.TypePlacement {
		return member{}, nil
	}
	mb, err := r.mailbox(q.Mailbox)
	if err != nil {
		return member{}, err
	}
	all, err := r.grants(q.Mailbox)
	if err != nil {
		return member{}, err
	}
	if !mail.RightsOf(all, q.As).Has(mail.MayRead) {
		return member{}, noMailbox()
	}
	for _, g := range all {
		if (g.Principal == q.As || g.Principal == mail.Anyone) && g.Since > q.From.Since {
			return member{}, tooOld()
		}
	}
	return r.seenBy(&mb, q.As), nil
}

// SetRights implements store.Tx.
func (t *tx) SetRights(mb mail.MailboxID, p mail.PrincipalID, r mail.Rights) error {
	b, err := t.box(mb)
	if err != nil {
		return err
	}
	if p == 0 || p < mail.Anyone || r&^mail.AllRights != 0 {
		return mail.Errorf(mail.Invalid, "the owner has all rights")
	}
	all, err := t.grants(mb)
	if err != nil {
		return err
	}
	var had mail.Rights
	live := 0
	for _, g := range all {
		if g.Principal == p {
			had = g.Rights
		}
		if g.Rights != 0 {
			live++
		}
	}
	switch {
	case had == r:
		return nil
	case had == 0 && live >= mail.MaxGrants:
		return mail.Errorf(mail.Limit, "a mailbox is shared with at most %d", mail.MaxGrants)
	}
	return t.grant(b, p, had, r)
}

func (t *tx) grant(b *box, p mail.PrincipalID, had, has mail.Rights) error {
	if err := t.c.later(upsertGrant, t.id, b.ID, p, has, t.n); err != nil {
		return err
	}
	b.PropsModSeq, b.HighestModSeq = t.n, t.n
	t.touched[b.ID] = true
	t.add(mail.Entry{Op: mail.OpRights, Mailbox: b.ID, Who: p, Had: had, Has: has})
	return t.share(p, has != 0)
}

// share keeps the global side of the account's grants.
func (t *tx) share(p mail.PrincipalID, more bool) error {
	sql := liveShare
	if !more {
		left, err := one(t.c, selectGranted, func(row) {}, t.id, p)
		if err != nil || left {
			return err
		}
		sql = deadShare
	}
	err := t.c.later(sql, p, t.id)
	return err
}

// inherit gives a new mailbox the grants of its parent (RFC 4314 §4, CREATE).
func (t *tx) inherit(b *box, parent mail.MailboxID) error {
	all, err := t.grants(parent)
	for _, g := range all {
		if err == nil && g.Rights != 0 {
			err = t.grant(b, g.Principal, 0, g.Rights)
		}
	}
	return err
}

// unshare takes back all grants of a mailbox that is about to go.
func (t *tx) unshare(b *box) error {
	all, err := t.grants(b.ID)
	for _, g := range all {
		if err == nil && g.Rights != 0 {
			err = t.grant(b, g.Principal, g.Rights, 0)
		}
	}
	return err
}

// rights takes a grant back.
func (u *undo) rights(e mail.Entry) error {
	b, err := u.boxOrNil(e.Mailbox)
	if err != nil {
		return err
	}
	if b == nil {
		u.left("a mailbox that was shared is gone")
		return nil
	}
	all, err := u.grants(b.ID)
	if err != nil {
		return err
	}
	var is mail.Rights
	for _, g := range all {
		if g.Principal == e.Who {
			is = g.Rights
		}
	}
	if is != e.Has {
		u.left("rights in mailbox %s were changed since", b.Name)
		return nil
	}
	return u.tried(b.Name, u.SetRights(e.Mailbox, e.Who, e.Had))
}

// forgetMember takes from the accounts of others what the principal of a removed
// account was given and had there, also in those that are kept. What a crash cuts begins
// anew.
func (db *DB) forgetMember(ctx context.Context, removed mail.AccountID) error {
	var p mail.PrincipalID
	var owners []mail.AccountID
	err := db.read(ctx, func(c conn) error {
		if _, err := one(c, selectGoing, func(r row) { p = mail.PrincipalID(r.num(0)) }, removed); err != nil {
			return err
		}
		return c.query(selectShares, func(r row) error { owners = append(owners, mail.AccountID(r.num(0))); return nil }, p)
	})
	for _, owner := range owners {
		if err == nil {
			err = db.forgetMemberIn(ctx, owner, p)
		}
	}
	return err
}

// remover is who takes rights from who is no more.
var remover = mail.NewOrigin("account removed", 0, mail.Local, mail.ByAdmin)

func (db *DB) forgetMemberIn(ctx context.Context, owner mail.AccountID, p mail.PrincipalID) error {
	_, err := db.Update(store.AmongRemoved(ctx), owner, remover, func(t store.Tx) error { return t.(*tx).takeBack(p) })
	if err != nil && mail.KindOf(err) == mail.NotFound {
		return nil // the owner is gone too, and all that was theirs
	}
	if err != nil {
		return err
	}
	for more := true; more; {
		err := db.write(ctx, laneOf(owner), func(c conn) (err error) {
			more, err = forgetOwn(c, owner, p)
			return err
		}, nil)
		if err != nil {
			return err
		}
	}
	return db.write(ctx, laneOf(owner), func(c conn) error {
		if err := c.later(deletePrivate, owner, p); err != nil {
			return err
		}
		err := c.later(deleteShare, p, owner)
		return err
	}, nil)
}

// takeBack takes back everything given to a principal.
func (t *tx) takeBack(p mail.PrincipalID) error {
	var boxes []mail.MailboxID
	err := t.c.query(selectGivenTo, func(r row) error { boxes = append(boxes, mail.MailboxID(r.num(0))); return nil }, t.id, p)
	for _, mb := range boxes {
		if err == nil {
			err = t.SetRights(mb, p, 0)
		}
	}
	return err
}

const (
	selectGrantees = "SELECT DISTINCT principal_id, 1 FROM acl WHERE account_id = ?1 AND rights <> 0"
	selectReaders  = "SELECT DISTINCT principal_id, 0 FROM member WHERE account_id = ?1"
	selectNoters   = "SELECT DISTINCT who, 0 FROM metadata WHERE account_id = ?1 AND who <> 0"
	selectSharing  = "SELECT principal_id, live FROM share WHERE owner_id = ?1"
)

// checkShares holds the global side of what an account shares against the
// account's own.
func checkShares(c conn, id mail.AccountID, repair bool) (wrong []string, err error) {
	want, have := map[mail.PrincipalID]bool{}, map[mail.PrincipalID]bool{}
	for _, from := range []struct {
		sql string
		to  map[mail.PrincipalID]bool
	}{{selectReaders, want}, {selectNoters, want}, {selectGrantees, want}, {selectSharing, have}} {
		err := c.query(from.sql, func(r row) error {
			p := mail.PrincipalID(r.num(0))
			from.to[p] = from.to[p] || r.num(1) != 0
			return nil
		}, id)
		if err != nil {
			return nil, err
		}
	}
	for _, p := range slices.Sorted(maps.Keys(want)) {
		live, there := have[p]
		if there && live == want[p] {
			continue
		}
		wrong = append(wrong, fmt.Sprintf("whom it shares with: principal %d", p))
		if !repair {
			continue
		}
		sqls := []string{liveShare}
		if !want[p] {
			sqls = []string{traceShare, deadShare}
		}
		for _, sql := range sqls {
			if err := c.later(sql, p, id); err != nil {
				return wrong, err
			}
		}
	}
	for _, p := range slices.Sorted(maps.Keys(have)) {
		if _, known := want[p]; !known && have[p] {
			wrong = append(wrong, fmt.Sprintf("whom it shares with: principal %d", p))
			if !repair {
				continue
			}
			if err := c.later(deadShare, p, id); err != nil {
				return wrong, err
			}
		}
	}
	return wrong, nil
}
