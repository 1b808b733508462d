package consensus_test

import (
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/raft"
)

// fullStore has no room for a snapshot.
type fullStore struct{ *raft.InmemSnapshotStore }

var errFull = errors.New("no space left on device")

func (fullStore) Create(raft.SnapshotVersion, uint64, uint64, raft.Configuration, uint64, raft.Transport) (raft.SnapshotSink, error) {
	return nil, errFull
}

// A node that cannot keep the snapshot that another sends ends, and says so: it
// would ask for it for ever.
func TestSnapshotThatCannotBeKeptEndsTheNode(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 1)
		defer c.stop()
		for i := range 3000 { // beyond the entries kept behind a snapshot
			c.propose(project(i))
		}
		if err := c.leader().node.Snapshot(); err != nil {
			t.Fatal(err)
		}
		late := newMember("late")
		late.stores.Snapshots = fullStore{raft.NewInmemSnapshotStore()}
		c.members = append(c.members, late)
		c.start(late)
		// Its vote counts from the start: without it nothing is committed any more.
		go func() { _ = c.members[0].node.AddVoter(t.Context(), late.name, string(late.name)) }()
		time.Sleep(5 * time.Second)
		err := late.stop()
		late.node = nil
		if err == nil || !errors.Is(err, errFull) || !strings.Contains(err.Error(), "writing a snapshot") {
			t.Errorf("the node ended with %v, want the disk's error", err)
		}
	})
}
