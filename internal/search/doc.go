// Package search finds mail by what it says.
//
// It is a consumer of the changes with a position, and never in the way of those
// who make them: each account has a database of its own in a directory beside the
// mail, which can be thrown away and is made again. What lies there is committed
// together with the position that it reaches up to.
//
// It answers two questions. Exact decides what IMAP's SEARCH asks: whether a piece
// of a message contains a needle, compared by i;unicode-casemap. Trigrams of the
// casemapped text nominate, and the text itself, kept sealed, decides; of what it
// does not know it says so, and whoever asks reads the message. People is for
// people: words, phrases and beginnings of words, whatever their case and accents,
// in some or all fields, the best first.
package search

import "lockstep/internal/mail"

var errDamaged = mail.Errorf(mail.Corrupt, "the search index is damaged")
