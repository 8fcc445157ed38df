package bench

import (
	"bufio"
	"context"
	"crypto/tls"
	"encoding/base64"
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// listener is a client that hears of changes over JMAP, by events or a WebSocket,
// under TLS. Used by one goroutine.
type listener struct {
	net.Conn
	in *bufio.Reader
}

// listen begins to hear of an account's changes.
func (s *site) listen(account string, byWebSocket bool) (*listener, error) {
	nc, err := net.DialTimeout("tcp", s.httpsAddr(), 10*time.Second)
	if err != nil {
		return nil, err
	}
	// The certificate is one the server made for itself, on loopback.
	c := tls.Client(nc, &tls.Config{InsecureSkipVerify: true})
	l := &listener{Conn: c, in: bufio.NewReaderSize(c, 4096)}
	path, more, want := "/jmap/eventsource/?types=*&closeafter=no&ping=0", "", http.StatusOK
	if byWebSocket {
		path, want = "/jmap/ws", http.StatusSwitchingProtocols
		more = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Protocol: jmap\r\n"
	}
	l.SetDeadline(time.Now().Add(patience))
	_, err = fmt.Fprintf(l, "GET %s HTTP/1.1\r\nHost: %s\r\nUser-Agent: Bench/1.0\r\n%sAuthorization: Basic %s\r\n\r\n", path, s.httpsAddr(), more,
		base64.StdEncoding.EncodeToString([]byte(address(account)+":"+password)))
	var r *http.Response
	if err == nil {
		r, err = http.ReadResponse(l.in, nil)
	}
	if err == nil && r.StatusCode != want {
		err = fmt.Errorf("%s", r.Status)
	}
	if err == nil && byWebSocket {
		for _, text := range []string{`{"@type":"WebSocketPushEnable","dataTypes":null}`, `{"@type":"Request","using":[],"methodCalls":[]}`} {
			if err == nil {
				_, err = l.Write(append([]byte{0x81, 0x80 | byte(len(text)), 0, 0, 0, 0}, text...))
			}
		}
		if err == nil {
			err = l.hear("Response") // it heard what was before that
		}
	} else if err == nil {
		l.in = bufio.NewReader(r.Body)
	}
	if err != nil {
		l.Close()
		return nil, fmt.Errorf("%s: listener of %s: %w", s.name(), account, err)
	}
	return l, nil
}

// hear returns when something of a type is told.
func (l *listener) hear(what string) error {
	l.SetDeadline(time.Now().Add(patience))
	for {
		line, err := l.in.ReadString('}')
		if err != nil || strings.Contains(line, `"@type":"`+what+`"`) {
			return err
		}
	}
}

// jmapPush is how long a change takes to who listens: from the write of a UID STORE to
// the read of the event, and of the WebSocket's message.
func jmapPush(_ context.Context, s *site) ([]figure, error) {
	a, _, err := s.dialInbox(pushAccount)
	if err != nil {
		return nil, err
	}
	defer a.Close()
	var figures []figure
	for _, by := range []struct {
		webSocket    bool
		median, tail string
	}{{false, pushMedian, pushTail}, {true, "WebSocket p50 ms", "WebSocket p99 ms"}} {
		l, err := s.listen(pushAccount, by.webSocket)
		if err != nil {
			return nil, err
		}
		defer l.Close()
		took, err := s.pushes([]*phone{{}}, func(p *phone) (time.Duration, error) {
			return s.storeTo(a, p, func() (time.Time, error) { err := l.hear("StateChange"); return time.Now(), err })
		})
		if err != nil {
			return nil, err
		}
		figures = append(figures, figure{by.median, milliseconds(percentile(took, 50))}, figure{by.tail, milliseconds(percentile(took, 99))})
	}
	return figures, nil
}

// jmapIdle measures the memory of clients that listen for events, under TLS.
func jmapIdle(ctx context.Context, s *site) ([]figure, error) {
	if err := s.restart(ctx, false, ""); err != nil {
		return nil, err
	}
	n := min(s.sizes.idlers, phonesEach*phoneAccounts)
	empty, err := residentKB(s.pid())
	if err != nil {
		return nil, err
	}
	listeners, err := s.listeners(ctx, n)
	defer func() {
		for _, l := range listeners {
			l.Close()
		}
	}()
	if err != nil {
		return nil, err
	}
	late, err := s.settle(ctx)
	if err != nil {
		return nil, err
	}
	return []figure{{perConnection, float64(late-empty) / float64(n)}, {"connections", float64(n)}}, nil
}

// listeners brings n clients to listen, a few at a time.
func (s *site) listeners(ctx context.Context, n int) (all []*listener, err error) {
	var mu sync.Mutex // guards all and err
	var next atomic.Int64
	var dialing sync.WaitGroup
	for range 32 {
		dialing.Go(func() {
			for i := int(next.Add(1)) - 1; i < n && ctx.Err() == nil; i = int(next.Add(1)) - 1 {
				l, failed := s.listen(phoneAccount(i/phonesEach), i%2 == 1)
				mu.Lock()
				if l != nil {
					all = append(all, l)
				}
				if failed != nil {
					err = failed
				}
				stop := err != nil
				mu.Unlock()
				if stop {
					return
				}
			}
		})
	}
	dialing.Wait()
	if err == nil {
		err = ctx.Err()
	}
	return all, err
}
