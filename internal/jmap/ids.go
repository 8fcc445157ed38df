package jmap

import (
	"strconv"
	"strings"

	"lockstep/internal/mail"
)

// accountID spells an account (§1.6.2).
func accountID(id mail.AccountID) string { return numbered('A', int64(id)) }

// parseNumbered reads an id that is a letter and a number, in the one way to spell it.
func parseNumbered(letter byte, s string) (int64, bool) {
	if len(s) < 2 || s[0] != letter {
		return 0, false
	}
	n, err := strconv.ParseInt(s[1:], 36, 64)
	return n, err == nil && n > 0 && strconv.FormatInt(n, 36) == s[1:]
}

func parseMailboxID(s string) (mail.MailboxID, bool) {
	n, ok := parseNumbered('M', s)
	return mail.MailboxID(n), ok
}

func parseThreadID(s string) (mail.ThreadID, bool) {
	n, ok := parseNumbered('T', s)
	return mail.ThreadID(n), ok
}

// isID reports whether a text can be an id at all (§1.2).
func isID(s string) bool {
	return s != "" && len(s) <= maxIDBytes && strings.Trim(s, idAlphabet) == ""
}

const idAlphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"

// numbered spells an id that is a letter and a number.
func numbered(letter byte, n int64) string { return string(letter) + strconv.FormatInt(n, 36) }
