package sqlstore

import (
	"slices"
	"time"

	"lockstep/internal/mail"
)

const (
	selectUpload = "SELECT blob, size, type, created, until, emails FROM upload WHERE account_id = ?1 AND upload_id = ?2 AND until > ?3"
	// An account has mail.MaxUploads at most.
	sumUploads    = "SELECT count(*), coalesce(sum(size), 0) FROM upload WHERE account_id = ?1"
	insertUpload  = "INSERT INTO upload (account_id, upload_id, blob, size, type, created, until, emails) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)"
	updateUpload  = "UPDATE upload SET until = ?3, emails = ?4 WHERE account_id = ?1 AND upload_id = ?2"
	oldestUploads = "SELECT upload_id, size FROM upload WHERE account_id = ?1 ORDER BY created, upload_id"
	deleteUpload  = "DELETE FROM upload WHERE account_id = ?1 AND upload_id = ?2"
	deleteUploads = "DELETE FROM upload WHERE account_id = ?1 AND until <= ?2"
)

// Upload implements store.Reader.
func (r *reader) Upload(id mail.UploadID) (mail.Upload, error) {
	u, err := r.upload(id)
	if err == nil {
		err = locate(r.c, &u.Blob)
	}
	return u, err
}

// upload is Upload without where the bytes lie.
func (r *reader) upload(id mail.UploadID) (mail.Upload, error) {
	u := mail.Upload{ID: id}
	found, err := one(r.c, selectUpload, func(row row) {
		u.Blob = mail.Blob{Name: mail.BlobName(row.bytes(0)), Size: row.num(1)}
		u.Type, u.Created, u.Until = row.text(2), unstamp(row.num(3)), unstamp(row.num(4))
		for text := range slices.Chunk(row.bytes(5), len(mail.EmailID{})) {
			u.Emails = append(u.Emails, mail.EmailID(text))
		}
	}, r.id, id, r.now)
	if err == nil && !found {
		err = noUpload()
	}
	return u, err
}

func noUpload() error { return mail.Errorf(mail.NotFound, "no such upload") }

// AddUpload implements store.Notes.
func (n *notes) AddUpload(u mail.Upload) (mail.Upload, error) {
	t := n.t
	if err := t.c.later(deleteUploads, t.id, t.now); err != nil {
		return u, err
	}
	if err := u.Check(); err != nil {
		return u, err
	}
	if u.ID == (mail.UploadID{}) {
		u.ID = mail.NewUploadID()
	} else if _, err := t.upload(u.ID); mail.KindOf(err) != mail.NotFound {
		return u, existing(err, "there is an upload of that id")
	}
	if err := t.makeRoom(u); err != nil {
		return u, err
	}
	if u.Until.IsZero() {
		u.Until = t.now.Add(mail.UploadLife)
	}
	if err := nameBlobs(t.c, t.naming, t.now, append(slices.Clip(u.Parts), u.Blob)...); err != nil {
		return u, err
	}
	err := t.c.later(insertUpload, t.id, u.ID, u.Blob.Name, u.Blob.Size, u.Type, t.now, u.Until, emailIDs(u.Emails))
	if err != nil {
		return u, err
	}
	u.Blob = mail.Blob{Name: u.Blob.Name, Size: u.Blob.Size, Place: u.Blob.Place, Key: u.Blob.Key}
	u.Parts, u.Created, u.Until = nil, unstamp(stamp(t.now)), unstamp(stamp(u.Until))
	return u, nil
}

// existing is what to say of a look-up that found something, or broke.
func existing(err error, words string) error {
	if err == nil {
		err = mail.Errorf(mail.Exists, "%s", words)
	}
	return err
}

// makeRoom drops the oldest uploads until there is room for one more.
func (t *tx) makeRoom(u mail.Upload) error {
	var n, total int64
	if _, err := one(t.c, sumUploads, func(r row) { n, total = r.num(0), r.num(1) }, t.id); err != nil || u.Fits(n, total) {
		return err
	}
	var dropped []mail.UploadID
	err := t.c.query(oldestUploads, func(r row) error {
		if !u.Fits(n, total) {
			dropped, n, total = append(dropped, mail.UploadID(r.bytes(0))), n-1, total-r.num(1)
		}
		return nil
	}, t.id)
	for _, id := range dropped {
		if err == nil {
			err = t.c.later(deleteUpload, t.id, id)
		}
	}
	return err
}

func emailIDs(all []mail.EmailID) []byte {
	text := make([]byte, 0, len(all)*len(mail.EmailID{}))
	for _, id := range all {
		text = append(text, id[:]...)
	}
	return text
}

// UsedUpload implements store.Notes.
func (n *notes) UsedUpload(id mail.UploadID, made ...mail.EmailID) error {
	t := n.t
	u, err := t.upload(id)
	if err != nil {
		return err
	}
	u.Made(made...)
	err = t.c.later(updateUpload, t.id, id, latest(u.Until, t.now.Add(mail.UploadLife)), emailIDs(u.Emails))
	return err
}

func latest(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}
