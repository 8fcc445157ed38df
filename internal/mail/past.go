package mail

import "time"

// Departure is a placement that left its mailbox, as it was then.
type Departure struct {
	Placement
	Left   ModSeq
	Erased bool // nothing but numbers is kept of it
}

// DeletedMailbox is a mailbox that was deleted and can be brought back.
type DeletedMailbox struct {
	ID          MailboxID
	Image       MailboxImage // as it was then
	UIDValidity UIDValidity
	UIDNext     UID
	Left        ModSeq
	Erased      bool // nothing but numbers is kept of it
}

// KeptMetadata is an annotation of a mailbox or of the account, and whose it is;
// Who 0 is the owner's, and that of shared ones.
type KeptMetadata struct {
	Metadata
	Who PrincipalID
}

// Moment is a place in the past of an account: after one change, before the next.
type Moment struct {
	ModSeq ModSeq
	Time   time.Time // of the change; zero is not known
}
