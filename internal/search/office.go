package search

import (
	"archive/zip"
	"bytes"
	"context"
	"encoding/xml"
	"errors"
	"io"
	"regexp"
	"strings"
)

// Bounds on an office document, which is a zip file that can claim anything.
const (
	maxEntries   = 10_000   // files in it
	maxDocuments = 1000     // of those, the ones with text
	maxUnpacked  = 32 << 20 // bytes of these together
)

var officeNames = regexp.MustCompile(`\.(docx|docm|dotx|xlsx|xlsm|pptx|pptm|odt|ods|odp|ott|odg)$`)

// isOffice reports whether a part is a document of Office Open XML (ECMA-376) or
// OpenDocument (ISO 26300).
func isOffice(subtype, name string) bool {
	return strings.HasPrefix(subtype, "vnd.openxmlformats-officedocument.") || strings.HasPrefix(subtype, "vnd.oasis.opendocument.") || officeNames.MatchString(name)
}

// withText are the files of a document that hold its text.
var withText = regexp.MustCompile(`^(word/(document|header\d*|footer\d*|footnotes|endnotes|comments)|xl/(sharedStrings|worksheets/sheet\d+)|ppt/(slides/slide|notesSlides/notesSlide)\d+|content)\.xml$`)

var errBomb = errors.New("it unpacks to too much")

// officeText writes the text of an office document.
func officeText(ctx context.Context, w io.Writer, file []byte) error {
	z, err := zip.NewReader(bytes.NewReader(file), int64(len(file)))
	if err != nil {
		return err
	}
	if len(z.File) > maxEntries {
		return errBomb
	}
	left, documents := int64(maxUnpacked), 0
	for _, f := range z.File {
		if !withText.MatchString(f.Name) {
			continue
		}
		if documents++; documents > maxDocuments {
			return errBomb
		}
		n, err := entryText(ctx, w, f, left)
		if err != nil {
			return err
		}
		left -= n
	}
	return nil
}

func entryText(ctx context.Context, w io.Writer, f *zip.File, left int64) (int64, error) {
	in, err := f.Open()
	if err != nil {
		return 0, err
	}
	defer in.Close()
	r := &counted{ctx: ctx, r: in, left: left}
	err = xmlText(w, r)
	return left - r.left, err
}

// counted fails when it has read too much, or for too long.
type counted struct {
	ctx  context.Context
	r    io.Reader
	left int64
}

func (c *counted) Read(b []byte) (int, error) {
	if err := c.ctx.Err(); err != nil {
		return 0, err
	}
	n, err := c.r.Read(b)
	if c.left -= int64(n); c.left < 0 {
		return 0, errBomb
	}
	return n, err
}

// xmlText writes the character data of a document's XML, a line for each
// paragraph, cell or tab.
func xmlText(w io.Writer, r io.Reader) error {
	d := xml.NewDecoder(r)
	d.Strict = false
	d.CharsetReader = func(_ string, in io.Reader) (io.Reader, error) { return in, nil } // both standards say UTF-8 or UTF-16, everybody writes UTF-8
	shared := false                                                                      // in a cell that holds but the number of its string
	for {
		token, err := d.RawToken()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		switch t := token.(type) {
		case xml.StartElement:
			if t.Name.Local == "c" {
				shared = isShared(t.Attr)
			}
			if !endsLine(t.Name.Local) {
				continue
			}
			_, err = io.WriteString(w, "\n")
		case xml.EndElement:
			if !endsLine(t.Name.Local) {
				continue
			}
			shared = false
			_, err = io.WriteString(w, "\n")
		case xml.CharData:
			if !shared {
				_, err = w.Write(t)
			}
		}
		if err != nil {
			return err
		}
	}
}

func isShared(attrs []xml.Attr) bool {
	for _, a := range attrs {
		if a.Name.Local == "t" {
			return a.Value == "s"
		}
	}
	return false
}

// endsLine reports whether an element's text is apart from what stands before and
// behind it: paragraphs, headings, rows, cells, strings, tabs and breaks.
func endsLine(name string) bool {
	switch name {
	case "p", "h", "tr", "row", "tc", "si", "table-cell", "table-row", "tab", "br", "cr", "s", "line-break", "v", "is", "comment", "list-item":
		return true
	}
	return false
}
