package jmap

import (
	"lockstep/internal/auth"
	"lockstep/internal/mail"
)

// emailSortOptions are what Email/query sorts by (RFC 8621 §4.4.2).
var emailSortOptions = []string{
	"receivedAt", "size", "from", "to", "subject", "sentAt", "hasKeyword", "allInThreadHaveKeyword", "someInThreadHaveKeyword",
}

// mailCapability is what is said of mail on an account (RFC 8621 §1.3.1).
func (s *Server) mailCapability(*auth.Session) any {
	return map[string]any{
		"maxMailboxesPerEmail":       maxMailboxesPerEmail,
		"maxMailboxDepth":            mail.MaxMailboxDepth,
		"maxSizeMailboxName":         mail.MaxMailboxNameBytes,
		"maxSizeAttachmentsPerEmail": s.limits.Upload,
		"emailQuerySortOptions":      emailSortOptions,
		"mayCreateTopLevelMailbox":   true,
	}
}
