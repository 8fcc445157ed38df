package mail

import (
	"bytes"
	"encoding/json"
	"strings"
	"time"
	"unicode/utf8"
)

// VacationEntry is the annotation of the account that holds its Vacation: so a
// change of it stands in the journal, can be undone, and is seen by whoever follows
// annotations (RFC 5464).
const VacationEntry = PrivateScope + "/vendor/lockstep/vacation"

// MaxVacationSubjectBytes bounds the subject of automatic answers. All of a Vacation
// has the bound of an annotation, MaxMetadataBytes.
const MaxVacationSubjectBytes = 512

// Vacation is what an account answers while its owner is away (RFC 5230, RFC 8621
// §8). JMAP and ActiveSync show it each in their own words.
type Vacation struct {
	Enabled bool      `json:"enabled"`
	From    time.Time `json:"from,omitzero"`  // zero: since ever
	Until   time.Time `json:"until,omitzero"` // zero: for ever; from then on there is no answer
	Subject string    `json:"subject,omitempty"`
	// What the three audiences of MS-ASCMD §2.2.3.118 hear: people here who share a
	// domain with the account; others who were written to; and all others.
	Internal VacationAnswer `json:"internal"`
	Known    VacationAnswer `json:"known"`
	Unknown  VacationAnswer `json:"unknown"`
}

// VacationAnswer is what one audience hears.
type VacationAnswer struct {
	Enabled bool   `json:"enabled"`
	Text    string `json:"text,omitempty"`
	HTML    string `json:"html,omitempty"`
}

// IsEmpty reports whether there is nothing to say.
func (a VacationAnswer) IsEmpty() bool { return !a.Enabled || a.Text == "" && a.HTML == "" }

// In reports whether answers are given at a moment.
func (v Vacation) In(now time.Time) bool {
	return v.Enabled && !now.Before(v.From) && (v.Until.IsZero() || now.Before(v.Until)) &&
		!(v.Internal.IsEmpty() && v.Known.IsEmpty() && v.Unknown.IsEmpty())
}

// Check is Invalid or Limit for what can't be kept.
func (v Vacation) Check() error {
	switch {
	case len(v.Subject) > MaxVacationSubjectBytes:
		return Errorf(Limit, "a subject has at most %d bytes", MaxVacationSubjectBytes)
	case strings.ContainsAny(v.Subject, "\r\n"):
		return Errorf(Invalid, "a subject is one line")
	case !v.From.IsZero() && !v.Until.IsZero() && !v.From.Before(v.Until):
		return Errorf(Invalid, "it would end before it begins")
	}
	for _, text := range []string{v.Subject, v.Internal.Text, v.Internal.HTML, v.Known.Text, v.Known.HTML, v.Unknown.Text, v.Unknown.HTML} {
		if !utf8.ValidString(text) || strings.ContainsRune(text, 0) {
			return Errorf(Invalid, "an answer is text")
		}
	}
	return nil
}

// vacationVersion is of the JSON.
const vacationVersion = 1

type vacationJSON struct {
	Version int `json:"version"`
	Vacation
}

// EncodeVacation writes the annotation's value.
func EncodeVacation(v Vacation) ([]byte, error) {
	if err := v.Check(); err != nil {
		return nil, err
	}
	v.From, v.Until = v.From.UTC(), v.Until.UTC()
	var b bytes.Buffer
	to := json.NewEncoder(&b)
	to.SetEscapeHTML(false) // it would make six bytes of one
	if err := to.Encode(vacationJSON{vacationVersion, v}); err != nil {
		return nil, err
	}
	value := bytes.TrimSuffix(b.Bytes(), []byte("\n"))
	if len(value) > MaxMetadataBytes {
		return nil, Errorf(Limit, "the texts have %d bytes; together they may have %d", len(value), MaxMetadataBytes)
	}
	return value, nil
}

// DecodeVacation reads the annotation's value; nil is that nothing was ever set. An
// owner can write anything there: what is no Vacation is Invalid.
func DecodeVacation(value []byte) (Vacation, error) {
	if value == nil {
		return Vacation{}, nil
	}
	var v vacationJSON
	if err := json.Unmarshal(value, &v); err != nil || v.Version != vacationVersion {
		return Vacation{}, Errorf(Invalid, "%s holds no automatic answer of version %d", VacationEntry, vacationVersion)
	}
	return v.Vacation, v.Vacation.Check()
}
