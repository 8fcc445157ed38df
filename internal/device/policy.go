package device

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"lockstep/internal/mail"
	"lockstep/internal/store"
)

// Policy is what devices of an account have to do and may do. The zero Policy asks
// for nothing and allows everything.
type Policy struct {
	// NewDevices is what a device may do that names itself and signs in for the first
	// time with the account's own password.
	NewDevices mail.Access
	// RefuseUnprovisioned keeps out devices that can't or won't take the policy whole.
	RefuseUnprovisioned bool
	// MaxDevices bounds those that name themselves and were seen within CountedFor; 0
	// is DefaultMaxDevices.
	MaxDevices int
	// Refresh is how long a device may go without asking for the policy again; 0 is
	// for ever.
	Refresh time.Duration

	Password PasswordRule
	Forbid   []Feature
	Require  []Requirement

	MailAge       Age   // of the oldest mail a device may keep
	CalendarAge   Age   // of the oldest events
	MaxAttachment int64 // bytes; 0 is without bound
	MaxBody       int64 // bytes of a text body; 0 is without bound
	MaxHTMLBody   int64

	SignAlgorithm     Algorithm // when signed mail is required
	EncryptAlgorithm  Algorithm // when encrypted mail is required
	EncryptNegotiated Negotiation

	ApprovedApplications []string // SHA-1 of programs that may run, in base64; empty is all
	UnapprovedInROM      []string // programs the device came with that may not run
}

// PasswordRule is about the password of the device itself: what unlocks it.
type PasswordRule struct {
	Required     bool
	Alphanumeric bool
	Recovery     bool          // the device deposits a recovery password
	MinLength    int           // 1 to 16; 0 asks for none
	MinClasses   int           // 1 to 4 of lower, upper, digits, others; 0 asks for none
	MaxAttempts  int           // 4 to 16, then the device erases itself; 0 is without bound
	History      int           // how many old ones may not come again
	Expires      time.Duration // whole days; 0 is never
	LockAfter    time.Duration // of nobody touching it; 0 is never
}

// A Feature is something a policy can forbid.
type Feature string

// The features.
const (
	Attachments          Feature = "attachments"
	HTMLMail             Feature = "html-mail"
	SimplePassword       Feature = "simple-password" // such as 1111 or 1234
	StorageCard          Feature = "storage-card"
	Camera               Feature = "camera"
	UnsignedApplications Feature = "unsigned-applications"
	UnsignedPackages     Feature = "unsigned-packages"
	WiFi                 Feature = "wifi"
	TextMessages         Feature = "text-messages"
	OtherMail            Feature = "pop-imap" // mail of other accounts by POP3 and IMAP
	ConsumerMail         Feature = "consumer-mail"
	Bluetooth            Feature = "bluetooth"
	BluetoothData        Feature = "bluetooth-data" // Bluetooth but for hands-free
	Infrared             Feature = "infrared"
	DesktopSync          Feature = "desktop-sync"
	SoftCertificates     Feature = "soft-certificates" // for S/MIME
	Browser              Feature = "browser"
	RemoteDesktop        Feature = "remote-desktop"
	InternetSharing      Feature = "internet-sharing"
)

var features = []Feature{Attachments, HTMLMail, SimplePassword, StorageCard, Camera, UnsignedApplications, UnsignedPackages, WiFi, TextMessages, OtherMail,
	ConsumerMail, Bluetooth, BluetoothData, Infrared, DesktopSync, SoftCertificates, Browser, RemoteDesktop, InternetSharing}

// A Requirement is something a policy can require.
type Requirement string

// The requirements.
const (
	DeviceEncryption      Requirement = "device-encryption"
	StorageCardEncryption Requirement = "storage-card-encryption"
	SignedMail            Requirement = "signed-mail"    // S/MIME
	EncryptedMail         Requirement = "encrypted-mail" // S/MIME
	ManualSyncRoaming     Requirement = "manual-sync-roaming"
)

var requirements = []Requirement{DeviceEncryption, StorageCardEncryption, SignedMail, EncryptedMail, ManualSyncRoaming}

// An Age is how far back a device may keep things; "" is all of it.
type Age string

// The ages.
const (
	AllAges     Age = ""
	OneDay      Age = "1d"
	ThreeDays   Age = "3d"
	OneWeek     Age = "1w"
	TwoWeeks    Age = "2w"
	OneMonth    Age = "1m"
	ThreeMonths Age = "3m"
	SixMonths   Age = "6m"
)

// filterOf are the ages as ActiveSync numbers them (MS-ASCMD FilterType).
var filterOf = map[Age]int{AllAges: 0, OneDay: 1, ThreeDays: 2, OneWeek: 3, TwoWeeks: 4, OneMonth: 5, ThreeMonths: 6, SixMonths: 7}

// Filter is the age as a FilterType of ActiveSync, 0 being all.
func (a Age) Filter() int { return filterOf[a] }

// CapFilter is the FilterType that holds where a device asks for one: the shorter of
// both, 0 being all.
func (a Age) CapFilter(asked int) int {
	switch bound := a.Filter(); {
	case bound == 0:
		return asked
	case asked == 0:
		return bound
	default:
		return min(asked, bound)
	}
}

// An Algorithm names a cryptographic algorithm of S/MIME; "" leaves it to the
// device.
type Algorithm string

// algorithms are MS-ASPROV's numbers of them.
var (
	signAlgorithms    = map[Algorithm]int{"sha1": 0, "md5": 1}
	encryptAlgorithms = map[Algorithm]int{"3des": 0, "des": 1, "rc2-128": 2, "rc2-64": 3, "rc2-40": 4}
)

// Signing is the algorithm as MS-ASPROV §2.2.2.49 numbers it; left to the device, it
// is the first.
func (a Algorithm) Signing() int { return signAlgorithms[a] }

// Encrypting is the same of §2.2.2.47.
func (a Algorithm) Encrypting() int { return encryptAlgorithms[a] }

// A Negotiation says whether a device may agree on another algorithm when a
// recipient's certificate can't do the required one; "" leaves it to the device.
type Negotiation string

var negotiations = map[Negotiation]int{"none": 0, "strong": 1, "any": 2}

// Number is what MS-ASPROV §2.2.2.6 calls it; left to the device, any will do.
func (n Negotiation) Number() int {
	if n == "" {
		return negotiations["any"]
	}
	return negotiations[n]
}

// Bounds on policies.
const (
	DefaultMaxDevices   = 50
	MaxPasswordHistory  = 50
	MaxPasswordDays     = 730
	MaxLockAfter        = 9998 * time.Second // 9999 says never
	MaxApplications     = 200
	MaxApplicationBytes = 200
	MaxPolicies         = 200
)

// CountedFor is how long a device that does not come back still counts as one.
const CountedFor = 90 * 24 * time.Hour

// DeviceBound is how many devices that name themselves an account may have.
func (p Policy) DeviceBound() int {
	if p.MaxDevices == 0 {
		return DefaultMaxDevices
	}
	return p.MaxDevices
}

// Forbids reports whether the policy forbids the feature.
func (p Policy) Forbids(f Feature) bool {
	return slices.Contains(p.Forbid, f) || f == BluetoothData && slices.Contains(p.Forbid, Bluetooth)
}

// Requires reports whether the policy requires it.
func (p Policy) Requires(r Requirement) bool { return slices.Contains(p.Require, r) }

// BodyBound is how many bytes of a body a device may be given; ok is false without
// bound.
func (p Policy) BodyBound(html bool) (n int64, ok bool) {
	if html {
		return p.MaxHTMLBody, p.MaxHTMLBody > 0
	}
	return p.MaxBody, p.MaxBody > 0
}

// MayFetchAttachment reports whether a device may be given an attachment of so many
// bytes.
func (p Policy) MayFetchAttachment(size int64) bool {
	return !p.Forbids(Attachments) && (p.MaxAttachment == 0 || size <= p.MaxAttachment)
}

// Check is Invalid unless a device can be told the policy.
func (p Policy) Check() error {
	pw := p.Password
	for _, c := range []struct {
		bad  bool
		what string
	}{
		{!slices.Contains(mail.Accesses(), p.NewDevices), "new_devices is none there is"},
		{p.MaxDevices < 0 || p.MaxDevices > mail.MaxDevices, fmt.Sprintf("max_devices is 1 to %d, or 0 for %d", mail.MaxDevices, DefaultMaxDevices)},
		{p.Refresh != 0 && p.Refresh < time.Hour, "refresh is at least 1h, or 0s for never"},
		{pw.MinLength < 0 || pw.MinLength > 16, "password_min_length is 1 to 16, or 0"},
		{pw.MinClasses < 0 || pw.MinClasses > 4, "password_min_classes is 1 to 4, or 0"},
		{pw.MaxAttempts != 0 && (pw.MaxAttempts < 4 || pw.MaxAttempts > 16), "password_attempts is 4 to 16, or 0"},
		{pw.History < 0 || pw.History > MaxPasswordHistory, fmt.Sprintf("password_history is 0 to %d", MaxPasswordHistory)},
		{pw.Expires%(24*time.Hour) != 0 || pw.Expires > MaxPasswordDays*24*time.Hour, fmt.Sprintf("password_expires is whole days up to %dd, or 0s", MaxPasswordDays)},
		{pw.LockAfter%time.Second != 0 || pw.LockAfter > MaxLockAfter, fmt.Sprintf("lock_after is whole seconds up to %v, or 0s", MaxLockAfter)},
		{!pw.Required && pw != PasswordRule{}, "what is asked of a password needs password = \"any\" or \"alphanumeric\""},
		{p.Refresh < 0 || pw.Expires < 0 || pw.LockAfter < 0 || p.MaxAttachment < 0 || p.MaxBody < 0 || p.MaxHTMLBody < 0, "nothing is less than nothing"},
		{p.MaxAttachment > 1<<32-1, "max_attachment is less than 4GiB, or 0B"},
		{p.MaxBody > 1<<31-1 || p.MaxHTMLBody > 1<<31-1, "max_body and max_html_body are less than 2GiB, or 0B"},
		{p.MailAge == ThreeMonths || p.MailAge == SixMonths, "mail_age is one of 1d, 3d, 1w, 2w, 1m, or empty"},
		{p.CalendarAge == OneDay || p.CalendarAge == ThreeDays || p.CalendarAge == OneWeek, "calendar_age is one of 2w, 1m, 3m, 6m, or empty"},
		{tooMany(p.ApprovedApplications) || tooMany(p.UnapprovedInROM), fmt.Sprintf("at most %d applications of at most %d bytes are named", MaxApplications, MaxApplicationBytes)},
	} {
		if c.bad {
			return mail.Errorf(mail.Invalid, "%s", c.what)
		}
	}
	return p.checkNames()
}

func tooMany(names []string) bool {
	return len(names) > MaxApplications || slices.ContainsFunc(names, func(s string) bool { return s == "" || len(s) > MaxApplicationBytes })
}

// checkNames is Invalid unless each word is one that is known.
func (p Policy) checkNames() error {
	for _, f := range p.Forbid {
		if !slices.Contains(features, f) {
			return unknown("forbid", f, features)
		}
	}
	for _, r := range p.Require {
		if !slices.Contains(requirements, r) {
			return unknown("require", r, requirements)
		}
	}
	for key, age := range map[string]Age{"mail_age": p.MailAge, "calendar_age": p.CalendarAge} {
		if _, ok := filterOf[age]; !ok {
			return unknown(key, age, slices.Sorted(maps.Keys(filterOf)))
		}
	}
	if _, ok := signAlgorithms[p.SignAlgorithm]; !ok && p.SignAlgorithm != "" {
		return unknown("sign_algorithm", p.SignAlgorithm, slices.Sorted(maps.Keys(signAlgorithms)))
	}
	if _, ok := encryptAlgorithms[p.EncryptAlgorithm]; !ok && p.EncryptAlgorithm != "" {
		return unknown("encrypt_algorithm", p.EncryptAlgorithm, slices.Sorted(maps.Keys(encryptAlgorithms)))
	}
	if _, ok := negotiations[p.EncryptNegotiated]; !ok && p.EncryptNegotiated != "" {
		return unknown("encrypt_negotiation", p.EncryptNegotiated, slices.Sorted(maps.Keys(negotiations)))
	}
	return nil
}

func unknown[T ~string](key string, got T, known []T) error {
	words := make([]string, len(known))
	for i, k := range known {
		words[i] = fmt.Sprintf("%q", k)
	}
	return mail.Errorf(mail.Invalid, "%s has %q, but knows %s", key, got, strings.Join(words, ", "))
}

// Policies are all there are, by name. An account chooses one by mail.DevicePolicy;
// the accounts that chose the same are a group.
type Policies map[string]Policy

// Default is the name of the policy of those who chose none.
const Default = mail.StandardPolicy

// Check is Invalid unless all of them can be used.
func (ps Policies) Check() error {
	if len(ps) > MaxPolicies {
		return mail.Errorf(mail.Invalid, "there are at most %d policies", MaxPolicies)
	}
	for _, name := range slices.Sorted(maps.Keys(ps)) {
		if !mail.ValidPolicyName(name) {
			return mail.Errorf(mail.Invalid, "policy.%s: a policy's name is at most 40 lower case letters, digits and hyphens", name)
		}
		if err := ps[name].Check(); err != nil {
			return fmt.Errorf("policy.%s: %w", name, err)
		}
	}
	return nil
}

// Names returns the names, the default first.
func (ps Policies) Names() []string {
	names := []string{Default}
	for _, name := range slices.Sorted(maps.Keys(ps)) {
		if name != Default {
			names = append(names, name)
		}
	}
	return names
}

// Has reports whether there is a policy of that name.
func (ps Policies) Has(name string) bool {
	_, ok := ps[name]
	return ok || name == Default
}

// Of returns the policy in force for the account, and its name. One that is no
// longer configured is the default one's: known is false then.
func (ps Policies) Of(r store.Reader) (name string, p Policy, known bool, err error) {
	name, err = r.Preference(mail.DevicePolicy)
	if err != nil {
		return "", p, false, err
	}
	if p, ok := ps[name]; ok || name == Default {
		return name, p, true, nil
	}
	return Default, ps[Default], false, nil
}
