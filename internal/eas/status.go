package eas

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"lockstep/internal/mail"
)

// A status is a common status of MS-ASCMD §2.2.2: an answer to a command as a whole,
// from 14.0 on. Each command has statuses of its own beside them.
type status int

const (
	statusOK             status = 1
	statusContent        status = 101
	statusWBXML          status = 102
	statusXML            status = 103
	statusDateTime       status = 104
	statusIDCombination  status = 105
	statusIDs            status = 106
	statusMIME           status = 107
	statusDeviceID       status = 108
	statusDeviceType     status = 109
	statusServer         status = 110 // for good: devices do not try again
	statusRetryLater     status = 111
	statusAccessDenied   status = 112
	statusQuota          status = 113
	statusOffline        status = 114
	statusSendQuota      status = 115
	statusRecipient      status = 116
	statusSent           status = 118
	statusNoRecipient    status = 119
	statusSubmission     status = 120
	statusReply          status = 121
	statusAttachment     status = 122
	statusNoPrincipal    status = 125
	statusUserDisabled   status = 126
	statusDeviceBlocked  status = 129
	statusDenied         status = 130
	statusCommand        status = 137
	statusVersion        status = 138
	statusPartly         status = 139
	statusWipe           status = 140
	statusLegacyDevice   status = 141
	statusNotProvisioned status = 142
	statusPolicyRefresh  status = 143
	statusPolicyKey      status = 144
	statusManaged        status = 145
	statusNoRecurrence   status = 146
	statusNotFound       status = 150
	statusNoInformation  status = 165
	statusAccountID      status = 166
	statusNoRights       status = 168
	statusTooManyDevices status = 177
	statusForwardMIME    status = 178
	statusForwardBody    status = 179
	statusRecipients     status = 183
)

// httpOf is what devices of 12.1 hear in place of a common status.
var httpOf = map[status]int{
	statusContent: 400, statusWBXML: 400, statusXML: 400, statusDateTime: 400, statusIDCombination: 400, statusIDs: 400, statusMIME: 400, statusDeviceID: 400,
	statusDeviceType: 400, statusServer: 500, statusRetryLater: 503, statusAccessDenied: 403, statusQuota: 507, statusOffline: 503, statusSendQuota: 507, statusNoPrincipal: 403,
	statusUserDisabled: 403, statusDeviceBlocked: 403, statusDenied: 403, statusCommand: 501, statusVersion: 505, statusWipe: 449, statusNotProvisioned: 449, statusPolicyRefresh: 449,
	statusPolicyKey: 449, statusPartly: 403, statusLegacyDevice: 449, statusManaged: 403, statusTooManyDevices: 403, statusNotFound: 500,
	statusRecipient: 500, statusNoRecipient: 500, statusSubmission: 500, statusReply: 500, statusAttachment: 413,
}

// A fault ends a command as a whole. One with a status is said in the answer's own
// words to who speaks 14.0 or later, and by HTTP to others; one with http alone, by
// HTTP to all.
type fault struct {
	status status
	http   int
	detail string // for people who look at HTTP, and the log
	retry  int    // seconds, for 503
	err    error  // for the log
}

func (f *fault) Error() string {
	s := f.detail
	if f.status != 0 {
		s = fmt.Sprintf("status %d: %s", f.status, s)
	}
	if f.err != nil {
		s += ": " + f.err.Error()
	}
	return s
}

func (f *fault) Unwrap() error { return f.err }

// fail makes a fault with a status.
func fail(s status, format string, args ...any) error {
	return &fault{status: s, detail: fmt.Sprintf(format, args...)}
}

// code is the HTTP status for who can't be told by a common one.
func (f *fault) code() int {
	if f.http != 0 {
		return f.http
	}
	if code, ok := httpOf[f.status]; ok {
		return code
	}
	return http.StatusInternalServerError
}

// isOurs reports whether the fault is the server's, for its operator to look into.
func (f *fault) isOurs() bool {
	if f.err == nil {
		return false
	}
	switch mail.KindOf(f.err) {
	case mail.Internal, mail.Unavailable, mail.Corrupt:
		return true
	}
	return false
}

// faultOf turns whatever went wrong into what a device is told.
func faultOf(err error) *fault {
	var f *fault
	if errors.As(err, &f) {
		return f
	}
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return &fault{status: statusRetryLater, detail: "stopped", err: err}
	}
	return &fault{status: statusOf(err), detail: mail.DetailOf(err), err: err}
}

// statusOf is the common status that an error of the store or of delivery amounts to.
func statusOf(err error) status {
	switch mail.KindOf(err) {
	case mail.NotFound:
		return statusNotFound
	case mail.OverQuota:
		return statusQuota
	case mail.Limit, mail.Conflict, mail.Expired, mail.Unavailable, mail.TooOld, mail.Internal:
		return statusRetryLater
	case mail.Denied, mail.BadCredentials:
		return statusDenied
	case mail.Invalid, mail.Exists, mail.HasChildren:
		return statusContent
	}
	return statusServer
}
