package message

import "strings"

// BaseSubject returns the base subject of a decoded subject (RFC 5256 §2.1), by
// which threads that name no references are told apart; compare it ignoring case.
// isReply says whether the mark of a reply or forward was taken away.
func BaseSubject(subject string) (base string, isReply bool) {
	s := collapse(strings.ToValidUTF8(subject[:min(len(subject), maxSubjectBytes)], ""))
	for {
		before := s
		if t, ok := cutTrailer(s); ok {
			s, isReply = t, true
			continue
		}
		if t, ok := cutLeader(s); ok {
			s, isReply = t, true
		} else if t, ok := cutBlob(s); ok && t != "" {
			s = t
		}
		if t, ok := cutForwardBrackets(s); s == before && ok {
			s, isReply = t, true
		}
		if s == before {
			return s, isReply
		}
	}
}

// maxSubjectBytes is how much of a subject is looked at; taking thousands of
// prefixes off one by one costs time that grows with their square.
const maxSubjectBytes = 2048

// collapse makes every run of spaces, tabs and line ends one space and trims.
// Other white space that Unicode has is text like any (RFC 5256 §2.1).
func collapse(s string) string {
	if !strings.ContainsAny(s, "\t\r\n") && !strings.Contains(s, "  ") {
		return strings.Trim(s, " ")
	}
	words := strings.FieldsFunc(s, func(r rune) bool { return r == ' ' || r == '\t' || r == '\r' || r == '\n' })
	return strings.Join(words, " ")
}

// cutTrailer takes "(fwd)" off the end (subj-trailer).
func cutTrailer(s string) (string, bool) {
	const fwd = "(fwd)"
	if n := len(s) - len(fwd); n >= 0 && strings.EqualFold(s[n:], fwd) {
		return strings.TrimRight(s[:n], " "), true
	}
	return s, false
}

// cutLeader takes *subj-blob subj-refwd off the front.
func cutLeader(s string) (string, bool) {
	t := s
	for {
		if rest, ok := cutReply(t); ok {
			return rest, true
		}
		rest, ok := cutBlob(t)
		if !ok {
			return s, false
		}
		t = rest
	}
}

// replyWords are those of the RFC.
var replyWords = []string{"re", "fwd", "fw"}

// cutReply takes subj-refwd off the front: ("re" / "fw" ["d"]) [blob] ":".
func cutReply(s string) (string, bool) {
	for _, word := range replyWords {
		if len(s) <= len(word) || !strings.EqualFold(s[:len(word)], word) {
			continue
		}
		rest := strings.TrimLeft(s[len(word):], " ")
		rest, _ = cutBlob(rest)
		if t, ok := strings.CutPrefix(rest, ":"); ok {
			return strings.TrimLeft(t, " "), true
		}
	}
	return s, false
}

// cutBlob takes a "[text]" off the front (subj-blob).
func cutBlob(s string) (string, bool) {
	if !strings.HasPrefix(s, "[") {
		return s, false
	}
	end := strings.IndexAny(s[1:], "[]") + 1
	if end == 0 || s[end] != ']' {
		return s, false
	}
	return strings.TrimLeft(s[end+1:], " "), true
}

// cutForwardBrackets takes "[fwd: " off the front and "]" off the end.
func cutForwardBrackets(s string) (string, bool) {
	const fwd = "[fwd:"
	if len(s) > len(fwd) && strings.EqualFold(s[:len(fwd)], fwd) && strings.HasSuffix(s, "]") {
		return strings.Trim(s[len(fwd):len(s)-1], " "), true
	}
	return s, false
}
