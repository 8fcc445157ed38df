package eas

import (
	"fmt"
	"strings"
	"testing"

	"lockstep/internal/eas/wbxml"
)

// resolve asks for names; options may be nil.
func (p *phone) resolve(options *wbxml.Element, names ...string) string {
	p.w.T.Helper()
	in := wbxml.New(wbxml.ResolveResolveRecipients)
	for _, n := range names {
		in.Add(wbxml.Text(wbxml.ResolveTo, n))
	}
	return short(p.call("ResolveRecipients", in.Add(options)))
}

func resolveOptions(children ...*wbxml.Element) *wbxml.Element {
	return wbxml.New(wbxml.ResolveOptions, children...)
}

func availability(from, until string) *wbxml.Element {
	e := wbxml.New(wbxml.ResolveAvailability, wbxml.Text(wbxml.ResolveStartTime, from))
	if until != "" {
		e.Add(wbxml.Text(wbxml.ResolveEndTime, until))
	}
	return e
}

// bobs is a town with three people whose names begin with Bob, and one elsewhere.
func bobs(t *testing.T) *town {
	w := newTown(t)
	for login, name := range map[string]string{"bob@example.test": "", "bob.z@example.test": "Bob Zimmer", "robert@example.test": "Bob Ash", "bob@other.test": "Bob Other"} {
		p := w.Account(login, 0, nil)
		if err := w.Store.SetName(t.Context(), p.Account, name); err != nil {
			t.Fatal(err)
		}
	}
	return w
}

func TestRecipientsAreThoseOfTheDirectory(t *testing.T) {
	w := bobs(t)
	recipient := func(name, address string) string {
		return fmt.Sprintf("Recipient(Type=1 DisplayName=%s EmailAddress=%s)", name, address)
	}
	ash, zimmer, bob := recipient("Bob Ash", "robert@example.test"), recipient("Bob Zimmer", "bob.z@example.test"), recipient("bob@example.test", "bob@example.test")
	one := "Status=1 RecipientCount=1 "
	for to, want := range map[string]string{
		"Zimm":                   one + zimmer,
		"Zimmer Bob":             one + zimmer,
		"bob.z@example.test":     one + zimmer,
		"BOB@example.TEST":       one + bob,
		"bob":                    one + bob,
		"bob ash":                one + ash,
		"bo":                     "Status=2 RecipientCount=3 " + ash + " " + zimmer + " " + bob,
		"bob@":                   one + bob,
		"b@example.test":         "Status=4",
		"bob@other.test":         "Status=4",
		"dave@remote.test":       "Status=4",
		"Other":                  "Status=4",
		"":                       "Status=4",
		strings.Repeat("n", 256): "Status=4",
	} {
		for _, v := range versions {
			shown := "To=" + to
			if to == "" {
				shown = "To"
			}
			if got := w.phone(v).resolve(nil, to); got != "ResolveRecipients(Status=1 Response("+shown+" "+want+"))" {
				t.Errorf("%v, %q: %s", v, to, got)
			}
		}
	}
	got := w.phone(v161).resolve(resolveOptions(wbxml.Text(wbxml.ResolveMaxAmbiguousRecipients, "2")), "bo", "zimmer")
	if want := "ResolveRecipients(Status=1 Response(To=bo Status=3 RecipientCount=3 " + ash + " " + zimmer + ") Response(To=zimmer " + one + zimmer + "))"; got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	w.server.People = nil
	if got := w.phone(v161).resolve(nil, "zimmer"); got != "ResolveRecipients(Status=1 Response(To=zimmer Status=4))" {
		t.Errorf("of a directory that is off: %s", got)
	}
}

func TestRecipientsHaveNoCertificatesPicturesOrCalendars(t *testing.T) {
	w := bobs(t)
	picture := wbxml.New(wbxml.ResolvePicture)
	certs := wbxml.Text(wbxml.ResolveCertificateRetrieval, "2")
	free := availability("2026-07-01T00:00:00.000Z", "2026-07-01T02:00:00.000Z")
	all := resolveOptions(certs, free, picture)
	if got := w.phone(v161).resolve(all, "zimmer"); !strings.Contains(got, "EmailAddress=bob.z@example.test Availability(Status=163) Certificates(Status=7 CertificateCount=0) Picture(Status=173))") {
		t.Error(got)
	}
	if got := w.phone(v161).resolve(all, "bo"); strings.Contains(got, "Availability") || strings.Contains(got, "Certificates") || strings.Count(got, "Picture(Status=173)") != 3 {
		t.Errorf("of several: %s", got)
	}
	none := resolveOptions(wbxml.New(wbxml.ResolvePicture, wbxml.Text(wbxml.ResolveMaxPictures, "0")))
	if got := w.phone(v141).resolve(none, "zimmer"); !strings.Contains(got, "Picture(Status=175)") {
		t.Error(got)
	}
	if got := w.phone(v140).resolve(resolveOptions(picture, wbxml.Text(wbxml.ResolveCertificateRetrieval, "1")), "zimmer"); strings.Contains(got, "Picture") || strings.Contains(got, "Certificates") {
		t.Error(got)
	}
}

func TestResolveRecipientsRefusesWhatCanNotBe(t *testing.T) {
	w := newTown(t)
	many := make([]string, maxResolve+1)
	text := wbxml.Text
	for name, c := range map[string]struct {
		v       version
		options *wbxml.Element
		names   []string
	}{
		"nobody":              {v161, nil, nil},
		"too many":            {v161, nil, many},
		"too long":            {v161, nil, []string{strings.Repeat("ü", 257)}},
		"certificates":        {v161, resolveOptions(text(wbxml.ResolveCertificateRetrieval, "4")), []string{"x"}},
		"number":              {v161, resolveOptions(text(wbxml.ResolveMaxCertificates, "10000")), []string{"x"}},
		"negative":            {v161, resolveOptions(text(wbxml.ResolveMaxAmbiguousRecipients, "-1")), []string{"x"}},
		"no start":            {v161, resolveOptions(wbxml.New(wbxml.ResolveAvailability)), []string{"x"}},
		"bad start":           {v161, resolveOptions(availability("now", "2026-07-01T02:00:00.000Z")), []string{"x"}},
		"bad end":             {v161, resolveOptions(availability("2026-07-01T02:00:00.000Z", "then")), []string{"x"}},
		"too short":           {v161, resolveOptions(availability("2026-07-01T02:00:00.000Z", "2026-07-01T02:29:59.000Z")), []string{"x"}},
		"backwards":           {v161, resolveOptions(availability("2026-07-01T02:00:00.000Z", "2026-07-01T01:00:00.000Z")), []string{"x"}},
		"longer than 42 days": {v161, resolveOptions(availability("2026-07-01T00:00:00.000Z", "2026-08-12T00:00:01.000Z")), []string{"x"}},
		"calendars in 12.1":   {v121, resolveOptions(availability("2026-07-01T00:00:00.000Z", "2026-07-02T00:00:00.000Z")), []string{"x"}},
	} {
		if got := w.phone(c.v).resolve(c.options, c.names...); got != "ResolveRecipients(Status=5)" {
			t.Errorf("%s: %s", name, got)
		}
	}
	if got := w.phone(v161).resolve(nil, many[1:]...); !strings.HasPrefix(got, "ResolveRecipients(Status=1 ") {
		t.Errorf("as many as may be: %.100s", got)
	}
	for _, a := range []*wbxml.Element{availability("2026-07-01T00:00:00.000Z", "2026-08-12T00:00:00.000Z"), availability("2026-07-01T00:00:00.000Z", "")} {
		if got := w.phone(v161).resolve(resolveOptions(a), "x"); !strings.HasPrefix(got, "ResolveRecipients(Status=1 ") {
			t.Error(got)
		}
	}
}
