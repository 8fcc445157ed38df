package mail

import (
	"encoding/json"
	"slices"
)

// FollowEntry is the annotation of the account that says where conversations go
// (RFC 5464): a change of it stands in the journal and can be undone.
const FollowEntry = PrivateScope + "/vendor/lockstep/follow"

// MaxFollowed bounds how many conversations go somewhere: a newer one takes the place of
// the oldest.
const MaxFollowed = 500

// A Follow is a conversation whose messages, when they come in, go where its earlier
// ones were moved for always (MS-ASCON §3.1.4.3, MS-ASCMD §2.2.3.117.2).
type Follow struct {
	Thread  ThreadID  `json:"thread"`
	Mailbox MailboxID `json:"mailbox"`
}

// Follows are those of an account, the newest last.
type Follows []Follow

// Of returns where a conversation goes; 0 is that it stays where it comes in.
func (f Follows) Of(t ThreadID) MailboxID {
	for _, one := range f {
		if one.Thread == t {
			return one.Mailbox
		}
	}
	return 0
}

// With is f and one more, in place of what was said of its conversation; to mailbox 0
// is that it stays.
func (f Follows) With(t ThreadID, to MailboxID) Follows {
	f = slices.DeleteFunc(slices.Clone(f), func(one Follow) bool { return one.Thread == t })
	if to != 0 {
		f = append(f, Follow{t, to})
	}
	return f[max(len(f)-MaxFollowed, 0):]
}

// followVersion is of the JSON.
const followVersion = 1

type followJSON struct {
	Version int     `json:"version"`
	Follow  Follows `json:"follow"`
}

// EncodeFollows writes the annotation's value; nil is none.
func EncodeFollows(f Follows) ([]byte, error) {
	if len(f) == 0 {
		return nil, nil
	}
	return json.Marshal(followJSON{followVersion, f})
}

// DecodeFollows reads the annotation's value; nil is that there are none. An owner can
// write anything there: what is none is Invalid.
func DecodeFollows(value []byte) (Follows, error) {
	if value == nil {
		return nil, nil
	}
	var v followJSON
	if err := json.Unmarshal(value, &v); err != nil || v.Version != followVersion || len(v.Follow) > MaxFollowed {
		return nil, Errorf(Invalid, "%s does not say where conversations go in version %d", FollowEntry, followVersion)
	}
	return v.Follow, nil
}
