package consensus

import (
	"context"
	"sync"
	"time"

	"github.com/hashicorp/raft"
)

// verifier asks a majority whether this node still leads. Whoever comes while it
// asks waits for the next time, and shares it with all that came meanwhile: an
// answer to a question from before would say nothing about now.
type verifier struct {
	mu      sync.Mutex
	waiting []chan error
	running bool
}

// Verify returns nil if this node was the leader at some moment of the call.
// What it then shows of its state includes everything that anybody was told
// before the call: a command is answered once it is applied here, and a new
// leader has applied all earlier ones before it serves. A leader that was
// stopped for a while, or cut off, cannot know without asking.
func (n *Node) Verify(ctx context.Context) error {
	if !n.Serving() {
		return ErrNotLeader
	}
	answer := make(chan error, 1)
	v := &n.verifier
	v.mu.Lock()
	v.waiting = append(v.waiting, answer)
	lead := !v.running
	v.running = true
	v.mu.Unlock()
	if lead {
		go n.verifyRounds() // ends when nobody waits
	}
	select {
	case err := <-answer:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (n *Node) verifyRounds() {
	v := &n.verifier
	for {
		v.mu.Lock()
		waiting := v.waiting
		v.waiting = nil
		v.running = len(waiting) > 0
		v.mu.Unlock()
		if len(waiting) == 0 {
			return
		}
		err := n.verifyOnce()
		for _, w := range waiting {
			w <- err
		}
	}
}

// verifyOnce asks, and returns once a majority has answered a message that was
// sent after the question (see answers), in the term that this node serves in.
func (n *Node) verifyOnce() error {
	term := n.serving.Load()
	if term == 0 {
		return ErrNotLeader
	}
	question := n.answers.ask()
	if err := n.raft.VerifyLeader().Error(); err != nil { // sends a heartbeat to every peer, now
		return ErrNotLeader
	}
	members := n.raft.GetConfiguration()
	if err := members.Error(); err != nil {
		return ErrNotLeader
	}
	var voters []raft.ServerID
	for _, s := range members.Configuration().Servers {
		if s.Suffrage == raft.Voter {
			voters = append(voters, s.ID)
		}
	}
	tooLate := time.NewTimer(n.cfg.Timing.Heartbeat)
	defer tooLate.Stop()
	for {
		ok, came := n.answers.majority(voters, raft.ServerID(n.cfg.Node), term, question)
		if ok {
			return nil
		}
		select {
		case <-came:
		case <-tooLate.C:
			return ErrNotLeader
		}
	}
}
