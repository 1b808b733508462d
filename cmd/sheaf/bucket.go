package main

import (
	"errors"
	"os"

	"github.com/sheafgrid/sheaf/storage/s3"
)

// The variables that hold the keys of a bucket: flags can be read by everybody
// on the machine.
const (
	accessKeyVariable = "SHEAF_S3_ACCESS_KEY"
	secretKeyVariable = "SHEAF_S3_SECRET_KEY"
)

// s3Flags say which bucket a cluster keeps its blobs in.
type s3Flags struct {
	Endpoint string `help:"URL of an S3 server for programs, inputs and large outputs, for all coordinators of the cluster alike, from the beginning. Its keys are in SHEAF_S3_ACCESS_KEY and SHEAF_S3_SECRET_KEY, or in --s3-keys. Default: the coordinators' own disks." placeholder:"URL"`
	Bucket   string `help:"The bucket, which must be there." placeholder:"NAME"`
	Region   string `help:"The bucket's region. Default: us-east-1." placeholder:"NAME"`
	Prefix   string `help:"What the names of all objects begin with." placeholder:"NAME"`
	Hidden   bool   `help:"Clients cannot reach the S3 server: the coordinators pass blobs on. Default: clients read and write there by themselves, by URLs that the coordinators sign."`
	Keys     string `help:"File of two lines, the access key and the secret key." type:"path" placeholder:"FILE"`
}

// config is nil where no bucket is meant.
func (f *s3Flags) config() (*s3.Config, error) {
	if f.Endpoint == "" {
		if f.Bucket+f.Keys+f.Region+f.Prefix != "" {
			return nil, failure{errors.New("--s3-bucket and the like say nothing without --s3-endpoint URL"), exitUsage}
		}
		return nil, nil
	}
	c := s3.Config{Endpoint: f.Endpoint, Bucket: f.Bucket, Region: f.Region, Prefix: f.Prefix, Keys: s3.NewKeys(os.Getenv(accessKeyVariable), os.Getenv(secretKeyVariable))}
	if f.Keys != "" {
		var err error
		if c.Keys, err = s3.ReadKeys(f.Keys); err != nil {
			return nil, failure{err, exitUsage}
		}
	}
	if err := c.Validate(); err != nil {
		return nil, failure{err, exitUsage}
	}
	return &c, nil
}
