package auth

import (
	"strings"
	"testing"
)

func TestMessagesOfBearer(t *testing.T) {
	for message, want := range map[string]string{
		"n,a=alice@example.test,\x01host=mail.example.test\x01port=143\x01auth=Bearer abc\x01\x01": "alice@example.test abc",
		"n,,\x01auth=Bearer abc\x01\x01":           " abc",
		"y,,\x01auth=bearer abc=\x01\x01":          " abc=",
		"n,a=a=2Cb=3D,\x01auth=Bearer abc\x01\x01": "a,b= abc",
		"":                              "",
		"\x01":                          "",
		"n,,\x01auth=Bearer abc\x01":    "",
		"n,,\x01auth=Bearer \x01\x01":   "",
		"n,,\x01auth=Basic abc\x01\x01": "",
		"n,,\x01host=x\x01\x01":         "",
		"p=tls-unique,,\x01auth=Bearer abc\x01\x01":  "",
		"n,b=x,\x01auth=Bearer abc\x01\x01":          "",
		"n,a=,\x01auth=Bearer abc\x01\x01":           "",
		"n,a=x\x01auth=Bearer abc\x01\x01":           "",
		"\x00alice@example.test\x00a plain password": "",
	} {
		login, token, err := ParseBearer(message)
		if got := login + " " + token; err != nil && want != "" || err == nil && got != want {
			t.Errorf("%q: %q, %v, want %q", message, got, err, want)
		}
	}
}

func FuzzParseBearer(f *testing.F) {
	f.Add("n,a=alice@example.test,\x01host=mail.example.test\x01port=143\x01auth=Bearer abc\x01\x01")
	f.Add("n,,\x01auth=Bearer abc\x01\x01")
	f.Fuzz(func(t *testing.T, message string) {
		login, token, err := ParseBearer(message)
		if err != nil && (login != "" || token != "") || err == nil && token == "" {
			t.Errorf("%q, %q, %v", login, token, err)
		}
		if err != nil {
			return
		}
		again := "n,a=" + strings.NewReplacer(",", "=2C", "=", "=3D").Replace(login) + ",\x01auth=Bearer " + token + "\x01\x01"
		if login == "" {
			again = "n,,\x01auth=Bearer " + token + "\x01\x01"
		}
		if l, tok, err := ParseBearer(again); l != login || tok != token || err != nil {
			t.Errorf("%q comes back as %q, %q, %v", message, l, tok, err)
		}
	})
}
