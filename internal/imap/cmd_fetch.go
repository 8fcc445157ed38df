package imap

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"lockstep/internal/imap/index"
	"lockstep/internal/imap/wire"
	"lockstep/internal/mail"
	"lockstep/internal/message"
	"lockstep/internal/store"
)

// fetchPlan is what a FETCH asks for, and what it takes to answer.
type fetchPlan struct {
	items     []wire.FetchItem
	rows      bool // the message's row; else the index is enough
	envelope  bool // shown
	shape     bool // of the message, shown
	structure bool // the parsed message, for sections
	body      bool // bytes of the message
	streams   bool // they may be many, and are not remembered
	whole     bool // nothing but whole messages, or the index, is asked for
	unshown   bool // rows need more than what never changes and is shown
	sections  int
	seen      bool // it sets \Seen

	annotations bool
}

func (s *session) planFetch(cmd *wire.Fetch) *fetchPlan {
	p := &fetchPlan{items: cmd.Items}
	if cmd.UID && !s.uidOnly && !p.has(wire.FetchUID) {
		p.items = append([]wire.FetchItem{{Kind: wire.FetchUID}}, p.items...)
	}
	// Where CONDSTORE is enabled flags come with their MODSEQ, and with QRESYNC all
	// that UID FETCH says does (RFC 7162 §3.1, §3.2.4).
	due := s.condstore && p.has(wire.FetchFlags) || s.qresync && cmd.UID
	if (due || cmd.ChangedSince != nil) && !p.has(wire.FetchModSeq) {
		p.items = append(p.items, wire.FetchItem{Kind: wire.FetchModSeq})
	}
	for _, item := range p.items {
		p.weigh(item)
	}
	if p.annotations && !s.uidOnly && !p.has(wire.FetchUID) { // a message may have none of those asked for
		p.items = append([]wire.FetchItem{{Kind: wire.FetchUID}}, p.items...)
	}
	p.seen = p.seen && !s.sel.readOnly && s.sel.view.Rights.Has(mail.MaySee)
	p.whole = !slices.ContainsFunc(p.items, func(i wire.FetchItem) bool { return !isNarrow(i) && !isWhole(i) })
	return p
}

// isNarrow reports whether the index knows an item.
func isNarrow(i wire.FetchItem) bool {
	return i.Kind == wire.FetchUID || i.Kind == wire.FetchFlags || i.Kind == wire.FetchModSeq
}

// isWhole reports whether an item is bytes of the message for which its structure
// is not needed.
func isWhole(i wire.FetchItem) bool {
	return i.Kind == wire.FetchRFC822 || i.Kind == wire.FetchSection && len(i.Section.Part) == 0 && i.Section.Text == wire.SectionAll
}

func (p *fetchPlan) has(k wire.FetchKind) bool {
	return slices.ContainsFunc(p.items, func(i wire.FetchItem) bool { return i.Kind == k })
}

func (p *fetchPlan) weigh(item wire.FetchItem) {
	switch item.Kind {
	case wire.FetchUID, wire.FetchFlags, wire.FetchModSeq:
		return
	case wire.FetchSection, wire.FetchBinary, wire.FetchBinarySize:
		p.body = true
		p.streams = p.streams || !isText(item)
		p.sections++
		p.structure = p.structure || len(item.Section.Part) > 0 || item.Section.Text != wire.SectionAll
		p.seen = p.seen || !item.Peek && item.Kind != wire.FetchBinarySize
	case wire.FetchAnnotation:
		p.annotations, p.streams = true, true
	case wire.FetchEnvelope:
		p.envelope = true
	case wire.FetchBody, wire.FetchBodyStructure:
		p.shape = true
	case wire.FetchRFC822Header:
		p.body, p.streams, p.structure = true, true, true
	case wire.FetchRFC822:
		p.body, p.streams, p.seen = true, true, true
	case wire.FetchRFC822Text:
		p.body, p.streams, p.structure, p.seen = true, true, true, true
	}
	p.rows = true
	switch item.Kind {
	case wire.FetchInternalDate, wire.FetchEmailID, wire.FetchThreadID, wire.FetchPreview:
		p.unshown = true
	}
}

// fetch serves FETCH and UID FETCH (RFC 9051 §6.4.5, RFC 7162 §3.1.4, §3.2.6). It
// first tells what changed, so that it answers with what holds now.
func (s *session) fetch(ctx context.Context, cmd *wire.Fetch, r *reply) error {
	if cmd.Vanished && !s.qresync {
		return errBad("VANISHED needs QRESYNC to be enabled")
	}
	plan := s.planFetch(cmd)
	if plan.sections > maxSections {
		return errNo("LIMIT", fmt.Sprintf("A FETCH may name at most %d pieces of a message", maxSections))
	}
	for _, item := range plan.items {
		if item.Kind == wire.FetchAnnotation {
			if err := checkAnnotationItem(item); err != nil {
				return err
			}
		}
	}
	if plan.has(wire.FetchModSeq) {
		s.beginCondstore()
	}
	if err := s.tell(0, cmd.UID); err != nil {
		return err
	}
	uids, err := s.uids(cmd.Set, cmd.UID)
	if err != nil {
		return err
	}
	if cmd.Partial != nil { // of those that are there, before CHANGEDSINCE picks (RFC 9394 §3.4)
		uids = finding{set: uids}.part(*cmd.Partial).set
	}
	if cmd.Vanished {
		if err := s.vanishedEarlier(ctx, cmd.Set.UIDs(s.sel.view.UIDNext-1), *cmd.ChangedSince); err != nil {
			return err
		}
	}
	if cmd.ChangedSince != nil {
		uids = changedSince(s.sel.view, uids, *cmd.ChangedSince)
	}
	uids = s.upTo(uids, r)
	f := &fetcher{session: s, sel: s.sel, plan: plan, view: s.sel.view, act: s.newAct()}
	err = f.answer(ctx, uids)
	r.told = f.act.last
	return err
}

// answer says what the plan asks for.
func (f *fetcher) answer(ctx context.Context, uids mail.UIDSet) (err error) {
	switch {
	case f.plan.streams:
		err = f.bodies(ctx, uids)
	case f.plan.rows:
		err = f.texts(ctx, uids)
	default:
		err = f.fromIndex(uids)
	}
	if err == nil {
		err = f.trouble
	}
	return err
}

func changedSince(v *index.Version, uids mail.UIDSet, n mail.ModSeq) mail.UIDSet {
	var out mail.UIDSet
	for _, r := range uids {
		lo, hi := v.Seqs(r.First, r.Last)
		for _, e := range v.Range(lo, hi) {
			if e.ModSeq > n {
				out.Add(e.UID)
			}
		}
	}
	return out
}

// fetcher answers one FETCH out of one view of the mailbox.
type fetcher struct {
	*session
	sel     *selection // which is not the session's in a search of several mailboxes
	plan    *fetchPlan
	view    *index.Version
	act     *act
	notes   map[mail.UID][]mail.Annotation // of the messages being said
	trouble error                          // of single messages, said when the others have been answered
}

// fromIndex answers what needs no SQL. Of large mailboxes that is a hundred thousand
// lines at once, which are appended without asking each time what comes.
func (f *fetcher) fromIndex(uids mail.UIDSet) error {
	n := f.narrow()
	for _, r := range uids {
		lo, hi := f.view.Seqs(r.First, r.Last)
		for seq, e := range f.view.Range(lo, hi) {
			f.enc.Line(func(b []byte) []byte { return n.append(b, seq, e) })
		}
	}
	return f.enc.Err()
}

// sayNarrow writes an item that the index knows; false if it does not.
func (f *fetcher) sayNarrow(out *wire.Encoder, item *wire.FetchItem, e index.Entry) bool {
	switch item.Kind {
	case wire.FetchUID:
		out.Atom("UID").Number(uint64(e.UID))
	case wire.FetchFlags:
		f.appendFlagsTo(out.Atom("FLAGS"), e)
	case wire.FetchModSeq:
		out.Atom("MODSEQ").Open().Number(uint64(e.ModSeq)).Close()
	default:
		return false
	}
	return true
}

// appendFlagsTo writes the flags of a message of the view.
func (s *session) appendFlagsTo(out *wire.Encoder, e index.Entry) {
	out.Open()
	if text := s.sel.view.FlagText(e); text != "" {
		out.Atom(text)
	}
	if !s.rev2 && s.sel.recent.Contains(e.UID) {
		out.Atom(`\Recent`)
	}
	out.Close()
}

// errFull ends a View early: enough was gathered.
var errFull = errors.New("enough for one view")

// viewRows calls fn with the messages of a set, located for who wants to open
// their blobs, and returns those it did not come
// to because fn had enough. Messages that have gone, but that the client was not
// told of, come as they were.
func (f *fetcher) viewRows(ctx context.Context, uids mail.UIDSet, located bool, fn func(*mail.Placement, *mail.Message) error) (rest mail.UIDSet, err error) {
	if f.sock.hurry.Load() {
		return nil, errHangup
	}
	err = f.viewAt(ctx, f.sel.at, func(r store.Reader) error {
		var last mail.UID
		there := uint64(0)
		err := r.Messages(store.PlacementQuery{Mailbox: f.sel.id, UIDs: uids, Located: located, Shown: f.plan != nil && !f.plan.unshown}, func(p *mail.Placement, m *mail.Message) error {
			last = p.UID
			there++
			return fn(p, m)
		})
		met := uids
		if errors.Is(err, errFull) {
			met, rest, err = upTo(uids, last), after(uids, last), nil
		}
		if err != nil || there == met.Count() {
			return err
		}
		return f.departed(r, met, fn)
	})
	return rest, err
}

func upTo(uids mail.UIDSet, last mail.UID) mail.UIDSet {
	return common(uids, mail.UIDSet{{First: 1, Last: last}})
}

func after(uids mail.UIDSet, last mail.UID) mail.UIDSet {
	if last == 1<<32-1 {
		return nil
	}
	return common(uids, mail.UIDSet{{First: last + 1, Last: 1<<32 - 1}})
}

// departed calls fn with those messages of a set that have gone.
func (f *fetcher) departed(r store.Reader, uids mail.UIDSet, fn func(*mail.Placement, *mail.Message) error) error {
	var here mail.UIDSet
	err := r.Placements(store.PlacementQuery{Mailbox: f.sel.id, UIDs: uids}, func(p *mail.Placement) error {
		here.Add(p.UID)
		return nil
	})
	if err != nil {
		return err
	}
	for uid := range uids.All() {
		if here.Contains(uid) {
			continue
		}
		p, err := r.Departed(f.sel.id, uid)
		if err == nil {
			var m mail.Message
			if m, err = r.Message(p.Message); err == nil {
				err = fn(&p, &m)
			}
		}
		switch {
		case err == nil, errors.Is(err, errFull): // there are few: they all go into this view
		case mail.KindOf(err) == mail.NotFound:
			f.trouble = errExpunged
		default:
			return err
		}
	}
	return nil
}

// rowWriter writes items of one message.
type rowWriter struct {
	f      *fetcher
	p      *mail.Placement
	m      *mail.Message
	env    *message.Envelope
	parsed *message.Message // when it was needed
}

// decode reads what is to be shown, before a word is said: a damaged row then is
// left out, and holds up no other.
func (w *rowWriter) decode() error {
	if w.f.plan.shape {
		_, err := w.parse()
		return err
	}
	if !w.f.plan.envelope {
		return nil
	}
	v, err := message.DecodeEnvelope(w.m.Parsed)
	w.env = &v
	return err
}

func (w *rowWriter) parse() (*message.Message, error) {
	if w.parsed != nil {
		return w.parsed, nil
	}
	var err error
	w.parsed, err = message.Decode(w.m.Parsed)
	return w.parsed, err
}

// sayWide writes an item that the message's row knows.
func (w *rowWriter) sayWide(out *wire.Encoder, item *wire.FetchItem) error {
	switch item.Kind {
	case wire.FetchInternalDate:
		out.Atom("INTERNALDATE").DateTime(w.m.InternalDate)
	case wire.FetchRFC822Size:
		out.Atom("RFC822.SIZE").Number(uint64(w.m.Size))
	case wire.FetchEmailID:
		out.Atom("EMAILID").Open().Atom(w.m.EmailID.String()).Close()
	case wire.FetchThreadID:
		out.Atom("THREADID").Open().Atom(w.f.sel.at.objectID(w.m.Thread)).Close()
	case wire.FetchSaveDate:
		out.Atom("SAVEDATE").DateTime(w.p.SaveDate)
	case wire.FetchAnnotation:
		sayAnnotation(out, item, w.f.notes[w.p.UID])
	case wire.FetchPreview: // made at arrival: LAZY is never NIL
		out.Atom("PREVIEW").String(w.m.Preview)
	case wire.FetchEnvelope:
		env := w.env
		if w.parsed != nil {
			env = &w.parsed.Envelope
		}
		sayEnvelope(out.Atom("ENVELOPE"), env)
	case wire.FetchBody, wire.FetchBodyStructure:
		m, err := w.parse()
		if err != nil {
			return err
		}
		sayStructure(out.Item(*item), m.Root, item.Kind == wire.FetchBodyStructure)
	}
	return nil
}
