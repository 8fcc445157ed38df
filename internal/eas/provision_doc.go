package eas

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"time"

	"lockstep/internal/device"
	"lockstep/internal/eas/wbxml"
)

// policyType is the one form in which policies are told (MS-ASPROV §2.2.2.43); the
// other is of 2.5.
const policyType = "MS-EAS-Provisioning-WBXML"

// A policyDoc is a policy as devices are told it. All versions that are spoken know
// all its elements, so each device sees the same: the hash changes when a device would
// see a change, and only then.
type policyDoc struct {
	hash string
	asks bool // something is asked or forbidden at all
}

// newPolicyDoc puts the document of a policy together.
func newPolicyDoc(p device.Policy) (policyDoc, error) {
	hash, err := hashDoc(provisionDoc(p))
	if err != nil {
		return policyDoc{}, err
	}
	nothing, err := hashDoc(provisionDoc(device.Policy{}))
	return policyDoc{hash, hash != nothing}, err
}

func hashDoc(e *wbxml.Element) (string, error) {
	var b bytes.Buffer
	err := wbxml.Encode(&b, e)
	sum := sha256.Sum256(b.Bytes())
	return hex.EncodeToString(sum[:16]), err
}

// provisionDoc is the policy in the order of the schema (MS-ASPROV §2.2.2.28). All
// elements are there: what was set once and no longer is has to be told as an empty
// tag or its default (§3.2.5.1.1), and a device may come from any policy.
func provisionDoc(p device.Policy) *wbxml.Element {
	pw := p.Password
	allow := func(t wbxml.Tag, f device.Feature) *wbxml.Element { return wbxml.Bool(t, !p.Forbids(f)) }
	require := func(t wbxml.Tag, r device.Requirement) *wbxml.Element { return wbxml.Bool(t, p.Requires(r)) }
	return wbxml.New(wbxml.ProvisionEASProvisionDoc,
		wbxml.Bool(wbxml.ProvisionDevicePasswordEnabled, pw.Required),
		wbxml.Bool(wbxml.ProvisionAlphanumericDevicePasswordRequired, pw.Alphanumeric),
		wbxml.Bool(wbxml.ProvisionPasswordRecoveryEnabled, pw.Recovery),
		require(wbxml.ProvisionRequireStorageCardEncryption, device.StorageCardEncryption),
		allow(wbxml.ProvisionAttachmentsEnabled, device.Attachments),
		orEmpty(wbxml.ProvisionMinDevicePasswordLength, pw.MinLength),
		orEmpty(wbxml.ProvisionMaxInactivityTimeDeviceLock, int64(pw.LockAfter/time.Second)),
		orEmpty(wbxml.ProvisionMaxDevicePasswordFailedAttempts, pw.MaxAttempts),
		orEmpty(wbxml.ProvisionMaxAttachmentSize, p.MaxAttachment),
		allow(wbxml.ProvisionAllowSimpleDevicePassword, device.SimplePassword),
		orEmpty(wbxml.ProvisionDevicePasswordExpiration, int64(pw.Expires/(24*time.Hour))),
		wbxml.Int(wbxml.ProvisionDevicePasswordHistory, pw.History),
		allow(wbxml.ProvisionAllowStorageCard, device.StorageCard),
		allow(wbxml.ProvisionAllowCamera, device.Camera),
		require(wbxml.ProvisionRequireDeviceEncryption, device.DeviceEncryption),
		allow(wbxml.ProvisionAllowUnsignedApplications, device.UnsignedApplications),
		allow(wbxml.ProvisionAllowUnsignedInstallationPackages, device.UnsignedPackages),
		wbxml.Int(wbxml.ProvisionMinDevicePasswordComplexCharacters, max(pw.MinClasses, 1)),
		allow(wbxml.ProvisionAllowWiFi, device.WiFi),
		allow(wbxml.ProvisionAllowTextMessaging, device.TextMessages),
		allow(wbxml.ProvisionAllowPOPIMAPEmail, device.OtherMail),
		wbxml.Int(wbxml.ProvisionAllowBluetooth, bluetooth(p)),
		allow(wbxml.ProvisionAllowIrDA, device.Infrared),
		require(wbxml.ProvisionRequireManualSyncWhenRoaming, device.ManualSyncRoaming),
		allow(wbxml.ProvisionAllowDesktopSync, device.DesktopSync),
		wbxml.Int(wbxml.ProvisionMaxCalendarAgeFilter, p.CalendarAge.Filter()),
		allow(wbxml.ProvisionAllowHTMLEmail, device.HTMLMail),
		wbxml.Int(wbxml.ProvisionMaxEmailAgeFilter, p.MailAge.Filter()),
		wbxml.Int(wbxml.ProvisionMaxEmailBodyTruncationSize, orUnbounded(p.MaxBody)),
		wbxml.Int(wbxml.ProvisionMaxEmailHTMLBodyTruncationSize, orUnbounded(p.MaxHTMLBody)),
		require(wbxml.ProvisionRequireSignedSMIMEMessages, device.SignedMail),
		require(wbxml.ProvisionRequireEncryptedSMIMEMessages, device.EncryptedMail),
		wbxml.Int(wbxml.ProvisionRequireSignedSMIMEAlgorithm, p.SignAlgorithm.Signing()),
		wbxml.Int(wbxml.ProvisionRequireEncryptionSMIMEAlgorithm, p.EncryptAlgorithm.Encrypting()),
		wbxml.Int(wbxml.ProvisionAllowSMIMEEncryptionAlgorithmNegotiation, p.EncryptNegotiated.Number()),
		allow(wbxml.ProvisionAllowSMIMESoftCerts, device.SoftCertificates),
		allow(wbxml.ProvisionAllowBrowser, device.Browser),
		allow(wbxml.ProvisionAllowConsumerEmail, device.ConsumerMail),
		allow(wbxml.ProvisionAllowRemoteDesktop, device.RemoteDesktop),
		allow(wbxml.ProvisionAllowInternetSharing, device.InternetSharing),
		applications(wbxml.ProvisionUnapprovedInROMApplicationList, wbxml.ProvisionApplicationName, p.UnapprovedInROM),
		applications(wbxml.ProvisionApprovedApplicationList, wbxml.ProvisionHash, p.ApprovedApplications))
}

// orEmpty is a bound, or an empty tag for none: a number out of range broke clients.
func orEmpty[N ~int | ~int64](t wbxml.Tag, n N) *wbxml.Element {
	if n == 0 {
		return wbxml.New(t)
	}
	return wbxml.Int(t, n)
}

// orUnbounded is how a size without bound is told (MS-ASPROV §2.2.2.34).
func orUnbounded(bytes int64) int64 {
	if bytes == 0 {
		return -1
	}
	return bytes
}

// bluetooth is how much of it is allowed (MS-ASPROV §2.2.2.3).
func bluetooth(p device.Policy) int {
	switch {
	case p.Forbids(device.Bluetooth):
		return 0
	case p.Forbids(device.BluetoothData):
		return 1
	}
	return 2
}

func applications(list, item wbxml.Tag, names []string) *wbxml.Element {
	e := wbxml.New(list)
	for _, name := range names {
		e.Add(wbxml.Text(item, name))
	}
	return e
}
