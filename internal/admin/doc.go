// Package admin is what the command line does to a data directory.
//
// Each verb is one method of Ops and one typed Verb. A running server offers the
// verbs on a socket in its data directory; when no server runs, the command line
// opens the directory itself and asks the same handler over a pipe. So there is
// one implementation of each verb, and one way to call it.
//
// A call is a POST of JSON to /v1/<verb>; the answer is a stream of JSON lines,
// a row each, the last of which says that this was all or what went wrong.
package admin
