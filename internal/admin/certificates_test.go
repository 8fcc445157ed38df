package admin

import (
	"strings"
	"testing"
	"time"
)

func TestCertificatesThatSomebodyHasToLookAt(t *testing.T) {
	now := time.Now()
	for _, c := range []struct {
		cert Certificate
		want string // "" is well
	}{
		{Certificate{Name: "a.test", Source: FromAuthority, Expires: now.Add(40 * 24 * time.Hour)}, ""},
		{Certificate{Name: "a.test", Source: FromAuthority, Expires: now.Add(20 * 24 * time.Hour), Failed: "it is away"}, ""}, // there is time
		{Certificate{Name: "a.test", Source: FromAuthority, Expires: now.Add(expiresSoon - time.Hour), Failed: "it is away"}, "could not be renewed yet: it is away"},
		{Certificate{Name: "a.test", Source: FromAuthority, Expires: now.Add(-time.Hour)}, "ended"},
		{Certificate{Name: "a.test", Source: FromAuthority, Failed: "it is away"}, "there is no certificate for a.test yet, and a self-signed one is served in its place: it is away"},
		{Certificate{Name: "a.test", Source: FromFiles, Expires: now.Add(expiresSoon - time.Hour)}, "renew it"},
		{Certificate{Name: "a.test", Source: SelfSigned, Expires: now.Add(expiresSoon - time.Hour)}, ""}, // the next start makes another
	} {
		if got := c.cert.problem(now); (got == "") != (c.want == "") || !strings.Contains(got, c.want) {
			t.Errorf("%+v: %q, want %q", c.cert, got, c.want)
		}
	}
}
