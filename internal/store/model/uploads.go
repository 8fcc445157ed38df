package model

import (
	"bytes"
	"cmp"
	"maps"
	"slices"
	"time"

	"lockstep/internal/mail"
)

// Upload returns what a client put beside its mail.
func (r reader) Upload(id mail.UploadID) (mail.Upload, error) {
	u, ok := r.raw().uploads[id]
	if !ok || !r.clock().Before(u.Until) {
		return mail.Upload{}, mail.Errorf(mail.NotFound, "no such upload")
	}
	u.Emails = slices.Clone(u.Emails)
	return u, nil
}

// AddUpload keeps bytes for a while.
func (t *tx) AddUpload(u mail.Upload) (mail.Upload, error) {
	t.s.forgetUploads(t.now)
	if err := u.Check(); err != nil {
		return u, err
	}
	if u.ID == (mail.UploadID{}) {
		u.ID = mail.NewUploadID()
	}
	if _, taken := t.s.uploads[u.ID]; taken {
		return u, mail.Errorf(mail.Exists, "there is an upload of that id")
	}
	if err := t.fresh(mail.Arrival{Blob: u.Blob, Parts: u.Parts}); err != nil {
		return u, err
	}
	t.makeRoom(u)
	if u.Until.IsZero() {
		u.Until = t.now.Add(mail.UploadLife)
	}
	u.Blob.Until, u.Blob.Fresh, u.Blob.Pending = noTime, false, nil
	u.Parts, u.Created, u.Until = nil, t.now.UTC().Truncate(time.Microsecond), u.Until.UTC().Truncate(time.Microsecond)
	t.s.uploads[u.ID] = u
	return u, nil
}

// makeRoom drops the oldest until there is room for one more.
func (t *tx) makeRoom(u mail.Upload) {
	all, total := slices.Collect(maps.Values(t.s.uploads)), int64(0)
	for _, other := range all {
		total += other.Blob.Size
	}
	slices.SortFunc(all, func(a, b mail.Upload) int {
		return cmp.Or(a.Created.Compare(b.Created), bytes.Compare(a.ID[:], b.ID[:]))
	})
	for _, oldest := range all {
		if u.Fits(int64(len(t.s.uploads)), total) {
			return
		}
		delete(t.s.uploads, oldest.ID)
		total -= oldest.Blob.Size
	}
}

// UsedUpload keeps an upload longer.
func (t *tx) UsedUpload(id mail.UploadID, made ...mail.EmailID) error {
	u, err := t.Upload(id)
	if err != nil {
		return err
	}
	if until := t.now.Add(mail.UploadLife).UTC().Truncate(time.Microsecond); until.After(u.Until) {
		u.Until = until
	}
	u.Made(made...)
	t.s.uploads[id] = u
	return nil
}

// forgetUploads drops what has expired.
func (s *state) forgetUploads(now time.Time) {
	s.uploads = maps.Clone(s.uploads)
	maps.DeleteFunc(s.uploads, func(_ mail.UploadID, u mail.Upload) bool { return !now.Before(u.Until) })
}
