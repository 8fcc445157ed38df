package store

import (
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"

	"lockstep/internal/mail"
)

// Person is somebody of this installation, as the directory shows them to others.
type Person struct {
	Principal PrincipalID
	Name      string // "" if nobody gave one
	Address   string
}

// PeopleQuery asks the directory for people.
type PeopleQuery struct {
	Asker mail.AccountID
	// Text is words; each of them begins a word of a person's name or address. One
	// with an @ begins the whole address.
	Text  string
	Limit int // at least 1; which are left out is not said
}

// Bounds on the directory.
const (
	MaxNameBytes     = 256 // of a display name
	MaxPeople        = 1000
	maxPersonWords   = 32 // of a name or an address
	maxQuestionWords = 8
)

// CheckName is Invalid or Limit for what can't be a display name; "" takes it away.
func CheckName(name string) error {
	switch {
	case len(name) > MaxNameBytes:
		return mail.Errorf(mail.Limit, "a name has at most %d bytes", MaxNameBytes)
	case !utf8.ValidString(name) || strings.ContainsFunc(name, unicode.IsControl):
		return mail.Errorf(mail.Invalid, "a name is one line of text")
	}
	return nil
}

// PersonWords are the words by which somebody is found in the directory among those
// of a domain: those of the name, and of an address in it.
func PersonWords(name, local, domain string) []string {
	words := append(cutWords(name, maxPersonWords), cutWords(local, maxPersonWords)...)
	words = append(words, foldWord(local+"@"+domain))
	slices.Sort(words)
	return slices.Compact(words)
}

// Words are what the text asks for, the longest first; none asks for nobody.
func (q PeopleQuery) Words() []string {
	var words []string
	for word := range strings.FieldsSeq(q.Text) {
		if strings.Contains(word, "@") {
			words = append(words, foldWord(word))
			continue
		}
		words = append(words, cutWords(word, maxQuestionWords)...)
	}
	slices.SortFunc(words, func(a, b string) int { return len(b) - len(a) })
	return words[:min(len(words), maxQuestionWords)]
}

// Fits reports whether each of asked begins one of words.
func Fits(words, asked []string) bool {
	for _, prefix := range asked {
		if !slices.ContainsFunc(words, func(w string) bool { return strings.HasPrefix(w, prefix) }) {
			return false
		}
	}
	return len(asked) > 0
}

// SortPeople puts people in the order a directory is read in.
func SortPeople(people []Person) {
	slices.SortFunc(people, func(a, b Person) int {
		if c := strings.Compare(foldWord(a.shown()), foldWord(b.shown())); c != 0 {
			return c
		}
		return strings.Compare(a.Address, b.Address)
	})
}

func (p Person) shown() string {
	if p.Name == "" {
		return p.Address
	}
	return p.Name
}

// cutWords cuts a text where neither letter nor digit stands, and folds the words.
func cutWords(text string, most int) []string {
	words := strings.FieldsFunc(foldWord(text), func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsNumber(r) })
	return words[:min(len(words), most)]
}

// foldWord brings a word into the form in which it is compared: lower case, and
// without the accents that not every keyboard has.
func foldWord(s string) string {
	s = strings.Map(func(r rune) rune {
		if unicode.Is(unicode.Mn, r) {
			return -1
		}
		return unicode.ToLower(r)
	}, norm.NFKD.String(s))
	return strings.ReplaceAll(s, "ß", "ss")
}
