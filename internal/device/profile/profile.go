// Package profile writes configuration profiles for Apple's devices: one file that sets
// an account up, with its app password in it. A device asks before it takes one.
package profile

import (
	"crypto/sha256"
	"encoding/xml"
	"fmt"
	"io"
	"strconv"
	"strings"
)

// Account is what a device is to have.
type Account struct {
	Name     string // what the account is called on the device
	Owner    string // whose it is; "" is not said
	Login    string // which is also the address
	Password string
	Host     string
	// Exactly one of the two is used: ActiveSync sets up all there is, IMAP and
	// submission mail alone.
	ActiveSync bool
	IMAP       int // ports, under TLS
	Submission int
}

// ContentType is that of a profile.
const ContentType = "application/x-apple-aspen-config"

// Write writes a profile (Apple, "Configuration Profile Reference"), unsigned: the
// device shows so, and asks.
func Write(w io.Writer, a Account) error {
	d := dict{
		{"PayloadContent", []dict{a.payload()}},
		{"PayloadDescription", "Sets up " + a.Login + " on this device."},
		{"PayloadDisplayName", a.Name},
		{"PayloadIdentifier", "lockstep." + a.Host + "." + a.Login},
		{"PayloadRemovalDisallowed", false},
		{"PayloadType", "Configuration"},
		{"PayloadUUID", uuid(a.Host, a.Login, "profile")},
		{"PayloadVersion", 1},
	}
	p := &printer{w: w}
	p.raw(xml.Header + `<!DOCTYPE plist PUBLIC "-//Apple//DTD PLIST 1.0//EN" "http://www.apple.com/DTDs/PropertyList-1.0.dtd">` + "\n" + `<plist version="1.0">` + "\n")
	p.value(d)
	p.raw("</plist>\n")
	return p.err
}

func (a Account) payload() dict {
	kind, own := "com.apple.mail.managed", a.mail()
	if a.ActiveSync {
		kind, own = "com.apple.eas.account", a.exchange()
	}
	return append(own, dict{
		{"PayloadDisplayName", a.Name},
		{"PayloadIdentifier", "lockstep." + a.Host + "." + a.Login + "." + kind},
		{"PayloadType", kind},
		{"PayloadUUID", uuid(a.Host, a.Login, kind)},
		{"PayloadVersion", 1},
	}...)
}

func (a Account) mail() dict {
	return dict{
		{"EmailAccountDescription", a.Name},
		{"EmailAccountName", a.Owner},
		{"EmailAccountType", "EmailTypeIMAP"},
		{"EmailAddress", a.Login},
		{"IncomingMailServerAuthentication", "EmailAuthPassword"},
		{"IncomingMailServerHostName", a.Host},
		{"IncomingMailServerPortNumber", a.IMAP},
		{"IncomingMailServerUseSSL", true},
		{"IncomingMailServerUsername", a.Login},
		{"IncomingPassword", a.Password},
		{"OutgoingMailServerAuthentication", "EmailAuthPassword"},
		{"OutgoingMailServerHostName", a.Host},
		{"OutgoingMailServerPortNumber", a.Submission},
		{"OutgoingMailServerUseSSL", true},
		{"OutgoingMailServerUsername", a.Login},
		{"OutgoingPasswordSameAsIncomingPassword", true},
	}
}

func (a Account) exchange() dict {
	return dict{
		{"EmailAddress", a.Login},
		{"Host", a.Host},
		{"MailNumberOfPastDaysToSync", 0}, // all there is
		{"Password", a.Password},
		{"SSL", true},
		{"UserName", a.Login},
	}
}

// uuid is the same for the same account, so that a profile that comes again replaces
// the one before.
func uuid(parts ...string) string {
	h := sha256.Sum256([]byte(strings.Join(parts, "\x00")))
	h[6], h[8] = h[6]&0x0f|0x80, h[8]&0x3f|0x80 // RFC 9562 §5.8
	return strings.ToUpper(fmt.Sprintf("%x-%x-%x-%x-%x", h[0:4], h[4:6], h[6:8], h[8:10], h[10:16]))
}

// dict is a dictionary of a property list, in its order.
type dict []struct {
	key   string
	value any
}

// printer writes a property list, until something goes wrong.
type printer struct {
	w   io.Writer
	err error
}

func (p *printer) raw(s string) {
	if p.err == nil {
		_, p.err = io.WriteString(p.w, s)
	}
}

func (p *printer) element(name, text string) {
	p.raw("<" + name + ">")
	if p.err == nil {
		p.err = xml.EscapeText(p.w, []byte(text))
	}
	p.raw("</" + name + ">\n")
}

func (p *printer) value(v any) {
	switch v := v.(type) {
	case string:
		p.element("string", v)
	case int:
		p.element("integer", strconv.Itoa(v))
	case bool:
		p.raw("<" + strconv.FormatBool(v) + "/>\n")
	case dict:
		p.raw("<dict>\n")
		for _, e := range v {
			p.element("key", e.key)
			p.value(e.value)
		}
		p.raw("</dict>\n")
	case []dict:
		p.raw("<array>\n")
		for _, d := range v {
			p.value(d)
		}
		p.raw("</array>\n")
	default:
		panic(fmt.Sprintf("profile: a property list has no %T", v))
	}
}
