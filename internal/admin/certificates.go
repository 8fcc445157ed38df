package admin

import (
	"context"
	"fmt"
	"time"
)

// Where certificates come from.
const (
	SelfSigned    = "self-signed"
	FromFiles     = "files"
	FromAuthority = "ACME"
)

// Certificate is one that programs get to see.
type Certificate struct {
	Name    string
	Source  string
	Expires time.Time // zero: there is none yet
	Failed  string    // why the last attempt to get one brought nothing; "" if it did
}

// expiresSoon is when somebody should look: an authority's is renewed when a third of
// its life is left.
const expiresSoon = 7 * 24 * time.Hour

// certificates says how those that are in force stand.
func (x *examination) certificates(ctx context.Context, accounts int) error {
	if x.o.Certificates == nil || x.q.Login != "" {
		return nil
	}
	all, err := x.o.Certificates(ctx)
	if err != nil {
		return x.found("", false, "certificate: %v", err)
	}
	for _, c := range all {
		if problem := c.problem(time.Now()); problem != "" {
			if err := x.found("", false, "%s", problem); err != nil {
				return err
			}
			continue
		}
		note := fmt.Sprintf("Certificate of %s (%s): until %s.", c.Name, c.Source, c.Expires.Local().Format("2 January 2006"))
		if err := x.emit(Finding{Note: note, Accounts: accounts, Messages: x.messages}); err != nil {
			return err
		}
	}
	return nil
}

// problem says what is wrong with a certificate; "" if nothing is.
func (c Certificate) problem(now time.Time) string {
	why := ""
	if c.Failed != "" {
		why = ": " + c.Failed
	}
	left := c.Expires.Sub(now)
	switch {
	case c.Expires.IsZero():
		return fmt.Sprintf("there is no certificate for %s yet, and a self-signed one is served in its place%s. It is tried again by itself; its name has to lead here, at port 443 (listen.https) or 80 (listen.http)", c.Name, why)
	case left <= 0:
		return fmt.Sprintf("the certificate of %s (%s) ended %s%s", c.Name, c.Source, Ago(-left), why)
	case left < expiresSoon && c.Source == FromAuthority:
		return fmt.Sprintf("the certificate of %s ends on %s and could not be renewed yet%s", c.Name, c.Expires.Local().Format("2 January 15:04"), why)
	case left < expiresSoon && c.Source == FromFiles:
		return fmt.Sprintf("the certificate of %s in the files that tls.cert names ends on %s: renew it; a new one is read without a restart", c.Name, c.Expires.Local().Format("2 January 15:04"))
	}
	return ""
}
