package model

import (
	"bytes"
	"cmp"
	"slices"

	"lockstep/internal/mail"
)

// objectKey names an object.
type objectKey struct {
	typ mail.Type
	id  mail.ObjectID
}

// Object returns an object.
func (r reader) Object(typ mail.Type, id mail.ObjectID) (mail.Object, error) {
	if o, ok := r.state().objects[objectKey{typ, id}]; ok {
		o.Data = slices.Clone(o.Data)
		return o, nil
	}
	return mail.Object{}, mail.Errorf(mail.NotFound, "no such %s", typ)
}

// Objects returns the objects of a type.
func (r reader) Objects(typ mail.Type) ([]mail.Object, error) {
	var all []mail.Object
	for k, o := range r.state().objects {
		if k.typ == typ {
			o.Data = slices.Clone(o.Data)
			all = append(all, o)
		}
	}
	slices.SortFunc(all, func(a, b mail.Object) int { return cmp.Compare(a.ID, b.ID) })
	return all, mail.Object{Type: typ}.Fits(0)
}

// PutObject makes or changes an object.
func (t *tx) PutObject(o mail.Object) (mail.Object, error) {
	if err := o.Fits(0); err != nil {
		return o, err
	}
	if o.ID != 0 {
		if _, err := t.Object(o.Type, o.ID); err != nil {
			return o, err
		}
	}
	return t.setObject(o.Type, o.ID, append([]byte{}, o.Data...))
}

// DropObject removes an object.
func (t *tx) DropObject(typ mail.Type, id mail.ObjectID) error {
	if _, err := t.Object(typ, id); err != nil {
		return err
	}
	_, err := t.setObject(typ, id, nil)
	return err
}

// setObject makes an object what it is to be; nil is gone, and 0 is a new one.
func (t *tx) setObject(typ mail.Type, id mail.ObjectID, data []byte) (mail.Object, error) {
	old, there := t.s.objects[objectKey{typ, id}]
	is := mail.Object{Type: typ, ID: id, Data: slices.Clone(data), Created: t.n, ModSeq: t.n}
	switch {
	case data == nil:
		delete(t.s.objects, objectKey{typ, id})
	case there && bytes.Equal(old.Data, data):
		return old, nil
	default:
		n := int64(0)
		for k := range t.s.objects {
			if k.typ == typ && k.id != id {
				n++
			}
		}
		if err := is.Fits(n); err != nil {
			return is, err
		}
		if was, ok := t.base.objects[objectKey{typ, id}]; ok {
			is.Created = was.Created
		}
		if id == 0 {
			is.ID = mail.ObjectID(t.s.newID())
		}
		t.s.objects[objectKey{typ, is.ID}] = is
	}
	t.did(mail.Entry{Op: mail.OpObject, Type: typ, Object: is.ID, Old: old.Data, New: slices.Clone(data)})
	is.Data = slices.Clone(data)
	return is, nil
}

// settleObjects compares the objects before and after.
func (t *tx) settleObjects() {
	for k, was := range t.base.objects {
		if is, there := t.s.objects[k]; !there || is.ModSeq != was.ModSeq {
			t.s.live(int64(k.id), life{typ: k.typ}, true, there, t.n)
		}
	}
	for k := range t.s.objects {
		if _, known := t.base.objects[k]; !known {
			t.s.live(int64(k.id), life{typ: k.typ}, false, true, t.n)
		}
	}
}

func (u *undo) object(e mail.Entry) {
	now, there := u.s.objects[objectKey{e.Type, e.Object}]
	if there != (e.New != nil) || !bytes.Equal(now.Data, e.New) {
		u.left("the %s was changed since", e.Type)
		return
	}
	if _, err := u.setObject(e.Type, e.Object, e.Old); err != nil {
		u.left("the %s: %s", e.Type, mail.DetailOf(err))
		return
	}
	u.report.Undone++
}
