package s3

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"lockstep/internal/mail"
)

// Get opens an object. What is read is compared with the checksum the object was
// put with, when it is read whole; the last Read fails with mail.Corrupt if they differ.
// Where the object ends too early, Read fails with io.ErrUnexpectedEOF.
func (t *Bucket) Get(ctx context.Context, name string, offset, length int64) (io.ReadCloser, error) {
	if err := t.checkName(name); err != nil {
		return nil, err
	}
	if offset < 0 || length < -1 {
		return nil, mail.Errorf(mail.Invalid, "%s: no such range: %d bytes from %d on", name, length, offset)
	}
	r := &reader{t: t, ctx: ctx, name: name, at: offset, left: length}
	if length == 0 {
		_, err := t.head(ctx, name) // a range can't be empty, but the object can be missing
		r.sure = true
		return r, err
	}
	if err := r.open(); err != nil {
		return nil, err
	}
	return r, nil
}

// reader reads an object and goes on where it was cut.
type reader struct {
	t    *Bucket
	ctx  context.Context
	name string
	at   int64
	left int64 // -1: to the end, which open finds out
	sure bool  // left is known
	tag  string
	body io.ReadCloser

	want string    // the checksum; "" unless the object is read whole
	hash hash.Hash // of what was read of it

	failed int // attempts since the last byte
}

// open asks for what is left.
func (r *reader) open() error {
	in := &s3.GetObjectInput{Bucket: &r.t.cfg.Bucket, Key: aws.String(r.t.key(r.name))}
	if r.left > 0 {
		in.Range = aws.String(fmt.Sprintf("bytes=%d-%d", r.at, r.at+r.left-1))
	} else if r.at > 0 {
		in.Range = aws.String(fmt.Sprintf("bytes=%d-", r.at))
	}
	if r.tag != "" {
		in.IfMatch = &r.tag
	}
	out, err := r.t.client.GetObject(r.ctx, in)
	if codeOf(err) == "InvalidRange" {
		return r.beyond()
	}
	if err != nil {
		return r.t.tell(r.ctx, "s3:GetObject", r.name, err)
	}
	if err := r.begin(in, out); err != nil {
		out.Body.Close()
		return err
	}
	r.body = out.Body
	return nil
}

// begin holds an answer to what was asked.
func (r *reader) begin(in *s3.GetObjectInput, out *s3.GetObjectOutput) error {
	got := aws.ToString(out.ContentRange)
	if in.Range != nil && !strings.HasPrefix(got, fmt.Sprintf("bytes %d-", r.at)) {
		return mail.Errorf(mail.Unimplemented, "%s was asked for a range of %s and sent %q: a server is needed that knows ranges", r.t, r.name, got)
	}
	if out.ContentLength == nil {
		return mail.Errorf(mail.Unimplemented, "%s does not say how long %s is", r.t, r.name)
	}
	if r.sure {
		return nil
	}
	r.sure = true
	r.tag = aws.ToString(out.ETag)
	if r.left < 0 {
		r.left = *out.ContentLength
	}
	if in.Range == nil {
		r.want, r.hash = out.Metadata[sumKey], sha256.New()
	}
	return nil
}

// beyond answers a range that begins at the end of the object or after it: the end
// itself has nothing more to read.
func (r *reader) beyond() error {
	head, err := r.t.head(r.ctx, r.name)
	if err != nil {
		return err
	}
	if r.at == aws.ToInt64(head.ContentLength) && r.left < 0 {
		r.left, r.sure = 0, true
		return nil
	}
	return fmt.Errorf("%s in %s has %d bytes, byte %d was asked for: %w", r.name, r.t, aws.ToInt64(head.ContentLength), r.at, io.ErrUnexpectedEOF)
}

// Read reads on. A connection that breaks is made anew, Attempts times without a
// byte at most.
func (r *reader) Read(p []byte) (int, error) {
	for {
		if r.left == 0 {
			return 0, r.end()
		}
		n, err := r.read(p)
		if n > 0 || err == nil {
			return n, nil
		}
		if err := r.again(err); err != nil {
			return 0, err
		}
	}
}

// read takes what the connection has.
func (r *reader) read(p []byte) (int, error) {
	if r.body == nil {
		return 0, io.ErrUnexpectedEOF
	}
	n, err := r.body.Read(p[:min(int64(len(p)), r.left)])
	r.at, r.left = r.at+int64(n), r.left-int64(n)
	if n > 0 {
		r.failed = 0
	}
	if r.hash != nil {
		r.hash.Write(p[:n])
	}
	return n, err
}

// again opens what is left, after a pause.
func (r *reader) again(cause error) error {
	r.Close()
	if r.failed++; r.failed >= r.t.cfg.Attempts {
		if errors.Is(cause, io.EOF) {
			cause = io.ErrUnexpectedEOF
		}
		return r.t.tell(r.ctx, "s3:GetObject", r.name, cause)
	}
	if err := r.t.cfg.wait(r.ctx, r.failed); err != nil {
		return err
	}
	return r.open()
}

// end is where all has been read.
func (r *reader) end() error {
	if r.want == "" || hex.EncodeToString(r.hash.Sum(nil)) == r.want {
		return io.EOF
	}
	return mail.Errorf(mail.Corrupt, "%s in %s is not what was put there", r.name, r.t)
}

// Close ends reading.
func (r *reader) Close() error {
	if r.body == nil {
		return nil
	}
	body := r.body
	r.body = nil
	return body.Close()
}
