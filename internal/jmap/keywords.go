package jmap

import (
	"encoding/json"
	"strings"

	"lockstep/internal/mail"
)

// systemKeywords are the keywords that are system flags in IMAP (RFC 8621 §4.1.1).
var systemKeywords = map[string]mail.SystemFlags{
	"$answered": mail.Answered,
	"$draft":    mail.Draft,
	"$flagged":  mail.Flagged,
	"$seen":     mail.Seen,
}

// reservedKeywords are never a keyword of JMAP (RFC 8621 §10.4.5, §10.4.6): these
// flags belong to IMAP.
var reservedKeywords = map[string]bool{"$deleted": true, "$recent": true}

// isShownKeyword reports whether a keyword of IMAP is one of JMAP too. What is spelled
// like a system flag is not: it would be taken for it.
func isShownKeyword(folded string) bool {
	return systemKeywords[folded] == 0 && !reservedKeywords[folded]
}

// shownFlags are the flags that make the keywords of a message whose visible
// placements have these: \Seen is that of all, any other is that of one.
func shownFlags(visible []mail.Flags) mail.Flags {
	var all mail.Flags
	seen := len(visible) > 0
	for _, f := range visible {
		all = all.Union(f)
		seen = seen && f.Has(mail.Seen)
	}
	all.System &^= mail.Deleted
	if !seen {
		all.System &^= mail.Seen
	}
	return all
}

// emailKeywords spells flags as the keywords of an Email (RFC 8621 §4.1.1).
func emailKeywords(f mail.Flags) map[string]bool {
	out := map[string]bool{}
	for name, s := range systemKeywords {
		if f.Has(s) {
			out[name] = true
		}
	}
	for _, k := range f.Keywords() {
		if k = strings.ToLower(k); isShownKeyword(k) {
			out[k] = true
		}
	}
	return out
}

// hiddenFlags are those that JMAP neither shows nor changes.
func hiddenFlags(f mail.Flags) mail.Flags {
	var hidden []string
	for _, k := range f.Keywords() {
		if !isShownKeyword(strings.ToLower(k)) {
			hidden = append(hidden, k)
		}
	}
	return mail.StoredFlags(f.System&mail.Deleted, strings.Join(hidden, " "))
}

// parseKeywords reads the keywords property: an object whose values are all true.
// Null is none.
func parseKeywords(raw json.RawMessage) (mail.Flags, *setError) {
	var set map[string]bool
	if err := json.Unmarshal(raw, &set); err != nil {
		return mail.Flags{}, invalidProperties("keywords is an object whose values are true", "keywords")
	}
	if len(set) > mail.MaxKeywords+len(systemKeywords) {
		return mail.Flags{}, tooManyKeywords()
	}
	var all mail.Flags
	for word, on := range set {
		f, wrong := keywordFlag(word)
		if wrong != nil {
			return mail.Flags{}, wrong
		}
		if !on {
			return mail.Flags{}, invalidProperties("a keyword is true, or not there", "keywords")
		}
		all = all.Union(f)
	}
	if len(all.Keywords()) > mail.MaxKeywords {
		return mail.Flags{}, tooManyKeywords()
	}
	return all, nil
}

// keywordFlag is the flag that a keyword stands for (RFC 8621 §4.1.1).
func keywordFlag(word string) (mail.Flags, *setError) {
	word = strings.ToLower(word)
	if s, ok := systemKeywords[word]; ok {
		return mail.Flags{System: s}, nil
	}
	if reservedKeywords[word] || strings.HasPrefix(word, `\`) {
		return mail.Flags{}, invalidProperties("this keyword belongs to IMAP", "keywords")
	}
	f, err := mail.NewFlags(word)
	if err != nil {
		return mail.Flags{}, invalidProperties("a keyword has 1 to 255 printing ASCII characters, none of ( ) { ] % * \" \\", "keywords")
	}
	return f, nil
}

func tooManyKeywords() *setError {
	return &setError{Type: "tooManyKeywords", Description: mail.Errorf(mail.Limit, "a message has at most %d keywords", mail.MaxKeywords).Error()}
}
