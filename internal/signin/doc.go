// Package signin is signing in over HTTP: who asks in a request, by password, token or
// cookie, for the protocols that are spoken there.
//
// It only translates: who may come in, and as which device, is package auth's to say.
package signin
