package storetest

import (
	"bytes"
	"fmt"
	"maps"

	"lockstep/internal/mail"
	"lockstep/internal/store"
)

var objectChecks = []check{
	{"ObjectsAreMadeChangedAndDropped", objectsChange},
	{"ObjectsAreBounded", objectBounds},
	{"ObjectsThatComeBackAreTheSame", objectsComeBack},
	{"WhatBecameOfAnObjectInOneTransactionIsOneChange", objectsInOne},
}

func (s *subject) putObject(typ mail.Type, id mail.ObjectID, data string) (mail.Object, error) {
	return update(s, func(tx store.Tx) (mail.Object, error) {
		return tx.PutObject(mail.Object{Type: typ, ID: id, Data: []byte(data)})
	})
}

func (s *subject) dropObject(typ mail.Type, id mail.ObjectID) error {
	return s.do(func(tx store.Tx) error { return tx.DropObject(typ, id) })
}

// readObjects reads all there are.
func (sn *snapshot) readObjects(r store.Reader) error {
	sn.objs = map[mail.ObjectID]mail.Object{}
	for _, typ := range mail.ObjectTypes() {
		all, err := r.Objects(typ)
		if err != nil {
			return err
		}
		last := mail.ObjectID(0)
		for _, o := range all {
			one, err := r.Object(typ, o.ID)
			if err != nil || fmt.Sprint(one) != fmt.Sprint(o) || o.Type != typ || o.ID <= last {
				return fmt.Errorf("among all after %d: %+v, alone: %+v, %v", last, o, one, err)
			}
			sn.objs[o.ID], last = o, o.ID
			sn.objectOrder = append(sn.objectOrder, o.ID)
		}
	}
	return nil
}

// objectLines are the objects, by type and id.
func (sn *snapshot) objectLines(words func(mail.Object) string) []string {
	var lines []string
	for i, id := range sn.objectOrder {
		lines = append(lines, fmt.Sprintf("object %d: %s", i, words(sn.objs[id])))
	}
	return lines
}

// objectsOf is what a view of one type shows.
func (sn *snapshot) objectsOf(typ mail.Type) objects {
	o := objects{}
	for id, obj := range sn.objs {
		if obj.Type == typ {
			o[int64(id)] = fmt.Sprintf("%q", obj.Data)
		}
	}
	return o
}

// object is what the journal tells of one.
type object struct {
	typ  mail.Type
	data string
}

// keepObjects puts the objects of the snapshot into the world.
func (w *world) keepObjects(sn *snapshot) {
	w.objects = map[mail.ObjectID]object{}
	for id, o := range sn.objs {
		w.objects[id] = object{o.Type, string(o.Data)}
	}
}

// unput gives an object back what it was.
func (w *world) unput(e mail.Entry) error {
	now, there := w.objects[e.Object]
	if there != (e.New != nil) || there && now != (object{e.Type, string(e.New)}) {
		return fmt.Errorf("it is %+v, there %v", now, there)
	}
	if delete(w.objects, e.Object); e.Old != nil {
		w.objects[e.Object] = object{e.Type, string(e.Old)}
	}
	return nil
}

func objectsChange(t *trial) {
	s := t.subject()
	w := newWatch(s)
	made := must(s.putObject(mail.TypeIdentity, 0, "Ann"))
	n := s.head()
	other := must(s.putObject(mail.TypeSubmission, 0, ""))
	got := must(view(s, func(r store.Reader) (mail.Object, error) { return r.Object(mail.TypeIdentity, made.ID) }))
	equal("made", fmt.Sprint(got), fmt.Sprint(mail.Object{Type: mail.TypeIdentity, ID: made.ID, Data: []byte("Ann"), Created: n, ModSeq: n}))
	equal("as it was returned", fmt.Sprint(made), fmt.Sprint(got))
	equal("data that is empty", must(view(s, func(r store.Reader) (mail.Object, error) { return r.Object(mail.TypeSubmission, other.ID) })).Data != nil, true)
	last := must(view(s, store.Reader.Account)).Last
	equal("last change of the type", last[mail.TypeIdentity], n)
	equal("of the other", last[mail.TypeSubmission], n+1)
	changed := must(s.putObject(mail.TypeIdentity, made.ID, "Ann B"))
	equal("created", changed.Created, n)
	equal("changed", changed.ModSeq, s.head())
	e := s.records(store.JournalQuery{Limit: 1})[0].Entries[0]
	equal("the record", fmt.Sprintf("%s %d %d %s %s", e.Op, e.Type, e.Object, e.Old, e.New), fmt.Sprintf("object %d %d Ann Ann B", mail.TypeIdentity, made.ID))
	head := s.head()
	must(s.putObject(mail.TypeIdentity, made.ID, "Ann B"))
	equal("the same is no change", s.head(), head)
	_, err := s.putObject(mail.TypeSubmission, made.ID, "x")
	want(mail.NotFound, err)
	want(mail.NotFound, s.dropObject(mail.TypeIdentity, 1<<40))
	ok(s.dropObject(mail.TypeIdentity, made.ID))
	_, err = view(s, func(r store.Reader) (mail.Object, error) { return r.Object(mail.TypeIdentity, made.ID) })
	want(mail.NotFound, err)
	equal("left", len(must(view(s, func(r store.Reader) ([]mail.Object, error) { return r.Objects(mail.TypeIdentity) }))), 0)
	equal("a new one has another id", must(s.putObject(mail.TypeIdentity, 0, "Ann")).ID > made.ID, true)
	w.stop()
	equal("news", len(w.news()), 5)
	for i, typ := range []mail.Type{mail.TypeIdentity, mail.TypeSubmission, mail.TypeIdentity, mail.TypeIdentity, mail.TypeIdentity} {
		var types mail.TypeSet
		types.Add(typ)
		equal(fmt.Sprint("types of news ", i), w.news()[i].Types, types)
	}
}

func objectBounds(t *trial) {
	s := t.subject()
	for _, typ := range []mail.Type{0, mail.TypeMailbox, mail.TypeNames, 200} {
		_, err := s.putObject(typ, 0, "x")
		want(mail.Invalid, err)
		_, err = view(s, func(r store.Reader) ([]mail.Object, error) { return r.Objects(typ) })
		want(mail.Invalid, err)
	}
	put := func(tx store.Tx, size int) error {
		_, err := tx.PutObject(mail.Object{Type: mail.TypeSubmission, Data: bytes.Repeat([]byte("x"), size)})
		return err
	}
	ok(s.do(func(tx store.Tx) error { return put(tx, mail.MaxObjectBytes) }))
	first := mail.ActID(s.head())
	want(mail.Limit, s.do(func(tx store.Tx) error { return put(tx, mail.MaxObjectBytes+1) }))
	all := must(view(s, func(r store.Reader) ([]mail.Object, error) { return r.Objects(mail.TypeSubmission) }))
	equal("the one at the bound", len(all), 1)
	ok(s.dropObject(mail.TypeSubmission, all[0].ID))
	drop := mail.ActID(s.head())
	ok(s.do(func(tx store.Tx) error {
		for range mail.MaxObjects {
			if err := put(tx, 1); err != nil {
				return err
			}
		}
		return nil
	}))
	want(mail.Limit, s.do(func(tx store.Tx) error { return put(tx, 1) }))
	must(s.putObject(mail.TypeIdentity, 0, "of another type"))
	for _, act := range []mail.ActID{drop, first} {
		r := must(update(s, func(tx store.Tx) (mail.UndoReport, error) { return tx.Undo(act) }))
		equal("undo past the bound leaves", len(r.Left), 1)
	}
}

func objectsComeBack(t *trial) {
	s := t.subject()
	o := must(s.putObject(mail.TypeIdentity, 0, "Ann"))
	knew := s.snapshot()
	ok(s.dropObject(mail.TypeIdentity, o.ID))
	act := mail.ActID(s.head())
	gone := s.snapshot()
	undo := func() mail.UndoReport {
		return must(update(s, func(tx store.Tx) (mail.UndoReport, error) { return tx.Undo(act) }))
	}
	equal("undone", undo().Undone, 1)
	back := s.snapshot()
	if !maps.Equal(back.objectsOf(mail.TypeIdentity), knew.objectsOf(mail.TypeIdentity)) {
		fail("came back as %v, was %v", back.objs, knew.objs)
	}
	for _, c := range []struct {
		from *snapshot
		op   mail.ChangeOp
	}{{knew, mail.Updated}, {gone, mail.Created}} {
		page := s.page(store.ChangeQuery{Type: mail.TypeIdentity, From: c.from.account.Epoch.At(c.from.account.Head), Limit: 7})
		equal("changes", len(page.Changes), 1)
		equal("to who stood there", page.Changes[0].Op, c.op)
	}
	must(s.putObject(mail.TypeIdentity, o.ID, "changed since"))
	r := undo()
	equal("what was changed since is left", len(r.Left), 1)
	equal("and nothing undone", r.Undone, 0)
}

func objectsInOne(t *trial) {
	s := t.subject()
	o := must(s.putObject(mail.TypeIdentity, 0, "Ann"))
	ok(s.dropObject(mail.TypeIdentity, o.ID))
	dropped := mail.ActID(s.head())
	must(update(s, func(tx store.Tx) (mail.UndoReport, error) { return tx.Undo(dropped) }))
	before := s.snapshot()
	ok(s.do(func(tx store.Tx) error {
		if err := tx.DropObject(mail.TypeIdentity, o.ID); err != nil {
			return err
		}
		if _, err := tx.Undo(dropped); err != nil { // brings it back
			return err
		}
		passing, err := tx.PutObject(mail.Object{Type: mail.TypeSubmission})
		if err != nil {
			return err
		}
		return tx.DropObject(mail.TypeSubmission, passing.ID)
	}))
	now := s.snapshot()
	equal("created", now.objs[o.ID].Created, before.objs[o.ID].Created)
	equal("no change of what only passed", now.account.Last[mail.TypeSubmission], 0)
	s.exactDeltas(before, now)
	page := s.page(store.ChangeQuery{Type: mail.TypeIdentity, From: before.account.Epoch.At(before.account.Head), Limit: 7})
	equal("changes", len(page.Changes), 1)
	equal("to who knew it", page.Changes[0].Op, mail.Updated)
}

// doObject makes, changes or drops an object of the step's type, the from-th newest.
func (st step) doObject(tx store.Tx) (string, error) {
	o := mail.Object{Type: st.kind, Data: given(st.value)}
	if st.verb == "make-object" {
		o, err := tx.PutObject(o)
		return fmt.Sprintf("object %s %q", o.Type, o.Data), err
	}
	all, err := tx.Objects(st.kind)
	if err != nil || st.from >= len(all) {
		return "no object", err
	}
	o.ID = all[len(all)-1-st.from].ID
	if st.verb == "drop-object" {
		return "", tx.DropObject(o.Type, o.ID)
	}
	o, err = tx.PutObject(o)
	return fmt.Sprintf("object %s %q", o.Type, o.Data), err
}

func (g *generator) object() step {
	return step{verb: pick(g, []string{"make-object", "make-object", "change-object", "change-object", "drop-object"}), kind: pick(g, mail.ObjectTypes()),
		from: g.IntN(4), value: pick(g, []string{"", "one", "two", "three"})}
}
