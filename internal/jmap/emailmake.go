package jmap

import (
	"context"
	"crypto/rand"
	"errors"
	"io"
	"maps"
	"slices"
	"strings"

	"lockstep/internal/mail"
	"lockstep/internal/message"
	"lockstep/internal/message/compose"
)

// makeAll writes the messages of all emails that are to be made, before the transaction
// that takes them in: what that costs is their bytes.
func (s *emailSetting) makeAll() error {
	room := &budget{left: uploadsInSet * s.srv.limits.Upload}
	for _, creation := range slices.Sorted(maps.Keys(s.news)) {
		e := s.news[creation]
		if e.wrong != nil {
			continue
		}
		how := s.make
		if e.source != "" {
			how = s.takeIn
		}
		err := how(e, room)
		switch kind := mail.KindOf(err); {
		case err == nil:
		case isSetError(err), kind != mail.Internal && kind != mail.Expired:
			e.wrong = s.srv.setErrorOf(s.ctx, s.name, err)
		default:
			return err
		}
	}
	return nil
}

// readAll reads what is to be made.
func (s *emailSetting) readAll() {
	s.news = map[string]*newEmail{}
	now := s.srv.now()
	for creation, raw := range s.asked.Create {
		e := parseNewEmail(raw)
		s.news[creation] = e
		if e.wrong != nil {
			continue
		}
		e.complete(rand.Text()+"@"+s.srv.Hostname, now, s.srv.author(s.call))
	}
}

// author is who writes, if nothing else is said.
func (s *Server) author(c *call) message.Address {
	local, domain, _ := strings.Cut(c.sess.Principal.Login, "@")
	return message.Address{Name: c.sess.Principal.Name, Mailbox: local, Host: domain}
}

// make writes a message and takes it in.
func (s *emailSetting) make(e *newEmail, room *budget) error {
	one := &budget{left: s.srv.limits.Upload}
	if err := s.findBlobs(e, one, room); err != nil {
		return err
	}
	arrival, err := s.srv.ingest(s.ctx, func(w io.Writer) error { return compose.WriteParts(w, e.header(), e.root) })
	switch {
	case errors.Is(err, errSpent) && one.left < 0:
		return &setError{Type: "tooLarge", Description: "what is attached to an email is too large", Extra: map[string]any{"maxSize": s.srv.limits.Upload}}
	case errors.Is(err, errSpent):
		return tooMuchInCall()
	case err != nil:
		return err
	}
	arrival.Flags, arrival.InternalDate = e.keywords, e.receivedAt
	if e.receivedAt.IsZero() {
		arrival.InternalDate = s.srv.now().UTC()
	}
	e.arrival = arrival
	return nil
}

// findBlobs looks whether the blobs that an email consists of are there. Each is opened
// again when it is written, and closed behind that.
func (s *emailSetting) findBlobs(e *newEmail, budgets ...*budget) error {
	var missing []string
	for i := range e.blobs {
		use := &e.blobs[i]
		if id, ok := s.idOf(use.id); ok {
			use.id = id
		}
		use.part.Open = func() (io.ReadCloser, error) {
			c, err := s.srv.openBlob(s.ctx, s.account, use.id)
			if err != nil {
				return nil, err
			}
			return &blobReader{Reader: c.Reader(), Closer: c, budgets: budgets}, nil
		}
		r, err := use.part.Open()
		switch {
		case err == nil:
			err = r.Close()
		case mail.KindOf(err) == mail.NotFound:
			missing, err = append(missing, use.id), nil
		}
		if err != nil {
			return err
		}
	}
	if missing == nil {
		return nil
	}
	slices.Sort(missing)
	return &setError{Type: "blobNotFound", Description: "some of its parts are blobs that are not there", Extra: map[string]any{"notFound": slices.Compact(missing)}}
}

func tooMuchInCall() *setError {
	return &setError{Type: "rateLimit", Description: "this is too much for one call; make some of the emails in another"}
}

// ingest takes a message in as it is written.
func (s *Server) ingest(ctx context.Context, write func(io.Writer) error) (mail.Arrival, error) {
	r, w := io.Pipe()
	done := make(chan struct{})
	go func() {
		defer close(done)
		w.CloseWithError(write(w))
	}()
	a, err := s.Delivery.Ingest(ctx, r)
	r.Close() // who still writes stops
	<-done
	return a, err
}

// A budget is how many bytes may still be read.
type budget struct{ left int64 }

var errSpent = errors.New("more bytes than there may be")

// blobReader reads a blob within budgets.
type blobReader struct {
	io.Reader
	io.Closer
	budgets []*budget
}

// Read implements io.Reader.
func (b *blobReader) Read(p []byte) (int, error) {
	n, err := b.Reader.Read(p)
	for _, of := range b.budgets {
		if of.left -= int64(n); of.left < 0 {
			return 0, errSpent
		}
	}
	return n, err
}

// createAll appends what was written.
func (t *emailChanging) createAll() error {
	placed := map[string]mail.Placement{}
	for _, creation := range slices.Sorted(maps.Keys(t.news)) {
		e := t.news[creation]
		p, err := t.create(creation, e)
		if wrong := t.wrong(err); wrong != nil {
			t.out.notCreated(creation, wrong)
			continue
		} else if err != nil {
			return err
		}
		placed[creation] = p
	}
	for creation, p := range placed {
		m, err := t.tx.Message(p.Message)
		if err != nil {
			return err
		}
		id := m.EmailID.String()
		if err := t.used(t.news[creation], m.EmailID); err != nil {
			return err
		}
		o := object{"id": id, "blobId": wholeBlobID(m.EmailID), "threadId": m.Thread.String(), "size": m.Size}
		if t.out.Created == nil {
			t.out.Created = map[string]object{}
		}
		t.out.Created[creation], t.made[creation] = o, id
	}
	return nil
}

// create appends one email to its mailboxes. A draft that grew from one which the same
// call destroys takes its place, and its line goes on: other programs see one draft.
func (t *emailChanging) create(creation string, e *newEmail) (mail.Placement, error) {
	if e.wrong != nil {
		return mail.Placement{}, e.wrong
	}
	in, wrong := t.parseMailboxIDs(e.mailboxIDs)
	if wrong != nil {
		return mail.Placement{}, wrong
	}
	if wrong, err := t.there(e); err != nil {
		return mail.Placement{}, err
	} else if wrong != nil {
		return mail.Placement{}, wrong
	}
	boxes := slices.Sorted(maps.Keys(in))
	a := e.arrival
	if old, ok := t.grewFrom[creation]; ok {
		i := slices.IndexFunc(old.visible, func(p mail.Placement) bool { return in[p.Mailbox] })
		if i >= 0 {
			a.Replaces = old.visible[i].UID
			boxes = append([]mail.MailboxID{old.visible[i].Mailbox}, slices.DeleteFunc(boxes, func(id mail.MailboxID) bool { return id == old.visible[i].Mailbox })...)
		}
	}
	p, err := t.tx.Append(boxes[0], a)
	if err != nil {
		return p, err
	}
	t.changed = true
	if old := t.grewFrom[creation]; a.Replaces != 0 {
		t.replaced[old.message.EmailID.String()] = old
		old.visible = slices.DeleteFunc(old.visible, func(p mail.Placement) bool { return p.Mailbox == boxes[0] && p.UID == a.Replaces })
	}
	for _, to := range boxes[1:] {
		_, err := t.tx.Copy(boxes[0], mail.MakeUIDSet(p.UID), to)
		if wrong := t.wrong(err); wrong != nil {
			e.wrong = wrong // it can't be made whole: all is taken back, and done without it
			return p, errPartly
		} else if err != nil {
			return p, err
		}
	}
	return p, nil
}

// there is why a message is not imported: it is one of the account, or was imported
// from the same upload before, by a call whose answer may have been lost.
func (t *emailChanging) there(e *newEmail) (*setError, error) {
	var all []mail.EmailID
	if email, ok := mail.ParseEmailID(strings.TrimPrefix(e.source, "B")); ok {
		all = append(all, email)
	} else if id, ok := mail.ParseUploadID(e.source); ok {
		u, err := t.tx.Upload(id)
		if err != nil && mail.KindOf(err) != mail.NotFound {
			return nil, err
		}
		all = u.Emails
	}
	for _, id := range all {
		m, err := t.tx.MessageByEmailID(id)
		if mail.KindOf(err) == mail.NotFound && err != nil {
			continue
		}
		if err != nil {
			return nil, err
		}
		if m.Blob.Name == e.arrival.Blob.Name {
			return &setError{Type: "alreadyExists", Description: "this message is there already", Extra: map[string]any{"existingId": id.String()}}, nil
		}
	}
	return nil, nil
}

// used notes of uploads what was made of them.
func (t *emailChanging) used(e *newEmail, made mail.EmailID) error {
	ids := map[string]bool{e.source: true}
	for _, use := range e.blobs {
		ids[use.id] = true
	}
	for id := range ids {
		name, ok := mail.ParseUploadID(id)
		if !ok {
			continue
		}
		if err := t.tx.UsedUpload(name, made); err != nil && mail.KindOf(err) != mail.NotFound {
			return err
		}
	}
	return nil
}

// pairDrafts finds which draft that is destroyed each draft that is made grew from: one
// with the same Message-ID, else the only one of both.
func (t *emailChanging) pairDrafts() error {
	t.grewFrom, t.replaced = map[string]*settingEmail{}, map[string]*settingEmail{}
	var made []string
	for _, creation := range slices.Sorted(maps.Keys(t.news)) {
		if t.news[creation].isDraft() {
			made = append(made, creation)
		}
	}
	if len(made) == 0 {
		return nil
	}
	gone, err := t.draftsGone()
	if err != nil {
		return err
	}
	pair := func(creation string, e *settingEmail) {
		t.grewFrom[creation] = e
		made = slices.DeleteFunc(made, func(m string) bool { return m == creation })
		gone = slices.DeleteFunc(gone, func(o *settingEmail) bool { return o == e })
	}
	for _, creation := range slices.Clone(made) {
		i := slices.IndexFunc(gone, func(e *settingEmail) bool {
			return e.message.MessageID != "" && e.message.MessageID == t.news[creation].arrival.MessageID
		})
		if i >= 0 {
			pair(creation, gone[i])
		}
	}
	if len(made) == 1 && len(gone) == 1 {
		pair(made[0], gone[0])
	}
	return nil
}

// draftsGone are the drafts that are to be destroyed.
func (t *emailChanging) draftsGone() (gone []*settingEmail, err error) {
	seen := map[mail.MessageKey]bool{}
	for _, said := range t.asked.Destroy {
		e, err := t.find(said)
		switch wrong := t.wrong(err); {
		case wrong != nil:
			continue
		case err != nil:
			return nil, err
		}
		if shownFlags(e.flags()).Has(mail.Draft) && !seen[e.message.Key] {
			seen[e.message.Key] = true
			gone = append(gone, e)
		}
	}
	return gone, nil
}

// isKept reports whether a draft stays because what was to take its place could not be
// made: nothing that anybody wrote is lost.
func (t *emailChanging) isKept(key mail.MessageKey) bool {
	for creation, e := range t.grewFrom {
		if e.message.Key == key {
			return t.out.NotCreated[creation] != nil
		}
	}
	return false
}
