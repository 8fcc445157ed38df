package sqlstore

import (
	"bytes"
	"context"
	"time"

	"lockstep/internal/mail"
	"lockstep/internal/store"
)

const (
	selectByToken   = "SELECT " + credentialColumns + " FROM credential WHERE token = ?1"
	selectVerifier  = "SELECT verifier FROM credential WHERE credential_id = ?1"
	replaceVerifier = "UPDATE credential SET verifier = ?2 WHERE credential_id = ?1"

	signInColumns    = "sign_in_id, key, principal_id, kind, device_id, client, state, addr, created, last_seen, ends"
	selectSignIn     = "SELECT " + signInColumns + " FROM sign_in WHERE key = ?1"
	selectSignIns    = "SELECT " + signInColumns + " FROM sign_in WHERE principal_id = ?1 ORDER BY sign_in_id"
	selectSurplus    = "SELECT " + signInColumns + " FROM sign_in WHERE principal_id = ?1 AND kind = ?2 ORDER BY last_seen DESC, sign_in_id DESC LIMIT 1000000 OFFSET ?3"
	insertSignIn     = "INSERT INTO sign_in (" + signInColumns + ") VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)"
	selectSigned     = "SELECT state FROM sign_in WHERE sign_in_id = ?1"
	updateSignIn     = "UPDATE sign_in SET state = ?2, ends = ?3 WHERE sign_in_id = ?1"
	updateSignedSeen = "UPDATE sign_in SET last_seen = ?2, addr = ?3 WHERE sign_in_id = ?1"
	deleteSignIn     = "DELETE FROM sign_in WHERE sign_in_id = ?1"
	removeSignIn     = "DELETE FROM sign_in WHERE sign_in_id = ?1 RETURNING principal_id"
	deleteEnded      = "DELETE FROM sign_in WHERE principal_id = ?1 AND ends <= ?2"
)

// CredentialByToken implements store.Directory.
func (db *DB) CredentialByToken(ctx context.Context, token []byte) (cr store.Credential, err error) {
	err = db.ask(ctx, func(c conn) error {
		found, err := one(c, selectByToken, func(r row) { cr = scanCredential(r) }, token)
		if err == nil && !found {
			err = noCredential()
		}
		return err
	})
	return cr, err
}

func noCredential() error { return mail.Errorf(mail.NotFound, "no such credential") }

// ReplaceVerifier implements store.Directory.
func (db *DB) ReplaceVerifier(ctx context.Context, id int64, was, now []byte) error {
	return db.write(ctx, signInLane, func(c conn) error {
		if err := stillIs(c, selectVerifier, id, was, noCredential); err != nil {
			return err
		}
		return oneOr(noCredential)(c.exec(replaceVerifier, id, now))
	}, nil)
}

// stillIs is Conflict unless the statement's one column of the row is as it was.
func stillIs(c conn, sql string, id int64, was []byte, absent func() error) error {
	var is []byte
	found, err := one(c, sql, func(r row) { is = r.bytes(0) }, id)
	switch {
	case err != nil:
		return err
	case !found:
		return absent()
	case !bytes.Equal(is, was):
		return mail.Errorf(mail.Conflict, "it changed meanwhile")
	}
	return nil
}

// oneOr is absent when a statement changed nothing: the row went while others were
// at work.
func oneOr(absent func() error) func(changed int64, err error) error {
	return func(changed int64, err error) error {
		if err == nil && changed == 0 {
			err = absent()
		}
		return err
	}
}

// AddSignIn implements store.Directory.
func (db *DB) AddSignIn(ctx context.Context, s store.SignIn, most int) (added store.SignIn, gone []store.SignIn, err error) {
	err = db.write(ctx, signInLane, func(c conn) (err error) {
		added, gone = s, nil
		if err := hasPrincipal(c, s.Principal); err != nil {
			return err
		}
		if _, err := c.exec(deleteEnded, int64(s.Principal), s.Created); err != nil {
			return err
		}
		if added.ID, err = draw(c, "sign_in"); err != nil {
			return err
		}
		_, err = c.exec(insertSignIn, added.ID, s.Key, int64(s.Principal), string(s.Kind), s.Device, s.Client, s.State, s.Addr, s.Created, s.LastSeen, s.Ends)
		if err != nil {
			return err
		}
		err = c.query(selectSurplus, func(r row) error { gone = append(gone, scanSignIn(r)); return nil }, int64(s.Principal), string(s.Kind), most)
		for _, g := range gone {
			if err == nil {
				_, err = c.exec(deleteSignIn, g.ID)
			}
		}
		if err == nil && len(gone) > 0 {
			err = endsOf(c, db.now(), s.Principal)
		}
		return err
	}, nil)
	return added, gone, err
}

func scanSignIn(r row) store.SignIn {
	return store.SignIn{
		ID: r.num(0), Key: r.bytes(1), Principal: store.PrincipalID(r.num(2)), Kind: store.SignInKind(r.text(3)), Device: mail.DeviceID(r.num(4)),
		Client: r.text(5), State: r.bytes(6), Addr: r.text(7), Created: unstamp(r.num(8)), LastSeen: unstamp(r.num(9)), Ends: unstamp(r.num(10)),
	}
}

// SignInByKey implements store.Directory.
func (db *DB) SignInByKey(ctx context.Context, key []byte) (s store.SignIn, err error) {
	err = db.ask(ctx, func(c conn) error {
		found, err := one(c, selectSignIn, func(r row) { s = scanSignIn(r) }, key)
		if err == nil && !found {
			err = noSignIn()
		}
		return err
	})
	return s, err
}

func noSignIn() error { return mail.Errorf(mail.NotFound, "nobody is signed in so") }

// SignIns implements store.Directory.
func (db *DB) SignIns(ctx context.Context, id store.PrincipalID) (all []store.SignIn, err error) {
	err = db.ask(ctx, func(c conn) error {
		return c.query(selectSignIns, func(r row) error { all = append(all, scanSignIn(r)); return nil }, int64(id))
	})
	return all, err
}

// ChangeSignIn implements store.Directory.
func (db *DB) ChangeSignIn(ctx context.Context, id int64, was, now []byte, ends time.Time) error {
	return db.write(ctx, signInLane, func(c conn) error {
		if err := stillIs(c, selectSigned, id, was, noSignIn); err != nil {
			return err
		}
		return oneOr(noSignIn)(c.exec(updateSignIn, id, now, ends))
	}, nil)
}

// SawSignIn implements store.Directory.
func (db *DB) SawSignIn(ctx context.Context, id int64, at time.Time, addr string) error {
	return db.writeOne(ctx, "nobody is signed in so", updateSignedSeen, id, at, addr)
}

// RemoveSignIn implements store.Directory.
func (db *DB) RemoveSignIn(ctx context.Context, id int64) error {
	return db.write(ctx, signInLane, func(c conn) error {
		var p store.PrincipalID
		found, err := one(c, removeSignIn, func(r row) { p = store.PrincipalID(r.num(0)) }, id)
		if err == nil && !found {
			err = noSignIn()
		}
		if err != nil {
			return err
		}
		return endsOf(c, db.now(), p)
	}, nil)
}
