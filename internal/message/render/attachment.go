package render

import (
	"cmp"
	"slices"
	"strconv"
	"strings"

	"lockstep/internal/message"
)

// A Method is what an attachment is, with the numbers of MS-ASAIRS §2.2.2.31.
type Method int

// The methods.
const (
	Normal   Method = 1
	Embedded Method = 5 // a message
	OLE      Method = 6
)

// Attachment is one thing that comes with a message.
type Attachment struct {
	// Path names it inside the message, for as long as the message is: the section
	// number of its part (RFC 9051 §6.4.5.1); of what winmail.dat holds followed by "/"
	// and its number there, once for each message that is nested in it.
	Path      string
	Name      string // never empty; that of a message ends in .eml
	Type      string // media type
	Size      int64  // bytes decoded; from the structure alone it may be a few off
	ContentID string // without brackets
	Location  string
	Inline    bool // shown in the body
	Method    Method
}

// List makes the attachments from the structure alone, without the bytes: all that is
// neither text of the body, nor a signature, nor an invitation. winmail.dat is one of
// them; Document.Attachments looks into it.
func List(root *message.Part) []Attachment {
	var list []Attachment
	for _, p := range attached(root) {
		list = append(list, describe(root, p))
	}
	return list
}

// attached are the parts that are attachments, in the order of the message.
func attached(root *message.Part) []*message.Part {
	c := Choose(root)
	var list []*message.Part
	for _, group := range [][]*message.Part{c.Attachments, c.Text, c.HTML} {
		for _, p := range group {
			if isAttached(p, c) {
				list = append(list, p)
			}
		}
	}
	slices.SortFunc(list, func(a, b *message.Part) int { return cmp.Compare(a.Offset, b.Offset) })
	list = slices.Compact(list)
	return list[:min(len(list), MaxAttachments)]
}

func isAttached(p *message.Part, c Choice) bool {
	switch {
	case p.IsMultipart(), strings.HasSuffix(p.Subtype, "-signature"):
		return false
	case p.Is("text", "calendar") && p.Disposition != "attachment":
		return false
	case isText(p):
		return !slices.Contains(c.Text, p) && !slices.Contains(c.HTML, p)
	}
	return true
}

// HasTNEF reports whether the message has a winmail.dat, so that List is not all.
func HasTNEF(root *message.Part) bool {
	return slices.ContainsFunc(attached(root), isTNEF)
}

func isTNEF(p *message.Part) bool {
	return p.Is("application", "ms-tnef") || p.Is("application", "vnd.ms-tnef") ||
		p.Type == "application" && strings.EqualFold(p.Filename(), "winmail.dat")
}

func describe(root, p *message.Part) Attachment {
	a := Attachment{
		Path:      pathOf(root, p),
		Type:      p.Type + "/" + p.Subtype,
		Size:      decodedSize(p),
		ContentID: strings.Trim(p.ID, "<> \t"),
		Location:  p.Location,
		Method:    Normal,
	}
	a.Inline = p.Disposition != "attachment" && (a.ContentID != "" || isMedia(p) && p.Disposition == "inline")
	if p.Message != nil {
		a.Method = Embedded
	}
	a.Name = nameOf(p)
	return a
}

// nameOf is what people see of an attachment.
func nameOf(p *message.Part) string {
	name := cleanName(p.Filename())
	if p.Message == nil {
		if name == "" {
			name = defaultName(p)
		}
		return name
	}
	if name == "" {
		name = cleanName(message.DecodeWords(p.Message.Envelope.Subject))
	}
	return messageName(name)
}

// messageName ends in .eml, by which phones know what to open it with.
func messageName(name string) string {
	if name == "" {
		name = "message"
	}
	if !strings.HasSuffix(strings.ToLower(name), ".eml") {
		name += ".eml"
	}
	return name
}

// cleanName takes folders and controls off a name.
func cleanName(name string) string {
	if i := strings.LastIndexAny(name, `/\`); i >= 0 && i+1 < len(name) && !strings.Contains(name, " ") {
		name = name[i+1:]
	}
	name = strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return -1
		}
		return r
	}, name)
	return strings.TrimSpace(name)
}

var extensions = map[string]string{
	"image/jpeg": "jpg", "image/svg+xml": "svg", "text/plain": "txt", "text/calendar": "ics", "text/html": "html",
	"message/delivery-status": "txt", "message/disposition-notification": "txt", "text/rfc822-headers": "txt",
	"audio/mpeg": "mp3", "application/octet-stream": "dat", "application/pkcs7-mime": "p7m",
}

// defaultName is for what came without a name. A short subtype is mostly the usual
// extension.
func defaultName(p *message.Part) string {
	if p.Is("application", "pkcs7-mime") {
		return "smime.p7m"
	}
	extension, ok := extensions[p.Type+"/"+p.Subtype]
	if !ok {
		extension = p.Subtype
		if len(extension) > 4 {
			extension = "dat"
		}
	}
	return "attachment." + extension
}

// decodedSize is the size of a body decoded, as near as it can be told without
// reading: all the lines of base64 end in CRLF, and there is no telling how the last
// one is padded.
func decodedSize(p *message.Part) int64 {
	if p.Encoding != "base64" {
		return p.BodySize
	}
	return max(p.BodySize-2*p.Lines, 0) / 4 * 3
}

// pathOf is the section number of p, which is below root.
func pathOf(root, p *message.Part) string {
	if p == root {
		return "1" // the body of a message that is no multipart
	}
	path, _ := findPath(root, p, "")
	return path
}

func findPath(in, p *message.Part, prefix string) (string, bool) {
	for i, child := range in.Parts {
		path := prefix + strconv.Itoa(i+1)
		if child == p {
			return path, true
		}
		if path, ok := findPath(child, p, path+"."); ok {
			return path, true
		}
	}
	return "", false
}

// parsePath reads a section number.
func parsePath(s string) ([]int, bool) {
	var path []int
	for number := range strings.SplitSeq(s, ".") {
		n, err := strconv.Atoi(number)
		if err != nil || n < 1 || len(path) == message.MaxDepth {
			return nil, false
		}
		path = append(path, n)
	}
	return path, true
}
