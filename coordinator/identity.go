package coordinator

import (
	"cmp"
	"context"
	"crypto/ecdsa"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/sheafgrid/sheaf/coordinator/blobs"
	"github.com/sheafgrid/sheaf/coordinator/consensus"
	"github.com/sheafgrid/sheaf/coordinator/peers"
	"github.com/sheafgrid/sheaf/internal/fsutil"
	"github.com/sheafgrid/sheaf/task"
)

// Identity is who a node is. It is made once and kept in the data folder; a
// node that has lost it comes back as another one, since it may have forgotten
// what it voted for.
type Identity struct {
	Format    int            `json:"format"`
	Node      task.NodeID    `json:"node"`
	Cluster   task.ClusterID `json:"cluster"`
	Secret    []byte         `json:"secret"`    // shared by the cluster's coordinators
	Authority []byte         `json:"authority"` // key of the cluster's certificate authority, shared likewise (peers.EncodeKey)
	URL       string         `json:"url"`
	Raft      string         `json:"raft"`
	Bootstrap *Bootstrap     `json:"bootstrap,omitempty"` // on the node that made the cluster
	Begun     bool           `json:"begun,omitempty"`     // its log holds something, which must not be lost
	Replaces  task.NodeID    `json:"replaces,omitempty"`  // a lost member to remove, until that is done
	Others    []Place        `json:"others,omitempty"`    // of the other members, as last heard of
}

// Place is where a coordinator's peers reach it.
type Place struct {
	Node task.NodeID `json:"node"`
	Raft string      `json:"raft"`
}

func (p Place) compare(q Place) int {
	return cmp.Or(cmp.Compare(p.Node, q.Node), cmp.Compare(p.Raft, q.Raft))
}

const identityFormat = 2

// maxIdentity bounds the file, in bytes.
const maxIdentity = 1 << 20

func identityFile(cfg *Config) string { return filepath.Join(cfg.Dir, "node.json") }

// findIdentity reads who this node is, or makes a new node as the
// configuration says.
func findIdentity(ctx context.Context, cfg *Config, key *ecdsa.PrivateKey) (Identity, error) {
	id, err := readIdentity(cfg)
	switch {
	case err == nil:
		if err := sameCluster(ctx, cfg, id.Cluster); err != nil {
			return Identity{}, err
		}
	case !errors.Is(err, fs.ErrNotExist):
		return Identity{}, err
	case cfg.Bootstrap != nil:
		if id, err = newCluster(cfg, key); err != nil {
			return Identity{}, err
		}
	case cfg.Join != "":
		if id, err = askToJoin(ctx, cfg, key); err != nil {
			return Identity{}, err
		}
	default:
		return Identity{}, fmt.Errorf("data folder %s holds no coordinator yet: start a new cluster with --bootstrap, or join one with --join URL", cfg.Dir)
	}
	id.URL, id.Raft = cfg.Advertise, cfg.advertiseRaft
	if cfg.Replace != "" {
		id.Replaces = cfg.Replace
	}
	return id, writeIdentity(cfg, id)
}

func readIdentity(cfg *Config) (Identity, error) {
	f, err := os.Open(identityFile(cfg))
	if err != nil {
		return Identity{}, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return Identity{}, err
	}
	var id Identity
	if info.Size() > maxIdentity {
		return Identity{}, fmt.Errorf("%s: %d bytes are no identity of a node", identityFile(cfg), info.Size())
	}
	if err := json.NewDecoder(f).Decode(&id); err != nil {
		return Identity{}, fmt.Errorf("%s: %w; if the file is lost, remove the data folder and join under a new name", identityFile(cfg), err)
	}
	if id.Format != identityFormat || id.Node == "" || id.Cluster.IsZero() || len(id.Secret) != 32 || len(id.Authority) == 0 {
		return Identity{}, fmt.Errorf("%s: not an identity that this version reads (it is of format %d, this is %d)", identityFile(cfg), id.Format, identityFormat)
	}
	if cfg.Name != "" && cfg.Name != id.Node {
		return Identity{}, fmt.Errorf("data folder %s is that of node %q; leave out --name %q, or give another folder", cfg.Dir, id.Node, cfg.Name)
	}
	return id, nil
}

func writeIdentity(cfg *Config, id Identity) error {
	b, err := json.MarshalIndent(id, "", "  ")
	if err != nil {
		return err
	}
	return fsutil.WriteFileAtomic(identityFile(cfg), append(b, '\n'), 0o600)
}

// checkFolders refuses a node that has lost a part of its folder: it would count
// towards majorities with blobs that it no longer has.
func checkFolders(cfg *Config, id Identity) error {
	if !id.Begun {
		return nil
	}
	for _, name := range []string{"raft", string(blobs.Public), string(blobs.Outputs), smallOutputs} {
		if _, err := os.Stat(filepath.Join(cfg.Dir, name)); err != nil {
			return lostPart(cfg, id, err)
		}
	}
	return nil
}

// checkLog refuses a node whose log is empty although it was not: it has
// forgotten what it helped to commit, and a cluster of one would begin anew,
// silently. Its votes lie apart from the log, and prove nothing.
func checkLog(cfg *Config, id Identity, raft consensus.Stores) error {
	kept, err := raft.HasEntries()
	if err == nil && id.Begun && !kept {
		err = lostPart(cfg, id, errors.New("the log is empty"))
	}
	return err
}

func lostPart(cfg *Config, id Identity, why error) error {
	return fmt.Errorf("node %q has lost a part of its data folder %s: %w: %w; put the folder back as it was, or start with an empty folder, a new --name, --join URL and --replace %s", id.Node, cfg.Dir, consensus.ErrDamaged, why, id.Node)
}

// noteProgress writes down that the node's log holds something, that the member
// whose place it takes has been removed, and where the other members are.
func (c *Coordinator) noteProgress(ctx context.Context) error {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	kept := c.parts.Identity
	for {
		id := kept
		id.Begun = id.Begun || c.Status().Applied > 0
		select {
		case <-c.admitted:
			id.Replaces = ""
		default:
		}
		if others := c.others(); len(others) > 0 {
			id.Others = others
		}
		if id.Begun != kept.Begun || id.Replaces != kept.Replaces || !slices.Equal(id.Others, kept.Others) {
			if err := writeIdentity(&c.cfg, id); err != nil {
				return err
			}
			kept = id
		}
		changed := c.node.Changed()
		if kept.Begun { // the rest may wait
			changed = nil
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		case <-changed:
		}
	}
}

// others are where the other members are.
func (a *assembly) others() (places []Place) {
	for _, m := range a.allMembers() {
		if m.Node != a.parts.Identity.Node {
			places = append(places, Place{m.Node, m.Raft})
		}
	}
	slices.SortFunc(places, Place.compare)
	return places
}

// newCluster draws who a new cluster is, with an authority of its own.
func newCluster(cfg *Config, key *ecdsa.PrivateKey) (Identity, error) {
	name, err := newName(cfg, key)
	if err != nil {
		return Identity{}, err
	}
	authority, err := peers.NewKey()
	if err != nil {
		return Identity{}, err
	}
	id := Identity{Format: identityFormat, Node: name, Secret: random(32), Bootstrap: cfg.Bootstrap}
	copy(id.Cluster[:], random(len(id.Cluster)))
	id.Authority, err = peers.EncodeKey(authority)
	return id, err
}

// authority is the cluster's, made of the key in the node's identity.
func (id *Identity) authority() (*peers.Authority, error) {
	key, err := peers.DecodeKey(id.Authority)
	if err != nil {
		return nil, fmt.Errorf("the cluster's authority: %w", err)
	}
	return peers.NewAuthority(key)
}

// newName is a new node's: that which was given, or one made of its key, so
// that a node that has to ask again asks under the same.
func newName(cfg *Config, key *ecdsa.PrivateKey) (task.NodeID, error) {
	if cfg.Name != "" {
		return cfg.Name, nil
	}
	fingerprint, err := peers.FingerprintOf(key)
	return task.NodeID("node-" + hex.EncodeToString(fingerprint[:3])), err
}

func random(n int) []byte {
	b := make([]byte, n)
	_, _ = rand.Read(b) // never fails: it ends the program instead
	return b
}

// metricsToken lets its bearer read the metrics of every node of the cluster.
func metricsToken(secret []byte) string {
	mac := hmac.New(sha256.New, secret)
	mac.Write([]byte("sheaf metrics token 1"))
	return hex.EncodeToString(mac.Sum(nil)[:16])
}
