package eas

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"lockstep/internal/mail"
	"lockstep/internal/message"
	"lockstep/internal/search"
	"lockstep/internal/search/kql"
	"lockstep/internal/store"
)

// Bounds on one search.
const (
	catchUpTime  = 2 * time.Second // for the index, before it is asked
	maxLeafHits  = 20_000          // of one word or phrase
	maxFound     = 2000            // messages that are looked at, the best ones
	maxScanned   = 5000            // messages of all folders that are looked at where no word is asked for
	scanPage     = 100
	maxFindRange = 99 // the last result that can be asked for

	maxSearchBytes = 4 << 20 // of bodies in one answer; the last may go beyond
)

// A finding is what Search or Find look for in the mailbox.
type finding struct {
	words         *kql.Node // nil is nothing in particular
	folders       map[mail.MailboxID]bool
	after, before time.Time     // of the internal date; zero is no bound
	thread        mail.ThreadID // 0 is any
}

// foundMail is a message that was found, where it lies.
type foundMail struct {
	placement mail.Placement
	message   mail.Message
}

// find looks for messages, the newest first. It costs one question to the index, or
// with OR one for each side, and two rows for each of the best maxFound messages;
// without words, the newest maxScanned messages. What was delivered before is found, unless the index
// needs longer than catchUpTime for it.
func (q *request) find(f finding) ([]foundMail, error) {
	if q.srv.Search == nil && len(f.words.Leaves()) > 0 {
		return nil, nil
	}
	ctx, stop := context.WithTimeout(q.ctx, 2*catchUpTime)
	defer stop()
	if q.srv.Search != nil {
		_, err := q.srv.Search.CatchUpWithin(ctx, q.account(), catchUpTime)
		if q.ctx.Err() != nil {
			return nil, q.ctx.Err()
		}
		if err != nil && !errors.Is(err, context.DeadlineExceeded) {
			q.srv.Log.WarnContext(q.ctx, "search index lags", "proto", "eas", "err", err)
		}
	}
	f.words = together(f.words)
	s := &sieve{finding: f, now: time.Now(), hits: map[*kql.Node]map[mail.MessageKey]float64{}}
	for _, leaf := range f.words.Leaves() {
		if err := q.lookUp(s, leaf); err != nil {
			return nil, err
		}
	}
	err := q.view(func(r store.Reader) error { return s.read(r) })
	slices.SortFunc(s.found, func(a, b foundMail) int {
		return cmp.Or(b.message.InternalDate.Compare(a.message.InternalDate), cmp.Compare(b.message.Key, a.message.Key))
	})
	return s.found, err
}

// together makes one leaf, with the words as its parts, of words that all have to be
// there or not to be: the index answers that in one question, and for rare words beside
// frequent ones at once.
func together(n *kql.Node) *kql.Node {
	if n == nil || n.Op != kql.And && n.Op != kql.Or && n.Op != kql.Not {
		return n
	}
	joined := &kql.Node{}
	out := &kql.Node{Op: n.Op}
	there := false
	for _, part := range n.Parts {
		if n.Op == kql.And && (isWord(part) || part.Op == kql.Not && isWord(part.Parts[0])) {
			joined.Parts = append(joined.Parts, part)
			there = there || part.Op == kql.Leaf
		} else {
			out.Parts = append(out.Parts, together(part))
		}
	}
	switch {
	case !there || len(joined.Parts) < 2:
		out.Parts = append(out.Parts, joined.Parts...)
	case len(out.Parts) == 0:
		return joined
	default:
		out.Parts = append(out.Parts, joined)
	}
	return out
}

// isWord reports whether a node is a leaf that one question to the index answers.
func isWord(n *kql.Node) bool {
	return n.Op == kql.Leaf && n.Property.IsText() && len(indexFields(n.Property)) == 1
}

// questions are what the index is asked about a leaf: any of them is enough.
func questions(leaf *kql.Node) (all []string) {
	if len(leaf.Parts) == 0 {
		for _, field := range indexFields(leaf.Property) {
			all = append(all, field+phrase(leaf.Text))
		}
		return all
	}
	var terms []string
	for _, part := range leaf.Parts {
		if part.Op == kql.Not {
			terms = append(terms, "-"+questions(part.Parts[0])[0])
		} else {
			terms = append(terms, questions(part)[0])
		}
	}
	return []string{strings.Join(terms, " ")}
}

// lookUp asks the index for a leaf.
func (q *request) lookUp(s *sieve, leaf *kql.Node) error {
	if !leaf.Property.IsText() {
		return nil
	}
	set := map[mail.MessageKey]float64{}
	for _, question := range questions(leaf) {
		hits, err := q.srv.Search.People(q.ctx, q.account(), search.ParseQuery(question), maxLeafHits)
		if err != nil && mail.KindOf(err) != mail.NotFound {
			return err
		}
		for _, h := range hits {
			set[h.Message] = max(set[h.Message], h.Score)
		}
	}
	s.hits[leaf] = set
	return nil
}

// indexFields are the operators of the index that a property is looked for with. The
// index does not tell recipients apart.
func indexFields(p kql.Property) []string {
	switch p {
	case kql.Subject:
		return []string{"subject:"}
	case kql.From:
		return []string{"from:"}
	case kql.To, kql.Cc, kql.Bcc:
		return []string{"to:"}
	case kql.Participants:
		return []string{"from:", "to:"}
	case kql.Body:
		return []string{"body:"}
	case kql.Attachment:
		return []string{"attachment:"}
	}
	return []string{""}
}

// phrase is a text as the index reads it: a row of words, of which the last may go
// on. People who search on a phone do not type to the end.
func phrase(text string) string { return `"` + strings.ReplaceAll(text, `"`, " ") + `"*` }

// A sieve decides which messages fit. Used by one search.
type sieve struct {
	finding
	now    time.Time
	hits   map[*kql.Node]map[mail.MessageKey]float64 // of the leaves that are text
	drafts map[mail.MailboxID]bool
	found  []foundMail
}

// verdict is whether a message fits, as far as is known.
type verdict int8

const (
	no verdict = iota
	perhaps
	yes
)

// judge decides about a message. With m nil only the words decide: what else a leaf
// asks is perhaps so.
func (s *sieve) judge(n *kql.Node, key mail.MessageKey, m *judged) verdict {
	if n == nil {
		return yes
	}
	switch n.Op {
	case kql.All:
		return yes
	case kql.Not:
		return yes - s.judge(n.Parts[0], key, m)
	case kql.And, kql.Or:
		v := s.judge(n.Parts[0], key, m)
		for _, part := range n.Parts[1:] {
			if w := s.judge(part, key, m); n.Op == kql.And {
				v = min(v, w)
			} else {
				v = max(v, w)
			}
		}
		return v
	}
	if set, ok := s.hits[n]; ok {
		if _, hit := set[key]; hit {
			return yes
		}
		return no
	}
	if m == nil {
		return perhaps
	}
	return m.fits(n, s.now)
}

// judged is a message of which everything is known.
type judged struct {
	foundMail
	attached bool
}

// fits decides about a leaf that is not text. One that makes no sense fits nothing.
func (m *judged) fits(n *kql.Node, now time.Time) verdict {
	var is bool
	switch n.Property {
	case kql.Received, kql.Sent:
		at := m.message.InternalDate
		if n.Property == kql.Sent && !m.message.SentAt.IsZero() {
			at = m.message.SentAt
		}
		from, until, ok := n.Dates(now.UTC())
		inside := (from.IsZero() || !at.Before(from)) && (until.IsZero() || at.Before(until))
		return verdictOf(ok && inside != (n.Compare == "<>"))
	case kql.HasAttachment:
		is = m.attached
	case kql.IsRead:
		is = m.placement.Flags.Has(mail.Seen)
	case kql.IsFlagged:
		is = m.placement.Flags.Has(mail.Flagged)
	}
	want, ok := n.Truth()
	return verdictOf(ok && is == want)
}

func verdictOf(is bool) verdict {
	if is {
		return yes
	}
	return no
}

// read finds the messages that fit on a snapshot.
func (s *sieve) read(r store.Reader) error {
	s.found = nil
	all, err := r.Mailboxes()
	if err != nil {
		return err
	}
	s.drafts = map[mail.MailboxID]bool{}
	for _, mb := range all {
		s.drafts[mb.ID] = mb.Role == mail.RoleDrafts
	}
	switch {
	case s.thread != 0:
		keys, err := r.Thread(s.thread)
		if err != nil && mail.KindOf(err) != mail.NotFound {
			return err
		}
		return s.takeAll(r, keys[max(len(keys)-maxFound, 0):])
	case s.judgeNothing() == no:
		return s.takeAll(r, s.best())
	}
	return s.scan(r, all)
}

// judgeNothing is what becomes of a message in which no word was found.
func (s *sieve) judgeNothing() verdict { return s.judge(s.words, 0, nil) }

// best are the messages that may fit, by how well their words do.
func (s *sieve) best() []mail.MessageKey {
	scores := map[mail.MessageKey]float64{}
	for _, set := range s.hits {
		for key, score := range set {
			scores[key] += score
		}
	}
	var keys []mail.MessageKey
	for key := range scores {
		if s.judge(s.words, key, nil) != no {
			keys = append(keys, key)
		}
	}
	slices.SortFunc(keys, func(a, b mail.MessageKey) int {
		return cmp.Or(cmp.Compare(scores[b], scores[a]), cmp.Compare(b, a))
	})
	return keys[:min(len(keys), maxFound)]
}

func (s *sieve) takeAll(r store.Reader, keys []mail.MessageKey) error {
	for _, key := range keys {
		places, err := r.PlacementsOf(key)
		if err != nil {
			return err
		}
		for _, p := range places {
			took, err := s.take(r, p)
			if err != nil {
				return err
			}
			if took {
				break // a message is found once, wherever it lies
			}
		}
	}
	return nil
}

// scan looks at the newest messages of the folders, page by page where the newest is.
func (s *sieve) scan(r store.Reader, all []mail.Mailbox) error {
	var open []*scanner
	for _, mb := range all {
		if s.folders == nil || s.folders[mb.ID] {
			open = append(open, &scanner{query: store.DateQuery{Mailbox: mb.ID, Since: s.after, Limit: scanPage}})
		}
	}
	seen := map[mail.MessageKey]bool{}
	for looked := 0; looked < maxScanned; {
		for _, c := range open {
			if err := c.fill(r); err != nil {
				return err
			}
		}
		open = slices.DeleteFunc(open, func(c *scanner) bool { return len(c.page) == 0 })
		if len(open) == 0 {
			return nil
		}
		c := slices.MaxFunc(open, func(a, b *scanner) int { return a.page[0].Compare(b.page[0]) })
		if err := s.takePage(r, c.query.Mailbox, c.page, seen); err != nil {
			return err
		}
		looked += len(c.page)
		c.page = nil
	}
	return nil
}

// A scanner is how far a scan got in one folder.
type scanner struct {
	query store.DateQuery
	page  []mail.Dated // not looked at yet
	ended bool
}

func (c *scanner) fill(r store.Reader) (err error) {
	if c.ended || len(c.page) > 0 {
		return nil
	}
	c.page, err = r.ByDate(c.query)
	if n := len(c.page); n > 0 {
		c.query.Before = c.page[n-1]
	}
	c.ended = len(c.page) < c.query.Limit
	return err
}

func (s *sieve) takePage(r store.Reader, mb mail.MailboxID, page []mail.Dated, seen map[mail.MessageKey]bool) error {
	var uids mail.UIDSet
	for _, d := range page {
		if s.before.IsZero() || d.Date.Before(s.before) {
			uids.Add(d.UID)
		}
	}
	if len(uids) == 0 {
		return nil
	}
	var places []mail.Placement
	err := r.Placements(store.PlacementQuery{Mailbox: mb, UIDs: uids}, func(p *mail.Placement) error {
		places = append(places, *p)
		return nil
	})
	for _, p := range places {
		if err != nil || seen[p.Message] {
			continue
		}
		var took bool
		took, err = s.take(r, p)
		seen[p.Message] = took
	}
	return err
}

// take adds a placement if it fits and devices are shown it.
func (s *sieve) take(r store.Reader, p mail.Placement) (bool, error) {
	if s.folders != nil && !s.folders[p.Mailbox] || p.Flags.Has(mail.Deleted) || s.judge(s.words, p.Message, nil) == no {
		return false, nil
	}
	if s.drafts[p.Mailbox] {
		shown, err := placementOfLine(r, p.Mailbox, p.Lineage.Line())
		if err != nil || shown.UID != p.UID {
			return false, err // an earlier version
		}
	}
	m, err := r.Message(p.Message)
	if err != nil {
		return false, err
	}
	j := judged{foundMail: foundMail{p, m}}
	if !s.after.IsZero() && !m.InternalDate.After(s.after) || !s.before.IsZero() && !m.InternalDate.Before(s.before) {
		return false, nil
	}
	if s.asks(kql.HasAttachment) {
		parsed, err := message.Decode(m.Parsed)
		if err != nil {
			return false, err
		}
		j.attached = parsed.HasAttachment
	}
	if s.judge(s.words, p.Message, &j) != yes {
		return false, nil
	}
	s.found = append(s.found, j.foundMail)
	return true, nil
}

func (s *sieve) asks(p kql.Property) bool {
	return slices.ContainsFunc(s.words.Leaves(), func(n *kql.Node) bool { return n.Property == p })
}
