package lottest

import (
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

func TestEachSaysItsPartWhenTheOneBeforeWasRead(t *testing.T) {
	talk := NewTalk(Part{0, []byte("one "), nil}, Part{1, []byte("two "), nil}, Part{Client: 0, Answer: func(heard string) []byte { return []byte(heard) }}, Part{2, []byte("gone "), nil}, Part{1, []byte("four"), nil})
	talk.Conn(2).Close()
	var mu sync.Mutex
	var order string
	var servers sync.WaitGroup
	for _, c := range []*TalkConn{talk.Conn(0), talk.Conn(1)} {
		servers.Go(func() {
			for b := make([]byte, 100); ; {
				n, err := c.Read(b)
				if err == io.EOF {
					return
				}
				mu.Lock()
				order += fmt.Sprint(c.client, ":", string(b[:n]))
				mu.Unlock()
				io.WriteString(c, "three ")
			}
		})
	}
	servers.Wait()
	if order != "0:one 1:two 0:three 1:four" {
		t.Errorf("%q", order)
	}
}

func TestWhoWaitsForItsTurnHasADeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		talk := NewTalk(Part{1, []byte("x"), nil})
		talk.Conn(1)
		c := talk.Conn(0)
		began := time.Now()
		c.SetReadDeadline(began.Add(time.Minute))
		if _, err := c.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) || time.Since(began) != time.Minute {
			t.Errorf("%v after %v", err, time.Since(began))
		}
	})
}
