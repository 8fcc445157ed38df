package storetest

import (
	"cmp"
	"fmt"
	"strings"
	"time"

	"lockstep/internal/mail"
	"lockstep/internal/store"
)

var uploadChecks = []check{
	{"UploadsAreThereUntilTheyExpire", uploads},
	{"UploadsBecomeMessages", uploadsUsed},
	{"UploadsAreBounded", uploadBounds},
	{"PruneForgetsExpiredUploads", uploadsPruned},
}

// uploaded is the n-th upload of a test.
func uploaded(n int) mail.Upload {
	u := mail.Upload{ID: mail.UploadID{0xa, byte(n >> 8), byte(n)}, Blob: arrival(n).Blob, Type: fmt.Sprintf("text/plain; n=%d", n)}
	u.Blob.Name[0] = 3
	return u
}

func (s *subject) upload(u mail.Upload) (added mail.Upload, err error) {
	err = s.note(func(n store.Notes) (err error) {
		added, err = n.AddUpload(u)
		return err
	})
	return added, err
}

func (s *subject) uploadOf(id mail.UploadID) (mail.Upload, error) {
	return view(s, func(r store.Reader) (mail.Upload, error) { return r.Upload(id) })
}

// inWords is what is kept of an upload, without its times.
func inWords(u mail.Upload) string {
	return fmt.Sprintf("%s: %s, blob %s, %d bytes, made into %v", u.ID, u.Type, u.Blob.Name, u.Blob.Size, u.Emails)
}

// uploadLines are those of random histories that are there.
func uploadLines(r store.Reader) ([]string, error) {
	var lines []string
	for n := range uploadsOfHistories {
		u, err := r.Upload(uploaded(n).ID)
		switch {
		case err == nil:
			lines = append(lines, "upload "+inWords(u))
		case mail.KindOf(err) != mail.NotFound:
			return nil, err
		}
	}
	return lines, nil
}

func uploads(t *trial) {
	s := t.subject()
	head := s.head()
	u := uploaded(1)
	added := must(s.upload(u))
	got := must(s.uploadOf(u.ID))
	equal("upload", inWords(got), inWords(u))
	equal("as it was added", inWords(added), inWords(got))
	equal("where it lies", got.Blob.Place, u.Blob.Place)
	if !got.Blob.Until.IsZero() || got.Blob.Fresh || got.Created.IsZero() || !got.Created.Equal(added.Created) || !got.Until.Equal(added.Until) {
		fail("kept as %+v, added as %+v", got, added)
	}
	equal("for a day", got.Until.Sub(got.Created), mail.UploadLife)
	equal("no change", s.head(), head)
	_, err := s.upload(u)
	want(mail.Exists, err)
	u.ID = mail.UploadID{}
	if a, b := must(s.upload(u)), must(s.upload(u)); a.ID == b.ID || a.ID == u.ID {
		fail("drawn ids %s and %s", a.ID, b.ID)
	}
	over := uploaded(2)
	over.Until = time.Now().Add(-time.Second)
	must(s.upload(over))
	_, err = s.uploadOf(over.ID)
	want(mail.NotFound, err)
	want(mail.NotFound, s.note(func(n store.Notes) error { return n.UsedUpload(over.ID) }))
	over.Until = time.Now().Add(time.Minute)
	must(s.upload(over)) // its id is free again
	ok(s.note(func(n store.Notes) error { return n.UsedUpload(over.ID) }))
	equal("used, it stays longer", must(s.uploadOf(over.ID)).Until.After(over.Until.Add(mail.UploadLife/2)), true)
	late := uploaded(3)
	late.Blob.Until = time.Now().Add(-time.Second)
	_, err = s.upload(late)
	want(mail.Expired, err)
	_, err = s.uploadOf(late.ID)
	want(mail.NotFound, err)
}

func uploadsUsed(t *trial) {
	s := t.subject()
	u := must(s.upload(uploaded(1)))
	a := arrival(1)
	a.Blob = must(s.uploadOf(u.ID)).Blob
	p, err := update(s, func(tx store.Tx) (mail.Placement, error) {
		p, err := tx.Append(s.boxIn(tx, "Drafts"), a)
		if err != nil {
			return p, err
		}
		return p, tx.UsedUpload(u.ID, a.EmailID)
	})
	ok(err)
	equal("size", p.Size, u.Blob.Size)
	ok(s.note(func(n store.Notes) error { return n.UsedUpload(u.ID, emailID(2), emailID(3)) }))
	equal("made of it", fmt.Sprint(must(s.uploadOf(u.ID)).Emails), fmt.Sprint([]mail.EmailID{a.EmailID, emailID(2), emailID(3)}))
	for i := range mail.MaxUploadEmails {
		ok(s.note(func(n store.Notes) error { return n.UsedUpload(u.ID, emailID(10+i)) }))
	}
	made := must(s.uploadOf(u.ID)).Emails
	equal("remembered of them", len(made), mail.MaxUploadEmails)
	equal("the oldest", made[0], emailID(10))
	s.unchanged("an update that fails", func() {
		_, err := update(s, func(tx store.Tx) (int, error) {
			if err := tx.UsedUpload(u.ID, emailID(99)); err != nil {
				return 0, err
			}
			_, err := tx.AddUpload(uploaded(0))
			return 0, cmp.Or(err, errBroken)
		})
		equal("failed", err != nil, true)
	})
	equal("made of it after that", len(must(s.uploadOf(u.ID)).Emails), mail.MaxUploadEmails)
}

func uploadBounds(t *trial) {
	s := t.subject()
	long := uploaded(1)
	long.Type = strings.Repeat("t", mail.MaxUploadTypeBytes+1)
	_, err := s.upload(long)
	want(mail.Limit, err)
	large := uploaded(1)
	large.Blob.Size = mail.MaxUploadsTotal + 1
	_, err = s.upload(large)
	want(mail.Limit, err)
	ok(s.note(func(n store.Notes) error {
		for i := range mail.MaxUploads {
			u := uploaded(10 + i)
			u.Blob = uploaded(1).Blob
			if _, err := n.AddUpload(u); err != nil {
				return err
			}
		}
		return nil
	}))
	must(s.upload(uploaded(3)))
	must(s.uploadOf(uploaded(3).ID))
	gone := 0
	for i := range mail.MaxUploads {
		if _, err := s.uploadOf(uploaded(10 + i).ID); mail.KindOf(err) == mail.NotFound && err != nil {
			gone++
		}
	}
	equal("gone to make room", gone, 1)

	s = t.subject()
	first, second := uploaded(1), uploaded(2)
	first.Blob.Size, second.Blob.Size = mail.MaxUploadsTotal/2, mail.MaxUploadsTotal/2
	must(s.upload(first))
	must(s.upload(second))
	must(s.uploadOf(first.ID))
	must(s.upload(uploaded(3)))
	must(s.uploadOf(second.ID))
	_, err = s.uploadOf(first.ID)
	want(mail.NotFound, err)
	large.Blob.Size = mail.MaxUploadsTotal
	must(s.upload(large))
	_, err = s.uploadOf(second.ID)
	want(mail.NotFound, err)
	must(s.uploadOf(large.ID))
}

func uploadsPruned(t *trial) {
	s := t.subject()
	kept, over := uploaded(1), uploaded(2)
	over.Until = time.Now().Add(-time.Second)
	must(s.upload(kept))
	must(s.upload(over))
	ok(s.Prune(ctx, s.account, time.Now().Add(-time.Hour)))
	must(s.uploadOf(kept.ID))
	_, err := s.uploadOf(over.ID)
	want(mail.NotFound, err)
}
