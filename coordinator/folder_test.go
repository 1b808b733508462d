package coordinator_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sheafgrid/sheaf/coordinator"
	"github.com/sheafgrid/sheaf/coordinator/consensus"
	"github.com/sheafgrid/sheaf/coordinator/state"
	"github.com/sheafgrid/sheaf/internal/freeport"
)

// address is a loopback address whose port is free at the moment.
func address(t *testing.T) string {
	t.Helper()
	ports, err := freeport.Loopback(1)
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("127.0.0.1:%d", ports[0])
}

// runOnce starts a node of a folder, waits until its cluster is there, and
// stops it.
func runOnce(t *testing.T, dir string) error {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	c, err := coordinator.Open(ctx, coordinator.Config{
		Dir: dir, Listen: address(t), Raft: address(t), Bootstrap: &coordinator.Bootstrap{Anyone: true},
		Timing: consensus.Timing{Heartbeat: 50 * time.Millisecond, Lease: 50 * time.Millisecond},
		Logger: slog.New(slog.NewTextHandler(io.Discard, nil)),
	})
	if err != nil {
		return err
	}
	done := make(chan error, 1)
	go func() { done <- c.Run(ctx) }()
	if err := changes(c, func(s *state.State) bool { return !s.Cluster().ID.IsZero() }, done); err != nil {
		return err
	}
	cancel()
	return <-done
}

// changes waits until something holds of a node's state.
func changes(c *coordinator.Coordinator, holds func(*state.State) bool, done <-chan error) error {
	for {
		changed, held := c.Changed(), false
		c.State(func(s *state.State) { held = holds(s) })
		if held {
			return nil
		}
		select {
		case <-changed:
		case err := <-done:
			return fmt.Errorf("the node stopped: %w", err)
		}
	}
}

// A node that lost a part of its folder must not come back as if nothing were
// missing: it would begin its cluster anew, or count for blobs it has not.
func TestNodeThatLostAPartIsRefused(t *testing.T) {
	for _, part := range []string{"raft", "raft/log", "raft/log/*.wal", "blobs", "outputs", "segments"} {
		t.Run(strings.TrimPrefix(filepath.Base(part), "*."), func(t *testing.T) {
			dir := t.TempDir()
			for range 2 { // it comes back while all is there
				if err := runOnce(t, dir); err != nil {
					t.Fatal(err)
				}
			}
			found, err := filepath.Glob(filepath.Join(dir, part))
			if err != nil || len(found) == 0 {
				t.Fatalf("%s: %v, %v", part, found, err)
			}
			for _, path := range found {
				if err := os.RemoveAll(path); err != nil {
					t.Fatal(err)
				}
			}
			if err := runOnce(t, dir); !errors.Is(err, consensus.ErrDamaged) {
				t.Errorf("without %s: got %v, want ErrDamaged", part, err)
			}
		})
	}
}
