package jmap

import (
	"cmp"
	"context"
	"slices"
	"strings"
	"time"

	"lockstep/internal/mail"
	"lockstep/internal/message"
	"lockstep/internal/store"
)

// An act is what somebody did in one go: the records of the journal that share an
// act id, the newest first. Its id is "J" and the number of the first.
type act struct {
	id      mail.ActID
	records []mail.Record
}

func actID(id mail.ActID) string { return numbered('J', int64(id)) }

func parseActID(s string) (mail.ActID, bool) {
	n, ok := parseNumbered('J', s)
	return mail.ActID(n), ok
}

// actQueryArguments ask for acts, the newest first.
type actQueryArguments struct {
	AccountID string    `json:"accountId"`
	Filter    actFilter `json:"filter"`
	Before    *string   `json:"before"` // an act: only older ones
	Limit     *int64    `json:"limit"`
}

// actFilter selects acts. What is not given does not restrict.
type actFilter struct {
	DeviceID  string    `json:"deviceId"`
	MailboxID string    `json:"mailboxId"`
	EmailID   string    `json:"emailId"`
	Protocol  string    `json:"protocol"`
	Since     time.Time `json:"since"`
	Until     time.Time `json:"until"`
	After     string    `json:"after"` // an act: only newer ones
}

// actQueryAnswer lists acts. More says that there are older ones, or may be.
type actQueryAnswer struct {
	AccountID string   `json:"accountId"`
	State     string   `json:"state"`
	IDs       []string `json:"ids"`
	More      bool     `json:"more"`
}

// actQuery serves Act/query. It reads what it answers by device, mailbox or email; by
// protocol and time it looks at up to maxJournal records.
func actQuery(ctx context.Context, c *call, a *actQueryArguments) error {
	account, err := c.account(a.AccountID)
	if err != nil {
		return err
	}
	q, err := a.Filter.query()
	if err != nil {
		return err
	}
	if a.Before != nil {
		before, ok := parseActID(*a.Before)
		if !ok {
			return invalidArguments("before is no act", "before")
		}
		q.Before = mail.ModSeq(before)
	}
	limit := maxActs
	if a.Limit != nil {
		if *a.Limit < 1 {
			return invalidArguments("limit is at least 1", "limit")
		}
		limit = int(min(*a.Limit, maxActs))
	}
	out := &actQueryAnswer{AccountID: a.AccountID, IDs: []string{}}
	err = c.srv.Store.View(ctx, account, func(r store.Reader) error {
		acct, err := r.Account()
		if err != nil {
			return err
		}
		out.State = mail.Token{Epoch: acct.Epoch, ModSeq: acct.Head}.String()
		if a.Filter.EmailID != "" {
			out.IDs, out.More, err = actsOfEmail(r, a.Filter, q, limit)
			return err
		}
		out.IDs, out.More, err = acts(r, a.Filter, q, limit)
		return err
	})
	if err != nil {
		return err
	}
	return c.answer(out)
}

// query is what the store can select by.
func (f actFilter) query() (q store.JournalQuery, err error) {
	bad := func(name string) error { return invalidArguments(name+" names nothing", "filter") }
	if f.DeviceID != "" {
		id, ok := parseDeviceID(f.DeviceID)
		if !ok {
			return q, bad("deviceId")
		}
		q.Device = id
	}
	if f.MailboxID != "" {
		id, ok := parseMailboxID(f.MailboxID)
		if !ok {
			return q, bad("mailboxId")
		}
		q.Mailbox = id
	}
	if f.After != "" {
		id, ok := parseActID(f.After)
		if !ok {
			return q, bad("after")
		}
		q.After = mail.ModSeq(id)
	}
	if f.EmailID != "" {
		if _, ok := mail.ParseEmailID(f.EmailID); !ok {
			return q, bad("emailId")
		}
	}
	return q, nil
}

// lets reports whether a record is one of those asked for.
func (f actFilter) lets(rec mail.Record) bool {
	return (f.Protocol == "" || string(rec.Protocol) == f.Protocol) && (f.Since.IsZero() || !rec.Time.Before(f.Since)) && (f.Until.IsZero() || rec.Time.Before(f.Until))
}

// over reports whether nothing older than the record is asked for.
func (f actFilter) over(rec mail.Record) bool { return !f.Since.IsZero() && rec.Time.Before(f.Since) }

// journalPage is how many records are read at a time.
const journalPage = 500

// acts collects up to limit acts, the newest first.
func acts(r store.Reader, f actFilter, q store.JournalQuery, limit int) (ids []string, more bool, err error) {
	ids = []string{}
	seen := map[mail.ActID]bool{}
	for looked := 0; looked < maxJournal; {
		q.Limit = journalPage
		page, err := r.Journal(q)
		if err != nil {
			return nil, false, err
		}
		for _, rec := range page {
			q.Before = rec.ModSeq
			if f.over(rec) {
				return ids, false, nil
			}
			if !f.lets(rec) || seen[rec.Act] {
				continue
			}
			if len(ids) == limit {
				return ids, true, nil
			}
			seen[rec.Act] = true
			ids = append(ids, actID(rec.Act))
		}
		if looked += len(page); len(page) < journalPage {
			return ids, false, nil
		}
	}
	return ids, true, nil
}

// actsOfEmail follows a message through its mailboxes: from each of its places back
// to where it was moved or copied from.
func actsOfEmail(r store.Reader, f actFilter, q store.JournalQuery, limit int) (ids []string, more bool, err error) {
	id, _ := mail.ParseEmailID(f.EmailID)
	m, err := r.MessageByEmailID(id)
	if err != nil {
		return nil, false, err
	}
	places, err := r.PlacementsOf(m.Key)
	if err != nil {
		return nil, false, err
	}
	type place struct {
		mb  mail.MailboxID
		uid mail.UID
	}
	var todo []place
	for _, p := range places {
		todo = append(todo, place{p.Mailbox, p.UID})
	}
	found, been := map[mail.ActID]bool{}, map[place]bool{}
	for len(todo) > 0 && len(been) < maxActs {
		at := todo[0]
		if todo = todo[1:]; been[at] {
			continue
		}
		been[at] = true
		of := q
		of.Mailbox, of.UID, of.Limit = at.mb, at.uid, journalPage
		records, err := r.Journal(of)
		if err != nil {
			return nil, false, err
		}
		for _, rec := range records {
			if f.lets(rec) && (q.Mailbox == 0 || q.Mailbox == at.mb) {
				found[rec.Act] = true
			}
			for _, e := range rec.Entries {
				if from, ok := sourceOf(e, at.mb, at.uid); ok {
					todo = append(todo, place{e.Mailbox, from})
				}
			}
		}
	}
	all := make([]mail.ActID, 0, len(found))
	for id := range found {
		all = append(all, id)
	}
	slices.SortFunc(all, func(a, b mail.ActID) int { return cmp.Compare(b, a) })
	more = len(all) > limit
	ids = []string{}
	for _, id := range all[:min(limit, len(all))] {
		ids = append(ids, actID(id))
	}
	return ids, more, nil
}

// sourceOf is the UID in e.Mailbox of what an entry brought to a place.
func sourceOf(e mail.Entry, mb mail.MailboxID, uid mail.UID) (mail.UID, bool) {
	if e.Dest != mb || len(e.DestUIDs) == 0 {
		return 0, false
	}
	from := slices.Collect(e.UIDs.All())
	n := 0
	for to := range e.DestUIDs.All() {
		if to == uid && n < len(from) {
			return from[n], true
		}
		n++
	}
	return 0, false
}

// actGet serves Act/get: what each act did, for people. It costs the acts' records,
// and for each entry the rows of up to maxActEmails messages.
func actGet(ctx context.Context, c *call, a *getArguments) error {
	account, err := c.account(a.AccountID)
	if err != nil {
		return err
	}
	ids, all, err := c.wantedIDs(a.IDs)
	switch {
	case err != nil:
		return err
	case all || len(ids) > maxActs:
		return refused("requestTooLarge", "ask for at most as many acts as Act/query answers")
	}
	properties, err := wantedProperties(a.Properties, actProperties, actProperties)
	if err != nil {
		return err
	}
	out := newGetAnswer(a.AccountID)
	err = c.srv.Store.View(ctx, account, func(r store.Reader) error {
		*out = *newGetAnswer(a.AccountID)
		acct, err := r.Account()
		if err != nil {
			return err
		}
		out.State = mail.Token{Epoch: acct.Epoch, ModSeq: acct.Head}.String()
		names, err := deviceNames(r)
		if err != nil {
			return err
		}
		for _, said := range ids {
			id, ok := parseActID(said)
			records := []mail.Record{}
			if ok {
				if records, err = r.Journal(store.JournalQuery{Act: id, Limit: journalPage}); err != nil {
					return err
				}
			}
			if len(records) == 0 {
				out.NotFound = append(out.NotFound, said)
				continue
			}
			o, err := describe(r, act{id, records}, names, slices.Contains(properties, "entries"))
			if err != nil {
				return err
			}
			out.List = append(out.List, o.only(properties))
		}
		return nil
	})
	if err != nil {
		return err
	}
	return c.answer(out)
}

var actProperties = []string{"id", "at", "actor", "deviceId", "deviceName", "protocol", "cause", "undoes", "entries", "isWhole"}

func deviceNames(r store.Reader) (map[mail.DeviceID]string, error) {
	all, err := r.Devices()
	names := map[mail.DeviceID]string{}
	for _, d := range all {
		names[d.ID] = d.Name
	}
	return names, err
}

// describe is an act as clients see it. Its words are the client's to choose.
func describe(r store.Reader, a act, names map[mail.DeviceID]string, entries bool) (object, error) {
	newest, first := a.records[0], a.records[len(a.records)-1]
	o := object{
		"id": actID(a.id), "at": newest.Time.UTC().Format(time.RFC3339), "actor": newest.Actor, "deviceId": nil, "deviceName": names[newest.Device], "protocol": newest.Protocol,
		"cause": newest.Cause, "undoes": nil, "isWhole": len(a.records) < journalPage,
	}
	if newest.Device != 0 {
		o["deviceId"] = deviceID(newest.Device)
	}
	if first.Undoes != 0 {
		o["undoes"] = actID(first.Undoes)
	}
	if !entries {
		return o, nil
	}
	list := []object{}
	for _, e := range together(a.records) {
		told, err := describeEntry(r, e)
		if err != nil {
			return nil, err
		}
		list = append(list, told)
	}
	o["entries"] = list
	return o, nil
}

// together joins what was done to several messages of a mailbox one by one, oldest
// first. The list has at most maxActEmails entries.
func together(records []mail.Record) (joined []mail.Entry) {
	type kind struct {
		op           mail.Op
		mb, dest     mail.MailboxID
		flags, named string
		who          mail.PrincipalID
	}
	at := map[kind]int{}
	for _, rec := range slices.Backward(records) {
		for _, e := range rec.Entries {
			k := kind{e.Op, e.Mailbox, e.Dest, strings.Join(e.Added, " ") + "\x00" + strings.Join(e.Removed, " "), e.Name, e.Who}
			i, again := at[k]
			if !again || len(e.UIDs) == 0 {
				if len(joined) == maxActEmails {
					continue
				}
				at[k] = len(joined)
				joined = append(joined, e)
				continue
			}
			joined[i].UIDs, joined[i].DestUIDs = union(joined[i].UIDs, e.UIDs), union(joined[i].DestUIDs, e.DestUIDs)
		}
	}
	return joined
}

func union(a, b mail.UIDSet) mail.UIDSet {
	out := slices.Clone(a)
	for _, r := range b {
		out.AddRange(r.First, r.Last)
	}
	return out
}

// describeEntry is one thing an act did: what, where, to how many messages and, of
// the first of them, to which. Annotations and preferences are named; their values,
// which can be long and private, are left out.
func describeEntry(r store.Reader, e mail.Entry) (object, error) {
	o := object{"op": e.Op, "count": e.UIDs.Count()}
	if err := nameMailbox(r, o, "mailbox", e.Mailbox, e.Before, e.After); err != nil {
		return nil, err
	}
	if err := nameMailbox(r, o, "to", e.Dest, nil, nil); err != nil {
		return nil, err
	}
	for name, words := range map[string][]string{"added": e.Added, "removed": e.Removed} {
		if len(words) > 0 {
			o[name] = spelledAsKeywords(words)
		}
	}
	if e.Name != "" {
		o["name"] = e.Name
	}
	if e.Op == mail.OpPreference || e.Op == mail.OpMetadata || e.Op == mail.OpAnnotate {
		o["isSet"] = e.New != nil
	}
	if name := objectNames[e.Type]; e.Op == mail.OpObject && name != "" {
		o["name"], o["isSet"] = name, e.New != nil
	}
	if e.Before != nil && e.After != nil && e.Before.Name != e.After.Name {
		o["oldName"] = e.Before.Name
	}
	emails, err := emailsOf(r, e)
	if len(emails) > 0 {
		o["emails"] = emails
	}
	return o, err
}

// objectNames are what JMAP calls the types of objects.
var objectNames = map[mail.Type]string{mail.TypeIdentity: "Identity", mail.TypeSubmission: "EmailSubmission"}

// spelledAsKeywords spells flags as JMAP does (RFC 8621 §4.1.1).
func spelledAsKeywords(flags []string) []string {
	out := []string{}
	for _, f := range flags {
		if name, isSystem := strings.CutPrefix(f, `\`); isSystem {
			f = "$" + name
		}
		out = append(out, strings.ToLower(f))
	}
	return out
}

// nameMailbox adds id and path of a mailbox; of one that is gone, what it was called.
func nameMailbox(r store.Reader, o object, as string, id mail.MailboxID, before, after *mail.MailboxImage) error {
	if id == 0 {
		return nil
	}
	o[as+"Id"] = id.String()
	mb, err := r.Mailbox(id)
	switch {
	case err == nil:
		o[as+"Name"] = mb.Path
	case mail.KindOf(err) != mail.NotFound:
		return err
	case before != nil:
		o[as+"Name"] = before.Name
	case after != nil:
		o[as+"Name"] = after.Name
	default:
		o[as+"Name"] = nil
	}
	return nil
}

// emailsOf are the first messages that an entry is about, also those that left since,
// up to the horizon.
func emailsOf(r store.Reader, e mail.Entry) ([]object, error) {
	var out []object
	mb, uids := e.Mailbox, e.UIDs
	if e.Dest != 0 && len(e.DestUIDs) > 0 {
		mb, uids = e.Dest, e.DestUIDs
	}
	for uid := range uids.All() {
		if len(out) == maxActEmails {
			break
		}
		m, there, err := messageAt(r, mb, uid)
		if mail.KindOf(err) == mail.NotFound && err != nil {
			continue
		}
		if err != nil {
			return nil, err
		}
		env, err := message.DecodeEnvelope(m.Parsed)
		if err != nil {
			return nil, err
		}
		o := object{"emailId": m.EmailID.String(), "threadId": m.Thread.String(), "isThere": there, "subject": message.DecodeWords(env.Subject), "from": ""}
		if len(env.From) > 0 {
			o["from"] = cmp.Or(message.DecodeWords(env.From[0].Name), env.From[0].Mailbox+"@"+env.From[0].Host)
		}
		out = append(out, o)
	}
	return out, nil
}

// messageAt is the message of a place, and whether it is still in it.
func messageAt(r store.Reader, mb mail.MailboxID, uid mail.UID) (m mail.Message, there bool, err error) {
	var key mail.MessageKey
	err = r.Placements(store.PlacementQuery{Mailbox: mb, UIDs: mail.UIDSet{{First: uid, Last: uid}}}, func(p *mail.Placement) error {
		key, there = p.Message, true
		return nil
	})
	if err == nil && !there {
		var p mail.Placement
		p, err = r.Departed(mb, uid)
		key = p.Message
	}
	if err != nil {
		return m, false, err
	}
	m, err = r.Message(key)
	return m, there, err
}
