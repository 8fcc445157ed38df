package jmap

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"lockstep/internal/mail"
	"lockstep/internal/message"
)

// importArguments are those of Email/import (RFC 8621 §4.8).
type importArguments struct {
	AccountID string                     `json:"accountId"`
	IfInState *string                    `json:"ifInState"`
	Emails    map[string]json.RawMessage `json:"emails"`
}

// importAnswer is what Email/import and Email/copy answer.
type importAnswer struct {
	AccountID  string               `json:"accountId"`
	OldState   string               `json:"oldState"`
	NewState   string               `json:"newState"`
	Created    map[string]object    `json:"created"`
	NotCreated map[string]*setError `json:"notCreated"`
}

// emailImport is Email/import: blobs that are messages become emails, in one
// transaction. What it costs is their bytes.
func emailImport(ctx context.Context, c *call, a *importArguments) error {
	account, err := c.account(a.AccountID)
	if err != nil {
		return err
	}
	if a.Emails == nil {
		return invalidArguments("emails is what is imported", "emails")
	}
	asked := &setArguments{AccountID: a.AccountID, IfInState: a.IfInState, Create: a.Emails}
	if err := c.bounded(asked); err != nil {
		return err
	}
	s := &emailSetting{call: c, ctx: ctx, account: account, asked: asked, refused: map[string]*setError{}, news: map[string]*newEmail{}}
	for creation, raw := range a.Emails {
		s.news[creation] = parseImport(raw)
	}
	if err := s.makeAndCommit(); err != nil {
		return err
	}
	out := s.done.out
	return c.answer(&importAnswer{a.AccountID, out.OldState, out.NewState, out.Created, out.NotCreated})
}

// parseImport reads an EmailImport. What is wrong with it is in it.
func parseImport(raw json.RawMessage) *newEmail {
	r := &emailReader{email: new(newEmail)}
	var all map[string]json.RawMessage
	if err := json.Unmarshal(raw, &all); err != nil || all == nil {
		r.email.wrong = invalidProperties("an email to be imported is an object")
		return r.email
	}
	maps.DeleteFunc(all, func(_ string, v json.RawMessage) bool { return isNull(v) })
	r.metadata(all)
	for _, property := range slices.Sorted(maps.Keys(all)) {
		if !slices.Contains([]string{"blobId", "mailboxIds", "keywords", "receivedAt"}, property) {
			r.bad(property, "there is no such property")
		}
	}
	if json.Unmarshal(all["blobId"], &r.email.source) != nil || r.email.source == "" {
		r.bad("blobId", "it is the id of the message's bytes")
	}
	if len(r.wrong) > 0 {
		r.email.wrong = invalidProperties(strings.Join(r.details, "; "), r.wrong...)
	}
	return r.email
}

// takeIn makes an arrival of a blob that is a message.
func (s *emailSetting) takeIn(e *newEmail, room *budget) error {
	if id, ok := s.idOf(e.source); ok {
		e.source = id
	}
	c, err := s.srv.openBlob(s.ctx, s.account, e.source)
	if mail.KindOf(err) == mail.NotFound && err != nil {
		return invalidProperties("there is no such blob", "blobId")
	}
	if err != nil {
		return err
	}
	defer c.Close()
	arrival, err := s.srv.Delivery.Ingest(s.ctx, &blobReader{Reader: c.Reader(), Closer: c, budgets: []*budget{room}})
	if errors.Is(err, errSpent) {
		return tooMuchInCall()
	}
	if err != nil {
		return err
	}
	parsed, err := message.Decode(arrival.Parsed)
	if err != nil {
		return err
	}
	header, err := message.ReadHeader(&fromStart{r: c.Reader()}, parsed.Root)
	if err != nil {
		return err
	}
	if !isMessage(header) {
		return &setError{Type: "invalidEmail", Description: "the blob is no message: it does not begin with header fields"}
	}
	e.arrival = arrival
	e.arrival.Flags, e.arrival.InternalDate = e.keywords, e.receivedAt
	if e.receivedAt.IsZero() {
		e.arrival.InternalDate = receivedDate(header)
	}
	return nil
}

// isMessage reports whether a header has a field that a message of a person or a
// program has.
func isMessage(h message.Header) bool {
	for f := range h.Fields() {
		if f.Offset == 0 || slices.ContainsFunc(fieldOrder, func(name string) bool { return strings.EqualFold(name, f.Name) }) {
			return true
		}
	}
	return false
}

// receivedDate is when the newest Received field says that the message came; zero if
// none does (RFC 5321 §4.4).
func receivedDate(h message.Header) (at time.Time) {
	for f := range h.Fields() {
		if strings.EqualFold(f.Name, "Received") {
			_, date, _ := cutLast(f.Value(), ";")
			at, _ = message.ParseDate(date)
			return at.UTC()
		}
	}
	return at
}

func cutLast(s, sep string) (before, after string, found bool) {
	i := strings.LastIndex(s, sep)
	if i < 0 {
		return s, "", false
	}
	return s[:i], s[i+len(sep):], true
}

// fromStart reads the beginning of what comes in a row.
type fromStart struct{ r io.Reader }

// ReadAt implements io.ReaderAt, once and from the beginning.
func (o *fromStart) ReadAt(p []byte, off int64) (int, error) {
	if off != 0 {
		return 0, errors.New("bytes are read in their order")
	}
	return io.ReadFull(o.r, p)
}

// copyArguments are those of Email/copy (§5.4, RFC 8621 §4.7).
type copyArguments struct {
	FromAccountID            string                     `json:"fromAccountId"`
	IfFromInState            *string                    `json:"ifFromInState"`
	AccountID                string                     `json:"accountId"`
	IfInState                *string                    `json:"ifInState"`
	Create                   map[string]json.RawMessage `json:"create"`
	OnSuccessDestroyOriginal bool                       `json:"onSuccessDestroyOriginal"`
	DestroyFromIfInState     *string                    `json:"destroyFromIfInState"`
}

// emailCopy is Email/copy: from one account to another. JMAP shows nobody more than
// their own, so there is no other to copy from or to; inside an account an email is
// put into more mailboxes by Email/set.
func emailCopy(_ context.Context, c *call, a *copyArguments) error {
	if len(a.Create) > c.srv.limits.ObjectsInSet {
		return refused("requestTooLarge", "too many objects in one call")
	}
	return c.between(a.FromAccountID, a.AccountID)
}

// between is why nothing can be copied from an account to another.
func (c *call) between(from, to string) error {
	if from == to {
		return invalidArguments("it copies from one account to another", "fromAccountId")
	}
	if _, err := c.account(to); err != nil {
		return err
	}
	return refused("fromAccountNotFound", "there is no such account")
}

// blobCopyArguments are those of Blob/copy (§6.3).
type blobCopyArguments struct {
	FromAccountID string   `json:"fromAccountId"`
	AccountID     string   `json:"accountId"`
	BlobIDs       []string `json:"blobIds"`
}

// blobCopy is Blob/copy; see emailCopy.
func blobCopy(_ context.Context, c *call, a *blobCopyArguments) error {
	if len(a.BlobIDs) > c.srv.limits.ObjectsInSet {
		return refused("requestTooLarge", "too many blobs in one call")
	}
	return c.between(a.FromAccountID, a.AccountID)
}
