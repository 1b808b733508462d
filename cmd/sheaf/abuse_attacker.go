package main

import (
	"bufio"
	"context"
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os/exec"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sheafgrid/sheaf/protocol"
	"github.com/sheafgrid/sheaf/task"
)

// attackOrder is what an attacker is told.
type attackOrder struct {
	Nodes       []attackedNode
	Cluster     task.ClusterID
	Opened      task.Millis // cluster time at which his sessions were opened
	Publisher   task.Key    // somebody else's
	Large       task.Digest // a large blob that anybody may read
	Key         []byte      // of an account, which may publish
	Connections int
	Slow        int
	Bad         float64
}

type attackedNode struct {
	Address string // HOST:PORT for clients
	Raft    string // HOST:PORT for coordinators
}

// attackResult is what came of it.
type attackResult struct {
	Opened   uint64                       `json:"connections_opened"`
	Most     int64                        `json:"connections_held"` // at a time
	Accepted uint64                       `json:"attacks_accepted"`
	Answers  map[string]map[string]uint64 `json:"answers"` // by kind of attack
	Held     int64                        `json:"-"`       // at the moment
	Trouble  []string                     `json:"trouble,omitempty"`
}

// attacker attacks. It is a process of its own, at a low priority: a real one
// has his own processors.
type attacker struct {
	attackOrder
	key   ed25519.PrivateKey
	dials chan struct{} // one for each connection that may be opened now

	mu     sync.Mutex
	result attackResult
}

// benchAttackCommand is that process: it reads its order from standard input,
// goes on until that ends, and writes how many connections it holds and in the
// end what came of it.
type benchAttackCommand struct{}

// Run attacks.
func (*benchAttackCommand) Run(a *app) error {
	in := bufio.NewReader(a.stdin)
	line, err := in.ReadBytes('\n')
	if err != nil {
		return fmt.Errorf("an attacker is started by sheaf bench abuse: %w", err)
	}
	t := &attacker{result: attackResult{Answers: map[string]map[string]uint64{}}}
	if err := json.Unmarshal(line, &t.attackOrder); err != nil {
		return err
	}
	if len(t.Key) != ed25519.SeedSize || len(t.Nodes) == 0 {
		return errors.New("an attacker is started by sheaf bench abuse")
	}
	t.key = ed25519.NewKeyFromSeed(t.Key)
	ctx, stop := context.WithCancel(a.ctx)
	go func() {
		defer stop()
		_, _ = io.Copy(io.Discard, in) // until whoever started it has enough
	}()
	t.attack(ctx, a)
	a.print(t.result)
	return nil
}

// answered counts what became of an attack of some kind.
func (t *attacker) answered(kind, answer string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.result.Answers[kind] == nil {
		t.result.Answers[kind] = map[string]uint64{}
	}
	t.result.Answers[kind][answer]++
}

func (t *attacker) opened() uint64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.result.Opened
}

// signedUpload is the head of an upload that the attacker may make.
func (t *attacker) signedUpload(digest task.Digest) http.Header {
	return signedUpload(t.key, t.Cluster, digest)
}

func signedUpload(key ed25519.PrivateKey, cluster task.ClusterID, digest task.Digest) http.Header {
	h := http.Header{}
	h.Set(protocol.HeaderKey, protocol.PublicKey(key).String())
	h.Set(protocol.HeaderSignature, protocol.EncodeSignature(protocol.SignUpload(key, cluster, digest)))
	return h
}

// Connections that the attacker opens a second, until there are enough and
// after.
const (
	dialsAtFirst = 2500
	dialsLater   = 1000
)

// attack goes on until ctx ends.
func (t *attacker) attack(ctx context.Context, a *app) {
	t.dials = make(chan struct{})
	var all sync.WaitGroup
	defer all.Wait()
	all.Go(func() { t.pace(ctx) })
	all.Go(func() { t.tell(ctx, a) })
	for _, h := range t.holds() {
		for i := range h.count {
			all.Go(func() { t.hold(ctx, h, i) })
		}
	}
	all.Go(func() { t.shoot(ctx) })
}

// pace lets connections be opened.
func (t *attacker) pace(ctx context.Context) {
	const step = 10 * time.Millisecond
	tick := time.NewTicker(step)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		rate := dialsLater
		if t.opened() < uint64(t.Connections) {
			rate = dialsAtFirst
		}
		for range rate * int(step) / int(time.Second) {
			select {
			case t.dials <- struct{}{}:
			case <-ctx.Done():
				return
			default: // nobody wants one
			}
		}
	}
}

// tell writes how many connections are held.
func (t *attacker) tell(ctx context.Context, a *app) {
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		t.mu.Lock()
		held := t.result.Held
		t.mu.Unlock()
		a.print(held)
	}
}

// enemy is an attacker's process, as who started it sees it.
type enemy struct {
	cmd    *exec.Cmd
	order  io.WriteCloser
	held   atomic.Int64 // connections
	done   chan struct{}
	result attackResult
	err    error
}

// startAttacker starts an attack.
func (t *abuse) startAttacker() (*enemy, error) {
	e := &enemy{cmd: exec.Command(t.binary, "bench", "attack"), done: make(chan struct{})}
	detach(e.cmd)
	var err error
	if e.order, err = e.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	out, err := e.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	e.cmd.Stderr = t.stderr
	if err := e.cmd.Start(); err != nil {
		return nil, fmt.Errorf("starting the attacker: %w", err)
	}
	yield(e.cmd.Process)
	go e.listen(out)
	return e, json.NewEncoder(e.order).Encode(t.order)
}

// listen reads what the attacker says until he ends.
func (e *enemy) listen(out io.Reader) {
	defer close(e.done)
	e.err = errors.New("the attacker did not say what came of the attack")
	for in := bufio.NewReader(out); ; {
		line, err := in.ReadBytes('\n')
		if err != nil {
			break
		}
		var held int64
		if json.Unmarshal(line, &held) == nil {
			e.held.Store(held)
			continue
		}
		e.err = json.Unmarshal(line, &e.result)
	}
	if err := e.cmd.Wait(); err != nil {
		e.err = fmt.Errorf("the attacker: %w", err)
	}
}

// stop ends the attack and says what came of it.
func (e *enemy) stop() (attackResult, error) {
	_ = e.order.Close() // also when it was closed before
	<-e.done
	return e.result, e.err
}
