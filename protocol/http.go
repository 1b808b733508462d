package protocol

import (
	"encoding/base64"
	"fmt"
	"strconv"

	"github.com/sheafgrid/sheaf/task"
)

// Paths and headers of the HTTP interface.
const (
	PathRequests = "/v1/requests" // POST: an Envelope; the answer is a Reply
	PathCluster  = "/v1/cluster"  // GET: ClusterView
	PathNode     = "/v1/node"     // GET: NodeView
	PathDigest   = "/v1/node/digest"
	PathBlobs    = "/v1/blobs/"   // GET, PUT: a public blob: programs, inputs, indexes
	PathOutputs  = "/v1/outputs/" // PUT, below OutputsPath: an output, not readable before its release
	PathJobs     = "/v1/jobs"     // GET: []JobView; and below it, jobs
	PathHosts    = "/v1/hosts"    // GET: []HostView
	PathProjects = "/v1/projects" // GET: []ProjectView

	HeaderKey       = "Sheaf-Key"       // of an upload, or of a reading that needs it
	HeaderSignature = "Sheaf-Signature" // SignUpload or SignRead, base64url
	HeaderTime      = "Sheaf-Time"      // cluster time of a signed reading
	HeaderSize      = "Sheaf-Size"      // bytes of an upload before compression
	HeaderOffset    = "Sheaf-Offset"    // the byte from which on a part of an upload follows, or should; or OffsetUnknown

	HeaderDirect    = "Sheaf-Direct"     // DirectWanted or DirectSent
	HeaderUploadURL = "Sheaf-Upload-URL" // where the whole of a blob may be sent with one PUT, instead of to the coordinator

	// DirectWanted: the client can use URLs of another server for this blob.
	DirectWanted = "wanted"
	// DirectSent: the blob was sent to the Sheaf-Upload-URL, and is to be taken from there.
	DirectSent = "sent"

	// OffsetUnknown asks how much of an upload has arrived.
	OffsetUnknown = "?"

	ContentType = "application/x-sheaf" // of frames
)

// ReadWindow is how old, in cluster time, a signed reading may be.
const ReadWindow task.Millis = 10 * 60 * 1000

// JobPath is the path of a job's view.
func JobPath(job task.JobID) string { return PathJobs + "/" + job.String() }

// ResultsPath is the path of a page of a level's results.
func ResultsPath(job task.JobID, level uint8, from uint64, limit int) string {
	return fmt.Sprintf("%s/levels/%d/results?from=%d&limit=%d", JobPath(job), level, from, limit)
}

// AttemptsPath is the path of a page of a level's attempts.
func AttemptsPath(job task.JobID, level uint8, from uint64, limit int) string {
	return fmt.Sprintf("%s/levels/%d/attempts?from=%d&limit=%d", JobPath(job), level, from, limit)
}

// OutputPath is the path of one released output of a task, by its place in the
// task's list of files.
func OutputPath(job task.JobID, level uint8, index uint64, file int) string {
	return fmt.Sprintf("%s/levels/%d/tasks/%d/files/%d", JobPath(job), level, index, file)
}

// OutputsPath is the path below which the outputs of an attempt are stored.
func OutputsPath(attempt task.AttemptID) string {
	return PathOutputs + strconv.FormatUint(uint64(attempt), 10) + "/"
}

// SpecPath is the path of a job's specification, as EncodeSpec wrote it.
func SpecPath(job task.JobID) string { return JobPath(job) + "/spec" }

// MaxPage is the most results or attempts that one page holds.
const MaxPage = 4096

// EncodeSignature is a signature as a header carries it.
func EncodeSignature(sig []byte) string { return base64.RawURLEncoding.EncodeToString(sig) }

// DecodeSignature reads what EncodeSignature wrote; anything else is nil,
// which verifies for nobody.
func DecodeSignature(s string) []byte {
	b, err := base64.RawURLEncoding.Strict().DecodeString(s)
	if err != nil {
		return nil
	}
	return b
}

// ParseMillis reads a cluster time; anything else is -1, which is too old for
// every use.
func ParseMillis(s string) task.Millis {
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil || n < 0 {
		return -1
	}
	return task.Millis(n)
}
