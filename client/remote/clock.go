package remote

import (
	"context"
	"crypto/ed25519"
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/sheafgrid/sheaf/protocol"
	"github.com/sheafgrid/sheaf/task"
)

// clusterClock is the cluster's time as a coordinator told it, carried on by
// the local clock.
type clusterClock struct {
	told task.Millis
	at   time.Time
}

// clockFresh is how long the local clock is trusted to carry it on: this
// machine may sleep, and its clock with it.
const clockFresh = 2 * time.Minute

func (c *clusterClock) set(mu *sync.Mutex, t task.Millis) {
	mu.Lock()
	defer mu.Unlock()
	c.told, c.at = t, time.Now()
}

// now is the cluster's time; known is false where it must be asked for again.
func (c *clusterClock) now(mu *sync.Mutex) (t task.Millis, known bool) {
	mu.Lock()
	defer mu.Unlock()
	since := time.Since(c.at)
	return c.told + task.Millis(since/time.Millisecond), !c.at.IsZero() && since < clockFresh
}

// signedHeader signs a reading of a path. Without a key it is nil.
func (r *Remote) signedHeader(ctx context.Context, path string, key ed25519.PrivateKey) (http.Header, error) {
	if key == nil {
		return nil, nil
	}
	t, known := r.clock.now(&r.mu)
	if !known {
		view, err := r.waitForCluster(ctx)
		if err != nil {
			return nil, err
		}
		t = view.Time
	}
	return http.Header{
		protocol.HeaderKey:       {protocol.PublicKey(key).String()},
		protocol.HeaderTime:      {strconv.FormatInt(int64(t), 10)},
		protocol.HeaderSignature: {protocol.EncodeSignature(protocol.SignRead(key, r.ClusterID(), path, t))},
	}, nil
}

// waitForCluster is Cluster, asked until somebody answers.
func (r *Remote) waitForCluster(ctx context.Context) (protocol.ClusterView, error) {
	var view protocol.ClusterView
	err := r.try(ctx, func(ctx context.Context, at protocol.Address) (err error) {
		view, err = r.clusterAt(ctx, at)
		return err
	})
	return view, err
}
