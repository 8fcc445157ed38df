package delivery

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"time"

	"lockstep/internal/mail"
	"lockstep/internal/store"
)

// Envelope is one mail transaction (RFC 5321 §2.3.1).
type Envelope struct {
	ReversePath string // "" is the null reverse path
	Recipients  []Recipient
	Hop         Hop
	UTF8        bool   // SMTPUTF8 was asked for (RFC 6531)
	EightBit    bool   // BODY=8BITMIME was said (RFC 6152)
	Return      Return // how much a report returns
	ID          string // ENVID, as given

	// Once names what is submitted, whatever its bytes: handed in again under that
	// name within OnceFor, it makes no second copy for any recipient, also when the
	// first was sent meanwhile. "" is by what arrives, for an hour.
	Once    string
	OnceFor time.Duration

	// HoldUntil is until when nobody gets a submission (RFC 4865), and it can be taken
	// back; zero is at once.
	HoldUntil time.Time

	answer *answered // it is an automatic answer
}

// DeliveryID is what the queue calls a submission that has a name.
func (e *Envelope) DeliveryID() string { return deliveryID(e, nil) }

// Recipient is an accepted recipient. Make it with LocalRecipient or
// AnyRecipient.
type Recipient struct {
	Address  string         // as given
	Account  mail.AccountID // whose it is; 0 when elsewhere
	Inbox    mail.MailboxID
	Notify   Notify
	Original string // ORCPT: address type, ";" and address, decoded

	once string // names the arrival; "" is by what arrives
}

// Notify is a set of the cases in which the sender wants a report (RFC 3461
// §4.1). The empty set is what the sender left to us: failures.
type Notify uint8

// The cases.
const (
	NotifyNever Notify = 1 << iota
	NotifySuccess
	NotifyFailure
	NotifyDelay
)

// Return is how much of the message a report of failure returns (RFC 3461 §4.3).
type Return string

// The amounts; the empty one is left to us.
const (
	ReturnFull    Return = "FULL"
	ReturnHeaders Return = "HDRS"
)

// actor is who the journal says delivered.
func (e *Envelope) actor() string {
	if e.ReversePath == "" {
		return "<>"
	}
	return e.ReversePath
}

func (e *Envelope) origin() mail.Origin {
	return mail.NewOrigin(e.actor(), 0, e.Hop.Protocol, mail.ByDelivery).WithSession(e.Hop.ID)
}

// onceKey names the arrival for one recipient.
func (e *Envelope) onceKey(sum []byte, r *Recipient) string {
	switch {
	case r.once != "":
		return r.once
	case e.Once != "":
		sum = []byte("named\x00" + e.Once + "\x00")
	}
	return onceKey(sum, e.ReversePath, r.Address)
}

// onceFor is for how long the arrival is known again.
func (e *Envelope) onceFor() time.Duration { return max(e.OnceFor, onceFor) }

// onceKey names the arrival of these bytes from there for one recipient.
func onceKey(sum []byte, reversePath, recipient string) string {
	h := sha256.New()
	h.Write(sum)
	h.Write([]byte(reversePath))
	h.Write([]byte{0})
	h.Write([]byte(recipient))
	return "delivery:" + hex.EncodeToString(h.Sum(nil)[:16])
}

// LocalRecipient accepts a recipient of ours for a message of about size bytes,
// 0 if that is not known. Denied when the domain is not ours, NotFound when there
// is nobody of that name, OverQuota when the account is full.
func (s *Service) LocalRecipient(ctx context.Context, address string, size int64) (Recipient, error) {
	r, err := s.recipient(ctx, address, size)
	if errors.Is(err, errElsewhere) {
		return r, mail.Errorf(mail.Denied, "mail for other domains is not relayed")
	}
	return r, err
}

// AnyRecipient accepts a recipient of ours or, if there is a way out, elsewhere.
func (s *Service) AnyRecipient(ctx context.Context, address string, size int64) (Recipient, error) {
	r, err := s.recipient(ctx, address, size)
	if !errors.Is(err, errElsewhere) {
		return r, err
	}
	if !s.CanSend {
		return r, mail.Errorf(mail.Denied, "this server has no way to send mail to other domains")
	}
	return r, nil
}

var errElsewhere = errors.New("not a local domain")

func (s *Service) recipient(ctx context.Context, address string, size int64) (Recipient, error) {
	r := Recipient{Address: address}
	local, domain, err := s.split(address)
	if err != nil {
		return r, err
	}
	a, err := s.lookup(ctx, local, domain)
	if err != nil && mail.KindOf(err) == mail.NotFound {
		a, err = s.unknown(ctx, address, local, domain)
	}
	if err != nil {
		return r, err
	}
	r.Account = a.Account
	r.Inbox, err = s.rooms.inbox(ctx, s.Store, a.Account, size)
	return r, err
}

// split is SplitAddress that knows the one address without a domain (RFC 5321
// §4.5.1): ours.
func (s *Service) split(address string) (local, domain string, err error) {
	if isPostmaster(address) {
		return "postmaster", s.Hostname, nil
	}
	return SplitAddress(address)
}

// unknown decides about an address that nobody has: it is for elsewhere, for
// postmaster (RFC 5321 §4.5.1), or for nobody.
func (s *Service) unknown(ctx context.Context, address, local, domain string) (store.Address, error) {
	nobody := mail.Errorf(mail.NotFound, "no such user here")
	if !isPostmaster(address) {
		ours, err := s.isLocal(ctx, domain)
		switch {
		case err != nil:
			return store.Address{}, err
		case !ours:
			return store.Address{}, errElsewhere
		}
	}
	if !isPostmaster(local) {
		return store.Address{}, nobody
	}
	a, err := s.postmaster(ctx)
	if err != nil && mail.KindOf(err) == mail.NotFound {
		err = nobody
	}
	return a, err
}
