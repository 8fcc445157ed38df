package s3

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"

	smithy "github.com/aws/smithy-go"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	"lockstep/internal/mail"
)

// wrap makes an error with a cause.
func wrap(k mail.Kind, cause error, format string, args ...any) error {
	return &mail.Error{Kind: k, Detail: fmt.Sprintf(format, args...), Err: cause}
}

// codeOf is the word by which S3 names what is wrong, "" when nobody answered.
func codeOf(err error) string {
	var api smithy.APIError
	if errors.As(err, &api) {
		return api.ErrorCode()
	}
	return ""
}

func statusOf(err error) int {
	var resp *smithyhttp.ResponseError
	if errors.As(err, &resp) {
		return resp.HTTPStatusCode()
	}
	return 0
}

// isMissing tells whether the object is not there. That the bucket is not there is
// something else.
func isMissing(err error) bool {
	switch codeOf(err) {
	case "NoSuchKey", "NoSuchVersion":
		return true
	case "NotFound", "": // HEAD has no body to say more
		return statusOf(err) == http.StatusNotFound
	}
	return false
}

func isCertificate(err error) bool {
	var verify *tls.CertificateVerificationError
	var unknown x509.UnknownAuthorityError
	var host x509.HostnameError
	return errors.As(err, &verify) || errors.As(err, &unknown) || errors.As(err, &host)
}

// tell says what went wrong in words that say what to do. action is what needed to
// be allowed, such as s3:PutObject.
func (t *Bucket) tell(ctx context.Context, action, name string, err error) error {
	if err == nil {
		return nil
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if e, ok := errors.AsType[*mail.Error](err); ok {
		return e
	}
	if isMissing(err) {
		return fmt.Errorf("%s in %s: %w", name, t, fs.ErrNotExist)
	}
	if kind, detail := t.explain(action, codeOf(err), statusOf(err)); detail != "" {
		return wrap(kind, err, "%s", detail)
	}
	return t.unreachable(err)
}

// explain is about what a server answered.
func (t *Bucket) explain(action, code string, status int) (mail.Kind, string) {
	switch code {
	case "NoSuchBucket":
		return mail.Invalid, fmt.Sprintf("%s: there is no such bucket: make it, or correct its name and the endpoint", t)
	case "InvalidAccessKeyId", "InvalidClientTokenId", "UnrecognizedClientException":
		return mail.BadCredentials, fmt.Sprintf("%s does not know the access key: %s", t, t.cfg.whereCredentials())
	case "SignatureDoesNotMatch":
		return mail.BadCredentials, fmt.Sprintf("%s: the secret is not the one of the access key: correct %s.secret_key_file, or what stands in its place", t, t.cfg.Settings)
	case "ExpiredToken", "ExpiredTokenException", "InvalidToken":
		return mail.BadCredentials, fmt.Sprintf("%s: the session of these credentials has ended: sign in anew, or use a key that does not expire", t)
	case "RequestTimeTooSkewed", "RequestExpired":
		return mail.Invalid, fmt.Sprintf("%s: this machine's clock and the server's are too far apart: set it right (timedatectl)", t)
	case "PermanentRedirect", "AuthorizationHeaderMalformed", "IllegalLocationConstraintException", "TemporaryRedirect":
		return mail.Invalid, fmt.Sprintf("%[1]s is in another region: set %[3]s.region (%[2]q was asked) and, for a server that is not Amazon's, %[3]s.endpoint", t, t.client.Options().Region, t.cfg.Settings)
	case "AccessDenied", "AllAccessDisabled", "AccountProblem", "Forbidden":
		return mail.Denied, fmt.Sprintf("%s does not allow %s: give it to the credentials (docs/operations.md lists what is needed), and look for a lock on the object", t, action)
	case "InvalidObjectState":
		return mail.Invalid, fmt.Sprintf("%s: a rule has moved the object into an archive: restore it there first, and take the rule away", t)
	case "SlowDown", "ServiceUnavailable", "InternalError", "RequestTimeout", badDigest, badSum:
		return mail.Unavailable, fmt.Sprintf("%s can't now: try again later", t)
	case "QuotaExceeded", "InsufficientStorage", "XMinioStorageFull":
		return mail.Unavailable, fmt.Sprintf("%s is full: make room there, then try again", t)
	case "PreconditionFailed", "ConditionalRequestConflict":
		return mail.Conflict, fmt.Sprintf("%s: somebody else changed the object meanwhile", t)
	case "NotImplemented", "MethodNotAllowed":
		return mail.Unimplemented, fmt.Sprintf("%s can't do %s", t, action)
	}
	return t.explainStatus(action, code, status)
}

// explainStatus is about answers without a word that is known, as HEAD's are.
func (t *Bucket) explainStatus(action, code string, status int) (mail.Kind, string) {
	switch {
	case status == http.StatusForbidden, status == http.StatusUnauthorized:
		return mail.Denied, fmt.Sprintf("%s does not allow %s: look at the credentials and what they may (docs/operations.md lists what is needed)", t, action)
	case status == http.StatusInsufficientStorage:
		return mail.Unavailable, fmt.Sprintf("%s is full: make room there, then try again", t)
	case status == http.StatusPreconditionFailed:
		return mail.Conflict, fmt.Sprintf("%s: somebody else changed the object meanwhile", t)
	case status == http.StatusTooManyRequests, status >= 500:
		return mail.Unavailable, fmt.Sprintf("%s can't now (status %d): try again later", t, status)
	case code != "" || status >= 400:
		return mail.Internal, fmt.Sprintf("%s refused %s", t, action)
	}
	return 0, ""
}

// unreachable is about servers that did not answer, or not to the end.
func (t *Bucket) unreachable(err error) error {
	var dns *net.DNSError
	switch {
	case isCertificate(err):
		return wrap(mail.Denied, err, "%s: its certificate is not trusted: correct the endpoint, or name the file with its authority in SSL_CERT_FILE", t)
	case errors.As(err, &dns) && dns.IsNotFound:
		return wrap(mail.Unavailable, err, "%s: the name %s is not known: correct the endpoint, or look at this machine's DNS", t, dns.Name)
	}
	return wrap(mail.Unavailable, err, "%s can't be reached: look at the network and the endpoint, then try again", t)
}
