package notify

import (
	"bytes"
	"reflect"
	"testing"
	"time"

	"lockstep/internal/mail"
)

func TestNewsComeBackAsTheyWere(t *testing.T) {
	many := make([]mail.MailboxID, mail.MaxNewsMailboxes)
	for i := range many {
		many[i] = mail.MailboxID(i) << 40
	}
	for _, n := range []mail.News{
		{ModSeq: 1},
		{ModSeq: 1<<63 - 1, Types: ^mail.TypeSet(0), Device: 1<<63 - 1, Many: true, At: time.UnixMicro(1 << 50)},
		{ModSeq: 7, Types: 6, Mailboxes: many, Device: -1, At: time.UnixMicro(-1)},
		mail.LookNews(9, time.UnixMicro(5)),
	} {
		b := AppendNews(nil, n)
		got, ok := ParseNews(b)
		if !ok || !reflect.DeepEqual(got, n) {
			t.Errorf("%+v came back as %+v, %v", n, got, ok)
		}
		for i := range b {
			if _, ok := ParseNews(b[:i]); ok {
				t.Errorf("%x is understood, cut to %d bytes", b, i)
			}
		}
		if _, ok := ParseNews(append(b, 0)); ok {
			t.Errorf("%x is understood with something behind it", b)
		}
	}
	if _, ok := ParseNews(AppendNews(nil, mail.News{ModSeq: 1, Mailboxes: append(many, 1)})); ok {
		t.Error("more mailboxes than there may be are understood")
	}
	if n := len(AppendNews(nil, mail.News{ModSeq: 900_000, Types: 0x7f, Mailboxes: []mail.MailboxID{4711}, Device: 12, At: time.Now()})); n > 24 {
		t.Errorf("news of a delivery take %d bytes", n)
	}
}

func FuzzParseNews(f *testing.F) {
	f.Add([]byte{})
	f.Add(AppendNews(nil, mail.News{ModSeq: 900_000, Types: 0x7f, Mailboxes: []mail.MailboxID{4711, 5}, Device: 12, At: time.Now()}))
	f.Add(AppendNews(nil, mail.LookNews(9, time.Unix(5, 0))))
	f.Fuzz(func(t *testing.T, b []byte) {
		n, ok := ParseNews(b)
		if !ok {
			return
		}
		if len(n.Mailboxes) > mail.MaxNewsMailboxes {
			t.Errorf("%d mailboxes", len(n.Mailboxes))
		}
		again := AppendNews(nil, n)
		if m, ok := ParseNews(again); !ok || !reflect.DeepEqual(m, n) {
			t.Errorf("%+v became %+v", n, m)
		}
		if bytes.Equal(b, again) && len(b) > 200 {
			t.Errorf("%d bytes", len(b))
		}
	})
}

func TestTopicsOfAccounts(t *testing.T) {
	if a, ok := accountOf(topicOf(1 << 40)); !ok || a != 1<<40 {
		t.Errorf("%d, %v", a, ok)
	}
	for _, topic := range []string{"account", "account.", "account.0", "account.-1", "account.x", "accounts.1", "account.99999999999999999999"} {
		if a, ok := accountOf(topic); ok {
			t.Errorf("%s is account %d", topic, a)
		}
	}
}
