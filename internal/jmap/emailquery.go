package jmap

import (
	"context"
	"encoding/json"
	"math"
	"slices"

	"lockstep/internal/mail"
	"lockstep/internal/store"
)

// emailQueryArguments are those of Email/query (RFC 8621 §4.4).
type emailQueryArguments struct {
	queryArguments
	CollapseThreads bool `json:"collapseThreads"`
}

// An emailQuery is what makes a list of Emails.
type emailQuery struct {
	*call
	account  mail.AccountID
	filter   *emailFilter
	order    *emailOrder
	collapse bool
}

func (c *call) newEmailQuery(accountID string, filter json.RawMessage, sort []comparator, collapse bool) (*emailQuery, error) {
	q := &emailQuery{call: c, collapse: collapse}
	var err error
	if q.account, err = c.account(accountID); err != nil {
		return nil, err
	}
	if q.filter, err = c.newEmailFilter(filter); err != nil {
		return nil, err
	}
	q.order, err = newEmailOrder(sort)
	return q, err
}

// A missing is what has to be known of Emails before a list can be made.
type missing struct {
	words []mail.MessageKey // that some test has no answer for
	said  []mail.MessageKey // that have not been asked what they say
}

func (m *missing) isNothing() bool { return len(m.words) == 0 && len(m.said) == 0 }

// maxLooks bounds how often what is missing is looked up: the index, the Emails it does
// not know, and those that came meanwhile.
const maxLooks = 6

// run makes the list and gives it to fn, as places of the table, with the snapshot that
// it is of. With enough > 0, so many of the list will do.
//
// It costs a pass over the table, some 10 ns an Email, and with another order than by
// date sorting what was found. Words are asked of the index, for what else of the filter leaves
// open; texts that are sorted by are read once.
func (q *emailQuery) run(ctx context.Context, enough int, fn func(r store.Reader, t *emailTable, list []int32) error) error {
	var says map[mail.MessageKey]headline
	asked := map[mail.MessageKey]bool{} // of the index
	for range maxLooks {
		var lacks missing
		err := q.srv.emails.on(ctx, q.srv, q.account, func(r store.Reader, t *emailTable) error {
			t.remember(q.filter.words)
			t.learn(says)
			list := q.sift(t, enough, &lacks)
			if lacks.isNothing() {
				q.put(t, &list)
				return fn(r, t, list)
			}
			for _, w := range q.filter.words {
				w.unknown = w.open(lacks.words)
			}
			return nil
		})
		if err != nil || lacks.isNothing() {
			return err
		}
		if says, err = q.lookFor(ctx, lacks, asked); err != nil {
			return err
		}
	}
	return errTextLater()
}

// lookFor looks up what is missing.
func (q *emailQuery) lookFor(ctx context.Context, lacks missing, asked map[mail.MessageKey]bool) (map[mail.MessageKey]headline, error) {
	if len(lacks.said) > 0 {
		return q.readSaid(ctx, q.account, lacks.said)
	}
	fresh := false
	for _, k := range lacks.words {
		fresh = fresh || !asked[k]
		asked[k] = true
	}
	if fresh {
		return nil, q.askIndexAll(ctx, q.account, q.filter.words)
	}
	return nil, q.readTexts(ctx, q.account, q.filter.words)
}

// learn keeps what Emails say of themselves.
func (t *emailTable) learn(says map[mail.MessageKey]headline) {
	if t.says == nil {
		t.says = map[mail.MessageKey]headline{}
	}
	for k, s := range says {
		if _, there := t.dates[k]; there {
			t.says[k] = s
		}
	}
}

// sift finds the Emails that fit, in the order of the table or against it.
func (q *emailQuery) sift(t *emailTable, enough int, lacks *missing) []int32 {
	for _, th := range q.filter.threads {
		th.look(t)
	}
	for _, th := range q.order.threads {
		if th != nil {
			th.look(t)
		}
	}
	byDate, ascending := q.order.byDate()
	if !byDate {
		enough = 0
	}
	var met []bool // threads, by number
	if q.collapse && byDate {
		met = make([]bool, len(t.names))
	}
	q.filter.table = t
	sorted := q.order.needsTexts()
	list := t.list[:0]
	for i := range t.rows {
		at := i
		if !ascending || !byDate {
			at = len(t.rows) - 1 - i
		}
		row := &t.rows[at]
		if met != nil && met[row.thread] {
			continue
		}
		fits := q.filter.judge(row)
		if fits == no {
			continue
		}
		if _, known := t.says[row.key]; !known && (sorted || fits == perhaps && q.filter.says) {
			lacks.said = append(lacks.said, row.key)
			continue
		}
		if fits == perhaps {
			lacks.words = append(lacks.words, row.key)
			continue
		}
		if met != nil && lacks.isNothing() {
			met[row.thread] = true
		}
		if list = append(list, int32(at)); enough > 0 && len(list) == enough && lacks.isNothing() {
			break
		}
	}
	t.list = list
	return list
}

// put puts the list in order where sift has not, and leaves of each thread the first.
func (q *emailQuery) put(t *emailTable, list *[]int32) {
	if byDate, _ := q.order.byDate(); byDate {
		return
	}
	q.order.sort(t, *list)
	if !q.collapse {
		return
	}
	met := make([]bool, len(t.names))
	*list = slices.DeleteFunc(*list, func(at int32) bool {
		n := t.rows[at].thread
		if met[n] {
			return true
		}
		met[n] = true
		return false
	})
}

// emailQueryMethod serves Email/query (RFC 8621 §4.4).
func emailQueryMethod(ctx context.Context, c *call, a *emailQueryArguments) error {
	q, err := c.newEmailQuery(a.AccountID, a.Filter, a.Sort, a.CollapseThreads)
	if err != nil {
		return err
	}
	if err := a.check(); err != nil {
		return err
	}
	c.anchored(&a.queryArguments)
	out := &queryAnswer{AccountID: a.AccountID, CanCalculateChanges: true, IDs: []string{}}
	if done, err := q.answerCold(ctx, a, out); err != nil {
		return err
	} else if done {
		return c.answer(out)
	}
	err = q.run(ctx, a.enough(), func(r store.Reader, t *emailTable, list []int32) error {
		acct, err := r.Account()
		if err != nil {
			return err
		}
		out.QueryState = stateOf(acct, mail.TypeEmail)
		from, to, err := a.span(len(list), out, func(id string) int { return t.placeIn(list, id) })
		for _, at := range list[from:to] {
			out.IDs = append(out.IDs, t.rows[at].id.String())
		}
		return err
	})
	if err != nil {
		return err
	}
	return c.answer(out)
}

// enough is how many of a list are needed to answer; 0 is all.
func (a *queryArguments) enough() int {
	if a.CalculateTotal || a.Anchor != nil || a.Position < 0 || a.Position > math.MaxInt32 {
		return 0
	}
	n, _ := a.most()
	return int(max(a.Position+n, 1))
}

// placeIn finds an Email in a list; -1 if it is not in it.
func (t *emailTable) placeIn(list []int32, id string) int {
	want, ok := mail.ParseEmailID(id)
	if !ok {
		return -1
	}
	return slices.IndexFunc(list, func(at int32) bool { return t.rows[at].id == want })
}
