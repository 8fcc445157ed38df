// Package proxied takes connections that balancers pass on, and learns from them who it
// is that connects (the PROXY protocol, versions 1 and 2, of HAProxy's documentation).
//
// Only those that are named are believed. What anybody else says is no header but the
// beginning of what it sends, which the protocol then refuses, under its own address.
package proxied

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"time"

	proxyproto "github.com/pires/go-proxyproto"

	"lockstep/internal/mail"
)

// Options are what a listener is made with.
type Options struct {
	From []netip.Prefix // who is believed
	// Optional lets who is believed connect for itself, as probes do, without a header.
	// It is for protocols in which the client speaks first: in others a connection without
	// a header would be waited for.
	Optional bool
	Log      *slog.Logger // nil logs nothing
}

const (
	headerTime = 5 * time.Second // that a header may take
	maxWaiting = 4096            // connections whose header has not come
	maxHeader  = 2048            // bytes, with what a balancer adds beyond addresses
)

// Listen returns l if nobody is believed, else a listener that yields a connection once
// its header was read: by who connected, not by who passed it on. It owns l.
func Listen(l net.Listener, o Options) net.Listener {
	if len(o.From) == 0 {
		return l
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	ctx, stop := context.WithCancel(context.Background())
	p := &listener{Listener: l, opt: o, come: make(chan arrival), room: make(chan struct{}, maxWaiting), ctx: ctx, stop: stop}
	p.all.Go(p.acceptAll)
	return p
}

type listener struct {
	net.Listener
	opt  Options
	come chan arrival
	room chan struct{} // one for each whose header has not come
	ctx  context.Context
	stop context.CancelFunc
	all  sync.WaitGroup
}

// arrival is what Accept returns.
type arrival struct {
	c   net.Conn
	err error
}

// Accept implements net.Listener.
func (l *listener) Accept() (net.Conn, error) {
	select {
	case a := <-l.come:
		return a.c, a.err
	case <-l.ctx.Done():
		return nil, net.ErrClosed
	}
}

// Close implements net.Listener.
func (l *listener) Close() error {
	l.stop()
	err := l.Listener.Close()
	l.all.Wait()
	return err
}

func (l *listener) acceptAll() {
	for {
		c, err := l.Listener.Accept()
		switch {
		case err != nil || !l.believes(c):
			if !l.give(arrival{c, err}) {
				return
			}
		default:
			l.take(c)
		}
	}
}

func (l *listener) give(a arrival) bool {
	select {
	case l.come <- a:
		return true
	case <-l.ctx.Done():
		if a.c != nil {
			a.c.Close()
		}
		return false
	}
}

func (l *listener) believes(c net.Conn) bool {
	from := mail.AddrOf(c).Unmap()
	for _, p := range l.opt.From {
		if p.Contains(from) {
			return true
		}
	}
	return false
}

// take reads the header of a connection, and has Accept return it then.
func (l *listener) take(c net.Conn) {
	select {
	case l.room <- struct{}{}:
	default:
		l.opt.Log.Warn("connection of a proxy refused: too many wait for their header", "addr", c.RemoteAddr().String())
		c.Close()
		return
	}
	l.all.Go(func() {
		defer func() { <-l.room }()
		stop := context.AfterFunc(l.ctx, func() { c.Close() })
		passed, err := l.read(c)
		if !stop() || err != nil {
			if err != nil && l.ctx.Err() == nil {
				l.opt.Log.Info("connection of a proxy refused", "addr", c.RemoteAddr().String(), "err", err)
			}
			c.Close()
			return
		}
		l.give(arrival{c: passed})
	})
}

var errNoHeader = errors.New("it does not begin with a PROXY header: has the balancer been told to send one?")

// read reads the header, and returns the connection as that of who connected.
func (l *listener) read(c net.Conn) (net.Conn, error) {
	if err := c.SetReadDeadline(time.Now().Add(headerTime)); err != nil {
		return nil, err
	}
	text, err := readHeader(c)
	if err != nil && !errors.Is(err, errNoHeader) || err != nil && !l.opt.Optional {
		return nil, err
	}
	if err := c.SetReadDeadline(time.Time{}); err != nil {
		return nil, err
	}
	if err != nil {
		return begun(c, text), nil
	}
	h, err := proxyproto.Read(bufio.NewReader(bytes.NewReader(text)))
	if err != nil {
		return nil, err
	}
	return by(c, h)
}

// by is c as the connection of whom a header names. A proxy that connects for itself,
// as to see whether we live, says so.
func by(c net.Conn, h *proxyproto.Header) (net.Conn, error) {
	if h.Command.IsLocal() || h.TransportProtocol == proxyproto.UNSPEC {
		return c, nil
	}
	from, ok := h.SourceAddr.(*net.TCPAddr)
	if !ok {
		return nil, fmt.Errorf("it passes on what came by %v, and only TCP is taken", h.TransportProtocol)
	}
	if tc, ok := c.(*net.TCPConn); ok {
		return &passedTCP{tc, from}, nil
	}
	return &passed{c, from}, nil
}

// passedTCP is a connection that somebody passed on. It has all that TCP has.
type passedTCP struct {
	*net.TCPConn
	from net.Addr
}

// RemoteAddr implements net.Conn.
func (p *passedTCP) RemoteAddr() net.Addr { return p.from }

// passed is passedTCP of another kind of connection.
type passed struct {
	net.Conn
	from net.Addr
}

// RemoteAddr implements net.Conn.
func (p *passed) RemoteAddr() net.Addr { return p.from }

// begunTCP is a connection of which something was read.
type begunTCP struct {
	*net.TCPConn
	read []byte
}

// Read implements net.Conn.
func (b *begunTCP) Read(p []byte) (int, error) {
	if len(b.read) == 0 {
		return b.TCPConn.Read(p)
	}
	n := copy(p, b.read)
	b.read = b.read[n:]
	return n, nil
}

// WriteTo implements io.WriterTo, which that of TCP would do without what was read.
func (b *begunTCP) WriteTo(w io.Writer) (int64, error) {
	return io.Copy(w, struct{ io.Reader }{b})
}

// begunConn is begunTCP of another kind of connection.
type begunConn struct {
	net.Conn
	in io.Reader
}

// Read implements net.Conn.
func (b *begunConn) Read(p []byte) (int, error) { return b.in.Read(p) }

func begun(c net.Conn, read []byte) net.Conn {
	if tc, ok := c.(*net.TCPConn); ok {
		return &begunTCP{tc, read}
	}
	return &begunConn{c, io.MultiReader(bytes.NewReader(read), c)}
}

// readHeader reads a header and no byte beyond it. What begins otherwise is errNoHeader,
// with what was read of it.
func readHeader(r io.Reader) (text []byte, err error) {
	for _, sign := range [][]byte{proxyproto.SIGV1, proxyproto.SIGV2} {
		if text, err = readSign(r, text, sign); err == nil && len(text) == len(sign) && bytes.Equal(text, sign) {
			return readRest(r, text)
		} else if err != nil {
			return text, err
		}
	}
	return text, errNoHeader
}

// readSign reads on as long as it may become a sign.
func readSign(r io.Reader, text, sign []byte) ([]byte, error) {
	for bytes.HasPrefix(sign, text) && len(text) < len(sign) {
		var b [16]byte
		n, err := r.Read(b[:len(sign)-len(text)])
		if text = append(text, b[:n]...); err != nil && (err != io.EOF || n == 0) {
			if err == io.EOF {
				err = errNoHeader
			}
			return text, err
		}
	}
	return text, nil
}

// readRest reads what follows the sign.
func readRest(r io.Reader, text []byte) ([]byte, error) {
	if len(text) == len(proxyproto.SIGV1) {
		return readLine(r, text)
	}
	head := make([]byte, 4)
	if _, err := io.ReadFull(r, head); err != nil {
		return nil, err
	}
	size := int(binary.BigEndian.Uint16(head[2:]))
	if size > maxHeader {
		return nil, fmt.Errorf("its PROXY header has %d bytes, and %d are taken", size, maxHeader)
	}
	rest := make([]byte, size)
	if _, err := io.ReadFull(r, rest); err != nil {
		return nil, err
	}
	return append(append(text, head...), rest...), nil
}

// maxLine bounds a header of version 1.
const maxLine = 107

func readLine(r io.Reader, text []byte) ([]byte, error) {
	var b [1]byte
	for len(text) < maxLine {
		if _, err := io.ReadFull(r, b[:]); err != nil {
			return nil, err
		}
		if text = append(text, b[0]); b[0] == '\n' {
			return text, nil
		}
	}
	return nil, errors.New("its PROXY header does not end")
}
