package s3

import (
	"errors"
	"fmt"
	"net/url"
	"os"
	"regexp"
	"strings"
)

// Config says which bucket is meant, and how it is reached. Its keys are never
// part of an error or a log.
type Config struct {
	Endpoint string // URL of the server, such as https://s3.example.org:9000
	Bucket   string // which must be there
	Region   string // "": us-east-1
	Prefix   string // of all objects' names, without a slash at its ends; "": none
	Keys     Keys
}

// Keys let whoever knows them into a bucket.
type Keys struct {
	access, secret string
}

// NewKeys makes keys of what the server calls access key and secret key.
func NewKeys(access, secret string) Keys { return Keys{access, secret} }

// String hides the keys wherever they are printed.
func (k Keys) String() string { return "(keys)" }

// GoString hides them, too.
func (k Keys) GoString() string { return "s3.Keys{}" }

// ReadKeys reads keys from a file of two lines, the access key and the secret
// key.
func ReadKeys(path string) (Keys, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return Keys{}, fmt.Errorf("keys of the S3 server: %w", err)
	}
	lines := strings.Fields(string(b))
	if len(lines) != 2 || len(b) > 4096 {
		return Keys{}, fmt.Errorf("keys of the S3 server: %s must hold two lines, the access key and the secret key", path)
	}
	return Keys{lines[0], lines[1]}, nil
}

// Name names the bucket and its server, without its keys.
func (c Config) Name() string {
	return strings.TrimSuffix(strings.TrimSuffix(c.Endpoint, "/")+"/"+c.Bucket+"/"+c.Prefix, "/")
}

var (
	bucketName = regexp.MustCompile(`^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$`)
	prefixName = regexp.MustCompile(`^([a-zA-Z0-9._-]+/)*[a-zA-Z0-9._-]*$`)
)

// Validate reports what is wrong with c.
func (c Config) Validate() error {
	u, err := url.Parse(c.Endpoint)
	switch {
	case err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.User != nil || strings.Trim(u.Path, "/") != "" || u.RawQuery != "":
		return errors.New("S3 server: want a URL like https://s3.example.org:9000, without a path or keys in it")
	case !bucketName.MatchString(c.Bucket):
		return fmt.Errorf("S3 server %s: %q cannot be the name of a bucket", u.Host, c.Bucket)
	case !prefixName.MatchString(c.Prefix) || strings.HasSuffix(c.Prefix, "/"):
		return fmt.Errorf("S3 server %s: the prefix %q: want letters, digits, and . _ - / inside", u.Host, c.Prefix)
	case c.Keys.access == "" || c.Keys.secret == "":
		return fmt.Errorf("S3 server %s: no keys are given", u.Host)
	}
	return nil
}
