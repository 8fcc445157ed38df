package mail

import "testing"

func TestPreferencesAreCheckedByNameAndValue(t *testing.T) {
	for _, c := range []struct {
		name  Preference
		value string
		ok    bool
	}{
		{POP3Delete, ToTrash, true}, {POP3Delete, ForGood, true}, {POP3Delete, "", true}, {POP3Delete, "Trash", false}, {POP3Delete, GuardHold, false},
		{Guard, GuardOff, true}, {"guards", "", false}, {"", "", false},
	} {
		err := c.name.Check(c.value)
		if (err == nil) != c.ok || err != nil && KindOf(err) != Invalid {
			t.Errorf("%s=%s: %v", c.name, c.value, err)
		}
	}
	for _, p := range Preferences() {
		if err := p.Check(p.Default()); err != nil || p.Default() == "" {
			t.Errorf("the default of %s is %q: %v", p, p.Default(), err)
		}
	}
}
