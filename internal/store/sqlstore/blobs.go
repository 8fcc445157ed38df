package sqlstore

import (
	"time"

	"lockstep/internal/mail"
)

// A row that is condemned lives again when the bytes were put again somewhere
// else; at the condemned place they may be deleted any moment.
const (
	upsertBlob = `INSERT INTO blob (name, size, place, key, touched) VALUES (?1, ?2, ?3, ?4, ?5)
	ON CONFLICT (name) DO UPDATE SET touched = excluded.touched, condemned = 0,
	place = CASE WHEN blob.condemned = 0 THEN blob.place ELSE excluded.place END,
	key = CASE WHEN blob.condemned = 0 THEN blob.key ELSE excluded.key END
	WHERE blob.condemned = 0 OR blob.place <> excluded.place`
	insertPart = "INSERT INTO blob_part (whole, n, part) VALUES (?1, ?2, ?3) ON CONFLICT DO NOTHING"
)

// nameBlobs makes the rows of blobs that are about to be named. Handles that
// have expired are refused.
func nameBlobs(c conn, now time.Time, blobs ...mail.Blob) error {
	for _, b := range blobs {
		if !b.Until.IsZero() && !now.Before(b.Until) {
			return expired()
		}
	}
	for _, b := range blobs {
		n, err := c.exec(upsertBlob, b.Name, b.Size, b.Place, b.Key, now)
		if err != nil {
			return err
		}
		if n == 0 {
			return expired()
		}
		for i, part := range b.Parts {
			if _, err := c.exec(insertPart, b.Name, i, part); err != nil {
				return err
			}
		}
	}
	return nil
}

func expired() error {
	return mail.Errorf(mail.Expired, "the message was stored too long ago and has to be sent again")
}
