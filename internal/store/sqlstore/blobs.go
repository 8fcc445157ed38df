package sqlstore

import (
	"slices"
	"sync"
	"time"

	"lockstep/internal/blob"
	"lockstep/internal/mail"
)

const (
	touchBlob = "UPDATE blob SET touched = ?2 WHERE name = ?1 AND condemned = 0"
	// holdBlob holds a row that was touched not long ago, so that nobody can condemn it:
	// then it need not be touched again, and those who name one blob at a time do not
	// wait for each other.
	holdBlob = "SELECT 1 FROM blob WHERE name = ?1 AND condemned = 0 AND touched > ?2"
	putBlob  = `INSERT INTO blob (name, size, place, key, touched) VALUES (?1, ?2, ?3, ?4, ?5)
	ON CONFLICT (name) DO UPDATE SET place = excluded.place, key = excluded.key, touched = excluded.touched, condemned = 0`
	addBlob     = "INSERT INTO blob (name, size, place, key, touched, namer_account, namer_key) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7) ON CONFLICT (name) DO NOTHING"
	deleteParts = "DELETE FROM blob_part WHERE whole = ?1"
	insertPart  = "INSERT INTO blob_part (whole, n, part) VALUES (?1, ?2, ?3)"
	selectPlace = "SELECT size, place, key FROM blob WHERE name = ?1"
	// The record of a blob that lies in a row of its own.
	putBytes = `INSERT INTO blob_bytes (place, bytes) VALUES (?1, ?2)
	ON CONFLICT (place) DO UPDATE SET bytes = excluded.bytes, moved = 0`
	leaveBytes = `UPDATE blob_bytes SET moved = ?3 WHERE moved = 0 AND place <> ?2 AND place = (SELECT b.place FROM blob b WHERE b.name = ?1)`
	isDoomed   = "SELECT 1 FROM blob_doomed WHERE object = ?1"
)

// nameBlobs makes or touches the rows of blobs that are about to be named, as
// package blob asks of a commit: a handle that has expired is refused; a row that
// stands is touched; one that is condemned or not there is made from a handle
// whose bytes were just written, and from no other. What is not durable yet is left
// to the writer, who waits for it before the commit.
func nameBlobs(c conn, names *naming, now time.Time, blobs ...mail.Blob) error {
	_, err := nameBlobsOf(c, names, now, namer{}, blobs...)
	return err
}

// A namer is the message of an account that names a blob, written into the blob's row
// if it brings it. Those whom the row does not say are found by an index.
type namer struct {
	account mail.AccountID
	key     mail.MessageKey
}

// nameBlobsOf is nameBlobs for a message that names the last of them, and reports
// whether the row of that one says so now.
func nameBlobsOf(c conn, names *naming, now time.Time, by namer, blobs ...mail.Blob) (brought bool, err error) {
	for _, b := range blobs {
		if !b.Until.IsZero() && !now.Before(b.Until) || b.Fresh && names.refuses(b.Place) {
			return false, expired()
		}
	}
	for i, b := range blobs {
		c.pending().waitFor(b.Pending)
		of := namer{}
		if i == len(blobs)-1 {
			of = by
		}
		if brought, err = nameBlob(c, names, now, of, b); err != nil {
			return false, err
		}
	}
	return brought, nil
}

// naming is what is kept of blobs.
type naming struct {
	known   nameFilter
	shared  bool // other nodes name blobs too
	mu      sync.Mutex
	refused map[string]bool // places of records that were erased: a handle may still say one
	last    time.Time       // when some were refused last
}

// refuse lets no fresh handle be committed that says one of places. Those that were
// refused when the handles of today were not made yet are forgotten.
func (n *naming) refuse(places []string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.refused == nil || time.Since(n.last) > 2*blob.HandleLife {
		n.refused = map[string]bool{}
	}
	n.last = time.Now()
	for _, p := range places {
		n.refused[p] = true
	}
}

func (n *naming) refuses(place string) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.refused[place]
}

// pending are the bytes that a closure names and that may not be durable yet.
type pending struct{ all []*mail.Pending }

func (w *pending) waitFor(p *mail.Pending) {
	if p != nil && !slices.Contains(w.all, p) {
		w.all = append(w.all, p)
	}
}

// take returns what the closure has to wait for.
func (w *pending) take() []*mail.Pending {
	all := w.all
	w.all = nil
	return all
}

// touchedLately is for how long a touched row counts as touched now. What is condemned
// was not touched for blob.HandleLife, which leaves as much for a commit to take, and
// for the clocks of nodes to differ by.
const touchedLately = blob.HandleLife / 2

func nameBlob(c conn, names *naming, now time.Time, by namer, b mail.Blob) (brought bool, err error) {
	if !b.Fresh {
		return false, touch(c, names, now, b)
	}
	names.known.add(b.Name)
	n, err := c.exec(addBlob, b.Name, b.Size, b.Place, b.Key, now, by.account, by.key) // it is hardly ever there
	switch {
	case err != nil:
		return false, err
	case n > 0:
		return true, addRecord(c, b)
	}
	return false, touch(c, names, now, b)
}

// touch keeps the row of a blob that is there, or makes it from a fresh handle.
func touch(c conn, names *naming, now time.Time, b mail.Blob) error {
	if names.shared {
		held, err := one(c, holdBlob, func(row) {}, b.Name, now.Add(-touchedLately))
		if err != nil || held {
			return err
		}
	}
	n, err := c.exec(touchBlob, b.Name, now)
	switch {
	case err != nil || n > 0:
		return err
	case !b.Fresh:
		return expired()
	}
	if err := c.later(leaveBytes, b.Name, b.Place, now); err != nil {
		return err
	}
	if err := c.later(putBlob, b.Name, b.Size, b.Place, b.Key, now); err != nil {
		return err
	}
	if err := c.later(deleteParts, b.Name); err != nil {
		return err
	}
	return addRecord(c, b)
}

// addRecord makes what a row that was made from a fresh handle needs beside it. It
// looks for doom after the row was written: who dooms an object looks for rows after.
func addRecord(c conn, b mail.Blob) error {
	if err := addParts(c, b); err != nil {
		return err
	}
	if b.Record != nil {
		err := c.later(putBytes, b.Place, b.Record)
		return err
	}
	doomed, err := inDoomed(c, b.Place)
	if err == nil && doomed {
		err = expired()
	}
	return err
}

// inDoomed reports whether a place is in an object that is about to be removed, or was.
func inDoomed(c conn, place string) (bool, error) {
	object, ok := blob.ObjectOf(place)
	if !ok {
		return false, nil
	}
	return one(c, isDoomed, func(row) {}, object)
}

func addParts(c conn, b mail.Blob) error {
	for i, part := range b.Parts {
		if err := c.later(insertPart, b.Name, i, part); err != nil {
			return err
		}
	}
	return nil
}

// locate fills in where a blob lies. The blob's row is global: it is asked for by
// itself and never joined.
func locate(c conn, b *mail.Blob) error {
	_, err := one(c, selectPlace, func(r row) { b.Size, b.Place, b.Key = r.num(0), r.text(1), r.bytes(2) }, b.Name)
	return err
}

func expired() error {
	return mail.Errorf(mail.Expired, "the message was stored too long ago and has to be sent again")
}
