package backup

import (
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"time"

	"lockstep/internal/mail"
)

// The object claim says which server a backup belongs to since a standby was promoted: no
// other writes there, however long that one rests. The lease ends by itself; a claim does
// not: a server that comes back from the dead would mix its points with the new one's.
const (
	claimName = "claim"
	maxClaim  = 4 << 10
)

type claimText struct {
	Holder string    `json:"holder"` // as in the lease
	Since  time.Time `json:"since"`
}

// readClaim returns the claim on a target; nil if there is none.
func readClaim(ctx context.Context, t Target) (*claimText, error) {
	b, err := getBytes(ctx, t, claimName, maxClaim)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var c claimText
	if json.Unmarshal(b, &c) != nil {
		return nil, damaged(claimName, errors.New("it makes no sense"))
	}
	c.Holder = readable(c.Holder)
	return &c, nil
}

func putClaim(ctx context.Context, t Target, holder string, now time.Time) error {
	b, err := json.Marshal(claimText{Holder: holder, Since: now.UTC().Truncate(time.Second)})
	if err != nil {
		return err
	}
	return putBytes(ctx, t, claimName, b)
}

// mayWrite refuses a target that another server was promoted to, unless this one is to take
// it over.
func (r *Run) mayWrite(ctx context.Context, t Target) error {
	c, err := readClaim(ctx, t)
	if err != nil || c == nil || c.Holder == readable(r.server.Holder) {
		return err
	}
	if r.o.TakeOver {
		return putClaim(ctx, t, r.server.Holder, r.server.Now())
	}
	return mail.Errorf(mail.Conflict, "the backup in %s is that of %s, which was promoted %s: this server was replaced by it, and points of both would be a muddle. If this is the one that goes on after all (it was moved, or promoted nowhere): lockstep backup --take-over", t, c.Holder, c.Since.UTC().Format("2006-01-02 15:04 MST"))
}
