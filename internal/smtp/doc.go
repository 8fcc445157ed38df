// Package smtp is how mail comes in: LMTP (RFC 2033) from a mail transfer agent
// beside us, SMTP (RFC 5321) from the world for our own domains, and submission
// (RFC 6409) from people who signed in. One Server plays one of these roles.
//
// A 250 after the last byte is durable: in LMTP for the recipient it is about, in
// SMTP for all of them, committed to a mailbox or to the queue. A body streams
// through; what a client can make the server hold is bounded by Limits.
//
// The protocol is spoken here and not by emersion/go-smtp for the reasons in
// docs/adr/0004-own-smtp-server.md; what is served, section by section, is in
// docs/protocols/smtp.md.
package smtp
