package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"time"

	"lockstep/internal/blob"
	"lockstep/internal/mail"
	"lockstep/internal/notify"
	"lockstep/internal/vfs"
)

type migrateBlobs struct {
	To string `help:"The bucket. Default: cluster.blobs." placeholder:"s3://BUCKET/PREFIX"`
}

// Help is what --help says below the flags.
func (*migrateBlobs) Help() string {
	return `All mail goes from the packs of the data directory into a bucket, sealed as it is, with the server stopped. What cluster.s3 of the
configuration says is how the bucket is reached, and the database is that of the configuration. First all that lies in packs is read: if
something of it is damaged nothing is moved. Then it is moved, and at last read from the bucket. Cut short at any moment, the same command
goes on where it was; until it is through, no server starts on the database. The packs stay where they are.`
}

func (m *migrateBlobs) Run(ctx context.Context, g *globals) (err error) {
	cfg, err := g.load()
	if err != nil {
		return err
	}
	if m.To != "" {
		cfg.Cluster.Blobs = m.To
	}
	if cfg.Cluster.Blobs == "" {
		return errors.New("--to says where the mail is to be: s3://BUCKET/PREFIX")
	}
	if err := mustExist(cfg.Data); err != nil {
		return err
	}
	h := &house{cfg: cfg, log: slog.New(slog.DiscardHandler), hub: &notify.Hub{}}
	defer func() { err = errors.Join(err, h.close()) }()
	if err := h.openDir(); err != nil {
		return err
	}
	if _, err := os.Stat(h.path(keyFile)); err != nil {
		return fmt.Errorf("the key file: %w", err)
	}
	if err := h.openDatabase(ctx); err != nil {
		return err
	}
	h.closers = append(h.closers, h.db.Close)
	return h.fillBucket(ctx)
}

// fillBucket moves the mail from packs to the bucket that is configured.
func (h *house) fillBucket(ctx context.Context) error {
	bucket, err := h.reachMailBucket(ctx)
	if err != nil {
		return err
	}
	keys, _, err := blob.OpenKeyring(vfs.OS{}, h.path(keyFile), h.path(packDir))
	if err != nil {
		return err
	}
	if h.blobs, err = blob.Open(h.path(packDir), keys, h.db.Blobs(), blob.Options{}); err != nil {
		return err
	}
	h.closers = append(h.closers, h.blobs.Close)
	if err := h.relocate(ctx); err != nil {
		return err
	}
	to, err := blob.OpenBucket(ctx, h.path(fetchedDir), keys, h.db.Blobs(), bucket, blob.Options{Cache: int64(h.cfg.Cluster.Cache)})
	if err != nil {
		return err
	}
	h.closers = append(h.closers, to.Close)
	line := &statusLine{}
	f := &blob.Filling{From: h.blobs, To: to, Tell: line.throttledFill(), Damaged: func(b mail.Blob, err error) {
		line.clear()
		fmt.Printf("damaged: blob %s, %s, at %s: %v\n", b.Name, bytesText(b.Size), b.Place, err)
	}}
	began := time.Now()
	done, err := f.Run(ctx)
	line.clear()
	if err != nil {
		return err
	}
	return h.sayFilled(ctx, done, time.Since(began))
}

// sayFilled says what became of it, and what to do now.
func (h *house) sayFilled(ctx context.Context, done blob.Filled, took time.Duration) error {
	places, err := blob.FindPlaces(ctx, h.db.Blobs())
	switch {
	case err != nil:
		return err
	case done.Damaged > 0 && !places.Bucket:
		return fmt.Errorf("%s: nothing was moved. Run lockstep doctor without cluster.blobs, which mends what it can and says in which messages the rest lies: expunge those, let the server run until it has forgotten them (some hours), and come back", inWords(done.Damaged, "damaged blob"))
	case done.Damaged > 0 && places.Packs:
		return fmt.Errorf("%s, and other mail is in the bucket already: no server starts on this database now. Put the packs that are named back from a backup, and run the same command again", inWords(done.Damaged, "damaged blob"))
	case done.Damaged > 0:
		return fmt.Errorf("%s in the bucket, all mail being there: set cluster.blobs = %q and run lockstep doctor. Keep %s, which may have it whole", inWords(done.Damaged, "damaged blob"), h.cfg.Cluster.Blobs, h.path(packDir))
	}
	fmt.Printf("Moved %s in %v. All %s, %s, were read from the bucket and are whole.\n", inWords(done.Moved, "blob"), took.Round(time.Millisecond), inWords(done.Of, "blob"), bytesText(done.OfBytes))
	fmt.Printf("Now set cluster.blobs = %q and start the server. No mail lies in %s any more: it may be removed when the server serves.\n", h.cfg.Cluster.Blobs, h.path(packDir))
	return nil
}

// throttledFill shows how far a bucket is filled, now and then.
func (l *statusLine) throttledFill() func(blob.Filled) {
	words := map[blob.FillStep]string{blob.Checking: "checking the packs", blob.Moving: "moving", blob.Proving: "reading the bucket"}
	var last, since time.Time
	step := blob.FillStep(-1)
	return func(p blob.Filled) {
		now := time.Now()
		if p.Step != step {
			step, since = p.Step, now
		}
		if now.Sub(last) < 100*time.Millisecond {
			return
		}
		last = now
		rate := int64(float64(p.Bytes) / max(now.Sub(since).Seconds(), 1))
		l.show(fmt.Sprintf("%s: %d of %s, %s of %s, %s/s", words[p.Step], p.Records, inWords(p.Of, "blob"), bytesText(p.Bytes), bytesText(p.OfBytes), bytesText(rate)))
	}
}
