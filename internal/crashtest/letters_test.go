package crashtest

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"hash/fnv"
	"io"
	"math/rand/v2"
	"strings"
)

// checkField says what the body hashes to, so that a message read back proves
// itself.
const checkField = "X-Check: "

// letter makes the message of that name: the same name gives the same bytes. Some
// are large; some carry one of a few attachments that are stored apart, once.
func letter(name string) []byte {
	h := fnv.New64a()
	io.WriteString(h, name)
	rng := rand.New(rand.NewPCG(h.Sum64(), 7))
	var body bytes.Buffer
	kind := "Content-Type: text/plain\r\n"
	switch rng.IntN(120) {
	case 0: // more than is held in memory on its way in
		body.WriteString(words(rng, 140_000))
	case 1, 2, 3, 4, 5, 6, 7, 8, 9:
		kind = "Content-Type: multipart/mixed; boundary=line\r\n"
		fmt.Fprintf(&body, "--line\r\n\r\n%s\r\n--line\r\nContent-Type: application/octet-stream\r\nContent-Transfer-Encoding: base64\r\n\r\n", words(rng, 20))
		attach(&body, rng.IntN(3))
		body.WriteString("--line--\r\n")
	case 10, 11, 12, 13, 14, 15, 16, 17, 18, 19:
		body.WriteString(words(rng, 8000))
	default:
		body.WriteString(words(rng, 20+rng.IntN(300)))
	}
	sum := sha256.Sum256(body.Bytes())
	return fmt.Appendf(nil, "From: %s\r\nTo: b@example.test\r\nSubject: letter %s\r\nMessage-ID: <%s@example.test>\r\n%sMIME-Version: 1.0\r\n%s%x\r\n\r\n%s",
		"a@example.test", name, strings.ReplaceAll(name, " ", "."), kind, checkField, sum, body.Bytes())
}

func words(rng *rand.Rand, n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "%08x", rng.Uint32())
		if b.WriteByte(' '); i%8 == 7 {
			b.WriteString("\r\n")
		}
	}
	return b.String()
}

// attach writes attachment n, large enough to be cut out.
func attach(b *bytes.Buffer, n int) {
	rng := rand.New(rand.NewPCG(uint64(n), 11))
	line := make([]byte, 57)
	for range 1000 {
		for i := range line {
			line[i] = byte(rng.Uint32())
		}
		b.WriteString(base64.StdEncoding.EncodeToString(line) + "\r\n")
	}
}

// checkLetter says what is wrong with a message as it was read back.
func checkLetter(text []byte) error {
	header, body, ok := bytes.Cut(text, []byte("\r\n\r\n"))
	_, sum, found := strings.Cut(string(header), checkField)
	if !ok || !found || len(sum) < 2*sha256.Size {
		return fmt.Errorf("not one of ours: %.60q", text)
	}
	want := sum[:2*sha256.Size]
	if got := sha256.Sum256(body); hex.EncodeToString(got[:]) != want {
		return fmt.Errorf("its body is not what was sent: %x, want %s", got, want)
	}
	return nil
}
