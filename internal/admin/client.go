package admin

import (
	"bytes"
	"context"
	"io"
	"net"
	"net/http"
	"net/url"
	"sync"

	"lockstep/internal/mail"
)

// Client asks the verbs of a server, running or in this process.
type Client struct {
	http  http.Client
	close func() error
}

// Dial reaches the server whose socket that is.
func Dial(ctx context.Context, socket string) (*Client, error) {
	dial := func(ctx context.Context) (net.Conn, error) { return dialSocket(ctx, socket) }
	conn, err := dial(ctx)
	if err != nil {
		return nil, err
	}
	conn.Close() // somebody answers; requests make their own
	return newClient(dial, func() error { return nil }), nil
}

// Here asks ops in this process; Close ends what Here began and then closes ops'
// parts with release.
func Here(ops *Ops, release func() error) *Client {
	l := newPipeListener()
	ctx, cancel := context.WithCancel(context.Background())
	var served sync.WaitGroup
	served.Go(func() { _ = ops.Serve(ctx, l) }) // its only error is that the pipe ended
	return newClient(l.dial, func() error {
		cancel()
		served.Wait()
		return release()
	})
}

func newClient(dial func(context.Context) (net.Conn, error), close func() error) *Client {
	t := &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) { return dial(ctx) }, DisableCompression: true}
	c := &Client{http: http.Client{Transport: t}}
	c.close = func() error {
		t.CloseIdleConnections()
		return close()
	}
	return c
}

// Close ends the client.
func (c *Client) Close() error { return c.close() }

func (c *Client) post(ctx context.Context, verb string, body io.Reader) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://lockstep/v1/"+verb, body)
	if err != nil {
		return nil, err
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return nil, err
	}
	if resp.StatusCode != http.StatusOK {
		resp.Body.Close()
		return nil, mail.Errorf(mail.Unimplemented, "the running server does not know %q: is it of another version?", verb)
	}
	return resp, nil
}

func bytesReader(b []byte) io.Reader { return bytes.NewReader(b) }

// pipeListener hands connections over inside the process.
type pipeListener struct {
	conns chan net.Conn
	done  chan struct{}
	once  sync.Once
}

func newPipeListener() *pipeListener {
	return &pipeListener{conns: make(chan net.Conn), done: make(chan struct{})}
}

func (l *pipeListener) dial(ctx context.Context) (net.Conn, error) {
	ours, theirs := net.Pipe()
	select {
	case l.conns <- theirs:
		return ours, nil
	case <-l.done:
		return nil, net.ErrClosed
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (l *pipeListener) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.done:
		return nil, net.ErrClosed
	}
}

func (l *pipeListener) Close() error {
	l.once.Do(func() { close(l.done) })
	return nil
}

func (l *pipeListener) Addr() net.Addr { return pipeAddr{} }

type pipeAddr struct{}

func (pipeAddr) Network() string { return "pipe" }
func (pipeAddr) String() string  { return "this process" }

func (c *Client) postImport(ctx context.Context, login, contentType string, body io.Reader) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://lockstep/v1/import?login="+url.QueryEscape(login), body)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", contentType)
	return c.http.Do(req)
}
