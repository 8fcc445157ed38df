package s3

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/credentials/ec2rolecreds"
	"github.com/aws/aws-sdk-go-v2/feature/ec2/imds"

	"lockstep/internal/mail"
)

// maxSecret bounds a file that is to hold one line.
const maxSecret = 4 << 10

// endpointVariable names the server, where it is another for S3 than for other
// services.
const endpointVariable = "AWS_ENDPOINT_URL_S3"

// fromEnvironment completes the configuration with what the environment says.
func (c Config) fromEnvironment() (Config, config.EnvConfig, error) {
	env, err := config.NewEnvConfig()
	if err != nil {
		return c, env, wrap(mail.Invalid, err, "the environment variables of AWS can't be used")
	}
	c.Endpoint = cmp.Or(c.Endpoint, os.Getenv(endpointVariable), env.BaseEndpoint)
	c.Region = cmp.Or(c.Region, env.Region)
	return c, env, nil
}

// findCredentials looks where operators keep them, and completes the region from
// the same places.
func findCredentials(ctx context.Context, cfg *Config, env config.EnvConfig) (aws.CredentialsProvider, error) {
	if cfg.AccessKey != "" || cfg.SecretKeyFile != "" {
		return fromFile(*cfg)
	}
	if env.Credentials.HasKeys() {
		return credentials.StaticCredentialsProvider{Value: env.Credentials}, nil
	}
	profile, err := sharedProfile(ctx, *cfg, env)
	if err != nil {
		return nil, err
	}
	cfg.Region = cmp.Or(cfg.Region, profile.Region)
	switch {
	case profile.Credentials.HasKeys():
		return credentials.StaticCredentialsProvider{Value: profile.Credentials}, nil
	case cfg.Endpoint == "" && env.EC2IMDSClientEnableState != imds.ClientDisabled:
		return machineRole(*cfg), nil
	}
	return nil, mail.Errorf(mail.BadCredentials, "there are no credentials for %s%s: %s", Scheme, cfg.Bucket, cfg.whereCredentials())
}

// machineRole asks the machine that Amazon runs.
func machineRole(cfg Config) aws.CredentialsProvider {
	role := aws.NewCredentialsCache(ec2rolecreds.New())
	return aws.CredentialsProviderFunc(func(ctx context.Context) (aws.Credentials, error) {
		who, err := role.Retrieve(ctx)
		if err != nil && ctx.Err() == nil {
			err = wrap(mail.BadCredentials, err, "there are no credentials, and this machine has no role at Amazon: %s", cfg.whereCredentials())
		}
		return who, err
	})
}

// whereCredentials says where an operator can put them.
func (c Config) whereCredentials() string {
	return fmt.Sprintf("set %[1]s.access_key and %[1]s.secret_key_file, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or write them into ~/.aws/credentials of who runs this", c.Settings)
}

// fromFile reads the secret that goes with the configured key.
func fromFile(cfg Config) (aws.CredentialsProvider, error) {
	if cfg.AccessKey == "" || cfg.SecretKeyFile == "" {
		return nil, mail.Errorf(mail.Invalid, "%[1]s.access_key and %[1]s.secret_key_file go together", cfg.Settings)
	}
	f, err := os.Open(cfg.SecretKeyFile)
	if err != nil {
		return nil, wrap(mail.Invalid, err, "%s.secret_key_file can't be read", cfg.Settings)
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxSecret))
	if err != nil {
		return nil, wrap(mail.Invalid, err, "%s.secret_key_file can't be read", cfg.Settings)
	}
	secret := strings.TrimSpace(string(text))
	if secret == "" || strings.ContainsAny(secret, " \r\n") {
		return nil, mail.Errorf(mail.Invalid, "%s must hold the secret of the access key, in one line, and nothing else", cfg.SecretKeyFile)
	}
	return credentials.NewStaticCredentialsProvider(cfg.AccessKey, secret, ""), nil
}

// sharedProfile reads ~/.aws, or what the environment names instead.
func sharedProfile(ctx context.Context, cfg Config, env config.EnvConfig) (config.SharedConfig, error) {
	name := cmp.Or(env.SharedConfigProfile, config.DefaultSharedConfigProfile)
	profile, err := config.LoadSharedConfigProfile(ctx, name, func(o *config.LoadSharedConfigOptions) {
		if env.SharedCredentialsFile != "" {
			o.CredentialsFiles = []string{env.SharedCredentialsFile}
		}
		if env.SharedConfigFile != "" {
			o.ConfigFiles = []string{env.SharedConfigFile}
		}
	})
	var missing config.SharedConfigProfileNotExistError
	if errors.As(err, &missing) && env.SharedConfigProfile == "" {
		return config.SharedConfig{}, nil // nobody asked for one
	}
	if err != nil {
		return profile, wrap(mail.Invalid, err, "the shared configuration of AWS can't be used")
	}
	if !profile.Credentials.HasKeys() && (profile.RoleARN != "" || profile.SSOSessionName != "" || profile.SSOStartURL != "" || profile.CredentialProcess != "" || profile.WebIdentityTokenFile != "") {
		return profile, mail.Errorf(mail.Invalid, "the profile %q of the shared configuration of AWS signs in by a role, a process or a browser, which a server can't: %s", name, cfg.whereCredentials())
	}
	return profile, nil
}
