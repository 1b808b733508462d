package client

import (
	"context"
	"crypto/ed25519"
	cryptorand "crypto/rand"
	"errors"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"sync"
	"sync/atomic"

	"github.com/sheafgrid/sheaf/client/identity"
	"github.com/sheafgrid/sheaf/client/journal"
	"github.com/sheafgrid/sheaf/client/plan"
	"github.com/sheafgrid/sheaf/client/remote"
	"github.com/sheafgrid/sheaf/internal/fsutil"
	"github.com/sheafgrid/sheaf/protocol"
	"github.com/sheafgrid/sheaf/task"
)

// ErrInUse is wrapped where another agent works in the data folder.
var ErrInUse = errors.New("data folder is in use")

// Agent is a volunteer's machine at work. Open makes it, Run works, Close gives
// its data folder back.
type Agent struct {
	cfg     Config
	account ed25519.PrivateKey
	host    ed25519.PrivateKey
	journal *journal.Journal
	stored  journal.State // as Open found it
	remote  *remote.Remote
	cache   *cache
	outputs *outputs
	trail   *trail
	unlock  func() error
	began   atomic.Bool

	mu      sync.Mutex
	rules   plan.Rules
	status  Status
	changed chan struct{} // holds one token when rules changed
}

// Open takes the data folder, makes keys and journal where they are missing,
// and checks that they belong together. It connects to nobody. The caller must
// Close what it returns.
func Open(cfg Config) (a *Agent, err error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	cfg = cfg.withDefaults()
	a = &Agent{cfg: cfg, rules: cfg.Rules, changed: make(chan struct{}, 1)}
	defer func() {
		if err != nil {
			err = errors.Join(err, a.Close())
			a = nil
		}
	}()
	if err := fsutil.MkdirAllSync(cfg.Dir, 0o700); err != nil {
		return a, fmt.Errorf("data folder: %w", err)
	}
	if a.unlock, err = fsutil.Lock(filepath.Join(cfg.Dir, "lock")); err != nil {
		if errors.Is(err, fsutil.ErrLocked) {
			err = fmt.Errorf("%w: %w; two agents must not share one: end that one, or give this one a folder of its own", ErrInUse, err)
		}
		return a, err
	}
	if err := a.openKeys(); err != nil {
		return a, err
	}
	if err := a.openJournal(); err != nil {
		return a, err
	}
	if err := a.openRemote(); err != nil {
		return a, err
	}
	return a, a.openFiles()
}

func (a *Agent) openKeys() (err error) {
	if a.account, _, err = identity.LoadOrCreate(a.cfg.AccountKey, identity.Account, cryptorand.Reader); err != nil {
		return err
	}
	if a.host, _, err = identity.LoadOrCreate(filepath.Join(a.cfg.Dir, "host.key"), identity.Host, cryptorand.Reader); err != nil {
		return err
	}
	if a.cfg.AccountName == "" {
		a.cfg.AccountName = identity.Name(protocol.PublicKey(a.account))
	}
	if a.cfg.HostName == "" {
		a.cfg.HostName = identity.Name(protocol.PublicKey(a.host))
	}
	a.status = Status{Account: a.cfg.AccountName, Host: a.cfg.HostName, HostKey: protocol.PublicKey(a.host)}
	return nil
}

func (a *Agent) openJournal() (err error) {
	if a.journal, err = journal.Open(filepath.Join(a.cfg.Dir, "journal.db")); err != nil {
		return err
	}
	if a.stored, err = a.journal.State(); err != nil {
		return err
	}
	if a.stored.Owner == nil {
		return nil
	}
	a.status.Cluster = a.stored.Owner.Cluster
	return a.journal.SetOwner(a.owner(a.stored.Owner.Cluster))
}

// owner is whose journal this is, in a cluster.
func (a *Agent) owner(cluster task.ClusterID) journal.Owner {
	return journal.Owner{Cluster: cluster, Host: protocol.PublicKey(a.host), Account: protocol.PublicKey(a.account)}
}

func (a *Agent) openRemote() (err error) {
	c := remote.Config{
		URLs: a.cfg.URLs, Members: a.stored.Members, PlainHTTP: a.cfg.PlainHTTP, LoopbackOnly: a.cfg.Lie != nil,
		Random: rand.New(rand.NewPCG(a.cfg.Random.Uint64(), a.cfg.Random.Uint64())), Transport: a.cfg.Transport, Logger: a.cfg.Logger,
	}
	if a.stored.Owner != nil {
		c.Cluster = a.stored.Owner.Cluster
	}
	if len(c.URLs) == 0 {
		for _, m := range a.stored.Members {
			c.URLs = append(c.URLs, m.URL)
		}
	}
	a.remote, err = remote.Open(c)
	return err
}

func (a *Agent) openFiles() (err error) {
	if a.cache, err = openCache(filepath.Join(a.cfg.Dir, "cache"), a.cfg.CacheBytes); err != nil {
		return fmt.Errorf("cache: %w", err)
	}
	if a.outputs, err = openOutputs(filepath.Join(a.cfg.Dir, "outputs")); err != nil {
		return fmt.Errorf("outputs: %w", err)
	}
	for _, h := range a.stored.Held {
		if h.Result != nil {
			a.outputs.keep(onDisk(&h.Result.Report))
		}
	}
	if err := a.outputs.sweep(); err != nil {
		return fmt.Errorf("outputs: %w", err)
	}
	var pending []task.AttemptID
	if a.stored.Request != nil {
		pending = a.stored.Request.Reports
	}
	a.trail, err = openTrail(a.cfg.Trail, pending)
	return err
}

// Close gives the data folder back. Run must have returned.
func (a *Agent) Close() error {
	var errs []error
	if a.remote != nil {
		a.remote.Close()
	}
	errs = append(errs, a.trail.Close())
	if a.journal != nil {
		errs = append(errs, a.journal.Close())
	}
	if a.unlock != nil {
		errs = append(errs, a.unlock())
	}
	return errors.Join(errs...)
}

// Rules are the owner's rules as they are now.
func (a *Agent) Rules() plan.Rules {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.rules
}

// SetRules changes the owner's rules. They hold from the next decision on,
// which is made at once.
func (a *Agent) SetRules(rules plan.Rules) error {
	if err := rules.Validate(); err != nil {
		return fmt.Errorf("%w: %w", ErrBadConfig, err)
	}
	a.mu.Lock()
	a.rules = rules
	a.mu.Unlock()
	select {
	case a.changed <- struct{}{}:
	default: // a token is there already
	}
	return nil
}

// Run works until ctx ends, which is no error: what runs is stopped, what was
// accepted stays in the journal and goes on at the next start. It also returns
// nil when the rules say Finishing and nothing is left to do. Any other end is
// an error that says what to do. Run may be called once.
func (a *Agent) Run(ctx context.Context) error {
	if a.began.Swap(true) {
		return errors.New("the agent was run before; open another one")
	}
	return newRun(a).loop(ctx)
}
