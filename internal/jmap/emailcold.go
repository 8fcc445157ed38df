package jmap

import (
	"context"

	"lockstep/internal/mail"
	"lockstep/internal/store"
)

// A first page is what a program asks for when it is opened. Until something else makes
// the account's table, it is made of the store's order of dates, which is the table's.
const (
	maxColdPage  = 200 // places, from the newest on, that it may reach
	maxColdLooks = 600 // Emails that are looked at for it, at some 20 µs
	coldChunk    = 100 // of them at once
)

// A coldPage is a list that needs no table.
type coldPage struct {
	mailbox mail.MailboxID // 0 is all of the account
	threads bool           // the newest Email of each
	want    int            // places

	met  map[mail.ThreadID]bool
	list []string
}

// answerCold answers from the store where that is little work: the newest Emails of a
// mailbox or of all, or of each thread the newest. It is false where a table has to.
func (q *emailQuery) answerCold(ctx context.Context, a *emailQueryArguments, out *queryAnswer) (done bool, err error) {
	p := q.coldPage(a)
	if p == nil || q.srv.emails.has(q.account) {
		return false, nil
	}
	err = q.srv.Store.View(ctx, q.account, func(r store.Reader) error {
		acct, err := r.Account()
		if err != nil {
			return err
		}
		total, err := p.total(r)
		if err != nil {
			return err
		}
		if done, err = p.read(r); err != nil || !done {
			return err
		}
		out.QueryState = stateOf(acct, mail.TypeEmail)
		from, to, err := a.span(len(p.list), out, nil)
		if out.IDs = append(out.IDs, p.list[from:to]...); a.CalculateTotal {
			out.Total = &total
		}
		return err
	})
	if mail.KindOf(err) == mail.NotFound { // there is no such mailbox
		return false, nil
	}
	return done, err
}

// coldPage is the page that is asked for; nil if it is none that could be made so.
func (q *emailQuery) coldPage(a *emailQueryArguments) *coldPage {
	n, _ := a.most()
	byDate, ascending := q.order.byDate()
	if !byDate || ascending || a.Anchor != nil || a.Position < 0 || a.Position > maxColdPage || a.Position+n > maxColdPage {
		return nil
	}
	p := &coldPage{threads: q.collapse, want: int(a.Position + n), met: map[mail.ThreadID]bool{}}
	root := q.filter.root
	all := root == nil || root.operator == "" && len(root.condition.tests) == 0
	if !all {
		p.mailbox = root.condition.only
	}
	if all == (p.mailbox != 0) || all && a.CalculateTotal { // nobody counts them all
		return nil
	}
	return p
}

// total is how long the whole list is.
func (p *coldPage) total(r store.Reader) (int64, error) {
	if p.mailbox == 0 {
		return 0, nil
	}
	mb, err := r.Mailbox(p.mailbox)
	if p.threads {
		return mb.Counts.Threads, err
	}
	return mb.Counts.Emails, err
}

// read collects what is wanted, or all there is. It is false when that would be much
// work.
func (p *coldPage) read(r store.Reader) (bool, error) {
	q := store.EmailDateQuery{Limit: coldChunk}
	for range maxColdLooks / coldChunk {
		page, err := r.EmailsByDate(q)
		if err != nil {
			return false, err
		}
		for i := range page {
			if len(p.list) == p.want {
				return true, nil
			}
			if err := p.look(r, &page[i]); err != nil {
				return false, err
			}
		}
		if len(page) < coldChunk || len(p.list) == p.want {
			return true, nil
		}
		q.Before = page[len(page)-1].Arrived()
	}
	return false, nil
}

// look takes an Email into the list if it belongs there.
func (p *coldPage) look(r store.Reader, e *mail.Email) error {
	if p.threads && p.met[e.Thread] {
		return nil
	}
	if p.mailbox != 0 {
		there, err := isVisibleIn(r, e.Key, p.mailbox)
		if err != nil || !there {
			return err
		}
	}
	p.met[e.Thread] = true
	p.list = append(p.list, e.EmailID.String())
	return nil
}

// isVisibleIn reports whether an Email is in a mailbox.
func isVisibleIn(r store.Reader, key mail.MessageKey, mb mail.MailboxID) (bool, error) {
	places, err := r.PlacementsOf(key)
	for _, p := range places {
		if p.Mailbox == mb && !p.Flags.Has(mail.Deleted) {
			return true, nil
		}
	}
	return false, err
}
