package jmap

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"lockstep/internal/mail"
	"lockstep/internal/store"
)

// quotaURN is the capability of quotas (RFC 9425).
const quotaURN = "urn:ietf:params:jmap:quota"

// The quotas of an account: the bytes of its mail, if they have a bound, and how many
// mailboxes it can have.
const (
	octetsQuota    = "octets"
	mailboxesQuota = "mailboxes"
)

var quotaProperties = []string{"id", "resourceType", "used", "hardLimit", "warnLimit", "softLimit", "scope", "name", "description", "types"}

// quotas are what an account has of what it may have. A state says the same in few
// words, so that what changed can be told from any.
type quotas struct{ used, limit, mailboxes int64 }

func readQuotas(r store.Reader) (q quotas, err error) {
	acct, err := r.Account()
	if err != nil {
		return q, err
	}
	boxes, err := r.Mailboxes()
	return quotas{acct.Used, acct.Quota, int64(len(boxes))}, err
}

// state is how a state is spelled.
func (q quotas) state() string { return fmt.Sprintf("%d-%d-%d", q.used, q.limit, q.mailboxes) }

func parseQuotas(state string) (q quotas, ok bool) {
	n, err := fmt.Sscanf(state, "%d-%d-%d", &q.used, &q.limit, &q.mailboxes)
	return q, err == nil && n == 3 && q.state() == state
}

// has reports whether there is a quota of that name.
func (q quotas) has(id string) bool {
	return id == mailboxesQuota || id == octetsQuota && q.limit > 0
}

// ids are those there are, in order of their names.
func (q quotas) ids() []string {
	return slices.DeleteFunc([]string{mailboxesQuota, octetsQuota}, func(id string) bool { return !q.has(id) })
}

// usedOf is how much of a quota is used, and how much it allows.
func (q quotas) usedOf(id string) (used, limit int64) {
	if id == octetsQuota {
		return q.used, q.limit
	}
	return q.mailboxes, mail.MaxMailboxes
}

// quotaWords are what people call them, and what they count.
var quotaWords = map[string]struct{ name, resource, description, typeName string }{
	octetsQuota:    {"Storage", "octets", "The bytes of all mail. A message in several mailboxes counts once.", "Email"},
	mailboxesQuota: {"Mailboxes", "count", "How many mailboxes there are.", "Mailbox"},
}

// object is a quota as JMAP shows it (RFC 9425 §4). Who has used nine tenths is warned.
func (q quotas) object(id string) object {
	used, limit := q.usedOf(id)
	words := quotaWords[id]
	return object{
		"id": id, "resourceType": words.resource, "used": used, "hardLimit": limit, "warnLimit": limit / 10 * 9, "softLimit": nil,
		"scope": "account", "name": words.name, "description": words.description, "types": []string{words.typeName},
	}
}

// quotaGet is Quota/get (RFC 9425 §4.2). It costs the row of the account, and those of
// its mailboxes.
func quotaGet(ctx context.Context, c *call, a *getArguments) error {
	account, err := c.account(a.AccountID)
	if err != nil {
		return err
	}
	wanted, all, err := c.wantedIDs(a.IDs)
	if err != nil {
		return err
	}
	properties, err := wantedProperties(a.Properties, quotaProperties, quotaProperties)
	if err != nil {
		return err
	}
	q, err := c.quotas(ctx, account)
	if err != nil {
		return err
	}
	if all {
		wanted = q.ids()
	}
	out := newGetAnswer(a.AccountID)
	out.State = q.state()
	for _, id := range wanted {
		if !q.has(id) {
			out.NotFound = append(out.NotFound, id)
			continue
		}
		out.List = append(out.List, q.object(id).only(properties))
	}
	return c.answer(out)
}

func (c *call) quotas(ctx context.Context, account mail.AccountID) (q quotas, err error) {
	err = c.srv.Store.View(ctx, account, func(r store.Reader) (err error) {
		q, err = readQuotas(r)
		return err
	})
	return q, err
}

// quotaChangesAnswer is what Quota/changes answers (RFC 9425 §4.3).
type quotaChangesAnswer struct {
	changesAnswer
	UpdatedProperties []string `json:"updatedProperties"` // null: any
}

// quotaChanges is Quota/changes.
func quotaChanges(ctx context.Context, c *call, a *changesArguments) error {
	account, err := c.account(a.AccountID)
	if err != nil {
		return err
	}
	if a.MaxChanges != nil && *a.MaxChanges <= 0 {
		return invalidArguments("maxChanges is greater than 0", "maxChanges")
	}
	was, ok := parseQuotas(a.SinceState)
	if !ok {
		return refused("cannotCalculateChanges", "sinceState is no state of this server; start over with a get")
	}
	is, err := c.quotas(ctx, account)
	if err != nil {
		return err
	}
	out := &quotaChangesAnswer{changesAnswer: changesAnswer{AccountID: a.AccountID, OldState: a.SinceState, Created: []string{}, Updated: []string{}, Destroyed: []string{}}}
	left := int64(len(quotaWords))
	if a.MaxChanges != nil {
		left = *a.MaxChanges
	}
	onlyUsed := true
	at := was // what the client knows after this answer
	for _, id := range []string{mailboxesQuota, octetsQuota} {
		if !differ(was, is, id) {
			continue
		}
		if left--; left < 0 {
			out.HasMoreChanges = true
			break
		}
		switch {
		case !was.has(id):
			out.Created = append(out.Created, id)
		case !is.has(id):
			out.Destroyed = append(out.Destroyed, id)
		default:
			out.Updated = append(out.Updated, id)
			_, limit := was.usedOf(id)
			_, now := is.usedOf(id)
			onlyUsed = onlyUsed && limit == now
		}
		at.take(is, id)
	}
	if !out.HasMoreChanges {
		at = is
	}
	if out.NewState = at.state(); onlyUsed && len(out.Updated) > 0 {
		out.UpdatedProperties = []string{"used"}
	}
	return c.answer(out)
}

// differ reports whether a quota is another than it was.
func differ(a, b quotas, id string) bool {
	if a.has(id) != b.has(id) {
		return true
	}
	usedA, limitA := a.usedOf(id)
	usedB, limitB := b.usedOf(id)
	return a.has(id) && (usedA != usedB || limitA != limitB)
}

// take makes one quota what it is in another.
func (q *quotas) take(from quotas, id string) {
	if id == octetsQuota {
		q.used, q.limit = from.used, from.limit
		return
	}
	q.mailboxes = from.mailboxes
}

// quotaCondition is what Quota/query filters by (RFC 9425 §4.4.1).
type quotaCondition struct {
	Name         *string `json:"name"`
	Scope        *string `json:"scope"`
	ResourceType *string `json:"resourceType"`
	Type         *string `json:"type"`
}

// matches reports whether a quota is as the condition says.
func (f *quotaCondition) matches(id string) bool {
	is := func(want *string, is string) bool { return want == nil || *want == is }
	words := quotaWords[id]
	return (f.Name == nil || strings.Contains(strings.ToLower(words.name), strings.ToLower(*f.Name))) &&
		is(f.Scope, "account") && is(f.ResourceType, words.resource) && is(f.Type, words.typeName)
}

// quotaQuery is Quota/query (RFC 9425 §4.4).
func quotaQuery(ctx context.Context, c *call, a *queryArguments) error {
	account, err := c.account(a.AccountID)
	if err != nil {
		return err
	}
	if err := a.check(); err != nil {
		return err
	}
	q, err := c.quotas(ctx, account)
	if err != nil {
		return err
	}
	ids, err := q.query(a.Filter, a.Sort)
	if err != nil {
		return err
	}
	out := &queryAnswer{AccountID: a.AccountID, QueryState: q.state(), CanCalculateChanges: true}
	if err := a.window(ids, out); err != nil {
		return err
	}
	return c.answer(out)
}

// query lists the quotas that a filter lets through, in order.
func (q quotas) query(filter json.RawMessage, sort []comparator) ([]string, error) {
	f, err := parseFilter[quotaCondition](filter)
	if err != nil {
		return nil, err
	}
	for _, c := range sort {
		if c.Property != "name" && c.Property != "used" {
			return nil, refused("unsupportedSort", "quotas are sorted by name and used")
		}
	}
	ids := slices.DeleteFunc(q.ids(), func(id string) bool {
		return !f.matches(func(c *quotaCondition) bool { return c.matches(id) })
	})
	slices.SortStableFunc(ids, func(a, b string) int {
		for _, c := range sort {
			usedA, _ := q.usedOf(a)
			usedB, _ := q.usedOf(b)
			n := cmp.Compare(usedA, usedB)
			if c.Property == "name" {
				n = strings.Compare(quotaWords[a].name, quotaWords[b].name)
			}
			if !c.ascending() {
				n = -n
			}
			if n != 0 {
				return n
			}
		}
		return 0
	})
	return ids, nil
}

// quotaQueryChanges is Quota/queryChanges (RFC 9425 §4.5). The old state says what the
// list was then.
func quotaQueryChanges(ctx context.Context, c *call, a *queryChangesArguments) error {
	account, err := c.account(a.AccountID)
	if err != nil {
		return err
	}
	if err := a.check(); err != nil {
		return err
	}
	was, ok := parseQuotas(a.SinceQueryState)
	if !ok {
		return noQueryState()
	}
	is, err := c.quotas(ctx, account)
	if err != nil {
		return err
	}
	before, err := was.query(a.Filter, a.Sort)
	if err != nil {
		return err
	}
	now, err := is.query(a.Filter, a.Sort)
	if err != nil {
		return err
	}
	out := a.answer()
	out.NewQueryState = is.state()
	if a.CalculateTotal {
		total := int64(len(now))
		out.Total = &total
	}
	if !slices.Equal(before, now) {
		out.Removed = append(out.Removed, before...)
		for i, id := range now {
			out.Added = append(out.Added, addedItem{id, int64(i)})
		}
	}
	if err := a.bounded(out); err != nil {
		return err
	}
	return c.answer(out)
}
