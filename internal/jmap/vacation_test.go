package jmap

import (
	"fmt"
	"strings"
	"testing"

	"lockstep/internal/delivery"
	"lockstep/internal/mail"
	"lockstep/internal/store"
)

func (w *town) vacation() (v mail.Vacation) {
	w.T.Helper()
	err := w.Store.View(w.T.Context(), w.alice.Account, func(r store.Reader) (err error) {
		v, err = delivery.Vacation(r)
		return err
	})
	if err != nil {
		w.T.Fatal(err)
	}
	return v
}

func TestTheVacationIsTheOneOfAllProtocols(t *testing.T) {
	w := newTown(t)
	var got getAnswer
	w.call("VacationResponse/get", `{"accountId":"$ACCOUNT","ids":null}`, &got)
	if s := fmt.Sprint(got.List); s != "[map[fromDate:<nil> htmlBody:<nil> id:singleton isEnabled:false subject:<nil> textBody:<nil> toDate:<nil>]]" {
		t.Error(s)
	}
	x := w.listen(false)
	l := x.events("types=VacationResponse&closeafter=no&ping=0")
	out, _ := w.set("VacationResponse/set", `"update":{"singleton":{"isEnabled":true,"textBody":"away","subject":"Away","fromDate":"2026-11-22T00:00:00Z","toDate":"2026-11-30T00:00:00Z"}}`)
	if _, ok := out.Updated["singleton"]; !ok || out.OldState != got.State || out.NewState == got.State {
		t.Fatalf("%+v %v", out, out.NotUpdated["singleton"])
	}
	if states := l.states(w.account); states["VacationResponse"] != out.NewState {
		t.Errorf("told %v, the state is %s", states, out.NewState)
	}
	v := w.vacation()
	if !v.Enabled || v.Subject != "Away" || v.Unknown.Text != "away" || v.Internal != v.Unknown || v.From.IsZero() || v.Until.IsZero() {
		t.Errorf("%+v", v)
	}
	v.Internal.Text = "at the sea" // as a phone can say it
	w.change(func(tx store.Tx) error { return delivery.SetVacation(tx, v) })
	w.set("VacationResponse/set", `"update":{"singleton":{"isEnabled":false,"toDate":null}}`)
	if v := w.vacation(); v.Enabled || v.Internal.Text != "at the sea" || v.Unknown.Text != "away" || !v.Until.IsZero() {
		t.Errorf("%+v", v)
	}
}

func TestWhatAVacationRefuses(t *testing.T) {
	w := newTown(t)
	for patch, want := range map[string]string{
		`{"fromDate":"2026-11-22T00:00:00Z","toDate":"2026-11-21T00:00:00Z"}`: "invalidProperties", `{"subject":"a\nb"}`: "invalidProperties", `{"id":"x"}`: "invalidProperties",
		`{"isEnabled":"yes"}`: "invalidProperties", `{"fromDate":"tomorrow"}`: "invalidProperties", `{"sound":1}`: "invalidProperties",
		`{"textBody":"` + strings.Repeat("x", mail.MaxMetadataBytes) + `"}`: "overQuota",
	} {
		out, _ := w.set("VacationResponse/set", `"update":{"singleton":`+patch+`}`)
		if e := out.NotUpdated["singleton"]; e == nil || e.Type != want {
			t.Errorf("%.80s: %+v, want %s", patch, e, want)
		}
	}
	out, _ := w.set("VacationResponse/set", `"create":{"a":{}},"destroy":["singleton"],"update":{"other":{}}`)
	if out.NotCreated["a"].Type != "singleton" || out.NotDestroyed["singleton"].Type != "singleton" || out.NotUpdated["other"].Type != "notFound" {
		t.Errorf("%+v", out)
	}
}
