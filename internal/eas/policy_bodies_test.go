package eas

import (
	"net/http"
	"strconv"
	"testing"

	"lockstep/internal/device"
	"lockstep/internal/eas/wbxml"
)

// What a policy keeps from devices they are not given, however they ask.
func TestAPolicyBoundsBodiesAndAttachments(t *testing.T) {
	mime := wbxml.Int(wbxml.AirSyncMIMESupport, 2)
	for name, c := range map[string]struct {
		policy device.Policy
		asked  []*wbxml.Element
		want   string // type and size of the body's data
	}{
		"nothing":                  {device.Policy{}, []*wbxml.Element{bodyOf(1, -1)}, "1 18"},
		"a bound on text":          {device.Policy{MaxBody: 4}, []*wbxml.Element{bodyOf(1, -1)}, "1 4 cut"},
		"less was asked":           {device.Policy{MaxBody: 10}, []*wbxml.Element{bodyOf(1, 4)}, "1 4 cut"},
		"more was asked":           {device.Policy{MaxBody: 4}, []*wbxml.Element{bodyOf(1, 10)}, "1 4 cut"},
		"a bound on HTML":          {device.Policy{MaxHTMLBody: 5}, []*wbxml.Element{bodyOf(2, -1)}, "2 5 cut"},
		"no HTML":                  {device.Policy{Forbid: []device.Feature{device.HTMLMail}}, []*wbxml.Element{bodyOf(2, -1)}, "1 18"},
		"no HTML, nothing wished":  {device.Policy{Forbid: []device.Feature{device.HTMLMail}}, nil, "1 18"},
		"no HTML, a bound on text": {device.Policy{Forbid: []device.Feature{device.HTMLMail}, MaxBody: 4}, []*wbxml.Element{bodyOf(2, -1)}, "1 4 cut"},
		"the whole message":        {device.Policy{}, []*wbxml.Element{mime, bodyOf(4, 5)}, "4 444 cut"},
		"no attachments":           {device.Policy{Forbid: []device.Feature{device.Attachments}}, []*wbxml.Element{mime, bodyOf(4, 5), bodyOf(1, -1)}, "1 18"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newTown(t)
			p := w.put("INBOX", letter)
			phone := w.under(c.policy).phone(v161)
			phone.provisions()
			e := phone.items(fetchItem(idOf(p), c.asked...))
			body := e.Child(wbxml.ItemsResponse).Child(wbxml.ItemsFetch).Child(wbxml.ItemsProperties).Child(wbxml.BaseBody)
			got := body.Get(wbxml.BaseType) + " " + strconv.Itoa(len(body.Get(wbxml.BaseData)))
			if body.Get(wbxml.BaseTruncated) == "1" {
				got += " cut"
			}
			if got != c.want {
				t.Errorf("got %s, want %s: %s", got, c.want, short(e))
			}
		})
	}
}

func TestAPolicyKeepsAttachmentsFromDevices(t *testing.T) {
	w := newTown(t)
	reference := fileReference(w.email(w.put("INBOX", letter)).EmailID, "2")
	for _, c := range []struct {
		policy device.Policy
		want   string
	}{
		{device.Policy{MaxAttachment: 9}, "1"}, {device.Policy{MaxAttachment: 8}, strconv.Itoa(itemsDenied)}, {device.Policy{Forbid: []device.Feature{device.Attachments}}, strconv.Itoa(itemsDenied)},
	} {
		w.under(c.policy)
		p := w.phone(v161)
		p.provisions()
		e := p.items(fetchFile(reference), fetchFile(reference, wbxml.Text(wbxml.ItemsRange, "0-1")))
		for f := range e.Child(wbxml.ItemsResponse).All(wbxml.ItemsFetch) {
			if got := f.Get(wbxml.ItemsStatus); got != c.want {
				t.Errorf("%+v: status %s, want %s", c.policy, got, c.want)
			}
		}
		old := w.phone(v121)
		old.provisions()
		want := http.StatusForbidden
		if c.want == "1" {
			want = http.StatusOK
		}
		if rec := old.post(old.query("GetAttachment")+"&AttachmentName="+reference, nil); rec.Code != want {
			t.Errorf("%+v by 12.1: HTTP %d, want %d", c.policy, rec.Code, want)
		}
	}
}
