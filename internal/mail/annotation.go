package mail

import "strings"

// Annotation is a note on a message in a mailbox (RFC 5257 §3).
type Annotation struct {
	UID    UID
	Name   string      // of the entry, such as /comment
	Shared bool        // of all who see the mailbox; else of Who alone
	Who    PrincipalID // 0 is the owner, and of shared ones too
	Value  []byte      // nil: there is none, or it was removed
	ModSeq ModSeq      // of the last change
}

// Bounds on annotations of messages: one past any is refused with Limit.
const (
	MaxAnnotationBytes      = 64 << 10  // of one value
	MaxAnnotationNameBytes  = 512       // of an entry's name
	MaxAnnotations          = 100       // of one message in one mailbox
	MaxMessageAnnotations   = 256 << 10 // bytes of all of one message
	MaxAnnotationsTotal     = 256 << 20 // bytes of all of an account, with what history keeps
	AnnotationOverheadBytes = 64        // that each one counts beside name and value
)

// CheckAnnotationName is Invalid for a name that RFC 5257 §3.2 does not allow.
func CheckAnnotationName(name string) error {
	switch {
	case !strings.HasPrefix(name, "/") || strings.HasSuffix(name, "/") || strings.Contains(name, "//"):
		return Errorf(Invalid, "an entry is a path such as /comment")
	case strings.ContainsAny(name, "*%") || strings.ContainsFunc(name, func(r rune) bool { return r < ' ' || r > '~' }):
		return Errorf(Invalid, "an entry has only printable ASCII characters, without * and %%")
	case len(name) > MaxAnnotationNameBytes:
		return Errorf(Limit, "an entry has at most %d bytes", MaxAnnotationNameBytes)
	}
	return nil
}

// Spelled is the entry with its scope, as the journal names it.
func (a Annotation) Spelled() string {
	if a.Shared {
		return a.Name + ".shared"
	}
	return a.Name + ".priv"
}

// ReadAnnotation reads what Spelled wrote.
func ReadAnnotation(spelled string, who PrincipalID, value []byte) Annotation {
	name, shared := strings.CutSuffix(spelled, ".shared")
	if !shared {
		name = strings.TrimSuffix(name, ".priv")
	}
	return Annotation{Name: name, Shared: shared, Who: who, Value: value}
}

// IsSame says whether a and b are the same entry in the same scope.
func (a Annotation) IsSame(b Annotation) bool {
	return a.Name == b.Name && a.Shared == b.Shared && a.Who == b.Who
}

// Cost is what an annotation counts against MaxAnnotationsTotal.
func (a Annotation) Cost() int64 {
	return int64(len(a.Name)+len(a.Value)) + AnnotationOverheadBytes
}

// AnnotationFits is Limit where a message that has those annotations, in an account
// with total bytes of them, may not have one more, or one that is longer.
func AnnotationFits(all []Annotation, total int64, a Annotation) error {
	n, size, old := 0, len(a.Value), 0
	for _, other := range all {
		switch {
		case other.IsSame(a):
			old = len(other.Value)
		case other.Value != nil:
			n++
			size += len(other.Value)
		}
	}
	switch {
	case a.Value == nil:
		return nil
	case len(a.Value) > MaxAnnotationBytes:
		return Errorf(Limit, "an annotation has at most %d bytes", MaxAnnotationBytes)
	case n >= MaxAnnotations:
		return Errorf(Limit, "a message has at most %d annotations", MaxAnnotations)
	case size > MaxMessageAnnotations && len(a.Value) > old:
		return Errorf(Limit, "the annotations of a message have at most %d bytes", MaxMessageAnnotations)
	case total+a.Cost() > MaxAnnotationsTotal && len(a.Value) > old:
		return Errorf(Limit, "the annotations of an account have at most %d bytes", MaxAnnotationsTotal)
	}
	return nil
}
