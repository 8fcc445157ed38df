package websocket

import (
	"crypto/sha1"
	"encoding/base64"
	"net/http"
	"strings"
)

// A Refusal is why a request does not become a WebSocket.
type Refusal struct {
	Status int
	Detail string
}

// Version is the one there is (§4.1).
const Version = "13"

// Accept looks at a client's handshake for a subprotocol (§4.2.1), and writes what the
// answer says to its header.
func Accept(r *http.Request, subprotocol string, answer http.Header) *Refusal {
	key := r.Header.Get("Sec-WebSocket-Key")
	raw, err := base64.StdEncoding.DecodeString(key)
	switch {
	case !has(r.Header, "Connection", "upgrade") || !has(r.Header, "Upgrade", "websocket"):
		answer.Set("Upgrade", "websocket")
		answer.Set("Connection", "Upgrade")
		return &Refusal{http.StatusUpgradeRequired, "a WebSocket is spoken here"}
	case r.Header.Get("Sec-WebSocket-Version") != Version:
		answer.Set("Sec-WebSocket-Version", Version)
		return &Refusal{http.StatusUpgradeRequired, "the version of WebSocket is " + Version}
	case r.Method != http.MethodGet || !r.ProtoAtLeast(1, 1) || err != nil || len(raw) != 16 || len(r.Header.Values("Sec-WebSocket-Key")) != 1:
		return &Refusal{http.StatusBadRequest, "this is no handshake of a WebSocket"}
	case !has(r.Header, "Sec-WebSocket-Protocol", subprotocol):
		return &Refusal{http.StatusBadRequest, "the subprotocol is " + subprotocol}
	}
	sum := sha1.Sum([]byte(key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"))
	answer.Set("Upgrade", "websocket")
	answer.Set("Connection", "Upgrade")
	answer.Set("Sec-WebSocket-Accept", base64.StdEncoding.EncodeToString(sum[:]))
	answer.Set("Sec-WebSocket-Protocol", subprotocol)
	return nil
}

// has reports whether a header that is a list has a token, in any case.
func has(h http.Header, name, token string) bool {
	for _, line := range h.Values(name) {
		for part := range strings.SplitSeq(line, ",") {
			if strings.EqualFold(strings.TrimSpace(part), token) {
				return true
			}
		}
	}
	return false
}
