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

	"lockstep/internal/admin"
	"lockstep/internal/backup"
	"lockstep/internal/config"
	"lockstep/internal/vfs"
)

// reachTime bounds how long a command waits for a server that is starting or
// stopping to answer or to let go of the data directory.
const reachTime = 5 * time.Second

// reach finds whoever does the verbs: the running server, else this process with
// the data directory opened.
func (g *globals) reach(ctx context.Context) (*admin.Client, error) {
	cfg, err := g.load()
	if err != nil {
		return nil, err
	}
	if cfg.Cluster.Database == "" { // whether there is one elsewhere shows when it is asked
		if err := mustExist(cfg.Data); err != nil {
			return nil, err
		}
	}
	return reachData(ctx, cfg)
}

// reachOrMake is reach for the verb that may come before the first start.
func (g *globals) reachOrMake(ctx context.Context) (*admin.Client, error) {
	cfg, err := g.load()
	if err != nil {
		return nil, err
	}
	return reachData(ctx, cfg)
}

func reachData(ctx context.Context, cfg config.Config) (*admin.Client, error) {
	for deadline := time.Now().Add(reachTime); ; {
		if c, err := admin.Dial(ctx, cfg.Socket()); err == nil {
			return c, nil
		}
		h, err := openHouse(ctx, cfg, slog.New(slog.DiscardHandler))
		if err == nil {
			h.sayNewKey(os.Stderr)
			h.sayReturned(os.Stderr)
			return admin.Here(h.ops, h.close), nil
		}
		if !errors.Is(err, errInUse) || time.Now().After(deadline) {
			return nil, err
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(50 * time.Millisecond):
		}
	}
}

func mustExist(data string) error {
	if err := mustBeWhole(data); err != nil {
		return err
	}
	_, err := os.Stat(filepath.Join(data, databaseFile))
	if errors.Is(err, fs.ErrNotExist) { // a node of several has its key alone
		_, err = os.Stat(filepath.Join(data, keyFile))
	}
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("there is no Lockstep in %s: name its directory with --data, or begin with: lockstep account add alice@example.test", data)
	} else if err != nil {
		return fmt.Errorf("%w: run this as the user the server runs as", err)
	}
	return nil
}

// mustBeWhole refuses a directory that a restore has not finished, and one that follows
// a server and is none.
func mustBeWhole(data string) error {
	if _, err := os.Stat(filepath.Join(data, backup.RestoreMark)); err == nil {
		return fmt.Errorf("data directory %s is half restored: run the same lockstep restore again, which goes on where it was, or remove the directory", data)
	}
	if backup.IsStandby(vfs.OS{}, data) {
		return fmt.Errorf("data directory %s is a standby, which follows another server: to make it the server, lockstep promote --data %[1]s", data)
	}
	return nil
}

// with reaches, runs fn and lets go.
func (g *globals) with(ctx context.Context, fn func(*admin.Client) error) error {
	c, err := g.reach(ctx)
	if err != nil {
		return err
	}
	return errors.Join(fn(c), c.Close())
}
