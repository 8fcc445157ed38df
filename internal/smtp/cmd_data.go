package smtp

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"strconv"
	"strings"
)

func tlsText(t *tls.ConnectionState) string {
	return tls.VersionName(t.Version) + " " + tls.CipherSuiteName(t.CipherSuite)
}

// cmdData serves DATA (RFC 5321 §4.1.1.4).
func (s *session) cmdData(ctx context.Context, arg string) {
	if r := s.mayData(ctx, arg); r.code != 0 {
		s.reply(r)
		return
	}
	s.reply(reply{354, "", "end with <CRLF>.<CRLF>"})
	s.c.beginBody()
	defer s.c.endBody()
	body := &dotReader{in: s.c.in, limit: s.limits.MessageBytes}
	answers := s.deliver(ctx, body)
	s.srv.counts.bytes.Add(s.limits.MessageBytes - max(body.limit, 0))
	if err := body.drain(); err != nil {
		s.part(err)
		s.quit = true
		return
	}
	s.answer(ctx, answers)
}

func (s *session) mayData(ctx context.Context, arg string) reply {
	switch {
	case arg != "":
		return reply{501, "5.5.4", "DATA takes no parameters"}
	case s.tx == nil:
		return reply{503, "5.5.1", "MAIL comes first"}
	case len(s.tx.env.Recipients) == 0:
		return reply{503, "5.5.1", "no recipient was accepted"}
	case s.srv.Role != Submission:
		return reply{}
	}
	err := s.srv.Delivery.CountSent(ctx, s.who.Account(), len(s.tx.env.Recipients))
	if err == nil {
		return reply{}
	}
	s.log.WarnContext(ctx, "refused for now", "err", err)
	return replyTo(err)
}

// deliver hands the body on and ends the transaction. It returns what became of
// it: in LMTP for each recipient, else once.
func (s *session) deliver(ctx context.Context, body io.Reader) []error {
	env := &s.tx.env
	env.Hop = s.hop()
	s.tx = nil
	s.messages++
	s.idle = 0
	s.srv.counts.messages.Add(1)
	switch s.srv.Role {
	case LMTP:
		each, err := s.srv.Delivery.Deliver(ctx, env, body)
		if err != nil {
			each = make([]error, len(env.Recipients))
			for i := range each {
				each[i] = err
			}
		}
		return each
	case Submission:
		return []error{s.srv.Delivery.Submit(ctx, s.who.Account(), env, body)}
	}
	return []error{s.srv.Delivery.Accept(ctx, env, body)}
}

func (s *session) answer(ctx context.Context, each []error) {
	for _, err := range each {
		if err != nil {
			s.replyErr(ctx, replyTo(err), err)
			continue
		}
		s.reply(reply{250, "2.0.0", "kept as " + s.id})
	}
}

// cmdBdat serves BDAT (RFC 3030). The first chunk begins the delivery, whose
// reader takes the commands of the following ones off the connection itself.
func (s *session) cmdBdat(ctx context.Context, arg string) {
	size, last, ok := parseBdat(arg)
	if !ok {
		s.reply(reply{501, "5.5.4", "BDAT takes a size and perhaps LAST"})
		s.quit = true // where the chunk ends nobody knows
		return
	}
	s.c.beginBody()
	defer s.c.endBody()
	r := s.mayData(ctx, "")
	body := &chunkReader{s: s, left: size, last: last, limit: s.limits.MessageBytes}
	if r.code != 0 {
		if s.discard(size) {
			s.reply(r)
		}
		return
	}
	answers := s.deliver(ctx, body)
	s.srv.counts.bytes.Add(s.limits.MessageBytes - max(body.limit, 0))
	switch {
	case body.broken != nil:
		s.part(body.broken)
		s.quit = true
	case body.aborted != "":
		s.command(ctx, body.aborted)
	case s.discard(body.left):
		if !body.last { // a chunk that is not the last has one answer, also in LMTP
			answers = answers[:1]
		}
		s.answer(ctx, answers)
	}
}

// discard reads a chunk that nobody wants.
func (s *session) discard(n int64) bool {
	if _, err := io.CopyN(io.Discard, s.c.in, n); err != nil {
		s.part(err)
		s.quit = true
		return false
	}
	return true
}

func parseBdat(arg string) (size int64, last, ok bool) {
	number, word, more := strings.Cut(arg, " ")
	n, err := strconv.ParseUint(number, 10, 63)
	last = strings.EqualFold(word, "LAST")
	return int64(n), last, err == nil && last == more
}

var errAborted = errors.New("the client gave the message up")

// chunkReader reads the body out of BDAT chunks. Used by one session.
type chunkReader struct {
	s     *session
	left  int64 // of the chunk
	last  bool
	limit int64 // bytes that may still come

	aborted string // the command that came instead of a chunk
	broken  error  // of the connection
	failed  error  // given again
}

// Read implements io.Reader.
func (r *chunkReader) Read(p []byte) (int, error) {
	for r.left == 0 && r.failed == nil {
		r.failed = r.next()
	}
	if r.failed == nil && r.left > r.limit {
		r.failed = errTooBig
	}
	if r.failed != nil {
		return 0, r.failed
	}
	n, err := r.s.c.in.Read(p[:min(int64(len(p)), r.left)])
	r.left -= int64(n)
	r.limit -= int64(n)
	if err != nil {
		r.broken, r.failed = err, unexpected(err)
	}
	return n, r.failed
}

// next answers a chunk and takes the command of the next one.
func (r *chunkReader) next() error {
	if r.last {
		return io.EOF
	}
	r.s.reply(reply{250, "2.0.0", "chunk ok"})
	for {
		line, err := r.s.c.readLine()
		if err != nil {
			r.broken = err
			return unexpected(err)
		}
		verb, arg, _ := strings.Cut(line, " ")
		verb = strings.ToUpper(verb)
		switch verb {
		case "NOOP":
			if r.s.mayGoOn(verb) {
				r.s.reply(reply{250, "2.0.0", "still here"})
			}
		case "BDAT":
			r.s.commands++
			size, last, ok := parseBdat(strings.TrimSpace(arg))
			if !ok {
				r.aborted = line
				return errAborted
			}
			r.left, r.last = size, last
			return nil
		case "RSET", "QUIT", "EHLO", "HELO", "LHLO":
			r.aborted = line
			return errAborted
		default:
			if r.s.mayGoOn(verb) {
				r.s.reply(reply{503, "5.5.1", "chunks are under way: BDAT or RSET"})
			}
		}
		if r.s.quit {
			r.broken = errAborted
			return errAborted
		}
	}
}
