package mail

import "slices"

// An ObjectID names an Object inside its account. It is never reused.
type ObjectID int64

// Object is a small thing of an account that views follow by state, as JMAP does its
// identities. What Data means is known to who puts it.
type Object struct {
	Type    Type
	ID      ObjectID
	Data    []byte
	Created ModSeq
	ModSeq  ModSeq // of the last change
}

// Bounds on objects: one past any is refused with Limit.
const (
	MaxObjects     = 2000     // of one type in one account
	MaxObjectBytes = 64 << 10 // of the data of one
)

// ObjectTypes returns the types that objects can be of.
func ObjectTypes() []Type { return []Type{TypeIdentity, TypeSubmission} }

// IsObject reports whether objects can be of the type.
func (t Type) IsObject() bool { return slices.Contains(ObjectTypes(), t) }

// Fits is Limit where the object may not be there beside n others of its type, and
// Invalid where it is of none that there is.
func (o Object) Fits(n int64) error {
	switch {
	case !o.Type.IsObject():
		return Errorf(Invalid, "there are no objects of that type")
	case n >= MaxObjects:
		return Errorf(Limit, "an account has at most %d objects of a type", MaxObjects)
	case len(o.Data) > MaxObjectBytes:
		return Errorf(Limit, "an object has at most %d bytes", MaxObjectBytes)
	}
	return nil
}
