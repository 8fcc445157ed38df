// Package blobtest keeps the index of a blob store in memory, for tests and for
// stores that live there.
package blobtest

import (
	"bytes"
	"context"
	"encoding/binary"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"lockstep/internal/blob"
	"lockstep/internal/mail"
)

var _ blob.Index = (*Index)(nil)

// Index implements blob.Index. Use NewIndex. What names blobs besides the
// parts of other blobs is told by Name and Unname.
type Index struct {
	mu   sync.Mutex
	rows map[mail.BlobName]*row
	refs map[mail.BlobName]int
	lost map[string]bool // places that were erased

	records map[string]*record   // that lie in rows, by place
	doomed  map[string]time.Time // objects
}

type record struct {
	bytes []byte
	moved time.Time // zero: it is in use
}

type row struct {
	blob      mail.Blob
	touched   time.Time
	condemned time.Time // zero: it is not
}

// NewIndex returns an empty index.
func NewIndex() *Index {
	return &Index{rows: map[mail.BlobName]*row{}, refs: map[mail.BlobName]int{}, lost: map[string]bool{}, records: map[string]*record{}, doomed: map[string]time.Time{}}
}

// Commit does for the handles of one put, the blob and its parts, what a commit
// has to do. Either all become lasting, or it fails with mail.Expired.
func (x *Index) Commit(handles ...mail.Blob) error {
	for _, b := range handles {
		if err := b.Pending.Wait(); err != nil {
			return err
		}
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	now := time.Now()
	for _, b := range handles {
		if !now.Before(b.Until) || !b.Fresh && !x.stands(b.Name) || b.Fresh && (x.lost[b.Place] || !x.stands(b.Name) && x.isDoomed(b.Place)) {
			return mail.Errorf(mail.Expired, "the handle of a blob expired")
		}
	}
	for _, b := range handles {
		if x.stands(b.Name) {
			x.rows[b.Name].touched = now
			continue
		}
		b.Fresh, b.Until, b.Pending = false, time.Time{}, nil
		x.set(b, now)
	}
	return nil
}

// set makes a row, and the record that comes with it.
func (x *Index) set(b mail.Blob, now time.Time) {
	if was := x.rows[b.Name]; was != nil && was.blob.Place != b.Place {
		x.leave(was.blob.Place, now)
	}
	if b.Record != nil {
		x.records[b.Place] = &record{bytes: b.Record}
		b.Record = nil
	}
	x.rows[b.Name] = &row{blob: b, touched: now}
}

// leave notes that no row says a place any more.
func (x *Index) leave(place string, now time.Time) {
	if r := x.records[place]; r != nil && r.moved.IsZero() {
		r.moved = now
	}
}

func (x *Index) isDoomed(place string) bool {
	object, ok := blob.ObjectOf(place)
	return ok && !x.doomed[object].IsZero()
}

// stands reports whether a row is there and not condemned.
func (x *Index) stands(name mail.BlobName) bool {
	r := x.rows[name]
	return r != nil && r.condemned.IsZero()
}

// Name counts one more that names a blob.
func (x *Index) Name(name mail.BlobName) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.refs[name]++
}

// Unname counts one less.
func (x *Index) Unname(name mail.BlobName) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.refs[name]--; x.refs[name] <= 0 {
		delete(x.refs, name)
	}
}

// Blob implements blob.Index.
func (x *Index) Blob(_ context.Context, name mail.BlobName) (mail.Blob, bool, error) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if !x.stands(name) {
		return mail.Blob{}, false, nil
	}
	return x.rows[name].blob, true, nil
}

// Rows implements blob.Index.
func (x *Index) Rows(_ context.Context, prefix, after string, limit int) ([]mail.Blob, error) {
	x.mu.Lock()
	defer x.mu.Unlock()
	var found []mail.Blob
	for _, r := range x.rows {
		if strings.HasPrefix(r.blob.Place, prefix) && r.blob.Place > after {
			found = append(found, r.blob)
		}
	}
	slices.SortFunc(found, func(a, b mail.Blob) int { return strings.Compare(a.Place, b.Place) })
	return found[:min(limit, len(found))], nil
}

// Unnamed implements blob.Index.
func (x *Index) Unnamed(_ context.Context, touchedBefore time.Time, after mail.BlobName, limit int) ([]mail.BlobName, error) {
	x.mu.Lock()
	defer x.mu.Unlock()
	named := maps.Clone(x.refs)
	for _, r := range x.rows {
		for _, p := range r.blob.Parts {
			named[p]++
		}
	}
	var found []mail.BlobName
	for name, r := range x.rows {
		if named[name] == 0 && r.condemned.IsZero() && r.touched.Before(touchedBefore) && bytes.Compare(name[:], after[:]) > 0 {
			found = append(found, name)
		}
	}
	slices.SortFunc(found, func(a, b mail.BlobName) int { return bytes.Compare(a[:], b[:]) })
	return found[:min(limit, len(found))], nil
}

// Wrapped implements blob.Index.
func (x *Index) Wrapped(context.Context) (map[uint32]int64, error) {
	x.mu.Lock()
	defer x.mu.Unlock()
	by := map[uint32]int64{}
	for _, r := range x.rows {
		if len(r.blob.Key) < 4 {
			by[0]++
			continue
		}
		by[binary.BigEndian.Uint32(r.blob.Key)]++
	}
	return by, nil
}

// Rewrap implements blob.Index.
func (x *Index) Rewrap(_ context.Context, changes []blob.Rewrap) (int, error) {
	x.mu.Lock()
	defer x.mu.Unlock()
	n := 0
	for _, c := range changes {
		if r := x.rows[c.Name]; r != nil && bytes.Equal(r.blob.Key, c.From) {
			r.blob.Key = c.To
			n++
		}
	}
	return n, nil
}

// Family implements blob.Index.
func (x *Index) Family(_ context.Context, names []mail.BlobName) ([]mail.BlobName, error) {
	x.mu.Lock()
	defer x.mu.Unlock()
	all := slices.Clone(names)
	for i := 0; i < len(all); i++ {
		if r := x.rows[all[i]]; r != nil {
			all = append(all, r.blob.Parts...)
		}
	}
	slices.Reverse(all) // a part that is met twice stays behind the last that has it
	seen := map[mail.BlobName]bool{}
	all = slices.DeleteFunc(all, func(n mail.BlobName) bool { met := seen[n]; seen[n] = true; return met })
	slices.Reverse(all)
	return all, nil
}

// Erase implements blob.Index.
func (x *Index) Erase(_ context.Context, names []mail.BlobName, places []string) (gone []mail.BlobName, err error) {
	x.mu.Lock()
	defer x.mu.Unlock()
	for _, place := range places {
		x.lost[place] = true
	}
	for _, name := range names {
		named := x.refs[name] > 0
		for _, r := range x.rows {
			named = named || slices.Contains(r.blob.Parts, name)
		}
		if !named {
			x.erase(name)
			gone = append(gone, name)
		}
	}
	return gone, nil
}

func (x *Index) erase(name mail.BlobName) {
	r := x.rows[name]
	if r == nil {
		return
	}
	delete(x.rows, name)
	delete(x.records, r.blob.Place)
	if object, ok := blob.ObjectOf(r.blob.Place); ok && blob.Alone(object) {
		x.doom(object)
	}
}

func (x *Index) doom(object string) {
	if x.doomed[object].IsZero() {
		x.doomed[object] = time.Now()
	}
}

// Condemn implements blob.Index.
func (x *Index) Condemn(_ context.Context, names []mail.BlobName, touchedBefore time.Time) (int, error) {
	x.mu.Lock()
	defer x.mu.Unlock()
	n := 0
	for _, name := range names {
		if x.stands(name) && x.rows[name].touched.Before(touchedBefore) {
			x.rows[name].condemned = time.Now()
			n++
		}
	}
	return n, nil
}

// Forget implements blob.Index.
func (x *Index) Forget(_ context.Context, condemnedBefore time.Time, limit int) (int, error) {
	x.mu.Lock()
	defer x.mu.Unlock()
	n := 0
	for name, r := range x.rows {
		if n < limit && !r.condemned.IsZero() && r.condemned.Before(condemnedBefore) {
			delete(x.rows, name)
			delete(x.records, r.blob.Place)
			n++
		}
	}
	return n, nil
}

// Restore implements blob.Index.
func (x *Index) Restore(_ context.Context, found []mail.Blob) error {
	x.mu.Lock()
	defer x.mu.Unlock()
	for _, b := range found {
		if x.isDoomed(b.Place) {
			return mail.Errorf(mail.Expired, "the object is about to be removed")
		}
		x.set(b, time.Now())
	}
	return nil
}

// Lose forgets the row of a blob, as a damaged database does.
func (x *Index) Lose(name mail.BlobName) {
	x.mu.Lock()
	defer x.mu.Unlock()
	delete(x.rows, name)
}

// Move implements blob.Index.
func (x *Index) Move(_ context.Context, moves []blob.Move) (int, error) {
	x.mu.Lock()
	defer x.mu.Unlock()
	n := 0
	for _, m := range moves {
		if r := x.rows[m.Name]; r != nil && r.blob.Place == m.From {
			if x.isDoomed(m.To) {
				return n, mail.Errorf(mail.Expired, "the object is about to be removed")
			}
			r.blob.Place = m.To
			x.leave(m.From, time.Now())
			n++
		}
	}
	return n, nil
}

// Places implements blob.Index.
func (x *Index) Places(ctx context.Context, prefix, after string, limit int) ([]string, error) {
	rows, err := x.Rows(ctx, prefix, after, limit)
	places := make([]string, len(rows))
	for i, b := range rows {
		places[i] = b.Place
	}
	return places, err
}

// PlacesOf implements blob.Index.
func (x *Index) PlacesOf(_ context.Context, names []mail.BlobName) (map[mail.BlobName]string, error) {
	x.mu.Lock()
	defer x.mu.Unlock()
	places := map[mail.BlobName]string{}
	for _, name := range names {
		if r := x.rows[name]; r != nil {
			places[name] = r.blob.Place
		}
	}
	return places, nil
}

// Bytes implements blob.Index.
func (x *Index) Bytes(_ context.Context, place string) ([]byte, bool, error) {
	x.mu.Lock()
	defer x.mu.Unlock()
	r := x.records[place]
	if r == nil {
		return nil, false, nil
	}
	return bytes.Clone(r.bytes), true, nil
}

// Waiting implements blob.Index.
func (x *Index) Waiting(ctx context.Context, after string, limit int) (all []mail.Blob, err error) {
	rows, err := x.Rows(ctx, "rows/", after, limit)
	x.mu.Lock()
	defer x.mu.Unlock()
	for _, b := range rows {
		if r := x.records[b.Place]; r != nil {
			b.Record, b.Parts = bytes.Clone(r.bytes), nil
			all = append(all, b)
		}
	}
	return all, err
}

// DropBytes implements blob.Index.
func (x *Index) DropBytes(_ context.Context, movedBefore time.Time, limit int) (n int, err error) {
	x.mu.Lock()
	defer x.mu.Unlock()
	for place, r := range x.records {
		if n < limit && !r.moved.IsZero() && r.moved.Before(movedBefore) {
			delete(x.records, place)
			n++
		}
	}
	return n, nil
}

// Records is how many records lie in rows.
func (x *Index) Records() int {
	x.mu.Lock()
	defer x.mu.Unlock()
	return len(x.records)
}

// Doom implements blob.Index.
func (x *Index) Doom(_ context.Context, objects []string) error {
	x.mu.Lock()
	defer x.mu.Unlock()
	for _, o := range objects {
		x.doom(o)
	}
	return nil
}

// Doomed implements blob.Index.
func (x *Index) Doomed(_ context.Context, after string, limit int) (all []blob.Doomed, err error) {
	x.mu.Lock()
	defer x.mu.Unlock()
	for _, o := range slices.Sorted(maps.Keys(x.doomed)) {
		if o > after && len(all) < limit {
			all = append(all, blob.Doomed{Object: o, Since: x.doomed[o]})
		}
	}
	return all, nil
}

// Spare implements blob.Index.
func (x *Index) Spare(_ context.Context, objects []string) error {
	x.mu.Lock()
	defer x.mu.Unlock()
	for _, r := range x.rows {
		if object, ok := blob.ObjectOf(r.blob.Place); ok && slices.Contains(objects, object) {
			delete(x.doomed, object)
		}
	}
	return nil
}

// ForgetDoomed implements blob.Index.
func (x *Index) ForgetDoomed(_ context.Context, objects []string, before time.Time) error {
	x.mu.Lock()
	defer x.mu.Unlock()
	for _, o := range objects {
		if x.doomed[o].Before(before) {
			delete(x.doomed, o)
		}
	}
	return nil
}
