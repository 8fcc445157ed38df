package mail

import (
	"maps"
	"regexp"
	"slices"
	"strings"
)

// A Preference is the name of something an account can choose.
type Preference string

// The preferences.
const (
	// POP3Delete is what becomes of a message that a POP3 client deletes: ToTrash
	// moves it there, ForGood removes it.
	POP3Delete Preference = "pop3.delete"
	// Guard is what the server does when a device deletes more than a share of a
	// mailbox in a short time: GuardKeep lets it and keeps what left until somebody
	// decides, GuardHold refuses, GuardOff does nothing.
	Guard Preference = "guard"
	// DevicePolicy names the policy that holds for the account's devices. Which there
	// are, the operator configures; the store takes any name.
	DevicePolicy Preference = "device.policy"
)

// StandardPolicy is the policy of those who chose none.
const StandardPolicy = "default"

// The values of POP3Delete.
const (
	ToTrash = "trash"
	ForGood = "delete"
)

// The values of Guard.
const (
	GuardKeep = "keep"
	GuardHold = "hold"
	GuardOff  = "off"
)

// choices are the values that each preference can have, the default first.
var choices = map[Preference][]string{
	POP3Delete: {ToTrash, ForGood},
	Guard:      {GuardKeep, GuardHold, GuardOff},

	DevicePolicy: {StandardPolicy},
}

// policyName is what a policy can be called.
var policyName = regexp.MustCompile(`^[a-z0-9][a-z0-9-]{0,39}$`)

// ValidPolicyName reports whether a policy can be called so.
func ValidPolicyName(name string) bool { return policyName.MatchString(name) }

// Preferences returns all names, sorted.
func Preferences() []Preference { return slices.Sorted(maps.Keys(choices)) }

// Choices returns the values that p can have, the default first; none of a name
// that is no preference.
func (p Preference) Choices() []string { return slices.Clone(choices[p]) }

// Default is what p is where nothing was chosen; "" of a name that is no
// preference.
func (p Preference) Default() string {
	if all := choices[p]; len(all) > 0 {
		return all[0]
	}
	return ""
}

// Check is Invalid unless p is a preference that can have the value; "" is to
// choose nothing, so that the default holds.
func (p Preference) Check(value string) error {
	all, known := choices[p]
	switch {
	case !known:
		return Errorf(Invalid, "there is no preference %q; there are %s", string(p), strings.Join(names(Preferences()), ", "))
	case p == DevicePolicy && value != "" && !ValidPolicyName(value):
		return Errorf(Invalid, "a policy's name is at most 40 lower case letters, digits and hyphens, not %q", value)
	case value != "" && p != DevicePolicy && !slices.Contains(all, value):
		return Errorf(Invalid, "%s is one of %s, not %q", p, strings.Join(all, ", "), value)
	}
	return nil
}

func names(all []Preference) []string {
	text := make([]string, len(all))
	for i, p := range all {
		text[i] = string(p)
	}
	return text
}
