package imap

import (
	"context"

	"lockstep/internal/imap/wire"
	"lockstep/internal/mail"
	"lockstep/internal/store"
)

// quotaRoot is the one quota root there is: the account (RFC 9208 §3.1).
const quotaRoot = ""

// quotaUnit is what STORAGE is counted in (RFC 9208 §5.1).
const quotaUnit = 1024

// getQuota serves GETQUOTA (RFC 9208 §4.1.1).
func (s *session) getQuota(ctx context.Context, cmd *wire.GetQuota, _ *reply) error {
	if cmd.Root != quotaRoot {
		return errNo("NONEXISTENT", "There is no such quota root")
	}
	return s.sayQuota(ctx)
}

// getQuotaRoot serves GETQUOTAROOT (RFC 9208 §4.1.2), also for a mailbox that is
// still to be made. What is in another account doesn't count in this one, and how
// full that one is, is its owner's to know.
func (s *session) getQuotaRoot(ctx context.Context, cmd *wire.GetQuotaRoot, _ *reply) error {
	at, err := s.reach(ctx, cmd.Mailbox)
	if err != nil {
		return err
	}
	out := s.enc.Star().Atom("QUOTAROOT").Mailbox(cmd.Mailbox)
	if at.account != s.user.Account() {
		out.End()
		return s.enc.Err()
	}
	out.String(quotaRoot).End()
	return s.sayQuota(ctx)
}

// setQuota refuses SETQUOTA (RFC 9208 §4.1.3): how much an account may keep is its
// operator's to say, who has a command line. QUOTASET is not announced.
func (s *session) setQuota(context.Context, *wire.SetQuota, *reply) error {
	return errNo("NOPERM", "Only the operator sets quotas")
}

// sayQuota writes QUOTA: what the account uses and may, without a word of what it
// may without bound.
func (s *session) sayQuota(ctx context.Context) error {
	var a mail.Account
	err := s.view(ctx, func(r store.Reader) (err error) {
		a, err = r.Account()
		return err
	})
	if err != nil {
		return err
	}
	out := s.enc.Star().Atom("QUOTA").String(quotaRoot).Open()
	if a.Quota > 0 {
		used := (a.Used + quotaUnit - 1) / quotaUnit
		out.Atom("STORAGE").Number(uint64(used)).Number(uint64(a.Quota / quotaUnit))
	}
	out.Close().End()
	return s.enc.Err()
}

// almostFull says whether a person should know: five percent are left, or less.
func almostFull(a mail.Account, more int64) bool {
	return a.Quota > 0 && a.Used+more > a.Quota-a.Quota/20
}

// sayAlmostFull warns who just added a message (RFC 9208 §4.3.1).
func (s *session) sayAlmostFull(r *reply) {
	if r.full {
		s.enc.Status("", "NO", "OVERQUOTA", "The account is almost full")
	}
}

// deletedSize is what an EXPUNGE of the mailbox would take away, a scan of it
// where anything would be (RFC 9208 §4.1.4).
func (s *session) deletedSize(ctx context.Context, at reach, mb mail.Mailbox) (size int64, err error) {
	if mb.Counts.Deleted == 0 {
		return 0, nil
	}
	err = s.viewAt(ctx, at, func(r store.Reader) error {
		size = 0
		return r.Placements(store.PlacementQuery{Mailbox: mb.ID}, func(p *mail.Placement) error {
			if p.Flags.Has(mail.Deleted) {
				size += p.Size
			}
			return nil
		})
	})
	return size, err
}
