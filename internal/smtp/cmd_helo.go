package smtp

import (
	"fmt"
	"strings"
)

// maxHeloBytes bounds the name a client gives itself (RFC 5321 §4.5.3.1.2).
const maxHeloBytes = 255

// cmdHelo serves HELO, EHLO (RFC 5321 §4.1.1.1) and LHLO (RFC 2033 §4.1).
func (s *session) cmdHelo(verb, name string) {
	switch {
	case (verb == "LHLO") != (s.srv.Role == LMTP):
		s.reply(reply{500, "5.5.1", "this server speaks " + s.srv.speaks()})
		return
	case name == "" || len(name) > maxHeloBytes || strings.ContainsAny(name, " \t"):
		s.reply(reply{501, "5.5.4", verb + " takes one name"})
		return
	}
	s.helo, s.extended, s.tx = name, verb != "HELO", nil
	if !s.extended {
		s.reply(reply{250, "", s.srv.Hostname})
		return
	}
	lines := append([]string{s.srv.Hostname}, s.extensions()...)
	for i, l := range lines {
		sep := "-"
		if i == len(lines)-1 {
			sep = " "
		}
		fmt.Fprintf(s.c.out, "250%s%s\r\n", sep, l)
	}
}

func (s *Server) speaks() string {
	if s.Role == LMTP {
		return "LMTP: say LHLO"
	}
	return "SMTP: say EHLO"
}

// extensions are what the session may use now: each is served whole.
func (s *session) extensions() []string {
	list := []string{"PIPELINING", fmt.Sprintf("SIZE %d", s.limits.MessageBytes), "8BITMIME", "SMTPUTF8", "CHUNKING", "ENHANCEDSTATUSCODES"}
	if s.offersDSN() {
		list = append(list, "DSN")
	}
	if s.srv.TLS != nil && s.tls == nil {
		list = append(list, "STARTTLS")
	}
	if mechs := s.mechanisms(); len(mechs) > 0 {
		list = append(list, "AUTH "+strings.Join(mechs, " "))
	}
	return list
}

// offersDSN says whether reports are ours to send: to who signed in. Over LMTP
// they are the client's, and the world could ask for them to addresses that are
// not its own, with words of its choice in the header that they return.
func (s *session) offersDSN() bool { return s.srv.Role == Submission }
