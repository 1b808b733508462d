package coordinator

import (
	"context"
	"crypto/ecdsa"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/sheafgrid/sheaf/coordinator/backup"
	"github.com/sheafgrid/sheaf/coordinator/consensus"
	"github.com/sheafgrid/sheaf/coordinator/peers"
	"github.com/sheafgrid/sheaf/coordinator/state"
	"github.com/sheafgrid/sheaf/internal/fsutil"
	"github.com/sheafgrid/sheaf/storage"
	"github.com/sheafgrid/sheaf/task"
)

// RestoreConfig says which backup becomes the first node of a new cluster.
type RestoreConfig struct {
	File    string
	Dir     string         // data folder of the new node: not there yet, empty, or of a restore that did not end
	Name    task.NodeID    // of the new node; "": drawn. Not one that the cluster has had
	Cluster task.ClusterID // the cluster that the backup must be of; zero: any
	Fork    bool           // make another cluster of it, with an id of its own, beside the old one
	Quota   int64          // as of Config
	Logger  *slog.Logger
}

// Restored is what a restore made.
type Restored struct {
	Node     task.NodeID     `json:"node"`
	Cluster  task.ClusterID  `json:"cluster"`
	Manifest backup.Manifest `json:"backup"`
	State    task.Digest     `json:"state_digest"` // after it was renewed
	Members  []state.Member  `json:"-"`            // the old cluster's
}

// restoring marks a folder whose restore has not ended.
const restoring = "restore-has-not-ended"

// Restore makes the data folder of a node that goes on from a backup. The old
// cluster's coordinators must be gone, unless Fork is set: it refuses while one
// of them answers. The backup is checked whole before anything is written.
func Restore(ctx context.Context, cfg RestoreConfig) (Restored, error) {
	if cfg.Name != "" {
		if err := task.CheckHandle(string(cfg.Name)); err != nil {
			return Restored{}, fmt.Errorf("name of the new node: %w", err)
		}
	}
	if err := mayRestoreInto(cfg.Dir); err != nil {
		return Restored{}, err
	}
	r := &restorer{cfg: cfg, log: cfg.Logger}
	m, err := backup.Read(ctx, cfg.File, &looking{restorer: r})
	switch {
	case err != nil:
		return Restored{}, err
	case cfg.Cluster != m.Cluster && !cfg.Cluster.IsZero():
		return Restored{}, fmt.Errorf("%s is a backup of cluster %s, not of %s", cfg.File, m.Cluster, cfg.Cluster)
	case r.state.Digest() != m.State || r.state.Cluster().ID != m.Cluster:
		return Restored{}, fmt.Errorf("%s: %w: its state is not the one that its manifest tells of", cfg.File, backup.ErrDamaged)
	}
	r.manifest = m
	r.state.Members(func(m *state.Member) { r.members = append(r.members, *m) })
	if !cfg.Fork {
		if err := r.oldClusterIsGone(ctx); err != nil {
			return Restored{}, err
		}
	}
	if err := r.renew(); err != nil {
		return Restored{}, err
	}
	return r.write(ctx)
}

// mayRestoreInto refuses a folder that holds something.
func mayRestoreInto(dir string) error {
	found, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) || err == nil && len(found) == 0 {
		return nil
	}
	if err != nil {
		return fmt.Errorf("--data: %w", err)
	}
	if _, err := os.Stat(filepath.Join(dir, restoring)); err == nil {
		return nil // it goes on
	}
	if id, err := readIdentity(&Config{Dir: dir}); err == nil {
		return fmt.Errorf("--data: %s is the data folder of node %s of cluster %s; a backup is restored into an empty one", dir, id.Node, id.Cluster)
	}
	return fmt.Errorf("--data: %s is not empty (it holds %s); a backup is restored into an empty folder", dir, found[0].Name())
}

// restorer puts one backup back.
type restorer struct {
	cfg      RestoreConfig
	log      *slog.Logger
	manifest backup.Manifest
	state    *state.State
	members  []state.Member
	identity Identity // of the new node
	key      *ecdsa.PrivateKey
}

// looking reads a backup before anything is written.
type looking struct{ *restorer }

// Small implements backup.Visitor.
func (*looking) Small(context.Context, backup.Area, storage.Small) error { return nil }

// Large implements backup.Visitor.
func (*looking) Large(_ context.Context, _ backup.Area, _ task.Digest, _ int64, r io.Reader) error {
	_, err := io.Copy(io.Discard, r)
	return err
}

// Snapshot implements backup.Visitor.
func (l *looking) Snapshot(_ context.Context, _ uint64, _ int64, r io.Reader) (err error) {
	l.state, err = backup.ReadState(r)
	return err
}

// oldClusterIsGone refuses to make a second cluster of the same identity: both
// would give out work to the same volunteers, and neither would know what the
// other one did.
func (r *restorer) oldClusterIsGone(ctx context.Context) error {
	// Any certificate will do, an expired one too: who only claims to be the old
	// cluster stops a restore that a person then looks into.
	client := &http.Client{Timeout: 3 * time.Second, Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}}
	defer client.CloseIdleConnections()
	for _, m := range r.members {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, base(m.URL)+pathInstance, nil)
		if err != nil {
			continue
		}
		res, err := client.Do(req)
		if err != nil {
			continue
		}
		var i instance
		err = json.NewDecoder(io.LimitReader(res.Body, maxJoinBody)).Decode(&i)
		_ = res.Body.Close() // what it says has been read
		if err == nil && i.Cluster == r.manifest.Cluster {
			return fmt.Errorf("cluster %s still runs: node %s answers at %s; stop it for good before its backup goes on elsewhere, or make another cluster of the backup, with --fork", i.Cluster, i.Node, m.URL)
		}
	}
	return nil
}

// renew makes the state that of the new cluster.
func (r *restorer) renew() error {
	key, err := peers.NewKey()
	if err != nil {
		return fmt.Errorf("drawing the node's key: %w", err)
	}
	// The authority is new, too: old nodes, which know its key, must not get in.
	if r.identity, err = newCluster(&Config{Name: r.cfg.Name}, key); err != nil {
		return err
	}
	r.key, r.identity.Begun = key, true
	if _, taken := r.state.Member(r.identity.Node); taken {
		return fmt.Errorf("--name %s: the cluster has had a node of that name; the new one needs another name", r.identity.Node)
	}
	// Cluster time went on in the old cluster after the backup (R5).
	since := max(0, time.Now().UnixMilli()-r.manifest.Wall)
	renewal := state.Renewal{Secret: r.identity.Secret, Now: r.manifest.Now + task.Millis(since)}
	if r.cfg.Fork {
		renewal.Cluster = r.identity.Cluster
	}
	if err := r.state.Renew(renewal); err != nil {
		return err
	}
	r.identity.Cluster = r.state.Cluster().ID
	return r.state.Check()
}

// write makes the data folder. The identity comes last: without it there is no
// node.
func (r *restorer) write(ctx context.Context) (done Restored, err error) {
	dir := r.cfg.Dir
	if err := fsutil.MkdirAllSync(dir, 0o700); err != nil {
		return done, err
	}
	unlock, err := fsutil.Lock(filepath.Join(dir, "lock"))
	if err != nil {
		return done, fmt.Errorf("data folder %s: %w", dir, err)
	}
	defer func() { err = errors.Join(err, unlock()) }()
	if err := fsutil.WriteFileAtomic(filepath.Join(dir, restoring), []byte(r.cfg.File+"\n"), 0o600); err != nil {
		return done, err
	}
	if err := os.RemoveAll(filepath.Join(dir, "raft")); err != nil { // of a restore that did not end
		return done, err
	}
	if err := r.writeBlobs(ctx); err != nil {
		return done, err
	}
	id := r.identity
	if err := consensus.WriteRestored(filepath.Join(dir, "raft"), id.Node, r.manifest.Index, r.state, r.log); err != nil {
		return done, err
	}
	if err := writeNodeKey(nodeKeyFile(&Config{Dir: dir}), r.key); err != nil {
		return done, err
	}
	if err := writeIdentity(&Config{Dir: dir}, id); err != nil {
		return done, err
	}
	if err := os.Remove(filepath.Join(dir, restoring)); err != nil {
		return done, err
	}
	return Restored{Node: id.Node, Cluster: id.Cluster, Manifest: r.manifest, State: r.state.Digest(), Members: r.members}, fsutil.SyncDir(dir)
}

// ErrRestoring is returned for a folder whose restore has not ended.
var ErrRestoring = errors.New("a restore into the data folder has not ended")

func checkRestored(dir string) error {
	b, err := os.ReadFile(filepath.Join(dir, restoring))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	file := "FILE"
	if len(b) < 4096 {
		file = strings.TrimSpace(string(b))
	}
	return fmt.Errorf("%w: give the command again: sheaf operator restore %s --data %s", ErrRestoring, file, dir)
}
