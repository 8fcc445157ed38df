package main

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"lockstep/internal/blob"
	"lockstep/internal/mail"
	"lockstep/internal/s3"
)

// How mail is put to a bucket and fetched from it: somebody waits.
const (
	mailAttempts = 4
	mailMaxPause = 2 * time.Second
	mailStall    = 10 * time.Second
	mailPartSize = 16 << 20
)

// openMailBucket opens the bucket that has the mail; nil if it lies in packs. A database
// whose mail lies elsewhere is refused, and so is a server without the key file that the
// mail is sealed with.
func (h *house) openMailBucket(ctx context.Context) (blob.Bucket, error) {
	places, err := blob.FindPlaces(ctx, h.db.Blobs())
	if err != nil {
		return nil, err
	}
	spec := h.cfg.Cluster.Blobs
	if places.Packs && places.Bucket {
		return nil, mail.Errorf(mail.Invalid, "mail of this database lies in packs of a data directory, and some in a bucket: it was being moved there; run lockstep migrate blobs with that bucket, which goes on where it was")
	}
	if spec == "" {
		if places.Bucket {
			return nil, mail.Errorf(mail.Invalid, "the mail of this database lies in a bucket, and cluster.blobs is empty: set it to that bucket")
		}
		return nil, nil
	}
	if places.Packs {
		return nil, mail.Errorf(mail.Invalid, "cluster.blobs is %s, but mail of this database lies in packs of a data directory: empty cluster.blobs, or move the mail there with lockstep migrate blobs", spec)
	}
	return h.reachMailBucket(ctx)
}

// reachMailBucket opens the bucket that cluster.blobs names.
func (h *house) reachMailBucket(ctx context.Context) (blob.Bucket, error) {
	name, prefix, err := s3.Parse(h.cfg.Cluster.Blobs)
	if err != nil {
		return nil, err
	}
	cfg := reach(h.cfg.Cluster.S3, name, prefix)
	cfg.Settings, cfg.Attempts, cfg.MaxPause, cfg.Stall, cfg.PartSize = "cluster.s3", mailAttempts, mailMaxPause, mailStall, mailPartSize
	bucket, err := s3.Open(ctx, cfg)
	if err != nil {
		return nil, err
	}
	return bucket, h.mustHaveKey(ctx, bucket)
}

// mustHaveKey refuses to make a key file where there is mail that is sealed already.
func (h *house) mustHaveKey(ctx context.Context, bucket blob.Bucket) error {
	if _, err := os.Stat(h.path(keyFile)); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	used, err := blob.IsUsed(ctx, bucket)
	if err != nil {
		return err
	}
	if used {
		return mail.Errorf(mail.Invalid, "there is no key file at %s, and the mail in %s is sealed with one: copy it there from another node, only its owner's to read (chmod 600)", h.path(keyFile), bucket)
	}
	return nil
}

// How often it is looked whether there is something to pack, and how long after the
// start that begins.
const (
	packEvery  = time.Minute
	packBegins = 5 * time.Second
)

// packing moves small messages from rows of the database into objects of the bucket.
func (h *house) packing(ctx context.Context) error {
	if h.blobs.InBucket() == "" {
		return nil
	}
	t := time.NewTimer(packBegins)
	defer t.Stop()
	for ; ; t.Reset(packEvery) {
		select {
		case <-ctx.Done():
			return nil
		case <-t.C:
		}
		done, err := h.blobs.Pack(ctx)
		if err != nil && ctx.Err() == nil {
			h.log.ErrorContext(ctx, "packing", "err", err)
		}
		for _, b := range done.Damaged {
			h.log.ErrorContext(ctx, "damaged blob; run lockstep doctor", "size", b.Size, "place", b.Place)
		}
		if done.Objects > 0 {
			h.log.InfoContext(ctx, "packed", "objects", done.Objects, "blobs", done.Records, "bytes", done.Bytes)
		}
	}
}

// bucket adds the metrics of mail in a bucket.
func (m *metrics) bucket(h *house) {
	stats := h.blobs.Stats
	m.counted("blob_object_puts_total", "Objects put to the bucket.", func() float64 { return float64(stats().ObjectPuts) })
	m.counted("blob_object_gets_total", "Reads from the bucket.", func() float64 { return float64(stats().ObjectGets) })
	m.counted("blob_object_put_bytes_total", "Bytes put to the bucket.", func() float64 { return float64(stats().ObjectPutBytes) })
	m.counted("blob_object_get_bytes_total", "Bytes read from the bucket.", func() float64 { return float64(stats().ObjectGetBytes) })
	m.counted("blob_object_errors_total", "Requests to the bucket that failed for good.", func() float64 { return float64(stats().ObjectErrors) })
	m.counted("blob_objects_removed_total", "Objects that nobody named any more.", func() float64 { return float64(stats().ObjectsRemoved) })
	m.counted("blob_cache_hits_total", "Parts of objects that lay on this node's disk.", func() float64 { return float64(stats().CacheHits) })
	m.counted("blob_cache_misses_total", "Parts of objects that had to be fetched.", func() float64 { return float64(stats().CacheMisses) })
	m.counted("blob_packed_total", "Records moved from rows of the database into objects.", func() float64 { return float64(stats().Packed) })
	m.registry.MustRegister(
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "blob_cache_bytes", Help: "What fetched parts of objects take of this node's disk."}, func() float64 { return float64(stats().CacheBytes) }),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "blob_in_rows", Help: "Records that wait in rows of the database to be packed, when that was last looked at."}, func() float64 { return float64(stats().InRows) }),
	)
}
