package sim

import (
	"bytes"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"lockstep/internal/eas/easclient"
	"lockstep/internal/eas/wbxml"
)

// phoned runs a test in a scene of five phones and one program; in the end all agree
// with the model.
func phoned(t *testing.T, do func(s *scene)) {
	home, leave := atHome(t)
	defer leave()
	synctest.Test(t, func(t *testing.T) {
		w, err := newWorld(t.Context(), from(10, NewPlan(1, 1, 5, 0)), home, Fault{}, synctest.Wait)
		if err != nil {
			t.Fatal(err)
		}
		s := &scene{w, t}
		do(s)
		w.settle(t.Context())
		w.end()
		if len(w.wrong) > 0 {
			t.Error(strings.Join(w.wrong, "\n"))
		}
	})
}

// The devices of such a scene.
const (
	handy   = 0 // 14.1, all mail
	tablet  = 1 // 16.1, in windows of three
	program = 4 // IMAP
)

func (s *scene) phone(i int) *easDevice { return s.devices[i].(*easDevice) }

// ask sends a command as it is.
func (s *scene) ask(d *easDevice, command string, in *wbxml.Element) *easclient.Answer {
	s.t.Helper()
	var b bytes.Buffer
	if err := wbxml.Encode(&b, in); err != nil {
		s.t.Fatal(err)
	}
	a, err := d.phone.Do(command, b.Bytes())
	if err != nil {
		s.t.Fatal(err)
	}
	return a
}

// A mail app that asks for all folders from zero at each pull to refresh, as Gmail's
// does, makes nobody start over: its folders' contents stay, and so do its own keys.
func TestAStormOfFolderSyncFromZeroHarmsNothing(t *testing.T) {
	phoned(t, func(s *scene) {
		d := s.phone(handy)
		s.arrive("a", "b")
		s.sync(handy, tablet)
		told := d.phone.Entries
		zero := wbxml.New(wbxml.FolderFolderSync, wbxml.Text(wbxml.FolderSyncKey, "0"))
		for range 500 {
			if a := s.ask(d, "FolderSync", zero); a.Code != 200 || a.Status() != "1" {
				s.t.Fatalf("HTTP %d, %s", a.Code, easclient.Short(a.Root))
			}
		}
		s.sync(handy, tablet)
		if d.phone.Resets > 0 || d.phone.Entries != told {
			s.t.Errorf("%d folders started over, %d items were told again", d.phone.Resets, d.phone.Entries-told)
		}
	})
}

// A phone that is woken, does not sync, and asks again at once is slowed down; when it
// syncs, it is woken at once again.
func TestAHotPingLoopIsSlowedDown(t *testing.T) {
	phoned(t, func(s *scene) {
		d := s.phone(handy)
		s.sync(handy)
		s.arrive("a")
		inbox := d.phone.Of(easclient.Inbox)
		wakes := 0
		for until := time.Now().Add(5 * time.Minute); time.Now().Before(until); wakes++ {
			if news, _ := s.ping(d, inbox); len(news.Folders) != 1 {
				s.t.Fatalf("after %d wakes a Ping tells nothing", wakes)
			}
		}
		if wakes < 3 || wakes > 30 {
			s.t.Errorf("%d wakes in five minutes", wakes)
		}
		s.sync(handy)
		call, err := d.phone.Ping(heartbeat, inbox)
		if err != nil {
			s.t.Fatal(err)
		}
		s.wait()
		s.arrive("b")
		began := time.Now()
		if news, err := d.phone.Heard(call); err != nil || len(news.Folders) != 1 || time.Since(began) > soon {
			s.t.Errorf("after it synced it is woken after %v: %v, %v", time.Since(began), news, err)
		}
	})
}

// ping waits for changes until there are some.
func (s *scene) ping(d *easDevice, f *easclient.Folder) (easclient.News, time.Duration) {
	s.t.Helper()
	began := time.Now()
	call, err := d.phone.Ping(heartbeat, f)
	if err != nil {
		s.t.Fatal(err)
	}
	news, err := d.phone.Heard(call)
	if err != nil {
		s.t.Fatal(err)
	}
	return news, time.Since(began)
}

// One message whose bytes are damaged keeps no other from coming, is not asked for
// again and again, and can be dealt with.
func TestAMessageThatCanNotBeReadBlocksNoPhone(t *testing.T) {
	phoned(t, func(s *scene) {
		s.devices = s.devices[:program] // which can't read the header either, and tries for ever
		s.arrive("a", "poison", "b")
		s.corrupt("poison")
		for _, i := range []int{handy, tablet} {
			d := s.phone(i)
			s.sync(i)
			inbox := d.phone.Of(easclient.Inbox)
			have := map[string]string{}
			for id, item := range inbox.Items {
				have[item.Token()] = id
			}
			if have["a"] == "" || have["b"] == "" {
				s.t.Fatalf("%s has %v", d.name, have)
			}
			told := d.phone.Entries
			s.sync(i)
			if d.phone.Entries != told {
				s.t.Errorf("%s is told again of %d", d.name, d.phone.Entries-told)
			}
			id, yes := have["poison"], true
			if id == "" || !strings.Contains(inbox.Items[id].Body, "damaged") {
				s.t.Fatalf("%s is not told that a message is damaged: %v", d.name, have)
			}
			d.phone.Change(inbox, id, easclient.Mark{Read: &yes})
			s.sync(i)
			s.want("poison", `INBOX \Seen`)
		}
	})
}

// Two phones made from one backup have one DeviceId. Each has keys of its own, so
// neither starts over, and what one does the other is told.
func TestTwoPhonesWithOneDeviceId(t *testing.T) {
	phoned(t, func(s *scene) {
		one, other := s.phone(handy), s.phone(tablet)
		other.phone.DeviceID, other.phone.Secret = one.phone.DeviceID, one.phone.Secret
		other.phone.DeviceType, other.touched, one.touched = one.phone.DeviceType, nil, nil
		s.arrive("a", "b", "c", "d")
		yes := true
		for i := range 10 {
			s.sync(handy, tablet)
			d, flag := one, easclient.Mark{Read: &yes}
			if i%2 == 1 {
				d, flag = other, easclient.Mark{Flagged: &yes}
			}
			inbox := d.phone.Of(easclient.Inbox)
			for id, item := range inbox.Items {
				if item.Token() == string(rune('a'+i%4)) {
					d.phone.Change(inbox, id, flag)
				}
			}
			s.arrive("more" + string(rune('a'+i)))
		}
		s.sync(handy, tablet, handy)
		if one.phone.Resets+other.phone.Resets > 0 {
			s.t.Errorf("they started %d and %d folders over", one.phone.Resets, other.phone.Resets)
		}
		s.want("a", `INBOX \Seen`)
		s.want("b", `INBOX \Flagged`)
	})
}
