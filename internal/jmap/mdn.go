package jmap

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"lockstep/internal/delivery"
	"lockstep/internal/mail"
	"lockstep/internal/message"
	"lockstep/internal/message/compose"
	"lockstep/internal/store"
)

// mdnURN is the capability of receipts that say what became of a message after it
// arrived (RFC 9007).
const mdnURN = "urn:ietf:params:jmap:mdn"

// mdnSent is the keyword of messages of which a receipt went out (RFC 3503).
const mdnSent = "$MDNSent"

// Bounds on receipts.
const (
	maxMDNs          = 32 // sent or parsed in one call
	maxMDNText       = 64 << 10
	maxMDNFieldBytes = 900
	maxMDNFields     = 20        // of the client's own
	maxMDNOriginal   = 1 << 20   // of the message that is sent back whole
	maxMDNReport     = 256 << 10 // of the part that is parsed
)

// mdn is an MDN (RFC 9007 §1.5).
type mdn struct {
	ForEmailID             *string           `json:"forEmailId"`
	Subject                *string           `json:"subject"`
	TextBody               *string           `json:"textBody"`
	IncludeOriginalMessage bool              `json:"includeOriginalMessage"`
	ReportingUA            *string           `json:"reportingUA"`
	Disposition            *mdnDisposition   `json:"disposition"`
	MDNGateway             *string           `json:"mdnGateway"`
	OriginalRecipient      *string           `json:"originalRecipient"`
	FinalRecipient         *string           `json:"finalRecipient"`
	OriginalMessageID      *string           `json:"originalMessageId"`
	Error                  []string          `json:"error"`
	ExtensionFields        map[string]string `json:"extensionFields"`
}

// mdnDisposition is what became of the message, and who decided that (RFC 8098 §3.2.6).
type mdnDisposition struct {
	ActionMode  string `json:"actionMode"`
	SendingMode string `json:"sendingMode"`
	Type        string `json:"type"`
}

var (
	mdnActions = []string{"manual-action", "automatic-action"}
	mdnModes   = []string{"mdn-sent-manually", "mdn-sent-automatically"}
	mdnTypes   = []string{"deleted", "dispatched", "displayed", "processed"}
)

// mdnSendArguments are those of MDN/send (RFC 9007 §2.1).
type mdnSendArguments struct {
	AccountID            string                 `json:"accountId"`
	IdentityID           string                 `json:"identityId"`
	Send                 map[string]*mdn        `json:"send"`
	OnSuccessUpdateEmail map[string]patchObject `json:"onSuccessUpdateEmail"`
}

// mdnSend serves MDN/send. A receipt goes out once for a message, whoever asks: that it
// did is marked on the message before.
func mdnSend(ctx context.Context, c *call, a *mdnSendArguments) error {
	account, err := c.account(a.AccountID)
	if err != nil {
		return err
	}
	if len(a.Send) > maxMDNs {
		return refused("requestTooLarge", fmt.Sprintf("at most %d receipts go out in one call", maxMDNs))
	}
	is, err := c.identity(ctx, account, a.IdentityID)
	if err != nil {
		return err
	}
	sent, notSent := map[string]object{}, map[string]*setError{}
	emails := setArguments{AccountID: a.AccountID, Update: map[string]patchObject{}}
	for _, creation := range sortedKeys(a.Send) {
		if a.Send[creation] == nil {
			notSent[creation] = invalidProperties("it is no receipt")
			continue
		}
		if !setsMDNSent(a.OnSuccessUpdateEmail["#"+creation]) {
			notSent[creation] = invalidProperties("onSuccessUpdateEmail has to set $mdnsent on the email", "onSuccessUpdateEmail")
			continue
		}
		m := &receipt{call: c, ctx: ctx, account: account, from: is, mdn: a.Send[creation]}
		if err := m.send(); err != nil {
			notSent[creation] = c.srv.setErrorOf(ctx, c.name, err)
			continue
		}
		sent[creation] = object{"finalRecipient": m.FinalRecipient, "originalMessageId": m.OriginalMessageID, "originalRecipient": m.OriginalRecipient, "subject": m.Subject}
		emails.Update[m.msg.EmailID.String()] = a.OnSuccessUpdateEmail["#"+creation]
	}
	if err := c.answer(object{"accountId": a.AccountID, "sent": sent, "notSent": notSent}); err != nil {
		return err
	}
	c.implied(ctx, &emails)
	return nil
}

// setsMDNSent reports whether a client marks the email itself, without which it must
// not send a receipt (RFC 9007 §2.1).
func setsMDNSent(p patchObject) bool {
	var whole map[string]bool
	if raw, ok := p["keywords"]; ok && json.Unmarshal(raw, &whole) != nil {
		return false
	}
	for name, raw := range p {
		if path, ok := strings.CutPrefix(name, "keywords/"); ok && strings.EqualFold(path, mdnSent) && string(raw) == "true" {
			return true
		}
	}
	return whole[strings.ToLower(mdnSent)]
}

// identity finds one; not there, the call fails.
func (c *call) identity(ctx context.Context, account mail.AccountID, said string) (is identity, err error) {
	st, err := c.srv.standing(ctx, c.sess.Principal.ID, account)
	if err != nil {
		return is, err
	}
	id, _ := c.idOf(said)
	err = c.srv.Store.View(ctx, account, func(r store.Reader) error {
		list, err := st.identities(r)
		if err != nil {
			return err
		}
		i := slices.IndexFunc(list, func(is identity) bool { return is.ID == id })
		if i < 0 {
			return invalidArguments("there is no such identity", "identityId")
		}
		is = list[i]
		return nil
	})
	if strings.HasPrefix(is.Email, "*@") { // it stands for all of a domain
		is.Email = c.sess.Principal.Login
	}
	return is, err
}

// receipt is one on its way.
type receipt struct {
	*call
	*mdn
	ctx     context.Context
	account mail.AccountID
	from    identity
	msg     mail.Message
	parsed  *message.Message
	to      []message.Address
}

func noMDNFor() error {
	return &setError{Type: "notFound", Description: "there is no such email, or it wants no receipt"}
}

func (m *receipt) send() error {
	if wrong := m.check(); wrong != nil {
		return wrong
	}
	if err := m.find(); err != nil {
		return err
	}
	env := &delivery.Envelope{Once: fmt.Sprintf("mdn.%d.%s", m.account, m.msg.EmailID), OnceFor: rememberSent}
	env.Hop = delivery.Hop{Helo: "jmap", Addr: m.sess.Addr, With: "HTTP", ID: rand.Text()[:12], Arrived: m.srv.now(), Protocol: mail.JMAP}
	for _, a := range m.to {
		address, ok := compose.Mailbox(a)
		if !ok {
			return noMDNFor()
		}
		r, err := m.srv.Delivery.AnyRecipient(m.ctx, address, 0)
		if err != nil && mail.KindOf(err) != mail.OverQuota {
			return submitError(err)
		}
		if err != nil {
			r = delivery.Recipient{Address: address}
		}
		env.Recipients, env.UTF8 = append(env.Recipients, r), env.UTF8 || !mail.IsASCII(address)
	}
	if err := m.srv.countSent(m.ctx, m.sess.Account(), len(env.Recipients)); err != nil {
		return err
	}
	body, err := m.srv.Blobs(m.ctx, m.msg.Blob)
	if err != nil {
		return err
	}
	defer body.Close()
	text, err := m.compose(body)
	if err != nil {
		return err
	}
	if err := m.mark(true); err != nil {
		return err
	}
	if err := m.srv.Delivery.Submit(m.ctx, m.account, env, strings.NewReader(text)); err != nil {
		return errors.Join(submitError(err), m.mark(false))
	}
	return nil
}

// check is what is wrong with what the client gave.
func (m *receipt) check() *setError {
	d := m.Disposition
	switch {
	case m.ForEmailID == nil:
		return invalidProperties("it says which email it is for", "forEmailId")
	case d == nil || !slices.Contains(mdnActions, d.ActionMode) || !slices.Contains(mdnModes, d.SendingMode) || !slices.Contains(mdnTypes, d.Type):
		return invalidProperties("it says what became of the email", "disposition")
	case m.OriginalRecipient != nil || m.OriginalMessageID != nil || m.MDNGateway != nil || len(m.Error) > 0:
		return invalidProperties("the server sets them", "originalRecipient", "originalMessageId", "mdnGateway", "error")
	case len(value(m.TextBody)) > maxMDNText:
		return invalidProperties("it is too long", "textBody")
	case len(m.ExtensionFields) > maxMDNFields:
		return invalidProperties("these are too many", "extensionFields")
	}
	for name, v := range m.ExtensionFields {
		if !compose.IsFieldName(name) || !isMDNValue(v) {
			return invalidProperties("it is no field", "extensionFields/"+name)
		}
	}
	for name, v := range map[string]*string{"reportingUA": m.ReportingUA, "finalRecipient": m.FinalRecipient, "subject": m.Subject} {
		if v != nil && !isMDNValue(*v) {
			return invalidProperties("it is one short line", name)
		}
	}
	return nil
}

func isMDNValue(s string) bool {
	return len(s) <= maxMDNFieldBytes && !strings.ContainsAny(s, "\r\n\x00")
}

// find reads the email, and who wants a receipt (RFC 8098 §2.1).
func (m *receipt) find() error {
	said, _ := m.idOf(*m.ForEmailID)
	id, ok := mail.ParseEmailID(said)
	if !ok {
		return noMDNFor()
	}
	err := m.srv.Store.View(m.ctx, m.account, func(r store.Reader) (err error) {
		m.msg, err = r.MessageByEmailID(id)
		return err
	})
	if err != nil && mail.KindOf(err) == mail.NotFound {
		return noMDNFor()
	}
	if err != nil {
		return err
	}
	if m.parsed, err = message.Decode(m.msg.Parsed); err != nil {
		return err
	}
	body, err := m.srv.Blobs(m.ctx, m.msg.Blob)
	if err != nil {
		return err
	}
	defer body.Close()
	h, err := message.ReadHeader(body, m.parsed.Root)
	if err != nil {
		return err
	}
	if f, ok := h.Get("Disposition-Notification-To"); ok {
		m.to = message.ParseAddresses(f)
	}
	if f, ok := h.Get("Original-Recipient"); ok {
		v := message.Unstructured(f)
		m.OriginalRecipient = &v
	}
	if len(m.to) == 0 || len(m.to) > maxIdentityPeople {
		return noMDNFor()
	}
	return nil
}

// mark notes on the email that a receipt goes out, or takes that back. One on which
// it is noted already gets no other.
func (m *receipt) mark(sent bool) error {
	flag, err := mail.NewFlags(mdnSent)
	if err != nil {
		return err
	}
	_, err = m.srv.Store.Update(context.WithoutCancel(m.ctx), m.account, m.sess.Origin(), func(tx store.Tx) error {
		all, err := tx.PlacementsOf(m.msg.Key)
		if err != nil {
			return err
		}
		change := mail.FlagChange{Remove: flag}
		if sent {
			change = mail.FlagChange{Add: flag}
		}
		for _, p := range all {
			if sent && p.Flags.Minus(flag).String() != p.Flags.String() {
				return &setError{Type: "mdnAlreadySent", Description: "a receipt went out before"}
			}
			if _, err := tx.StoreFlags(p.Mailbox, mail.MakeUIDSet(p.UID), change, nil); err != nil {
				return err
			}
		}
		return nil
	})
	return err
}

// mdnParseArguments are those of MDN/parse (RFC 9007 §2.2).
type mdnParseArguments struct {
	AccountID string   `json:"accountId"`
	BlobIDs   []string `json:"blobIds"`
}

// mdnParse serves MDN/parse. It reads the messages, and keeps nothing.
func mdnParse(ctx context.Context, c *call, a *mdnParseArguments) error {
	account, err := c.account(a.AccountID)
	if err != nil {
		return err
	}
	if len(a.BlobIDs) > maxMDNs {
		return refused("requestTooLarge", fmt.Sprintf("at most %d blobs are parsed in one call", maxMDNs))
	}
	ids, _, err := c.wantedIDs(&a.BlobIDs)
	if err != nil {
		return err
	}
	var notParsable, notFound []string // null if there are none
	parsed := map[string]*mdn{}
	for _, id := range ids {
		m, err := c.srv.parseMDN(ctx, account, id)
		switch {
		case err != nil && mail.KindOf(err) == mail.NotFound:
			notFound = append(notFound, id)
		case err != nil && mail.KindOf(err) == mail.Invalid:
			notParsable = append(notParsable, id)
		case err != nil:
			return err
		default:
			parsed[id] = m
		}
	}
	return c.answer(object{"accountId": a.AccountID, "parsed": parsed, "notParsable": notParsable, "notFound": notFound})
}

// parseMDN takes a receipt apart; Invalid if it is none. For which email it is, only
// its Message-ID says.
func (s *Server) parseMDN(ctx context.Context, account mail.AccountID, id string) (*mdn, error) {
	blob, err := s.openBlob(ctx, account, id)
	if err != nil {
		return nil, err
	}
	defer blob.Close()
	if err := s.hold(blob); err != nil {
		return nil, err
	}
	whole, err := message.Parse(blob.Reader())
	if err != nil {
		return nil, err
	}
	return readMDN(blob.at, whole)
}

func readMDN(at io.ReaderAt, whole *message.Message) (*mdn, error) {
	var report, text *message.Part
	original := false
	whole.Root.Walk(func(p *message.Part) bool {
		switch {
		case report == nil && p.Is("message", "disposition-notification"):
			report = p
		case text == nil && p.Is("text", "plain"):
			text = p
		case p.Is("message", "rfc822") || p.Is("message", "global") || p.Is("text", "rfc822-headers"):
			original = original || p != whole.Root
			return p == whole.Root
		}
		return true
	})
	if report == nil {
		return nil, mail.Errorf(mail.Invalid, "it is no receipt")
	}
	fields, err := io.ReadAll(io.LimitReader(message.DecodeBody(report.Body(at), report.Encoding), maxMDNReport))
	if err != nil {
		return nil, err
	}
	m := &mdn{IncludeOriginalMessage: original}
	if subject := message.DecodeWords(whole.Envelope.Subject); subject != "" {
		m.Subject = &subject
	}
	if text != nil {
		body, err := io.ReadAll(io.LimitReader(message.DecodeBody(text.Body(at), text.Encoding), maxMDNText))
		if err != nil {
			return nil, err
		}
		said := strings.ToValidUTF8(string(body), "\uFFFD")
		m.TextBody = &said
	}
	m.read(message.Header(fields))
	if m.FinalRecipient == nil || m.Disposition == nil {
		return nil, mail.Errorf(mail.Invalid, "the receipt does not say what became of the message")
	}
	return m, nil
}

// read reads the fields of a receipt (RFC 8098 §3.1).
func (m *mdn) read(h message.Header) {
	for f := range h.Fields() {
		v := message.Unstructured(f.Value())
		switch strings.ToLower(f.Name) {
		case "reporting-ua":
			m.ReportingUA = &v
		case "mdn-gateway":
			m.MDNGateway = &v
		case "original-recipient":
			m.OriginalRecipient = &v
		case "final-recipient":
			m.FinalRecipient = &v
		case "original-message-id":
			m.OriginalMessageID = &v
		case "disposition":
			m.Disposition = parseDisposition(v)
		case "error":
			m.Error = append(m.Error, v)
		default:
			if m.ExtensionFields == nil {
				m.ExtensionFields = map[string]string{}
			}
			if len(m.ExtensionFields) < maxMDNFields {
				m.ExtensionFields[f.Name] = v
			}
		}
	}
}

// parseDisposition reads one; nil is that it is none.
func parseDisposition(v string) *mdnDisposition {
	modes, kind, ok := strings.Cut(strings.ToLower(v), ";")
	action, sending, both := strings.Cut(modes, "/")
	kind, _, _ = strings.Cut(kind, "/") // modifiers
	d := &mdnDisposition{strings.TrimSpace(action), strings.TrimSpace(sending), strings.TrimSpace(kind)}
	if !ok || !both || !slices.Contains(mdnActions, d.ActionMode) || !slices.Contains(mdnModes, d.SendingMode) || !slices.Contains(mdnTypes, d.Type) {
		return nil
	}
	return d
}
