package imap

import (
	"lockstep/internal/imap/wire"
	"lockstep/internal/message"
)

// sayEnvelope writes envelope (RFC 9051 §7.5.2).
func sayEnvelope(e *wire.Encoder, v *message.Envelope) {
	e.Open()
	sayField(e, v, v.Date, message.DateField)
	sayField(e, v, v.Subject, message.SubjectField)
	sayAddresses(e, v.From)
	sayAddresses(e, v.SenderOrFrom())
	sayAddresses(e, v.ReplyToOrFrom())
	sayAddresses(e, v.To)
	sayAddresses(e, v.Cc)
	sayAddresses(e, v.Bcc)
	sayField(e, v, v.InReplyTo, message.InReplyToField)
	sayField(e, v, v.MessageID, message.MessageIDField)
	e.Close()
}

// sayField writes NIL for a field that is absent, and "" for one that is blank.
func sayField(e *wire.Encoder, v *message.Envelope, text string, which message.Fields) {
	if v.Blank&which != 0 {
		e.String("")
		return
	}
	e.NonEmpty(text)
}

func sayAddresses(e *wire.Encoder, list []message.Address) {
	if len(list) == 0 {
		e.NIL()
		return
	}
	e.Open()
	for _, a := range list {
		e.Tight().Address(a.Name, a.Route, a.Mailbox, a.Host)
	}
	e.Close()
}

// sayStructure writes body (RFC 9051 §7.5.2): BODYSTRUCTURE if extended, else BODY.
func sayStructure(e *wire.Encoder, p *message.Part, extended bool) {
	e.Open()
	if p.IsMultipart() {
		for _, c := range p.Parts {
			sayStructure(e.Tight(), c, extended)
		}
		e.String(p.Subtype)
		if extended {
			sayParams(e, p.Params)
		}
	} else {
		sayLeaf(e, p, extended)
	}
	if extended {
		sayDisposition(e, p)
		sayLanguages(e, p.Language)
		e.NonEmpty(p.Location)
	}
	e.Close()
}

func sayLeaf(e *wire.Encoder, p *message.Part, extended bool) {
	e.String(p.Type).String(p.Subtype)
	sayParams(e, p.Params)
	e.NonEmpty(p.ID).NonEmpty(p.Description).String(p.Encoding).Number(uint64(p.BodySize))
	if p.Message != nil {
		sayEnvelope(e, &p.Message.Envelope)
		sayStructure(e, p.Message.Root, extended)
	}
	if p.Message != nil || p.Type == "text" {
		e.Number(uint64(p.Lines))
	}
	if extended {
		e.NonEmpty(p.MD5)
	}
}

func sayParams(e *wire.Encoder, params []message.Param) {
	if len(params) == 0 {
		e.NIL()
		return
	}
	e.Open()
	for _, p := range params {
		e.String(p.Name).String(p.Value)
	}
	e.Close()
}

func sayDisposition(e *wire.Encoder, p *message.Part) {
	if p.Disposition == "" {
		e.NIL()
		return
	}
	e.Open().String(p.Disposition)
	sayParams(e, p.DispositionParams)
	e.Close()
}

// sayLanguages writes body-fld-lang: one as a string, several as a list.
func sayLanguages(e *wire.Encoder, languages []string) {
	switch len(languages) {
	case 0:
		e.NIL()
	case 1:
		e.String(languages[0])
	default:
		e.Open()
		for _, l := range languages {
			e.String(l)
		}
		e.Close()
	}
}
