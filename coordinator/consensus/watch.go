package consensus

import (
	"context"
	"errors"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/hashicorp/raft"
)

// snapshotBytes is how much log may be written after a snapshot before the
// next one: replaying it takes about half a second. Each is due by up to
// snapshotSpread earlier, or all nodes, which apply the same entries, would write
// theirs and drop their logs at the same time.
const (
	snapshotBytes  = 64 << 20
	snapshotSpread = 24 << 20
)

func nextSnapshot() int64 { return snapshotBytes - rand.Int64N(snapshotSpread) }

// watch asks for a snapshot when the log has grown.
func (n *Node) watch(ctx context.Context) error {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	due := nextSnapshot()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
			if err := n.noteReached(); err != nil {
				return err
			}
		}
		if n.fsm.bytesSinceSnapshot() > due {
			if err := n.Snapshot(); err != nil {
				return n.fatal.Fail(err)
			}
			due = nextSnapshot()
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
