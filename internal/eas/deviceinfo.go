package eas

import (
	"lockstep/internal/eas/wbxml"
	"lockstep/internal/mail"
	"lockstep/internal/store"
)

// Statuses of DeviceInformation in Provision (MS-ASCMD §2.2.3.177.15).
const (
	informationOK        = 1
	informationMalformed = 2
)

// noteDeviceInformation notes what a Set of DeviceInformation tells, in Settings or in
// Provision (MS-ASCMD §2.2.3.45); what it leaves out stays as it was. Phone number and
// serial number are not kept, as nobody here needs them; what the device calls its
// program it says with each request.
func (q *request) noteDeviceInformation(set *wbxml.Element) error {
	return q.tell(func(told *mail.Told) {
		for t, field := range map[wbxml.Tag]*string{
			wbxml.SettingsModel: &told.Model, wbxml.SettingsOS: &told.OS, wbxml.SettingsOSLanguage: &told.Language, wbxml.SettingsFriendlyName: &told.FriendlyName,
		} {
			if set.Has(t) {
				*field = wbxml.Clean(set.Get(t))
			}
		}
	})
}

// byTheWay notes what each request says of its device: kind, program and version. A
// write costs a sync, so it is made only when something changed, and seldom.
func (q *request) byTheWay() error {
	now := q.sess.Device().Told()
	q.says(&now)
	if now == q.sess.Device().Told() || !q.srv.provisions.mayTell(q.deviceKey()) {
		return nil
	}
	return q.tell(func(*mail.Told) {})
}

func (q *request) says(told *mail.Told) {
	told.Kind, told.Version = mail.Clip(wbxml.Clean(q.deviceType), mail.MaxToldBytes), q.version.String()
	if agent := wbxml.Clean(q.http.UserAgent()); agent != "" {
		told.UserAgent = mail.Clip(agent, mail.MaxToldBytes)
	}
}

// tell writes down what the device tells of itself, and what else belongs to it, unless
// that is known. Of who only tries the account out nothing is kept.
func (q *request) tell(change func(*mail.Told), also ...func(store.Notes) error) error {
	if q.trying() {
		return nil
	}
	id := q.sess.Device().ID
	var was mail.Told
	err := q.view(func(r store.Reader) error {
		d, err := r.Device(id)
		was = d.Told
		return err
	})
	if err != nil {
		return err
	}
	told := was
	q.says(&told)
	change(&told)
	if told = told.Clipped(); told == was && len(also) == 0 {
		return nil
	}
	return q.note(func(n store.Notes) error {
		for _, fn := range also {
			if err := fn(n); err != nil {
				return err
			}
		}
		return n.DeviceTold(id, told)
	})
}
