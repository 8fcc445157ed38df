package mail

import (
	"slices"
	"strings"
)

// SystemFlags is a set of the system flags of RFC 9051 §2.3.2. \Recent is not
// among them: it belongs to a session, not to a message.
type SystemFlags uint8

// The system flags.
const (
	Seen SystemFlags = 1 << iota
	Answered
	Flagged
	Deleted
	Draft

	AllSystemFlags = Seen | Answered | Flagged | Deleted | Draft
)

var systemNames = []struct {
	f    SystemFlags
	name string
}{{Answered, `\Answered`}, {Flagged, `\Flagged`}, {Deleted, `\Deleted`}, {Seen, `\Seen`}, {Draft, `\Draft`}}

// Bounds on keywords: one past either is refused with Limit.
const (
	MaxKeywordBytes = 255
	MaxKeywords     = 128 // on one message
)

// Flags is a set of system flags and keywords. It is comparable: equal sets are
// equal values. The zero value is the empty set.
type Flags struct {
	System   SystemFlags
	keywords string // sorted by folded spelling, joined by a space
}

// wellKnown keeps the registered spelling of keywords, so that one device's
// $forwarded is another's $Forwarded.
var wellKnown = func() map[string]string {
	m := map[string]string{}
	for _, k := range []string{"$Forwarded", "$MDNSent", "$SubmitPending", "$Submitted", "$Junk", "$NotJunk", "$Phishing", "$Important", "Junk", "NonJunk"} {
		m[strings.ToLower(k)] = k
	}
	return m
}()

// NewFlags makes a set from the spellings of RFC 9051: system flags begin with
// a backslash, all else is a keyword. Spelling ignores case; the first spelling
// of a keyword is kept, registered ones get their registered form. \Recent and
// unknown backslash flags are Invalid, too many or too long keywords Limit.
func NewFlags(names ...string) (Flags, error) {
	var f Flags
	var words []string
next:
	for _, n := range names {
		if strings.HasPrefix(n, `\`) {
			for _, s := range systemNames {
				if strings.EqualFold(n, s.name) {
					f.System |= s.f
					continue next
				}
			}
			return Flags{}, Errorf(Invalid, "unknown flag %s", n)
		}
		if n == "" || !isKeyword(n) {
			return Flags{}, Errorf(Invalid, "not a keyword: %q", n)
		}
		if len(n) > MaxKeywordBytes {
			return Flags{}, Errorf(Limit, "a keyword has at most %d bytes", MaxKeywordBytes)
		}
		if w, ok := wellKnown[strings.ToLower(n)]; ok {
			n = w
		}
		words = append(words, n)
	}
	f.keywords = joinKeywords(words)
	if len(f.Keywords()) > MaxKeywords {
		return Flags{}, Errorf(Limit, "a message has at most %d keywords", MaxKeywords)
	}
	return f, nil
}

// isKeyword says whether s is an atom (RFC 9051 flag-keyword).
func isKeyword(s string) bool {
	for i := range len(s) {
		if c := s[i]; c <= ' ' || c >= 0x7f || strings.IndexByte(`(){%*"\]`, c) >= 0 {
			return false
		}
	}
	return true
}

func foldKeyword(a, b string) int { return strings.Compare(strings.ToLower(a), strings.ToLower(b)) }

func joinKeywords(words []string) string {
	if len(words) == 0 {
		return ""
	}
	slices.SortStableFunc(words, foldKeyword)
	words = slices.CompactFunc(words, strings.EqualFold)
	return strings.Join(words, " ")
}

// Has reports whether every system flag of s is set.
func (f Flags) Has(s SystemFlags) bool { return f.System&s == s }

// Keywords returns the keywords in folded order.
func (f Flags) Keywords() []string {
	if f.keywords == "" {
		return nil
	}
	return strings.Split(f.keywords, " ")
}

// KeywordText is the form in which keywords are stored: joined by spaces.
func (f Flags) KeywordText() string { return f.keywords }

// StoredFlags puts a set together from what System and KeywordText gave.
func StoredFlags(system SystemFlags, keywordText string) Flags {
	return Flags{system, keywordText}
}

// HasKeyword reports whether word is set, ignoring case.
func (f Flags) HasKeyword(word string) bool {
	if f.keywords == "" {
		return false
	}
	return slices.ContainsFunc(f.Keywords(), func(k string) bool { return strings.EqualFold(k, word) })
}

// IsEmpty reports whether nothing is set.
func (f Flags) IsEmpty() bool { return f == Flags{} }

// Union is f with everything of g; f's spelling wins.
func (f Flags) Union(g Flags) Flags {
	f.System |= g.System
	switch {
	case g.keywords == "" || g.keywords == f.keywords:
	case f.keywords == "":
		f.keywords = g.keywords
	default:
		f.keywords = joinKeywords(append(f.Keywords(), g.Keywords()...))
	}
	return f
}

// Minus is f without everything of g.
func (f Flags) Minus(g Flags) Flags {
	f.System &^= g.System
	if f.keywords != "" && g.keywords != "" {
		f.keywords = strings.Join(slices.DeleteFunc(f.Keywords(), g.HasKeyword), " ")
	}
	return f
}

// Names returns every flag as IMAP spells it: system flags first.
func (f Flags) Names() []string {
	var names []string
	for _, s := range systemNames {
		if f.Has(s.f) {
			names = append(names, s.name)
		}
	}
	return append(names, f.Keywords()...)
}

// String is the list without parentheses, such as `\Seen $Forwarded`.
func (f Flags) String() string { return strings.Join(f.Names(), " ") }

// A FlagChange is what a STORE asks for: add and remove, or replace the whole
// set. With Replace set, the flags become Add, but for those of Keep, which stay.
type FlagChange struct {
	Add, Remove Flags
	Replace     bool
	Keep        SystemFlags
	As          PrincipalID // whose \Seen it is; 0 is the owner's
}

// Apply returns f changed. A keyword that stays keeps the spelling it had.
func (c FlagChange) Apply(f Flags) Flags {
	if c.Replace {
		kept := f.Minus(f.Minus(c.Add)) // what f and Add share, as f spells it
		kept = kept.Union(c.Add)
		kept.System = kept.System&^c.Keep | f.System&c.Keep
		return kept
	}
	return f.Union(c.Add).Minus(c.Remove)
}
