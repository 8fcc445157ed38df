package delivery

import (
	"context"
	"time"

	"lockstep/internal/hourly"
	"lockstep/internal/mail"
)

// ErrSentMuch is why an account sends nothing more in this hour: see Service.MaxSent.
var ErrSentMuch = mail.Errorf(mail.Limit, "that is mail to more recipients than an account may send to in an hour; it can be sent in the next")

// CountSent counts the recipients of what an account is about to hand in with Submit, one
// by one, or is ErrSentMuch and counts nothing. What then can't be sent is counted too.
func (s *Service) CountSent(ctx context.Context, from mail.AccountID, recipients int) error {
	if s.MaxSent == 0 {
		return nil
	}
	may, err := hourly.May(ctx, s.Store, from, hourly.Bound{Cursor: "delivery/sent", Most: s.MaxSent}, recipients, time.Now())
	if err == nil && !may {
		s.Log.WarnContext(ctx, "an account sends to more recipients than it may in an hour", "account", from, "most", s.MaxSent)
		err = ErrSentMuch
	}
	return err
}
