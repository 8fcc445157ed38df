package s3

import (
	"context"
	"errors"
	"io/fs"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"lockstep/internal/mail"
)

// Destroy is Delete for what nobody may read again: also the versions that the bucket
// keeps of it are removed. It fails with mail.Denied when one is locked, or when the
// credentials may not look for them; it can be called again then.
func (t *Bucket) Destroy(ctx context.Context, name string) error {
	if err := t.Delete(ctx, name); err != nil {
		return err
	}
	in := &s3.ListObjectVersionsInput{Bucket: &t.cfg.Bucket, Prefix: aws.String(t.key(name))}
	for {
		out, err := t.client.ListObjectVersions(ctx, in)
		if err = t.tell(ctx, "s3:ListBucketVersions, which says whether the bucket keeps what is removed,", name, err); mail.KindOf(err) == mail.Unimplemented {
			return nil // such a server keeps none
		}
		if err != nil {
			return err
		}
		if err := t.destroyVersions(ctx, name, out); err != nil {
			return err
		}
		if !aws.ToBool(out.IsTruncated) {
			return nil
		}
		in.KeyMarker, in.VersionIdMarker = out.NextKeyMarker, out.NextVersionIdMarker
	}
}

// destroyVersions removes those of one page, but for those of longer names.
func (t *Bucket) destroyVersions(ctx context.Context, name string, page *s3.ListObjectVersionsOutput) error {
	var ids []*string
	for _, v := range page.Versions {
		if aws.ToString(v.Key) == t.key(name) {
			ids = append(ids, v.VersionId)
		}
	}
	for _, m := range page.DeleteMarkers {
		if aws.ToString(m.Key) == t.key(name) {
			ids = append(ids, m.VersionId)
		}
	}
	for _, id := range ids {
		_, err := t.client.DeleteObject(ctx, &s3.DeleteObjectInput{Bucket: &t.cfg.Bucket, Key: aws.String(t.key(name)), VersionId: id})
		if err = t.tell(ctx, "s3:DeleteObjectVersion", name, err); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}
