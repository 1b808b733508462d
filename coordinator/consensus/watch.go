package consensus

import (
	"context"
	"errors"
	"time"

	"github.com/hashicorp/raft"
)

// snapshotBytes is how much log may be written after a snapshot before the
// next one: replaying it takes about half a second.
const snapshotBytes = 64 << 20

// watch ends the node when the disk hangs or an error was set, and asks for a
// snapshot when the log has grown.
func (n *Node) watch(ctx context.Context) error {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-n.fatal.failed():
			return n.fatal.err()
		case now := <-tick.C:
			if err := n.guard.hung(now); err != nil {
				return n.fatal.set(err)
			}
			if err := n.noteReached(); err != nil {
				return err
			}
		}
		if n.fsm.bytesSinceSnapshot() > snapshotBytes {
			if err := n.Snapshot(); err != nil {
				return n.fatal.set(err)
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

// Snapshot writes a snapshot now and drops the log that it makes needless.
func (n *Node) Snapshot() error {
	err := n.raft.Snapshot().Error()
	if errors.Is(err, raft.ErrNothingNewToSnapshot) || errors.Is(err, raft.ErrRaftShutdown) {
		return nil
	}
	return err
}
