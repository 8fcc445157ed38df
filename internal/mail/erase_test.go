package mail

import (
	"encoding/json"
	"testing"
)

func TestWhatIsErasedIsEffaced(t *testing.T) {
	set := func(text string) UIDSet {
		s, err := ParseUIDSet(text)
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	gone := map[MailboxID]UIDSet{3: set("2:4")}
	for _, c := range []struct {
		name    string
		entry   Entry
		want    string
		changed bool
	}{
		{"flags of some", Entry{Op: OpFlags, Mailbox: 3, UIDs: set("1:5"), Added: []string{"secret"}},
			`[{"op":"erased","mb":3,"uids":"2:4"},{"op":"flags","mb":3,"uids":"1,5","add":["secret"]}]`, true},
		{"an annotation of one", Entry{Op: OpAnnotate, Mailbox: 3, UIDs: set("3"), Name: "/comment", New: []byte("secret")}, `[{"op":"erased","mb":3,"uids":"3"}]`, true},
		{"flags elsewhere", Entry{Op: OpFlags, Mailbox: 4, UIDs: set("2"), Added: []string{"x"}}, `[{"op":"flags","mb":4,"uids":"2","add":["x"]}]`, false},
		{"an arrival", Entry{Op: OpAppend, Mailbox: 3, UIDs: set("2")}, `[{"op":"append","mb":3,"uids":"2"}]`, false},
		{"an object", Entry{Op: OpObject, Type: TypeSubmission, Object: 9, New: []byte("secret")}, `[{"op":"erased","type":8,"object":9}]`, true},
		{"another object", Entry{Op: OpObject, Type: TypeSubmission, Object: 8, New: []byte("x")}, `[{"op":"object","new":"eA==","type":8,"object":8}]`, false},
	} {
		left, changed := Effaced([]Entry{c.entry}, gone, map[ObjectID]bool{9: true})
		text, err := json.Marshal(left)
		if err != nil || string(text) != c.want || changed != c.changed {
			t.Errorf("%s: %s (%v), %v\nwant %s (%v)", c.name, text, changed, err, c.want, c.changed)
		}
		if _, again := Effaced(left, gone, map[ObjectID]bool{9: true}); again {
			t.Errorf("%s: a second time there is something yet", c.name)
		}
	}
}

func TestSetsHaveWhatIsCommonAndTheRest(t *testing.T) {
	for _, c := range [][4]string{{"1:10", "3:4,8", "3:4,8", "1:2,5:7,9:10"}, {"1:3", "5", "", "1:3"}, {"", "1", "", ""}, {"5,7,9", "1:4294967295", "5,7,9", ""}, {"2:4,6:8", "4:6", "4,6", "2:3,7:8"}} {
		a, _ := ParseUIDSet(c[0])
		b, _ := ParseUIDSet(c[1])
		if got := a.Common(b).String(); got != c[2] {
			t.Errorf("%s and %s: %s, want %s", c[0], c[1], got, c[2])
		}
		if got := a.Without(b).String(); got != c[3] {
			t.Errorf("%s without %s: %s, want %s", c[0], c[1], got, c[3])
		}
	}
}
