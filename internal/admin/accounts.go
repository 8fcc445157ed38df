package admin

import (
	"context"
	"errors"
	netmail "net/mail"
	"strings"
	"time"

	"lockstep/internal/auth"
	"lockstep/internal/delivery"
	"lockstep/internal/mail"
	"lockstep/internal/store"
)

// NewAccount asks for an account.
type NewAccount struct {
	Login    string
	Name     string // what others see beside the address
	Password string
	Quota    *int64 // nil is the configured one
}

// Account is one line of the accounts.
type Account struct {
	Login    string
	Name     string
	Disabled bool
	Messages int64
	Used     int64
	Quota    int64
	Devices  int
	Created  time.Time
}

// The verbs of accounts.
var (
	AccountAdd      = Verb[NewAccount, Account]{"account/add", (*Ops).accountAdd}
	AccountList     = Verb[Nothing, Account]{"account/list", (*Ops).accountList}
	AccountGet      = Verb[OfAccount, Account]{"account/get", (*Ops).accountGet}
	AccountName     = Verb[SetName, Nothing]{"account/name", (*Ops).accountName}
	AccountPassword = Verb[NewPassword, Nothing]{"account/password", (*Ops).accountPassword}
	AccountDisable  = Verb[SetDisabled, Nothing]{"account/disable", (*Ops).accountDisable}
	AccountRemove   = Verb[Removal, Kept]{"account/remove", (*Ops).accountRemove}
	AccountFactors  = Verb[OfAccount, Removed]{"account/second-factor", (*Ops).accountFactors}
	AccountQuota    = Verb[SetQuota, Nothing]{"account/quota", (*Ops).accountQuota}
)

// OfAccount names an account.
type OfAccount struct{ Login string }

// NewPassword sets a password.
type NewPassword struct{ Login, Password string }

// SetName sets what others see beside an address; "" is nothing.
type SetName struct{ Login, Name string }

// SetDisabled locks an account out or in.
type SetDisabled struct {
	Login    string
	Disabled bool
}

// SetQuota bounds what an account may keep.
type SetQuota struct {
	Login string
	Quota int64
}

func (o *Ops) accountAdd(ctx context.Context, q NewAccount, emit func(Account) error) error {
	login, err := checkLogin(q.Login)
	if err != nil {
		return err
	}
	verifier, err := auth.HashPassword(ctx, q.Password)
	if err != nil {
		return err
	}
	quota := o.Quota
	if q.Quota != nil {
		quota = *q.Quota
	}
	p, err := o.Directory.CreateAccount(ctx, operator().WithCause(mail.BySetup), store.NewAccount{Login: login, Name: q.Name, Quota: quota, Verifier: verifier})
	if mail.KindOf(err) == mail.Exists && err != nil {
		return mail.Errorf(mail.Exists, "%s is there already; change its password with: lockstep account passwd %s", login, login)
	}
	if err != nil {
		return err
	}
	a, err := o.account(ctx, p)
	if err != nil {
		return err
	}
	return emit(a)
}

// checkLogin wants a full address, its domain as it is looked up.
func checkLogin(login string) (string, error) {
	login = strings.ToLower(strings.TrimSpace(login))
	a, err := netmail.ParseAddress(login)
	if err != nil || a.Address != login || a.Name != "" {
		return "", mail.Errorf(mail.Invalid, "%q is not an address: a login looks like alice@example.test", login)
	}
	local, domain, err := delivery.SplitAddress(login)
	if err != nil {
		return "", err
	}
	if local+"@"+domain != login {
		return "", mail.Errorf(mail.Invalid, "write the login %s as %s@%s", login, local, domain)
	}
	return login, nil
}

func (o *Ops) accountList(ctx context.Context, _ Nothing, emit func(Account) error) error {
	all, err := o.Directory.Accounts(ctx)
	if err != nil {
		return err
	}
	for _, p := range all {
		a, err := o.account(ctx, p)
		if err == nil {
			err = emit(a)
		}
		if err != nil && mail.KindOf(err) != mail.NotFound { // removed meanwhile
			return err
		}
	}
	return nil
}

func (o *Ops) account(ctx context.Context, p store.Principal) (Account, error) {
	a := Account{Login: p.Login, Name: p.Name, Disabled: p.Disabled}
	err := o.Store.View(ctx, p.Account, func(r store.Reader) error {
		acc, err := r.Account()
		if err != nil {
			return err
		}
		a.Used, a.Quota, a.Created = acc.Used, acc.Quota, acc.Created
		mailboxes, err := r.Mailboxes()
		for _, mb := range mailboxes {
			a.Messages += mb.Counts.Placements
		}
		devices, err2 := r.Devices()
		a.Devices = len(devices)
		return errors.Join(err, err2)
	})
	return a, err
}

// principal finds an account by its login.
func (o *Ops) principal(ctx context.Context, login string) (store.Principal, error) {
	p, err := o.Directory.PrincipalByLogin(ctx, strings.ToLower(strings.TrimSpace(login)))
	if mail.KindOf(err) == mail.NotFound && err != nil {
		return p, mail.Errorf(mail.NotFound, "there is no account %s; see: lockstep account list", login)
	}
	return p, err
}

func (o *Ops) accountGet(ctx context.Context, q OfAccount, emit func(Account) error) error {
	p, err := o.principal(ctx, q.Login)
	if err != nil {
		return err
	}
	a, err := o.account(ctx, p)
	if err != nil {
		return err
	}
	return emit(a)
}

func (o *Ops) accountName(ctx context.Context, q SetName, _ func(Nothing) error) error {
	p, err := o.principal(ctx, q.Login)
	if err != nil {
		return err
	}
	return o.Directory.SetName(ctx, p.Account, q.Name)
}

func (o *Ops) accountPassword(ctx context.Context, q NewPassword, _ func(Nothing) error) error {
	p, err := o.principal(ctx, q.Login)
	if err != nil {
		return err
	}
	return o.Auth.SetPassword(ctx, p, q.Password)
}

// Removed is what was taken from an account's sign-in.
type Removed struct {
	TOTP     bool
	Passkeys int
}

// accountFactors lets somebody in with the password alone who has lost the rest.
func (o *Ops) accountFactors(ctx context.Context, q OfAccount, emit func(Removed) error) error {
	p, err := o.principal(ctx, q.Login)
	if err != nil {
		return err
	}
	f, err := o.Auth.Factors(ctx, p)
	if err != nil {
		return err
	}
	if !f.Any() {
		return mail.Errorf(mail.NotFound, "%s has no second factor", p.Login)
	}
	if err := o.Auth.RemoveSecondFactors(ctx, p); err != nil {
		return err
	}
	return emit(Removed{f.TOTP, len(f.Passkeys)})
}

func (o *Ops) accountDisable(ctx context.Context, q SetDisabled, _ func(Nothing) error) error {
	p, err := o.principal(ctx, q.Login)
	if err != nil {
		return err
	}
	return o.Auth.SetDisabled(ctx, p.Account, q.Disabled)
}

func (o *Ops) accountQuota(ctx context.Context, q SetQuota, _ func(Nothing) error) error {
	p, err := o.principal(ctx, q.Login)
	if err != nil {
		return err
	}
	_, err = o.Store.Update(ctx, p.Account, operator(), func(tx store.Tx) error { return tx.SetQuota(q.Quota) })
	return err
}
