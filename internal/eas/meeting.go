package eas

import (
	"errors"
	"strconv"
	"strings"
	"time"

	"lockstep/internal/eas/wbxml"
	"lockstep/internal/mail"
	"lockstep/internal/message"
	"lockstep/internal/message/compose"
	"lockstep/internal/pim/itip"
	"lockstep/internal/store"
)

// Statuses of MeetingResponse (MS-ASCMD §2.2.3.177.9).
const (
	meetingOK      status = 1
	meetingInvalid status = 2 // the request, or the invitation
	meetingFailed  status = 4
)

// maxMeetings is how many invitations one command answers.
const maxMeetings = 100

// responses are what UserResponse says (MS-ASCMD §2.2.3.195), and how that is called
// in a subject.
var responses = map[string]struct {
	status itip.Status
	word   string
}{"1": {itip.Accepted, "Accepted"}, "2": {itip.Tentative, "Tentative"}, "3": {itip.Declined, "Declined"}}

// meetingResponse answers invitations that came by mail (MS-ASCMD §2.2.1.11): the mail
// goes to Trash, and from 16.0 on the answer to the organizer; older devices send it
// themselves. There is no calendar yet, so that no CalendarId is returned.
func (q *request) meetingResponse() (*answer, error) {
	root := wbxml.New(wbxml.MeetingMeetingResponse)
	for r := range q.in.All(wbxml.MeetingRequest) {
		result := wbxml.New(wbxml.MeetingResult)
		if id := r.Get(wbxml.MeetingRequestId); id != "" && len(id) <= maxIDBytes {
			result.Add(wbxml.Text(wbxml.MeetingRequestId, id))
		}
		s := meetingInvalid
		if len(root.Children) < maxMeetings {
			s = q.meetingStatus(q.respond(r))
		}
		root.Add(result.Add(wbxml.Int(wbxml.MeetingStatus, s)))
	}
	if len(root.Children) == 0 {
		root.Add(wbxml.New(wbxml.MeetingResult, wbxml.Int(wbxml.MeetingStatus, meetingInvalid)))
	}
	return &answer{root: root}, nil
}

// meetingStatus is what came of one answer.
func (q *request) meetingStatus(err error) status {
	var f *fault
	switch {
	case err == nil:
		return meetingOK
	case errors.As(err, &f) && (f.status == statusDateTime || f.status == statusNoRecurrence || f.status == statusSendQuota):
		return f.status
	case errors.As(err, &f) && f.status == statusIDCombination:
		return meetingInvalid
	}
	switch mail.KindOf(err) {
	case mail.NotFound, mail.Invalid:
		return meetingInvalid
	}
	q.srv.Log.WarnContext(q.ctx, "meeting response", "proto", "activesync", "account", q.sess.Principal.Login, "err", err)
	return meetingFailed
}

// respond answers one invitation.
func (q *request) respond(r *wbxml.Element) error {
	response, ok := responses[r.Get(wbxml.MeetingUserResponse)]
	if !ok {
		return mail.Errorf(mail.Invalid, "no such response")
	}
	a := itip.Answer{Status: response.status, At: time.Now()}
	send := r.Child(wbxml.MeetingSendResponse)
	if q.version < v160 {
		send = nil
	}
	if err := q.readTimes(r, send, &a); err != nil {
		return err
	}
	ref := reference{folder: r.Get(wbxml.MeetingCollectionId), item: r.Get(wbxml.MeetingRequestId), longID: r.Get(wbxml.SearchLongId)}
	key := q.key("meeting", ref.item, ref.longID, response.word, a.Instance.String(), a.Start.String(), strconv.FormatBool(send != nil))
	if again, err := q.done(key); again || err != nil {
		return err
	}
	src, err := q.open(ref)
	if err != nil {
		return err
	}
	defer src.close()
	inv, err := invitation(src.Source)
	if err != nil {
		return err
	}
	if !a.Instance.IsZero() && !inv.IsRecurring() {
		return fail(statusNoRecurrence, "the meeting does not recur")
	}
	toTrash := func(tx store.Tx) error { return discard(tx, src.placement) }
	if send == nil {
		_, err := q.update(func(tx store.Tx) error {
			if err := toTrash(tx); err != nil {
				return err
			}
			return tx.Remember(key, 0, time.Now().Add(rememberSends))
		})
		return err
	}
	return q.sendAnswer(inv, a, response.word, send.Child(wbxml.BaseBody), &outgoing{key: key, save: true, also: toTrash})
}

// readTimes reads which time of a series is meant, and what other time is proposed.
func (q *request) readTimes(r, send *wbxml.Element, a *itip.Answer) (err error) {
	read := func(e *wbxml.Element, tag wbxml.Tag, to *time.Time) {
		if s := e.Get(tag); s != "" && err == nil {
			*to, err = parseTime(s)
		}
	}
	if q.version >= v141 {
		read(r, wbxml.MeetingInstanceId, &a.Instance)
	}
	if q.version >= v161 {
		read(send, wbxml.MeetingProposedStartTime, &a.Start)
		read(send, wbxml.MeetingProposedEndTime, &a.End)
	}
	if err == nil && (a.Start.IsZero() != a.End.IsZero() || a.End.Before(a.Start)) {
		err = mail.Errorf(mail.Invalid, "a proposed time has a start, and an end behind it")
	}
	return err
}

// sendAnswer sends the answer to the organizer, in the name the invitation was sent to.
func (q *request) sendAnswer(inv *itip.Invitation, a itip.Answer, word string, body *wbxml.Element, o *outgoing) error {
	to, _ := compose.ParseRecipients(inv.Organizer())
	if len(to) != 1 {
		return mail.Errorf(mail.Invalid, "the organizer has no address")
	}
	from, err := q.invited(inv)
	if err != nil {
		return err
	}
	a.Attendee, _ = compose.Mailbox(from)
	if a.IsProposal() {
		word = "New Time Proposed"
	}
	d := &compose.Draft{From: []message.Address{from}, To: to, Subject: word + ": " + inv.Summary(), Date: a.At,
		Calendar: &compose.Calendar{Method: a.Method(), Body: strings.NewReader(inv.Answer(a))}}
	switch text := strings.NewReader(body.Get(wbxml.BaseData)); body.Get(wbxml.BaseType) {
	case "2":
		d.HTML = text
	default:
		d.Text = text
	}
	whole, err := q.spooled(d.Write)
	if err != nil {
		return err
	}
	defer whole.close()
	o.msg = whole.Source
	return q.send(o)
}

// invited is the address of the account that the invitation names, else its login.
func (q *request) invited(inv *itip.Invitation) (message.Address, error) {
	for _, attendee := range inv.Attendees() {
		list, _ := compose.ParseRecipients(attendee)
		own, err := q.isOwn(list)
		if err != nil {
			return message.Address{}, err
		}
		if own {
			list[0].Name = q.sess.Principal.Name
			return list[0], nil
		}
	}
	local, domain, _ := strings.Cut(q.sess.Principal.Login, "@")
	return message.Address{Name: q.sess.Principal.Name, Mailbox: local, Host: domain}, nil
}

// invitation reads the invitation in a message.
func invitation(src compose.Source) (*itip.Invitation, error) {
	var part *message.Part
	src.Message.Root.Walk(func(p *message.Part) bool {
		if p.Is("text", "calendar") && part == nil {
			part = p
		}
		return part == nil && p.Message == nil
	})
	if part == nil {
		return nil, mail.Errorf(mail.Invalid, "this is no invitation")
	}
	return itip.Read(message.PartUTF8(src.Bytes, part))
}

// discard moves a message to Trash. It may have gone, or be there.
func discard(tx store.Tx, p mail.Placement) error {
	trash, err := mailboxOfRole(tx, mail.RoleTrash, "Trash")
	if err != nil || p.Mailbox == trash {
		return err
	}
	_, err = tx.Move(p.Mailbox, mail.MakeUIDSet(p.UID), trash)
	return ignoreGone(err)
}
