package delivery

import (
	"bytes"
	"context"
	"fmt"
	"strings"
	"time"

	"lockstep/internal/mail"
	"lockstep/internal/store"
)

// TellOfDevice tells an account, by a message in its inbox, that a new device waits to
// be let in, or that one has done its wipe.
func (s *Service) TellOfDevice(ctx context.Context, id mail.AccountID, d mail.Device, now time.Time) error {
	var letter []byte
	err := s.Store.View(ctx, id, func(r store.Reader) error {
		a, err := r.Account()
		if letter = s.quarantineLetter(a, d, now); d.Wipe.State == mail.WipeConfirmed {
			letter = s.wipeLetter(a, d, now)
		}
		return err
	})
	if err != nil {
		return err
	}
	arrival, err := s.Ingest(ctx, bytes.NewReader(letter))
	if err != nil {
		return err
	}
	_, err = s.Store.Update(ctx, id, mail.NewOrigin("policy", 0, mail.Local, mail.ByDelivery), func(tx store.Tx) error {
		inbox, err := tx.MailboxByPath("INBOX")
		if err == nil {
			_, err = tx.Append(inbox.ID, arrival)
		}
		return err
	})
	return err
}

func (s *Service) quarantineLetter(a mail.Account, d mail.Device, now time.Time) []byte {
	name := fmt.Sprintf("%q", strings.Map(printable, d.Name))
	b := new(bytes.Buffer)
	line := s.letter(b, a, "A new device waits to be let in: "+name, now)
	line("A device signed in to this account for the first time, with the right password:")
	line("")
	line("  %s", name)
	line("  on %s", now.UTC().Format("Monday, 2 January 2006, 15:04 MST"))
	line("  from %s", d.LastAddr)
	line("")
	line("It gets no mail yet. If it is yours, ask whoever runs the server to let it in; it then")
	line("begins by itself:")
	line("")
	line("  lockstep device allow %s %d", a.Name, d.ID)
	line("")
	line("If it is not yours, somebody knows your password: change it, and have the device kept out:")
	line("")
	line("  lockstep device block %s %d", a.Name, d.ID)
	return b.Bytes()
}

func (s *Service) wipeLetter(a mail.Account, d mail.Device, now time.Time) []byte {
	name := fmt.Sprintf("%q", strings.Map(printable, d.Name))
	what := "removed this account, and what came from it. All else on it is as it was."
	if d.Wipe.Scope == mail.WipeDevice {
		what = "erased all that was on it."
	}
	b := new(bytes.Buffer)
	line := s.letter(b, a, "Remote Device Wipe Confirmation: "+name, now)
	line("The device %s was asked to wipe itself, and says that it", name)
	line("%s", what)
	line("")
	line("It was so on %s. Your mail is on the server as before.", now.UTC().Format("Monday, 2 January 2006, 15:04 MST"))
	line("")
	line("The device is kept out. If it comes back into your hands, whoever runs the server")
	line("lets it in again:")
	line("")
	line("  lockstep device allow %s %d", a.Name, d.ID)
	return b.Bytes()
}
