// Package httpapi is the coordinator's face to clients, publishers and
// browsers: signed requests, blobs, the public JSON, and the pages.
//
// It verifies what comes in (size, form, signature, what can be checked before
// the log) and hands it on: exchanges to the dispatcher, everything else as a
// command to the log. A node that does not lead verifies the same and forwards
// once to the one that does. It decides nothing that Apply does not check
// again, and keeps nothing between requests.
//
// Every limit on what a stranger can make it do stands in limits.go. It starts
// no goroutine but those of net/http.
package httpapi

import (
	"context"
	"io"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sheafgrid/sheaf/coordinator/state"
	"github.com/sheafgrid/sheaf/protocol"
	"github.com/sheafgrid/sheaf/sheaves"
	"github.com/sheafgrid/sheaf/storage"
	"github.com/sheafgrid/sheaf/storage/partial"
	"github.com/sheafgrid/sheaf/task"
	"github.com/sheafgrid/sheaf/web"
)

// Node is the replicated state, as the API uses it.
type Node interface {
	View(fn func(*state.State))
	Propose(ctx context.Context, c state.Command) (state.Result, error)
	Now() task.Millis
	Serving() bool
	Verify(ctx context.Context) error // nil: it led at some moment of the call
	Leader() task.NodeID
	Status() protocol.NodeView
	Digest() (index uint64, digest task.Digest)
	Freeze() (index uint64, frozen *state.Frozen)
}

// Exchanger carries out exchanges on the leader. It fills in the reply, in the
// room that its lists have. When it has returned, with an error or without, it
// uses neither the reply nor the request's bytes.
type Exchanger interface {
	Exchange(ctx context.Context, e *protocol.Envelope, r *protocol.ExchangeReply) error
}

// Archive reads released results.
type Archive interface {
	Chunk(ctx context.Context, stage task.StageID, chunk uint64) (*sheaves.Sheaf, error)
	Task(ctx context.Context, stage task.StageID, i uint64) (*sheaves.Task, error)
	// OpenOutput opens the list of outputs of a released task, or an output.
	OpenOutput(ctx context.Context, stage task.StageID, i uint64, digest task.Digest) (storage.Blob, error)
	// ReadOutput returns the bytes of one, limit at most.
	ReadOutput(ctx context.Context, stage task.StageID, i uint64, digest task.Digest, limit int64) ([]byte, error)
}

// Store keeps blobs of one area on a majority of nodes.
type Store interface {
	Put(ctx context.Context, digest task.Digest, size int64, r io.Reader) error
	Open(ctx context.Context, digest task.Digest) (storage.Blob, error)
	ReadAll(ctx context.Context, digest task.Digest, limit int64) ([]byte, error)
	// Keep sees to it that a majority has blobs and keeps them until an entry
	// that refers to them is in the log.
	Keep(ctx context.Context, digests ...task.Digest) error
}

// Config is what a Server is made of.
type Config struct {
	Name     task.NodeID
	Cluster  task.ClusterID // as the node knows it from its own files, before its state has caught up
	Node     Node
	Exchange Exchanger
	Archive  Archive
	Members  Members
	Public   Store
	Outputs  Store
	Partial  *partial.Store                                // beginnings of large uploads; nil: none are kept
	Room     func(bytes int64) (release func(), err error) // sets space aside for them; nil: there is enough
	Forward  *http.Client                                  // reaches the other coordinators by their names (peers.URL)
	Pages    *web.Pages
	Patience time.Duration       // how long exchanges may wait before further ones are sent away
	Ready    func() error        // why clients should rather ask another node
	Refused  func(protocol.Code) // is told of every refusal
	Logger   *slog.Logger

	DirectPublic, DirectOutputs Direct // where clients may send and read blobs by themselves; nil: nowhere
}

// Server answers HTTP requests.
type Server struct {
	cfg      Config
	mux      *http.ServeMux
	verifier *verifier
	shedder  *shedder
	passing  map[bool]chan struct{} // exchanges, and other requests: holds one for each that is passed on to the leader
	reading  chan struct{}          // holds one for each submission whose files are read
	backups  chan struct{}          // holds one for each snapshot that is being sent
	decoders decoders               // of compressed uploads
	bodies   atomic.Int64           // bytes of requests in memory (countedBody)
	read     sync.Pool              // of *[]byte: what exchanges were read into
	replies  sync.Pool              // of *protocol.ExchangeReply: carryOut takes one, reply gives it back
	encoded  sync.Pool              // of *[]byte: what replies were encoded in
}

// New makes a server; it is an http.Handler.
func New(cfg Config) *Server {
	s := &Server{
		cfg: cfg, mux: http.NewServeMux(), verifier: newVerifier(), shedder: newShedder(cfg.Patience, time.Now, rand.Int64N),
		passing: map[bool]chan struct{}{true: make(chan struct{}, maxPassing), false: make(chan struct{}, maxPassing)}, backups: make(chan struct{}, maxSnapshots), reading: make(chan struct{}, maxReading), decoders: newDecoders(),
	}
	s.mux.HandleFunc("POST "+protocol.PathRequests, s.serveRequest)
	s.mux.HandleFunc("GET "+protocol.PathCluster, s.serveCluster)
	s.mux.HandleFunc("GET "+protocol.PathNode, s.serveNode)
	s.mux.HandleFunc("GET "+protocol.PathDigest, s.serveDigest)
	s.mux.HandleFunc("GET "+protocol.PathBlobs+"{digest}", s.serveBlob)
	s.mux.HandleFunc("PUT "+protocol.PathBlobs+"{digest}", s.servePutBlob)
	s.mux.HandleFunc("PUT "+protocol.PathOutputs+"{attempt}/{digest}", s.servePutOutput)
	s.fresh("GET "+protocol.PathJobs, s.serveJobs)
	s.fresh("GET "+protocol.PathJobs+"/{job}", s.serveJob)
	s.fresh("GET "+protocol.PathJobs+"/{job}/spec", s.serveSpec)
	s.fresh("GET "+protocol.PathJobs+"/{job}/levels/{level}/results", s.serveResults)
	s.fresh("GET "+protocol.PathJobs+"/{job}/levels/{level}/attempts", s.serveAttempts)
	s.fresh("GET "+protocol.PathJobs+"/{job}/levels/{level}/tasks/{index}/files/{file}", s.serveOutput)
	s.fresh("GET "+protocol.PathSnapshot, s.serveSnapshot)
	s.mux.HandleFunc("GET "+protocol.PathOperatorBlobs+"{area}/{digest}", s.serveOperatorBlob)
	s.mux.HandleFunc("POST "+protocol.PathOperatorBlobs+"{area}/batch/{sum}", s.serveOperatorBatch)
	s.fresh("GET "+protocol.PathHosts, s.serveHosts)
	s.fresh("GET "+protocol.PathProjects, s.serveProjects)
	s.mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "ok\n") })
	s.mux.HandleFunc("GET /readyz", s.serveReady)
	s.members()
	s.pages()
	return s
}

// ServeHTTP answers one request.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("X-Content-Type-Options", "nosniff")
	s.mux.ServeHTTP(w, r)
}
