package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"time"

	"lockstep/internal/admin"
	"lockstep/internal/mail"
)

type vacationCommand struct {
	Show vacationShow `cmd:"" help:"Show what an account answers while its owner is away."`
	Set  vacationSet  `cmd:"" help:"Answer for who is away, from now on or between two moments."`
	Off  vacationOff  `cmd:"" help:"Answer no longer. The texts stay."`
}

// audiences are those who hear different things.
var audiences = []struct {
	name, who string
	of        func(*mail.Vacation) *mail.VacationAnswer
}{
	{"internal", "people here who share a domain", func(v *mail.Vacation) *mail.VacationAnswer { return &v.Internal }},
	{"known", "others the account has written to", func(v *mail.Vacation) *mail.VacationAnswer { return &v.Known }},
	{"unknown", "everybody else", func(v *mail.Vacation) *mail.VacationAnswer { return &v.Unknown }},
}

type vacationShow struct {
	Login string `arg:"" help:"The account."`
}

func (s *vacationShow) Run(ctx context.Context, g *globals) error {
	return g.with(ctx, func(c *admin.Client) error {
		v, err := admin.VacationShow.One(ctx, c, admin.OfAccount{Login: s.Login})
		if err != nil {
			return err
		}
		fmt.Printf("%s: %s\n", s.Login, vacationState(v, time.Now()))
		fmt.Printf("Subject: %s\n", cmp.Or(v.Subject, "Auto: and the subject that is answered"))
		for _, a := range audiences {
			says := a.of(&v)
			if says.IsEmpty() {
				fmt.Printf("\nTo %s (%s): nothing\n", a.name, a.who)
				continue
			}
			form := "text"
			if says.Text == "" {
				form = "HTML"
			}
			fmt.Printf("\nTo %s (%s), as %s:\n%s\n", a.name, a.who, form, cmp.Or(says.Text, says.HTML))
		}
		return nil
	})
}

func vacationState(v mail.Vacation, now time.Time) string {
	const format = "2006-01-02 15:04"
	switch {
	case !v.Enabled:
		return "answers are off"
	case !v.Until.IsZero() && !now.Before(v.Until):
		return "answers ended " + v.Until.Local().Format(format)
	case now.Before(v.From):
		return "answers begin " + v.From.Local().Format(format)
	case v.Until.IsZero():
		return "answers are on"
	}
	return "answers are on until " + v.Until.Local().Format(format)
}

type vacationSet struct {
	Login   string    `arg:"" help:"The account."`
	From    time.Time `help:"When answers begin; without it, now." format:"2006-01-02" placeholder:"DATE"`
	Until   time.Time `help:"The first day without answers; without it, they go on until somebody turns them off." format:"2006-01-02" placeholder:"DATE"`
	Subject *string   `help:"The subject; without it, Auto: and the subject that is answered." placeholder:"TEXT"`
	Text    string    `help:"What to answer; - reads it from standard input." placeholder:"TEXT"`
	HTML    string    `help:"A file with the answer as HTML, beside the text or alone." type:"existingfile" placeholder:"FILE"`
	To      []string  `help:"Who hears it: internal, known, unknown; without it, all." enum:"internal,known,unknown" placeholder:"AUDIENCE"`
	Silent  []string  `help:"Who hears nothing." enum:"internal,known,unknown" placeholder:"AUDIENCE"`
}

func (s *vacationSet) Run(ctx context.Context, g *globals) error {
	says, err := s.answer()
	if err != nil {
		return err
	}
	return g.with(ctx, func(c *admin.Client) error {
		v, err := admin.VacationShow.One(ctx, c, admin.OfAccount{Login: s.Login})
		if err != nil {
			return err
		}
		s.apply(&v, says)
		if v.Internal.IsEmpty() && v.Known.IsEmpty() && v.Unknown.IsEmpty() {
			return errors.New("say what to answer: --text, or --html")
		}
		err = admin.VacationSet.Do(ctx, c, admin.SetVacation{Login: s.Login, Vacation: v})
		return said(err, "%s: %s. Nobody hears the same twice in a week.", s.Login, vacationState(v, time.Now()))
	})
}

// answer is what was given to say; empty is nothing new.
func (s *vacationSet) answer() (a mail.VacationAnswer, err error) {
	a.Text = s.Text
	if s.Text == "-" {
		text, err := io.ReadAll(io.LimitReader(os.Stdin, mail.MaxMetadataBytes+1))
		if err != nil {
			return a, err
		}
		a.Text = string(text)
	}
	if s.HTML != "" {
		html, err := os.ReadFile(s.HTML)
		if err != nil {
			return a, err
		}
		a.HTML = string(html)
	}
	a.Enabled = a.Text != "" || a.HTML != ""
	return a, nil
}

func (s *vacationSet) apply(v *mail.Vacation, says mail.VacationAnswer) {
	v.Enabled, v.From, v.Until = true, local(s.From), local(s.Until)
	if s.Subject != nil {
		v.Subject = *s.Subject
	}
	for _, a := range audiences {
		if says.Enabled && (len(s.To) == 0 || slices.Contains(s.To, a.name)) {
			*a.of(v) = says
		}
		if slices.Contains(s.Silent, a.name) {
			a.of(v).Enabled = false
		}
	}
}

// local is the midnight here that a date means.
func local(date time.Time) time.Time {
	if date.IsZero() {
		return date
	}
	return time.Date(date.Year(), date.Month(), date.Day(), 0, 0, 0, 0, time.Local)
}

type vacationOff struct {
	Login string `arg:"" help:"The account."`
}

func (o *vacationOff) Run(ctx context.Context, g *globals) error {
	return g.with(ctx, func(c *admin.Client) error {
		v, err := admin.VacationShow.One(ctx, c, admin.OfAccount{Login: o.Login})
		if err != nil {
			return err
		}
		v.Enabled = false
		err = admin.VacationSet.Do(ctx, c, admin.SetVacation{Login: o.Login, Vacation: v})
		return said(err, "%s: %s.", o.Login, vacationState(v, time.Now()))
	})
}
