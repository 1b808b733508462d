package journal

import (
	"encoding/binary"
	"fmt"
	"time"

	bolt "go.etcd.io/bbolt"

	"github.com/sheafgrid/sheaf/internal/wire"
	"github.com/sheafgrid/sheaf/protocol"
	"github.com/sheafgrid/sheaf/task"
)

// Owner says whose journal it is. It never changes.
type Owner struct {
	Cluster task.ClusterID `msgpack:"c"`
	Host    task.Key       `msgpack:"h"`
	Account task.Key       `msgpack:"a"`
}

// Session is the run of numbered requests that the host is in.
type Session struct {
	ID     task.SessionID `msgpack:"i"`
	Opened task.Millis    `msgpack:"o"` // cluster time, as a coordinator told it
	Last   uint64         `msgpack:"l"` // number of the last request that was sent
}

// Request is a request that was sent, or is about to be.
type Request struct {
	Number  uint64           `msgpack:"n"`
	Purpose protocol.Purpose `msgpack:"p"`
	Frame   []byte           `msgpack:"f,omitempty"` // the exact bytes
	Reports []task.AttemptID `msgpack:"r,omitempty"` // whose results it reports, in this order
	Want    uint16           `msgpack:"w"`           // further attempts that it asks for
}

// Held is an attempt that was accepted and not acknowledged.
type Held struct {
	Attempt  protocol.Attempt
	Deadline time.Time // wall time, which a restart needs; while the program runs it goes by its own clock
	Result   *Result   // nil until it is computed
}

// Result is how an attempt ended.
type Result struct {
	Report  protocol.Report   `msgpack:"r"`
	Uploads []task.OutputFile `msgpack:"u,omitempty"` // outputs that must be uploaded before the report is sent
}

// State is everything in a journal but the publishers' keys.
type State struct {
	Owner    *Owner   // nil before SetOwner
	Session  *Session // nil before OpenSession
	Enrolled bool
	Request  *Request // nil when none is on its way
	Held     []Held   // by number
	Members  []protocol.Member
}

// heldBytes is Held on disk; the result stands in a bucket of its own.
type heldBytes struct {
	Attempt  protocol.Attempt `msgpack:"a"`
	Deadline int64            `msgpack:"d"` // Unix milliseconds
}

type schemaBytes struct {
	Version uint16 `msgpack:"v"`
}

type flagBytes struct {
	Set bool `msgpack:"s"`
}

type membersBytes struct {
	Members []protocol.Member `msgpack:"m,omitempty"`
}

type keyBytes struct {
	Key task.Key `msgpack:"k"`
}

// Kinds of frames, one for each type of value. They are never reused.
const (
	frameSchema  uint16 = 1
	frameOwner   uint16 = 2
	frameSession uint16 = 3
	frameRequest uint16 = 4
	frameFlag    uint16 = 5
	frameMembers uint16 = 6
	frameHeld    uint16 = 7
	frameResult  uint16 = 8
	frameKey     uint16 = 9
)

// maxValue bounds a value, in bytes: an attempt comes out of a reply, and a
// report goes into an envelope.
const maxValue = protocol.MaxReply

// The buckets, and the keys of the bucket meta.
var (
	bucketMeta       = []byte("meta")
	bucketAttempts   = []byte("attempts")   // number → heldBytes
	bucketResults    = []byte("results")    // number → Result
	bucketPublishers = []byte("publishers") // project → keyBytes

	keySchema   = []byte("schema")
	keyOwner    = []byte("owner")
	keySession  = []byte("session")
	keyRequest  = []byte("request")
	keyEnrolled = []byte("enrolled")
	keyMembers  = []byte("members")
)

// attemptKey is a number as a key: sorted as numbers are.
func attemptKey(id task.AttemptID) []byte { return binary.BigEndian.AppendUint64(nil, uint64(id)) }

func put(b *bolt.Bucket, key []byte, kind uint16, v any) error {
	return b.Put(key, wire.Seal(kind, wire.Marshal(v)))
}

// get reads a value; what names it in an error. found is false where there is
// none.
func get(b *bolt.Bucket, key []byte, kind uint16, into any, what string) (found bool, err error) {
	v := b.Get(key)
	if v == nil {
		return false, nil
	}
	return true, decode(v, kind, into, what)
}

func decode(v []byte, kind uint16, into any, what string) error {
	got, payload, err := wire.Open(v, maxValue)
	if err == nil && got != kind {
		err = fmt.Errorf("a frame of kind %d stands where one of kind %d belongs", got, kind)
	}
	if err == nil {
		err = wire.Unmarshal(payload, into)
	}
	if err != nil {
		return fmt.Errorf("%w: %s: %w", ErrDamaged, what, err)
	}
	return nil
}
