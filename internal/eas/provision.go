package eas

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"time"

	"lockstep/internal/eas/wbxml"
	"lockstep/internal/mail"
	"lockstep/internal/store"
)

// Statuses of Provision as a whole (MS-ASPROV §2.2.2.54.2), and of a policy in it
// (§2.2.2.54.1). Others are the common ones.
const (
	provisionOK        = 1
	provisionMalformed = 2

	policyOK          = 1
	policyUnknownType = 3
	policyWrongKey    = 5
)

// What a device says of a policy that it was told (§2.2.2.54.1).
const (
	ackApplied = "1"
	ackPartly  = "2"
	ackNot     = "3"
	ackManaged = "4" // somebody else manages the device
)

// provision tells a device its policy, hears whether it took it, and has it wiped
// (MS-ASPROV §3.2.5).
func (q *request) provision() (*answer, error) {
	if q.sess.WipeOnly() {
		return q.wipe()
	}
	if err := q.srv.provisions.again(q.deviceKey()); err != nil {
		return nil, err
	}
	info := q.in.Child(wbxml.SettingsDeviceInformation)
	if q.in == nil || len(q.in.Children) == 0 {
		return provisionAnswer(provisionOK), nil // there is nothing to wipe
	}
	policy := q.in.Child(wbxml.ProvisionPolicies).Child(wbxml.ProvisionPolicy)
	if policy == nil || !policy.Has(wbxml.ProvisionPolicyType) {
		return provisionAnswer(provisionMalformed), nil
	}
	if policy.Get(wbxml.ProvisionPolicyKey) != "" {
		return q.acknowledge(policy)
	}
	if q.wantsInformation(info) {
		return provisionAnswer(int(statusNoInformation)), nil
	}
	return q.offered(info, policy)
}

// offered answers the first step.
func (q *request) offered(info, policy *wbxml.Element) (*answer, error) {
	var told *wbxml.Element
	if info != nil {
		status := informationMalformed
		if set := info.Child(wbxml.SettingsSet); set != nil {
			status = informationOK
			if err := q.noteDeviceInformation(set); err != nil {
				return nil, err
			}
		}
		told = wbxml.New(wbxml.SettingsDeviceInformation, wbxml.Int(wbxml.SettingsStatus, status))
	}
	root := wbxml.New(wbxml.ProvisionProvision, told, wbxml.Int(wbxml.ProvisionStatus, provisionOK), q.offer(policy))
	return &answer{root: root}, nil
}

func provisionAnswer(status int, rest ...*wbxml.Element) *answer {
	root := wbxml.New(wbxml.ProvisionProvision, wbxml.Int(wbxml.ProvisionStatus, status))
	return &answer{root: root.Add(rest...)}
}

// wantsInformation reports whether the device has to say first what it is, as it has
// to from 14.1 on (MS-ASPROV §3.1.5.1). Many leave it out, so it is asked for once, and
// only where a policy keeps out who does not take part.
func (q *request) wantsInformation(info *wbxml.Element) bool {
	return info == nil && q.version >= v141 && q.policy.RefuseUnprovisioned && q.sess.Device().Told().Model == "" && q.srv.provisions.firstWithoutInformation(q.deviceKey())
}

// offer is the first answer: the policy, and a key for the acknowledgement alone.
func (q *request) offer(policy *wbxml.Element) *wbxml.Element {
	kind := policy.Get(wbxml.ProvisionPolicyType)
	if kind != policyType {
		return policies(kind, policyUnknownType, "", nil)
	}
	return policies(kind, policyOK, q.policyKeyFor("offered"), wbxml.New(wbxml.ProvisionData, provisionDoc(q.policy)))
}

func policies(kind string, status int, key string, data *wbxml.Element) *wbxml.Element {
	p := wbxml.New(wbxml.ProvisionPolicy, wbxml.Text(wbxml.ProvisionPolicyType, kind), wbxml.Int(wbxml.ProvisionStatus, status))
	if key != "" {
		p.Add(wbxml.Text(wbxml.ProvisionPolicyKey, key))
	}
	return wbxml.New(wbxml.ProvisionPolicies, p.Add(data))
}

// policyKeyFor is the key of a phase. It is made from the policy as the device sees it
// and the device, so it needs no memory: an answer that got lost is given again, two
// phones that share a DeviceId do not take each other's key away, and a change that
// the device does not see leaves the key as it is. It is no secret: who wants to lie
// can say that it took a policy that it did not.
func (q *request) policyKeyFor(phase string) string {
	k := q.deviceKey()
	sum := sha256.Sum256(fmt.Appendf(nil, "%s\x00%d\x00%d\x00%s\x00%s", phase, k.account, k.device, k.id, q.doc.hash))
	n := binary.BigEndian.Uint32(sum[:4])>>1 | 1<<30 // ten digits at most, never 0, and good as a signed number
	if phase == "offered" {
		n &^= 1
	} else {
		n |= 1
	}
	return strconv.FormatUint(uint64(n), 10)
}

// acknowledge is the second answer: the device took the policy, or says why not.
func (q *request) acknowledge(policy *wbxml.Element) (*answer, error) {
	kind, said := policy.Get(wbxml.ProvisionPolicyType), policy.Get(wbxml.ProvisionStatus)
	switch {
	case kind != policyType:
		return provisionAnswer(provisionOK, policies(kind, policyUnknownType, "", nil)), nil
	case policy.Get(wbxml.ProvisionPolicyKey) != q.policyKeyFor("offered"):
		return provisionAnswer(provisionOK, policies(kind, policyWrongKey, "", nil)), nil
	}
	if !slices.Contains([]string{ackApplied, ackPartly, ackNot, ackManaged}, said) {
		return provisionAnswer(provisionMalformed), nil
	}
	if err := q.saveAcknowledged(said); err != nil {
		return nil, err
	}
	switch {
	case said == ackApplied:
	case q.policy.RefuseUnprovisioned && said == ackManaged:
		return nil, fail(statusManaged, "the device is managed by somebody else")
	case q.policy.RefuseUnprovisioned:
		return nil, fail(statusPartly, "the device does not take the policy whole")
	}
	q.srv.provisions.completed(q.deviceKey())
	return provisionAnswer(provisionOK, policies(kind, policyOK, q.policyKeyFor("taken"), nil)), nil
}

// acknowledged is what is remembered of a device's answer to its policy.
type acknowledged struct {
	Hash   string    `json:"hash"` // of the policy as it was told
	Status string    `json:"status"`
	At     time.Time `json:"at"`
}

const policyCursor = "policy"

// saveAcknowledged remembers what a device said of the policy: for this DeviceId, and
// for people to see.
func (q *request) saveAcknowledged(said string) error {
	now := time.Now().UTC()
	state, err := json.Marshal(acknowledged{q.doc.hash, said, now})
	if err != nil {
		return err
	}
	return q.tell(func(told *mail.Told) {
		told.Policy = mail.Acknowledged{Name: q.policyName, Hash: q.doc.hash, Status: said, At: now}
	}, func(n store.Notes) error {
		return n.SetCursor(q.sess.Device().ID, q.cursor(policyCursor), state)
	})
}

// loadAcknowledged returns what the device last said; zero if it said nothing.
func (q *request) loadAcknowledged(r store.Reader) (a acknowledged, err error) {
	raw, err := r.Cursor(q.sess.Device().ID, q.cursor(policyCursor))
	if err != nil && mail.KindOf(err) == mail.NotFound {
		return a, nil
	}
	if err == nil && json.Unmarshal(raw, &a) != nil {
		a = acknowledged{} // of another version: as if it had said nothing
	}
	return a, err
}
