package eas

import (
	"errors"
	"slices"
	"strconv"

	"lockstep/internal/eas/wbxml"
	"lockstep/internal/message/render"
)

// statusBodyPartType is the common status of a BodyPartPreference for what is not
// HTML (MS-ASCMD §2.2.2).
const statusBodyPartType status = 164

// isBodyPartType reports whether an error is that of a BodyPartPreference for what is
// not HTML. It is of the whole in Sync, of the store in Search, of one Fetch in
// ItemOperations.
func isBodyPartType(err error) bool {
	f, ok := errors.AsType[*fault](err)
	return ok && f.status == statusBodyPartType
}

// bodyOptions is what a device wants of the bodies of messages.
type bodyOptions struct {
	preferences []bodyPreference // in the order of the device, one of each type
	part        *bodyPreference  // the part of a message without what it quotes
	mimeSupport int              // 0 never, 1 of S/MIME messages only, 2 of all
	mimeLimit   int64            // of MIME that no preference cuts; -1 is none

	// textCap and htmlCap are what the policy lets through, in bytes, if they are not
	// negative.
	textCap, htmlCap int64

	none   bool         // no body is wished at all
	schema []wbxml.Tag  // the elements that are wished; nil is all
	parts  *answerParts // where bodies go in an answer of several parts; nil is into the element
}

// bodyPreference is a BodyPreference or BodyPartPreference (MS-ASAIRS §2.2.2.12).
type bodyPreference struct {
	typ       int
	limit     int64 // -1 is none
	allOrNone bool
	preview   int // characters
}

// rtf is the type of bodies that are never made.
const rtf = 3

// mimeLimits are the values of MIMETruncation (MS-ASCMD §2.2.3.109).
var mimeLimits = []int64{0, 4096, 5120, 7168, 10240, 20480, 51200, 102400, -1}

// noBodyOptions wishes nothing in particular.
func noBodyOptions() bodyOptions { return bodyOptions{mimeLimit: -1, textCap: -1, htmlCap: -1} }

// parseBodyOptions reads what an Options element says of bodies; nil says nothing. Not
// ok is one that is not as its schema has it; which status says so is the command's
// matter. A BodyPartPreference for another type than HTML is a fault of the whole
// command.
func (v version) parseBodyOptions(options *wbxml.Element) (o bodyOptions, ok bool, err error) {
	o = noBodyOptions()
	if options == nil {
		return o, true, nil
	}
	for _, e := range options.Children {
		switch e.Tag {
		case wbxml.BaseBodyPreference:
			p, ok := v.parsePreference(e)
			if !ok || slices.ContainsFunc(o.preferences, func(q bodyPreference) bool { return q.typ == p.typ }) {
				return o, false, nil
			}
			o.preferences = append(o.preferences, p)
		case wbxml.BaseBodyPartPreference:
			p, ok := v.parsePreference(e)
			if !ok || o.part != nil {
				return o, false, nil
			}
			if v < v141 {
				continue
			}
			if p.typ != int(render.HTML) {
				return o, false, fail(statusBodyPartType, "a part of a message is HTML")
			}
			o.part = &p
		case wbxml.AirSyncMIMESupport:
			if o.mimeSupport, ok = number(e.Text, 2); !ok {
				return o, false, nil
			}
		case wbxml.AirSyncMIMETruncation:
			n, ok := number(e.Text, len(mimeLimits)-1)
			if !ok {
				return o, false, nil
			}
			o.mimeLimit = mimeLimits[n]
		}
	}
	return o, true, nil
}

// parsePreference reads a preference. Its children have an order, and each is there
// once at most (MS-ASAIRS §3.2.5.1).
func (v version) parsePreference(e *wbxml.Element) (p bodyPreference, ok bool) {
	p.limit = -1
	order := []wbxml.Tag{wbxml.BaseType, wbxml.BaseTruncationSize, wbxml.BaseAllOrNone, wbxml.BasePreview}
	last := -1
	for _, c := range e.Children {
		at := slices.Index(order, c.Tag)
		if at < 0 && !c.Tag.Known() {
			continue
		}
		if at <= last {
			return p, false
		}
		last = at
		if !p.set(c) {
			return p, false
		}
	}
	if v < v140 {
		p.preview = 0
	}
	if p.limit < 0 {
		p.allOrNone = false // of no meaning without a size
	}
	return p, p.typ != 0
}

func (p *bodyPreference) set(c *wbxml.Element) (ok bool) {
	switch c.Tag {
	case wbxml.BaseType:
		p.typ, ok = number(c.Text, int(render.MIME))
		return ok && p.typ > 0
	case wbxml.BaseTruncationSize:
		n, err := strconv.ParseUint(c.Text, 10, 32)
		p.limit = int64(n)
		return err == nil
	case wbxml.BaseAllOrNone:
		p.allOrNone, ok = boolean(c.Text)
		return ok
	case wbxml.BasePreview:
		p.preview, ok = number(c.Text, 255)
		return ok
	}
	return false
}

// number reads a decimal number from 0 to most.
func number(s string, most int) (int, bool) {
	n, err := strconv.Atoi(s)
	return n, err == nil && n >= 0 && n <= most && s[0] != '+'
}

// boolean reads an xs:boolean.
func boolean(s string) (value, ok bool) {
	switch s {
	case "1", "true":
		return true, true
	case "0", "false":
		return false, true
	}
	return false, false
}

// wants reports whether an element is to be said.
func (o *bodyOptions) wants(t wbxml.Tag) bool { return o.schema == nil || slices.Contains(o.schema, t) }

// wantsBody reports whether the message has to be read.
func (o *bodyOptions) wantsBody() bool {
	return !o.none && (o.wants(wbxml.BaseBody) || o.part != nil && o.wants(wbxml.BaseBodyPart))
}

// candidates are the preferences by which a body may be made, the best first: MIME
// where it may be, then the form the message came in, then the other. There is always
// one.
func (o *bodyOptions) candidates(native render.Type, isSMIME bool) []bodyPreference {
	var list []bodyPreference
	take := func(typ render.Type) {
		for _, p := range o.preferences {
			if p.typ == int(typ) {
				list = append(list, p)
			}
		}
	}
	if o.mimeSupport == 2 || o.mimeSupport == 1 && isSMIME {
		take(render.MIME)
	}
	take(native)
	take(render.Text + render.HTML - native)
	if len(list) > 0 {
		return list
	}
	p := bodyPreference{typ: int(render.Text), limit: -1}
	if len(o.preferences) > 0 { // RTF, or MIME that may not be
		p = o.preferences[0]
	}
	if p.typ == int(render.MIME) {
		p.limit, p.allOrNone = 0, false // who takes nothing but MIME gets nothing (MS-ASCMD §2.2.3.110.3)
	}
	if p.typ != int(render.Text) {
		p.typ = int(native)
	}
	return []bodyPreference{p}
}

// limitOf is how many bytes of a body a preference and the policy let through; -1 is
// all.
func (o *bodyOptions) limitOf(p bodyPreference) int64 {
	limit, most := p.limit, o.textCap
	switch render.Type(p.typ) {
	case render.MIME:
		most = -1
		if limit < 0 {
			limit = o.mimeLimit
		}
	case render.HTML:
		most = o.htmlCap
	}
	if most >= 0 && (limit < 0 || limit > most) {
		limit = most
	}
	return limit
}
