package s3

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/ratelimit"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
)

// maxIdle is how many connections are kept for the next request.
const maxIdle = 16

// httpClient makes connections that are cut when they are silent for stall, looks
// at certificates, and follows nobody elsewhere.
func httpClient(stall time.Duration) *http.Client {
	dialer := &net.Dialer{Timeout: stall}
	return &http.Client{
		Transport: &http.Transport{
			Proxy: http.ProxyFromEnvironment,
			DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
				c, err := dialer.DialContext(ctx, network, address)
				if err != nil {
					return nil, err
				}
				return &livelyConn{Conn: c, stall: stall}, nil
			},
			TLSClientConfig:       &tls.Config{MinVersion: tls.VersionTLS12},
			TLSHandshakeTimeout:   stall,
			ExpectContinueTimeout: time.Second,
			MaxIdleConnsPerHost:   maxIdle,
			IdleConnTimeout:       stall,
			DisableCompression:    true, // what is kept is compressed and sealed
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// livelyConn fails when nothing was read or written for stall. A byte in one
// direction also excuses silence in the other: while a body is sent, nobody answers.
type livelyConn struct {
	net.Conn
	stall time.Duration
}

func (c *livelyConn) Read(p []byte) (int, error) {
	if err := c.alive(); err != nil {
		return 0, err
	}
	n, err := c.Conn.Read(p)
	if n > 0 && err == nil {
		err = c.alive()
	}
	return n, err
}

func (c *livelyConn) Write(p []byte) (int, error) {
	if err := c.alive(); err != nil {
		return 0, err
	}
	n, err := c.Conn.Write(p)
	if err == nil {
		err = c.alive()
	}
	return n, err
}

func (c *livelyConn) alive() error { return c.SetDeadline(time.Now().Add(c.stall)) }

// firstPause bounds the pause before the second attempt; each later bound is twice
// the one before.
const firstPause = 500 * time.Millisecond

// pause is how long to wait after so many attempts failed, at random below a bound,
// so that those who failed together do not come back together.
func (c Config) pause(failed int) time.Duration {
	bound := c.MaxPause
	if failed < 16 {
		bound = min(bound, firstPause<<max(failed-1, 0))
	}
	return time.Duration(rand.Int64N(int64(bound) + 1))
}

// wait pauses, or fails with the context's error.
func (c Config) wait(ctx context.Context, failed int) error {
	t := time.NewTimer(c.pause(failed))
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func retryer(cfg Config) aws.Retryer {
	return retry.NewStandard(func(o *retry.StandardOptions) {
		o.MaxAttempts = cfg.Attempts
		o.Backoff = retry.BackoffDelayerFunc(func(failed int, _ error) (time.Duration, error) { return cfg.pause(failed), nil })
		o.RateLimiter = ratelimit.None // Attempts is the bound
		o.Retryables = append([]retry.IsErrorRetryable{retry.IsErrorRetryableFunc(retryable)}, retry.DefaultRetryables...)
	})
}

// How a server says that what arrived is not what was signed.
const (
	badDigest = "BadDigest"
	badSum    = "XAmzContentSHA256Mismatch"
)

// retryable adds what the library leaves out: answers that were cut, bytes that
// changed on the way, and certificates, which no repetition makes better.
func retryable(err error) aws.Ternary {
	switch {
	case errors.Is(err, context.Canceled):
		return aws.FalseTernary
	case isCertificate(err):
		return aws.FalseTernary
	case errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, io.EOF):
		return aws.TrueTernary
	case statusOf(err) == http.StatusTooManyRequests, codeOf(err) == badDigest, codeOf(err) == badSum:
		return aws.TrueTernary
	}
	return aws.UnknownTernary
}
