package consensus

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/hashicorp/raft"
)

// snapshotBytes is how much log may be written after a snapshot before the
// next one: replaying it takes about half a second.
const snapshotBytes = 64 << 20

// watch asks for a snapshot when the log has grown.
func (n *Node) watch(ctx context.Context) error {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
			if err := n.noteReached(); err != nil {
				return err
			}
		}
		if n.fsm.bytesSinceSnapshot() > snapshotBytes {
			if err := n.Snapshot(); err != nil {
				return n.fatal.Fail(err)
			}
		}
	}
}

// noteReached moves the mark beside the log.
func (n *Node) noteReached() error {
	mark := n.cfg.Stores.reached
	if mark == nil {
		return nil
	}
	return n.guard.write("the mark beside the log", func() error { return mark.note(n.raft.AppliedIndex()) })
}

// membersChange begins raft's refusal, which has no sentinel, to write a
// snapshot while a change of the members waits for an entry to be applied.
const membersChange = "cannot take snapshot now"

// Snapshot writes a snapshot now and drops the log that it makes needless.
// While the members are being changed it does nothing: the next one will do.
func (n *Node) Snapshot() error {
	err := n.raft.Snapshot().Error()
	if errors.Is(err, raft.ErrNothingNewToSnapshot) || errors.Is(err, raft.ErrRaftShutdown) {
		return nil
	}
	if err != nil && strings.HasPrefix(err.Error(), membersChange) {
		return nil
	}
	return err
}
