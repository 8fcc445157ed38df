package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/user"
	"strings"
	"time"

	"lockstep/internal/admin"
	"lockstep/internal/mail"
	"lockstep/internal/store/sqlstore"
)

type eraseCommand struct {
	Message eraseMessage `cmd:"" help:"Erase one message of an account."`
	Person  erasePerson  `cmd:"" help:"Erase all mail from and to an address, in some accounts or in all."`
	Account eraseAccount `cmd:"" help:"Erase an account with everything that is its own."`
	List    eraseList    `cmd:"" help:"List what was erased, and what is still under way."`
	Resume  eraseResume  `cmd:"" help:"Go on with what was cut short, or could not be finished."`
	Show    eraseShow    `cmd:"" help:"Print the proof of an erasure again."`
	Verify  eraseVerify  `cmd:"" help:"Say whether a proof is genuine."`
}

// Help is what --help says below the flags.
func (*eraseCommand) Help() string {
	return `What is erased can't be brought back, by nobody: not by undo, not from the history, and not from the
configured backup, which is begun anew. To devices it is a deletion like any other. Each erasure shows
what it would take before it asks, and leaves a written proof.`
}

// asking is how an erasing asks, and where its proof goes.
type asking struct {
	Yes   bool   `help:"Do it without asking."`
	Look  bool   `help:"Show what would be erased, and change nothing."`
	Proof string `help:"Write the proof to this file, which must not be there. Default: it is printed." placeholder:"FILE"`
	By    string `help:"Who asked for it, as the proof is to say. Default: who runs this." placeholder:"NAME"`
}

type eraseMessage struct {
	Login   string   `arg:"" help:"The account; also one that was removed and is kept, or its number."`
	Mailbox string   `arg:"" help:"The mailbox; or the message's email id, which begins with E."`
	UID     mail.UID `arg:"" optional:"" help:"The message's UID in it."`
	asking
}

func (e *eraseMessage) Run(ctx context.Context, g *globals) error {
	q := admin.ToErase{Kind: "message", Logins: []string{e.Login}, Mailbox: e.Mailbox, UID: e.UID}
	if e.UID == 0 {
		q.Mailbox, q.Email = "", e.Mailbox
	}
	return e.run(ctx, g, q, "")
}

type erasePerson struct {
	Address string   `arg:"" help:"The person's address."`
	Account []string `help:"Only in this account; may be given several times. Default: in all, also those that were removed and are kept." placeholder:"LOGIN"`
	asking
}

func (e *erasePerson) Run(ctx context.Context, g *globals) error {
	return e.run(ctx, g, admin.ToErase{Kind: "person", Address: e.Address, Logins: e.Account}, "")
}

type eraseAccount struct {
	Login string `arg:"" help:"The account; also one that was removed and is kept, or its number."`
	asking
}

func (e *eraseAccount) Run(ctx context.Context, g *globals) error {
	return e.run(ctx, g, admin.ToErase{Kind: "account", Logins: []string{e.Login}}, e.Login)
}

// run shows, asks, erases and writes the proof. The answer asked for is the number of
// messages, unless it is given.
func (a *asking) run(ctx context.Context, g *globals, q admin.ToErase, answer string) error {
	q.By = a.by()
	return g.with(ctx, func(c *admin.Client) error {
		last, err := showDoomed(ctx, c, q)
		if err != nil {
			return err
		}
		if q.Expect = last.Total; answer == "" {
			answer = fmt.Sprint(last.Total)
		}
		if last.Total == 0 && q.Kind != "account" || a.Look {
			return nil
		}
		if !a.Yes {
			if err := confirm(fmt.Sprintf("There is no way back. Type %s to erase: ", answer), answer); err != nil {
				return err
			}
		}
		return a.erase(ctx, c, q)
	})
}

func (a *asking) by() string {
	if a.By != "" {
		return a.By
	}
	if name := os.Getenv("SUDO_USER"); name != "" {
		return name
	}
	if u, err := user.Current(); err == nil {
		return u.Username
	}
	return ""
}

// showDoomed shows what would be erased.
func showDoomed(ctx context.Context, c *admin.Client, q admin.ToErase) (last admin.Doomed, err error) {
	t, shown := newTable("ACCOUNT", "DATE", "FROM", "SUBJECT", "IN"), 0
	err = admin.EraseLook.Each(ctx, c, q, func(d admin.Doomed) error {
		if d.Login == "" {
			last = d
			return nil
		}
		where := strings.Join(d.Where, ", ")
		if where == "" {
			where = "(deleted, in the history)"
		}
		shown++
		who := d.Login
		if d.Kept {
			who += " (removed)"
		}
		t.row(who, d.Date.Local().Format("2006-01-02"), d.From, clip(d.Subject, 50), where)
		return nil
	})
	if err != nil {
		return last, err
	}
	if shown > 0 {
		if err := t.print(os.Stdout); err != nil {
			return last, err
		}
	}
	if more := last.Total - shown; more > 0 && shown > 0 {
		fmt.Printf("… and %d more.\n", more)
	}
	fmt.Printf("%s.\n", inWords(last.Total, "message"))
	for _, note := range last.Notes {
		fmt.Println(note)
	}
	return last, nil
}

// clip cuts a text to so many characters.
func clip(text string, most int) string {
	if r := []rune(text); len(r) > most {
		return string(r[:most-1]) + "…"
	}
	return text
}

func (a *asking) erase(ctx context.Context, c *admin.Client, q admin.ToErase) error {
	out, err := a.open()
	if err != nil {
		return err
	}
	line := &statusLine{}
	var last admin.Erasing
	err = admin.EraseDo.Each(ctx, c, q, func(e admin.Erasing) error {
		if last = e; e.Proof == nil {
			line.show(erasingWords(e))
		}
		return nil
	})
	line.clear()
	if err == nil {
		_, err = out.Write(last.Text)
	}
	if err := errors.Join(err, out.Close()); err != nil {
		return err
	}
	return sayErased(last, a.Proof)
}

// open opens what the proof is written to, before anything is erased.
func (a *asking) open() (io.WriteCloser, error) {
	if a.Proof == "" {
		return open{os.Stdout}, nil
	}
	return os.OpenFile(a.Proof, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
}

// open stays open.
type open struct{ io.Writer }

func (open) Close() error { return nil }

func erasingWords(e admin.Erasing) string {
	if e.Total > 0 {
		return fmt.Sprintf("%s: %d of %d", e.Stage, e.Done, e.Total)
	}
	return e.Stage
}

// sayErased says what became of an erasure; one that is not finished is an error.
func sayErased(e admin.Erasing, file string) error {
	p := e.Proof
	fmt.Fprintf(os.Stderr, "Erased %s. This is erasure %d.\n", inWords(p.Erased.Messages, "message"), p.Number)
	if file != "" {
		fmt.Fprintf(os.Stderr, "The proof is in %s; lockstep erase verify %[1]s looks at it.\n", file)
	}
	for _, what := range p.Pending {
		fmt.Fprintln(os.Stderr, "Still to be done:", what)
	}
	if len(p.Pending) > 0 {
		return fmt.Errorf("erasure %d is not finished: it goes on by itself each hour, or with lockstep erase resume", p.Number)
	}
	return nil
}

type eraseList struct{}

func (eraseList) Run(ctx context.Context, g *globals) error {
	return g.with(ctx, func(c *admin.Client) error {
		rows, err := admin.EraseList.All(ctx, c, admin.Nothing{})
		if err != nil {
			return err
		}
		if len(rows) == 0 {
			fmt.Println("Nothing was erased.")
			return nil
		}
		t := newTable("NO", "BEGUN", "WHAT", "ACCOUNTS", "MESSAGES", "BY", "")
		for _, r := range rows {
			state := ""
			if r.Open {
				state = "under way: " + strings.Join(r.Proof.Pending, "; ")
			}
			t.row(r.Number, r.Begun.Local().Format("2006-01-02 15:04"), r.Proof.Kind, len(r.Proof.Accounts), r.Proof.Erased.Messages, r.Proof.By, state)
		}
		return t.print(os.Stdout)
	})
}

type eraseResume struct{}

func (eraseResume) Run(ctx context.Context, g *globals) error {
	return g.with(ctx, func(c *admin.Client) error {
		line, n := &statusLine{}, 0
		var left error
		err := admin.EraseResume.Each(ctx, c, admin.Nothing{}, func(e admin.Erasing) error {
			if e.Proof == nil {
				line.show(erasingWords(e))
				return nil
			}
			n++
			line.clear()
			left = errors.Join(left, sayErased(e, ""))
			return nil
		})
		line.clear()
		if err == nil && n == 0 {
			fmt.Println("Nothing is under way.")
		}
		return errors.Join(err, left)
	})
}

type eraseShow struct {
	Number int64 `arg:"" help:"Its number, as erase list says it."`
}

func (s *eraseShow) Run(ctx context.Context, g *globals) error {
	return g.with(ctx, func(c *admin.Client) error {
		rows, err := admin.EraseList.All(ctx, c, admin.Nothing{})
		if err != nil {
			return err
		}
		for _, r := range rows {
			if r.Number == s.Number && len(r.Text) > 0 {
				_, err := os.Stdout.Write(r.Text)
				return err
			}
		}
		return fmt.Errorf("there is no proof of an erasure %d; see: lockstep erase list", s.Number)
	})
}

type eraseVerify struct {
	File string `arg:"" help:"The proof."`
	Who  string `help:"Say also whether it is about this address, or this account." placeholder:"ADDRESS"`
}

// maxProofFile bounds what is read of a file that is said to be a proof.
const maxProofFile = 1 << 20

func (v *eraseVerify) Run(ctx context.Context, g *globals) error {
	f, err := os.Open(v.File)
	if err != nil {
		return err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxProofFile))
	if err != nil {
		return err
	}
	return g.with(ctx, func(c *admin.Client) error {
		r, err := admin.EraseVerify.One(ctx, c, admin.ToVerify{Text: text, Who: v.Who})
		switch {
		case err != nil:
			return err
		case !r.Genuine:
			return errors.New("this is not a proof that this server sealed, or it was changed since")
		case v.Who != "" && !r.IsWho:
			return fmt.Errorf("the proof is genuine, but it is not about %s", v.Who)
		}
		fmt.Printf("Genuine: erasure %d, %s, finished %s.\n", r.Proof.Number, inWords(r.Proof.Erased.Messages, "message"), r.Proof.Finished.Local().Format("2006-01-02 15:04"))
		if !r.Known {
			fmt.Println("The server has a later version of it, or none: lockstep erase show", r.Proof.Number)
		}
		return nil
	})
}

// depths reaches what no verb of the store does.
type depths struct{ h *house }

// Scour implements admin.Depths.
func (d depths) Scour(ctx context.Context) (pages, written int64, err error) {
	s, err := d.h.db.Scour(ctx)
	return s.Pages, s.Written, err
}

// ForgetActor implements admin.Depths.
func (d depths) ForgetActor(ctx context.Context, login string, until time.Time) (int64, error) {
	return d.h.db.ForgetActor(ctx, login, "an erased account", until)
}

// Snapshots implements admin.Depths.
func (d depths) Snapshots() (int, error) {
	all, err := sqlstore.SnapshotsOf(d.h.path(databaseFile))
	return len(all), err
}

// DropSnapshots implements admin.Depths.
func (d depths) DropSnapshots() (int, error) {
	n, err := d.Snapshots()
	if err != nil || n == 0 {
		return 0, err
	}
	_, err = sqlstore.PruneSnapshots(d.h.path(databaseFile), time.Now(), true)
	return n, err
}

// Traces implements admin.Depths.
func (d depths) Traces(ctx context.Context, names []mail.BlobName) (int, int64, error) {
	return d.h.db.Traces(ctx, names)
}
