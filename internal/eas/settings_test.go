package eas

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"lockstep/internal/delivery"
	"lockstep/internal/eas/wbxml"
	"lockstep/internal/mail"
	"lockstep/internal/store"
)

func (p *phone) settings(properties ...*wbxml.Element) string {
	p.w.T.Helper()
	return short(p.call("Settings", wbxml.New(wbxml.SettingsSettings, properties...)))
}

func oofSets(children ...*wbxml.Element) *wbxml.Element {
	return wbxml.New(wbxml.SettingsOof, wbxml.New(wbxml.SettingsSet, children...))
}

func oofGets(form string) *wbxml.Element {
	get := wbxml.New(wbxml.SettingsGet)
	if form != "" {
		get.Add(wbxml.Text(wbxml.SettingsBodyType, form))
	}
	return wbxml.New(wbxml.SettingsOof, get)
}

func oofSays(enabled, reply, form string, to ...wbxml.Tag) *wbxml.Element {
	e := wbxml.New(wbxml.SettingsOofMessage)
	for _, t := range to {
		e.Add(wbxml.New(t))
	}
	e.Add(wbxml.Text(wbxml.SettingsEnabled, enabled))
	if reply != "" {
		e.Add(wbxml.Text(wbxml.SettingsReplyMessage, reply))
	}
	if form != "" {
		e.Add(wbxml.Text(wbxml.SettingsBodyType, form))
	}
	return e
}

func oofState(s string) *wbxml.Element { return wbxml.Text(wbxml.SettingsOofState, s) }

func oofTimes(from, until string) []*wbxml.Element {
	return []*wbxml.Element{wbxml.Text(wbxml.SettingsStartTime, from), wbxml.Text(wbxml.SettingsEndTime, until)}
}

const (
	toInternal = wbxml.SettingsAppliesToInternal
	toKnown    = wbxml.SettingsAppliesToExternalKnown
	toUnknown  = wbxml.SettingsAppliesToExternalUnknown
)

func (w *town) vacation() (v mail.Vacation) {
	w.T.Helper()
	err := w.Store.View(w.T.Context(), w.alice.Account, func(r store.Reader) (err error) {
		v, err = delivery.Vacation(r)
		return err
	})
	if err != nil {
		w.T.Fatal(err)
	}
	return v
}

func TestOofTellsThreeAudiencesAlways(t *testing.T) {
	for _, v := range versions {
		p := newTown(t).phone(v)
		want := "Settings(Status=1 Oof(Status=1 Get(OofState=0 OofMessage(AppliesToInternal Enabled=0) OofMessage(AppliesToExternalKnown Enabled=0) OofMessage(AppliesToExternalUnknown Enabled=0))))"
		if got := p.settings(oofGets("TEXT")); got != want {
			t.Errorf("%v:\n got %s\nwant %s", v, got, want)
		}
	}
}

func TestOofIsTheVacationOfAllProtocols(t *testing.T) {
	w := newTown(t)
	p := w.phone(v161)
	times := oofTimes("2026-07-01T00:00:00.000Z", "20260715T000000Z")
	got := p.settings(oofSets(oofState("2"), times[0], times[1],
		oofSays("1", "Ask <Bob>", "Text", toInternal), oofSays("1", "<p>Away</p>", "HTML", toKnown, toUnknown)))
	if got != "Settings(Status=1 Oof(Status=1))" {
		t.Fatal(got)
	}
	want := mail.Vacation{Enabled: true, From: time.Date(2026, 7, 1, 0, 0, 0, 0, time.UTC), Until: time.Date(2026, 7, 15, 0, 0, 0, 0, time.UTC),
		Internal: mail.VacationAnswer{Enabled: true, Text: "Ask <Bob>"}, Known: mail.VacationAnswer{Enabled: true, HTML: "<p>Away</p>"}, Unknown: mail.VacationAnswer{Enabled: true, HTML: "<p>Away</p>"}}
	if got := w.vacation(); got != want {
		t.Errorf("kept %+v", got)
	}
	for form, want := range map[string]string{
		"text": "OofMessage(AppliesToInternal Enabled=1 ReplyMessage=Ask <Bob> BodyType=TEXT) OofMessage(AppliesToExternalKnown Enabled=1 ReplyMessage=Away BodyType=TEXT)",
		"HTML": "OofMessage(AppliesToInternal Enabled=1 ReplyMessage=Ask &lt;Bob&gt; BodyType=HTML) OofMessage(AppliesToExternalKnown Enabled=1 ReplyMessage=<p>Away</p> BodyType=HTML)",
	} {
		got := p.settings(oofGets(form))
		if !strings.Contains(got, "Get(OofState=2 StartTime=2026-07-01T00:00:00.000Z EndTime=2026-07-15T00:00:00.000Z "+want) {
			t.Errorf("%s: %s", form, got)
		}
	}
	p.settings(oofSets(oofState("0")))
	if got := w.vacation(); got.Enabled || got.Known != want.Known || got.Until != want.Until {
		t.Errorf("turned off it is %+v", got)
	}
	p.settings(oofSets(oofState("1"), oofSays("0", "", "", toInternal)))
	if got := w.vacation(); !got.Enabled || !got.From.IsZero() || got.Internal != (mail.VacationAnswer{}) || got.Known != want.Known {
		t.Errorf("turned on it is %+v", got)
	}
	if got := p.settings(oofGets("")); !strings.Contains(got, "OofState=1 OofMessage(AppliesToInternal Enabled=0) OofMessage(AppliesToExternalKnown Enabled=1 ReplyMessage=Away BodyType=TEXT)") {
		t.Error(got)
	}
}

func TestOofStatuses(t *testing.T) {
	from, until := "2026-07-01T00:00:00.000Z", "2026-07-02T00:00:00.000Z"
	times, backwards, never := oofTimes(from, until), oofTimes(until, from), oofTimes("yesterday", until)
	long := strings.Repeat("x", mail.MaxMetadataBytes)
	for name, c := range map[string]struct {
		e    *wbxml.Element
		want string
	}{
		"between without times":      {oofSets(oofState("2")), "Oof(Status=1)"},
		"nothing":                    {oofSets(), "Oof(Status=1)"},
		"start without end":          {oofSets(oofState("2"), times[0]), "Oof(Status=2)"},
		"end without start":          {oofSets(oofState("2"), times[1]), "Oof(Status=2)"},
		"ends before it starts":      {oofSets(oofState("2"), backwards[0], backwards[1]), "Oof(Status=5)"},
		"no time":                    {oofSets(oofState("2"), never[0], never[1]), "Oof(Status=5)"},
		"state":                      {oofSets(oofState("3")), "Oof(Status=5)"},
		"body type":                  {oofSets(oofSays("1", "x", "RTF", toKnown)), "Oof(Status=5)"},
		"reply without body type":    {oofSets(oofSays("1", "x", "", toKnown)), "Oof(Status=5)"},
		"enabled":                    {oofSets(oofSays("2", "x", "TEXT", toKnown)), "Oof(Status=5)"},
		"too long":                   {oofSets(oofSays("1", long, "TEXT", toKnown)), "Oof(Status=5)"},
		"for nobody":                 {oofSets(oofSays("1", "x", "TEXT")), "Oof(Status=2)"},
		"twice for one":              {oofSets(oofSays("1", "x", "TEXT", toKnown), oofSays("1", "x", "TEXT", toKnown)), "Oof(Status=6)"},
		"two texts for outside":      {oofSets(oofSays("1", "x", "TEXT", toKnown), oofSays("1", "y", "TEXT", toUnknown)), "Oof(Status=6)"},
		"silent to strangers":        {oofSets(oofSays("1", "x", "TEXT", toKnown), oofSays("0", "", "", toUnknown)), "Oof(Status=1)"},
		"get of an unknown type":     {oofGets("RTF"), "Oof(Status=5)"},
		"get with spelling of specs": {wbxml.New(wbxml.SettingsOof, wbxml.New(wbxml.SettingsGet, wbxml.Text(wbxml.SettingsBodyType, "Text"))), "Oof(Status=1 Get(OofState=0"},
	} {
		got := newTown(t).phone(v141).settings(c.e)
		if !strings.HasPrefix(got, "Settings(Status=1 "+c.want) {
			t.Errorf("%s: %s, want %s", name, got, c.want)
		}
	}
}

func TestMalformedSettingsDoNothing(t *testing.T) {
	get, set := wbxml.New(wbxml.SettingsGet), wbxml.New(wbxml.SettingsSet)
	rights := wbxml.New(wbxml.SettingsRightsManagementInformation, get)
	for name, c := range map[string]struct {
		v   version
		all []*wbxml.Element
	}{
		"nothing":                 {v161, nil},
		"get and set":             {v161, []*wbxml.Element{wbxml.New(wbxml.SettingsOof, get, set)}},
		"no verb":                 {v161, []*wbxml.Element{wbxml.New(wbxml.SettingsOof)}},
		"set what can't be":       {v161, []*wbxml.Element{wbxml.New(wbxml.SettingsUserInformation, set)}},
		"get what can't be":       {v161, []*wbxml.Element{wbxml.New(wbxml.SettingsDeviceInformation, get)}},
		"twice":                   {v161, []*wbxml.Element{oofGets("TEXT"), oofGets("TEXT")}},
		"empty password":          {v161, []*wbxml.Element{oofSets(oofState("1")), wbxml.New(wbxml.SettingsDevicePassword, set)}},
		"not of settings":         {v161, []*wbxml.Element{wbxml.Text(wbxml.SettingsModel, "x")}},
		"rights before 14.1":      {v140, []*wbxml.Element{rights}},
		"rights in 12.1":          {v121, []*wbxml.Element{rights}},
		"good and bad together":   {v161, []*wbxml.Element{oofSets(oofState("1")), wbxml.New(wbxml.SettingsOof)}},
		"an element of elsewhere": {v161, []*wbxml.Element{wbxml.Text(wbxml.EmailTo, "x")}},
	} {
		w := newTown(t)
		if got := w.phone(c.v).settings(c.all...); got != "Settings(Status=2)" {
			t.Errorf("%s: %s", name, got)
		}
		if w.vacation().Enabled {
			t.Errorf("%s: something was done", name)
		}
	}
}

func TestSettingsAnswerInOrder(t *testing.T) {
	w := newTown(t)
	w.Address("al@example.test", w.alice.Account)
	w.Address("@example.test", w.alice.Account)
	user := wbxml.New(wbxml.SettingsUserInformation, wbxml.New(wbxml.SettingsGet))
	password := wbxml.New(wbxml.SettingsDevicePassword, wbxml.New(wbxml.SettingsSet, wbxml.Text(wbxml.SettingsPassword, "secret")))
	long := wbxml.New(wbxml.SettingsDevicePassword, wbxml.New(wbxml.SettingsSet, wbxml.Text(wbxml.SettingsPassword, strings.Repeat("p", 256))))
	addresses := "SMTPAddress=alice@example.test SMTPAddress=al@example.test"
	for _, v := range versions {
		want := fmt.Sprintf("UserInformation(Status=1 Get(EmailAddresses(%s)))", addresses)
		if v >= v141 {
			want = fmt.Sprintf("UserInformation(Status=1 Get(Accounts(Account(EmailAddresses(%s PrimarySmtpAddress=alice@example.test)))))", addresses)
		}
		p := w.phone(v)
		if got := p.settings(password, user); got != "Settings(Status=1 DevicePassword(Status=7) "+want+")" {
			t.Errorf("%v: %s", v, got)
		}
		if got := p.settings(user, long); got != "Settings(Status=1 "+want+" DevicePassword(Status=5))" {
			t.Errorf("%v: %s", v, got)
		}
	}
	rights := wbxml.New(wbxml.SettingsRightsManagementInformation, wbxml.New(wbxml.SettingsGet))
	if got := w.phone(v141).settings(rights); got != "Settings(Status=1 RightsManagementInformation(Status=1 Get(RightsManagementTemplates)))" {
		t.Error(got)
	}
}

func TestDevicesTellOfThemselves(t *testing.T) {
	w := newTown(t)
	p := w.phone(v161)
	tell := func(what ...*wbxml.Element) {
		t.Helper()
		if got := p.settings(wbxml.New(wbxml.SettingsDeviceInformation, wbxml.New(wbxml.SettingsSet, what...))); got != "Settings(Status=1 DeviceInformation(Status=1))" {
			t.Error(got)
		}
	}
	tell(wbxml.Text(wbxml.SettingsModel, "Pear 9"), wbxml.Text(wbxml.SettingsFriendlyName, "Alice's\x01 phone"), wbxml.Text(wbxml.SettingsOS, strings.Repeat("o", 1000)),
		wbxml.Text(wbxml.SettingsOSLanguage, "de"), wbxml.Text(wbxml.SettingsUserAgent, "Pear/9"), wbxml.Text(wbxml.SettingsIMEI, "123"))
	tell(wbxml.Text(wbxml.SettingsModel, "Pear 10"))
	tell()
	err := w.Store.View(t.Context(), w.alice.Account, func(r store.Reader) error {
		all, err := r.Devices()
		if err != nil {
			return err
		}
		told := all[0].Told
		if len(all) != 1 || told.Model != "Pear 10" || told.FriendlyName != "Alice's phone" || told.Language != "de" || len(told.OS) != mail.MaxToldBytes {
			t.Errorf("%d devices, %+v", len(all), told)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}
