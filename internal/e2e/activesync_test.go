package e2e

import (
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"lockstep/internal/eas/wbxml"
	"lockstep/internal/steady"
)

// trySendMail sends a message as a phone does, and says whether it heard that it was
// sent.
func (s *server) trySendMail(phone, clientID, text string) bool {
	in := wbxml.New(wbxml.ComposeSendMail, wbxml.Text(wbxml.ComposeClientId, clientID), wbxml.New(wbxml.ComposeSaveInSentItems), wbxml.Bytes(wbxml.ComposeMime, []byte(text)))
	var body bytes.Buffer
	if err := wbxml.Encode(&body, in); err != nil {
		s.t.Error(err)
		return false
	}
	url := "http://127.0.0.1:" + s.ports["http"] + "/Microsoft-Server-ActiveSync?Cmd=SendMail&DeviceType=SmartPhone&DeviceId=" + phone
	r, err := http.NewRequest("POST", url, &body)
	if err != nil {
		s.t.Error(err)
		return false
	}
	r.SetBasicAuth(alice, password)
	r.Header.Set("Content-Type", "application/vnd.ms-sync.wbxml")
	r.Header.Set("MS-ASProtocolVersion", "16.1")
	client := http.Client{Timeout: patience, Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Do(r)
	if err != nil {
		return false
	}
	defer resp.Body.Close()
	said, err := io.ReadAll(resp.Body)
	// Who asks again for what was sent hears status 118 (MS-ASCMD §2.2.2).
	if err == nil && (resp.StatusCode != http.StatusOK || len(said) > 0 && !bytes.Contains(said, []byte("\x03118\x00"))) {
		s.t.Errorf("HTTP %d: %q", resp.StatusCode, said)
	}
	return err == nil
}

// Killed while phones send, the server sends each message once, though each phone
// asks until it hears that its message was sent.
func TestKilledServerSendsOnce(t *testing.T) {
	t.Parallel()
	const messages, phones, rounds = 200, 4, 3
	const bob = "bob@example.test"
	s := newServer(t, "")
	s.addAccount(alice)
	s.addAccount(bob)
	s.start()
	seed := steady.Seed(t)
	rng := rand.New(rand.NewPCG(seed, 0))
	var next atomic.Int64
	left := make([][]int64, phones) // what each phone did not hear of
	unheard := 0
	for round := 0; next.Load() < messages || unheard > 0; round++ {
		var running sync.WaitGroup
		for phone := range phones {
			running.Go(func() {
				for {
					n := int64(0)
					if l := left[phone]; len(l) > 0 {
						n, left[phone] = l[0], l[1:]
					} else if n = next.Add(1); n > messages {
						return
					}
					text := fmt.Sprintf("From: %s\r\nTo: %s\r\nSubject: number %d.\r\n\r\nhi\r\n", alice, bob, n)
					if !s.trySendMail(fmt.Sprint("PHONE", phone), fmt.Sprint("c", n), text) {
						left[phone] = append(left[phone], n)
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
		if unheard = 0; round < rounds {
			s.start()
		}
		for _, l := range left {
			unheard += len(l)
		}
	}
	for login, mailbox := range map[string]string{bob: "INBOX", alice: "Sent"} {
		numbers := s.numbers(t, login, mailbox)
		for n := range messages {
			if c := numbers[fmt.Sprint(n+1)]; c != 1 {
				t.Errorf("%s of %s has message %d %d times", mailbox, login, n+1, c)
			}
		}
	}
	s.stop()
}

// numbers counts the messages of a mailbox by the number in their subject.
func (s *server) numbers(t *testing.T, login, mailbox string) map[string]int {
	t.Helper()
	c, err := s.dial(login, password)
	if err != nil {
		t.Fatal(err)
	}
	defer c.close()
	if _, err := c.do("SELECT %s", mailbox); err != nil {
		t.Fatal(err)
	}
	said, err := c.do("FETCH 1:* BODY.PEEK[HEADER.FIELDS (SUBJECT)]")
	if err != nil {
		t.Fatal(err)
	}
	numbers := map[string]int{}
	for _, m := range regexp.MustCompile(`Subject: number (\d+)\.`).FindAllStringSubmatch(strings.Join(said, ""), -1) {
		numbers[m[1]]++
	}
	return numbers
}
