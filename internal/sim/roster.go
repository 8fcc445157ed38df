package sim

import (
	"fmt"

	"lockstep/internal/mail"
)

// roster says of what kind devices are, one after another.
var roster = []any{
	imapKind{name: "plain"},
	imapKind{name: "qresync-idle", qresync: true, known: true, idle: true},
	imapKind{name: "condstore", condstore: true},
	imapKind{name: "plain-idle", idle: true},
	imapKind{name: "qresync", qresync: true},
	imapKind{name: "condstore-idle", condstore: true, idle: true, visits: true},
	imapKind{name: "rev2-qresync-idle", rev2: true, qresync: true, idle: true, visits: true},
	popKind{},
	imapKind{name: "notify-qresync", qresync: true, notify: true, aside: true},
	imapKind{name: "notify-idle", qresync: true, known: true, notify: true, idle: true},
	easKind{version: "14.1"},
	easKind{version: "16.1", window: 3, coded: true},
	easKind{version: "16.1", filter: 3, rebuild: true},
	easKind{version: "14.1", filter: 5, window: 7, rebuild: true},
	jmapKind{},
	jmapKind{window: 3},
	jmapKind{listen: true},
}

// popKind is a device that downloads.
type popKind struct{}

// deviceName is what the n-th device is called.
func deviceName(n int) string {
	switch k := roster[n%len(roster)].(type) {
	case imapKind:
		return k.name
	case easKind:
		return fmt.Sprintf("eas%s-filter%d", k.version, k.filter)
	case jmapKind:
		return fmt.Sprintf("jmap-window%d-listen%t", k.window, k.listen)
	}
	return "pop3"
}

// setup is what a device needs of the world it is in.
type setup struct {
	name, login, secret string
	dial                func(service string) (wire, error)
	blame               func(format string, args ...any)
	others              bool     // act at the same time
	friends             []string // with whom it shares mailboxes
	writes              string   // to whom it sends letters
	outgoing            *ledger  // of whom it sends them to
	ledger              *ledger  // may be nil
	touched             func(mb mail.MailboxID, since mail.ModSeq) (yes bool, head mail.ModSeq)
}

// newDevice makes the n-th device.
func newDevice(n int, s setup) device {
	at := func(service string) func() (wire, error) {
		return func() (wire, error) { return s.dial(service) }
	}
	switch k := roster[n%len(roster)].(type) {
	case imapKind:
		return &imapDevice{kind: k, name: s.name, login: s.login, secret: s.secret, dial: at(imapService), blame: s.blame, boxes: map[string]*box{},
			others: s.others, friends: s.friends, ledger: s.ledger}
	case easKind:
		d := newEASDevice(k, s.name, s.login, s.secret, at(easService), s.blame)
		d.writes, d.outgoing, d.ledger, d.others, d.touched = s.writes, s.outgoing, s.ledger, s.others, s.touched
		return d
	case jmapKind:
		d := newJMAPDevice(k, s.name, s.login, s.secret, at(jmapService), s.blame)
		d.ledger, d.others = s.ledger, s.others
		return d
	}
	return &popDevice{name: s.name, login: s.login, secret: s.secret, dial: at(pop3Service), blame: s.blame, held: map[string]string{}}
}
