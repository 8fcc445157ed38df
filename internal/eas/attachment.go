package eas

import (
	"encoding/base64"
	"errors"
	"io"
	"net/http"
	"strconv"
	"strings"

	"lockstep/internal/eas/wbxml"
	"lockstep/internal/mail"
	"lockstep/internal/message"
	"lockstep/internal/message/render"
	"lockstep/internal/store"
)

// byteRange is which bytes are asked for, the last included.
type byteRange struct{ first, last int64 }

// parseRange reads "first-last" (MS-ASCMD §2.2.3.143.2): up to nine digits each.
func parseRange(s string) (r byteRange, ok bool) {
	a, b, found := strings.Cut(s, "-")
	first, err1 := strconv.ParseUint(a, 10, 32)
	last, err2 := strconv.ParseUint(b, 10, 32)
	r = byteRange{int64(first), int64(last)}
	return r, found && err1 == nil && err2 == nil && len(a) <= 9 && len(b) <= 9
}

func (r byteRange) String() string {
	return strconv.FormatInt(r.first, 10) + "-" + strconv.FormatInt(r.last, 10)
}

// openedFile is an attachment that is read when it is written, as often as that is.
type openedFile struct {
	render.Attachment
	root *message.Part
	open func() (Body, error)
	at   byteRange // all of it if last is negative
}

// WriteTo implements io.WriterTo.
func (f *openedFile) WriteTo(w io.Writer) (int64, error) {
	body, err := f.open()
	if err != nil {
		return 0, err
	}
	defer body.Close()
	_, r, err := render.New(f.root, body).Open(f.Path)
	if err != nil {
		return 0, err
	}
	if f.at.last >= 0 {
		if _, err := io.CopyN(io.Discard, r, f.at.first); err != nil {
			return 0, err
		}
		r = io.LimitReader(r, f.at.last-f.at.first+1)
	}
	return io.Copy(w, r)
}

// base64Of writes in base64 what from writes.
type base64Of struct{ from io.WriterTo }

// WriteTo implements io.WriterTo.
func (b base64Of) WriteTo(w io.Writer) (int64, error) {
	out := base64.NewEncoder(base64.StdEncoding, w)
	n, err := b.from.WriteTo(out)
	return n, errors.Join(err, out.Close())
}

// openFile finds an attachment of the account's by its reference. Status 15 says that
// there is none; Denied, that the policy keeps it from the device.
func (q *request) openFile(reference string) (*openedFile, error) {
	id, path, ok := parseFileReference(reference)
	if !ok {
		return nil, &itemsFault{itemsBadAttachment}
	}
	var m mail.Message
	err := q.view(func(r store.Reader) (err error) {
		m, err = r.MessageByEmailID(id)
		return err
	})
	if err != nil {
		return nil, noFile(err)
	}
	parsed, err := message.Decode(m.Parsed)
	if err != nil {
		return nil, err
	}
	f := &openedFile{root: parsed.Root, open: q.opener(m.Blob), at: byteRange{0, -1}}
	body, err := f.open()
	if err != nil {
		return nil, err
	}
	defer body.Close()
	if f.Attachment, _, err = render.New(f.root, body).Open(path); err != nil {
		return nil, noFile(err)
	}
	return f, q.mayFetch(f.Size)
}

func noFile(err error) error {
	if mail.KindOf(err) == mail.NotFound {
		return &itemsFault{itemsBadAttachment}
	}
	return err
}

// attachment fetches an attachment, or the asked range of it. It is read once for its
// size, where that has to be known, and once when it is written.
func (a *itemsAnswer) attachment(reference string, at *byteRange) (*wbxml.Element, error) {
	f, err := a.q.openFile(reference)
	if err != nil {
		return nil, err
	}
	total, err := f.WriteTo(io.Discard)
	if err != nil {
		return nil, err
	}
	size := total
	e := wbxml.New(wbxml.ItemsProperties)
	if at != nil { // phones fail on a range they did not ask for
		if at.first > at.last || at.first >= total {
			return nil, &itemsFault{itemsBadRange}
		}
		f.at = byteRange{at.first, min(at.last, total-1)}
		size = f.at.last - f.at.first + 1
		e.Add(wbxml.Text(wbxml.ItemsRange, f.at.String()), wbxml.Int(wbxml.ItemsTotal, total))
	}
	if err := a.take(size); err != nil {
		return nil, err
	}
	e.Add(wbxml.Text(wbxml.BaseContentType, f.Type))
	if a.parts != nil {
		return e.Add(wbxml.Int(wbxml.ItemsPart, a.parts.add(f, size))), nil
	}
	return e.Add(&wbxml.Element{Tag: wbxml.ItemsData, From: base64Of{f}}), nil
}

// getAttachment serves GetAttachment (MS-ASCMD §2.2.1.9), as devices of 12.1 still ask
// for attachments.
func (q *request) getAttachment() (*answer, error) {
	f, err := q.openFile(q.attachment)
	if err != nil {
		if _, missing := errors.AsType[*itemsFault](err); missing {
			return nil, &fault{http: http.StatusInternalServerError, detail: "there is no such attachment"}
		}
		return nil, err
	}
	return &answer{raw: &rawAnswer{typ: f.Type, from: f}}, nil
}
