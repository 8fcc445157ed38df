package config

import (
	"fmt"

	"lockstep/internal/s3"
)

// S3 is how buckets are reached. The secret lies in a file of its own, so that config
// print and backups of the configuration do not spread it.
type S3 struct {
	Endpoint      string `toml:"endpoint" comment:"The server of s3:// targets, such as \"https://s3.example.org\". Empty is what AWS_ENDPOINT_URL_S3 says, else Amazon's."`
	Region        string `toml:"region" comment:"The region of the bucket. Empty is what AWS_REGION or ~/.aws/config says, else us-east-1."`
	PathStyle     bool   `toml:"path_style" comment:"Whether an endpoint takes the bucket's name as part of the path; false: as part of the host's name. Amazon's is asked by host."`
	AccessKey     string `toml:"access_key" comment:"The access key. Empty: what AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, else ~/.aws/credentials say, else the role of a machine at Amazon."`
	SecretKeyFile string `toml:"secret_key_file" comment:"File with the secret of the access key, one line."`
}

// check refuses what can't work; table is where it stands in the file.
func (s S3) check(table string) error {
	if err := s3.CheckEndpoint(s.Endpoint); err != nil {
		return fmt.Errorf("%s.endpoint: %w", table, err)
	}
	if (s.AccessKey == "") != (s.SecretKeyFile == "") {
		return fmt.Errorf("%[1]s.access_key and %[1]s.secret_key_file go together: set both, or neither", table)
	}
	return nil
}
