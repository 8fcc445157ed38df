package sim

import (
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"strings"
)

// simDomain ends the Message-ID of the fleet's own letters, whose text is known.
const simDomain = "@sim.example.test"

// letterText is the message that a token names, always the same.
func letterText(token string) string {
	h := fnv.New64a()
	h.Write([]byte(token))
	r := rand.New(rand.NewPCG(h.Sum64(), 1))
	var b strings.Builder
	fmt.Fprintf(&b, "From: Somebody <somebody@example.test>\r\nTo: alice@example.test\r\nSubject: %s %s\r\nMessage-ID: <%s%s>\r\n", someWords(r, 4), token, token, simDomain)
	fmt.Fprintf(&b, "Date: Mon, 3 Jan 2000 10:%02d:00 +0000\r\n\r\n", r.IntN(60))
	for range 1 + r.IntN(30) {
		b.WriteString(someWords(r, 3+r.IntN(9)))
		b.WriteString("\r\n")
	}
	return b.String()
}

// isLetter reports whether a text is as its token says, behind what servers put before
// it; of what is no letter of the fleet's own it is.
func isLetter(token, text string) bool {
	_, rest, _ := strings.Cut(text, "Message-ID: <")
	id, _, _ := strings.Cut(rest, ">")
	return !strings.HasSuffix(id, simDomain) || id == token+simDomain && strings.HasSuffix(text, letterText(token))
}

var words = strings.Fields("the ship left harbour early with bread salt rope and a letter for nobody while rain fell on the quay of the northern town")

func someWords(r *rand.Rand, n int) string {
	out := make([]string, n)
	for i := range out {
		out[i] = words[r.IntN(len(words))]
	}
	return strings.Join(out, " ")
}
