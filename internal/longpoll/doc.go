// Package longpoll serves HTTP/1.1 whose requests may wait for an hour and cost next
// to nothing meanwhile (ADR 14).
//
// A handler that has to wait makes a Wait, says who may end it, and Holds the
// request. The connection then leaves net/http, with its goroutines and buffers, for
// a place in a lot. Whatever ends the wait makes a goroutine that writes the answer.
// After it the connection goes on waiting in the lot, for the next request: with that
// it comes to net/http again, as one that the Listener accepted, handshake and all
// else still in force.
//
// A Stream is a request whose answer goes on, events or WebSocket frames: it is in the
// lot between its turns.
//
// What a client sends while it waits stays in its socket until it was answered: a
// client that pipelines is answered in order.
package longpoll
