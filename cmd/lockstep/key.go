package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"lockstep/internal/admin"
	"lockstep/internal/backup"
	"lockstep/internal/blob"
	"lockstep/internal/vfs"
)

type keyCommand struct {
	Show   keyShow   `cmd:"" help:"Say which keys there are, where they lie and what needs them."`
	Rotate keyRotate `cmd:"" help:"Make a new key, and have it wrap the keys of all mail. No mail is written anew."`
	Rewrap keyRewrap `cmd:"" help:"Go on with a rotation that was cut short."`
	Retire keyRetire `cmd:"" help:"Take an old key out of the key file, once nothing needs it any more."`

	Recover keyRecover `cmd:"" help:"Bring a lost key file back from a backup, with its recovery code."`
}

type keyShow struct{}

func (keyShow) Run(ctx context.Context, g *globals) error {
	return g.with(ctx, func(c *admin.Client) error {
		ring, err := admin.KeyShow.One(ctx, c, admin.Nothing{})
		if err != nil {
			return err
		}
		fmt.Printf("Key file     %s\nFingerprint  %s\nCopy         %s\n\n", ring.File, ring.Fingerprint, ring.Copy)
		t := newTable("KEY", "MADE", "WRAPS", "")
		for _, k := range ring.Keys {
			made, note := "not written down", ""
			if !k.Made.IsZero() {
				made = k.Made.Local().Format("2006-01-02 15:04")
			}
			switch {
			case !k.Retired.IsZero():
				made, note = "", "retired "+k.Retired.Local().Format("2006-01-02 15:04")
			case k.Newest:
				note = "seals new mail"
			case k.Blobs > 0:
				note = "still needed: lockstep key rewrap"
			default:
				note = fmt.Sprintf("packs may need it still: lockstep key retire %d", k.Number)
			}
			t.row(k.Number, made, inWords(k.Blobs, "blob"), note)
		}
		return t.print(os.Stdout)
	})
}

type keyRotate struct{}

// Help is what --help says below the flags.
func (*keyRotate) Help() string {
	return "The new key is in the key file, durably, before anything is sealed with it. The server may run or not. What is cut short goes on by itself within an hour, or with lockstep key rewrap."
}

func (keyRotate) Run(ctx context.Context, g *globals) error {
	return g.with(ctx, func(c *admin.Client) error {
		ring, err := admin.KeyShow.One(ctx, c, admin.Nothing{})
		if err != nil {
			return err
		}
		made := uint32(0)
		err = admin.KeyRotate.Each(ctx, c, admin.Nothing{}, func(r admin.Rewrapping) error {
			if made == 0 && r.Key != 0 {
				made = r.Key
				fmt.Printf("Key %d was made. Copy %s to where its copy is kept: the old copy can't read what comes from now on.\n", made, ring.File)
			}
			return tellRewrapping(r)
		})
		if err == nil {
			fmt.Printf("The older key can be retired in %d minutes: lockstep key retire %d\n", retireAfter/time.Minute, made-1)
		}
		return err
	})
}

// retireAfter is how long mail that was on its way in may need the older key.
const retireAfter = 10 * time.Minute

type keyRewrap struct{}

func (keyRewrap) Run(ctx context.Context, g *globals) error {
	return g.with(ctx, func(c *admin.Client) error {
		return admin.KeyRewrap.Each(ctx, c, admin.Nothing{}, tellRewrapping)
	})
}

type keyRetire struct {
	Number uint32 `arg:"" help:"The key's number, as key show says it."`
}

// Help is what --help says below the flags.
func (*keyRetire) Help() string {
	return "The keys of blobs are wrapped by the newest key, in the database and in the packs, then the old key is taken out of the key file; versions of Lockstep from before this command say that the file is of a later one. It may be stopped and run again. " +
		"Copies of the data directory, and of the key file, that somebody made before are as readable as they were: docs/operations.md says what a key that leaked still opens."
}

func (k *keyRetire) Run(ctx context.Context, g *globals) error {
	return g.with(ctx, func(c *admin.Client) error {
		err := admin.KeyRetire.Each(ctx, c, admin.OfKey{Number: k.Number}, tellRewrapping)
		return said(err, "Key %d is retired: nothing that is stored here needs it.", k.Number)
	})
}

type keyRecover struct {
	From     string `help:"The backup. Default: backup.to." placeholder:"DIR|s3://BUCKET/PREFIX"`
	Recovery string `help:"A file with the recovery code. Without it, it is asked for." placeholder:"FILE"`
	To       string `help:"Where to write the key file, which must not be there. Default: its place in the data directory." placeholder:"FILE"`
}

// Help is what --help says below the flags.
func (*keyRecover) Help() string {
	return "It writes the key file as the newest point of the backup has it, and changes nothing else: a file that is there is left alone. Then start the server: it says whether that is the key of its mail."
}

func (k *keyRecover) Run(ctx context.Context, g *globals) error {
	cfg, target, err := openBackup(ctx, g, k.From)
	if err != nil {
		return err
	}
	if k.To == "" {
		k.To = filepath.Join(cfg.Data, keyFile)
	}
	secret, err := readSecret("", k.Recovery)
	if err != nil {
		return err
	}
	repo, err := backup.Unlock(ctx, target, secret)
	if err != nil {
		return err
	}
	sayTrust(repo)
	text, from, err := newestKeyFile(ctx, repo)
	if err != nil {
		return err
	}
	if err := blob.SaveKeyFile(vfs.OS{}, k.To, text); err != nil {
		return err
	}
	keys, err := blob.ParseKeyring(text)
	return said(err, "Wrote %s, as it was %s. Its fingerprint is %s.", k.To, from, keys.Fingerprint())
}

// newestKeyFile is the key file of the newest point, else the one of the backup's
// beginning.
func newestKeyFile(ctx context.Context, repo *backup.Repo) (text []byte, from string, err error) {
	point, err := repo.Newest(ctx, time.Time{})
	if err == nil {
		var m *backup.Manifest
		if m, err = repo.Manifest(ctx, point); err == nil {
			return []byte(m.KeyFile), localTime(point.Time), nil
		}
	}
	if ctx.Err() != nil {
		return nil, "", err
	}
	return repo.KeyFile(), "when the backup began", nil
}

// tellRewrapping says how far it is, or what came of it.
func tellRewrapping(r admin.Rewrapping) error {
	switch {
	case !r.Done && isTerminal(os.Stdout):
		fmt.Printf("%d keys rewrapped, %d records in packs; %d to go   \r", r.Rows, r.Records, r.Left)
	case !r.Done:
	default:
		fmt.Printf("Rewrapped the keys of %s, and of %s in packs.\n", inWords(r.Rows, "blob"), inWords(r.Records, "record"))
		if r.Damaged > 0 {
			fmt.Printf("%d wrapped keys are damaged and were left: lockstep doctor says which messages that is.\n", r.Damaged)
		}
	}
	return nil
}
