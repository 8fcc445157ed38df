package wire

import (
	"strconv"
	"strings"
	"unicode/utf8"

	"lockstep/internal/mail"
)

// A SearchKey is search-key of RFC 9051 §9: a tree of the types below.
type SearchKey interface{ appendTo(b []byte) []byte }

// And matches what all of its keys match.
type And []SearchKey

// Or matches what either key matches.
type Or struct{ A, B SearchKey }

// Not matches what its key does not.
type Not struct{ Key SearchKey }

// FuzzyKey matches what its key does, and what fits it in some other way (RFC 6203
// §3).
type FuzzyKey struct{ Key SearchKey }

// AllKey matches everything.
type AllKey struct{}

// FlagKey matches messages with Flag, or without it if Unset: SEEN, UNSEEN,
// KEYWORD and their kin. Flag is as mail.NewFlags takes it.
type FlagKey struct {
	Flag  string
	Unset bool
}

// RecentKey is RECENT of RFC 3501. NEW comes as And{RecentKey{}, unseen}, OLD
// as Not{RecentKey{}}.
type RecentKey struct{}

// DateKey compares a day.
type DateKey struct {
	Of   DateOfMessage
	When DateRelation
	Date Date
}

// A DateOfMessage is one of the dates a message has.
type DateOfMessage uint8

// The dates of a message.
const (
	DateInternal DateOfMessage = iota // BEFORE, ON, SINCE
	DateSent                          // SENTBEFORE …: the Date header, without time and zone
	DateSaved                         // SAVEDBEFORE … (RFC 8514)
)

// A DateRelation says how a message's date lies to a key's.
type DateRelation uint8

// The relations; Since includes the day itself.
const (
	Before DateRelation = iota
	On
	Since
)

// AgeKey is OLDER and YOUNGER (RFC 5032): the internal date lies at least, or
// at most, so many seconds back.
type AgeKey struct {
	Older   bool
	Seconds uint32
}

// SizeKey is LARGER and SMALLER: strictly so.
type SizeKey struct {
	Larger bool
	Bytes  int64
}

// EnvelopeKey finds Text in an envelope field: "BCC", "CC", "FROM", "TO" or
// "SUBJECT".
type EnvelopeKey struct{ Field, Text string }

// HeaderKey is HEADER: Text is in a header field of that name; "" matches every
// message that has the field.
type HeaderKey struct{ Name, Text string }

// TextKey is TEXT, and BODY with BodyOnly.
type TextKey struct {
	BodyOnly bool
	Text     string
}

// SeqKey is a message set, of UIDs if UID.
type SeqKey struct {
	UID bool
	Set SeqSet
}

// UIDBoundKey is UIDAFTER and UIDBEFORE (RFC 9738 §3.2): strictly so.
type UIDBoundKey struct {
	After bool
	UID   mail.UID
}

// ModSeqKey is MODSEQ (RFC 7162 §3.1.5). Entry and Type are "" when not given.
type ModSeqKey struct {
	Entry, Type string
	ModSeq      mail.ModSeq
}

// IDKey is EMAILID and THREADID (RFC 8474 §5.3).
type IDKey struct {
	Thread bool
	ID     string
}

// SaveDateSupportedKey is SAVEDATESUPPORTED (RFC 8514 §4.3).
type SaveDateSupportedKey struct{}

// searchKeys reads each key behind its name.
var searchKeys map[string]func(*keyParser) SearchKey

func init() { // NOT and OR refer to the map again
	searchKeys = map[string]func(*keyParser) SearchKey{
		"ALL":               func(*keyParser) SearchKey { return AllKey{} },
		"RECENT":            func(*keyParser) SearchKey { return RecentKey{} },
		"NEW":               func(*keyParser) SearchKey { return And{RecentKey{}, FlagKey{`\Seen`, true}} },
		"OLD":               func(*keyParser) SearchKey { return Not{RecentKey{}} },
		"SAVEDATESUPPORTED": func(*keyParser) SearchKey { return SaveDateSupportedKey{} },
		"NOT":               func(k *keyParser) SearchKey { return Not{k.nested()} },
		"FUZZY":             func(k *keyParser) SearchKey { return FuzzyKey{k.nested()} },
		"OR":                func(k *keyParser) SearchKey { return Or{k.nested(), k.nested()} },
		"KEYWORD":           func(k *keyParser) SearchKey { return k.keyword(false) },
		"UNKEYWORD":         func(k *keyParser) SearchKey { return k.keyword(true) },
		"LARGER":            func(k *keyParser) SearchKey { return SizeKey{true, k.spNumber64()} },
		"SMALLER":           func(k *keyParser) SearchKey { return SizeKey{false, k.spNumber64()} },
		"OLDER":             func(k *keyParser) SearchKey { return k.age(true) },
		"YOUNGER":           func(k *keyParser) SearchKey { return k.age(false) },
		"HEADER":            (*keyParser).header,
		"BODY":              func(k *keyParser) SearchKey { return TextKey{true, k.text()} },
		"TEXT":              func(k *keyParser) SearchKey { return TextKey{false, k.text()} },
		"UID":               func(k *keyParser) SearchKey { return SeqKey{true, k.spSeqSet()} },
		"UIDAFTER":          func(k *keyParser) SearchKey { return k.uidBound(true) },
		"UIDBEFORE":         func(k *keyParser) SearchKey { return k.uidBound(false) },
		"MODSEQ":            (*keyParser).modSeqKey,
		"ANNOTATION":        (*keyParser).annotation,
		"EMAILID":           func(k *keyParser) SearchKey { return IDKey{false, k.objectID()} },
		"THREADID":          func(k *keyParser) SearchKey { return IDKey{true, k.objectID()} },
	}
	for _, flag := range systemFlagKeys {
		searchKeys[strings.ToUpper(flag[1:])] = func(*keyParser) SearchKey { return FlagKey{flag, false} }
		searchKeys["UN"+strings.ToUpper(flag[1:])] = func(*keyParser) SearchKey { return FlagKey{flag, true} }
	}
	for _, field := range []string{"BCC", "CC", "FROM", "SUBJECT", "TO"} {
		searchKeys[field] = func(k *keyParser) SearchKey { return EnvelopeKey{field, k.text()} }
	}
	for of, prefix := range datePrefixes {
		for when, name := range dateRelations {
			searchKeys[prefix+name] = func(k *keyParser) SearchKey {
				k.sp()
				return DateKey{DateOfMessage(of), DateRelation(when), k.date()}
			}
		}
	}
}

var (
	systemFlagKeys = []string{`\Answered`, `\Deleted`, `\Draft`, `\Flagged`, `\Seen`}
	datePrefixes   = [...]string{"", "SENT", "SAVED"}
	dateRelations  = [...]string{"BEFORE", "ON", "SINCE"}
)

func (k *keyParser) spNumber64() int64 {
	k.sp()
	return k.number64()
}

func (k *keyParser) uidBound(after bool) SearchKey {
	k.sp()
	return UIDBoundKey{after, mail.UID(k.nzNumber())}
}

func (k *keyParser) keyword(unset bool) SearchKey {
	k.sp()
	return FlagKey{k.atom("a keyword"), unset}
}

func (k *keyParser) age(older bool) SearchKey {
	k.sp()
	return AgeKey{older, k.nzNumber()}
}

func (k *keyParser) header() SearchKey {
	k.sp()
	name := k.fieldName()
	return HeaderKey{name, k.text()}
}

// modSeqKey reads [entry-name SP entry-type-req SP] mod-sequence-valzer.
func (k *keyParser) modSeqKey() SearchKey {
	k.sp()
	var m ModSeqKey
	if k.peek() == '"' {
		if m.Entry = k.quoted(); !isEntryName(m.Entry) {
			k.expected("an entry name")
			return m
		}
		k.sp()
		switch m.Type = strings.ToLower(k.word()); m.Type {
		case "all", "priv", "shared":
		default:
			k.expected("all, priv or shared")
		}
		k.sp()
	}
	m.ModSeq = mail.ModSeq(k.number64())
	return m
}

// isEntryName says whether a quoted string can be one: it needs no literal.
func isEntryName(s string) bool {
	return utf8.ValidString(s) && !strings.ContainsAny(s, "\r\n\x00")
}

// objectID reads objectid of RFC 8474 §7.
func (k *keyParser) objectID() string {
	k.sp()
	id := k.while(isObjectIDChar)
	if len(id) == 0 || len(id) > 255 {
		k.expected("an object id")
	}
	return string(id)
}

func isObjectIDChar(c byte) bool { return c != '.' && c != '=' && isWordChar(c) }

func (k And) appendTo(b []byte) []byte {
	return append(k.appendMembers(append(b, '(')), ')')
}

func (k And) appendMembers(b []byte) []byte {
	for i, key := range k {
		b = key.appendTo(separate(b, i))
	}
	return b
}

func (k Or) appendTo(b []byte) []byte {
	return k.B.appendTo(append(k.A.appendTo(append(b, "OR "...)), ' '))
}

func (k Not) appendTo(b []byte) []byte                { return k.Key.appendTo(append(b, "NOT "...)) }
func (k FuzzyKey) appendTo(b []byte) []byte           { return k.Key.appendTo(append(b, "FUZZY "...)) }
func (AllKey) appendTo(b []byte) []byte               { return append(b, "ALL"...) }
func (RecentKey) appendTo(b []byte) []byte            { return append(b, "RECENT"...) }
func (SaveDateSupportedKey) appendTo(b []byte) []byte { return append(b, "SAVEDATESUPPORTED"...) }

func (k FlagKey) appendTo(b []byte) []byte {
	if k.Unset {
		b = append(b, "UN"...)
	}
	if flag, ok := strings.CutPrefix(k.Flag, `\`); ok {
		return append(b, strings.ToUpper(flag)...)
	}
	return append(append(b, "KEYWORD "...), k.Flag...)
}

func (k DateKey) appendTo(b []byte) []byte {
	b = append(append(b, datePrefixes[k.Of]...), dateRelations[k.When]...)
	return k.Date.appendTo(append(b, ' '))
}

func (k AgeKey) appendTo(b []byte) []byte {
	return strconv.AppendUint(append(b, uidName(k.Older, "YOUNGER ", "OLDER ")...), uint64(k.Seconds), 10)
}

func (k SizeKey) appendTo(b []byte) []byte {
	return strconv.AppendInt(append(b, uidName(k.Larger, "SMALLER ", "LARGER ")...), k.Bytes, 10)
}

func (k EnvelopeKey) appendTo(b []byte) []byte {
	return appendAString(append(append(b, k.Field...), ' '), k.Text)
}

func (k HeaderKey) appendTo(b []byte) []byte {
	return appendAString(append(appendAString(append(b, "HEADER "...), k.Name), ' '), k.Text)
}

func (k TextKey) appendTo(b []byte) []byte {
	return appendAString(append(b, uidName(k.BodyOnly, "TEXT ", "BODY ")...), k.Text)
}

func (k SeqKey) appendTo(b []byte) []byte {
	return k.Set.appendTo(append(b, uidName(k.UID, "", "UID ")...))
}

func (k UIDBoundKey) appendTo(b []byte) []byte {
	return strconv.AppendUint(append(b, uidName(k.After, "UIDBEFORE ", "UIDAFTER ")...), uint64(k.UID), 10)
}

func (k ModSeqKey) appendTo(b []byte) []byte {
	b = append(b, "MODSEQ "...)
	if k.Type != "" {
		b = append(append(appendQuoted(b, k.Entry), ' '), k.Type...)
		b = append(b, ' ')
	}
	return strconv.AppendUint(b, uint64(k.ModSeq), 10)
}

func (k IDKey) appendTo(b []byte) []byte {
	return append(append(b, uidName(k.Thread, "EMAILID ", "THREADID ")...), k.ID...)
}

// SearchKeyText is the key as a client would write it, for logs of tests.
func SearchKeyText(k SearchKey) string { return string(k.appendTo(nil)) }
