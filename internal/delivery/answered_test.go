package delivery

import (
	"fmt"
	"testing"
	"time"

	"lockstep/internal/mail"
	"lockstep/internal/store"
	"lockstep/internal/store/model"
)

// inAccount runs fn in a transaction of a new account.
func inAccount(t *testing.T, fn func(tx store.Tx) error) {
	t.Helper()
	st := model.New()
	by := mail.NewOrigin("test", 0, mail.Local, mail.BySetup)
	p, err := st.CreateAccount(t.Context(), by, store.NewAccount{Login: "alice@example.test"})
	if err == nil {
		_, err = st.Update(t.Context(), p.Account, by, fn)
	}
	if err != nil {
		t.Fatal(err)
	}
}

func said(t *testing.T, what string, got, want bool, err error) {
	t.Helper()
	if err != nil || got != want {
		t.Errorf("%s: %v, %v; want %v", what, got, err, want)
	}
}

func TestAnAnswerIsOfOneRow(t *testing.T) {
	now := time.Unix(1_800_000_000, 0)
	m := newAnswered("dave@remote.test", "", mail.VacationAnswer{Text: "away"}, "one", now)
	again := newAnswered("dave@remote.test", "", mail.VacationAnswer{Text: "away"}, "two", now.Add(time.Hour))
	later := newAnswered("dave@remote.test", "", mail.VacationAnswer{Text: "away"}, "three", now.Add(answerAgainAfter))
	inAccount(t, func(tx store.Tx) error {
		owed, err := m.owe(tx)
		said(t, "first", owed, true, err)
		owed, err = m.owe(tx)
		said(t, "repeated before it was taken", owed, true, err)
		owed, err = again.owe(tx)
		said(t, "another message", owed, false, err)
		may, err := m.take(tx, 7)
		said(t, "taken", may, true, err)
		may, err = m.take(tx, 7)
		said(t, "tried again", may, true, err)
		may, err = m.take(tx, 8)
		said(t, "a row that came too late", may, false, err)
		owed, err = m.owe(tx)
		said(t, "repeated after it was taken", owed, false, err)
		owed, err = later.owe(tx)
		said(t, "a week later", owed, true, err)
		return nil
	})
}

func TestAnsweredHasABound(t *testing.T) {
	now := time.Unix(1_800_000_000, 0)
	inAccount(t, func(tx store.Tx) error {
		for i := range maxAnswered {
			m := answered{sender: uint64(i) * answeredShards, arrival: 1, at: now}
			owed, err := m.owe(tx)
			said(t, fmt.Sprint(i), owed, true, err)
		}
		one := answered{sender: maxAnswered * answeredShards, arrival: 1, at: now}
		owed, err := one.owe(tx)
		said(t, "one more", owed, false, err)
		one.at = now.Add(answerAgainAfter)
		owed, err = one.owe(tx)
		said(t, "when the others are forgotten", owed, true, err)
		return nil
	})
}

func TestKeysOfAnswersReadBack(t *testing.T) {
	m := newAnswered("dave@remote.test", "a", mail.VacationAnswer{}, "b", time.Time{})
	if got, ok := parseAnswered(m.key()); !ok || got.sender != m.sender || got.arrival != m.arrival {
		t.Errorf("%q: %+v", m.key(), got)
	}
	for _, key := range []string{"", "x", m.key()[2:], m.key() + "00"} {
		if _, ok := parseAnswered(key); ok {
			t.Errorf("%q was read", key)
		}
	}
}
