package imap

import (
	"context"

	"lockstep/internal/imap/index"
	"lockstep/internal/mail"
	"lockstep/internal/search"
)

// Searcher knows what messages say, as far as it has got. What it does not know of
// is read.
type Searcher interface {
	// Exact decides for those of the messages that it can, as reading them would.
	Exact(ctx context.Context, a mail.AccountID, q search.Question, keys []mail.MessageKey) (search.Answers, error)
	// Fuzzy rates those of the messages that it can by the words of a text.
	Fuzzy(ctx context.Context, a mail.AccountID, q search.Wish, keys []mail.MessageKey) (search.Scores, error)
}

// texts is what an index of texts knows of some messages. It is asked once for
// each key of a search, when the first message comes that needs the answer.
type texts struct {
	ctx     context.Context
	srv     *Server
	account mail.AccountID    // whose mail it is
	others  bool              // it is another's than the user's
	keys    []mail.MessageKey // sorted by UID
	answers map[*search.Question]search.Answers
	scores  map[*search.Wish]search.Scores
	err     error
}

// answer says whether a message matches, if that is known.
func (t *texts) answer(q *search.Question, k mail.MessageKey) (match, sure bool) {
	if t == nil || t.err != nil {
		return false, false
	}
	all, asked := t.answers[q]
	if !asked {
		all, t.err = t.srv.Search.Exact(t.ctx, t.account, *q, t.keys)
		t.answers[q] = all
	}
	match, sure = all[k]
	return match, sure
}

// envelopeParts are the fields of wire.EnvelopeKey.
var envelopeParts = map[string]search.Part{"SUBJECT": search.Subject, "FROM": search.From, "TO": search.To, "CC": search.Cc, "BCC": search.Bcc}

// onText is a test that an index of texts may answer; otherwise it is t.
func onText(part search.Part, n needle, t test) test {
	if len(n.text) == 0 { // is in everything
		return t
	}
	q := &search.Question{Part: part, Needle: n.mapped}
	return func(c *candidate) verdict {
		if match, sure := c.texts.answer(q, c.message); sure && (n.isMapped() || !match) {
			return verdictOf(match)
		}
		return t(c)
	}
}

// onHeader is onText for the fields of a name.
func onHeader(name string, n needle, t test) test {
	if !mail.IsASCII(name) { // which no field has
		return t
	}
	q := &search.Question{Part: search.Header, Field: collations[0].needle(name).text, Needle: n.mapped}
	return func(c *candidate) verdict {
		if match, sure := c.texts.answer(q, c.message); sure && (n.isMapped() || !match) {
			return verdictOf(match)
		}
		return t(c)
	}
}

// askTexts decides by an index of texts what that can decide, and returns the rest.
func (x *searcher) askTexts(ctx context.Context, uids mail.UIDSet) (rest mail.UIDSet, err error) {
	if x.texts = nil; x.srv.Search == nil || !x.hasText || len(uids) == 0 {
		return uids, nil
	}
	if x.sock.hurry.Load() {
		return nil, errHangup
	}
	x.texts = &texts{ctx: ctx, srv: x.srv, account: x.sel.at.account, others: x.sel.at.account != x.user.Account(),
		answers: map[*search.Question]search.Answers{}, scores: map[*search.Wish]search.Scores{}}
	var there []index.Entry
	if there, x.texts.keys, err = x.keysOf(ctx, uids); err != nil {
		return nil, err
	}
	var decided mail.UIDSet
	c := new(candidate)
	for i, e := range there {
		*c = candidate{entry: e, flags: x.view.Flags(e), message: x.texts.keys[i], texts: x.texts}
		v := x.test(c)
		x.rate(v, c)
		switch {
		case v == no:
			decided.Add(e.UID)
		case v == yes && x.keeper == nil:
			x.found.Add(e.UID)
			decided.Add(e.UID)
		}
	}
	return without(uids, decided), x.texts.err
}

// without is a but for what is in b.
func without(a, b mail.UIDSet) mail.UIDSet {
	var out mail.UIDSet
	for _, r := range a {
		next := uint64(r.First)
		for len(b) > 0 && uint64(b[0].Last) < next {
			b = b[1:]
		}
		for i := 0; i < len(b) && b[i].First <= r.Last; i++ {
			if uint64(b[i].First) > next {
				out.AddRange(mail.UID(next), b[i].First-1)
			}
			next = uint64(b[i].Last) + 1
		}
		if next <= uint64(r.Last) {
			out.AddRange(mail.UID(next), r.Last)
		}
	}
	return out
}
