package e2e

import (
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"

	"lockstep/internal/auth"
	"lockstep/internal/notify/natsbus/natstest"
)

var appPassword = regexp.MustCompile(`[a-z2-9]{5}(-[a-z2-9]{5}){3}`)

// ends waits until a client that waits is told why it has to go.
func (c *client) ends(t *testing.T, why string) (took time.Duration) {
	t.Helper()
	began := time.Now()
	for {
		l, err := c.line()
		if strings.HasPrefix(l, "* BYE") && strings.Contains(l, why) {
			return time.Since(began)
		}
		if err != nil {
			t.Fatalf("waiting for the end: %q, %v", l, err)
		}
	}
}

// refused is the server's word for who is not let in; "" if it lets in.
func (s *server) refused(login, secret string) string {
	c, err := s.dial(login, secret)
	if err == nil {
		c.close()
		return ""
	}
	return err.Error()
}

// signsOut signs a device out at one node and returns how long its session goes on at
// another.
func signsOut(t *testing.T, here, there *server, login, device string) time.Duration {
	t.Helper()
	secret := appPassword.FindString(here.lockstep("", "device", "add", login, device))
	c, err := there.dial(login, secret)
	if err != nil {
		t.Fatal(err)
	}
	defer c.close()
	if _, err := fmt.Fprint(c.c, "i IDLE\r\n"); err != nil {
		t.Fatal(err)
	}
	here.lockstep("", "device", "sign-out", login, device)
	if why := there.refused(login, secret); !strings.Contains(why, "AUTHENTICATIONFAILED") {
		t.Errorf("%q", why)
	}
	return c.ends(t, "signed out")
}

// Whoever is signed out at one node is out at the other, and guesses are counted
// together; also while the way between the nodes is gone.
func TestSignOutsAndGuessesHoldAtAllNodes(t *testing.T) {
	t.Parallel()
	nats := natstest.Start(t, nil)
	all := nodes(t, 2, nats.URL)
	here, there := all[0], all[1]
	for _, way := range []string{"with the way between them", "without it"} {
		if way == "without it" {
			nats.Stop()
		}
		login := strings.Fields(way)[0] + "@example.test"
		here.addAccount(login)
		most := auth.SeenWithin
		if way != "without it" {
			most /= 5
		}
		fastest := time.Hour
		for n := 0; n < 5 && fastest > most; n++ { // a machine that stands still says nothing of us
			fastest = min(fastest, signsOut(t, here, there, login, fmt.Sprint("phone", n)))
		}
		t.Logf("%s the session ended after %v", way, fastest)
		if fastest > most {
			t.Errorf("%s the session ended after %v", way, fastest)
		}
		here.lockstep("", "address", "add", login, "alias-"+login)
		there.lmtp("alias-"+login, "Subject: x\r\n\r\nx\r\n")
		here.lockstep("", "address", "remove", "alias-"+login)
		time.Sleep(time.Second) // for which a node may take it yet
		if err := there.tryLMTP("alias-"+login, "Subject: x\r\n\r\nx\r\n"); err == nil {
			t.Errorf("%s: an address that was removed is taken", way)
		}
	}
	wrong := 0
	for i := range 30 {
		why := all[i%2].refused("guessed@example.test", fmt.Sprint("wrong ", i))
		if !strings.Contains(why, "too many failed") {
			wrong++
		}
	}
	if wrong > 12 { // five, and one more for each of the waits that passed meanwhile: 1 s, 2 s, …
		t.Errorf("%d of 30 guesses were heard", wrong)
	}
	for _, s := range all {
		if strings.Contains(s.log.String(), "level=ERROR") {
			t.Errorf("the log says:\n%s", s.log)
		}
	}
}
