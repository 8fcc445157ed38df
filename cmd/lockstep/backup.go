package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"lockstep/internal/admin"
	"lockstep/internal/backup"
	"lockstep/internal/config"
	"lockstep/internal/store/sqlstore"
)

type backupCommand struct {
	Make   backupMake   `cmd:"" default:"withargs" help:"Copy everything to a directory or a bucket, while the server runs or not. What is there already is not copied again."`
	List   backupList   `cmd:"" help:"Say which points can be brought back."`
	Status backupStatus `cmd:"" help:"Say when backups and drills were made, when the next will be, and what went wrong."`
	Drill  backupDrill  `cmd:"" help:"Try whether the newest point would come back, without touching anything."`
	Prune  backupPrune  `cmd:"" help:"Remove old points, and what no point needs any more."`
}

type backupMake struct {
	To      string `help:"Where to: a directory, best on another disk or machine, or a bucket. Default: backup.to." placeholder:"DIR|s3://BUCKET/PREFIX"`
	NewCode bool   `help:"Make a new recovery code and show it; the one before opens the backup no more."`
	Anew    bool   `help:"Begin another backup where one was that is gone."`
	Fresh   bool   `help:"Copy everything again, and rely on nothing that was copied before: after damage in the backup."`

	TakeOver bool `help:"Go on in a backup that another server, a standby that was promoted, has claimed: this is the one that goes on."`

	Follow bool `help:"Go on: ship what changes each second, for as long as the server and this command run. For always, set backup.follow."`
}

// Help is what --help says below the flags.
func (*backupMake) Help() string {
	return `The first backup shows a recovery code, once. The backup and either that code or the key file bring
everything back (lockstep restore). Cut short, it is run again and goes on. The exit status is 0 when
the point is there, whole and durable.`
}

func (b *backupMake) Run(ctx context.Context, g *globals) error {
	line := &statusLine{}
	if b.Follow {
		return b.follow(ctx, g, line)
	}
	err := g.with(ctx, func(c *admin.Client) error {
		return admin.BackupMake.Each(ctx, c, admin.BackupOf{To: absolute(b.To), Fresh: b.Fresh, NewCode: b.NewCode, Anew: b.Anew, TakeOver: b.TakeOver}, func(s admin.BackupStep) error {
			switch {
			case s.Recovery != "":
				line.clear()
				sayRecovery(s.Recovery)
			case s.Progress != nil:
				line.show("Copying the " + progressText(*s.Progress))
			case s.Result != nil:
				line.clear()
				return sayBackup(*s.Result)
			}
			return nil
		})
	})
	line.clear()
	if err != nil && ctx.Err() != nil {
		fmt.Fprintln(os.Stderr, "Interrupted. What was copied is kept, and the next backup goes on with it.")
	}
	return err
}

// sayRecovery shows the recovery code. It goes where the command's other words go, and
// to no log.
func sayRecovery(code string) {
	fmt.Printf(`This is the recovery code of this backup. It is shown this once:

  %s

With it and the backup, and nothing else, everything can be brought back. Write it down, whole, and keep
it apart from the backup and from this machine: it opens this server's backup, and none that somebody
else put in its place. Without it the backup opens with the key file alone.

`, code)
}

func sayBackup(r backup.Result) error {
	fmt.Printf("Backed up as of %s: sent %s in %s, in %s.\n", localTime(r.Point.Time), bytesText(r.Sent.Bytes), inWords(r.Sent.Objects, "object"), r.Took.Round(time.Millisecond))
	if n := len(r.Damaged); n > 0 {
		return fmt.Errorf("the backup is made, but %d stored messages or parts are damaged here, and in it: run lockstep doctor, and mend them from an earlier point", n)
	}
	return nil
}

func progressText(p backup.Progress) string {
	text := p.Stage + ": " + bytesText(p.Done)
	if p.Total > p.Done {
		text += " of " + bytesText(p.Total)
	}
	return text + ", sent " + bytesText(p.Sent.Bytes)
}

func localTime(t time.Time) string { return t.Local().Format("2006-01-02 15:04:05") }

type backupList struct {
	From     string `help:"The backup. Default: backup.to." placeholder:"DIR|s3://BUCKET/PREFIX"`
	Key      string `help:"Its key file. Default: that of the data directory, if it is there." placeholder:"FILE"`
	Recovery string `help:"A file with its recovery code." placeholder:"FILE"`
}

// Help is what --help says below the flags.
func (*backupList) Help() string {
	return "Any of these times can be given to lockstep restore --at. Without a key only the times are known."
}

func (b *backupList) Run(ctx context.Context, g *globals) error {
	cfg, target, err := openBackup(ctx, g, b.From)
	if err != nil {
		return err
	}
	secret, err := b.secret(cfg)
	if err != nil {
		return err
	}
	if secret == nil {
		points, err := backup.Times(ctx, target)
		if err != nil {
			return err
		}
		for _, p := range points {
			fmt.Println(localTime(p.Time))
		}
		return nil
	}
	repo, err := backup.Unlock(ctx, target, *secret)
	if err != nil {
		return err
	}
	sayTrust(repo)
	if err := listPoints(ctx, repo); err != nil {
		return err
	}
	if !repo.Vouched() && cfg.Backup.Recipient == "" {
		fmt.Println("The recovery code of this backup is of a version whose codes do not say whose a backup is: lockstep backup --new-code shows one that does.")
	}
	return nil
}

// secret is what opens the backup; nil where there is nothing.
func (b *backupList) secret(cfg config.Config) (*backup.Secret, error) {
	if b.Key == "" && b.Recovery == "" {
		key, err := os.ReadFile(filepath.Join(cfg.Data, keyFile))
		if errors.Is(err, fs.ErrNotExist) {
			return nil, nil
		}
		return &backup.Secret{KeyFile: key}, err
	}
	s, err := readSecret(b.Key, b.Recovery)
	return &s, err
}

func listPoints(ctx context.Context, repo *backup.Repo) error {
	points, err := repo.Points(ctx)
	if err != nil {
		return err
	}
	damaged := 0
	t := newTable("AS OF", "DATABASE", "MAIL", "SENT", "FROM")
	for _, p := range points {
		m, err := repo.Manifest(ctx, p)
		if err != nil {
			damaged++
			t.row(localTime(p.Time), "", "", "", err)
			continue
		}
		var mail int64
		for _, k := range m.Packs {
			mail += k.Size
		}
		t.row(localTime(p.Time), bytesText(int64(m.Pages)*int64(m.PageSize)), bytesText(mail), bytesText(m.Sent.Bytes), m.Host)
	}
	if err := t.print(os.Stdout); err != nil {
		return err
	}
	if damaged > 0 {
		return fmt.Errorf("%d of %s can't be read", damaged, inWords(len(points), "point"))
	}
	return nil
}

type backupPrune struct {
	To       string          `help:"The backup. Default: backup.to." placeholder:"DIR|s3://BUCKET/PREFIX"`
	Keep     config.Duration `help:"How far back points are kept. Default: backup.keep." placeholder:"TIME"`
	LookOnly bool            `help:"Remove nothing, say what would be."`
	ByClock  bool            `help:"Count also time in which no point was made, where the clock may have been set ahead: you know that it was not."`
}

// Help is what --help says below the flags.
func (*backupPrune) Help() string {
	return `Kept are all points of the last hour, one in ten minutes of the last day, one an hour of the last week,
one a day of the last 30 days, and one a week until they are too old; and always the newest that is
whole. Objects that no point needs go too, a day after they came.`
}

func (b *backupPrune) Run(ctx context.Context, g *globals) error {
	return g.with(ctx, func(c *admin.Client) error {
		done, err := admin.BackupPrune.One(ctx, c, admin.PruneOf{To: absolute(b.To), Keep: time.Duration(b.Keep), LookOnly: b.LookOnly, ByClock: b.ByClock})
		if err != nil {
			return err
		}
		word := "Removed"
		if b.LookOnly {
			word = "Would remove"
		}
		for _, j := range done.Jumps {
			fmt.Printf("Does not count: %s. If the clock was right all the time: --by-clock.\n", j)
		}
		fmt.Printf("%s %s and %s, %s. Kept: %s.\n", word, inWords(len(done.Removed), "point"), inWords(done.Objects, "object"), bytesText(done.Bytes), inWords(len(done.Kept), "point"))
		if n := len(done.Damaged); n > 0 {
			return fmt.Errorf("%d of the points kept are not whole: see lockstep backup list. The next backup with --fresh makes a whole one", n)
		}
		return nil
	})
}

// openBackup opens the target that a command names, or that is configured.
func openBackup(ctx context.Context, g *globals, spec string) (config.Config, backup.Target, error) {
	cfg, err := g.load()
	if err != nil {
		return cfg, nil, err
	}
	if spec == "" {
		spec = cfg.Backup.To
	}
	if spec == "" {
		return cfg, nil, errors.New("which backup? Name it with --from, or set backup.to in the configuration")
	}
	target, err := openTarget(ctx, cfg.Backup, spec)
	return cfg, target, err
}

// openBackups is what makes the backups of this house.
func (h *house) openBackups() (*backup.Service, error) {
	recipients, err := backup.ParseRecipients(h.cfg.Backup.Recipient)
	if err != nil {
		return nil, err
	}
	var text strings.Builder
	if err := h.cfg.Print(&text); err != nil {
		return nil, err
	}
	data, err := filepath.Abs(h.cfg.Data)
	if err != nil {
		return nil, err
	}
	holder, err := holderOf(data)
	if err != nil {
		return nil, err
	}
	return &backup.Service{
		Server: backup.Server{
			Pages:   func() (backup.Pages, error) { return newPages(h.db) },
			Size:    func() int64 { return fileSize(h.path(databaseFile)) },
			Commits: func() int64 { return h.db.Stats().Commits },
			Blobs:   h.blobs,
			KeyFile: func() ([]byte, error) { return os.ReadFile(h.path(keyFile)) },
			Config:  text.String(), Files: h.smallFiles, Holder: holder, Database: h.db.Instance(), Version: version, Log: h.log,
		},
		Data: data, To: h.cfg.Backup.To, Recipients: recipients,
		Open: func(ctx context.Context, spec string) (backup.Target, error) {
			return openTarget(ctx, h.cfg.Backup, spec)
		},
	}, nil
}

// holderOf names a server to whoever finds a target in use.
func holderOf(data string) (string, error) {
	host, _ := os.Hostname() // it is for people
	data, err := filepath.Abs(data)
	return host + ":" + data, err
}

func newPages(db *sqlstore.DB) (backup.Pages, error) {
	c, err := db.NewCopier()
	if err != nil {
		return nil, err // and not a nil *sqlstore.Copier, which is Pages
	}
	return c, nil
}

func fileSize(path string) int64 {
	info, err := os.Stat(path)
	if err != nil {
		return 0
	}
	return info.Size()
}

// smallFiles are the files of the data directory that are backed up with the rest:
// clients may have learnt to trust the certificate, and where backups were made none is
// begun anew unasked.
func (h *house) smallFiles() (map[string][]byte, error) {
	files := map[string][]byte{}
	for _, name := range []string{selfSignedCert, selfSignedKey, backup.KnownFile} {
		b, err := os.ReadFile(h.path(name))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
		if err == nil {
			files[name] = b
		}
	}
	return files, nil
}

// statusLine shows how far something is, on a line of a terminal that is written over.
type statusLine struct{ shown bool }

func (l *statusLine) show(text string) {
	if isTerminal(os.Stderr) {
		fmt.Fprintf(os.Stderr, "\r%s\x1b[K", text)
		l.shown = true
	}
}

func (l *statusLine) clear() {
	if l.shown {
		fmt.Fprint(os.Stderr, "\r\x1b[K")
		l.shown = false
	}
}
