package jmap

import (
	"context"
	"slices"
	"time"

	"lockstep/internal/auth"
	"lockstep/internal/delivery"
	"lockstep/internal/mail"
	"lockstep/internal/store"
)

// methodsOfSending are those of who mail is from, of what went out, of what is
// answered, and of pushes.
func methodsOfSending() map[string]method {
	return map[string]method{
		"Identity/get":     {submissionURN, with(identityGet)},
		"Identity/changes": {submissionURN, with(identityChanges)},
		"Identity/set":     {submissionURN, with(identitySet)},

		"EmailSubmission/get":          {submissionURN, with(submissionGet)},
		"EmailSubmission/changes":      {submissionURN, with(submissionChanges)},
		"EmailSubmission/query":        {submissionURN, with(submissionQuery)},
		"EmailSubmission/queryChanges": {submissionURN, with(submissionQueryChanges)},
		"EmailSubmission/set":          {submissionURN, with(submissionSet)},

		"MDN/send":  {mdnURN, with(mdnSend)},
		"MDN/parse": {mdnURN, with(mdnParse)},

		"PushSubscription/get": {core, with(subscriptionGet)},
		"PushSubscription/set": {core, with(subscriptionSet)},

		"VacationResponse/get": {vacationURN, with(vacationGet)},
		"VacationResponse/set": {vacationURN, with(vacationSet)},
	}
}

// Bounds on submissions.
const (
	maxDelayedSend  = 30 * 24 * time.Hour // ahead
	maxHeldMail     = 200                 // submissions of an account that wait for their time
	maxSubmissions  = 500                 // kept of an account; the oldest that are done go first
	keepSubmissions = 30 * 24 * time.Hour
	repeatWindow    = time.Hour      // in which the same submission is one that was repeated
	rememberSent    = 48 * time.Hour // by delivery, after a recipient was served
	maxReplyBytes   = 160            // of what a server said, that is kept
)

// submissionCapability is what is said of sending on an account (RFC 8621 §1.3.2).
func (s *Server) submissionCapability(*auth.Session) any {
	return map[string]any{
		"maxDelayedSend":       int64(maxDelayedSend / time.Second),
		"submissionExtensions": map[string][]string{"FUTURERELEASE": {}, "DSN": {}, "8BITMIME": {}, "SMTPUTF8": {}, "SIZE": {}},
	}
}

var submissionProperties = []string{"id", "identityId", "emailId", "threadId", "envelope", "sendAt", "undoStatus", "deliveryStatus", "dsnBlobIds", "mdnBlobIds"}

// The values of undoStatus (RFC 8621 §7).
const (
	undoPending  = "pending"
	undoFinal    = "final"
	undoCanceled = "canceled"
)

// A submission is what is kept of an email that was sent (RFC 8621 §7).
type submission struct {
	Identity string            `json:"identity"`
	Email    string            `json:"email"`
	Thread   string            `json:"thread"`
	Envelope envelopeObject    `json:"envelope"`
	SendAt   time.Time         `json:"sendAt"`
	Made     time.Time         `json:"made"`
	Held     bool              `json:"held,omitempty"`
	Canceled bool              `json:"canceled,omitempty"`
	Delivery string            `json:"delivery"` // what the queue calls it
	Key      string            `json:"key"`      // what a repetition has too
	Status   map[string]status `json:"status"`   // by recipient

	object mail.ObjectID
}

// envelopeObject is an Envelope (RFC 8621 §7).
type envelopeObject struct {
	MailFrom envelopeAddress   `json:"mailFrom"`
	RcptTo   []envelopeAddress `json:"rcptTo"`
}

type envelopeAddress struct {
	Email      string             `json:"email"`
	Parameters map[string]*string `json:"parameters"`
}

// status is a DeliveryStatus (RFC 8621 §7).
type status struct {
	Reply     string `json:"smtpReply"`
	Delivered string `json:"delivered"`
	Displayed string `json:"displayed"`
}

func statusOf(reply, delivered string) status {
	return status{reply[:min(len(reply), maxReplyBytes)], delivered, "unknown"}
}

// delivered is how far a fate is in JMAP's words.
var delivered = map[delivery.Fate]string{delivery.Waiting: "queued", delivery.Arrived: "yes", delivery.Relayed: "unknown", delivery.GivenUp: "no"}

// undoStatus is whether it can be taken back at a moment.
func (s *submission) undoStatus(now time.Time) string {
	switch {
	case s.Canceled:
		return undoCanceled
	case s.Held && now.Before(s.SendAt):
		return undoPending
	}
	return undoFinal
}

func submissionID(id mail.ObjectID) string { return numbered('S', int64(id)) }

func parseSubmissionID(s string) (mail.ObjectID, bool) {
	n, ok := parseNumbered('S', s)
	return mail.ObjectID(n), ok
}

func (s *submission) toObject(now time.Time) object {
	return object{
		"id": submissionID(s.object), "identityId": s.Identity, "emailId": s.Email, "threadId": s.Thread, "envelope": s.Envelope, "sendAt": utcDate(s.SendAt),
		"undoStatus": s.undoStatus(now), "deliveryStatus": s.Status, "dsnBlobIds": []string{}, "mdnBlobIds": []string{},
	}
}

// submissions are all that are kept, in the order in which they were made.
func submissions(r store.Reader) (all []*submission, err error) {
	objects, err := r.Objects(mail.TypeSubmission)
	if err != nil {
		return nil, err
	}
	for _, o := range objects {
		s, err := readSubmission(o)
		if err != nil {
			return nil, err
		}
		all = append(all, s)
	}
	return all, nil
}

func readSubmission(o mail.Object) (*submission, error) {
	s, err := dataOf[submission](o)
	s.object = o.ID
	return &s, err
}

// put keeps what became of it.
func (s *submission) put(tx store.Tx) error {
	data, err := encodeData(s)
	if err != nil {
		return err
	}
	o, err := tx.PutObject(mail.Object{Type: mail.TypeSubmission, ID: s.object, Data: data})
	s.object = o.ID
	return err
}

// submissionGet serves EmailSubmission/get (RFC 8621 §7.1). It costs what is kept, of
// which there is a bound.
func submissionGet(ctx context.Context, c *call, a *getArguments) error {
	account, err := c.account(a.AccountID)
	if err != nil {
		return err
	}
	wanted, all, err := c.wantedIDs(a.IDs)
	if err != nil {
		return err
	}
	properties, err := wantedProperties(a.Properties, submissionProperties, submissionProperties)
	if err != nil {
		return err
	}
	out := newGetAnswer(a.AccountID)
	err = c.srv.Store.View(ctx, account, func(r store.Reader) error {
		acct, err := r.Account()
		if err != nil {
			return err
		}
		out.State = stateOf(acct, mail.TypeSubmission)
		list, err := submissions(r)
		found := map[string]bool{}
		for _, s := range list {
			if id := submissionID(s.object); all || slices.Contains(wanted, id) {
				out.List = append(out.List, s.toObject(c.srv.now()).only(properties))
				found[id] = true
			}
		}
		for _, id := range wanted {
			if !found[id] {
				out.NotFound = append(out.NotFound, id)
			}
		}
		return err
	})
	if err != nil {
		return err
	}
	return c.answer(out)
}

// submissionChanges serves EmailSubmission/changes (RFC 8621 §7.2).
func submissionChanges(ctx context.Context, c *call, a *changesArguments) error {
	out, err := c.changed(ctx, a, mail.TypeSubmission, func(ch mail.Change) string { return submissionID(mail.ObjectID(ch.ID)) })
	if err != nil {
		return err
	}
	return c.answer(out)
}
