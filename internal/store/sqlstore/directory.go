package sqlstore

import (
	"context"
	"strings"
	"time"

	"lockstep/internal/mail"
	"lockstep/internal/store"
)

const (
	drawNumber      = "UPDATE counter SET next = next + 1 WHERE name = ?1 RETURNING next - 1"
	insertPrincipal = "INSERT INTO principal (principal_id, login, owner_id, disabled, name) VALUES (?1, ?2, ?3, 0, ?4)"
	insertAddress   = "INSERT INTO address (domain, local, owner_id, alias) VALUES (?1, ?2, ?3, ?4)"
	insertDomain    = "INSERT INTO domain (name) VALUES (?1) ON CONFLICT DO NOTHING"
	insertAccount   = `INSERT INTO account (account_id, name, head, epoch, horizon, last_mailbox, last_email, last_thread, last_placement,
	next_id, next_uidvalidity, quota, used, disabled, created) VALUES (?1, ?2, 0, 1, 0, 0, 0, 0, 0, ?5, ?6, ?3, 0, 0, ?4)`
	selectCounter = "SELECT next FROM counter WHERE name = ?1"

	principalColumns  = "principal_id, login, owner_id, disabled, name"
	selectPrincipals  = "SELECT " + principalColumns + " FROM principal WHERE removed = 0 ORDER BY principal_id"
	selectByLogin     = "SELECT " + principalColumns + " FROM principal WHERE login = ?1"
	selectPrincipal   = "SELECT " + principalColumns + " FROM principal WHERE principal_id = ?1 AND removed = 0"
	holdPrincipal     = "SELECT 1 FROM principal WHERE principal_id = ?1 AND removed = 0"
	selectOwner       = "SELECT " + principalColumns + " FROM principal WHERE owner_id = ?1 AND removed = 0"
	selectReached     = "SELECT local, domain, owner_id, alias FROM address WHERE domain = ?1 AND local IN (?2, '') ORDER BY local DESC LIMIT 1"
	selectAddress     = "SELECT local, domain, owner_id, alias FROM address WHERE domain = ?1 AND local = ?2"
	selectAddresses   = "SELECT local, domain, owner_id, alias FROM address WHERE owner_id = ?1 ORDER BY alias, domain, local"
	selectDomain      = "SELECT 1 FROM domain WHERE name = ?1"
	deleteAddress     = "DELETE FROM address WHERE domain = ?1 AND local = ?2"
	deleteDomains     = "DELETE FROM domain WHERE NOT EXISTS (SELECT 1 FROM address a WHERE a.domain = domain.name)"
	disablePrincipal  = "UPDATE principal SET disabled = ?2 WHERE owner_id = ?1 AND removed = 0"
	disableAccount    = "UPDATE account SET disabled = ?2 WHERE account_id = ?1"
	credentialColumns = "credential_id, principal_id, kind, name, verifier, scram, protocols, device_id, created, last_used, token"
	selectCredentials = "SELECT " + credentialColumns + " FROM credential WHERE principal_id = ?1 ORDER BY credential_id"
	insertCredential  = "INSERT INTO credential (" + credentialColumns + ") VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)"
	deletePassword    = "DELETE FROM credential WHERE principal_id = ?1 AND kind = ?2"
	deleteCredential  = "DELETE FROM credential WHERE credential_id = ?1 RETURNING principal_id, kind"
	updateUsed        = "UPDATE credential SET last_used = ?2 WHERE credential_id = ?1"
)

// draw takes the next number of a global counter.
func draw(c conn, name string) (n int64, err error) {
	_, err = one(c, drawNumber, func(r row) { n = r.num(0) }, name)
	return n, err
}

// CreateAccount implements store.Directory.
func (db *DB) CreateAccount(ctx context.Context, by mail.Origin, a store.NewAccount) (store.Principal, error) {
	login := strings.ToLower(a.Login)
	own, err := ownAddress(login)
	switch {
	case by.IsZero():
		return store.Principal{}, mail.Errorf(mail.Invalid, "a change needs an origin")
	case err != nil:
		return store.Principal{}, err
	case a.Quota < 0:
		return store.Principal{}, mail.Errorf(mail.Invalid, "a quota is not negative")
	}
	if err := store.CheckName(a.Name); err != nil {
		return store.Principal{}, err
	}
	var p store.Principal
	var news mail.News
	err = db.write(ctx, directoryLane, func(c conn) (err error) {
		if p, err = db.register(c, login, own, a); err != nil {
			return err
		}
		news, err = db.setUp(c, p.Account, by)
		return err
	}, func() {
		db.readdressed() // a catch-all may have answered for it
		db.hub.Publish(p.Account, news)
	})
	return p, err
}

// register makes the rows of an account that has nothing in it yet.
func (db *DB) register(c conn, login string, own store.Address, a store.NewAccount) (store.Principal, error) {
	taken, err := one(c, selectByLogin, func(row) {}, login)
	if err != nil {
		return store.Principal{}, err
	}
	other, err := one(c, selectAddress, func(row) {}, own.Domain, own.Local)
	if err != nil {
		return store.Principal{}, err
	}
	if taken || other {
		return store.Principal{}, mail.Errorf(mail.Exists, "there is such an account")
	}
	id, err := draw(c, "account")
	if err != nil {
		return store.Principal{}, err
	}
	pid, err := draw(c, "principal")
	if err != nil {
		return store.Principal{}, err
	}
	own.Account = mail.AccountID(id)
	p := store.Principal{ID: store.PrincipalID(pid), Login: login, Name: a.Name, Account: own.Account}
	if err := c.later(insertPrincipal, pid, login, id, a.Name); err != nil {
		return p, err
	}
	if err := addAddress(c, p, own); err != nil {
		return p, err
	}
	if err := db.changesAddresses(c); err != nil {
		return p, err
	}
	if a.Verifier != nil {
		if err := db.setPassword(c, p.ID, a.Verifier); err != nil {
			return p, err
		}
	}
	first, err := firstNumbers(c)
	if err != nil {
		return p, err
	}
	err = c.later(insertAccount, id, login, a.Quota, db.now(), first[0], first[1])
	return p, err
}

// firstNumbers are the id and the UIDVALIDITY that a new account begins with.
func firstNumbers(c conn) (first [2]int64, err error) {
	for i, name := range []string{"id", "uidvalidity"} {
		if _, err := one(c, selectCounter, func(r row) { first[i] = r.num(0) }, name); err != nil {
			return first, err
		}
	}
	return first, nil
}

func addAddress(c conn, p store.Principal, a store.Address) error {
	if err := c.later(insertAddress, a.Domain, a.Local, a.Account, a.Alias); err != nil {
		return err
	}
	if err := listPerson(c, p, a); err != nil {
		return err
	}
	err := c.later(insertDomain, a.Domain)
	return err
}

// setUp gives a new account what every account has.
func (db *DB) setUp(c conn, id mail.AccountID, by mail.Origin) (mail.News, error) {
	t, err := db.newTx(c, id, by)
	if err != nil {
		return mail.News{}, err
	}
	for _, std := range mail.Standard {
		if _, err := t.CreateMailbox(mail.MailboxImage{Name: std.Name, Role: std.Role}); err != nil {
			return mail.News{}, err
		}
		if err := t.subscribe(std.Name); err != nil {
			return mail.News{}, err
		}
	}
	return t.finish()
}

// SetDisabled implements store.Directory.
func (db *DB) SetDisabled(ctx context.Context, id mail.AccountID, disabled bool) error {
	return db.write(ctx, directoryLane, func(c conn) error {
		n, err := c.exec(disablePrincipal, id, disabled)
		if err != nil {
			return err
		}
		if n == 0 {
			return noAccount()
		}
		if err = c.later(disableAccount, id, disabled); err == nil && disabled {
			err = ends(c, db.now(), id, 0)
		}
		return err
	}, nil)
}

func noAccount() error { return mail.Errorf(mail.NotFound, "no such account") }

func scanPrincipal(r row) store.Principal {
	return store.Principal{ID: store.PrincipalID(r.num(0)), Login: r.text(1), Account: mail.AccountID(r.num(2)), Disabled: r.num(3) != 0, Name: r.text(4)}
}

// Accounts implements store.Directory.
func (db *DB) Accounts(ctx context.Context) ([]store.Principal, error) {
	var all []store.Principal
	err := db.read(ctx, func(c conn) error {
		return c.query(selectPrincipals, func(r row) error { all = append(all, scanPrincipal(r)); return nil })
	})
	return all, err
}

// PrincipalByLogin implements store.Directory.
func (db *DB) PrincipalByLogin(ctx context.Context, login string) (store.Principal, error) {
	var p store.Principal
	err := db.read(ctx, func(c conn) error {
		found, err := one(c, selectByLogin, func(r row) { p = scanPrincipal(r) }, strings.ToLower(login))
		if err == nil && !found {
			err = noAccount()
		}
		return err
	})
	return p, err
}

// PrincipalByID implements store.Directory.
func (db *DB) PrincipalByID(ctx context.Context, id store.PrincipalID) (store.Principal, error) {
	var p store.Principal
	err := db.ask(ctx, func(c conn) error {
		found, err := one(c, selectPrincipal, func(r row) { p = scanPrincipal(r) }, int64(id))
		if err == nil && !found {
			err = noAccount()
		}
		return err
	})
	return p, err
}

const selectSharedWith = "SELECT p.principal_id, p.login, p.owner_id, p.disabled, p.name FROM principal p WHERE p.removed = 0 AND p.principal_id <> ?1\n" +
	"	AND p.owner_id IN (SELECT s.owner_id FROM share s WHERE s.live = 1 AND s.principal_id IN (?1, -1)) ORDER BY p.login"

// SharedWith implements store.Directory.
func (db *DB) SharedWith(ctx context.Context, id store.PrincipalID) ([]store.Principal, error) {
	var owners []store.Principal
	err := db.ask(ctx, func(c conn) error {
		return c.query(selectSharedWith, func(r row) error { owners = append(owners, scanPrincipal(r)); return nil }, int64(id))
	})
	return owners, err
}

// Credentials implements store.Directory.
func (db *DB) Credentials(ctx context.Context, id store.PrincipalID) ([]store.Credential, error) {
	var all []store.Credential
	err := db.read(ctx, func(c conn) error {
		return c.query(selectCredentials, func(r row) error { all = append(all, scanCredential(r)); return nil }, int64(id))
	})
	return all, err
}

func scanCredential(r row) store.Credential {
	c := store.Credential{
		ID: r.num(0), Principal: store.PrincipalID(r.num(1)), Kind: store.CredentialKind(r.text(2)), Name: r.text(3),
		Verifier: r.bytes(4), Scram: r.bytes(5), Device: mail.DeviceID(r.num(7)), Created: unstamp(r.num(8)), LastUsed: unstamp(r.num(9)), Token: r.bytes(10),
	}
	for _, p := range strings.Fields(r.text(6)) {
		c.Protocols = append(c.Protocols, mail.Protocol(p))
	}
	return c
}

// SetPassword implements store.Directory.
func (db *DB) SetPassword(ctx context.Context, id store.PrincipalID, verifier []byte) error {
	return db.write(ctx, directoryLane, func(c conn) error {
		if err := hasPrincipal(c, id); err != nil {
			return err
		}
		if err := db.setPassword(c, id, verifier); err != nil {
			return err
		}
		return endsOf(c, db.now(), id)
	}, nil)
}

// hasPrincipal makes sure that a principal is there, and stays until the commit: who
// removes one waits, and then finds what was added for it.
func hasPrincipal(c conn, id store.PrincipalID) error {
	found, err := one(c, holdPrincipal, func(row) {}, int64(id))
	if err == nil && !found {
		err = noAccount()
	}
	return err
}

func (db *DB) setPassword(c conn, id store.PrincipalID, verifier []byte) error {
	if err := c.later(deletePassword, int64(id), string(store.Password)); err != nil {
		return err
	}
	_, err := db.addCredential(c, store.Credential{Principal: id, Kind: store.Password, Verifier: verifier})
	return err
}

func (db *DB) addCredential(c conn, cr store.Credential) (store.Credential, error) {
	var err error
	if cr.ID, err = draw(c, "credential"); err != nil {
		return cr, err
	}
	if cr.Created.IsZero() {
		cr.Created = unstamp(stamp(db.now()))
	}
	var protocols []string
	for _, p := range cr.Protocols {
		protocols = append(protocols, string(p))
	}
	var token any // none is not an empty one, of which there could be no two
	if len(cr.Token) > 0 {
		token = cr.Token
	}
	err = c.later(insertCredential, cr.ID, int64(cr.Principal), string(cr.Kind), cr.Name, cr.Verifier, cr.Scram,
		strings.Join(protocols, " "), cr.Device, cr.Created, cr.LastUsed, token)
	return cr, err
}

// AddCredential implements store.Directory.
func (db *DB) AddCredential(ctx context.Context, cr store.Credential) (store.Credential, error) {
	added := cr
	err := db.write(ctx, directoryLane, func(c conn) (err error) {
		if err := hasPrincipal(c, cr.Principal); err != nil {
			return err
		}
		if added, err = db.addCredential(c, cr); err == nil && cr.Kind.SecondFactor() {
			err = endsOf(c, db.now(), cr.Principal)
		}
		return err
	}, nil)
	return added, err
}

// RemoveCredential implements store.Directory.
func (db *DB) RemoveCredential(ctx context.Context, id int64) error {
	return db.write(ctx, directoryLane, func(c conn) error {
		var p store.PrincipalID
		var kind store.CredentialKind
		found, err := one(c, deleteCredential, func(r row) { p, kind = store.PrincipalID(r.num(0)), store.CredentialKind(r.text(1)) }, id)
		switch {
		case err != nil:
			return err
		case !found:
			return noCredential()
		case !kind.SignsIn():
			return nil
		}
		return endsOf(c, db.now(), p)
	}, nil)
}

// UsedCredential implements store.Directory.
func (db *DB) UsedCredential(ctx context.Context, id int64, at time.Time) error {
	return db.writeOne(ctx, "no such credential", updateUsed, id, at)
}

// writeOne runs a statement that has to change a row; absent is said otherwise.
func (db *DB) writeOne(ctx context.Context, absent, sql string, args ...any) error {
	return db.writeOneIn(ctx, directoryLane, absent, sql, args...)
}

func (db *DB) writeOneIn(ctx context.Context, in lane, absent, sql string, args ...any) error {
	return db.write(ctx, in, func(c conn) error {
		n, err := c.exec(sql, args...)
		if err == nil && n == 0 {
			err = mail.Errorf(mail.NotFound, "%s", absent)
		}
		return err
	}, nil)
}

// Lookup implements store.Directory.
func (db *DB) Lookup(ctx context.Context, local, domain string) (store.Address, error) {
	local, domain = strings.ToLower(local), strings.ToLower(domain)
	if err := db.sameAddresses(ctx); err != nil {
		return store.Address{}, err
	}
	return db.whose.address(spelled{local, domain}, func() (a store.Address, err error) {
		err = db.ask(ctx, func(c conn) error {
			found, err := one(c, selectReached, func(r row) { a = scanAddress(r) }, domain, local)
			if err == nil && !found {
				err = mail.Errorf(mail.NotFound, "no such address")
			}
			return err
		})
		return a, err
	})
}

func scanAddress(r row) store.Address {
	return store.Address{Local: r.text(0), Domain: r.text(1), Account: mail.AccountID(r.num(2)), Alias: r.num(3) != 0}
}

// IsLocal implements store.Directory.
func (db *DB) IsLocal(ctx context.Context, domain string) (bool, error) {
	domain = strings.ToLower(domain)
	if err := db.sameAddresses(ctx); err != nil {
		return false, err
	}
	return db.whose.isLocal(domain, func() (found bool, err error) {
		err = db.ask(ctx, func(c conn) error {
			found, err = one(c, selectDomain, func(row) {}, domain)
			return err
		})
		return found, err
	})
}

// Addresses implements store.Directory.
func (db *DB) Addresses(ctx context.Context, id mail.AccountID) ([]store.Address, error) {
	var all []store.Address
	err := db.read(ctx, func(c conn) error {
		return c.query(selectAddresses, func(r row) error { all = append(all, scanAddress(r)); return nil }, id)
	})
	return all, err
}

// AddAddress implements store.Directory.
func (db *DB) AddAddress(ctx context.Context, a store.Address) error {
	a.Local, a.Domain = strings.ToLower(a.Local), strings.ToLower(a.Domain)
	return db.write(ctx, directoryLane, func(c conn) error {
		owner, err := ownerOf(c, a.Account)
		if err != nil {
			return err
		}
		taken, err := one(c, selectAddress, func(row) {}, a.Domain, a.Local)
		if err != nil {
			return err
		}
		if taken {
			return mail.Errorf(mail.Exists, "that address is taken")
		}
		if err := addAddress(c, owner, a); err != nil {
			return err
		}
		return db.changesAddresses(c)
	}, db.readdressed)
}

// RemoveAddress implements store.Directory.
func (db *DB) RemoveAddress(ctx context.Context, local, domain string) error {
	local, domain = strings.ToLower(local), strings.ToLower(domain)
	return db.write(ctx, directoryLane, func(c conn) error {
		var was store.Address
		found, err := one(c, selectAddress, func(r row) { was = scanAddress(r) }, domain, local)
		if err == nil && !found {
			err = mail.Errorf(mail.NotFound, "no such address")
		}
		if err == nil {
			err = c.later(deleteAddress, domain, local)
		}
		if err == nil {
			err = relistPerson(c, was.Account)
		}
		if err == nil {
			err = db.changesAddresses(c)
		}
		if err == nil {
			err = c.later(deleteDomains)
		}
		return err
	}, db.readdressed)
}
