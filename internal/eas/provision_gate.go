package eas

import (
	"slices"
	"sync"
	"time"

	"lockstep/internal/device"
	"lockstep/internal/mail"
	"lockstep/internal/store"
)

// gate is what a device has to pass before any command but Provision: it is not to be
// wiped, and it took the policy (MS-ASPROV §3.1.5.1, MS-ASHTTP §3.1.5.2.1). Ping comes
// without a key.
func (q *request) gate() error {
	if q.sess.WipeOnly() {
		if q.cmd.name == provisionName {
			return nil
		}
		if _, err := q.directive(); err != nil {
			return err
		}
		return fail(statusWipe, "the device is to remove what it holds")
	}
	due, err := q.loadPolicy()
	if err == nil {
		err = q.mayTry()
	}
	if err != nil || q.cmd.name == provisionName || q.cmd.name == "Ping" {
		return err
	}
	if s := q.srv.provisions.challenge(q, due); s != 0 {
		return fail(s, "the device has to ask for the policy %s first", q.policyName)
	}
	return nil
}

const provisionName = "Provision"

// mayTry keeps who only tries an account out, and so is no device that could be kept
// out, from doing more than that.
func (q *request) mayTry() error {
	if !q.trying() || q.cmd.name == provisionName {
		return nil
	}
	if q.cmd.name != "FolderSync" || q.policy.NewDevices != mail.Allowed {
		return fail(statusDenied, "this is not served to who only tries the account out")
	}
	return nil
}

// loadPolicy finds the policy in force, and whether the device has to ask for it again.
// It costs one row.
func (q *request) loadPolicy() (due bool, err error) {
	known := true
	err = q.view(func(r store.Reader) (err error) {
		q.policyName, q.policy, known, err = q.srv.Policies.Of(r)
		if err == nil {
			err = q.hasRoom(r)
		}
		if err != nil || q.policy.Refresh == 0 {
			return err
		}
		a, err := q.loadAcknowledged(r)
		due = !q.trying() && time.Since(a.At) > q.policy.Refresh
		return err
	})
	if err == nil {
		q.doc, err = q.srv.provisions.document(q.policyName, q.policy)
	}
	if err == nil && !known && q.srv.provisions.firstMissing(q.account()) {
		q.srv.Log.WarnContext(q.ctx, "the policy chosen for an account is not configured, the default one holds", "account", q.sess.Principal.Login)
	}
	return due, err
}

// maxDeviceIDs is how many devices may use one app password: each has state of its own.
const maxDeviceIDs = 8

// hasRoom refuses a DeviceId too many of one device of the account. It is looked at
// once in a while.
func (q *request) hasRoom(r store.Reader) error {
	if q.trying() || q.srv.provisions.knows(q.deviceKey()) {
		return nil
	}
	ids, err := device.DeviceIDs(r, q.sess.Device().ID)
	if err != nil {
		return err
	}
	if !slices.Contains(ids, q.deviceID) && len(ids) >= maxDeviceIDs {
		return fail(statusTooManyDevices, "%d devices use this app password already", maxDeviceIDs)
	}
	q.srv.provisions.know(q.deviceKey())
	return nil
}

// provisions is what is kept in memory of how devices take their policies. A restart
// may forget it.
type provisions struct {
	mu      sync.Mutex
	docs    map[string]policyDoc
	devices map[deviceKey]*provisioning
	warned  map[mail.AccountID]bool
}

// provisioning is how one device takes its policy.
type provisioning struct {
	began      time.Time // of the period that is counted
	asked      int       // Provision commands in it
	challenges int       // that led to no Provision
	completed  int       // times it took a policy, since it last came with the right key
	unnamed    bool      // it was asked to say what it is
	known      bool      // it had room among those that share its app password
	told       time.Time // when it last told something of itself that was written down
}

const (
	// provisionPeriod and maxProvisions bound how often a device may provision: one
	// that does without end has a fault that no answer cures.
	provisionPeriod = time.Minute
	maxProvisions   = 20
	// maxUnheeded is how often something is asked of a device that does not heed it.
	maxUnheeded = 3
	// toldEach is how often what a device tells by the way is written down.
	toldEach = time.Minute
)

func newProvisions() *provisions {
	return &provisions{docs: map[string]policyDoc{}, devices: map[deviceKey]*provisioning{}, warned: map[mail.AccountID]bool{}}
}

// document returns what devices are told of a policy.
func (p *provisions) document(name string, of device.Policy) (policyDoc, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if doc, ok := p.docs[name]; ok {
		return doc, nil
	}
	doc, err := newPolicyDoc(of)
	if err == nil {
		p.docs[name] = doc
	}
	return doc, err
}

// of returns what is kept of a device. The caller holds mu.
func (p *provisions) of(k deviceKey) *provisioning {
	d := p.devices[k]
	if d == nil {
		if len(p.devices) >= maxTracked {
			clear(p.devices)
		}
		d = &provisioning{}
		p.devices[k] = d
	}
	return d
}

// again counts a Provision, and refuses those of a device that can't stop.
func (p *provisions) again(k deviceKey) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	d := p.of(k)
	if time.Since(d.began) > provisionPeriod {
		d.began, d.asked = time.Now(), 0
	}
	d.asked++
	d.challenges = 0
	if d.asked > maxProvisions {
		return &fault{http: 503, retry: int(provisionPeriod / time.Second), detail: "the device asks for its policy again and again"}
	}
	return nil
}

// knows reports whether know was called for the device.
func (p *provisions) knows(k deviceKey) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	d := p.devices[k]
	return d != nil && d.known
}

func (p *provisions) know(k deviceKey) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.of(k).known = true
}

// completed notes that a device took its policy.
func (p *provisions) completed(k deviceKey) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.of(k).completed++
}

// firstWithoutInformation reports whether the device was not yet asked to say what it
// is, and notes that it is now.
func (p *provisions) firstWithoutInformation(k deviceKey) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	d := p.of(k)
	first := !d.unnamed
	d.unnamed = true
	return first
}

// firstMissing reports whether nobody was warned yet that the account's policy is not
// there.
func (p *provisions) firstMissing(id mail.AccountID) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.warned[id] || len(p.warned) >= maxTracked {
		return false
	}
	p.warned[id] = true
	return true
}

// mayTell reports whether what the device tells by the way is to be written down now.
func (p *provisions) mayTell(k deviceKey) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	d := p.of(deviceKey{k.account, k.device, ""})
	if time.Since(d.told) < toldEach {
		return false
	}
	d.told = time.Now()
	return true
}

// challenge says what a command is answered in place of being served; 0 serves it. A
// key is right, wrong or missing. One that is missing is let through where nothing is
// asked of devices, or where those may come that don't take part, once it is clear
// that this one does not. A device that took the policy several times and whose key
// never arrives has a proxy in its way that strips it: it is let through too, or it
// would ask for ever.
func (p *provisions) challenge(q *request, due bool) status {
	p.mu.Lock()
	defer p.mu.Unlock()
	k := q.deviceKey()
	d := p.devices[k]
	switch {
	case q.policyKey == q.policyKeyFor("taken"):
		if d != nil {
			d.completed, d.challenges = 0, 0
		}
		if due {
			return statusPolicyRefresh
		}
		return 0
	case q.policyKey != "" && q.policyKey != "0":
		return statusPolicyKey
	case !q.policy.RefuseUnprovisioned && !q.doc.asks:
		return 0
	}
	d = p.of(k)
	if d.completed >= maxUnheeded {
		return 0
	}
	d.challenges++
	switch {
	case !q.policy.RefuseUnprovisioned && d.challenges > maxUnheeded:
		return 0
	case q.policyKey == "" && d.challenges == 1 && q.policy.RefuseUnprovisioned && q.sess.Device().Told().Policy.Hash != "":
		// It took a policy and says nothing of a key, not even that it has none. What
		// devices do about this status is not sure, so the next answer is 142 again.
		return statusLegacyDevice
	}
	return statusNotProvisioned
}
