package remote

import (
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"sync"
	"time"

	"github.com/sheafgrid/sheaf/protocol"
	"github.com/sheafgrid/sheaf/task"
)

// Config is what a Remote is made of.
type Config struct {
	URLs    []string          // addresses of coordinators; one is enough
	Members []protocol.Member // learned in an earlier run
	Cluster task.ClusterID    // the only one to speak to; zero: that of the first answer

	// PlainHTTP allows http:// addresses beyond this machine. Without it they are
	// refused, and members that have one are left out.
	PlainHTTP bool

	// LoopbackOnly refuses every address that is not this machine's own.
	LoopbackOnly bool

	// Patience is how long a call goes on while nobody answers; zero: until its
	// context ends.
	Patience time.Duration

	Random    *rand.Rand        // spreads calls in time; used under a lock
	Transport http.RoundTripper // nil: one of its own
	Logger    *slog.Logger      // told when nobody answers, and when somebody does again
}

// Remote is a way to the coordinators of one cluster.
type Remote struct {
	cfg   Config
	given []protocol.Address // Config.URLs, parsed
	lines lines

	mu        sync.Mutex
	cluster   task.ClusterID
	members   []protocol.Member
	addresses []protocol.Address // theirs, in the same order
	leader    task.NodeID
	preferred protocol.Address               // answered last
	failed    map[protocol.Address]time.Time // when it last did not answer
	trouble   string                         // why nobody answers; "" while somebody does
	clock     clusterClock
}

// Open checks the addresses and returns a Remote; it connects to nobody. Its
// error wraps protocol.ErrBadAddress where an address is none.
func Open(cfg Config) (*Remote, error) {
	r := &Remote{cfg: cfg, cluster: cfg.Cluster, failed: map[protocol.Address]time.Time{}}
	for _, text := range cfg.URLs {
		a, err := protocol.ParseAddress(text)
		switch {
		case err != nil:
			return nil, err
		case cfg.LoopbackOnly && local(a.Hostname()) != "loopback":
			return nil, fmt.Errorf("%s is %w on this machine, and no other is allowed here", a.Base, protocol.ErrBadAddress)
		case cfg.readable(a):
			return nil, fmt.Errorf("%s is %w that could be trusted: anybody on the way could read and change what is said; use the https:// address that the coordinator prints, or, where that is no harm, add --plain-http", a.Base, protocol.ErrBadAddress)
		}
		r.given = append(r.given, a)
	}
	switch {
	case len(r.given) == 0:
		return nil, fmt.Errorf("%w: none was given; name one, like https://coordinator.example.org:7710", protocol.ErrBadAddress)
	case cfg.Random == nil || cfg.Logger == nil:
		return nil, errors.New("remote: no source of randomness, or no logger, was given")
	}
	r.lines.fixed = cfg.Transport
	r.learn(cfg.Members, "")
	return r, nil
}

// Close closes idle connections.
func (r *Remote) Close() { r.lines.close() }

// Trouble says, in a sentence, why no coordinator answers; it is empty while
// one does.
func (r *Remote) Trouble() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.trouble
}

// ClusterID is the cluster that it speaks to; zero before the first answer.
func (r *Remote) ClusterID() task.ClusterID {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.cluster
}
