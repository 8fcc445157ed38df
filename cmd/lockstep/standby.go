package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"lockstep/internal/backup"
	"lockstep/internal/config"
	"lockstep/internal/mail"
	"lockstep/internal/store/sqlstore"
	"lockstep/internal/vfs"
)

// standbyOf is what both commands about a standby need to know.
type standbyOf struct {
	From         string `help:"The backup that the server is followed by. Default: the one it was told at first, else backup.to." placeholder:"DIR|s3://BUCKET/PREFIX"`
	Key          string `help:"The key file of the server. Default: the one in the standby, once it is there." placeholder:"FILE"`
	Recovery     string `help:"A file with the recovery code." placeholder:"FILE"`
	AcceptDamage bool   `help:"Go on without mail that is damaged or missing in the backup."`
}

type standbyCommand struct {
	standbyOf
	Every config.Duration `help:"How often the backup is asked for something new." default:"2s"`
	Once  bool            `help:"End when it is up to date."`
}

// Help is what --help says below the flags.
func (*standbyCommand) Help() string {
	return `Keeps a directory (--data, new at first) as the server is that ships to the backup (backup.follow, or
lockstep backup --follow), seconds behind it, until it is interrupted. It only reads the backup, and
serves nothing. Killed at any time, it goes on when it is started again. When the server is lost:
lockstep promote --data DIR.`
}

type promoteCommand struct {
	standbyOf
	AsItIs bool `help:"Do without what the backup may have that is not here yet: it can't be reached."`
	Force  bool `help:"Promote although the server seems to run."`
}

// Help is what --help says below the flags.
func (*promoteCommand) Help() string {
	return `Stop lockstep standby first, and be sure that the old server is gone or stopped. What the backup has is
still brought here, then the directory is a server's: start it. It notices that it took over, and
numbers everything so that no device takes new mail for old. Cut short, it is run again.`
}

// Bounds of the pauses after a failure.
const (
	standbyRetry    = 2 * time.Second
	standbyMaxRetry = time.Minute
)

// standbySays is how often the log says how far the standby is.
const standbySays = time.Minute

// open opens the directory of the standby.
func (o *standbyOf) open(cfg config.Config, log *slog.Logger) (*backup.Standby, error) {
	from := absolute(o.From)
	if from == "" && !backup.IsStandby(vfs.OS{}, cfg.Data) {
		if from = absolute(cfg.Backup.To); from == "" {
			return nil, errors.New("which server? Name the backup that it ships to with --from")
		}
	}
	return backup.OpenStandby(cfg.Data, standbyOptions(from, o.AcceptDamage, log))
}

func standbyOptions(from string, acceptDamage bool, log *slog.Logger) backup.StandbyOptions {
	return backup.StandbyOptions{
		RestoreOptions: backup.RestoreOptions{
			Layout:       backup.Layout{Packs: packDir, KeyFile: keyFile, Config: restoredConfig, Lock: lockFile},
			Rows:         sqlstore.EachBlob,
			AcceptDamage: acceptDamage,
		},
		From: from, Log: log,
	}
}

// secret is what opens the backup: what the flags name, else the key file in the standby.
func (o *standbyOf) secret(data string) (backup.Secret, error) {
	if o.Key == "" && o.Recovery == "" {
		key, err := os.ReadFile(filepath.Join(data, keyFile))
		if !errors.Is(err, fs.ErrNotExist) {
			return backup.Secret{KeyFile: key}, err
		}
	}
	return readSecret(o.Key, o.Recovery)
}

// unlock opens the backup that a standby follows.
func (o *standbyOf) unlock(ctx context.Context, cfg config.Config, s *backup.Standby, secret backup.Secret) (*backup.Repo, error) {
	target, err := openTarget(ctx, cfg.Backup, s.Target())
	if err != nil {
		return nil, err
	}
	repo, err := backup.Unlock(ctx, target, secret)
	if err == nil && s.At().IsZero() {
		sayTrust(repo)
	}
	return repo, err
}

func (c *standbyCommand) Run(ctx context.Context, g *globals) error {
	cfg, err := g.load()
	if err != nil {
		return err
	}
	if c.Every <= 0 {
		return errors.New("--every has to be longer than nothing")
	}
	log := newLogger(cfg.Log)
	s, err := c.open(cfg, log)
	if err != nil {
		return err
	}
	secret, err := c.secret(cfg.Data)
	if err == nil {
		f := &following{c: c, cfg: cfg, s: s, secret: secret, log: log}
		err = f.run(ctx)
	}
	return errors.Join(err, s.Close())
}

// following is a standby at work.
type following struct {
	c      *standbyCommand
	cfg    config.Config
	s      *backup.Standby
	secret backup.Secret
	log    *slog.Logger

	repo *backup.Repo
	line statusLine
	said time.Time
	lost bool // the backup can't be reached
}

// run follows until ctx ends, or what fails can't be waited for.
func (f *following) run(ctx context.Context) error {
	defer f.line.clear()
	for retry := standbyRetry; ; {
		wait := time.Duration(f.c.Every)
		done, err := f.sync(ctx)
		switch {
		case ctx.Err() != nil:
			f.line.clear()
			fmt.Fprintf(os.Stderr, "Ended. The standby is as of %s.\n", localTime(f.s.At()))
			return nil
		case err != nil && (f.c.Once || !passes(err)):
			return err
		case err != nil:
			f.line.clear()
			f.log.Warn("the standby can't be brought up to date; it is tried again", "err", err, "as_of", f.s.At().UTC().Format(time.RFC3339))
			f.lost, f.repo = true, nil
			wait, retry = retry, min(2*retry, standbyMaxRetry)
		default:
			retry = standbyRetry
			f.say(done)
			if f.c.Once {
				f.line.clear()
				fmt.Printf("The standby is as of %s.\n", localTime(done.At))
				return nil
			}
		}
		select {
		case <-ctx.Done():
		case <-time.After(wait):
		}
	}
}

// passes says that an error may be gone when it is tried again.
func passes(err error) bool {
	switch mail.KindOf(err) {
	case mail.Conflict, mail.Denied, mail.Invalid:
		return false
	}
	return true
}

func (f *following) sync(ctx context.Context) (done backup.Synced, err error) {
	if f.repo == nil {
		if f.repo, err = f.c.unlock(ctx, f.cfg, f.s, f.secret); err != nil {
			return done, err
		}
	}
	if f.s.At().IsZero() {
		f.line.show("Fetching everything …")
	}
	return f.s.Sync(ctx, f.repo)
}

// say says how far it is: on a terminal each time, in the log now and then.
func (f *following) say(done backup.Synced) {
	lag := max(0, time.Since(done.At)).Round(100 * time.Millisecond)
	f.line.show(fmt.Sprintf("As of %s, %s behind", localTime(done.At), lag))
	if done.Lost > 0 {
		f.line.clear()
		f.log.Error("mail is damaged or missing in the backup", "messages", done.Lost)
	}
	if f.lost || time.Since(f.said) >= standbySays {
		f.line.clear()
		f.log.Info("standby", "as_of", done.At.UTC().Format(time.RFC3339), "lag", lag.String())
		f.said, f.lost = time.Now(), false
	}
}

func (c *promoteCommand) Run(ctx context.Context, g *globals) error {
	cfg, err := g.load()
	if err != nil {
		return err
	}
	log := slog.New(slog.NewTextHandler(os.Stderr, nil))
	if !backup.IsStandby(vfs.OS{}, cfg.Data) {
		if err := mustExist(cfg.Data); err != nil {
			return fmt.Errorf("%s is no standby: %w", cfg.Data, err)
		}
		return fmt.Errorf("%s is no standby, but a server's already: start it with lockstep serve --data %[1]s", cfg.Data)
	}
	ended, err := backup.EndPromotion(cfg.Data, databaseFile, standbyOptions("", false, log))
	if err != nil {
		return err
	}
	if ended {
		return sayPromoted(cfg.Data, time.Time{}, 0)
	}
	s, err := c.open(cfg, log)
	if err != nil {
		return err
	}
	if !s.Promoting() {
		if err := c.catchUp(ctx, cfg, s); err != nil {
			return errors.Join(err, s.Close())
		}
	}
	at := s.At()
	lost, err := s.Promote(ctx, databaseFile)
	if err != nil {
		return errors.Join(err, s.Close())
	}
	return sayPromoted(cfg.Data, at, lost)
}

// catchUp takes what is still to be had, and the backup with it: the old server finds
// that it may not write there any more.
func (c *promoteCommand) catchUp(ctx context.Context, cfg config.Config, s *backup.Standby) error {
	err := c.takeAll(ctx, cfg, s)
	switch {
	case err == nil || !passes(err) || ctx.Err() != nil:
		return err
	case c.AsItIs:
		fmt.Fprintf(os.Stderr, "The backup can't be used (%v): promoting as it is here.\n", err)
		return nil
	}
	return fmt.Errorf("%w. What is here is of %s; to go on without what the backup may have since: lockstep promote --as-it-is --data %s", err, localTime(s.At()), cfg.Data)
}

func (c *promoteCommand) takeAll(ctx context.Context, cfg config.Config, s *backup.Standby) error {
	secret, err := c.secret(cfg.Data)
	if err != nil {
		return err
	}
	repo, err := c.unlock(ctx, cfg, s, secret)
	if err != nil {
		return err
	}
	if who, last, err := repo.Writer(ctx); err != nil {
		return err
	} else if ago := time.Since(last); who != "" && ago < backup.WriterGone && !c.Force {
		return mail.Errorf(mail.Conflict, "the server %s seems to run: it wrote to the backup %s ago. Two servers of the same mail harm each other: stop that one, and wait %s. If you are certain that it is gone: --force", who, ago.Round(time.Second), backup.WriterGone)
	}
	holder, err := holderOf(cfg.Data)
	if err != nil {
		return err
	}
	if err := repo.TakeOver(ctx, holder); err != nil {
		return err
	}
	for more := true; more; {
		done, err := s.Sync(ctx, repo)
		if err != nil {
			return err
		}
		more = done.New
	}
	return nil
}

func sayPromoted(data string, at time.Time, lost int) error {
	if !at.IsZero() {
		fmt.Printf("Promoted, as of %s.\n", localTime(at))
	}
	fmt.Printf("%s is a server's now. The configuration that the old one ran with is in %s.\nStart it: lockstep serve --data %[1]s\n", data, filepath.Join(data, restoredConfig))
	if lost > 0 {
		return fmt.Errorf("%d stored messages or parts are not whole. Everything else is there: lockstep doctor --data %s names whose they are", lost, data)
	}
	return nil
}
