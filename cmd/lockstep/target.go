package main

import (
	"context"
	"path/filepath"
	"strings"

	"lockstep/internal/backup"
	"lockstep/internal/backup/s3"
	"lockstep/internal/config"
	"lockstep/internal/mail"
	"lockstep/internal/vfs"
)

// openTarget opens what an operator names: the path of a directory, or a URL. Nothing
// is asked of it yet.
func openTarget(ctx context.Context, cfg config.Backup, spec string) (backup.Target, error) {
	spec = absolute(spec)
	if strings.HasPrefix(spec, s3.Scheme) {
		return openBucket(ctx, cfg.S3, spec)
	}
	if strings.Contains(spec, "://") {
		return nil, mail.Errorf(mail.Invalid, "a backup can't be kept at %s: name a directory, or s3://BUCKET/PREFIX", spec)
	}
	return backup.NewDir(vfs.OS{}, spec), nil
}

func openBucket(ctx context.Context, cfg config.S3, spec string) (backup.Target, error) {
	bucket, prefix, err := s3.Parse(spec)
	if err != nil {
		return nil, err
	}
	t, err := s3.Open(ctx, reach(cfg, bucket, prefix))
	if err != nil {
		return nil, err // and not a nil *s3.Target, which is a Target
	}
	return t, nil
}

// reach is how a bucket is reached.
func reach(cfg config.S3, bucket, prefix string) s3.Config {
	return s3.Config{
		Bucket: bucket, Prefix: prefix, Endpoint: cfg.Endpoint, Region: cfg.Region, VirtualHost: !cfg.PathStyle, AccessKey: cfg.AccessKey, SecretKeyFile: cfg.SecretKeyFile,
	}
}

// absolute makes the path of a directory one that means the same to a server that was
// started elsewhere.
func absolute(spec string) string {
	if spec == "" || strings.Contains(spec, "://") {
		return spec
	}
	if dir, err := filepath.Abs(spec); err == nil {
		return dir
	}
	return spec
}
