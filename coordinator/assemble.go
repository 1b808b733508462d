package coordinator

import (
	"context"
	"encoding/hex"
	"errors"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/sheafgrid/sheaf/coordinator/archive"
	"github.com/sheafgrid/sheaf/coordinator/blobs"
	"github.com/sheafgrid/sheaf/coordinator/collect"
	"github.com/sheafgrid/sheaf/coordinator/consensus"
	"github.com/sheafgrid/sheaf/coordinator/dispatch"
	"github.com/sheafgrid/sheaf/coordinator/httpapi"
	"github.com/sheafgrid/sheaf/coordinator/state"
	"github.com/sheafgrid/sheaf/coordinator/sweep"
	"github.com/sheafgrid/sheaf/internal/gate"
	"github.com/sheafgrid/sheaf/storage"
	"github.com/sheafgrid/sheaf/storage/partial"
	"github.com/sheafgrid/sheaf/task"
	"github.com/sheafgrid/sheaf/web"
)

// Parts are what a node is put together from. Open makes real ones; tests
// bring some that live in memory.
type Parts struct {
	Identity Identity
	Raft     consensus.Stores
	Public   storage.Blobs
	Outputs  storage.Blobs
	Key      task.Digest // fingerprint of the node's key
	Peers    Reach
	// Find looks for a member to ask for admission, for a node that knows none
	// yet: its name, and where its peers reach it. Nil: there is none to ask.
	Find     func(ctx context.Context) (node task.NodeID, raft string, err error)
	Local    bool  // this node is reached from this machine alone
	CopyRate int64 // bytes a second that a node may copy to others, or for itself; 0: no limit
	Timing   consensus.Timing
	Trailing uint64                                        // entries that stay behind a snapshot; 0: the default
	Dir      string                                        // data folder, whose disk is watched; "": there is none
	Shared   func(area blobs.Area, size int64) bool        // what of these is in a store that all nodes share; nil: nothing
	Collect  *Collected                                    // the parts of these stores from which unused blobs are deleted; nil: none are
	Bucket   *Bucket                                       // the parts of these stores that all nodes share, and from which unused blobs are deleted; nil: there are none
	Partial  *partial.Store                                // beginnings of large uploads; nil: none are kept
	Room     func(bytes int64) (release func(), err error) // on the disk, for those; nil: there is enough
	Now      func() int64                                  // monotonic milliseconds; nil: the process's own
	Wall     func() time.Time                              // wall clock, for what ends with a date: certificates, tokens
	Logger   *slog.Logger

	// Disk tells the bytes of log and snapshots on the disk, and those that are
	// free there; nil where there is no disk.
	Disk func() (log, free int64)

	Connections func() gate.Counts // of clients; nil where there are no ports

	DirectPublic, DirectOutputs httpapi.Direct // where clients may send and read blobs by themselves; nil: nowhere
}

// Collected are stores from which unused blobs are deleted, and the clock by
// which they are.
type Collected struct {
	Public  *collect.Store
	Outputs *collect.Store
	Clock   *collect.Clock
	Pace    int64 // bytes a second that looking for them may read; 0: no limit
}

// Bucket are stores that all nodes share. While it leads, a node deletes unused
// blobs from them.
type Bucket struct {
	Public  storage.Shared
	Outputs storage.Shared
	Pace    int64 // bytes a second that looking for them may read, or copy; 0: no limit
}

// Reach is how a node reaches the other coordinators over HTTP. Whoever answers
// has proved to be the one that is meant. URLs are those of peers.URL.
type Reach interface {
	Client() *http.Client                                   // members, where they are known to be
	ClientAt(node task.NodeID, address string) *http.Client // one node, if it is at an address
}

// assembly is a node without its files and ports.
type assembly struct {
	parts    Parts
	node     node
	blobs    *blobs.Store
	collect  *collect.Collector       // nil: nothing is deleted here
	shared   *collect.SharedCollector // nil: there is no bucket
	dispatch *dispatch.Dispatcher
	sweep    *sweep.Sweeper
	outside  *http.ServeMux // for clients, publishers and browsers
	inside   *http.ServeMux // for coordinators
	counts   counts
	probe    probe

	strangers strangers
	instance  string        // tells this process from others of the same node
	admitting chan struct{} // holds one while a node is being admitted here
	admitted  chan struct{} // closed when the cluster has admitted this node
	members   *membership   // what the leader does about its members
	copied    blobs.Copied  // by this node, while it joins
	hasCopied atomic.Bool   // everything that the members had

	copyTrouble atomic.Value // string: why this node cannot copy
}

// Assemble puts a node together. Its Run must follow.
func Assemble(p Parts) (*Assembly, error) { return assemble(p) }

// Assembly is a node without its files and ports: a handler of HTTP requests,
// and something to run.
type Assembly = assembly

func assemble(p Parts) (*assembly, error) {
	a := &assembly{
		parts: p, instance: hex.EncodeToString(random(16)),
		admitting: make(chan struct{}, 1), admitted: make(chan struct{}), members: newMembership(), probe: probe{dir: p.Dir},
	}
	var options []blobs.Option
	if p.Collect != nil {
		options = append(options, blobs.WithClock(blobClock{&a.node, p.Collect.Clock}))
	}
	if p.Shared != nil {
		options = append(options, blobs.WithShared(p.Shared))
	}
	a.blobs = blobs.New(p.Public, p.Outputs, a.peers, p.Logger, options...)
	if k := p.Collect; k != nil {
		a.collect = collect.New(collect.Config{
			Node: &a.node, Blobs: collectBlobs{a.blobs}, Public: k.Public, Outputs: k.Outputs, Pace: k.Pace, Logger: p.Logger,
		})
	}
	if k := p.Bucket; k != nil {
		a.shared = collect.NewShared(collect.SharedConfig{
			Node: &a.node, Blobs: collectBlobs{a.blobs}, Public: k.Public, Outputs: k.Outputs, Pace: k.Pace, Logger: p.Logger,
		})
	}
	started, err := p.Raft.HasState()
	if err != nil {
		return nil, err
	}
	a.node.Node, err = consensus.Open(consensus.Config{
		Node: p.Identity.Node, Stores: p.Raft, Timing: p.Timing, Trailing: p.Trailing,
		Logger: p.Logger, Lead: a.lead, Now: p.Now,
	})
	if err != nil {
		return nil, err
	}
	if !started && p.Identity.Bootstrap != nil {
		if err := a.node.Bootstrap(p.Identity.Raft); err != nil {
			return nil, err
		}
	}
	return a, a.openAPI()
}

func (a *assembly) openAPI() error {
	pages, err := web.New()
	if err != nil {
		return err
	}
	public, outputs := area{a.blobs, blobs.Public}, area{a.blobs, blobs.Outputs}
	rnd := rand.New(rand.NewPCG(rand.Uint64(), rand.Uint64()))
	a.dispatch = dispatch.New(a.node, outputs, dispatch.NewTasks(public), rnd, a.parts.Logger)
	released := archive.New(a.node, public, outputs)
	a.sweep = sweep.New(unhurried{a.node}, sweepBlobs{a.blobs}, released, a.parts.Logger)
	api := httpapi.New(httpapi.Config{
		Name: a.parts.Identity.Node, Cluster: a.parts.Identity.Cluster, Node: a.node, Exchange: counting{a.dispatch, &a.counts}, Archive: released, Members: operating{a}, Public: public, Outputs: outputs,
		DirectPublic: a.parts.DirectPublic, DirectOutputs: a.parts.DirectOutputs, Partial: a.parts.Partial, Room: a.parts.Room,
		Forward: a.parts.Peers.Client(), Pages: pages, Patience: a.parts.Timing.Heartbeat, Ready: a.ready, Refused: a.counts.refused, Logger: a.parts.Logger,
	})
	a.outside, a.inside = http.NewServeMux(), http.NewServeMux()
	a.outside.HandleFunc("GET "+pathInstance, a.serveInstance)
	a.outside.HandleFunc("GET "+pathMetrics, a.serveMetrics)
	a.outside.Handle("/", api)
	a.inside.HandleFunc("GET "+pathInstance, a.serveInstance)
	a.inside.HandleFunc("POST "+pathJoin, a.serveJoin)
	a.inside.HandleFunc("POST "+pathAdmit, a.serveAdmit)
	a.inside.Handle("GET "+pathMembers+"{node}", a.membersOnly(http.HandlerFunc(a.serveMember)))
	a.inside.Handle("GET "+pathStanding, a.membersOnly(http.HandlerFunc(a.serveStanding)))
	a.inside.Handle("/internal/", a.membersOnly(a.blobs.Handler(a.changes)))
	a.inside.Handle("/", a.membersOnly(api))
	return nil
}

// Handler answers HTTP requests of clients, publishers and browsers.
func (a *assembly) Handler() http.Handler { return a.outside }

// PeerHandler answers HTTP requests of coordinators; peers.CallerOf says whose.
func (a *assembly) PeerHandler() http.Handler { return a.inside }

// Run keeps the node going until ctx ends or it fails.
func (a *assembly) Run(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return a.node.Run(ctx) })
	g.Go(func() error { return a.seekAdmission(ctx) })
	g.Go(func() error { return a.watchMembership(ctx) })
	g.Go(func() error { return a.compareStates(ctx) })
	if a.collect != nil {
		g.Go(func() error { return a.collect.Run(ctx) })
	}
	err := g.Wait()
	a.blobs.Close()
	a.parts.Peers.Client().CloseIdleConnections()
	if errors.Is(err, context.Canceled) {
		return nil
	}
	return err
}

// Info says who a node is and where it is reached.
type Info struct {
	Node    task.NodeID
	Cluster task.ClusterID
	URL     string // with the fingerprint that clients need, if they need one
	Raft    string
	Metrics string // lets Prometheus read the metrics from another machine
}

// Info says who the node is and where it is reached.
func (a *assembly) Info() Info {
	id := &a.parts.Identity
	return Info{Node: id.Node, Cluster: id.Cluster, URL: id.URL, Raft: id.Raft, Metrics: metricsToken(id.Secret)}
}

// Invite makes a token that lets one more node join, for some time.
func (a *assembly) Invite(life time.Duration) (string, error) {
	return a.parts.Identity.invite(a.parts.Wall(), life)
}

// State calls fn with the node's replica of the state, to be read only.
func (a *assembly) State(fn func(*state.State)) { a.node.View(fn) }

// Changed is closed when the node's replica has changed after this call.
func (a *assembly) Changed() <-chan struct{} { return a.node.Changed() }

// Status is how the node stands.
func (a *assembly) Status() consensus.Status { return a.node.Node.Status() }

// Digest is the digest of the node's state, and the log index it belongs to.
func (a *assembly) Digest() (uint64, task.Digest) { return a.node.Digest() }

// Snapshot writes a snapshot now.
func (a *assembly) Snapshot() error { return a.node.Snapshot() }

// lead is what this node does while it leads.
func (a *assembly) lead(ctx context.Context) error {
	a.dispatch.Reset()
	if err := a.initCluster(ctx); err != nil {
		return err
	}
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return a.sweep.Run(ctx) })
	g.Go(func() error { return a.raiseVersion(ctx) })
	g.Go(func() error { return a.changeMembers(ctx) })
	if a.shared != nil {
		g.Go(func() error { return a.shared.Run(ctx) })
	}
	return g.Wait()
}

// initCluster writes a new cluster's first entry.
func (a *assembly) initCluster(ctx context.Context) error {
	fresh := false
	a.node.View(func(s *state.State) { fresh = s.Cluster().ID.IsZero() })
	id := &a.parts.Identity
	if b := id.Bootstrap; fresh && b != nil {
		_, err := a.node.Node.Propose(ctx, &state.InitCluster{
			ID: id.Cluster, Secret: id.Secret, Operator: b.Operator, Anyone: b.Anyone, Publishers: b.Publishers,
		})
		if errors.Is(err, consensus.ErrNotLeader) || errors.Is(err, consensus.ErrUnknown) {
			return nil // the next leader, this node again, does it
		}
		return err
	}
	return nil
}

// CollectBlobs deletes, now, the blobs of this node that nobody refers to, and,
// if it leads, those of the bucket.
func (a *assembly) CollectBlobs(ctx context.Context) error {
	var err error
	if a.collect != nil {
		err = a.collect.Round(ctx)
	}
	if a.shared != nil && a.node.Serving() {
		err = errors.Join(err, a.shared.Round(ctx))
	}
	return err
}

// collected says how the search for unused blobs went: on this node's disk, or,
// while it led, in the bucket.
func (a *assembly) collected() (r collect.Report, ok bool) {
	switch {
	case a.collect != nil:
		return a.collect.Report(), true
	case a.shared != nil:
		return a.shared.Report(), true
	}
	return r, false
}

// Voters are the members whose votes count, with the addresses at which their
// peers reach them.
func (a *assembly) Voters() (map[task.NodeID]string, error) { return a.node.Voters() }
