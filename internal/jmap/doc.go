// Package jmap is JMAP: the protocol of web clients and of new mail programs (RFC
// 8620), for mail (RFC 8621) and what belongs to it. Each method is a translation
// between JSON and the store's verbs; a state is a position in the account's changes.
//
// docs/protocols/jmap.md says what of which section is served, and how what the
// standards leave open was decided. Sections named without a document are those of RFC
// 8620.
package jmap
