// Package delivery is what happens to a message between its arrival and a
// mailbox, and on its way out.
//
// # In
//
// A message is taken in once, whoever its recipients are: spooled, parsed, put
// as one durable blob (Ingest). Then each recipient has a transaction of its own
// (Deliver), so that one full mailbox is nobody else's trouble. What was
// committed for a recipient is remembered for an hour by the bytes as received,
// the reverse path and the recipient: a sender that did not hear our answer and
// sends again makes no second copy.
//
// # Out
//
// What a person submits is accepted when each recipient is committed here or
// durable in the queue (Submit). The Sender empties the queue: by a relay or
// straight to the mail exchangers, again and again for five days, and tells the
// sender how it ended (RFC 3461, RFC 3464). What can't be sent is known at RCPT:
// without a route recipients elsewhere are refused.
package delivery
