package mail

import "testing"

func TestRightsAreLetters(t *testing.T) {
	for _, tt := range []struct{ in, want, compatible, err string }{
		{"", "", "", ""},
		{"lrs", "lrs", "lrs", ""},
		{"rsl", "lrs", "lrs", ""},
		{"lrswida", "lrswitea", "lrswitead", ""},
		{"lrc", "lrkx", "lrkxc", ""},
		{"k", "k", "kc", ""},
		{"e", "e", "ed", ""},
		{"lrswipkxtea", "lrswipkxtea", "lrswipkxteacd", ""},
		{"lrQ", "", "", `there is no right 'Q'`},
		{"lr0", "", "", `there is no right '0'`},
		{"lré", "", "", `there is no right 'é'`},
	} {
		got, err := ParseRights(tt.in)
		if tt.err != "" {
			if err == nil || err.Error() != tt.err || KindOf(err) != Invalid {
				t.Errorf("%q: error %v, want %s", tt.in, err, tt.err)
			}
			continue
		}
		if err != nil || got.String() != tt.want || got.Compatible() != tt.compatible {
			t.Errorf("%q: %v (%s), %v; want %s (%s)", tt.in, got, got.Compatible(), err, tt.want, tt.compatible)
		}
	}
}

func TestRightsAddUpWithAnyones(t *testing.T) {
	grants := []Grant{{Principal: Anyone, Rights: MayLookup}, {Principal: 7, Rights: MayRead}, {Principal: 8, Rights: AllRights}}
	if got := RightsOf(grants, 7); got.String() != "lr" {
		t.Errorf("7 may %s", got)
	}
	if got := RightsOf(grants, 9); got != MayLookup {
		t.Errorf("9 may %s", got)
	}
	if RightsOf(nil, 7).Visible() || !MayInsert.Visible() || MaySee.Visible() || MayExpunge.Visible() {
		t.Error("what may be asked for")
	}
}

// A STORE does what its maker may and leaves the rest alone (RFC 4314 §4).
func TestFlagChangesAreNarrowedToRights(t *testing.T) {
	was := mustFlags(t, `\Seen \Answered blue`)
	for _, tt := range []struct {
		rights, add, remove string
		replace             bool
		want                string
		some                bool
	}{
		{"swt", `\Flagged`, ``, false, `\Answered \Flagged \Seen blue`, true},
		{"swt", `\Draft red`, ``, true, `\Draft red`, true},
		{"s", `\Flagged \Deleted`, ``, false, `\Answered \Seen blue`, false},
		{"t", `\Flagged \Deleted`, ``, false, `\Answered \Deleted \Seen blue`, true},
		{"s", ``, `\Seen blue`, false, `\Answered blue`, true},
		{"w", ``, `\Seen blue`, false, `\Answered \Seen`, true},
		{"w", ``, `\Seen`, false, `\Answered \Seen blue`, false},
		{"", `\Seen`, ``, false, `\Answered \Seen blue`, false},
		{"", ``, ``, true, `\Answered \Seen blue`, false},
		{"", ``, ``, false, `\Answered \Seen blue`, true},
		{"w", ``, ``, true, `\Seen`, true},
		{"st", `\Deleted red`, ``, true, `\Answered \Deleted blue`, true},
		{"wt", `\Deleted red`, ``, true, `\Deleted \Seen red`, true},
		{"sw", `\Deleted red`, ``, true, `red`, true},
	} {
		r, _ := ParseRights(tt.rights)
		c := FlagChange{Add: mustFlags(t, tt.add), Remove: mustFlags(t, tt.remove), Replace: tt.replace}
		got, some := c.Permitted(r)
		if f := got.Apply(was); f.String() != tt.want || some != tt.some {
			t.Errorf("%q may, add (%s) remove (%s) replace %v: (%s) %v, want (%s) %v", tt.rights, tt.add, tt.remove, tt.replace, f, some, tt.want, tt.some)
		}
	}
}

func FuzzParseRights(f *testing.F) {
	for _, s := range []string{"", "lrswipkxtea", "cd", "+l", "é", "LR"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		r, err := ParseRights(s)
		if err != nil {
			return
		}
		if again, err := ParseRights(r.Compatible()); err != nil || again&r != r {
			t.Errorf("%q is %s, and again %s, %v", s, r, again, err)
		}
		text, _ := r.MarshalText()
		var back Rights
		if err := back.UnmarshalText(text); err != nil || back != r {
			t.Errorf("%q by text is %s, %v", s, back, err)
		}
	})
}
