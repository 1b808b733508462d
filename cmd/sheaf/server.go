package main

import (
	"context"
	"crypto/ed25519"
	crand "crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/sheafgrid/sheaf/client/identity"
	"github.com/sheafgrid/sheaf/client/remote"
	"github.com/sheafgrid/sheaf/protocol"
	"github.com/sheafgrid/sheaf/task"
)

// serverFlags say which cluster a publisher's command talks to, and as whom.
type serverFlags struct {
	Server    []string      `help:"URL of any of the cluster's coordinators; several, with commas between them, are tried in turn." env:"SHEAF_SERVER" placeholder:"URL"`
	Account   string        `help:"File of your account's key; made when it is not there. Default: ${default}." default:"${accountFile}" type:"path" placeholder:"FILE"`
	Timeout   time.Duration `help:"How long to wait for the cluster." default:"60s"`
	plainFlag `embed:""`
}

// session is a publisher's way to a cluster.
type session struct {
	remote  *remote.Remote
	key     ed25519.PrivateKey
	numbers *remote.Session
	servers string // as --server takes them
}

// connect finds the cluster and opens a session for the account.
func (f *serverFlags) connect(a *app) (*session, error) {
	s, err := f.reader(a)
	if err != nil {
		return nil, err
	}
	var created bool
	if s.key, created, err = identity.LoadOrCreate(f.Account, identity.Account, crand.Reader); err != nil {
		return nil, err
	}
	if created {
		fmt.Fprintf(a.stderr, "Made an account for you, %s; its key is in %s. Keep a copy: whoever has it is you.\n",
			identity.Name(protocol.PublicKey(s.key)), f.Account)
	}
	s.numbers = s.remote.NewSession(s.key)
	return s, nil
}

// reader finds the cluster. It reads as the account where there is one.
func (f *serverFlags) reader(a *app) (*session, error) {
	if len(f.Server) == 0 {
		return nil, failure{errors.New("which cluster? Name one of its coordinators with --server URL, or set SHEAF_SERVER"), exitUsage}
	}
	r, err := f.open(a, remote.Config{URLs: f.Server})
	if err != nil {
		return nil, failure{err, exitUsage}
	}
	slow := time.AfterFunc(slowAnswer, func() {
		if f.Timeout > slowAnswer && a.ctx.Err() == nil {
			fmt.Fprintf(a.stderr, "sheaf: %s does not answer; trying on for up to %g s\n", strings.Join(f.Server, ", "), f.Timeout.Seconds())
		}
	})
	defer slow.Stop()
	if r, err = f.find(a, r); err != nil {
		if a.ctx.Err() != nil {
			return nil, a.ctx.Err()
		}
		return nil, err
	}
	remember(knownFile(), r, f.Server)
	s := &session{remote: r, servers: strings.Join(f.Server, ",")}
	if key, err := identity.Load(f.Account, identity.Account); err == nil {
		s.key = key
	}
	return s, nil
}

func (f *serverFlags) open(a *app, c remote.Config) (*remote.Remote, error) {
	c.PlainHTTP, c.Patience, c.Random, c.Logger = f.PlainHTTP, f.Timeout, newRandom(), slog.New(plainHandler{a.stderr})
	return remote.Open(c)
}

// slowAnswer is after how long somebody who waits for a cluster is told so.
const slowAnswer = 2 * time.Second

// find waits for a coordinator that answers, and returns the way to it: one of
// those that were named, or, where none of them answers, another member of what
// was their cluster the last time. Only an address that nobody answers at is
// worth waiting for.
func (f *serverFlags) find(a *app, named *remote.Remote) (*remote.Remote, error) {
	ctx, cancel := context.WithTimeout(a.ctx, f.Timeout)
	defer cancel()
	known := f.known(a)
	var last error // before the time was over: it says what is wrong
	for {
		_, err := named.Cluster(ctx)
		if ctx.Err() != nil && last != nil {
			return nil, last
		}
		if err == nil {
			return named, nil
		}
		if !errors.Is(err, remote.ErrUnreachable) {
			return nil, err
		}
		last = err
		if known != nil {
			if view, err := known.Cluster(ctx); err == nil {
				fmt.Fprintf(a.stderr, "sheaf: %s does not answer; %s of the same cluster does\n", strings.Join(f.Server, ", "), view.Node)
				return known, nil
			}
		}
		select {
		case <-ctx.Done():
			return nil, last
		case <-time.After(time.Second):
		}
	}
}

// known is the way to the cluster that the named addresses belonged to the last
// time, or nil.
func (f *serverFlags) known(a *app) *remote.Remote {
	clusters := readKnown(knownFile())
	c, ok := clusters.find(f.Server)
	if !ok {
		return nil
	}
	var urls []string
	for _, m := range c.Members {
		urls = append(urls, m.URL)
	}
	r, err := f.open(a, remote.Config{URLs: urls, Cluster: c.Cluster})
	if err != nil {
		return nil // what was kept then is of no use under today's flags
	}
	return r
}

// newRandom spreads calls in time; nothing secret depends on it.
func newRandom() *rand.Rand {
	var seed [16]byte
	_, _ = crand.Read(seed[:]) // never fails: it ends the program instead
	return rand.New(rand.NewPCG(binary.LittleEndian.Uint64(seed[:]), binary.LittleEndian.Uint64(seed[8:])))
}

// call sends a numbered request.
func (s *session) call(ctx context.Context, purpose protocol.Purpose, payload any) (*protocol.Done, error) {
	return s.numbers.Call(ctx, purpose, payload)
}

// job reads a job as its publisher sees it.
func (s *session) job(ctx context.Context, id task.JobID) (v protocol.JobView, err error) {
	err = s.remote.GetJSON(ctx, protocol.JobPath(id), &v, s.key)
	return v, ifNotFound(err, seeJobs)
}

// source is where a fetch gets a job from.
type source struct{ *session }

// Cluster names the cluster that answers.
func (s source) Cluster(ctx context.Context) (task.ClusterID, error) {
	v, err := s.remote.Cluster(ctx)
	return v.Cluster, err
}

// Job is a job's view.
func (s source) Job(ctx context.Context, id task.JobID) (protocol.JobView, error) {
	return s.job(ctx, id)
}

// Spec returns a job's specification as it was submitted.
func (s source) Spec(ctx context.Context, id task.JobID) ([]byte, error) {
	r, err := s.remote.Stream(ctx, protocol.SpecPath(id), nil)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	return io.ReadAll(io.LimitReader(r, protocol.MaxSpec+1))
}

// Results returns released results of a level.
func (s source) Results(ctx context.Context, id task.JobID, level uint8, from uint64, limit int) (page protocol.ResultPage, err error) {
	err = s.remote.GetJSON(ctx, protocol.ResultsPath(id, level, from, limit), &page, nil)
	return page, err
}

// Output returns the bytes of one output.
func (s source) Output(ctx context.Context, id task.JobID, level uint8, index uint64, file int) (io.ReadCloser, error) {
	return s.remote.Stream(ctx, protocol.OutputPath(id, level, index, file), nil)
}
