package eas

import (
	"bytes"
	"errors"
	"slices"
	"time"

	"lockstep/internal/device"
	"lockstep/internal/eas/wbxml"
	"lockstep/internal/mail"
	"lockstep/internal/store"
)

// sync brings device and collections in step (MS-ASCMD §2.2.1.21). What it costs is
// what it tells, however large a collection is.
func (q *request) sync() (*answer, error) {
	s, err := q.parseSync()
	if err == nil && q.in != nil {
		err = q.cacheSync(s)
	}
	if err != nil {
		return syncFailure(err)
	}
	a, err := q.syncNow(s)
	if err == nil && a.root == nil && s.waits {
		a.vigil = s.vigil(time.Now())
	}
	return a, err
}

// syncNow tells what there is; an empty answer is nothing.
func (q *request) syncNow(s *syncRequest) (*answer, error) {
	list, err := q.syncAll(s)
	if err != nil || list == nil {
		return syncFailure(err)
	}
	return &answer{root: wbxml.New(wbxml.AirSyncSync, list)}, nil
}

// syncFailure answers a Sync that failed as a whole; no error is an empty answer.
func syncFailure(err error) (*answer, error) {
	var f *syncFault
	if !errors.As(err, &f) {
		return &answer{}, err
	}
	root := wbxml.New(wbxml.AirSyncSync, wbxml.Int(wbxml.AirSyncStatus, f.status))
	if f.limit != 0 {
		root.Add(wbxml.Int(wbxml.AirSyncLimit, f.limit))
	}
	return &answer{root: root}, nil
}

// syncAll serves the collections in their order, until the answer is full. Nil is
// nothing to tell.
func (q *request) syncAll(s *syncRequest) (*wbxml.Element, error) {
	if err := q.foldersThere(s); err != nil {
		return nil, err
	}
	list := wbxml.New(wbxml.AirSyncCollections)
	room := &budget{entries: s.window, bytes: maxSyncBytes, until: time.Now().Add(maxSyncTime)}
	for _, c := range s.collections {
		if room.full() && c.key != "0" && len(c.commands) == 0 {
			continue // the device asks for the rest next time
		}
		e, err := q.syncOne(c, room)
		if err != nil {
			return nil, err
		}
		list.Add(e)
	}
	if len(list.Children) == 0 {
		return nil, nil
	}
	return list, nil
}

// foldersThere fails if one of the collections is not there, before anything is done. Of
// one alone that is found when it is opened.
func (q *request) foldersThere(s *syncRequest) error {
	if len(s.collections) == 1 {
		return nil
	}
	return q.view(func(r store.Reader) error {
		for _, c := range s.collections {
			id, ok := parseFolderID(c.id)
			if !ok && c.id != outboxID {
				return &syncFault{status: syncFolders}
			}
			if !ok {
				continue
			}
			if _, err := r.Mailbox(id); mail.KindOf(err) == mail.NotFound && err != nil {
				return &syncFault{status: syncFolders}
			} else if err != nil {
				return err
			}
		}
		return nil
	})
}

// budget is what is left of an answer.
type budget struct {
	entries int
	bytes   int64
	until   time.Time
	any     bool // something is in it
}

// full reports whether nothing more goes in.
func (b *budget) full() bool {
	return b.entries <= 0 || b.any && (b.bytes <= 0 || time.Now().After(b.until))
}

func (b *budget) take(bytes int64) {
	b.entries--
	b.bytes -= bytes
	b.any = true
}

// syncOne serves one collection; nil is nothing to tell of it. Where a command of the
// device at another node was quicker, it begins anew with what that one left.
func (q *request) syncOne(c *syncCollection, room *budget) (*wbxml.Element, error) {
	key := collectionKey{q.deviceKey(), c.id}
	unlock, ok := q.srv.collections.lock(q.ctx, key)
	if !ok {
		return nil, &syncFault{status: syncRetry}
	}
	defer func() { unlock() }()
	c.handed = q.srv.handed.take(key) || c.handed
	q.told = append(q.told, key)
	left := *room
	for range maxOvertaken {
		e, late, err := q.syncOnce(c, room)
		if late != nil {
			late.saveLater(unlock) // until then nobody else looks
			unlock = func() {}
		}
		if err != errOvertaken {
			return e, err
		}
		*room = left
	}
	return nil, &syncFault{status: syncRetry}
}

// errOvertaken is what becomes of an exchange when what is remembered of the collection
// is not what it began with.
var errOvertaken = errors.New("another command changed what is remembered of the collection")

// syncOnce serves a collection. Late is what is still to be remembered of it: its key
// says it all until then.
func (q *request) syncOnce(c *syncCollection, room *budget) (e *wbxml.Element, late *exchange, err error) {
	x, err := q.openExchange(c, room)
	switch {
	case err != nil:
	case c.key == "0":
		e, err = x.begin()
		return e, nil, err
	case x.rel == nil:
		q.startsOver(c.id, "unknown key")
		return x.failed(syncBadKey), nil, nil
	default:
		e, err = x.serve(room)
	}
	if mail.KindOf(err) == mail.TooOld && err != nil {
		q.startsOver(c.id, mail.DetailOf(err))
		return x.failed(syncBadKey), nil, nil
	}
	if mail.KindOf(err) == mail.NotFound && err != nil {
		return nil, nil, &syncFault{status: syncFolders}
	}
	if err == nil && x.late {
		late = x
	}
	return e, late, err
}

// An exchange is one collection of one request being served.
type exchange struct {
	*request
	c       *syncCollection
	mailbox mail.Mailbox // 0 is the outbox, which is always empty
	account mail.Account
	state   *collectionState
	raw     []byte // the state as it is remembered; nil is not
	rel     *relationship
	how     standing

	base  *generation // where the device stands
	heard []own       // what it did itself and knows of, as far as that is there
	done  done
	late  bool // what is told is remembered once it is told
	acted bool // its commands were done, by a request whose answer it did not hear
	// unheard came of requests that another answer overtook: the device may do that again.
	unheard []result
	wishes  bool // it has other options than before
	now     time.Time
	told    *telling     // what is new, if it was found when the exchange was opened
	bodies  *bodyOptions // what is wished of bodies, once it is asked for
}

// openExchange reads what is remembered of a collection, and in the same snapshot what
// is new, if the device asks for nothing else. A collection that is not there means that
// the folders changed.
func (q *request) openExchange(c *syncCollection, room *budget) (*exchange, error) {
	x := &exchange{}
	err := q.view(func(r store.Reader) (err error) {
		*x = exchange{request: q, c: c, now: q.srv.now().UTC()}
		if err = x.load(r); err != nil || x.rel == nil {
			return err
		}
		if x.stand(); len(c.commands) == 0 && x.how != isBefore {
			x.told, err = x.find(r, room)
		}
		return err
	})
	return x, err
}

// load reads what is remembered, and where the device stands.
func (x *exchange) load(r store.Reader) (err error) {
	id, ok := parseFolderID(x.c.id)
	if !ok && x.c.id != outboxID {
		return &syncFault{status: syncFolders}
	}
	if x.account, err = r.Account(); err != nil {
		return err
	}
	if ok {
		if x.mailbox, err = r.Mailbox(id); err != nil {
			return err
		}
	}
	if x.state, x.raw, err = x.loadCollection(r, x.c.id); err == nil && x.c.key != "0" {
		x.rel, x.how = x.state.find(x.c.key, x.account.Head)
	}
	return err
}

// stand takes in what the device says by its key, and by its Options.
func (x *exchange) stand() {
	if x.c.options != nil && !bytes.Equal(x.c.options, x.rel.Options) {
		x.rel.Options, x.wishes = x.c.options, true
	}
	x.standsAt(&x.rel.Current)
	if x.how == isBefore {
		return
	}
	if x.confirmed(); x.how == isCarried {
		x.inherit(x.rel.Current.Done, false)
	}
}

// collection begins the answer of the collection.
func (x *exchange) collection(key string, status int) *wbxml.Element {
	e := wbxml.New(wbxml.AirSyncCollection)
	if x.version <= v121 {
		e.Add(wbxml.Text(wbxml.AirSyncClass, classEmail))
	}
	return e.Add(wbxml.Text(wbxml.AirSyncSyncKey, key), wbxml.Text(wbxml.AirSyncCollectionId, x.c.id), wbxml.Int(wbxml.AirSyncStatus, status))
}

// failed is the answer to a collection that can't be served.
func (x *exchange) failed(status int) *wbxml.Element { return x.collection("0", status) }

// begin makes a relationship, and tells nothing yet.
func (x *exchange) begin() (*wbxml.Element, error) {
	rel := x.state.begin(firstView(x.account, floorOf(x.policy.MailAge.CapFilter(x.c.filter), x.now)))
	rel.Options = x.c.options
	return x.collection(rel.key(), syncOK), x.save()
}

// save remembers the state, if it is the one that follows what is remembered.
func (x *exchange) save() (err error) {
	var raw []byte
	if err = x.note(func(n store.Notes) (err error) { raw, err = x.swap(n); return err }); err == nil {
		x.raw = raw
	}
	return err
}

// swap is save within a transaction: with errOvertaken nothing of that stands.
func (x *exchange) swap(n store.Notes) (raw []byte, err error) {
	if raw, err = encodeCollection(x.state); err != nil {
		return nil, err
	}
	err = n.SwapCursor(x.sess.Device().ID, x.cursor(collectionCursor(x.c.id)), x.raw, raw)
	if err != nil && mail.KindOf(err) == mail.Conflict {
		err = errOvertaken
	}
	return raw, err
}

// serve does the commands and tells what is new. The three steps are each durable:
// what the device did, where it stands, and only then the answer; unless the answer
// itself says where the device stands.
func (x *exchange) serve(room *budget) (*wbxml.Element, error) {
	if x.how == isBefore {
		if e, again, err := x.repeat(room); again || err != nil {
			return e, err
		}
	}
	if err := x.ready(); err != nil {
		return nil, err
	}
	if err := x.act(); err != nil {
		return nil, err
	}
	told, err := x.export(room)
	if err != nil {
		return nil, err
	}
	x.mark(x.c.id, device.Mark{Mailbox: x.mailbox.ID, ModSeq: told.end.Log.Since, More: told.more, At: x.now})
	return x.settle(told)
}

// standsAt says where the device stands.
func (x *exchange) standsAt(g *generation) { x.base, x.heard = g, g.View.Own }

// ready fails with TooOld, before anything is done, if the device stands where history
// no longer reaches back to: it would start over, and do once more what it was not told
// is done. Where nothing happened since, it stands at the head.
func (x *exchange) ready() error {
	if len(x.c.commands) == 0 || x.mailbox.ID == 0 {
		return nil
	}
	return x.view(func(r store.Reader) error {
		at := &x.base.View
		p, err := newPlanner(r, x.mailbox.ID, *at, 1)
		if err != nil {
			return err
		}
		if at.Log.Target == 0 && p.mb.HighestModSeq <= at.Log.Since {
			at.ended(at.Log.Epoch.At(p.head))
			return nil
		}
		_, err = r.Changes(store.ChangeQuery{Type: mail.TypePlacement, Mailbox: x.mailbox.ID, From: at.Log, Limit: 1})
		return err
	})
}

// confirmed notes that the device has the current key, and so heard the last answer.
func (x *exchange) confirmed() {
	x.unheard = x.rel.Current.Done.Known
	x.rel.Tries = 0
	x.rel.Singly = max(x.rel.Singly-x.rel.Current.Said.Entries, 0)
}

// repeat serves a device that did not hear the last answer. The same request is
// answered the same, until it looks as if the device can't take the answer in, as it
// came to it whole again and again: then
// the items come one by one, and if one alone is too much it is left out. Another
// request begins where the device stands; what it did by the lost one is done.
func (x *exchange) repeat(room *budget) (_ *wbxml.Element, again bool, err error) {
	lost := x.rel.Current
	same := lost.isAsked(x.hash[:])
	if x.c.handed {
		x.rel.Tries++
	}
	switch {
	case x.rel.Tries >= triesBeforeSingly && lost.Said.Entries > 1:
		x.rel.Tries, x.rel.Singly = 0, lost.Said.Entries
	case x.rel.Tries >= triesBeforeSingly && lost.Said.isHeavy() && x.rel.Singly > 0:
		x.leaveOut(lost)
	case same:
		e, err := x.again(lost, room)
		return e, true, err
	}
	x.standsAt(&x.rel.Before)
	x.inherit(lost.Done, same)
	return nil, false, nil
}

// inherit takes over what the device did by a request whose answer it did not hear. If
// this is that request, it is not done again; else it may name what it did by ClientId.
// A device that says nothing of what it did may have given it up: it hears of it as of
// anything else.
func (x *exchange) inherit(lost done, same bool) {
	if !same && len(x.c.commands) == 0 {
		return
	}
	for _, o := range lost.Own {
		if !slices.ContainsFunc(x.base.View.Own, func(p own) bool { return p.At == o.At }) {
			x.base.View.did(o.At, o.UIDs)
		}
	}
	if len(lost.Gone) > 0 {
		x.base.View.Hidden = union(x.base.View.Hidden, lost.Gone)
	}
	if x.acted = same; same {
		x.done = lost
		return
	}
	x.done = done{Own: lost.Own, Gone: lost.Gone, Known: append(slices.Clone(lost.Known), lost.Results...)}
}

// leaveOut moves the place where the device stands behind an item that it can't take
// in. It gets it again when something becomes of it.
func (x *exchange) leaveOut(lost generation) {
	x.rel.Tries, x.rel.Singly = 0, x.rel.Singly-1
	x.rel.Before.View = lost.View
	for uid := range lost.Said.Add.All() {
		x.rel.Before.View.Hidden = with(x.rel.Before.View.Hidden, uid)
	}
	x.leftOut(x.c.id, itemID(x.mailbox.ID, lost.Said.Line), "the device asked for it again and again")
}

// again makes the answer that the device did not hear once more.
func (x *exchange) again(lost generation, room *budget) (*wbxml.Element, error) {
	told := &telling{end: lost.View, more: lost.Said.More, said: lost.Said}
	if err := x.gatherAgain(told); err != nil {
		return nil, err
	}
	if err := x.render(told, room, false); err != nil {
		return nil, err
	}
	x.done = lost.Done
	e, err := x.element(x.rel.key(), told)
	if err != nil {
		return nil, err
	}
	return e, x.save()
}

// telling is what a device is told of a collection.
type telling struct {
	steps   []step
	items   map[mail.UID]*mailItem
	changed map[mail.UID]aspects // of those told as opFlags
	end     view                 // where it stands after
	more    bool

	commands []*wbxml.Element
	said     recipe
}

// export finds what is to be told, if that was not done, and renders as much as there is
// room for.
func (x *exchange) export(room *budget) (told *telling, err error) {
	if told = x.told; told == nil {
		err = x.view(func(r store.Reader) error { told, err = x.find(r, room); return err })
	}
	if err == nil {
		err = x.render(told, room, true)
	}
	return told, err
}

// find finds what is to be told, and reads what that is about.
func (x *exchange) find(r store.Reader, room *budget) (*telling, error) {
	told := &telling{end: x.base.View}
	want := min(x.c.window, room.entries)
	if x.rel.Singly > 0 {
		want = min(want, 1)
	}
	if !x.c.changes || want <= 0 || x.mailbox.ID == 0 {
		told.more = want <= 0 && x.c.changes
		return told, nil
	}
	p, more, err := plan(r, x.mailbox.ID, x.base.View, x.rel.floor(x.now, x.policy.MailAge), want)
	if err != nil {
		return nil, err
	}
	told.steps, told.end, told.more = p.steps, p.view, more
	return told, x.gather(r, told)
}

// settle makes what was told, and done, the current generation. Nothing told and
// nothing done moves where the device stands and leaves its key.
func (x *exchange) settle(told *telling) (*wbxml.Element, error) {
	fresh := x.rel.Current.N == 1
	if len(told.commands) == 0 && !told.more && len(x.c.commands) == 0 && !fresh && x.how != isBefore {
		changed := x.wishes || x.how == isCarried || x.mailbox.HighestModSeq > x.base.View.Log.Since || x.base.View.Fill != nil || x.base.View.Soft != nil
		if !changed {
			return nil, nil
		}
		x.rel.Current.View = told.end
		return nil, x.save()
	}
	next := generation{View: told.end, Asked: bytes.Clone(x.hash[:]), Said: told.said, Done: x.done}
	from := *x.base
	from.View.Own = x.heard // of what it did now it hears by this answer, or by asking again
	carried := x.carries(told)
	x.rel.advance(from, next, carried)
	if x.late = carried != 0; !x.late {
		if err := x.save(); err != nil {
			return nil, err
		}
	}
	return x.element(x.rel.key(), told)
}

// element is the answer for the collection.
func (x *exchange) element(key string, told *telling) (*wbxml.Element, error) {
	e := x.collection(key, syncOK)
	if told.more {
		e.Add(wbxml.New(wbxml.AirSyncMoreAvailable))
	}
	if len(told.commands) > 0 {
		e.Add(wbxml.New(wbxml.AirSyncCommands, told.commands...))
	}
	responses, err := x.responses()
	if err == nil && len(responses) > 0 {
		e.Add(wbxml.New(wbxml.AirSyncResponses, responses...))
	}
	return e, err
}

// changed reports whether a Sync of the collection would tell something new to who
// has the key given last: what wakes a Ping, and a Sync that waits. A collection
// without such a key is new itself only to who begins with it.
func (q *request) changed(r store.Reader, id string) (bool, error) {
	mb, ok := parseFolderID(id)
	if !ok {
		return false, nil
	}
	state, _, err := q.loadCollection(r, id)
	if err != nil {
		return false, err
	}
	rel := state.last()
	if rel == nil {
		return lostState(r)
	}
	yes, err := isNew(r, mb, rel.Current.View, rel.floor(q.srv.now().UTC(), q.policy.MailAge))
	if err != nil && slices.Contains([]mail.Kind{mail.TooOld, mail.NotFound}, mail.KindOf(err)) {
		return true, nil // the device hears why from Sync
	}
	return yes, err
}

// lostState reports whether what was known of a device that asks about a folder may
// have been lost, as the account came back from an older copy: only its Sync can tell,
// and until then nothing would ever wake it.
func lostState(r store.Reader) (bool, error) {
	a, err := r.Account()
	return a.Restored != 0, err
}
