package consensus_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/raft"

	"github.com/sheafgrid/sheaf/coordinator/consensus"
	"github.com/sheafgrid/sheaf/coordinator/peers"
	"github.com/sheafgrid/sheaf/coordinator/state"
	"github.com/sheafgrid/sheaf/task"
)

// openOne opens a single node with real files and a real port.
func openOne(t *testing.T, dir string) (*one, error) {
	t.Helper()
	o := &one{leads: make(chan struct{}, 1)}
	stores, err := openStores(t, dir)
	if err != nil {
		return nil, err
	}
	n, err := consensus.Open(consensus.Config{
		Node: "one", Stores: stores, Logger: quiet(),
		Timing: consensus.Timing{Heartbeat: 50 * time.Millisecond, Lease: 50 * time.Millisecond},
		Lead:   func(ctx context.Context) error { o.leads <- struct{}{}; <-ctx.Done(); return nil },
	})
	if err != nil {
		for _, c := range stores.Close {
			_ = c.Close()
		}
	}
	o.Node = n
	return o, err
}

func openStores(t *testing.T, dir string) (consensus.Stores, error) {
	t.Helper()
	stream, err := consensus.NewStream("one", "127.0.0.1:1", openPort(t))
	if err != nil {
		t.Fatal(err)
	}
	stores, err := consensus.OpenDir(dir, consensus.NewTransport(stream, quiet()), quiet())
	if err != nil {
		err = errors.Join(err, stream.Close())
	}
	return stores, err
}

// one is a node that says when it leads.
type one struct {
	*consensus.Node
	leads chan struct{}
}

// use runs a node while fn uses it.
func use(t *testing.T, n *one, fn func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- n.Run(ctx) }()
	<-n.leads
	fn()
	cancel()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
}

func fill(t *testing.T, dir string) task.Digest {
	t.Helper()
	n, err := openOne(t, dir)
	if err != nil {
		t.Fatal(err)
	}
	if err := n.Bootstrap("127.0.0.1:1"); err != nil {
		t.Fatal(err)
	}
	var want task.Digest
	use(t, n, func() {
		for i, c := range []state.Command{&state.InitCluster{ID: task.ClusterID{1}, Anyone: true}, project(1), project(2)} {
			if _, err := n.Propose(t.Context(), c); err != nil {
				t.Fatal(err)
			}
			if i == 1 {
				if err := n.Snapshot(); err != nil {
					t.Fatal(err)
				}
			}
		}
		_, want = n.Digest()
	})
	return want
}

func TestRestartFromDisk(t *testing.T) {
	dir := t.TempDir()
	want := fill(t, dir)
	for range 2 {
		n, err := openOne(t, dir)
		if err != nil {
			t.Fatal(err)
		}
		use(t, n, func() {
			if _, got := n.Digest(); got != want {
				t.Errorf("after a restart the state is %s, it was %s", got.Short(), want.Short())
			}
		})
	}
}

// A snapshot that was cut short or changed is named, and no older one is used
// in its place.
func TestDamagedSnapshotIsNamed(t *testing.T) {
	for _, c := range []struct {
		name, file string
		damage     func(b []byte) []byte
	}{
		{"cut short", "state.bin", func(b []byte) []byte { return b[:len(b)/2] }},
		{"emptied", "state.bin", func([]byte) []byte { return nil }},
		{"one bit flipped", "state.bin", func(b []byte) []byte { b[len(b)/2] ^= 4; return b }},
		{"description cut short", "meta.json", func(b []byte) []byte { return b[:10] }},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			fill(t, dir)
			files, err := filepath.Glob(filepath.Join(dir, "snapshots", "*", c.file))
			if err != nil || len(files) != 1 {
				t.Fatalf("snapshots: %v, %v", files, err)
			}
			b, err := os.ReadFile(files[0])
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(files[0], c.damage(b), 0o600); err != nil {
				t.Fatal(err)
			}
			_, err = openOne(t, dir)
			if !errors.Is(err, consensus.ErrDamaged) {
				t.Fatalf("got %v, want ErrDamaged", err)
			}
			t.Log(err)
		})
	}
}

// openPort opens a port for peers, of a cluster of its own.
func openPort(t *testing.T) *peers.Port {
	t.Helper()
	key, err := peers.NewKey()
	if err != nil {
		t.Fatal(err)
	}
	authority, err := peers.NewAuthority(key)
	if err != nil {
		t.Fatal(err)
	}
	p, err := peers.Listen(peers.Config{
		Node: "one", Authority: authority, Key: key, Vouch: func(context.Context, peers.Peer) error { return nil }, Now: time.Now, Logger: quiet(),
	}, "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.Close() })
	return p
}

// Who is meant is part of an address: one without a name is dialled by nobody.
func TestAddressesNameTheirNode(t *testing.T) {
	stream, err := consensus.NewStream("one", "127.0.0.1:1", openPort(t))
	if err != nil {
		t.Fatal(err)
	}
	for _, address := range []raft.ServerAddress{"127.0.0.1:1", "@127.0.0.1:1", "one@"} {
		if _, err := stream.Dial(address, time.Second); err == nil || !strings.Contains(err.Error(), "NODE@HOST:PORT") {
			t.Errorf("dialling %q: got %v, want that it is no address", address, err)
		}
	}
	if got := stream.Addr().String(); got != "one@127.0.0.1:1" {
		t.Errorf("the stream's address is %q", got)
	}
}
