// Package imap serves IMAP4rev2 (RFC 9051) and IMAP4rev1 (RFC 3501) with the
// extensions that capability.go names. It translates: the grammar is package
// wire, the mail is package store, and what sessions share of a mailbox is
// package index.
//
// A session shows its client one index.Version of the selected mailbox: the one
// it has been told. Every command ends with tell, which compares that Version
// with the newest and writes the difference, and so a client hears of its own
// changes as everybody does. While a command forbids EXPUNGE, what has gone stays
// in the session's Version and can still be fetched.
//
// A session that waits has no buffers and a goroutine that does nothing but wait
// for its socket to become readable: see session.go.
//
// Where the standards leave room, and each section's state: docs/protocols/imap.md.
package imap
