// Package certs gets certificates from an authority by ACME (RFC 8555), renews them,
// and shares them with all nodes that share a store (ADR 28).
//
// What is kept (the account with the authority, keys, certificates, and the tokens of
// challenges under way) lies in store.Files, sealed with a key of the operator's. Who
// gets or renews a certificate holds a lease, so that one node does it; every other one
// answers the challenges (HTTP-01, TLS-ALPN-01) as well, and serves what was got.
//
// An authority that can't be reached, or refuses, stops nothing: Certificate returns nil
// for as long as there is none, and whoever asks serves another one.
package certs
