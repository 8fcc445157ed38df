package admin

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"lockstep/internal/backup"
	"lockstep/internal/mail"
	"lockstep/internal/upkeep"
)

// drillBytes is how much of the packs a drill reads that is not asked for all.
const drillBytes = 1 << 30

// DrillOf asks whether a backup would come back.
type DrillOf struct {
	From string // the target; "" is the configured one
	All  bool   // read all bytes of all messages
}

// DrillStep is how far a drill is, or what it found.
type DrillStep struct {
	Progress *backup.DrillProgress `json:",omitempty"`
	Result   *backup.Drilled       `json:",omitempty"` // comes last
}

// BackupDrill tries whether the newest point would come back.
var BackupDrill = Verb[DrillOf, DrillStep]{"backup/drill", (*Ops).drill}

func (o *Ops) drill(ctx context.Context, q DrillOf, emit func(DrillStep) error) error {
	if o.Backups == nil || o.DrillJob == nil {
		return mail.Errorf(mail.Unimplemented, "this server makes no backups")
	}
	var found backup.Drilled
	var last time.Time
	once := func(ctx context.Context) (string, error) {
		return o.DrillOnce(ctx, q, func(p backup.DrillProgress) {
			if now := time.Now(); now.Sub(last) >= progressEvery {
				last = now
				_ = emit(DrillStep{Progress: &p}) // who asked may be gone: then ctx ends
			}
		}, &found)
	}
	var err error
	if q.From == "" || q.From == o.Backups.To {
		err = o.DrillJob.Once(ctx, once)
	} else { // of another backup nothing is remembered
		err = o.DrillJob.Alone(ctx, func(ctx context.Context) error { _, err := once(ctx); return err })
	}
	if err != nil && found.WrongAll == 0 {
		return err
	}
	return emit(DrillStep{Result: &found})
}

// DrillOnce makes a drill and says in a few words what it found. What is wrong with the
// backup is an error too.
func (o *Ops) DrillOnce(ctx context.Context, q DrillOf, tell func(backup.DrillProgress), found *backup.Drilled) (string, error) {
	target, err := o.Backups.Target(ctx, q.From)
	if err != nil {
		return "", err
	}
	key, err := o.KeyFile()
	if err != nil {
		return "", err
	}
	repo, err := backup.Unlock(ctx, target, backup.Secret{KeyFile: key})
	if err != nil {
		return "", err
	}
	how := o.Drill
	how.Progress, how.Bytes = tell, drillBytes
	if q.All {
		how.Bytes = 0
	}
	d, err := repo.Drill(ctx, how)
	if found != nil {
		*found = d
	}
	if err != nil {
		return "", err
	}
	if d.WrongAll > 0 {
		return "", errors.New(drillWrong(d))
	}
	return DrillText(d), nil
}

// DrillText says what a drill of a good backup saw.
func DrillText(d backup.Drilled) string {
	text := fmt.Sprintf("%s and %s of the point of %s agree", counted(d.Accounts, "account"), counted(d.Messages, "message"), d.Point)
	if d.Changed > 0 {
		text += fmt.Sprintf(" (%s changed since that was recorded, and agree page by page)", counted(d.Changed, "account"))
	}
	if d.Opened < d.Stored {
		return text + fmt.Sprintf("; of %d stored messages and parts, all of which are there, %d were opened", d.Stored, d.Opened)
	}
	return text + fmt.Sprintf("; all %d stored messages and parts were opened", d.Stored)
}

// drillWrong says what is wrong with a backup.
func drillWrong(d backup.Drilled) string {
	text := strings.Join(d.Wrong[:min(len(d.Wrong), 3)], "; ")
	if d.WrongAll > 3 {
		text += fmt.Sprintf("; and %d more", d.WrongAll-3)
	}
	return text
}

// BackupText says what a backup moved.
func BackupText(r backup.Result) string {
	text := fmt.Sprintf("the point of %s, for which %s in %s were sent", r.Point, counted(r.Sent.Bytes, "byte"), counted(r.Sent.Objects, "object"))
	if n := len(r.Damaged); n > 0 {
		text += fmt.Sprintf("; %d stored messages or parts are damaged here, and in it: run lockstep doctor", n)
	}
	return text
}

// noteBackup notes a backup that was made by hand to the configured target.
func (o *Ops) noteBackup(to string, began time.Time, r backup.Result) {
	if o.BackupJob != nil && (to == "" || to == o.Backups.To) {
		o.BackupJob.Note(began, BackupText(r), nil)
	}
}

// BackupStanding is how backups and drills stand.
type BackupStanding struct {
	To            string // "": none are configured
	Backup, Drill upkeep.JobStatus
	Follow        *Shipped `json:",omitempty"` // nil: what changes is not shipped all the time
	Missing       bool     `json:",omitempty"` // none was made, here or of whoever was restored here
}

// Shipped says how far the backup follows the server.
type Shipped struct {
	Lag     time.Duration // how old the oldest change is that is not in it, at most
	Failing time.Time     // since when it is not reached; zero: it is
	Err     string
}

// BackupStatus asks how backups and drills stand.
var BackupStatus = Verb[Nothing, BackupStanding]{"backup/status", func(o *Ops, ctx context.Context, _ Nothing, emit func(BackupStanding) error) error {
	if o.Backups == nil || o.BackupJob == nil {
		return mail.Errorf(mail.Unimplemented, "this server makes no backups")
	}
	s, err := o.standing(ctx)
	if err != nil {
		return err
	}
	return emit(s)
}}

func (o *Ops) standing(ctx context.Context) (BackupStanding, error) {
	s := BackupStanding{To: o.Backups.To, Backup: o.BackupJob.Status(), Drill: o.DrillJob.Status()}
	if s.To == "" {
		return s, nil
	}
	f, err := o.Backups.Following(ctx, "")
	if err == nil && f != nil {
		st := f.Status()
		s.Follow = &Shipped{Lag: st.Lag, Failing: st.Failing}
		if st.Err != nil {
			s.Follow.Err = st.Err.Error()
		}
	}
	if err == nil && s.Backup.Began.IsZero() {
		begun, errBegun := o.Backups.Begun(ctx)
		s.Missing = !begun && errBegun == nil // that it can't be reached is found out by making one
	}
	return s, err
}

// line says how far the backup follows.
func (s *Shipped) line(now time.Time) StandingLine {
	if s.Failing.IsZero() {
		return StandingLine{Text: fmt.Sprintf("Following: all but the last %s is in the backup.", max(s.Lag, 0).Round(time.Second/10))}
	}
	return StandingLine{Wrong: true, Text: fmt.Sprintf("Following: the backup is not reached since %s: %s What changed since is here only; it is shipped as soon as the backup is reached again", strings.TrimSuffix(Ago(now.Sub(s.Failing)), " ago"), sentence(s.Err)) + "."}
}

// A StandingLine says how something stands; wrong is what somebody has to see to.
type StandingLine struct {
	Text  string
	Wrong bool
}

// Lines say how backups and drills stand, in a line each.
func (s BackupStanding) Lines(now time.Time) []StandingLine {
	if s.To == "" && s.Backup.Began.IsZero() {
		return []StandingLine{{Text: "Backup: none is configured. Name a place on another disk or machine, [backup] to = \"/mnt/backup\" in the configuration, and run lockstep backup once: it shows the recovery code. From then on the server makes one a day."}}
	}
	lines := []StandingLine{jobLine("Backup", s.Backup, now, "no backup was made yet: run lockstep backup", "lockstep backup tries it now, and says more")}
	if s.Follow != nil {
		lines = append(lines, s.Follow.line(now))
	}
	if s.Missing && s.Backup.Since.IsZero() {
		lines[0].Wrong = true // somebody counts on it
	}
	if !s.Backup.Began.IsZero() || s.Drill.Times > 0 {
		lines = append(lines, jobLine("Drill", s.Drill, now, "none was made yet: lockstep backup drill tries whether the backup would come back", "if it is the backup that is damaged, make a whole new one with lockstep backup --fresh, and find out what became of the disk"))
	}
	return lines
}

// sentence ends a text as one.
func sentence(text string) string {
	if strings.HasSuffix(text, ".") || strings.HasSuffix(text, "?") || strings.HasSuffix(text, "!") {
		return text
	}
	return text + "."
}

// overdue is how many times the time between two may pass before somebody has to see
// to it.
const overdue = 2

// jobLine says how a job stands.
func jobLine(name string, j upkeep.JobStatus, now time.Time, never, remedy string) StandingLine {
	l := StandingLine{Text: name + ": "}
	switch {
	case j.Times > 0:
		l.Wrong = true
		failed := "the last one"
		if j.Times > 1 {
			failed = fmt.Sprintf("the last %d", j.Times)
		}
		l.Text += fmt.Sprintf("%s failed, %s: %s ", failed, Ago(now.Sub(j.Failed)), sentence(j.Err))
		if !j.Began.IsZero() {
			l.Text += "The last good one was " + Ago(now.Sub(j.Ended)) + ". "
		} else {
			l.Text += "There was never a good one. "
		}
		l.Text += "What to do: " + remedy
	case j.Began.IsZero():
		l.Text += never
	default:
		l.Text += "the last was made " + Ago(now.Sub(j.Ended)) + ": " + strings.TrimSuffix(j.Said, ".")
		if l.Wrong = j.Every > 0 && now.Sub(j.Began) > overdue*j.Every && j.Since.IsZero(); l.Wrong {
			l.Text += fmt.Sprintf("; it is overdue, as one is wanted every %s: the server has to be running for that", Span(j.Every))
		}
	}
	switch {
	case !j.Since.IsZero():
		l.Text += fmt.Sprintf("; one is under way since %s", Span(now.Sub(j.Since)))
	case j.Next.After(now):
		l.Text += "; the next in " + Span(j.Next.Sub(now))
	}
	l.Text += "."
	return l
}

// backedUp tells how backups and drills stand.
func (x *examination) backedUp(ctx context.Context, accounts int) error {
	if x.o.Backups == nil || x.o.BackupJob == nil {
		return nil
	}
	s, err := x.o.standing(ctx)
	if err != nil {
		return x.found("", false, "Backup: %v", err)
	}
	for _, l := range s.Lines(time.Now()) {
		if l.Wrong && x.q.Login == "" {
			if err := x.found("", false, "%s", l.Text); err != nil {
				return err
			}
			continue
		}
		if err := x.emit(Finding{Note: l.Text, Accounts: accounts, Messages: x.messages}); err != nil {
			return err
		}
	}
	return nil
}
