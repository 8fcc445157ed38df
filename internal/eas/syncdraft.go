package eas

import (
	"io"
	"slices"
	"strings"

	"lockstep/internal/eas/wbxml"
	"lockstep/internal/mail"
	"lockstep/internal/message"
	"lockstep/internal/message/compose"
	"lockstep/internal/message/render"
	"lockstep/internal/store"
)

// draft is what a device wrote of a message that is not sent yet (MS-ASEMAIL §2.2.1.2,
// from 16.0 on).
type draft struct {
	arrival mail.Arrival
	edits   mail.UID // the version it was made from; 0 is none
	sent    bool     // it is on its way, and so no draft any more
	files   []string // the ClientIds of what it attaches
}

// takesDrafts reports whether the device writes drafts here.
func (x *exchange) takesDrafts() bool {
	return x.version >= v160 && x.mailbox.Role == mail.RoleDrafts
}

// isMark reports whether an element is one that a device may change of any message.
func isMark(e *wbxml.Element) bool {
	return e.Tag == wbxml.EmailRead || e.Tag == wbxml.EmailFlag || e.Tag == wbxml.EmailCategories
}

// writes reports whether data has something that only a draft's is.
func writes(data *wbxml.Element) bool {
	return slices.ContainsFunc(data.Children, func(e *wbxml.Element) bool { return e.Tag.Known() && !isMark(e) })
}

// marks is what of the data is no content.
func marks(data *wbxml.Element) *wbxml.Element {
	rest := wbxml.New(data.Tag)
	for _, e := range data.Children {
		if isMark(e) {
			rest.Add(e)
		}
	}
	return rest
}

// draft makes the message of a deed, and sends it if that is asked for. What a device
// did wrong is the deed's status.
func (x *exchange) draft(d *deed) error {
	var old *item
	var err error
	if d.verb == verbChange {
		if old, err = x.open(reference{item: d.serverID}); err != nil {
			return x.draftFailed(d, err)
		}
		defer old.close()
	}
	msg, err := x.written(d, old)
	if err != nil {
		return x.draftFailed(d, err)
	}
	defer msg.close()
	d.draft = &draft{sent: d.data.Has(wbxml.Email2Send)}
	if old != nil {
		d.draft.edits = old.placement.UID
	}
	for a := range d.data.Child(wbxml.BaseAttachments).All(wbxml.BaseAdd) {
		d.draft.files = append(d.draft.files, a.Get(wbxml.BaseClientId))
	}
	if d.draft.sent {
		var at mail.Placement
		if old != nil {
			at = old.placement
		}
		key := strings.Join([]string{x.c.id, x.c.key, d.clientID, d.serverID}, "\x00")
		return x.draftFailed(d, x.sendDraft(key, msg.Source, at))
	}
	if d.draft.arrival, err = x.srv.Delivery.Ingest(x.ctx, msg.file.reader()); err != nil {
		return x.draftFailed(d, err)
	}
	was := mail.Flags{System: mail.Seen}
	if old != nil {
		was = old.placement.Flags
	}
	change, notes, ok := parseMailChange(marks(d.data), was)
	if !ok {
		d.status = syncConversion
		return nil
	}
	d.draft.arrival.Flags = change.Apply(was)
	d.draft.arrival.Flags.System |= mail.Draft
	d.draft.arrival.Annotations = slices.DeleteFunc(notes, func(a mail.Annotation) bool { return a.Value == nil })
	return nil
}

// draftFailed makes what the device did wrong the deed's status; other errors stay.
func (x *exchange) draftFailed(d *deed, err error) error {
	if err == nil {
		return nil
	}
	switch f := faultOf(err); {
	case f.status == statusNotFound && d.verb == verbChange:
		d.status = syncNotFound
	case f.status == statusQuota:
		d.status = syncFull
	case f.status != 0 && f.status != statusRetryLater && f.status != statusServer:
		d.status = int(f.status)
	default:
		return err
	}
	return nil
}

// written writes the message that the data says, over an earlier version if there is
// one: what the data does not name stays as it was.
func (x *exchange) written(d *deed, old *item) (*spooled, error) {
	body := d.data.Child(wbxml.BaseBody)
	if body.Get(wbxml.BaseType) == "4" {
		return x.spooled(func(w io.Writer) error { _, err := io.WriteString(w, body.Get(wbxml.BaseData)); return err })
	}
	m := &compose.Draft{Date: x.now}
	if old != nil {
		keepFields(m, old.Message)
	}
	if err := x.setFields(m, d); err != nil {
		return nil, err
	}
	var doc *render.Document
	if old != nil {
		doc = render.New(old.Message.Root, old.Bytes)
	}
	text := newSpool(x.srv.SpoolDir, x.srv.limits.Answer)
	defer text.Close()
	if err := setBody(m, body, doc, text); err != nil {
		return nil, err
	}
	if err := setFiles(m, d.data.Child(wbxml.BaseAttachments), doc); err != nil {
		return nil, err
	}
	return x.spooled(m.Write)
}

func keepFields(m *compose.Draft, old *message.Message) {
	e := &old.Envelope
	m.From, m.ReplyTo, m.To, m.Cc, m.Bcc = e.From, e.ReplyTo, e.To, e.Cc, e.Bcc
	m.Subject, m.MessageID, m.References, m.DraftID = message.DecodeWords(e.Subject), old.ID, old.References, old.DraftID
}

// setFields sets those header fields that the data names.
func (x *exchange) setFields(m *compose.Draft, d *deed) error {
	for tag, list := range map[wbxml.Tag]*[]message.Address{wbxml.EmailTo: &m.To, wbxml.EmailCc: &m.Cc, wbxml.Email2Bcc: &m.Bcc, wbxml.EmailReplyTo: &m.ReplyTo, wbxml.EmailFrom: &m.From} {
		e := d.data.Child(tag)
		if e == nil {
			continue
		}
		found, bad := compose.ParseRecipients(e.Text)
		if len(bad) > 0 && d.data.Has(wbxml.Email2Send) && tag != wbxml.EmailFrom {
			return fail(statusRecipients, "%q is no recipient", bad[0])
		}
		*list = found
	}
	if e := d.data.Child(wbxml.EmailSubject); e != nil {
		m.Subject = e.Text
	}
	switch d.data.Get(wbxml.EmailImportance) {
	case "0":
		m.Importance = compose.LowImportance
	case "2":
		m.Importance = compose.HighImportance
	}
	if len(m.From) == 0 {
		local, domain, _ := strings.Cut(x.sess.Principal.Login, "@")
		m.From = []message.Address{{Name: x.sess.Principal.Name, Mailbox: local, Host: domain}}
	}
	return nil
}

// setBody takes the body of the data, else that of the version before.
func setBody(m *compose.Draft, body *wbxml.Element, doc *render.Document, text *spool) error {
	form := render.Text
	switch {
	case body != nil:
		if body.Get(wbxml.BaseType) == "2" {
			form = render.HTML
		}
		if _, err := io.WriteString(text, body.Get(wbxml.BaseData)); err != nil {
			return err
		}
	case doc == nil:
		return nil
	default:
		native, err := doc.Native()
		if err == nil {
			form = native
			_, err = doc.WriteTo(text, form)
		}
		if err != nil {
			return err
		}
	}
	if form == render.HTML {
		m.HTML = text.reader()
	} else {
		m.Text = text.reader()
	}
	return nil
}

// setFiles takes what was attached before, but for what the data deletes, and what it
// adds.
func setFiles(m *compose.Draft, list *wbxml.Element, doc *render.Document) error {
	var deleted []string
	for e := range list.All(wbxml.BaseDelete) {
		_, path, ok := parseFileReference(e.Get(wbxml.BaseFileReference))
		if !ok {
			return fail(statusNotFound, "no such attachment")
		}
		deleted = append(deleted, path)
	}
	if doc != nil {
		files, err := doc.Attachments()
		if err != nil {
			return err
		}
		for _, f := range files {
			if slices.Contains(deleted, f.Path) {
				continue
			}
			_, r, err := doc.Open(f.Path)
			if err != nil {
				return err
			}
			m.Attachments = append(m.Attachments, compose.Attachment{Name: f.Name, Type: f.Type, ContentID: f.ContentID, Inline: f.Inline, Body: r})
		}
	}
	for e := range list.All(wbxml.BaseAdd) {
		inline, _ := boolean(e.Get(wbxml.BaseIsInline))
		m.Attachments = append(m.Attachments, compose.Attachment{Name: e.Get(wbxml.BaseDisplayName), Type: e.Get(wbxml.BaseContentType),
			ContentID: strings.Trim(e.Get(wbxml.BaseContentId), "<>"), Inline: inline, Body: strings.NewReader(e.Get(wbxml.BaseContent))})
	}
	return nil
}

// addDraft files a draft that the device made. One that was sent is none any more: the
// device takes its copy away and finds the message in Sent.
func (a *acting) addDraft(d *deed) (result, error) {
	done := result{Verb: verbAdd, ClientID: d.clientID, Status: d.status}
	if d.status != syncOK || d.draft.sent {
		return done, nil
	}
	p, err := a.tx.Append(a.mailbox.ID, d.draft.arrival)
	if done.Status = itemStatus(syncOK, err); done.Status != syncOK {
		if done.Status == 0 {
			return done, err
		}
		return done, nil
	}
	a.own.Add(p.UID)
	done.ServerID, done.Files = itemID(a.mailbox.ID, p.Lineage), d.draft.files
	return done, nil
}

// changeDraft makes what the device wrote the newest version of a draft. If somebody
// else wrote meanwhile, one of the two stays beside it as a draft of its own: nothing
// anybody wrote is lost (MS-ASCMD §2.2.3.36).
func (a *acting) changeDraft(d *deed) (int, error) {
	if d.draft.sent {
		return syncOK, nil // it left the mailbox when it was sent, and the log says so
	}
	item := mail.Shown(a.versions[d.line])
	if item == nil {
		return syncNotFound, nil
	}
	arrival, status := d.draft.arrival, syncOK
	if item.UID != d.draft.edits || !a.base.View.told(item) && !a.base.View.isOwn(item.UID, item.Created) && !a.own.Contains(item.UID) {
		if a.rel.syncOptions().Get(wbxml.AirSyncConflict) != "0" {
			_, err := a.tx.Append(a.mailbox.ID, arrival)
			return syncConflict, err
		}
		if _, err := a.tx.Copy(a.mailbox.ID, mail.MakeUIDSet(item.UID), a.mailbox.ID); err != nil {
			return 0, err
		}
	}
	untold := a.isUntold(item)                                           // that another marked it, say: the device is told of the new version as a whole
	if change, _, ok := parseMailChange(marks(d.data), item.Flags); ok { // as it is marked by now, also by a command before
		arrival.Flags = change.Apply(item.Flags)
		arrival.Flags.System |= mail.Draft
	}
	arrival.Replaces = item.UID
	p, err := a.tx.Append(a.mailbox.ID, arrival)
	if err != nil {
		return 0, err
	}
	if !untold {
		a.own.Add(item.UID)
	}
	if !untold && len(d.draft.files) == 0 { // else the device is told, as it has to learn what its attachments are called
		a.own.Add(p.UID)
	}
	versions, err := a.tx.Versions(store.VersionQuery{Mailbox: a.mailbox.ID, Lines: []mail.Lineage{d.line}})
	a.versions[d.line] = versions
	return status, err
}

// attached is what the device is told of the attachments of a draft that it made: how
// each that it named is called from now on.
func (x *exchange) attached(r result) (*wbxml.Element, error) {
	_, line, ok := parseItemID(r.ServerID)
	if len(r.Files) == 0 || !ok {
		return nil, nil
	}
	it, err := x.itemOf(line)
	if err != nil || it == nil {
		return nil, err
	}
	parsed, err := it.structure()
	if err != nil {
		return nil, err
	}
	list := wbxml.New(wbxml.BaseAttachments)
	for i, f := range render.List(parsed.Root) {
		if i < len(r.Files) {
			list.Add(wbxml.New(wbxml.BaseAttachment, wbxml.Text(wbxml.BaseClientId, r.Files[i]), wbxml.Text(wbxml.BaseFileReference, fileReference(it.message.EmailID, f.Path))))
		}
	}
	return wbxml.New(wbxml.AirSyncApplicationData, list), nil
}
