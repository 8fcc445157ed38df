package backup

import (
	"cmp"
	"context"
	"errors"
	"io/fs"
	"maps"
	"slices"
	"strings"
	"time"

	"lockstep/internal/mail"
)

// PruneOptions say what is removed.
type PruneOptions struct {
	Keep time.Duration // how far back points are kept
	// Grace is how old an object is that no point names, and that is removed: a run that
	// was cut left it, and the next one would use it.
	Grace    time.Duration
	LookOnly bool // remove nothing, only say what would be
	// Unasked is for who prunes by the clock: when everything from before today would go
	// for its age, nothing does, and it is mail.Conflict. The clock may have jumped.
	Unasked bool
	// LongGap is how much time between two points counts at most when they are aged, where
	// nobody knows how much it was: the clock may have been set ahead. 0 is DefaultLongGap.
	LongGap time.Duration
	// ByClock ages points by what the clock says, whatever that was set to meanwhile.
	ByClock bool
}

// DefaultGrace is what Grace is as a rule.
const DefaultGrace = 24 * time.Hour

// Pruned says what was removed.
type Pruned struct {
	Kept, Removed []Point
	Damaged       []Point // of those kept, the ones that are not whole
	Objects       int     // removed, points included
	Bytes         int64   // that they took
	Jumps         []Jump  // time that did not count
}

// Prune removes points by their age, and the objects that no point needs any more. The
// newest point stays, and the newest that is whole. It can be cut and called again. Where
// somebody makes points with the run meanwhile (a Follower), only they wait who make one
// while some objects are removed; what their points need stays.
func (r *Run) Prune(ctx context.Context, o PruneOptions) (Pruned, error) {
	s := newSweep(r, o)
	if err := r.inTurn(ctx, func() error { r.sweep = s; return nil }); err != nil {
		return Pruned{}, err
	}
	defer func() {
		_ = r.inTurn(context.WithoutCancel(ctx), func() error { r.sweep = nil; return nil }) // else it is another's
	}()
	if err := s.list(ctx); err != nil {
		return Pruned{}, err
	}
	if err := s.choose(ctx); err != nil {
		return Pruned{}, err
	}
	err := s.remove(ctx, s.doomed())
	return s.done, err
}

func newSweep(r *Run, o PruneOptions) *sweep {
	return &sweep{r: r, o: o, now: r.server.Now(), all: map[string]Object{}, needed: map[string]bool{}, packs: map[string]int64{}, vanished: map[Point]bool{}}
}

// inTurn does something while nobody makes a point.
func (r *Run) inTurn(ctx context.Context, do func() error) error {
	if r.turn == nil {
		return do()
	}
	return r.turn(ctx, do)
}

// sweep is one Prune.
type sweep struct {
	r      *Run
	o      PruneOptions
	now    time.Time
	all    map[string]Object
	sorted []string // their names
	points []Point
	ages   []time.Duration  // of points
	needed map[string]bool  // objects that points name
	packs  map[string]int64 // up to where they do
	done   Pruned

	vanished map[Point]bool // removed by somebody else meanwhile

	made []Point // by the run since it began; guarded by the run's turn
}

func (s *sweep) list(ctx context.Context) error {
	err := each(ctx, s.r.repo.Target, "", func(o Object) error {
		if setOf(o.Name) == "" && !strings.HasPrefix(o.Name, packsPrefix) {
			return nil // it stays
		}
		s.all[o.Name] = o
		if p, ok := parsePoint(o.Name); ok {
			s.points = append(s.points, p)
		}
		return nil
	})
	slices.SortFunc(s.points, Point.compare)
	return err
}

// choose finds the points that stay, and what they need.
func (s *sweep) choose(ctx context.Context) error {
	if err := s.age(ctx); err != nil {
		return err
	}
	stay := map[Point]bool{}
	for _, p := range choose(s.points, s.ages, s.o.Keep) {
		stay[p] = true
	}
	whole := false // a whole one was met
	for _, p := range slices.Backward(s.points) {
		if _, there := s.all[keyOf(p.Set)]; !there || !stay[p] && whole { // without its key it is nothing
			s.done.Removed = append(s.done.Removed, p)
			continue
		}
		good, err := s.need(ctx, p)
		if err != nil {
			return err
		}
		if s.vanished[p] {
			continue
		}
		if !good && !stay[p] { // nothing to keep it for
			s.done.Removed = append(s.done.Removed, p)
			continue
		}
		s.done.Kept = append(s.done.Kept, p)
		whole = whole || good
		if !good {
			s.done.Damaged = append(s.done.Damaged, p)
		}
	}
	slices.Reverse(s.done.Kept)
	slices.Reverse(s.done.Removed)
	if s.o.Unasked && s.leavesTodayAlone() {
		return mail.Errorf(mail.Conflict, "all points but those of the last day would be removed, as they are older than backup.keep says: is the clock right? If it is, lockstep backup prune removes them")
	}
	return s.r.lease.keep(ctx)
}

// age finds out how old the points are.
func (s *sweep) age(ctx context.Context) (err error) {
	if s.o.ByClock {
		for _, p := range s.points {
			s.ages = append(s.ages, s.now.Sub(p.Time))
		}
		return nil
	}
	a := aging{read: s.clockOf, long: cmp.Or(s.o.LongGap, DefaultLongGap)}
	s.ages, s.done.Jumps, err = a.ages(ctx, s.points, s.now, s.r.server.Clock.read())
	return err
}

// clockOf is what the clock said when a point was made; zero where that can't be read.
func (s *sweep) clockOf(ctx context.Context, p Point) (Reading, error) {
	m, err := s.r.repo.Manifest(ctx, p)
	if isDamage(err) {
		return Reading{}, nil
	}
	if err != nil {
		return Reading{}, err
	}
	return m.Clock, nil
}

// today is how old a point is at most that says nothing against a clock that jumped: it
// was made after that.
const today = 24 * time.Hour

// leavesTodayAlone reports whether points go for their age, and none from before today
// stays.
func (s *sweep) leavesTodayAlone() bool {
	age := map[Point]time.Duration{}
	for i, p := range s.points {
		age[p] = s.ages[i]
	}
	aged := func(p Point) bool { return age[p] > s.o.Keep }
	recent := func(p Point) bool { return age[p] <= today }
	return slices.ContainsFunc(s.done.Removed, aged) && !slices.ContainsFunc(s.done.Kept, func(p Point) bool { return !recent(p) })
}

// need notes what a point needs, and says whether it is all there.
func (s *sweep) need(ctx context.Context, p Point) (whole bool, err error) {
	m, err := s.r.repo.Manifest(ctx, p)
	if isDamage(err) {
		s.vanished[p] = errors.Is(err, fs.ErrNotExist)
		return false, nil
	}
	if err != nil {
		return false, err
	}
	whole = true
	for _, l := range m.Layers {
		for _, name := range l.Indexes {
			good, err := s.needIndex(ctx, p.Set, name, m.PageSize)
			if err != nil {
				return false, err
			}
			whole = whole && good
		}
	}
	for _, name := range m.Digests {
		whole = s.take(name) && whole
	}
	for _, k := range m.Packs {
		s.packs[k.Pack] = max(s.packs[k.Pack], k.Size)
		_, end := tile(s.extents(k.Pack))
		whole = whole && end >= k.Size
	}
	s.needed[p.Name()] = true
	return whole, nil
}

// Check fails with mail.Corrupt when something is not there that a point needs. Indexes
// are read; of pages and packs it asks whether they are there, and as long as they should be.
func (r *Run) Check(ctx context.Context, p Point) error {
	s := newSweep(r, PruneOptions{})
	if err := s.list(ctx); err != nil {
		return err
	}
	whole, err := s.need(ctx, p)
	if err == nil && !whole {
		err = damaged(p.Name(), errors.New("not all is there that it needs"))
	}
	return err
}

// isDamage says that an object can't be read, now or ever.
func isDamage(err error) bool {
	k := mail.KindOf(err)
	return err != nil && (k == mail.Corrupt || k == mail.NotFound)
}

// take notes an object and says whether it is there.
func (s *sweep) take(name string) bool {
	s.needed[name] = true
	_, there := s.all[name]
	return there
}

func (s *sweep) needIndex(ctx context.Context, set, name string, pageSize int) (whole bool, err error) {
	if s.needed[name] { // another point's too: counted there
		_, there := s.all[name]
		return there, nil
	}
	s.needed[name] = true
	seal, err := s.r.repo.set(ctx, set)
	if err != nil {
		return false, err
	}
	content, err := seal.get(ctx, s.r.repo.Target, name)
	if isDamage(err) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	whole = true
	err = eachSegment(content, pageSize, func(segment string, _ []segmentPage) error {
		whole = s.take(pagesOf(set)+segment) && whole
		return nil
	})
	return whole && err == nil, nil
}

// extents are those of a pack that are there.
func (s *sweep) extents(pack string) []extent {
	var list []extent
	for _, o := range s.below(packsPrefix + pack + "/") {
		if e, ok := parseExtent(o); ok {
			list = append(list, e)
		}
	}
	slices.SortFunc(list, extent.compare)
	return list
}

// below lists what is there under a prefix.
func (s *sweep) below(prefix string) []Object {
	if s.sorted == nil {
		for name := range s.all {
			s.sorted = append(s.sorted, name)
		}
		slices.Sort(s.sorted)
	}
	at, _ := slices.BinarySearch(s.sorted, prefix)
	var list []Object
	for _, name := range s.sorted[at:] {
		if !strings.HasPrefix(name, prefix) {
			break
		}
		list = append(list, s.all[name])
	}
	return list
}

// doomed lists what goes: points first, so that none is left that is not whole.
func (s *sweep) doomed() (list []Object) {
	for _, p := range s.done.Removed {
		list = append(list, s.all[p.Name()])
	}
	tiles := map[string]bool{}
	for pack := range s.packs {
		chosen, _ := tile(s.extents(pack))
		for _, e := range chosen {
			tiles[e.name()] = true
		}
	}
	for _, o := range s.below("") {
		if s.isRefuse(o, tiles) {
			list = append(list, o)
		}
	}
	return list
}

// isRefuse says that no point needs an object, and no run to come. Whatever is not
// ours is left alone.
func (s *sweep) isRefuse(o Object, tiles map[string]bool) bool {
	if s.needed[o.Name] || tiles[o.Name] || s.now.Sub(o.Modified) < s.o.Grace {
		return false
	}
	if strings.HasPrefix(o.Name, packsPrefix) {
		return true
	}
	set := setOf(o.Name)
	if _, isPoint := parsePoint(o.Name); isPoint || set == "" {
		return false
	}
	if o.Name == keyOf(set) {
		return set != s.r.set && !s.hasPoint(set)
	}
	return true
}

func (s *sweep) hasPoint(set string) bool {
	return slices.ContainsFunc(s.done.Kept, func(p Point) bool { return p.Set == set })
}

// Objects are removed some at a time, while no point is made.
const (
	pruneBatch = 100
	pruneTurn  = time.Second
)

// remove removes what is doomed, but for what points need that were made since.
func (s *sweep) remove(ctx context.Context, doomed []Object) error {
	if s.o.LookOnly {
		for _, o := range doomed {
			s.count(o)
		}
		return nil
	}
	known := maps.Clone(s.packs)
	for len(doomed) > 0 {
		err := s.r.inTurn(ctx, func() error {
			if err := s.needMade(ctx); err != nil {
				return err
			}
			for n, began := 0, time.Now(); len(doomed) > 0 && n < pruneBatch && time.Since(began) < pruneTurn; n++ {
				o := doomed[0]
				if err := s.removeOne(ctx, o, known); err != nil {
					return err
				}
				doomed = doomed[1:]
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// needMade notes what points need that were made since the target was listed.
func (s *sweep) needMade(ctx context.Context) error {
	for len(s.made) > 0 {
		if _, err := s.need(ctx, s.made[0]); err != nil {
			return err
		}
		s.made = s.made[1:]
	}
	return nil
}

// removeOne removes an object, unless it is needed by now. Of packs that nobody needed when
// it was chosen, and somebody does now, all stays.
func (s *sweep) removeOne(ctx context.Context, o Object, known map[string]int64) error {
	e, isExtent := parseExtent(o)
	_, was := known[e.pack]
	_, is := s.packs[e.pack]
	if s.needed[o.Name] || isExtent && is && !was {
		return nil
	}
	if err := s.r.lease.keep(ctx); err != nil {
		return err
	}
	if err := s.r.repo.Target.Delete(ctx, o.Name); err != nil {
		return err
	}
	s.r.forgets(o.Name, e)
	s.count(o)
	return nil
}

func (s *sweep) count(o Object) {
	s.done.Objects++
	s.done.Bytes += o.Size
}

// forgets notes that an object is there no longer.
func (r *Run) forgets(name string, e extent) {
	delete(r.objects, name)
	if list := slices.DeleteFunc(r.packs[e.pack], func(x extent) bool { return x == e }); len(list) > 0 {
		r.packs[e.pack] = list
	} else {
		delete(r.packs, e.pack)
	}
}
