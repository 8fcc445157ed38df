package eas

import (
	"lockstep/internal/eas/wbxml"
	"lockstep/internal/mail"
)

// wipe is the conversation with a device that is to remove what it holds (MS-ASPROV
// §3.2.5.1.2.2 and .3): whatever it asks, it is told so; it says that it does it, or
// that it can't, and then it is asked again.
func (q *request) wipe() (*answer, error) {
	if err := q.srv.provisions.again(q.deviceKey()); err != nil {
		return nil, err
	}
	directive, err := q.directive()
	if err != nil {
		return nil, err
	}
	if said := q.in.Child(directive); said != nil {
		status := said.Get(wbxml.ProvisionStatus)
		done := status == "1"
		if err := q.srv.Auth.WipeAnswered(q.ctx, q.sess, done, status); err != nil {
			return nil, err
		}
		if done {
			return provisionAnswer(provisionOK), nil
		}
		return provisionAnswer(provisionMalformed, wbxml.New(directive)), nil // 2: what Exchange says from 2013 on
	}
	if err := q.srv.Auth.WipeSent(q.ctx, q.sess); err != nil {
		return nil, err
	}
	return provisionAnswer(provisionOK, wbxml.New(directive)), nil
}

// directive is what the device is told. To remove an account alone is understood from
// 16.1 on; who does not understand it is kept out, and keeps what it has.
func (q *request) directive() (wbxml.Tag, error) {
	if q.sess.Device().Wipe().Scope == mail.WipeDevice {
		return wbxml.ProvisionRemoteWipe, nil
	}
	if q.version < v161 {
		return 0, fail(statusDeviceBlocked, "the device is to remove the account, which version %v has no word for", q.version)
	}
	return wbxml.ProvisionAccountOnlyRemoteWipe, nil
}
