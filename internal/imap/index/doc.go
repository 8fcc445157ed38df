// Package index keeps the narrow part of hot mailboxes in memory: for each
// message its UID, its flags and its ModSeq, 16 bytes, shared by all sessions.
//
// A Version shows a mailbox as one snapshot of the store does. It never changes:
// the next one shares with it every chunk in which nothing happened. So a
// session holds one Version and pays for a pointer, and what differs between two
// of them is found by looking only into the chunks that are not the same.
//
// A Box is one mailbox. It follows the store: whoever needs a Version not older
// than a ModSeq asks for it, and the first who asks reads the changes for all.
package index
