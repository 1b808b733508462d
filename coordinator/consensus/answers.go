package consensus

import (
	"sync"
	"sync/atomic"

	"github.com/hashicorp/raft"
)

// answers is a transport that remembers which of the messages to each peer the
// peer has answered as a follower of this node.
//
// raft counts any such answer for the question whether this node still leads,
// also one to a message from before the question: it may have lain in a socket
// while this node was stopped and the others chose another leader. Only answers
// to messages that were sent after the question say something about it.
type answers struct {
	Transport
	asked atomic.Uint64 // the number of the last question

	mu      sync.Mutex
	vouched map[raft.ServerID]vouched
	came    chan struct{} // closed at the next answer
}

// vouched is the youngest message that a peer has answered: the term that it was
// sent in, and the last question from before it was sent.
type vouched struct{ term, question uint64 }

func newAnswers(inner Transport) *answers {
	return &answers{Transport: inner, vouched: map[raft.ServerID]vouched{}, came: make(chan struct{})}
}

// Close ends the transport below, if it can be ended.
func (a *answers) Close() error {
	if c, ok := a.Transport.(raft.WithClose); ok {
		return c.Close()
	}
	return nil
}

// ask begins a question and returns its number.
func (a *answers) ask() uint64 { return a.asked.Add(1) }

// AppendEntries sends what a leader has to say to one peer, heartbeats too. What
// goes through the pipeline is not noted: a heartbeat is sent for every question.
func (a *answers) AppendEntries(id raft.ServerID, target raft.ServerAddress, args *raft.AppendEntriesRequest, resp *raft.AppendEntriesResponse) error {
	question := a.asked.Load()
	if err := a.Transport.AppendEntries(id, target, args, resp); err != nil {
		return err
	}
	if !resp.Success {
		return nil
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if old := a.vouched[id]; args.Term > old.term || args.Term == old.term && question > old.question {
		a.vouched[id] = vouched{args.Term, question}
		close(a.came)
		a.came = make(chan struct{})
	}
	return nil
}

// majority reports whether more than half of the voters, this node counted, have
// answered in the term after a question. If not, came is closed when there is
// another answer.
func (a *answers) majority(voters []raft.ServerID, self raft.ServerID, term, question uint64) (ok bool, came <-chan struct{}) {
	a.mu.Lock()
	defer a.mu.Unlock()
	n := 0
	for _, id := range voters {
		if v := a.vouched[id]; id == self || v.term == term && v.question >= question {
			n++
		}
	}
	return 2*n > len(voters), a.came
}
