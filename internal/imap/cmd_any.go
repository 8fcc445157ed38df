package imap

import (
	"compress/flate"
	"context"
	"strings"

	"lockstep/internal/imap/inflate"
	"lockstep/internal/imap/wire"
)

// noop serves NOOP (RFC 9051 §6.1.2): a client asks what is new, so the store is
// asked and not only what this process has heard.
func (s *session) noop(ctx context.Context, _ *wire.Noop, _ *reply) error {
	return s.lookForChanges(ctx)
}

// check serves CHECK (RFC 3501 §6.4.1), which is NOOP here: what was
// acknowledged is durable.
func (s *session) check(ctx context.Context, _ *wire.Check, _ *reply) error {
	return s.lookForChanges(ctx)
}

// logout serves LOGOUT (RFC 9051 §6.1.3).
func (s *session) logout(_ context.Context, _ *wire.Logout, _ *reply) error {
	s.enc.Status("", "BYE", "", "Goodbye")
	s.over = true
	return nil
}

// id serves ID (RFC 2971). What the client calls itself, without its version,
// names its device.
func (s *session) id(ctx context.Context, cmd *wire.ID, _ *reply) error {
	if name := clientName(cmd); name != "" {
		s.client = name
	}
	if s.user != nil {
		if err := s.srv.Auth.Named(ctx, s.user, s.client); err != nil {
			return err
		}
	}
	s.enc.Star().Atom("ID").Open().String("name").String("Lockstep").Close().End()
	return nil
}

func clientName(cmd *wire.ID) string {
	for _, p := range cmd.Params {
		if strings.EqualFold(p.Key, "name") && p.Value != nil {
			return *p.Value
		}
	}
	return ""
}

// namespace serves NAMESPACE (RFC 2342): one's own mailboxes, and those of others.
func (s *session) namespace(_ context.Context, _ *wire.Namespace, _ *reply) error {
	s.enc.Star().Atom("NAMESPACE").Open().Open().String("").String("/").Close().Close().
		Open().Open().String(othersPrefix).String("/").Close().Close().NIL().End()
	return nil
}

// compressor writes compressed, and knows whether something is to be flushed.
type compressor struct {
	*flate.Writer
	dirty bool
}

func (c *compressor) Write(b []byte) (int, error) {
	c.dirty = true
	return c.Writer.Write(b)
}

// compressed is what a client sends compressed, as inflate wants it.
type compressed struct{ *source }

// Pending reports whether there is more without waiting for the client.
func (c compressed) Pending() bool { return c.pos < c.end }

// compress serves COMPRESS=DEFLATE (RFC 4978). A client that waits costs some
// 40 KB more with it than without.
func (s *session) compress(_ context.Context, cmd *wire.Compress, r *reply) error {
	switch {
	case s.state == notAuthenticated:
		return errBad("COMPRESS comes after login")
	case cmd.Mechanism != "DEFLATE":
		return errNo("CANNOT", "There is no such compression")
	case s.compressed:
		return errNo("COMPRESSIONACTIVE", "Compression is active already")
	}
	s.enc.Status(r.tag, "OK", "", "Compression begins")
	if err := s.flush(); err != nil {
		return hangup(err)
	}
	r.quiet = true
	return s.beginCompression()
}

// compressionLevel: mail that has not been compressed yet gains most of what
// there is to gain at the fastest level.
const compressionLevel = flate.BestSpeed

func (s *session) beginCompression() error {
	w, err := flate.NewWriter(s.out, compressionLevel)
	if err != nil {
		return err
	}
	below := *s.in // what came behind the command is compressed
	below.before = nil
	s.raw = &below
	*s.in = source{r: inflate.NewReader(compressed{s.raw}), before: s}
	s.out = &compressor{Writer: w}
	s.enc.Reset(s.out)
	s.compressed = true
	return nil
}

// flushCompressed sends what the compressor still holds.
func (s *session) flushCompressed() error {
	c, ok := s.out.(*compressor)
	if !ok || !c.dirty {
		return nil
	}
	c.dirty = false
	return c.Flush()
}
