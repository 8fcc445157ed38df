package mail

import "testing"

func TestUploadIDSurvivesItsSpelling(t *testing.T) {
	id := NewUploadID()
	if got, ok := ParseUploadID(id.String()); !ok || got != id {
		t.Errorf("%s was read as %v, %v", id, got, ok)
	}
	for _, bad := range []string{"", "U", id.String()[1:], "E" + id.String()[1:], id.String() + "A", "U" + id.String()[1:22] + "_", "U" + id.String()[1:22] + "!"} {
		if got, ok := ParseUploadID(bad); ok && got.String() != bad {
			t.Errorf("%q was read as %s", bad, got)
		}
	}
}

func TestAnUploadRemembersTheLastEmailsMadeOfIt(t *testing.T) {
	var u Upload
	for i := range MaxUploadEmails + 1 {
		before := u
		u.Made(EmailID{byte(i)})
		if len(before.Emails) > 0 && before.Emails[0] != (EmailID{}) {
			t.Fatalf("an earlier copy changed: %v", before.Emails)
		}
	}
	if len(u.Emails) != MaxUploadEmails || u.Emails[0] != (EmailID{1}) || u.Emails[MaxUploadEmails-1] != (EmailID{MaxUploadEmails}) {
		t.Errorf("it remembers %v", u.Emails)
	}
}
