package jmap

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"mime"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"lockstep/internal/mail"
	"lockstep/internal/message"
	"lockstep/internal/message/compose"
)

// givenValue is an EmailBodyValue that a client gives (RFC 8621 §4.1.4).
type givenValue struct {
	Value             *string `json:"value"`
	IsEncodingProblem bool    `json:"isEncodingProblem"`
	IsTruncated       bool    `json:"isTruncated"`
}

func (r *emailReader) readValues(raw json.RawMessage) {
	if raw == nil {
		return
	}
	all, err := valueAs[map[string]givenValue](raw, "an object of objects with a value")
	if err != nil {
		r.bad("bodyValues", mail.DetailOf(err))
		return
	}
	r.values = map[string]string{}
	for _, id := range slices.Sorted(maps.Keys(all)) {
		v, path := all[id], "bodyValues/"+id
		if v.IsEncodingProblem {
			r.bad(path+"/isEncodingProblem", "what is given has none")
		}
		if v.IsTruncated {
			r.bad(path+"/isTruncated", "what is given is whole")
		}
		if v.Value == nil {
			r.bad(path+"/value", "it is a text")
			continue
		}
		r.values[id] = *v.Value
	}
}

// body reads the parts: the structure, or what a person would call the text and what is
// attached to it.
func (r *emailReader) body(all map[string]json.RawMessage) {
	structure, ok := all["bodyStructure"]
	if !ok {
		r.email.root = r.convenientBody(all)
		return
	}
	for _, other := range []string{"textBody", "htmlBody", "attachments"} {
		if _, both := all[other]; both {
			r.bad(other, "bodyStructure says it already")
		}
	}
	r.email.root = r.part("bodyStructure", structure, partDefaults{}, 0)
}

// convenientBody puts together what textBody, htmlBody and attachments say: forms of
// the text in an alternative, what the HTML shows beside it in a related, all else in a
// mixed.
func (r *emailReader) convenientBody(all map[string]json.RawMessage) *compose.Part {
	var forms, inline, attached []*compose.Part
	if text := r.only("textBody", all["textBody"], "text/plain"); text != nil {
		forms = append(forms, text)
	}
	html := r.only("htmlBody", all["htmlBody"], "text/html")
	for i, raw := range r.list("attachments", all["attachments"]) {
		path := "attachments/" + strconv.Itoa(i)
		isInline := html != nil && isShownInside(raw)
		p := r.part(path, raw, partDefaults{mediaType: "application/octet-stream", disposition: map[bool]string{false: "attachment"}[isInline]}, 0)
		if p == nil {
			continue
		}
		if isInline {
			inline = append(inline, p)
		} else {
			attached = append(attached, p)
		}
	}
	if html != nil {
		related := multipart("related", append([]*compose.Part{html}, inline...))
		if related != html {
			related.Params = []message.Param{{Name: "type", Value: "text/html"}}
		}
		forms = append(forms, related)
	}
	if len(forms) > 0 {
		attached = append([]*compose.Part{multipart("alternative", forms)}, attached...)
	}
	if len(attached) == 0 {
		return textPart("text/plain", "")
	}
	return multipart("mixed", attached)
}

// isShownInside reports whether an attachment is one that HTML names by its cid.
func isShownInside(raw json.RawMessage) bool {
	var p struct {
		CID         string `json:"cid"`
		Disposition string `json:"disposition"`
	}
	return json.Unmarshal(raw, &p) == nil && p.CID != "" && !strings.EqualFold(p.Disposition, "attachment")
}

// multipart puts parts together; a single one stays alone.
func multipart(subtype string, parts []*compose.Part) *compose.Part {
	if len(parts) == 1 {
		return parts[0]
	}
	return &compose.Part{Type: "multipart/" + subtype, Parts: parts}
}

func textPart(mediaType, text string) *compose.Part {
	return &compose.Part{Type: mediaType, Params: []message.Param{{Name: "charset", Value: charsetFor(text)}}, Text: true, Open: func() (io.ReadCloser, error) {
		return io.NopCloser(strings.NewReader(text)), nil
	}}
}

// charsetFor is the least that a text needs.
func charsetFor(text string) string {
	if strings.ContainsFunc(text, func(r rune) bool { return r >= utf8.RuneSelf }) {
		return "utf-8"
	}
	return "us-ascii"
}

// only reads a list that has exactly one part, of the type.
func (r *emailReader) only(property string, raw json.RawMessage, mediaType string) *compose.Part {
	if raw == nil {
		return nil
	}
	list := r.list(property, raw)
	if len(list) != 1 {
		r.bad(property, "it has exactly one part")
		return nil
	}
	p := r.part(property+"/0", list[0], partDefaults{mediaType: mediaType}, 0)
	if p != nil && p.Type != mediaType {
		r.bad(property, "its part is "+mediaType)
	}
	return p
}

func (r *emailReader) list(property string, raw json.RawMessage) (list []json.RawMessage) {
	if raw != nil && json.Unmarshal(raw, &list) != nil {
		r.bad(property, "it is a list of parts")
	}
	return list
}

// partDefaults are what a part is if it does not say.
type partDefaults struct{ mediaType, disposition string }

// givenPart is an EmailBodyPart that a client gives, but for its header fields.
type givenPart struct {
	partID, blobID, name, charset, disposition, cid, location, mediaType *string
	language                                                             []string
	subParts                                                             []json.RawMessage
	isMultipart                                                          bool
}

// part reads a part, and those below it; nil if it is none.
func (r *emailReader) part(path string, raw json.RawMessage, or partDefaults, depth int) *compose.Part {
	var all map[string]json.RawMessage
	if err := json.Unmarshal(raw, &all); err != nil || all == nil {
		r.bad(path, "a part is an object")
		return nil
	}
	if r.parts++; r.parts > compose.MaxAttachments || depth > maxBodyDepth {
		r.bad(path, fmt.Sprintf("an email has at most %d parts, at most %d inside each other", compose.MaxAttachments, maxBodyDepth))
		return nil
	}
	maps.DeleteFunc(all, func(_ string, v json.RawMessage) bool { return isNull(v) })
	p := new(compose.Part)
	b := &partReader{emailReader: r, path: path, part: p, given: map[string]string{}, fields: map[string][]byte{}}
	for _, name := range slices.Sorted(maps.Keys(all)) {
		b.property(name, all[name])
	}
	b.finish(all, or, depth)
	r.headers[p] = b.given
	return p
}

// partReader reads one part.
type partReader struct {
	*emailReader
	path string
	part *compose.Part
	givenPart
	given  map[string]string // header fields to properties
	fields map[string][]byte
}

func (b *partReader) wrong(property, detail string) { b.bad(b.path+"/"+property, detail) }

// claims are the header fields that properties of a part stand for.
var claims = map[string]string{
	"type": "content-type", "charset": "content-type", "disposition": "content-disposition", "name": "content-disposition", "cid": "content-id",
	"language": "content-language", "location": "content-location",
}

func (b *partReader) property(name string, raw json.RawMessage) {
	texts := map[string]**string{"partId": &b.partID, "blobId": &b.blobID, "name": &b.name, "charset": &b.charset, "disposition": &b.disposition, "cid": &b.cid,
		"location": &b.location, "type": &b.mediaType}
	if into, ok := texts[name]; ok {
		text, err := valueAs[string](raw, "a text")
		if err != nil {
			b.wrong(name, mail.DetailOf(err))
			return
		}
		*into = &text
		return
	}
	var err error
	switch {
	case name == "language":
		b.language, err = valueAs[[]string](raw, "a list of languages")
	case name == "subParts":
		b.isMultipart = true
		b.subParts, err = valueAs[[]json.RawMessage](raw, "a list of parts")
	case name == "size":
		_, err = valueAs[uint64](raw, "a number")
	case name == "headers":
		err = mail.Errorf(mail.Invalid, "fields are given one by one, as header:Name")
	case strings.HasPrefix(name, headerPrefix):
		b.header(name, raw)
	default:
		err = mail.Errorf(mail.Invalid, "a part has no such property")
	}
	if err != nil {
		b.wrong(name, mail.DetailOf(err))
	}
}

// header takes in a field that is given by its name.
func (b *partReader) header(property string, raw json.RawMessage) {
	h, field, err := parseGivenHeader(property)
	switch {
	case err != nil:
		b.wrong(property, "there is no such property, or not in this form")
	case h.field == "content-transfer-encoding" || h.field == "mime-version":
		b.wrong(property, "the server sets it")
	case h.field == "content-type":
		b.contentType(property, h, raw)
	default:
		b.field(b.given, b.fields, b.path+"/"+property, field, h, raw)
	}
}

// contentType takes in a type with its parameters.
func (b *partReader) contentType(property string, h headerProperty, raw json.RawMessage) {
	text, err := valueAs[string](raw, "a text")
	mediaType, params, wrong := mime.ParseMediaType(text)
	if err != nil || wrong != nil || h.all || h.form != asRaw && h.form != asText || !strings.Contains(mediaType, "/") {
		b.wrong(property, "it is a media type with its parameters")
		return
	}
	b.given["content-type"], b.part.Type = b.path+"/"+property, mediaType
	for _, name := range slices.Sorted(maps.Keys(params)) {
		if name != "boundary" {
			b.part.Params = append(b.part.Params, message.Param{Name: name, Value: params[name]})
		}
	}
}

// finish makes the part of what was read.
func (b *partReader) finish(all map[string]json.RawMessage, or partDefaults, depth int) {
	for _, property := range slices.Sorted(maps.Keys(claims)) {
		if _, says := all[property]; !says {
			continue
		}
		if other, twice := b.given[claims[property]]; twice && claims[strings.TrimPrefix(other, b.path+"/")] != claims[property] {
			b.wrong(property, "it is the same field as "+other)
		} else if !twice {
			b.given[claims[property]] = b.path + "/" + property
		}
	}
	b.finishType(or)
	if b.disposition == nil && or.disposition != "" && b.fields["content-disposition"] == nil {
		b.disposition = &or.disposition
	}
	b.finishFields()
	b.content(all, depth)
}

func (b *partReader) finishType(or partDefaults) {
	p := b.part
	switch {
	case p.Type != "":
	case b.mediaType != nil:
		mediaType, params, err := mime.ParseMediaType(*b.mediaType)
		if err != nil || len(params) > 0 || !isMediaType(mediaType) {
			b.wrong("type", "it is a media type without parameters")
		}
		p.Type = mediaType
	case b.isMultipart:
		p.Type = "multipart/mixed"
	case or.mediaType != "":
		p.Type = or.mediaType
	case b.partID != nil:
		p.Type = "text/plain"
	default:
		p.Type = "application/octet-stream"
	}
	if b.charset != nil {
		if !isToken(*b.charset) {
			b.wrong("charset", "it is the name of a charset")
			return
		}
		b.param("charset", *b.charset)
	}
}

// param sets a parameter of Content-Type.
func (b *partReader) param(name, value string) {
	p := b.part
	p.Params = append(slices.DeleteFunc(p.Params, func(p message.Param) bool { return p.Name == name }), message.Param{Name: name, Value: value})
}

func isMediaType(s string) bool {
	typ, subtype, ok := strings.Cut(s, "/")
	return ok && isToken(typ) && isToken(subtype)
}

// isToken reports whether a text is a token of MIME (RFC 2045 §5.1).
func isToken(s string) bool {
	return s != "" && len(s) <= maxTokenBytes && !strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r >= 0x7f || strings.ContainsRune(`()<>@,;:\"/[]?=`, r) })
}

// finishFields writes the fields that properties stand for.
func (b *partReader) finishFields() {
	add := func(property string, field []byte, err error) {
		if err != nil {
			b.wrong(property, mail.DetailOf(err))
			return
		}
		b.fields[claims[property]] = field
	}
	switch {
	case b.disposition != nil && !isToken(*b.disposition):
		b.wrong("disposition", "it is one word")
	case b.disposition != nil:
		var named []message.Param
		if b.name != nil {
			named = []message.Param{{Name: "filename", Value: *b.name}}
		}
		add("disposition", compose.ParamField("Content-Disposition", strings.ToLower(*b.disposition), named), nil)
	case b.name != nil:
		b.param("name", *b.name)
	}
	if b.cid != nil {
		field, err := compose.IDField("Content-ID", []string{*b.cid})
		add("cid", field, err)
	}
	if b.language != nil {
		field, err := compose.RawField("Content-Language", " "+strings.Join(b.language, ", "))
		add("language", field, err)
	}
	if b.location != nil {
		field, err := compose.RawField("Content-Location", " "+*b.location)
		add("location", field, err)
	}
	for _, name := range slices.Sorted(maps.Keys(b.fields)) {
		b.part.Fields = append(b.part.Fields, b.fields[name]...)
	}
}

// content takes in what the part consists of: other parts, a value or a blob.
func (b *partReader) content(all map[string]json.RawMessage, depth int) {
	isMultipart := strings.HasPrefix(b.part.Type, "multipart/")
	switch {
	case isMultipart != b.isMultipart:
		b.wrong("subParts", "a multipart has parts below it, and nothing else has")
	case isMultipart && (b.partID != nil || b.blobID != nil || len(b.subParts) == 0):
		b.wrong("subParts", "a multipart consists of one part at least, and of nothing else")
	case isMultipart:
		for i, raw := range b.subParts {
			if below := b.emailReader.part(b.path+"/subParts/"+strconv.Itoa(i), raw, partDefaults{}, depth+1); below != nil {
				b.part.Parts = append(b.part.Parts, below)
			}
		}
	case b.partID == nil && b.blobID == nil:
		b.wrong("partId", "a part has either a partId or a blobId")
	case b.partID != nil && b.blobID != nil:
		b.wrong("partId", "a part has either a partId or a blobId")
		b.wrong("blobId", "a part has either a partId or a blobId")
	case b.partID != nil:
		b.value(all)
	default:
		b.email.blobs = append(b.email.blobs, blobUse{*b.blobID, b.part})
	}
}

// value makes a part of one of the body values.
func (b *partReader) value(all map[string]json.RawMessage) {
	for _, property := range []string{"charset", "size"} {
		if _, says := all[property]; says {
			b.wrong(property, "the server sets it of a part that has a partId")
		}
	}
	text, ok := b.values[*b.partID]
	if !ok {
		b.wrong("partId", "there is no such value in bodyValues")
		return
	}
	if strings.HasPrefix(b.part.Type, "text/") {
		b.param("charset", charsetFor(text))
	}
	from := textPart(b.part.Type, text)
	b.part.Text, b.part.Open = true, from.Open
}
