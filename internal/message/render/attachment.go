package render

import (
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
// them; Document.Attachments looks into it. It costs one walk through the structure.
func List(root *message.Part) []Attachment {
	var list []Attachment
	for _, p := range attached(root) {
		list = append(list, p.describe())
	}
	return list
}

// place is a part and where it is.
type place struct {
	*message.Part
	path    string
	related bool // in a multipart/related
}

// attached are the parts that are attachments, in the order of the message.
func attached(root *message.Part) []place {
	f := finder{chosen: map[*message.Part]bool{}}
	c := Choose(root)
	for _, p := range c.Attachments {
		f.chosen[p] = true
	}
	for _, group := range [][]*message.Part{c.Text, c.HTML} {
		for _, p := range group {
			f.chosen[p] = !isText(p)
		}
	}
	if !root.IsMultipart() {
		f.take(place{root, "1", false}) // the body of a message that is no multipart
	}
	f.walk(root, "")
	return f.found
}

// finder goes through a structure.
type finder struct {
	chosen map[*message.Part]bool // those that are no text of the body
	found  []place
}

func (f *finder) walk(in *message.Part, prefix string) {
	for i, p := range in.Parts {
		path := prefix + strconv.Itoa(i+1)
		f.take(place{p, path, in.Subtype == "related"})
		f.walk(p, path+".")
	}
}

func (f *finder) take(p place) {
	switch {
	case !f.chosen[p.Part] || len(f.found) == MaxAttachments:
	case strings.HasSuffix(p.Subtype, "-signature"):
	case p.Is("text", "calendar") && p.Disposition != "attachment":
	default:
		f.found = append(f.found, p)
	}
}

// HasTNEF reports whether the message has a winmail.dat, so that List is not all.
func HasTNEF(root *message.Part) bool {
	return slices.ContainsFunc(attached(root), func(p place) bool { return isTNEF(p.Part) })
}

func isTNEF(p *message.Part) bool {
	return p.Is("application", "ms-tnef") || p.Is("application", "vnd.ms-tnef") ||
		p.Type == "application" && strings.EqualFold(p.Filename(), "winmail.dat")
}

func (p place) describe() Attachment {
	a := Attachment{
		Path:      p.path,
		Type:      p.Type + "/" + p.Subtype,
		Size:      decodedSize(p.Part),
		ContentID: strings.Trim(p.ID, "<> \t"),
		Location:  p.Location,
		Method:    Normal,
	}
	a.Inline = p.isInline()
	if p.Message != nil {
		a.Method = Embedded
	}
	a.Name = nameOf(p.Part)
	return a
}

// isInline reports whether the body shows p: what is related to it and has a name to be
// shown by, whatever its disposition says, and media that are not said to be attached.
func (p place) isInline() bool {
	if p.ID != "" && p.related {
		return true
	}
	return isMedia(p.Part) && p.Disposition != "attachment" && (p.ID != "" || p.Disposition == "inline")
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
