package mail

import (
	"fmt"
	"time"
	"unicode/utf8"
)

// Device is one thing that syncs, across all protocols.
type Device struct {
	ID       DeviceID
	Name     string   // what people see
	Key      string   // how it is known again: see architecture, "Devices"
	Protocol Protocol // of first contact
	Client   string   // what the client says of itself
	Created  time.Time
	LastSeen time.Time
	LastAddr string
	Access   Access
	Wipe     Wipe
	Told     Told
}

// Bounds on devices.
const (
	MaxDevices         = 500 // in one account
	MaxDeviceNameBytes = 200
	MaxToldBytes       = 200 // of each thing a device tells of itself
)

// Access is whether a device may come in. The numbers are stored.
type Access uint8

// The kinds of access.
const (
	Allowed     Access = 0
	Blocked     Access = 1
	Quarantined Access = 2 // until somebody decides

	numAccess = 3
)

func (a Access) String() string {
	return [numAccess]string{"allowed", "blocked", "quarantined"}[a]
}

// Accesses returns all kinds of access.
func Accesses() []Access { return []Access{Allowed, Quarantined, Blocked} }

// A WipeScope is how much a device is asked to remove.
type WipeScope string

// The scopes.
const (
	WipeNothing WipeScope = ""
	WipeAccount WipeScope = "account" // the account and what came from it (MS-ASPROV AccountOnlyRemoteWipe)
	WipeDevice  WipeScope = "device"  // all there is: a factory reset (MS-ASPROV RemoteWipe)
)

// A WipeState is how far a wipe has come.
type WipeState string

// The states, in their order.
const (
	WipeNone      WipeState = ""
	WipeRequested WipeState = "requested" // by a person
	WipeSent      WipeState = "sent"      // the device was told
	WipeConfirmed WipeState = "confirmed" // it says that it did
	WipeRefused   WipeState = "refused"   // it says that it could not, and is asked again
)

// Wipe is what became of the last wish to have a device wiped; zero is that there
// was none, or that it was taken back.
type Wipe struct {
	Scope  WipeScope
	State  WipeState
	At     time.Time // when it came into the state
	Status string    // what the device said of it, as it said it
}

// Open reports whether the device has still to do it: one that could not is asked
// again.
func (w Wipe) Open() bool { return w.State != WipeNone && w.State != WipeConfirmed }

// KeptOut reports whether the device may do nothing: but for what is left of a wipe.
func (d Device) KeptOut() bool { return d.Access != Allowed || d.Wipe.State != WipeNone }

// Told is what a device told of itself. Nobody else vouches for it, and so it is no
// change of the account.
type Told struct {
	Kind         string       `json:",omitzero"` // "iPhone": DeviceType of ActiveSync
	Model        string       `json:",omitzero"`
	OS           string       `json:",omitzero"`
	Language     string       `json:",omitzero"` // of its OS
	FriendlyName string       `json:",omitzero"`
	UserAgent    string       `json:",omitzero"`
	Version      string       `json:",omitzero"` // of the protocol it last spoke
	Policy       Acknowledged `json:",omitzero"`
}

// Acknowledged is the policy that a device last answered to.
type Acknowledged struct {
	Name   string    `json:",omitzero"`
	Hash   string    `json:",omitzero"` // of the document as this device was told it
	Status string    `json:",omitzero"` // its answer, as it said it
	At     time.Time `json:",omitzero"`
}

// Clipped is what the store keeps of it: each text shortened to MaxToldBytes.
func (t Told) Clipped() Told {
	for _, text := range []*string{&t.Kind, &t.Model, &t.OS, &t.Language, &t.FriendlyName, &t.UserAgent, &t.Version, &t.Policy.Name, &t.Policy.Hash, &t.Policy.Status} {
		*text = Clip(*text, MaxToldBytes)
	}
	return t
}

// Clip shortens valid UTF-8 to at most n bytes without cutting a character.
func Clip(s string, n int) string {
	if len(s) <= n {
		return s
	}
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n]
}

// ChangesTo says in words of the journal what makes the device the other: who may
// come in, what is to be wiped, what people call it. What it told is no part of it.
func (d Device) ChangesTo(to Device) []string {
	var words []string
	if d.Name != to.Name {
		words = append(words, fmt.Sprintf("rename %s to %s", d.Name, to.Name))
	}
	if d.Access != to.Access {
		words = append(words, [numAccess]string{"allow ", "block ", "quarantine "}[to.Access]+to.Name)
	}
	if d.Wipe.Scope != to.Wipe.Scope || d.Wipe.State != to.Wipe.State {
		words = append(words, to.Wipe.words(to.Name))
	}
	return words
}

func (w Wipe) words(device string) string {
	what := "remove the account"
	if w.Scope == WipeDevice {
		what = "erase all it holds"
	}
	switch w.State {
	case WipeRequested:
		return fmt.Sprintf("ask %s to %s", device, what)
	case WipeSent:
		return fmt.Sprintf("tell %s to %s", device, what)
	case WipeConfirmed:
		return fmt.Sprintf("hear from %s that it will %s", device, what)
	case WipeRefused:
		return fmt.Sprintf("hear from %s that it can't %s", device, what)
	}
	return "no longer ask " + device + " to remove anything"
}

// Check is Invalid or Limit unless the store can keep the device.
func (d Device) Check() error {
	switch {
	case len(d.Name) > MaxDeviceNameBytes:
		return Errorf(Limit, "a device's name has at most %d bytes", MaxDeviceNameBytes)
	case len(d.Wipe.Status) > MaxToldBytes:
		return Errorf(Limit, "a device's status has at most %d bytes", MaxToldBytes)
	case d.Access >= numAccess:
		return Errorf(Invalid, "there is no such access")
	case (d.Wipe.Scope == WipeNothing) != (d.Wipe.State == WipeNone):
		return Errorf(Invalid, "a wipe has both a scope and a state, or neither")
	}
	return nil
}
