package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/term"

	"lockstep/internal/admin"
	"lockstep/internal/backup"
	"lockstep/internal/store/sqlstore"
	"lockstep/internal/vfs"
)

type restoreCommand struct {
	restoreAccount

	From         string `help:"The backup. Default: backup.to; with --account, what the server itself still keeps." placeholder:"DIR|s3://BUCKET/PREFIX"`
	At           string `help:"The newest point that is not after this time; see lockstep backup list. Default: the newest. With --account the moment, such as \"yesterday 14:00\"." placeholder:"TIME"`
	Key          string `help:"The key file of the server that was backed up." placeholder:"FILE"`
	Recovery     string `help:"A file with the recovery code. Without this and --key it is asked for." placeholder:"FILE"`
	AcceptDamage bool   `help:"Go on without mail that is damaged or missing in the backup, and say how much that is."`
}

// Help is what --help says below the flags.
func (*restoreCommand) Help() string {
	return `Without --account it brings everything back into a new directory (--data), and changes nothing else: the backup is only read, and
a directory that holds anything is refused. Every byte is compared with what was backed up. Cut short,
the same command goes on. When it says that it is done, start the server on the directory: it notices
that it was restored, and numbers everything so that no device takes new mail for old. With --exact it is not
the point before --at that comes back but the moment itself: the point after it, with what came since taken
back in every account, as far as history reaches.

With --account it makes an account of the running server, or one mailbox, as it was: first it only says what
would change; with --apply it does it, as one act that lockstep undo takes back. With --from too, what is nowhere in
the account any more comes back out of the backup, however long ago it went.`
}

// restoredConfig is where the configuration that was in force is written.
const restoredConfig = "restored.toml"

// dataLayout is what a restore makes in a data directory.
var dataLayout = backup.Layout{Database: databaseFile, Packs: packDir, KeyFile: keyFile, Config: restoredConfig, Lock: lockFile}

func (r *restoreCommand) Run(ctx context.Context, g *globals) error {
	if r.Account != "" {
		return r.restoreAccount.run(ctx, g, r)
	}
	if err := r.restoreAccount.unasked(); err != nil {
		return err
	}
	if ended, err := r.goOn(ctx, g); ended || err != nil {
		return err
	}
	if r.Exact && r.At == "" {
		return errors.New("--exact is for one moment: say which with --at")
	}
	cfg, target, err := openBackup(ctx, g, r.From)
	if err != nil {
		return err
	}
	at, err := r.when(time.Now())
	if err != nil {
		return err
	}
	secret, err := readSecret(r.Key, r.Recovery)
	if err != nil {
		return err
	}
	repo, err := backup.Unlock(ctx, target, secret)
	if err != nil {
		return err
	}
	point, err := r.pick(ctx, repo, at)
	if err != nil {
		return err
	}
	sayTrust(repo)
	newest, err := repo.Newest(ctx, time.Time{})
	if err != nil {
		return err
	}
	fmt.Fprintf(os.Stderr, "Restoring everything as of %s%s into %s.\n", localTime(point.Time), ageText(point, newest, time.Now()), cfg.Data)
	line := &statusLine{}
	done, err := repo.Restore(ctx, point, cfg.Data, backup.RestoreOptions{
		Layout:       dataLayout,
		Rows:         sqlstore.EachBlob,
		Free:         vfs.Free,
		AcceptDamage: r.AcceptDamage,
		Also:         r.toEnd(at),
		Progress: line.throttled(func(p backup.RestoreProgress) string {
			return fmt.Sprintf("%s: %s of %s", p.Stage, bytesText(p.Done), bytesText(p.Total))
		}),
	})
	line.clear()
	if err != nil && ctx.Err() != nil {
		fmt.Fprintln(os.Stderr, "Interrupted. What was brought back is kept, and the same command goes on with it.")
	}
	if err != nil {
		return err
	}
	if err := sayRestored(cfg.Data, done); err != nil || !r.Exact {
		return err
	}
	return r.takeBack(ctx, g, cfg.Data, at)
}

// sayTrust says whether who has nothing but a recovery code can tell whose backup it is.
func sayTrust(repo *backup.Repo) {
	switch repo.Trust() {
	case backup.ByCode:
		fmt.Fprintln(os.Stderr, "The recovery code vouches for this backup: nobody else can have made what is in it.")
	case backup.Untold:
		fmt.Fprintf(os.Stderr, `Nobody can tell by this recovery code who made this backup: whoever can write to it could have. If the code
was written down with LOCKSTEP- before it, stop: this is not the backup that it was made for. Else compare
the fingerprint of the key file, %s, with the one that lockstep key show said, if you know it.
`, repo.Fingerprint())
	}
}

// ageText says how old a point is, and whether there are newer ones: who can write to a
// backup can remove the newest.
func ageText(p, newest backup.Point, now time.Time) string {
	age := now.Sub(p.Time)
	text := " (" + admin.Span(age) + " ago"
	if age < 0 {
		text = " (in the future, by the clock of this machine"
	}
	if p == newest {
		return text + ", the newest there is)"
	}
	return text + "; the newest is of " + localTime(newest.Time) + ")"
}

// when is the time asked for; zero is now.
func (r *restoreCommand) when(now time.Time) (time.Time, error) {
	if r.At == "" {
		return time.Time{}, nil
	}
	return parseWhen(r.At, now)
}

func sayRestored(data string, done backup.Restored) error {
	fmt.Printf("Restored everything as of %s: the database (%s) and %d stored messages and parts, in %s.\n", localTime(done.Point.Time),
		bytesText(int64(done.Manifest.Pages)*int64(done.Manifest.PageSize)), done.Blobs, done.Took.Round(time.Millisecond))
	fmt.Printf("The configuration it ran with is in %s.\nLook at it: lockstep doctor --data %s\nThen put it in the place of the old one, on the same disk, or start it where it is: lockstep serve --data %[2]s\n", filepath.Join(data, restoredConfig), data)
	if done.LostCount == 0 {
		return nil
	}
	return fmt.Errorf("%d stored messages or parts could not be brought back. Everything else is there: lockstep doctor --data %s names whose they are", done.LostCount, data)
}

// readSecret reads what opens a backup: a key file, a file with a recovery code, or what
// is typed.
func readSecret(key, recovery string) (backup.Secret, error) {
	switch {
	case key != "" && recovery != "":
		return backup.Secret{}, errors.New("--key or --recovery: one of them is enough")
	case key != "":
		text, err := os.ReadFile(key)
		return backup.Secret{KeyFile: text}, err
	case recovery != "":
		text, err := os.ReadFile(recovery)
		return backup.Secret{Recovery: string(text)}, err
	}
	code, err := askRecovery()
	return backup.Secret{Recovery: code}, err
}

// maxRecoveryLine bounds a recovery code that is typed.
const maxRecoveryLine = 1 << 10

func askRecovery() (string, error) {
	in := int(os.Stdin.Fd())
	if !term.IsTerminal(in) {
		text, err := io.ReadAll(io.LimitReader(os.Stdin, maxRecoveryLine))
		if strings.TrimSpace(string(text)) == "" {
			return "", errors.New("what opens the backup? Give --key with the key file, or --recovery with a file that has the recovery code")
		}
		return string(text), err
	}
	fmt.Fprint(os.Stderr, "Recovery code (LOCKSTEP-AGE-SECRET-KEY-1…): ")
	text, err := term.ReadPassword(in)
	fmt.Fprintln(os.Stderr)
	return string(text), err
}

// throttled shows what text says, now and then.
func (l *statusLine) throttled(text func(backup.RestoreProgress) string) func(backup.RestoreProgress) {
	var last time.Time
	return func(p backup.RestoreProgress) {
		if now := time.Now(); now.Sub(last) > 100*time.Millisecond {
			last = now
			l.show(text(p))
		}
	}
}
