package admin

import (
	"context"
	"strconv"
	"strings"
	"time"

	"lockstep/internal/mail"
	"lockstep/internal/store"
)

// Removal asks for an account to be removed.
type Removal struct {
	Login string
	Now   bool // for good, also one that is kept already
}

// Kept is a removed account.
type Kept struct {
	ID        int64
	Login     string
	Name      string
	Addresses []string
	Removed   time.Time
	Until     time.Time // it can be brought back; zero is that it is gone
}

// Undeletion names a removed account that is to be brought back.
type Undeletion struct {
	Login string // that it had, the last removed of that login; or its number
	As    string // another login for it
}

// Undeleted is an account that was brought back.
type Undeleted struct {
	Login string
	Taken []string // addresses of it that are somebody else's now
}

// The verbs of removed accounts.
var (
	AccountsKept    = Verb[Nothing, Kept]{"account/kept", (*Ops).accountsKept}
	AccountUndelete = Verb[Undeletion, Undeleted]{"account/undelete", (*Ops).accountUndelete}
)

func (o *Ops) accountRemove(ctx context.Context, q Removal, emit func(Kept) error) error {
	p, err := o.principal(ctx, q.Login)
	if mail.KindOf(err) == mail.NotFound && err != nil && q.Now {
		k, keptErr := o.kept(ctx, q.Login)
		if keptErr != nil {
			return err // that there is no such account
		}
		return o.removeForGood(ctx, k.Principal, emit)
	}
	if err != nil {
		return err
	}
	if q.Now || o.KeepRemoved <= 0 {
		if err := o.Auth.SetDisabled(ctx, p.Account, true); err != nil { // its sessions end first
			return err
		}
		return o.removeForGood(ctx, p, emit)
	}
	if err := o.Directory.KeepRemoved(ctx, p.Account); err != nil {
		return err
	}
	o.Auth.EndAll(p.Account, "account removed")
	all, err := o.Directory.KeptRemoved(ctx)
	for _, k := range all {
		if k.Account == p.Account {
			return emit(o.keptRow(k))
		}
	}
	return err
}

func (o *Ops) removeForGood(ctx context.Context, p store.Principal, emit func(Kept) error) error {
	if err := o.Directory.RemoveAccount(ctx, p.Account); err != nil {
		return err
	}
	if o.Search != nil {
		if err := o.Search.Forget(ctx, p.Account); err != nil {
			return err
		}
	}
	return emit(Kept{ID: int64(p.Account), Login: p.Login})
}

func (o *Ops) keptRow(k store.RemovedAccount) Kept {
	row := Kept{ID: int64(k.Account), Login: k.Login, Name: k.Name, Removed: k.At, Until: k.At.Add(o.KeepRemoved)}
	for _, a := range k.Addresses {
		row.Addresses = append(row.Addresses, addressText(a))
	}
	return row
}

func addressText(a store.Address) string {
	if a.Local == "" {
		return "*@" + a.Domain
	}
	return a.Local + "@" + a.Domain
}

func (o *Ops) accountsKept(ctx context.Context, _ Nothing, emit func(Kept) error) error {
	all, err := o.Directory.KeptRemoved(ctx)
	for _, k := range all {
		if err == nil {
			err = emit(o.keptRow(k))
		}
	}
	return err
}

// kept finds a removed account by its number, or the last removed of a login.
func (o *Ops) kept(ctx context.Context, name string) (store.RemovedAccount, error) {
	all, err := o.Directory.KeptRemoved(ctx)
	name = strings.ToLower(strings.TrimSpace(name))
	for _, k := range all {
		if k.Login == name || strconv.FormatInt(int64(k.Account), 10) == name {
			return k, err
		}
	}
	if err == nil {
		err = mail.Errorf(mail.NotFound, "no removed account %s is kept; see: lockstep account undelete", name)
	}
	return store.RemovedAccount{}, err
}

func (o *Ops) accountUndelete(ctx context.Context, q Undeletion, emit func(Undeleted) error) error {
	k, err := o.kept(ctx, q.Login)
	if err != nil {
		return err
	}
	as := ""
	if q.As != "" {
		if as, err = checkLogin(q.As); err != nil {
			return err
		}
	}
	p, taken, err := o.Directory.Reinstate(ctx, k.Account, as)
	if mail.KindOf(err) == mail.Exists && err != nil {
		return mail.Errorf(mail.Exists, "somebody else has that login now: bring it back under another with --as LOGIN")
	}
	if err != nil {
		return err
	}
	row := Undeleted{Login: p.Login}
	for _, a := range taken {
		row.Taken = append(row.Taken, addressText(a))
	}
	return emit(row)
}

// ForgetRemoved removes for good what was kept for long enough, and returns how many
// accounts that were. One that can't be removed holds up no other.
func (o *Ops) ForgetRemoved(ctx context.Context, now time.Time) (n int, err error) {
	all, err := o.Directory.KeptRemoved(ctx)
	for _, k := range all {
		if now.Before(k.At.Add(o.KeepRemoved)) || ctx.Err() != nil {
			continue
		}
		if failed := o.removeForGood(ctx, k.Principal, func(Kept) error { return nil }); failed != nil {
			err = failed
			continue
		}
		n++
	}
	return n, err
}
