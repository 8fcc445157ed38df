package eas

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"lockstep/internal/auth"
	"lockstep/internal/delivery/deliverytest"
	"lockstep/internal/device"
	"lockstep/internal/eas/wbxml"
	"lockstep/internal/mail"
	"lockstep/internal/store"
)

// under makes the policy the one of everybody, also after the server starts anew.
func (w *town) under(p device.Policy) *town {
	w.policies = device.Policies{device.Default: p}
	w.auth.UsePolicies(w.policies)
	w.start()
	return w
}

var strict = device.Policy{RefuseUnprovisioned: true, Password: device.PasswordRule{Required: true, MinLength: 6}}

// asks sends a command and returns the answer's status: of the document from 14.0 on,
// else of HTTP.
func (p *phone) asks(command string, in *wbxml.Element) int {
	p.w.T.Helper()
	var body []byte
	if in != nil {
		body = encoded(p.w.T, in)
	}
	rec := p.post(p.query(command), body)
	if rec.Code != http.StatusOK {
		return rec.Code
	}
	e := p.w.decode(command, rec.Body)
	var n int
	fmt.Sscan(statusIn(e), &n)
	return n
}

func (p *phone) key(key string) { p.header.Set("X-MS-PolicyKey", key) }

// folders is a command that needs a policy.
func (p *phone) folders() int {
	p.w.T.Helper()
	return p.asks("FolderSync", wbxml.New(wbxml.FolderFolderSync, wbxml.Text(wbxml.FolderSyncKey, "0")))
}

func policyRequest(children ...*wbxml.Element) *wbxml.Element {
	return wbxml.New(wbxml.ProvisionPolicies, wbxml.New(wbxml.ProvisionPolicy, append([]*wbxml.Element{wbxml.Text(wbxml.ProvisionPolicyType, policyType)}, children...)...))
}

func information(model string) *wbxml.Element {
	return wbxml.New(wbxml.SettingsDeviceInformation, wbxml.New(wbxml.SettingsSet,
		wbxml.Text(wbxml.SettingsModel, model), wbxml.Text(wbxml.SettingsIMEI, "350000000000000"), wbxml.Text(wbxml.SettingsFriendlyName, "Alice's phone"), wbxml.Text(wbxml.SettingsOS, "OS 9"),
		wbxml.Text(wbxml.SettingsOSLanguage, "de-at"), wbxml.Text(wbxml.SettingsPhoneNumber, "555")))
}

// offered is the first phase; it returns the policy.
func (p *phone) offered() *wbxml.Element {
	p.w.T.Helper()
	in := wbxml.New(wbxml.ProvisionProvision)
	if p.version >= v141 {
		in.Add(information("Model 1"))
	}
	p.key("0")
	a := p.call("Provision", in.Add(policyRequest()))
	if a.Get(wbxml.ProvisionStatus) != "1" || p.version >= v141 && a.Child(wbxml.SettingsDeviceInformation).Get(wbxml.SettingsStatus) != "1" {
		p.w.T.Fatalf("offered: %s", short(a))
	}
	return a.Child(wbxml.ProvisionPolicies).Child(wbxml.ProvisionPolicy)
}

// answers is the second phase.
func (p *phone) answers(key, status string) *wbxml.Element {
	p.w.T.Helper()
	p.key(key)
	return p.call("Provision", wbxml.New(wbxml.ProvisionProvision, policyRequest(wbxml.Text(wbxml.ProvisionPolicyKey, key), wbxml.Text(wbxml.ProvisionStatus, status))))
}

// provisions takes the policy, and comes with its key from now on.
func (p *phone) provisions() {
	p.w.T.Helper()
	offered := p.offered()
	a := p.answers(offered.Get(wbxml.ProvisionPolicyKey), ackApplied)
	taken := a.Child(wbxml.ProvisionPolicies).Child(wbxml.ProvisionPolicy)
	if taken.Get(wbxml.ProvisionStatus) != "1" || taken.Has(wbxml.ProvisionData) {
		p.w.T.Fatalf("taken: %s", short(a))
	}
	p.key(taken.Get(wbxml.ProvisionPolicyKey))
}

// the is the one device there is.
func (w *town) the() (d mail.Device) {
	w.T.Helper()
	err := w.Store.View(w.T.Context(), w.alice.Account, func(r store.Reader) error {
		all, err := r.Devices()
		if len(all) != 1 {
			w.T.Fatalf("%d devices", len(all))
		}
		d = all[0]
		return err
	})
	if err != nil {
		w.T.Fatal(err)
	}
	return d
}

func each(t *testing.T, test func(t *testing.T, v version)) {
	for _, v := range versions {
		t.Run(v.String(), func(t *testing.T) { test(t, v) })
	}
}

// http is what a version of the protocol hears: to 12.1 the HTTP status.
func (v version) hears(s status) int {
	if v < v140 {
		return httpOf[s]
	}
	return int(s)
}

func TestAPolicyIsTakenInTwoSteps(t *testing.T) {
	each(t, func(t *testing.T, v version) {
		w := newTown(t).under(strict)
		p := w.phone(v)
		if got := p.folders(); got != v.hears(statusNotProvisioned) {
			t.Errorf("before: %d", got)
		}
		offered := p.offered()
		temporary := offered.Get(wbxml.ProvisionPolicyKey)
		if doc := offered.Child(wbxml.ProvisionData).Child(wbxml.ProvisionEASProvisionDoc); doc.Get(wbxml.ProvisionDevicePasswordEnabled) != "1" || doc.Get(wbxml.ProvisionMinDevicePasswordLength) != "6" {
			t.Error(short(doc))
		}
		p.key(temporary)
		if got := p.folders(); got != v.hears(statusPolicyKey) {
			t.Errorf("with the key of the offer: %d", got)
		}
		p.provisions()
		if got := p.folders(); got != 1 {
			t.Errorf("with the policy: %d", got)
		}
		w.start()
		if got := p.folders(); got != 1 {
			t.Errorf("after a restart: %d", got)
		}
		p.key("12345")
		if got := p.folders(); got != v.hears(statusPolicyKey) {
			t.Errorf("with a key of somebody else's: %d", got)
		}
		p.key("0")
		if got := p.folders(); got != v.hears(statusNotProvisioned) {
			t.Errorf("as one that has no key: %d", got)
		}
		p.provisions()
		p.key("")
		for i, want := range []status{statusLegacyDevice, statusNotProvisioned, statusNotProvisioned} {
			if got := p.folders(); got != v.hears(want) {
				t.Errorf("without a word of the key that it has, %d: %d", i, got)
			}
		}
		d := w.the()
		if a := d.Told.Policy; a.Name != "default" || a.Status != "1" || a.Hash == "" || time.Since(a.At) > time.Hour {
			t.Errorf("%+v", a)
		}
		if v >= v141 && (d.Told.Model != "Model 1" || d.Told.FriendlyName != "Alice's phone" || d.Told.OS != "OS 9" || d.Told.Language != "de-at") {
			t.Errorf("%+v", d.Told)
		}
		if d.Told.Kind != "SmartPhone" || d.Told.Version != v.String() || d.Told.UserAgent != "Phone/1.0" {
			t.Errorf("%+v", d.Told)
		}
	})
}

// Where nothing is asked, devices that never heard of policies are let in, and those
// that ask get one.
func TestWithoutAPolicyNobodyIsChallenged(t *testing.T) {
	each(t, func(t *testing.T, v version) {
		w := newTown(t)
		p := w.phone(v)
		if got := p.folders(); got != 1 {
			t.Errorf("without: %d", got)
		}
		p.provisions()
		if got := p.folders(); got != 1 {
			t.Errorf("with: %d", got)
		}
		p.key("7")
		if got := p.folders(); got != v.hears(statusPolicyKey) {
			t.Errorf("with a wrong key: %d", got)
		}
		doc := provisionDoc(device.Policy{})
		if doc.Get(wbxml.ProvisionDevicePasswordEnabled) != "0" || doc.Get(wbxml.ProvisionAttachmentsEnabled) != "1" || doc.Get(wbxml.ProvisionMinDevicePasswordLength) != "" || !doc.Has(wbxml.ProvisionMinDevicePasswordLength) {
			t.Error(short(doc))
		}
	})
}

func TestWhatDevicesAreToldOfAPolicy(t *testing.T) {
	full := device.Policy{
		Password: device.PasswordRule{Required: true, Alphanumeric: true, Recovery: true, MinLength: 16, MinClasses: 4, MaxAttempts: 16, History: 50, Expires: 730 * 24 * time.Hour, LockAfter: 9998 * time.Second},
		Forbid:   []device.Feature{device.Attachments, device.HTMLMail, device.Camera, device.BluetoothData}, Require: []device.Requirement{device.DeviceEncryption, device.EncryptedMail},
		MailAge: device.OneMonth, CalendarAge: device.SixMonths, MaxAttachment: 1<<32 - 1, MaxBody: 1024, MaxHTMLBody: 1<<31 - 1,
		SignAlgorithm: "md5", EncryptAlgorithm: "rc2-40", EncryptNegotiated: "none", ApprovedApplications: []string{"aGFzaA=="}, UnapprovedInROM: []string{"a", "b"},
	}
	if err := full.Check(); err != nil {
		t.Fatal(err)
	}
	w := newTown(t).under(full)
	got := short(w.phone(v161).offered().Child(wbxml.ProvisionData).Child(wbxml.ProvisionEASProvisionDoc))
	want := "EASProvisionDoc(DevicePasswordEnabled=1 AlphanumericDevicePasswordRequired=1 PasswordRecoveryEnabled=1 RequireStorageCardEncryption=0 AttachmentsEnabled=0 MinDevicePasswordLength=16 MaxInactivityTimeDeviceLock=9998 " +
		"MaxDevicePasswordFailedAttempts=16 MaxAttachmentSize=4294967295 AllowSimpleDevicePassword=1 DevicePasswordExpiration=730 DevicePasswordHistory=50 AllowStorageCard=1 AllowCamera=0 RequireDeviceEncryption=1 " +
		"AllowUnsignedApplications=1 AllowUnsignedInstallationPackages=1 MinDevicePasswordComplexCharacters=4 AllowWiFi=1 AllowTextMessaging=1 AllowPOPIMAPEmail=1 AllowBluetooth=1 AllowIrDA=1 RequireManualSyncWhenRoaming=0 " +
		"AllowDesktopSync=1 MaxCalendarAgeFilter=7 AllowHTMLEmail=0 MaxEmailAgeFilter=5 MaxEmailBodyTruncationSize=1024 MaxEmailHTMLBodyTruncationSize=2147483647 RequireSignedSMIMEMessages=0 RequireEncryptedSMIMEMessages=1 " +
		"RequireSignedSMIMEAlgorithm=1 RequireEncryptionSMIMEAlgorithm=4 AllowSMIMEEncryptionAlgorithmNegotiation=0 AllowSMIMESoftCerts=1 AllowBrowser=1 AllowConsumerEmail=1 AllowRemoteDesktop=1 AllowInternetSharing=1 " +
		"UnapprovedInROMApplicationList(ApplicationName=a ApplicationName=b) ApprovedApplicationList(Hash=aGFzaA==))"
	if got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

// What can be wrong with a Provision.
func TestProvisionsThatAreWrong(t *testing.T) {
	each(t, func(t *testing.T, v version) {
		w := newTown(t).under(strict)
		p := w.phone(v)
		key := p.offered().Get(wbxml.ProvisionPolicyKey)
		policy := func(children ...*wbxml.Element) *wbxml.Element {
			return wbxml.New(wbxml.ProvisionProvision, information("M"), wbxml.New(wbxml.ProvisionPolicies, wbxml.New(wbxml.ProvisionPolicy, children...)))
		}
		kind, of := wbxml.ProvisionPolicyType, wbxml.ProvisionPolicyKey
		for name, c := range map[string]struct {
			in   *wbxml.Element
			want string
		}{
			"an unknown type":              {policy(wbxml.Text(kind, "MS-WAP-Provisioning-XML")), "Provision(DeviceInformation(Status=1) Status=1 Policies(Policy(PolicyType=MS-WAP-Provisioning-XML Status=3)))"},
			"an unknown type acknowledged": {policy(wbxml.Text(kind, "x"), wbxml.Text(of, key), wbxml.Text(wbxml.ProvisionStatus, "1")), "Provision(Status=1 Policies(Policy(PolicyType=x Status=3)))"},
			"a wrong key":                  {policy(wbxml.Text(kind, policyType), wbxml.Text(of, "1234567890"), wbxml.Text(wbxml.ProvisionStatus, "1")), "Provision(Status=1 Policies(Policy(PolicyType=" + policyType + " Status=5)))"},
			"no status":                    {policy(wbxml.Text(kind, policyType), wbxml.Text(of, key)), "Provision(Status=2)"},
			"no type":                      {policy(), "Provision(Status=2)"},
			"a policy outside":             {wbxml.New(wbxml.ProvisionProvision, wbxml.New(wbxml.ProvisionPolicy, wbxml.Text(kind, policyType))), "Provision(Status=2)"},
			"nothing":                      {nil, "Provision(Status=1)"},
			"an empty one":                 {wbxml.New(wbxml.ProvisionProvision), "Provision(Status=1)"},
			"information that is none":     {wbxml.New(wbxml.ProvisionProvision, wbxml.New(wbxml.SettingsDeviceInformation), policyRequest()), "Provision(DeviceInformation(Status=2) Status=1 Policies("},
			"a wipe that nobody asked for": {wbxml.New(wbxml.ProvisionProvision, wbxml.New(wbxml.ProvisionRemoteWipe, wbxml.Text(wbxml.ProvisionStatus, "1"))), "Provision(Status=2)"},
		} {
			if got := short(p.call("Provision", c.in)); !strings.HasPrefix(got, c.want) {
				t.Errorf("%s:\n got  %s\n want %s", name, got, c.want)
			}
		}
		if p.answers(key, ackApplied).Get(wbxml.ProvisionStatus) != "1" {
			t.Error("the key of the offer is no longer good")
		}
	})
}

// A device that does not take the policy whole is refused, or let in, as the policy
// says.
func TestDevicesThatDoNotTakeThePolicyWhole(t *testing.T) {
	each(t, func(t *testing.T, v version) {
		for said, want := range map[string]status{ackPartly: statusPartly, ackNot: statusPartly, ackManaged: statusManaged} {
			w := newTown(t).under(strict)
			p := w.phone(v)
			key := p.offered().Get(wbxml.ProvisionPolicyKey)
			in := wbxml.New(wbxml.ProvisionProvision, policyRequest(wbxml.Text(wbxml.ProvisionPolicyKey, key), wbxml.Text(wbxml.ProvisionStatus, said)))
			if got := p.asks("Provision", in); got != v.hears(want) {
				t.Errorf("%s: %d", said, got)
			}
			p.key("0")
			if got := p.folders(); got == 1 {
				t.Errorf("%s: let in", said)
			}
			if got := w.the().Told.Policy.Status; got != said {
				t.Errorf("remembered %q, want %q", got, said)
			}
			lax := strict
			lax.RefuseUnprovisioned = false
			w = newTown(t).under(lax)
			p = w.phone(v)
			a := p.answers(p.offered().Get(wbxml.ProvisionPolicyKey), said)
			p.key(a.Child(wbxml.ProvisionPolicies).Child(wbxml.ProvisionPolicy).Get(wbxml.ProvisionPolicyKey))
			if got := p.folders(); got != 1 {
				t.Errorf("%s, where that may be: %d", said, got)
			}
		}
	})
}

// Where devices may come that don't take part, they are asked some times and then let
// in.
func TestADeviceThatDoesNotTakePartIsAskedSomeTimes(t *testing.T) {
	lax := strict
	lax.RefuseUnprovisioned = false
	w := newTown(t).under(lax)
	p := w.phone(v141)
	for range maxUnheeded {
		if got := p.folders(); got != int(statusNotProvisioned) {
			t.Errorf("%d", got)
		}
	}
	if got := p.folders(); got != 1 {
		t.Errorf("%d", got)
	}
	w = newTown(t).under(strict)
	p = w.phone(v141)
	for range 3 * maxUnheeded {
		if got := p.folders(); got != int(statusNotProvisioned) {
			t.Errorf("where they may not: %d", got)
		}
	}
}

// A key changes with what the device sees of the policy, and with nothing else.
func TestADeviceAsksAgainWhenItSeesAnotherPolicy(t *testing.T) {
	w := newTown(t).under(strict)
	p := w.phone(v161)
	p.provisions()
	unseen := strict
	unseen.NewDevices, unseen.MaxDevices = mail.Quarantined, 3
	w.under(unseen)
	if got := p.folders(); got != 1 {
		t.Errorf("after a change that it does not see: %d", got)
	}
	seen := strict
	seen.Password.MinLength = 7
	w.under(seen)
	if got := p.folders(); got != int(statusPolicyKey) {
		t.Errorf("after a change that it sees: %d", got)
	}
	p.provisions()
	if got := p.folders(); got != 1 {
		t.Errorf("%d", got)
	}
	// The account is put into a group.
	w.policies["group"] = device.Policy{Forbid: []device.Feature{device.Camera}}
	w.change(func(tx store.Tx) error { return tx.SetPreference(mail.DevicePolicy, "group") })
	if got := p.folders(); got != int(statusPolicyKey) {
		t.Errorf("under another policy: %d", got)
	}
	p.provisions()
	if got := p.folders(); got != 1 || w.the().Told.Policy.Name != "group" {
		t.Errorf("%d, %+v", got, w.the().Told.Policy)
	}
}

func TestAPolicyHasToBeAskedForAgainInTime(t *testing.T) {
	each(t, func(t *testing.T, v version) {
		often := strict
		often.Refresh = time.Hour
		w := newTown(t).under(often)
		p := w.phone(v)
		p.provisions()
		if got := p.folders(); got != 1 {
			t.Errorf("at once: %d", got)
		}
		d := w.the()
		err := w.Store.Note(t.Context(), w.alice.Account, func(n store.Notes) error {
			old, err := json.Marshal(acknowledged{Hash: d.Told.Policy.Hash, Status: "1", At: time.Now().Add(-2 * time.Hour)})
			if err != nil {
				return err
			}
			return n.SetCursor(d.ID, "eas/"+p.id+"/"+policyCursor, old)
		})
		if err != nil {
			t.Fatal(err)
		}
		if got := p.folders(); got != v.hears(statusPolicyRefresh) {
			t.Errorf("after two hours: %d", got)
		}
		p.provisions()
		if got := p.folders(); got != 1 {
			t.Errorf("asked again: %d", got)
		}
	})
}

func TestWhatADeviceIsHasToBeSaidOnce(t *testing.T) {
	w := newTown(t).under(strict)
	p := w.phone(v161)
	in := wbxml.New(wbxml.ProvisionProvision, policyRequest())
	if got := p.asks("Provision", in); got != int(statusNoInformation) {
		t.Errorf("without: %d", got)
	}
	if got := p.asks("Provision", in); got != 1 {
		t.Errorf("once more: %d", got)
	}
	if got := w.phone(v140).asks("Provision", in); got != 1 {
		t.Errorf("by 14.0: %d", got)
	}
	if got := newTown(t).phone(v161).asks("Provision", in); got != 1 {
		t.Errorf("where nothing is asked: %d", got)
	}
}

// A proxy that strips the key makes a device provision for ever; so does a fault of its
// own. Both end.
func TestALoopOfProvisioningEnds(t *testing.T) {
	w := newTown(t).under(strict)
	p := w.phone(v161)
	served := false
	for range 2 * maxUnheeded {
		p.provisions()
		p.key("") // on the way
		if served = p.folders() == 1; served {
			break
		}
	}
	if !served {
		t.Error("a device whose key is stripped is never served")
	}
	w = newTown(t).under(strict)
	p = w.phone(v161)
	limited := 0
	for range 2 * maxProvisions {
		if p.asks("Provision", wbxml.New(wbxml.ProvisionProvision, information("M"), policyRequest())) == 503 {
			limited++
		}
	}
	if limited != maxProvisions {
		t.Errorf("%d of %d were refused", limited, 2*maxProvisions)
	}
}

// wiped has Alice's one phone asked to wipe.
func (w *town) wiped(scope mail.WipeScope) {
	w.T.Helper()
	if _, err := w.auth.RequestWipe(w.T.Context(), deliverytest.By, w.alice.Account, w.the().ID, scope); err != nil {
		w.T.Fatal(err)
	}
}

func TestADeviceIsWipedWhole(t *testing.T) {
	each(t, func(t *testing.T, v version) {
		w := newTown(t)
		p := w.phone(v)
		p.provisions()
		w.wiped(mail.WipeDevice)
		for range 2 {
			if got := p.folders(); got != v.hears(statusWipe) {
				t.Errorf("a command: %d", got)
			}
		}
		if got := w.the().Wipe.State; got != mail.WipeRequested {
			t.Error(got)
		}
		empty := wbxml.New(wbxml.ProvisionProvision)
		for range 2 { // the answer may get lost
			if got := short(p.call("Provision", empty)); got != "Provision(Status=1 RemoteWipe)" {
				t.Error(got)
			}
		}
		if got := w.the().Wipe.State; got != mail.WipeSent {
			t.Error(got)
		}
		says := func(status string) string {
			return short(p.call("Provision", wbxml.New(wbxml.ProvisionProvision, wbxml.New(wbxml.ProvisionRemoteWipe, wbxml.Text(wbxml.ProvisionStatus, status)))))
		}
		if got := says("2"); got != "Provision(Status=2 RemoteWipe)" || w.the().Wipe.State != mail.WipeRefused {
			t.Error(got, w.the().Wipe)
		}
		w.start()
		if got := short(p.call("Provision", nil)); got != "Provision(Status=1 RemoteWipe)" {
			t.Error(got)
		}
		if got := says("1"); got != "Provision(Status=1)" {
			t.Error(got)
		}
		if d := w.the(); d.Wipe.State != mail.WipeConfirmed || d.Wipe.Status != "1" || d.Wipe.Scope != mail.WipeDevice {
			t.Errorf("%+v", d.Wipe)
		}
		for _, cmd := range []string{"FolderSync", "Provision"} {
			if got := p.asks(cmd, nil); got != v.hears(statusDeviceBlocked) {
				t.Errorf("%s of a wiped phone: %d", cmd, got)
			}
		}
		if err := w.auth.SetAccess(t.Context(), deliverytest.By, w.alice.Account, w.the().ID, mail.Allowed); err != nil {
			t.Fatal(err)
		}
		if got := short(p.call("Provision", empty)); got != "Provision(Status=1)" {
			t.Error(got)
		}
		p.provisions()
		if got := p.folders(); got != 1 {
			t.Errorf("let in again: %d", got)
		}
	})
}

func TestADeviceRemovesTheAccount(t *testing.T) {
	each(t, func(t *testing.T, v version) {
		w := newTown(t)
		p := w.phone(v)
		p.provisions()
		w.wiped(mail.WipeAccount)
		if v < v161 { // it has no word for it: it is kept out, and keeps what it has
			for _, cmd := range []string{"FolderSync", "Provision"} {
				if got := p.asks(cmd, nil); got != v.hears(statusDeviceBlocked) {
					t.Errorf("%s: %d", cmd, got)
				}
			}
			if got := w.the().Wipe.State; got != mail.WipeRequested {
				t.Error(got)
			}
			return
		}
		if err := w.auth.SetDisabled(t.Context(), w.alice.Account, true); err != nil { // the phone is told all the same
			t.Fatal(err)
		}
		if got := p.folders(); got != int(statusWipe) {
			t.Errorf("a command: %d", got)
		}
		if got := short(p.call("Provision", nil)); got != "Provision(Status=1 AccountOnlyRemoteWipe)" {
			t.Error(got)
		}
		said := func(status string) string {
			return short(p.call("Provision", wbxml.New(wbxml.ProvisionProvision, wbxml.New(wbxml.ProvisionAccountOnlyRemoteWipe, wbxml.Text(wbxml.ProvisionStatus, status)))))
		}
		if got := said("2"); got != "Provision(Status=2 AccountOnlyRemoteWipe)" {
			t.Error(got)
		}
		if got := said("1"); got != "Provision(Status=1)" || w.the().Wipe.State != mail.WipeConfirmed {
			t.Error(got, w.the().Wipe)
		}
	})
}

// A phone to be wiped gets nothing else, by whatever protocol.
func TestAWipeWaitsForNobody(t *testing.T) {
	w := newTown(t)
	d, secret, err := w.auth.AddDevice(t.Context(), w.alice, "phone", nil)
	if err != nil {
		t.Fatal(err)
	}
	p := w.phone(v161)
	p.secret = secret
	if got := p.folders(); got != 1 {
		t.Fatal(got)
	}
	if _, err := w.auth.RequestWipe(t.Context(), deliverytest.By, w.alice.Account, d.ID, mail.WipeAccount); err != nil {
		t.Fatal(err)
	}
	for _, proto := range []mail.Protocol{mail.IMAP, mail.POP3, mail.Submission} {
		if _, err := w.auth.Login(t.Context(), auth.Attempt{Login: login, Secret: secret, Protocol: proto}); mail.KindOf(err) != mail.Denied {
			t.Errorf("%s: %v", proto, err)
		}
	}
	if got := p.folders(); got != int(statusWipe) {
		t.Error(got)
	}
	p.call("Provision", nil)
	p.call("Provision", wbxml.New(wbxml.ProvisionProvision, wbxml.New(wbxml.ProvisionAccountOnlyRemoteWipe, wbxml.Text(wbxml.ProvisionStatus, "1"))))
	if got := p.folders(); got != http.StatusUnauthorized {
		t.Errorf("its app password is still good: %d", got)
	}
}

func TestWhoIsNotLetInHearsWhy(t *testing.T) {
	each(t, func(t *testing.T, v version) {
		for name, c := range map[string]struct {
			does func(*town) error
			want status
		}{
			"a disabled account": {func(w *town) error { return w.auth.SetDisabled(t.Context(), w.alice.Account, true) }, statusUserDisabled},
			"a blocked device": {func(w *town) error {
				return w.auth.SetAccess(t.Context(), deliverytest.By, w.alice.Account, w.the().ID, mail.Blocked)
			}, statusDeviceBlocked},
			"a device in quarantine": {func(w *town) error {
				return w.auth.SetAccess(t.Context(), deliverytest.By, w.alice.Account, w.the().ID, mail.Quarantined)
			}, statusDenied},
		} {
			w := newTown(t)
			p := w.phone(v)
			p.provisions()
			if err := c.does(w); err != nil {
				t.Fatal(err)
			}
			for _, cmd := range []string{"FolderSync", "Provision"} {
				if got := p.asks(cmd, nil); got != v.hears(c.want) {
					t.Errorf("%s, %s: %d, want %d", name, cmd, got, v.hears(c.want))
				}
			}
		}
		w := newTown(t).under(device.Policy{MaxDevices: 1})
		p := w.phone(v)
		p.folders()
		p.id = "PHONE2"
		if got := p.folders(); got != v.hears(statusTooManyDevices) {
			t.Errorf("a device too many: %d", got)
		}
		w = newTown(t).under(device.Policy{NewDevices: mail.Quarantined})
		if got := w.phone(v).folders(); got != v.hears(statusDenied) || w.the().Access != mail.Quarantined {
			t.Errorf("a new device: %d", got)
		}
	})
}

// Android's mail program tries an account out under a name that is no device's.
func TestWhoOnlyTriesTheAccountOutLeavesNothing(t *testing.T) {
	w := newTown(t).under(strict)
	_, secret, err := w.auth.AddDevice(t.Context(), w.alice, "phone", nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range []string{password, secret} {
		p := w.phone(v141)
		p.id, p.secret = "validate", s
		if got := p.folders(); got != int(statusNotProvisioned) {
			t.Errorf("%d", got)
		}
		p.provisions()
		if got := p.folders(); got != 1 {
			t.Errorf("%d", got)
		}
		if got := p.asks("FolderCreate", wbxml.New(wbxml.FolderFolderCreate)); got != int(statusDenied) {
			t.Errorf("more than trying: %d", got)
		}
	}
	d := w.the() // the one with the app password
	err = w.Store.View(t.Context(), w.alice.Account, func(r store.Reader) error {
		for _, id := range []mail.DeviceID{0, d.ID} {
			if names, err := r.Cursors(id, ""); err != nil || len(names) > 0 {
				t.Errorf("device %d remembers %v, %v", id, names, err)
			}
		}
		return nil
	})
	if err != nil || d.Told != (mail.Told{}) {
		t.Errorf("%+v, %v", d.Told, err)
	}
	w.under(device.Policy{NewDevices: mail.Quarantined})
	p := w.phone(v141)
	p.id = "Validate"
	if got := p.folders(); got != int(statusDenied) {
		t.Errorf("past a quarantine: %d", got)
	}
}

// Phones that share an id because one is a copy of the other do not take each other's
// policy away; so many phones may share an app password.
func TestPhonesThatShareAnIdOrAPassword(t *testing.T) {
	w := newTown(t).under(strict)
	one, two := w.phone(v161), w.phone(v161)
	one.provisions()
	two.provisions()
	for range 3 {
		if one.folders() != 1 || two.folders() != 1 {
			t.Fatal("the copies throw each other out")
		}
	}
	_, secret, err := w.auth.AddDevice(t.Context(), w.alice, "phones", nil)
	if err != nil {
		t.Fatal(err)
	}
	for i := range maxDeviceIDs + 1 {
		p := w.phone(v161)
		p.id, p.secret = fmt.Sprint("SHARED", i), secret
		if i == maxDeviceIDs {
			if got := p.folders(); got != int(statusTooManyDevices) {
				t.Errorf("one too many: %d", got)
			}
			break
		}
		p.provisions()
	}
}

func TestTheTrailSaysWhatADeviceWasTold(t *testing.T) {
	w := newTown(t).under(strict)
	p := w.phone(v161)
	p.folders()
	p.provisions()
	p.asks("FolderSync", wbxml.New(wbxml.FolderFolderSync, wbxml.Text(wbxml.FolderSyncKey, "77-7")))
	all, err := w.server.Trails.Of(t.Context(), w.alice.Account, w.the().ID)
	trail, ok := all[p.id]
	if err != nil || !ok || len(trail.Commands) != 3 || trail.Commands[1].Times != 2 || len(trail.Restarts) != 1 {
		t.Fatalf("%+v, %v", all, err)
	}
	var got []string
	for _, c := range trail.Commands {
		got = append(got, c.Name+" "+c.Version+" "+c.Status)
	}
	want := "FolderSync 16.1 142: the device has to ask for the policy default first|Provision 16.1 1|FolderSync 16.1 9"
	if strings.Join(got, "|") != want || !strings.Contains(trail.Restarts[0].Why, "77-7") {
		t.Errorf("%q, %+v", got, trail.Restarts)
	}
}

// A device that is sending a message is heard out before it is refused.
func TestARefusedDeviceIsHeardOut(t *testing.T) {
	w := newTown(t).under(strict)
	p := w.phone(v161)
	body := strings.NewReader(strings.Repeat("x", 1<<20))
	r := httptest.NewRequestWithContext(t.Context(), "POST", Path+"?"+p.query("SendMail"), body)
	r.RemoteAddr = "127.0.0.1:1234"
	r.Header.Set("MS-ASProtocolVersion", "16.1")
	r.SetBasicAuth(login, password)
	rec := httptest.NewRecorder()
	w.server.ServeHTTP(rec, r)
	if got := short(w.decode("SendMail", rec.Body)); got != "SendMail(Status=142)" || body.Len() != 0 {
		t.Errorf("%s, and %d bytes were not read", got, body.Len())
	}
}
