package eas

import (
	"slices"

	"lockstep/internal/mail"
	"lockstep/internal/store"
)

// op is what a device is told of an item.
type op int

const (
	opNone op = iota
	opAdd
	opChange // the whole item
	opFlags  // only what changes of a message
	opDelete
	opSoft
)

// step is one thing that a device is told.
type step struct {
	op   op
	line mail.Lineage
	uid  mail.UID // of the version that is the item
	held bool     // the device had the item before this answer
	then view     // where it stands once it is told
}

// planner finds what a device is to be told, in one snapshot. It costs what it finds,
// and what it reads past: the device's own changes, and those outside its window.
type planner struct {
	r     store.Reader
	mb    mail.Mailbox
	head  mail.ModSeq
	view  view
	begin view  // where the device stood before
	want  int   // steps
	read  int   // entries still to be looked at
	least int64 // what comes with an older date is not told: it would leave again at once
	steps []step
	byID  map[mail.Lineage]int // the step that tells of a line
}

// plan returns what is to be told to who stands at v, up to want things, and where it
// stands after. More says that there is more, or that it looked at as much as it may.
func plan(r store.Reader, id mail.MailboxID, v view, floor int64, want int) (p *planner, more bool, err error) {
	p, err = newPlanner(r, id, v, want+1)
	if err != nil {
		return nil, false, err
	}
	if err := p.log(); err != nil {
		return nil, false, err
	}
	if p.atHead() {
		if p.begin.Log.Target == 0 {
			p.view.Sure = p.head
			p.settled()
		}
		p.view.refloor(floor)
		err = p.fill()
		if err == nil && p.goesOn() {
			err = p.soften()
		}
		p.view.refloor(floor)
		p.settled()
	}
	if err != nil {
		return nil, false, err
	}
	more = !p.atHead() || p.view.Soft != nil || !p.view.filled() || p.view.Floor != floor
	return p.cut(want, more)
}

// isNew reports whether there is something to tell to who stands at v, and whose
// window begins at floor now. That it grows older is not, nor what came and is too old
// already: a Sync brings neither.
func isNew(r store.Reader, id mail.MailboxID, v view, floor int64) (bool, error) {
	p, err := newPlanner(r, id, v, 1)
	if err != nil {
		return false, err
	}
	p.least = floor
	if err := p.log(); err != nil {
		return false, err
	}
	if p.atHead() {
		if floor > v.Floor {
			p.view.refloor(floor)
		}
		err = p.fill()
	}
	return p.count() > 0 || p.read <= 0, err
}

func newPlanner(r store.Reader, id mail.MailboxID, v view, want int) (*planner, error) {
	mb, err := r.Mailbox(id)
	if err != nil {
		return nil, err
	}
	a, err := r.Account()
	if err != nil {
		return nil, err
	}
	if v.Log.Epoch != a.Epoch {
		return nil, mail.Errorf(mail.TooOld, "the account was restored since")
	}
	return &planner{r: r, mb: mb, head: a.Head, view: v, begin: v, want: want, read: maxEntriesRead, byID: map[mail.Lineage]int{}}, nil
}

// cut leaves out what is too much.
func (p *planner) cut(want int, more bool) (*planner, bool, error) {
	told := 0
	for i := range p.steps {
		if p.steps[i].op == opNone {
			continue
		}
		if told++; told > want {
			p.view, p.steps = p.steps[i-1].then, p.steps[:i]
			return p, true, nil
		}
	}
	return p, more, nil
}

// goesOn reports whether there is room for more.
func (p *planner) goesOn() bool { return p.count() < p.want && p.read > 0 }

func (p *planner) count() (n int) {
	for _, s := range p.steps {
		if s.op != opNone {
			n++
		}
	}
	return n
}

// atHead reports whether the log was read to its end.
func (p *planner) atHead() bool { return p.view.Log.Target == 0 && p.view.Log.Since == p.head }

// settled brings where the last step leads up to what was passed after it.
func (p *planner) settled() {
	if n := len(p.steps); n > 0 {
		p.steps[n-1].then = p.view
	}
}

// tell adds a step. Of a line that is told of already it changes what is told.
func (p *planner) tell(o op, line mail.Lineage, uid mail.UID, held bool) {
	i, known := p.byID[line]
	if !known {
		if o != opNone {
			p.byID[line] = len(p.steps)
			p.steps = append(p.steps, step{o, line, uid, held, p.view})
		}
		p.settled()
		return
	}
	s := &p.steps[i]
	switch {
	case o == opNone:
	case o == opDelete || o == opSoft:
		if s.op, s.uid = o, 0; !s.held {
			s.op = opNone
		}
	case !s.held:
		s.op, s.uid = opAdd, uid
	case s.op == opFlags && o == opFlags:
		s.uid = uid
	default:
		s.op, s.uid = opChange, uid
	}
	p.settled()
}

// log reads the log on, to its end at the head of the snapshot or until there is
// enough.
func (p *planner) log() error {
	if p.view.Log.Target == 0 && p.mb.HighestModSeq <= p.view.Log.Since {
		p.view.ended(p.view.Log.Epoch.At(p.head)) // nothing happened here, however long ago that was
		return nil
	}
	if err := p.missed(); err != nil {
		return err
	}
	for p.goesOn() && !p.atHead() {
		if p.view.Log.Target == 0 {
			p.view.Log.Target, p.view.Log.Phase, p.view.Last = p.head, mail.Created, p.mb.UIDNext-1
		}
		limit := min(max(p.want-p.count(), minEntriesRead), maxEntriesPage)
		page, err := p.r.Changes(store.ChangeQuery{Type: mail.TypePlacement, Mailbox: p.mb.ID, From: p.view.Log, Limit: limit, Stops: true})
		if err != nil {
			return err
		}
		p.read -= len(page.Changes)
		if err := p.page(page); err != nil {
			return err
		}
		if !page.More && p.count() < p.want {
			p.view.ended(page.Next)
			p.settled()
		}
	}
	return nil
}

// missed notes what the delta under way would have told of, had it not left since: the
// device never hears of it.
func (p *planner) missed() error {
	v := &p.view
	if v.Log.Target == 0 || v.Log.Phase != mail.Created || v.Made >= v.Last {
		return nil
	}
	gone, err := p.r.Vanished(p.mb.ID, v.Log.Target)
	if err != nil {
		return err
	}
	hidden := slices.Clone(v.Hidden)
	for _, r := range gone {
		if first, last := max(r.First, v.Made+1), min(r.Last, v.Last); first <= last {
			hidden.AddRange(first, last)
		}
	}
	if len(hidden) <= maxHiddenRanges {
		v.Hidden = hidden
	}
	return nil
}

// page takes the entries of a page of the log, until there is enough.
func (p *planner) page(page mail.ChangePage) error {
	versions, err := p.versionsOf(page.Changes)
	if err != nil {
		return err
	}
	lines := make([]mail.Lineage, 0, len(versions))
	for _, v := range versions {
		lines = append(lines, v.Lineage)
	}
	families, err := p.families(lines)
	if err != nil {
		return err
	}
	for i, c := range page.Changes {
		if p.count() >= p.want {
			return nil
		}
		p.entry(c, versions[c.UID], families, page.Stops[i])
	}
	return nil
}

// entry takes one entry of the log: version is what it is about, nil if nobody knows
// any more.
func (p *planner) entry(c mail.Change, version *mail.Version, families map[mail.Lineage][]mail.Version, stop mail.Position) {
	before := p.view
	p.view.Log = stop
	p.view.Made = 0
	if stop.Phase == mail.Created {
		p.view.Made = c.UID
	}
	if version == nil {
		p.settled()
		return
	}
	p.view.hide(version)
	line := version.Lineage.Line()
	last := version.ModSeq // what it is may be newer than what the log tells
	if version.Left != 0 {
		last = version.Left
	}
	if before.isOwn(c.UID, last) {
		p.settled()
		return
	}
	family := families[line]
	if family == nil {
		family = []mail.Version{*version}
	}
	held := false
	var item *mail.Version
	for i := range family {
		w := &family[i]
		held = held || before.holds(w) && !isGone(w, c) && !(w.Left != 0 && before.isOwn(w.UID, w.Left))
		if p.view.shows(w) && (item == nil || w.Compare(*item) > 0) {
			item = w
		}
	}
	o := p.verdict(c, version, item, held)
	if p.least != 0 && o == opAdd && item.Date.UnixMicro() < p.least {
		o = opNone
	}
	if o == opDelete {
		p.forget(family, version)
	}
	p.tell(o, line, uidOf(item), held)
}

// forget notes that the device no longer has an item of which other versions left, as
// the log has still to tell.
func (p *planner) forget(family []mail.Version, told *mail.Version) {
	for i := range family {
		if w := &family[i]; w.UID != told.UID && w.Left != 0 && p.view.holds(w) {
			p.view.Hidden = with(p.view.Hidden, w.UID)
		}
	}
}

// isGone reports whether the log has told that a version left, before it came to c:
// those that left come last, in the order of their leaving.
func isGone(w *mail.Version, c mail.Change) bool {
	return c.Op == mail.Destroyed && w.Left != 0 && (w.Left < c.ModSeq || w.Left == c.ModSeq && w.UID < c.UID)
}

func uidOf(v *mail.Version) mail.UID {
	if v == nil {
		return 0
	}
	return v.UID
}

// verdict is what is told of an item when something became of one of its versions.
func (p *planner) verdict(c mail.Change, version, item *mail.Version, held bool) op {
	switch {
	case item == nil && held:
		return opDelete
	case item == nil:
		return opNone
	case !held:
		return opAdd
	case c.Op == mail.Destroyed:
		if version.Compare(*item) > 0 {
			return opChange // an earlier version is the item again
		}
		return opNone
	case item.UID != version.UID:
		if version.Compare(*item) > 0 {
			return opChange // it is hidden now, and an earlier one is the item
		}
		return opNone
	case c.Op == mail.Created:
		return opChange
	}
	return opFlags
}

// versionsOf returns what entries of the log are about, by UID: those that are there
// and those that left.
func (p *planner) versionsOf(changes []mail.Change) (map[mail.UID]*mail.Version, error) {
	found := map[mail.UID]*mail.Version{}
	var there []mail.UID
	for _, c := range changes {
		if c.Op != mail.Destroyed {
			there = append(there, c.UID)
			continue
		}
		old, err := p.r.Departed(p.mb.ID, c.UID)
		if mail.KindOf(err) == mail.NotFound && err != nil {
			continue
		}
		if err != nil {
			return nil, err
		}
		v := &mail.Version{Placement: old, Left: c.ModSeq}
		if p.asksForDates() {
			m, err := p.r.Message(old.Message)
			switch {
			case err == nil:
				v.Date = m.InternalDate
			case mail.KindOf(err) == mail.NotFound:
				v.Date = old.SaveDate // erased; to remove what a device does not have does no harm
			default:
				return nil, err
			}
		}
		found[c.UID] = v
	}
	return found, p.there(there, found)
}

// asksForDates reports whether it depends on their dates which messages the device has.
func (p *planner) asksForDates() bool {
	return p.view.Floor != 0 || p.view.Fill != nil || p.view.Soft != nil || p.least != 0
}

// there adds those of uids that are there, without a date if none is asked for: a date
// is two rows more for each, and whoever waits for the answer waits for them.
func (p *planner) there(uids []mail.UID, found map[mail.UID]*mail.Version) error {
	if len(uids) == 0 {
		return nil
	}
	slices.Sort(uids)
	q := store.PlacementQuery{Mailbox: p.mb.ID, UIDs: mail.MakeUIDSet(uids...)}
	if !p.asksForDates() {
		return p.r.Placements(q, func(pl *mail.Placement) error {
			found[pl.UID] = &mail.Version{Placement: *pl}
			return nil
		})
	}
	return p.r.Messages(q, func(pl *mail.Placement, m *mail.Message) error {
		found[pl.UID] = &mail.Version{Placement: *pl, Date: m.InternalDate}
		return nil
	})
}

// families returns the versions of those of lines that have, or had, more than one.
func (p *planner) families(lines []mail.Lineage) (map[mail.Lineage][]mail.Version, error) {
	if len(lines) == 0 {
		return nil, nil
	}
	q := store.VersionQuery{Mailbox: p.mb.ID, Lines: lines, LeftAfter: p.view.Log.Since, Later: true}
	later, err := p.r.Versions(q)
	if err != nil || len(later) == 0 {
		return nil, err
	}
	q.Lines, q.Later = nil, false
	for _, v := range later {
		q.Lines = append(q.Lines, v.Lineage.Line())
	}
	all, err := p.r.Versions(q)
	families := map[mail.Lineage][]mail.Version{}
	for _, v := range all {
		families[v.Lineage.Line()] = append(families[v.Lineage.Line()], v)
	}
	return families, err
}

// fill goes on down the order of dates, newest first.
func (p *planner) fill() error {
	for p.goesOn() && !p.view.filled() {
		limit := min(p.want-p.count(), maxEntriesPage)
		dated, versions, families, err := p.dated(p.view.Fill.At, p.view.Floor, limit)
		if err != nil {
			return err
		}
		for _, d := range dated {
			p.taken(versions[d.UID], families)
		}
		if len(dated) < limit {
			p.bottom()
		}
	}
	return nil
}

// bottom notes that the filling got down to the floor.
func (p *planner) bottom() {
	next := *p.view.Fill
	next.At = place{p.view.Floor, 0}
	p.view.Fill = &next
	if p.view.Soft == nil {
		p.view.Fill = nil
	}
	p.settled()
}

// taken takes in one placement on the way down. What came after the filling began was,
// or will be, told by the log.
func (p *planner) taken(version *mail.Version, families map[mail.Lineage][]mail.Version) {
	before := p.view
	next := *p.view.Fill
	next.At = placeOf(version.Date, version.UID)
	p.view.Fill = &next
	if version.Created > next.Snap {
		p.settled()
		return
	}
	p.view.hide(version)
	line := version.Lineage.Line()
	family := families[line]
	if family == nil {
		family = []mail.Version{*version}
	}
	held := false
	var item *mail.Version
	for i := range family {
		w := &family[i]
		held = held || before.shows(w)
		if p.view.shows(w) && (item == nil || w.Compare(*item) > 0) {
			item = w
		}
	}
	switch {
	case item == nil || held && item.UID != version.UID:
		p.tell(opNone, line, 0, held)
	case held:
		p.tell(opChange, line, item.UID, held)
	default:
		p.tell(opAdd, line, item.UID, held)
	}
}

// soften takes from the device what has become older than its window.
func (p *planner) soften() error {
	for p.goesOn() && p.view.Soft != nil {
		limit := min(p.want-p.count(), maxEntriesPage)
		dated, versions, families, err := p.dated(p.view.Soft.At, p.view.Soft.Low, limit)
		if err != nil {
			return err
		}
		for _, d := range dated {
			p.softened(versions[d.UID], families)
		}
		if len(dated) < limit {
			p.view.Soft = nil
			if p.view.filled() {
				p.view.Fill = nil
			}
			p.settled()
		}
	}
	return nil
}

func (p *planner) softened(version *mail.Version, families map[mail.Lineage][]mail.Version) {
	held := p.view.holds(version)
	next := *p.view.Soft
	next.At = placeOf(version.Date, version.UID)
	p.view.Soft = &next
	p.view.Hidden = without(p.view.Hidden, version.UID)
	line := version.Lineage.Line()
	var item *mail.Version // another version that stays
	for i := range families[line] {
		if w := &families[line][i]; p.view.shows(w) && (item == nil || w.Compare(*item) > 0) {
			item = w
		}
	}
	switch {
	case !held || item != nil && version.Compare(*item) < 0:
		p.tell(opNone, line, 0, held)
	case item != nil:
		p.tell(opChange, line, item.UID, held)
	default:
		p.tell(opSoft, line, 0, held)
	}
}

// dated returns a page of the order of dates, with the placements and what else is of
// their lines.
func (p *planner) dated(before place, since int64, limit int) ([]mail.Dated, map[mail.UID]*mail.Version, map[mail.Lineage][]mail.Version, error) {
	q := store.DateQuery{Mailbox: p.mb.ID, Before: before.dated(), Limit: limit}
	if since != 0 {
		q.Since = place{Date: since}.dated().Date
	}
	page, err := p.r.ByDate(q)
	if err != nil {
		return nil, nil, nil, err
	}
	p.read -= len(page)
	uids := make([]mail.UID, len(page))
	for i, d := range page {
		uids[i] = d.UID
	}
	versions := map[mail.UID]*mail.Version{}
	if err := p.there(uids, versions); err != nil {
		return nil, nil, nil, err
	}
	var lines []mail.Lineage
	for _, v := range versions {
		lines = append(lines, v.Lineage)
	}
	families, err := p.families(lines)
	return page, versions, families, err
}
