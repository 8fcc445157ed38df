package store

import (
	"context"
	"time"

	"lockstep/internal/mail"
)

// A PrincipalID names who authenticates.
type PrincipalID = mail.PrincipalID

// Principal is who authenticates. Every principal owns one account.
type Principal struct {
	ID       PrincipalID
	Login    string // a full address, lower case
	Name     string // what others see beside the address; "" if nobody gave one
	Account  mail.AccountID
	Disabled bool
}

// CredentialKind is what a credential is.
type CredentialKind string

// The kinds of credentials.
const (
	Password    CredentialKind = "password" // what a person chose; argon2id
	AppPassword CredentialKind = "app"      // made by us for one device
	TOTP        CredentialKind = "totp"     // a second factor: codes that change (RFC 6238)
	Passkey     CredentialKind = "passkey"  // a second factor, or alone (WebAuthn)
	Recovery    CredentialKind = "recovery" // a second factor that is used up
)

// SignsIn reports whether somebody is signed in by a credential of the kind for as long
// as it is there.
func (k CredentialKind) SignsIn() bool { return k == Password || k == AppPassword }

// SecondFactor reports whether the password alone opens nothing once there is one.
func (k CredentialKind) SecondFactor() bool { return k == TOTP || k == Passkey }

// Credential is a secret by which a principal is known. The secret itself is
// never stored.
type Credential struct {
	ID        int64
	Principal PrincipalID
	Kind      CredentialKind
	Name      string          // of an app password: what the person calls it
	Verifier  []byte          // as package auth writes it
	Token     []byte          // by which an app password is found without a login; nil is not at all. No two are equal.
	Scram     []byte          // SCRAM keys as package auth writes them; app passwords only
	Protocols []mail.Protocol // empty is all
	Device    mail.DeviceID   // of an app password
	Created   time.Time
	LastUsed  time.Time
}

// SignInKind is how somebody stays signed in.
type SignInKind string

// The kinds of sign-ins.
const (
	WebSignIn   SignInKind = "web"   // a browser, by a cookie
	OAuthSignIn SignInKind = "oauth" // a program, by tokens
)

// SignIn is somebody who stays signed in over HTTP until it ends.
type SignIn struct {
	ID        int64
	Key       []byte // by which it is found: the hash of a secret. No two are equal.
	Principal PrincipalID
	Kind      SignInKind
	Device    mail.DeviceID
	Client    string // what it is, for people
	State     []byte // as package auth writes it
	Addr      string // where it was seen last
	Created   time.Time
	LastSeen  time.Time
	Ends      time.Time
}

// Address maps an address to the account that gets its mail.
type Address struct {
	Local   string // "" catches all of the domain
	Domain  string // lower case, A-labels
	Account mail.AccountID
	Alias   bool // not the account's own
}

// NewAccount says what an account begins with.
type NewAccount struct {
	Login    string // a full address: the principal's login and the account's own address
	Name     string // as SetName takes it
	Quota    int64
	Verifier []byte // of the password; nil makes an account nobody can sign in to yet
}

// RemovedAccount is one that was removed and is kept for a while.
type RemovedAccount struct {
	Principal           // as it was, with the login it had
	At        time.Time // when it was removed
	Addresses []Address // that it had
}

// DeviceCount is how many devices are let in so far.
type DeviceCount struct {
	Access  mail.Access
	Wipe    mail.WipeState
	Devices int64
}

// Directory keeps what is global: accounts, principals, credentials, addresses,
// domains. Logins and domains are compared folded. Each method is one durable
// transaction.
type Directory interface {
	// CreateAccount makes an account with its principal, address, domain and the
	// standard mailboxes, subscribed. A login or address that is taken is Exists.
	CreateAccount(ctx context.Context, by mail.Origin, a NewAccount) (Principal, error)
	// RemoveAccount removes an account and everything of it, and what its principal
	// was given and had in the accounts of others.
	RemoveAccount(ctx context.Context, id mail.AccountID) error
	// KeepRemoved removes an account for everybody, and keeps what RemoveAccount would
	// have deleted: it does not exist, and its login and addresses can be given to
	// others. What it is sending is sent.
	KeepRemoved(ctx context.Context, id mail.AccountID) error
	// KeptRemoved returns the accounts that are kept so, the last removed first. RemoveAccount
	// removes one of them for good.
	KeptRemoved(ctx context.Context) ([]RemovedAccount, error)
	// Reinstate makes a kept account what it was, under that login, or, if it is "",
	// under the one it had, which is Exists if somebody else has it now. Addresses that
	// somebody else has stay theirs and are returned. NotFound if the account is not kept.
	Reinstate(ctx context.Context, id mail.AccountID, login string) (Principal, []Address, error)
	// SetDisabled locks an account out, or in again; its mail still arrives.
	SetDisabled(ctx context.Context, id mail.AccountID, disabled bool) error
	// SetName sets the display name of who owns an account; see CheckName.
	SetName(ctx context.Context, id mail.AccountID, name string) error
	// People returns those, the asker and nobody disabled among them, who have an
	// address in a domain of the asker's and fit the question with their name and
	// their addresses in that domain; each once, by name. The address shown is the
	// login if the asker shares its domain, else the first they share. What is in a
	// domain the asker has no address in does not exist. It costs what the words of
	// the question find, whatever the number of people.
	People(ctx context.Context, q PeopleQuery) ([]Person, error)
	Accounts(ctx context.Context) ([]Principal, error)
	PrincipalByLogin(ctx context.Context, login string) (Principal, error)
	PrincipalByID(ctx context.Context, id PrincipalID) (Principal, error)
	// SharedWith returns the owners of accounts in which the principal, or anyone,
	// has been given rights, by login. It is not among them itself.
	SharedWith(ctx context.Context, id PrincipalID) ([]Principal, error)

	// CountDevices counts the devices of all accounts, by what came of them.
	CountDevices(ctx context.Context) ([]DeviceCount, error)

	Credentials(ctx context.Context, id PrincipalID) ([]Credential, error)
	// SetPassword replaces the principal's one password.
	SetPassword(ctx context.Context, id PrincipalID, verifier []byte) error
	AddCredential(ctx context.Context, c Credential) (Credential, error)
	RemoveCredential(ctx context.Context, id int64) error
	// UsedCredential notes the last use; it may be lazy about it.
	UsedCredential(ctx context.Context, id int64, at time.Time) error
	// CredentialByToken finds an app password by its token.
	CredentialByToken(ctx context.Context, token []byte) (Credential, error)
	// ReplaceVerifier replaces a verifier that is as it was, else Conflict: of two who
	// use up the same thing at once, one does.
	ReplaceVerifier(ctx context.Context, id int64, was, now []byte) error

	// AddSignIn adds a sign-in and forgets those of the principal that ended before it
	// was made. Of each kind a principal has at most so many: those seen longest ago
	// are gone, and returned.
	AddSignIn(ctx context.Context, s SignIn, most int) (added SignIn, gone []SignIn, err error)
	// SignInByKey finds a sign-in, also one that has ended.
	SignInByKey(ctx context.Context, key []byte) (SignIn, error)
	// SignIns returns a principal's sign-ins, oldest first, also ended ones.
	SignIns(ctx context.Context, id PrincipalID) ([]SignIn, error)
	// ChangeSignIn replaces a state that is as it was, else Conflict, and the end.
	ChangeSignIn(ctx context.Context, id int64, was, now []byte, ends time.Time) error
	// SawSignIn notes the last contact.
	SawSignIn(ctx context.Context, id int64, at time.Time, addr string) error
	RemoveSignIn(ctx context.Context, id int64) error

	// Lookup finds who gets mail for local@domain: the exact address, else the
	// domain's catch-all. NotFound; the domain being local is told by IsLocal.
	Lookup(ctx context.Context, local, domain string) (Address, error)
	IsLocal(ctx context.Context, domain string) (bool, error)
	Addresses(ctx context.Context, id mail.AccountID) ([]Address, error)
	// AddAddress gives an account one more address; it makes the domain local. With
	// its last address a domain stops being so.
	AddAddress(ctx context.Context, a Address) error
	RemoveAddress(ctx context.Context, local, domain string) error
}

// Intent is something that takes transactions of two accounts and has begun.
type Intent struct {
	ID    int64
	Owner mail.AccountID // whose messages it is about
	State []byte         // as package transfer writes it
}

// Intents keeps what has begun, so that a start after a crash can finish it. Each
// method is one durable transaction.
type Intents interface {
	// Intend notes an intent and gives it its id, which is never used again.
	Intend(ctx context.Context, owner mail.AccountID, state []byte) (int64, error)
	// Intents returns all there are, oldest first.
	Intents(ctx context.Context) ([]Intent, error)
	// Settled forgets one.
	Settled(ctx context.Context, id int64) error
}

// Outgoing is a message on its way to one recipient elsewhere.
type Outgoing struct {
	ID          int64
	Delivery    string // one for each submission; the queue's delivery id
	Account     mail.AccountID
	Blob        mail.Blob // named by this row until it is settled
	ReversePath string
	Recipient   string
	Options     []byte // ESMTP parameters as package delivery writes them
	// Arrived is when it came, or until when it is held: nobody begins with it before.
	Arrived   time.Time
	Attempts  int
	Next      time.Time // of the next attempt
	LastError string
	// Restored says that it came back with an older copy of the store, and may have
	// been sent already: nobody begins with it before Release.
	Restored bool
}

// Queue keeps what is on its way out. Each method is one durable transaction.
type Queue interface {
	// Enqueue adds messages; all or none. The same Delivery and Recipient is added
	// once.
	Enqueue(ctx context.Context, out []Outgoing) error
	// Due returns up to limit messages whose next attempt is not after now, and
	// moves it to lease, so that a crash repeats them and nobody else takes them: the
	// node has them in hand.
	Due(ctx context.Context, node string, now, lease time.Time, limit int) ([]Outgoing, error)
	// GiveBack makes due now what others than the node have in hand who are gone: it is
	// so long that the store saw them. It counts no attempt, and returns how many.
	GiveBack(ctx context.Context, node string, now time.Time, silent time.Duration) (int, error)
	// InHand returns which of them the node still has in hand.
	InHand(ctx context.Context, node string, ids []int64) ([]int64, error)
	// Retry notes a failed attempt of the node, and when the next is. NotFound if
	// somebody else has it in hand.
	Retry(ctx context.Context, node string, id int64, next time.Time, lastError string) error
	// Done removes what is delivered or bounced.
	Done(ctx context.Context, id int64) error
	// Queued returns what is left of one delivery of an account, by recipient.
	Queued(ctx context.Context, id mail.AccountID, delivery string) ([]Outgoing, error)
	// Withdraw removes a delivery of an account that is held after now, and nobody has
	// begun with; it returns how many recipients it had. 0 is too late.
	Withdraw(ctx context.Context, id mail.AccountID, delivery string, now time.Time) (int, error)
	// Pending returns up to limit messages in the order of their next attempt.
	Pending(ctx context.Context, limit int) ([]Outgoing, error)
	// NextDue is when the next attempt of all is; zero when there is none to come.
	NextDue(ctx context.Context) (time.Time, error)

	// Held counts the messages that Keeper.Restored holds. Release makes them due, and
	// Drop removes them: one, or with id 0 all. Both return how many, and touch no other.
	Held(ctx context.Context) (int, error)
	Release(ctx context.Context, id int64) (int, error)
	Drop(ctx context.Context, id int64) (int, error)
}
