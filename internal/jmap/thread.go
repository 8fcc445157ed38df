package jmap

import (
	"context"

	"lockstep/internal/mail"
	"lockstep/internal/store"
)

// threadProperties are those of a Thread (RFC 8621 §3).
var threadProperties = []string{"id", "emailIds"}

// threadGet serves Thread/get (RFC 8621 §3.1). Each thread costs one statement that reads
// the narrow rows of its emails, however much other mail there is.
func threadGet(ctx context.Context, c *call, a *getArguments) error {
	account, err := c.account(a.AccountID)
	if err != nil {
		return err
	}
	ids, all, err := c.wantedIDs(a.IDs)
	if err != nil {
		return err
	}
	properties, err := wantedProperties(a.Properties, threadProperties, threadProperties)
	if err != nil {
		return err
	}
	var out *getAnswer
	err = c.srv.Store.View(ctx, account, func(r store.Reader) error {
		out = newGetAnswer(a.AccountID)
		acct, err := r.Account()
		if err != nil {
			return err
		}
		out.State = stateOf(acct, mail.TypeThread)
		if all {
			if ids, err = everyThread(r, c.srv.limits.ObjectsInGet); err != nil {
				return err
			}
		}
		return out.threads(r, ids, properties, maxThreadEmails)
	})
	if err != nil {
		return err
	}
	return c.answer(out)
}

// threads reads threads with the emails in them, the oldest first, if these are at most
// so many.
func (out *getAnswer) threads(r store.Reader, ids, properties []string, most int) error {
	for _, id := range ids {
		thread, ok := parseThreadID(id)
		if !ok {
			out.NotFound = append(out.NotFound, id)
			continue
		}
		emails, err := r.ThreadEmails(thread)
		if err != nil && mail.KindOf(err) == mail.NotFound {
			out.NotFound = append(out.NotFound, id)
			continue
		}
		if err != nil {
			return err
		}
		if most -= len(emails); most < 0 {
			return refused("requestTooLarge", "there are too many emails in these threads; ask for fewer threads")
		}
		names := make([]string, len(emails))
		for i, e := range emails {
			names[i] = e.EmailID.String()
		}
		out.List = append(out.List, object{"id": id, "emailIds": names}.only(properties))
	}
	return nil
}

// everyThread names all threads of the account, if they have at most so many emails.
func everyThread(r store.Reader, most int) (ids []string, err error) {
	emails, err := everyEmail(r, most)
	seen := map[mail.ThreadID]bool{}
	for _, e := range emails {
		if !seen[e.Thread] {
			seen[e.Thread], ids = true, append(ids, e.Thread.String())
		}
	}
	return ids, err
}

// threadChanges serves Thread/changes (RFC 8621 §3.2).
func threadChanges(ctx context.Context, c *call, a *changesArguments) error {
	out, err := c.changed(ctx, a, mail.TypeThread, func(ch mail.Change) string { return mail.ThreadID(ch.ID).String() })
	if err != nil {
		return err
	}
	return c.answer(out)
}
