package eas

import (
	"io"

	"lockstep/internal/eas/wbxml"
	"lockstep/internal/mail"
	"lockstep/internal/message"
	"lockstep/internal/message/render"
)

// damagedNotice stands in the place of a body that can't be read.
const damagedNotice = "The server can't read this message: what was stored of it is damaged."

// read finds out what the row does not say: it opens the message if that is wished or
// needed.
func (c *composer) read() error {
	root := c.parsed.Root
	c.files = render.List(root)
	c.native = render.Choose(root).Native()
	c.urgency = 1
	if c.item.placement.Flags.HasKeyword("$Important") {
		c.urgency = 2
	}
	if !c.options.wantsBody() && !render.HasTNEF(root) && render.Calendar(root) == nil {
		return nil
	}
	err := c.readBody()
	if mail.KindOf(err) == mail.Corrupt {
		c.damaged()
		return nil
	}
	return err
}

func (c *composer) readBody() error {
	body, err := c.item.open()
	if err != nil {
		return err
	}
	defer body.Close()
	d := render.New(c.parsed.Root, body)
	header, err := message.ReadHeader(body, c.parsed.Root)
	if err != nil {
		return err
	}
	if c.urgency == 1 {
		c.urgency = urgencyOf(header)
	}
	if c.files, err = d.Attachments(); err != nil {
		return err
	}
	if c.native, err = d.Native(); err != nil {
		return err
	}
	if c.meeting, err = readMeeting(c.parsed.Root, body); err != nil {
		return err
	}
	if !c.options.wantsBody() {
		return nil
	}
	if c.body, err = c.bodyElement(d); err != nil || c.options.part == nil {
		return err
	}
	c.part, err = c.partElement(d)
	return err
}

// damaged says that the message is there and can't be read.
func (c *composer) damaged() {
	c.native, c.part, c.meeting = render.Text, nil, nil
	if c.options.wantsBody() {
		c.body = wbxml.New(wbxml.BaseBody, wbxml.Int(wbxml.BaseType, int(render.Text)),
			wbxml.Int(wbxml.BaseEstimatedDataSize, len(damagedNotice)), wbxml.Text(wbxml.BaseData, damagedNotice))
	}
}

// bodyElement makes the body in the first form that the device takes as it is
// (MS-ASAIRS §3.2.5.3): where none is, it is told how large the body would be.
func (c *composer) bodyElement(d *render.Document) (*wbxml.Element, error) {
	o := c.options
	if o.part != nil && len(o.preferences) == 0 {
		return nil, nil // only the part is wished
	}
	security := render.SecurityOf(c.parsed.Root)
	list := o.candidates(c.native, security == render.SMIMESigned || security == render.SMIMEOpaque)
	var e *wbxml.Element
	for i, p := range list {
		limit := o.limitOf(p)
		b, err := d.Body(render.Type(p.typ), limit)
		if err != nil {
			return nil, err
		}
		withData := !p.allOrNone || b.Size <= p.limit
		if withData || i == 0 {
			none := p.typ == int(render.MIME) && limit == 0 // not even the header, which MIME else keeps
			e = c.contents(wbxml.New(wbxml.BaseBody), b, p, withData && !none)
		}
		if withData {
			break
		}
	}
	return e, nil
}

// partElement makes the part of the message that is its own (MS-ASCON §2.2.2.1).
func (c *composer) partElement(d *render.Document) (*wbxml.Element, error) {
	p := *c.options.part
	b, err := d.Part(c.options.limitOf(p))
	if err != nil {
		return nil, err
	}
	e := wbxml.New(wbxml.BaseBodyPart, wbxml.Int(wbxml.BaseStatus, statusOK))
	return c.contents(e, b, p, !p.allOrNone || b.Size <= p.limit), nil
}

// contents says what a body is, in the order of the schema.
func (c *composer) contents(e *wbxml.Element, b *render.Body, p bodyPreference, withData bool) *wbxml.Element {
	e.Add(wbxml.Int(wbxml.BaseType, int(b.Type)), wbxml.Int(wbxml.BaseEstimatedDataSize, min(b.Size, maxUint32)))
	if b.Truncated || !withData {
		e.Add(wbxml.Bool(wbxml.BaseTruncated, true))
	}
	isPart := e.Tag == wbxml.BaseBodyPart
	into := c.options.parts
	withData = withData && b.Len() > 0
	if withData && (into == nil || isPart) {
		e.Add(c.data(b))
	}
	saysItself := b.Type == render.Text && withData // then there is no preview (MS-ASAIRS §2.2.2.35.1)
	if preview := cutChars(c.item.message.Preview, p.preview); preview != "" && !saysItself && c.version >= v140 {
		e.Add(wbxml.Text(wbxml.BasePreview, preview))
	}
	if withData && into != nil && !isPart {
		e.Add(wbxml.Int(wbxml.ItemsPart, into.add(c.written(b), b.Len())))
	}
	return e
}

// data is the body itself.
func (c *composer) data(b *render.Body) *wbxml.Element {
	if held, ok := b.Held(); ok {
		return wbxml.Text(wbxml.BaseData, string(held))
	}
	return &wbxml.Element{Tag: wbxml.BaseData, From: c.written(b)}
}

// written writes a body once the message it was made of is closed: one that is not
// held is made again.
func (c *composer) written(b *render.Body) io.WriterTo {
	if _, ok := b.Held(); ok {
		return b
	}
	return &lateBody{root: c.parsed.Root, open: c.item.open, typ: b.Type, size: b.Size}
}

// lateBody is a whole body that is read when it is written.
type lateBody struct {
	root *message.Part
	open func() (Body, error)
	typ  render.Type
	size int64
}

// WriteTo implements io.WriterTo.
func (l *lateBody) WriteTo(w io.Writer) (int64, error) {
	body, err := l.open()
	if err != nil {
		return 0, err
	}
	defer body.Close()
	return render.New(l.root, body).WriteTo(w, l.typ)
}
