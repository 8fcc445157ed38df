// Package transfer copies and moves messages between accounts. No transaction
// spans two of them: a copy is one transaction of the account it goes to; a move
// notes its intent, copies under keys by which a copy is known again, removes what
// was copied, and forgets the intent. A start after a crash finishes what was cut.
//
// A copy keeps the email id, the internal date and the thread's names. An account
// that has the message already gets no second one, but another placement of it.
package transfer

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"lockstep/internal/mail"
	"lockstep/internal/message"
	"lockstep/internal/store"
)

// Service copies and moves.
type Service struct {
	Store   store.Store
	Intents store.Intents // nil: there are copies only
	Log     *slog.Logger  // nil logs nothing
	// Node is this one of those that move messages; "" is for who is alone.
	Node string
}

// End is one end of a transfer: a mailbox, and who reaches for it.
type End struct {
	Account mail.AccountID
	Mailbox mail.MailboxID
	As      mail.PrincipalID // 0 is the owner
	By      mail.Origin
	// May says, within the transaction, what may be done there; nil is everything.
	May func(store.Reader) (mail.Rights, error)
}

// MaxMessages bounds what one transfer takes: their rows are held in memory.
const MaxMessages = 1000

// onceFor is for how long a copy is known again: much longer than any crash lasts.
const onceFor = 30 * 24 * time.Hour

// letter is a message to be copied, and the UID it has where it is.
type letter struct {
	uid mail.UID
	mail.Arrival
}

// Copy copies those of uids that are there, all or nothing. Over MaxMessages is
// Limit.
func (s *Service) Copy(ctx context.Context, from End, uids mail.UIDSet, to End) (store.Mapping, error) {
	letters, err := s.read(ctx, from, uids)
	if err != nil || len(letters) == 0 {
		return store.Mapping{}, err
	}
	return s.place(ctx, letters, to, "")
}

// Move moves those of uids that are there, all or nothing.
func (s *Service) Move(ctx context.Context, from End, uids mail.UIDSet, to End) (store.Mapping, error) {
	if s.Intents == nil {
		return store.Mapping{}, mail.Errorf(mail.Unimplemented, "messages can't be moved to another account here")
	}
	letters, err := s.read(ctx, from, uids)
	if err != nil || len(letters) == 0 {
		return store.Mapping{}, err
	}
	move, err := s.intend(ctx, from, letters, to)
	if err != nil {
		return store.Mapping{}, err
	}
	done, err := s.place(ctx, letters, to, move.key())
	if err == nil {
		err = s.remove(ctx, from, done.From)
	}
	if err != nil && !final(err) {
		return done, err // what is done and what is not shows when it is finished
	}
	return done, errors.Join(err, s.settle(context.WithoutCancel(ctx), move.id))
}

// settle forgets an intent; another node may have finished it, which took us for gone.
func (s *Service) settle(ctx context.Context, id int64) error {
	err := s.Intents.Settled(ctx, id)
	if err != nil && mail.KindOf(err) == mail.NotFound {
		return nil
	}
	return err
}

// final says whether trying again would come to the same.
func final(err error) bool {
	switch mail.KindOf(err) {
	case mail.Internal, mail.Unavailable, mail.Corrupt:
		return false
	}
	return true
}

// read takes the messages out of a View.
func (s *Service) read(ctx context.Context, from End, uids mail.UIDSet) ([]letter, error) {
	var letters []letter
	err := s.Store.View(ctx, from.Account, func(r store.Reader) error {
		letters = nil
		if _, err := from.may(r); err != nil {
			return err
		}
		q := store.PlacementQuery{Mailbox: from.Mailbox, UIDs: uids, As: from.As, Located: true, Limit: MaxMessages + 1}
		return r.Messages(q, func(p *mail.Placement, m *mail.Message) error {
			a, err := arrival(p, m)
			letters = append(letters, letter{p.UID, a})
			return err
		})
	})
	if err == nil && len(letters) > MaxMessages {
		err = mail.Errorf(mail.Limit, "at most %d messages can be taken to another account at once", MaxMessages)
	}
	return letters, err
}

// arrival is the message as one that arrives elsewhere.
func arrival(p *mail.Placement, m *mail.Message) (mail.Arrival, error) {
	parsed, err := message.Decode(m.Parsed)
	if err != nil {
		return mail.Arrival{}, fmt.Errorf("message of UID %d: %w", p.UID, err)
	}
	b := m.Blob
	b.Parts, b.Fresh = nil, false // they are named by the whole, whose row stands
	return mail.Arrival{
		Blob: b, Flags: p.Flags, InternalDate: m.InternalDate, SentAt: m.SentAt, MessageID: m.MessageID, EmailID: m.EmailID,
		References: parsed.References, BaseSubject: parsed.BaseSubject, IsReply: parsed.IsReply, Parsed: m.Parsed, Preview: m.Preview,
	}, nil
}

// may asks an end what may be done.
func (e End) may(r store.Reader) (mail.Rights, error) {
	if e.May == nil {
		return mail.AllRights, nil
	}
	return e.May(r)
}

// place puts the messages where they go, in one transaction. With a key, those
// that it put there before are not put again.
func (s *Service) place(ctx context.Context, letters []letter, to End, key string) (store.Mapping, error) {
	var done store.Mapping
	_, err := s.Store.Update(ctx, to.Account, to.By, func(tx store.Tx) error {
		done = store.Mapping{}
		rights, err := to.may(tx)
		if err != nil {
			return err
		}
		for _, l := range letters {
			a := l.Arrival
			a.Flags, a.As = a.Flags.Permitted(rights), to.As
			if key != "" {
				a.Once, a.OnceFor = fmt.Sprintf("%s:%d", key, l.uid), onceFor
			}
			uid, err := placeOne(tx, to, a)
			if err != nil {
				return err
			}
			done.From.Add(l.uid)
			done.To.Add(uid)
		}
		return nil
	})
	return done, err
}

func placeOne(tx store.Tx, to End, a mail.Arrival) (mail.UID, error) {
	if a.Once != "" {
		p, err := tx.Remembered(a.Once)
		if err == nil || mail.KindOf(err) != mail.NotFound {
			return p.UID, err
		}
	}
	m, err := tx.MessageByEmailID(a.EmailID)
	if err != nil && mail.KindOf(err) == mail.NotFound {
		p, err := tx.Append(to.Mailbox, a)
		return p.UID, err
	}
	if err != nil {
		return 0, err
	}
	return placeAgain(tx, to, m.Key, a)
}

// placeAgain makes another placement of a message that the account has.
func placeAgain(tx store.Tx, to End, key mail.MessageKey, a mail.Arrival) (mail.UID, error) {
	places, err := tx.PlacementsOf(key)
	if err != nil {
		return 0, err
	}
	made, err := tx.Copy(places[0].Mailbox, mail.MakeUIDSet(places[0].UID), to.Mailbox)
	if err != nil {
		return 0, err
	}
	change := mail.FlagChange{Add: a.Flags, Replace: true, As: to.As}
	if _, err := tx.StoreFlags(to.Mailbox, made.To, change, nil); err != nil || a.Once == "" {
		return made.To[0].First, err
	}
	var id mail.PlacementID
	err = tx.Placements(store.PlacementQuery{Mailbox: to.Mailbox, UIDs: made.To}, func(p *mail.Placement) error { id = p.ID; return nil })
	if err == nil {
		err = tx.Remember(a.Once, id, time.Now().Add(a.OnceFor))
	}
	return made.To[0].First, err
}

// remove takes what was moved from where it was.
func (s *Service) remove(ctx context.Context, from End, uids mail.UIDSet) error {
	_, err := s.Store.Update(ctx, from.Account, from.By, func(tx store.Tx) error {
		_, err := from.may(tx)
		if err == nil {
			_, err = tx.Expunge(from.Mailbox, uids, false)
		}
		return err
	})
	return err
}

// move is an intent as it is kept.
type move struct {
	id       int64
	From, To end
	UIDs     mail.UIDSet
	Node     string `json:",omitempty"` // which began it
}

// end is an End as it is kept: who began had the rights.
type end struct {
	Account  mail.AccountID
	Mailbox  mail.MailboxID
	As       mail.PrincipalID `json:",omitempty"`
	Actor    string
	Device   mail.DeviceID `json:",omitempty"`
	Session  string        `json:",omitempty"`
	Protocol mail.Protocol
	Cause    mail.Cause
	Rights   mail.Rights // at the destination
}

func (e End) kept(rights mail.Rights) end {
	return end{e.Account, e.Mailbox, e.As, e.By.Actor(), e.By.Device(), e.By.Session(), e.By.Protocol(), e.By.Cause(), rights}
}

// end is the End again; an origin that can't be read is an error.
func (e end) end() (End, error) {
	if e.Actor == "" || e.Protocol == "" || e.Cause == "" {
		return End{}, mail.Errorf(mail.Corrupt, "an intent without an origin")
	}
	by := mail.NewOrigin(e.Actor, e.Device, e.Protocol, e.Cause).WithSession(e.Session)
	return End{e.Account, e.Mailbox, e.As, by, func(store.Reader) (mail.Rights, error) { return e.Rights, nil }}, nil
}

// key is by which copies of this move are known.
func (m move) key() string { return fmt.Sprintf("move:%d", m.id) }

// intend notes what is about to be moved.
func (s *Service) intend(ctx context.Context, from End, letters []letter, to End) (move, error) {
	var rights mail.Rights
	err := s.Store.View(ctx, to.Account, func(r store.Reader) (err error) {
		rights, err = to.may(r)
		return err
	})
	if err != nil {
		return move{}, err
	}
	m := move{From: from.kept(mail.AllRights), To: to.kept(rights), Node: s.Node}
	for _, l := range letters {
		m.UIDs.Add(l.uid)
	}
	state, err := json.Marshal(m)
	if err == nil {
		m.id, err = s.Intents.Intend(ctx, from.Account, state)
	}
	return m, err
}

// Resume finishes the moves that a crash cut: all that are noted, but those of the
// nodes that live. Who is alone calls it before anybody is served.
func (s *Service) Resume(ctx context.Context, living ...string) error {
	all, err := s.Intents.Intents(ctx)
	if err != nil {
		return err
	}
	for _, in := range all {
		if len(living) > 0 && slices.Contains(living, begunBy(in)) {
			continue
		}
		err := s.finish(ctx, in)
		if err != nil && !final(err) {
			return fmt.Errorf("move %d: %w", in.ID, err)
		}
		if err != nil && s.Log != nil {
			s.Log.WarnContext(ctx, "a move that was cut can't be finished: its messages stay where they are", "err", err)
		}
		if err := s.settle(ctx, in.ID); err != nil {
			return err
		}
	}
	return nil
}

// begunBy is the node that noted an intent; "" if it does not say.
func begunBy(in store.Intent) string {
	var m move
	_ = json.Unmarshal(in.State, &m) // what can't be read is nobody's
	return m.Node
}

func (s *Service) finish(ctx context.Context, in store.Intent) error {
	m := move{id: in.ID}
	if err := json.Unmarshal(in.State, &m); err != nil {
		return mail.Errorf(mail.Invalid, "intent %d can't be read: %v", in.ID, err)
	}
	from, err := m.From.end()
	if err != nil {
		return mail.Errorf(mail.Invalid, "intent %d: %v", in.ID, err)
	}
	to, err := m.To.end()
	if err != nil {
		return mail.Errorf(mail.Invalid, "intent %d: %v", in.ID, err)
	}
	letters, err := s.read(ctx, from, m.UIDs)
	if err != nil || len(letters) == 0 {
		return err
	}
	done, err := s.place(ctx, letters, to, m.key())
	if err != nil {
		return err
	}
	return s.remove(ctx, from, done.From)
}
