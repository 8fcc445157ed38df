package e2e

import (
	"fmt"
	"math/rand/v2"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"lockstep/internal/steady"
)

// Killed while it delivers mail to somebody who is away, the server answers each
// sender once, though each sends until it hears that the message was taken.
func TestKilledServerAnswersOnce(t *testing.T) {
	t.Parallel()
	const senders, rounds = 400, 3
	s := newServer(t, "")
	s.addAccount(alice)
	s.addAccount("all@friends.test")
	s.lockstep("", "address", "add", "all@friends.test", "@friends.test")
	s.lockstep("", "vacation", "set", alice, "--text", "away")
	s.start()
	seed := steady.Seed(t)
	rng := rand.New(rand.NewPCG(seed, 0))
	var next atomic.Int64
	left := make(chan int64, senders) // those that did not hear of their message
	for round := 0; next.Load() < senders || len(left) > 0; round++ {
		var running sync.WaitGroup
		for range 4 {
			running.Go(func() {
				for {
					n := int64(0)
					select {
					case n = <-left:
					default:
						if n = next.Add(1); n > senders {
							return
						}
					}
					text := fmt.Sprintf("From: s%d@friends.test\r\nTo: %s\r\nSubject: hello\r\nMessage-ID: <%d@friends.test>\r\n\r\nhi\r\n", n, alice, n)
					if s.tryLMTPFrom(fmt.Sprintf("s%d@friends.test", n), alice, text) != nil {
						left <- n
						return
					}
				}
			})
		}
		if round < rounds {
			time.Sleep(time.Duration(50+rng.IntN(200)) * time.Millisecond) // the moment is the point
			s.kill()
		}
		running.Wait()
		if round < rounds {
			s.start()
		}
	}
	if n := s.messages("INBOX"); n != fmt.Sprint(senders) {
		t.Errorf("Alice has %s messages, want %d", n, senders)
	}
	c, err := s.dial("all@friends.test", password)
	if err != nil {
		t.Fatal(err)
	}
	defer c.close()
	if _, err := c.do("SELECT INBOX"); err != nil {
		t.Fatal(err)
	}
	said, err := c.do("FETCH 1:* BODY.PEEK[HEADER.FIELDS (TO)]")
	if err != nil {
		t.Fatal(err)
	}
	answers := map[string]int{}
	for _, m := range regexp.MustCompile(`To: <(s\d+@friends\.test)>`).FindAllStringSubmatch(strings.Join(said, ""), -1) {
		answers[m[1]]++
	}
	for n := range senders {
		if who := fmt.Sprintf("s%d@friends.test", n+1); answers[who] != 1 {
			t.Errorf("%s was answered %d times", who, answers[who])
		}
	}
	s.stop()
}
