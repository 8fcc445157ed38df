package backup

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"sync"
	"time"

	"lockstep/internal/mail"
	"lockstep/internal/store"
)

// A Repo is a backup, opened with its key. Its methods are safe for concurrent use.
type Repo struct {
	Target Target

	header  *header
	key     *sealer
	packs   *packSealer
	keyFile []byte // what it was opened with
	trust   Trust

	mu   sync.Mutex
	sets map[string]*sealer
}

// Unlock opens the backup in a target. Without one it fails with mail.NotFound; with a
// key file or a recovery code of another with mail.Denied.
func Unlock(ctx context.Context, t Target, s Secret) (*Repo, error) {
	h, err := readHeader(ctx, t)
	if err != nil {
		return nil, err
	}
	if h == nil {
		return nil, noBackup(t)
	}
	return unlock(t, h, s)
}

func noBackup(t Target) error {
	return mail.Errorf(mail.NotFound, "there is no backup in %s: %s is not there. Is it the right place, and is everything mounted?", t, headerName)
}

func unlock(t Target, h *header, s Secret) (*Repo, error) {
	o, err := h.open(s)
	if err != nil {
		return nil, err
	}
	r := &Repo{Target: t, header: h, keyFile: o.keyFile, trust: o.trust, sets: map[string]*sealer{}}
	if r.key, err = newSealer(h.ID, o.key); err != nil {
		return nil, err
	}
	r.packs, err = newPackSealer(h.ID, o.key)
	return r, err
}

// ID is the backup's, from its beginning to its end.
func (r *Repo) ID() string { return r.header.ID }

// Recipients are the public sides of the recovery codes that open the backup.
func (r *Repo) Recipients() []string { return r.header.Recipients }

// Vouched reports whether the recovery code of the backup vouches for it. It is false where
// there is none, and where an older version made it.
func (r *Repo) Vouched() bool { return len(r.header.Voucher) > 0 }

// Trust says how the backup is known to be of who it should be. That it is all there is, and
// the newest, it does not say: who can write to the target can remove points, or put back
// what was there before.
func (r *Repo) Trust() Trust { return r.trust }

// Fingerprint is that of the key file, by which its holder can tell it from others.
func (r *Repo) Fingerprint() string { return r.header.KeyFile }

// KeyFile is the key file that the backup was opened with, or that the recovery code
// brought. That of a point may be newer.
func (r *Repo) KeyFile() []byte { return r.keyFile }

// Points returns all points, the oldest first. It reads names alone.
func (r *Repo) Points(ctx context.Context) ([]Point, error) { return listPoints(ctx, r.Target) }

// Times returns the points of a backup that nobody has the key of.
func Times(ctx context.Context, t Target) ([]Point, error) {
	h, err := readHeader(ctx, t)
	if err != nil {
		return nil, err
	}
	if h == nil {
		return nil, noBackup(t)
	}
	return listPoints(ctx, t)
}

func listPoints(ctx context.Context, t Target) ([]Point, error) {
	var points []Point
	err := each(ctx, t, setsPrefix, func(o Object) error {
		if p, ok := parsePoint(o.Name); ok {
			points = append(points, p)
		}
		return nil
	})
	slices.SortFunc(points, Point.compare)
	return points, err
}

// Newest returns the newest point that is not after a time; zero is now. There being
// none is mail.NotFound.
func (r *Repo) Newest(ctx context.Context, notAfter time.Time) (Point, error) {
	points, err := r.Points(ctx)
	if err != nil {
		return Point{}, err
	}
	if len(points) == 0 {
		return Point{}, mail.Errorf(mail.NotFound, "the backup in %s has no point: its first run was never finished", r.Target)
	}
	for _, p := range slices.Backward(points) {
		if notAfter.IsZero() || !p.Time.After(notAfter) {
			return p, nil
		}
	}
	return Point{}, mail.Errorf(mail.NotFound, "the oldest point of the backup in %s is of %s, which is later", r.Target, points[0])
}

// Manifest reads what makes a point.
func (r *Repo) Manifest(ctx context.Context, p Point) (*Manifest, error) {
	set, err := r.set(ctx, p.Set)
	if err != nil {
		return nil, err
	}
	b, err := set.get(ctx, r.Target, p.Name())
	if err != nil {
		return nil, err
	}
	return parseManifest(p.Name(), b)
}

// Digests reads what a point records of accounts; nil if it records nothing.
func (r *Repo) Digests(ctx context.Context, p Point) ([]store.Digest, error) {
	m, err := r.Manifest(ctx, p)
	if err != nil {
		return nil, err
	}
	set, err := r.set(ctx, p.Set)
	if err != nil {
		return nil, err
	}
	var all []store.Digest
	for _, name := range m.Digests {
		b, err := set.get(ctx, r.Target, name)
		if err != nil {
			return nil, err
		}
		some, err := parseDigests(name, b)
		if err != nil {
			return nil, err
		}
		all = append(all, some...)
	}
	return all, nil
}

// set returns what opens the objects of a set.
func (r *Repo) set(ctx context.Context, set string) (*sealer, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if s := r.sets[set]; s != nil {
		return s, nil
	}
	b, err := getBytes(ctx, r.Target, keyOf(set), maxSealed)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, &mail.Error{Kind: mail.NotFound, Detail: fmt.Sprintf("the key of set %s is gone: it was destroyed, so that nothing of the set can be read any more, or somebody removed %s", set, keyOf(set)), Err: err}
	}
	if err != nil {
		return nil, err
	}
	key, err := r.key.open(keyOf(set), b)
	if err != nil {
		return nil, err
	}
	s, err := newSealer(r.header.ID, key)
	if err == nil {
		r.sets[set] = s
	}
	return s, err
}

// newSet begins a set, whose name comes after those of the others, whatever the clock
// says.
func (r *Repo) newSet(ctx context.Context, now time.Time, others []string) (string, error) {
	for _, other := range others {
		at, _, _ := strings.Cut(other, "-")
		if t, err := time.Parse(timeLayout, at); err == nil && !now.After(t) {
			now = t.Add(time.Millisecond)
		}
	}
	mark := make([]byte, 4)
	rand.Read(mark)
	set := upTo(now, time.Millisecond).Format(timeLayout) + "-" + hex.EncodeToString(mark)
	_, err := r.key.put(ctx, r.Target, keyOf(set), newKey())
	return set, err
}

// Sets returns the sets whose keys are there, the oldest first.
func (r *Repo) Sets(ctx context.Context) ([]string, error) {
	var sets []string
	err := each(ctx, r.Target, setsPrefix, func(o Object) error {
		if set := setOf(o.Name); set != "" && o.Name == keyOf(set) {
			sets = append(sets, set)
		}
		return nil
	})
	return sets, err
}

// DestroySet destroys the key of a set and then removes its points and pages: what
// only they could read, nobody can read any more. It can be called again.
func (r *Repo) DestroySet(ctx context.Context, set string) error {
	if err := destroy(ctx, r.Target, keyOf(set)); err != nil {
		return err
	}
	r.mu.Lock()
	delete(r.sets, set)
	r.mu.Unlock()
	var names []string
	err := each(ctx, r.Target, setsPrefix+set+"/", func(o Object) error {
		names = append(names, o.Name)
		return nil
	})
	for _, name := range names {
		if err == nil {
			err = r.Target.Delete(ctx, name)
		}
	}
	return err
}

// destroy removes what nobody may read again.
func destroy(ctx context.Context, t Target, name string) error {
	if d, ok := t.(Destroyer); ok {
		return d.Destroy(ctx, name)
	}
	return t.Delete(ctx, name)
}
