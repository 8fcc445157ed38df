package blob

import (
	"context"
	"errors"
	"io/fs"
	"time"

	"lockstep/internal/mail"
	"lockstep/internal/vfs"
)

const (
	// An object that nobody names and that is younger than this may be one whose commit is
	// on its way. It is many times a handle's life.
	orphanAge = 24 * time.Hour
	// What was found so is doomed: no row can come to name it. After this long no
	// transaction is left that began before, and it is removed if nobody does.
	doomWait = time.Hour
	// For so long it is remembered that it was removed.
	doomKept = 7 * 24 * time.Hour
	// Packs younger than this may have records that are about to be moved to them.
	youngPack = time.Hour

	maxDoomed   = 100_000 // objects doomed or removed in one pass
	maxCompacts = 256     // packs compacted in one pass
	placesPage  = 5000
)

// A survey is one walk over the objects of the bucket, and beside them over the places
// that rows say and the objects that are doomed, all by name. It costs a request for
// each thousand objects, and one of the index for each five thousand blobs.
type survey struct {
	b      *inBucket
	named  *lyingIn
	doomed *doomedBy
	now    time.Time

	missing []string // named, and not listed
	dead    []string // mostly: packs worth compacting
	small   []string
	doom    []string
	remove  []string
	spare   []string // doomed, and named
	done    []string // doomed, and removed long ago
	total   int64
}

// compact implements home.
func (b *inBucket) compact(ctx context.Context) (c Compacted, err error) {
	if err := b.mark(ctx); err != nil {
		return c, err
	}
	if _, err := b.dropBytes(ctx); err != nil {
		return c, err
	}
	if err := b.bucket.Sweep(ctx); err != nil {
		return c, cantWrite(ctx, err)
	}
	v, err := b.survey(ctx)
	if err != nil {
		return c, err
	}
	if err := b.removeDoomed(ctx, v, &c); err != nil {
		return c, err
	}
	if err := b.index.Doom(ctx, v.doom); err != nil {
		return c, err
	}
	if len(v.small) >= joinPacks {
		v.dead = append(v.dead, v.small...)
	}
	return c, b.compactPacks(ctx, v.dead[:min(len(v.dead), maxCompacts)], &c)
}

// survey walks over everything.
func (b *inBucket) survey(ctx context.Context) (*survey, error) {
	v := &survey{b: b, now: b.now(), named: &lyingIn{index: b.index}, doomed: &doomedBy{index: b.index}}
	for _, prefix := range []string{aloneIn, packedIn} { // in the order of names
		v.named.prefix, v.named.page = prefix, nil
		err := b.bucket.List(ctx, prefix, func(name string, size int64, modified time.Time) error {
			if err := ctx.Err(); err != nil {
				return err
			}
			return v.object(ctx, name, size, modified)
		})
		if err != nil {
			return nil, cantRead(ctx, err)
		}
		if err := v.rest(ctx); err != nil {
			return nil, err
		}
	}
	if err := v.doomedUpTo(ctx, pastPlaces, nil); err != nil {
		return nil, err
	}
	b.lately.Lock()
	defer b.lately.Unlock()
	b.total, b.asked = v.total, time.Now()
	return v, nil
}

// pastPlaces sorts behind all names.
const pastPlaces = "~"

// object looks at one object of the list.
func (v *survey) object(ctx context.Context, name string, size int64, modified time.Time) error {
	if !objectName.MatchString(name) {
		return nil // somebody else's
	}
	if err := v.namedUpTo(ctx, name); err != nil {
		return err
	}
	live, err := v.named.take(ctx, name)
	if err != nil {
		return err
	}
	v.total += live
	var since time.Time
	if err := v.doomedUpTo(ctx, name, &since); err != nil {
		return err
	}
	v.judge(name, size, live, modified, since)
	return nil
}

// judge says what is to become of an object.
func (v *survey) judge(name string, size, live int64, modified, since time.Time) {
	age := v.now.Sub(modified)
	full := len(v.doom)+len(v.remove)+len(v.spare) >= maxDoomed
	switch {
	case live > 0 && !since.IsZero() && !full:
		v.spare = append(v.spare, name)
	case live == 0 && !since.IsZero() && v.now.Sub(since) >= doomWait && !full:
		v.remove = append(v.remove, name)
	case live == 0 && since.IsZero() && age >= orphanAge && !full:
		v.doom = append(v.doom, name)
	case live == 0 || Alone(name) || age < youngPack:
	case live < size/mostlyDead:
		v.dead = append(v.dead, name)
	case size < v.b.objectSize()/smallPack:
		v.small = append(v.small, name)
	}
}

// namedUpTo notes what rows name before an object and is not in the list.
func (v *survey) namedUpTo(ctx context.Context, name string) error {
	for {
		next, err := v.named.next(ctx)
		if err != nil || next == "" || next >= name {
			return err
		}
		if len(v.missing) < maxDoomed {
			v.missing = append(v.missing, next)
		}
		if _, err := v.named.take(ctx, next); err != nil {
			return err
		}
	}
}

func (v *survey) rest(ctx context.Context) error { return v.namedUpTo(ctx, pastPlaces) }

// doomedUpTo passes over doomed objects that are not in the list, and forgets those that
// were removed long ago. since is when the object itself was doomed.
func (v *survey) doomedUpTo(ctx context.Context, name string, since *time.Time) error {
	for {
		d, err := v.doomed.next(ctx)
		if err != nil || d.Object == "" || d.Object > name {
			return err
		}
		v.doomed.page = v.doomed.page[1:]
		switch {
		case d.Object == name && since != nil:
			*since = d.Since
		case v.now.Sub(d.Since) > doomKept && len(v.done) < maxDoomed:
			v.done = append(v.done, d.Object)
		}
	}
}

// removeDoomed removes what nobody came to name since it was doomed.
func (b *inBucket) removeDoomed(ctx context.Context, v *survey, c *Compacted) error {
	if err := b.index.Spare(ctx, v.spare); err != nil {
		return err
	}
	if err := b.index.ForgetDoomed(ctx, v.done, v.now.Add(-doomKept)); err != nil {
		return err
	}
	for _, object := range v.remove {
		named, err := b.index.Places(ctx, object+"-", "", 1)
		if err != nil {
			return err
		}
		if len(named) > 0 {
			continue // it will be spared
		}
		if err := b.remove(ctx, object); err != nil {
			return err
		}
		c.Packs++
	}
	return nil
}

func (b *inBucket) remove(ctx context.Context, object string) error {
	ctx, cancel := context.WithTimeout(ctx, requestTime)
	defer cancel()
	if err := b.bucket.Delete(ctx, object); err != nil {
		b.stats.objectErrors.Add(1)
		return cantWrite(ctx, err)
	}
	b.stats.objectsRemoved.Add(1)
	return nil
}

// lyingIn walks over the objects that rows name, and sums up what lies in each.
type lyingIn struct {
	index  Index
	prefix string
	after  string
	page   []string
}

// next is the object of the next place; "" at the end.
func (l *lyingIn) next(ctx context.Context) (string, error) {
	if len(l.page) == 0 {
		var err error
		if l.page, err = l.index.Places(ctx, l.prefix, l.after, placesPage); err != nil || len(l.page) == 0 {
			return "", err
		}
		l.after = l.page[len(l.page)-1]
	}
	object, _ := ObjectOf(l.page[0])
	return object, nil
}

// take passes over all places in an object, if it is the next, and returns how many bytes
// lie there.
func (l *lyingIn) take(ctx context.Context, object string) (bytes int64, err error) {
	for {
		next, err := l.next(ctx)
		if err != nil || next != object {
			return bytes, err
		}
		if at, err := parsePlace(l.page[0]); err == nil {
			bytes += at.length
		} else {
			bytes++ // that is for the doctor, and the object stays
		}
		l.page = l.page[1:]
	}
}

// doomedBy walks over the doomed objects.
type doomedBy struct {
	index Index
	after string
	page  []Doomed
}

func (d *doomedBy) next(ctx context.Context) (Doomed, error) {
	if len(d.page) == 0 {
		var err error
		if d.page, err = d.index.Doomed(ctx, d.after, placesPage); err != nil || len(d.page) == 0 {
			return Doomed{}, err
		}
		d.after = d.page[len(d.page)-1].Object
	}
	return d.page[0], nil
}

// compactPacks copies what lives out of packs. They are removed like whatever nobody
// names.
func (b *inBucket) compactPacks(ctx context.Context, packs []string, c *Compacted) error {
	var done Packed
	p := b.newPacker(&done)
	defer p.close()
	for _, object := range packs {
		if b.isStuck(object) {
			continue
		}
		if err := b.compactPack(ctx, p, object, c); err != nil {
			return err
		}
	}
	err := p.flush(ctx)
	c.Moved += done.Records
	c.Bytes += done.Bytes
	b.stats.moved.Add(int64(done.Records))
	return err
}

// isStuck reports whether something damaged lies there, which is looked at no more until
// the next start.
func (b *inBucket) isStuck(object string) bool {
	b.lately.Lock()
	defer b.lately.Unlock()
	return b.stuck[object]
}

func (b *inBucket) stick(what string) {
	b.lately.Lock()
	defer b.lately.Unlock()
	b.stuck[what] = true
}

// compactPack adds what lives of a pack to another.
func (b *inBucket) compactPack(ctx context.Context, p *packer, object string, c *Compacted) error {
	file, err := b.download(ctx, object, 0, -1)
	if errors.Is(err, fs.ErrNotExist) {
		return nil // the next survey says so
	}
	if err != nil {
		return err
	}
	defer file.Close()
	damaged := len(c.Damaged)
	for after := ""; ; {
		rows, err := b.index.Rows(ctx, object+"-", after, packPage)
		if err != nil {
			return err
		}
		if len(rows) == 0 {
			break
		}
		for _, row := range rows {
			if err := b.copyRecord(ctx, p, file, row, c); err != nil {
				return err
			}
		}
		after = rows[len(rows)-1].Place
	}
	if len(c.Damaged) > damaged {
		b.stick(object)
	}
	return nil
}

// copyRecord adds a record of a pack to another, if it is good.
func (b *inBucket) copyRecord(ctx context.Context, p *packer, file vfs.File, row mail.Blob, c *Compacted) error {
	at, err := parsePlace(row.Place)
	if err == nil && at.length > MaxInRow {
		err = corrupt("a record is larger than those of packs", nil)
	}
	var record []byte
	if err == nil {
		record = make([]byte, at.length)
		if _, err = readFullAt(file, record, at.offset); err != nil {
			err = corrupt("a pack is cut off", err)
		}
	}
	if err == nil {
		err = checkWhole(record, row)
	}
	if err == nil {
		return p.add(ctx, row, record)
	}
	if mail.KindOf(err) != mail.Corrupt {
		return err
	}
	b.damage.met(row.Name)
	c.Damaged = append(c.Damaged, row)
	return nil
}
