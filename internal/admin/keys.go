package admin

import (
	"context"
	"fmt"
	"time"

	"lockstep/internal/backup"
	"lockstep/internal/blob"
	"lockstep/internal/mail"
)

// KeyRing is what may be told of the operator's key file.
type KeyRing struct {
	File        string
	Fingerprint string
	Keys        []Key
	Copy        string // whether the configured backup has the file as it is
}

// Key is one of the operator's keys.
type Key struct {
	blob.KeyInfo
	Blobs int64 // whose keys it wraps
}

// Rewrapping is how far a rotation or a retirement is.
type Rewrapping struct {
	Key  uint32 // that was made, or retired; 0 until then
	Done bool
	blob.Rewrapped
}

// OfKey names a key by its number.
type OfKey struct{ Number uint32 }

// The verbs of keys. KeyRotate makes a key and rewraps by it; KeyRewrap goes on with
// that where it was cut; KeyRetire makes a key needless and takes it out of the key
// file. No blob is written anew.
var (
	KeyShow   = Verb[Nothing, KeyRing]{"key/show", (*Ops).keyShow}
	KeyRotate = Verb[Nothing, Rewrapping]{"key/rotate", (*Ops).keyRotate}
	KeyRewrap = Verb[Nothing, Rewrapping]{"key/rewrap", (*Ops).keyRewrap}
	KeyRetire = Verb[OfKey, Rewrapping]{"key/retire", (*Ops).keyRetire}
)

func (o *Ops) keyShow(ctx context.Context, _ Nothing, emit func(KeyRing) error) error {
	keys := o.Blobs.Keys()
	by, err := o.Blobs.WrappedBy(ctx)
	if err != nil {
		return err
	}
	ring := KeyRing{File: keys.File(), Fingerprint: keys.Fingerprint()}
	for _, k := range keys.Keys() {
		ring.Keys = append(ring.Keys, Key{k, by[k.Number]})
	}
	ring.Copy = o.copyOfKeys(ctx, keys)
	return emit(ring)
}

// copyTime bounds how long is looked for a copy of the key file.
const copyTime = 10 * time.Second

// copyOfKeys says whether the configured backup has the key file as it is.
func (o *Ops) copyOfKeys(ctx context.Context, keys *blob.Keyring) string {
	if o.Backups == nil || o.Backups.To == "" {
		return "no backup is configured: keep a copy elsewhere yourself"
	}
	ctx, cancel := context.WithTimeout(ctx, copyTime)
	defer cancel()
	at, same, err := o.newestCopy(ctx, keys)
	switch {
	case err != nil:
		return "not known: " + mail.DetailOf(err)
	case !same:
		return fmt.Sprintf("the backup in %s has it as it was before (%s): lockstep backup", o.Backups.To, at.Local().Format("2006-01-02 15:04"))
	}
	return fmt.Sprintf("in the backup in %s (%s), sealed for its recovery code", o.Backups.To, at.Local().Format("2006-01-02 15:04"))
}

func (o *Ops) newestCopy(ctx context.Context, keys *blob.Keyring) (at time.Time, same bool, err error) {
	target, err := o.Backups.Target(ctx, "")
	if err != nil {
		return at, false, err
	}
	repo, err := backup.Unlock(ctx, target, backup.Secret{KeyFile: keys.Text()})
	if err != nil {
		return at, false, err
	}
	point, err := repo.Newest(ctx, time.Time{})
	if err != nil {
		return at, false, err
	}
	m, err := repo.Manifest(ctx, point)
	if err != nil {
		return at, false, err
	}
	return point.Time, m.KeyFile == string(keys.Text()), nil
}

func (o *Ops) keyRotate(ctx context.Context, _ Nothing, emit func(Rewrapping) error) error {
	n, err := o.Blobs.Keys().Rotate(time.Now())
	if err != nil {
		return err
	}
	o.Log.InfoContext(ctx, "key added", "key", n)
	if err := emit(Rewrapping{Key: n}); err != nil {
		return err
	}
	return o.rewrap(ctx, n, emit)
}

func (o *Ops) keyRewrap(ctx context.Context, _ Nothing, emit func(Rewrapping) error) error {
	return o.rewrap(ctx, 0, emit)
}

func (o *Ops) rewrap(ctx context.Context, n uint32, emit func(Rewrapping) error) error {
	done, err := o.Blobs.Rewrap(ctx, progress(n, emit))
	if err != nil {
		return err
	}
	return emit(Rewrapping{Key: n, Done: true, Rewrapped: done})
}

func (o *Ops) keyRetire(ctx context.Context, q OfKey, emit func(Rewrapping) error) error {
	if err := o.mayRetire(q.Number); err != nil {
		return err
	}
	done, err := o.Blobs.Retire(ctx, q.Number, progress(0, emit))
	if err != nil {
		return err
	}
	o.Log.InfoContext(ctx, "key retired", "key", q.Number)
	return emit(Rewrapping{Key: q.Number, Done: true, Rewrapped: done})
}

// mayRetire refuses while a copy of the database from before an upgrade is kept: its rows
// are wrapped by older keys, and who went back to it could read no mail.
func (o *Ops) mayRetire(key uint32) error {
	if o.Depths == nil {
		return nil
	}
	n, err := o.Depths.Snapshots()
	if err == nil && n > 0 {
		err = mail.Errorf(mail.Conflict, "%s of the database from before upgrades may need key %d, and so does who goes back to it. They go by themselves in 14 days; to do without them now: lockstep upgrade forget", counted(n, "snapshot"), key)
	}
	return err
}

// tellProgress is how often it is told how far something is.
const tellProgress = time.Second

// progress tells now and then how far a rewrapping is.
func progress(n uint32, emit func(Rewrapping) error) func(blob.Rewrapped) error {
	var told time.Time
	return func(r blob.Rewrapped) error {
		if time.Since(told) < tellProgress {
			return nil
		}
		told = time.Now()
		return emit(Rewrapping{Key: n, Rewrapped: r})
	}
}

// keys says what still needs an older key, and what needs one that is not there.
func (x *examination) keys(ctx context.Context) error {
	by, err := x.o.Blobs.WrappedBy(ctx)
	if err != nil {
		return err
	}
	there := map[uint32]blob.KeyInfo{}
	var newest uint32
	for _, k := range x.o.Blobs.Keys().Keys() {
		there[k.Number] = k
		newest = max(newest, k.Number)
	}
	for n, blobs := range by {
		k, known := there[n]
		switch {
		case n == newest || n == 0: // without a key it is damage, which is found with its bytes
			continue
		case !known:
			err = x.found("", false, "%s: their keys are wrapped by key %d, which the key file %s lacks: it is older than the mail. Put the newer copy of it in its place, and nothing is lost", counted(blobs, "blob"), n, x.o.Blobs.Keys().File())
		case !k.Retired.IsZero():
			err = x.found("", false, "%s: their keys are wrapped by key %d, which was retired: a copy of the key file from before that reads them", counted(blobs, "blob"), n)
		default:
			err = x.rewrapped(ctx, n, blobs)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// rewrapped finishes a rotation that was cut.
func (x *examination) rewrapped(ctx context.Context, n uint32, blobs int64) error {
	if !x.q.LookOnly {
		if _, err := x.o.Blobs.Rewrap(ctx, func(blob.Rewrapped) error { return nil }); err != nil && mail.KindOf(err) != mail.Corrupt {
			return fmt.Errorf("key %d: %w", n, err)
		}
		by, err := x.o.Blobs.WrappedBy(ctx)
		if err != nil {
			return err
		}
		if by[n] == 0 {
			return x.found("", true, "%s still needed key %d: a rotation was cut short", counted(blobs, "blob"), n)
		}
		blobs = by[n]
	}
	return x.found("", false, "%s still need key %d: a rotation was cut short; lockstep key rewrap goes on with it", counted(blobs, "blob"), n)
}
