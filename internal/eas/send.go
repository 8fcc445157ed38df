package eas

import (
	"io"
	"strings"
	"time"

	"lockstep/internal/eas/wbxml"
	"lockstep/internal/mail"
	"lockstep/internal/message"
	"lockstep/internal/message/compose"
)

// sending is what SendMail, SmartReply and SmartForward ask for.
type sending struct {
	clientID string // "" to 12.1
	save     bool
	replace  bool // the message is whole: nothing of the source is added
	source   reference

	forwardees []message.Address
	body       *wbxml.Element
}

// sendMail sends a message (MS-ASCMD §2.2.1.17). It costs the message, whatever the
// account holds.
func (q *request) sendMail() (*answer, error) {
	ask, err := q.sending()
	if err != nil {
		return nil, err
	}
	msg, err := q.submitted()
	if err != nil {
		return nil, err
	}
	o := &outgoing{key: q.sendKey(ask, msg), msg: msg, save: ask.save}
	if again, err := q.isRepeat(o.key); again || err != nil {
		return &answer{}, err
	}
	return &answer{}, q.send(o)
}

// smartReply sends a message with what it answers to behind it (MS-ASCMD §2.2.1.20).
func (q *request) smartReply() (*answer, error) { return q.smart(verbReplied) }

// smartForward sends a message with another one in it (MS-ASCMD §2.2.1.19).
func (q *request) smartForward() (*answer, error) { return q.smart(verbForwarded) }

func (q *request) smart(v verb) (*answer, error) {
	ask, err := q.sending()
	if err != nil {
		return nil, err
	}
	if ask.forwardees != nil || ask.body != nil {
		return &answer{}, q.forwardTo(ask)
	}
	msg, err := q.submitted()
	if err != nil {
		return nil, err
	}
	o := &outgoing{key: q.sendKey(ask, msg), save: ask.save, msg: msg}
	if again, err := q.isRepeat(o.key); again || err != nil {
		return &answer{}, err
	}
	src, err := q.open(ask.source)
	if err != nil {
		return nil, err
	}
	defer src.close()
	if v == verbReplied && repliesToAll(msg.Message, src.Message) {
		v = verbRepliedAll
	}
	o.answers(src, v)
	if ask.replace {
		return &answer{}, q.send(o)
	}
	whole, err := q.compose(msg, src, v)
	if err != nil {
		return nil, err
	}
	defer whole.close()
	o.msg = whole.Source
	return &answer{}, q.send(o)
}

// forwardTo forwards to people the device only names: the server writes the message
// (MS-ASCMD §2.2.3.79). The specification has it of meetings; it does no harm for
// other mail.
func (q *request) forwardTo(ask sending) error {
	switch {
	case q.mime != nil || ask.save || ask.replace:
		return fail(statusForwardMIME, "Forwardees and Body do not go with a message of the device's own")
	case len(ask.forwardees) == 0:
		return fail(statusForwardBody, "a Body without Forwardees")
	}
	o := &outgoing{key: q.key(ask.clientID, "forward", compose.AddressList(ask.forwardees)), save: true}
	if again, err := q.isRepeat(o.key); again || err != nil {
		return err
	}
	src, err := q.open(ask.source)
	if err != nil {
		return err
	}
	defer src.close()
	d := &compose.Draft{To: ask.forwardees, Subject: forwardSubject(src.Message), Date: time.Now(), Forwards: &src.Source}
	if text := strings.NewReader(ask.body.Get(wbxml.BaseData)); ask.body.Get(wbxml.BaseType) == "2" {
		d.HTML = text
	} else {
		d.Text = text
	}
	whole, err := q.spooled(d.Write)
	if err != nil {
		return err
	}
	defer whole.close()
	o.msg = whole.Source
	o.answers(src, verbForwarded)
	return q.send(o)
}

func forwardSubject(m *message.Message) string {
	return "Fwd: " + message.DecodeWords(m.Envelope.Subject)
}

// sending reads what is asked for, in either form.
func (q *request) sending() (sending, error) {
	if q.in == nil {
		if q.mime == nil {
			return sending{}, fail(statusMIME, "no message")
		}
		ref := reference{folder: q.collectionID, item: q.itemID, longID: q.longID}
		return sending{save: q.saveInSent, source: ref}, nil
	}
	if account := q.in.Get(wbxml.ComposeAccountId); account != "" && q.version >= v141 {
		return sending{}, fail(statusAccountID, "there is one account, and it has no id")
	}
	if id := q.in.Get(wbxml.RightsTemplateID); strings.Trim(id, "0-{}") != "" {
		return sending{}, fail(statusNoRights, "rights management is not served: the message would go unprotected")
	}
	src := q.in.Child(wbxml.ComposeSource)
	ask := sending{
		clientID: q.in.Get(wbxml.ComposeClientId), save: q.in.Has(wbxml.ComposeSaveInSentItems), replace: q.in.Has(wbxml.ComposeReplaceMime),
		source: reference{folder: src.Get(wbxml.ComposeFolderId), item: src.Get(wbxml.ComposeItemId), longID: src.Get(wbxml.ComposeLongId)},
	}
	if at := src.Get(wbxml.ComposeInstanceId); at != "" {
		if _, err := parseTime(at); err != nil {
			return sending{}, err
		}
	}
	if q.cmd.root != wbxml.ComposeSmartForward || q.version < v160 {
		return ask, nil
	}
	ask.body = q.in.Child(wbxml.BaseBody)
	return ask, ask.readForwardees(q.in.Child(wbxml.ComposeForwardees))
}

func (ask *sending) readForwardees(all *wbxml.Element) error {
	if all == nil {
		return nil
	}
	ask.forwardees = []message.Address{}
	for f := range all.All(wbxml.ComposeForwardee) {
		list, bad := compose.ParseRecipients(f.Get(wbxml.ComposeEmail))
		if len(list) != 1 || len(bad) > 0 {
			return fail(statusRecipient, "a forwardee has no address")
		}
		list[0].Name = f.Get(wbxml.ComposeName)
		ask.forwardees = append(ask.forwardees, list[0])
	}
	return nil
}

// parseTime reads a time in either of the forms devices use.
func parseTime(s string) (time.Time, error) {
	for _, form := range []string{"2006-01-02T15:04:05.000Z", "2006-01-02T15:04:05Z", "20060102T150405Z"} {
		if t, err := time.Parse(form, s); err == nil {
			return t, nil
		}
	}
	return time.Time{}, fail(statusDateTime, "%q is no time", s)
}

// submitted is the message the device sends.
func (q *request) submitted() (compose.Source, error) {
	switch {
	case q.mime == nil && !q.in.Has(wbxml.ComposeMime):
		return compose.Source{}, fail(statusXML, "no Mime")
	case q.mime == nil:
		return compose.Source{}, fail(statusMIME, "no message")
	case q.mime.size > q.srv.limits.Message:
		return compose.Source{}, fail(statusAttachment, "larger than this server sends")
	}
	m, err := message.Parse(q.mime.reader())
	if err != nil {
		return compose.Source{}, err
	}
	h, err := message.ReadHeader(q.mime, m.Root)
	if err != nil {
		return compose.Source{}, err
	}
	for range h.Fields() {
		return compose.Source{Bytes: q.mime, Message: m}, nil
	}
	return compose.Source{}, fail(statusMIME, "the message has no header")
}

// repliesToAll reports whether a reply goes to others than who wrote the original.
func repliesToAll(written, original *message.Message) bool {
	authors := map[string]bool{}
	for _, list := range [][]message.Address{original.Envelope.From, original.Envelope.ReplyTo} {
		for _, a := range list {
			authors[strings.ToLower(a.String())] = true
		}
	}
	for _, list := range [][]message.Address{written.Envelope.To, written.Envelope.Cc} {
		for _, a := range list {
			if a.Host != "" && !authors[strings.ToLower(a.String())] {
				return true
			}
		}
	}
	return false
}

// compose puts a new message and its source together.
func (q *request) compose(msg compose.Source, src *item, v verb) (*spooled, error) {
	write := compose.Reply
	if v == verbForwarded {
		write = compose.Forward
	}
	whole, err := q.spooled(func(w io.Writer) error { return write(w, msg, src.Source) })
	if err != nil && v != verbForwarded && mail.KindOf(err) == mail.Corrupt {
		return nil, &fault{status: statusReply, detail: "what is replied to can't be read", err: err}
	}
	return whole, err
}
