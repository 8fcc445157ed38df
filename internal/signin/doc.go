// Package signin is signing in over HTTP: who asks in a request, by password, token or
// cookie, for the protocols that are spoken there; the endpoints by which browsers sign
// in and people manage how they do; and OAuth 2.0 for programs. See
// docs/protocols/signin.md.
//
// It only translates: who may come in, and as which device, is package auth's to say.
package signin
