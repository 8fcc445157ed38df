package s3

import (
	"context"
	"net/url"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"lockstep/internal/backup"
	"lockstep/internal/mail"
)

// List tells of each object below the prefix, by name, at the cost of a request for
// each thousand. Objects that no backup would name so are somebody else's and left
// out.
func (t *Target) List(ctx context.Context, prefix string, fn func(backup.Object) error) error {
	in := &s3.ListObjectsV2Input{Bucket: &t.cfg.Bucket, Prefix: aws.String(t.key(prefix)), EncodingType: types.EncodingTypeUrl}
	last := ""
	for {
		out, err := t.client.ListObjectsV2(ctx, in)
		if err != nil {
			return t.tell(ctx, "s3:ListBucket", prefix, err)
		}
		for _, o := range out.Contents {
			found, ours := t.object(o)
			if !ours || !strings.HasPrefix(found.Name, prefix) {
				continue
			}
			if found.Name <= last {
				return mail.Errorf(mail.Unimplemented, "%s lists %s after %s: a backup needs a server that lists by name", t, found.Name, last)
			}
			last = found.Name
			if err := fn(found); err != nil {
				return err
			}
		}
		if !aws.ToBool(out.IsTruncated) {
			return nil
		}
		if out.NextContinuationToken == nil || aws.ToString(out.NextContinuationToken) == aws.ToString(in.ContinuationToken) {
			return mail.Errorf(mail.Unimplemented, "%s does not say how its list goes on", t)
		}
		in.ContinuationToken = out.NextContinuationToken
	}
}

// object is an entry of a list, if it may be ours.
func (t *Target) object(o types.Object) (backup.Object, bool) {
	key, err := url.QueryUnescape(aws.ToString(o.Key))
	if err != nil {
		return backup.Object{}, false
	}
	name := key
	if t.cfg.Prefix != "" {
		rest, ok := strings.CutPrefix(key, t.cfg.Prefix+"/")
		if !ok {
			return backup.Object{}, false
		}
		name = rest
	}
	return backup.Object{Name: name, Size: aws.ToInt64(o.Size), Modified: aws.ToTime(o.LastModified)}, ValidName(name)
}

// Delete removes an object.
func (t *Target) Delete(ctx context.Context, name string) error {
	if err := t.checkName(name); err != nil {
		return err
	}
	_, err := t.client.DeleteObject(ctx, &s3.DeleteObjectInput{Bucket: &t.cfg.Bucket, Key: aws.String(t.key(name))})
	if isMissing(err) {
		return nil
	}
	return t.tell(ctx, "s3:DeleteObject", name, err)
}
