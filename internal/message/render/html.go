package render

import (
	"bufio"
	"bytes"
	"io"
	"regexp"
)

// metaCharset finds the charset in a meta element, in either of its two spellings
// (HTML §4.2.5.4).
var metaCharset = regexp.MustCompile(`(?i)<meta\b[^>]*\bcharset\s*=\s*["']?\s*([\w.:-]+)`)

// copyHTML copies a document that is UTF-8 by now, and corrects what it says of its
// charset: programs believe it.
func copyHTML(w io.Writer, r io.Reader) error {
	in := bufio.NewReaderSize(r, maxMetaBytes)
	head, _ := in.Peek(maxMetaBytes) // an error comes again with the reading
	done := 0
	for _, m := range metaCharset.FindAllSubmatchIndex(head, -1) {
		if _, err := w.Write(head[done:m[2]]); err != nil {
			return err
		}
		if _, err := io.WriteString(w, "utf-8"); err != nil {
			return err
		}
		done = m[3]
	}
	if _, err := in.Discard(done); err != nil {
		return err
	}
	_, err := in.WriteTo(w)
	return err
}

// unframer leaves out the tags that make a page of a text, so that it can stand in
// another page. What is between them stays.
type unframer struct {
	w    io.Writer
	tag  []byte // the beginning of one that may have to go
	drop bool   // inside one that goes
}

// frameTags are looked for at "<"; no name is longer than maxFrameTag.
var frameTags = map[string]bool{"html": true, "/html": true, "head": true, "/head": true, "body": true, "/body": true, "!doctype": true}

const maxFrameTag = 8

func (u *unframer) Write(b []byte) (int, error) {
	done := 0 // up to where b is written, left out or in tag
	for i, c := range b {
		switch {
		case u.drop:
			u.drop = c != '>'
			done = i + 1
		case len(u.tag) > 0:
			if isTagByte(c) && len(u.tag) <= maxFrameTag {
				u.tag = append(u.tag, c)
				done = i + 1
				continue
			}
			if u.drop = frameTags[string(bytes.ToLower(u.tag[1:]))]; u.drop {
				u.drop = c != '>'
				done = i + 1
			} else if _, err := u.w.Write(u.tag); err != nil {
				return done, err
			}
			u.tag = u.tag[:0]
			if c == '<' && done == i {
				u.tag = append(u.tag, c)
				done = i + 1
			}
		case c == '<':
			if _, err := u.w.Write(b[done:i]); err != nil {
				return done, err
			}
			u.tag = append(u.tag[:0], c)
			done = i + 1
		}
	}
	if _, err := u.w.Write(b[done:]); err != nil {
		return done, err
	}
	return len(b), nil
}

func isTagByte(c byte) bool { return c|0x20 >= 'a' && c|0x20 <= 'z' || c == '/' || c == '!' }
