package config

import (
	"time"

	"lockstep/internal/device"
	"lockstep/internal/mail"
)

// Words are a list of words.
type Words []string

// Policy is what devices have to do and may do. What is not said is allowed.
type Policy struct {
	NewDevices       string   `toml:"new_devices" comment:"A device that comes for the first time with the account's own password: \"allow\" it, \"quarantine\" it until somebody says lockstep device allow, or \"block\" it."`
	OldDevices       string   `toml:"unprovisioned" comment:"Devices that can't or won't do all the policy asks: \"allow\" or \"block\"."`
	MaxDevices       int      `toml:"max_devices" comment:"So many devices that name themselves may an account have; 0 is 50. Who was not seen for 90 days, or is blocked, is not counted."`
	Refresh          Duration `toml:"refresh" comment:"How often a device has to ask for the policy again; \"0s\" is never."`
	Password         string   `toml:"password" comment:"What unlocks the device: \"none\" asks for nothing, \"any\" is a PIN or more, \"alphanumeric\" has letters."`
	MinLength        int      `toml:"password_min_length" comment:"1 to 16; 0 asks for none."`
	MinClasses       int      `toml:"password_min_classes" comment:"So many of lower case, upper case, digits and others: 1 to 4; 0 asks for none."`
	MaxAttempts      int      `toml:"password_attempts" comment:"After so many wrong ones the device erases itself: 4 to 16; 0 is never."`
	History          int      `toml:"password_history" comment:"So many old ones may not come again."`
	Expires          Duration `toml:"password_expires" comment:"In whole days, such as \"90d\"; \"0s\" is never."`
	Recovery         bool     `toml:"password_recovery" comment:"Whether the device may deposit a recovery password."`
	LockAfter        Duration `toml:"lock_after" comment:"The device locks itself when nobody touched it for so long; \"0s\" is never."`
	Require          Words    `toml:"require" comment:"Of \"device-encryption\", \"storage-card-encryption\", \"signed-mail\", \"encrypted-mail\", \"manual-sync-roaming\"."`
	Forbid           Words    `toml:"forbid" comment:"Of \"attachments\", \"html-mail\", \"simple-password\", \"storage-card\", \"camera\", \"unsigned-applications\", \"unsigned-packages\", \"wifi\", \"text-messages\", \"pop-imap\", \"consumer-mail\", \"bluetooth\", \"bluetooth-data\", \"infrared\", \"desktop-sync\", \"soft-certificates\", \"browser\", \"remote-desktop\", \"internet-sharing\"."`
	MailAge          string   `toml:"mail_age" comment:"The oldest mail that a device may keep: \"1d\", \"3d\", \"1w\", \"2w\", \"1m\"; empty is all."`
	CalendarAge      string   `toml:"calendar_age" comment:"The oldest events: \"2w\", \"1m\", \"3m\", \"6m\"; empty is all."`
	MaxAttachment    Size     `toml:"max_attachment" comment:"The largest attachment that a device is given; \"0B\" is without bound."`
	MaxBody          Size     `toml:"max_body" comment:"So much of a text body is given; \"0B\" is all of it."`
	MaxHTMLBody      Size     `toml:"max_html_body" comment:"The same of an HTML body."`
	SignAlgorithm    string   `toml:"sign_algorithm" comment:"When signed mail is required: \"sha1\", \"md5\"; empty leaves it to the device."`
	EncryptAlgorithm string   `toml:"encrypt_algorithm" comment:"When encrypted mail is required: \"3des\", \"des\", \"rc2-128\", \"rc2-64\", \"rc2-40\"; empty leaves it to the device."`
	EncryptOther     string   `toml:"encrypt_negotiation" comment:"Whether the device may take another algorithm that the recipient can do: \"none\", \"strong\", \"any\"; empty leaves it to the device."`
	Approved         Words    `toml:"approved_applications" comment:"Hashes (SHA-1, base64) of the only programs that may run; [] is all."`
	Unapproved       Words    `toml:"unapproved_in_rom" comment:"Programs the device came with that may not run."`
}

// defaultPolicy asks for nothing.
func defaultPolicy() Policy {
	return Policy{NewDevices: "allow", OldDevices: "allow", MaxDevices: device.DefaultMaxDevices, Password: "none"}
}

// orDefault puts in what the file leaves out.
func (p Policy) orDefault() Policy {
	d := defaultPolicy()
	if p.NewDevices == "" {
		p.NewDevices = d.NewDevices
	}
	if p.OldDevices == "" {
		p.OldDevices = d.OldDevices
	}
	if p.MaxDevices == 0 {
		p.MaxDevices = d.MaxDevices
	}
	if p.Password == "" {
		p.Password = d.Password
	}
	for _, list := range []*Words{&p.Require, &p.Forbid, &p.Approved, &p.Unapproved} {
		if len(*list) == 0 {
			*list = nil
		}
	}
	return p
}

var accessOf = map[string]mail.Access{"allow": mail.Allowed, "quarantine": mail.Quarantined, "block": mail.Blocked}

// Policies are the configured ones, as other packages take them.
func (c *Config) Policies() device.Policies {
	all := device.Policies{}
	for name, p := range c.Policy {
		all[name] = p.device()
	}
	return all
}

func (p Policy) device() device.Policy {
	return device.Policy{
		NewDevices: accessOf[p.NewDevices], RefuseUnprovisioned: p.OldDevices == "block", MaxDevices: p.MaxDevices, Refresh: time.Duration(p.Refresh),
		Password: device.PasswordRule{
			Required: p.Password != "none", Alphanumeric: p.Password == "alphanumeric", Recovery: p.Recovery, MinLength: p.MinLength, MinClasses: p.MinClasses,
			MaxAttempts: p.MaxAttempts, History: p.History, Expires: time.Duration(p.Expires), LockAfter: time.Duration(p.LockAfter),
		},
		Forbid: as[device.Feature](p.Forbid), Require: as[device.Requirement](p.Require),
		MailAge: device.Age(p.MailAge), CalendarAge: device.Age(p.CalendarAge),
		MaxAttachment: int64(p.MaxAttachment), MaxBody: int64(p.MaxBody), MaxHTMLBody: int64(p.MaxHTMLBody),
		SignAlgorithm: device.Algorithm(p.SignAlgorithm), EncryptAlgorithm: device.Algorithm(p.EncryptAlgorithm), EncryptNegotiated: device.Negotiation(p.EncryptOther),
		ApprovedApplications: p.Approved, UnapprovedInROM: p.Unapproved,
	}
}

func as[T ~string](words Words) []T {
	var out []T
	for _, w := range words {
		out = append(out, T(w))
	}
	return out
}

// checkPolicies refuses what devices can't be told.
func (c *Config) checkPolicies() error {
	for name, p := range c.Policy {
		for _, err := range []error{
			oneOf("policy."+name+".new_devices", p.NewDevices, "allow", "quarantine", "block"),
			oneOf("policy."+name+".unprovisioned", p.OldDevices, "allow", "block"),
			oneOf("policy."+name+".password", p.Password, "none", "any", "alphanumeric"),
		} {
			if err != nil {
				return err
			}
		}
	}
	return c.Policies().Check()
}
