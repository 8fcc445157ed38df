package jmap

import (
	"context"
	"encoding/json"
	"io"

	"lockstep/internal/mail"
	"lockstep/internal/message"
	"lockstep/internal/store"
)

// emailGetArguments are those of Email/get (RFC 8621 §4.2).
type emailGetArguments struct {
	getArguments
	bodyArguments
}

// emailGetAnswer is a getAnswer whose objects are written already.
type emailGetAnswer struct {
	AccountID string            `json:"accountId"`
	State     string            `json:"state"`
	List      []json.RawMessage `json:"list"`
	NotFound  []string          `json:"notFound"`
}

func answerTooLarge() error {
	return refused("requestTooLarge", "this is too much for one answer; ask for fewer emails, or for less of their bodies with maxBodyValueBytes")
}

// emailGet serves Email/get. Each email costs its row, and its placements where
// mailboxes or keywords are wanted; nothing of its blob but for header fields that no
// row has (the blob's first frame), sizes of encoded parts and the texts of bodies
// (what is read of them). It does not matter how much mail there is.
func emailGet(ctx context.Context, c *call, a *emailGetArguments) error {
	account, err := c.account(a.AccountID)
	if err != nil {
		return err
	}
	ids, all, err := c.wantedIDs(a.IDs)
	if err != nil {
		return err
	}
	w, err := parseEmailWish(a.Properties, gotByDefault, a.bodyArguments)
	if err != nil {
		return err
	}
	out := &emailGetAnswer{AccountID: a.AccountID}
	var emails []*email
	err = c.srv.Store.View(ctx, account, func(r store.Reader) error {
		acct, err := r.Account()
		if err != nil {
			return err
		}
		if all {
			every, err := everyEmail(r, c.srv.limits.ObjectsInGet)
			if err != nil {
				return err
			}
			ids = nil
			for _, e := range every {
				ids = append(ids, e.EmailID.String())
			}
		}
		out.State, out.NotFound = stateOf(acct, mail.TypeEmail), []string{}
		emails, err = w.readRows(r, ids, out)
		return err
	})
	if err != nil {
		return err
	}
	if out.List, err = c.writeEmails(ctx, w, emails); err != nil {
		return err
	}
	return c.answer(out)
}

// readRows reads what the account knows of the emails.
func (w *emailWish) readRows(r store.Reader, ids []string, out *emailGetAnswer) (emails []*email, err error) {
	room := maxAnswerBytes
	for _, id := range ids {
		key, ok := mail.ParseEmailID(id)
		if !ok {
			out.NotFound = append(out.NotFound, id)
			continue
		}
		m, err := r.MessageByEmailID(key)
		if mail.KindOf(err) == mail.NotFound && err != nil {
			out.NotFound = append(out.NotFound, id)
			continue
		}
		if err != nil {
			return nil, err
		}
		if room -= len(m.Parsed); room < 0 {
			return nil, answerTooLarge()
		}
		e := &email{stored: &m, blobID: wholeBlobID(key), partPrefix: partBlobMark + id + "-"}
		if w.any(emailPlacements) {
			if e.placements, err = r.PlacementsOf(m.Key); err != nil {
				return nil, err
			}
		}
		emails = append(emails, e)
	}
	return emails, nil
}

// everyEmail lists all emails of the account, newest first, if these are at most so many.
func everyEmail(r store.Reader, most int) ([]mail.Email, error) {
	all, err := r.EmailsByDate(store.EmailDateQuery{Limit: most + 1})
	if len(all) > most {
		return nil, refused("requestTooLarge", "there are too many to get all of them; ask for them by id")
	}
	return all, err
}

// writeEmails makes the objects, one after the other, while they fit into the answer.
func (c *call) writeEmails(ctx context.Context, w *emailWish, emails []*email) ([]json.RawMessage, error) {
	list := make([]json.RawMessage, 0, len(emails))
	room := maxAnswerBytes - c.bytes
	for _, e := range emails {
		b, err := c.writeEmail(ctx, w, e, room)
		if err != nil {
			return nil, err
		}
		if room -= int64(len(b)); room < 0 {
			return nil, answerTooLarge()
		}
		list = append(list, b)
	}
	return list, nil
}

func (c *call) writeEmail(ctx context.Context, w *emailWish, e *email, room int64) (json.RawMessage, error) {
	var err error
	if e.parsed, err = w.decode(e.stored); err != nil {
		return nil, err
	}
	var body Body
	e.open = func() (io.ReaderAt, error) {
		body, err = c.srv.Blobs(ctx, e.stored.Blob)
		return body, err
	}
	defer func() {
		if body != nil {
			body.Close()
		}
	}()
	o, err := w.object(e, room)
	if mail.KindOf(err) == mail.Corrupt && err != nil { // the others are not to suffer
		c.srv.logFault(ctx, c.name, mail.Corrupt, err)
		e.damaged = true
		o, err = w.object(e, room)
	}
	if err != nil {
		return nil, err
	}
	return encodeJSON(o)
}

// decode reads what the row of a message says of its bytes: for a list the envelope
// alone.
func (w *emailWish) decode(m *mail.Message) (*message.Message, error) {
	if w.readsHeader() || w.any(emailBodies) || w.plain["references"] {
		return message.Decode(m.Parsed)
	}
	envelope, err := message.DecodeEnvelope(m.Parsed)
	return &message.Message{Envelope: envelope, Size: m.Size, Preview: m.Preview, HasAttachment: message.DecodeHasAttachment(m.Parsed)}, err
}
