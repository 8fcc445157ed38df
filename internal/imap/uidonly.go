package imap

import (
	"lockstep/internal/imap/wire"
	"lockstep/internal/mail"
)

// errUIDRequired is for sequence numbers of a client that enabled UIDONLY.
var errUIDRequired error = &wire.Error{Status: "BAD", Code: "UIDREQUIRED", Text: "Messages have UIDs only, since UIDONLY was enabled"}

// numbering has the commands that count messages by sequence numbers. Their UID
// forms are other commands.
var numbering = map[string]bool{"FETCH": true, "STORE": true, "SEARCH": true, "COPY": true, "MOVE": true, "SORT": true, "THREAD": true, "REPLACE": true}

// mayNumber refuses sequence numbers where UIDONLY is enabled (RFC 9586 §3).
func (s *session) mayNumber(body wire.Body) error {
	if !s.uidOnly {
		return nil
	}
	if numbering[body.Name()] || namesNumbers(body) {
		return errUIDRequired
	}
	return nil
}

// namesNumbers reports whether a command has sequence numbers among its arguments.
func namesNumbers(body wire.Body) bool {
	switch cmd := body.(type) {
	case *wire.Search:
		return keyNumbers(cmd.Key)
	case *wire.Sort:
		return keyNumbers(cmd.Key)
	case *wire.Thread:
		return keyNumbers(cmd.Key)
	case *wire.ESearch:
		return keyNumbers(cmd.Key)
	case *wire.Select: // the match data of QRESYNC (RFC 9586 §3.7)
		return cmd.QResync != nil && cmd.QResync.MatchSeqs != nil
	}
	return false
}

// keyNumbers reports whether a search key has a set of sequence numbers; "$" is of
// UIDs here.
func keyNumbers(key wire.SearchKey) bool {
	switch k := key.(type) {
	case wire.And:
		for _, sub := range k {
			if keyNumbers(sub) {
				return true
			}
		}
	case wire.Or:
		return keyNumbers(k.A) || keyNumbers(k.B)
	case wire.FuzzyKey:
		return keyNumbers(k.Key)
	case wire.Not:
		return keyNumbers(k.Key)
	case wire.SeqKey:
		return !k.UID && len(k.Set.Ranges) > 0
	}
	return false
}

// beginFetch begins a FETCH response, or its form with a UID (RFC 9586 §3.3).
func (s *session) beginFetch(out *wire.Encoder, seq uint32, uid mail.UID) *wire.Encoder {
	if s.uidOnly {
		return out.Star().Number(uint64(uid)).Atom("UIDFETCH").Open()
	}
	return out.Star().Number(uint64(seq)).Atom("FETCH").Open()
}
