package remote

import (
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
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
	http  http.Client
	given []string // Config.URLs, parsed

	mu        sync.Mutex
	cluster   task.ClusterID
	members   []protocol.Member
	leader    task.NodeID
	preferred string               // answered last
	failed    map[string]time.Time // address → when it last did not answer
	trouble   string               // why nobody answers; "" while somebody does
	clock     clusterClock
}

// Open checks the addresses and returns a Remote; it connects to nobody. Its
// error wraps ErrBadURL where an address is none.
func Open(cfg Config) (*Remote, error) {
	r := &Remote{cfg: cfg, cluster: cfg.Cluster, failed: map[string]time.Time{}}
	for _, text := range cfg.URLs {
		base, host, err := parseURL(text)
		if err != nil {
			return nil, err
		}
		if cfg.LoopbackOnly && local(host) != "loopback" {
			return nil, fmt.Errorf("%s is %w on this machine, and no other is allowed here", base, ErrBadURL)
		}
		r.given = append(r.given, base)
	}
	switch {
	case len(r.given) == 0:
		return nil, fmt.Errorf("%w: none was given; name one, like http://coordinator.example.org:7710", ErrBadURL)
	case cfg.Random == nil || cfg.Logger == nil:
		return nil, errors.New("remote: no source of randomness, or no logger, was given")
	}
	if cfg.Transport == nil {
		cfg.Transport = newTransport()
	}
	r.http = http.Client{
		Transport: cfg.Transport,
		// A redirect would send signed requests wherever an answer says.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	r.learn(cfg.Members, "")
	return r, nil
}

func newTransport() *http.Transport {
	dialer := &net.Dialer{Timeout: 10 * time.Second}
	return &http.Transport{
		Proxy:                  http.ProxyFromEnvironment,
		DialContext:            dialer.DialContext,
		TLSHandshakeTimeout:    10 * time.Second,
		IdleConnTimeout:        90 * time.Second,
		MaxIdleConnsPerHost:    8,
		MaxResponseHeaderBytes: 64 << 10,
		DisableCompression:     true,
		ForceAttemptHTTP2:      true,
	}
}

// Close closes idle connections.
func (r *Remote) Close() { r.http.CloseIdleConnections() }

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
