package imap

import (
	"context"
	"fmt"
	"io"
	"net"
	"strings"
	"time"

	"lockstep/internal/imap/wire"
	"lockstep/internal/mail"
	"lockstep/internal/message"
	"lockstep/internal/store"
)

// catenate makes a message out of texts that the client sends and pieces of
// messages that are here (RFC 4469). Each is read when its turn comes, and none is
// held.
func (in *intake) catenate(m *wire.AppendMessage) (mail.Arrival, error) {
	r := &catReader{in: in, m: m}
	defer r.close()
	a, err := in.s.srv.Ingest(in.ctx, r, unknownSize)
	switch {
	case r.err != nil:
		return a, r.err
	case err == nil && in.size == 0:
		return a, errCancelled
	}
	return a, err
}

// unknownSize is the size of a message that is still being put together.
const unknownSize = -1

// catReader reads the parts one after the other.
type catReader struct {
	in    *intake
	m     *wire.AppendMessage
	part  io.Reader // nil between parts
	body  Body      // of the message that the part is a piece of; nil of a text
	parts int
	err   error // what is to be answered
}

func (r *catReader) Read(b []byte) (int, error) {
	for {
		if r.part == nil {
			if err := r.next(); err != nil {
				return 0, err
			}
		}
		n, err := r.part.Read(b)
		if err == io.EOF {
			r.close()
			err = nil
		}
		if err != nil {
			return n, r.fail(err)
		}
		if n > 0 {
			return n, nil
		}
	}
}

// next begins the next part; io.EOF is the end of the message.
func (r *catReader) next() error {
	s := r.in.s
	if err := s.sock.SetReadDeadline(time.Now().Add(s.srv.limits.Stall)); err != nil {
		return r.fail(hangup(err))
	}
	c, err := r.m.NextPart()
	if err == io.EOF {
		return err
	}
	if err != nil {
		r.in.malformed = true
		return r.fail(err)
	}
	if r.parts++; r.parts > maxCatParts {
		return r.fail(errNo("LIMIT", fmt.Sprintf("A message is put together from at most %d parts", maxCatParts)))
	}
	if c.URL != "" {
		return r.fail(r.piece(c.URL))
	}
	if err := r.in.announced(c.Size, c.UTF8); err != nil {
		return r.fail(err)
	}
	r.part = &lineReader{stallReader{s: s, r: c}}
	return nil
}

// lineReader marks errors of the connection.
type lineReader struct{ stallReader }

func (r *lineReader) Read(b []byte) (int, error) {
	n, err := r.stallReader.Read(b)
	if r.err != nil {
		err = readError(r.err)
	}
	return n, err
}

func (r *catReader) fail(err error) error {
	if r.err == nil {
		r.err = err
	}
	return err
}

func (r *catReader) close() {
	if r.body != nil {
		r.body.Close()
	}
	r.part, r.body = nil, nil
}

// piece opens what a URL names.
func (r *catReader) piece(text string) error {
	u, ok := wire.ParseURL(text)
	if !ok || !r.in.s.isOurs(u) {
		return badURL(text)
	}
	row, err := r.in.s.locate(r.in.ctx, u)
	if err != nil {
		if k := mail.KindOf(err); k == mail.NotFound || k == mail.Denied {
			return badURL(text)
		}
		return err
	}
	if r.body, err = r.in.s.srv.Blobs.Open(r.in.ctx, row.m.Blob); err != nil {
		return err
	}
	item := wire.FetchItem{Kind: wire.FetchSection, Section: u.Section, Partial: u.Partial}
	var parsed *message.Message
	if len(u.Section.Part) > 0 || u.Section.Text != wire.SectionAll {
		if parsed, err = message.Decode(row.m.Parsed); err != nil {
			return err
		}
	}
	sp, err := section(item, parsed, r.body)
	if err != nil {
		return err
	}
	if sp == nil {
		return badURL(text)
	}
	sp = sp.partial(u.Partial)
	if err := r.in.announced(sp.size, false); err != nil {
		return err
	}
	r.part = sp.reader()
	return nil
}

// badURL refuses a URL (RFC 4469 §5). It is said as far as a response code may
// hold it.
func badURL(text string) error {
	var said strings.Builder
	for i := range min(len(text), maxSaidURL) {
		if c := text[i]; c <= ' ' || c >= 0x7f || strings.IndexByte(`"\[]`, c) >= 0 {
			fmt.Fprintf(&said, "%%%02X", c)
		} else {
			said.WriteByte(c)
		}
	}
	return errNo(`BADURL "`+said.String()+`"`, "There is no such message, or no such piece of it")
}

// isOurs reports whether a URL leads to this server and account. What it calls the
// server is what the client connected to.
func (s *session) isOurs(u wire.URL) bool {
	if u.User != "" && !strings.EqualFold(u.User, s.user.Principal.Login) {
		return false
	}
	host, _, err := net.SplitHostPort(u.Server)
	if err != nil {
		host = strings.Trim(u.Server, "[]")
	}
	switch {
	case u.Server == "", strings.EqualFold(host, s.srv.Hostname), strings.EqualFold(host, "localhost"):
		return true
	case s.tls != nil && strings.EqualFold(host, s.tls.ConnectionState().ServerName):
		return true
	}
	local, _, err := net.SplitHostPort(s.sock.LocalAddr().String())
	return err == nil && host == local
}

// locate finds the message of a URL, if it may be read.
func (s *session) locate(ctx context.Context, u wire.URL) (found row, err error) {
	if u.Mailbox == "" && s.sel == nil {
		return found, mail.Errorf(mail.NotFound, "no mailbox is selected")
	}
	at, mb := reach{}, mail.Mailbox{}
	if u.Mailbox == "" {
		at, mb.ID, mb.UIDValidity = s.sel.at, s.sel.id, s.sel.view.UIDValidity
	} else if at, mb, _, err = s.visit(ctx, u.Mailbox, mail.MayRead); err != nil {
		return found, err
	}
	if u.UIDValidity != 0 && u.UIDValidity != mb.UIDValidity {
		return found, mail.Errorf(mail.NotFound, "the URL is of an earlier mailbox of that name")
	}
	there := false
	err = s.viewAt(ctx, at, func(r store.Reader) error {
		if rights, err := s.rights(r, at, mb.ID); err != nil || !rights.Has(mail.MayRead) {
			return err
		}
		q := store.PlacementQuery{Mailbox: mb.ID, UIDs: mail.MakeUIDSet(u.UID), Located: true}
		return r.Messages(q, func(p *mail.Placement, m *mail.Message) error {
			found, there = copyRow(p, m), true
			return nil
		})
	})
	if err == nil && !there {
		err = mail.Errorf(mail.NotFound, "no such message")
	}
	return found, err
}
