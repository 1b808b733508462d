package main

import (
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"strings"

	"github.com/sheafgrid/sheaf/client/identity"
	"github.com/sheafgrid/sheaf/client/remote"
	"github.com/sheafgrid/sheaf/coordinator"
	"github.com/sheafgrid/sheaf/coordinator/consensus"
	"github.com/sheafgrid/sheaf/internal/fsutil"
	"github.com/sheafgrid/sheaf/protocol"
	"github.com/sheafgrid/sheaf/task"
)

type coordinatorCommand struct {
	Data       string `help:"Data folder of this node, made if it is not there." required:"" placeholder:"DIR"`
	Listen     string `help:"Address for clients and browsers. Default: ${default}." default:"127.0.0.1:7710" placeholder:"HOST:PORT"`
	Raft       string `help:"Address for the other coordinators; default: --listen with a port 1000 higher." placeholder:"HOST:PORT"`
	Advertise  string `help:"URL under which clients reach this node, if not that of --listen." placeholder:"URL"`
	Name       string `help:"Name of a new node; drawn if not given." placeholder:"NAME"`
	Bootstrap  bool   `help:"Make a new cluster of this one node (once; ignored afterwards)."`
	Join       string `help:"Join the cluster that this URL is a member of (once; ignored afterwards)." placeholder:"URL"`
	Replace    string `help:"With --join: take the place of this member, which is lost for good and gets no vote any more." placeholder:"NAME"`
	Token      string `help:"With --join: a join token, made with sheaf operator token; it lets one node join. Not needed while everything is on loopback." env:"SHEAF_JOIN_TOKEN" placeholder:"TOKEN"`
	httpsFlags `embed:""`
	Publisher  []task.Key `help:"With --bootstrap: only these accounts may publish. Default: anyone." placeholder:"KEY"`
	Quota      int64      `help:"Bytes for inputs, and for outputs, each; 0: no limit." default:"0" placeholder:"BYTES"`
	DebugAddr  string     `help:"Answer Go's profiler (pprof) at this address of this machine, such as 127.0.0.1:6060." placeholder:"HOST:PORT"`
	CopyRate   sizeFlag   `help:"How much a second this node may copy when coordinators join or leave, in MiB or with a unit; 0: no limit. Default: ${default}." default:"100" placeholder:"SIZE"`
	Timing     string     `help:"How soon a silent leader is replaced: lan, for coordinators within a few milliseconds of each other; wan, for up to 300 ms. The same on all of them. Default: ${default}." default:"lan" enum:"lan,wan"`
	Reserve    sizeFlag   `help:"Space of the disk that uploads leave free, for the log and everything else, such as 2GiB; a plain number is MiB. Default: 1GiB." default:"1024" placeholder:"SIZE"`
	S3         s3Flags    `embed:"" prefix:"s3-"`
	Scrub      sizeFlag   `help:"How much of the stored blobs is read per second in search of damage; a plain number is MiB, 0 switches it off. Default: 4 MiB." default:"4" placeholder:"SIZE"`
	Most       int        `help:"How many clients may be connected; beyond that, those are closed that wait the longest. Fewer where the system gives too few file descriptors. Default: ${default}." name:"max-connections" default:"8192" placeholder:"N"`
	PerAddress int        `help:"How many connections may come from one address (of IPv6: one /64 network); 0: no limit, as for a proxy on another machine. This machine has none. Default: ${default}." name:"max-connections-per-address" default:"512" placeholder:"N"`
	Verbose    bool       `help:"Log what Raft does, too." short:"v"`
}

// Help is printed below the flags.
func (*coordinatorCommand) Help() string {
	return `Examples: a cluster of three on one machine, each in a terminal of its own:

    sheaf coordinator --data n1 --listen 127.0.0.1:7711 --bootstrap
    sheaf coordinator --data n2 --listen 127.0.0.1:7712 --join http://127.0.0.1:7711
    sheaf coordinator --data n3 --listen 127.0.0.1:7713 --join http://127.0.0.1:7711

A node that was stopped, or killed, goes on when it is started again the same way. With three nodes, one may be lost at any time;
if it is lost for good, put another one in its place, under a new name, before the next one goes:

    sheaf coordinator --data n4 --listen 127.0.0.1:7714 --join http://127.0.0.1:7711 --replace NAME

On machines of their own, clients speak HTTPS with each; without a certificate from elsewhere it makes one, and prints its address with a fingerprint by which clients know it. To join, a node needs a token:

    sheaf coordinator --data n1 --listen 0.0.0.0:7710 --advertise https://one.example.org:7710 --bootstrap
    sheaf operator token --data n1`
}

// garbage is by how many percent a coordinator's memory may grow before what is
// unused is collected. Most of what it allocates lives for one request; its live
// memory is small, so that collecting half as often costs little.
const garbage = 200

// tune sets what the Go runtime does, unless its own variables say it. There is one
// Go processor more than cores: one whose thread the system does not run for some
// milliseconds, on a machine that has other work, holds up everything that waits for it.
func tune() {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(garbage)
	}
	if os.Getenv("GOMAXPROCS") == "" {
		runtime.GOMAXPROCS(runtime.GOMAXPROCS(0) + 1)
	}
}

// Run runs a node until it is interrupted or fails.
func (c *coordinatorCommand) Run(a *app) error {
	tune()
	level := slog.LevelInfo
	if c.Verbose {
		level = slog.LevelDebug
	}
	log := slog.New(slog.NewTextHandler(a.stderr, &slog.HandlerOptions{Level: level}))
	cfg := coordinator.Config{
		Dir: c.Data, Listen: c.Listen, Raft: c.Raft, Advertise: c.Advertise, Name: task.NodeID(c.Name),
		Join: c.Join, Replace: task.NodeID(c.Replace), Token: c.Token, HTTPS: c.https(), Quota: c.Quota, Reserve: int64(c.Reserve), Scrub: int64(c.Scrub), CopyRate: int64(c.CopyRate), Logger: log,
		MaxConnections: c.Most, MaxPerHost: c.PerAddress,
	}
	if c.Timing == "wan" {
		cfg.Timing = consensus.TimingWAN()
	}
	if err := c.check(); err != nil {
		return err
	}
	cfg.S3Hidden = c.S3.Hidden
	var err error
	if cfg.S3, err = c.S3.config(); err != nil {
		return err
	}
	if c.Bootstrap {
		if c.Join != "" {
			return failure{fmt.Errorf("--bootstrap makes a new cluster, --join joins one: give only one of them"), exitUsage}
		}
		b, err := c.bootstrap()
		if err != nil {
			return err
		}
		cfg.Bootstrap = b
	}
	debug, err := newDebugServer(c.DebugAddr)
	if err != nil {
		return err
	}
	node, err := coordinator.Open(a.ctx, cfg)
	if err != nil {
		return err
	}
	info := node.Info()
	if err := fsutil.WriteFileAtomic(filepath.Join(c.Data, "metrics-token"), []byte(info.Metrics+"\n"), 0o600); err != nil {
		return err
	}
	c.announce(a, info)
	return debug.beside(a.ctx, node.Run)
}

// announce says who the node is, and what a person can do next.
func (c *coordinatorCommand) announce(a *app, info coordinator.Info) {
	if a.json {
		a.print(map[string]any{"node": info.Node, "cluster": info.Cluster, "url": info.URL, "raft": info.Raft})
		return
	}
	url, plain := shellWord(info.URL), ""
	if strings.HasPrefix(info.URL, "http://") && !remote.IsLoopback(info.URL) {
		plain = " --plain-http"
	}
	a.say("Coordinator %s of cluster %s.", info.Node, info.Cluster)
	a.say("Status page:        %s", info.URL)
	if loopbackOnly(c.Listen) && loopbackOnly(info.Raft) {
		a.say("Add a coordinator:  sheaf coordinator --data DIR --listen HOST:PORT --join %s", url)
	} else {
		a.say("Add a coordinator:  sheaf operator token --data %s", shellWord(c.Data))
	}
	a.say("Volunteer:          sheaf client --join %s --allow all%s", url, plain)
	a.say("Submit a job:       sheaf job submit FILE --server %s%s", url, plain)
}

// check refuses what would only fail later, or for ever.
func (c *coordinatorCommand) check() error {
	if _, err := protocol.ParseAddress(c.Join); c.Join != "" && err != nil {
		return failure{fmt.Errorf("--join: %w", err), exitUsage}
	}
	if c.Quota < 0 {
		return failure{fmt.Errorf("--quota %d: want a number of bytes, or 0 for no limit", c.Quota), exitUsage}
	}
	if c.Most < 16 || c.Most > 1<<20 || c.PerAddress < 0 {
		return failure{fmt.Errorf("--max-connections %d --max-connections-per-address %d: want 16 to %d connections, and 0 (no limit) or more of one address", c.Most, c.PerAddress, 1<<20), exitUsage}
	}
	if c.Reserve > 1<<50 || c.Scrub > 1<<40 {
		return failure{errors.New("--reserve or --scrub: want a size like 2GiB"), exitUsage}
	}
	return ownFolder(c.Data, clientMark, "a volunteer's client")
}

// bootstrap says what a new cluster is to be like. Its operator's account is
// kept in the data folder of the node that made it.
func (c *coordinatorCommand) bootstrap() (*coordinator.Bootstrap, error) {
	if err := os.MkdirAll(c.Data, 0o700); err != nil {
		return nil, fmt.Errorf("data folder: %w", err)
	}
	key, _, err := identity.LoadOrCreate(filepath.Join(c.Data, "operator.key"), identity.Account, rand.Reader)
	if err != nil {
		return nil, err
	}
	return &coordinator.Bootstrap{Operator: protocol.PublicKey(key), Anyone: len(c.Publisher) == 0, Publishers: c.Publisher}, nil
}
