package delivery_test

import (
	"strings"
	"testing"
	"time"

	"lockstep/internal/delivery/deliverytest"
	"lockstep/internal/mail"
)

func TestTheAccountIsToldWhichDeviceWaits(t *testing.T) {
	h := deliverytest.New(t)
	p := h.Account("ann@example.test", 0, nil)
	d := mail.Device{ID: 42, Name: "Täles\r\nBcc: x", LastAddr: "192.0.2.1"}
	if err := h.Delivery.TellOfDevice(t.Context(), p.Account, d, time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)); err != nil {
		t.Fatal(err)
	}
	letters := h.Inbox(p.Account)
	if len(letters) != 1 {
		t.Fatalf("%d letters", len(letters))
	}
	for _, words := range []string{"To: <ann@example.test>", "Subject: =?utf-8?q?", "\"TälesBcc: x\"\r\n", "2 January 2026, 03:04 UTC", "192.0.2.1", "lockstep device allow ann@example.test 42\r\n", "lockstep device block ann@example.test 42\r\n"} {
		if !strings.Contains(letters[0], words) {
			t.Errorf("%q is missing in\n%s", words, letters[0])
		}
	}
	if strings.Contains(letters[0], "\nBcc:") {
		t.Error("a device's name made a header")
	}
	if err := h.Delivery.TellOfDevice(t.Context(), 1<<40, d, time.Now()); mail.KindOf(err) != mail.NotFound {
		t.Error(err)
	}
}

func TestTheAccountIsToldThatADeviceDidItsWipe(t *testing.T) {
	for scope, words := range map[mail.WipeScope]string{mail.WipeAccount: "removed this account", mail.WipeDevice: "erased all"} {
		h := deliverytest.New(t)
		p := h.Account("ann@example.test", 0, nil)
		d := mail.Device{ID: 42, Name: "phone", Wipe: mail.Wipe{Scope: scope, State: mail.WipeConfirmed}}
		if err := h.Delivery.TellOfDevice(t.Context(), p.Account, d, time.Now()); err != nil {
			t.Fatal(err)
		}
		letters := h.Inbox(p.Account)
		if len(letters) != 1 || !strings.Contains(letters[0], words) || !strings.Contains(letters[0], "lockstep device allow ann@example.test 42\r\n") {
			t.Errorf("%s: %q", scope, letters)
		}
	}
}
