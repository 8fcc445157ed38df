package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"lockstep/internal/store/sqlstore"
)

type upgradeCommand struct {
	Status upgradeStatus `cmd:"" default:"1" help:"Say which schema the database has, who works on it, and what is kept from before."`
	Back   upgradeBack   `cmd:"" help:"Make the database what it was before an upgrade. The server has to be stopped."`
	Forget upgradeForget `cmd:"" help:"Remove what is kept from before upgrades: there is no way back then, and its room is free."`
}

type upgradeStatus struct{}

// database is the file that the verbs of upgrade are about.
func (g *globals) database() (string, error) {
	cfg, err := g.load()
	if err != nil {
		return "", err
	}
	return filepath.Join(cfg.Data, databaseFile), mustExist(cfg.Data)
}

func (upgradeStatus) Run(g *globals) error {
	path, err := g.database()
	if err != nil {
		return err
	}
	s, err := sqlstore.ReadSchema(path)
	if err != nil {
		return err
	}
	fmt.Printf("This is lockstep %s, which knows schema %d.\n", version, s.Knows)
	fmt.Println(schemaLine(s))
	return printSnapshots(path)
}

// schemaLine says in one line what a database is to this program.
func schemaLine(s sqlstore.Schema) string {
	line := fmt.Sprintf("The database has schema %d", s.Version())
	if n := len(s.Taken); n > 0 && !s.Taken[n-1].At.IsZero() {
		last := s.Taken[n-1]
		line += fmt.Sprintf(", since %s by lockstep %s", last.At.Local().Format("2006-01-02 15:04"), cmp.Or(last.Program, "of no name"))
	}
	switch {
	case s.Refused != nil:
		return line + ". This version can't work on it: " + s.Refused.Error() + "."
	case s.Pending > 0:
		return line + fmt.Sprintf("; the next start takes it to %d.", s.Knows)
	case s.Version() > s.Knows:
		return line + ", which this version works on too."
	}
	return line + "."
}

// saySchema is the line of doctor.
func (g *globals) saySchema() error {
	path, err := g.database()
	if err != nil {
		return err
	}
	s, err := sqlstore.ReadSchema(path)
	if err != nil {
		return err
	}
	all, err := sqlstore.SnapshotsOf(path)
	if len(all) > 0 {
		fmt.Printf("%s Kept from before an upgrade: %d, the newest of %s.\n", schemaLine(s), len(all), all[0].Made.Local().Format("2006-01-02"))
		return err
	}
	fmt.Println(schemaLine(s))
	return err
}

func printSnapshots(path string) error {
	all, err := sqlstore.SnapshotsOf(path)
	if err != nil {
		return err
	}
	if len(all) == 0 {
		fmt.Println("Nothing is kept from before an upgrade.")
		return nil
	}
	t := newTable("KEPT FROM BEFORE", "SCHEMA", "SIZE", "MADE", "KEPT UNTIL")
	for _, s := range all {
		t.row(s.Path, s.Schema, bytesText(s.Size), s.Made.Local().Format("2006-01-02 15:04"), s.Made.Add(sqlstore.SnapshotLife).Local().Format("2006-01-02"))
	}
	return t.print(os.Stdout)
}

type upgradeBack struct {
	Snapshot string `arg:"" optional:"" help:"A file that status shows; without one, the newest that this version works on." placeholder:"FILE"`
	Yes      bool   `help:"Do it without asking."`
}

func (u *upgradeBack) Run(ctx context.Context, g *globals) (err error) {
	cfg, err := g.load()
	if err != nil {
		return err
	}
	if err := mustExist(cfg.Data); err != nil {
		return err
	}
	h := &house{cfg: cfg, log: slog.New(slog.DiscardHandler)}
	defer func() { err = errors.Join(err, h.close()) }()
	if err := h.openDir(); err != nil {
		return err
	}
	path := h.path(databaseFile)
	to, err := u.choose(path)
	if err != nil {
		return err
	}
	if err := u.confirm(path, to); err != nil {
		return err
	}
	left, err := sqlstore.PutBack(path, to, h.sayUpgrading)
	if err != nil {
		return err
	}
	fmt.Printf("The database is %s again. What it was is kept as %s.\n", to.Path, left.Path)
	if s, err := sqlstore.ReadSchema(path); err == nil && s.Pending > 0 {
		fmt.Printf("This lockstep (%s) would take it to schema %d again with the next command: install the version before first.\n", version, s.Knows)
	}
	return nil
}

// choose finds the snapshot to go back to.
func (u *upgradeBack) choose(path string) (to sqlstore.Snapshot, err error) {
	if u.Snapshot == "" {
		if to, err = sqlstore.BackTo(path); err == nil && to.Path == "" {
			err = errors.New("nothing is kept to go back to with this version; see: lockstep upgrade status")
		}
		return to, err
	}
	all, err := sqlstore.SnapshotsOf(path)
	for _, s := range all {
		if filepath.Base(s.Path) == filepath.Base(u.Snapshot) {
			return s, err
		}
	}
	return to, cmp.Or(err, fmt.Errorf("%s is none of those that are kept; see: lockstep upgrade status", u.Snapshot))
}

func (u *upgradeBack) confirm(path string, to sqlstore.Snapshot) error {
	changes, err := sqlstore.ChangesSince(path, to.Path)
	if err != nil {
		return err
	}
	fmt.Fprintf(os.Stderr, "The database goes back to schema %d, as it was on %s. It has %s to accounts since then: mail that came, flags, moves. What changed since will not be there.\n",
		to.Schema, to.Made.Local().Format("2006-01-02 15:04:05"), inWords(changes, "change"))
	if u.Yes {
		return nil
	}
	return confirm("Type back to confirm: ", "back")
}

type upgradeForget struct {
	Yes bool `help:"Do it without asking."`
}

func (u *upgradeForget) Run(g *globals) error {
	path, err := g.database()
	if err != nil {
		return err
	}
	all, err := sqlstore.SnapshotsOf(path)
	if err != nil {
		return err
	}
	if !u.Yes && len(all) > 0 {
		if err := confirm("Remove what is kept from before upgrades? There is no way back to an older version then. Type forget to confirm: ", "forget"); err != nil {
			return err
		}
	}
	_, err = sqlstore.PruneSnapshots(path, time.Now(), true)
	return said(err, "Removed %s of the database.", inWords(len(all), "copy"))
}

// How long a service manager is asked to wait for the next word of an upgrade.
const (
	patiencePerPiece = 10 * time.Minute
	patiencePerStep  = time.Hour
	sayEvery         = 5 * time.Second
)

// sayUpgrading tells whoever started us how far an upgrade is.
func (h *house) sayUpgrading(u sqlstore.Upgrade) {
	patience := patiencePerPiece
	text, key, what := "copying the database", "to", u.Snapshot
	if u.Snapshot == "" {
		patience, text, key, what = patiencePerStep, "upgrading the database", "step", u.Step
	}
	notifySystemd(fmt.Sprintf("EXTEND_TIMEOUT_USEC=%d", patience.Microseconds()))
	if u.Done > 0 && time.Since(h.saidUpgrading) < sayEvery {
		return
	}
	h.saidUpgrading = time.Now()
	if h.log.Enabled(context.Background(), slog.LevelInfo) {
		h.log.Info(text, key, what, "done", u.Done, "of", u.Of)
		return
	}
	fmt.Fprintf(os.Stderr, "%s %s %s: %d of %d\n", text, key, what, u.Done, u.Of)
}
