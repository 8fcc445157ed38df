package wire

import (
	"encoding/base64"
	"strings"
)

// Login is LOGIN (RFC 9051 §6.2.3). It is not for logs: they hold no secrets.
type Login struct{ User, Password string }

// Authenticate is AUTHENTICATE (RFC 9051 §6.2.2, RFC 4959). The session sends
// challenges and reads what follows with ReadSASL.
type Authenticate struct {
	Mechanism string // in capitals
	Initial   []byte // nil when there is no initial response
}

// Enable is ENABLE (RFC 5161); names in capitals.
type Enable struct{ Capabilities []string }

// Compress is COMPRESS (RFC 4978); the mechanism in capitals.
type Compress struct{ Mechanism string }

// ID is ID (RFC 2971). Params is nil for NIL.
type ID struct{ Params []IDParam }

// An IDParam is what a client says of itself; Value is nil for NIL.
type IDParam struct {
	Key   string
	Value *string
}

// Bounds of RFC 2971 §3.3.
const (
	MaxIDParams     = 30
	MaxIDKeyBytes   = 30
	MaxIDValueBytes = 1024
)

func parseLogin(p *parser) Body {
	p.sp()
	user := p.astring("a user name")
	p.sp()
	return &Login{user, p.astring("a password")}
}

func parseAuthenticate(p *parser) Body {
	p.sp()
	a := &Authenticate{Mechanism: strings.ToUpper(p.atom("a mechanism"))}
	if p.accept(' ') {
		a.Initial = p.base64()
	}
	return a
}

func parseEnable(p *parser) Body {
	e := &Enable{}
	for first := true; (first || !p.atEnd()) && !p.failed(); first = false {
		p.sp()
		e.Capabilities = append(e.Capabilities, strings.ToUpper(p.atom("a capability")))
	}
	return e
}

func parseCompress(p *parser) Body {
	p.sp()
	return &Compress{strings.ToUpper(p.atom("a mechanism"))}
}

func parseID(p *parser) Body {
	p.sp()
	if p.acceptNIL() {
		return &ID{}
	}
	id := &ID{Params: []IDParam{}}
	p.list(func() {
		key := p.quotedOrLiteral("a field name")
		p.sp()
		value := p.nstring("a value or NIL")
		if len(id.Params) == MaxIDParams || len(key) > MaxIDKeyBytes || value != nil && len(*value) > MaxIDValueBytes {
			p.fail(bad("More or longer fields than RFC 2971 allows"))
		}
		id.Params = append(id.Params, IDParam{key, value})
	})
	return id
}

func (*Login) Name() string        { return "LOGIN" }
func (*Authenticate) Name() string { return "AUTHENTICATE" }
func (*Enable) Name() string       { return "ENABLE" }
func (*Compress) Name() string     { return "COMPRESS" }
func (*ID) Name() string           { return "ID" }

func (c *Login) appendTo(b []byte) []byte {
	b = appendAString(append(b, ' '), c.User)
	return appendAString(append(b, ' '), c.Password)
}

func (c *Authenticate) appendTo(b []byte) []byte {
	b = append(append(b, ' '), c.Mechanism...)
	switch {
	case c.Initial == nil:
		return b
	case len(c.Initial) == 0:
		return append(b, " ="...)
	}
	return base64.StdEncoding.AppendEncode(append(b, ' '), c.Initial)
}

func (c *Enable) appendTo(b []byte) []byte {
	for _, name := range c.Capabilities {
		b = append(append(b, ' '), name...)
	}
	return b
}

func (c *Compress) appendTo(b []byte) []byte { return append(append(b, ' '), c.Mechanism...) }

func (c *ID) appendTo(b []byte) []byte {
	if c.Params == nil {
		return append(b, " NIL"...)
	}
	b = append(b, " ("...)
	for i, f := range c.Params {
		b = appendString(separate(b, i), f.Key)
		b = append(b, ' ')
		if f.Value == nil {
			b = append(b, "NIL"...)
		} else {
			b = appendString(b, *f.Value)
		}
	}
	return append(b, ')')
}
