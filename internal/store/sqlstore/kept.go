package sqlstore

import (
	"context"
	"fmt"
	"strings"

	"lockstep/internal/mail"
	"lockstep/internal/store"
)

// A removed account that is kept has all its rows. Its own says so, and no
// transaction finds it any more; its principal's login is one that nobody can have,
// and its addresses lie in a table where nobody looks for any.

const (
	keepAccount     = "UPDATE account SET kept = 1 WHERE account_id = ?1"
	keepPrincipal   = "UPDATE principal SET removed = 2, kept_login = login, login = ?2, removed_at = ?3 WHERE owner_id = ?1 AND removed = 0"
	keepAddresses   = "INSERT INTO kept_address (owner_id, domain, local, alias) SELECT owner_id, domain, local, alias FROM address WHERE owner_id = ?1"
	selectRemovals  = "SELECT principal_id, kept_login, owner_id, disabled, name, removed_at FROM principal WHERE removed = 2 ORDER BY removed_at DESC, owner_id DESC"
	selectOneKept   = "SELECT principal_id, kept_login, owner_id, disabled, name, removed_at FROM principal WHERE removed = 2 AND owner_id = ?1"
	selectKeptAddrs = "SELECT local, domain, owner_id, alias FROM kept_address WHERE owner_id = ?1 ORDER BY alias, domain, local"
	selectGone      = "SELECT principal_id FROM share WHERE owner_id = ?1 AND live = -1"
	backAccount     = "UPDATE account SET kept = 0, name = ?2 WHERE account_id = ?1"
	backPrincipal   = "UPDATE principal SET removed = 0, login = ?2, kept_login = '', removed_at = 0 WHERE owner_id = ?1"
)

// keptLogin is a login that nobody can have: it is no address.
func keptLogin(id mail.AccountID) string { return fmt.Sprintf("removed %d", id) }

// KeepRemoved implements store.Directory.
func (db *DB) KeepRemoved(ctx context.Context, id mail.AccountID) error {
	return db.write(ctx, directoryLane, func(c conn) error {
		n, err := c.exec(keepPrincipal, id, keptLogin(id), db.now())
		if err == nil && n == 0 {
			err = noAccount()
		}
		for _, sql := range []string{keepAddresses, deleteOwned, unlistPerson, keepAccount} {
			if err == nil {
				_, err = c.exec(sql, id)
			}
		}
		if err == nil {
			_, err = c.exec(deleteDomains)
		}
		if err == nil {
			err = ends(c, db.now(), id, 0)
		}
		if err == nil {
			err = db.changesAddresses(c)
		}
		return err
	}, db.readdressed)
}

// KeptRemoved implements store.Directory.
func (db *DB) KeptRemoved(ctx context.Context) ([]store.RemovedAccount, error) {
	var all []store.RemovedAccount
	err := db.read(ctx, func(c conn) error {
		err := c.query(selectRemovals, func(r row) error { all = append(all, scanKept(r)); return nil })
		for i := range all {
			if err == nil {
				all[i].Addresses, err = keptAddresses(c, all[i].Account)
			}
		}
		return err
	})
	return all, err
}

func scanKept(r row) store.RemovedAccount {
	return store.RemovedAccount{Principal: scanPrincipal(r), At: unstamp(r.num(5))}
}

func keptAddresses(c conn, id mail.AccountID) (all []store.Address, err error) {
	err = c.query(selectKeptAddrs, func(r row) error { all = append(all, scanAddress(r)); return nil }, id)
	return all, err
}

// returner is who takes from a kept account the rights of those who went meanwhile.
var returner = mail.NewOrigin("account brought back", 0, mail.Local, mail.ByAdmin)

// Reinstate implements store.Directory.
func (db *DB) Reinstate(ctx context.Context, id mail.AccountID, login string) (p store.Principal, taken []store.Address, err error) {
	var news mail.News
	var gone []mail.PrincipalID
	err = db.write(ctx, directoryLane, func(c conn) (err error) {
		if p, taken, err = db.bringBack(c, id, strings.ToLower(login)); err != nil {
			return err
		}
		if err := db.changesAddresses(c); err != nil {
			return err
		}
		if gone, err = goneMembers(c, id); err != nil {
			return err
		}
		news, err = db.takeFromGone(c, id, gone)
		return err
	}, func() {
		db.readdressed()
		if news.ModSeq != 0 {
			db.hub.Publish(id, news)
		}
	})
	for _, member := range gone { // what they had beside their rights
		if err == nil {
			err = db.forgetMemberIn(ctx, id, member)
		}
	}
	return p, taken, err
}

// bringBack makes the account's principal and addresses what they were.
func (db *DB) bringBack(c conn, id mail.AccountID, login string) (p store.Principal, taken []store.Address, err error) {
	var was store.RemovedAccount
	found, err := one(c, selectOneKept, func(r row) { was = scanKept(r) }, id)
	if err == nil && !found {
		err = mail.Errorf(mail.NotFound, "no such removed account")
	}
	if err != nil {
		return p, nil, err
	}
	all, err := keptAddresses(c, id)
	if err != nil {
		return p, nil, err
	}
	p = was.Principal
	if login != "" && login != p.Login {
		p.Login = login
		own, err := ownAddress(login)
		if err != nil {
			return p, nil, err
		}
		own.Account = id
		if other, err := one(c, selectAddress, func(row) {}, own.Domain, own.Local); err != nil || other {
			return p, nil, orTaken(err)
		}
		all = append(all, own)
	}
	if other, err := one(c, selectByLogin, func(row) {}, p.Login); err != nil || other {
		return p, nil, orTaken(err)
	}
	for _, step := range []struct{ sql, login string }{{backPrincipal, p.Login}, {backAccount, p.Login}} {
		if _, err := c.exec(step.sql, id, step.login); err != nil {
			return p, nil, err
		}
	}
	if _, err := c.exec(deleteKept, id); err != nil {
		return p, nil, err
	}
	taken, err = readdress(c, p, all)
	return p, taken, err
}

func orTaken(err error) error {
	if err != nil {
		return err
	}
	return mail.Errorf(mail.Exists, "somebody else has that login now")
}

// ownAddress is the address that a login is.
func ownAddress(login string) (store.Address, error) {
	at := strings.LastIndexByte(login, '@')
	if at <= 0 || at == len(login)-1 {
		return store.Address{}, mail.Errorf(mail.Invalid, "a login is a full address, such as name@example.org")
	}
	return store.Address{Local: login[:at], Domain: login[at+1:]}, nil
}

// readdress gives somebody the addresses that nobody else has, and returns the others.
func readdress(c conn, p store.Principal, all []store.Address) (taken []store.Address, err error) {
	for _, a := range all {
		var now store.Address
		other, err := one(c, selectAddress, func(r row) { now = scanAddress(r) }, a.Domain, a.Local)
		switch {
		case err != nil:
			return taken, err
		case other && now.Account != a.Account:
			taken = append(taken, now)
		case !other:
			if err := addAddress(c, p, a); err != nil {
				return taken, err
			}
		}
	}
	return taken, nil
}

// goneMembers are those who had something in an account and were removed while it
// was kept, by a version that did not take it from them then.
func goneMembers(c conn, id mail.AccountID) (gone []mail.PrincipalID, err error) {
	err = c.query(selectGone, func(r row) error { gone = append(gone, mail.PrincipalID(r.num(0))); return nil }, id)
	return gone, err
}

const selectAllGone = "SELECT principal_id, owner_id FROM share WHERE live = -1"

// resumeReinstating takes from accounts that came back what a crash left there of
// those who had gone.
func (db *DB) resumeReinstating(ctx context.Context) error {
	type member struct {
		who   mail.PrincipalID
		owner mail.AccountID
	}
	var all []member
	err := db.read(ctx, func(c conn) error {
		return c.query(selectAllGone, func(r row) error {
			all = append(all, member{mail.PrincipalID(r.num(0)), mail.AccountID(r.num(1))})
			return nil
		})
	})
	for _, m := range all {
		if err == nil {
			err = db.forgetMemberIn(ctx, m.owner, m.who)
		}
	}
	return err
}

// takeFromGone takes back what those have rights in.
func (db *DB) takeFromGone(c conn, id mail.AccountID, gone []mail.PrincipalID) (mail.News, error) {
	t, err := db.newTx(c, id, returner)
	for _, p := range gone {
		if err == nil {
			err = t.takeBack(p)
		}
	}
	if err != nil {
		return mail.News{}, err
	}
	return t.finish()
}
