// Package coordinator is one node of a Sheaf cluster: it wires the replicated
// state, the blobs, the exchanges, the leader's loops and the HTTP interface
// together, and knows how a node is made, joins, and comes back.
//
// Open takes the data folder and the ports; Run keeps the node going until its
// context ends or something fails that must not be survived. The process then
// exits, a supervisor starts it again, and the node goes on from its disk.
package coordinator

import (
	"context"
	"crypto/ecdsa"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"path/filepath"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/sheafgrid/sheaf/coordinator/blobs"
	"github.com/sheafgrid/sheaf/coordinator/collect"
	"github.com/sheafgrid/sheaf/coordinator/consensus"
	"github.com/sheafgrid/sheaf/coordinator/front"
	"github.com/sheafgrid/sheaf/coordinator/peers"
	"github.com/sheafgrid/sheaf/coordinator/scrub"
	"github.com/sheafgrid/sheaf/internal/diskwatch"
	"github.com/sheafgrid/sheaf/internal/fsutil"
	"github.com/sheafgrid/sheaf/internal/gate"
	"github.com/sheafgrid/sheaf/protocol"
	"github.com/sheafgrid/sheaf/storage/dir"
	"github.com/sheafgrid/sheaf/storage/partial"
	"github.com/sheafgrid/sheaf/storage/reserve"
	"github.com/sheafgrid/sheaf/storage/s3"
	"github.com/sheafgrid/sheaf/task"
)

// Config describes one node.
type Config struct {
	Dir       string      // data folder, made if need be
	Listen    string      // address for clients, "host:port"
	Raft      string      // address for other coordinators; "": Listen's, with a port 1000 higher; without a host, they use Advertise's
	Advertise string      // URL at which clients reach this node; "": made of Listen
	Name      task.NodeID // of a new node; "": drawn
	Bootstrap *Bootstrap  // make a new cluster, unless the folder holds a node already
	Join      string      // URL of a member of the cluster to join, unless the folder holds a node already
	Replace   task.NodeID // with Join: a member that is lost for good, whose place the node takes
	Token     string      // with Join: a join token of the cluster; needed unless everything is on loopback
	HTTPS     HTTPS       // what clients see at Listen
	Quota     int64       // bytes for blobs and for outputs each; 0: no limit
	CopyRate  int64       // bytes a second that this node may copy when the members change; 0: no limit
	Reserve   int64       // bytes of the disk that blobs leave free, for the log and everything else
	S3        *s3.Config  // the bucket for programs, inputs, sheaves and large outputs; nil: the disks of the nodes
	S3Hidden  bool        // clients cannot reach the S3 server: coordinators pass blobs on
	Scrub     int64       // bytes a second that the search for damaged blobs reads; 0: none
	Timing    consensus.Timing

	MaxConnections int // of clients, fewer where there are not enough file descriptors; 0: DefaultConnections
	MaxPerHost     int // of them, from one address; 0: no bound

	Logger *slog.Logger

	// Now reads a monotonic clock in milliseconds; nil means the process's own.
	Now func() int64
	// Wall reads the wall clock, which certificates and join tokens are compared
	// with; nil means the machine's.
	Wall func() time.Time

	advertiseRaft string // where other coordinators reach this node
}

// Bootstrap says what a new cluster is to be like.
type Bootstrap struct {
	Operator   task.Key   // the account that may change settings
	Anyone     bool       // anyone may publish
	Publishers []task.Key // who may, otherwise
}

// Coordinator is one node of a data folder, ready to run.
type Coordinator struct {
	*assembly
	cfg      Config
	public   *dir.Store
	outputs  *outputs
	watch    *diskwatch.Watch // of the blobs; the log has its own
	disk     *reserve.Disk
	uploads  *partial.Store
	bucket   *bucket // nil: none
	scrubber *scrub.Scrubber
	listener net.Listener
	gate     *gate.Gate // bounds who is connected to the listener
	port     *peers.Port
	live     atomic.Pointer[assembly] // set when the node is put together
	members  reach                    // how it reaches the others
	front    *front.Front
	unlock   func() error
}

// Open takes the data folder and the ports of a node. Run must follow.
func Open(ctx context.Context, cfg Config) (*Coordinator, error) {
	if err := cfg.complete(); err != nil {
		return nil, err
	}
	c := &Coordinator{cfg: cfg, watch: diskwatch.New()}
	if err := c.open(ctx); err != nil {
		return nil, errors.Join(err, c.close())
	}
	return c, nil
}

func (c *Coordinator) open(ctx context.Context) (err error) {
	if err := mkdir(c.cfg.Dir); err != nil {
		return err
	}
	if c.unlock, err = fsutil.Lock(filepath.Join(c.cfg.Dir, "lock")); err != nil {
		return fmt.Errorf("data folder %s: %w; each coordinator needs its own (--data)", c.cfg.Dir, err)
	}
	if err := checkRestored(c.cfg.Dir); err != nil {
		return err
	}
	if c.listener, err = net.Listen("tcp", c.cfg.Listen); err != nil {
		return fmt.Errorf("listening for clients on %s: %w; choose another address with --listen", c.cfg.Listen, err)
	}
	c.openGate()
	key, err := nodeKey(&c.cfg)
	if err != nil {
		return err
	}
	id, err := findIdentity(ctx, &c.cfg, key)
	if err != nil {
		return err
	}
	if err := checkFolders(&c.cfg, id); err != nil {
		return err
	}
	if id, err = c.openFront(id); err != nil {
		return err
	}
	return c.openParts(ctx, id, key)
}

// openGate bounds the connections of clients.
func (c *Coordinator) openGate() {
	most := gate.Most(c.cfg.MaxConnections)
	if most < c.cfg.MaxConnections {
		c.cfg.Logger.Warn("the system gives this process too few file descriptors: fewer clients can be connected than would be allowed; raise the limit (ulimit -n, LimitNOFILE under systemd)",
			"can", most, "allowed", c.cfg.MaxConnections)
	}
	c.gate = gate.New(c.listener, gate.Config{Limit: most, PerHost: c.cfg.MaxPerHost, Logger: c.cfg.Logger})
}

// openParts opens the node's stores and ports, and puts it together.
func (c *Coordinator) openParts(ctx context.Context, id Identity, key *ecdsa.PrivateKey) (err error) {
	if c.public, err = openPublic(ctx, &c.cfg); err != nil {
		return err
	}
	c.disk = reserve.NewDisk(c.cfg.Reserve, func() (int64, error) {
		free, _, err := fsutil.Space(c.cfg.Dir)
		return free, err
	})
	clock, err := collect.OpenClock(filepath.Join(c.cfg.Dir, "blobs.clock"))
	if err != nil {
		return err
	}
	bucket, err := c.openBucket(ctx, id)
	if err != nil {
		return err
	}
	if c.outputs, err = openOutputs(ctx, &c.cfg, outputParts{clock: clock, room: c.disk, disk: c.watch, bucket: bucket.outputs()}); err != nil {
		return err
	}
	if c.uploads, err = partial.Open(filepath.Join(c.cfg.Dir, "uploads")); err != nil {
		return err
	}
	public := collect.NewStore(reserve.NewStore(&watchedBlobs{c.public, c.watch, filepath.Join(c.cfg.Dir, string(blobs.Public))}, c.disk), clock)
	raft, err := c.openRaft(id, key)
	if err != nil {
		return err
	}
	if err := checkLog(&c.cfg, id, raft); err != nil {
		return closing(err, raft)
	}
	fingerprint, err := peers.FingerprintOf(key)
	if err != nil {
		return closing(err, raft)
	}
	parts := Parts{
		Identity: id, Raft: raft, Public: public, Outputs: c.outputs, Key: fingerprint, Peers: c.members, Partial: c.uploads,
		Room:    func(bytes int64) (func(), error) { return c.disk.Take(1, bytes) },
		Collect: &Collected{Public: public, Outputs: c.outputs.kept, Clock: clock, Pace: collectPace},
		Find:    c.finder(), Local: loopback(c.listener.Addr().String()) && loopback(c.cfg.Raft),
		CopyRate: c.cfg.CopyRate, Disk: c.diskUse, Connections: c.gate.Counts, Timing: c.cfg.Timing, Dir: c.cfg.Dir, Now: c.cfg.Now, Wall: c.cfg.Wall, Logger: c.cfg.Logger,
	}
	if bucket != nil {
		parts.Public, parts.Shared, parts.Collect = bucket.public, inBucket, nil
		parts.Bucket = &Bucket{Public: bucket.public, Outputs: bucket.large, Pace: collectPace}
		if !c.cfg.S3Hidden {
			parts.DirectPublic, parts.DirectOutputs = bucket.public, bucket.large
		}
	}
	c.assembly, err = assemble(parts)
	if err != nil {
		return closing(err, raft)
	}
	c.live.Store(c.assembly)
	c.scrubber = c.newScrubber()
	c.outside.HandleFunc("GET "+protocol.PathStorage, c.serveStorage)
	return nil
}

// collectPace bounds what looking for unused blobs reads, and what it copies in a
// bucket, in bytes a second.
const collectPace = 16 << 20

// diskUse tells the bytes of the log and its snapshots, and those that are free on
// its disk; -1 where the system does not say.
func (c *Coordinator) diskUse() (log, free int64) {
	log, err := fsutil.Size(filepath.Join(c.cfg.Dir, "raft"))
	if err != nil {
		log = -1
	}
	if free, _, err = fsutil.Space(c.cfg.Dir); err != nil {
		free = -1
	}
	return log, free
}

// finder asks at the URL to join who is there.
func (c *Coordinator) finder() func(context.Context) (task.NodeID, string, error) {
	if c.cfg.Join == "" {
		return nil
	}
	return func(ctx context.Context) (task.NodeID, string, error) {
		i, err := findMember(ctx, &c.cfg)
		return i.Node, i.Raft, err
	}
}

// closing gives back a log that is not going to be used.
func closing(err error, raft consensus.Stores) error {
	for _, s := range raft.Close {
		err = errors.Join(err, s.Close())
	}
	return err
}

// openRaft opens the folder's log and the port for other coordinators.
func (c *Coordinator) openRaft(id Identity, key *ecdsa.PrivateKey) (consensus.Stores, error) {
	if err := c.openPort(id, key); err != nil {
		return consensus.Stores{}, err
	}
	stream, err := consensus.NewStream(id.Node, id.Raft, c.port)
	if err != nil {
		return consensus.Stores{}, err
	}
	transport := consensus.NewTransport(stream, c.cfg.Logger)
	stores, err := consensus.OpenDir(filepath.Join(c.cfg.Dir, "raft"), transport, c.cfg.Logger)
	if err != nil {
		return consensus.Stores{}, errors.Join(err, transport.Close())
	}
	return stores, nil
}

// endsWithin is how long a node whose disk has failed may take to end in order.
const endsWithin = 5 * time.Second

// Run keeps the node going until ctx ends or it fails. It closes everything
// that Open opened. Where the disk hangs, what waits for it is left behind: the
// process is to exit.
func (c *Coordinator) Run(ctx context.Context) error {
	ended := make(chan error, 1)
	go func() { ended <- c.run(ctx) }()
	var err error
	select {
	case err := <-ended:
		return err
	case <-c.watch.Failed():
		err = c.watch.Err()
	case <-c.node.Failed():
		err = c.node.Err()
	}
	select {
	case err := <-ended:
		return err
	case <-time.After(endsWithin):
		return fmt.Errorf("node %s: %w", c.parts.Identity.Node, err)
	}
}

func (c *Coordinator) run(ctx context.Context) error {
	server := &http.Server{
		Handler: c.Handler(), ReadHeaderTimeout: 10 * time.Second, IdleTimeout: 2 * time.Minute, MaxHeaderBytes: 16 << 10,
		ErrorLog: slog.NewLogLogger(c.cfg.Logger.Handler(), slog.LevelDebug),
	}
	c.gate.Attach(server)
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return c.assembly.Run(ctx) })
	g.Go(func() error { return c.port.Run(ctx) })
	g.Go(func() error { return c.servePeers(ctx) })
	g.Go(func() error { return c.noteProgress(ctx) })
	g.Go(func() error { return c.watch.Run(ctx) })
	g.Go(func() error { return c.outputs.forget(ctx, c.assembly) })
	g.Go(func() error { return c.scrubber.Run(ctx) })
	g.Go(func() error { return c.expireUploads(ctx) })
	g.Go(func() error { return c.front.Run(ctx) })
	g.Go(func() error { return serve(ctx, server, c.front.Listener(c.gate)) })
	return errors.Join(g.Wait(), c.close())
}

// serve runs an HTTP server until ctx ends. Answers on their way may then
// finish; the log is closing under them.
func serve(ctx context.Context, server *http.Server, l net.Listener) error {
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error {
		if err := server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			return err
		}
		return nil
	})
	g.Go(func() error {
		<-ctx.Done()
		short, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
		defer cancel()
		if err := server.Shutdown(short); err != nil {
			return server.Close()
		}
		return nil
	})
	return g.Wait()
}

// close gives back what open took, as far as it got.
func (c *Coordinator) close() error {
	var errs []error
	if c.public != nil {
		errs = append(errs, c.public.Close())
	}
	if c.outputs != nil {
		errs = append(errs, c.outputs.Close())
	}
	if c.bucket != nil {
		c.bucket.public.Close()
		c.bucket.large.Close()
	}
	if c.uploads != nil {
		errs = append(errs, c.uploads.Close())
	}
	if c.listener != nil {
		if err := c.listener.Close(); !errors.Is(err, net.ErrClosed) {
			errs = append(errs, err)
		}
	}
	if c.port != nil {
		errs = append(errs, c.port.Close())
	}
	if c.unlock != nil {
		errs = append(errs, c.unlock())
	}
	return errors.Join(errs...)
}
