package imap

import (
	"context"
	"strings"

	"lockstep/internal/imap/wire"
	"lockstep/internal/lang"
)

// iDefault is the language that is spoken until another is chosen (RFC 2277 §4.5).
const iDefault = "i-default"

// language serves LANGUAGE (RFC 5255 §3.2): the first range that a language is
// found for decides.
func (s *session) language(_ context.Context, cmd *wire.Language, _ *reply) error {
	if len(cmd.Ranges) == 0 {
		out := s.enc.Star().Atom("LANGUAGE").Open()
		for _, l := range lang.All {
			out.AString(string(l.Tag))
		}
		out.AString(iDefault).Close().End()
		return s.enc.Err()
	}
	for _, wanted := range cmd.Ranges {
		if strings.EqualFold(wanted, "default") || strings.EqualFold(wanted, iDefault) {
			s.speak("")
			return s.enc.Err()
		}
		if tag, ok := lang.Match(wanted); ok {
			s.speak(tag)
			return s.enc.Err()
		}
	}
	return errNo("CANNOT", "That language is not spoken here")
}

// speak changes the language, and says so.
func (s *session) speak(tag lang.Tag) {
	s.enc.Language = tag
	name := string(tag)
	if tag == "" {
		name = iDefault
	}
	s.enc.Star().Atom("LANGUAGE").Open().AString(name).Close().End()
}
