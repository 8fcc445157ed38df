package imap

import (
	"context"
	"slices"
	"strconv"
	"strings"

	"lockstep/internal/imap/index"
	"lockstep/internal/imap/wire"
	"lockstep/internal/mail"
	"lockstep/internal/message"
	"lockstep/internal/store"
)

// annotationsOf reads what STORE and APPEND set (RFC 5257 §4.5). Names that can't be
// are BAD, and so are attributes that say neither .priv nor .shared.
func annotationsOf(entries []wire.EntryAttributes) ([]mail.Annotation, error) {
	var all []mail.Annotation
	for _, e := range entries {
		if err := checkEntry(e.Entry); err != nil {
			return nil, err
		}
		for _, v := range e.Attributes {
			a := mail.Annotation{Name: e.Entry, Shared: v.Attribute == "value.shared", Value: v.Value}
			switch {
			case !a.Shared && v.Attribute != "value.priv":
				return nil, errBad("Only value.priv and value.shared can be set")
			case len(v.Value) > mail.MaxAnnotationBytes:
				return nil, errNo("ANNOTATE TOOBIG", "The annotation is too large")
			case isPartFlag(e.Entry) && v.Value != nil && string(v.Value) != "0" && string(v.Value) != "1":
				return nil, errBad("A flag of a part is \"1\", \"0\" or NIL")
			}
			all = append(all, a)
		}
	}
	return all, nil
}

// checkEntry looks at the name of an entry that is to be set (RFC 5257 §3.2.1).
func checkEntry(name string) error {
	if err := mail.CheckAnnotationName(name); err != nil {
		return badName(err)
	}
	top, _, below := strings.Cut(name[1:], "/")
	numbered := top[0] >= '0' && top[0] <= '9'
	if top == "flags" || numbered && (partOf(name) == nil || !below) {
		return errBad("There is no such entry")
	}
	return nil
}

func isPartFlag(name string) bool { return partOf(name) != nil && strings.Contains(name, "/flags/") }

// partOf is the part of the message that an entry is about; nil if it is about all
// of it, or if it names a part as none is named.
func partOf(name string) []int {
	top, _, _ := strings.Cut(name[1:], "/")
	var part []int
	for number := range strings.SplitSeq(top, ".") {
		n, err := strconv.Atoi(number)
		if err != nil || n < 1 || number[0] == '0' {
			return nil
		}
		part = append(part, n)
	}
	return part
}

// havePart is BAD if an entry is about a part that the message has not.
func haveParts(all []mail.Annotation, parsed []byte) error {
	for _, a := range all {
		part := partOf(a.Name)
		if part == nil {
			continue
		}
		m, err := message.Decode(parsed)
		if err != nil {
			return err
		}
		if _, ok := m.Part(part); !ok {
			return errBad("The message has no such part")
		}
	}
	return nil
}

// storeAnnotation sets annotations in one act (RFC 5257 §4.5). The client is told
// MODSEQ alone of what it set itself.
func (s *session) storeAnnotation(ctx context.Context, uids mail.UIDSet, cmd *wire.Store, r *reply) (all store.StoreResult, err error) {
	changes, err := annotationsOf(cmd.Annotation)
	if err != nil {
		return all, err
	}
	a := s.newAct()
	for _, chunk := range chunks(uids, updateChunk) {
		var res store.StoreResult
		n, err := a.update(ctx, func(tx store.Tx) (err error) {
			rights, err := s.may(tx, mail.MayRead)
			if err == nil {
				err = permitNotes(changes, rights, s.sel.at)
			}
			if err == nil {
				err = s.partsAreThere(tx, chunk, changes)
			}
			if err != nil {
				return err
			}
			res, err = tx.Annotate(s.sel.id, chunk, changes, cmd.UnchangedSince)
			return err
		})
		if err != nil {
			return all, annotateError(err)
		}
		all.Changed = append(all.Changed, res.Changed...)
		all.Same = append(all.Same, res.Same...)
		all.Modified = append(all.Modified, res.Modified...)
		if n != 0 {
			s.sel.own = append(s.sel.own, ownChange{n, mail.FlagChange{}})
		}
		r.told = a.last
		if r.first == 0 {
			r.first = n
		}
	}
	return all, nil
}

// permitNotes makes private annotations the session's own, and refuses shared ones
// without the right to write. The right "n" of RFC 5257 §4.10 is not apart from it.
func permitNotes(changes []mail.Annotation, rights mail.Rights, at reach) error {
	for i := range changes {
		if changes[i].Shared && !rights.Has(mail.MayWrite) {
			return errDenied
		}
		if !changes[i].Shared {
			changes[i].Who = at.as
		}
	}
	return nil
}

func annotateError(err error) error {
	if err != nil && mail.KindOf(err) == mail.Limit {
		return errNo("ANNOTATE TOOMANY", mail.DetailOf(err))
	}
	return err
}

// partsAreThere looks into messages only for entries about parts of them.
func (s *session) partsAreThere(tx store.Tx, uids mail.UIDSet, changes []mail.Annotation) error {
	if !slices.ContainsFunc(changes, func(a mail.Annotation) bool { return partOf(a.Name) != nil }) {
		return nil
	}
	return tx.Messages(store.PlacementQuery{Mailbox: s.sel.id, UIDs: uids}, func(_ *mail.Placement, m *mail.Message) error {
		return haveParts(changes, m.Parsed)
	})
}

// annotationAttributes are those that FETCH can ask for: without a suffix both.
var annotationAttributes = []string{"value", "value.priv", "value.shared", "size", "size.priv", "size.shared"}

// checkAnnotationItem refuses what can't be asked for.
func checkAnnotationItem(item wire.FetchItem) error {
	for _, a := range item.Attributes {
		if !slices.Contains(annotationAttributes, a) {
			return errBad("The attributes are value and size, and these with .priv and .shared")
		}
	}
	size := 0
	for _, e := range item.Entries {
		if size += len(e); !strings.ContainsAny(e, "*%") {
			if err := mail.CheckAnnotationName(e); err != nil {
				return badName(err)
			}
		}
	}
	if size > maxPatternBytes {
		return errNo("LIMIT", "The entries are too long")
	}
	return nil
}

// annotateChunk is of how many messages annotations are held at once.
const annotateChunk = 50

// loadNotes reads the annotations of messages that are about to be said.
func (f *fetcher) loadNotes(ctx context.Context, uids mail.UIDSet) error {
	if !f.plan.annotations {
		return nil
	}
	return f.session.viewAt(ctx, f.sel.at, func(r store.Reader) error {
		f.notes = map[mail.UID][]mail.Annotation{}
		return r.Annotations(store.AnnotationQuery{Mailbox: f.sel.id, UIDs: uids, Who: f.sel.at.as}, func(a *mail.Annotation) error {
			f.notes[a.UID] = append(f.notes[a.UID], *a)
			return nil
		})
	})
}

// sayAnnotation writes ANNOTATION (RFC 5257 §4.4). What was asked for by name is
// said also where there is nothing.
func sayAnnotation(out *wire.Encoder, item *wire.FetchItem, all []mail.Annotation) {
	names := entriesOf(item, all)
	if len(names) == 0 {
		return
	}
	out.Atom("ANNOTATION").Open()
	for _, name := range names {
		out.AString(name).Open()
		for _, attribute := range item.Attributes {
			what, suffix, _ := strings.Cut(attribute, ".")
			for _, shared := range []bool{false, true} {
				if suffix == "priv" && shared || suffix == "shared" && !shared {
					continue
				}
				sayAttribute(out, what, valueOf(all, name, shared), shared)
			}
		}
		out.Close()
	}
	out.Close()
}

func sayAttribute(out *wire.Encoder, what string, value []byte, shared bool) {
	name := what + ".priv"
	if shared {
		name = what + ".shared"
	}
	if out.Atom(name); what == "size" {
		out.String(strconv.Itoa(len(value)))
		return
	}
	out.Value(value)
}

func valueOf(all []mail.Annotation, name string, shared bool) []byte {
	for _, a := range all {
		if a.Name == name && a.Shared == shared {
			return a.Value
		}
	}
	return nil
}

// entriesOf are the entries that an item says of a message, in the order asked for.
func entriesOf(item *wire.FetchItem, all []mail.Annotation) []string {
	var names []string
	add := func(name string) {
		if !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	for _, e := range item.Entries {
		if !strings.ContainsAny(e, "*%") {
			add(e)
			continue
		}
		for _, a := range all {
			if asksFor(item, a) && matchPattern(e, a.Name) {
				add(a.Name)
			}
		}
	}
	return names
}

// asksFor says whether some attribute of an item is of the annotation's scope.
func asksFor(item *wire.FetchItem, a mail.Annotation) bool {
	return slices.ContainsFunc(item.Attributes, func(attribute string) bool {
		_, suffix, _ := strings.Cut(attribute, ".")
		return suffix == "" || (suffix == "shared") == a.Shared
	})
}

// wantsNotes reports whether annotations that others change are told: the mailbox was
// selected with ANNOTATE (RFC 5257 §4.4), or NOTIFY asks for it (RFC 5465 §5.4).
func (s *session) wantsNotes() bool {
	n := s.notify
	return s.sel.annotate || n != nil && n.selected != nil && n.selected.Events&wire.AnnotationChange != 0
}

// changedNotes names the entries that others changed of messages that differ.
func (s *session) changedNotes(changed []index.Change) (map[mail.UID][]string, error) {
	if !s.wantsNotes() || len(changed) == 0 {
		return nil, nil
	}
	var uids mail.UIDSet
	since, known := changed[0].Old.ModSeq, map[mail.UID]mail.ModSeq{}
	for _, c := range changed {
		uids.Add(c.New.UID)
		since, known[c.New.UID] = min(since, c.Old.ModSeq), c.Old.ModSeq
	}
	names := map[mail.UID][]string{}
	err := s.viewAt(s.ctx, s.sel.at, func(r store.Reader) error {
		clear(names)
		q := store.AnnotationQuery{Mailbox: s.sel.id, UIDs: uids, Who: s.sel.at.as, ChangedSince: since}
		return r.Annotations(q, func(a *mail.Annotation) error {
			if a.ModSeq <= known[a.UID] {
				return nil
			}
			own := slices.ContainsFunc(s.sel.own, func(o ownChange) bool { return o.modseq == a.ModSeq })
			if !own && !slices.Contains(names[a.UID], a.Name) {
				names[a.UID] = append(names[a.UID], a.Name)
			}
			return nil
		})
	})
	return names, err
}

// sortNotes reads what messages are sorted by (RFC 5257 §4.9), up to a NUL, which no
// text has.
func (s *session) sortNotes(sel *selection, c wire.SortCriterion, m *allowance) (map[mail.UID]string, error) {
	if err := checkAnnotationItem(wire.FetchItem{Entries: []string{c.Entry}}); err != nil || strings.ContainsAny(c.Entry, "*%") {
		return nil, errBad("SORT is by one entry")
	}
	notes := map[mail.UID]string{}
	err := s.viewAt(s.ctx, sel.at, func(r store.Reader) error {
		clear(notes)
		return r.Annotations(store.AnnotationQuery{Mailbox: sel.id, Who: sel.at.as}, func(a *mail.Annotation) error {
			if a.Name != c.Entry || a.Shared != (c.Attribute == "value.shared") {
				return nil
			}
			text, _, _ := strings.Cut(string(a.Value), "\x00")
			notes[a.UID] = text
			return m.take(int64(len(text)) + keyBytes)
		})
	})
	return notes, err
}

// compileAnnotation makes ANNOTATION of a search ready (RFC 5257 §4.8). Only the
// annotations of the mailbox are read, and again when a message changed since.
func (s *session) compileAnnotation(sel *selection, k wire.AnnotationKey) test {
	n := s.collation().needle(k.Text)
	var matching mail.UIDSet
	var at mail.ModSeq
	load := func() error {
		return s.viewAt(s.ctx, sel.at, func(r store.Reader) error {
			a, err := r.Account()
			if err != nil {
				return err
			}
			at, matching = a.Head, nil
			return r.Annotations(store.AnnotationQuery{Mailbox: sel.id, Who: sel.at.as}, func(a *mail.Annotation) error {
				scope := k.Attribute == "value" || (k.Attribute == "value.shared") == a.Shared
				if scope && !matching.Contains(a.UID) && matchPattern(k.Entry, a.Name) && n.in(string(a.Value)) {
					matching.Add(a.UID)
				}
				return nil
			})
		})
	}
	return onIndex(func(c *candidate) bool {
		if at == 0 || c.entry.ModSeq > at {
			c.fail(load())
		}
		return matching.Contains(c.entry.UID)
	})
}
