package jmap

import (
	"context"

	"lockstep/internal/mail"
	"lockstep/internal/store"
)

// threadProperties are those of a Thread (RFC 8621 §3).
var threadProperties = []string{"id", "emailIds"}

// threadGet serves Thread/get (RFC 8621 §3.1). Each thread costs a statement, and all
// of them one more that reads the narrow rows of their emails, however much other mail
// there is.
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
	keys := map[string][]mail.MessageKey{}
	var all []mail.MessageKey
	for _, id := range ids {
		found, err := threadKeys(r, id)
		if err != nil && mail.KindOf(err) == mail.NotFound {
			out.NotFound = append(out.NotFound, id)
			continue
		}
		if err != nil {
			return err
		}
		if most -= len(found); most < 0 {
			return refused("requestTooLarge", "there are too many emails in these threads; ask for fewer threads")
		}
		keys[id], all = found, append(all, found...)
	}
	emails, err := r.EmailsOf(all)
	if err != nil {
		return err
	}
	names := make(map[mail.MessageKey]string, len(emails))
	for _, e := range emails {
		names[e.Key] = e.EmailID.String()
	}
	for _, id := range ids {
		if found, ok := keys[id]; ok {
			out.List = append(out.List, object{"id": id, "emailIds": namesOf(found, names)}.only(properties))
		}
	}
	return nil
}

// threadKeys finds the messages of a thread by its id as clients say it.
func threadKeys(r store.Reader, id string) ([]mail.MessageKey, error) {
	thread, ok := parseThreadID(id)
	if !ok {
		return nil, mail.Errorf(mail.NotFound, "there is no such thread")
	}
	return r.Thread(thread)
}

func namesOf(keys []mail.MessageKey, names map[mail.MessageKey]string) []string {
	list := make([]string, len(keys))
	for i, key := range keys {
		list[i] = names[key]
	}
	return list
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
