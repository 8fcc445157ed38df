package eas

import (
	"slices"

	"lockstep/internal/device"
	"lockstep/internal/eas/wbxml"
	"lockstep/internal/mail"
	"lockstep/internal/message/render"
)

// bodyOptions reads what an Options element says of bodies, as far as the policy lets
// it through.
func (q *request) bodyOptions(options *wbxml.Element) (bodyOptions, bool, error) {
	o, ok, err := q.version.parseBodyOptions(options)
	o.within(q.policy)
	return o, ok, err
}

// within keeps the options to what a policy lets through. Where attachments are
// forbidden no whole message is given either, as they are in it.
func (o *bodyOptions) within(p device.Policy) {
	if n, bounded := p.BodyBound(false); bounded {
		o.textCap = n
	}
	if n, bounded := p.BodyBound(true); bounded {
		o.htmlCap = n
	}
	if p.Forbids(device.Attachments) {
		o.mimeSupport = 0
	}
	if !p.Forbids(device.HTMLMail) {
		return
	}
	is := func(t render.Type) func(bodyPreference) bool {
		return func(b bodyPreference) bool { return b.typ == int(t) }
	}
	o.part = nil
	o.preferences = slices.DeleteFunc(o.preferences, is(render.HTML))
	if !slices.ContainsFunc(o.preferences, is(render.Text)) {
		o.preferences = append(o.preferences, bodyPreference{typ: int(render.Text), limit: -1})
	}
}

// mayFetch is Denied for an attachment that the policy keeps from devices.
func (q *request) mayFetch(bytes int64) error {
	if q.policy.MayFetchAttachment(bytes) {
		return nil
	}
	return mail.Errorf(mail.Denied, "the policy %s does not give this attachment to devices", q.policyName)
}
