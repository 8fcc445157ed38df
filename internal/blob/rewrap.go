package blob

import (
	"context"

	"lockstep/internal/mail"
)

// A Rewrap gives the key of a blob as its row is to have it, wrapped by another key
// of the operator.
type Rewrap struct {
	Name     mail.BlobName
	From, To []byte
}

// rewrapPage is how many rows, or records, are rewrapped at once.
const rewrapPage = 500

// Rewrapped says what a rewrapping did.
type Rewrapped struct {
	Rows    int64 // of blobs, that were rewrapped
	Records int64 // in packs, that were
	Damaged int64 // could not be: their wrapped keys are damaged
	Left    int64 // rows still to be looked at, about
}

// WrappedBy returns how many blobs have their keys wrapped by which key.
func (s *Store) WrappedBy(ctx context.Context) (map[uint32]int64, error) {
	return s.index.Wrapped(ctx)
}

// Keys are the operator's keys that the store seals with.
func (s *Store) Keys() *Keyring { return s.keys }

// Rewrap wraps the keys of all blobs by the newest key: of their rows, some hundred
// in one transaction. No blob is read or written. It may be stopped anywhere and
// called again, and tells how far it is.
func (s *Store) Rewrap(ctx context.Context, tell func(Rewrapped) error) (Rewrapped, error) {
	var done Rewrapped
	by, err := s.index.Wrapped(ctx)
	if err != nil {
		return done, err
	}
	newest := s.keys.ring.Load().newest()
	for n, count := range by {
		if n != newest {
			done.Left += count
		}
	}
	if done.Left == 0 {
		return done, nil
	}
	for after := ""; ; {
		rows, err := s.index.Rows(ctx, "", after, rewrapPage)
		if err != nil || len(rows) == 0 {
			return done, err
		}
		after = rows[len(rows)-1].Place
		if err := s.rewrapRows(ctx, rows, newest, &done); err != nil {
			return done, err
		}
		if err := tell(done); err != nil {
			return done, err
		}
	}
}

// rewrapRows rewraps those of rows that want it, in one transaction.
func (s *Store) rewrapRows(ctx context.Context, rows []mail.Blob, newest uint32, done *Rewrapped) error {
	var changes []Rewrap
	for _, row := range rows {
		if wrappedBy(row.Key) == newest {
			continue
		}
		key, err := s.keys.unwrap(row.Name, row.Key)
		if err != nil {
			done.Damaged++
			continue
		}
		changes = append(changes, Rewrap{Name: row.Name, From: row.Key, To: s.keys.wrap(row.Name, key)})
	}
	if len(changes) == 0 {
		return nil
	}
	n, err := s.index.Rewrap(ctx, changes)
	done.Rows += int64(n)
	done.Left = max(0, done.Left-int64(len(changes)))
	return err
}

// Retire makes a key needless: the rows of blobs and the records in packs whose keys
// it wrapped are wrapped by the newest, then it is taken out of the key file. Wrapped
// keys that don't open are damaged: no key helps them, and they hold up nothing. It
// may be stopped anywhere and called again.
//
// Records in a bucket have no keys in them, so there are only rows to rewrap.
//
// Rewrapping the records of a pack changes 80 bytes of each, and reads its header: a
// second or so for each 100 000, and no message is read.
func (s *Store) Retire(ctx context.Context, n uint32, tell func(Rewrapped) error) (Rewrapped, error) {
	r := s.keys.ring.Load()
	switch {
	case n == 0 || n > r.newest():
		return Rewrapped{}, mail.Errorf(mail.NotFound, "there is no key %d: the newest is key %d", n, r.newest())
	case n == r.newest():
		return Rewrapped{}, mail.Errorf(mail.Invalid, "key %d is the newest: new mail is sealed with it. Make another first: lockstep key rotate", n)
	case r.keys[n-1].secret == nil:
		return Rewrapped{}, mail.Errorf(mail.Exists, "key %d is retired already, since %s", n, r.keys[n-1].retired.Format("2006-01-02 15:04 MST"))
	}
	if wait := s.keys.settledIn(); wait > 0 {
		return Rewrapped{}, mail.Errorf(mail.Unavailable, "mail that was on its way in when the newest key was made may still need key %d: try again in %d minutes", n, int(wait.Minutes())+1)
	}
	done, err := s.Rewrap(ctx, tell)
	if err != nil {
		return done, err
	}
	s.mu.Lock() // no record is copied meanwhile with a key as an older row had it
	defer s.mu.Unlock()
	if err := s.home.rewrapRecords(ctx, n, &done, tell); err != nil {
		return done, err
	}
	return done, s.keys.retire(n, s.now())
}
