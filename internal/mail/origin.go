package mail

// A Protocol is the way a change came in.
type Protocol string

// The protocols. Local is the command line and the server's own jobs.
const (
	IMAP       Protocol = "imap"
	POP3       Protocol = "pop3"
	SMTP       Protocol = "smtp"
	LMTP       Protocol = "lmtp"
	Submission Protocol = "submission"
	JMAP       Protocol = "jmap"
	EAS        Protocol = "activesync"
	DAV        Protocol = "dav"
	Local      Protocol = "local"
)

// DownloadOnly reports whether devices of the protocol take mail and tell nothing
// back: what is read, flagged or moved on them stays with them.
func (p Protocol) DownloadOnly() bool { return p == POP3 }

// A Cause is why a change was made.
type Cause string

// The causes.
const (
	ByUser     Cause = "user"     // a person, through a program
	ByDelivery Cause = "delivery" // a message arrived
	ByImport   Cause = "import"
	ByUndo     Cause = "undo"
	ByAdmin    Cause = "admin"
	ByRestore  Cause = "restore" // side effects stay quiet
	BySetup    Cause = "setup"   // a new account gets what every account has
)

// An Origin says who makes a change, with which device, by which protocol and
// why. Its fields can't be set from outside, and the zero Origin is refused by
// the store, so nothing is written without one.
type Origin struct {
	actor    string
	device   DeviceID
	session  string
	protocol Protocol
	cause    Cause
	act      ActID
}

// NewOrigin makes an Origin. Actor is the login of a principal, the reverse
// path of a delivery, or the name of a job; it and the rest must not be empty.
// Device 0 is the server itself.
func NewOrigin(actor string, device DeviceID, p Protocol, c Cause) Origin {
	if actor == "" || p == "" || c == "" {
		panic("mail: an origin needs actor, protocol and cause")
	}
	return Origin{actor: actor, device: device, protocol: p, cause: c}
}

// WithSession returns o, naming the connection it came by.
func (o Origin) WithSession(id string) Origin { o.session = id; return o }

// InAct returns o as part of an act begun before, for commands that take
// several transactions.
func (o Origin) InAct(a ActID) Origin { o.act = a; return o }

// WithCause returns o with another cause.
func (o Origin) WithCause(c Cause) Origin { o.cause = c; return o }

// IsZero reports whether o was never made.
func (o Origin) IsZero() bool { return o.actor == "" }

// Actor is who makes the change.
func (o Origin) Actor() string { return o.actor }

// Device is what it is made with; 0 is the server itself.
func (o Origin) Device() DeviceID { return o.device }

// Session names the connection; it may be empty.
func (o Origin) Session() string { return o.session }

// Protocol is how it came in.
func (o Origin) Protocol() Protocol { return o.protocol }

// Cause is why.
func (o Origin) Cause() Cause { return o.cause }

// Act is the act it belongs to; 0 begins a new one.
func (o Origin) Act() ActID { return o.act }
