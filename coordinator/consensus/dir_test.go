package consensus_test

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/hashicorp/raft"

	"github.com/sheafgrid/sheaf/coordinator/consensus"
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
	stream, err := consensus.Listen("one", "127.0.0.1:0", "127.0.0.1:1", []byte("secret"))
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

// A stranger on the port for peers learns nothing and disturbs nobody.
func TestStrangersAreTurnedAway(t *testing.T) {
	ours, err := consensus.Listen("n4", "127.0.0.1:0", "127.0.0.1:1", []byte("ours"))
	if err != nil {
		t.Fatal(err)
	}
	defer ours.Close()
	theirs, err := consensus.Listen("n4", "127.0.0.1:0", "127.0.0.1:1", []byte("theirs"))
	if err != nil {
		t.Fatal(err)
	}
	defer theirs.Close()
	port := ours.Port()
	for name, dial := range map[string]func() (net.Conn, error){
		"another cluster":                   func() (net.Conn, error) { return theirs.Dial(raft.ServerAddress("n4@"+port), time.Second) },
		"a peer that means the node before": func() (net.Conn, error) { return ours.Dial(raft.ServerAddress("n3@"+port), time.Second) },
		"a browser": func() (net.Conn, error) {
			c, err := net.Dial("tcp", port)
			if err == nil {
				_, err = io.WriteString(c, "GET / HTTP/1.1\r\nHost: localhost.localdomain\r\n\r\n")
			}
			return c, err
		},
	} {
		c, err := dial()
		if err != nil {
			t.Fatal(err)
		}
		served, err := ours.Accept()
		if err != nil {
			t.Fatal(err)
		}
		if n, err := served.Read(make([]byte, 10)); err == nil {
			t.Errorf("%s: %d bytes were read", name, n)
		}
		_ = c.Close()
	}
	if _, err := ours.Dial(raft.ServerAddress(port), time.Second); err == nil {
		t.Error("an address without the name of a node was dialled")
	}
	friend, err := ours.Dial(raft.ServerAddress("n4@"+port), time.Second)
	if err != nil {
		t.Fatal(err)
	}
	defer friend.Close()
	if _, err := io.WriteString(friend, "hello"); err != nil {
		t.Fatal(err)
	}
	served, err := ours.Accept()
	if err != nil {
		t.Fatal(err)
	}
	got := make([]byte, 5)
	if _, err := io.ReadFull(served, got); err != nil || string(got) != "hello" {
		t.Errorf("a peer's message came as %q, %v", got, err)
	}
}

// A log whose beginning was dropped is nothing without the snapshot that stands
// for it.
func TestMissingSnapshotIsNoticed(t *testing.T) {
	dir := t.TempDir()
	fill(t, dir)
	stores, err := openStores(t, dir)
	if err != nil {
		t.Fatal(err)
	}
	last, err := stores.Log.LastIndex()
	if err == nil {
		err = stores.Log.DeleteRange(1, last-1)
	}
	for _, c := range stores.Close {
		err = errors.Join(err, c.Close())
	}
	if err != nil {
		t.Fatal(err)
	}
	if err := os.RemoveAll(filepath.Join(dir, "snapshots")); err != nil {
		t.Fatal(err)
	}
	if _, err := openOne(t, dir); !errors.Is(err, consensus.ErrDamaged) {
		t.Errorf("got %v, want ErrDamaged", err)
	}
}
