package message

import (
	"slices"
	"strings"

	"lockstep/internal/mail"
)

// A Recoding says how the body of a part is sent, where that is not as it came.
type Recoding struct {
	Encoding string // Content-Transfer-Encoding
	Charset  string // of a text part; "" leaves what is said
}

// RepairHeader makes a header block that programs read which take it for ASCII or
// UTF-8: what stands in it as raw bytes is encoded, in fields whose meaning is known
// (RFC 2047, RFC 2231), and else UTF-8; lines end with CRLF; controls are gone. An
// address beyond ASCII stays as it is, in UTF-8 (RFC 6532): nobody could answer it
// otherwise. r, if there is one, is how the body of p will follow. A block that needs
// nothing is returned as it is.
func RepairHeader(block []byte, p *Part, r *Recoding) []byte {
	text := string(block)
	if r == nil && isClean(text) {
		return block
	}
	var out strings.Builder
	for f := range Header(text).Fields() {
		if r != nil && (strings.EqualFold(f.Name, "content-transfer-encoding") || strings.EqualFold(f.Name, "content-type")) {
			continue
		}
		out.WriteString(repairField(f))
	}
	if r != nil {
		out.WriteString("Content-Type: " + p.Type + "/" + p.Subtype + downgradeParams(recodedParams(p, r)) + "\r\n")
		out.WriteString("Content-Transfer-Encoding: " + r.Encoding + "\r\n")
	}
	ended := strings.HasSuffix(text, "\n\n") || strings.HasSuffix(text, "\n\r\n") || text == "\n" || text == "\r\n"
	if ended || r != nil {
		out.WriteString("\r\n")
	}
	return []byte(out.String())
}

// isClean reports whether a header is ASCII without controls, its lines ended as
// they should.
func isClean(s string) bool {
	for i := range len(s) {
		switch c := s[i]; {
		case c == '\n' && (i == 0 || s[i-1] != '\r'), c == '\r' && (i+1 == len(s) || s[i+1] != '\n'):
			return false
		case c >= 0x7f, c < ' ' && c != '\t' && c != '\r' && c != '\n':
			return false
		}
	}
	return true
}

func repairField(f Field) string {
	if isClean(f.Raw) {
		return f.Raw
	}
	if mail.IsASCII(f.Raw) {
		return f.Name + ": " + printable(f.Value()) + "\r\n"
	}
	name := strings.ToLower(f.Name)
	if slices.Contains(addressFields, name) && slices.ContainsFunc(ParseAddresses(f.Value()), isInternational) {
		return f.Name + ": " + printable(f.Value()) + "\r\n"
	}
	value, ok := downgradeValue(f)
	if !ok {
		value = f.Value()
	}
	var lines []string
	for line := range strings.SplitSeq(value, "\r\n") { // as it was folded
		lines = append(lines, printable(line))
	}
	return f.Name + ": " + strings.Join(lines, "\r\n") + "\r\n"
}

func isInternational(a Address) bool { return !mail.IsASCII(a.Mailbox + a.Host) }

// printable is a value without controls, which XML can't carry.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' && r != '\t' || r == 0x7f {
			return -1
		}
		return r
	}, s)
}

// recodedParams are the parameters of p's Content-Type with the new charset.
func recodedParams(p *Part, r *Recoding) []Param {
	if r.Charset == "" {
		return p.Params
	}
	params := slices.DeleteFunc(slices.Clone(p.Params), func(q Param) bool { return q.Name == "charset" })
	return append(params, Param{"charset", r.Charset})
}
