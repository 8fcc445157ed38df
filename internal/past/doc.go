// Package past shows an account as it was at any moment inside the horizon, and
// brings back what was.
//
// Nothing is kept for it but what the store keeps anyway. What a mailbox held is told
// by its rows and by those that left it; what a row said, by walking the journal back
// from now. A View pins its ModSeq first, and each of its reads starts from the
// snapshot of that read, so what people do meanwhile makes no difference to it.
//
// Opening a View costs the records since its moment: a millisecond for some 150.
// Mailboxes, subscriptions, rights and annotations of mailboxes are in memory then,
// and of messages only what changed since, no more than a bound: of a larger history
// the journal is read again for the rest. A page of messages costs what it shows.
package past
