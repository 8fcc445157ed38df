// Package s3 keeps backups in a bucket; package internal/s3 is how buckets are reached.
package s3

import (
	"context"
	"time"

	"lockstep/internal/backup"
	"lockstep/internal/s3"
)

// Config says which bucket, and how it is reached.
type Config = s3.Config

// Scheme is how the name of a target begins that is a bucket.
const Scheme = s3.Scheme

// Absent is the tag of an object that is not there.
const Absent = s3.Absent

// A Target is a backup.Target in a bucket.
type Target struct{ *s3.Bucket }

// Open makes a target. It asks nothing of the server yet.
func Open(ctx context.Context, cfg Config) (*Target, error) {
	b, err := s3.Open(ctx, cfg)
	if err != nil {
		return nil, err
	}
	return &Target{b}, nil
}

// Parse reads s3://bucket/prefix.
func Parse(spec string) (bucket, prefix string, err error) { return s3.Parse(spec) }

// List implements backup.Target, at the cost of a request for each thousand.
func (t *Target) List(ctx context.Context, prefix string, fn func(backup.Object) error) error {
	return t.Bucket.List(ctx, prefix, func(name string, size int64, modified time.Time) error {
		return fn(backup.Object{Name: name, Size: size, Modified: modified})
	})
}
