package imap

import (
	"cmp"
	"context"
	"slices"
	"strconv"

	"lockstep/internal/imap/index"
	"lockstep/internal/imap/wire"
	"lockstep/internal/mail"
	"lockstep/internal/message"
	"lockstep/internal/message/threads"
)

// sort serves SORT and UID SORT (RFC 5256 §3, RFC 5267 §3, RFC 5957). The rows of
// what is found are read once, whatever the criteria.
func (s *session) sort(ctx context.Context, cmd *wire.Sort, r *reply) error {
	q := newQuery(cmd.Program, cmd.Return, cmd.UID, r.tag)
	if err := s.begin(q); err != nil {
		return err
	}
	byRelevancy := slices.ContainsFunc(cmd.Criteria, func(c wire.SortCriterion) bool { return c.Key == wire.SortRelevancy })
	if byRelevancy && !traitsOf(q.Key).fuzzy {
		return errRelevancy
	}
	m := s.srv.mayHold()
	defer m.release()
	o, err := s.newSorter(s.sel, cmd.Criteria, s.collation(), m)
	if err != nil {
		return err
	}
	return s.answer(ctx, "SORT", q, o)
}

// threadAlgorithms are what package threads calls them.
var threadAlgorithms = map[wire.ThreadAlgorithm]threads.Algorithm{
	wire.ThreadOrderedSubject: threads.OrderedSubject,
	wire.ThreadReferences:     threads.References,
	wire.ThreadRefs:           threads.Refs,
}

// thread serves THREAD and UID THREAD (RFC 5256 §3, draft-ietf-morg-inthread §4).
func (s *session) thread(ctx context.Context, cmd *wire.Thread, r *reply) error {
	q := newQuery(cmd.Program, nil, cmd.UID, r.tag)
	if err := s.begin(q); err != nil {
		return err
	}
	m := s.srv.mayHold()
	defer m.release()
	t := newThreader(s.sel, threadAlgorithms[cmd.Algorithm], s.collation(), m)
	x := s.newSearcher(s.sel, q.Key)
	x.tag, x.keeper = q.tag, t
	if err := x.run(ctx, nil); err != nil {
		return err
	}
	s.sayThreads(t.builder.Build(), cmd.UID)
	return s.enc.Err()
}

// threader hands messages to a Builder in the order of the mailbox. What a thread
// depends on is remembered beside the index of the mailbox, as a sorter's keys are;
// from the first message on of which it is not, all are read.
type threader struct {
	builder *threads.Builder
	by      *collation // of subjects
	memory  *allowance
	view    *index.Version
	texts   *index.Texts
	reading bool
	waiting []threads.Message // of one chunk, whose order is not certain
}

func newThreader(sel *selection, a threads.Algorithm, by *collation, m *allowance) *threader {
	return &threader{builder: threads.NewBuilder(a), by: by, memory: m, view: sel.view, texts: sel.box.Texts(sel.view, "THREAD "+by.name)}
}

func (t *threader) known(entries []index.Entry) (missing mail.UIDSet, err error) {
	texts := make([][]byte, len(entries))
	if !t.reading {
		t.texts.Look(entries, texts)
	}
	for i, e := range entries {
		if t.reading = t.reading || texts[i] == nil; t.reading {
			missing.Add(e.UID)
		} else {
			t.waiting = append(t.waiting, readThreadText(e.UID, texts[i]))
		}
	}
	return missing, t.build()
}

func (t *threader) passOver() { t.reading = true }

func (t *threader) add(p *mail.Placement, m *mail.Message) error {
	s, err := message.DecodeSummary(m.Parsed)
	if err != nil {
		s = message.Summary{} // a damaged row is a thread of its own
	}
	t.waiting = append(t.waiting, threads.Message{
		Number: uint32(p.UID), ID: s.ID, Ancestry: s.Ancestry, Subject: t.by.fold(nil, []byte(s.BaseSubject)), IsReply: s.IsReply,
		SentAt: sentAt(m).Unix(), Arrived: m.InternalDate.Unix(),
	})
	return nil
}

// flush has what was read remembered, and hands it on.
func (t *threader) flush() error {
	slices.SortFunc(t.waiting, func(a, b threads.Message) int { return cmp.Compare(a.Number, b.Number) })
	entries, texts := make([]index.Entry, 0, len(t.waiting)), make([][]byte, 0, len(t.waiting))
	for i := range t.waiting {
		if e, ok := t.view.Find(mail.UID(t.waiting[i].Number)); ok {
			entries, texts = append(entries, e), append(texts, appendThreadText(nil, &t.waiting[i]))
		}
	}
	t.texts.Keep(entries, texts)
	return t.build()
}

// build hands on what waits.
func (t *threader) build() error {
	before := t.builder.Size()
	for _, m := range t.waiting {
		if err := t.builder.Add(m); err != nil {
			return err
		}
	}
	t.waiting = t.waiting[:0]
	return t.memory.take(t.builder.Size() - before)
}

// sayThreads writes THREAD (RFC 5256 §4).
func (s *session) sayThreads(f *threads.Forest, byUID bool) {
	out := s.enc.Star().Atom("THREAD")
	if len(f.Roots()) > 0 {
		out.Append(func(b []byte) []byte {
			for _, root := range f.Roots() {
				b = s.appendThread(b, f, root, byUID)
			}
			return b
		})
	}
	out.End()
}

// appendThread appends thread-list. Threads may be as deep as there are messages,
// so what is still to come is kept in a list, in which endThread closes a parenthesis.
func (s *session) appendThread(b []byte, f *threads.Forest, root threads.Node, byUID bool) []byte {
	todo := []threads.Node{root}
	for len(todo) > 0 {
		n := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		if n == endThread {
			b = append(b, ')')
			continue
		}
		b = append(b, '(')
		todo = append(todo, endThread)
		kids := f.Children(n)
		for {
			if number := f.Number(n); number != 0 {
				b = strconv.AppendUint(b, s.threadNumber(number, byUID), 10)
			}
			if len(kids) != 1 {
				break
			}
			b = append(b, ' ')
			n = kids[0]
			kids = f.Children(n)
		}
		if len(kids) > 0 && f.Number(n) != 0 {
			b = append(b, ' ')
		}
		for _, k := range slices.Backward(kids) {
			todo = append(todo, k)
		}
	}
	return b
}

const endThread threads.Node = -1

func (s *session) threadNumber(uid uint32, byUID bool) uint64 {
	if byUID {
		return uint64(uid)
	}
	return uint64(seqOf(s.sel.view, mail.UID(uid)))
}
