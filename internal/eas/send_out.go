package eas

import (
	"bytes"
	"crypto/rand"
	"crypto/tls"
	"encoding/hex"
	"errors"
	"io"
	"strings"
	"time"

	"lockstep/internal/auth"
	"lockstep/internal/delivery"
	"lockstep/internal/mail"
	"lockstep/internal/message"
	"lockstep/internal/message/compose"
	"lockstep/internal/store"
)

// outgoing is a message on its way out.
type outgoing struct {
	key  string // names the act among all: see key
	msg  compose.Source
	edit compose.Edit // what it refers to
	save bool         // a copy goes to Sent
	also func(store.Tx) error

	// badRecipients is the status for recipients that are none; statusRecipient if 0.
	badRecipients status
}

// send sends a message once, whatever happens: what was handed to delivery under the
// key makes no second copy, and that it was, its copy in Sent and what else belongs
// to the act are one transaction behind that. A device that asks again is answered
// as if it had gone well.
func (q *request) send(o *outgoing) error {
	if again, err := q.done(o.key); again || err != nil {
		return err
	}
	env, err := q.envelope(o)
	if err != nil {
		return err
	}
	if err := q.srv.Delivery.CountSent(q.ctx, q.account(), len(env.Recipients)); err != nil {
		return submitError(err)
	}
	final, err := q.final(o, env)
	if err != nil {
		return err
	}
	defer final.Close()
	copied, err := q.sentCopy(o, final)
	if err != nil {
		return err
	}
	if err := q.srv.Delivery.Submit(q.ctx, q.account(), env, final.reader()); err != nil {
		return submitError(err)
	}
	return q.file(o, copied, final)
}

// envelope finds out who sends to whom, and what the header has to say of it.
func (q *request) envelope(o *outgoing) (*delivery.Envelope, error) {
	header := &o.msg.Message.Envelope
	if err := q.author(o, header); err != nil {
		return nil, err
	}
	env := &delivery.Envelope{Hop: q.hop(), Once: o.key, OnceFor: rememberSends}
	from := o.edit.From
	if from == nil {
		from = header.From
	}
	env.ReversePath, _ = compose.Mailbox(from[0])
	env.UTF8 = !mail.IsASCII(env.ReversePath)
	return env, q.recipients(o, env)
}

// author sees to it that who is named as the author is the account: another address
// of its own may stay.
func (q *request) author(o *outgoing, header *message.Envelope) error {
	own, err := q.isOwn(header.From)
	if err != nil {
		return err
	}
	if !own {
		name := q.sess.Principal.Name
		if len(header.From) > 0 && header.From[0].Name != "" {
			name = header.From[0].Name
		}
		local, domain, _ := strings.Cut(q.sess.Principal.Login, "@")
		o.edit.From = []message.Address{{Name: name, Mailbox: local, Host: domain}}
		return nil
	}
	if own, err = q.isOwn(header.Sender); !own {
		o.edit.Remove = append(o.edit.Remove, "Sender")
	}
	return err
}

// isOwn reports whether all the addresses, of which there are some, are the account's.
func (q *request) isOwn(list []message.Address) (bool, error) {
	for _, a := range list {
		address, ok := compose.Mailbox(a)
		if !ok {
			return false, nil
		}
		if own, err := q.srv.Delivery.MaySendAs(q.ctx, q.account(), address); !own || err != nil {
			return false, err
		}
	}
	return len(list) > 0, nil
}

// recipients are those of the header. Somebody of ours who is not there is no reason
// to hold the message back: it goes to the others, and the sender is told by mail.
func (q *request) recipients(o *outgoing, env *delivery.Envelope) error {
	bad := o.badRecipients
	if bad == 0 {
		bad = statusRecipient
	}
	h := &o.msg.Message.Envelope
	seen := map[string]bool{}
	for _, list := range [][]message.Address{h.To, h.Cc, h.Bcc} {
		for _, a := range list {
			if a.IsGroupStart() || a.IsGroupEnd() {
				continue
			}
			address, ok := compose.Mailbox(a)
			if !ok {
				return fail(bad, "%q is no recipient", a.DisplayName())
			}
			if seen[address] {
				continue
			}
			seen[address] = true
			if len(seen) > q.srv.limits.Recipients {
				return fail(statusSendQuota, "a message goes to %d recipients at most", q.srv.limits.Recipients)
			}
			if err := q.recipient(env, address, bad); err != nil {
				return err
			}
		}
	}
	if len(env.Recipients) == 0 {
		return fail(max(statusNoRecipient, o.badRecipients), "no recipient")
	}
	return nil
}

func (q *request) recipient(env *delivery.Envelope, address string, bad status) error {
	r, err := q.srv.Delivery.AnyRecipient(q.ctx, address, 0)
	if err != nil {
		switch mail.KindOf(err) {
		case mail.NotFound, mail.OverQuota:
			if q.srv.Delivery.Wake == nil { // nobody would tell the sender
				return fail(bad, "%s: %s", address, mail.DetailOf(err))
			}
			r = delivery.Recipient{Address: address} // the queue finds out, and reports
		case mail.Invalid:
			return fail(bad, "%s is no address", address)
		case mail.Denied:
			return &fault{status: statusSubmission, detail: mail.DetailOf(err), err: err}
		default:
			return err
		}
	}
	env.Recipients = append(env.Recipients, r)
	env.UTF8 = env.UTF8 || !mail.IsASCII(address)
	return nil
}

// hop is how the message came to us.
func (q *request) hop() delivery.Hop {
	h := delivery.Hop{Helo: q.deviceType, Addr: auth.AddrOf(q.http), With: "HTTP", ID: rand.Text()[:12], Arrived: time.Now(), Protocol: mail.EAS}
	if t := q.http.TLS; t != nil {
		h.TLS = tls.VersionName(t.Version) + " " + tls.CipherSuiteName(t.CipherSuite)
	}
	return h
}

// final writes the message as its recipients get it.
func (q *request) final(o *outgoing, env *delivery.Envelope) (*spool, error) {
	o.edit.Remove = append(o.edit.Remove, "Bcc", "Resent-Bcc", "Return-Path")
	o.edit.Date = env.Hop.Arrived
	o.edit.MessageID = o.key + "@" + q.srv.Hostname
	out := newSpool(q.srv.SpoolDir, q.srv.limits.Answer)
	high := &highBytes{w: out}
	if err := o.edit.Write(high, o.msg); err != nil {
		out.Close()
		if mail.KindOf(err) == mail.Invalid {
			err = &fault{status: statusMIME, detail: mail.DetailOf(err), err: err}
		}
		return nil, err
	}
	env.EightBit = high.seen
	return out, nil
}

// highBytes notes whether there are bytes beyond ASCII.
type highBytes struct {
	w    io.Writer
	seen bool
}

func (h *highBytes) Write(p []byte) (int, error) {
	for i := 0; i < len(p) && !h.seen; i++ {
		h.seen = p[i] >= 0x80
	}
	return h.w.Write(p)
}

// sentCopy makes the copy for Sent durable, with the blind copies named, and looks
// whether there is room for it before anything is sent. Nil is no copy.
func (q *request) sentCopy(o *outgoing, final *spool) (*mail.Arrival, error) {
	if !o.save {
		return nil, nil
	}
	err := q.view(func(r store.Reader) error {
		a, err := r.Account()
		if err == nil && a.Quota > 0 && a.Used+final.size > a.Quota {
			err = mail.Errorf(mail.OverQuota, "the account is full")
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	return q.ingestSent(o, final)
}

func (q *request) ingestSent(o *outgoing, final *spool) (*mail.Arrival, error) {
	bcc := compose.AddressField("Bcc", o.msg.Message.Envelope.Bcc)
	a, err := q.srv.Delivery.Ingest(q.ctx, io.MultiReader(bytes.NewReader(bcc), final.reader()))
	a.Flags.System = mail.Seen
	return &a, err
}

// submitError is what a message that delivery did not take means. Whose mailbox is
// full is not the device's.
func submitError(err error) error {
	if errors.Is(err, delivery.ErrSentMuch) {
		return &fault{status: statusSendQuota, detail: mail.DetailOf(err), err: err}
	}
	switch mail.KindOf(err) {
	case mail.Denied, mail.Invalid, mail.NotFound, mail.OverQuota:
		return &fault{status: statusSubmission, detail: mail.DetailOf(err), err: err}
	}
	return err
}

// file notes that the message went out, with all that belongs to it.
func (q *request) file(o *outgoing, a *mail.Arrival, final *spool) error {
	_, err := q.update(func(tx store.Tx) error { return q.fileIn(tx, o, a) })
	switch {
	case err == nil || a == nil:
	case mail.KindOf(err) == mail.Expired:
		if a, err = q.ingestSent(o, final); err == nil {
			_, err = q.update(func(tx store.Tx) error { return q.fileIn(tx, o, a) })
		}
	case mail.KindOf(err) == mail.OverQuota: // filled up meanwhile: the message is out, and must not go again
		q.srv.Log.WarnContext(q.ctx, "no room for the copy of a sent message", "proto", "activesync", "account", q.sess.Principal.Login)
		_, err = q.update(func(tx store.Tx) error { return q.fileIn(tx, o, nil) })
	}
	return err
}

func (q *request) fileIn(tx store.Tx, o *outgoing, a *mail.Arrival) error {
	if _, err := tx.Remembered(o.key); mail.KindOf(err) != mail.NotFound {
		return err // nil: another request of the device was quicker
	}
	var copied mail.Placement
	if a != nil {
		sent, err := sentMailbox(tx)
		if err != nil {
			return err
		}
		if copied, err = tx.Append(sent, *a); err != nil {
			return err
		}
	}
	if o.also != nil {
		if err := o.also(tx); err != nil {
			return err
		}
	}
	return tx.Remember(o.key, copied.ID, time.Now().Add(rememberSends))
}

// sentMailbox is where copies go. One is made if there is none.
func sentMailbox(tx store.Tx) (mail.MailboxID, error) {
	return mailboxOfRole(tx, mail.RoleSent, "Sent")
}

func mailboxOfRole(tx store.Tx, role mail.Role, name string) (mail.MailboxID, error) {
	all, err := tx.Mailboxes()
	if err != nil {
		return 0, err
	}
	taken := map[string]bool{}
	for _, mb := range all {
		if mb.Role == role {
			return mb.ID, nil
		}
		taken[strings.ToLower(mb.Path)] = true
	}
	for taken[strings.ToLower(name)] {
		name += " (" + string(role) + ")"
	}
	mb, err := tx.CreateMailbox(mail.MailboxImage{Name: name, Role: role})
	return mb.ID, err
}

// answers has the message refer to its source, which is marked when it is sent.
func (o *outgoing) answers(src *item, v verb) {
	m := src.Message
	if m.ID != "" {
		o.edit.References = append(append([]string{}, m.Ancestry()...), m.ID)
		if v != verbForwarded {
			o.edit.InReplyTo = []string{m.ID}
		}
	}
	p := src.placement
	o.also = func(tx store.Tx) error { return mark(tx, p, v, time.Now()) }
}

// mark notes on a message that it was replied to or forwarded. It may have gone.
func mark(tx store.Tx, p mail.Placement, v verb, at time.Time) error {
	flags := mail.Flags{System: mail.Answered}
	if v == verbForwarded {
		flags, _ = mail.NewFlags("$Forwarded")
	}
	uids := mail.MakeUIDSet(p.UID)
	if _, err := tx.StoreFlags(p.Mailbox, uids, mail.FlagChange{Add: flags}, nil); err != nil {
		return ignoreGone(err)
	}
	_, err := tx.Annotate(p.Mailbox, uids, []mail.Annotation{lastVerb{v, at.UTC()}.note()}, nil)
	return ignoreGone(err)
}

// ignoreGone leaves out errors that must not keep a message that went out from being
// noted as such: what it answers is gone, or has no room for a note.
func ignoreGone(err error) error {
	switch mail.KindOf(err) {
	case mail.NotFound, mail.Limit:
		return nil
	}
	return err
}

// sendDraft sends a draft that the device has sent by Sync (MS-ASEMAIL Send): it is
// filed in Sent and leaves the mailbox it was in. The key says which act it is, such
// as the collection and the ClientId, and is the same when the device asks again.
// Draft is where the draft lies; the zero one is nowhere. Status 183 is for
// recipients that are none.
func (q *request) sendDraft(key string, msg compose.Source, draft mail.Placement) error {
	o := &outgoing{key: q.key(key, "draft"), msg: msg, save: true, badRecipients: statusRecipients}
	o.edit.Remove = []string{"X-Universally-Unique-Identifier"}
	if draft.ID != 0 {
		o.also = func(tx store.Tx) error {
			_, err := tx.Expunge(draft.Mailbox, mail.MakeUIDSet(draft.UID), false)
			return ignoreGone(err)
		}
	}
	return q.send(o)
}

// hexOf is the short text of a hash.
func hexOf(sum []byte) string { return hex.EncodeToString(sum[:16]) }
