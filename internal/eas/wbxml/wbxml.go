// Package wbxml reads and writes WBXML as ActiveSync uses it (MS-ASWBXML): elements
// without attributes, inline strings and opaque data, on 25 code pages.
package wbxml

import (
	"fmt"
	"io"
	"iter"
)

// A Tag names an element: its code page and, in the low byte, its token.
type Tag uint16

// Page is the number of the tag's code page.
func (t Tag) Page() byte { return byte(t >> 8) }

// Token is the tag's number on its page, without flags.
func (t Tag) Token() byte { return byte(t) }

// Name is the element's name; one we don't know is named by its numbers.
func (t Tag) Name() string {
	if p := int(t.Page()); p < len(pages) {
		if name, ok := pages[p].names[t.Token()]; ok {
			return name
		}
	}
	return fmt.Sprintf("Unknown-%d-%02X", t.Page(), t.Token())
}

// Known reports whether the documents have the tag.
func (t Tag) Known() bool {
	p := int(t.Page())
	return p < len(pages) && pages[p].names[t.Token()] != ""
}

// Namespace is the name of the tag's code page.
func (t Tag) Namespace() string {
	if p := int(t.Page()); p < len(pages) && pages[p].namespace != "" {
		return pages[p].namespace
	}
	return fmt.Sprintf("Unknown-%d", t.Page())
}

// String is namespace and name, for logs and tests.
func (t Tag) String() string { return t.Namespace() + ":" + t.Name() }

// page is one code page.
type page struct {
	namespace string
	names     map[byte]string
}

// An Element is one element of a document. It has children or content, or neither.
type Element struct {
	Tag      Tag
	Children []*Element
	// Text is the content of a leaf, also of one that came as opaque data.
	Text string
	// Opaque says that Text is bytes, written as opaque data.
	Opaque bool
	// From writes the content in place of Text when the element is encoded: UTF-8
	// text without NUL. It is for what is too large to hold, and is called once for
	// each Encode.
	From io.WriterTo
	// Spilled says that the content of a read element went to Limits.Spill.
	Spilled bool
}

// New makes an element with children; nil ones are left out, so that what is not
// there needs no branch.
func New(t Tag, children ...*Element) *Element {
	e := &Element{Tag: t}
	return e.Add(children...)
}

// Text makes a leaf with text. Characters that XML forbids are left out when it is
// written.
func Text(t Tag, s string) *Element { return &Element{Tag: t, Text: s} }

// Int makes a leaf with a decimal number.
func Int[N ~int | ~int8 | ~int16 | ~int32 | ~int64 | ~uint8 | ~uint16 | ~uint32 | ~uint64](t Tag, n N) *Element {
	return Text(t, fmt.Sprint(n))
}

// Bool makes a leaf with "1" or "0".
func Bool(t Tag, b bool) *Element {
	if b {
		return Text(t, "1")
	}
	return Text(t, "0")
}

// Bytes makes a leaf with opaque data.
func Bytes(t Tag, b []byte) *Element { return &Element{Tag: t, Text: string(b), Opaque: true} }

// Add appends children, but for nil ones, and returns e.
func (e *Element) Add(children ...*Element) *Element {
	for _, c := range children {
		if c != nil {
			e.Children = append(e.Children, c)
		}
	}
	return e
}

// Child returns the first child of that tag, or nil. A nil element has no children.
func (e *Element) Child(t Tag) *Element {
	for c := range e.All(t) {
		return c
	}
	return nil
}

// All yields the children of that tag.
func (e *Element) All(t Tag) iter.Seq[*Element] {
	return func(yield func(*Element) bool) {
		if e == nil {
			return
		}
		for _, c := range e.Children {
			if c.Tag == t && !yield(c) {
				return
			}
		}
	}
}

// Has reports whether there is a child of that tag.
func (e *Element) Has(t Tag) bool { return e.Child(t) != nil }

// Get returns the content of the first child of that tag, "" if there is none.
func (e *Element) Get(t Tag) string {
	if c := e.Child(t); c != nil {
		return c.Text
	}
	return ""
}
