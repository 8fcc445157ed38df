package mail

import "strings"

// Metadata is one annotation of a mailbox, or of the account (RFC 5464 §3).
type Metadata struct {
	Mailbox MailboxID // 0 is the account
	Name    string    // in lower case, beginning with SharedScope or PrivateScope
	Value   []byte    // nil: it was removed
	ModSeq  ModSeq    // of the last change
}

// The scopes of annotations: of all who see the mailbox, and of one of them.
const (
	SharedScope  = "/shared"
	PrivateScope = "/private"
)

// Bounds on annotations of mailboxes: one past any is refused with Limit.
const (
	MaxMetadataBytes     = 64 << 10 // of one value
	MaxMetadataNameBytes = 512
	MaxMetadata          = 200      // in one mailbox: shared, and of each who has private ones
	MaxMetadataTotal     = 16 << 20 // bytes of all values of an account
)

// MetadataName is the name of an annotation as it is stored, or of what lies above
// annotations. Names are compared without regard to case. One that RFC 5464 §3.2
// does not allow is Invalid.
func MetadataName(name string) (string, error) {
	name = strings.ToLower(name)
	scope, below, deeper := strings.Cut(strings.TrimPrefix(name, "/"), "/")
	switch {
	case !strings.HasPrefix(name, "/") || "/"+scope != SharedScope && "/"+scope != PrivateScope:
		return "", Errorf(Invalid, "an annotation's name begins with /shared or /private")
	case strings.Contains(name, "//") || deeper && below == "" || strings.HasSuffix(name, "/"):
		return "", Errorf(Invalid, "a part of an annotation's name is empty")
	case strings.ContainsAny(name, "*%") || strings.ContainsFunc(name, func(r rune) bool { return r < ' ' || r > '~' }):
		return "", Errorf(Invalid, "an annotation's name has only printable ASCII characters, without * and %%")
	case len(name) > MaxMetadataNameBytes:
		return "", Errorf(Limit, "an annotation's name has at most %d bytes", MaxMetadataNameBytes)
	}
	return name, nil
}

// MetadataEntry is MetadataName for an annotation that can have a value: at least
// one part below the scope, and in a vendor's tree one below the vendor.
func MetadataEntry(name string) (string, error) {
	name, err := MetadataName(name)
	if err != nil {
		return "", err
	}
	parts := strings.Split(name[1:], "/")
	if len(parts) < 2 || parts[1] == "vendor" && len(parts) < 4 {
		return "", Errorf(Invalid, "%s holds annotations and is none", name)
	}
	return name, nil
}

// MetadataFits is Limit where an annotation may not be set beside n of its mailbox
// and scope, and total bytes in the account.
func MetadataFits(n, total int64, old, value []byte) error {
	switch {
	case len(value) > MaxMetadataBytes:
		return Errorf(Limit, "an annotation has at most %d bytes", MaxMetadataBytes)
	case old == nil && value != nil && n >= MaxMetadata:
		return Errorf(Limit, "a mailbox has at most %d annotations of a kind", MaxMetadata)
	case len(value) > len(old) && total+int64(len(value)-len(old)) > MaxMetadataTotal:
		return Errorf(Limit, "the annotations of an account have at most %d bytes", MaxMetadataTotal)
	}
	return nil
}

// IsPrivate says whether it is of one principal alone.
func (m Metadata) IsPrivate() bool { return IsPrivateMetadata(m.Name) }

// IsPrivateMetadata says whether annotations of that name are of one principal
// alone.
func IsPrivateMetadata(name string) bool { return strings.HasPrefix(name, PrivateScope+"/") }
