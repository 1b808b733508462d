package loadgen

import (
	"context"
	"crypto/ed25519"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/sheafgrid/sheaf/protocol"
	"github.com/sheafgrid/sheaf/task"
)

// chunkTasks is how many consecutive tasks a cluster releases together.
const chunkTasks = 4096

// Bounds of a Config.
const (
	MaxHosts = 10_000
	MaxBatch = protocol.MaxWanted
)

// Node is a coordinator.
type Node struct {
	Name    task.NodeID
	Address string // HOST:PORT
}

// Config is what a Load is made of.
type Config struct {
	Nodes     []Node
	Cluster   task.ClusterID
	Opened    task.Millis // cluster time, as a coordinator told it just now
	Hosts     int         // simulated volunteers, each of an account of its own
	Batch     int         // tasks that a host asks for in one exchange
	Replicate int         // of the job; every task of it is given to as many hosts
	Random    io.Reader   // for keys and sessions
}

func (c *Config) validate() error {
	switch {
	case len(c.Nodes) == 0:
		return errors.New("load: no coordinator is named")
	case c.Replicate < 1 || c.Replicate > task.MaxReplicate:
		return fmt.Errorf("load: %d results a task, allowed are 1 to %d", c.Replicate, task.MaxReplicate)
	case c.Hosts < c.Replicate || c.Hosts > MaxHosts:
		return fmt.Errorf("load: %d hosts, allowed are %d (as many as results a task) to %d", c.Hosts, c.Replicate, MaxHosts)
	case c.Batch < 1 || c.Batch > MaxBatch:
		return fmt.Errorf("load: %d tasks an exchange, allowed are 1 to %d", c.Batch, MaxBatch)
	case c.Random == nil:
		return errors.New("load: no source of randomness")
	}
	return nil
}

// Load is a number of simulated hosts. Enrol comes first, then Run, any number
// of times, then Drain, then Audit.
type Load struct {
	cfg     Config
	encoder *encoder
	hosts   []*host
	began   time.Time

	target    uint64       // tasks from here on are held and never reported
	remaining atomic.Int64 // while draining: attempts below target still to be handed out
	lastAck   atomic.Int64 // when a report was accepted last, in ns from began; 0: none was
	silence   atomic.Int64 // the longest time without an accepted report, in ns
}

// facts is what every host says of itself: enough cores to hold any batch.
func facts() protocol.HostFacts {
	return protocol.HostFacts{Client: "load", OS: "linux", Arch: "amd64", Cores: 256, Memory: 1 << 30}
}

// New makes the hosts with their keys; nothing is sent.
func New(cfg Config) (*Load, error) {
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	l := &Load{cfg: cfg, encoder: newEncoder(facts()), began: time.Now(), target: task.MaxTasks}
	for i := range cfg.Hosts {
		h := &host{load: l, node: i % len(cfg.Nodes)}
		var err error
		if h.key, err = newKey(cfg.Random); err != nil {
			return nil, err
		}
		if h.account, err = newKey(cfg.Random); err != nil {
			return nil, err
		}
		var session [8]byte
		if _, err := io.ReadFull(cfg.Random, session[:]); err != nil {
			return nil, fmt.Errorf("load: drawing a session: %w", err)
		}
		h.public, h.session = protocol.PublicKey(h.key), task.SessionID(binary.BigEndian.Uint64(session[:]))
		l.hosts = append(l.hosts, h)
	}
	return l, nil
}

func newKey(random io.Reader) (ed25519.PrivateKey, error) {
	seed := make([]byte, ed25519.SeedSize)
	if _, err := io.ReadFull(random, seed); err != nil {
		return nil, fmt.Errorf("load: drawing a key: %w", err)
	}
	return ed25519.NewKeyFromSeed(seed), nil
}

// Enrol makes all hosts known to the cluster.
func (l *Load) Enrol(ctx context.Context) error {
	return l.all(ctx, (*host).enrol)
}

// Run makes every host exchange until stop is closed: rate exchanges a second
// of all hosts together, or, at 0, each as soon as the last one was answered.
// What was handed out last stays with the hosts. It returns when all hosts
// have the answer to their last request.
func (l *Load) Run(ctx context.Context, rate float64, stop <-chan struct{}) error {
	start := time.Now()
	paces := make([]pace, len(l.hosts))
	for i, h := range l.hosts {
		h.pace, h.start = &paces[i], start
		paces[i] = paceOf(rate, i, len(l.hosts))
	}
	return l.all(ctx, func(h *host, ctx context.Context) error { return h.run(ctx, stop) })
}

// Drain ends the load. It goes on until every task of the chunks that were
// begun is reported, and no other task is: what is handed out beyond the last
// of these chunks is held for ever. It returns how many tasks were reported,
// all those below that number. Run must not be running, now or later.
func (l *Load) Drain(ctx context.Context) (tasks uint64, err error) {
	var end uint64
	handed := 0
	for _, h := range l.hosts {
		handed += len(h.receipts) + len(h.held)
		for _, r := range h.receipts {
			end = max(end, uint64(r.index)+1)
		}
		for _, a := range h.held {
			end = max(end, a.index+1)
		}
	}
	l.target = (end + chunkTasks - 1) / chunkTasks * chunkTasks
	l.remaining.Store(int64(l.target)*int64(l.cfg.Replicate) - int64(handed))
	defer func() {
		for _, h := range l.hosts {
			h.conn.close()
		}
	}()
	return l.target, l.all(ctx, (*host).drain)
}

// all lets every host do something, each in a goroutine of its own. Connections stay
// open for the next time: hosts that all connect at once are another load.
func (l *Load) all(ctx context.Context, do func(*host, context.Context) error) error {
	g, ctx := errgroup.WithContext(ctx)
	for i, h := range l.hosts {
		g.Go(func() error {
			h.conn.watch(ctx)
			defer h.conn.rest()
			if err := do(h, ctx); err != nil {
				return fmt.Errorf("simulated host %d: %w", i+1, err)
			}
			return nil
		})
	}
	return g.Wait()
}

// accepted notes that a report was accepted.
func (l *Load) accepted() {
	now := int64(time.Since(l.began))
	before := l.lastAck.Swap(now)
	for gap := now - before; before > 0; {
		longest := l.silence.Load()
		if gap <= longest || l.silence.CompareAndSwap(longest, gap) {
			return
		}
	}
}

// Counts are what the hosts have done so far.
type Counts struct {
	Exchanges uint64 // answered
	Accepted  uint64 // reports that were acknowledged as accepted
	Handed    uint64 // attempts given to hosts
	Repeated  uint64 // times that a request had to be sent again
	SentAway  uint64 // of these, because a coordinator had too much to do
	Others    map[string]uint64
}

// Counts may be called at any time. Others counts the reports that were
// acknowledged in another way than as accepted, by that way.
func (l *Load) Counts() Counts {
	c := Counts{Others: map[string]uint64{}}
	for _, h := range l.hosts {
		c.Exchanges += h.counts.exchanges.Load()
		c.Accepted += h.counts.accepted.Load()
		c.Handed += h.counts.handed.Load()
		c.Repeated += h.counts.repeated.Load()
		c.SentAway += h.counts.sentAway.Load()
		for ack := range h.counts.others {
			if n := h.counts.others[ack].Load(); n > 0 {
				c.Others[protocol.Ack(ack).String()] += uint64(n)
			}
		}
	}
	return c
}

// TakeLatencies returns how long exchanges took since the last call, from when
// they were due to when their answer had been read. Run must not be running.
func (l *Load) TakeLatencies() *Histogram {
	all := &Histogram{}
	for _, h := range l.hosts {
		all.Merge(&h.taken)
		h.taken = Histogram{}
	}
	return all
}

// ListenForSilence begins to look for the longest time in which no report was
// accepted.
func (l *Load) ListenForSilence() { l.silence.Store(0) }

// Silence is the longest time in which no report was accepted, up to the last
// one that was. It counts from the one before ListenForSilence.
func (l *Load) Silence() time.Duration { return time.Duration(l.silence.Load()) }
