package eas

import (
	"crypto/sha256"
	"fmt"
	"io"
	"slices"
	"time"

	"lockstep/internal/mail"
	"lockstep/internal/message/compose"
	"lockstep/internal/store"
)

// rememberSends is how long a device may ask again for what was sent: phones keep
// trying for a day.
const rememberSends = 48 * time.Hour

// key names an act of the device.
func (q *request) key(words ...string) string {
	h := sha256.New()
	fmt.Fprintf(h, "%d\x00%d\x00%q", q.account(), q.sess.Device().ID, q.deviceID)
	for _, w := range words {
		fmt.Fprintf(h, "\x00%q", w)
	}
	return "eas.send." + hexOf(h.Sum(nil))
}

// sendKey names the sending of a message: by its ClientId and what message it is,
// which its Message-ID and recipients say, without one its bytes. A device that uses
// a ClientId or a Message-ID again, for another message or to send one to somebody
// else, must not lose it: that is another act.
func (q *request) sendKey(ask sending, msg compose.Source) string {
	e := &msg.Message.Envelope
	to := compose.AddressList(slices.Concat(e.To, e.Cc, e.Bcc))
	id := msg.Message.ID
	if id == "" {
		h := sha256.New()
		if _, err := io.Copy(h, q.mime.reader()); err != nil {
			return q.key(ask.clientID, string(q.hash[:]))
		}
		id = hexOf(h.Sum(nil))
	}
	return q.key(ask.clientID, id, to)
}

// done reports whether the act was done before.
func (q *request) done(key string) (done bool, err error) {
	err = q.view(func(r store.Reader) error {
		_, err := r.Remembered(key)
		done = err == nil
		if mail.KindOf(err) == mail.NotFound {
			return nil
		}
		return err
	})
	return done, err
}

// isRepeat is done for the sending of messages: a second time is the fault of status
// 118 (MS-ASCMD §2.2.2), unless repeats are quiet.
func (q *request) isRepeat(key string) (bool, error) {
	again, err := q.done(key)
	if again && !q.srv.QuietRepeat && q.version >= v140 {
		err = fail(statusSent, "this message was sent before")
	}
	return again, err
}
