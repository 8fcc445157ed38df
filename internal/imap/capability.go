package imap

import (
	"context"
	"fmt"
	"strings"

	"lockstep/internal/imap/wire"
)

// What is announced is served whole; testdata/capability.golden has every line.
const baseCapabilities = "IMAP4rev2 IMAP4rev1 LITERAL+ SASL-IR ID ENABLE LANGUAGE"

// mailCapabilities are those for who has logged in, one a line.
var mailCapabilities = []string{
	"IDLE",
	"NAMESPACE",
	"UIDPLUS",
	"MOVE",
	"UNSELECT",
	"CHILDREN",
	"SPECIAL-USE",
	"CREATE-SPECIAL-USE",
	"LIST-EXTENDED",
	"LIST-STATUS",
	"STATUS=SIZE",
	"ESEARCH",
	"SEARCHRES",
	"WITHIN",
	"CONDSTORE",
	"QRESYNC",
	"BINARY",
	"MULTIAPPEND",
	"SAVEDATE",
	"OBJECTID",
	"UTF8=ACCEPT",
	"ACL",
	"RIGHTS=texk",
	"LIST-MYRIGHTS",
	"METADATA",
	"LIST-METADATA",
	"ANNOTATE-EXPERIMENT-1",
	"REPLACE",
	"CATENATE",
	"NOTIFY",
	"PREVIEW",
	"UIDONLY",
	"SORT",
	"SORT=DISPLAY",
	"ESORT",
	"THREAD=ORDEREDSUBJECT",
	"THREAD=REFERENCES",
	"THREAD=REFS",
	"CONTEXT=SEARCH",
	"CONTEXT=SORT",
	"PARTIAL",
	"MULTISEARCH",
	"UIDBATCHES",
	"I18NLEVEL=2",
	"QUOTA",
	"QUOTA=RES-STORAGE",
	"INPROGRESS",
}

// capabilities is what the client can use as things stand.
func (s *session) capabilities() string {
	caps := []string{baseCapabilities}
	if s.state == notAuthenticated {
		if s.tls == nil && s.srv.TLS != nil {
			caps = append(caps, "STARTTLS")
		}
		for _, m := range s.mechanisms() {
			caps = append(caps, "AUTH="+m)
		}
		if !s.mayPlain() {
			caps = append(caps, "LOGINDISABLED")
		}
		return strings.Join(caps, " ")
	}
	caps = append(caps, mailCapabilities...)
	if s.srv.Search != nil {
		caps = append(caps, "SEARCH=FUZZY")
	}
	caps = append(caps, fmt.Sprintf("APPENDLIMIT=%d", s.srv.limits.Message), s.srv.limits.messageLimits())
	if !s.compressed {
		caps = append(caps, "COMPRESS=DEFLATE")
	}
	if s.mayJMAP() {
		caps = append(caps, "JMAPACCESS")
	}
	if s.mayUnauthenticate() {
		caps = append(caps, "UNAUTHENTICATE")
	}
	return strings.Join(caps, " ")
}

// mayPlain reports whether passwords may come as they are.
func (s *session) mayPlain() bool {
	return s.tls != nil || s.srv.AllowPlainAuth != nil && s.srv.AllowPlainAuth(s.addr)
}

func (s *session) mechanisms() []string {
	var m []string
	if s.tls != nil && s.channelBinding() != nil {
		m = append(m, "SCRAM-SHA-256-PLUS")
	}
	m = append(m, "SCRAM-SHA-256")
	if s.mayPlain() {
		m = append(m, "PLAIN", "LOGIN", "OAUTHBEARER")
	}
	return m
}

// capability serves CAPABILITY (RFC 9051 §6.1.1).
func (s *session) capability(_ context.Context, _ *wire.Capability, _ *reply) error {
	s.enc.Star().Atom("CAPABILITY").Atom(s.capabilities()).End()
	return nil
}

// enable serves ENABLE (RFC 5161, RFC 9051 §6.3.1).
func (s *session) enable(_ context.Context, cmd *wire.Enable, _ *reply) error {
	for _, c := range cmd.Capabilities {
		if c == "METADATA" || c == "METADATA-SERVER" {
			if err := s.watchMetadata(); err != nil {
				return err
			}
			s.metadata.enabled = true
		}
	}
	before := s.condstore
	s.enc.Star().Atom("ENABLED")
	for _, c := range cmd.Capabilities {
		if s.enableOne(c) {
			s.enc.Atom(strings.Replace(c, "REV2", "rev2", 1))
		}
	}
	s.enc.End()
	if s.condstore && !before {
		s.sayHighest()
	}
	return nil
}

func (s *session) enableOne(name string) bool {
	switch name {
	case "METADATA", "METADATA-SERVER": // enable has begun to watch
	case "CONDSTORE":
		s.condstore = true
	case "QRESYNC":
		s.condstore, s.qresync = true, true
	case "IMAP4REV2":
		s.rev2 = true
		s.speakUTF8()
	case "UIDONLY":
		s.uidOnly = true
	case "UTF8=ACCEPT":
		s.utf8 = true
		s.speakUTF8()
	default:
		return false
	}
	return true
}

func (s *session) speakUTF8() { s.rd.UTF8, s.enc.UTF8 = true, true }
