package mail

import (
	"errors"
	"fmt"
)

// A Kind says what the caller of a failed operation can do about it.
type Kind uint8

// The kinds of errors. Each protocol has one function that turns a Kind into
// its own words.
const (
	Internal       Kind = iota // our fault or the machine's; logged
	NotFound                   // it is not there, or not for you to see
	Exists                     // something of that name is there already
	Invalid                    // the request makes no sense as it stands
	Conflict                   // it changed since; nothing was done
	TooOld                     // history no longer reaches back that far
	OverQuota                  // the account is full
	Limit                      // a named bound was reached
	Denied                     // known, but not allowed
	HasChildren                // a mailbox with mailboxes below it
	Expired                    // a handle outlived its time; put again
	Unavailable                // cannot now; try later
	Corrupt                    // stored bytes are damaged and were not served
	Unimplemented              // the protocol knows it, this server does not
	BadCredentials             // who are you?

	numKinds
)

var kindNames = [numKinds]string{"internal", "not found", "exists", "invalid", "conflict", "too old", "over quota", "limit", "denied",
	"has children", "expired", "unavailable", "corrupt", "unimplemented", "bad credentials"}

func (k Kind) String() string { return kindNames[k] }

// Kinds returns every Kind, for tests that walk them all.
func Kinds() []Kind {
	all := make([]Kind, numKinds)
	for i := range all {
		all[i] = Kind(i)
	}
	return all
}

// Error is the one error type that protocols look into; anything else is
// Internal.
type Error struct {
	Kind   Kind   // for the program: what the caller can do about it
	Detail string // for the person: no ids, no SQL
	Err    error  // for the operator; may be nil
}

func (e *Error) Error() string {
	if e.Err != nil {
		return e.Detail + ": " + e.Err.Error()
	}
	return e.Detail
}

func (e *Error) Unwrap() error { return e.Err }

// Errorf makes an Error without a cause.
func Errorf(k Kind, format string, args ...any) error {
	return &Error{Kind: k, Detail: fmt.Sprintf(format, args...)}
}

// KindOf returns the Kind of the first Error in err's chain, else Internal.
func KindOf(err error) Kind {
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Kind
	}
	return Internal
}

// DetailOf returns what a person may be told about err.
func DetailOf(err error) string {
	if e, ok := errors.AsType[*Error](err); ok && e.Kind != Internal {
		return e.Detail
	}
	return "internal error"
}
