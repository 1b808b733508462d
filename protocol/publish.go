package protocol

import (
	"github.com/sheafgrid/sheaf/internal/wire"
	"github.com/sheafgrid/sheaf/task"
)

// CreateProject makes a project that the sender's account owns.
type CreateProject struct {
	Name        string `msgpack:"n"` // unique in the cluster (task.CheckHandle)
	Description string `msgpack:"d,omitempty"`
	AccountName string `msgpack:"a,omitempty"` // used when the account is new
}

// Publish adds a build of an app to a project of the sender's; the app is made
// when it is new. Publishing the same build again changes nothing.
type Publish struct {
	Project   string      `msgpack:"p"`
	App       string      `msgpack:"a"`
	Program   task.Digest `msgpack:"m"` // an uploaded blob
	Meter     uint16      `msgpack:"v"`
	Signature []byte      `msgpack:"g,omitempty"` // SignVersion
}

// Submit submits a job. Every program that its specification names must be a
// published version of an app of the project.
type Submit struct {
	Project string `msgpack:"p"`
	Spec    []byte `msgpack:"s,omitempty"` // EncodeSpec
}

// Cancel ends a job of the sender's.
type Cancel struct {
	Job task.JobID `msgpack:"j"`
}

// SetPublishers says who may publish. Only an operator's account may.
type SetPublishers struct {
	Anyone bool       `msgpack:"a,omitempty"`
	Listed []task.Key `msgpack:"l,omitempty"`
}

// EncodeSpec is a job's specification as it is submitted and logged.
func EncodeSpec(s *task.JobSpec) []byte { return wire.Marshal(s) }

// DecodeSpec reads and validates a specification.
func DecodeSpec(b []byte) (*task.JobSpec, error) {
	if len(b) > MaxSpec {
		return nil, Refuse(CodeTooLarge, "the job's specification has %d bytes, at most %d are allowed; put long lists into a file and split by lines", len(b), MaxSpec)
	}
	var s task.JobSpec
	if err := wire.Unmarshal(b, &s); err != nil {
		return nil, Refuse(CodeInvalid, "the job's specification cannot be read: %v", err)
	}
	if err := s.Validate(); err != nil {
		return nil, Refuse(CodeInvalid, "%v", err)
	}
	return &s, nil
}
