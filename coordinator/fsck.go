package coordinator

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/sheafgrid/sheaf/coordinator/backup"
	"github.com/sheafgrid/sheaf/coordinator/blobs"
	"github.com/sheafgrid/sheaf/coordinator/consensus"
	"github.com/sheafgrid/sheaf/coordinator/state"
	"github.com/sheafgrid/sheaf/internal/fsutil"
	"github.com/sheafgrid/sheaf/storage/dir"
	"github.com/sheafgrid/sheaf/storage/segments"
	"github.com/sheafgrid/sheaf/storage/tiered"
	"github.com/sheafgrid/sheaf/task"
)

// Checkup is what Fsck found in a node's data folder.
type Checkup struct {
	Node     task.NodeID    `json:"node"`
	Cluster  task.ClusterID `json:"cluster"`
	Snapshot uint64         `json:"snapshot_index"` // 0: there is none
	First    uint64         `json:"first_entry"`    // in the log; 0: it is empty
	Last     uint64         `json:"last_entry"`
	Reached  uint64         `json:"applied_entry"` // at least so far the log is committed
	Torn     int64          `json:"torn_bytes"`    // at the end of the log: a write that was interrupted
	Index    uint64         `json:"index"`         // of the entry up to which the state was made
	State    task.Digest    `json:"state_digest,omitzero"`
	Public   int64          `json:"public_blobs"` // whole ones
	Outputs  int64          `json:"outputs"`
	Bucket   string         `json:"bucket,omitempty"` // where public blobs and large outputs are, which are not checked; "": here
	Missing  int64          `json:"missing"`          // blobs that the state needs and that are not here; others may have them
	Example  string         `json:"missing_example,omitempty"`
	Damage   []string       `json:"damage"` // one line for each thing that is wrong
}

// maxDamage is how many things that are wrong are told.
const maxDamage = 1000

// Fsck reads a node's data folder, which no process may have open, and checks
// everything: log and snapshots byte by byte, the state that they make against
// every invariant, every blob against its digest. It writes nothing but its
// number into the lock file. upTo is the entry up to which the log is replayed; 0
// means all of it.
func Fsck(ctx context.Context, folder string, upTo uint64) (c Checkup, err error) {
	c.Damage = []string{}
	cfg := &Config{Dir: folder}
	if _, err := os.Stat(identityFile(cfg)); errors.Is(err, fs.ErrNotExist) {
		return c, fmt.Errorf("%s holds no coordinator: there is no %s", folder, identityFile(cfg))
	} else if err != nil {
		return c, err
	}
	unlock, err := fsutil.Lock(filepath.Join(folder, "lock"))
	switch {
	case errors.Is(err, fsutil.ErrLocked):
		return c, fmt.Errorf("data folder %s: %w; stop the node first", folder, err)
	case err == nil: // otherwise it cannot be written: no node can run there
		defer func() { err = errors.Join(err, unlock()) }()
	}
	f := &checkup{Checkup: &c, dir: folder}
	id, err := readIdentity(cfg)
	f.note(err)
	f.note(checkFolders(cfg, id))
	c.Node, c.Cluster = id.Node, id.Cluster
	in, err := consensus.Inspect(filepath.Join(folder, "raft"), upTo)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return c, err
	}
	for _, d := range in.Damage {
		f.note(d)
	}
	c.Snapshot, c.First, c.Last, c.Reached, c.Torn, c.Index = in.Snapshot, in.First, in.Last, in.Reached, in.Torn, in.Index
	if in.State != nil && !in.State.Cluster().ID.IsZero() {
		c.State = in.State.Digest()
		if in.State.Cluster().ID != id.Cluster && id.Node != "" {
			f.note(fmt.Errorf("%s says cluster %s, the log says %s", identityFile(cfg), id.Cluster, in.State.Cluster().ID))
		}
		if err := in.State.Check(); err != nil {
			f.note(fmt.Errorf("the state at entry %d breaks an invariant: %w", in.Index, err))
		}
	} else {
		in.State = nil
	}
	return c, f.blobs(ctx, in)
}

// checkup gathers what is wrong.
type checkup struct {
	*Checkup
	dir string
}

func (f *checkup) note(err error) {
	if err == nil {
		return
	}
	switch n := len(f.Damage); {
	case n < maxDamage:
		f.Damage = append(f.Damage, err.Error())
	case n == maxDamage:
		f.Damage = append(f.Damage, "and more, which is not told")
	}
}

// blobs checks the stores, each by itself, and then what the state needs of them.
// A store that is not there was told of already.
func (f *checkup) blobs(ctx context.Context, in consensus.Inspection) error {
	public, err := f.scrub(ctx, string(blobs.Public), &f.Public)
	if err != nil {
		return err
	}
	large, err := f.scrub(ctx, string(blobs.Outputs), &f.Outputs)
	if err != nil {
		return err
	}
	path := filepath.Join(f.dir, smallOutputs)
	whole, err := segments.Inspect(ctx, path, f.note)
	if errors.Is(err, fs.ErrNotExist) || public == nil || large == nil {
		return nil
	}
	if err != nil {
		return err
	}
	f.Outputs += whole
	if f.Bucket, err = bucketOf(f.dir); err != nil {
		return err
	}
	if in.State == nil || f.Bucket != "" {
		return errors.Join(public.Close(), large.Close())
	}
	small, err := segments.OpenReadOnly(ctx, segments.Config{Path: path})
	if err != nil {
		return err
	}
	needed := &shelves{stores: &stores{public: public, outputs: tiered.New(small, large)}, wrong: f.note}
	if err := backup.Walk(ctx, in.State, needed); err != nil {
		return err
	}
	members := 0
	in.State.Members(func(*state.Member) { members++ })
	if f.Missing = needed.missing; f.Missing > 0 {
		f.Example = fmt.Sprintf("%s (%s)", needed.first.Digest, needed.first.For)
	}
	if f.Missing > 0 && members < 2 {
		f.note(fmt.Errorf("%d blobs that the state needs are nowhere, and there is no other coordinator that could have them; one is %s", f.Missing, f.Example))
	}
	return errors.Join(small.Close(), public.Close(), large.Close())
}

// scrub verifies every blob of one store. It returns nil where there is none.
func (f *checkup) scrub(ctx context.Context, name string, whole *int64) (*dir.Store, error) {
	s, err := dir.OpenReadOnly(ctx, dir.Config{Path: filepath.Join(f.dir, name)})
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	free := func(context.Context, int) error { return nil }
	err = s.Scrub(ctx, task.Digest{}, free, func(_ task.Digest, err error) error {
		if err == nil {
			*whole++
		}
		f.note(err)
		return nil
	})
	if err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}
