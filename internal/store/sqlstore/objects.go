package sqlstore

import (
	"bytes"
	"strings"

	"lockstep/internal/mail"
)

const (
	selectObjects = "SELECT object_id, created, modseq, data FROM object WHERE account_id = ?1 AND type = ?2 ORDER BY object_id"
	selectObject  = "SELECT object_id, created, modseq, data FROM object WHERE account_id = ?1 AND type = ?2 AND object_id = ?3"
	countObjects  = "SELECT count(*) FROM object WHERE account_id = ?1 AND type = ?2" // mail.MaxObjects at most, and an index alone
	upsertObject  = `INSERT INTO object (account_id, type, object_id, created, modseq, data) VALUES (?1, ?2, ?3, ?4, ?5, ?6)
	ON CONFLICT (account_id, type, object_id) DO UPDATE SET modseq = excluded.modseq, data = excluded.data`
	deleteObject = "DELETE FROM object WHERE account_id = ?1 AND type = ?2 AND object_id = ?3"
)

// typedFeed is of a type of objects. What was created since is found among what
// changed since.
func typedFeed() feed {
	f := cutFeed(strings.NewReplacer("TABLE", "object", "ID", "object_id", "GONEEMAIL", "NULL", "EMAIL", "NULL",
		"LIVE", "x.type = ?7", "LATE", "x.modseq > ?2", "CHANGED", "1 = 1").Replace(objectFeed))
	f.born, f.next = "", ""
	return f
}

// Object implements store.Reader.
func (r *reader) Object(typ mail.Type, id mail.ObjectID) (mail.Object, error) {
	all, err := r.objectsWhere(selectObject, typ, id)
	if err == nil && len(all) == 0 {
		return mail.Object{}, mail.Errorf(mail.NotFound, "no such %s", typ)
	}
	if err != nil {
		return mail.Object{}, err
	}
	return all[0], nil
}

// Objects implements store.Reader.
func (r *reader) Objects(typ mail.Type) ([]mail.Object, error) {
	if err := (mail.Object{Type: typ}).Fits(0); err != nil {
		return nil, err
	}
	return r.objectsWhere(selectObjects, typ)
}

func (r *reader) objectsWhere(sql string, typ mail.Type, args ...any) ([]mail.Object, error) {
	var all []mail.Object
	err := r.c.query(sql, func(row row) error {
		all = append(all, mail.Object{Type: typ, ID: mail.ObjectID(row.num(0)), Created: mail.ModSeq(row.num(1)), ModSeq: mail.ModSeq(row.num(2)),
			Data: append([]byte{}, row.bytes(3)...)})
		return nil
	}, append([]any{r.id, typ}, args...)...)
	return all, err
}

// object is an object that a transaction changed, as it found it and has it.
type object struct {
	typ     mail.Type
	created mail.ModSeq // 0: it was not there
	there   bool
}

// PutObject implements store.Tx.
func (t *tx) PutObject(o mail.Object) (mail.Object, error) {
	if err := o.Fits(0); err != nil {
		return o, err
	}
	old := mail.Object{Type: o.Type}
	if o.ID != 0 {
		var err error
		if old, err = t.Object(o.Type, o.ID); err != nil || bytes.Equal(old.Data, o.Data) {
			return old, err
		}
	}
	return t.setObject(old, append([]byte{}, o.Data...))
}

// DropObject implements store.Tx.
func (t *tx) DropObject(typ mail.Type, id mail.ObjectID) error {
	old, err := t.Object(typ, id)
	if err != nil {
		return err
	}
	_, err = t.setObject(old, nil)
	return err
}

// setObject makes an object, as it is, what it is to be: without data it is not
// there, and without id it is a new one.
func (t *tx) setObject(old mail.Object, data []byte) (mail.Object, error) {
	is := mail.Object{Type: old.Type, ID: old.ID, Data: data, Created: t.n, ModSeq: t.n}
	if old.Data == nil {
		if err := t.roomForObject(is); err != nil {
			return is, err
		}
	}
	if is.ID == 0 {
		is.ID = mail.ObjectID(t.newID())
	}
	was, again := t.objects[is.ID]
	if !again {
		was = object{typ: is.Type, created: old.Created}
	}
	if was.created != 0 {
		is.Created = was.created
	}
	was.there = data != nil
	t.objects[is.ID] = was
	t.add(mail.Entry{Op: mail.OpObject, Type: is.Type, Object: is.ID, Old: old.Data, New: data})
	return is, t.writeObject(is, old.Data != nil, was.created != 0)
}

// writeObject writes the row, and that of its leaving if others knew it.
func (t *tx) writeObject(is mail.Object, there, known bool) error {
	if is.Data != nil {
		if err := t.c.later(upsertObject, t.id, is.Type, is.ID, is.Created, is.ModSeq, is.Data); err != nil || there || !known {
			return err
		}
		err := t.c.later(reappear, t.id, is.Type, t.n, ints{int64(is.ID)})
		return err
	}
	if err := t.c.later(deleteObject, t.id, is.Type, is.ID); err != nil || !known {
		return err
	}
	err := t.c.later(vanish, t.id, is.Type, t.n, is.Created, expunged, ints{int64(is.ID)})
	return err
}

// roomForObject looks whether there may be one more.
func (t *tx) roomForObject(o mail.Object) error {
	n := int64(0)
	if _, err := one(t.c, countObjects, func(r row) { n = r.num(0) }, t.id, o.Type); err != nil {
		return err
	}
	return o.Fits(n)
}

// object gives an object back what it was, unless it was changed since.
func (u *undo) object(e mail.Entry) error {
	now, err := u.Object(e.Type, e.Object)
	if err != nil && mail.KindOf(err) != mail.NotFound {
		return err
	}
	if (now.Data == nil) != (e.New == nil) || !bytes.Equal(now.Data, e.New) {
		u.left("the %s was changed since", e.Type)
		return nil
	}
	now.Type, now.ID = e.Type, e.Object
	if _, err = u.setObject(now, e.Old); mail.KindOf(err) == mail.Limit && err != nil {
		u.left("the %s: %s", e.Type, mail.DetailOf(err))
		return nil
	}
	u.report.Undone++
	return err
}
