package mail

import (
	"strings"
	"testing"
)

func mustFlags(t *testing.T, names string) Flags {
	t.Helper()
	f, err := NewFlags(strings.Fields(names)...)
	if err != nil {
		t.Fatalf("NewFlags(%s): %v", names, err)
	}
	return f
}

func TestNewFlagsKeepsOneSpellingOfEach(t *testing.T) {
	for _, tt := range []struct{ in, want string }{
		{``, ``},
		{`\seen \SEEN`, `\Seen`},
		{`\Draft \Answered`, `\Answered \Draft`},
		{`zebra Apple`, `Apple zebra`},
		{`work WORK Work`, `work`},
		{`$forwarded`, `$Forwarded`},
		{`nonjunk $JUNK`, `$Junk NonJunk`},
	} {
		if got := mustFlags(t, tt.in).String(); got != tt.want {
			t.Errorf("NewFlags(%q)\n got %q\nwant %q", tt.in, got, tt.want)
		}
	}
}

func TestNewFlagsRefusesWhatIsNoFlag(t *testing.T) {
	many := make([]string, MaxKeywords+1)
	for i := range many {
		many[i] = "k" + strings.Repeat("x", i)
	}
	for _, tt := range []struct {
		in   []string
		want Kind
	}{
		{[]string{`\Recent`}, Invalid},
		{[]string{`\Unheard`}, Invalid},
		{[]string{""}, Invalid},
		{[]string{"two words"}, Invalid},
		{[]string{"br(acket"}, Invalid},
		{[]string{"naïve"}, Invalid},
		{[]string{strings.Repeat("k", MaxKeywordBytes+1)}, Limit},
		{many, Limit},
	} {
		if _, err := NewFlags(tt.in...); err == nil || KindOf(err) != tt.want {
			t.Errorf("NewFlags(%.40q): got %v, want %v", tt.in, err, tt.want)
		}
	}
	if _, err := NewFlags(many[1:]...); err != nil {
		t.Errorf("%d keywords: %v", MaxKeywords, err)
	}
}

func TestEqualSetsAreEqualValues(t *testing.T) {
	a := mustFlags(t, `\Seen b`).Union(mustFlags(t, `a \Flagged`))
	b := mustFlags(t, `a b \Flagged \Seen \Draft`).Minus(mustFlags(t, `\Draft`))
	if a != b {
		t.Errorf("%v and %v differ", a, b)
	}
	if empty := a.Minus(a); empty != (Flags{}) || !empty.IsEmpty() {
		t.Errorf("a set minus itself is %v", empty)
	}
}

func TestFlagChangeApplies(t *testing.T) {
	for _, tt := range []struct {
		name, flags, add, remove string
		replace                  bool
		want                     string
	}{
		{"add", `\Seen`, `\Flagged x`, ``, false, `\Flagged \Seen x`},
		{"remove ignores case", `\Seen Work`, ``, `WORK \Draft`, false, `\Seen`},
		{"replace", `\Seen Work`, `\Draft`, ``, true, `\Draft`},
		{"replace keeps the spelling it had", `Work`, `WORK other`, ``, true, `other Work`},
		{"replace with nothing", `\Seen Work`, ``, ``, true, ``},
	} {
		c := FlagChange{Add: mustFlags(t, tt.add), Remove: mustFlags(t, tt.remove), Replace: tt.replace}
		if got := c.Apply(mustFlags(t, tt.flags)).String(); got != tt.want {
			t.Errorf("%s: got %q, want %q", tt.name, got, tt.want)
		}
	}
}
