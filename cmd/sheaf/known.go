package main

import (
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"slices"

	"github.com/sheafgrid/sheaf/client/remote"
	"github.com/sheafgrid/sheaf/internal/fsutil"
	"github.com/sheafgrid/sheaf/protocol"
	"github.com/sheafgrid/sheaf/task"
)

// knownClusters is what a person's commands have learned of clusters, so that
// the address of one coordinator that is gone is enough to find the others. The
// cluster that was used last comes first. Volunteers' clients keep their own,
// in their journals.
type knownClusters struct {
	Clusters []knownCluster `json:"clusters"`
}

// knownCluster is one of them.
type knownCluster struct {
	Cluster task.ClusterID    `json:"cluster"`
	Given   []string          `json:"given"` // addresses under which the person knows it
	Members []protocol.Member `json:"members"`
}

// Bounds on the file: clusters, addresses of each, bytes.
const (
	maxKnownClusters = 32
	maxKnownGiven    = 16
	maxKnownFile     = 1 << 20
)

// knownFile is where they are kept.
func knownFile() string { return filepath.Join(dataHome(), "clusters.json") }

// readKnown reads the file. One that is missing or damaged only means that
// nothing is known.
func readKnown(path string) (k knownClusters) {
	f, err := os.Open(path)
	if err != nil {
		return k
	}
	defer f.Close()
	if json.NewDecoder(io.LimitReader(f, maxKnownFile)).Decode(&k) != nil {
		return knownClusters{}
	}
	return k
}

// find is the cluster that one of some addresses belonged to.
func (k *knownClusters) find(urls []string) (knownCluster, bool) {
	for _, c := range k.Clusters {
		for _, u := range urls {
			if slices.Contains(c.Given, base(u)) || slices.ContainsFunc(c.Members, func(m protocol.Member) bool { return base(m.URL) == base(u) }) {
				return c, true
			}
		}
	}
	return knownCluster{}, false
}

// base is an address without its fingerprint, which may have changed.
func base(url string) string {
	a, err := protocol.ParseAddress(url)
	if err != nil {
		return url
	}
	return a.Base
}

// learn notes the members of a cluster, and reports whether anything is new.
func (k *knownClusters) learn(id task.ClusterID, urls []string, members []protocol.Member) bool {
	c := knownCluster{Cluster: id, Members: members}
	for _, u := range urls {
		c.Given = append(c.Given, base(u))
	}
	i := slices.IndexFunc(k.Clusters, func(c knownCluster) bool { return c.Cluster == id })
	if i >= 0 {
		old := k.Clusters[i]
		for _, g := range old.Given {
			if !slices.Contains(c.Given, g) {
				c.Given = append(c.Given, g)
			}
		}
		if i == 0 && len(c.Given) == len(old.Given) && slices.Equal(c.Members, old.Members) {
			return false
		}
		k.Clusters = slices.Delete(k.Clusters, i, i+1)
	}
	c.Given = c.Given[:min(len(c.Given), maxKnownGiven)]
	k.Clusters = append([]knownCluster{c}, k.Clusters[:min(len(k.Clusters), maxKnownClusters-1)]...)
	return true
}

// remember keeps what a cluster's answer said of its members. Trials on this
// machine's loopback are not worth it. It is a convenience: where it cannot be
// written, the command goes on without.
func remember(path string, r *remote.Remote, urls []string) {
	members := r.Members()
	if len(members) == 0 || !slices.ContainsFunc(members, func(m protocol.Member) bool { return !remote.IsLoopback(m.URL) }) {
		return
	}
	k := readKnown(path)
	if !k.learn(r.ClusterID(), urls, members) {
		return
	}
	b, err := json.MarshalIndent(k, "", "  ")
	if err != nil || fsutil.MkdirAllSync(filepath.Dir(path), 0o700) != nil {
		return
	}
	_ = fsutil.WriteFileAtomic(path, append(b, '\n'), 0o600)
}
