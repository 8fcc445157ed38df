package delivery

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"mime"
	"slices"
	"strings"
	"time"

	"lockstep/internal/mail"
	"lockstep/internal/store"
)

// A flood is told when the device has been quiet for quietFlood, so that the numbers
// are those of all of it, or has gone on for longFlood.
const (
	quietFlood = 30 * time.Second
	longFlood  = 10 * time.Minute
)

// maxFloodRecords bounds how much of the journal is read to say what a flood was.
const maxFloodRecords = 1 << 16

// TellFloods tells each account of the floods in it that it was not told of, by a
// message in its inbox, once: the message and the note that it was sent are one
// transaction. An account that can't be told holds no other up.
func (s *Service) TellFloods(ctx context.Context, k store.Keeper, now time.Time) error {
	accounts, err := k.Untold(ctx)
	for _, id := range accounts {
		if err := s.tellFloods(ctx, id, now); err != nil {
			s.Log.WarnContext(ctx, "account not told of a flood", "account", int64(id), "err", err)
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
	}
	return err
}

func (s *Service) tellFloods(ctx context.Context, id mail.AccountID, now time.Time) error {
	var letters [][]byte
	var told []mail.ModSeq
	err := s.Store.View(ctx, id, func(r store.Reader) error {
		letters, told = nil, nil
		floods, err := r.Floods()
		for _, f := range floods {
			if err != nil || f.Told || now.Sub(f.Ended) < quietFlood && f.Ended.Sub(f.Began) < longFlood {
				continue
			}
			var letter []byte
			letter, err = s.floodLetter(r, f, now)
			letters, told = append(letters, letter), append(told, f.ID)
		}
		return err
	})
	for i, letter := range letters {
		if err == nil {
			err = s.tellFlood(ctx, id, told[i], letter)
		}
	}
	return err
}

// tellFlood puts the letter into the inbox, unless the flood is settled by now.
func (s *Service) tellFlood(ctx context.Context, id mail.AccountID, flood mail.ModSeq, letter []byte) error {
	a, err := s.Ingest(ctx, bytes.NewReader(letter))
	if err != nil {
		return err
	}
	_, err = s.Store.Update(ctx, id, mail.NewOrigin("guard", 0, mail.Local, mail.ByDelivery), func(tx store.Tx) error {
		if err := tx.ToldFlood(flood); err != nil {
			return err
		}
		inbox, err := tx.MailboxByPath("INBOX")
		if err == nil {
			_, err = tx.Append(inbox.ID, a)
		}
		return err
	})
	if err != nil && mail.KindOf(err) == mail.NotFound {
		return nil
	}
	return err
}

// floodLetter says which device deleted how much, from where, when, and what to do.
func (s *Service) floodLetter(r store.Reader, f mail.Flood, now time.Time) ([]byte, error) {
	a, err := r.Account()
	if err != nil {
		return nil, err
	}
	device, err := r.Device(f.Device)
	if err != nil && mail.KindOf(err) != mail.NotFound {
		return nil, err
	}
	name := fmt.Sprintf("%q", strings.Map(printable, device.Name))
	if device.Name == "" {
		name = "A device that was removed since"
	}
	what, err := floodLines(r, f)
	if err != nil {
		return nil, err
	}
	b := new(bytes.Buffer)
	line := s.letter(b, a, name+" deleted many messages", now)
	line("%s deleted more of your mail than usual, between %s and %s:", name, f.Began.UTC().Format("Monday, 2 January 2006, 15:04"), f.Ended.UTC().Format("15:04 MST"))
	line("")
	for _, l := range what {
		line("  %s", l)
	}
	line("")
	line("It was done as the device asked. What was deleted is kept until somebody decides,")
	line("also longer than deleted mail usually is.")
	line("")
	line("If you did not mean it, all of it can come back, in one step. Whoever runs the")
	line("server does this:")
	line("")
	line("  lockstep guard undo %s %d", a.Name, f.ID)
	line("")
	line("If you meant it, nothing happens to your mail. So that it can be forgotten in time:")
	line("")
	line("  lockstep guard accept %s %d", a.Name, f.ID)
	return b.Bytes(), nil
}

// letter begins a letter of the server's to an account, and returns what writes its
// lines.
func (s *Service) letter(b *bytes.Buffer, to mail.Account, subject string, now time.Time) (line func(format string, args ...any)) {
	_, domain, _ := strings.Cut(to.Name, "@")
	line = func(format string, args ...any) { fmt.Fprintf(b, format+"\r\n", args...) }
	line("From: Lockstep <postmaster@%s>", domain)
	line("To: <%s>", to.Name)
	line("Subject: %s", mime.QEncoding.Encode("utf-8", subject))
	line("Date: %s", now.Format(time.RFC1123Z))
	line("Message-ID: %s", s.newMessageID())
	line("Auto-Submitted: auto-generated")
	line("MIME-Version: 1.0")
	line("Content-Type: text/plain; charset=utf-8")
	line("Content-Transfer-Encoding: 8bit")
	line("")
	return line
}

func printable(r rune) rune {
	if r < ' ' || r == 0x7f {
		return -1
	}
	return r
}

// floodLines says how many messages left which mailbox.
func floodLines(r store.Reader, f mail.Flood) ([]string, error) {
	boxes, err := r.Mailboxes()
	if err != nil {
		return nil, err
	}
	paths, bins := map[mail.MailboxID]string{}, map[mail.MailboxID]bool{}
	for _, mb := range boxes {
		paths[mb.ID], bins[mb.ID] = mb.Path, mb.Role == mail.RoleTrash || mb.Role == mail.RoleJunk
	}
	records, err := r.Journal(store.JournalQuery{After: f.First - 1, Before: f.Last + 1, Device: f.Device, Limit: maxFloodRecords})
	counts := map[string]uint64{}
	for _, rec := range records {
		for _, e := range mail.Deletions(rec, func(id mail.MailboxID) bool { return bins[id] }) {
			from := paths[e.Mailbox]
			if from == "" {
				from = "a mailbox that is gone"
			}
			switch e.Op {
			case mail.OpDeleteMailbox:
				counts["the mailbox "+e.Before.Name+", with all that was in it"] = 0
			case mail.OpMove:
				counts[from+", moved to "+paths[e.Dest]] += e.UIDs.Count()
			case mail.OpExpunge:
				counts[from] += e.UIDs.Count()
			}
		}
	}
	var lines []string
	for _, what := range slices.Sorted(maps.Keys(counts)) {
		switch n := counts[what]; n {
		case 0:
			lines = append(lines, what)
		case 1:
			lines = append(lines, "1 message from "+what)
		default:
			lines = append(lines, fmt.Sprintf("%d messages from %s", n, what))
		}
	}
	return lines, err
}
