package jmap

import (
	"strings"
	"testing"
	"time"
)

// afterFirst does something when the first method call was answered, and gives it time
// to be heard of at each later one.
type afterFirst struct {
	do    func()
	calls int
}

func (a *afterFirst) Command(string, string, time.Duration) {
	if a.calls++; a.calls == 1 {
		a.do()
		return
	}
	time.Sleep(5 * time.Millisecond)
}

func TestARequestUnderWayEndsWithItsSession(t *testing.T) {
	w := newTown(t)
	w.server.Metrics = &afterFirst{do: func() {
		if err := w.auth.SetDisabled(t.Context(), w.alice.Account, true); err != nil {
			t.Error(err)
		}
	}}
	calls := strings.Repeat(`,["Core/echo",{"n":1},"later"]`, 60)
	rec := w.do("POST", apiPath, "application/json", []byte(`{"using":["urn:ietf:params:jmap:core"],"methodCalls":[["Core/echo",{},"first"]`+calls+`,["Core/echo",{"n":2},"last"]]}`))
	body := rec.Body.String()
	if rec.Code != 200 || !strings.Contains(body, `["Core/echo",{},"first"]`) || strings.Contains(body, `{"n":2}`) || !strings.Contains(body, `["error",{"type":"forbidden","description":"you were signed out meanwhile"},"last"]`) {
		t.Errorf("%d %s", rec.Code, body)
	}
}
