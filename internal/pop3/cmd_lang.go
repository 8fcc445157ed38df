package pop3

import (
	"context"
	"fmt"

	"lockstep/internal/lang"
)

// speakUTF8 serves UTF8 (RFC 6856 §2.1).
func (s *session) speakUTF8(_ context.Context, cmd command) error {
	if len(cmd.args()) > 0 {
		return errSyntax
	}
	s.utf8 = true
	s.ok("UTF-8 from now on")
	return nil
}

// lang serves LANG (RFC 6856 §3).
func (s *session) lang(_ context.Context, cmd command) error {
	args := cmd.args()
	switch len(args) {
	case 0:
		s.ok("The languages")
		for _, l := range lang.All {
			fmt.Fprintf(s.c.out, "%s %s\r\n", l.Tag, l.Name)
		}
		fmt.Fprint(s.c.out, ".\r\n")
		return nil
	case 1:
		tag, ok := lang.Match(args[0])
		if !ok {
			return &refusal{text: "That language is not spoken here"}
		}
		s.language = tag
		s.okf("%s %s", tag, s.say("So be it"))
		return nil
	}
	return errSyntax
}
