// Package pop3 is for programs that fetch mail and keep it themselves: POP3
// (RFC 1939) with CAPA and response codes (RFC 2449, RFC 3206), STLS (RFC 2595),
// SASL (RFC 5034), UTF8 and LANG (RFC 6856).
//
// A maildrop is the inbox as it was at sign-in, without what is marked \Deleted.
// Nobody locks it: other sessions and other protocols go on, and what left
// meanwhile can still be fetched. QUIT deletes what was marked and is still there,
// or moves it to the trash. Fetching marks nothing as read: a program that
// downloads is no person who reads.
//
// What is served, section by section, is in docs/protocols/pop3.md.
package pop3
