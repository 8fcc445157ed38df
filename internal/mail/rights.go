package mail

import "strings"

// A PrincipalID names who authenticates.
type PrincipalID int64

// Anyone is every principal there is (RFC 4314 §2, "anyone").
const Anyone PrincipalID = -1

// OtherUsers is the name under which protocols show the mailboxes of others (RFC
// 2342 §5). No mailbox at the top has it.
const OtherUsers = "Other Users"

// MaxGrants bounds the principals that a mailbox is shared with.
const MaxGrants = 500

// Rights is a set of the rights of RFC 4314 §2.1.
type Rights uint16

// The rights.
const (
	MayLookup         Rights = 1 << iota // l: see that the mailbox is there
	MayRead                              // r: see what is in it
	MaySee                               // s: set and clear \Seen
	MayWrite                             // w: set and clear all flags but \Seen and \Deleted
	MayInsert                            // i: put messages into it
	MayPost                              // p: send mail to its address
	MayCreate                            // k: make mailboxes below it
	MayDelete                            // x: delete and rename it
	MayDeleteMessages                    // t: set and clear \Deleted
	MayExpunge                           // e: expunge
	MayAdminister                        // a: say who may do what

	NoRights  Rights = 0
	AllRights        = MayLookup | MayRead | MaySee | MayWrite | MayInsert | MayPost | MayCreate | MayDelete | MayDeleteMessages | MayExpunge | MayAdminister
)

// rightLetters are in the order of the bits.
const rightLetters = "lrswipkxtea"

// The virtual rights of RFC 4314 §2.1.1 stand for several. Of the two readings
// it allows this is the one of its examples.
const (
	obsoleteCreate = MayCreate | MayDelete          // c
	obsoleteDelete = MayDeleteMessages | MayExpunge // d
)

// anyOf is what MYRIGHTS asks for one of (RFC 4314 §4).
const anyOf = MayLookup | MayRead | MayInsert | MayCreate | MayDelete | MayAdminister

// ParseRights reads letters of rights, "c" and "d" as what they stand for.
// Invalid names the letter that is none.
func ParseRights(letters string) (Rights, error) {
	var r Rights
	for _, c := range letters {
		switch i := strings.IndexRune(rightLetters, c); {
		case i >= 0:
			r |= 1 << i
		case c == 'c':
			r |= obsoleteCreate
		case c == 'd':
			r |= obsoleteDelete
		default:
			return 0, Errorf(Invalid, "there is no right %q", c)
		}
	}
	return r, nil
}

// String is the letters of the rights.
func (r Rights) String() string {
	var b []byte
	for i := range rightLetters {
		if r&(1<<i) != 0 {
			b = append(b, rightLetters[i])
		}
	}
	return string(b)
}

// Compatible is String with the virtual rights of which some part is there, as
// RFC 4314 §2.1.1 wants it said.
func (r Rights) Compatible() string {
	s := r.String()
	if r&obsoleteCreate != 0 {
		s += "c"
	}
	if r&obsoleteDelete != 0 {
		s += "d"
	}
	return s
}

// Has reports whether r has all of s.
func (r Rights) Has(s Rights) bool { return r&s == s }

// Visible reports whether who has r may ask what that is.
func (r Rights) Visible() bool { return r&anyOf != 0 }

// MarshalText writes the letters.
func (r Rights) MarshalText() ([]byte, error) { return []byte(r.String()), nil }

// UnmarshalText reads what MarshalText wrote.
func (r *Rights) UnmarshalText(text []byte) error {
	var err error
	*r, err = ParseRights(string(text))
	return err
}

// Grant says what a principal may do in a mailbox of somebody else.
type Grant struct {
	Principal PrincipalID
	Rights    Rights
	Since     ModSeq // when the rights became these
}

// RightsOf returns what the grants of a mailbox give a principal: what is given
// to it and what is given to anyone.
func RightsOf(grants []Grant, p PrincipalID) Rights {
	var r Rights
	for _, g := range grants {
		if g.Principal == p || g.Principal == Anyone {
			r |= g.Rights
		}
	}
	return r
}

// flags are the system flags that r lets one change (RFC 4314 §4).
func (r Rights) flags() SystemFlags {
	var may SystemFlags
	if r.Has(MaySee) {
		may |= Seen
	}
	if r.Has(MayDeleteMessages) {
		may |= Deleted
	}
	if r.Has(MayWrite) {
		may |= AllSystemFlags &^ (Seen | Deleted)
	}
	return may
}

// Permitted are those of f that r lets one set.
func (f Flags) Permitted(r Rights) Flags {
	f.System &= r.flags()
	if !r.Has(MayWrite) {
		f.keywords = ""
	}
	return f
}

// Permitted narrows a change of flags to what r allows; what may not be changed
// stays as it is. Some says that something of what was asked for is left.
func (c FlagChange) Permitted(r Rights) (_ FlagChange, some bool) {
	asked := c.Add.Union(c.Remove)
	c.Add, c.Remove = c.Add.Permitted(r), c.Remove.Permitted(r)
	switch {
	case !c.Replace:
		return c, asked.IsEmpty() || !asked.Permitted(r).IsEmpty()
	case r.Has(MayWrite):
		c.Keep |= AllSystemFlags &^ r.flags()
	default: // keywords stay, which Replace would take
		c.Replace, c.Remove.System = false, r.flags()&^c.Add.System
	}
	return c, r.flags() != 0
}
