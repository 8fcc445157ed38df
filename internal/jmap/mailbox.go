package jmap

import (
	"context"
	"strings"

	"lockstep/internal/mail"
	"lockstep/internal/store"
)

// mailboxProperties are those of a Mailbox (RFC 8621 §2).
var mailboxProperties = []string{"id", "name", "parentId", "role", "sortOrder", "totalEmails", "unreadEmails", "totalThreads", "unreadThreads", "myRights", "isSubscribed"}

// mailboxCounts are those that change with the mail in it.
var mailboxCounts = []string{"totalEmails", "unreadEmails", "totalThreads", "unreadThreads"}

// mailboxRoles are those that a mailbox can be given (RFC 8621 §2, RFC 6154).
var mailboxRoles = []string{
	string(mail.RoleInbox), string(mail.RoleDrafts), string(mail.RoleSent), string(mail.RoleArchive), string(mail.RoleJunk), string(mail.RoleTrash),
	string(mail.RoleFlagged), string(mail.RoleAll),
}

// mailboxObject is a mailbox as JMAP shows it.
func mailboxObject(mb mail.Mailbox, subscribed bool) object {
	return object{
		"id": mb.ID.String(), "name": shownName(mb), "parentId": parentID(mb.Parent), "role": roleOrNil(mb.Role), "sortOrder": mb.SortOrder,
		"totalEmails": mb.Counts.Emails, "unreadEmails": mb.Counts.UnreadEmails, "totalThreads": mb.Counts.Threads, "unreadThreads": mb.Counts.UnreadThreads,
		"myRights": ownersRights(mb), "isSubscribed": subscribed,
	}
}

// shownName is the name of a mailbox; the inbox's is shouted in IMAP alone.
func shownName(mb mail.Mailbox) string {
	if mb.Role == mail.RoleInbox {
		return "Inbox"
	}
	return mb.Name
}

func parentID(id mail.MailboxID) any {
	if id == 0 {
		return nil
	}
	return id.String()
}

func roleOrNil(r mail.Role) any {
	if r == mail.NoRole {
		return nil
	}
	return string(r)
}

// ownersRights are all, but that the inbox stays what and where it is.
func ownersRights(mb mail.Mailbox) object {
	movable := mb.Role != mail.RoleInbox
	return object{
		"mayReadItems": true, "mayAddItems": true, "mayRemoveItems": true, "maySetSeen": true, "maySetKeywords": true,
		"mayCreateChild": strings.Count(mb.Path, mail.Delimiter)+1 < mail.MaxMailboxDepth,
		"mayRename":      movable, "mayDelete": movable, "maySubmit": true,
	}
}

// boxes are all mailboxes of an account, as one snapshot shows them.
type boxes struct {
	all        []mail.Mailbox
	byID       map[mail.MailboxID]*mail.Mailbox
	subscribed map[string]bool // by path
}

// readBoxes reads them. It costs their number, however much mail is in them.
func readBoxes(r store.Reader) (*boxes, error) {
	all, err := r.Mailboxes()
	if err != nil {
		return nil, err
	}
	paths, err := r.Subscriptions()
	if err != nil {
		return nil, err
	}
	b := &boxes{all: all, byID: make(map[mail.MailboxID]*mail.Mailbox, len(all)), subscribed: make(map[string]bool, len(paths))}
	for i := range all {
		b.byID[all[i].ID] = &all[i]
	}
	for _, p := range paths {
		b.subscribed[p] = true
	}
	return b, nil
}

func (b *boxes) object(mb *mail.Mailbox) object { return mailboxObject(*mb, b.subscribed[mb.Path]) }

// get finds a mailbox by its id as clients say it; nil is none.
func (b *boxes) get(id string) *mail.Mailbox {
	n, ok := parseMailboxID(id)
	if !ok {
		return nil
	}
	return b.byID[n]
}

// mailboxGet serves Mailbox/get (RFC 8621 §2.1).
func mailboxGet(ctx context.Context, c *call, a *getArguments) error {
	account, err := c.account(a.AccountID)
	if err != nil {
		return err
	}
	ids, all, err := c.wantedIDs(a.IDs)
	if err != nil {
		return err
	}
	properties, err := wantedProperties(a.Properties, mailboxProperties, mailboxProperties)
	if err != nil {
		return err
	}
	out := newGetAnswer(a.AccountID)
	err = c.srv.Store.View(ctx, account, func(r store.Reader) error {
		acct, err := r.Account()
		if err != nil {
			return err
		}
		b, err := readBoxes(r)
		if err != nil {
			return err
		}
		out = newGetAnswer(a.AccountID)
		out.State = stateOf(acct, mail.TypeMailbox)
		if all {
			for i := range b.all {
				out.List = append(out.List, b.object(&b.all[i]).only(properties))
			}
		}
		for _, id := range ids {
			if mb := b.get(id); mb != nil {
				out.List = append(out.List, b.object(mb).only(properties))
			} else {
				out.NotFound = append(out.NotFound, id)
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	return c.answer(out)
}

// mailboxChangesAnswer says also what alone may have changed (RFC 8621 §2.2).
type mailboxChangesAnswer struct {
	changesAnswer
	UpdatedProperties []string `json:"updatedProperties"`
}

// mailboxChanges serves Mailbox/changes.
func mailboxChanges(ctx context.Context, c *call, a *changesArguments) error {
	changes, err := c.changed(ctx, a, mail.TypeMailbox, func(ch mail.Change) string { return mail.MailboxID(ch.ID).String() })
	if err != nil {
		return err
	}
	out := mailboxChangesAnswer{changesAnswer: *changes}
	if len(out.Updated) == 0 {
		return c.answer(out)
	}
	account, err := c.account(a.AccountID)
	if err != nil {
		return err
	}
	since, _ := mail.ParsePosition(a.SinceState)
	onlyCounts := true
	err = c.srv.Store.View(ctx, account, func(r store.Reader) error {
		for _, id := range out.Updated {
			n, _ := parseMailboxID(id)
			mb, err := r.Mailbox(n)
			switch {
			case mail.KindOf(err) == mail.NotFound: // it has left since
				onlyCounts = false
			case err != nil:
				return err
			default:
				onlyCounts = onlyCounts && mb.PropsModSeq <= since.Since
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	if onlyCounts {
		out.UpdatedProperties = mailboxCounts
	}
	return c.answer(out)
}
