// Package auth answers who signs in, with which device, and whether they may.
//
// A person has one password and any number of app passwords. An app password
// belongs to one device and, if wished, to some protocols; it is made by us, so
// it is long and random, is checked by one fast hash, and has SCRAM keys. The
// password a person chose is kept as argon2id and gives an implicit device, made
// from what the client says of itself.
//
// Beside the password there may be a second factor: codes that change, or passkeys.
// With one, the password alone opens nothing. Browsers stay signed in by a cookie, and
// programs by what they were granted with OAuth; each is a device of its own, and the
// store keeps hashes of their secrets.
//
// Guessing is slowed down for each login, each address and each pair of them.
// Everything kept in memory has a bound.
//
// Services on several nodes share a store: Join. What lets somebody in is always asked
// of the store; who is signed out at one node is out at all (others.go), and failures
// count for all together (counting.go).
package auth
